"""REST routes of drafts: reading only. Confirming is for a person on a page, never for a token."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut
from huoshui.mcp import queries
from huoshui.mcp.models import Draft

router = Router(tags=["agents"])


class DraftOut(Schema):
    """One draft. `arguments` are what its tool was given; `result` is what confirming made."""

    id: int
    number: str
    tool: str
    arguments: dict[str, Any]
    cost_fen: int
    state: str
    result: str
    created_at: datetime
    expires_at: datetime


@router.get("/drafts/", response=Page[DraftOut])
def drafts(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """One's drafts, newest first."""
    return cut(queries.drafts(actor(request)), paging)


@router.get("/drafts/{pk}/", response=DraftOut)
def draft(request: HttpRequest, pk: Id) -> Draft:
    """One draft."""
    return queries.draft(actor(request), pk)
