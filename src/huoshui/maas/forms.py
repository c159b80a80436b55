"""Forms of the desk: they turn what people type into what the actions take."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from huoshui.base.access import Actor
from huoshui.base.export import yuan
from huoshui.book.forms import YuanField
from huoshui.compute.forms import DateInput
from huoshui.compute.forms_requests import find_party, party_field
from huoshui.compute.models import Region
from huoshui.jobs.models import Endpoint
from huoshui.maas import queries
from huoshui.maas.actions import upstreams
from huoshui.maas.actions.keys import CALLS_PER_MINUTE_MAX, DAYS_MAX, TOKENS_PER_MINUTE_MAX, Scope
from huoshui.maas.models import UFEN, Key, Offer, Wallet
from huoshui.maas.permissions import FUND, KEYS, PROVIDE
from huoshui.maas.words import OUTCOMES
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of

ANY = [("", _("all"))]


class OfParty(forms.Form):
    """A form about one of the parties for which the person holds a permission."""

    FIELD, PERMISSION, LABEL = "party", FUND, _("Entity")

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._parties = parties_of(actor, self.PERMISSION).order_by("name")
        self.fields = {self.FIELD: party_field(self._parties, self.LABEL), **self.fields}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if self.FIELD in cleaned:
            try:
                cleaned[self.FIELD] = find_party(self._parties, cleaned[self.FIELD])
            except forms.ValidationError as error:
                self.add_error(self.FIELD, error)
        return cleaned


class FundForm(OfParty):
    """Set money aside."""

    amount_fen = YuanField(
        label=_("Amount (yuan)"), help_text=_("Reserved in the book until calls use it or you take it back.")
    )


class AmountForm(forms.Form):
    """An amount."""

    amount_fen = YuanField(label=_("Amount (yuan)"))


class FreezeForm(forms.Form):
    """Why a wallet is frozen or let go."""

    reason = forms.CharField(label=_("Reason"), max_length=200)


class ScopeForm(forms.Form):
    """What a key may do."""

    models = forms.MultipleChoiceField(
        label=_("Models"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None chosen: all.")
    )
    regions = forms.MultipleChoiceField(
        label=_("Regions"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("None chosen: anywhere.")
    )
    routing = forms.ChoiceField(label=_("Routing"), choices=Key.Routing.choices)
    period = forms.ChoiceField(label=_("Budget counts"), choices=Key.Period.choices)
    budget_fen = YuanField(label=_("Budget (yuan)"), required=False, help_text=_("Empty: what the wallet has."))
    calls_per_minute = forms.IntegerField(
        label=_("Calls per minute"), required=False, min_value=1, max_value=CALLS_PER_MINUTE_MAX
    )
    tokens_per_minute = forms.IntegerField(
        label=_("Tokens per minute"), required=False, min_value=1, max_value=TOKENS_PER_MINUTE_MAX
    )

    def __init__(self, parties: Iterable[Party], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = sorted({*queries.model_names(parties), *(self.initial.get("models") or [])})
        self.fields["models"].choices = [(name, name) for name in names]  # type: ignore[attr-defined]
        regions = Region.objects.order_by("code").values_list("code", "name")
        self.fields["regions"].choices = list(regions)  # type: ignore[attr-defined]

    def scope(self) -> Scope:
        """As the actions take it."""
        given = self.cleaned_data
        return Scope(
            models=tuple(given["models"]), regions=tuple(given["regions"]), routing=given["routing"],
            period=given["period"], budget_fen=given["budget_fen"], calls_per_minute=given["calls_per_minute"],
            tokens_per_minute=given["tokens_per_minute"],
        )  # fmt: skip


class KeyForm(ScopeForm):
    """A new key."""

    wallet = forms.ModelChoiceField(Wallet.objects.none(), label=_("Wallet"))
    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("What it is for, such as a system's name."))
    agent = forms.BooleanField(label=_("For a program"), required=False)
    days = forms.IntegerField(label=_("Days until it expires"), min_value=1, max_value=DAYS_MAX, initial=90)
    field_order = ("wallet", "name", "agent", "days")

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        parties = parties_of(actor, KEYS).order_by()
        super().__init__(parties, *args, **kwargs)
        found = queries.wallets(actor).filter(party__in=parties)
        wallet: Any = self.fields["wallet"]
        wallet.queryset = found
        wallet.label_from_instance = lambda row: row.party.name
        only = list(found[:2])
        if len(only) == 1:
            wallet.initial = only[0]


def scope_initial(key: Key) -> dict[str, Any]:
    """What the form of a key begins with."""
    return {
        "models": key.allowed_models, "regions": key.allowed_regions, "routing": key.routing, "period": key.period,
        "budget_fen": None if key.budget_ufen is None else yuan(key.budget_ufen // UFEN),
        "calls_per_minute": key.calls_per_minute, "tokens_per_minute": key.tokens_per_minute,
    }  # fmt: skip


class UpstreamForm(OfParty):
    """A provider's address."""

    FIELD, PERMISSION, LABEL = "provider", PROVIDE, _("Provider")

    name = forms.SlugField(label=_("Name"), max_length=60, help_text=_("Small letters, digits and hyphens."))
    base_url = forms.CharField(
        label=_("Address"), max_length=200, help_text=_("Of an OpenAI-compatible service, without /v1.")
    )
    secret = forms.CharField(
        label=_("Variable with its key"), max_length=80, required=False,
        help_text=_("Such as HUOSHUI_UPSTREAM_EXAMPLE: set in the gateway's environment, never stored here."),
    )
    region = forms.ModelChoiceField(Region.objects.order_by("code"), label=_("Region"))
    concurrency_max = forms.IntegerField(
        label=_("Calls at once"), min_value=1, max_value=upstreams.LIMITS["concurrency_max"], initial=64
    )
    connect_seconds = forms.IntegerField(
        label=_("Seconds to connect"), min_value=1, max_value=upstreams.LIMITS["connect_seconds"], initial=5
    )
    first_token_seconds = forms.IntegerField(
        label=_("Seconds to the first token"), min_value=1, max_value=upstreams.LIMITS["first_token_seconds"],
        initial=60,
    )
    gap_seconds = forms.IntegerField(
        label=_("Seconds between tokens"), min_value=1, max_value=upstreams.LIMITS["gap_seconds"], initial=30
    )


class EndpointForm(forms.Form):
    """An endpoint of the platform that shall answer calls."""

    endpoint = forms.ModelChoiceField(Endpoint.objects.none(), label=_("Endpoint"))
    name = forms.SlugField(label=_("Name"), max_length=60, help_text=_("Small letters, digits and hyphens."))

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        endpoint: Any = self.fields["endpoint"]
        endpoint.queryset = queries.free_endpoints(actor)


class OfferForm(forms.Form):
    """A price: yuan per million tokens."""

    model = forms.CharField(label=_("Model"), max_length=80, help_text=_("The name by which clients call it."))
    upstream_model = forms.CharField(label=_("Its name at the upstream"), max_length=120)
    kind = forms.ChoiceField(label=_("Kind"), choices=Offer.Kind.choices)
    input_fen = YuanField(label=_("Input (yuan per million tokens)"))
    output_fen = YuanField(label=_("Output (yuan per million tokens)"))
    cached_fen = YuanField(label=_("Cached input (yuan per million tokens)"))
    context_tokens = forms.IntegerField(label=_("Context (tokens)"), min_value=1, max_value=upstreams.TOKENS_MAX)
    output_tokens_max = forms.IntegerField(
        label=_("Longest answer (tokens)"), min_value=1, max_value=upstreams.TOKENS_MAX
    )
    private = forms.BooleanField(
        label=_("Private"), required=False, help_text=_("Only for your own keys: nobody else sees or calls it.")
    )


class UsageFilter(forms.Form):
    """Narrows calls and their sums."""

    since = forms.DateField(label=_("From"), required=False, widget=DateInput())
    until = forms.DateField(label=_("Until"), required=False, widget=DateInput())
    key = forms.ModelChoiceField(Key.objects.none(), label=_("Key"), required=False, empty_label=_("all"))
    model = forms.ChoiceField(label=_("Model"), required=False)

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        key: Any = self.fields["key"]
        key.queryset = queries.keys(actor)
        model: Any = self.fields["model"]
        model.choices = [*ANY, *((name, name) for name in queries.priced_models(actor))]

    def narrowed(self) -> dict[str, Any]:
        """What it narrows to; nothing that was not understood."""
        return {name: value for name, value in self.cleaned_data.items() if value} if self.is_valid() else {}


class CallFilter(UsageFilter):
    """Narrows the list of calls."""

    outcome = forms.ChoiceField(label=_("Outcome"), required=False)

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(actor, *args, **kwargs)
        outcome: Any = self.fields["outcome"]
        outcome.choices = [*ANY, *OUTCOMES.items()]
