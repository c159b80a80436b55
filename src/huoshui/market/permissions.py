"""What people may do in the supermarket, and which of the built-in roles may. Looking needs no permission."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("market.read", _("see orders of the compute supermarket"))
ORDER = register("market.order.place", _("order products of the compute supermarket"))
SELL = register("market.product.manage", _("put up products and answer orders"))
REVIEW = register("market.product.review", _("look at products before they go on sale"), everywhere_only=True)
SETTLE = register("market.order.settle", _("bill orders and end those not answered"), everywhere_only=True)

BY_ROLE = {
    "agent": (READ, ORDER),
    "operator": (READ, ORDER, SELL),
    "officer": (READ, REVIEW, SETTLE),
    "auditor": (READ,),
}
