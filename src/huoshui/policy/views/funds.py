"""Pages of public money: funds and the public notice (open to everybody), lists of suppliers, payouts."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _

from huoshui.base import clock, export, figures
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action
from huoshui.policy import claims, fund_queries, voucher_words
from huoshui.policy.actions import funds, payouts
from huoshui.policy.forms_funds import AmountForm, ClawBackForm, FundForm, SupplierForm
from huoshui.policy.forms_payouts import StopForm
from huoshui.policy.models import Fund, Payout, Supplier
from huoshui.policy.permissions import FUND, OVERSEE, PAY_OUT, READ

ROWS_PER_PAGE = 30


def _page(request: HttpRequest, rows: Any) -> Any:
    return Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))


def _months(found: list[fund_queries.Month]) -> figures.Figure | None:
    """Vouchers issued, subsidies approved and paid, in ten thousand yuan."""
    if not found:
        return None
    parts = {
        _("reserved by vouchers"): [month.issued_fen / 1_000_000 for month in found],
        _("approved"): [month.approved_fen / 1_000_000 for month in found],
        _("paid"): [month.paid_fen / 1_000_000 for month in found],
    }
    months = [month.month.removeprefix("20") for month in found]
    return figures.lines(_("Issued, approved and paid, by month"), months, parts, _("ten thousand yuan"))


@page_errors
def fund_list(request: HttpRequest) -> HttpResponse:
    """Every fund, what is left of it and what was paid; open to everybody."""
    rows = [(fund, fund_queries.use_of(fund)) for fund in Fund.objects.select_related("authority", "publication")]
    actor = actor_of(request)
    context = {
        "rows": rows, "figure": _months(fund_queries.by_month(fund for fund, _use in rows)),
        "notices": fund_queries.in_notice().count(), "may_open": actor.user is not None and actor.can(FUND),
    }  # fmt: skip
    return render(request, "policy/funds.html", context)


@page_errors
def fund(request: HttpRequest, pk: int) -> HttpResponse:
    """One fund: its terms, where its amount stands, month by month, and who is on its list; open to everybody."""
    found = get_object_or_404(Fund.objects.select_related("authority", "publication"), pk=pk)
    actor = actor_of(request)
    context = {
        "fund": found, "use": fund_queries.use_of(found), "pack": found.publication.loaded(),
        "figure": _months(fund_queries.by_month([found])), "today": clock.today(),
        "suppliers": found.suppliers.select_related("party").order_by("facility", "party__name"),
        "may_manage": actor.user is not None and actor.can(FUND),
    }  # fmt: skip
    return render(request, "policy/fund.html", context)


@page(FUND)
def fund_new(request: HttpRequest) -> HttpResponse:
    """Open a fund."""
    form = FundForm(request.POST or None)
    if form.is_valid():
        made = post_action(request, funds.open_fund, form, _("The fund is open."), **form.cleaned_data)
        if made is not None:
            return redirect("policy:fund", made.pk)
    return render(request, "policy/fund_form.html", {"form": form, "title": _("Open a fund")})


@page(FUND)
def fund_amount(request: HttpRequest, pk: int) -> HttpResponse:
    """Change the yearly amount."""
    found = get_object_or_404(Fund, pk=pk)
    form = AmountForm(request.POST or None)
    if form.is_valid():
        said = _("The amount is changed.")
        if post_action(request, funds.change_amount, form, said, fund=found, **form.cleaned_data) is not None:
            return redirect("policy:fund", pk)
    context = {"form": form, "title": _("Change the yearly amount"), "fund": found}
    return render(request, "policy/fund_form.html", context)


@page(FUND)
def fund_issuing(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop issuing vouchers, or begin again (POST)."""
    found = get_object_or_404(Fund, pk=pk)
    if request.method == "POST":
        issues = request.POST.get("issues") == "yes"
        post_action(request, funds.set_issuing, None, _("Saved."), fund=found, issues=issues)
    return redirect("policy:fund", pk)


@page(FUND)
def supplier_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Put a party on the list."""
    found = get_object_or_404(Fund, pk=pk)
    form = SupplierForm(request.POST or None, initial={"since": clock.today()})
    if form.is_valid():
        said = _("On the list.")
        if post_action(request, funds.list_supplier, form, said, fund=found, **form.cleaned_data) is not None:
            return redirect("policy:fund", pk)
    return render(request, "policy/fund_form.html", {"form": form, "title": _("Add a supplier"), "fund": found})


@page(FUND)
def supplier_strike(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a party off the list with today (POST)."""
    found = get_object_or_404(Supplier, pk=pk)
    if request.method == "POST":
        said = _("Off the list after today.")
        post_action(request, funds.strike_supplier, None, said, supplier=found, until=clock.today())
    return redirect("policy:fund", found.fund_id)


@page_errors
def public_notice(request: HttpRequest) -> HttpResponse:
    """What is in public notice; open to everybody."""
    rows = _page(request, fund_queries.in_notice())
    context = {"page": rows, "rules": voucher_words.RULES, "may_object": actor_of(request).user is not None}
    return render(request, "policy/public_notice.html", context)


# --- payouts ----------------------------------------------------------------------------------------------------------


def _payouts(request: HttpRequest) -> QuerySet[Payout]:
    rows = fund_queries.payouts(actor_of(request))
    state = request.GET.get("state", "")
    return rows.filter(paid_at__isnull=state == "ordered") if state in ("ordered", "paid") else rows


@page(READ)
def payout_list(request: HttpRequest) -> HttpResponse:
    """Payouts ordered and paid."""
    actor = actor_of(request)
    context = {
        "page": _page(request, _payouts(request)), "state": request.GET.get("state", ""),
        "due": fund_queries.due() + fund_queries.waiting_grants().count(),
        "may_order": actor.can(PAY_OUT), "may_export": actor.can(OVERSEE),
    }  # fmt: skip
    return render(request, "policy/payouts.html", context)


@page(PAY_OUT)
def payout_order(request: HttpRequest) -> HttpResponse:
    """Order everything whose public notice is over (POST)."""
    context: dict[str, Any] = {}
    if request.method == "POST":
        context["done"], context["refused"] = payouts.order_due(actor_of(request))
    else:
        return redirect("policy:payouts")
    return render(request, "policy/payout_ordered.html", context)


@page(OVERSEE)
def payout_file(request: HttpRequest, kind: str) -> HttpResponse:
    """The payouts ordered and not paid yet, as the finance office and the bank need them."""
    headers = [
        _("statement number"), _("payer"), _("payer's USCC"), _("payee"), _("payee's USCC"), _("payee's bank"),
        _("payee's account"), _("amount (yuan)"), _("purpose"), _("ordered on"),
    ]  # fmt: skip
    rows = fund_queries.payouts(actor_of(request)).filter(paid_at=None).order_by("fund", "id")
    table = [
        [
            row.statement.number, row.fund.authority.name, row.fund.authority.uscc, row.party.name, row.party.uscc,
            row.bank_name, row.account_number, export.yuan(row.amount_fen), f"{row.fund.title} {row.about}",
            clock.local(row.ordered_at).date(),
        ]
        for row in rows
    ]  # fmt: skip
    return export.response(kind, f"payouts-{clock.today()}", headers, table)


@page(READ)
def payout(request: HttpRequest, pk: int) -> HttpResponse:
    """One payout, traced to the statement that caused it."""
    actor = actor_of(request)
    found = fund_queries.payout(actor, pk)
    source = found.redemption.statement if found.redemption else None
    subsidy = sum(row.amount_fen for row in source.redemptions.filter(live=True)) if source else 0
    context = {
        "payout": found, "source": source, "lines": claims.lines_of(source) if source else [],
        "shares": claims.cost_sharing(source, subsidy) if source else None,
        "claw_backs": found.claw_backs.select_related("statement"),
        "may_claw_back": actor.can(PAY_OUT) and found.paid_at is not None,
        "may_stop": actor.can(PAY_OUT) and found.paid_at is None,
    }  # fmt: skip
    return render(request, "policy/payout.html", context)


@page(PAY_OUT)
def payout_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Stop a payout that is ordered and not paid."""
    found = fund_queries.payout(actor_of(request), pk)
    form = StopForm(request.POST or None)
    if form.is_valid():
        said = _("Stopped: the bank has to be told if it has the order already.")
        if post_action(request, payouts.cancel, form, said, payout=found, **form.cleaned_data) is not None:
            if found.redemption_id is not None:
                return redirect("policy:redemption", found.redemption_id)
            return redirect("policy:application", found.application_id)
    return render(request, "policy/payout_stop.html", {"form": form, "payout": found})


@page(PAY_OUT)
def payout_claw_back(request: HttpRequest, pk: int) -> HttpResponse:
    """Claim a payout back."""
    found = fund_queries.payout(actor_of(request), pk)
    form = ClawBackForm(request.POST or None, initial={"amount_fen": export.yuan(found.amount_fen)})
    if form.is_valid():
        said = _("Claimed back: the firm has a statement.")
        if post_action(request, payouts.claw_back, form, said, payout=found, **form.cleaned_data) is not None:
            return redirect("policy:payout", pk)
    return render(request, "policy/payout_claw_back.html", {"form": form, "payout": found})
