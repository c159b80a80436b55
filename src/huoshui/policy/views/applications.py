"""Applications: one filing for several benefits, their review by two officers, the account, the decision and its proof.

Each write calls one action of `actions.applications`.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.cases import files
from huoshui.policy import match_rows, matching, needs, queries
from huoshui.policy.actions import applications as actions
from huoshui.policy.forms_match import AccountForm, CheckForm, FindApplication, PlanForm, RefuseForm
from huoshui.policy.models import Application
from huoshui.policy.permissions import APPLY, READ, REVIEW
from huoshui.rules import Verdict

ROWS_PER_PAGE = 25
State = Application.State


@page(APPLY)
def apply(request: HttpRequest, pk: int) -> HttpResponse:
    """One file, many applications: what is known is there already, each missing document is asked for once."""
    actor = actor_of(request)
    party = queries.entity(actor, pk)
    actor.require(APPLY, party)
    found = matching.match(party, clock.today())
    wanted = [name for name in dict.fromkeys(request.GET.getlist("pack")) if name in found.shelf.listed]
    if not wanted:
        return redirect("policy:match", pk)
    packs = [found.shelf.pack(name) for name in wanted[: actions.PACKS_MAX]]
    listed = needs.of(found, packs)
    form = PlanForm(packs, listed, request.POST or None, request.FILES or None)
    if form.is_valid():
        said = _("Handed in. The office has been told.")
        filing = post_action(
            request, actions.apply, form, said, party=party, wishes=form.wishes, handed=form.handed,
            consent=form.cleaned_data["consent"],
        )  # fmt: skip
        if filing is not None:
            return redirect(f"{reverse('policy:applications')}?{urlencode({'filing': filing.pk})}")
    rows = [match_rows.row(found, found.of(pack.id)) for pack in packs]
    return render(request, "policy/application_form.html", {
        "party": party, "form": form, "rows": rows, "needs": listed, "facts": match_rows.facts_read(found, packs),
    })  # fmt: skip


@page(READ)
def listing(request: HttpRequest) -> HttpResponse:
    """Applications that the person may see, newest first."""
    actor = actor_of(request)
    form = FindApplication(request.GET or None)
    wanted = {name: given for name, given in form.cleaned_data.items() if given} if form.is_valid() else {}
    found = queries.applications(actor, **wanted)
    if request.GET.get("filing", "").isdecimal():
        found = found.filter(filing=int(request.GET["filing"]))
    if request.GET.get("show") == "mine" and actor.can(REVIEW):
        found = queries.to_review(actor)
    return render(request, "policy/applications.html", {
        "form": form, "page_obj": Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page")),
        "officer": actor.can(REVIEW), "own": queries.own_entity(actor), "narrowed": bool(wanted),
    })  # fmt: skip


@page(READ)
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """One application: where it stands, what was decided on what, what the person may do next."""
    return render(request, "policy/application.html", _context(request, queries.application(actor_of(request), pk)))


def _context(request: HttpRequest, found: Application, **forms: Any) -> dict[str, Any]:
    actor = actor_of(request)
    pack = actions.pack_of(found)
    in_review = found.state == State.SUBMITTED
    reviews, own = actor.can(REVIEW), actor.can(APPLY, found)
    waiting = _waiting(found) if in_review and reviews and not found.checked_by else ()
    mine = found.checked_by == actor.principal
    account = in_review or found.state == State.APPROVED
    return {
        "application": found, "pack": pack, "events": match_rows.events(found), "pays": _pays(found),
        "materials": found.filing.materials.all() if found.filing else (), "party": found.party,
        "may_check": in_review and reviews and not found.checked_by, "waits_for_other": in_review and mine,
        "may_approve": in_review and reviews and bool(found.checked_by) and not mine,
        "may_refuse": in_review and reviews, "may_withdraw": in_review and own, "may_account": account and own,
        "sees_account": own or reviews, "masked": found.account_number[-4:],
        "check_form": CheckForm(pack, waiting), "refuse_form": RefuseForm(pack),
        "account_form": AccountForm(initial=_last_account(found)), "facts": match_rows.stored_facts(found.decision),
        "refusal": found.events.filter(kind="refused").last() if found.state == State.REFUSED else None,
    } | forms  # fmt: skip


def _pays(found: Application) -> bool:
    benefit = actions.pack_of(found).benefit
    return benefit is not None and benefit.kind in actions.PAYS


def _waiting(found: Application) -> tuple[str, ...]:
    """The criteria that wait for a person."""
    try:
        _pack, explanation = actions.judged(found)
    except Refused:
        return ()
    return tuple(one.criterion.id for one in explanation.criteria if one.verdict is Verdict.MANUAL)


def _last_account(found: Application) -> dict[str, str]:
    """The account that the party confirmed last, to be confirmed again."""
    rows = Application.objects.filter(party=found.party_id, account_confirmed_at__isnull=False)
    last = rows.order_by("-account_confirmed_at").first()
    return {"bank_name": last.bank_name, "account_number": last.account_number} if last else {}


@require_POST
@page(REVIEW)
def check(request: HttpRequest, pk: int) -> HttpResponse:
    """The first officer's findings."""
    found = queries.application(actor_of(request), pk)
    form = CheckForm(actions.pack_of(found), _waiting(found), request.POST)
    if form.is_valid():
        said = _("Checked. A second officer has to approve it.")
        done = post_action(
            request, actions.check, form, said, application=found, findings=form.findings,
            text=form.cleaned_data["text"],
        )  # fmt: skip
        if done is not None:
            return redirect("policy:application", pk)
    return render(request, "policy/application.html", _context(request, found, check_form=form))


@require_POST
@page(REVIEW)
def approve(request: HttpRequest, pk: int) -> HttpResponse:
    """The second officer's word."""
    found = queries.application(actor_of(request), pk)
    post_action(request, actions.approve, None, _("Approved."), application=found)
    return redirect("policy:application", pk)


@require_POST
@page(REVIEW)
def refuse(request: HttpRequest, pk: int) -> HttpResponse:
    """Refuse, with the clause and the reason."""
    found = queries.application(actor_of(request), pk)
    form = RefuseForm(actions.pack_of(found), request.POST)
    if form.is_valid():
        done = post_action(request, actions.refuse, form, _("Refused."), application=found, **form.cleaned_data)
        if done is not None:
            return redirect("policy:application", pk)
    return render(request, "policy/application.html", _context(request, found, refuse_form=form))


@require_POST
@page(APPLY)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take it back."""
    found = queries.application(actor_of(request), pk)
    post_action(request, actions.withdraw, None, _("Withdrawn."), application=found)
    return redirect("policy:application", pk)


@require_POST
@page(APPLY)
def account(request: HttpRequest, pk: int) -> HttpResponse:
    """Confirm the account."""
    found = queries.application(actor_of(request), pk)
    form = AccountForm(request.POST)
    if form.is_valid():
        said = _("The account is confirmed.")
        if post_action(request, actions.confirm_account, form, said, application=found, **form.cleaned_data):
            return redirect("policy:application", pk)
    return render(request, "policy/application.html", _context(request, found, account_form=form))


@page(READ)
def material(request: HttpRequest, pk: int) -> HttpResponse:
    """A document of a filing, as a download."""
    found = queries.material(actor_of(request), pk)
    return HttpResponse(
        files.read(found.digest), content_type="application/octet-stream",
        headers={
            "Content-Disposition": content_disposition_header(True, found.name) or "attachment",
            "X-Content-Type-Options": "nosniff",
        },
    )  # fmt: skip


@page(READ)
def decision(request: HttpRequest, pk: int) -> HttpResponse:
    """A decision with what it was based on; `?verify` evaluates it again from the stored texts and facts."""
    found = queries.decision(actor_of(request), pk)
    return render(request, "policy/decision.html", {
        "decision": found, "party": found.party, "rows": match_rows.stored_criteria(found),
        "facts": match_rows.stored_facts(found), "digests": match_rows.stored_packs(found),
        "verdict": match_rows.stored_verdict(found), "amount_fen": found.trace["amount_fen"],
        "replayed": matching.replay(found) if "verify" in request.GET else None,
    })  # fmt: skip
