"""Pages of cases: my to-do, the list, one case, the forms of its events."""

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html, format_html_join, linebreaks
from django.utils.http import content_disposition_header
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from huoshui.base.access import Actor
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.cases import actions, files, queries, todo, words
from huoshui.cases.forms import EventForm, FilterForm, OpenForm
from huoshui.cases.machine import RULES, Kind
from huoshui.cases.models import Case, CaseEvent
from huoshui.cases.permissions import OPEN, READ

ROWS_PER_PAGE = 50


@page()
def my_todo(request: HttpRequest) -> HttpResponse:
    """What waits for the signed-in person."""
    return render(request, "cases/todo.html", {"items": todo.for_actor(actor_of(request))})


@page(READ)
def case_list(request: HttpRequest) -> HttpResponse:
    """The cases that the person may see, by filters."""
    form = FilterForm(request.GET or None)
    wanted: dict[str, Any] = form.cleaned_data if form.is_bound and form.is_valid() else {}
    rows = queries.search(actor_of(request), **wanted)
    context = {
        "form": form,
        "page": Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page")),
        "types": queries.types_to_open(actor_of(request)),
    }
    return render(request, "cases/list.html", context)


@page(OPEN)
def open_case(request: HttpRequest, kind: str) -> HttpResponse:
    """The form for a new case of a type."""
    actor = actor_of(request)
    case_type = queries.type_to_open(actor, kind)
    initial = {"party": request.GET.get("party", ""), "title": request.GET.get("title", "")}
    form = OpenForm(
        actor, case_type, *_sent(request),
        initial={name: given for name, given in initial.items() if given},
    )
    if form.is_valid():
        case = post_action(
            request, actions.open_case, form, _("The case is open; its number is on its page."),
            kind=kind, **form.cleaned_data,
        )
        if case is not None:
            return redirect("cases:case", case.pk)
    return render(request, "cases/open.html", {"form": form, "type": case_type})


@page(READ)
def case_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One case: clock, events, what may be done next."""
    actor = actor_of(request)
    case = queries.case(actor, pk)
    clock, possible = queries.clock_of(case), queries.possible_events(actor, case)
    context = {
        "case": case,
        "clock": clock,
        "clock_word": words.CLOCKS[clock.state],
        "clock_level": words.LEVELS[clock.state],
        "events": _shown(queries.events(actor, case))[::-1],
        "commands": [(kind, word) for kind, word in words.COMMANDS.items() if kind in possible],
    }
    return render(request, "cases/case.html", context)


def _shown(events: list[CaseEvent]) -> list[dict[str, Any]]:
    """Events as the kit's timeline takes them."""
    shown, escalated = [], 0
    for event in events:
        escalated = 0 if event.kind == Kind.REOPENED else escalated + (event.kind == Kind.ESCALATED)
        level = {Kind.SUPERVISED: "watch", Kind.ESCALATED: "watch", Kind.REOPENED: "bad"}.get(Kind(event.kind), "")
        if event.kind == Kind.CALLED_BACK:
            level = "good" if event.satisfied else "bad"
        title = f"{_title(event, escalated)} · {event.actor or _('the platform')}"
        shown.append({"at": event.at, "title": title, "body": _body(event), "level": level})
    return shown


def _title(event: CaseEvent, escalated: int) -> str:
    title = str(words.EVENTS[event.kind])
    if event.kind == Kind.ESCALATED:
        title = _("escalated automatically, step %(step)s") % {"step": escalated}
    elif event.kind == Kind.ASSIGNED:
        title = _("assigned to %(person)s") % {"person": event.assignee}
    elif event.kind == Kind.COPIED:
        title = _("copied to %(party)s") % {"party": event.copied_to}
    elif event.kind == Kind.EXTENDED:
        title = _("deadline extended by %(days)s days") % {"days": event.days}
    elif event.kind == Kind.CALLED_BACK:
        title = _("called back: satisfied") if event.satisfied else _("called back: not satisfied")
    elif event.kind == Kind.COMMENTED and not event.shared:
        title = _("internal comment")
    return title


def _body(event: CaseEvent) -> SafeString:
    links = format_html_join(
        " ", '<a href="{}">{}</a>',
        ((reverse("cases:attachment", args=[file.pk]), file.name) for file in event.attachments.all()),
    )
    return format_html("{}{}", SafeString(linebreaks(event.text, autoescape=True)) if event.text else "", links)


@page(READ)
def event_form(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """The form of one kind of event."""
    actor = actor_of(request)
    case = queries.case(actor, pk)
    if kind not in RULES or kind not in words.COMMANDS:
        raise queries.not_found()
    found = Kind(kind)
    form = _event_form(request, actor, case, found)
    if form.is_valid():
        event = post_action(
            request, actions.add_event, form, _("Done: %(event)s") % {"event": words.EVENTS[found]},
            case=case, event=kind, **form.cleaned_data,
        )
        if event is not None:
            return redirect("cases:case", case.pk)
    return render(request, "cases/event.html", {"form": form, "case": case, "command": words.COMMANDS[found]})


def _event_form(request: HttpRequest, actor: Actor, case: Case, kind: Kind) -> EventForm:
    return EventForm(case, kind, *_sent(request), insider=queries.insider(actor, case))


def _sent(request: HttpRequest) -> tuple[Any, Any]:
    """What a form is bound to; an event may need nothing, so an empty POST is sent all the same."""
    return (request.POST, request.FILES) if request.method == "POST" else (None, None)


@page(READ)
def attachment(request: HttpRequest, pk: int) -> HttpResponse:
    """The bytes of an attached file; never shown inside a page."""
    found = queries.attachment(actor_of(request), pk)
    content = files.read(found.digest)
    response = HttpResponse(content, content_type="application/octet-stream")
    response.headers["Content-Disposition"] = content_disposition_header(True, found.name) or "attachment"
    return response
