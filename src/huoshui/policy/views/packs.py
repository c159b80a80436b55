"""Pages of the packs for anyone: the list, one pack as a readable page, what it changed, the calendar of dates.

A published rule is published law: no sign-in is asked for. Drafts and what concerns single firms are for those who
work on them.
"""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from huoshui.base import canonical, clock
from huoshui.base.models import TaskProgress
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action
from huoshui.policy import comparing, pack_queries, pack_words
from huoshui.policy.actions import authoring as actions
from huoshui.policy.models import PackComparison
from huoshui.policy.permissions import AUTHOR, OVERSEE
from huoshui.registry.models import Publication, PublicationState
from huoshui.rules import show_words

ROWS_SHOWN = 200


@require_GET
@page_errors
def pack_list(request: HttpRequest) -> HttpResponse:
    """All packs, by how they stand today."""
    actor = actor_of(request)
    groups = pack_queries.listed(actor)
    return render(request, "policy/packs.html", {
        "groups": [(title, groups.get(code, [])) for code, title in _groups() if groups.get(code)],
        "in_force": len(groups.get("in_force", [])), "may_author": actor.can(AUTHOR),
        "ends_soon": sum(row.ends_soon for row in groups.get("in_force", [])),
        "drafts": pack_queries.drafts(actor).count(),
    })  # fmt: skip


def _groups() -> list[tuple[str, str]]:
    return [
        ("in_force", _("Policies in force")), ("coming", _("Coming into force")),
        ("waiting", _("Wait for a second person")), ("past", _("Superseded or ended")),
    ]  # fmt: skip


@require_GET
@page_errors
def pack_page(request: HttpRequest, identifier: str, pk: int | None = None) -> HttpResponse:
    """One pack: what it asks, by which clause, what it pays, and where the text comes from."""
    actor = actor_of(request)
    found = pack_queries.publication(actor, identifier, pk)
    about, *blocks = show_words.page(found.loaded(), pack_words.language())
    return render(request, "policy/pack.html", {
        "pack": found.loaded(), "about": about, "blocks": blocks,
        "publication": found, "history": pack_queries.history(actor, identifier),
        "older": pack_queries.predecessor(found), "today": clock.today(), "may_author": actor.can(AUTHOR),
        "may_review": bool(actor.user) and found.state in (PublicationState.DRAFT, PublicationState.REVIEWED),
        "draft": found.drafts.select_related("notice").first() if actor.can(AUTHOR) else None,
        "ends_soon": found.effective_to and found.effective_to <= pack_queries.ahead(clock.today()),
    })  # fmt: skip


@require_GET
@page_errors
def pack_text(request: HttpRequest, identifier: str, pk: int) -> HttpResponse:
    """The published text, byte for byte."""
    found = pack_queries.publication(actor_of(request), identifier, pk)
    answer = HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'inline; filename="{found.identifier}.yaml"'
    return answer


# --- what a publication changed -----------------------------------------------------------------------------------


@require_GET
@page_errors
def pack_diff(request: HttpRequest, identifier: str, pk: int | None = None) -> HttpResponse:
    """What a pack changes against the one before it; in firms and fen where it was counted."""
    actor = actor_of(request)
    new = pack_queries.publication(actor, identifier, pk)
    earlier = pack_queries.ancestors(new)
    old = _chosen(earlier, request.GET.get("against", ""))
    oversees = actor.can(OVERSEE)
    counted = pack_queries.comparison(old, new) if old else None
    return render(request, "policy/pack_diff.html", {
        "new": new, "old": old, "others": [each for each in earlier if each != old],
        "changes": comparing.changes(old, new) if old else [], "least": comparing.COUNT_MIN,
        "comparison": counted, "running": _running(old, new) if old and oversees else None, "oversees": oversees,
        "may_count": actor.can(AUTHOR),
        "totals": comparing.totals_shown(counted, exact=oversees) if counted else None,
        "rows": comparing.rows_shown(counted, ROWS_SHOWN) if counted and oversees else [],
    })  # fmt: skip


def _chosen(earlier: list[Publication], wanted: str) -> Publication | None:
    """The earlier text that was asked for, else the one before."""
    return next((each for each in earlier if str(each.pk) == wanted), earlier[0] if earlier else None)


def _running(old: Publication, new: Publication) -> TaskProgress | None:
    waiting = PackComparison.objects.filter(old=old, new=new, finished_at=None).order_by("-pk").first()
    if waiting is None:
        return None
    return TaskProgress.objects.filter(subject=canonical.label(waiting)).order_by("-heartbeat_at").first()


@require_POST
@page(AUTHOR)
def pack_compare(request: HttpRequest, identifier: str, pk: int) -> HttpResponse:
    """Count who gains and loses, as of today."""
    new = pack_queries.publication(actor_of(request), identifier, pk)
    old = _chosen(pack_queries.ancestors(new), request.POST.get("against", ""))
    if old is not None:
        on = max(clock.today(), new.effective_from)
        asked = post_action(request, actions.ask_comparison, None, "", old=old, new=new, on=on)
        if asked is not None:
            comparing.enqueue(asked)
        return redirect(f"{reverse('policy:pack_diff_version', args=[identifier, pk])}?against={old.pk}")
    return redirect("policy:pack_diff_version", identifier, pk)


# --- calendar -----------------------------------------------------------------------------------------------------


@require_GET
@page_errors
def expiry(request: HttpRequest) -> HttpResponse:
    """What ends, opens and closes in the year ahead; what waits for a person."""
    actor, today = actor_of(request), clock.today()
    found = pack_queries.dates(today)
    ending, cliffs = [date for date in found if date.code == "ends"], dict(pack_queries.cliffs(found))
    waiting = pack_queries.publications(actor).filter(activated_at=None).exclude(state=PublicationState.WITHDRAWN)
    return render(request, "policy/expiry.html", {
        "today": today, "months": pack_queries.months(found, today), "cliffs": list(cliffs.items()),
        "soon": sum(date.on <= pack_queries.ahead(today) for date in ending), "ahead": pack_queries.ahead(today),
        "later": [date for date in ending if date.on > pack_queries.ahead(today) and date.on not in cliffs],
        "open": [date for date in found if date.code == "closes" and date.on <= today + timedelta(days=30)],
        "waiting": waiting, "drafts": pack_queries.drafts(actor).filter(publication=None),
        "recent": pack_queries.publications(actor).filter(activated_at__isnull=False).order_by("-activated_at")[:10],
    })  # fmt: skip
