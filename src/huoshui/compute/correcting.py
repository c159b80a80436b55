"""Who is told that a region, card model, site or pool was corrected: a desk above that keeps figures of pools.

    correcting.on_corrected(hook)          # once, from the desk's apps.py

The hook is called in the transaction of the correction, with the pools of which something is said differently now.
"""

from collections.abc import Callable

from django.db.models import QuerySet

from huoshui.compute.models import Pool

Hook = Callable[[QuerySet[Pool]], None]
_hooks: list[Hook] = []


def on_corrected(hook: Hook) -> None:
    """Add who is told of corrected pools."""
    _hooks.append(hook)


def tell(**which: object) -> None:
    """Tell all hooks of the pools that a filter finds."""
    for hook in _hooks:
        hook(Pool.objects.filter(**which))
