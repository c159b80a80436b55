"""Calculations for the tests about workers: plain functions in a module that needs no Django, as a child has none."""

import os
import time
from typing import Any


def count_up(steps: int, fail_at: int, *, progress: Any) -> int:
    """A calculation: counts, tells, may be stopped, may die."""
    for step in range(steps):
        if step == fail_at:
            raise ArithmeticError("as told")
        if not progress("counting", step, steps):
            return step
        time.sleep(0.02)
    return steps


def die(*, progress: Any) -> None:
    """A calculation that crashes hard."""
    os._exit(9)
