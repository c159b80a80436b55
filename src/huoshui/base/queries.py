"""Reads of `base` that more than one face needs."""

import json

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from huoshui.base.access import EVERYWHERE, Actor
from huoshui.base.actions import DEMO, READ_LOG
from huoshui.base.errors import Missing
from huoshui.base.models import LogRecord


def log_records(actor: Actor) -> "QuerySet[LogRecord]":
    """The sealed records that the actor may read: all with the permission, their own acts without it."""
    rows = LogRecord.objects.filter(leaf__isnull=False).select_related("leaf")
    if EVERYWHERE in actor.scopes(READ_LOG):
        return rows
    return rows.filter(Q(actor=actor.principal) | Q(actor__startswith=f"{actor.principal}/"))


def log_record(actor: Actor, pk: int) -> LogRecord:
    """One record out of `log_records`. Raises Missing."""
    found = log_records(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def demo_story() -> list[str]:
    """What was said when the demo was loaded; empty when it is not (or not wholly) there."""
    record = LogRecord.objects.filter(subject=DEMO).last()
    return list(json.loads(record.payload)["told"]) if record else []
