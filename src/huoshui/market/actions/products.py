"""Products: drawn up by the operator, looked at by a second person, put on sale, paused, ended.

Whatever the public reads as text needs a second look, so changing it takes a product off sale; its prices and whether
orders are confirmed at once are the operator's alone and may change at any time. Only a site with an engine sells: what
nobody counts could be neither billed nor rated.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db.models import Field
from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, Refused
from huoshui.compute.models import Pool
from huoshui.jobs.connections import require_engine
from huoshui.market import shelf
from huoshui.market.models import Billing, Interconnect, Kind, Product, ProductTier
from huoshui.market.permissions import REVIEW, SELL
from huoshui.market.prices import MONTH_HOURS, Tier
from huoshui.terms.rounding import BPS

PRICE_FEN_MAX = 100_000_00
"""A card's price an hour or a month."""
CARDS_PER_UNIT_MAX = 100_000
FIGURE_MAX = 2**31 - 1
HOURS_MAX = 24 * 366
NOTICE_HOURS_MAX = 24 * 31
COMPENSATION_BPS_MAX = 100 * BPS
TIERS_MAX = 10
EDITABLE = (Product.State.DRAFT, Product.State.PAUSED)
CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class ProductDraft:
    """What an operator says of a product. Prices are fen per card and hour (month: 30 days), VAT included."""

    code: str
    title: str
    kind: str
    billing: str
    price_fen: int
    cards_per_unit: int = 1
    cpu_cores: int | None = None
    ram_gib: int | None = None
    disk_gib: int | None = None
    disk_mb_s: int | None = None
    storage_gib: int | None = None
    network_mbit_s: int | None = None
    interconnect: str = Interconnect.NONE
    interconnect_gbit_s: int | None = None
    driver: str = ""
    frameworks: str = ""
    images: str = ""
    label: str = ""
    hours_min: int = 1
    hours_max: int = MONTH_HOURS
    vat_bps: int = 600
    sla_bps: int | None = None
    sla_compensation_bps: int = 0
    recall_notice_hours: int | None = None
    auto_accept: bool = False
    about: str = ""
    conditions: str = ""


FIGURES = (
    "cpu_cores", "ram_gib", "disk_gib", "disk_mb_s", "storage_gib", "network_mbit_s", "interconnect_gbit_s",
)  # fmt: skip
RANGES = {
    "price_fen": (1, PRICE_FEN_MAX), "cards_per_unit": (1, CARDS_PER_UNIT_MAX), "hours_min": (1, HOURS_MAX),
    "hours_max": (1, HOURS_MAX), "vat_bps": (0, BPS), "sla_bps": (1, BPS),
    "sla_compensation_bps": (0, COMPENSATION_BPS_MAX), "recall_notice_hours": (0, NOTICE_HOURS_MAX),
} | dict.fromkeys(FIGURES, (1, FIGURE_MAX))  # fmt: skip
CHOICES: Mapping[str, Sequence[str]] = {
    "kind": Kind.values, "billing": Billing.values, "interconnect": Interconnect.values,
}  # fmt: skip


def problems_of(draft: ProductDraft, pool: Pool, tiers: Sequence[Tier] = (), row: int | None = None) -> list[Problem]:
    """Everything that keeps a draft from being a product of the pool."""
    found: list[Problem] = []

    def fault(field: str, rule: str) -> None:
        value = getattr(draft, field, "")
        found.append(Problem(field, "" if value is None else str(value), rule, row))

    for name, (low, high) in RANGES.items():
        value = getattr(draft, name)
        if value is not None and not low <= value <= high:
            fault(name, _("between %(min)s and %(max)s") % {"min": f"{low:,}", "max": f"{high:,}"})
    for name, known in CHOICES.items():
        if getattr(draft, name) not in known:
            fault(name, _("one of: %(all)s") % {"all": ", ".join(known)})
    if not draft.title.strip():
        fault("title", _("must not be empty"))
    for field in _texts():
        if len(getattr(draft, field.name)) > (field.max_length or 0):
            fault(field.name, _("at most %(max)s characters") % {"max": field.max_length})
    if not CODE.fullmatch(draft.code):
        fault("code", _("Latin letters, digits and hyphens"))
    if draft.cards_per_unit > pool.cards:
        fault("cards_per_unit", _("the pool has %(cards)s cards") % {"cards": pool.cards})
    if draft.hours_max < draft.hours_min:
        fault("hours_max", _("must not be below the shortest term"))
    if draft.billing == Billing.MONTHLY and (draft.hours_min % MONTH_HOURS or draft.hours_max % MONTH_HOURS):
        fault("hours_min", _("whole months of 720 hours"))
    if (draft.billing == Billing.SPOT) != (draft.recall_notice_hours is not None):
        fault("recall_notice_hours", _("is said of spot products, and only of them"))
    if draft.sla_compensation_bps and draft.sla_bps is None:
        fault("sla_compensation_bps", _("needs a promised availability"))
    return found + _tier_problems(tiers, draft.price_fen, row)


def _texts() -> Iterable["Field[Any, Any]"]:
    names = ("code", "title", "driver", "frameworks", "images", "label", "about", "conditions")
    return [Product._meta.get_field(name) for name in names]  # type: ignore[misc]


def _tier_problems(tiers: Sequence[Tier], price_fen: int, row: int | None = None) -> list[Problem]:
    """Tiers are lower than the price, few, and each stands once."""
    if len(tiers) > TIERS_MAX:
        return [Problem("tiers", str(len(tiers)), _("at most %(max)s tiers") % {"max": TIERS_MAX}, row)]
    found, seen = [], set[tuple[int, int]]()
    for tier in tiers:
        shown = f"{tier.cards_from} / {tier.hours_from} / {tier.price_fen}"
        if not (1 <= tier.cards_from <= CARDS_PER_UNIT_MAX and 1 <= tier.hours_from <= HOURS_MAX):
            found.append(Problem("tiers", shown, _("cards and hours must be above zero and within the limits"), row))
        if not 0 < tier.price_fen < price_fen:
            found.append(Problem("tiers", shown, _("must be below the price of one card"), row))
        if (tier.cards_from, tier.hours_from) in seen:
            found.append(Problem("tiers", shown, _("stands twice"), row))
        seen.add((tier.cards_from, tier.hours_from))
    return found


@action("market.product.draft")
def draft_product(act: Act, *, pool: Pool, draft: ProductDraft, tiers: Sequence[Tier] = ()) -> Product:
    """Draw up a product of a pool. Raises Invalid with every fault."""
    act.require(SELL, pool)
    found = problems_of(draft, pool, tiers)
    if Product.objects.filter(pool=pool, code=draft.code).exists():
        found.append(Problem("code", draft.code, _("exists already")))
    if found:
        raise Invalid(*found)
    return store(act, pool, draft, tiers)


def store(act: Act, pool: Pool, draft: ProductDraft, tiers: Sequence[Tier]) -> Product:
    """Write a draft that is in order."""
    product = Product.objects.create(pool=pool, **asdict(draft))
    _write_tiers(product, tiers)
    act.record(product, _told(draft, tiers))
    return product


@action("market.product.change")
def change_product(act: Act, *, product: Product, draft: ProductDraft, tiers: Sequence[Tier] = ()) -> Product:
    """Change what is said of a product that is not on sale; it is a draft again. Raises Invalid, Conflict."""
    product = lock(act, product, *EDITABLE)
    found = problems_of(draft, product.pool, tiers)
    if draft.code != product.code:
        found.append(Problem("code", draft.code, _("stays as it is")))
    if found:
        raise Invalid(*found)
    for name, value in asdict(draft).items():
        setattr(product, name, value)
    _write_tiers(product, tiers)
    return _move(act, product, Product.State.DRAFT, _told(draft, tiers))


@action("market.product.price")
def set_price(
    act: Act, *, product: Product, price_fen: int, tiers: Sequence[Tier] = (), auto_accept: bool = False
) -> Product:
    """Change the price and its tiers, on sale or not; orders keep the price at which they were placed."""
    product = lock(act, product, *EDITABLE, Product.State.SUBMITTED, Product.State.LISTED)
    found = _tier_problems(tiers, price_fen)
    if not 0 < price_fen <= PRICE_FEN_MAX:
        rule = _("between %(min)s and %(max)s") % {"min": 1, "max": f"{PRICE_FEN_MAX:,}"}
        found.append(Problem("price_fen", str(price_fen), rule))
    if found:
        raise Invalid(*found)
    product.price_fen, product.auto_accept = price_fen, auto_accept
    _write_tiers(product, tiers)
    told = {"price_fen": price_fen, "tiers": [asdict(tier) for tier in tiers], "auto_accept": auto_accept}
    return _move(act, product, product.state, told)


@action("market.product.submit")
def submit_product(act: Act, *, product: Product) -> Product:
    """Ask for the second look. Raises Refused(code="no_engine")."""
    product = lock(act, product, Product.State.DRAFT)
    require_engine(product.pool.site)
    product.submitted_by = act.actor.user
    return _move(act, product, Product.State.SUBMITTED)


@action("market.product.approve")
def approve_product(act: Act, *, product: Product) -> Product:
    """Put a product on sale: not by the person who submitted it. Raises Refused(code="second_person", "no_engine")."""
    product = _locked(act, product, Product.State.SUBMITTED)
    act.require(REVIEW)
    require_engine(product.pool.site)
    if product.submitted_by_id and act.actor.user and product.submitted_by_id == act.actor.user.pk:
        raise Refused(_("A second person looks at what you submitted."), code="second_person")
    product.listed_at = product.listed_at or act.at
    return _move(act, product, Product.State.LISTED)


@action("market.product.return")
def return_product(act: Act, *, product: Product, note: str) -> Product:
    """Give a product back to its operator, with what has to be put right."""
    product = _locked(act, product, Product.State.SUBMITTED)
    act.require(REVIEW)
    product.note = note.strip()[:200]
    if not product.note:
        raise Invalid(Problem("note", note, _("must not be empty")))
    return _move(act, product, Product.State.DRAFT, {"note": product.note})


@action("market.product.pause")
def pause_product(act: Act, *, product: Product) -> Product:
    """Take a product off sale for a while; its orders go on."""
    return _move(act, lock(act, product, Product.State.LISTED), Product.State.PAUSED)


@action("market.product.resume")
def resume_product(act: Act, *, product: Product) -> Product:
    """Put a paused, unchanged product on sale again. Raises Refused(code="no_engine")."""
    product = lock(act, product, Product.State.PAUSED)
    require_engine(product.pool.site)
    return _move(act, product, Product.State.LISTED)


@action("market.product.end")
def end_product(act: Act, *, product: Product) -> Product:
    """Take a product off sale for good; its orders go on."""
    states = (*EDITABLE, Product.State.SUBMITTED, Product.State.LISTED)
    return _move(act, lock(act, product, *states), Product.State.ENDED)


def lock(act: Act, product: Product, *states: str) -> Product:
    """The operator's product, locked, in one of the states. Raises Forbidden, Conflict."""
    found = _locked(act, product, *states)
    act.require(SELL, found)
    return found


def _locked(act: Act, product: Product, *states: str) -> Product:
    rows = Product.objects.select_for_update(of=("self",)).select_related("pool__site__operator", "pool__card_model")
    found = rows.get(pk=product.pk)
    if found.state not in states:
        raise Conflict(
            _("Product “%(title)s” is %(state)s.") % {"title": found.title, "state": found.get_state_display()},
            code="product_state", state=found.state,
        )  # fmt: skip
    return found


def _move(act: Act, product: Product, state: str, told: Mapping[str, Any] | None = None) -> Product:
    """Store the product in a state; the shelf learns of it when it is or was on sale."""
    act.record(product, {"from": product.state, "to": state, **(told or {})})
    product.state = state
    product.revision = shelf.changed()
    product.save()
    return product


def _write_tiers(product: Product, tiers: Sequence[Tier]) -> None:
    product.tiers.all().delete()
    ProductTier.objects.bulk_create(ProductTier(product=product, **asdict(tier)) for tier in tiers)


def _told(draft: ProductDraft, tiers: Sequence[Tier]) -> dict[str, Any]:
    return asdict(draft) | {"tiers": [asdict(tier) for tier in tiers]}
