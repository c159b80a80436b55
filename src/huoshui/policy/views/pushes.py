"""Push lists (政策找企) for officers, and what a firm was told, for the firm."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from huoshui.base import export
from huoshui.base.errors import Missing
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.policy import outreach_words, reach
from huoshui.policy.actions import pushes
from huoshui.policy.forms_outreach import DeclineForm, PushForm
from huoshui.policy.models import Push, Telling
from huoshui.policy.permissions import APPLY, OUTREACH, OVERSEE, READ
from huoshui.policy.views.officer import _asked
from huoshui.rules import Pack

ROWS_PER_PAGE = 50
REASONS = {show: reason for reason, show in pushes.SHOWS.items()}


@page(OVERSEE)
def push_list(request: HttpRequest) -> HttpResponse:
    """All push lists, newest first, with what came of them."""
    listed = Paginator(reach.pushes(actor_of(request)), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    tallies = tally(Telling.objects.filter(push__in=[row.pk for row in listed]))
    rows = [(row, tallies.get(row.pk, Counter())) for row in listed]
    context = {"page_obj": listed, "rows": [(row, counts, sum(counts.values())) for row, counts in rows]}
    return render(request, "policy/pushes.html", context)


def tally(rows: Any) -> dict[int, Counter[str]]:
    """Outcomes of tellings, counted by push."""
    found: dict[int, Counter[str]] = {}
    for telling in reach.tellings(rows):
        found.setdefault(telling.push_id, Counter())[reach.outcome(telling)] += 1
    return found


@page(OVERSEE)
def push_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One list: whom, what, when, how, and what came of it."""
    push = _push(request, pk)
    tellings = list(reach.tellings(push.tellings.select_related("party")).order_by("party__name"))
    counts = Counter(reach.outcome(row) for row in tellings)
    listed = Paginator(tellings, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "push": push, "sentence": outreach_words.sentence(push), "page_obj": listed, "size": len(tellings),
        "rows": [(row, *outreach_words.OUTCOMES[reach.outcome(row)]) for row in listed],
        "outcomes": [
            (title, counts[name], counts[name] * 10_000 // len(tellings))
            for name, (title, _level) in outreach_words.OUTCOMES.items()
        ],
    }  # fmt: skip
    return render(request, "policy/push.html", context)


def _push(request: HttpRequest, pk: int) -> Push:
    found = reach.pushes(actor_of(request)).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@page(OVERSEE)
def push_export(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """Who was told what when, by which channel, and what came of it."""
    push = _push(request, pk)
    sentence = outreach_words.sentence(push)
    headers = [
        _("Entity"), _("USCC"), _("What"), _("How"), _("Told"), _("Seen"), _("What came of it"), _("Why declined"),
    ]  # fmt: skip
    rows = reach.tellings(push.tellings.select_related("party")).order_by("party__name")
    cells = (
        [
            row.party.name, row.party.uscc or "", sentence, push.get_channel_display(), row.told_at, row.seen_at,
            str(outreach_words.OUTCOMES[reach.outcome(row)][0]), row.decline_reason,
        ]
        for row in rows
    )  # fmt: skip
    return export.response(kind, f"{push.number} {push.publication.title}", headers, cells)


@page(OUTREACH)
def push_new(request: HttpRequest, pack: str) -> HttpResponse:
    """Make a push out of a list: the address says which list, the form how they are told."""
    run, content, show, narrow = _asked(request, pack)
    if show not in REASONS:
        raise Missing(_("This list is not one to tell people about."))
    wanted = narrow.wanted()
    rows = reach.ordered(reach.chosen(run, pack, wanted), show).select("party").head(pushes.PUSH_PARTIES_MAX)
    found = rows.collect()["party"].to_list()
    form = PushForm(request.POST or None)
    detail = narrow.cleaned_data.get("condition") or wanted.fact
    if form.is_valid():
        made = post_action(
            request, pushes.push, form, run=run, pack=pack, reason=REASONS[show], detail=detail, parties=found,
            **form.cleaned_data,
        )  # fmt: skip
        if made is not None:
            _say_told(request, made, len(found))
            return redirect("policy:push", made.pk)
    query = request.GET.urlencode()
    context = {
        "form": form, "pack": content, "count": len(found), "show": outreach_words.SHOWS[show], "query": query,
        "sentence": outreach_words.told(
            Push(reason=REASONS[show], detail=detail), content, list(narrow.conditions.values())
        ),
        "days": pushes.TOLD_AGAIN_AFTER_DAYS, "max": pushes.PUSH_PARTIES_MAX,
    }  # fmt: skip
    return render(request, "policy/push_new.html", context)


def _say_told(request: HttpRequest, push: Push, asked: int) -> None:
    from django.contrib import messages

    told = push.tellings.count()
    said = ngettext("%(count)s entity was told.", "%(count)s entities were told.", told) % {"count": told}
    if told < asked:
        said += " " + _("%(count)s were left out: they were told lately.") % {"count": asked - told}
    messages.success(request, said)


# --- for the firm -----------------------------------------------------------------------------------------------------


@page(READ)
def told(request: HttpRequest, pk: int) -> HttpResponse:
    """What a firm was told. Opening it is its receipt; declining asks for a reason."""
    actor = actor_of(request)
    telling = reach.telling(actor, pk)
    if request.method == "GET":
        pushes.see(actor, telling=telling)
    form = DeclineForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        done = post_action(request, pushes.decline, form, _("Noted."), telling=telling, **form.cleaned_data)
        if done is not None:
            return redirect("policy:match", telling.party_id)
    pack: Pack = telling.push.publication.loaded()
    outcome = reach.outcome(telling)
    context = {
        "telling": telling, "pack": pack, "sentence": outreach_words.sentence(telling.push), "form": form,
        "outcome": outreach_words.OUTCOMES[outcome][0], "open": outcome in ("seen", "nothing"),
        "may_decline": actor.can(APPLY, telling) and outcome in ("seen", "nothing"),
    }  # fmt: skip
    return render(request, "policy/push_told.html", context)
