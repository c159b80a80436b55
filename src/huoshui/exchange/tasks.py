"""Background work of the exchange: clearing an auction; closing what is over. Safe to repeat."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from django_tasks import task
from django_tasks.base import TaskContext

from huoshui.base import access, clock, tasks
from huoshui.base.errors import Refused
from huoshui.exchange.actions import auctions, enquiries, listings
from huoshui.exchange.models import Auction, Enquiry, Listing
from huoshui.exchange.solving import solve

WORKER = access.system("worker")
AT_ONCE_MAX = 500


@task(takes_context=True)
def clear_auction(context: TaskContext, auction_id: int) -> None:
    """Freeze, solve, verify, store. Safe to run again after a crash: each step has its key."""
    tasks.watched(context, partial(clear, Auction.objects.get(pk=auction_id)))


def clear(auction: Auction, watch: tasks.Watch) -> None:
    """The steps of clearing; the calculation runs in a child process."""
    if auction.state not in (Auction.State.OPEN, Auction.State.FROZEN):
        return  # an earlier attempt stored the result and died before it could say so
    auctions.freeze(WORKER, key=f"auction/{auction.pk}/freeze", auction=auction)
    content, figures = tasks.in_child(watch, solve, auctions.problem_bytes(auction))
    auctions.record_result(
        WORKER, key=f"auction/{auction.pk}/result", auction=auction, content=content, figures=figures
    )


@task()
def keep() -> int:
    """Clear auctions whose session is over, expire listings, open offers, end what nobody decided; returns how many."""
    now = clock.now()
    done = 0
    for auction in Auction.objects.filter(state=Auction.State.OPEN, closes_at__lte=now, task=None)[:AT_ONCE_MAX]:
        done += _tried(auctions.start_clearing, f"auction/{auction.pk}/clear", auction=auction)
    for listing in Listing.objects.filter(state=Listing.State.OPEN, expires_at__lte=now)[:AT_ONCE_MAX]:
        done += _tried(listings.expire, f"listing/{listing.pk}/expire", listing=listing)
    for enquiry in Enquiry.objects.filter(state=Enquiry.State.OPEN, closes_at__lte=now)[:AT_ONCE_MAX]:
        if enquiry.ranked_at is None:
            done += _tried(enquiries.open_offers, f"enquiry/{enquiry.pk}/open", enquiry=enquiry)
        elif enquiry.start_hour <= clock.hour_of(now) + 1:
            done += _tried(enquiries.lapse_enquiry, f"enquiry/{enquiry.pk}/lapse", enquiry=enquiry)
    return done


def _tried(action: object, key: str, **named: object) -> int:
    """1 when the action was done; somebody may have been faster."""
    with suppress(Refused):
        action(WORKER, key=key, **named)  # type: ignore[operator]
        return 1
    return 0
