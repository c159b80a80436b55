"""Cards of a trade that are taken back: recalled with the notice that was offered, or reported as failed."""

from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import Missing, invalid
from huoshui.compute.actions.deposits import hour_text
from huoshui.exchange.models import Trade
from huoshui.exchange.permissions import TRADE
from huoshui.jobs import services

RECALL = "exchange.trade.recall"


@action(RECALL)
def recall_trade(act: Act, *, trade: Trade, from_hour: int, cards: int, reason: str) -> Trade:
    """Take cards back from `from_hour` on: `recall` where the trade has a notice, `failure` of any.

    Who runs the site does it, whoever sold last: only there is known what failed, and only from there was a notice
    given. The statement does not bill what was taken back. Raises Missing for a balance, Invalid,
    Refused(code="recall_notice", "booking_state").
    """
    trade = Trade.objects.select_related("booking__pool__site__operator").get(pk=trade.pk)
    if trade.booking is None:
        raise Missing("A balance has no cards.")
    act.require(TRADE, trade.booking.pool.site.operator)
    booking = services.live(trade.booking)
    taken = services.card_hours_from(booking, from_hour, cards)
    if not taken:
        raise invalid("from", hour_text(from_hour), _("%(booking)s has no cards then") % {"booking": booking.number})
    record = act.record(trade, {"from": from_hour, "cards": cards, "reason": reason, "card_hours": taken})
    services.recall(act, record, booking, from_hour=from_hour, cards=cards, reason=reason)
    return trade
