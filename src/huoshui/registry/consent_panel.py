"""What the page of an entity shows of its consents."""

from typing import Any

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.registry import consents, permissions, queries
from huoshui.registry.models import FactType, Party


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """Consents with the words for their facts; whether the actor may give and withdraw."""
    given, may_give = queries.consents(actor, party), actor.can(permissions.CONSENT, party)
    if not given and not may_give:
        return None
    titles = dict(FactType.objects.values_list("code", "title")) if given else {}
    today = clock.today()
    rows = [
        {
            "consent": row, "purpose": consents.title(row.purpose),
            "facts": sorted(titles.get(code, code) for code in row.codes),
            "stands": row.withdrawn_at is None and row.since <= today and (row.until is None or row.until >= today),
        }
        for row in given
    ]
    return {"consents": rows, "may_give": may_give}
