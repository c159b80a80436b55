"""Forms of requests, estimates and compute accounts: they turn what people type into what the actions take."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock, intake
from huoshui.base.access import Actor
from huoshui.book.forms import YuanField
from huoshui.clearing.tables import Parser, Rule, hour
from huoshui.compute import needs, queries
from huoshui.compute.actions.requests import CARDS_MAX
from huoshui.compute.models import CardModel, Region, Request
from huoshui.registry import sentences
from huoshui.registry.models import Party, RoleKind

PARTY_CHOICES_MAX = 100
HOURS_MAX = needs.HOURS_MAX
ESTIMATE_CHARACTERS_MAX = 500
WINDOW_HOURS = 24 * 7
"""What the form begins with: a week from tomorrow on."""
ANY = [("", _("all"))]


class ParsedField(forms.CharField):
    """Text that a parser of files reads: the same spellings and the same rules as in an upload."""

    def __init__(self, parse: Parser, **named: Any) -> None:
        super().__init__(**named)
        self.parse = parse

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            return self.parse(text)
        except Rule as rule:
            raise forms.ValidationError(sentences.of_rule(rule)) from None


def decimal(places: int) -> Callable[[str], int]:
    """Parser of a number times 10^places."""
    return lambda text: intake.decimal(text, places)


def number_field(places: int, **named: Any) -> ParsedField:
    """A number with decimals, cleaned to the integer that is 10^places times it."""
    return ParsedField(decimal(places), max_length=20, widget=forms.TextInput({"inputmode": "decimal"}), **named)


class HourField(ParsedField):
    """A whole local hour, cleaned to its slot since the epoch."""

    def __init__(self, **named: Any) -> None:
        widget = forms.DateTimeInput({"step": 3600}, format="%Y-%m-%dT%H:%M")
        super().__init__(hour, max_length=30, widget=widget, **named)

    def prepare_value(self, value: Any) -> Any:
        return clock.local(clock.instant_of(value)).strftime("%Y-%m-%dT%H:%M") if isinstance(value, int) else value


def party_field(parties: Any, label: Any) -> forms.Field:
    """A choice when there are few, the code or the whole name when there are many."""
    few = list(parties[: PARTY_CHOICES_MAX + 1])
    if len(few) <= PARTY_CHOICES_MAX:
        return forms.ModelChoiceField(parties, label=label, initial=few[0].pk if len(few) == 1 else None)
    return forms.CharField(label=label, max_length=200, help_text=_("USCC or the whole name"))


def find_party(parties: Any, given: Any) -> Party:
    """What `party_field` was given. Raises ValidationError."""
    if isinstance(given, Party):
        return given
    text = given.strip()
    found = parties.filter(uscc=text.upper()) or parties.filter(name=text)
    if len(found) != 1:
        raise forms.ValidationError(_("No single party has this code or name."))
    party: Party = found[0]
    return party


class FindRequest(forms.Form):
    """Narrows the list of requests."""

    text = forms.CharField(label=_("number, purpose or entity"), required=False, max_length=100)
    state = forms.ChoiceField(label=_("state"), required=False, choices=[*ANY, *Request.State.choices])
    round = forms.IntegerField(label=_("round number"), required=False, min_value=1, max_value=10**9)


# --- estimate and quote -----------------------------------------------------------------------------------------------

KINDS = [
    (needs.Kind.LORA_TUNE, _("fine-tune a model (LoRA)")), (needs.Kind.FULL_TUNE, _("train all parameters of a model")),
    (needs.Kind.INFERENCE, _("batch inference")), (needs.Kind.RENDERING, _("rendering")),
    (needs.Kind.SIMULATION, _("simulation")),
]  # fmt: skip


class SentenceForm(forms.Form):
    """A task in words."""

    text = forms.CharField(
        label=_("What do you want to do?"), max_length=500,
        widget=forms.TextInput({"placeholder": _("fine-tune a 14B model, 20M tokens")}),
        help_text=_("The task, the size of the model and of the data, in a sentence; the figures can be edited below."),
    )  # fmt: skip


class TaskForm(forms.Form):
    """A task in figures, with the assumptions of the formula."""

    kind = forms.ChoiceField(label=_("Kind of task"), choices=KINDS)
    parameters = number_field(3, label=_("Model parameters (billions)"), required=False)
    tokens = number_field(3, label=_("Tokens in all (millions)"), required=False)
    reference_hours = forms.IntegerField(
        label=_("Hours on one reference card"), required=False, min_value=1,
        help_text=_("rendering and simulation: a card of 100 TFLOPS (FP16)"),
    )
    hours_wanted = forms.IntegerField(
        label=_("To be done within (hours)"), min_value=1, max_value=HOURS_MAX, initial=24
    )
    utilisation = number_field(2, label=_("Share of peak throughput reached (%)"), required=False)
    flop = forms.IntegerField(label=_("FLOP per parameter and token"), required=False, min_value=1, max_value=100)
    bytes = number_field(1, label=_("Bytes of memory per parameter"), required=False)
    ASSUMED = ("utilisation", "flop", "bytes")

    @property
    def plain(self) -> list[forms.BoundField]:
        """Fields of the task itself."""
        return [bound for bound in self if bound.name not in self.ASSUMED]

    @property
    def assumed(self) -> list[forms.BoundField]:
        """Fields of the assumptions."""
        return [bound for bound in self if bound.name in self.ASSUMED]

    @staticmethod
    def values_of(task: needs.Task, hours_wanted: int = 24) -> dict[str, Any]:
        """What the fields show for a task."""
        values: dict[str, Any] = {"kind": task.kind.value, "hours_wanted": hours_wanted}
        if task.kind not in needs.ASSUMPTIONS:
            return values | {"reference_hours": task.reference_hours}
        assumed = task.assumed
        return values | {
            "parameters": _shown(task.parameters_million, 3), "tokens": _shown(task.tokens_thousand, 3),
            "utilisation": _shown(assumed.utilisation_bps, 2), "flop": assumed.flop_per_token,
            "bytes": _shown(assumed.decibytes_per_parameter, 1),
        }  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Adds `task`; figures out of range are marked."""
        data = dict(self.cleaned_data)
        if "kind" not in data or self.errors:
            return data
        kind = needs.Kind(data["kind"])
        task = needs.Task(
            kind, data.get("parameters") or 0, data.get("tokens") or 0, data.get("reference_hours") or 0,
            self._assumption(kind),
        )  # fmt: skip
        named = {"parameters_million": "parameters", "tokens_thousand": "tokens"}
        for field, (low, high) in needs.check(task).items():
            places = 0 if field == "reference_hours" else 3
            rule = _("between %(low)s and %(high)s") % {"low": _shown(low, places), "high": _shown(high, places)}
            self.add_error(named.get(field, field), rule)
        return data | {"task": task}

    def _assumption(self, kind: needs.Kind) -> needs.Assumption | None:
        usual = needs.ASSUMPTIONS.get(kind)
        if usual is None:
            return None
        data = self.cleaned_data
        found = needs.Assumption(
            data.get("flop") or usual.flop_per_token, data.get("bytes") or usual.decibytes_per_parameter,
            data.get("utilisation") or usual.utilisation_bps, usual.shard,
        )  # fmt: skip
        for field, value, high in (("bytes", found.decibytes_per_parameter, 10_000),
                                   ("utilisation", found.utilisation_bps, 10_000)):  # fmt: skip
            if not 0 < value <= high:
                self.add_error(field, _("out of range"))
        return None if found == usual else found


def _shown(value: int, places: int) -> str:
    whole, part = divmod(value, 10**places)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".") if places else str(whole)


class QuoteForm(forms.Form):
    """Cards, hours and where: enough for a price."""

    cards = forms.IntegerField(label=_("Cards together"), min_value=1, max_value=CARDS_MAX, initial=8)
    hours = forms.IntegerField(label=_("Hours needed"), min_value=1, max_value=HOURS_MAX, initial=12)
    region = forms.ModelChoiceField(
        Region.objects.order_by("id"), label=_("Region"), required=False, empty_label=_("all regions")
    )


# --- request ----------------------------------------------------------------------------------------------------------


class RequestForm(forms.Form):
    """A request. Hours on each card model are fields of their own, `hours-CODE`; empty: the model is not acceptable."""

    title = forms.CharField(label=_("What it is for"), max_length=120)
    cards = forms.IntegerField(label=_("Cards together"), min_value=1, max_value=CARDS_MAX)
    earliest = HourField(label=_("Earliest start"), help_text=_("a whole hour, Beijing time"))
    deadline = HourField(label=_("Done by"))
    mode = forms.ChoiceField(
        label=_("How it runs"), choices=Request.Mode.choices, widget=forms.RadioSelect, initial=Request.Mode.RIGID,
        help_text=_("A task that can be interrupted fits into cheaper hours."),
    )
    min_piece_hours = forms.IntegerField(
        label=_("Shortest piece (hours)"), required=False, min_value=1, max_value=HOURS_MAX,
        help_text=_("only when it runs in pieces"),
    )
    origin = forms.ModelChoiceField(Region.objects.order_by("id"), label=_("Where the data is"))
    regions = forms.ModelMultipleChoiceField(
        Region.objects.order_by("id"), label=_("Acceptable regions"), widget=forms.CheckboxSelectMultiple
    )
    budget = YuanField(
        label=_("Budget (yuan)"),
        help_text=_("the most it will ever pay, VAT and transfer included; what is not needed comes back"),
    )
    pay_with = forms.ChoiceField(
        label=_("Paid with"), choices=Request.PayWith.choices, widget=forms.RadioSelect, initial=Request.PayWith.MONEY
    )
    carry_over = forms.BooleanField(label=_("If no place is found, try again in the next round"), required=False)
    estimate = forms.CharField(required=False, max_length=ESTIMATE_CHARACTERS_MAX, widget=forms.HiddenInput)

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.models = {model.code: model for model in CardModel.objects.order_by("id")}
        self.parties = queries.requesting_parties(actor)
        entity = party_field(self.parties, _("Entity"))
        self.fields = {"entity": entity} | self.fields
        given = self.initial.get("hours", {})
        for code, model in self.models.items():
            self.fields[f"hours-{code}"] = forms.IntegerField(
                label=model.name, required=False, min_value=1, max_value=HOURS_MAX, initial=given.get(code),
                help_text=_("%(memory)s GiB, %(tflops)s TFLOPS") % {
                    "memory": model.memory_gib, "tflops": model.fp16_tflops,
                },
            )  # fmt: skip
        first = queries.next_open_hour()
        self.initial = {"earliest": first, "deadline": first + WINDOW_HOURS, **self.initial}
        if "regions" not in self.initial:
            self.fields["regions"].initial = list(Region.objects.values_list("pk", flat=True))

    def section(self, *names: str) -> list[forms.BoundField]:
        """Fields by name, in this order."""
        return [self[name] for name in names]

    @property
    def who(self) -> list[forms.BoundField]:
        return self.section("entity", "title", "cards")

    @property
    def on_models(self) -> list[forms.BoundField]:
        return self.section(*(f"hours-{code}" for code in self.models))

    @property
    def when(self) -> list[forms.BoundField]:
        return self.section("earliest", "deadline", "mode", "min_piece_hours")

    @property
    def where(self) -> list[forms.BoundField]:
        return self.section("origin", "regions")

    @property
    def money(self) -> list[forms.BoundField]:
        return self.section("budget", "pay_with", "carry_over")

    def clean_entity(self) -> Party:
        return find_party(self.parties, self.cleaned_data["entity"])

    def clean_estimate(self) -> dict[str, Any] | None:
        """What the request was estimated from; anything that is no estimate is left out."""
        try:
            told = json.loads(self.cleaned_data["estimate"] or "null")
            task = estimated(told) if told else None
        except (ValueError, KeyError, TypeError):
            return None
        return estimate_of(task) if task and not needs.check(task) else None

    def clean(self) -> dict[str, Any]:
        data = dict(self.cleaned_data)
        if not any(data.get(f"hours-{code}") for code in self.models):
            for code in self.models:
                if f"hours-{code}" in self.errors:
                    return data
            self.add_error(None, _("Name the hours on at least one card model."))
        return data

    @property
    def named(self) -> dict[str, Any]:
        """What the action takes."""
        data = self.cleaned_data
        return {
            "entity": data["entity"], "title": data["title"], "cards": data["cards"],
            "hours": {model: data[f"hours-{code}"] for code, model in self.models.items() if data[f"hours-{code}"]},
            "earliest_hour": data["earliest"], "deadline_hour": data["deadline"], "budget_fen": data["budget"],
            "origin": data["origin"], "regions": list(data["regions"]), "mode": data["mode"],
            "min_piece_hours": (data["min_piece_hours"] or 1) if data["mode"] == Request.Mode.PREEMPTIBLE else 0,
            "pay_with": data["pay_with"], "carry_over": data["carry_over"], "estimate": data["estimate"],
        }  # fmt: skip


ESTIMATED = ("parameters_million", "tokens_thousand", "reference_hours")


def estimate_of(task: needs.Task) -> dict[str, Any]:
    """A task as a request remembers it."""
    return {"kind": task.kind.value} | {name: getattr(task, name) for name in ESTIMATED}


def estimated(told: dict[str, Any]) -> needs.Task:
    """The task that a request remembers. Raises KeyError, TypeError or ValueError for anything else."""
    parameters, tokens, reference_hours = (int(told[name]) for name in ESTIMATED)
    return needs.Task(needs.Kind(told["kind"]), parameters, tokens, reference_hours)


class RequestsFileForm(forms.Form):
    """Many requests of one entity."""

    file = forms.FileField(
        label=_("file"), help_text=_("CSV or XLSX, at most 500 requests; the columns are listed below")
    )

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parties = queries.requesting_parties(actor)
        self.fields = {"entity": party_field(self.parties, _("Entity"))} | self.fields

    def clean_entity(self) -> Party:
        return find_party(self.parties, self.cleaned_data["entity"])

    def clean_file(self) -> Any:
        """Too large a file is refused before it is read."""
        file = self.cleaned_data["file"]
        if file.size > intake.UPLOAD_BYTES_MAX:
            raise forms.ValidationError(sentences.sentence("bytes_at_most", {"maximum": intake.UPLOAD_BYTES_MAX}))
        return file


class CapForm(forms.Form):
    """The amount at which work stops."""

    cap = YuanField(label=_("Spending cap (yuan)"))


class FinishForm(forms.Form):
    """When the work is done."""

    hour = HourField(label=_("The work ends at"), help_text=_("a whole hour, Beijing time"))


class ContestForm(forms.Form):
    """What is wrong with a statement."""

    reason = forms.CharField(label=_("What is wrong"), max_length=500, widget=forms.Textarea({"rows": 4}))


# --- accounts ---------------------------------------------------------------------------------------------------------


class TransferForm(forms.Form):
    """Pass a balance on."""

    taker = forms.CharField(label=_("To which entity"), max_length=200, help_text=_("USCC or the whole name"))
    milli = number_field(3, label=_("Standard card-hours"))

    def clean_taker(self) -> Party:
        entities = Party.objects.filter(roles__kind=RoleKind.ENTITY).distinct()
        return find_party(entities, self.cleaned_data["taker"])

