"""The life of a round: opened → frozen → cleared → published → settled.

*Freezing* takes the open requests in, commits to each row and stores the problem, which then stays. *Clearing* runs the
solver in a child process of the worker and stores the result once `verify` found nothing false. *Publishing* is one
transaction: prices, allocations, money kept and released, and the digest of the public statement, which commits to
every row of the request table. Each step is an action under a derived key (`round/7/publish`), so a step that was cut
short is simply asked for again.
"""

from __future__ import annotations

import secrets
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import clock, log, tasks
from huoshui.base.act import Act, action
from huoshui.base.errors import Missing, Refused, invalid
from huoshui.base.models import LogRecord, TaskProgress
from huoshui.clearing import capacity
from huoshui.clearing.capacity import archive
from huoshui.compute import allocate, problems, public
from huoshui.compute.accounts import INDEX_PRICE_FIRST_MFEN
from huoshui.compute.budgets import release_budgets
from huoshui.compute.models import (
    HOURS_PER_ROUND_MAX,
    Deposit,
    Request,
    Round,
    RoundData,
    SlotPrice,
)
from huoshui.compute.permissions import PUBLISH_ROUND, RUN_ROUND
from huoshui.compute.problems import MILLI
from huoshui.registry.queries import publication_in_force

HOURS_PER_ROUND_MIN = 24


@action("compute.round.open")
def open_round(act: Act, *, title: str, start_hour: int, hours: int, terms: str) -> Round:
    """Open a round over [start_hour, start_hour + hours) under the terms in force on its first day.

    Raises Invalid for a horizon that is past, shorter than a day or longer than four weeks.
    """
    act.require(RUN_ROUND)
    if not HOURS_PER_ROUND_MIN <= hours <= HOURS_PER_ROUND_MAX:
        rule = _("between %(min)s and %(max)s") % {"min": HOURS_PER_ROUND_MIN, "max": HOURS_PER_ROUND_MAX}
        raise invalid("hours", hours, rule)
    if start_hour <= clock.hour_of(act.at):
        raise invalid("start", clock.instant_of(start_hour), _("must lie ahead"))
    first_day = clock.local(clock.instant_of(start_hour)).date()
    publication = publication_in_force("round_terms", terms, first_day)
    if publication.loaded().price_step % MILLI:
        raise invalid("terms", terms, _("slot prices of a round are whole fen"))
    last = Round.objects.select_for_update().order_by("-number").first()
    number = last.number + 1 if last else 1
    round_ = Round.objects.create(
        number=number, title=title.strip(), start_hour=start_hour, end_hour=start_hour + hours,
        terms_digest=publication.digest, secret=secrets.token_hex(32), created_at=act.at,
        index_price_mfen=_index_price(publication.loaded()),
    )  # fmt: skip
    act.record(
        round_,
        {
            "number": number, "horizon": [start_hour, start_hour + hours], "terms": publication.digest,
            "index_price_mfen": round_.index_price_mfen,
        },
    )  # fmt: skip
    return round_


def _index_price(terms: Any) -> int:
    """Mean slot price of the last published round, by the rule of the terms (1/1000 fen per card-hour)."""
    if terms.conversion.fixed_index_price_fen is not None:
        return int(terms.conversion.fixed_index_price_fen) * 1000
    last = Round.objects.filter(state__in=[Round.State.PUBLISHED, Round.State.SETTLED]).order_by("-number").first()
    weight = "sold_cards" if terms.conversion.index_rule == "sold_weighted_mean" else "offered_cards"
    amount = cards = 0
    if last is not None:
        for price, count in SlotPrice.objects.filter(round=last).values_list("price_mfen", weight):
            amount, cards = amount + price * count, cards + count
    return amount // cards if cards else INDEX_PRICE_FIRST_MFEN


@action("compute.round.start_clearing")
def start_clearing(act: Act, *, round: Round, options: dict[str, int] | None = None) -> Round:
    """Queue the clearing of a draft round. Raises Refused when one is already under way."""
    from huoshui.compute.tasks import clear_round

    act.require(RUN_ROUND)
    round_ = _locked(round, Round.State.DRAFT)
    if round_.task and TaskProgress.objects.filter(task=round_.task, finished_at=None).exists():
        raise Refused(_("Round %(number)s is being cleared.") % {"number": round_.number}, code="clearing_under_way")
    round_.options = options or {}
    round_.task = tasks.enqueue(clear_round, round_, round_.pk)
    round_.save(update_fields=["options", "task"])
    act.record(round_, {"clearing": str(round_.task), "options": round_.options})
    return round_


@action("compute.round.stop_clearing")
def stop_clearing(act: Act, *, round: Round) -> Round:
    """Ask the running clearing to end with what it has."""
    act.require(RUN_ROUND)
    round_ = _locked(round, Round.State.DRAFT)
    if round_.task is None:
        raise Refused(_("Round %(number)s is not being cleared.") % {"number": round_.number}, code="not_clearing")
    tasks.stop(round_.task)
    act.record(round_, {"stop": str(round_.task)})
    return round_


@action("compute.round.freeze")
def freeze(act: Act, *, round: Round) -> Round:
    """Take in the open requests whose window meets the horizon and store the problem.

    Called by the worker under the key `round/N/freeze`. Raises Missing when nothing is on offer, Refused while another
    round over some of the same hours is frozen and not published: both would sell the same cards.
    """
    act.require(RUN_ROUND)
    others = problems.unpublished(round.start_hour, round.end_hour).select_for_update().order_by("pk")
    rivals = [other for other in others if other.pk != round.pk]
    round_ = _locked(round, Round.State.DRAFT)
    for rival in rivals:
        if rival.data.exists():
            raise Refused(
                _("Round %(number)s over some of these hours waits to be published.") % {"number": rival.number},
                code="round_rival",
            )
    first = max(round_.start_hour, clock.hour_of(act.at) + 1)
    takes = Request.objects.select_for_update().filter(
        state=Request.State.OPEN, earliest_hour__lt=round_.end_hour, deadline_hour__gt=first
    )
    Request.objects.filter(pk__in=list(takes.values_list("pk", flat=True))).update(
        state=Request.State.IN_ROUND, round=round_
    )
    built = problems.build(round_)
    if not built.deposits:
        raise Missing(_("Nothing is on offer in these hours."))
    RoundData.objects.create(round=round_, kind="problem", content=archive.pack(built.problem))
    round_.digests = {
        "terms": round_.terms_digest,
        "problem": built.problem.digest(),
        "commitments_root": public.commitments_root(round_, built.problem),
    }
    round_.figures = {"requests": len(built.requests), "deposits": len(built.deposits)}
    round_.save(update_fields=["digests", "figures"])
    act.record(round_, round_.digests | round_.figures)
    return round_


@action("compute.round.record_result")
def record_result(act: Act, *, round: Round, content: bytes, figures: dict[str, Any]) -> Round:
    """Store a verified result. Called by the worker under the key `round/N/result`."""
    act.require(RUN_ROUND)
    round_ = _locked(round, Round.State.DRAFT)
    result = archive.unpack(capacity.Result, content)
    RoundData.objects.create(round=round_, kind="result", content=content)
    round_.digests |= {"result": result.digest()}
    round_.figures |= figures
    round_.state, round_.cleared_at = Round.State.CLEARED, act.at
    round_.save(update_fields=["digests", "figures", "state", "cleared_at"])
    act.record(round_, {"digests": round_.digests, "figures": round_.figures})
    return round_


@action("compute.round.reopen")
def reopen(act: Act, *, round: Round) -> Round:
    """Put a frozen or cleared round, not yet published, back to draft: its requests wait for a round again."""
    act.require(RUN_ROUND)
    round_ = _locked(round, Round.State.DRAFT, Round.State.CLEARED)
    if round_.task:
        tasks.stop(round_.task)
    Request.objects.filter(round=round_, state=Request.State.IN_ROUND).update(state=Request.State.OPEN, round=None)
    round_.state = Round.State.CANCELLED
    round_.save(update_fields=["state"])
    act.record(round_, {"cancelled": True})
    return round_


@action("compute.round.publish")
def publish(act: Act, *, round: Round) -> Round:
    """Publish a cleared round: prices, allocations, what each request pays at most; the rest of the holds comes back.

    One transaction. Raises Refused when the round is not cleared, its hours have begun, or cards it sells are gone.
    """
    act.require(PUBLISH_ROUND)
    round_ = _locked(round, Round.State.CLEARED)
    if round_.start_hour <= clock.hour_of(act.at):
        raise Refused(_("The round's hours have begun; cancel it and clear the rest."), code="round_begun")
    built, result = load(round_)
    _still_offered(round_, built, result)
    round_.digests |= {"statement": public.statement_digest(round_, built.problem, result)}
    record = act.record(round_, {"digests": round_.digests, "figures": round_.figures})
    SlotPrice.objects.bulk_create(allocate.slot_prices(round_, built, result), batch_size=1000)
    served = allocate.allocations(round_, built, result)
    allocate.save(act, record, round_, built, served)
    _refuse(act, record, round_, built, result)
    round_.state, round_.published_at, round_.record = Round.State.PUBLISHED, act.at, record
    round_.save(update_fields=["state", "published_at", "record", "digests"])
    return round_


@action("compute.round.settle")
def settle(act: Act, *, round: Round) -> Round:
    """Close a round in which every allocation is finished, displaced or cancelled."""
    act.require(PUBLISH_ROUND)
    round_ = _locked(round, Round.State.PUBLISHED)
    waiting = round_.allocations.filter(state="planned").count()
    if waiting:
        raise Refused(
            _("%(count)s allocations of this round are not finished.") % {"count": waiting}, code="round_unfinished"
        )
    round_.state, round_.settled_at = Round.State.SETTLED, act.at
    round_.save(update_fields=["state", "settled_at"])
    act.record(round_, {"settled": True})
    return round_


def solver_settings(round_: Round) -> dict[str, int]:
    """What the solver and the figures need to know of the round terms, with the options of the round on top."""
    terms = problems.terms_of(round_)
    return {
        "reserved_share_bps": terms.reserved_share_bps,
        "price_step": terms.price_step,
        "fee_bps": terms.fee_bps,
        "concession_bps": terms.concession_bps,
    } | round_.options


def problem_bytes(round_: Round) -> bytes:
    """The stored problem, as bytes."""
    return bytes(round_.data.get(kind="problem").content)


def load(round_: Round) -> tuple[problems.Built, capacity.Result]:
    """The stored problem and result of a round with the rows that their indices stand for. Checks both digests."""
    problem, result = public.stored(round_)
    return problems.restore(problem), result


def _locked(round_: Round, *states: str) -> Round:
    """The round, locked, in one of the states; Refused otherwise."""
    found = Round.objects.select_for_update().get(pk=round_.pk)
    if found.state not in states:
        raise Refused(
            _("Round %(number)s is %(state)s.") % {"number": found.number, "state": found.get_state_display()},
            code="round_state",
        )
    return found


def _still_offered(round_: Round, built: problems.Built, result: capacity.Result) -> None:
    """Raise Refused when a deposit no longer has what it sells: withdrawn or recalled since the round was frozen.

    The deposits are locked by id, so that a recall waits for the publication or is seen by it.
    """
    sold = {deposit.pk: row for deposit, row in zip(built.deposits, result.deposit_sold, strict=True) if row.any()}
    held = list(Deposit.objects.select_for_update().filter(pk__in=sold, state=Deposit.State.OPEN).order_by("pk"))
    free = problems.free_cards(held, round_.start_hour, round_.end_hour)
    kept = {deposit.pk for deposit, cards in zip(held, free, strict=True) if (sold[deposit.pk] <= cards).all()}
    gone = [deposit.number for deposit in built.deposits if deposit.pk in sold.keys() - kept]
    if gone:
        raise Refused(
            _("Cards of %(deposits)s are no longer there; cancel the round and clear again.")
            % {"deposits": ", ".join(gone[:10])},
            code="offers_gone", deposits=gone,
        )  # fmt: skip


def _refuse(act: Act, record: LogRecord, round_: Round, built: problems.Built, result: capacity.Result) -> None:
    """Give every refused request its reason; its hold comes back unless it tries again in the next round."""
    refused = []
    for index, request in enumerate(built.requests):
        if result.served[index]:
            continue
        code = capacity.Refusal(int(result.refusal[index]))
        request.refusal = {
            "code": code.name.lower(), "params": [int(value) for value in result.refusal_params[index]],
            "round": round_.number,
        }  # fmt: skip
        again = request.carry_over and request.deadline_hour > round_.end_hour
        request.state = Request.State.OPEN if again else Request.State.REFUSED
        request.round = None if again else round_
        refused.append(request)
    release_budgets(act, record, [request for request in refused if request.state == Request.State.REFUSED])
    Request.objects.bulk_update(refused, ["refusal", "state", "round"], batch_size=500)


def checkpoint_log() -> dict[str, Any]:
    """A root of the log that the public may keep (called after publishing, outside its transaction)."""
    point = log.checkpoint()
    return {"size": point.size, "root": point.root}
