"""Do wallets, keys, calls, bills and the book agree? Each difference is one row; none means every fen is explained.

Each sum and the figure that it must equal are read in one statement, so a gateway at work never shows as a difference.
"""

from collections.abc import Iterator
from typing import NamedTuple

from django.db.models import BigIntegerField, CharField, F, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Cast, Coalesce, Concat

from huoshui.book.ledger import CNY
from huoshui.book.models import OPEN, Account, Kind, StatementLine
from huoshui.maas.actions.bills import DESK
from huoshui.maas.models import UFEN, Call, Key, Settled, Wallet

INTEGER = BigIntegerField()


class Difference(NamedTuple):
    """`what` is a code, `subject` whose figure it is; µfen, what it says and what it should."""

    what: str
    subject: str
    found_ufen: int
    expected_ufen: int


def differences() -> Iterator[Difference]:
    """Everything that does not agree."""
    yield from _unequal("wallet_held", _wallets(), F("held_ufen"), _calls("wallet", "hold_ufen", Call.State.HELD))
    yield from _unequal("wallet_spent", _wallets(), F("spent_ufen"), _calls("wallet", "cost_ufen", Call.State.SETTLED))
    billed = _sum(Settled.objects.filter(wallet=OuterRef("pk")), "wallet", F("billed_fen") + F("own_fen")) * UFEN
    yield from _unequal("wallet_billed", _wallets(), F("billed_ufen"), billed)
    yield from _unequal("wallet_unbilled", _wallets(), F("spent_ufen") - F("billed_ufen"), _carried() + _unbilled())
    yield from _unequal("book_held", _wallets(), _book(Kind.HELD) * UFEN, F("funded_ufen") - F("billed_ufen"))
    yield from _unequal("book_committed", _wallets(), _book(Kind.COMMITTED) * UFEN, _open_statements() * UFEN)
    yield from _unequal("key_held", Key.objects.all(), F("held_ufen"), _calls("key", "hold_ufen", Call.State.HELD))
    spent = Call.objects.filter(
        key=OuterRef("pk"), state=Call.State.SETTLED, started_ms__gte=OuterRef("period_start_ms")
    )
    yield from _unequal("key_spent", Key.objects.all(), F("spent_ufen"), _sum(spent, "key", "cost_ufen"))


def _wallets() -> "QuerySet[Wallet]":
    label = Concat(Value(f"{Wallet._meta.label_lower}:"), Cast("pk", CharField()), output_field=CharField())
    return Wallet.objects.annotate(label=label)


def _unequal(what: str, rows: "QuerySet", found: Combinable, expected: Combinable) -> Iterator[Difference]:
    """Rows in which the two differ."""
    told = rows.annotate(found=found, expected=expected).exclude(found=F("expected")).order_by("pk")
    for row in told:
        yield Difference(what, f"{row._meta.label_lower}:{row.pk}", row.found, row.expected)


def _sum(rows: "QuerySet", group: str, value: "str | Combinable") -> Coalesce:
    total = rows.order_by().values(group).annotate(total=Sum(value)).values("total")
    return Coalesce(Subquery(total, output_field=INTEGER), Value(0), output_field=INTEGER)


def _calls(of: str, column: str, state: str) -> Coalesce:
    return _sum(Call.objects.filter(**{of: OuterRef("pk")}, state=state), of, column)


def _unbilled() -> Coalesce:
    return _sum(
        Call.objects.filter(wallet=OuterRef("pk"), state=Call.State.SETTLED, billed=None), "wallet", "cost_ufen"
    )


def _carried() -> Coalesce:
    last = Settled.objects.filter(wallet=OuterRef("pk")).order_by("-pk").values("carried_ufen")[:1]
    return Coalesce(Subquery(last, output_field=INTEGER), Value(0), output_field=INTEGER)


def _book(kind: str) -> Coalesce:
    account = Account.objects.filter(
        party=OuterRef("party"), kind=kind, asset=CNY, subject=OuterRef("label")
    ).values("balance__amount")
    return Coalesce(Subquery(account, output_field=INTEGER), Value(0), output_field=INTEGER)


def _open_statements() -> Coalesce:
    """What open statements were issued for; credits return to the limit when they are accepted."""
    lines = StatementLine.objects.filter(
        statement__desk=DESK, statement__subject=OuterRef("label"), statement__state__in=OPEN
    ).exclude(kind="credit")
    return _sum(lines, "statement__subject", "amount")
