"""Are the compute accounts covered? Firm future capacity over outstanding balances, and how much of it is sold.

The *reserve ratio* is what depositors have firmly offered for the future and nobody has bought, in standard card-hours,
over what the centre owes on compute accounts, in basis points. Card-hours count as standard card-hours at the pool's
mean slot price of the last round that priced it (the deposit's base price before there is one) over the index price.
Below the floor of the round terms no new credit is given. Without balances there is no ratio: that is no data, not
zero, and covers everything.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from django.db.models import Count, Max, Sum
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Missing, Refused
from huoshui.compute import accounts
from huoshui.compute.models import Deposit, DepositStretch, Recall, Round, SlotPrice
from huoshui.compute.problems import live_shares
from huoshui.registry.models import Publication
from huoshui.registry.queries import publication_in_force, publications_in_force
from huoshui.terms.round_terms import RoundTerms
from huoshui.terms.rounding import BPS

AHEAD_HOURS_MAX = 24 * 366
"""No deposit reaches further (`deposits.AHEAD_HOURS_MAX`)."""


@dataclass(frozen=True)
class OverSubscription:
    """Committed over offered card-hours of future hours, in basis points: the worst hour and all hours together."""

    max_bps: int
    mean_bps: int


def current_terms() -> RoundTerms:
    """The round terms in force today: those of the newest round or what succeeded them, else any. Raises Missing."""
    newest = Round.objects.exclude(state=Round.State.CANCELLED).order_by("-number").first()
    if newest is not None:
        used = Publication.objects.get(kind="round_terms", digest=newest.terms_digest)
        found: RoundTerms = publication_in_force("round_terms", used.identifier).loaded()
        return found
    publication = publications_in_force("round_terms").last()
    if publication is None:
        raise Missing(_("No round terms are in force."))
    terms: RoundTerms = publication.loaded()
    return terms


def firm_capacity() -> int:
    """Milli standard card-hours of future hours that are offered, not recalled and not sold."""
    now = clock.hour_of(clock.now()) + 1
    free: dict[int, int] = defaultdict(int)
    for sign, queryset in ((1, DepositStretch.objects), (-1, Recall.objects), (-1, live_shares())):
        for deposit, start, end, cards in queryset.filter(end_hour__gt=now).values_list(
            "deposit_id", "start_hour", "end_hour", "cards"
        ):
            free[deposit] += sign * cards * (end - max(start, now))
    worth: dict[int, int] = defaultdict(int)
    prices = pool_prices()
    deposits = Deposit.objects.filter(state=Deposit.State.OPEN, pk__in=free)
    for pk, pool, base_fen in deposits.values_list("pk", "pool_id", "base_price_fen"):
        worth[pk] = max(free[pk], 0) * prices.get(pool, base_fen * accounts.MILLI)
    return sum(worth.values()) * accounts.MILLI // accounts.index_price()


def pool_prices() -> dict[int, int]:
    """Mean slot price (1/1000 fen per card-hour) of each pool in the last published round that priced it."""
    last = dict(SlotPrice.objects.values_list("pool").annotate(last=Max("round__number")).order_by())
    rows = SlotPrice.objects.filter(round__number__in=set(last.values())).values_list("pool", "round__number")
    sums = rows.annotate(total=Sum("price_mfen"), hours=Count("id")).order_by()
    return {pool: total // hours for pool, number, total, hours in sums if number == last[pool]}


def ratio_bps() -> int | None:
    """Firm future capacity over outstanding balances, in basis points; None when there are no balances."""
    owed = accounts.outstanding()
    return firm_capacity() * BPS // owed if owed else None


def is_open(terms: RoundTerms) -> bool:
    """Whether the ratio allows new credit."""
    ratio = ratio_bps()
    return ratio is None or ratio >= terms.reserve_ratio_floor_bps


def require_open() -> None:
    """Raises Refused(code="reserve_floor") when the ratio is below the floor of the terms in force."""
    terms = current_terms()
    if not is_open(terms):
        raise Refused(
            _("The compute accounts are covered to %(ratio)s %%, below the floor of %(floor)s %%: no new credit now.")
            % {"ratio": (ratio_bps() or 0) // 100, "floor": terms.reserve_ratio_floor_bps // 100},
            code="reserve_floor",
        )


def over_subscription() -> OverSubscription | None:
    """Committed over offered card-hours of all future hours; None when nothing is offered.

    Cards recalled are no longer offered, so cards sold and then recalled show as more than 100 % until re-placed.
    """
    now = clock.hour_of(clock.now()) + 1
    offered, committed = (np.zeros(AHEAD_HOURS_MAX + 1, np.int64) for _side in range(2))
    sides = (
        (offered, 1, DepositStretch.objects.filter(deposit__state=Deposit.State.OPEN)),
        (offered, -1, Recall.objects.filter(deposit__state=Deposit.State.OPEN)),
        (committed, 1, live_shares()),
    )
    for column, sign, queryset in sides:
        rows = list(queryset.filter(end_hour__gt=now).values_list("start_hour", "end_hour", "cards"))
        if rows:
            table = np.array(rows, np.int64)
            first, last = (np.clip(table[:, side] - now, 0, AHEAD_HOURS_MAX) for side in (0, 1))
            np.add.at(column, first, sign * table[:, 2])
            np.add.at(column, last, -sign * table[:, 2])
    offered, committed = offered.cumsum(), committed.cumsum()
    there = offered > 0
    if not there.any():
        return None
    worst = int((committed[there] * BPS // offered[there]).max())
    return OverSubscription(worst, int(committed.sum() * BPS // offered[there].sum()))
