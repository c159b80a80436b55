"""R&D costs (研发费用归集): the table of a year, what it comes to, and the working as a page to print."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import access, clock, export
from huoshui.base.access import Actor
from huoshui.base.errors import Invalid, Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.policy import rd
from huoshui.policy.actions import rd as actions
from huoshui.policy.forms_rd import COLUMNS, FileForm, RdForm, read_file
from huoshui.policy.models import RdWorking
from huoshui.policy.permissions import READ
from huoshui.policy.rd_words import CATEGORIES
from huoshui.registry import permissions as registry
from huoshui.registry import queries
from huoshui.registry.models import Party

ROWS_PER_PAGE = 25
OWN_PARTIES_MAX = 5


@page(READ)
def rd_list(request: HttpRequest) -> HttpResponse:
    """Years that were filled in; for who acts for a firm, the way to the next one."""
    actor = actor_of(request)
    rows = access.visible(RdWorking.objects.all(), actor, READ).select_related("party", "statement")
    latest = rows.order_by("-year", "party", "-id")
    seen, last = set(), []
    for row in latest[: ROWS_PER_PAGE * 40]:
        if (row.party_id, row.year) not in seen:
            seen.add((row.party_id, row.year))
            last.append(row)
    year = clock.today().year - 1
    context = {
        "page_obj": Paginator(last, ROWS_PER_PAGE).get_page(request.GET.get("page")), "year": year,
        "own": [(party, (year, year + 1)) for party in _own(actor)[:OWN_PARTIES_MAX]],
    }  # fmt: skip
    return render(request, "policy/rd_list.html", context)


def _own(actor: Actor) -> Any:
    """Parties for which the actor may state facts as the party itself; nobody acts for everybody."""
    if access.EVERYWHERE in actor.scopes(registry.DECLARE):
        return Party.objects.none()
    return queries.parties_of(actor, registry.DECLARE)


@page(READ)
def rd_year(request: HttpRequest, party: int, year: int) -> HttpResponse:
    """One year's table. A file fills it, more rows lengthen it, saving keeps it."""
    actor = actor_of(request)
    firm = access.get_visible(Party.objects.all(), actor, READ, pk=party)
    working = RdWorking.objects.filter(party=firm, year=year).select_related("statement").order_by("id").last()
    filled = actions.year_of(working.content, year) if working else rd.Year(year)
    form, file = RdForm(filled=filled), FileForm()
    may_edit = actor.can(registry.DECLARE, firm) and year <= clock.today().year
    if request.method == "POST":
        actor.require(registry.DECLARE, firm)
        if "upload" in request.POST:
            form, file = _from_file(request, filled)
        elif "more" in request.POST:
            form = _lengthened(request, year)
        else:
            form = RdForm(request.POST)
            if form.is_valid() and _saved(request, form, firm, year):
                return redirect("policy:rd_year", firm.pk, year)
    context = {
        "party": firm, "year": year, "working": working, "form": form, "file": file, "may_edit": may_edit,
        "result": _shown(working) if working else None, "columns": COLUMNS,
        "may_state": may_edit and year < clock.today().year and working and not hasattr(working, "statement"),
    }  # fmt: skip
    return render(request, "policy/rd_year.html", context)


def _saved(request: HttpRequest, form: RdForm, party: Party, year: int) -> RdWorking | None:
    filled = form.year(year)
    try:
        return post_action(
            request, actions.save, None, _("Saved."), party=party, year=year, lines=filled.lines, assets=filled.assets
        )
    except Invalid as error:
        form.show(error)
        return None


def _from_file(request: HttpRequest, filled: rd.Year) -> tuple[RdForm, FileForm]:
    """The table as a file fills it; the assets stay as they are."""
    file = FileForm(request.POST, request.FILES)
    if file.is_valid():
        upload = file.cleaned_data["file"]
        try:
            lines = read_file(upload.name, upload.read())
            return RdForm(filled=rd.Year(filled.year, tuple(lines), filled.assets)), FileForm()
        except Refused as error:
            show_refusal(file, error)
    return RdForm(filled=filled), file


def _lengthened(request: HttpRequest, year: int) -> RdForm:
    """The same rows as typed, and some empty ones."""
    form = RdForm(request.POST, more=True)
    form.is_valid()
    form.errors.clear()
    return form


@require_POST
@page(READ)
def rd_state(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the figures facts."""
    working = access.get_visible(RdWorking.objects.select_related("party"), actor_of(request), READ, pk=pk)
    post_action(request, actions.state, None, _("The figures are facts of the year now."), working=working)
    return redirect("policy:rd_working", working.pk)


@page(READ)
def rd_working(request: HttpRequest, pk: int) -> HttpResponse:
    """The working as a page to print: lines, limits, results, facts, digest."""
    rows = RdWorking.objects.select_related("party", "statement", "record")
    working = access.get_visible(rows, actor_of(request), READ, pk=pk)
    filled = actions.year_of(working.content, working.year)
    assets = zip(filled.assets, working.result["assets"], strict=True)
    context = {
        "working": working, "party": working.party, "result": _shown(working), "assets": list(assets),
        "lines": [(line, CATEGORIES[line.category]) for line in filled.lines],
    }  # fmt: skip
    return render(request, "policy/rd_working.html", context)


def _shown(working: RdWorking) -> dict[str, Any]:
    """The result with the categories' titles."""
    sums = zip(CATEGORIES.values(), working.result["sums"], strict=True)
    return working.result | {"by_category": [(title, fen) for title, fen in sums]}


@page(READ)
def rd_template(request: HttpRequest, kind: str) -> HttpResponse:
    """An empty file to fill in: the headings and one row as an example."""
    return export.response(kind, _("R&D costs"), [column.zh for column in COLUMNS], [[c.meaning for c in COLUMNS]])
