"""What an agent may ask of the model service: prices, measured quality, wallets; and funding a wallet as a draft."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l
from pydantic import Field

from huoshui.base import tools
from huoshui.base.access import Actor, get_visible
from huoshui.base.act import rehearse
from huoshui.base.tools import Arguments, DraftArguments, DraftTool, Plain, Prepared, Tool
from huoshui.maas import queries
from huoshui.maas.actions import wallets as actions
from huoshui.maas.models import Wallet
from huoshui.maas.permissions import FUND, READ
from huoshui.registry.models import Party


class ModelArguments(Arguments):
    """One model, or all."""

    model: str = Field("", max_length=80, description="The public name of a model; empty: all.")


def prices(_actor: Actor, told: ModelArguments) -> Plain:
    """What models cost: fen per million input, output and cached input tokens."""
    return {"offers": [
        {
            "model": row.model, "provider": row.upstream.provider.name, "region": row.upstream.region.code,
            "kind": row.kind, "input_fen": row.input_fen, "output_fen": row.output_fen, "cached_fen": row.cached_fen,
            "context_tokens": row.context_tokens, "output_tokens_max": row.output_tokens_max,
        } for row in queries.offers(told.model)[: tools.LIST_LENGTH_MAX]
    ]}  # fmt: skip


def quality(_actor: Actor, told: ModelArguments) -> Plain:
    """What the probe measured within the published window: µs, basis points, 1/1000 tokens per second."""
    found = queries.measured(queries.offers(told.model)[: tools.LIST_LENGTH_MAX])
    return {"measured": [
        {"model": row.offer.model, "provider": row.offer.upstream.provider.name, "days": row.days}
        | asdict(row.quality) for row in found
    ]}  # fmt: skip


def wallets(actor: Actor, limit: int) -> Iterable[Plain]:
    """Wallets that the actor may see."""
    return [
        {"id": row.pk, "party": row.party_id, "name": row.party.name, "free_ufen": queries.free_ufen(row)}
        for row in queries.wallets(actor)[:limit]
    ]


class FundArguments(DraftArguments):
    """Money for a wallet."""

    party: int = Field(ge=1, le=10**18, description="Whose wallet, by id (tool list_entities).")
    amount_fen: int = Field(ge=1, le=actions.FUNDED_FEN_MAX)


def prepare(actor: Actor, told: FundArguments) -> Prepared:
    """What would be set aside. Raises what funding it now would raise."""
    party = get_visible(Party.objects.all(), actor, FUND, pk=told.party)
    rehearse(lambda: actions.fund(actor, party=party, amount_fen=told.amount_fen))
    return Prepared(party, told.amount_fen, [
        (_("Set money aside for model calls of"), party.name), (_("Amount (yuan)"), tools.yuan(told.amount_fen)),
    ])  # fmt: skip


def fund(actor: Actor, key: str, told: FundArguments) -> Wallet:
    """The action itself, when a person has confirmed."""
    party = get_visible(Party.objects.all(), actor, FUND, pk=told.party)
    made: Wallet = actions.fund(actor, key=key, party=party, amount_fen=told.amount_fen)
    return made


def register() -> None:
    """Offer the tools (from `AppConfig.ready`)."""
    tools.register(
        Tool("model_prices", _l("Prices of models"),
             _l("Models that may be called, with prices in fen per million tokens."), READ, ModelArguments, prices),
        Tool("quality", _l("Quality of models"),
             _l("Measured latency, speed, success and availability of models, by the published method."),
             READ, ModelArguments, quality),
    )  # fmt: skip
    tools.register_draft(DraftTool(
        "draft_wallet_funding", _l("Draft money for model calls"),
        _l("Prepare setting money aside for model calls. A person must confirm it."),
        "maas.wallet.fund", FundArguments, prepare, fund,
    ))  # fmt: skip
    tools.on_status("wallets", wallets)
