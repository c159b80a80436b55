"""Tables of energy 用能优化: what a site has, what it needs, and the plan that follows.

The flow: an operator says what an **installation** has (chillers, cold store, contract demand), sends in a **load
curve** (IT load, what of it may wait, PV), and a **plan** is computed from both at the site's tariff. A plan that the
operator approves is in force for its hours: deposits that add energy take its marginal price instead of the tariff's.
Power is watts, energy watt-hours, money fen, prices 1/1000 fen; hours are whole hours since the Unix epoch.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base.models import AppendOnly, LogRecord, User
from huoshui.compute.models import STRETCH, OfParty, Site

DIGEST_LENGTH = 64


class Installation(OfParty):
    """What a site has to make, store and draw. `tank_fill_bps` is how full the store begins and ends a plan."""

    OWNER = "site__operator"

    site = models.OneToOneField(Site, models.PROTECT, related_name="installation", verbose_name=_("site"))
    chiller_w = models.PositiveBigIntegerField(_("chillers, cold made at most (W)"))
    cop_milli = models.PositiveIntegerField(_("coefficient of performance (1/1000)"))
    tank_wh = models.PositiveBigIntegerField(_("cold store (Wh of cold)"), default=0)
    charge_w = models.PositiveBigIntegerField(_("charging at most (W of cold)"), default=0)
    discharge_w = models.PositiveBigIntegerField(_("discharging at most (W of cold)"), default=0)
    loss_bps = models.PositiveIntegerField(_("loss of what is stored (1/10000 an hour)"), default=0)
    tank_fill_bps = models.PositiveIntegerField(_("filled at the start and the end (1/10000)"), default=0)
    movable_max_w = models.PositiveBigIntegerField(_("load that can wait, at most at once (W)"), default=0)
    grid_w = models.PositiveBigIntegerField(_("contract demand (W)"))
    demand_fen = models.PositiveIntegerField(_("demand charge (fen per kW and month)"), default=0)

    class Meta:
        verbose_name = _("installation")
        constraints = [
            models.CheckConstraint(condition=Q(tank_fill_bps__lte=10_000), name="energy_tank_fill"),
            models.CheckConstraint(condition=Q(loss_bps__lte=10_000), name="energy_tank_loss"),
        ]

    def __str__(self) -> str:
        return str(self.site)


class LoadCurve(AppendOnly, OfParty):
    """What a site needs over whole hours, in equal steps. `columns`: lists of whole watts by name, `cop_milli` too."""

    OWNER = "site__operator"

    site = models.ForeignKey(Site, models.PROTECT, related_name="load_curves")
    name = models.CharField(_("name"), max_length=120)
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    step_minutes = models.PositiveSmallIntegerField()
    columns = models.JSONField()
    digest = models.CharField(max_length=DIGEST_LENGTH)
    uploaded_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("load curve")
        indexes = [models.Index(fields=["site", "-id"])]
        constraints = [models.CheckConstraint(condition=STRETCH, name="load_curve_forward")]

    def __str__(self) -> str:
        return self.name


class EnergyPlan(OfParty):
    """The cheapest schedule for a curve 优化用电方案. `problem` and `result` are whole, `digests` name what was used.

    In force is, for each hour, the plan approved last that has it.
    """

    OWNER = "site__operator"

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        APPROVED = "approved", _("approved")
        WITHDRAWN = "withdrawn", pgettext_lazy("energy plan", "withdrawn")

    site = models.ForeignKey(Site, models.PROTECT, related_name="energy_plans")
    curve = models.ForeignKey(LoadCurve, models.PROTECT, related_name="plans")
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    problem = models.JSONField()
    result = models.JSONField()
    digests = models.JSONField()
    cost_fen = models.BigIntegerField(_("cost under the plan"))
    now_cost_fen = models.BigIntegerField(_("cost as it runs today"))
    bound_fen = models.BigIntegerField(_("no plan costs less than"))
    made_at = models.DateTimeField()
    approved_at = models.DateTimeField(null=True)
    approved_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("energy plan")
        indexes = [
            models.Index(fields=["site", "-id"]),
            models.Index(fields=["site", "state", "start_hour", "end_hour"]),
        ]
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="energy_plan_forward"),
            models.CheckConstraint(condition=Q(bound_fen__lte=F("cost_fen")), name="energy_plan_bound"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"E{self.pk:06d}"

    @property
    def saved_fen(self) -> int:
        return self.now_cost_fen - self.cost_fen

    @property
    def saved_bps(self) -> int | None:
        return self.saved_fen * 10_000 // self.now_cost_fen if self.now_cost_fen else None
