"""Background work of indicators. Safe to repeat: the same value for the same period is kept once."""

from django_tasks import task

from huoshui.base.access import system
from huoshui.indicators import actions


@task()
def record() -> int:
    """Record all indicators. Returns how many values were new."""
    return len(actions.record_values(system("indicators.record")))
