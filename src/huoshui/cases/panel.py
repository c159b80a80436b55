"""What cases add to the page of an entity: a panel, its timeline, its next deadlines."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base.access import Actor
from huoshui.cases import queries, types, words
from huoshui.cases.machine import BEFORE_RESOLUTION, Kind
from huoshui.cases.models import CaseEvent
from huoshui.registry.deadlines import DEADLINES_MAX, Deadline
from huoshui.registry.models import Party
from huoshui.registry.timeline import Event
from huoshui.terms.calendar import day_start

ROWS_MAX = 8
TOLD = (Kind.OPENED, Kind.RESOLVED, Kind.REOPENED, Kind.CLOSED)


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The latest cases of the party."""
    rows = list(queries.cases(actor).filter(party=party).order_by("-id")[:ROWS_MAX])
    offered = queries.types_to_open(actor)
    offered = [kind for kind in offered if actor.can(kind.open_permission, party)]
    return {"cases": rows, "types": offered} if rows or offered else None


def timeline(actor: Actor, party: Party, limit: int) -> Iterator[Event]:
    """The turns of the party's cases, newest first."""
    rows = CaseEvent.objects.filter(case__in=queries.cases(actor).filter(party=party), kind__in=TOLD)
    for event in rows.select_related("case").order_by("-at", "-id")[:limit]:
        title = _("Case “%(title)s”: %(event)s") % {"title": event.case.title, "event": words.EVENTS[event.kind]}
        yield Event(event.at, title, reverse("cases:case", args=[event.case_id]), "cases")


def deadlines(actor: Actor, party: Party) -> Iterator[Deadline]:
    """Until when the party's running cases must be resolved."""
    rows = queries.cases(actor).filter(party=party, status__in=BEFORE_RESOLUTION, legal_due__isnull=False)
    for case in rows.order_by("legal_due")[:DEADLINES_MAX]:
        assert case.legal_due is not None
        title = _("%(type)s “%(title)s” must be resolved") % {"type": types.get(case.kind).title, "title": case.title}
        yield Deadline(
            day_start(case.legal_due + timedelta(days=1)), title, reverse("cases:case", args=[case.pk]), "cases"
        )
