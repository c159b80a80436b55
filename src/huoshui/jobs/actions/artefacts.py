"""Data in and out of the store 数据与产物: content first, then the artefact that refers to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.jobs import artefacts, store
from huoshui.jobs.models import Artefact, Job
from huoshui.jobs.permissions import RUN, STORE
from huoshui.jobs.templates import is_file_name
from huoshui.registry.models import Party

ARTEFACT_BYTES_MAX = 20 << 30
FORM_BYTES_MAX = 256 << 20
"""Larger files go through the REST API, which streams them."""
MADE_BY_HAND = (Artefact.Kind.DATA, Artefact.Kind.SCRIPT, Artefact.Kind.MODEL)


def upload(
    actor: Actor, *, key: str, party: Party, name: str, kind: str, chunks: Iterable[bytes],
    bytes_max: int = ARTEFACT_BYTES_MAX,
) -> Artefact:  # fmt: skip
    """Stream content into the store and make it an artefact.

    Raises Forbidden, Invalid (name, kind, size), Refused (quota, store_down). Refused or not, no half of a file stays.
    """
    actor.require(STORE, party)
    _check(name, kind)
    with store.staged(chunks, min(bytes_max, artefacts.room_of(party))) as content:
        store.keep(content)
        return create_artefact(
            actor, key=key, party=party, name=name, kind=kind, digest=content.digest, size=content.bytes
        )


def _check(name: str, kind: str) -> None:
    if not is_file_name(name) or len(name) > Artefact._meta.get_field("name").max_length:  # type: ignore[operator]
        raise invalid("name", name, _("a file name without path, at most 200 bytes"))
    if kind not in MADE_BY_HAND:
        raise invalid("kind", kind, _("one of: %(all)s") % {"all": ", ".join(MADE_BY_HAND)})


@action("jobs.artefact.create")
def create_artefact(act: Act, *, party: Party, name: str, kind: str, digest: str, size: int) -> Artefact:
    """An artefact of content that its caller has just kept in the store (see `upload`)."""
    act.require(STORE, party)
    _check(name, kind)
    # The party's row serialises its uploads: two at once cannot both take the last room.
    Party.objects.select_for_update().get(pk=party.pk)
    if artefacts.room_of(party) < size:
        rule = _("the party has room for %(left)s bytes")
        raise invalid("file", f"{size:,}", rule % {"left": f"{artefacts.room_of(party):,}"})
    if Artefact.objects.filter(party=party, deleted_at=None).count() >= artefacts.ARTEFACTS_MAX:
        raise Refused(_("The party keeps as many files as it may."), code="quota")
    made = Artefact.objects.create(
        party=party, name=name, kind=kind, digest=digest, bytes=size, created_at=act.at
    )
    act.record(made, {"party": party, "kind": kind, "digest": digest, "bytes": size})
    return made


@dataclass(frozen=True)
class Output:
    """One file that a job wrote, its content just kept in the store."""

    name: str
    digest: str
    bytes: int
    kind: str


@action("jobs.artefact.collect")
def collect_outputs(act: Act, *, job: Job, outputs: Sequence[Output]) -> list[Artefact]:
    """Make a job's files artefacts of its party; a file that is one already stays as it is."""
    job = Job.objects.select_for_update(of=("self",)).select_related("booking").get(pk=job.pk)
    act.require(RUN, job)
    known = {(made.name, made.digest): made for made in job.artefacts.all()}
    new = [
        Artefact(
            party_id=job.booking.party_id, name=output.name, kind=output.kind, digest=output.digest,
            bytes=output.bytes, made_by=job, created_at=act.at,
        )
        for output in outputs if (output.name, output.digest) not in known
    ]  # fmt: skip
    Artefact.objects.bulk_create(new)
    if new:
        act.record(job, {"outputs": [[output.name, output.digest, output.bytes] for output in outputs]})
    else:
        act.nothing_changed()
    return list(job.artefacts.order_by("pk"))


@action("jobs.artefact.delete")
def delete_artefact(act: Act, *, artefact: Artefact) -> Artefact:
    """Take a file out. Its content goes with the sweep when nothing else refers to it; the log keeps the digest."""
    rows = artefacts.lock(artefact.digest)
    artefact = rows.select_related("party").get(pk=artefact.pk)
    act.require(STORE, artefact)
    if artefact.deleted_at is not None:
        act.nothing_changed()
        return artefact
    artefacts.require_unused(artefact)
    artefact.deleted_at = act.at
    artefact.save(update_fields=["deleted_at"])
    act.record(artefact, {"deleted": True, "digest": artefact.digest})
    return artefact
