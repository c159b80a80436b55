"""What stands behind a sell order: cards set aside in a booking of the seller's, or a reserved balance.

The idea: whoever sells first makes (or already has) a booking; a trade hands a part of it over. So the calendar of the
pool knows the cards from the first minute, nobody can sell them twice, and what is not sold goes back the way it came:
free cards to the pool, resold hours to the seller, in a booking of their own.
"""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from django.db.models import Model, Q, QuerySet
from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act
from huoshui.base.errors import Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.book.models import Account, Kind
from huoshui.book.services import SCH, Hold
from huoshui.compute import accounts
from huoshui.compute.models import Pool
from huoshui.exchange.models import Contract, Listing, Offer, Order
from huoshui.jobs import connections, services
from huoshui.jobs.models import Booking
from huoshui.jobs.services import BookingDraft
from huoshui.registry.models import Party

MILLI = 1000


class Cards(NamedTuple):
    """Where a seller's cards come from: free cards of a pool of its own, or hours of a booking that it holds."""

    pool: Pool
    booking: Booking | None = None


def check(party: Party, cards: Cards, contract: Contract) -> None:
    """Raises Invalid or Refused when the cards are not the seller's to sell, or not what the contract means."""
    if not contract.fits(cards.pool):
        raise invalid("pool", cards.pool, _("is not what this contract means"))
    booking = cards.booking
    if booking is None:
        if cards.pool.site.operator_id != party.pk:
            raise invalid("pool", cards.pool, _("is not a pool of yours; what you rented you resell from its booking"))
        connections.require_engine(cards.pool.site)
        return
    if booking.party_id != party.pk:
        raise invalid("booking", booking, _("is not yours"))
    if booking.pool_id != cards.pool.pk:
        raise invalid("pool", cards.pool, _("is not the pool of %(booking)s") % {"booking": booking.number})
    if on_offer().filter(pk=booking.pk).exists():
        raise Refused(_("%(booking)s is on offer already.") % {"booking": booking.number}, code="on_offer")
    if booking.from_deposits:
        raise Refused(_("Hours out of the compute bank are resold there, as a deposit."), code="of_the_bank")
    if booking.billing != Booking.Billing.WHOLE:
        raise Refused(_("Hours that are billed by use cost nothing while unused; give them back."), code="by_use")
    if contract.billing != Booking.Billing.WHOLE:
        raise invalid("billing", contract.billing, _("resold hours are sold as a whole"))


def refuse_recallable(cards: Cards) -> None:
    """Raises Refused(code="recallable") for hours that may be recalled: who bids for cards bids for such as stay."""
    if cards.booking is not None and cards.booking.recall_notice_hours is not None:
        text = _("Cards that may be recalled are not sold in an auction or to a buy listing; list them.")
        raise Refused(text, code="recallable")


def on_offer() -> QuerySet[Booking]:
    """Bookings that stand behind something open: cards set aside for a listing, an order or an offer."""
    return Booking.objects.filter(
        Q(pk__in=Listing.objects.filter(state=Listing.State.OPEN, booking__isnull=False).values("booking"))
        | Q(pk__in=Order.objects.filter(state=Order.State.OPEN, booking__isnull=False).values("booking"))
        | Q(pk__in=Offer.objects.filter(state=Offer.State.SEALED, booking__isnull=False).values("booking"))
    )


def resold_aside() -> QuerySet[Booking]:
    """Bookings of hours that were set aside to be resold, sold since or not."""
    return Booking.objects.filter(
        Q(pk__in=Listing.objects.filter(resold_from__isnull=False, booking__isnull=False).values("booking"))
        | Q(pk__in=Order.objects.filter(resold_from__isnull=False, booking__isnull=False).values("booking"))
    )


def set_aside(
    act: Act, record: LogRecord, party: Party, cards: Cards, contract: Contract, lots: int, of: Model
) -> Booking:
    """The seller's booking out of which trades are handed over. Raises Refused(code="no_cards" or "not_held")."""
    draft = BookingDraft(
        party=party, pool=cards.pool, cards=lots, stretches=[(contract.start_hour, contract.end_hour)],
        source=canonical.label(of), price_mfen=0, cap_fen=0, billing=Booking.Billing.WHOLE,
    )  # fmt: skip
    return _out_of(act, record, cards, contract, lots, draft)


def deliver(
    act: Act, record: LogRecord, cards: Cards, contract: Contract, lots: int, buyer: Party, of: Model, price_mfen: int
) -> Booking:
    """The buyer's booking: free cards are booked, cards of a booking handed over."""
    draft = BookingDraft(
        party=buyer, pool=cards.pool, cards=lots, stretches=[(contract.start_hour, contract.end_hour)],
        source=canonical.label(of), price_mfen=price_mfen, cap_fen=contract.amount_fen(lots, price_mfen),
        billing=contract.billing,
    )  # fmt: skip
    return _out_of(act, record, cards, contract, lots, draft)


def _out_of(
    act: Act, record: LogRecord, cards: Cards, contract: Contract, lots: int, draft: BookingDraft
) -> Booking:
    if cards.booking is None:
        return services.book(act, record, draft)
    _require(cards.booking, contract, lots)
    return services.hand_over(
        act, record, cards.booking, cards=lots, from_hour=contract.start_hour, to_hour=contract.end_hour, draft=draft
    )


def held(booking: Booking, contract: Contract) -> int:
    """Cards that a booking holds in every hour of a contract: it may have lost some."""
    return int(services.booked_cards(booking, contract.start_hour, contract.end_hour).min())


def _require(booking: Booking, contract: Contract, lots: int) -> None:
    if (cards := held(booking, contract)) < lots:
        raise Refused(
            _("%(booking)s holds only %(held)s cards in all of these hours.")
            % {"booking": booking.number, "held": cards},
            code="not_held", held=cards,
        )  # fmt: skip


def give_back(act: Act, record: LogRecord, aside: Booking | None, resold: bool, reason: str) -> None:
    """What was not sold: free cards go back to the pool; resold hours stay with the seller, in the booking aside."""
    if aside is None or resold:
        return
    aside.refresh_from_db()
    if aside.state in services.LIVE:
        services.cancel(act, record, aside, reason)


# --- balances of compute accounts -------------------------------------------------------------------------------------


def reserve(act: Act, record: LogRecord, party: Party, of: Model, lots: int) -> None:
    """Reserve standard card-hours, oldest expiry first. Raises Refused(code="over_limit")."""
    left, holds = lots * MILLI, []
    today = clock.local(act.at).date()
    for day, amount in accounts.balances(party).items():
        if day >= today and left:
            part = min(left, amount)
            holds.append(_hold(party, of, day, part))
            left -= part
    if left:
        raise Refused(
            _("%(party)s has not %(lots)s standard card-hours to sell.") % {"party": party, "lots": lots},
            code="over_limit",
        )
    book.hold_many(act, record, holds)


def unreserve(act: Act, record: LogRecord, party: Party, of: Model) -> None:
    """What is reserved becomes free again."""
    book.release_hold_many(act, record, _reserved(party, of))


def pass_on(act: Act, record: LogRecord, giver: Party, taker: Party, of: Model, lots: int, left: int) -> None:
    """Transfer reserved standard card-hours, dates kept; `left` lots stay reserved."""
    unreserve(act, record, giver, of)
    accounts.transfer(act, record, giver, taker, lots * MILLI)
    if left:
        reserve(act, record, giver, of, left)


def _hold(party: Party, of: Model, day: date, milli: int | None = None) -> Hold:
    return Hold(party, f"{canonical.label(of)}@{day}", milli, SCH, f"{accounts.EXPIRES}{day}")


def _reserved(party: Party, of: Model) -> Sequence[Hold]:
    rows = Account.objects.filter(
        party=party, kind=Kind.HELD, asset=SCH, subject__startswith=f"{canonical.label(of)}@", balance__amount__gt=0
    )
    subjects = rows.order_by("subject").values_list("subject", flat=True)
    return [_hold(party, of, accounts.expiry_of(subject)) for subject in subjects]
