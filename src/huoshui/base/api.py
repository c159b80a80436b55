"""REST operations of `base`: who am I, and the log that anyone can check."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema

from huoshui.base import apikit, log
from huoshui.base.access import permissions
from huoshui.base.apikit import Id, actor
from huoshui.base.errors import invalid
from huoshui.base.queries import log_record

me = Router(tags=["base"])
records = Router(tags=["log"])


class MeOut(Schema):
    """The person behind the session or token, and in which scopes they hold which permission."""

    id: int
    username: str
    name: str
    permissions: dict[str, list[str]]


class RootOut(Schema):
    """The log's size and the root of its Merkle tree (hexadecimal, RFC 6962)."""

    size: int
    root: str


class CheckpointOut(RootOut):
    recorded_at: datetime


class InclusionOut(RootOut):
    """Receipt: SHA-256 over 0x00 and the leaf's UTF-8 bytes, led up the path, gives the root."""

    leaf: str
    index: int
    path: list[str]


class ConsistencyOut(Schema):
    """Proof that the old log is the beginning of the new one (RFC 6962, 2.1.2)."""

    old: RootOut
    new: RootOut
    path: list[str]


class Sizes(Schema):
    old: Id
    new: Id | None = None


class At(Schema):
    size: Id | None = None


@me.get("", response=MeOut, summary="Who am I, and what may I do")
def who(request: HttpRequest) -> dict[str, Any]:
    asker = actor(request)
    assert asker.user is not None
    held = {code: sorted(asker.scopes(code)) for code in sorted(permissions)}
    return {
        "id": asker.user.pk, "username": asker.user.username, "name": asker.user.name,
        "permissions": {code: scopes for code, scopes in held.items() if scopes},
    }


@records.get("/checkpoint/", response=CheckpointOut, auth=None, summary="The last published root of the log")
def checkpoint(request: HttpRequest) -> Any:
    return log.checkpoint()


@records.get("/consistency/", response=ConsistencyOut, auth=None, summary="That an earlier log was only added to")
def consistency(request: HttpRequest, sizes: Query[Sizes]) -> dict[str, Any]:
    new = _size("new", sizes.new)
    if sizes.old > new:
        raise invalid("old", sizes.old, _("at most %(max)s, the size of the later log") % {"max": new})
    return log.consistency(sizes.old, new)


@records.get("/records/{pk}/inclusion/", response=InclusionOut, summary="Receipt of one record")
def inclusion(request: HttpRequest, pk: Id, at: Query[At]) -> dict[str, Any]:
    record = log_record(actor(request), pk)
    size = _size("size", at.size)
    if record.leaf.index >= size:
        raise invalid("size", size, _("at least %(min)s, or the record is not in it") % {"min": record.leaf.index + 1})
    return log.inclusion(record, size)


def _size(field: str, asked: int | None) -> int:
    size = log.size()
    if asked is not None and asked > size:
        raise invalid(field, asked, _("at most %(max)s, the size of the log") % {"max": size})
    return asked or size


apikit.register("me", me)
apikit.register("log", records)
