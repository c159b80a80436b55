"""What people may do at this desk, and which of the built-in roles may."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("policy.read", _("see what an entity is entitled to"))
APPLY = register("policy.application.submit", _("apply for benefits and confirm the account"))
REDEEM = register("policy.voucher.redeem", _("ask for the redemption of vouchers"))
OVERSEE = register("policy.oversee", _("see who is entitled, lists, funds and payouts"), everywhere_only=True)
REVIEW = register("policy.application.review", _("review applications and redemptions"), everywhere_only=True)
OUTREACH = register("policy.outreach", _("run matches, confirm batches, tell entities"), everywhere_only=True)
AUTHOR = register("policy.pack.author", _("write rule packs"), everywhere_only=True)
FUND = register("policy.fund.manage", _("set up funds and lists of suppliers"), everywhere_only=True)
PAY_OUT = register("policy.payout.order", _("order payouts and claw back"), everywhere_only=True)

BY_ROLE = {
    "agent": (READ, APPLY, REDEEM),
    "operator": (READ,),
    "officer": (READ, OVERSEE, REVIEW, OUTREACH, AUTHOR, FUND, PAY_OUT),
    "auditor": (READ, OVERSEE),
}
