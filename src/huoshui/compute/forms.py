"""Forms of the desk: they turn what people type into what the actions take."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.compute import queries
from huoshui.compute.actions.rounds import HOURS_PER_ROUND_MIN
from huoshui.compute.models import HOURS_PER_ROUND_MAX
from huoshui.registry.queries import publications_in_force


def hour_at(day: date, hour: int = 0) -> int:
    """Hour slot since the epoch of a local hour."""
    return clock.hour_of(clock.day_start(day)) + hour


class DateInput(forms.DateInput):
    """The browser's own date picker."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d")


class RoundForm(forms.Form):
    """Open a round: which days, under which terms."""

    title = forms.CharField(label=_("Title"), max_length=100)
    first_day = forms.DateField(label=_("First day"), widget=DateInput())
    days = forms.IntegerField(
        label=_("Days"), min_value=HOURS_PER_ROUND_MIN // 24, max_value=HOURS_PER_ROUND_MAX // 24, initial=7
    )
    terms = forms.ChoiceField(label=_("Round terms"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["first_day"].initial = clock.local(clock.instant_of(queries.next_open_hour())).date()
        chosen = [(row.identifier, row.title) for row in publications_in_force("round_terms")]
        self.fields["terms"].choices = chosen  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if {"first_day", "days"} <= cleaned.keys():
            if cleaned["first_day"] <= clock.today():
                self.add_error("first_day", _("must lie ahead"))
            cleaned["start_hour"] = hour_at(cleaned.pop("first_day"))
            cleaned["hours"] = cleaned.pop("days") * 24
        return cleaned
