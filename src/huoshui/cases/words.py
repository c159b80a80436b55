"""The words of the pure layer's codes, for every face: events, statuses, clock states, refusals."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.cases.clocks import ClockState
from huoshui.cases.machine import EVENTS_PER_CASE_MAX, REOPENED_MAX, Kind, Status

STATUSES: dict[str, str | Promise] = {
    Status.OPEN: _("waiting to be taken"),
    Status.ASSIGNED: _("assigned"),
    Status.ACCEPTED: _("being handled"),
    Status.PAUSED: _("waiting for the applicant"),
    Status.RESOLVED: _("resolved"),
    Status.CLOSED: _("closed"),
}
EVENTS: dict[str, str | Promise] = {
    Kind.OPENED: pgettext_lazy("event", "opened"),
    Kind.ASSIGNED: pgettext_lazy("event", "assigned"),
    Kind.ACCEPTED: pgettext_lazy("event", "accepted"),
    Kind.REPLIED: pgettext_lazy("event", "replied"),
    Kind.PAUSED: pgettext_lazy("event", "paused: waiting for the applicant"),
    Kind.RESUMED: pgettext_lazy("event", "resumed"),
    Kind.EXTENDED: pgettext_lazy("event", "deadline extended"),
    Kind.SUPERVISED: pgettext_lazy("event", "supervised"),
    Kind.COPIED: pgettext_lazy("event", "copied"),
    Kind.RESOLVED: pgettext_lazy("event", "resolved"),
    Kind.CALLED_BACK: pgettext_lazy("event", "called back"),
    Kind.REOPENED: pgettext_lazy("event", "reopened"),
    Kind.CLOSED: pgettext_lazy("event", "closed"),
    Kind.WITHDRAWN: pgettext_lazy("event", "withdrawn by the applicant"),
    Kind.COMMENTED: pgettext_lazy("event", "commented"),
    Kind.ESCALATED: pgettext_lazy("event", "escalated automatically"),
}
# In the order in which a page offers them: the likely next step first.
COMMANDS: dict[str, str | Promise] = {
    Kind.RESUMED: pgettext_lazy("command", "Answer and resume"),
    Kind.CALLED_BACK: pgettext_lazy("command", "Call back"),
    Kind.ACCEPTED: pgettext_lazy("command", "Accept"),
    Kind.RESOLVED: pgettext_lazy("command", "Resolve"),
    Kind.REPLIED: pgettext_lazy("command", "Reply"),
    Kind.PAUSED: pgettext_lazy("command", "Ask the applicant"),
    Kind.ASSIGNED: pgettext_lazy("command", "Assign"),
    Kind.EXTENDED: pgettext_lazy("command", "Extend the deadline"),
    Kind.SUPERVISED: pgettext_lazy("command", "Supervise"),
    Kind.COPIED: pgettext_lazy("command", "Copy to"),
    Kind.COMMENTED: pgettext_lazy("command", "Comment"),
    Kind.CLOSED: pgettext_lazy("command", "Close"),
    Kind.REOPENED: pgettext_lazy("command", "Reopen"),
    Kind.WITHDRAWN: pgettext_lazy("command", "Withdraw"),
}
CLOCKS: dict[str, str | Promise] = {
    ClockState.OK: _("in time"),
    ClockState.SOON: _("due soon"),
    ClockState.LATE: _("target missed"),
    ClockState.OVERDUE: _("past the legal deadline"),
    ClockState.PAUSED: _("paused"),
    ClockState.STOPPED: _("finished"),
}
LEVELS: dict[str, str] = {
    ClockState.OK: "good",
    ClockState.SOON: "watch",
    ClockState.LATE: "watch",
    ClockState.OVERDUE: "bad",
    ClockState.PAUSED: "none",
    ClockState.STOPPED: "none",
}
REFUSALS: dict[str, str | Promise] = {
    "wrong_status": _("“%(event)s” is not possible while the case is “%(status)s”."),
    "too_many_events": _("A case holds at most %(events_max)s events; open a new one."),
    "extension_used": _("The deadline was extended before; only one extension is allowed."),
    "reopened_too_often": _("A case may be reopened %(reopened_max)s times; open a new one."),
    "call_back_first": _("The applicant has not said yet that they are satisfied: call back first."),
    "second_person": _("Somebody other than the handler must do this."),
    "past_deadline": _("The legal deadline has passed; an extension must be asked for before it."),
    "no_extension": _("Cases of this type cannot be extended."),
}


def refusal(code: str, event: str, status: str) -> str:
    """The sentence for a refusal code."""
    return str(REFUSALS[code]) % {
        "event": COMMANDS.get(event, EVENTS[event]), "status": STATUSES[status],
        "events_max": EVENTS_PER_CASE_MAX, "reopened_max": REOPENED_MAX,
    }
