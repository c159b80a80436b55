"""Copying between the folders of jobs and the store, apart from the turn: a slow store or disk holds up nobody else.

Three things are copied: what a job reads, with its stored checkpoint, before it starts; its checkpoint, every
KEEP_EVERY while it runs and when an attempt ends; its outputs when it has ended. What goes into the folders of a site
and what comes out of them have slots of their own: slow copies hold up neither the starts of their site nor another
site. What is to be copied is read from the rows, and the row is written when the copy is done: a copy that died with
its process is begun again by a later turn, and what was copied already is found in the store.

A turn asks for a copy (`Copies`) and does not wait for it. In the runner's process `Threads` does them; `at_once` does
them in the turn itself, for tests and the demo. The worker's leased tasks (`base.tasks`) are no way for this: a worker
may run where no folder of a job can be reached, and a copy of an hour would keep it from its rounds.
"""

import logging
import os
import resource
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from datetime import timedelta
from functools import partial

from django.db import connections as databases
from django.db.models import Count, F, OuterRef, Q, Subquery

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.jobs import checkpoints, connections, folders, store
from huoshui.jobs.actions import attempts as writes
from huoshui.jobs.artefacts import UNFINISHED
from huoshui.jobs.beneath import Changing
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.models import Attempt, Job
from huoshui.jobs.templates import TEMPLATES

log = logging.getLogger(__name__)
KEEP_EVERY = timedelta(minutes=10)
GONE_AFTER = timedelta(days=7)
"""For so long the outputs of an ended job are looked for where the disk of its site is not there."""
AT_PLACE_MAX, WAITING_MAX = 4, 1_000
"""Copies under way, and waiting, at a place."""
OPEN_FILES_MAX = 65_536
RETRY_SECONDS = 30
END_SECONDS_MAX = 5
LATER = ("store_down", "try_again")
"""Refusals of the store that pass."""

Work = Callable[[], None]
Place = tuple[str, int]
"""INTO or OUT_OF the folders of a connection, by its number; OUT_OF 0: of none."""
INTO, OUT_OF = "into", "out of"
Copies = Callable[[Place, str, Work], bool]
"""Asks for a copy at a place, under a name; False when nothing came of it yet and it is to be asked for again."""


def at_once(place: Place, name: str, work: Work) -> bool:
    """Do it here and now; False when it failed."""
    try:
        work()
    except (Refused, OSError, Changing) as error:
        log.warning("%s (%s %s): %s", name, *place, error)
    except Exception:
        log.exception("%s (%s %s)", name, *place)
    else:
        return True
    return False


class Threads:
    """Copies in threads: AT_PLACE_MAX at a place, whatever others do; one of a name; what failed rests.

    Each copy has a database connection of its own. Threads end with the process, wherever they are.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Place, deque[tuple[str, Work]]] = {}
        self._running: Counter[Place] = Counter()
        self._names: set[str] = set()
        self._rests: dict[str, float] = {}
        _raise_open_files()

    def __call__(self, place: Place, name: str, work: Work) -> bool:
        """Have a copy made, unless it waits or runs already, or rests."""
        with self._lock:
            now = time.monotonic()
            self._rests = {rests: until for rests, until in self._rests.items() if until > now}
            waiting = self._waiting.setdefault(place, deque())
            if name in self._names or name in self._rests or len(waiting) >= WAITING_MAX:
                return False
            self._names.add(name)
            waiting.append((name, partial(copy_context().run, work)))
            found = self._next(place)
        if found is not None:
            try:
                threading.Thread(target=self._run, args=(place, *found), name=found[0], daemon=True).start()
            except RuntimeError:
                self._free(place, found[0], done=False)
                raise
        return True

    def _next(self, place: Place) -> tuple[str, Work] | None:
        """What may run now at a place, counted as running."""
        if self._running[place] >= AT_PLACE_MAX or not self._waiting[place]:
            return None
        self._running[place] += 1
        return self._waiting[place].popleft()

    def _run(self, place: Place, name: str, work: Work) -> None:
        """Make this copy, then others that wait at its place."""
        found: tuple[str, Work] | None = (name, work)
        while found is not None:
            done = False
            try:
                done = at_once(place, *found)
                databases.close_all()
            except Exception:
                log.exception("the database after %s", found[0])
            finally:
                self._free(place, found[0], done)
            with self._lock:
                found = self._next(place)

    def _free(self, place: Place, name: str, done: bool) -> None:
        with self._lock:
            self._names.discard(name)
            self._running[place] -= 1
            if not done:
                self._rests[name] = time.monotonic() + RETRY_SECONDS

    def wait(self, seconds: float) -> bool:
        """Wait for all copies; False when some still wait or run after so long."""
        deadline = time.monotonic() + seconds
        while self._names and time.monotonic() < deadline:
            time.sleep(0.01)
        return not self._names


def _raise_open_files() -> None:
    """Let this process open as many files as it may: a copy holds all files of a checkpoint open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES_MAX if hard == resource.RLIM_INFINITY else min(OPEN_FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


# --- what is due --------------------------------------------------------------------------------------------------


def turn(copy: Copies) -> int:
    """Ask for the copies that are due out of the folders; returns of how many something came."""
    return sum(copy((OUT_OF, site), name, work) for site, name, work in (*_checkpoints(), *_outputs()))


def _checkpoints() -> Iterator[tuple[int, str, Work]]:
    """Of attempts that run and may start again, now and then; of those that a job goes on from, once more."""
    before = clock.now() - KEEP_EVERY
    kept = [code for code, template in TEMPLATES.items() if template.checkpoints]
    long_ago = Q(kept_at__lt=before) | Q(kept_at=None, sent_at__lt=before)
    sent = Count("job__attempts", filter=Q(job__attempts__sent_at__isnull=False))
    runs = Q(state=Attempt.State.RUNNING, reason="", sent__lt=F("job__attempts_max"), job__template__in=kept)
    due = (runs & long_ago) | Q(keep_until__isnull=False)
    rows = Attempt.objects.annotate(sent=sent).filter(due, job__state__in=UNFINISHED)
    for attempt in rows.filter(connection__state__in=connections.VISITED).order_by("pk"):
        yield attempt.connection_id, _out_of(attempt.connection_id, attempt.job_id), partial(_keep, attempt.pk)


def _outputs() -> Iterator[tuple[int, str, Work]]:
    """Of jobs that have ended, where they ran last, when every attempt is accounted for or given up elsewhere.

    Where they were sent last when none started. After GONE_AFTER whatever is there: the site may be off for ever.
    """
    under_way = Attempt.objects.filter(OPEN).exclude(reason="engine_lost")
    sent = Attempt.objects.filter(OPEN | Q(sent_at__isnull=False), job=OuterRef("pk"))
    ran = sent.alias(never=Q(started_at=None)).order_by("never", "-number")
    ended = Job.objects.filter(collected_at=None, ended_at__isnull=False, attempts__isnull=False).distinct()
    rows = ended.exclude(attempts__in=under_way).order_by("pk").values_list(
        "pk", "ended_at",
        *(Subquery(ran.values(field)[:1]) for field in ("pk", "connection_id", "connection__state", "state")),
    )  # fmt: skip
    long_ago = clock.now() - GONE_AFTER
    for job, ended_at, last, connection, site, state in rows:
        there = site in connections.VISITED and state == Attempt.State.ENDED
        if last is None or there or ended_at < long_ago:
            yield connection or 0, _out_of(connection or 0, job), partial(_collect, job, last)


def _out_of(connection: int, job: int) -> str:
    """A job's folder is copied from once at a time, be it checkpoint or outputs."""
    return f"copy of job {job} from {connection}"


# --- the copies ---------------------------------------------------------------------------------------------------


def _attempt(pk: int) -> Attempt:
    return Attempt.objects.select_related("job__booking__party", "connection", "booking").get(pk=pk)


def prepare(actor: Actor, pk: int) -> None:
    """Make the folder of an attempt ready; what its job reads may have been lost or changed: then it is refused."""
    attempt = _attempt(pk)
    if attempt.prepared_at is not None or attempt.state == Attempt.State.ENDED:
        return
    try:
        folders.prepare(attempt.job, attempt, connections.workdir(attempt.connection))
    except (Refused, store.Damaged, OSError) as error:
        if isinstance(error, Refused) and error.code in LATER:
            raise
        writes.note_refused(actor, attempt=attempt, code="store", text=str(error))
    else:
        Attempt.objects.filter(pk=pk).update(prepared_at=clock.now())


def _keep(pk: int) -> None:
    """Bring the checkpoint of an attempt into the store; what cannot be before `keep_until` is given up."""
    attempt = _attempt(pk)
    last, rows = attempt.keep_until, Attempt.objects.filter(pk=pk)
    try:
        checkpoints.take(attempt, folders.folder_of(attempt.job, connections.workdir(attempt.connection)))
    except (Refused, OSError, Changing) as error:
        if last is None or clock.now() < last:
            raise
        log.warning("the last checkpoint of %s is given up: %s", attempt.name, error)
    finally:
        rows.update(kept_at=clock.now())  # what was in vain waits as long as what was not
    if last is not None:
        rows.filter(keep_until=last).update(keep_until=None)


def _collect(pk: int, last: int | None) -> None:
    """Make what a job wrote artefacts, and forget its checkpoint; `last` is the attempt that ran last, if one did."""
    job = Job.objects.select_related("booking__party").get(pk=pk)
    if job.collected_at is not None:
        return
    checkpoints.drop(job)
    if last is not None:
        attempt = _attempt(last)
        workdir = connections.workdir(attempt.connection)
        folder = folders.folder_of(job, workdir)
        if not os.path.isdir(folder) and clock.now() - (job.ended_at or clock.now()) < GONE_AFTER:
            raise FileNotFoundError(f"no folder {folder}")
        folders.read_metrics(attempt, workdir)
        folders.collect(job, workdir)
    Job.objects.filter(pk=pk).update(collected_at=clock.now())
