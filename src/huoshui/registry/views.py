"""Pages of the registry: parties, the entity page (一企一档), imports, publications. Each write calls one action."""

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui import terms
from huoshui.base import access, clock, export
from huoshui.base.actions import MANAGE_PEOPLE
from huoshui.base.errors import Missing, Problem, invalid
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.registry import actions, consents, deadlines, forms, imports, panels, permissions, queries, timeline, uscc
from huoshui.registry.models import (
    Consent,
    Group,
    Membership,
    Party,
    PartyRole,
    PublicationState,
    Relation,
    RowChange,
    on_day,
)

PAGE_ROWS = 50
EXPORT_ROWS_MAX = 100_000
SAMPLE_ROWS = 3


def _page(request: HttpRequest, rows: Any) -> Any:
    return Paginator(rows, PAGE_ROWS).get_page(request.GET.get("page"))


# --- parties ------------------------------------------------------------------------------------------------------


def _found(request: HttpRequest) -> tuple[forms.PartyFilter, Any]:
    form = forms.PartyFilter(request.GET)
    return form, queries.parties(actor_of(request), **(form.cleaned_data if form.is_valid() else {}))


@page(permissions.READ)
def parties(request: HttpRequest) -> HttpResponse:
    """Search and filters; who has one party only goes straight to it."""
    actor = actor_of(request)
    own = access.ids(actor.scopes(permissions.READ), "party")
    if len(own) == 1 and len(actor.scopes(permissions.READ)) == 1 and not request.GET:
        return redirect("registry:party", own[0])
    form, found = _found(request)
    context = {"form": form, "page": _page(request, found), "may_edit": actor.can(permissions.EDIT)}
    return render(request, "registry/parties.html", context)


@page(permissions.READ)
def parties_export(request: HttpRequest, kind: str) -> HttpResponse:
    """The found parties as a file."""
    _form, found = _found(request)
    rows = (
        (row.name, row.uscc, row.division and row.division.name, "、".join(r.get_kind_display() for r in row.roles_now))
        for row in found[:EXPORT_ROWS_MAX]
    )
    return export.response(kind, _("parties"), [_("name"), _("USCC"), _("division"), _("roles")], rows)


def _editable(request: HttpRequest, pk: int) -> Party:
    return access.get_visible(Party.objects.all(), actor_of(request), permissions.EDIT, pk=pk)


@page(permissions.EDIT)
def party_new(request: HttpRequest) -> HttpResponse:
    """Enter a party."""
    form = forms.NewPartyForm(request.POST or None)
    if form.is_valid():
        made = post_action(request, actions.create_party, form, _("Saved."), **form.cleaned_data)
        if made is not None:
            return redirect("registry:party", made.pk)
    return render(request, "registry/party_form.html", {"form": form, "title": _("New party")})


@page(permissions.EDIT)
def party_edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Rename, recode or move a party."""
    party = _editable(request, pk)
    initial = {"name": party.name, "uscc": party.uscc, "division": party.division_id}
    form = forms.PartyForm(request.POST or None, initial=initial)
    if form.is_valid():
        saved = post_action(request, actions.update_party, form, _("Saved."), party=party, **form.cleaned_data)
        if saved is not None:
            return redirect("registry:party", pk)
    return render(request, "registry/party_form.html", {"form": form, "party": party, "title": _("Edit")})


@page(permissions.READ)
def party(request: HttpRequest, pk: int) -> HttpResponse:
    """一企一档: everything of one party that the actor may see, desks' panels included."""
    actor = actor_of(request)
    party = queries.party(actor, pk)
    shown = [
        (panel, render_to_string(panel.template, {"party": party, "actor": actor, **context}, request))
        for panel, context in panels.shown(actor, party)
    ]
    known = queries.facts(party)
    memberships = Membership.objects.filter(on_day(clock.today()), party=party).select_related("group")
    return render(request, "registry/party.html", {
        "party": party, "roles": party.roles.order_by("kind", "since"), "ties": queries.ties(party),
        "memberships": memberships, "facts": known, "panels": shown,
        "events": timeline.events(actor, party), "deadlines": deadlines.upcoming(actor, party),
        "revisions": party.revisions.select_related("record", "division").order_by("-id"),
        "people": queries.people_of(party) if actor.can(permissions.EDIT, party) or _manages(request, party) else None,
        "conflicts": "、".join(found.type.title for found in known if found.state == "conflict"),
        "may_edit": actor.can(permissions.EDIT, party), "may_state": _sources(request, party),
        "may_invite": _manages(request, party), "today": clock.today(),
    })


def _manages(request: HttpRequest, party: Party) -> bool:
    return actor_of(request).can(MANAGE_PEOPLE, party)


def _fact_initial(request: HttpRequest) -> dict[str, Any]:
    """What a link asks for (?code=revenue&period=2025): a question is answered where it is put."""
    return {"observed_on": clock.today(), **{name: request.GET.get(name, "") for name in ("code", "period")}}


def _sources(request: HttpRequest, party: Party) -> list[str]:
    """The sources for which the actor may speak about the party."""
    actor = actor_of(request)
    sources = actions.SOURCE_PERMISSIONS.items()
    return [str(source.value) for source, permission in sources if actor.can(permission, party)]


def _holder(text: str, field: str = "holder") -> Party:
    """The party that a person named by USCC or exact name. Raises Invalid."""
    code = uscc.normal(text)
    found = list(Party.objects.filter(uscc=code)[:1] or Party.objects.filter(name=text.strip())[:2])
    if len(found) != 1:
        raise invalid(field, text, _("no party, or several, by this name: give the USCC"))
    return found[0]


def _relate(actor: Any, *, key: str, party: Party, holder: str, share: int | None, **named: Any) -> Relation:
    return actions.relate(actor, key=key, held=party, holder=_holder(holder), share_bps=share, **named)


def _join(actor: Any, *, key: str, group: str, **named: Any) -> Membership:
    return actions.join_group(actor, key=key, group=Group.objects.get(code=group), **named)


def _consent(actor: Any, *, key: str, recipient: str, **named: Any) -> Consent:
    return consents.give(actor, key=key, recipient=_holder(recipient, "recipient") if recipient else None, **named)


@page()
def party_add(request: HttpRequest, pk: int, what: str) -> HttpResponse:
    """Add a role, a relation, a membership, a fact or a person to a party."""
    party, data, today = queries.party(actor_of(request), pk), request.POST or None, {"since": clock.today()}
    adders: dict[str, tuple[str, Callable[[], Form], Callable[..., Any]]] = {
        "role": (_("Add a role"), lambda: forms.RoleForm(data, initial=today), actions.add_role),
        "relation": (_("Add a holder"), lambda: forms.RelationForm(data, initial=today), _relate),
        "group": (_("Join a cluster or park"), lambda: forms.JoinForm(data, initial=today), _join),
        "fact": (
            _("State a fact"),
            lambda: forms.FactForm(_sources(request, party), data, initial=_fact_initial(request)),
            actions.state_fact,
        ),
        "person": (_("Invite a person"), lambda: forms.InviteForm(data), actions.invite_person),
        "consent": (_("Give consent"), lambda: forms.ConsentForm(data, initial=today), _consent),
    }
    if what not in adders:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    title, make, action = adders[what]
    form = make()
    if form.is_valid() and post_action(request, action, form, _("Saved."), party=party, **form.cleaned_data):
        return redirect("registry:party", pk)
    return render(request, "registry/party_form.html", {"form": form, "party": party, "title": title})


@require_POST
@page(permissions.CONSENT)
def consent_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """From now on nothing more is shared under this consent."""
    found = queries.consent(actor_of(request), pk)
    post_action(request, consents.withdraw, None, _("The consent is withdrawn."), consent=found)
    return redirect("registry:party", found.party_id)


@page(permissions.EDIT)
def party_end(request: HttpRequest, pk: int, what: str, row: int) -> HttpResponse:
    """End a role, a relation or a membership of a party."""
    party = _editable(request, pk)
    enders: dict[str, tuple[Any, str, Callable[..., Any]]] = {
        "role": (PartyRole.objects.filter(party=party), "role", actions.end_role),
        "relation": (Relation.objects.filter(held=party), "relation", actions.end_relation),
        "group": (Membership.objects.filter(party=party), "membership", actions.leave_group),
    }
    found = enders[what][0].filter(pk=row).first() if what in enders else None
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    _rows, name, action = enders[what]
    form = forms.EndForm(request.POST or None, initial={"until": clock.today()})
    if form.is_valid() and post_action(request, action, form, _("Saved."), **{name: found}, **form.cleaned_data):
        return redirect("registry:party", pk)
    return render(request, "registry/party_form.html", {"form": form, "party": party, "title": _("Set the last day")})


@page(permissions.READ)
def groups(request: HttpRequest) -> HttpResponse:
    """Clusters and parks."""
    may_edit = actor_of(request).can(permissions.EDIT)
    form = forms.GroupForm(request.POST or None) if may_edit else None
    if form and form.is_valid() and post_action(
        request, actions.create_group, form, _("Saved."), **form.cleaned_data
    ):
        return redirect("registry:groups")
    return render(request, "registry/groups.html", {"form": form, "groups": queries.groups()})


# --- imports ------------------------------------------------------------------------------------------------------


@page(permissions.IMPORT)
def imports_list(request: HttpRequest) -> HttpResponse:
    """Upload a file; earlier imports."""
    actor = actor_of(request)
    form = forms.UploadForm(imports.kinds(actor), request.POST or None, request.FILES or None)
    if form.is_valid():
        file = form.cleaned_data["file"]
        batch = post_action(
            request, actions.stage_import, form, kind=form.cleaned_data["kind"], filename=file.name, data=file.read()
        )
        if batch is not None:
            return redirect("registry:import", batch.pk)
    return render(request, "registry/imports.html", {"form": form, "page": _page(request, queries.batches(actor))})


@page(permissions.IMPORT)
def import_show(request: HttpRequest, pk: int) -> HttpResponse:
    """One import: its columns, then its problems and differences."""
    batch = queries.batch(actor_of(request), pk)
    kind = imports.kind_of(batch.kind)
    form = forms.MappingForm(kind, batch.header, batch.mapping, request.POST or None)
    if form.is_valid():
        checked = post_action(request, actions.check_import, form, batch=batch, mapping=form.mapping)
        if checked is not None:
            return redirect("registry:import", pk)
    show = request.GET.get("show") or _first_shown(batch.counts)
    rows = _page(request, batch.rows.filter(change=show))
    columns = kind.columns()
    sample = [row.cells for row in batch.rows.all()[:SAMPLE_ROWS]]
    return render(request, "registry/import.html", {
        "batch": batch, "kind": kind, "form": form, "show": show, "page": rows, "earlier": queries.earlier(batch),
        "differences": [(row, imports.differences(columns, row)) for row in rows],
        "problems": [Problem(**problem) for row in rows for problem in row.problems],
        "tabs": [(change, label, batch.counts.get(change, 0)) for change, label in RowChange.choices
                 if batch.counts.get(change)],
        "sample": [(bound, [cells[place] for cells in sample]) for place, bound in enumerate(form)],
        "effective": sum(batch.counts.get(change, 0) for change in (RowChange.NEW, RowChange.CHANGED)),
    })


def _first_shown(counts: dict[str, int]) -> str:
    order = (RowChange.BAD, RowChange.CHANGED, RowChange.NEW, RowChange.SAME)
    return next((str(change) for change in order if counts.get(change)), RowChange.UNREAD)


@page(permissions.IMPORT)
def import_problems(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """All problems of an import as a file, to be put right where the file came from."""
    batch = queries.batch(actor_of(request), pk)
    problems = (p for row in batch.rows.filter(change=RowChange.BAD) for p in row.problems)
    rows = ((p["row"], p["field"], p["value"], p["rule"]) for p in problems)
    return export.response(kind, _("problems"), [_("row"), _("field"), _("value"), _("rule")], rows)


@require_POST
@page(permissions.IMPORT)
def import_activate(request: HttpRequest, pk: int) -> HttpResponse:
    """Make the staged rows real."""
    batch = queries.batch(actor_of(request), pk)
    post_action(request, actions.activate_import, None, _("The import is in the registry."), batch=batch)
    return redirect("registry:import", pk)


@require_POST
@page(permissions.IMPORT)
def import_discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Give up a staged file."""
    batch = queries.batch(actor_of(request), pk)
    post_action(request, actions.discard_import, None, _("The import was discarded."), batch=batch)
    return redirect("registry:imports")


# --- publications -------------------------------------------------------------------------------------------------


@page()
def publications(request: HttpRequest) -> HttpResponse:
    """All documents, those in force first at hand."""
    actor = actor_of(request)
    form = forms.PublicationFilter(request.GET)
    wanted = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    return render(request, "registry/publications.html", {
        "form": form, "page": _page(request, queries.publications(actor).filter(**wanted)),
        "may_submit": actor.can(permissions.SUBMIT),
    })


@page(permissions.SUBMIT)
def publication_new(request: HttpRequest) -> HttpResponse:
    """Submit a document."""
    form = forms.PublicationForm(request.POST or None)
    if form.is_valid():
        made = post_action(request, actions.submit_publication, form, _("Submitted."), **form.cleaned_data)
        if made is not None:
            return redirect("registry:publication", made.pk)
    return render(request, "registry/publication_form.html", {"form": form})


@page()
def publication(request: HttpRequest, pk: int) -> HttpResponse:
    """One document: what it says, how far it has come, what the actor may do next."""
    actor = actor_of(request)
    found = queries.publication(actor, pk)
    draft, reviewed = found.state == PublicationState.DRAFT, found.state == PublicationState.REVIEWED
    own = found.submitted_by == actor.principal
    return render(request, "registry/publication.html", {
        "publication": found, "header": terms.parse(found.text), "form": forms.CommentForm(),
        "may_review": draft and not own and actor.can(permissions.REVIEW),
        "waits_for_other": draft and own, "may_activate": reviewed and actor.can(permissions.ACTIVATE),
        "may_withdraw": (draft or reviewed) and actor.can(permissions.REVIEW),
    })


@page()
def publication_text(request: HttpRequest, pk: int) -> HttpResponse:
    """The stored text, byte for byte."""
    found = queries.publication(actor_of(request), pk)
    answer = HttpResponse(found.text, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'inline; filename="{found.identifier}.yaml"'
    return answer


@require_POST
@page()
def publication_step(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """Review, activate or withdraw a document."""
    found = queries.publication(actor_of(request), pk)
    if step == "review":
        post_action(request, actions.review_publication, None, _("Reviewed."), publication=found)
    elif step == "activate":
        post_action(request, actions.activate_publication, None, _("In force."), publication=found)
    elif step == "withdraw":
        reason = request.POST.get("reason", "")
        post_action(request, actions.withdraw_publication, None, _("Withdrawn."), publication=found, reason=reason)
    else:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return redirect("registry:publication", pk)
