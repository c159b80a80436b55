"""Reads of public money that more than one face needs: what a fund has used, month by month; what waits."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import QuerySet, Sum

from huoshui.base import clock
from huoshui.base.access import Actor, get_visible, visible
from huoshui.book import services
from huoshui.book.models import Account, Kind, State, Statement, StatementEvent
from huoshui.policy.models import Application, ClawBack, Fund, Payout, Redemption, Voucher
from huoshui.policy.permissions import READ
from huoshui.registry.models import Publication
from huoshui.registry.queries import parties_of

LABELS_PER_QUERY = 400


@dataclass(frozen=True)
class Use:
    """Where a fund's yearly amount stands, in fen: the five parts below the first sum to it."""

    yearly_fen: int
    free_fen: int
    reserved_fen: int
    approved_fen: int
    paid_fen: int
    clawed_back_fen: int

    @property
    def used_bps(self) -> int | None:
        """Share that is approved or paid; None for a fund without amount."""
        return (self.approved_fen + self.paid_fen) * 10_000 // self.yearly_fen if self.yearly_fen else None


def _sum(rows: Iterable[int | None]) -> int:
    return sum(row or 0 for row in rows)


def paid_fen(fund: Fund) -> int:
    """What banks have reported as paid out of a fund (from the book)."""
    labels = [f"book.statement:{pk}" for pk in fund.payouts.values_list("statement_id", flat=True)]
    total = 0
    for start in range(0, len(labels), LABELS_PER_QUERY):
        rows = Account.objects.filter(
            party=fund.authority_id, kind=Kind.PAID, subject__in=labels[start : start + LABELS_PER_QUERY]
        )
        total -= rows.aggregate(total=Sum("balance__amount"))["total"] or 0
    return total


def use_of(fund: Fund) -> Use:
    """Where a fund stands: free from the book, approved and paid from its redemptions and payouts."""
    free = services.balance(fund.authority, Kind.LIMIT, subject=fund.earmark)
    paid = paid_fen(fund)
    standing = (Redemption.State.NOTICE, Redemption.State.OBJECTED, Redemption.State.ORDERED, Redemption.State.PAID)
    redeemed = Redemption.objects.filter(voucher__fund=fund, state__in=standing)
    granted = fund.payouts.filter(redemption=None)
    promised = _sum(rows.aggregate(total=Sum("amount_fen"))["total"] for rows in (redeemed, granted))
    clawed = ClawBack.objects.filter(payout__fund=fund).aggregate(total=Sum("amount_fen"))["total"] or 0
    return Use(fund.yearly_fen, free, fund.yearly_fen - free - promised, promised - paid, paid, clawed)


@dataclass(frozen=True)
class Month:
    """What happened to a fund in a month, in fen."""

    month: str
    issued_fen: int
    approved_fen: int
    paid_fen: int


def by_month(funds: Iterable[Fund]) -> list[Month]:
    """Vouchers issued, subsidies approved and paid, by local month, from the funds' first January until now."""
    first = {fund.pk: f"{fund.year}-01" for fund in funds}
    listed = list(first)
    issued, approved, paid = (defaultdict[str, int](int) for _kind in range(3))
    for voucher in Voucher.objects.filter(fund__in=listed):
        issued[_month(voucher.issued_at)] += voucher.amount_fen
    for redemption in Redemption.objects.filter(voucher__fund__in=listed, live=True):
        if redemption.reviewed_at:
            approved[_month(redemption.reviewed_at)] += redemption.amount_fen
    for payout in Payout.objects.filter(fund__in=listed, redemption=None):
        approved[_month(payout.ordered_at)] += payout.amount_fen
    for event in StatementEvent.objects.filter(
        what=StatementEvent.What.PAYMENT, statement__payout__fund__in=listed
    ):
        paid[_month(event.at)] += event.amount or 0
    names = sorted({*issued, *approved, *paid, *first.values(), _month(clock.now())} if first else ())
    return [Month(name, issued[name], approved[name], paid[name]) for name in _without_gaps(names)]


def _month(at: datetime) -> str:
    return f"{clock.local(at):%Y-%m}"


def _without_gaps(names: list[str]) -> list[str]:
    if not names:
        return []
    (year, month), last, found = map(int, names[0].split("-")), names[-1], [names[0]]
    while found[-1] < last:
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
        found.append(f"{year}-{month:02d}")
    return found


# --- who may see what -------------------------------------------------------------------------------------------------


def vouchers(actor: Actor) -> QuerySet[Voucher]:
    """Vouchers that the actor may see, newest first."""
    rows = Voucher.objects.select_related("fund__authority", "fund__publication", "party", "application")
    return visible(rows, actor, READ).order_by("-id")


def voucher(actor: Actor, pk: int) -> Voucher:
    """One voucher. Raises Missing."""
    rows = Voucher.objects.select_related("fund__authority", "fund__publication", "party", "application")
    return get_visible(rows, actor, READ, pk=pk)


def left_of(vouchers: Iterable[Voucher]) -> dict[int, int]:
    """What each voucher still holds, by key (from the book)."""
    labels = {voucher.label: voucher.pk for voucher in vouchers}
    rows = Account.objects.filter(kind=Kind.HELD, subject__in=labels).values_list("subject", "balance__amount")
    return dict.fromkeys(labels.values(), 0) | {labels[subject]: amount for subject, amount in rows}


def redemptions(actor: Actor) -> QuerySet[Redemption]:
    """Redemptions that the actor may see, newest first."""
    rows = Redemption.objects.select_related("voucher__fund", "party", "statement")
    return visible(rows, actor, READ).order_by("-id")


def redemption(actor: Actor, pk: int) -> Redemption:
    """One redemption. Raises Missing."""
    rows = Redemption.objects.select_related(
        "voucher__fund__authority", "voucher__fund__publication", "voucher__application", "party", "statement", "case"
    )
    return get_visible(rows, actor, READ, pk=pk)


def payouts(actor: Actor) -> QuerySet[Payout]:
    """Payouts that the actor may see, newest first."""
    rows = Payout.objects.select_related("fund__authority", "party", "redemption", "application", "statement")
    return visible(rows, actor, READ).order_by("-id")


def payout(actor: Actor, pk: int) -> Payout:
    """One payout. Raises Missing."""
    rows = Payout.objects.select_related(
        "fund__authority", "party", "redemption__statement", "application", "statement"
    )
    return get_visible(rows, actor, READ, pk=pk)


def redeemable(actor: Actor, voucher: Voucher) -> QuerySet[Statement]:
    """Accepted statements that the firm has paid something on and that this pack has not been asked about yet."""
    if not parties_of(actor, READ).filter(pk=voucher.party_id).exists():
        return Statement.objects.none()
    asked = Redemption.objects.filter(live=True, pack=voucher.fund.pack).exclude(statement=None).values("statement")
    rows = Statement.objects.filter(
        payer=voucher.party, asset=services.CNY, secured=True, state__in=(State.ACCEPTED, State.PAID)
    ).exclude(desk="policy")
    return rows.exclude(pk__in=asked).order_by("-issued_at", "-pk")


def in_notice(on: date | None = None) -> QuerySet[Redemption]:
    """What is in public notice on a day; open to everybody."""
    day = on or clock.today()
    states = (Redemption.State.NOTICE, Redemption.State.OBJECTED)
    rows = Redemption.objects.filter(state__in=states, notice_until__gte=day)
    return rows.select_related("party", "voucher__fund__publication").order_by("notice_until", "id")


def due(on: date | None = None) -> int:
    """How many redemptions have their public notice behind them and wait for a payout order."""
    day = on or clock.today()
    return Redemption.objects.filter(state=Redemption.State.NOTICE, notice_until__lt=day).count()


def waiting_grants() -> QuerySet[Application]:
    """Approved grants whose account is confirmed and whose payout no fund could bear so far."""
    rows = Application.objects.filter(
        state=Application.State.APPROVED, account_confirmed_at__isnull=False, amount_fen__gt=0, payout=None
    )
    texts = Publication.objects.filter(pk__in=rows.order_by().values("publication").distinct())
    grants = [text.pk for text in texts if (benefit := text.loaded().benefit) and benefit.kind == "grant"]
    return rows.filter(publication__in=grants)


def subsidies_on(actor: Actor, statement: Statement) -> list[Redemption]:
    """The redemptions of a statement that the actor may see."""
    return list(redemptions(actor).filter(statement=statement, live=True).order_by("id"))
