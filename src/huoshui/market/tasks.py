"""Background work of the supermarket, safe to repeat: orders not answered lapse, what is over is billed."""

from __future__ import annotations

from django_tasks import task

from huoshui.base import access
from huoshui.market.actions import orders, settlement

WORKER = access.system("worker")


@task()
def settle() -> int:
    """Returns how many orders lapsed, were billed or settled."""
    return orders.lapse_unanswered(WORKER) + settlement.bill_due(WORKER) + settlement.close_due(WORKER)
