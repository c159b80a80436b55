"""What lists and batches leave to do: for officers to confirm, for firms to read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.cases.todo import TODO_PER_SOURCE_MAX, Todo
from huoshui.policy import outreach_words, reach
from huoshui.policy.models import Batch, Telling
from huoshui.policy.permissions import APPLY, OUTREACH, READ
from huoshui.registry.models import Party


def batches_to_confirm(actor: Actor) -> Iterator[Todo]:
    """Batches of somebody else that wait for a second person."""
    if not actor.can(OUTREACH):
        return
    waiting = Batch.objects.filter(state=Batch.State.PROPOSED).exclude(proposed_by=actor.principal)
    for batch in waiting.select_related("publication").order_by("id")[:TODO_PER_SOURCE_MAX]:
        named = {"number": batch.number, "title": batch.publication.title}
        url = reverse("policy:batch", args=[batch.pk])
        yield Todo(_("Confirm batch %(number)s: %(title)s") % named, url, None, 2, _("batch"))


def messages_to_read(actor: Actor) -> Iterator[Todo]:
    """What one's own firm was told of and has not acted on."""
    parties = access.ids(actor.scopes(APPLY), "party")
    since = clock.now() - timedelta(days=reach.TELLING_SHOWN_DAYS)
    recent = Telling.objects.filter(party__in=parties, told_at__gte=since, declined_at=None)
    for row in reach.tellings(recent.select_related("push__publication", "push__run")).order_by("-told_at"):
        if reach.outcome(row) in ("seen", "nothing"):
            url = reverse("policy:told", args=[row.pk])
            yield Todo(outreach_words.sentence(row.push), url, None, 0 if row.seen_at else 2, _("message"))


def messages(actor: Actor, party: Party) -> list[tuple[Telling, str]]:
    """What the match page of a firm shows above all: what it was told, in a sentence."""
    if not actor.can(READ, party):
        return []
    return [(row, outreach_words.sentence(row.push)) for row in reach.messages(actor, party)]
