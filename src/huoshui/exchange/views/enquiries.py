"""Enquiries: needs posted, sealed offers, the ranking and the award."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base.access import Actor
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.exchange import forms, queries
from huoshui.exchange.actions import enquiries
from huoshui.exchange.models import Enquiry, Offer
from huoshui.exchange.permissions import READ, TRADE

ROWS_PER_PAGE = 25


@page(READ)
def enquiry_list(request: HttpRequest) -> HttpResponse:
    """Needs posted, newest first."""
    actor = actor_of(request)
    listed = Paginator(queries.enquiries(actor), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "exchange/enquiries.html", {"page_obj": listed, "may_trade": actor.can(TRADE)})


@page(TRADE)
def enquiry_new(request: HttpRequest) -> HttpResponse:
    """Post a need."""
    terms = forms.terms_now()
    form = forms.EnquiryForm(terms, queries.parties(actor_of(request)), request.POST or None)
    if form.is_valid():
        made = post_action(request, enquiries.post_enquiry, form, _("The enquiry is posted."), **form.cleaned_data)
        if made is not None:
            return redirect("exchange:enquiry", made.pk)
    return render(request, "exchange/enquiry_form.html", {"form": form, "terms": terms})


@page(READ)
def enquiry_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One need: its criteria, one's own offer or all offers once they are opened, the award."""
    actor = actor_of(request)
    row = queries.enquiry(actor, pk)
    form = _offer_form(request, actor, row)
    if form is not None and form.is_valid():
        data = form.cleaned_data
        made = post_action(
            request, enquiries.submit_offer, form, _("The offer is sealed."), enquiry=row,
            party=data["pool"].site.operator, **data,
        )  # fmt: skip
        if made is not None:
            return redirect("exchange:enquiry", pk)
    buyer = actor.can(TRADE, row)
    offers = list(queries.offers(actor, row))
    decides = buyer and row.state == Enquiry.State.OPEN
    context = {
        "enquiry": row, "form": form, "offers": offers, "buyer": buyer, "state": Enquiry.State,
        "codes": list(row.weights), "decides": decides,
        "award_form": forms.AwardForm(queries.offers(actor, row)) if decides and row.ranked_at and offers else None,
        "award": _shown_award(actor, row), "trade": _trade(actor, row),
    }  # fmt: skip
    return render(request, "exchange/enquiry.html", context)


def _offer_form(request: HttpRequest, actor: Actor, row: Enquiry) -> forms.OfferForm | None:
    """Open to sellers with a pool that fits and no offer yet."""
    if row.closed or row.state != Enquiry.State.OPEN or not actor.can(TRADE):
        return None
    form = forms.OfferForm(row, queries.own_pools(actor).exclude(site__operator=row.party), request.POST or None)
    wanted: Any = form.fields["pool"]
    return form if wanted.queryset.exists() and not queries.offers(actor, row).exists() else None


def _shown_award(actor: Actor, row: Enquiry) -> Offer | None:
    """The offer that won, for those who offered, the buyer and who watches: rank and price are told to them."""
    return row.award if row.award_id and queries.offers(actor, row).exists() else None


def _trade(actor: Actor, row: Enquiry) -> Any:
    label = f"exchange.offer:{row.award_id}"
    return queries.trades(actor).filter(source=label).first() if row.award_id else None


@require_POST
@page(TRADE)
def enquiry_award(request: HttpRequest, pk: int) -> HttpResponse:
    """Award an offer."""
    actor = actor_of(request)
    row = queries.enquiry(actor, pk)
    form = forms.AwardForm(queries.offers(actor, row), request.POST)
    if form.is_valid():
        made = post_action(request, enquiries.award, None, _("The offer is awarded."), enquiry=row, **form.cleaned_data)
        if made is not None:
            return redirect("exchange:trade", made.pk)
    return redirect("exchange:enquiry", pk)


@page(TRADE)
def enquiry_end(request: HttpRequest, pk: int) -> HttpResponse:
    """End an enquiry without award."""
    row = queries.enquiry(actor_of(request), pk)
    form = forms.ReasonForm(request.POST or None)
    if form.is_valid():
        done = post_action(
            request, enquiries.end_enquiry, form, _("The enquiry has ended."), enquiry=row, **form.cleaned_data
        )
        if done is not None:
            return redirect("exchange:enquiry", pk)
    return render(request, "exchange/enquiry_end.html", {"form": form, "enquiry": row})


@require_POST
@page(TRADE)
def offer_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a sealed offer back."""
    offer = queries.offer(actor_of(request), pk)
    post_action(request, enquiries.withdraw_offer, None, _("The offer is withdrawn."), offer=offer)
    return redirect("exchange:enquiry", offer.enquiry_id)
