"""What people may do at this desk, and which of the built-in roles may."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("compute.read", _("see the compute bank"))
MANAGE_SITES = register("compute.site.manage", _("manage sites, card models and pools"))
DEPOSIT = register("compute.deposit.submit", _("deposit idle cards"))
RECALL = register("compute.deposit.recall", _("recall cards or report their failure"))
REQUEST = register("compute.request.submit", _("submit requests for cards"))
ACCOUNT = register("compute.account.use", _("use the compute account"))
DELIVER = register("compute.delivery.report", _("report delivered card-time"))
SETTLE = register(
    "compute.allocation.settle", _("settle delivered card-time and expire balances"), everywhere_only=True
)
RUN_ROUND = register("compute.round.run", _("open and clear rounds"), everywhere_only=True)
PUBLISH_ROUND = register("compute.round.publish", _("publish rounds"), everywhere_only=True)
VERIFY = register("compute.round.verify", _("see and verify whole rounds"), everywhere_only=True)

BY_ROLE = {
    "agent": (READ, DEPOSIT, RECALL, REQUEST, ACCOUNT),
    "operator": (READ, MANAGE_SITES, DEPOSIT, RECALL, REQUEST, DELIVER, ACCOUNT),
    "officer": (READ, MANAGE_SITES, SETTLE, RUN_ROUND, PUBLISH_ROUND, VERIFY),
    "auditor": (READ, VERIFY),
}
