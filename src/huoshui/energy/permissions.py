"""What people may do about energy, and which of the built-in roles may."""

from django.utils.translation import gettext_lazy as _

from huoshui.base.access import register

READ = register("energy.read", _("see energy plans"))
PLAN = register("energy.plan.make", _("describe installations, send in load curves, make energy plans"))
APPROVE = register("energy.plan.approve", _("put energy plans in force"))

BY_ROLE = {"operator": (READ, PLAN, APPROVE), "officer": (READ,), "auditor": (READ,)}
