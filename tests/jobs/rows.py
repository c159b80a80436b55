"""Rows of jobs that a test needs to be there, without an engine."""

import itertools
from typing import Any

from tests.compute.world import NOON

from huoshui.jobs.models import Attempt, Booking, Connection, Job

numbers = itertools.count(1)


def attempt(booking: Booking, **values: Any) -> Attempt:
    """An attempt of a job of its own in cards that the engine keeps, ended unless `state` says otherwise."""
    number = next(numbers)
    connection, _new = Connection.objects.get_or_create(
        site=booking.pool.site, defaults={"kind": "local", "tag": f"t{number}"}
    )
    booking.stretches.filter(reserved_at=None).update(reserved_at=NOON)
    job = Job.objects.create(
        booking=booking, title="作业", template="command", cards=1, seconds_max=3600, submitted_at=NOON
    )
    given = {"state": Attempt.State.ENDED, "started_at": NOON, "ended_at": NOON, "sent_at": NOON, "cards": 1}
    return Attempt.objects.create(
        job=job, number=1, name=f"t-{number}", connection=connection, booking=booking, seconds_max=3600,
        until=NOON, submitted_at=NOON, **given | values,
    )  # fmt: skip
