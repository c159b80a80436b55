"""Bookings: the list, one with its use and jobs, the ready command, a token for it."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, show_refusal
from huoshui.jobs import forms, queries, sources
from huoshui.jobs.actions.access import issue_booking_token
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Booking
from huoshui.jobs.permissions import READ, RUN

ROWS_PER_PAGE = 25
JOBS_SHOWN = 20


@page(READ)
def booking_list(request: HttpRequest) -> HttpResponse:
    """Bookings that the person may see, newest first."""
    form = forms.BookingFilter(request.GET or None)
    chosen = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    found = queries.bookings(actor_of(request), **chosen)
    listed = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page_obj": listed, "rows": listed, "narrowed": bool(chosen)}
    return render(request, "jobs/bookings.html", context)


@page(READ)
def booking_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One booking."""
    return render(request, "jobs/booking.html", _context(request, queries.booking(actor_of(request), pk)))


@page(RUN)
def booking_token(request: HttpRequest, pk: int) -> HttpResponse:
    """Issue a token limited to the booking; it is shown once, on this very answer."""
    actor = actor_of(request)
    booking = queries.booking(actor, pk)
    actor.require(RUN, booking)
    form, secret = forms.TokenForm(request.POST or None), ""
    if form.is_valid():
        try:
            secret = issue_booking_token(actor, booking=booking, **form.cleaned_data)["secret"]
        except Refused as error:
            show_refusal(form, error)
    response = render(request, "jobs/booking_token.html", _context(request, booking) | {"form": form, "secret": secret})
    response["Cache-Control"] = "no-store"
    return response


def _context(request: HttpRequest, booking: Booking) -> dict[str, Any]:
    actor = actor_of(request)
    stretch = queries.next_stretch(booking)
    title, url = sources.tell(booking)
    own = actor.can(READ, booking)
    return {
        "booking": booking, "use": queries.use_of(booking, clock.now()), "source": title, "source_url": url,
        "stretches": booking.stretches.order_by("start_hour"), "stretch": stretch, "now": clock.hour_of(clock.now()),
        "connection": queries.connection_of(booking.pool.site), "own": own, "live": booking.state in LIVE,
        "may_run": booking.state in LIVE and actor.can(RUN, booking),
        "jobs": booking.jobs.order_by("-id")[:JOBS_SHOWN] if own else [],
        "job_count": booking.jobs.count(), "slurm": queries.slurm_line(booking, stretch),
        "api": request.build_absolute_uri(reverse("api:job_submit", args=[booking.pk])),
    }  # fmt: skip
