"""Attempts: begun, taken by the engine, seen running, asked to end, accounted for. The runner writes all of them.

Each step looks at the row under a lock, so asking twice, or two runners at once, changes nothing twice.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused
from huoshui.cases import actions as cases
from huoshui.engines import Usage
from huoshui.jobs import bookings, words
from huoshui.jobs.accounting import RETRIED, SLACK, Judged, judge, outcome
from huoshui.jobs.models import Attempt, Booking, Connection, Job
from huoshui.jobs.permissions import RUNNER
from huoshui.jobs.templates import TEMPLATES

ACCOUNT_CASE = "jobs.account"
FAULT_LENGTH = 300
KEEP_WAIT = timedelta(minutes=10)
"""For so long a job does not start at another site, that its checkpoint may come into the store once more."""


@action("jobs.attempt.begin")
def begin(act: Act, *, job: Job, number: int, connection: Connection, seconds_max: int, until: datetime) -> Attempt:
    """Write down that an attempt is to be handed to the engine, before it is.

    Raises Refused(code="no_room") when the booking has not the cards now, or the job does not wait any more.
    """
    act.require(RUNNER)
    booking = Booking.objects.select_for_update().get(pk=job.booking_id)
    job = Job.objects.select_for_update().get(pk=job.pk)
    stretch = bookings.stretch_at(booking, clock.hour_of(act.at))
    free = (stretch.cards if stretch else 0) - bookings.cards_running(booking)
    if job.state != Job.State.QUEUED or job.cancel_asked or job.cards > free or number != next_number(job):
        raise Refused(_("%(job)s cannot start now.") % {"job": job.number}, code="no_room")
    attempt = Attempt.objects.create(
        job=job, number=number, name=f"hs{connection.tag}-{job.number}.{number}", connection=connection,
        booking=booking, cards=job.cards, seconds_max=seconds_max, until=until, submitted_at=act.at,
    )  # fmt: skip
    act.record(attempt, {"job": job, "booking": booking, "seconds_max": seconds_max, "until": until})
    return attempt


def next_number(job: Job) -> int:
    """The number of a job's next attempt; the present one while it is open."""
    over = Q(state=Attempt.State.ENDED) | Q(reason="engine_lost")
    return job.attempts.filter(over).count() + 1


@action("jobs.attempt.sent")
def note_sent(act: Act, *, attempt: Attempt) -> Attempt:
    """The engine took it."""
    act.require(RUNNER)
    attempt = _locked(attempt)
    if attempt.sent_at is not None or attempt.state == Attempt.State.ENDED:
        act.nothing_changed()
        return attempt
    attempt.sent_at = act.at
    attempt.save(update_fields=["sent_at"])
    act.record(attempt, {"sent": True})
    return attempt


@action("jobs.attempt.refused")
def note_refused(act: Act, *, attempt: Attempt, code: str, text: str) -> Attempt:
    """The engine or the store would not take it, so nothing ran: the job fails, or waits when it was not its own fault.

    What the engine has taken cannot be refused any more: nothing changes.
    """
    act.require(RUNNER)
    attempt = _locked(attempt)
    if attempt.state != Attempt.State.SUBMITTED or attempt.sent_at is not None:
        act.nothing_changed()
        return attempt
    job, abandoned = _job_of(attempt), attempt.reason == "engine_lost"
    attempt.state, attempt.reason, attempt.fault = Attempt.State.ENDED, code, text[:FAULT_LENGTH]
    attempt.card_seconds = 0
    attempt.save(update_fields=["state", "reason", "fault", "card_seconds"])
    if code in RETRIED and not abandoned:
        _go_on(act, attempt, job, exit_code=None, engine_reason=code, asked="", limits=())
    elif not abandoned:  # else the job has gone on without it
        _finish(act, job, Job.State.CANCELLED if job.cancel_asked else Job.State.FAILED, code)
    act.record(attempt, {"refused": code})
    return attempt


@action("jobs.attempt.running")
def note_running(act: Act, *, attempt: Attempt, started: datetime | None, node: str) -> Attempt:
    """The engine runs it."""
    act.require(RUNNER)
    attempt = _locked(attempt)
    if attempt.state != Attempt.State.SUBMITTED:
        act.nothing_changed()
        return attempt
    job = _job_of(attempt)
    attempt.state, attempt.started_at, attempt.node = Attempt.State.RUNNING, started, node[:80]
    attempt.save(update_fields=["state", "started_at", "node"])
    if job.state == Job.State.QUEUED:
        job.state, job.reason = Job.State.RUNNING, ""
        job.save(update_fields=["state", "reason"])
    act.record(attempt, {"running": True, "started": started, "node": node[:80]})
    return attempt


@action("jobs.attempt.stop")
def note_stop(act: Act, *, attempt: Attempt, reason: str) -> Attempt:
    """Write down why the engine is about to be asked to end it; the first reason stays."""
    act.require(RUNNER)
    attempt = _locked(attempt)
    if attempt.reason or attempt.state == Attempt.State.ENDED:
        act.nothing_changed()
        return attempt
    attempt.reason = reason
    attempt.save(update_fields=["reason"])
    act.record(attempt, {"stop": reason})
    return attempt


@action("jobs.attempt.abandon")
def abandon(act: Act, *, attempt: Attempt) -> Attempt:
    """The engine has been lost for long: the job goes on without this attempt, which is accounted for if it returns."""
    act.require(RUNNER)
    attempt = _locked(attempt)
    if attempt.state == Attempt.State.ENDED or attempt.reason == "engine_lost":
        act.nothing_changed()
        return attempt
    job = _job_of(attempt)
    attempt.reason = "engine_lost"
    attempt.save(update_fields=["reason"])
    _go_on(act, attempt, job, exit_code=None, engine_reason="engine_lost", asked="engine_lost", limits=())
    act.record(attempt, {"abandoned": True})
    return attempt


@action("jobs.attempt.account")
def account(
    act: Act, *, attempt: Attempt, exit_code: int | None, reason: str, usage: Usage | None, capped: bool = False
) -> Attempt:
    """It is over: keep what the engine's accounting says of it, as far as that can be true, and decide about the job.

    `reason` is the engine's; `capped`: the booking's spending cap is reached. Opens a case for the operator of the site
    when the account cannot be true.
    """
    act.require(RUNNER)
    attempt = _locked(attempt)
    if attempt.state == Attempt.State.ENDED:
        act.nothing_changed()
        return attempt
    job = _job_of(attempt)
    judged = judge(
        usage, cards=attempt.cards, submitted=attempt.submitted_at, now=act.at, started=attempt.started_at,
        seen=attempt.seen_at,
    )  # fmt: skip
    asked = attempt.reason
    at_end = act.at >= attempt.until - SLACK
    limits = (("capped", capped), ("stretch_ended", at_end), ("capped", attempt.seconds_max < job.seconds_max))
    _write_account(attempt, usage, judged)
    attempt.state, attempt.exit_code, attempt.reason = Attempt.State.ENDED, exit_code, asked or reason
    attempt.save()
    if asked != "engine_lost":
        _go_on(act, attempt, job, exit_code=exit_code, engine_reason=reason, asked=asked, limits=limits)
    act.record(
        attempt,
        {
            "exit_code": exit_code, "reason": attempt.reason, "card_seconds": attempt.card_seconds,
            "started": attempt.started_at, "ended": attempt.ended_at, "evidence": attempt.evidence,
            "disputed": attempt.disputed, "job": job, "state": job.state,
        },
    )  # fmt: skip
    if judged.faults:
        _open_case(act, attempt, judged)
    return attempt


def _write_account(attempt: Attempt, usage: Usage | None, judged: Judged) -> None:
    attempt.card_seconds, attempt.disputed = judged.card_seconds, " ".join(judged.faults)
    if usage is not None:
        attempt.started_at, attempt.ended_at = usage.started, usage.ended
        attempt.account, attempt.account_source = usage.raw, usage.source
        attempt.evidence = hashlib.sha256(usage.raw.encode()).hexdigest()


def _go_on(
    act: Act, attempt: Attempt, job: Job, *, exit_code: int | None, engine_reason: str, asked: str,
    limits: Sequence[tuple[str, bool]],
) -> None:  # fmt: skip
    """Decide what becomes of the job after an attempt."""
    if job.state not in (Job.State.QUEUED, Job.State.RUNNING):
        return
    home = bookings.where_it_goes_on(act, job.booking)
    again = home is not None and job.attempts.filter(sent_at__isnull=False).count() < job.attempts_max
    found = outcome(
        exit_code=exit_code, engine_reason=engine_reason, asked=asked, cancel_asked=job.cancel_asked, limits=limits,
        again=again,
    )  # fmt: skip
    if found.state == Job.State.QUEUED and home is not None:
        job.booking, job.state, job.reason = home, Job.State.QUEUED, found.reason
        job.save(update_fields=["booking", "state", "reason"])
        if TEMPLATES[job.template].checkpoints and attempt.prepared_at is not None:
            attempt.keep_until = act.at + KEEP_WAIT
            attempt.save(update_fields=["keep_until"])
    else:
        _finish(act, job, found.state, found.reason)


def _finish(act: Act, job: Job, state: str, reason: str) -> None:
    job.state, job.reason, job.ended_at = state, reason, act.at
    job.save(update_fields=["state", "reason", "ended_at"])


def _open_case(act: Act, attempt: Attempt, judged: Judged) -> None:
    title = _("The engine's account of %(name)s cannot be true") % {"name": attempt.name}
    what = "\n".join(str(words.ACCOUNT_FAULTS[code]) for code in judged.faults)
    body = _("%(what)s\n%(seconds)s card-seconds are billed. The engine said:\n%(raw)s") % {
        "what": what, "seconds": judged.card_seconds, "raw": attempt.account[:2000],
    }  # fmt: skip
    cases.open_case(
        act.actor, key=f"attempt/{attempt.pk}/account", kind=ACCOUNT_CASE, title=title, body=body,
        party=attempt.connection.site.operator, subject=f"jobs.attempt:{attempt.pk}",
    )  # fmt: skip


def _locked(attempt: Attempt) -> Attempt:
    rows = Attempt.objects.select_for_update(of=("self",)).select_related("connection__site__operator")
    return rows.get(pk=attempt.pk)


def _job_of(attempt: Attempt) -> Job:
    rows = Job.objects.select_for_update(of=("self",)).select_related("booking__party", "booking__pool")
    return rows.get(pk=attempt.job_id)
