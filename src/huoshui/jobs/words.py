"""Codes of jobs in words."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

ACCOUNT_FAULTS: dict[str, str | Promise] = {
    "account_missing": _("It ran, but the engine has no account of it."),
    "more_cards": _("It counts more cards than were asked for."),
    "started_before_sent": _("It says that the job started before it was handed over."),
    "ended_before_started": _("It says that the job ended before it started."),
    "ended_in_future": _("It says that the job ends in the future."),
    "more_than_possible": _("It counts more card-seconds than can have run."),
    "negative": _("It counts less than nothing."),
    "less_than_seen": _("It counts less than the runner saw running."),
    "start_moved": _("It names another start than while the job ran."),
}
REASONS: dict[str, str | Promise] = {
    "cancelled": _("cancelled"),
    "capped": _("the spending cap is reached"),
    "stretch_ended": _("the booked hours ended"),
    "booking_over": _("the booking is over"),
    "recalled": _("its cards were taken back"),
    "nodes": _("the site's nodes cannot take this job's cards"),
    "exit_code": _("the program ended with an error"),
    "time_limit": _("it ran longer than allowed"),
    "memory": _("it used more memory than allowed"),
    "disk": _("it wrote more than allowed"),
    "node_lost": _("its node was lost"),
    "preempted": _("it was displaced on the engine"),
    "no_start": _("the engine could not start it"),
    "lost": _("the engine lost it"),
    "engine_lost": _("the engine did not answer for too long"),
    "refused": _("the engine refused it"),
    "unknown_card": _("the engine does not know the card model"),
    "malformed": _("the engine's answer makes no sense"),
    "settings": _("the engine's settings are wrong"),
    "store": _("a file could not be fetched from the store"),
}
CHECKPOINT_FAULTS: dict[str, str | Promise] = {
    "changing": _("it changed while it was copied"),
    "odd": _("it holds links, pipes, devices, names that cannot be kept, or folders too deep"),
    "many": _("it has more files than can be kept"),
    "large": _("it is larger than can be kept"),
    "room": _("the party has no room left for it"),
    "lost": _("it was lost or changed in the store"),
}
ENDED_BECAUSE: dict[str, str | Promise] = {
    "withdrawn": _("withdrawn"),
    "order_cancelled": _("the order was cancelled"),
    "recall": _("recalled by the site"),
    "failure": _("the site lost these cards"),
    "rescheduled": _("moved by a reschedule"),
}


def reason(code: str) -> str:
    """A reason in words; a code that is not known stays as it is."""
    return str(REASONS.get(code) or ENDED_BECAUSE.get(code) or code)


KINDS: dict[str, str | Promise] = {
    "local": _("This machine"),
    "slurm": _("Slurm"),
    "ray": _("Ray (optional extra)"),
}
FINDINGS: dict[str, str | Promise] = {
    "cards": _("cards that work now"),
    "workdir": _("the directory for jobs"),
    "probe": _("a probe could not be run"),
    "separation": _("tenants kept apart"),
    "elsewhere": _("jobs can write outside their folder"),
    "namespaces": _("jobs see other processes"),
    "version": _("version"),
    "proctrack": _("what a job leaves running may stay"),
    "licences": _("licences, which reservations count"),
    "accounting": _("accounting, which statements bill"),
    "pool_cards": _("cards of the pool: engine / pool"),
    "pool_cards_fewer": _("fewer cards than the pool says: engine / pool"),
    "pool_cards_missing": _("the engine does not know the pool's card model: engine / pool"),
    **{
        f"{start}{code}": words
        for start in ("", "engine_")
        for code, words in {
            "unreachable": _("the engine does not answer"),
            "refused": _("the engine refused"),
            "unknown_card": _("the engine does not know the card model"),
            "malformed": _("the engine's answer makes no sense"),
            "settings": _("the engine's settings are wrong"),
        }.items()
    },
}
