"""Forms of deposits and recalls: weekly patterns and rows of dates become stretches of hours, yuan become fen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import clock
from huoshui.book.forms import YuanField
from huoshui.compute.actions.deposits import RECALL_NOTICE_HOURS_MAX, Stretch
from huoshui.compute.forms import DateInput, hour_at
from huoshui.compute.models import Allocation, Deposit, Pool, Recall
from huoshui.compute.queries import schedule
from huoshui.terms.rounding import MILLI

DAYS_MAX = 366
PATTERN_LINES, STRETCH_ROWS, STRETCH_ROWS_MAX = 3, 6, 60
DAYS = {"all": range(7), "work": range(5), "weekend": range(5, 7)}
DAY_CHOICES = (("all", _l("every day")), ("work", _l("Monday to Friday")), ("weekend", _l("Saturday and Sunday")))
FROM_CHOICES = [(str(hour), f"{hour:02d}:00") for hour in range(24)]
TO_CHOICES = [(str(hour), f"{hour:02d}:00") for hour in range(1, 25)]


class HourField(forms.Field):
    """A whole local hour, cleaned to hours since the epoch."""

    widget = forms.DateTimeInput({"type": "datetime-local", "step": "3600"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        try:
            at = datetime.fromisoformat(str(value)).replace(tzinfo=clock.LOCAL)
            hour = clock.hour_of(at)
        except (ValueError, OverflowError):
            raise forms.ValidationError(_("Enter a date and an hour.")) from None
        if clock.instant_of(hour) != at:
            raise forms.ValidationError(_("must be a whole hour"))
        return hour

    def prepare_value(self, value: Any) -> Any:
        return clock.local(clock.instant_of(value)).strftime("%Y-%m-%dT%H:%M") if isinstance(value, int) else value


class DepositFilter(forms.Form):
    """Narrows the list of deposits."""

    text = forms.CharField(label=_l("Number or depositor"), required=False, max_length=100)
    state = forms.ChoiceField(label=_l("State"), required=False, choices=[("", _l("any")), *Deposit.State.choices])
    pool = forms.ModelChoiceField(label=_l("Pool"), required=False, queryset=Pool.objects.none(), empty_label=_l("any"))

    def __init__(self, pools: QuerySet[Pool], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pool"].queryset = pools  # type: ignore[attr-defined]


class TermsForm(forms.Form):
    """The conditions of a deposit, whatever way its hours are given."""

    base_price_fen = YuanField(
        label=_l("Base price (yuan per card-hour)"), help_text=_l("The least you accept, before energy.")
    )
    energy = forms.BooleanField(
        label=_l("Add energy at the site's tariff"), required=False, initial=True,
        help_text=_l("The reserve price then follows the time-of-use tariff hour by hour."),
    )  # fmt: skip
    settle_in = forms.ChoiceField(label=_l("Paid in"), choices=Deposit.SettleIn.choices)
    recall_notice_hours = forms.IntegerField(
        label=_l("Recall notice (hours)"), min_value=0, max_value=RECALL_NOTICE_HOURS_MAX, initial=24,
        help_text=_l("How long before the hour you announce that you take cards back."),
    )  # fmt: skip


class DepositForm(TermsForm):
    """Idle cards of an own pool; who deposits follows from the pool."""

    pool = forms.ModelChoiceField(label=_l("Pool"), queryset=Pool.objects.none(), empty_label=None)
    field_order = ("pool", "base_price_fen", "energy", "settle_in", "recall_notice_hours")

    def __init__(self, pools: QuerySet[Pool], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["pool"].queryset = pools  # type: ignore[attr-defined]


class PatternForm(forms.Form):
    """A weekly pattern over some days: up to three lines, such as every day 22:00 to 06:00."""

    first_day = forms.DateField(label=_l("First day"), widget=DateInput())
    last_day = forms.DateField(label=_l("Last day"), widget=DateInput(), help_text=_l("This day is included."))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        tomorrow = clock.today() + timedelta(days=1)
        self.fields["first_day"].initial, self.fields["last_day"].initial = tomorrow, tomorrow + timedelta(days=6)
        for line in range(1, PATTERN_LINES + 1):
            first = line == 1
            self.fields[f"days{line}"] = forms.ChoiceField(label=_("Which days"), choices=DAY_CHOICES)
            self.fields[f"from{line}"] = forms.ChoiceField(label=_("From"), choices=FROM_CHOICES, initial="22")
            self.fields[f"to{line}"] = forms.ChoiceField(label=_("To"), choices=TO_CHOICES, initial="6")
            self.fields[f"cards{line}"] = forms.IntegerField(label=_("Cards"), min_value=1, required=first)

    @property
    def lines(self) -> list[list[forms.BoundField]]:
        """The fields of each line."""
        return _lines(self, ("days", "from", "to", "cards"), PATTERN_LINES)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if {"first_day", "last_day"} <= cleaned.keys():
            count = (cleaned["last_day"] - cleaned["first_day"]).days
            if count < 0:
                self.add_error("last_day", _("must not be before the first day"))
            elif count >= DAYS_MAX:
                self.add_error("last_day", _("at most %(max)s days") % {"max": DAYS_MAX})
        return cleaned

    def stretches(self) -> list[Stretch]:
        """The stretches of all lines, in order of time; hours that pass midnight belong to the day they begin on."""
        found = [
            stretch for line in range(1, PATTERN_LINES + 1) if self.cleaned_data.get(f"cards{line}")
            for stretch in self._line(line)
        ]  # fmt: skip
        return sorted(found, key=lambda stretch: stretch.start_hour)

    def _line(self, line: int) -> Iterator[Stretch]:
        data = self.cleaned_data
        first, last = int(data[f"from{line}"]), int(data[f"to{line}"])
        length = (last - first - 1) % 24 + 1
        for day in _days(data["first_day"], data["last_day"]):
            if day.weekday() in DAYS[data[f"days{line}"]]:
                yield Stretch(hour_at(day, first), hour_at(day, first) + length, data[f"cards{line}"])


def _days(first: date, last: date) -> Iterator[date]:
    return (first + timedelta(days=count) for count in range((last - first).days + 1))


def _lines(form: forms.Form, names: Sequence[str], count: int) -> list[list[forms.BoundField]]:
    """The fields of a table of inputs, row by row, each named for screen readers by its column and row."""
    lines = [[form[f"{name}{row}"] for name in names] for row in range(1, count + 1)]
    for row, line in enumerate(lines, 1):
        for bound in line:
            bound.field.widget.attrs["aria-label"] = f"{bound.label} {row}"
    return lines


class RowsForm(forms.Form):
    """Stretches one by one; empty rows are passed over."""

    def __init__(self, *args: Any, filled: list[Stretch] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        given = sum(1 for name in self.data if str(name).startswith("cards"))
        self.rows = min(max(STRETCH_ROWS, len(filled or ()), given), STRETCH_ROWS_MAX)
        for row in range(1, self.rows + 1):
            known = (filled or [])[row - 1 : row]
            start, end, cards = (
                (known[0].start_hour, known[0].end_hour, known[0].cards) if known else (None, None, None)
            )
            self.fields[f"start{row}"] = HourField(label=_("Start"), required=False, initial=start)
            self.fields[f"end{row}"] = HourField(label=_("End (not included)"), required=False, initial=end)
            self.fields[f"cards{row}"] = forms.IntegerField(
                label=_("Cards"), min_value=1, required=False, initial=cards
            )

    @property
    def lines(self) -> list[list[forms.BoundField]]:
        """The fields of each row."""
        return _lines(self, ("start", "end", "cards"), self.rows)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        filled = 0
        for row in range(1, self.rows + 1):
            values = {name: cleaned.get(name) for name in (f"start{row}", f"end{row}", f"cards{row}")}
            given = [name for name, value in values.items() if value is not None]
            filled += bool(given)
            for name in values:
                if given and name not in given and name not in self.errors:
                    self.add_error(name, _("is needed when the row is used"))
        if not filled and not self.errors:
            self.add_error("start1", _("Give at least one stretch of hours."))
        return cleaned

    def stretches(self) -> list[Stretch]:
        """The rows that are filled."""
        data = self.cleaned_data
        rows = (row for row in range(1, self.rows + 1) if data.get(f"cards{row}"))
        return [Stretch(data[f"start{row}"], data[f"end{row}"], data[f"cards{row}"]) for row in rows]


def rented(allocation: Allocation) -> list[Stretch]:
    """The hours of an allocation that lie ahead, as stretches to resell."""
    ahead, cards = clock.hour_of(clock.now()) + 1, allocation.request.cards
    runs = schedule(allocation)[:STRETCH_ROWS_MAX]
    return [Stretch(max(run.start_hour, ahead), run.end_hour, cards) for run in runs if run.end_hour > ahead]


class RecallForm(forms.Form):
    """Cards taken back or lost over a stretch of hours."""

    start = HourField(label=_l("Start"))
    end = HourField(label=_l("End (not included)"))
    cards = forms.IntegerField(label=_l("Cards"), min_value=1)
    reason = forms.ChoiceField(label=_l("Why"), choices=Recall.Reason.choices)


class DeliveryForm(forms.Form):
    """What ran over a stretch of hours."""

    start = HourField(label=_l("Start"))
    end = HourField(label=_l("End (not included)"))
    card_hours = forms.DecimalField(
        label=_l("Delivered card-hours"), min_value=0, max_digits=14, decimal_places=3,
        help_text=_l("Cards × hours that really ran, at most three decimals."),
    )  # fmt: skip
    evidence = forms.CharField(
        label=_l("Evidence (digest)"), required=False, max_length=64,
        help_text=_l("SHA-256 of your own record, if you keep one."),
    )  # fmt: skip

    def clean_card_hours(self) -> int:
        """Milli-card-hours."""
        return int(self.cleaned_data["card_hours"] * MILLI)
