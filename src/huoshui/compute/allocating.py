"""What follows from an allocation beyond the bank: a desk above, such as one that runs what was bought, is told.

    allocating.on_allocated(hook)          # once, from the desk's apps.py

The hook is called in the transaction that makes allocations, changes their schedule or cap, or ends them.
"""

from collections.abc import Callable, Sequence

from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.compute.models import Allocation

Hook = Callable[[Act, LogRecord, Sequence[Allocation]], None]
_hooks: list[Hook] = []


def on_allocated(hook: Hook) -> None:
    """Add who is told of new and changed allocations."""
    _hooks.append(hook)


def tell(act: Act, record: LogRecord, allocations: Sequence[Allocation]) -> None:
    """Tell all hooks."""
    for hook in _hooks:
        hook(act, record, allocations)
