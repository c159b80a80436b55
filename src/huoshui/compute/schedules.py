"""The schedule of an allocation as it stands: runs, cells, what was delivered, and how a new version is written.

Rows are append-only. A changed schedule is a new version of all runs and shares, the past ones repeated, and the
allocation names the version that counts.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from django.db.models import F, Max, Q, QuerySet

from huoshui.base import canonical, clock
from huoshui.base.models import LogRecord
from huoshui.compute import reserve
from huoshui.compute.allocate import stretches
from huoshui.compute.models import Allocation, Deposit, Run, Share, SlotPrice
from huoshui.compute.problems import live_shares, terms_of
from huoshui.compute.settle import REPORT_GRACE_HOURS, Bearer, Cap, Cell, Parties, Report, spread_over_hours
from huoshui.registry.models import Party, PartyRole, RoleKind, on_day
from huoshui.registry.queries import centre
from huoshui.terms.rounding import MILLI


class Stretch(NamedTuple):
    """A run: a pool over [start_hour, end_hour)."""

    pool: int
    start_hour: int
    end_hour: int


def runs_of(allocation: Allocation) -> QuerySet[Run]:
    """The runs of the version that counts, in order."""
    return allocation.runs.filter(version=allocation.version).select_related("pool__site").order_by("start_hour")


def ends_at(allocation: Allocation) -> int:
    """The hour after the last run."""
    return int(runs_of(allocation).aggregate(last=Max("end_hour"))["last"])


def cells_of(allocation: Allocation) -> list[Cell]:
    """Cells of the version that counts, at the slot prices of the allocation's round or the shares' own."""
    shares = list(
        allocation.shares.filter(version=allocation.version).values_list(
            "deposit_id", "deposit__pool_id", "start_hour", "end_hour", "cards", "price_mfen"
        )
    )
    if not shares:
        return []
    hours = [hour for _deposit, _pool, start, end, *_rest in shares for hour in (start, end)]
    prices = slot_prices(allocation, {pool for _deposit, pool, *_rest in shares}, min(hours), max(hours))
    return sorted(
        Cell(hour, deposit, cards, own or prices[pool, hour])
        for deposit, pool, start, end, cards, own in shares
        for hour in range(start, end)
    )


def slot_prices(allocation: Allocation, pools: set[int], start: int, end: int) -> dict[tuple[int, int], int]:
    """Prices of the allocation's round by pool and hour, 1/1000 fen per card-hour."""
    rows = SlotPrice.objects.filter(round=allocation.round_id, pool__in=pools, hour__gte=start, hour__lt=end)
    return {(pool, hour): price for pool, hour, price in rows.values_list("pool_id", "hour", "price_mfen")}


def reports_of(allocation: Allocation) -> list[Report]:
    """Delivery reports, in order."""
    rows = allocation.deliveries.order_by("start_hour").values_list("start_hour", "end_hour", "milli_card_hours")
    return [Report(*row) for row in rows]


def resold_of(allocation: Allocation) -> dict[int, int]:
    """Cards that the entity resold and somebody bought, by hour."""
    cards: dict[int, int] = defaultdict(int)
    rows = live_shares().filter(deposit__resold_from=allocation).values_list("start_hour", "end_hour", "cards")
    for start, end, count in rows:
        for hour in range(start, end):
            cards[hour] += count
    return cards


def delivered_of(allocation: Allocation) -> dict[int, int]:
    """Milli-card-hours delivered by hour: reported, and resold cards, which count as delivered without a report."""
    hourly = spread_over_hours(reports_of(allocation))
    for hour, cards in resold_of(allocation).items():
        hourly[hour] = hourly.get(hour, 0) + cards * MILLI
    return hourly


def is_due(allocation: Allocation, now_hour: int) -> bool:
    """Whether all hours are past and reported (or wholly resold), or the time to report them is over."""
    end = ends_at(allocation)
    if now_hour < end:
        return False
    reported = set(spread_over_hours(reports_of(allocation)))
    reported |= {hour for hour, cards in resold_of(allocation).items() if cards >= allocation.request.cards}
    hours = {hour for run in runs_of(allocation) for hour in range(run.start_hour, run.end_hour)}
    return hours <= reported or now_hour >= end + REPORT_GRACE_HOURS


def ended(now_hour: int) -> QuerySet[Allocation]:
    """Planned allocations whose last run is over, oldest first."""
    current = Max("runs__end_hour", filter=Q(runs__version=F("version")))
    planned = Allocation.objects.filter(state=Allocation.State.PLANNED).annotate(last=current)
    return planned.filter(last__lte=now_hour).order_by("id")


def evidence_of(allocation: Allocation) -> str:
    """Digest of all delivery reports of an allocation, as the statement's lines cite them."""
    rows = allocation.deliveries.order_by("start_hour")
    return canonical.digest(list(rows.values_list("start_hour", "end_hour", "milli_card_hours", "evidence")))


def cap_of(allocation: Allocation) -> Cap:
    """The cap under which the allocation works."""
    terms = terms_of(allocation.round)
    excess = sum(allocation.moves.values_list("price_difference_fen", flat=True))
    return Cap(
        allocation.spending_cap_fen, allocation.transfer_fen, terms.concession_bps, allocation.payment_fen,
        max(excess, 0),
    )  # fmt: skip


def bearers_of(allocation: Allocation) -> list[Bearer]:
    """Who made the schedule dearer than agreed, in order."""
    terms = terms_of(allocation.round)
    moves = allocation.moves.filter(price_difference_fen__gt=0).select_related("recall__deposit__depositor")
    return [
        Bearer(
            move.recall.deposit.depositor, move.price_difference_fen,
            terms.recall_difference_bps.bps(move.recall.notice_hours),
        )
        for move in moves.order_by("id")
    ]  # fmt: skip


def parties_of(allocation: Allocation, deposits: Iterable[int]) -> Parties:
    """Who is paid: deposits that settle in the compute account are credited while the reserve allows it."""
    terms = terms_of(allocation.round)
    rows = Deposit.objects.select_related("depositor").in_bulk(set(deposits))
    to_account = {pk for pk, deposit in rows.items() if deposit.settle_in == Deposit.SettleIn.ACCOUNT}
    credited = frozenset(to_account if to_account and reserve.is_open(terms) else ())
    return Parties(
        rows, credited, centre(), carrier(), allocation.round.index_price_mfen or 0,
        terms.account_expiry_days,
    )  # fmt: skip


def carrier() -> Party:
    """The party that moves data: the first with the role of a carrier; the centre when there is none."""
    role = PartyRole.objects.filter(on_day(clock.today()), kind=RoleKind.CARRIER).select_related("party")
    first = role.order_by("party_id").first()
    return first.party if first else centre()


def rewrite(record: LogRecord, allocation: Allocation, runs: Iterable[Stretch], cells: Sequence[Cell]) -> None:
    """Write a new version of the schedule."""
    version = allocation.version + 1
    Run.objects.bulk_create(
        Run(allocation=allocation, version=version, pool_id=pool, record=record, start_hour=start, end_hour=end)
        for pool, start, end in runs
    )
    pool_of = dict(Deposit.objects.filter(pk__in={cell.deposit for cell in cells}).values_list("pk", "pool_id"))
    hours = [cell.hour for cell in cells]
    prices = slot_prices(allocation, set(pool_of.values()), min(hours), max(hours) + 1) if hours else {}
    rows: dict[tuple[int, int | None], dict[int, int]] = defaultdict(dict)
    for cell in cells:
        dearer = cell.price_mfen > prices[pool_of[cell.deposit], cell.hour]
        by_hour = rows[cell.deposit, cell.price_mfen if dearer else None]
        by_hour[cell.hour] = by_hour.get(cell.hour, 0) + cell.cards
    Share.objects.bulk_create(
        Share(
            allocation=allocation, version=version, deposit_id=deposit, start_hour=start, end_hour=end, cards=cards,
            price_mfen=own,
        )
        for (deposit, own), cards_by_hour in rows.items()
        for start, end, cards in stretches(cards_by_hour)
    )  # fmt: skip
    allocation.version = version
    allocation.save(update_fields=["version"])


def cut(record: LogRecord, allocation: Allocation, hour: int) -> None:
    """Write a version that ends at an hour."""
    cells = [cell for cell in cells_of(allocation) if cell.hour < hour]
    rewrite(record, allocation, list(before(runs_of(allocation), hour)), cells)


def stretch_of(run: Run) -> Stretch:
    """A run as plain numbers."""
    return Stretch(run.pool_id, run.start_hour, run.end_hour)


def before(runs: Iterable[Run], hour: int) -> Iterator[Stretch]:
    """The parts of runs before an hour."""
    for run in runs:
        if run.start_hour < hour:
            yield Stretch(run.pool_id, run.start_hour, min(run.end_hour, hour))
