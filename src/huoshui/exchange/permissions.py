"""What people may do at the exchange, and which of the built-in roles may."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("exchange.read", _("see the exchange"))
TRADE = register("exchange.trade", _("trade card-hours for a party"))
RUN = register("exchange.auction.run", _("open and clear call auctions"), everywhere_only=True)
PUBLISH = register("exchange.auction.publish", _("publish call auctions"), everywhere_only=True)
MONITOR = register("exchange.monitor", _("watch the exchange for abuse"), everywhere_only=True)
KEEP = register("exchange.keep", _("close what has expired"), everywhere_only=True)

BY_ROLE = {
    "agent": (READ, TRADE),
    "operator": (READ, TRADE),
    "officer": (READ, RUN, PUBLISH, MONITOR, KEEP),
    "auditor": (READ, MONITOR),
}
