"""Putting idle cards in 存入 and taking a deposit back before anything was sold of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from django.db.models import Max, Min, QuerySet
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Problem, Refused, invalid
from huoshui.compute import depositing, problems, reserve
from huoshui.compute.models import Allocation, Deposit, DepositStretch, Pool, RoundData, Run
from huoshui.compute.permissions import DEPOSIT
from huoshui.registry.models import Party

STRETCHES_MAX = 2_000
AHEAD_HOURS_MAX = 24 * 366
RECALL_NOTICE_HOURS_MAX = 24 * 30
BASE_PRICE_FEN_MAX = 50_000


@dataclass(frozen=True)
class Stretch:
    """`cards` idle cards over the hours [start_hour, end_hour) since the epoch."""

    start_hour: int
    end_hour: int
    cards: int


@action("compute.deposit.submit")
def submit_deposit(
    act: Act, *, depositor: Party, pool: Pool, stretches: Sequence[Stretch], base_price_fen: int, energy: bool = True,
    settle_in: str = Deposit.SettleIn.MONEY, recall_notice_hours: int = 24, resold_from: Allocation | None = None,
) -> Deposit:  # fmt: skip
    """Offer idle cards. Operators offer their own pools; an entity resells hours that it rented (`resold_from`).

    Raises Invalid for hours in the past, overlapping stretches, more cards than the pool has left (or than were
    rented), a price out of range; Refused when the reserve ratio allows no new account credit.
    """
    act.require(DEPOSIT, depositor)
    pool = Pool.objects.select_for_update().select_related("site").get(pk=pool.pk)
    _check_terms(base_price_fen, recall_notice_hours, settle_in)
    _check_stretches(stretches, clock.hour_of(act.at))
    if resold_from is not None:
        _check_resale(depositor, pool, stretches, resold_from)
    else:
        _check_own(depositor, pool, stretches)
    if settle_in == Deposit.SettleIn.ACCOUNT:
        reserve.require_open()
    deposit = Deposit.objects.create(
        depositor=depositor, pool=pool, base_price_fen=base_price_fen, energy=energy, settle_in=settle_in,
        recall_notice_hours=recall_notice_hours, resold_from=resold_from, submitted_at=act.at,
    )  # fmt: skip
    DepositStretch.objects.bulk_create(
        DepositStretch(deposit=deposit, start_hour=s.start_hour, end_hour=s.end_hour, cards=s.cards) for s in stretches
    )
    act.record(
        deposit,
        {
            "depositor": depositor, "pool": pool, "base_price_fen": base_price_fen, "energy": energy,
            "settle_in": settle_in, "recall_notice_hours": recall_notice_hours, "resold_from": resold_from,
            "stretches": [[s.start_hour, s.end_hour, s.cards] for s in stretches],
        },
    )  # fmt: skip
    return deposit


@action("compute.deposit.withdraw")
def withdraw_deposit(act: Act, *, deposit: Deposit) -> Deposit:
    """Take back a deposit of which nothing was sold. What was sold can only be recalled."""
    deposit = Deposit.objects.select_for_update().get(pk=deposit.pk)
    act.require(DEPOSIT, deposit)
    if deposit.state == Deposit.State.WITHDRAWN:
        act.nothing_changed()
        return deposit
    if deposit.shares.filter(allocation__state=Allocation.State.PLANNED).exists():
        raise Refused(_("Cards of this deposit are sold; recall the hours you need instead."), code="deposit_sold")
    hours = deposit.stretches.aggregate(start=Min("start_hour"), end=Max("end_hour"))
    if RoundData.objects.filter(round__in=problems.unpublished(hours["start"], hours["end"])).exists():
        raise Refused(_("A round is being cleared over these hours; wait until it is published."), code="in_round")
    deposit.state = Deposit.State.WITHDRAWN
    deposit.save(update_fields=["state"])
    act.record(deposit, {"withdrawn": True})
    return deposit


def _check_terms(base_price_fen: int, recall_notice_hours: int, settle_in: str) -> None:
    if not 0 <= base_price_fen <= BASE_PRICE_FEN_MAX:
        raise invalid("base_price_fen", base_price_fen, _("between 0 and %(max)s fen") % {"max": BASE_PRICE_FEN_MAX})
    if not 0 <= recall_notice_hours <= RECALL_NOTICE_HOURS_MAX:
        raise invalid(
            "recall_notice_hours", recall_notice_hours, _("between 0 and %(max)s") % {"max": RECALL_NOTICE_HOURS_MAX}
        )
    if settle_in not in Deposit.SettleIn.values:
        raise invalid("settle_in", settle_in, _("one of: %(all)s") % {"all": ", ".join(Deposit.SettleIn.values)})


def _check_stretches(stretches: Sequence[Stretch], now_hour: int) -> None:
    if not 0 < len(stretches) <= STRETCHES_MAX:
        raise invalid("stretches", len(stretches), _("between 1 and %(max)s stretches") % {"max": STRETCHES_MAX})
    faults, reached = [], None
    for row, stretch in sorted(enumerate(stretches, 1), key=lambda pair: pair[1].start_hour):
        if stretch.cards <= 0:
            faults.append(Problem("cards", str(stretch.cards), _("must be above zero"), row))
        if stretch.end_hour <= stretch.start_hour:
            faults.append(Problem("end", hour_text(stretch.end_hour), _("must be after the start"), row))
        if stretch.start_hour < now_hour:
            faults.append(Problem("start", hour_text(stretch.start_hour), _("lies in the past"), row))
        if stretch.end_hour > now_hour + AHEAD_HOURS_MAX:
            faults.append(Problem("end", hour_text(stretch.end_hour), _("is more than a year ahead"), row))
        if reached is not None and stretch.start_hour < reached:
            faults.append(Problem("start", hour_text(stretch.start_hour), _("overlaps another stretch"), row))
        reached = max(reached or stretch.end_hour, stretch.end_hour)
    if faults:
        raise Invalid(*faults)


def hour_text(hour: int) -> str:
    """An hour as people read it."""
    return clock.local(clock.instant_of(hour)).strftime("%Y-%m-%d %H:%M")


def _check_own(depositor: Party, pool: Pool, stretches: Sequence[Stretch]) -> None:
    """An operator cannot offer more cards of a pool at once than the pool has."""
    if pool.site.operator_id != depositor.pk:
        raise invalid("pool", pool, _("is not yours; to pass on rented hours, resell them from their allocation"))
    earlier = DepositStretch.objects.filter(
        deposit__pool=pool, deposit__state=Deposit.State.OPEN, deposit__resold_from=None
    )
    start, end = min(s.start_hour for s in stretches), max(s.end_hour for s in stretches)
    for row, stretch, offered in _peaks(earlier, stretches, depositing.taken(pool, start, end)):
        if offered + stretch.cards > pool.cards:
            rule = _("the pool has %(all)s cards, of which %(taken)s are offered, booked or out of order then")
            raise invalid("cards", stretch.cards, rule % {"all": pool.cards, "taken": offered}, row)


def _check_resale(depositor: Party, pool: Pool, stretches: Sequence[Stretch], allocation: Allocation) -> None:
    """Rented hours can be resold by their buyer, in their own pool and hours, once, and only if they will be billed."""
    allocation = Allocation.objects.select_for_update(of=("self",)).select_related("request").get(pk=allocation.pk)
    if allocation.request.entity_id != depositor.pk or allocation.state != Allocation.State.PLANNED:
        raise invalid("resold_from", allocation.pk, _("is not an open allocation of yours"))
    if allocation.spending_cap_fen < allocation.payment_fen:
        raise invalid("resold_from", allocation.pk, _("stops at its spending cap: raise the cap first"))
    if allocation.pool_id != pool.pk:
        raise invalid("pool", pool, _("is not the pool in which these hours were rented"))
    runs = list(Run.objects.filter(allocation=allocation, version=allocation.version))
    earlier = DepositStretch.objects.filter(deposit__resold_from=allocation, deposit__state=Deposit.State.OPEN)
    start, end = min(s.start_hour for s in stretches), max(s.end_hour for s in stretches)
    for row, stretch, resold in _peaks(earlier, stretches, np.zeros(end - start, np.int64)):
        if not any(run.start_hour <= stretch.start_hour and stretch.end_hour <= run.end_hour for run in runs):
            raise invalid("start", hour_text(stretch.start_hour), _("lies outside the rented hours"), row)
        if resold + stretch.cards > allocation.request.cards:
            rule = _("only %(all)s cards were rented") % {"all": allocation.request.cards}
            raise invalid("cards", stretch.cards, rule, row)


def _peaks(
    earlier: QuerySet[DepositStretch], stretches: Sequence[Stretch], taken: depositing.Int64
) -> Iterator[tuple[int, Stretch, int]]:
    """(row, stretch, most cards that earlier stretches offer at once during it, or that are taken); one query.

    `taken` is int64[hours] from the first hour of the stretches on.
    """
    start, end = min(s.start_hour for s in stretches), max(s.end_hour for s in stretches)
    offered = taken.copy()
    met = earlier.filter(start_hour__lt=end, end_hour__gt=start)
    for first, last, cards in met.values_list("start_hour", "end_hour", "cards"):
        offered[max(first, start) - start : min(last, end) - start] += cards
    for row, stretch in enumerate(stretches, 1):
        yield row, stretch, int(offered[stretch.start_hour - start : stretch.end_hour - start].max())
