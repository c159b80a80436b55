"""The publications that ship with Huoshui: YAML texts by kind, and nothing that interprets them.

A folder is a kind; `rule_pack_tests` alone holds no publications but the test file of each rule pack.

They are a start, not an authority: the registry stores, activates and supersedes publications; these are what a fresh
installation offers it. `huoshui.terms` reads the text.
"""

from importlib import resources
from typing import Final

TESTS: Final = "rule_pack_tests"


def shipped(kind: str | None = None) -> dict[str, str]:
    """Texts of the shipped publications by name (`tariff/zhejiang-2026.yaml`), of one kind or of all, sorted."""
    wanted = [kind] if kind else [e.name for e in resources.files(__name__).iterdir() if e.is_dir() and e.name != TESTS]
    folders = [entry for entry in resources.files(__name__).iterdir() if entry.name in wanted]
    texts = {
        f"{folder.name}/{file.name}": file.read_text(encoding="utf-8")
        for folder in folders
        for file in folder.iterdir()
        if file.name.endswith(".yaml")
    }
    return dict(sorted(texts.items()))
