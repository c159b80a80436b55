"""What indicators were worth. A later row for the same period corrects an earlier one; nothing is overwritten."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from huoshui.base.models import AppendOnly, LogRecord
from huoshui.indicators.catalogue import LEVELS, PERIODS

FAULT_MAX = 300


class IndicatorValue(AppendOnly):
    """One value of one indicator for the period that ends (exclusively) at `period_end`.

    `value` None: no data, or, with a `fault`, it could not be computed. `level` is by the rule at the time.
    """

    code = models.CharField(_("code"), max_length=80)
    period = models.CharField(max_length=5, choices=list(PERIODS.items()))
    period_end = models.DateTimeField()
    value = models.BigIntegerField(_("value"), null=True)
    level = models.CharField(_("level"), max_length=5, choices=list(LEVELS.items()))
    fault = models.CharField(max_length=FAULT_MAX, blank=True)
    recorded_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("indicator value")
        indexes = [models.Index(fields=["code", "-period_end", "-id"])]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(fault="") | models.Q(value__isnull=True), name="faulty_value_is_none"
            )
        ]
