"""Drafts 自动化草稿: what waits, what each would do and cost, and the two buttons."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock, tools
from huoshui.base.errors import Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.mcp import actions, queries
from huoshui.mcp.models import Draft
from huoshui.mcp.permissions import DRAFT

ROWS_PER_PAGE = 25


@page(DRAFT)
def draft_list(request: HttpRequest) -> HttpResponse:
    """One's drafts, newest first."""
    found = Paginator(queries.drafts(actor_of(request)), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    rows = [(row, _title(row), _expired(row)) for row in found]
    return render(request, "mcp/drafts.html", {"page_obj": found, "rows": rows})


@page(DRAFT)
def draft_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One draft: what confirming it would do, worked out anew by the tool itself; afterwards what was confirmed."""
    actor = actor_of(request)
    draft = queries.draft(actor, pk)
    waiting = draft.state == Draft.State.OPEN and not _expired(draft)
    context = {
        "draft": draft, "title": _title(draft), "expired": _expired(draft), "waiting": waiting,
        "spent_fen": actions.spent_fen(draft.token, clock.now()), "lines": draft.said or list(draft.arguments.items()),
    }  # fmt: skip
    if waiting:
        try:
            tool = tools.draft_tool(draft.tool)
            context["lines"] = tool.prepare(actor, tools.validated(tool.arguments, draft.arguments)).lines
        except Refused as error:
            context["refused"] = error
    return render(request, "mcp/draft.html", context)


def _title(draft: Draft) -> str:
    return str(tools.drafts[draft.tool].title) if draft.tool in tools.drafts else draft.tool


def _expired(draft: Draft) -> bool:
    return draft.state == Draft.State.OPEN and draft.expires_at <= clock.now()


@require_POST
@page(DRAFT)
def draft_confirm(request: HttpRequest, pk: int) -> HttpResponse:
    """Do it."""
    draft = queries.draft(actor_of(request), pk)
    post_action(request, actions.confirm, None, _("Done as the draft said."), draft=draft)
    return redirect("mcp:draft", pk)


@require_POST
@page(DRAFT)
def draft_reject(request: HttpRequest, pk: int) -> HttpResponse:
    """Put it away."""
    draft = queries.draft(actor_of(request), pk)
    post_action(request, actions.reject, None, _("The draft is put away; nothing was done."), draft=draft)
    return redirect("mcp:drafts")
