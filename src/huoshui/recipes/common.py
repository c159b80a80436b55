"""What every recipe shares: its parameters and folders, metrics, files that are whole or absent, stopping politely."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, Any, NoReturn

STOPPED = 128 + signal.SIGTERM
"""Exit code of a recipe that was asked to stop: it is not done."""
BAD_INPUT = 2
METRICS_EVERY = 10


class Parameters:
    """The job's parameters: `parameters.steps`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def __getattr__(self, name: str) -> Any:
        return self.values[name]


def parameters() -> Parameters:
    """What the job was asked to do (`parameters.json` beside the recipe)."""
    return Parameters(json.loads(Path(__file__).with_name("parameters.json").read_text(encoding="utf-8")))


def folder(name: str) -> Path:
    """`inputs`, `outputs` or `checkpoint` of the job."""
    return Path(os.environ[f"HUOSHUI_{name.upper()}"])


def input_file(name: str) -> Path | None:
    """An input, or None when the job was given none of this name."""
    path = folder("inputs") / name
    return path if path.is_file() else None


def text_of(path: Path) -> str:
    """An input as text; ends the job when it is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        fail(f"inputs/{path.name} is not UTF-8: byte {error.start}")


def fail(why: str, code: int = BAD_INPUT) -> NoReturn:
    """End the job with a sentence that its owner understands."""
    print(why, file=sys.stderr, flush=True)
    raise SystemExit(code)


def require(*packages: str) -> None:
    """End the job with a plain sentence when the site's Python lacks a package."""
    for package in packages:
        try:
            import_module(package)
        except ImportError:
            fail(f"This site's Python has no {package}: it needs the extra `models` (pip install 'huoshui[models]').")


def metric(step: int, total: int, **values: float) -> None:
    """One point of each curve, and how far the job is."""
    line = json.dumps({"step": step, "total": total, **{name: round(value, 6) for name, value in values.items()}})
    with open(os.environ["HUOSHUI_METRICS"], "a", encoding="utf-8") as out:
        out.write(line + "\n")


@contextmanager
def whole(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that is there whole or not at all, whenever the power goes."""
    partial = path.with_name(path.name + ".part")
    with open(partial, "wb") as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
    partial.replace(path)


class Stop:
    """`stop.asked` is true once the engine wants the job to end: finish the step, save, leave."""

    def __init__(self, then: Callable[[], None] | None = None) -> None:
        self.asked, self._then = False, then
        signal.signal(signal.SIGTERM, self._ask)

    def _ask(self, *_signal: object) -> None:
        self.asked = True
        if self._then is not None:
            self._then()


def json_lines(path: Path) -> list[dict[str, Any]]:
    """Objects of a JSON-lines file; ends the job naming the first line that is none."""
    rows = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                fail(f"inputs/{path.name}, line {number}: {error}")
            if not isinstance(row, dict):
                fail(f"inputs/{path.name}, line {number}: not an object")
            rows.append(row)
    return rows
