"""Who can tell what public money is expected to reimburse of a payment. A desk registers a hook in its `apps.py`.

Shown before somebody signs, never deducted: a statement bills in full, and no price, budget or clearing reads this.
"""

from collections.abc import Callable

from huoshui.registry.models import Party

Subsidy = Callable[[Party, int], int | None]
"""`hook(entity, amount_fen)`: the fen that a policy is expected to reimburse, None when it cannot be told."""
_hooks: list[Subsidy] = []


def on_subsidy(hook: Subsidy) -> None:
    """Add a desk that answers for subsidies (called once, from its apps.py)."""
    _hooks.append(hook)


def expected(entity: Party, amount_fen: int) -> int | None:
    """Sum of what desks expect to be reimbursed, at most the amount; None when none of them can tell."""
    told = [fen for hook in _hooks if (fen := hook(entity, amount_fen)) is not None]
    return min(sum(told), amount_fen) if told else None
