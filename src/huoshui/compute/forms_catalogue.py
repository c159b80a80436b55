"""Forms of the catalogue: sites, pools, card models and regions. PUE and yuan become what the actions take."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import export
from huoshui.base.errors import Missing
from huoshui.book.forms import YuanField
from huoshui.compute.actions.catalogue import CARDS_MAX, LIST_PRICE_FEN_MAX, PUE_BPS_MAX, PUE_BPS_MIN
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.registry.models import Party
from huoshui.registry.queries import divisions, publication_in_force, publications_in_force

ONE = 10_000
"""Basis points of one."""
FIGURE_MAX = 1_000_000


class SiteFilter(forms.Form):
    """Narrows the list of sites."""

    text = forms.CharField(label=_l("Site or operator"), required=False, max_length=100)
    region = forms.ModelChoiceField(
        label=_l("Region"), required=False, queryset=Region.objects.order_by("code"), empty_label=_l("any")
    )


class DefineForm(forms.Form):
    """Makes a row or changes `row`. What identifies a row cannot be changed; nobody else may have what a new one has.

    A row that says the same already passes: the form was sent twice.
    """

    IDENTITY: tuple[str, ...] = ("code",)
    MODEL: type[Model]

    def __init__(self, *args: Any, row: Model | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.row = row
        if row is not None:
            for name in self.IDENTITY:
                del self.fields[name]
            for name, field in self.fields.items():
                field.initial = self.shown(name, getattr(row, name))

    def shown(self, name: str, value: Any) -> Any:
        """A stored value as its field shows it."""
        return value

    def same(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """What identifies the row that the form describes."""
        return {name: cleaned[name] for name in self.IDENTITY}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.row is None and not self.errors:
            found = self.MODEL._default_manager.filter(**self.same(cleaned)).first()
            if found is not None and any(getattr(found, name) != value for name, value in cleaned.items()):
                self.add_error(self.IDENTITY[-1], _("exists already"))
        return cleaned


class RegionForm(DefineForm):
    """A scheduling region."""

    MODEL = Region
    code = forms.SlugField(label=_l("Code"), max_length=30, help_text=_l("Latin letters, digits and hyphens; stays."))
    name = forms.CharField(label=_l("Name"), max_length=50)


class CardModelForm(DefineForm):
    """A card model with its maker's figures."""

    MODEL = CardModel
    code = forms.SlugField(label=_l("Code"), max_length=40, help_text=_l("Latin letters, digits and hyphens; stays."))
    name = forms.CharField(label=_l("Name"), max_length=60)
    vendor = forms.CharField(label=_l("Maker"), max_length=60, required=False)
    domestic = forms.BooleanField(label=_l("Domestic"), required=False)
    memory_gib = forms.IntegerField(label=_l("Memory (GiB)"), min_value=1, max_value=FIGURE_MAX)
    fp16_tflops = forms.IntegerField(
        label=_l("FP16 throughput (TFLOPS)"), min_value=1, max_value=FIGURE_MAX,
        help_text=_l("Dense, as estimates use it."),
    )  # fmt: skip
    watts = forms.IntegerField(
        label=_l("Power at full load (W)"), min_value=1, max_value=FIGURE_MAX,
        help_text=_l("For the cost of electricity."),
    )  # fmt: skip
    source = forms.CharField(
        label=_l("Source of the figures"), max_length=200, required=False, help_text=_l("The maker's data sheet.")
    )


class SiteForm(DefineForm):
    """A data centre; its tariff is chosen from the publications in force."""

    IDENTITY = ("operator", "code")
    MODEL = Site
    operator = forms.ModelChoiceField(label=_l("Operator"), queryset=Party.objects.none())
    code = forms.SlugField(label=_l("Code"), max_length=40, help_text=_l("Latin letters, digits and hyphens; stays."))
    name = forms.CharField(label=_l("Name"), max_length=80)
    region = forms.ModelChoiceField(
        label=_l("Region"), queryset=Region.objects.order_by("code"), help_text=_l("For scheduling and data transfer.")
    )
    division = forms.ChoiceField(label=_l("Division"))
    tariff = forms.ChoiceField(label=_l("Electricity tariff"), help_text=_l("Published tariffs in force today."))
    pue_bps = forms.DecimalField(
        label=_l("Power usage effectiveness (PUE)"), min_value=Decimal(PUE_BPS_MIN) / ONE,
        max_value=Decimal(PUE_BPS_MAX) / ONE, decimal_places=4, initial=Decimal("1.3"),
    )  # fmt: skip

    def __init__(self, operators: QuerySet[Party], *args: Any, **kwargs: Any) -> None:
        tariffs = {row.identifier: row.title for row in publications_in_force("tariff")}
        places = [(row.code, f"{row.code} {row.name}") for row in divisions()]
        super().__init__(*args, **kwargs)
        self.fields["division"].choices = [("", "—"), *places]  # type: ignore[attr-defined]
        self.fields["tariff"].choices = [("", "—"), *tariffs.items()]  # type: ignore[attr-defined]
        if self.row is None:
            self.fields["operator"].queryset = operators  # type: ignore[attr-defined]
            if len(only := operators[:2]) == 1:
                self.fields["operator"].initial = only[0]

    def shown(self, name: str, value: Any) -> Any:
        if name == "tariff":
            with suppress(Missing):
                return publication_in_force("tariff", value).identifier
        return Decimal(value) / ONE if name == "pue_bps" else value

    def same(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        return {"code": cleaned["code"]}

    def clean_pue_bps(self) -> int:
        """1/10000."""
        return int(self.cleaned_data["pue_bps"] * ONE)


class PoolForm(DefineForm):
    """The cards of one model at a site."""

    IDENTITY = ("card_model",)
    MODEL = Pool
    card_model = forms.ModelChoiceField(label=_l("Card model"), queryset=CardModel.objects.order_by("name"))
    cards = forms.IntegerField(label=_l("Cards installed"), min_value=1, max_value=CARDS_MAX)
    list_price_fen = YuanField(
        label=_l("List price (yuan per card-hour)"), help_text=_l("What the card costs outside the bank, VAT included.")
    )

    def __init__(self, site: Site, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.site = site

    def shown(self, name: str, value: Any) -> Any:
        return export.yuan(value) if name == "list_price_fen" else value

    def same(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        return super().same(cleaned) | {"site": self.site}

    def clean_list_price_fen(self) -> int:
        """Fen."""
        fen: int = self.cleaned_data["list_price_fen"]
        if not 0 < fen <= LIST_PRICE_FEN_MAX:
            most = export.yuan(LIST_PRICE_FEN_MAX)
            raise forms.ValidationError(_("above zero and at most %(max)s yuan") % {"max": most})
        return fen
