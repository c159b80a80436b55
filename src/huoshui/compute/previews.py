"""What people see before they sign: what a request may cost, what it may lose, what cancelling returns.

Everything here is told from published terms and published prices and changes nothing. What is not known is None,
never zero: no list price when no pool suits, no subsidy when no desk answers for subsidies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huoshui.base import clock
from huoshui.book import services, subsidies
from huoshui.book.models import Kind
from huoshui.compute import accounts, queries, quotes
from huoshui.compute.models import Allocation, CardModel, Region, Request
from huoshui.compute.problems import terms_of
from huoshui.compute.schedules import runs_of
from huoshui.registry.models import Party
from huoshui.registry.queries import centre
from huoshui.terms.round_terms import NoticeSteps
from huoshui.terms.rounding import floor_share


@dataclass(frozen=True)
class Step:
    """Cancelling with at least `notice_hours` of notice: the share that comes back, and in fen what does and not."""

    notice_hours: int
    returned_bps: int
    returned_fen: int
    lost_fen: int
    current: bool = False


@dataclass(frozen=True)
class Preview:
    """Before signing, all in fen. `low_fen` and `high_fen`: at the prices of the last published round, no offer."""

    list_price_fen: int | None
    low_fen: int | None
    high_fen: int | None
    priced_in: int | None
    concession_bps: int | None
    concession_fen: int | None
    transfer_low_fen: int | None
    transfer_high_fen: int | None
    expected_subsidy_fen: int | None
    pays_at_most_fen: int
    cancellation: list[Step]
    early_finish_notice_hours: int | None
    free_fen: int
    standard_milli: int | None
    standard_free_milli: int | None

    @property
    def covered(self) -> bool:
        """Whether the limit, or the compute account, covers what will be held."""
        if self.standard_milli is None:
            return self.free_fen >= self.pays_at_most_fen
        return (self.standard_free_milli or 0) >= self.standard_milli


def preview(
    *, entity: Party, cards: int, hours: Mapping[CardModel, int], origin: Region, regions: Sequence[Region],
    budget_fen: int, pay_with: str,
) -> Preview:  # fmt: skip
    """What the entity sees before it signs a request."""
    terms = queries.terms_in_force()
    quote = quotes.quote(cards, hours, regions)
    ways = [way.cost_fen for region in regions if terms and (way := terms.transfer(origin.code, region.code))]
    from_account = pay_with == Request.PayWith.ACCOUNT
    return Preview(
        list_price_fen=queries.list_price(cards, hours, regions),
        low_fen=quote.low_fen,
        high_fen=quote.high_fen,
        priced_in=quote.round,
        concession_bps=terms.concession_bps if terms else None,
        concession_fen=floor_share(quote.high_fen, terms.concession_bps) if terms and quote.high_fen else None,
        transfer_low_fen=min(ways, default=None),
        transfer_high_fen=max(ways, default=None),
        expected_subsidy_fen=subsidies.expected(entity, budget_fen),
        pays_at_most_fen=budget_fen,
        cancellation=steps(terms.cancellation_return_bps, budget_fen) if terms else [],
        early_finish_notice_hours=terms.early_finish_notice_hours if terms else None,
        free_fen=services.balances(centre() if from_account else entity)[Kind.LIMIT],
        standard_milli=accounts.standard_of_fen(budget_fen, accounts.index_price()) if from_account else None,
        standard_free_milli=accounts.available(entity, clock.today()) if from_account else None,
    )


def steps(returned: NoticeSteps, amount_fen: int, transfer_fen: int = 0, notice_hours: int | None = None) -> list[Step]:
    """What cancelling returns of an amount, by length of notice. The transfer comes back whole: nothing was moved.

    `notice_hours`: the notice that there would be now; its step is the current one.
    """
    rows = []
    share = amount_fen - transfer_fen
    now = returned.hours.index(max(h for h in returned.hours if h <= notice_hours)) if notice_hours is not None else -1
    for index, (hours, bps) in enumerate(zip(returned.hours, returned.values_bps, strict=True)):
        lost = share - floor_share(share, bps)
        rows.append(Step(hours, bps, amount_fen - lost, lost, index == now))
    return rows


def cancellation(allocation: Allocation) -> list[Step]:
    """What cancelling an allocation returns, with the step that holds now; empty once the first hour has begun."""
    first = runs_of(allocation)[0].start_hour
    notice = (clock.instant_of(first) - clock.now()) // clock.HOUR
    if notice < 0:
        return []
    return steps(
        terms_of(allocation.round).cancellation_return_bps, allocation.payment_fen, allocation.transfer_fen, notice
    )
