"""REST operations of bookings, jobs and engines, under /api/jobs/. Card-time in card-seconds, money in fen, prices in
1/1000 fen per card-hour, hours as whole hours since the Unix epoch. A token limited to a booking reaches just that."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from huoshui.base import access, clock
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.jobs import api_serving, connections, live, queries
from huoshui.jobs.actions import connections as connection_actions
from huoshui.jobs.actions import jobs as job_actions
from huoshui.jobs.models import Artefact, Attempt, BookedStretch, Booking, Connection, Job, Shortage
from huoshui.jobs.permissions import READ

router = Router(tags=["jobs"])
LOG_TEXT_MAX = 64 << 10


class StretchOut(Schema):
    start_hour: int
    end_hour: int
    cards: int
    reserved_at: datetime | None


class BookingOut(Schema):
    """`state`: planned, reserved, ended, settled, cancelled, lost. `billing`: used or whole."""

    id: int
    number: str
    party: int = Field(alias="party_id")
    pool: int = Field(alias="pool_id")
    cards: int
    start_hour: int
    end_hour: int
    source: str
    billing: str
    price_mfen: int
    cap_fen: int
    state: str
    fault: str
    closed_at: datetime | None


class UseOut(Schema):
    """`running_seconds` is told by the clock; what is billed is the engine's accounting at the end of each attempt."""

    accounted_seconds: int
    running_seconds: int
    cost_fen: int


class BookingFullOut(BookingOut):
    stretches: list[StretchOut]
    use: UseOut


class JobIn(Schema):
    """`parameters` are the template's answers, `inputs` artefacts by the name under which the job finds them."""

    title: str = Field(min_length=1, max_length=job_actions.TITLE_LENGTH_MAX)
    template: str = Field(max_length=40)
    parameters: dict[str, int | str] = Field(default={}, max_length=50)
    inputs: dict[str, Id] = Field(default={}, max_length=50)
    cards: int = Field(1, ge=1, le=100_000)
    seconds_max: int = Field(3600, ge=1, le=job_actions.SECONDS_MAX)
    attempts_max: int | None = Field(None, ge=1, le=job_actions.ATTEMPTS_MAX)


class AttemptOut(Schema):
    """`evidence`: SHA-256 of the engine's account. `disputed`: codes of what the account says that cannot be true."""

    number: int
    state: str
    node: str
    cards: int
    card_seconds: int | None
    started_at: datetime | None
    ended_at: datetime | None
    exit_code: int | None
    reason: str
    evidence: str
    disputed: str


class JobOut(Schema):
    """`state`: queued, running, succeeded, failed, cancelled, capped. `checkpoint_at`: of when the checkpoint in the
    store is; `checkpoint_fault`: why there is no newer one (changing, odd, many, large, room, lost)."""

    id: int
    number: str
    booking: int = Field(alias="booking_id")
    title: str
    template: str
    parameters: dict[str, Any]
    cards: int
    seconds_max: int
    attempts_max: int
    state: str
    reason: str
    done: int
    total: int
    submitted_at: datetime
    ended_at: datetime | None
    checkpoint_at: datetime | None
    checkpoint_fault: str


class LogOut(Schema):
    """A piece of a log; ask again from `offset`."""

    text: str
    offset: int


class ConnectionIn(Schema):
    """`settings` as the kind of engine asks them; a secret is the name of an environment variable of the runner."""

    kind: str = Field(max_length=20)
    settings: dict[str, str] = Field(max_length=30)


class FindingOut(Schema):
    level: Literal["ok", "warning", "fault"]
    code: str
    text: str


class ShortageOut(Schema):
    """`word`: the engine's for a card model of which fewer work than there should be."""

    word: str
    working: int
    wanted: int
    since: datetime


class ConnectionOut(Schema):
    """`state`: unchecked, up, faulty (did not pass the check), down (does not answer), off.

    `nodes`: cards of each node that a job may use together, by the engine's word for the card model.
    """

    site: int = Field(alias="site_id")
    kind: str
    state: str
    findings: list[FindingOut]
    nodes: dict[str, list[int]]
    checked_at: datetime | None
    failing_since: datetime | None
    shortages: list[ShortageOut]

    @staticmethod
    def resolve_shortages(row: Connection) -> list[Shortage]:
        return list(row.shortages.all())


# --- bookings and jobs ------------------------------------------------------------------------------------------------


@router.get("/bookings/", response=Page[BookingOut])
def bookings(request: HttpRequest, paging: Query[Paging], state: str = "") -> Cut:
    """Bookings of the caller's parties and at the sites that it runs."""
    return cut(queries.bookings(actor(request), state=state), paging)


@router.get("/bookings/{pk}/", response=BookingFullOut)
def booking(request: HttpRequest, pk: Id) -> Any:
    """One booking with its hours and what it has used until now."""
    found = queries.booking(actor(request), pk)
    stretches: list[BookedStretch] = list(found.stretches.order_by("start_hour"))
    plain = BookingOut.from_orm(found).dict()
    return plain | {"stretches": stretches, "use": queries.use_of(found, clock.now())}


@router.post("/bookings/{pk}/jobs/", response=JobOut, url_name="job_submit")
def submit(request: HttpRequest, pk: Id, body: JobIn) -> Job:
    """Queue a job in a booking; it starts as soon as the booking's cards are there and free."""
    who = actor(request)
    found: Booking = queries.booking(who, pk)
    seen = Artefact.objects.select_related("made_by", "party")
    inputs = {name: access.get_visible(seen, who, READ, pk=artefact) for name, artefact in body.inputs.items()}
    named = body.dict(exclude={"inputs"})
    return job_actions.submit_job(who, key=key(request), booking=found, inputs=inputs, **named)


@router.get("/jobs/", response=Page[JobOut])
def jobs(request: HttpRequest, paging: Query[Paging], state: str = "", booking: Id | None = None) -> Cut:
    """Jobs of the caller's parties."""
    return cut(queries.jobs(actor(request), state=state, booking=booking), paging)


@router.get("/jobs/{pk}/", response=JobOut)
def job(request: HttpRequest, pk: Id) -> Job:
    """One job."""
    return queries.job(actor(request), pk)


@router.get("/jobs/{pk}/attempts/", response=list[AttemptOut])
def attempts(request: HttpRequest, pk: Id) -> list[Attempt]:
    """Its runs with what the engine's accounting says of them."""
    return list(queries.job(actor(request), pk).attempts.order_by("number"))


@router.get("/jobs/{pk}/log/", response=LogOut)
def log(request: HttpRequest, pk: Id, offset: int = 0) -> Any:
    """Output of the newest attempt from a byte on; an empty text when there is no more yet."""
    attempts = queries.logs_of(actor(request), pk).attempts.select_related("connection", "job")
    newest = attempts.order_by("-number").first()
    if newest is None:
        return {"text": "", "offset": 0}
    return live.log_piece(newest, max(offset, 0))


@router.post("/jobs/{pk}/cancel/", response=JobOut)
def cancel(request: HttpRequest, pk: Id) -> Job:
    """Ask that a job end."""
    who = actor(request)
    return job_actions.cancel_job(who, key=key(request), job=queries.job(who, pk))


# --- engines ----------------------------------------------------------------------------------------------------------


@router.get("/engines/", response=list[ConnectionOut])
def engines(request: HttpRequest) -> list[Connection]:
    """Engines of the caller's sites."""
    sites = queries.sites(actor(request))
    return list(Connection.objects.filter(site__in=sites).order_by("site").prefetch_related("shortages"))


@router.put("/sites/{pk}/engine/", response=ConnectionOut)
def connect(request: HttpRequest, pk: Id, body: ConnectionIn) -> Connection:
    """Say which engine a site has; a check must follow."""
    who = actor(request)
    return connection_actions.connect(who, key=key(request), site=queries.site(who, pk), **body.dict())


@router.post("/sites/{pk}/engine/check/", response=ConnectionOut)
def check(request: HttpRequest, pk: Id) -> Connection:
    """Check the engine now and write down what was found."""
    who = actor(request)
    found = access.get_visible(Connection.objects.select_related("site"), who, "jobs.connect", site=pk)
    return connection_actions.record_check(who, connection=found, **connections.check(found))


router.add_router("", api_serving.router)
