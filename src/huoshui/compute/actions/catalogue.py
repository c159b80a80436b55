"""Regions, card models, sites and pools."""

from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import WHOLE
from huoshui.base.act import Act, action
from huoshui.base.errors import invalid
from huoshui.compute import correcting
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.compute.permissions import MANAGE_SITES
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.queries import publication_in_force

PUE_BPS_MIN, PUE_BPS_MAX = 10_000, 30_000
LIST_PRICE_FEN_MAX = 100_000
CARDS_MAX = 1_000_000
MEMORY_GIB_MAX, TFLOPS_MAX, WATTS_MAX = 10_000, 100_000, 10_000


@action("compute.region.define")
def define_region(act: Act, *, code: str, name: str) -> Region:
    """Create a scheduling region or rename it (everywhere only: officers)."""
    act.require(MANAGE_SITES, WHOLE)
    region, created = Region.objects.get_or_create(code=code, defaults={"name": name})
    if not created and region.name == name:
        act.nothing_changed()
        return region
    region.name = name
    region.save()
    correcting.tell(site__region=region)
    act.record(region, {"code": code, "name": name})
    return region


@action("compute.card_model.define")
def define_card_model(
    act: Act, *, code: str, name: str, memory_gib: int, fp16_tflops: int, domestic: bool, watts: int,
    vendor: str = "", source: str = "",
) -> CardModel:  # fmt: skip
    """Create a card model or correct its figures (everywhere only: officers)."""
    act.require(MANAGE_SITES, WHOLE)
    for field, value, limit in (
        ("memory_gib", memory_gib, MEMORY_GIB_MAX),
        ("fp16_tflops", fp16_tflops, TFLOPS_MAX),
        ("watts", watts, WATTS_MAX),
    ):  # fmt: skip
        if not 0 < value <= limit:
            raise invalid(field, value, _("between 1 and %(max)s") % {"max": limit})
    values: dict[str, Any] = {
        "name": name, "vendor": vendor, "memory_gib": memory_gib, "fp16_tflops": fp16_tflops,
        "domestic": domestic, "watts": watts, "source": source,
    }  # fmt: skip
    model, created = CardModel.objects.get_or_create(code=code, defaults=values)
    if not created and all(getattr(model, field) == value for field, value in values.items()):
        act.nothing_changed()
        return model
    for field, value in values.items():
        setattr(model, field, value)
    model.save()
    correcting.tell(card_model=model)
    act.record(model, {"code": code} | values)
    return model


@action("compute.site.define")
def define_site(
    act: Act, *, operator: Party, code: str, name: str, region: Region, division: str, tariff: str,
    pue_bps: int = 13_000,
) -> Site:  # fmt: skip
    """Create a site of an operator or change it. The tariff must be in force today."""
    act.require(MANAGE_SITES, operator)
    if not operator.has_role(RoleKind.OPERATOR):
        raise invalid("operator", operator, _("is not a site operator"))
    if not PUE_BPS_MIN <= pue_bps <= PUE_BPS_MAX:
        raise invalid("pue_bps", pue_bps, _("between 10000 and 30000"))
    publication_in_force("tariff", tariff, clock.today())
    values = {"name": name, "region": region, "division": division, "tariff": tariff, "pue_bps": pue_bps}
    site = Site.objects.select_for_update().filter(code=code).first()
    if site is None:
        site = Site(code=code, operator=operator)
    elif site.operator_id != operator.pk:
        raise invalid("code", code, _("belongs to another operator's site"))
    elif all(getattr(site, field) == value for field, value in values.items()):
        act.nothing_changed()
        return site
    for field, value in values.items():
        setattr(site, field, value)
    site.save()
    correcting.tell(site=site)
    act.record(site, {"code": code, "operator": operator} | values)
    return site


@action("compute.pool.define")
def define_pool(act: Act, *, site: Site, card_model: CardModel, cards: int, list_price_fen: int) -> Pool:
    """Say how many cards of a model a site has and what they cost off the bank."""
    act.require(MANAGE_SITES, site)
    if not 0 < cards <= CARDS_MAX:
        raise invalid("cards", cards, _("between 1 and %(max)s") % {"max": CARDS_MAX})
    if not 0 < list_price_fen <= LIST_PRICE_FEN_MAX:
        raise invalid("list_price_fen", list_price_fen, _("between 1 and %(max)s fen") % {"max": LIST_PRICE_FEN_MAX})
    pool, created = Pool.objects.get_or_create(
        site=site, card_model=card_model, defaults={"cards": cards, "list_price_fen": list_price_fen}
    )
    if not created and (pool.cards, pool.list_price_fen) == (cards, list_price_fen):
        act.nothing_changed()
        return pool
    pool.cards, pool.list_price_fen = cards, list_price_fen
    pool.save()
    correcting.tell(pk=pool.pk)
    act.record(pool, {"site": site, "card_model": card_model, "cards": cards, "list_price_fen": list_price_fen})
    return pool

