"""Demo values: the last two weeks, computed from the demo data itself."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import system
from huoshui.indicators import actions
from huoshui.indicators.models import IndicatorValue

DAYS = 14


def load() -> Iterator[str]:
    """Record past days and the present, once."""
    if IndicatorValue.objects.exists():
        return
    actor = system("demo")
    added = sum(
        len(actions.record_values(actor, at=clock.now() - timedelta(days=age))) for age in range(DAYS - 1, 0, -1)
    )
    added += len(actions.record_values(actor))
    yield _("%(count)s indicator values") % {"count": added}
