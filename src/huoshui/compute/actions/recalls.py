"""Cards taken back or lost 撤回与故障: what was not sold just goes; for what was sold the round is rescheduled.

One transaction: the recall, the new schedules, the money. The buyer never pays more than before; who is displaced gets
the commitment back, a compensation by length of notice, and goes first in the next round. Cards that a displaced or
moved buyer had resold are taken back with the hours that it lost.
"""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.book import services
from huoshui.compute import allocating, problems, schedules, settle
from huoshui.compute.actions import rounds
from huoshui.compute.actions.allocations import notice_hours
from huoshui.compute.actions.delivery import compensate, release_commitment
from huoshui.compute.actions.deposits import hour_text
from huoshui.compute.allocate import stretches
from huoshui.compute.budgets import payer_of, subject_of
from huoshui.compute.models import Allocation, Deposit, DepositStretch, Move, Recall, Request, Round
from huoshui.compute.permissions import RECALL
from huoshui.compute.problems import terms_of
from huoshui.compute.reschedules import Change, Lost, changes
from huoshui.terms.rounding import floor_share

STEPS_MAX = 1_000
"""Recalls that one recall may bring about through resold cards."""


@action("compute.deposit.recall")
def recall_cards(
    act: Act, *, deposit: Deposit, start_hour: int, end_hour: int, cards: int, reason: str = Recall.Reason.RECALL
) -> Recall:
    """Take `cards` of a deposit back over [start_hour, end_hour), or report that they failed.

    A recall of sold cards keeps the deposit's notice; a failure needs none. The new schedule begins with the next whole
    hour: what fails before that is missing from delivery. Raises Invalid for hours or cards that are not on offer,
    Refused(code="recall_notice") when sold cards are recalled too late.
    """
    act.require(RECALL, deposit)
    if reason not in Recall.Reason.values:
        raise invalid("reason", reason, _("one of: %(all)s") % {"all": ", ".join(Recall.Reason.values)})
    locked = list(
        Round.objects.select_for_update()
        .filter(state__in=[Round.State.CLEARED, Round.State.PUBLISHED])
        .filter(start_hour__lt=end_hour, end_hour__gt=start_hour)
        .order_by("id")
    )
    deposit = Deposit.objects.select_for_update().get(pk=deposit.pk)
    lost = Lost(deposit.pk, start_hour, end_hour, cards)
    _check(act, deposit, lost, reason)
    first, waiting = None, [lost]
    for _step in range(STEPS_MAX):
        if not waiting:
            break
        recall, more = _take(act, waiting.pop(0), reason, locked)
        first, waiting = first or recall, waiting + more
    assert first is not None
    if waiting:
        raise Refused(_("Too many resold cards hang on these hours; recall them in parts."), code="recall_too_wide")
    return first


def _check(act: Act, deposit: Deposit, lost: Lost, reason: str) -> None:
    now = clock.hour_of(act.at)
    earliest = now if reason == Recall.Reason.FAILURE else now + 1
    if lost.start_hour < earliest:
        raise invalid("start", hour_text(lost.start_hour), _("lies in the past"))
    if lost.end_hour <= lost.start_hour:
        raise invalid("end", hour_text(lost.end_hour), _("must be after the start"))
    there = offered_least(deposit, lost.start_hour, lost.end_hour)
    if not 0 < lost.cards <= there:
        raise invalid(
            "cards", lost.cards, _("between 1 and the %(there)s offered in all these hours") % {"there": there}
        )
    free = int(problems.free_cards([deposit], lost.start_hour, lost.end_hour).min())
    late = notice_hours(act, lost.start_hour) < deposit.recall_notice_hours
    if reason == Recall.Reason.RECALL and late and lost.cards > free:
        raise Refused(
            _("Cards that are sold are recalled with %(hours)s hours of notice; %(free)s cards are not sold.")
            % {"hours": deposit.recall_notice_hours, "free": free},
            code="recall_notice",
        )


def offered_least(deposit: Deposit, start_hour: int, end_hour: int) -> int:
    """Fewest cards of a deposit that are offered and not recalled in any hour of a stretch."""
    cards = problems.free_cards([deposit], start_hour, end_hour, problems.live_shares().none())
    return int(cards.min()) if cards.size else 0


def _take(act: Act, lost: Lost, reason: str, locked: list[Round]) -> tuple[Recall, list[Lost]]:
    """Write one recall and reschedule the rounds that it touches; returns what more is lost through resold cards."""
    deposit = Deposit.objects.get(pk=lost.deposit)
    facts = {"from": lost.start_hour, "to": lost.end_hour, "cards": lost.cards, "reason": reason}
    record = act.record(deposit, facts)
    recall = Recall.objects.create(
        deposit=deposit, start_hour=lost.start_hour, end_hour=lost.end_hour, cards=lost.cards, reason=reason,
        notice_hours=notice_hours(act, lost.start_hour), reported_at=act.at, record=record,
    )  # fmt: skip
    now, more = clock.hour_of(act.at) + 1, list[Lost]()
    for round_ in locked:
        if not _sold_there(round_, lost):
            continue
        list(Allocation.objects.select_for_update().filter(round=round_).order_by("id").values_list("pk", flat=True))
        built, result = rounds.load(round_)
        for change in changes(round_, built, result, lost, now):
            before = {cell.hour for cell in schedules.cells_of(change.allocation)}
            _apply(act, recall, change, now)
            if change.moved or change.displaced:
                after = {cell.hour for cell in change.cells}
                more += _resold(change.allocation, {hour for hour in before - after if hour >= now})
    return recall, more


def _sold_there(round_: Round, lost: Lost) -> bool:
    shares = problems.live_shares().filter(allocation__round=round_, deposit=lost.deposit)
    return shares.filter(start_hour__lt=lost.end_hour, end_hour__gt=lost.start_hour).exists()


def _resold(allocation: Allocation, hours: set[int]) -> Iterator[Lost]:
    """Cards that the buyer of lost hours still offers in them."""
    for stretch in DepositStretch.objects.filter(
        deposit__resold_from=allocation, deposit__state=Deposit.State.OPEN
    ).select_related("deposit"):
        inside = {hour: 1 for hour in hours if stretch.start_hour <= hour < stretch.end_hour}
        for start, end, _one in stretches(inside):
            if cards := offered_least(stretch.deposit, start, end):
                yield Lost(stretch.deposit_id, start, end, cards)


def _apply(act: Act, recall: Recall, change: Change, now: int) -> None:
    """Write what a reschedule does to one allocation."""
    allocation, from_version = change.allocation, change.allocation.version
    outcome = Move.Outcome.DISPLACED if change.displaced else Move.Outcome.MOVED
    compensation = 0
    if change.displaced:
        compensation = _displace(act, recall, allocation, now)
    else:
        outcome = outcome if change.moved else Move.Outcome.SUPPLIED
        _move(recall, change, now)
    cells = schedules.cells_of(allocation) if allocation.state == Allocation.State.PLANNED else []
    Move.objects.create(
        allocation=allocation, recall=recall, outcome=outcome, from_version=from_version, record=recall.record,
        price_difference_fen=_difference(allocation, cells), compensation_fen=compensation,
    )  # fmt: skip
    allocating.tell(act, recall.record, [allocation])


def _difference(allocation: Allocation, cells: list[settle.Cell]) -> int:
    """By how much more than agreed the schedule costs now, less what earlier moves said."""
    known = sum(allocation.moves.values_list("price_difference_fen", flat=True))
    if not cells:
        return 0
    cost = schedules.cap_of(allocation).cost(settle.gross_micro(cells) // settle.MICRO)
    return max(cost - allocation.payment_fen, 0) - known


def _move(recall: Recall, change: Change, now: int) -> None:
    """A new version: the past as it was, the future as rescheduled."""
    allocation = change.allocation
    runs = list(schedules.runs_of(allocation))
    past = [cell for cell in schedules.cells_of(allocation) if cell.hour < now]
    kept = [*schedules.before(runs, now), *change.runs] if change.moved else [schedules.stretch_of(run) for run in runs]
    if change.moved:
        allocation.pool_id = change.runs[0].pool
        allocation.transfer_fen += change.extra_transfer_fen
        allocation.save(update_fields=["pool", "transfer_fen"])
    schedules.rewrite(recall.record, allocation, kept, [*past, *change.cells])


def _displace(act: Act, recall: Recall, allocation: Allocation, now: int) -> int:
    """No place was found. Returns the compensation (fen) that the recalling depositor owes.

    What has not begun is over. Of what has begun the hours run stay: in pieces they are paid as delivered, of an
    unbroken run they are lost to the buyer, who pays nothing.
    """
    request, price, terms = allocation.request, allocation.payment_fen, terms_of(allocation.round)
    past = [cell for cell in schedules.cells_of(allocation) if cell.hour < now]
    request.state = Request.State.DISPLACED
    request.save(update_fields=["state"])
    if not past:
        allocation.state = Allocation.State.DISPLACED
        allocation.save(update_fields=["state"])
        release_commitment(act, recall.record, request)
    else:
        paid = schedules.cap_of(allocation).bill(settle.gross_micro(past) // settle.MICRO)
        allocation.payment_fen = 0 if request.mode == Request.Mode.RIGID else min(price, paid)
        allocation.spending_cap_fen = min(allocation.spending_cap_fen, allocation.payment_fen)
        allocation.save(update_fields=["payment_fen", "spending_cap_fen"])
        schedules.cut(recall.record, allocation, now)
        back = price - allocation.payment_fen
        services.release_commitment(act, recall.record, payer_of(request), subject_of(request), back)
    lost = price - (allocation.payment_fen if past else 0)
    amount = floor_share(lost, terms.displacement_bps.bps(recall.notice_hours))
    if recall.deposit.depositor_id == request.entity_id:
        return 0
    compensate(act, recall.record, allocation, recall.deposit.depositor, settle.DISPLACEMENT, amount, terms)
    return amount
