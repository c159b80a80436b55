"""What the match and applications add below: a panel of the entity page, events, deadlines, to-dos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.cases.todo import Todo
from huoshui.policy import match_rows, matching, needs, queries
from huoshui.policy.models import Application, ApplicationEvent
from huoshui.policy.permissions import APPLY, READ
from huoshui.registry.deadlines import Deadline
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.timeline import Event
from huoshui.rules import Verdict

ROWS_MAX = 20
AHEAD_DAYS = 120
"""How far ahead the end of a window is a deadline of an entity."""


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """What the packs in force say of an entity; None for a party that is none, or when no pack is in force."""
    if not party.has_role(RoleKind.ENTITY):
        return None
    found = matching.explanations(actor, party)
    if not found.explanations:
        return None
    return {
        "party": party, "on": found.on, "groups": match_rows.groups(found), "questions": len(found.questions),
    }  # fmt: skip


def timeline(actor: Actor, party: Party, limit: int) -> Iterable[Event]:
    """What happened to the entity's applications."""
    if not actor.can(READ, party):
        return
    rows = ApplicationEvent.objects.filter(application__party=party).select_related("application__publication")
    for event in rows.defer("application__publication__text").order_by("-at", "-id")[:limit]:
        named = {
            "number": event.application.number, "title": event.application.publication.title,
            "event": event.get_kind_display(),
        }  # fmt: skip
        title = _("Application %(number)s, %(title)s: %(event)s") % named
        yield Event(event.at, title, reverse("policy:application", args=[event.application_id]), "policy")


def deadlines(actor: Actor, party: Party) -> Iterator[Deadline]:
    """When the windows close of what the entity gets, nearly gets or may get by an answer."""
    if not actor.can(READ, party) or not party.has_role(RoleKind.ENTITY):
        return
    found = matching.explanations(actor, party)
    last = found.on + timedelta(days=AHEAD_DAYS)
    for one in found.explanations:
        pack = one.pack
        window = needs.window_of(pack, found.on)
        hopeful = one.verdict in (Verdict.MET, Verdict.MANUAL, Verdict.UNKNOWN) or match_rows.is_near(one)
        if window and window.last and window.last <= last and hopeful and not matching.is_draft(pack):
            title = _("Applications close: %(title)s") % {"title": pack.header.title}
            url = reverse("policy:match_pack", args=[party.pk, pack.id])
            yield Deadline(clock.day_start(window.last + timedelta(days=1)), title, url, "policy.window")


def applications_to_review(actor: Actor) -> Iterator[Todo]:
    """Applications that wait for this officer."""
    for row in queries.to_review(actor).order_by("id")[:ROWS_MAX]:
        title = _("Approve: %(title)s (%(party)s)") if row.checked_by else _("Check: %(title)s (%(party)s)")
        named = {"title": row.publication.title, "party": row.party.name}
        yield Todo(title % named, reverse("policy:application", args=[row.pk]), None, 1, _("application"))


def accounts_to_confirm(actor: Actor) -> Iterator[Todo]:
    """Approved benefits of one's own party that wait for an account."""
    if not any(scope.startswith("party:") for scope in actor.scopes(APPLY)):
        return
    rows = queries.applications(actor, state=Application.State.APPROVED)
    for row in rows.filter(account_confirmed_at__isnull=True, amount_fen__gt=0)[:ROWS_MAX]:
        if actor.can(APPLY, row):
            title = _("Confirm the account for: %(title)s") % {"title": row.publication.title}
            yield Todo(title, reverse("policy:application", args=[row.pk]), None, 3, _("application"))
