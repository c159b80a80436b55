"""Jobs: submit one into a booking, cancel it."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Forbidden, Refused, invalid
from huoshui.jobs import connections, services
from huoshui.jobs.artefacts import UNFINISHED, locked
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.models import Artefact, Booking, Job, JobInput
from huoshui.jobs.permissions import RUN, RUNNER
from huoshui.jobs.templates import TEMPLATES, Parameter, check_inputs, checked

QUEUED_MAX = 2_000
"""Jobs of one booking that have not ended."""
SECONDS_MAX = 3600 * 24 * 30
ATTEMPTS_MAX = 10
ATTEMPTS_WITH_CHECKPOINT = 3
TITLE_LENGTH_MAX = 120


@action("jobs.job.submit")
def submit_job(
    act: Act, *, booking: Booking, title: str, template: str, parameters: Mapping[str, Parameter],
    inputs: Mapping[str, Artefact] | None = None, cards: int = 1, seconds_max: int = 3600,
    attempts_max: int | None = None,
) -> Job:  # fmt: skip
    """Queue a job in a booking; it starts as soon as the booking's cards are there and free.

    `inputs`: the artefacts that it reads, by the name under which it finds them. `attempts_max`: how often it may start
    when its cards are taken back or lost (default: 3 with checkpoints, else 1). Raises Invalid for the template's
    answers, files, seconds, or cards that are not there or that the site's nodes cannot take; Refused when the booking
    is over or its queue is full.
    """
    act.require(RUN, booking)
    booking = services.live(booking)
    known = TEMPLATES.get(template)
    if known is None or not (known.for_people or act.actor.system):
        raise invalid("template", template, _("there is no such template"))
    answers, files = checked(known, parameters), locked(inputs or {})
    check_inputs(known, files)
    if any(artefact.party_id != booking.party_id for artefact in files.values()):
        raise Forbidden(_("A job reads files of its own party only."))
    attempts = (ATTEMPTS_WITH_CHECKPOINT if known.checkpoints else 1) if attempts_max is None else attempts_max
    _check(act, booking, title, cards, seconds_max, attempts)
    connections.require_nodes(booking.pool, known, cards)
    job = Job.objects.create(
        booking=booking, title=title.strip(), template=template, parameters=answers, cards=cards,
        seconds_max=seconds_max, attempts_max=attempts, submitted_by=act.actor.user, submitted_at=act.at,
    )  # fmt: skip
    JobInput.objects.bulk_create(JobInput(job=job, artefact=artefact, name=name) for name, artefact in files.items())
    read = sorted((name, artefact.digest) for name, artefact in files.items())
    facts = {"booking": booking, "template": template, "parameters": answers, "inputs": read}
    act.record(job, facts | {"cards": cards, "seconds_max": seconds_max, "attempts_max": attempts})
    return job


def _check(act: Act, booking: Booking, title: str, cards: int, seconds_max: int, attempts: int) -> None:
    if not 0 < len(title.strip()) <= TITLE_LENGTH_MAX:
        raise invalid("title", title, _("between 1 and %(max)s characters") % {"max": TITLE_LENGTH_MAX})
    ahead = booking.stretches.filter(end_hour__gt=clock.hour_of(act.at))
    most = max(ahead.values_list("cards", flat=True), default=0)
    if not most:
        raise Refused(_("Booking %(number)s is over.") % {"number": booking.number}, code="booking_over")
    if not 0 < cards <= most:
        raise invalid("cards", cards, _("between 1 and %(max)s") % {"max": most})
    if not 0 < seconds_max <= SECONDS_MAX:
        raise invalid("seconds_max", seconds_max, _("between 1 and %(max)s") % {"max": SECONDS_MAX})
    if not 0 < attempts <= ATTEMPTS_MAX:
        raise invalid("attempts_max", attempts, _("between 1 and %(max)s") % {"max": ATTEMPTS_MAX})
    if booking.jobs.filter(state__in=UNFINISHED).count() >= QUEUED_MAX:
        raise Refused(_("At most %(max)s jobs of a booking wait or run.") % {"max": QUEUED_MAX}, code="queue_full")


@action("jobs.job.cancel")
def cancel_job(act: Act, *, job: Job) -> Job:
    """Ask that a job end. One that never started is over at once; the runner ends the others."""
    job = Job.objects.select_for_update(of=("self",)).select_related("booking__party").get(pk=job.pk)
    act.require(RUN, job)
    if job.state not in UNFINISHED or job.cancel_asked:
        act.nothing_changed()
        return job
    job.cancel_asked = True
    if not job.attempts.exclude(state="ended").exists():
        job.state, job.reason, job.ended_at = Job.State.CANCELLED, "cancelled", act.at
    job.save(update_fields=["cancel_asked", "state", "reason", "ended_at"])
    act.record(job, {"cancel": True})
    return job


@action("jobs.job.wait")
def note_waiting(act: Act, *, job: Job, reason: str) -> Job:
    """Say why a job does not start though its cards are there."""
    act.require(RUNNER)
    job = Job.objects.select_for_update(of=("self",)).get(pk=job.pk)
    if job.state != Job.State.QUEUED or job.reason == reason:
        act.nothing_changed()
        return job
    job.reason = reason
    job.save(update_fields=["reason"])
    act.record(job, {"waits": reason})
    return job


@action("jobs.booking.cap")
def cap_jobs(act: Act, *, booking: Booking) -> int:
    """The spending cap is used up: jobs that wait do not start any more. Returns how many."""
    act.require(RUNNER)
    booking = Booking.objects.select_for_update().get(pk=booking.pk)
    waiting = booking.jobs.filter(state=Job.State.QUEUED).exclude(attempts__in=booking.attempts.filter(OPEN))
    keys = sorted(waiting.values_list("pk", flat=True))
    if not keys:
        act.nothing_changed()
        return 0
    Job.objects.filter(pk__in=keys).update(state=Job.State.CAPPED, reason="capped", ended_at=act.at)
    act.record(booking, {"capped": keys})
    return len(keys)
