"""The runner: one loop that brings what was booked and what the engines do into step.

    while True: turn(system("runner"))

A turn looks at endpoints, visits every connected site, asks for the copies that are due (`jobs.copies`) and closes
bookings. It holds no state: each step compares rows with what the engine says and acts on the difference, engine calls
outside transactions, results written by actions.
Killed anywhere, the next turn goes on: an attempt's row is there before the engine is asked, names are unique at the
engine and asking again changes nothing, so nothing runs twice and nothing is forgotten. One runner works at a time
(`jobs.alone`).

At a site, in this order:
1. **find** what people submitted in their reservations by themselves, **watch** open attempts: running, or over and
   then accounted for;
2. **stop** what was cancelled, has no hours or cards any more, or has used up its spending cap;
3. **reserve**: one reservation for each booked stretch of the next days; what is not booked any more is released;
4. **start** waiting jobs on cards that are free in their booking: written down, its folder made by a copy, handed over;
5. report **delivery** to the bank.

An engine that did not pass its operator's check is watched, but nothing new is reserved or started on it. One that does
not answer for `connections.DOWN_AFTER` is shown to its operator; after LOST_AFTER its hours of the next day count
as failed: the bank reschedules what it sold, bookings that end within the day are lost, their jobs go on elsewhere.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from django.db import DatabaseError, close_old_connections
from django.db.models import Max, Q, QuerySet, Sum

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.engines import Engine, EngineError, JobSpec, Phase, Reservation, Status, Usage
from huoshui.engines.base import REFUSED, UNREACHABLE
from huoshui.jobs import alone, bookings, connections, copies, deliveries, endpoints, failures, folders
from huoshui.jobs.actions import attempts as writes
from huoshui.jobs.actions import bookings as booked
from huoshui.jobs.actions import connections as sites
from huoshui.jobs.actions import jobs as jobs_actions
from huoshui.jobs.actions.found import take_up
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Attempt, BookedStretch, Booking, Connection, Job
from huoshui.jobs.queries import reservation_name
from huoshui.jobs.templates import TEMPLATES

log = logging.getLogger(__name__)
RESERVE_AHEAD_HOURS = 24 * 7
LOST_AFTER = timedelta(minutes=30)
COUNT_EVERY = timedelta(seconds=60)
"""How often an engine is asked how many of its cards work."""
RETRY_AFTER = timedelta(seconds=30)
"""How often an engine that does not answer is asked, so that it does not hold up the others."""
LOST_GRACE = timedelta(seconds=60)
"""For so long after handing it over an engine may not know a job yet."""
ACCOUNT_WAIT = timedelta(seconds=60)
"""For so long the accounting of an ended job may be late."""
SEEN_EVERY = timedelta(seconds=60)
SECONDS_LEAST = 5
"""A job is not started when fewer seconds of its hours are left."""
STARTED_PER_TURN = 200
BUSY_SECONDS, IDLE_SECONDS = 0.1, 1.0
"""Pause between turns."""
STAND_BY_SECONDS = 1.0
"""How often a runner that stands by asks whether it may work."""


def turn(actor: Actor, copy: copies.Copies = copies.at_once) -> int:
    """One round over all sites and bookings; returns how many things it changed."""
    changed = _apart("the endpoints", lambda: endpoints.turn(actor))
    for connection in Connection.objects.filter(state__in=connections.VISITED):
        changed += _apart(f"site {connection.site_id}", partial(visit, actor, connection, copy))
    changed += _apart("the copies", lambda: copies.turn(copy))
    return changed + _close(actor)


def _apart(what: str, step: Callable[[], int]) -> int:
    """What a step changed; one that fails is said, and does not hold up the others."""
    try:
        return step()
    except Exception:
        log.exception("the runner failed at %s", what)
        return 0


def run_forever(actor: Actor, over: threading.Event) -> None:
    """Stand by while another runner works, then turn until asked to end; a turn that failed is said and tried again.

    Raises DatabaseError when another runner may work now: the process must end, and its copies with it.
    """
    with closing(alone.Lock()) as lock:
        if stands_by := not _may_work(lock):
            log.warning("this runner stands by")
        while stands_by and not over.wait(STAND_BY_SECONDS):
            stands_by = not _may_work(lock)
        copying = copies.Threads()
        while not over.is_set():
            lock.require()
            close_old_connections()
            try:
                changed = turn(actor, copying)
            except Exception:
                log.exception("a turn of the runner failed")
                changed = 0
            over.wait(BUSY_SECONDS if changed else IDLE_SECONDS)
        copying.wait(copies.END_SECONDS_MAX)


def _may_work(lock: alone.Lock) -> bool:
    try:
        return lock.take()
    except DatabaseError as error:
        log.warning("the runner cannot ask whether it may work: %s", error)
        lock.close()
        return False


def visit(actor: Actor, connection: Connection, copy: copies.Copies = copies.at_once) -> int:
    """All steps at one site. An engine that does not answer ends the visit; whatever was written stays."""
    site = Site(actor, connection, copy)
    failing = connection.failing_since
    if failing is not None and clock.now() - (connection.asked_at or failing) < RETRY_AFTER:
        return 0
    try:
        site.engine = connections.open_engine(connection)
        standing = site.engine.reservations()
        sites.note_answer(actor, connection=connection)
        site.find()
        site.watch()
        site.stop()
        site.count()
        if connection.state != Connection.State.FAULTY:
            site.reserve(standing)
        site.send()
        if connection.state != Connection.State.FAULTY:
            site.start()
    except EngineError as error:
        sites.note_failure(actor, connection=connection, code=error.code, text=error.text)
        Connection.objects.filter(pk=connection.pk).update(asked_at=clock.now())
        connection.refresh_from_db()
        site.changed += failures.consider(actor, connection, LOST_AFTER)
    site.changed += deliveries.report(actor, connection)
    return site.changed


@dataclass
class Site:
    """One visit to a site's engine."""

    actor: Actor
    connection: Connection
    copy: copies.Copies
    engine: Engine = field(init=False)
    changed: int = 0
    looked: bool = False

    # --- reservations

    def reserve(self, standing: dict[str, Reservation]) -> None:
        """Make the engine's reservations those of the booked stretches."""
        wanted = {reservation_name(self.connection, stretch): stretch for stretch in self._stretches()}
        ours = reservation_name(self.connection)
        if gone := [name for name in standing if name not in wanted and name.startswith(ours)]:
            self.stop()  # what still runs in them ends for our reason, not because the engine was told to end it
        for name in gone:
            self._release(name)
        by_booking: dict[int, list[BookedStretch]] = {}
        for name, stretch in wanted.items():
            if self._keep(name, stretch, standing.get(name)) and stretch.reserved_at is None:
                by_booking.setdefault(stretch.booking_id, []).append(stretch)
        for kept in by_booking.values():
            booked.note_reserved(self.actor, booking=kept[0].booking, stretches=kept)
            self.changed += 1

    def _stretches(self) -> QuerySet[BookedStretch]:
        now = clock.hour_of(clock.now())
        rows = BookedStretch.objects.filter(
            booking__pool__site=self.connection.site_id, booking__state__in=LIVE, end_hour__gt=now,
            start_hour__lt=now + RESERVE_AHEAD_HOURS,
        )  # fmt: skip
        return rows.select_related("booking__pool__card_model").order_by("start_hour", "id")

    def _release(self, name: str) -> None:
        try:
            self.engine.release(name)
            self.changed += 1
        except EngineError as error:
            if error.code != REFUSED:  # jobs still run in it; it goes when they have ended
                raise

    def _keep(self, name: str, stretch: BookedStretch, there: Reservation | None) -> bool:
        """Reserve a stretch; False when the engine has not the cards."""
        start, end = clock.instant_of(stretch.start_hour), clock.instant_of(stretch.end_hour)
        if there is not None and (there.cards, there.end) == (stretch.cards, end):
            return True
        card = connections.word(self.connection, stretch.booking.pool.card_model.code)
        wanted = Reservation(
            name, card, stretch.cards, max(start, clock.now()), end, tenant=stretch.booking.party_id
        )  # fmt: skip
        try:
            self.engine.reserve(wanted)
        except EngineError as error:
            if error.code == UNREACHABLE:
                raise
            booked.note_fault(self.actor, booking=stretch.booking, text=f"{error.code}: {error.text}")
            return False
        return True

    # --- attempts under way

    def _open(self) -> QuerySet[Attempt]:
        rows = Attempt.objects.filter(OPEN, connection=self.connection).order_by("id")
        return rows.select_related("job__booking__pool__card_model", "booking__pool__card_model", "booking__party")

    def send(self) -> None:
        """Hand over what an earlier turn wrote down and could not; on a faulty engine only end what came too late."""
        for attempt in self._open().filter(sent_at=None):
            if self.connection.state != Connection.State.FAULTY or _room(attempt) is None:
                self._hand_over(attempt)

    def _hand_over(self, attempt: Attempt) -> None:
        room = _room(attempt)
        nodes = self._nodes(attempt.job, attempt.booking) if room is not None else None
        if room is None or nodes == 0 or not _fits(attempt, room[0]):
            self._withdraw(attempt, "stretch_ended" if room is None else "nodes" if nodes == 0 else "recalled")
            return
        stretch, seconds = room
        if not self._is_prepared(attempt) or nodes is None or stretch.reserved_at is None:
            return
        try:
            self.engine.submit(self._spec(attempt, reservation_name(self.connection, stretch), seconds, nodes))
        except EngineError as error:
            if error.code == UNREACHABLE:
                raise
            self._refuse(attempt, error.code, error.text)
        except OSError as error:
            self._refuse(attempt, "store", str(error))
        else:
            self._sent(attempt)

    def _is_prepared(self, attempt: Attempt) -> bool:
        """Whether its folder is ready; asks for it to be made."""
        if attempt.prepared_at is None and attempt.job.cancel_asked:
            self._refuse(attempt, "cancelled", "")
        elif attempt.prepared_at is None:
            name = f"folder of job {attempt.job_id} at {self.connection.pk}"
            place = copies.INTO, self.connection.pk
            self.changed += self.copy(place, name, partial(copies.prepare, self.actor, attempt.pk))
            attempt.refresh_from_db(fields=["prepared_at"])
        return attempt.prepared_at is not None

    def _withdraw(self, attempt: Attempt, reason: str) -> None:
        """It cannot run now: refused, unless the engine took it without our hearing; then it ends with an account."""
        name = attempt.name
        known = self.engine.watch([name]).get(name, Status(Phase.LOST)).phase != Phase.LOST
        if known or name in self.engine.usage([name]):
            self._sent(attempt)
            self._end(attempt, reason)
        else:
            self._refuse(attempt, reason, "")

    def _sent(self, attempt: Attempt) -> None:
        writes.note_sent(self.actor, attempt=attempt)
        self.changed += 1

    def _refuse(self, attempt: Attempt, code: str, text: str) -> None:
        writes.note_refused(self.actor, attempt=attempt, code=code, text=text)
        self.changed += 1

    def _nodes(self, job: Job, booking: Booking) -> int | None:
        """Over how many nodes a job spreads here (`connections.nodes_for`); asks the engine when no check could say."""
        template = TEMPLATES[job.template]
        nodes = connections.nodes_for(self.connection, booking.pool, template, job.cards)
        if nodes is None and not self.looked:
            self.looked = True
            found = sites.note_nodes(self.actor, connection=self.connection, nodes=self.engine.nodes())
            self.connection.nodes = found.nodes
            nodes = connections.nodes_for(self.connection, booking.pool, template, job.cards)
        return nodes

    def _spec(self, attempt: Attempt, reservation: str, seconds: int, nodes: int) -> JobSpec:
        """The run, in its folder."""
        job, pool, directory = attempt.job, attempt.booking.pool, connections.workdir(self.connection)
        template = TEMPLATES[job.template]
        inputs = job.inputs.aggregate(bytes=Sum("bytes"))["bytes"] or 0
        return JobSpec(
            name=attempt.name, argv=template.command(job.parameters, connections.python(self.connection)),
            directory=folders.folder_of(job, directory), log=folders.log_of(attempt, directory),
            cards=attempt.cards, nodes=nodes, seconds_max=seconds,
            card=connections.word(self.connection, pool.card_model.code),
            tenant=attempt.booking.party_id, environment=folders.environment(job, directory, seconds),
            reservation=reservation, **connections.bounds(self.connection, attempt.cards, nodes, inputs),
        )  # fmt: skip

    def find(self) -> None:
        """Take up jobs that a tenant's people submitted in its reservation by themselves, so that they are counted.

        Those of hours that are over are looked for in the accounts too, until their booking closes.
        """
        now = clock.hour_of(clock.now())
        begun = BookedStretch.objects.filter(
            booking__pool__site=self.connection.site_id, booking__closed_at=None, reserved_at__isnull=False,
            start_hour__lte=now,
        )  # fmt: skip
        by_name = {reservation_name(self.connection, one): one for one in begun.select_related("booking")}
        over = [clock.instant_of(one.start_hour) for one in by_name.values() if one.end_hour <= now]
        for found in self.engine.find(list(by_name), min(over, default=None)) if by_name else ():
            if not Attempt.objects.filter(name=found.name).exists():
                stretch = by_name[found.reservation]
                take_up(self.actor, connection=self.connection, stretch=stretch, found=found)
                self.changed += 1

    def watch(self) -> None:
        """Ask after open attempts: which run, and the accounts of those that are over."""
        sent = {attempt.name: attempt for attempt in self._open().filter(sent_at__isnull=False)}
        if not sent:
            return
        told = self.engine.watch(list(sent))
        over = [name for name, said in told.items() if said.phase in (Phase.ENDED, Phase.LOST)]
        usage = self.engine.usage(sorted(over)) if over else {}
        for name, attempt in sent.items():
            said = told.get(name, Status(Phase.LOST))
            if said.phase == Phase.RUNNING:
                self._running(attempt, said)
            elif said.phase in (Phase.ENDED, Phase.LOST):
                self._over(attempt, said, usage.get(name))

    def _running(self, attempt: Attempt, said: Status) -> None:
        if attempt.state == Attempt.State.SUBMITTED:
            # an engine that does not tell the start is taken at its first word that it runs: no time is nobody's
            writes.note_running(self.actor, attempt=attempt, started=said.started or clock.now(), node=said.node)
            self.changed += 1
        if attempt.seen_at is None or clock.now() - attempt.seen_at >= SEEN_EVERY:
            # what was last seen is no business of the log, like progress
            Attempt.objects.filter(pk=attempt.pk).update(seen_at=clock.now())
        folders.read_metrics(attempt, connections.workdir(self.connection))

    def _over(self, attempt: Attempt, said: Status, usage: Usage | None) -> None:
        if self._is_early(attempt, said, usage):
            return
        left = bookings.seconds_left(attempt.booking, clock.now())
        writes.account(
            self.actor, attempt=attempt, exit_code=said.exit_code, usage=usage, capped=left is not None and left <= 0,
            reason="lost" if said.phase == Phase.LOST and not said.reason else said.reason,
        )  # fmt: skip
        self.changed += 1

    def _is_early(self, attempt: Attempt, said: Status, usage: Usage | None) -> bool:
        """Whether the engine may only be late: it does not know the job yet, or has not written its account."""
        since = max(filter(None, (attempt.seen_at, attempt.sent_at)))
        if said.phase == Phase.LOST and attempt.state == Attempt.State.SUBMITTED and usage is None:
            return clock.now() - since < LOST_GRACE
        if said.reason == "no_start":
            return False
        return (usage is None or usage.ended is None) and clock.now() - since < ACCOUNT_WAIT

    def count(self) -> None:
        """Where fewer cards work than there should be the operator is told; once that lasts, what is promised of them
        failed."""
        now, site = clock.now(), self.connection
        if site.counted_at is not None and now - site.counted_at < COUNT_EVERY:
            return
        sites.note_short(self.actor, connection=site, short=failures.shortage(site, self.engine.cards()))
        self.changed += failures.take_back(self.actor, site, LOST_AFTER)
        Connection.objects.filter(pk=site.pk).update(counted_at=now)

    def stop(self) -> None:
        """End what may not run any more."""
        for attempt, reason in self._to_stop():
            self._end(attempt, reason)

    def _end(self, attempt: Attempt, reason: str) -> None:
        writes.note_stop(self.actor, attempt=attempt, reason=reason)
        self.engine.cancel(attempt.name)
        self.changed += 1

    def _to_stop(self) -> Iterator[tuple[Attempt, str]]:
        now, by_booking = clock.now(), dict[int, list[Attempt]]()
        for attempt in self._open().filter(sent_at__isnull=False):
            if attempt.reason:
                yield attempt, attempt.reason
            elif attempt.job.cancel_asked:
                yield attempt, "cancelled"
            elif now >= attempt.until:
                yield attempt, "stretch_ended"
            else:
                by_booking.setdefault(attempt.booking_id, []).append(attempt)
        for running in by_booking.values():
            yield from _beyond(running[0].booking, running, now)

    # --- starting

    def start(self) -> None:
        """Hand waiting jobs over while their booking has free cards now."""
        now = clock.now()
        live = Booking.objects.filter(
            pool__site=self.connection.site_id, state=Booking.State.RESERVED, jobs__state=Job.State.QUEUED
        )
        for booking in live.select_related("pool__card_model", "party").distinct().order_by("id"):
            stretch = bookings.stretch_at(booking, clock.hour_of(now))
            if stretch is not None and stretch.reserved_at is not None:
                self._start_in(booking, stretch)

    def _start_in(self, booking: Booking, stretch: BookedStretch) -> None:
        free = stretch.cards - bookings.cards_running(booking)
        until = clock.instant_of(stretch.end_hour)
        waiting = booking.jobs.filter(state=Job.State.QUEUED, cards__lte=free).order_by("id")
        for job in waiting[:STARTED_PER_TURN] if free > 0 else ():
            left = bookings.seconds_left(booking, clock.now())
            if left is not None and left < job.cards:
                jobs_actions.cap_jobs(self.actor, booking=booking)
                self.changed += 1
                return
            ahead = int((until - clock.now()).total_seconds())
            if job.cards > free or _runs(job) or self._is_on_its_way(job) or ahead < SECONDS_LEAST:
                continue
            if not self._can_spread(job, booking):
                continue
            paid = ahead if left is None else -(-left // job.cards)
            attempt = self._begin(job, min(job.seconds_max, ahead, paid), until)
            if attempt is not None:
                free -= job.cards
                self._hand_over(attempt)

    def _can_spread(self, job: Job, booking: Booking) -> bool:
        """Whether the site's nodes can take a job; while they cannot, it waits and says why."""
        nodes = self._nodes(job, booking)
        if nodes == 0 and job.reason != "nodes":
            jobs_actions.note_waiting(self.actor, job=job, reason="nodes")
            self.changed += 1
        return bool(nodes)

    def _begin(self, job: Job, seconds: int, until: datetime) -> Attempt | None:
        number = writes.next_number(job)
        with suppress(Refused):  # somebody cancelled it, or took the cards, meanwhile
            made = writes.begin(
                self.actor, job=job, number=number, connection=self.connection, seconds_max=seconds, until=until
            )
            return self._open().get(pk=made.pk)
        return None

    def _is_on_its_way(self, job: Job) -> bool:
        """Whether its checkpoint is still being brought into the store at the site where it ran."""
        return job.attempts.filter(keep_until__gt=clock.now()).exclude(connection=self.connection).exists()


def _room(attempt: Attempt) -> tuple[BookedStretch, int] | None:
    """The stretch in which an attempt may run now, and for how many seconds; None when its hours are over."""
    stretch = bookings.stretch_at(attempt.booking, clock.hour_of(clock.now()))
    seconds = min(attempt.seconds_max, int((attempt.until - clock.now()).total_seconds()))
    return (stretch, seconds) if stretch is not None and seconds >= 1 else None


def _fits(attempt: Attempt, stretch: BookedStretch) -> bool:
    """Whether a stretch still has an attempt's cards, beside those of others that run or were begun before it."""
    before = attempt.booking.attempts.filter(OPEN).exclude(pk=attempt.pk)
    before = before.filter(Q(sent_at__isnull=False) | Q(pk__lt=attempt.pk))
    return attempt.cards + (before.aggregate(cards=Sum("cards"))["cards"] or 0) <= stretch.cards


def _runs(job: Job) -> bool:
    """Whether an attempt is open that was not given up."""
    return job.attempts.filter(OPEN).exclude(reason="engine_lost").exists()


def _beyond(booking: Booking, running: Sequence[Attempt], now: datetime) -> Iterator[tuple[Attempt, str]]:
    """Attempts for which the booking has no cards or no money any more, the newest first."""
    stretch = bookings.stretch_at(booking, clock.hour_of(now))
    over, recalled = (booking.state not in LIVE), booking.fault in ("recall", "failure", "rescheduled")
    left = bookings.seconds_left(booking, now)
    cards = stretch.cards if stretch is not None else 0
    used = sum(attempt.cards for attempt in running)
    for attempt in sorted(running, key=lambda attempt: -attempt.pk):
        if left is not None and left <= 0:
            yield attempt, "capped"
        elif used > cards:
            yield attempt, "booking_over" if over and not recalled else "recalled"
            used -= attempt.cards


def _close(actor: Actor) -> int:
    """End bookings whose hours are over, close those of which all is accounted for."""
    now, changed = clock.hour_of(clock.now()), 0
    live = Booking.objects.filter(state__in=LIVE).annotate(last=Max("stretches__end_hour"))
    passed_on = Q(last=None, end_hour__lte=now)
    for booking in live.filter(Q(last__lte=now) | passed_on).order_by("id"):
        changed += _apart(booking.number, partial(_end_one, actor, booking))
    for done in Booking.objects.filter(closed_at=None).exclude(state__in=LIVE).order_by("id"):
        changed += _apart(done.number, partial(_close_one, actor, done))
    return changed


def _end_one(actor: Actor, booking: Booking) -> int:
    with suppress(Refused):
        booked.end_booking(actor, booking=booking)
        return 1
    return 0


def _is_looked_for(booking: Booking) -> bool:
    """Whether people may have submitted jobs in its reservation that an engine which is silent now would tell."""
    site = connections.of(booking.pool)
    if site is None or site.failing_since is None or not site.settings.get("users"):
        return False
    return clock.now() - site.failing_since < failures.UNKNOWN_AFTER


def _close_one(actor: Actor, booking: Booking) -> int:
    if booking.attempts.filter(OPEN).exists() or _is_looked_for(booking):
        return 0
    try:
        booked.close_booking(actor, booking=booking)
    except Refused as error:
        log.warning("booking %s cannot be closed: %s", booking.number, error)
        return 0
    return 1
