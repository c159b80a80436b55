"""Who can tell what public money reimburses of a payment. A desk registers hooks in its `apps.py`.

Shown before somebody signs and on the statement, never deducted: a statement bills in full, and no price, budget or
clearing reads this.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from huoshui.base.access import Actor
from huoshui.book.models import Statement
from huoshui.registry.models import Party

Subsidy = Callable[[Party, int], int | None]
"""`hook(entity, amount_fen)`: the fen that a policy is expected to reimburse, None when it cannot be told."""
_hooks: list[Subsidy] = []


@dataclass(frozen=True)
class Reimbursed:
    """What public money gives for a statement, or is paid by it: what it is, how far it has come, where it stands."""

    title: str
    state: str
    level: str
    amount_fen: int
    url: str


Lookup = Callable[[Actor, Statement], Iterable[Reimbursed]]
_lookups: list[Lookup] = []


def on_statement(hook: Lookup) -> None:
    """Add a desk that tells what public money has to do with a statement (called once, from its apps.py)."""
    _lookups.append(hook)


def of_statement(actor: Actor, statement: Statement) -> list[Reimbursed]:
    """What desks tell the actor of public money on a statement: expected, approved, paid."""
    return [told for hook in _lookups for told in hook(actor, statement)]


def on_subsidy(hook: Subsidy) -> None:
    """Add a desk that answers for subsidies (called once, from its apps.py)."""
    _hooks.append(hook)


def expected(entity: Party, amount_fen: int) -> int | None:
    """Sum of what desks expect to be reimbursed, at most the amount; None when none of them can tell."""
    told = [fen for hook in _hooks if (fen := hook(entity, amount_fen)) is not None]
    return min(sum(told), amount_fen) if told else None
