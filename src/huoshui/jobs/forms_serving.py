"""Forms of data, models and endpoints."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.compute.actions.deposits import hour_text
from huoshui.jobs.actions.artefacts import FORM_BYTES_MAX, MADE_BY_HAND
from huoshui.jobs.actions.endpoints import IDLE_SECONDS_MAX, IDLE_SECONDS_MIN
from huoshui.jobs.forms import ANSWER, TemplateForm
from huoshui.jobs.models import Artefact, Booking
from huoshui.jobs.templates import TEMPLATES
from huoshui.registry.models import Party

PROMPT_LENGTH_MAX = 4_000
ANSWER_TOKENS_MAX = 256


class UploadForm(forms.Form):
    """A file for a party."""

    party = forms.ModelChoiceField(label=_l("For"), queryset=Party.objects.none(), empty_label=None)
    kind = forms.ChoiceField(
        label=_l("Kind"), choices=[(kind.value, kind.label) for kind in Artefact.Kind if kind in MADE_BY_HAND]
    )
    file = forms.FileField(label=_l("File"), max_length=200)

    def __init__(self, parties: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["party"].queryset = parties  # type: ignore[attr-defined]

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > FORM_BYTES_MAX:
            rule = _("A form takes at most %(max)s bytes; larger files go through the REST API.")
            raise forms.ValidationError(rule % {"max": f"{FORM_BYTES_MAX:,}"})
        return file


class ArtefactFilter(forms.Form):
    """Narrow the list of files."""

    text = forms.CharField(label=_l("Name or digest"), required=False, max_length=80)
    kind = forms.ChoiceField(label=_l("Kind"), required=False, choices=[("", _l("all")), *Artefact.Kind.choices])


class ModelForm(forms.Form):
    """A name for a trained model."""

    name = forms.SlugField(
        label=_l("Name"), min_length=2, max_length=60,
        help_text=_l("Small letters, digits and hyphens. A name that you have already gets its next version."),
    )  # fmt: skip


class PlaceForm(forms.Form):
    """In which booking a model is served."""

    booking = forms.ModelChoiceField(label=_l("Booking"), queryset=Booking.objects.none(), empty_label=None)

    def __init__(self, bookings: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["booking"].queryset = bookings  # type: ignore[attr-defined]
        self.fields["booking"].label_from_instance = booking_words  # type: ignore[attr-defined]


class EndpointForm(PlaceForm, TemplateForm):
    """Serve a model: where, under which name, how."""

    name = forms.SlugField(
        label=_l("Name"), min_length=2, max_length=60, help_text=_l("Part of its address; nobody else may have it.")
    )
    cards = forms.IntegerField(label=_l("Cards"), min_value=1, initial=1)
    idle_seconds = forms.IntegerField(
        label=_l("Sleeps after (seconds without a call)"), min_value=IDLE_SECONDS_MIN, max_value=IDLE_SECONDS_MAX,
        initial=300, help_text=_l("Asleep it uses no cards and costs nothing; the next call wakes it."),
    )  # fmt: skip

    def __init__(self, bookings: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(bookings, *args, **kwargs)
        self.ask(TEMPLATES["serve"])
        del self.fields[f"{ANSWER}alias"]

    def named(self) -> dict[str, Any]:
        """The arguments of `open_endpoint`."""
        asked = {name: value for name, value in self.cleaned_data.items() if not name.startswith(ANSWER)}
        return asked | {"parameters": self.answers()}


def booking_words(booking: Booking) -> str:
    """A booking in a list of choices."""
    return _("%(number)s · %(pool)s · %(cards)s cards · until %(end)s") % {
        "number": booking.number, "pool": booking.pool, "cards": booking.cards, "end": hour_text(booking.end_hour),
    }  # fmt: skip


class TryForm(forms.Form):
    """One prompt for an endpoint."""

    prompt = forms.CharField(label=_l("Prompt"), max_length=PROMPT_LENGTH_MAX, widget=forms.Textarea({"rows": 3}))
    tokens = forms.IntegerField(
        label=_l("Longest answer (tokens)"), min_value=1, max_value=ANSWER_TOKENS_MAX, initial=64
    )
