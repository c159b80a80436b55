"""Endpoints 推理服务: people open, wake, move and close them; the runner starts them and puts them to sleep."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.jobs import bookings, connections, services
from huoshui.jobs.actions.jobs import cancel_job, submit_job
from huoshui.jobs.actions.models import check_name
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Booking, Endpoint, Job, TrainedModel
from huoshui.jobs.permissions import RUN, RUNNER, SERVE
from huoshui.jobs.templates import TEMPLATES, Parameter, checked
from huoshui.registry.models import Party

IDLE_SECONDS_MIN, IDLE_SECONDS_MAX = 30, 24 * 3600
WAKE = timedelta(minutes=2)
"""How long an endpoint is wanted after one call."""
ENDPOINTS_MAX = 200
TRIES_PER_MINUTE = 30
OPEN = (Endpoint.State.ASLEEP, Endpoint.State.STARTING, Endpoint.State.READY, Endpoint.State.FAILED)
AWAKE = (Endpoint.State.STARTING, Endpoint.State.READY)
BOOKING_OVER = "endpoint_booking_over"
"""Fault of an endpoint that waits for its owner to choose another booking."""


Moved = Callable[[Act, Endpoint], None]
_moved: list[Moved] = []


def on_moved(hook: Moved) -> None:
    """Say what follows when an endpoint is served from another booking, in the same transaction."""
    _moved.append(hook)


def _tell_moved(act: Act, endpoint: Endpoint) -> None:
    for hook in _moved:
        hook(act, endpoint)


@action("jobs.endpoint.open")
def open_endpoint(
    act: Act, *, model: TrainedModel, booking: Booking, name: str, cards: int = 1, idle_seconds: int = 300,
    parameters: Mapping[str, Parameter] | None = None,
) -> Endpoint:  # fmt: skip
    """Serve a model in a booking of the same party. It sleeps until somebody calls it.

    `parameters`: answers of template `serve`; its alias is the name. Raises Invalid (name, cards, seconds, answers),
    Refused when the booking is over or the name is taken.
    """
    act.require(SERVE, model)
    booking = _place(act, booking, model.party, cards)
    check_name(name)
    answers = checked(TEMPLATES["serve"], {**(parameters or {}), "alias": name})
    if not IDLE_SECONDS_MIN <= idle_seconds <= IDLE_SECONDS_MAX:
        rule = _("between %(min)s and %(max)s")
        raise invalid("idle_seconds", idle_seconds, rule % {"min": IDLE_SECONDS_MIN, "max": IDLE_SECONDS_MAX})
    if Endpoint.objects.filter(name=name).exists():
        raise invalid("name", name, _("is taken"))
    if Endpoint.objects.filter(party=model.party, state__in=OPEN).count() >= ENDPOINTS_MAX:
        raise Refused(_("The party has as many endpoints as it may."), code="quota")
    made = Endpoint.objects.create(
        party=model.party, name=name, model=model, booking=booking, cards=cards, idle_seconds=idle_seconds,
        parameters=answers, created_at=act.at,
    )  # fmt: skip
    facts = {"model": model, "booking": booking, "cards": cards, "idle_seconds": idle_seconds}
    act.record(made, facts | {"parameters": answers})
    return made


def _place(act: Act, booking: Booking, party: Party, cards: int) -> Booking:
    """A booking in which so many cards may serve a model of this party."""
    booking = services.live(booking)
    act.require(RUN, booking)
    if booking.party_id != party.pk:
        raise invalid("booking", booking, _("is not of the party that has the model"))
    if not 1 <= cards <= booking.cards:
        raise invalid("cards", cards, _("between 1 and %(max)s") % {"max": booking.cards})
    connections.require_nodes(booking.pool, TEMPLATES["serve"], cards)
    return booking


@action("jobs.endpoint.move")
def move_endpoint(act: Act, *, endpoint: Endpoint, booking: Booking) -> Endpoint:
    """Serve from another booking of the party on: what runs is ended, the next call wakes it there.

    Raises Invalid when it cannot serve there, Refused when that booking is over or the endpoint is closed.
    """
    endpoint = _locked(endpoint)
    act.require(SERVE, endpoint)
    _require_open(endpoint)
    endpoint.booking = _place(act, booking, endpoint.party, endpoint.cards)
    _rest(act, endpoint)
    act.record(endpoint, {"moved": True, "booking": booking})
    _tell_moved(act, endpoint)
    return endpoint


@action("jobs.endpoint.wake")
def wake_endpoint(act: Act, *, endpoint: Endpoint) -> Endpoint:
    """Ask for an endpoint: the runner starts it in its next round. One that failed tries again."""
    endpoint = _locked(endpoint)
    act.require(SERVE, endpoint)
    _require_open(endpoint)
    if endpoint.booking.state not in LIVE:
        raise Refused(_("Booking %(number)s is over.") % {"number": endpoint.booking.number}, code="booking_over")
    endpoint.wanted_until = act.at + WAKE
    if endpoint.state == Endpoint.State.FAILED:
        endpoint.state, endpoint.fault, endpoint.crashes = Endpoint.State.ASLEEP, "", 0
    endpoint.save(update_fields=["wanted_until", "state", "fault", "crashes"])
    act.record(endpoint, {"woken": True})
    return endpoint


@action("jobs.endpoint.close")
def close_endpoint(act: Act, *, endpoint: Endpoint) -> Endpoint:
    """End an endpoint for good; its job is ended, its name stays taken."""
    endpoint = _locked(endpoint)
    act.require(SERVE, endpoint)
    if endpoint.state == Endpoint.State.CLOSED:
        act.nothing_changed()
        return endpoint
    _rest(act, endpoint, Endpoint.State.CLOSED)
    act.record(endpoint, {"closed": True})
    return endpoint


@action("jobs.endpoint.try")
def try_endpoint(act: Act, *, endpoint: Endpoint, prompt_characters: int, tokens_max: int) -> Endpoint:
    """Count a try of a ready endpoint (`jobs.trying` asks it afterwards) and keep it awake: how much, never what.

    Raises Refused when it is not ready, or was tried TRIES_PER_MINUTE times within a minute.
    """
    act.require(SERVE, endpoint)
    if endpoint.state != Endpoint.State.READY:
        raise Refused(_("The endpoint is not awake."), code="endpoint_asleep")
    tries = LogRecord.objects.filter(
        action=act.name, subject=canonical.label(endpoint), recorded_at__gt=clock.real_now() - timedelta(minutes=1)
    )
    if tries.count() >= TRIES_PER_MINUTE:
        raise Refused(_("At most %(max)s tries in a minute.") % {"max": TRIES_PER_MINUTE}, code="too_many_tries")
    Endpoint.objects.filter(pk=endpoint.pk).update(wanted_until=act.at + WAKE)
    act.record(endpoint, {"prompt_characters": prompt_characters, "tokens_max": tokens_max})
    return endpoint


# --- the runner's steps -----------------------------------------------------------------------------------------------


@action("jobs.endpoint.follow")
def follow_booking(act: Act, *, endpoint: Endpoint) -> Endpoint:
    """Its booking is over: it goes on in the one that took its place; without one its owner must choose another."""
    endpoint = _locked(endpoint)
    act.require(RUNNER)
    home = bookings.where_it_goes_on(act, endpoint.booking)
    if endpoint.state == Endpoint.State.CLOSED or home == endpoint.booking:
        act.nothing_changed()
        return endpoint
    endpoint.booking = home or endpoint.booking
    if home is None:
        _rest(act, endpoint, Endpoint.State.FAILED, BOOKING_OVER)
    elif endpoint.state == Endpoint.State.FAILED:  # it waits still for somebody to wake it
        endpoint.save(update_fields=["booking"])
    else:
        _rest(act, endpoint)
    act.record(endpoint, {"followed": home})
    if home is not None:
        _tell_moved(act, endpoint)
    return endpoint


@action("jobs.endpoint.start")
def start_endpoint(act: Act, *, endpoint: Endpoint, seconds_max: int) -> Endpoint:
    """Submit a serving job for an endpoint that is asleep, with a new key."""
    endpoint = _locked(endpoint)
    act.require(SERVE, endpoint)
    if endpoint.state != Endpoint.State.ASLEEP:
        act.nothing_changed()
        return endpoint
    endpoint.job = submit_job(
        act.actor, booking=endpoint.booking, title=_("Endpoint %(name)s") % {"name": endpoint.name},
        template="serve", parameters=endpoint.parameters, cards=endpoint.cards, seconds_max=seconds_max,
        inputs={"model": endpoint.model.artefact},
    )  # fmt: skip
    endpoint.key = secrets.token_hex(24)
    _set(endpoint, Endpoint.State.STARTING)
    endpoint.save(update_fields=["job", "key"])
    act.record(endpoint, {"started": True, "job": endpoint.job})
    return endpoint


@action("jobs.endpoint.ready")
def ready_endpoint(act: Act, *, endpoint: Endpoint, job: Job, address: str) -> Endpoint:
    """The replica answers at an address."""
    endpoint = _locked(endpoint)
    act.require(SERVE, endpoint)
    if endpoint.state != Endpoint.State.STARTING or endpoint.job_id != job.pk:
        act.nothing_changed()
        return endpoint
    _set(endpoint, Endpoint.State.READY)
    endpoint.address = address
    endpoint.save(update_fields=["address"])
    act.record(endpoint, {"ready": True, "job": job, "address": address})
    return endpoint


@action("jobs.endpoint.rest")
def rest_endpoint(
    act: Act, *, endpoint: Endpoint, job: Job, state: str, fault: str = "", crashes: int = 0
) -> Endpoint:
    """End the replica `job`: asleep when nobody calls or it is to start again, failed after too many `crashes`."""
    endpoint = _locked(endpoint)
    act.require(SERVE, endpoint)
    if endpoint.state not in AWAKE or endpoint.job_id != job.pk:
        act.nothing_changed()
        return endpoint
    _rest(act, endpoint, state, fault, crashes)
    act.record(endpoint, {"state": state, "fault": fault, "job": job})
    return endpoint


def _locked(endpoint: Endpoint) -> Endpoint:
    related = ("party", "booking__party", "model__artefact", "job")
    return Endpoint.objects.select_for_update(of=("self",)).select_related(*related).get(pk=endpoint.pk)


def _require_open(endpoint: Endpoint) -> None:
    if endpoint.state == Endpoint.State.CLOSED:
        raise Refused(_("The endpoint is closed."), code="endpoint_closed")


def _rest(
    act: Act, endpoint: Endpoint, state: str = Endpoint.State.ASLEEP, fault: str = "", crashes: int = 0
) -> None:
    """End the replica, if there is one, and go into a state."""
    if endpoint.job is not None and endpoint.job.ended_at is None:
        cancel_job(act.actor, job=endpoint.job)
    endpoint.crashes = crashes
    _set(endpoint, state, fault)


def _set(endpoint: Endpoint, state: str, fault: str = "") -> None:
    """Only a ready endpoint has an address, and only an awake one a key."""
    endpoint.state, endpoint.fault = state, fault[:300]
    if state != Endpoint.State.READY:
        endpoint.address = ""
    if state not in AWAKE:
        endpoint.key = ""
    endpoint.save(update_fields=["state", "fault", "address", "key", "crashes", "booking"])


def wanted(endpoint: Endpoint, at: datetime) -> bool:
    """Is it to run now? While it is wanted, and for its idle time after that when it is awake."""
    if endpoint.wanted_until is None:
        return False
    grace = timedelta(seconds=endpoint.idle_seconds if endpoint.state in AWAKE else 0)
    return at < endpoint.wanted_until + grace
