"""Background work of funds: vouchers expire."""

from django_tasks import task

from huoshui.base import access
from huoshui.policy.actions import vouchers

WORKER = access.system("worker")


@task()
def expire() -> int:
    """Give back to the fund what vouchers reserved whose last day is over; returns how many expired."""
    return vouchers.expire_due(WORKER)
