"""Benefits paid without an application (免申即享): proposed out of a run, confirmed by a second person, checked again.

Nothing is decided on what a run found days ago: every row is evaluated anew on the facts of the moment, under the text
that the batch was proposed with, and the decision is stored. What was confirmed is what is paid, so a row whose amount
has changed falls out too and may stand in the next batch. Rows are done in small steps, each a transaction of its own:
a worker that dies goes on where it stopped.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock, tasks
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Missing, Refused
from huoshui.policy import matching, reach
from huoshui.policy.actions.applications import record_event
from huoshui.policy.models import Application, ApplicationEvent, Batch, BatchRow, MatchRun
from huoshui.policy.permissions import OUTREACH
from huoshui.registry.models import FactSource, Party, Publication
from huoshui.rules import Explanation, Stage, Verdict

BATCH_ROWS_MAX = 2_000
ROWS_PER_STEP = 50
KIND = "grant"
DECIDED = "policy.batch"
Why = BatchRow.Why
_WHY = {Verdict.UNMET: Why.UNMET, Verdict.UNKNOWN: Why.UNKNOWN, Verdict.MANUAL: Why.MANUAL, Verdict.NA: Why.NA}


@action("policy.batch.propose")
def propose(act: Act, *, run: MatchRun, pack: str) -> Batch:
    """Propose everybody who qualifies in a run and was not paid this year; at most BATCH_ROWS_MAX, the rest later.

    Raises Refused: the pack wants an application, is a draft or pays no grant; the run is not the last; nobody is left.
    """
    act.require(OUTREACH)
    text, publication = reach.pack_of(run, pack)
    if not text.no_application or text.benefit is None or text.benefit.kind != KIND or matching.is_draft(text):
        raise Refused(_("This rule pack does not pay without an application."), code="needs_application")
    if run != reach.latest():
        raise Refused(_("There is a later run: propose out of that one."), code="run_replaced")
    Publication.objects.select_for_update().get(pk=publication.pk)  # of two who propose at once the second finds nobody
    who = reach.batchable(run, pack, BATCH_ROWS_MAX)
    if not len(who):
        raise Refused(_("Nobody is left who qualifies and was not paid or proposed."), code="nobody_left")
    period = reach.period_of(run.on)
    named = {"run": run, "pack": pack, "digest": publication.digest, "period": period}
    record = act.record(publication, named | {"rows": len(who), "amount_fen": int(who["amount_fen"].sum())})
    batch = Batch.objects.create(
        run=run, publication=publication, pack=pack, period=period, proposed_by=act.actor.principal,
        proposed_at=act.at, record=record,
    )  # fmt: skip
    BatchRow.objects.bulk_create(
        BatchRow(batch=batch, party_id=party, pack=pack, period=period, amount_fen=amount)
        for party, amount in who.iter_rows()
    )
    return batch


def _locked(batch: Batch, *states: str) -> Batch:
    found = Batch.objects.select_for_update(of=("self",)).select_related("publication").get(pk=batch.pk)
    if found.state not in states:
        raise Refused(
            _("The batch is already: %(state)s") % {"state": found.get_state_display()}, code="batch_state"
        )
    return found


@action("policy.batch.discard")
def discard(act: Act, *, batch: Batch) -> Batch:
    """Take a proposal back; its entities may stand in another."""
    act.require(OUTREACH)
    batch = _locked(batch, Batch.State.PROPOSED)
    batch.state, batch.discarded_at = Batch.State.DISCARDED, act.at
    batch.save(update_fields=["state", "discarded_at"])
    batch.rows.update(state=BatchRow.State.DROPPED, why=Why.DISCARDED)
    act.record(batch, {"state": batch.state})
    return batch


@action("policy.batch.confirm")
def confirm(act: Act, *, batch: Batch) -> Batch:
    """A second person confirms; the rows are checked again in the background. Raises Refused."""
    from huoshui.policy.tasks import check_batch

    act.require(OUTREACH)
    batch = _locked(batch, Batch.State.PROPOSED)
    if batch.proposed_by == act.actor.principal:
        raise Refused(_("Who proposed a batch cannot confirm it."), code="second_person")
    batch.state, batch.confirmed_by, batch.confirmed_at = Batch.State.CONFIRMED, act.actor.principal, act.at
    batch.task = tasks.enqueue(check_batch, batch, batch.pk)
    batch.save(update_fields=["state", "confirmed_by", "confirmed_at", "task"])
    rows = list(batch.rows.order_by("party").values_list("party", "amount_fen"))
    act.record(batch, {"state": batch.state, "rows": len(rows), "content": canonical.digest(rows)})
    return batch


def check_all(actor: Actor, batch: Batch) -> Iterator[int]:
    """Check the rows of a confirmed batch step by step; yields how many are done. Repeating it does nothing twice."""
    done = batch.rows.exclude(state=BatchRow.State.PROPOSED).count()
    while keys := list(
        batch.rows.filter(state=BatchRow.State.PROPOSED).order_by("id").values_list("pk", flat=True)[:ROWS_PER_STEP]
    ):
        check_rows(actor, batch=batch, rows=keys)
        done += len(keys)
        yield done
    finish(actor, batch=batch)


@action("policy.batch.check")
def check_rows(act: Act, *, batch: Batch, rows: Sequence[int]) -> None:
    """Evaluate some rows on the facts of now: each becomes an approved application, or falls out and says why."""
    act.require(OUTREACH)
    batch = _locked(batch, Batch.State.CONFIRMED, Batch.State.DONE)  # another worker may have been faster
    waiting = list(
        batch.rows.select_for_update(of=("self",)).select_related("party")
        .filter(pk__in=rows, state=BatchRow.State.PROPOSED).order_by("id")
    )  # fmt: skip
    if not waiting:
        act.nothing_changed()
    for row in waiting:
        _check(act, batch, row)


def _check(act: Act, batch: Batch, row: BatchRow) -> None:
    # An application of the same entity waits here until this row is done.
    Party.objects.select_for_update().get(pk=row.party_id)
    explanation, why = _judged(batch, row)
    row.now_fen = explanation.amount_fen if explanation else None
    if why:
        row.state, row.why, row.criterion = BatchRow.State.DROPPED, why, _against(explanation)
        act.record(batch, {"party": row.party, "fell_out": row.why, "criterion": row.criterion})
    else:
        row.state, row.application = BatchRow.State.CONFIRMED, _approved(act, batch, row)
    row.save(update_fields=["state", "why", "criterion", "now_fen", "application"])


def _judged(batch: Batch, row: BatchRow) -> tuple[Explanation | None, str]:
    """What the pack says today, and why the row falls out (empty: it does not)."""
    today = clock.today()
    if reach.taken(batch.pack, today).filter(party=row.party).exists() or reach.period_of(today) != batch.period:
        return None, Why.APPLIED if reach.period_of(today) == batch.period else Why.PACK
    found = matching.match(row.party, today)
    try:
        explanation, digest = found.of(batch.pack), found.shelf.pack(batch.pack).digest
    except Missing:
        return None, Why.PACK
    if digest != batch.publication.digest:
        return None, Why.PACK
    if explanation.verdict is not Verdict.MET:
        return explanation, _WHY[explanation.verdict]
    if explanation.amount_fen != row.amount_fen:
        return explanation, Why.AMOUNT
    return explanation, Why.DECLARED if _declared(found, batch.pack) else ""


def _declared(found: matching.Match, pack: str) -> bool:
    """Whether the pack may read a fact that only the firm declared: nobody else has seen it, and nobody would."""
    read = found.shelf.library.columns(found.on, Stage.ENTITLEMENT, packs=[pack])
    cells = (found.known.cells[name] for name in read if name in found.known.cells)
    return any(cell.state == "known" and cell.source == FactSource.SELF for cell in cells)


def _against(explanation: Explanation | None) -> str:
    """The first criterion that made the verdict what it is."""
    if explanation is None or explanation.verdict is Verdict.MET:
        return ""
    against = (one.criterion.id for one in explanation.criteria if one.verdict is explanation.verdict)
    return next(against, "")


def _approved(act: Act, batch: Batch, row: BatchRow) -> Application:
    """The application that nobody had to make; the firm confirms its account, then the payment is ordered."""
    decision, _explanation = matching.decide(
        act, party=row.party, pack_id=batch.pack, on=clock.today(), subject=canonical.label(batch), kind=DECIDED,
        extra={"batch": batch.pk, "row": row.pk},
    )  # fmt: skip
    application = Application.objects.create(
        party=row.party, publication=batch.publication, pack=batch.pack, decision=decision,
        channel=Application.Channel.NO_APPLICATION, state=Application.State.APPROVED, amount_fen=row.amount_fen,
        salt=secrets.token_hex(16), submitted_at=act.at, checked_at=batch.proposed_at, checked_by=batch.proposed_by,
        decided_at=act.at, decided_by=batch.confirmed_by, record=decision.record,
    )  # fmt: skip
    content: dict[str, Any] = {"batch": batch.pk, "decision": decision.pk}
    record_event(act, application, ApplicationEvent.Kind.APPROVED, content)
    return application


@action("policy.batch.finish")
def finish(act: Act, *, batch: Batch) -> Batch:
    """Close a batch whose rows are all done."""
    act.require(OUTREACH)
    batch = Batch.objects.select_for_update().get(pk=batch.pk)
    if batch.state != Batch.State.CONFIRMED or batch.rows.filter(state=BatchRow.State.PROPOSED).exists():
        act.nothing_changed()
        return batch
    batch.state, batch.done_at = Batch.State.DONE, act.at
    batch.save(update_fields=["state", "done_at"])
    rows = batch.rows.filter(state=BatchRow.State.CONFIRMED).values_list("amount_fen", flat=True)
    dropped = batch.rows.filter(state=BatchRow.State.DROPPED).count()
    act.record(batch, {"state": batch.state, "confirmed": len(rows), "dropped": dropped, "amount_fen": sum(rows)})
    return batch
