"""Background work of the desk, each safe to repeat: billing, lost holds, probes."""

from __future__ import annotations

from datetime import timedelta

from django_tasks import task

from huoshui.base import access, clock
from huoshui.maas.actions import bills
from huoshui.maas.measuring import measure

WORKER = access.system("worker")


@task()
def bill() -> int:
    """Bill wallets that are due by the published rule, and the probes of the month that is over."""
    last_month = (clock.today().replace(day=1) - timedelta(days=1)).replace(day=1)
    probes = bills.bill_probes(WORKER, month=last_month)
    return bills.bill_due(WORKER) + (probes is not None)


@task()
def expire() -> int:
    """Give back holds whose gateway died."""
    return bills.expire_holds(WORKER)


@task()
def probe() -> int:
    """Measure what is on offer, within the day's budget; returns how many calls were made."""
    return measure(WORKER)
