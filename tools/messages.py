"""Check, complete and compile the translations.

python tools/messages.py             what is missing or contradictory; exit status 1 when anything is
python tools/messages.py --write     add an entry for each missing msgid (then translate the empty ones)
python tools/messages.py --compile   write the .mo files
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from django.conf import settings  # noqa: E402

from huoshui.base import messages  # noqa: E402


def main(arguments: list[str]) -> int:
    settings.configure(USE_I18N=True)
    if "--write" in arguments:
        print(f"{messages.add_missing()} entries added")
    if "--compile" in arguments:
        print(f"{messages.compile_all()} catalogues compiled")
        return 0
    faults = list(messages.faults())
    print(*faults, sep="\n")
    print(f"{len(faults)} faults in {len(messages.modules())} modules")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
