"""Checkpoints in the store 检查点: a job that starts again at another site, or whose disk was lost, goes on from one.

    checkpoint/ ── a snapshot, held open ──► staged ──► contents, by digest ──► rows that name them, in one transaction

A checkpoint is whole when it is the folder as it stood at one moment: what the job would have found had its node died
then. So it asks of a program what a lost node asks of it: a file is written beside the old one (under a name that ends
in `.part`) and renamed, or only ever appended to. Nothing is put into the store before all of it was read so, and the
rows are written last; what no row names any more goes with the store's sweep. Only the last is kept, while its job has
not ended; the checkpoints of a party have room of their own. Like progress it is no business of the log.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from django.db import transaction

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.engines import JobSpec
from huoshui.jobs import artefacts, beneath, store
from huoshui.jobs.beneath import Changing, Held, Unfit
from huoshui.jobs.models import Attempt, CheckpointFile, Job

log = logging.getLogger(__name__)
FILES_MAX = 100
"""All are open at once while they are copied."""
BYTES_MAX = JobSpec.disk_mib << 20
"""No more than the disk that a job may use: it is put back where that bound holds."""
LOST = "lost"
NAME_LENGTH_MAX = CheckpointFile._meta.get_field("name").max_length or 0
FOLDER = "checkpoint"
Manifest = list[tuple[str, str, int, int]]
"""(name, digest, bytes, modified_ns) of each file, by name."""


# --- into the store -----------------------------------------------------------------------------------------------


def take(attempt: Attempt, folder: Path) -> None:
    """Bring the checkpoint in a job's folder into the store, if it is not there as it is.

    One that cannot be kept is said on the job. Raises Changing when no moment of it could be held, Refused when the
    store does not answer, OSError when the folder cannot be read: later it may be possible.
    """
    job = attempt.job
    try:
        with beneath.snapshot(folder, FOLDER, files_max=FILES_MAX) as held:
            at = clock.now()
            known = {row[0]: row for row in stored(job)}
            if held and {one.name: (one.size, one.modified_ns) for one in held} != {
                name: row[2:] for name, row in known.items()
            }:
                _require_room(job, held)
                artefacts.let_database_go()
                note(attempt, _kept(held), at)
    except Unfit as error:
        _say(job, error.code)
    except Changing:
        _say(job, "changing")
        raise
    else:
        _say(job, "")


def _say(job: Job, fault: str) -> None:
    """Why no newer checkpoint could be kept; a job that has ended keeps none. A loss is said until there is a newer."""
    if job.checkpoint_fault not in (fault, LOST):
        Job.objects.filter(pk=job.pk, collected_at=None).update(checkpoint_fault=fault)


def stored(job: Job) -> Manifest:
    """What the store has of a job's checkpoint."""
    return list(job.checkpoint_files.order_by("name").values_list("name", "digest", "bytes", "modified_ns"))


def _require_room(job: Job, held: Iterable[Held]) -> None:
    size = sum(one.size for one in held)
    if size > BYTES_MAX:
        raise Unfit("large")
    if size > artefacts.checkpoint_room(job):
        raise Unfit("room")


def _kept(held: Sequence[Held]) -> Manifest:
    """Every file read as it was held, then put into the store: a void copy puts nothing there."""
    with ExitStack() as stack:
        contents = [_staged(stack, one) for one in held]
        for content in (*contents, *contents):  # the first may be gone again, or old, when the last is there
            store.keep(content)
        return [
            (one.name, content.digest, content.bytes, one.modified_ns)
            for one, content in zip(held, contents, strict=True)
        ]


def _staged(stack: ExitStack, one: Held) -> store.Staged:
    if len(one.name) > NAME_LENGTH_MAX:
        raise Unfit("odd")
    content = stack.enter_context(store.staged(one.chunks(), one.size))
    if content.bytes < one.size or (one.was_written() and not _same(one, content.digest)):
        raise Changing(one.name)  # it was written over, not only appended to
    return content


def _same(one: Held, digest: str) -> bool:
    """Whether a second reading finds what the first found."""
    found = hashlib.sha256()
    for chunk in one.chunks():
        found.update(chunk)
    return found.hexdigest() == digest


def note(attempt: Attempt, files: Manifest, at: datetime) -> None:
    """Make contents that were just kept the checkpoint of a job, unless it has ended or has a newer one meanwhile."""
    with transaction.atomic():
        job = Job.objects.select_for_update().get(pk=attempt.job_id)
        there = (job.checkpoint_attempt or 0, job.checkpoint_at or at)
        if job.state in artefacts.UNFINISHED and there <= (attempt.number, at):
            job.checkpoint_files.all().delete()
            CheckpointFile.objects.bulk_create(
                CheckpointFile(job=job, name=name, digest=digest, bytes=size, modified_ns=modified)
                for name, digest, size, modified in files
            )
            job.checkpoint_attempt, job.checkpoint_at, job.checkpoint_fault = attempt.number, at, ""
            job.save(update_fields=["checkpoint_attempt", "checkpoint_at", "checkpoint_fault"])


def drop(job: Job, fault: str = "") -> None:
    """Forget a job's checkpoint."""
    with transaction.atomic():
        row = Job.objects.select_for_update().get(pk=job.pk)
        row.checkpoint_files.all().delete()
        row.checkpoint_attempt, row.checkpoint_at, row.checkpoint_fault = None, None, fault
        row.save(update_fields=["checkpoint_attempt", "checkpoint_at", "checkpoint_fault"])


# --- out of the store ---------------------------------------------------------------------------------------------


def restore(attempt: Attempt, folder: Path) -> bool:
    """Put the stored checkpoint into the folder of a job of which nothing runs, unless what lies there is as new.

    It replaces only what an earlier attempt left and what was written before; the folder is renamed into place whole.
    Raises Refused, all of which pass: the store does not answer, the disk takes no more, or the store has lost or
    changed something; asked again, the job then goes without.
    """
    job = Job.objects.get(pk=attempt.job_id)
    files, part = stored(job), staging(folder)
    if job.checkpoint_attempt is None or not files:
        return False
    here = _written_at(folder)
    if here is not None and (
        job.checkpoint_attempt <= _last_here(attempt, folder) or max(row[3] for row in files) <= here
    ):
        return False
    artefacts.let_database_go()
    try:
        clear(folder)
        part.mkdir(mode=0o700)
        (part / "new").mkdir(mode=0o700)
        for name, digest, _size, modified in files:
            path = part / "new" / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            store.fetch(digest, path)
            os.utime(path, ns=(modified, modified))
        with suppress(FileNotFoundError):
            (folder / FOLDER).rename(part / "old")
        (part / "new").rename(folder / FOLDER)
    except OSError as error:
        raise Refused(str(error), code="try_again") from error
    except (Refused, store.Damaged) as error:
        if isinstance(error, Refused) and error.code == "store_down":
            raise
        if files == stored(job):  # else a newer one took its place meanwhile
            log.error("checkpoint of %s: %s", job.number, error)
            drop(job, LOST)
        raise Refused(str(error), code="try_again") from error
    finally:
        with suppress(OSError):
            clear(folder)
    return True


def staging(folder: Path) -> Path:
    """Where a checkpoint is put together, beside the folder of its job: no job can reach it there."""
    return folder.with_name(f".{folder.name}.part")


def clear(folder: Path) -> None:
    """Take away what an interrupted restoration left."""
    with suppress(FileNotFoundError):
        shutil.rmtree(staging(folder))


def _written_at(folder: Path) -> int | None:
    """When a file of the checkpoint that lies there was written last, in nanoseconds; None when there is none."""
    found = [
        (Path(above) / name).lstat().st_mtime_ns
        for above, _folders, names in os.walk(folder / FOLDER) for name in names
    ]  # fmt: skip
    return max(found, default=None)


def _last_here(attempt: Attempt, folder: Path) -> int:
    """The last attempt before this one whose folder this was; 0: none."""
    earlier = attempt.job.attempts.filter(number__lt=attempt.number, prepared_at__isnull=False)
    places = {one.number: Path(one.connection.settings["workdir"]) for one in earlier.select_related("connection")}
    return max((number for number, place in places.items() if place.resolve() == folder.parent.resolve()), default=0)
