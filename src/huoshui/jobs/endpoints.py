"""Endpoints, one look a round: start what is wanted, see who answers, let idle ones sleep, start again after a crash.

    asleep ──wanted──► starting ──/health answers──► ready ──nobody calls for idle_seconds──► asleep
                          │                            │ job ended by itself, or no answer twice running
                          └────────────────────────────┴──► asleep (starts again); CRASHES_MAX in a row, each within
                                                            CRASH_WINDOW of its start: failed, until somebody wakes it
    hours over, cards taken back ──► asleep, in the booking that took its place if there is one
    booking over ──► failed, until its owner chooses another

`turn` is called by the runner. It asks replicas over HTTP outside of transactions, several at once; each change is an
action that looks again, so two turns at once do nothing twice.
"""

import json
import re
import urllib.request
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.jobs import beneath, folders, words
from huoshui.jobs.accounting import PLATFORM
from huoshui.jobs.actions.endpoints import (
    AWAKE,
    BOOKING_OVER,
    follow_booking,
    ready_endpoint,
    rest_endpoint,
    start_endpoint,
    wanted,
)
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Booking, Endpoint, Job

HEALTH_SECONDS_MAX = 2
LOOKS_AT_ONCE = 8
START_SECONDS_MAX = 900
CRASHES_MAX = 3
CRASH_WINDOW = timedelta(minutes=15)
FILE_BYTES_MAX = 4096
ADDRESS = re.compile(r"http://([a-z0-9][a-z0-9.-]{0,100}):([1-9]\d{3,4})")
NO_ANSWER = "no_answer"
"""Fault of a ready endpoint that did not answer once; the second time it is started again."""
TOO_SLOW = "start_too_slow"


def turn(actor: Actor) -> int:
    """One look at every open endpoint; returns how many changed."""
    changed = 0
    awake = []
    related = ("booking", "job__booking", "model__artefact")
    rows = Endpoint.objects.exclude(state=Endpoint.State.CLOSED).exclude(fault=BOOKING_OVER)
    for endpoint in rows.select_related(*related).order_by("pk"):
        if not _has_hours(endpoint.booking, clock.hour_of(clock.now())):
            follow_booking(actor, endpoint=endpoint)
            changed += 1
        elif endpoint.state in AWAKE:
            awake.append(endpoint)
        elif endpoint.state == Endpoint.State.ASLEEP and wanted(endpoint, clock.now()):
            changed += _start(actor, endpoint)
    answers = look(endpoint.address or address_of(endpoint) for endpoint in awake)
    return changed + sum(
        _attend(actor, endpoint, address, answer)
        for endpoint, (address, answer) in zip(awake, answers, strict=True)
    )


def _has_hours(booking: Booking, hour: int) -> bool:
    return booking.state in LIVE and booking.stretches.filter(end_hour__gt=hour).exists()


def _start(actor: Actor, endpoint: Endpoint) -> int:
    """Submit the replica if the booking runs now; what was refused is kept as a fault for people to read."""
    now, hour = clock.now(), clock.hour_of(clock.now())
    stretch = endpoint.booking.stretches.filter(start_hour__lte=hour, end_hour__gt=hour).order_by("-end_hour").first()
    if endpoint.booking.state != Booking.State.RESERVED or stretch is None:
        return 0
    seconds = int((clock.instant_of(stretch.end_hour) - now).total_seconds())
    try:
        start_endpoint(actor, endpoint=endpoint, seconds_max=max(1, seconds))
    except Refused as error:
        Endpoint.objects.filter(pk=endpoint.pk).update(fault=error.message[:300], wanted_until=None)
        return 0
    return 1


def address_of(endpoint: Endpoint) -> str:
    """What the replica wrote down about itself; empty when there is nothing yet, or nothing that can be true."""
    job = endpoint.job
    attempt = job.attempts.select_related("connection").last() if job is not None else None
    if job is None or attempt is None or job.state != Job.State.RUNNING:
        return ""
    folder = folders.folder_of(job, attempt.connection.settings.get("workdir", ""))
    with beneath.opened(folder, "outputs", "endpoint.json") as file, suppress(ValueError, AttributeError):
        if file is not None:
            address = json.loads(file.read(FILE_BYTES_MAX)).get("address")
            if isinstance(address, str) and is_address(address):
                return address
    return ""


def is_address(address: str) -> bool:
    """Could a replica listen there? Never a privileged port, nor the addresses by which clouds tell their secrets."""
    match = ADDRESS.fullmatch(address)
    return bool(match) and 1024 <= int(match[2]) < 65_536 and not match[1].startswith("169.254.")  # type: ignore[index]


def look(addresses: Iterable[str]) -> list[tuple[str, bool]]:
    """(address, does it answer?) of each, several at once."""
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        return list(pool.map(lambda address: (address, bool(address) and answers(address)), addresses))


def answers(address: str) -> bool:
    """Does the server at an address say that it is well?"""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=HEALTH_SECONDS_MAX) as reply:  # noqa: S310
            return bool(reply.status == 200)
    except (OSError, ValueError, HTTPException):
        return False


def _attend(actor: Actor, endpoint: Endpoint, address: str, answer: bool) -> int:
    """The next step of an endpoint that is awake; 1 when it changed."""
    job, now = endpoint.job, clock.now()
    assert job is not None
    if job.ended_at is not None:
        return _ended(actor, endpoint, job, job.reason or job.state)
    if not wanted(endpoint, now):
        rest_endpoint(actor, endpoint=endpoint, job=job, state=Endpoint.State.ASLEEP)
        return 1
    if endpoint.state == Endpoint.State.STARTING:
        if answer:
            ready_endpoint(actor, endpoint=endpoint, job=job, address=address)
            return 1
        if now > job.submitted_at + timedelta(seconds=START_SECONDS_MAX):
            return _ended(actor, endpoint, job, TOO_SLOW)
        return 0
    if not answer and endpoint.fault == NO_ANSWER:
        return _ended(actor, endpoint, job, NO_ANSWER)
    if answer == bool(endpoint.fault):
        Endpoint.objects.filter(pk=endpoint.pk).update(fault="" if answer else NO_ANSWER)
    return 0


def _ended(actor: Actor, endpoint: Endpoint, job: Job, reason: str) -> int:
    """Start again, unless it crashed too often in a row, somebody cancelled its job, or its booking stopped paying."""
    if reason in PLATFORM:  # its hours are over or its cards were taken back
        crashes = endpoint.crashes
    else:
        soon = clock.now() - job.submitted_at < CRASH_WINDOW
        crashes = endpoint.crashes + 1 if soon else 1
    final = crashes >= CRASHES_MAX or job.state == Job.State.CAPPED or job.cancel_asked
    state = Endpoint.State.FAILED if final else Endpoint.State.ASLEEP
    rest_endpoint(actor, endpoint=endpoint, job=job, state=state, fault=reason, crashes=crashes)
    return 1


FAULTS: dict[str, str | Promise] = {
    NO_ANSWER: _("The model did not answer."),
    TOO_SLOW: _("The model did not answer in time after its start."),
    BOOKING_OVER: _("The booking is over: choose another one to serve in."),
    "exit_code": _("The model could not be loaded, or ended by itself; the log of its job says why."),
}


def fault_words(endpoint: Endpoint) -> str:
    """A fault in words: ours, that of a job, or the sentence of a refusal as it is."""
    return str(FAULTS.get(endpoint.fault) or words.reason(endpoint.fault))
