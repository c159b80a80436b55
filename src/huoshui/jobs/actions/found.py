"""Jobs that a tenant's people submitted on the engine by themselves, inside the reservation of their booking."""

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.engines import Found
from huoshui.jobs.models import Attempt, BookedStretch, Booking, Connection, Job
from huoshui.jobs.permissions import RUNNER


@action("jobs.attempt.find")
def take_up(act: Act, *, connection: Connection, stretch: BookedStretch, found: Found) -> Attempt:
    """Write such a job down as one of the booking: it counts towards its cards and its cap, and is accounted for.

    It keeps no files here and starts only once. Nothing changes where it is written down already.
    """
    act.require(RUNNER)
    booking = Booking.objects.select_for_update().get(pk=stretch.booking_id)
    known = Attempt.objects.filter(name=found.name).first()
    if known is not None:
        act.nothing_changed()
        return known
    until = clock.instant_of(stretch.end_hour)
    seconds = max(int((until - found.started).total_seconds()), 1)
    job = Job.objects.create(
        booking=booking, title=found.name, template="command", parameters={"arguments": "sbatch"}, cards=found.cards,
        seconds_max=seconds, state=Job.State.RUNNING, submitted_at=found.started, collected_at=act.at,
    )  # fmt: skip
    attempt = Attempt.objects.create(
        job=job, number=1, name=found.name, connection=connection, booking=booking, state=Attempt.State.RUNNING,
        cards=found.cards, seconds_max=seconds, until=until, started_at=found.started, submitted_at=found.started,
        sent_at=act.at, seen_at=act.at,
    )  # fmt: skip
    act.record(attempt, {"job": job, "booking": booking, "cards": found.cards, "started": found.started})
    return attempt
