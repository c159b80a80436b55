"""What the book adds to the page of an entity: balances, statements in its timeline, contest periods that end."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.book import queries
from huoshui.book.models import Account
from huoshui.registry.deadlines import Deadline
from huoshui.registry.models import Party
from huoshui.registry.timeline import Event


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The balances panel; nothing for a party without accounts."""
    if not Account.objects.filter(party=party).exists():
        return None
    return {"party": party, "sums": queries.sums(party)}


def timeline(actor: Actor, party: Party, limit: int) -> Iterable[Event]:
    """Statements issued to or for the party."""
    for row in queries.statements(actor, party=party.pk)[:limit]:
        title = _("Statement %(number)s issued") % {"number": row.number}
        yield Event(row.issued_at, title, reverse("book:statement", args=[row.pk]), "book.statement")


def deadlines(actor: Actor, party: Party) -> Iterable[Deadline]:
    """Statements that count as accepted unless contested."""
    for row in queries.to_accept(actor).filter(payer=party)[:20]:
        title = _("Statement %(number)s counts as accepted unless contested") % {"number": row.number}
        due = datetime.combine(row.contest_until + timedelta(days=1), time(), clock.LOCAL)
        yield Deadline(due, title, reverse("book:statement", args=[row.pk]), "book.statement")
