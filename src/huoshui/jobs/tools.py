"""What an agent may ask of bookings, jobs and endpoints; and a job as a draft."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from pydantic import Field

from huoshui.base import clock, tools
from huoshui.base.access import Actor, get_visible
from huoshui.base.act import rehearse
from huoshui.base.tools import Arguments, DraftArguments, DraftTool, Plain, Prepared, Tool
from huoshui.jobs import connections, queries, services, serving
from huoshui.jobs.actions import jobs as actions
from huoshui.jobs.models import Artefact, Booking, Job
from huoshui.jobs.permissions import READ, RUN
from huoshui.jobs.templates import TEMPLATES

PARAMETERS_MAX = 40
INPUTS_MAX = 20


def templates(_actor: Actor, _told: Arguments) -> Plain:
    """Templates of jobs with what each asks and reads."""
    return {"templates": [
        {
            "code": one.code, "title": str(one.title), "summary": str(one.summary),
            "parameters": [
                {"name": field.name, "title": str(field.title), "default": field.default,
                 "choices": [code for code, _title in field.choices]} for field in one.fields
            ],
            "inputs": [{"name": file.name, "required": file.required} for file in one.inputs],
        } for one in TEMPLATES.values() if one.for_people
    ]}  # fmt: skip


def recent_bookings(actor: Actor, limit: int) -> Iterable[Plain]:
    """The newest bookings that the actor may see."""
    return [
        {
            "id": row.pk, "number": row.number, "state": row.state, "cards": row.cards,
            "pool": str(row.pool), "start": clock.instant_of(row.start_hour), "end": clock.instant_of(row.end_hour),
            "cap_fen": row.cap_fen,
        } for row in queries.bookings(actor).order_by("-id")[:limit]
    ]  # fmt: skip


def recent_jobs(actor: Actor, limit: int) -> Iterable[Plain]:
    """The newest jobs that the actor may see."""
    return [
        {
            "id": row.pk, "number": row.number, "booking": row.booking_id, "title": row.title,
            "template": row.template, "state": row.state, "reason": row.reason, "cards": row.cards, "done": row.done,
            "total": row.total,
        } for row in queries.jobs(actor)[:limit]
    ]  # fmt: skip


def recent_endpoints(actor: Actor, limit: int) -> Iterable[Plain]:
    """The newest endpoints that the actor may see; addresses and keys are not told."""
    return [
        {"id": row.pk, "name": row.name, "model": str(row.model), "state": row.state, "fault": row.fault}
        for row in serving.endpoints(actor)[:limit]
    ]


class JobArguments(DraftArguments):
    """A job in a booking."""

    booking: int = Field(ge=1, le=10**18, description="The booking by its id (tool status).")
    title: str = Field(min_length=1, max_length=120)
    template: str = Field(max_length=40, description="The template by its code (tool list_templates).")
    parameters: dict[str, int | str] = Field({}, max_length=PARAMETERS_MAX)
    inputs: dict[str, int] = Field({}, max_length=INPUTS_MAX, description="Artefacts by id, under their input's name.")
    cards: int = Field(1, ge=1, le=100_000)
    seconds_max: int = Field(3600, ge=1, le=31 * 86_400)


def _named(actor: Actor, told: JobArguments) -> dict[str, Any]:
    """The arguments of the action. Raises Missing."""
    files = Artefact.objects.filter(deleted_at=None)
    return {
        "booking": get_visible(Booking.objects.select_related("party", "pool__site"), actor, RUN, pk=told.booking),
        "title": told.title, "template": told.template, "parameters": told.parameters, "cards": told.cards,
        "seconds_max": told.seconds_max,
        "inputs": {name: get_visible(files, actor, READ, pk=key) for name, key in told.inputs.items()},
    }  # fmt: skip


def prepare(actor: Actor, told: JobArguments) -> Prepared:
    """What would run, and what of the booking's money it uses at most. Raises what submitting it now would raise."""
    named = _named(actor, told)
    job: Job = rehearse(lambda: actions.submit_job(actor, **named))
    booking: Booking = named["booking"]
    cost = 0
    if booking.billing == Booking.Billing.USED:
        seconds = job.cards * job.seconds_max * job.attempts_max
        cost = min(-(-seconds * booking.price_mfen // services.MFEN_SECONDS), booking.cap_fen)
    template = TEMPLATES[job.template]
    nodes = connections.require_nodes(booking.pool, template, job.cards)
    answers = ", ".join(f"{name} = {value}" for name, value in sorted(job.parameters.items()))
    return Prepared(booking, cost, [
        (_("Run in booking"), f"{booking.number} · {booking.pool}"), (_("title"), job.title),
        (_("template"), str(template.title)), (_("parameters"), answers or "—"),
        (_("inputs"), ", ".join(sorted(row.name for row in named["inputs"].values())) or "—"),
        (_("cards"), str(job.cards)), (_("nodes"), str(nodes)), (_("longest run (seconds)"), f"{job.seconds_max:,}"),
        (_("attempts"), str(job.attempts_max)),
    ])  # fmt: skip


def submit(actor: Actor, key: str, told: JobArguments) -> Job:
    """The action itself, when a person has confirmed."""
    made: Job = actions.submit_job(actor, key=key, **_named(actor, told))
    return made


def register() -> None:
    """Offer the tools (from `AppConfig.ready`)."""
    tools.register(Tool(
        "list_templates", _l("Templates of jobs"), _l("What may run in a booking, and what each template asks."),
        READ, Arguments, templates,
    ))  # fmt: skip
    tools.register_draft(DraftTool(
        "draft_job", _l("Draft a job"),
        _l("Prepare a job in a booking. A person must confirm it; it then waits for the booking's cards."),
        "jobs.job.submit", JobArguments, prepare, submit,
    ))  # fmt: skip
    tools.on_status("bookings", recent_bookings)
    tools.on_status("jobs", recent_jobs)
    tools.on_status("endpoints", recent_endpoints)
