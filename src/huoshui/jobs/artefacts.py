"""Whose content lies in the store, how much room is left, and when content may go.

Several artefacts, of several parties, may refer to the same content, and so may checkpoints of jobs that have not
ended. Nothing takes content out but the sweep, hourly: what no row names, and nobody has put in for ORPHAN_AGE. Who
refers to content has just kept it, and keeping puts in again what is not fresh (`store.FRESH`, half that age): so
content does not disappear under a row that is being made, and no transaction waits for the store.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from django.db import connections as databases
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.jobs import store
from huoshui.jobs.models import Artefact, CheckpointFile, Job, TrainedModel
from huoshui.jobs.permissions import READ, RUN
from huoshui.registry.models import Party

PARTY_BYTES_MAX = 100 << 30
"""What one party may keep; content that it has twice counts once."""
CHECKPOINT_BYTES_MAX = 100 << 30
"""What the checkpoints of its jobs may take beside that."""
ARTEFACTS_MAX = 20_000
ORPHAN_AGE = 2 * store.FRESH
STAGED_AGE = timedelta(days=1)
UNFINISHED = (Job.State.QUEUED, Job.State.RUNNING)


def artefacts(
    actor: Actor, *, text: str = "", kind: str = "", party: Party | None = None, deleted: bool = False
) -> QuerySet[Artefact]:
    """Artefacts that the actor may see, newest first."""
    found = access.visible(Artefact.objects.all(), actor, READ).select_related("party", "made_by")
    if not deleted:
        found = found.filter(deleted_at=None)
    if kind:
        found = found.filter(kind=kind)
    if party is not None:
        found = found.filter(party=party)
    if text := text.strip():
        found = found.filter(Q(name__icontains=text) | Q(digest__startswith=text.lower()))
    return found.order_by("-pk")


def artefact(actor: Actor, pk: int) -> Artefact:
    """One artefact. Raises Missing."""
    return access.get_visible(Artefact.objects.select_related("party", "made_by"), actor, READ, pk=pk)


def content_of(actor: Actor, pk: int) -> Artefact:
    """One artefact whose content the actor may open. Raises Missing, Forbidden to who only oversees."""
    row = artefact(actor, pk)
    actor.require(RUN, row)
    return row


def used_bytes(party: Party) -> int:
    """What a party keeps in the store, without the checkpoints of its jobs."""
    living = Artefact.objects.filter(party=party, deleted_at=None).values_list("digest", "bytes")
    return sum(size for _digest, size in living.distinct())


def room_of(party: Party) -> int:
    """Bytes that a party may still put in."""
    return max(0, PARTY_BYTES_MAX - used_bytes(party))


def checkpoint_room(job: Job) -> int:
    """Bytes that the next checkpoint of a job may have: its party's others stay, its own goes."""
    others = CheckpointFile.objects.filter(job__booking__party=job.booking.party).exclude(job=job)
    used = sum(size for _digest, size in others.values_list("digest", "bytes").distinct())
    return max(0, CHECKPOINT_BYTES_MAX - used)


def lock(digest: str) -> QuerySet[Artefact]:
    """Every artefact with this content, locked to the end of the transaction."""
    rows = Artefact.objects.filter(digest=digest)
    list(rows.select_for_update().order_by("pk").values_list("pk"))
    return rows


def locked(files: Mapping[str, Artefact]) -> dict[str, Artefact]:
    """Files as they stand, locked, so that none is deleted while a job that reads it is being made."""
    rows = Artefact.objects.filter(pk__in={artefact.pk for artefact in files.values()})
    found = {row.pk: row for row in rows.select_for_update().order_by("pk")}
    return {name: found[artefact.pk] for name, artefact in files.items()}


def require_unused(artefact: Artefact) -> None:
    """Raises Refused while a job that has not ended reads it, or a trained model is made of it."""
    job = artefact.used_by.filter(state__in=UNFINISHED).order_by("pk").first()
    if job is not None:
        raise Refused(_("Job %(job)s reads this file.") % {"job": job.number}, code="in_use")
    model = TrainedModel.objects.filter(artefact=artefact).first()
    if model is not None:
        raise Refused(_("The model %(model)s is made of this file.") % {"model": model}, code="in_use")


def sweep() -> int:
    """Take out what no living artefact and no checkpoint names, put in before ORPHAN_AGE; returns how many."""
    before = clock.real_now() - ORPHAN_AGE
    old = [digest for digest, put_at in store.contents() if put_at < before]
    return sum(_clear(digest, before) for digest in old)


def _clear(digest: str, before: datetime) -> bool:
    """Take this content out, unless somebody refers to it or has kept it since the store was listed."""
    living = Artefact.objects.filter(digest=digest, deleted_at=None)
    if living.exists() or CheckpointFile.objects.filter(digest=digest).exists():
        return False
    put_at = store.put_at(digest)
    if put_at is None or put_at >= before:
        return False
    store.delete(digest)
    return True


def clear_staged() -> int:
    """Take away what was staged on this machine and never kept; returns how many files."""
    return store.clear_staged(clock.real_now() - STAGED_AGE)


def let_database_go() -> None:
    """Close connections to the database before a long copy, which they may not outlive: what follows opens others.

    One that is in a transaction stays.
    """
    for connection in databases.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
