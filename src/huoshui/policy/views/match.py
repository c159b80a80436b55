"""The match: what an entity gets, nearly gets, and what would decide the rest; one pack with its reasons."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock
from huoshui.base.errors import invalid
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.policy import answers, match_rows, matching, needs, queries
from huoshui.policy.forms_match import AnswerForm, OnForm
from huoshui.policy.permissions import APPLY, OVERSEE, READ
from huoshui.registry.models import Party

ROWS_PER_PAGE = 30
YEARS_BACK_MAX = 20
QUESTIONS_FIRST = 6


@page(READ)
def find(request: HttpRequest) -> HttpResponse:
    """Who acts for one entity goes straight to its match; others choose one."""
    actor = actor_of(request)
    if (own := queries.own_entity(actor)) is not None:
        return redirect("policy:match", own.pk)
    text = request.GET.get("text", "")[:100]
    found = Paginator(queries.entities(actor, text), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "policy/match_find.html", {"page_obj": found, "text": text})


@page(READ)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """Every pack for one entity, grouped by what it means for it."""
    party = queries.entity(actor_of(request), pk)
    return render(request, "policy/match.html", _context(request, party, _day(request)))


def _day(request: HttpRequest) -> date:
    """The day as of which the match is read; today unless a past day is given."""
    form = OnForm(request.GET or None)
    wanted = form.cleaned_data.get("on") if form.is_valid() else None
    today = clock.today()
    if wanted is None or wanted > today:
        return today
    if wanted.year < today.year - YEARS_BACK_MAX:
        raise invalid("on", wanted, _("at most %(years)s years back") % {"years": YEARS_BACK_MAX})
    return wanted


def _context(
    request: HttpRequest, party: Party, on: date, wrong: AnswerForm | None = None
) -> dict[str, Any]:
    actor = actor_of(request)
    found = matching.explanations(actor, party, on)
    today = on == clock.today()
    may_answer = today and answers.may_answer(actor, party)
    questions = match_rows.questions(found, wrong)
    return {
        "party": party, "on": on, "today": today, "match": found, "groups": match_rows.groups(found),
        "questions": found.questions, "first_questions": questions[:QUESTIONS_FIRST],
        "more_questions": questions[QUESTIONS_FIRST:], "questions_left": len(found.questions) - len(questions),
        "may_answer": may_answer, "may_apply": today and actor.can(APPLY, party), "own": queries.own_entity(actor),
        "running": queries.applications(actor, party=party, state="submitted").count(),
        "on_form": OnForm(initial={"on": on}), "officer": actor.can(OVERSEE),
    }  # fmt: skip


@require_POST
@page(READ)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """State a missing fact in place; htmx receives the match as it is now."""
    actor, today = actor_of(request), clock.today()
    party = queries.entity(actor, pk)
    column = request.POST.get("column", "")
    known = answers.asked(matching.explanations(actor, party, today), column)
    form = AnswerForm(column, known[0], request.POST, prefix=match_rows.prefix_of(column))
    answered = form.is_valid() and bool(
        post_action(request, answers.state, form, party=party, column=known, value=form.cleaned_data["value"])
    )
    htmx = getattr(request, "htmx", False)
    if answered and not htmx:
        return redirect("policy:match", pk)
    context = _context(request, party, today, None if answered else form) | {"answered": answered}
    return render(request, "policy/_match.html" if htmx else "policy/match.html", context)


@page(READ)
def pack(request: HttpRequest, pk: int, pack_id: str) -> HttpResponse:
    """One pack for one entity: every criterion with the facts, their sources, the clause."""
    actor = actor_of(request)
    party, on = queries.entity(actor, pk), _day(request)
    found = matching.explanations(actor, party, on)
    explained = found.explain(pack_id)
    standing = queries.applications(actor, party=party, pack=pack_id).first()
    return render(request, "policy/match_pack.html", {
        "party": party, "on": on, "today": on == clock.today(), "row": match_rows.row(found, explained),
        "criteria": match_rows.criteria(found, explained), "shown": match_rows.about(found, explained),
        "by_application": needs.by_application(explained.pack),
        "questions": match_rows.questions_of(found, explained), "may_apply": actor.can(APPLY, party),
        "may_answer": on == clock.today() and answers.may_answer(actor, party), "standing": standing,
    })  # fmt: skip
