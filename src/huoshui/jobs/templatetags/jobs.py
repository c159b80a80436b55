"""Filters of bookings, jobs and engines."""

from django import template

from huoshui.jobs import words
from huoshui.jobs.models import Booking, Connection, Job

register = template.Library()
LEVELS: dict[str, str] = {
    Booking.State.PLANNED: "info", Booking.State.RESERVED: "good", Booking.State.ENDED: "none",
    Booking.State.SETTLED: "none", Booking.State.CANCELLED: "none", Booking.State.LOST: "bad",
    Job.State.QUEUED: "info", Job.State.RUNNING: "good", Job.State.SUCCEEDED: "good", Job.State.FAILED: "bad",
    Job.State.CAPPED: "watch", Connection.State.UNCHECKED: "watch", Connection.State.UP: "good",
    Connection.State.DOWN: "bad", Connection.State.FAULTY: "bad", Connection.State.OFF: "none",
    "submitted": "info", "ended": "none",
    "ok": "good", "warning": "watch", "fault": "bad",
}  # fmt: skip


@register.filter
def job_level(state: str) -> str:
    """Level of the state of a booking, a job, an attempt, an engine or a finding."""
    return LEVELS.get(state, "none")


@register.filter
def job_reason(code: str) -> str:
    """Why something ended, in words."""
    return words.reason(code) if code else ""


@register.filter
def checkpoint_fault(code: str) -> str:
    """Why a checkpoint is not kept in the store, in words."""
    return str(words.CHECKPOINT_FAULTS.get(code, code))


@register.filter
def account_faults(codes: str) -> list[str]:
    """What is wrong with an account, in words."""
    return [str(words.ACCOUNT_FAULTS.get(code, code)) for code in codes.split()]


@register.filter
def finding_words(code: str) -> str:
    """What a check found, in words."""
    return str(words.FINDINGS.get(code, code))


@register.filter
def card_seconds(seconds: int | None) -> str:
    """Card-seconds with their card-hours: `7,200 (2.000)`; — when unknown."""
    return "—" if seconds is None else f"{seconds:,} ({seconds / 3600:,.3f})"
