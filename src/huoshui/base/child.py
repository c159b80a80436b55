"""The child's side of `base.tasks.in_child`. A spawned child has no Django, so this module imports none."""

import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any


def child_main(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Call `function(*args, progress=…)`; send ("progress", …) on the way, then ("result", …) or ("error", …)."""

    def progress(phase: str, done: int, total: int, **figures: int) -> bool:
        with suppress(BrokenPipeError):
            pipe.send(("progress", phase, done, total, figures))
            return not pipe.poll() or pipe.recv() != "stop"
        return False

    try:
        pipe.send(("result", function(*args, progress=progress)))
    except Exception:
        pipe.send(("error", traceback.format_exc()))
