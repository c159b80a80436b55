"""What people may do at this desk, and which of the built-in roles may."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("maas.read", _("see wallets, keys, calls and bills of the model service"))
FUND = register("maas.wallet.fund", _("set money aside for model calls and take it back"))
KEYS = register("maas.key.manage", _("make, change and revoke keys of the model service"))
PROVIDE = register("maas.upstream.manage", _("offer models through an upstream"))
APPROVE = register("maas.upstream.approve", _("let upstreams take calls"), everywhere_only=True)
FREEZE = register("maas.wallet.freeze", _("freeze wallets"), everywhere_only=True)
BILL = register("maas.wallet.bill", _("bill calls and give back lost holds"), everywhere_only=True)
PROBE = register("maas.probe.record", _("measure the quality of offers"), everywhere_only=True)

BY_ROLE = {
    "agent": (READ, FUND, KEYS, PROVIDE),
    "operator": (READ, FUND, KEYS, PROVIDE),
    "officer": (READ, APPROVE, FREEZE, BILL, PROBE),
    "auditor": (READ,),
}
