"""What an entity may still decide about cards it was given: a lower spending cap, an early end, cancellation."""

import numpy as np
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.book import services
from huoshui.book.models import Statement
from huoshui.compute import allocating, problems, schedules, settle
from huoshui.compute.actions.delivery import issue, lock, statement_of
from huoshui.compute.actions.deposits import hour_text
from huoshui.compute.models import Allocation, Deposit, Request
from huoshui.compute.permissions import REQUEST
from huoshui.compute.problems import terms_of
from huoshui.terms.rounding import floor_share


@action("compute.allocation.cap")
def set_spending_cap(act: Act, *, allocation: Allocation, cap_fen: int) -> Allocation:
    """Set the amount at which work stops: at most what the allocation pays, at least what can no longer stop.

    Raises Invalid outside these bounds.
    """
    allocation = lock(allocation)
    act.require(REQUEST, allocation.request)
    begun = begun_fen(allocation, clock.hour_of(act.at))
    if not begun <= cap_fen <= allocation.payment_fen:
        rule = _("between %(begun)s yuan, for the hours begun, and %(most)s yuan") % {
            "begun": services.show(begun, services.CNY), "most": services.show(allocation.payment_fen, services.CNY),
        }  # fmt: skip
        raise invalid("cap", services.show(cap_fen, services.CNY), rule)
    if cap_fen == allocation.spending_cap_fen:
        act.nothing_changed()
        return allocation
    allocation.spending_cap_fen = cap_fen
    allocation.save(update_fields=["spending_cap_fen"])
    allocating.tell(act, act.record(allocation, {"spending_cap_fen": cap_fen}), [allocation])
    return allocation


def begun_fen(allocation: Allocation, hour: int) -> int:
    """What can no longer stop costs in full, in fen: hours up to and including `hour` or the last one offered again.

    Else a reseller could be paid for hours that its own cap keeps from being billed.
    """
    last = max([hour, *offered_again(allocation)])
    gross = settle.gross_micro(cell for cell in schedules.cells_of(allocation) if cell.hour <= last)
    return min(schedules.cap_of(allocation).bill(gross // settle.MICRO) if gross else 0, allocation.payment_fen)


def stops_at(allocation: Allocation) -> int | None:
    """The hour at which work stops under the cap if what is not reported yet runs in full; None: it does not stop."""
    cells = schedules.cells_of(allocation)
    full = {hour: sum(cell.cards for cell in row) * settle.MILLI for hour, row in settle.by_hour(cells).items()}
    delivered = schedules.delivered_of(allocation)
    known = settle.spread_over_hours(schedules.reports_of(allocation))
    expected = full | {hour: delivered[hour] for hour in known}
    return settle.meter(cells, expected, schedules.cap_of(allocation)).stopped_at


@action("compute.allocation.finish_early")
def finish_early(act: Act, *, allocation: Allocation, hour: int) -> Allocation:
    """The job ends before `hour`: what lies beyond the published notice is freed, can be sold again, is not paid.

    Whole hours from `hour` + notice on are freed. Raises Invalid for an hour in the past, Refused when nothing would
    be freed, when no hour would be left (cancel instead), or when freed hours were resold.
    """
    allocation = lock(allocation)
    act.require(REQUEST, allocation.request)
    if hour <= clock.hour_of(act.at):
        raise invalid("hour", hour_text(hour), _("lies in the past"))
    freed_from = hour + terms_of(allocation.round).early_finish_notice_hours
    runs = list(schedules.runs_of(allocation))
    if freed_from >= runs[-1].end_hour:
        raise Refused(_("With the notice no whole hour is left to free."), code="nothing_freed")
    if freed_from <= runs[0].start_hour:
        raise Refused(_("Nothing has run and nothing would; cancel the allocation instead."), code="cancel_instead")
    _refuse_resold(allocation, freed_from)
    record = act.record(allocation, {"ends": hour, "freed_from": freed_from})
    schedules.cut(record, allocation, freed_from)
    allocation.finished_hour = freed_from
    allocation.save(update_fields=["finished_hour"])
    allocating.tell(act, record, [allocation])
    return allocation


@action("compute.allocation.cancel")
def cancel_allocation(act: Act, *, allocation: Allocation) -> Statement | None:
    """Cancel before the start. A share of the price comes back by hours of notice; the rest goes to the depositors.

    No transfer is paid, as nothing ran, and no fee is taken. Returns the statement of what is still owed, None when
    all comes back. Raises Refused once the first hour has begun, or when hours were resold.
    """
    allocation = lock(allocation, Allocation.State.PLANNED, Allocation.State.CANCELLED)
    act.require(REQUEST, allocation.request)
    if allocation.state == Allocation.State.CANCELLED:
        act.nothing_changed()
        return statement_of(allocation)
    terms, cells = terms_of(allocation.round), schedules.cells_of(allocation)
    first = cells[0].hour
    notice = notice_hours(act, first)
    if notice < 0:
        raise Refused(_("The first hour has begun; finish early instead."), code="allocation_begun")
    _refuse_resold(allocation, first)
    kept = allocation.payment_fen - allocation.transfer_fen
    kept -= floor_share(kept, terms.cancellation_return_bps.bps(notice))
    record = act.record(allocation, {"cancelled": True, "notice_hours": notice, "kept_fen": kept})
    allocation.state = Allocation.State.CANCELLED
    allocation.save(update_fields=["state"])
    request = allocation.request
    request.state = Request.State.WITHDRAWN
    request.save(update_fields=["state"])
    allocating.tell(act, record, [allocation])
    parties = schedules.parties_of(allocation, {cell.deposit for cell in cells})
    lines = settle.kept_lines(kept, cells, parties, terms) if kept else []
    return issue(act, record, allocation, lines, terms)


def notice_hours(act: Act, hour: int) -> int:
    """Whole hours from now to the beginning of an hour; below zero once it has begun."""
    return int((clock.instant_of(hour) - act.at).total_seconds() // 3600)


def offered_again(allocation: Allocation) -> list[int]:
    """Hours of which the entity offers cards again, bought or not, in order."""
    resales = list(Deposit.objects.filter(resold_from=allocation, state=Deposit.State.OPEN))
    if not resales:
        return []
    start, end = schedules.runs_of(allocation)[0].start_hour, schedules.ends_at(allocation)
    cards = problems.free_cards(resales, start, end, problems.live_shares().none())
    return [start + int(offset) for offset in np.flatnonzero(cards.sum(axis=0))]


def _refuse_resold(allocation: Allocation, from_hour: int) -> None:
    if any(hour >= from_hour for hour in offered_again(allocation)):
        raise Refused(
            _("Cards of these hours are offered again: withdraw that deposit or recall them first."),
            code="hours_resold",
        )
