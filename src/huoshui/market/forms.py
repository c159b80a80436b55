"""Forms of the supermarket: what one looks for, how much for how long, products, answers."""

from __future__ import annotations

from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock, export
from huoshui.book.forms import YuanField
from huoshui.clearing.tables import Rule
from huoshui.compute.forms_deposits import HourField
from huoshui.compute.models import CardModel, Pool, Region
from huoshui.market import shelf
from huoshui.market.actions import products
from huoshui.market.actions.product_files import tiers as read_tiers
from huoshui.market.actions.products import ProductDraft
from huoshui.market.models import Billing, Interconnect, Kind, Order, Product
from huoshui.market.prices import Tier
from huoshui.registry import sentences
from huoshui.registry.models import Party
from huoshui.registry.queries import divisions
from huoshui.terms.rounding import BPS

SORTS = (
    ("price", _l("price per card-hour")), ("pflops", _l("price per PFLOPS-hour")),
    ("memory", _l("price per GiB of memory and hour")), ("rating", _l("measured delivery")), ("newest", _l("newest")),
)  # fmt: skip
SLA_CHOICES = [("", _l("any")), *((str(step), f"≥ {step / 100:g}%") for step in shelf.SLA_STEPS_BPS)]


class SearchForm(forms.Form):
    """What one looks for, beside the facets. Kept short: the facets do the rest."""

    text = forms.CharField(label=_l("Search"), required=False, max_length=100)
    memory = forms.IntegerField(label=_l("Card memory from (GiB)"), required=False, min_value=1, max_value=100_000)
    price_from = YuanField(label=_l("Price from (yuan per card-hour)"), required=False)
    price_to = YuanField(label=_l("Price up to (yuan per card-hour)"), required=False)
    cards = forms.IntegerField(label=_l("Cards"), required=False, min_value=1, max_value=100_000)
    start = HourField(label=_l("Free from"), required=False)
    hours = forms.IntegerField(label=_l("For (hours)"), required=False, min_value=1, max_value=products.HOURS_MAX)
    division = forms.ChoiceField(label=_l("Division"), required=False)
    sla = forms.ChoiceField(label=_l("Promised availability"), required=False, choices=SLA_CHOICES)
    delivered = forms.ChoiceField(label=_l("Measured delivery"), required=False, choices=SLA_CHOICES)
    sort = forms.ChoiceField(label=_l("Sort by"), required=False, choices=SORTS)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        places = [(row.code, row.name) for row in divisions() if row.code.endswith("00")]
        self.fields["division"].choices = [("", _l("any")), *places]  # type: ignore[attr-defined]

    @property
    def more(self) -> list[forms.BoundField]:
        """The fields behind “more conditions”."""
        return [self[name] for name in self.fields if name not in ("text", "sort")]


class TermForm(forms.Form):
    """How many units, from when, for how long, for how much: the calculator of a product's page, and what goes into the
    cart."""

    units = forms.IntegerField(label=_l("Units"), min_value=1, max_value=100_000)
    start = HourField(label=_l("Start"))
    hours = forms.IntegerField(label=_l("Term (hours)"), min_value=1, max_value=products.HOURS_MAX)
    cap_fen = YuanField(
        label=_l("Spending cap (yuan)"), required=False,
        help_text=_l("Before the concession. The work stops when it is used up; empty: every hour may be used."),
    )  # fmt: skip

    def __init__(self, product: Product, data: Any = None) -> None:
        super().__init__(data if data and "units" in data else None)
        self.fields["units"].initial = 1
        self.fields["start"].initial = clock.hour_of(clock.now()) + 1
        self.fields["hours"].initial = min(max(product.hours_min, 24), product.hours_max)
        if product.whole:
            del self.fields["cap_fen"]
        if product.unit_hours > 1:
            months = range(product.hours_min // product.unit_hours, product.hours_max // product.unit_hours + 1)
            said = _("%(count)s months of 30 days")
            choices = [(count * product.unit_hours, said % {"count": count}) for count in months]
            self.fields["hours"] = forms.TypedChoiceField(label=_("Term"), coerce=int, choices=choices)

    def chosen(self) -> tuple[int, int, int, int | None]:
        """Units, start hour, hours, cap in fen: as asked for, else as the form begins."""
        given = self.cleaned_data if self.is_bound and self.is_valid() else {}
        first = {name: self[name].initial for name in self.fields}
        first["hours"] = first["hours"] or getattr(self.fields["hours"], "choices", [(0, "")])[0][0]
        units, start, hours = ({**first, **given}[name] for name in ("units", "start", "hours"))
        return units, start, hours, given.get("cap_fen")


class CheckoutForm(forms.Form):
    """Who buys, what for, under which contract."""

    buyer = forms.ModelChoiceField(label=_l("Buyer"), queryset=Party.objects.none(), empty_label=None)
    purpose = forms.CharField(label=_l("What it is for"), max_length=120)
    contract = forms.CharField(
        label=_l("Contract"), max_length=100, required=False,
        help_text=_l("Stands on the statement; empty: the order's number."),
    )  # fmt: skip

    def __init__(self, buyers: QuerySet[Party], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["buyer"].queryset = buyers  # type: ignore[attr-defined]


class FindOrder(forms.Form):
    """Narrows the list of orders."""

    text = forms.CharField(label=_l("Number, product, purpose or buyer"), required=False, max_length=100)
    state = forms.ChoiceField(label=_l("State"), required=False, choices=[("", _l("any")), *Order.State.choices])


class FindProduct(forms.Form):
    """Narrows the list of own products."""

    text = forms.CharField(label=_l("Title, code or site"), required=False, max_length=100)
    state = forms.ChoiceField(label=_l("State"), required=False, choices=[("", _l("any")), *Product.State.choices])


class NoteForm(forms.Form):
    """A reason that the other side reads."""

    note = forms.CharField(label=_l("Reason"), max_length=200)


class CommentForm(forms.Form):
    """One sentence."""

    text = forms.CharField(label=_l("One sentence for others"), max_length=120)


class ExtendForm(forms.Form):
    """For how much longer."""

    hours = forms.IntegerField(label=_l("Term (hours)"), min_value=1, max_value=products.HOURS_MAX)


class RecallForm(forms.Form):
    """Which cards come back from when on, and why."""

    from_hour = HourField(label=_l("From"))
    cards = forms.IntegerField(label=_l("Cards"), min_value=1, max_value=100_000)
    reason = forms.ChoiceField(
        label=_l("Why"), choices=[("recall", _l("recalled with notice (spot)")), ("failure", _l("they failed"))]
    )


class PercentField(forms.DecimalField):
    """A percentage with at most two decimals, cleaned to basis points."""

    def __init__(self, maximum_bps: int = BPS, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=Decimal(maximum_bps) / 100, decimal_places=2, **kwargs)

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        return None if found is None else int(found * 100)

    def prepare_value(self, value: Any) -> Any:
        return Decimal(value).scaleb(-2).normalize() if isinstance(value, int) else value


class TiersField(forms.Field):
    """Lower prices, one a line: from cards / from hours / yuan."""

    widget = forms.Textarea(attrs={"rows": 3, "class": "mono", "placeholder": "64 / 24 / 9.00"})

    def to_python(self, value: Any) -> tuple[Tier, ...]:
        try:
            return read_tiers(";".join(str(value or "").splitlines()))
        except Rule as rule:
            raise forms.ValidationError(sentences.of_rule(rule)) from None

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return "\n".join(f"{tier.cards_from} / {tier.hours_from} / {export.yuan(tier.price_fen)}" for tier in value)


class PriceForm(forms.Form):
    """The price of a product and its tiers."""

    price_fen = YuanField(
        label=_l("Price (yuan per card and hour, or month of 30 days)"), help_text=_l("VAT included.")
    )
    tiers = TiersField(
        label=_l("Lower prices"), required=False, help_text=_l("One a line: from cards / from hours / yuan.")
    )
    auto_accept = forms.BooleanField(label=_l("Confirm orders at once"), required=False)

    def __init__(self, *args: Any, product: Product | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if product is not None:
            self.initial = {
                **self.initial, "price_fen": export.yuan(product.price_fen), "auto_accept": product.auto_accept,
                "tiers": [row.tier for row in product.tiers.all()],
            }  # fmt: skip


def _whole(label: Any, help_text: Any = "") -> forms.IntegerField:
    return forms.IntegerField(
        label=label, required=False, min_value=1, max_value=products.FIGURE_MAX, help_text=help_text
    )


class ProductForm(PriceForm):
    """Everything that is said of a product. A unit is so many cards with their share of the rest."""

    pool = forms.ModelChoiceField(label=_l("Pool"), queryset=Pool.objects.none(), empty_label=None)
    code = forms.SlugField(label=_l("Code"), max_length=40, help_text=_l("Latin letters, digits and hyphens; stays."))
    title = forms.CharField(label=_l("Title"), max_length=80)
    kind = forms.ChoiceField(label=_l("Sold as"), choices=Kind.choices)
    billing = forms.ChoiceField(label=_l("Billing"), choices=Billing.choices)
    cards_per_unit = forms.IntegerField(label=_l("Cards per unit"), min_value=1, initial=1, max_value=100_000)
    hours_min = forms.IntegerField(
        label=_l("Shortest term (hours)"), min_value=1, initial=1, max_value=products.HOURS_MAX
    )
    hours_max = forms.IntegerField(
        label=_l("Longest term (hours)"), min_value=1, initial=720, max_value=products.HOURS_MAX
    )
    vat_bps = PercentField(label=_l("VAT rate (%)"), initial=600)
    sla_bps = PercentField(label=_l("Promised availability (%)"), required=False)
    sla_compensation_bps = PercentField(
        products.COMPENSATION_BPS_MAX, label=_l("Compensation (%)"), required=False, initial=0,
        help_text=_l("Of the price of what is missing below the promise."),
    )  # fmt: skip
    recall_notice_hours = forms.IntegerField(
        label=_l("Recall notice (hours)"), required=False, min_value=0, max_value=products.NOTICE_HOURS_MAX,
        help_text=_l("Spot only."),
    )  # fmt: skip
    cpu_cores, ram_gib = _whole(_l("CPU cores")), _whole(_l("Main memory (GiB)"))
    disk_gib, disk_mb_s = _whole(_l("Local disk (GiB)")), _whole(_l("Disk bandwidth (MB/s)"))
    storage_gib, network_mbit_s = _whole(_l("Shared storage (GiB)")), _whole(_l("Public network (Mbit/s)"))
    interconnect = forms.ChoiceField(label=_l("Interconnect"), choices=Interconnect.choices)
    interconnect_gbit_s = _whole(_l("Interconnect bandwidth (Gbit/s)"))
    driver = forms.CharField(label=_l("Driver"), max_length=60, required=False)
    frameworks = forms.CharField(label=_l("Frameworks"), max_length=200, required=False)
    images = forms.CharField(label=_l("Images"), max_length=300, required=False)
    label = forms.CharField(label=_l("Compute label"), max_length=60, required=False)
    about = forms.CharField(
        label=_l("Description"), max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    conditions = forms.CharField(
        label=_l("Conditions"), max_length=500, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    SECTIONS = (
        (_l("The product"), ("pool", "code", "title", "kind", "billing", "cards_per_unit", "about")),
        (_l("Price and term"), ("price_fen", "tiers", "vat_bps", "hours_min", "hours_max", "recall_notice_hours",
                                "auto_accept")),
        (_l("Machine"), ("cpu_cores", "ram_gib", "disk_gib", "disk_mb_s", "storage_gib", "network_mbit_s",
                         "interconnect", "interconnect_gbit_s")),
        (_l("Software"), ("driver", "frameworks", "images", "label")),
        (_l("Promise"), ("sla_bps", "sla_compensation_bps", "conditions")),
    )  # fmt: skip

    def __init__(self, pools: QuerySet[Pool], *args: Any, product: Product | None = None, **kwargs: Any) -> None:
        super().__init__(*args, product=product, **kwargs)
        self.fields["pool"].queryset = pools  # type: ignore[attr-defined]
        if product is not None:
            names = [field.name for field in fields(ProductDraft) if field.name != "price_fen"]
            self.initial = {**self.initial, **{name: getattr(product, name) for name in names}}
            del self.fields["pool"], self.fields["code"]

    @property
    def sections(self) -> list[tuple[Any, list[forms.BoundField]]]:
        """The fields in groups."""
        return [(title, [self[name] for name in names if name in self.fields]) for title, names in self.SECTIONS]

    def draft(self, code: str = "") -> ProductDraft:
        """What the form says."""
        given = self.cleaned_data | ({"code": code} if code else {})
        usual = asdict(ProductDraft("", "", "", "", 0))
        named = {name: given[name] if given[name] is not None else usual[name] for name in usual}
        return ProductDraft(**named)


FACET_TITLES = {
    "kind": _l("Sold as"), "billing": _l("Billing"), "model": _l("Card model"), "region": _l("Region"),
    "domestic": _l("Origin"), "operator": _l("Operator"),
}  # fmt: skip


def facet_words() -> dict[str, dict[str, Any]]:
    """The word of each value of each facet."""
    return {
        "kind": dict(Kind.choices), "billing": dict(Billing.choices),
        "model": dict(CardModel.objects.values_list("code", "name")),
        "region": dict(Region.objects.values_list("code", "name")),
        "domestic": {"true": _("domestic"), "false": _("imported")},
        "operator": {
            str(pk): name for pk, name in Party.objects.filter(sites__isnull=False).values_list("pk", "name").distinct()
        },
    }  # fmt: skip
