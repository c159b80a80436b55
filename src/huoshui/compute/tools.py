"""What an agent may ask of the bank: estimate, quote, why not, what is under way; and a request as a draft."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Literal

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from pydantic import Field

from huoshui.base import clock, tools
from huoshui.base.access import Actor, get_visible
from huoshui.base.act import rehearse
from huoshui.base.errors import Invalid, Problem, Refused
from huoshui.base.tools import Arguments, DraftArguments, DraftTool, Plain, Prepared, Tool
from huoshui.compute import needs, queries, quotes, words
from huoshui.compute.actions import requests as actions
from huoshui.compute.models import CardModel, Region, Request
from huoshui.compute.permissions import READ, REQUEST
from huoshui.registry.models import Party

Code = Annotated[str, Field(pattern=r"^[-\w]{1,40}$")]
Hours = Annotated[int, Field(ge=1, le=needs.HOURS_MAX)]


class EstimateArguments(Arguments):
    """A task in words."""

    text: str = Field(min_length=1, max_length=200, description="The task, e.g. “微调 14B 模型，2000 万 tokens”.")
    within_hours: int = Field(24, ge=1, le=needs.HOURS_MAX, description="It should end within so many hours.")


def estimate(_actor: Actor, told: EstimateArguments) -> Plain:
    """Cards, hours, memory and price range of a task on each card model. Raises Refused when it is not understood."""
    task = needs.from_words(told.text)
    if task is None:
        message = _("The task was not understood: say what is to be done, how large the model is and how many tokens.")
        raise Refused(message, code="task_unclear")
    figures = {"parameters_million": task.parameters_million, "tokens_thousand": task.tokens_thousand}
    understood = figures | {"kind": task.kind, "reference_hours": task.reference_hours}
    return {"understood": understood, "needs": quotes.priced(task, told.within_hours)}


class QuoteArguments(Arguments):
    """A run: cards together for unbroken hours on any one of the models."""

    cards: int = Field(ge=1, le=actions.CARDS_MAX)
    hours: dict[Code, Hours] = Field(min_length=1, max_length=50, description="Hours needed, by card model code.")
    regions: list[Code] = Field([], max_length=50, description="Region codes; none means all.")


def quote(_actor: Actor, told: QuoteArguments) -> Plain:
    """The price range at the newest published slot prices: an estimate, not an offer."""
    found = quotes.quote(told.cards, _models(told.hours), _regions(told.regions))
    return found._asdict() | {"is_offer": False}


class ExplainArguments(Arguments):
    """A request by its number."""

    request: int = Field(ge=1, le=10**18, description="The number of the request: 12 for R000012.")


def explain(actor: Actor, told: ExplainArguments) -> Plain:
    """Why a request was not served, with a stable code; or what came of it."""
    found = queries.request(actor, told.request)
    reason = found.refusal or {}
    return _request(found, None) | {
        "reason": reason.get("code"), "reason_params": reason.get("params", []),
        "sentence": words.refusal_sentence(reason) if reason else "",
    }  # fmt: skip


def recent(actor: Actor, limit: int) -> Iterable[Plain]:
    """The newest requests that the actor may see."""
    rows = list(queries.requests(actor)[:limit])
    paid = queries.payments(rows)
    return [_request(row, paid.get(row.pk)) for row in rows]


def _request(row: Request, pays_fen: int | None) -> Plain:
    return {
        "id": row.pk, "number": row.number, "title": row.title, "state": row.state, "cards": row.cards,
        "earliest": clock.instant_of(row.earliest_hour), "deadline": clock.instant_of(row.deadline_hour),
        "budget_fen": row.budget_fen, "pays_at_most_fen": pays_fen,
    }  # fmt: skip


# --- a request as a draft ---------------------------------------------------------------------------------------------


class RequestArguments(DraftArguments):
    """What a request for cards says."""

    entity: int = Field(ge=1, le=10**18, description="The entity that asks, by its id (tool list_entities).")
    title: str = Field(min_length=1, max_length=actions.TITLE_LENGTH_MAX)
    cards: int = Field(ge=1, le=actions.CARDS_MAX)
    hours: dict[Code, Hours] = Field(min_length=1, max_length=50, description="Hours needed, by card model code.")
    earliest: datetime = Field(description="First whole hour, ISO 8601; without an offset it is Asia/Shanghai.")
    deadline: datetime = Field(description="Whole hour by which it must have ended.")
    budget_fen: int = Field(ge=1, le=actions.BUDGET_FEN_MAX, description="The most that is ever paid, VAT included.")
    data_region: Code = Field(description="Region code of where the data is.")
    regions: list[Code] = Field([], max_length=50, description="Acceptable region codes; none means all.")
    mode: Literal["rigid", "preemptible"] = "rigid"
    min_piece_hours: int = Field(0, ge=0, le=672)
    pay_with: Literal["money", "account"] = "money"


def _named(actor: Actor, told: RequestArguments) -> dict[str, Any]:
    """The arguments of the action. Raises Invalid, Missing."""
    return {
        "entity": get_visible(Party.objects.all(), actor, REQUEST, pk=told.entity), "title": told.title,
        "cards": told.cards, "hours": _models(told.hours), "earliest_hour": tools.whole_hour("earliest", told.earliest),
        "deadline_hour": tools.whole_hour("deadline", told.deadline), "budget_fen": told.budget_fen,
        "origin": _regions([told.data_region])[0], "regions": _regions(told.regions), "mode": told.mode,
        "min_piece_hours": told.min_piece_hours, "pay_with": told.pay_with,
    }  # fmt: skip


def prepare_request(actor: Actor, told: RequestArguments) -> Prepared:
    """What the request would ask for and hold. Raises what submitting it now would raise."""
    named = _named(actor, told)
    rehearse(lambda: actions.submit_request(actor, **named))
    low, high, _round = quotes.quote(told.cards, named["hours"], named["regions"])
    window = [tools.hour_words(named[side]) for side in ("earliest_hour", "deadline_hour")]
    comma = _(", ")
    hours = _("%(model)s: %(hours)s hours")
    models = comma.join(hours % {"model": row.name, "hours": count} for row, count in named["hours"].items())
    return Prepared(named["entity"], told.budget_fen, [
        (_("Submit a request for"), named["entity"].name), (_("what it is for"), told.title),
        (_("cards together"), str(told.cards)), (_("Card models and hours"), models),
        (_("Window"), " – ".join(window)), (_("mode"), str(Request.Mode(told.mode).label)),
        (_("where the data is"), named["origin"].name),
        (_("acceptable regions"), comma.join(region.name for region in named["regions"])),
        (_("paid with"), str(Request.PayWith(told.pay_with).label)),
        (_("Estimate at the newest prices (yuan)"), tools.yuan_range(low, high)),
    ])  # fmt: skip


def submit_request(actor: Actor, key: str, told: RequestArguments) -> Request:
    """The action itself, when a person has confirmed."""
    made: Request = actions.submit_request(actor, key=key, **_named(actor, told))
    return made


def entities(actor: Actor, _told: Arguments) -> Plain:
    """For whom the token's person may ask for cards (those the token may see)."""
    found = queries.requesting_parties(Actor(actor.user))
    rows = [row for row in found[: tools.LIST_LENGTH_MAX] if actor.limited_to in ("", *row.access_scopes())]
    return {"entities": [{"id": row.pk, "name": row.name, "uscc": row.uscc} for row in rows]}


def catalogue(_actor: Actor, _told: Arguments) -> Plain:
    """Card models and regions with their codes."""
    models = CardModel.objects.order_by("code")
    return {
        "card_models": [
            {"code": row.code, "name": row.name, "memory_gib": row.memory_gib, "fp16_tflops": row.fp16_tflops,
             "domestic": row.domestic} for row in models
        ],
        "regions": [{"code": row.code, "name": row.name} for row in queries.regions()],
    }  # fmt: skip


def _models(hours: dict[str, int]) -> dict[CardModel, int]:
    """Card models by code. Raises Invalid."""
    known = {model.code: model for model in CardModel.objects.filter(code__in=hours)}
    if unknown := [code for code in hours if code not in known]:
        raise Invalid(*(Problem("hours", code, _("no such card model")) for code in unknown))
    return {known[code]: wanted for code, wanted in hours.items()}


def _regions(codes: list[str]) -> list[Region]:
    """Regions by code, all of them when none is named. Raises Invalid."""
    rows = {region.code: region for region in queries.regions()}
    if unknown := [code for code in codes if code not in rows]:
        raise Invalid(*(Problem("regions", code, _("no such region")) for code in unknown))
    return [rows[code] for code in codes] or list(rows.values())


def register() -> None:
    """Offer the tools (from `AppConfig.ready`)."""
    tools.register(
        Tool("list_catalogue", _l("Card models and regions"),
             _l("Codes of card models and regions, which other tools take."), READ, Arguments, catalogue),
        Tool("list_entities", _l("Entities"), _l("Entities for which your person may ask for cards."),
             READ, Arguments, entities),
        Tool("estimate_need", _l("Needs estimate"),
             _l("From a task in words to cards, hours and a price range on each card model."),
             READ, EstimateArguments, estimate),
        Tool("quote", _l("Quote"), _l("Price range (fen) of a run at the newest published prices; not an offer."),
             READ, QuoteArguments, quote),
        Tool("explain_refusal", _l("Why not"), _l("Why a request was not served, with a stable reason code."),
             READ, ExplainArguments, explain),
    )  # fmt: skip
    tools.register_draft(DraftTool(
        "draft_request", _l("Draft a request for cards"),
        _l("Prepare a request for cards of the compute bank. A person must confirm it; its budget is then held."),
        "compute.request.submit", RequestArguments, prepare_request, submit_request,
    ))  # fmt: skip
    tools.on_status("requests", recent)
