"""Forms of the match and of applications: one question, one filing, one account, one refusal."""

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from huoshui.base import intake
from huoshui.cases import files
from huoshui.cases.files import Upload
from huoshui.clearing.tables import Rule
from huoshui.policy import words
from huoshui.policy.actions.applications import TEXT_MAX, Handed, Wish
from huoshui.policy.models import Application
from huoshui.policy.needs import Need
from huoshui.registry import sentences
from huoshui.rules import Field, Pack
from huoshui.rules.model import Kind
from huoshui.rules.titles import VALUES

TEXT_ANSWER_MAX: Final = 200
COLUMN_MAX: Final = 120
GRADES: Final = ("A", "B", "M", "C", "D")


def _dated() -> forms.DateInput:
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class OnForm(forms.Form):
    """The day as of which a match is read."""

    on = forms.DateField(label=_("as of"), widget=_dated(), required=False)


class AnswerForm(forms.Form):
    """The answer to one missing fact, in the unit that an accountant has at hand."""

    def __init__(self, column: str, field: Field, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.asked = field
        self.fields["column"] = forms.CharField(widget=forms.HiddenInput, initial=column, max_length=COLUMN_MAX)
        self.fields["value"] = _input(column, field)

    def clean_value(self) -> int | str | bool | date | None:
        """The value as the registry stores it."""
        given = self.cleaned_data["value"]
        if not self.asked.is_number:
            return given
        try:
            if self.asked.is_money:
                return money(given)
            return intake.decimal(given.removesuffix(self.asked.unit), self.asked.places)
        except Rule as rule:
            raise forms.ValidationError(sentences.of_rule(rule)) from rule


def money(text: str) -> int:
    """Fen from an amount in yuan; 1500万 and 1亿 are understood as people say them. Raises Rule."""
    text = intake.normal(text)
    return intake.money(f"{text}元" if text.endswith(("万", "亿")) else text, "yuan")


def _input(column: str, field: Field) -> forms.Field:
    label = words.question(column, field)
    if field.kind == "boolean":
        return forms.TypedChoiceField(
            label=label, choices=[("yes", _("yes")), ("no", _("no"))], coerce=lambda given: given == "yes",
            widget=forms.RadioSelect,
        )  # fmt: skip
    if field.kind == "date":
        return forms.DateField(label=label, widget=_dated())
    if field.kind == "text":
        if choices := _choices(field):
            return forms.ChoiceField(label=label, choices=[("", "—"), *choices])
        return forms.CharField(label=label, max_length=TEXT_ANSWER_MAX)
    widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})
    unit = _("in yuan; 1500万 is understood too") if field.is_money else field.unit
    return forms.CharField(label=label, max_length=30, help_text=unit, widget=widget)


def _choices(field: Field) -> list[tuple[str, str]]:
    if field.code == "tax.grade":
        return [(grade, grade) for grade in GRADES]
    return [(code, words.coded(code, field)) for code in VALUES.get(field.code, ())]


class PlanForm(forms.Form):
    """What one filing needs: planned contracts of vouchers, the documents asked for, consent."""

    def __init__(self, packs: Sequence[Pack], wanted: Sequence[Need], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.packs, self.wanted = packs, [need for need in wanted if need.asked]
        for pack in packs:
            if pack.benefit is not None and pack.benefit.kind == "voucher":
                self.fields[f"planned_{pack.id}"] = forms.CharField(
                    label=_("planned contract: %(title)s") % {"title": pack.header.title}, max_length=30,
                    help_text=_("in yuan; 1500万 is understood too"),
                    widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
                )  # fmt: skip
        for need in self.wanted:
            self.fields[f"file_{need.key}"] = forms.FileField(
                label=need.title, help_text=_("for: %(packs)s") % {"packs": "、".join(need.packs)},
                widget=forms.ClearableFileInput(attrs={"accept": ",".join(files.SUFFIXES)}),
            )
        self.fields["consent"] = forms.BooleanField(
            label=_("We agree that the reviewing office sees the facts listed below for this purpose, and that it "
                    "keeps this filing."),
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """Amounts in fen."""
        cleaned = super().clean() or {}
        for name, given in list(cleaned.items()):
            if name.startswith("planned_"):
                try:
                    cleaned[name] = money(given)
                except Rule as rule:
                    self.add_error(name, sentences.of_rule(rule))
        return cleaned

    @property
    def wishes(self) -> tuple[Wish, ...]:
        """What is applied for."""
        return tuple(Wish(pack.id, self.cleaned_data.get(f"planned_{pack.id}")) for pack in self.packs)

    @property
    def handed(self) -> tuple[Handed, ...]:
        """The files that came."""
        found = []
        for need in self.wanted:
            file: UploadedFile = self.cleaned_data[f"file_{need.key}"]
            # One byte more than allowed is enough for the action to refuse it.
            found.append(Handed(need.key, Upload(file.name or "", file.read(files.BYTES_MAX + 1))))
        return tuple(found)


class AccountForm(forms.Form):
    """The account to which the money goes."""

    bank_name = forms.CharField(label=_("bank and branch"), max_length=100)
    account_number = forms.CharField(
        label=_("account number"), max_length=60, widget=forms.TextInput(attrs={"inputmode": "numeric"})
    )


class CheckForm(forms.Form):
    """What an officer finds of the criteria that wait for a person."""

    def __init__(self, pack: Pack, waiting: Sequence[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.waiting = waiting
        for name in waiting:
            criterion = pack.criterion(name)
            self.fields[f"met_{name}"] = forms.TypedChoiceField(
                label=criterion.title, help_text=f"{criterion.clause}　“{criterion.quote}”",
                choices=[("yes", _("met")), ("no", _("not met"))], coerce=lambda given: given == "yes",
                widget=forms.RadioSelect,
            )  # fmt: skip
        self.fields["text"] = forms.CharField(
            label=_("note"), required=False, max_length=TEXT_MAX, widget=forms.Textarea(attrs={"rows": 2})
        )

    @property
    def findings(self) -> dict[str, bool]:
        """Criterion id → met."""
        return {name: self.cleaned_data[f"met_{name}"] for name in self.waiting}


class RefuseForm(forms.Form):
    """Which criterion stands against it, and why."""

    def __init__(self, pack: Pack, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked = [(one.id, f"{one.clause}　{one.title}") for one in pack.criteria if one.kind is not Kind.SCORE]
        scoring = [("scoring", f"{pack.scoring.clause}　{pack.scoring.quote}"[:120])] if pack.scoring else []
        self.fields["criterion"] = forms.ChoiceField(label=_("what is not met"), choices=[("", "—"), *asked, *scoring])
        self.fields["text"] = forms.CharField(
            label=_("reason, for the applicant"), max_length=TEXT_MAX, widget=forms.Textarea(attrs={"rows": 3})
        )


class FindApplication(forms.Form):
    """Narrow the list of applications."""

    text = forms.CharField(label=_("applicant"), required=False, max_length=100)
    state = forms.ChoiceField(
        label=_("state"), required=False, choices=[("", _("all")), *Application.State.choices]
    )
    pack = forms.CharField(label=_("policy"), required=False, max_length=100)
