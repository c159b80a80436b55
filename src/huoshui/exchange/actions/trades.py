"""Cards that are taken back, of a trade or of what stands aside to be resold: recalled with the notice that was
offered, or reported as failed. Who runs the site does it, whoever sold last: only there is known what failed, and only
from there was a notice given.
"""

from django.db.models import Model
from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import Missing, invalid
from huoshui.compute.actions.deposits import hour_text
from huoshui.exchange import backing
from huoshui.exchange.models import Listing, Trade
from huoshui.exchange.permissions import TRADE
from huoshui.jobs import services
from huoshui.jobs.models import Booking

RECALL = "exchange.trade.recall"


@action(RECALL)
def recall_trade(act: Act, *, trade: Trade, from_hour: int, cards: int, reason: str) -> Trade:
    """Take cards of a trade back from `from_hour` on: `recall` where it has a notice, `failure` of any.

    The statement does not bill what was taken back. Raises Missing for a balance, Invalid,
    Refused(code="recall_notice", "booking_state").
    """
    trade = Trade.objects.select_related("booking__pool__site__operator").get(pk=trade.pk)
    if trade.booking is None:
        raise Missing(_("A balance has no cards."))
    act.require(TRADE, trade.booking.pool.site.operator)
    _take(act, trade, trade.booking, from_hour, cards, reason)
    return trade


@action("exchange.aside.recall")
def recall_aside(act: Act, *, booking: Booking, from_hour: int, cards: int, reason: str) -> Booking:
    """Take cards back that their holder set aside to resell and nobody bought yet, as `recall_trade`.

    What its listing still offers falls to what is left in all its hours; whoever sold the hours before gives their
    price back when the booking ends. Raises Missing for a booking that no sell order stands on.
    """
    found = backing.resold_aside().select_related("pool__site__operator").filter(pk=booking.pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    act.require(TRADE, found.pool.site.operator)
    rows = Listing.objects.select_for_update(of=("self",)).filter(booking=found, state=Listing.State.OPEN)
    listing = rows.select_related("contract").first()
    taken = _take(act, found, found, from_hour, cards, reason)
    if listing is not None and listing.contract is not None:
        listing.left = min(listing.left, backing.held(taken, listing.contract))
        if listing.left == 0:
            listing.state = Listing.State.EXPIRED
        listing.save(update_fields=["left", "state"])
    return taken


def _take(act: Act, subject: Model, booking: Booking, from_hour: int, cards: int, reason: str) -> Booking:
    booking = services.live(booking)
    taken = services.card_hours_from(booking, from_hour, cards)
    if not taken:
        raise invalid("from", hour_text(from_hour), _("%(booking)s has no cards then") % {"booking": booking.number})
    record = act.record(subject, {"from": from_hour, "cards": cards, "reason": reason, "card_hours": taken})
    return services.recall(act, record, booking, from_hour=from_hour, cards=cards, reason=reason)
