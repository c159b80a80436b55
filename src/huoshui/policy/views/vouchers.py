"""Pages of vouchers and redemptions: a firm's vouchers, asking for money back, an officer's review, objections."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from huoshui.base import clock, export
from huoshui.base.errors import Missing, Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.book.models import Statement
from huoshui.policy import claims, fund_queries, redeeming, voucher_words
from huoshui.policy.actions import payouts, redemptions
from huoshui.policy.forms_funds import (
    AnswerForm,
    ApproveForm,
    ObjectForm,
    OutsideForm,
    RedeemForm,
    RedemptionFilter,
    RefuseForm,
)
from huoshui.policy.models import Redemption, RedemptionEvent, Voucher
from huoshui.policy.permissions import PAY_OUT, READ, REDEEM, REVIEW
from huoshui.policy.redeeming import Assessment
from huoshui.registry.queries import parties_of

ROWS_PER_PAGE = 30
STATEMENTS_SHOWN_MAX = 12
State = Redemption.State
Event = RedemptionEvent.Kind


def _page(request: HttpRequest, rows: Any) -> Any:
    return Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))


# --- vouchers ---------------------------------------------------------------------------------------------------------


@page(READ)
def voucher_list(request: HttpRequest) -> HttpResponse:
    """Vouchers that the person may see, with what each still reserves."""
    rows = _page(request, fund_queries.vouchers(actor_of(request)))
    left = fund_queries.left_of(rows.object_list)
    context = {"page": rows, "rows": [(voucher, left[voucher.pk]) for voucher in rows.object_list]}
    return render(request, "policy/vouchers.html", context)


@page(READ)
def voucher(request: HttpRequest, pk: int) -> HttpResponse:
    """One voucher: what it reserves, its terms, what was redeemed."""
    actor = actor_of(request)
    found = fund_queries.voucher(actor, pk)
    context = {
        "voucher": found, "left": redeeming.left_on(found), "pack": found.fund.publication.loaded(),
        "redemptions": fund_queries.redemptions(actor).filter(voucher=found),
        "may_redeem": found.state == Voucher.State.ACTIVE and actor.can(REDEEM, found), "rules": voucher_words.RULES,
    }  # fmt: skip
    return render(request, "policy/voucher.html", context)


# --- asking -----------------------------------------------------------------------------------------------------------


def _mine(request: HttpRequest, pk: int) -> Voucher:
    found = fund_queries.voucher(actor_of(request), pk)
    actor_of(request).require(REDEEM, found)
    return found


@page(REDEEM)
def redeem(request: HttpRequest, pk: int) -> HttpResponse:
    """Choose an accepted statement; each is shown with what it would bring, or why nothing."""
    found = _mine(request, pk)
    statements = fund_queries.redeemable(actor_of(request), found)
    rows = [(row, _assess(found, row)) for row in statements[:STATEMENTS_SHOWN_MAX]]
    context = {"voucher": found, "rows": rows, "left": redeeming.left_on(found), "more": len(rows) < statements.count()}
    return render(request, "policy/voucher_redeem.html", context)


def _assess(voucher: Voucher, statement: Statement, claimed_fen: int | None = None) -> Assessment:
    """What a statement would bring; the invoice is asked for later."""
    claim = claims.of_statement(voucher, statement, claimed_fen=claimed_fen, invoices=["—"])
    return redeeming.assess(claim)


def _statement(request: HttpRequest, voucher: Voucher, pk: int) -> Statement:
    found = fund_queries.redeemable(actor_of(request), voucher).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@page(REDEEM)
def redeem_statement(request: HttpRequest, pk: int, statement: int) -> HttpResponse:
    """Name the invoice of one statement and ask; the amount follows what is claimed."""
    found = _mine(request, pk)
    source = _statement(request, found, statement)
    paid = claims.paid_on(source)
    form = RedeemForm(
        found.fund.publication.loaded(), request.POST or None, request.FILES or None,
        initial={"claimed_fen": export.yuan(paid)},
    )  # fmt: skip
    if form.is_valid():
        made = post_action(
            request, redemptions.submit, form, _("Sent. An officer reviews it."), voucher=found, statement=source,
            invoices=form.invoices(), claimed_fen=form.cleaned_data["claimed_fen"], declared=form.declared(),
        )  # fmt: skip
        if made is not None:
            return redirect("policy:redemption", made.pk)
    context = {
        "voucher": found, "statement": source, "form": form, "found": _assess(found, source),
        "shares": claims.cost_sharing(source, 0), "paid": paid,
    }  # fmt: skip
    return render(request, "policy/redemption_form.html", context)


@page(REDEEM)
def redeem_amount(request: HttpRequest, pk: int, statement: int) -> HttpResponse:
    """The amount for what is claimed, while it is typed (a fragment); nothing once the statement is redeemed."""
    found = _mine(request, pk)
    source = fund_queries.redeemable(actor_of(request), found).filter(pk=statement).first()
    if source is None:
        return HttpResponse(status=204)
    form = RedeemForm(found.fund.publication.loaded(), request.GET)
    form.is_valid()
    claimed = form.cleaned_data.get("claimed_fen")
    assessment = _assess(found, source, claimed) if claimed is not None else None
    return render(request, "policy/_redemption_amount.html", {"found": assessment})


@page(REDEEM)
def redeem_outside(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask for a contract outside the platform, by documents that an officer checks."""
    found = _mine(request, pk)
    form = OutsideForm(found.fund.publication.loaded(), request.POST or None, request.FILES or None)
    if form.is_valid():
        made = post_action(
            request, redemptions.submit, form, _("Sent. An officer checks the documents."), voucher=found,
            outside=form.outside(), invoices=form.invoices(), documents=form.documents(), declared=form.declared(),
        )  # fmt: skip
        if made is not None:
            return redirect("policy:redemption", made.pk)
    return render(request, "policy/redemption_outside.html", {"voucher": found, "form": form})


# --- redemptions ------------------------------------------------------------------------------------------------------


@page(READ)
def redemption_list(request: HttpRequest) -> HttpResponse:
    """Redemptions that the person may see; an officer's list to review."""
    actor = actor_of(request)
    form = RedemptionFilter(request.GET or None)
    wanted = form.cleaned_data if form.is_bound and form.is_valid() else {}
    rows = fund_queries.redemptions(actor)
    if state := wanted.get("state"):
        rows = rows.filter(state=state)
    if text := wanted.get("text", "").strip():
        number = text.rpartition("-")[2].lstrip("0")
        by_number = Q(pk=int(number)) if number.isdecimal() and len(number) < 12 else Q()
        named = Q(party__name__icontains=text) | Q(contract__icontains=text) | Q(statement__number__icontains=text)
        rows = rows.filter(named | by_number if by_number else named)
    waiting = fund_queries.redemptions(actor).filter(state=State.SUBMITTED).count()
    context = {"form": form, "page": _page(request, rows), "waiting": waiting, "may_review": actor.can(REVIEW)}
    return render(request, "policy/redemptions.html", context)


@page(READ)
def redemption(request: HttpRequest, pk: int) -> HttpResponse:
    """One redemption: how the amount came about, who bears what, what happened, and what may be done now."""
    found = fund_queries.redemption(actor_of(request), pk)
    return _redemption(request, found)


def _redemption(request: HttpRequest, found: Redemption, **forms: Any) -> HttpResponse:
    actor = actor_of(request)
    waiting = found.state == State.SUBMITTED
    now = redeeming.assess(claims.of_redemption(found)) if waiting else None
    subsidy = found.amount_fen if found.live else 0
    reviews = waiting and actor.can(REVIEW) and not redemptions.did(actor, found, Event.SUBMITTED)
    context = {
        "redemption": found, "now": now, "parts": found.parts, "invoices": found.invoices.select_related("invoice"),
        "shares": claims.cost_sharing(found.statement, subsidy) if found.statement else None,
        "payout": getattr(found, "payout", None), "events": _events(found), "may_review": reviews,
        "may_withdraw": waiting and actor.can(REDEEM, found),
        "may_answer": found.state == State.OBJECTED and actor.can(REVIEW),
        "may_order": _notice_over(found) and actor.can(PAY_OUT)
        and not redemptions.did(actor, found, Event.APPROVED),
        "account": found.voucher.application.account_confirmed,
    }  # fmt: skip
    if reviews:
        context["approve_form"] = ApproveForm(redemptions.findings_of(found, now) if now else {})
        context["refuse_form"] = RefuseForm(initial={"clause": now.refusal.clause if now and now.refusal else ""})
    if context["may_answer"]:
        context["answer_form"] = AnswerForm()
    return render(request, "policy/redemption.html", context | forms)


def _notice_over(found: Redemption) -> bool:
    return found.state == State.NOTICE and found.notice_until is not None and clock.today() > found.notice_until


def _events(found: Redemption) -> list[dict[str, Any]]:
    rows = found.events.select_related("actor").order_by("-id")
    return [{"at": row.at, "title": row.get_kind_display(), "body": row.text} for row in rows]


@page(REVIEW)
def redemption_approve(request: HttpRequest, pk: int) -> HttpResponse:
    """Approve (POST)."""
    found = fund_queries.redemption(actor_of(request), pk)
    if request.method != "POST" or found.state != State.SUBMITTED:
        return redirect("policy:redemption", pk)
    now = redeeming.assess(claims.of_redemption(found))
    form = ApproveForm(redemptions.findings_of(found, now), request.POST)
    if form.is_valid() and post_action(
        request, redemptions.approve, form, _("Approved: the public notice begins."), redemption=found,
        findings=form.findings(), text=form.cleaned_data["text"],
    ) is not None:  # fmt: skip
        return redirect("policy:redemption", pk)
    return _redemption(request, found, approve_form=form)


@page(REVIEW)
def redemption_refuse(request: HttpRequest, pk: int) -> HttpResponse:
    """Refuse (POST)."""
    found = fund_queries.redemption(actor_of(request), pk)
    if request.method != "POST":
        return redirect("policy:redemption", pk)
    form = RefuseForm(request.POST)
    if form.is_valid() and post_action(
        request, redemptions.refuse, form, _("Refused."), redemption=found, **form.cleaned_data
    ) is not None:
        return redirect("policy:redemption", pk)
    return _redemption(request, found, refuse_form=form)


@page(REDEEM)
def redemption_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take it back (POST)."""
    found = fund_queries.redemption(actor_of(request), pk)
    if request.method == "POST":
        post_action(request, redemptions.withdraw, None, _("Withdrawn."), redemption=found)
    return redirect("policy:redemption", pk)


@page(READ)
def redemption_object(request: HttpRequest, pk: int) -> HttpResponse:
    """Object to what stands in public notice."""
    found = fund_queries.in_notice().filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    form = ObjectForm(parties_of(actor_of(request), READ).order_by("name"), request.POST or None)
    if form.is_valid():
        said = _("Your objection is on record; nothing is paid until it is answered.")
        if post_action(request, redemptions.object_to, form, said, redemption=found, **form.cleaned_data) is not None:
            return redirect("policy:public_notice")
    return render(request, "policy/redemption_object.html", {"redemption": found, "form": form})


@page(REVIEW)
def redemption_answer(request: HttpRequest, pk: int) -> HttpResponse:
    """Answer an objection (POST)."""
    found = fund_queries.redemption(actor_of(request), pk)
    if request.method != "POST":
        return redirect("policy:redemption", pk)
    form = AnswerForm(request.POST)
    if form.is_valid() and post_action(
        request, redemptions.answer_objection, form, _("Answered."), redemption=found,
        upheld=form.cleaned_data["upheld"] == "yes", text=form.cleaned_data["text"],
    ) is not None:  # fmt: skip
        return redirect("policy:redemption", pk)
    return _redemption(request, found, answer_form=form)


@page(PAY_OUT)
def redemption_order(request: HttpRequest, pk: int) -> HttpResponse:
    """Order the payout (POST)."""
    found = fund_queries.redemption(actor_of(request), pk)
    if request.method == "POST":
        made = post_action(request, payouts.order, None, _("Ordered: the bank is to pay."), redemption=found)
        if made is None:
            raise Refused(_("This could not be done"))
        return redirect("policy:payout", made.pk)
    return redirect("policy:redemption", pk)
