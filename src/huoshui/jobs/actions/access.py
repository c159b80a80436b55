"""A token for one booking: what a person gives to a script so that it can run jobs there and nothing else."""

from huoshui.base.access import Actor
from huoshui.base.actions import issue_token
from huoshui.jobs.models import Booking
from huoshui.jobs.permissions import READ, RUN

PERMISSIONS = [READ, RUN]


def issue_booking_token(actor: Actor, *, booking: Booking, days: int, key: str = "") -> dict[str, str]:
    """A token limited to a booking. Returns {"id", "secret"}; the secret is shown once, so `key` is not used.

    Raises Invalid for the days or when the person may not run jobs there.
    """
    held = [code for code in PERMISSIONS if actor.can(code, booking)]
    scope = f"jobs.booking:{booking.pk}"
    issued: dict[str, str] = issue_token(
        actor, name=booking.number, permissions=held, days=days, within=booking, scope=scope
    )
    return issued
