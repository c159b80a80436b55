"""Background work of cases: look at every running case once and escalate what its clock says.

The work is safe to repeat: an escalation that was raised is not raised again.
"""

from django_tasks import task

from huoshui.base.access import system
from huoshui.cases import actions
from huoshui.cases.machine import BEFORE_RESOLUTION
from huoshui.cases.models import Case

CASES_PER_RUN_MAX = 20_000


@task()
def watch() -> int:
    """Escalate running cases, the most urgent first. Returns how many were looked at."""
    running = Case.objects.filter(status__in=BEFORE_RESOLUTION).order_by("legal_due", "id")
    looked = 0
    for case in running.select_related("party")[:CASES_PER_RUN_MAX].iterator(500):
        actions.escalate(system("cases.watch"), case=case)
        looked += 1
    return looked
