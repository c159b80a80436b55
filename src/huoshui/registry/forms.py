"""Forms of the registry's pages. They read types; rules are the actions'."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base import intake
from huoshui.clearing.tables import Rule
from huoshui.registry import imports, sentences
from huoshui.registry.consents import purposes
from huoshui.registry.models import (
    Division,
    FactSource,
    FactType,
    Group,
    GroupKind,
    PublicationState,
    RelationKind,
    RoleKind,
    ValueKind,
)
from huoshui.registry.roles import PARTY_KIND_OF_ROLE

ANY = [("", _("any"))]
NONE = [("", "—")]


def _divisions() -> list[tuple[str, str]]:
    """Codes with names, the lower ones indented."""
    return [
        (row.code, ("　" * (2 - row.code.count("00", 2)) if not row.code.endswith("0000") else "") + row.name)
        for row in Division.objects.all()
    ]


def _groups() -> list[tuple[str, str]]:
    return [(group.code, group.name) for group in Group.objects.all()]


def _date() -> forms.DateInput:
    return forms.DateInput({"type": "date"}, format="%Y-%m-%d")


class PartyFilter(forms.Form):
    """Narrows the list of parties."""

    text = forms.CharField(label=_("name or USCC"), required=False, max_length=100)
    role = forms.ChoiceField(label=_("role"), required=False, choices=[*ANY, *RoleKind.choices])
    division = forms.ChoiceField(label=_("division"), required=False, choices=lambda: [*ANY, *_divisions()])
    group = forms.ChoiceField(label=_("cluster or park"), required=False, choices=lambda: [*ANY, *_groups()])


class PartyForm(forms.Form):
    """A party's name, code and place."""

    name = forms.CharField(label=_("name"), max_length=200)
    uscc = forms.CharField(label=_("USCC"), max_length=30, required=False, help_text=_("18 characters, if it has one"))
    division = forms.ChoiceField(label=_("division"), required=False, choices=lambda: [*NONE, *_divisions()])


class NewPartyForm(PartyForm):
    """A party and what it is from today on."""

    kinds = forms.MultipleChoiceField(
        label=_("roles"), choices=RoleKind.choices, widget=forms.CheckboxSelectMultiple, initial=[RoleKind.ENTITY]
    )


class RoleForm(forms.Form):
    """What a party becomes."""

    kind = forms.ChoiceField(label=_("role"), choices=RoleKind.choices)
    since = forms.DateField(label=_("since"), widget=_date())
    until = forms.DateField(label=_("until"), widget=_date(), required=False)


class RelationForm(forms.Form):
    """Who owns or controls the party."""

    holder = forms.CharField(label=_("holder"), max_length=200, help_text=_("USCC or exact name"))
    kind = forms.ChoiceField(label=_("kind"), choices=RelationKind.choices)
    share = forms.CharField(label=_("share in percent"), max_length=10, required=False, help_text=_("ownership only"))
    since = forms.DateField(label=_("since"), widget=_date())
    source = forms.CharField(label=_("source"), max_length=200)

    def clean_share(self) -> int | None:
        """The share in basis points."""
        text = self.cleaned_data["share"]
        try:
            return intake.decimal(text, 2) if text else None
        except Rule as rule:
            raise forms.ValidationError(sentences.of_rule(rule)) from rule


class JoinForm(forms.Form):
    """Which group a party joins."""

    group = forms.ChoiceField(label=_("cluster or park"), choices=_groups)
    since = forms.DateField(label=_("since"), widget=_date())


class EndForm(forms.Form):
    """The last day of something dated."""

    until = forms.DateField(label=_("last day"), widget=_date())


class GroupForm(forms.Form):
    """A new cluster or park."""

    code = forms.SlugField(label=_("code"), max_length=50)
    name = forms.CharField(label=_("name"), max_length=100)
    kind = forms.ChoiceField(label=_("kind"), choices=GroupKind.choices)
    division = forms.ChoiceField(label=_("division"), required=False, choices=lambda: [*NONE, *_divisions()])


class FactForm(forms.Form):
    """One statement; how its value reads depends on the kind of fact."""

    code = forms.ChoiceField(
        label=_("fact"), choices=lambda: [(row.code, _titled(row)) for row in FactType.objects.all()]
    )
    value = forms.CharField(
        label=_("value"), max_length=500, required=False, help_text=_("empty: withdraw what was said")
    )
    period = forms.CharField(label=_("period"), max_length=20, required=False, help_text=_("2025, 2025Q1 or 2025-06"))
    source = forms.ChoiceField(label=_("source"), choices=FactSource.choices)
    source_name = forms.CharField(label=_("name of the source"), max_length=100, required=False)
    observed_on = forms.DateField(label=_("observed on"), widget=_date())

    def __init__(self, sources: list[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(value, label) for value, label in FactSource.choices if value in sources]
        self.fields["source"].choices = choices  # type: ignore[attr-defined]
        if sources == [FactSource.SELF]:
            del self.fields["source_name"]

    def clean(self) -> dict[str, Any]:
        """Value and period in their own types: `value`, `period_start`, `period_end`."""
        data = dict(self.cleaned_data)
        kind = FactType.objects.filter(code=data.get("code", "")).first()
        period = data.pop("period", "")
        if kind is not None:
            data["value"] = self._read("value", lambda: _value(kind, data["value"]))
        if span := self._read("period", lambda: intake.period(period)) if period else None:
            data["period_start"], data["period_end"] = span.first, span.last
        return data

    def _read(self, name: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Rule as rule:
            self.add_error(name, sentences.of_rule(rule))
            return None


class ConsentForm(forms.Form):
    """What a party agrees to. Without facts chosen, those that the purpose names."""

    purpose = forms.ChoiceField(label=_("purpose"), choices=lambda: [(p.code, p.title) for p in purposes.values()])
    recipient = forms.CharField(
        label=_("recipient"), max_length=200, required=False, help_text=_("USCC or exact name of a party")
    )
    recipient_name = forms.CharField(
        label=_("or recipients in words"), max_length=200, required=False, help_text=_("such as: banks of the centre")
    )
    codes = forms.MultipleChoiceField(
        label=_("facts"), required=False, choices=lambda: [(row.code, row.title) for row in FactType.objects.all()],
        widget=forms.SelectMultiple({"size": 8}), help_text=_("none chosen: all facts that the purpose names"),
    )
    text = forms.CharField(label=_("remarks"), max_length=500, required=False)
    since = forms.DateField(label=_("since"), widget=_date())
    until = forms.DateField(label=_("until"), widget=_date(), required=False, help_text=_("empty: until withdrawn"))


def _titled(kind: FactType) -> str:
    return f"{kind.title}（{kind.unit}）" if kind.unit else kind.title


def _value(kind: FactType, text: str) -> Any:
    if not text:
        return None
    if kind.kind in (ValueKind.INTEGER, ValueKind.DECIMAL):
        return intake.decimal(text, kind.places)
    readers = {ValueKind.DATE: intake.day, ValueKind.BOOLEAN: intake.yes_no}
    return readers.get(ValueKind(kind.kind), str)(text)


class InviteForm(forms.Form):
    """A person who will act for a party."""

    username = forms.CharField(label=_("user name"), max_length=150)
    name = forms.CharField(label=_("name"), max_length=100)
    password = forms.CharField(label=_("first password"), widget=forms.PasswordInput)
    role = forms.ChoiceField(
        label=_("role"),
        choices=lambda: [(code, str(RoleKind(kind).label)) for code, kind in PARTY_KIND_OF_ROLE.items()],
    )


class UploadForm(forms.Form):
    """A file to import."""

    kind = forms.ChoiceField(label=pgettext_lazy("import", "what it lists"))
    file = forms.FileField(label=_("file"), help_text=_("CSV, XLSX or Parquet, at most 20 MB and 50,000 rows"))

    def __init__(self, kinds: list[imports.ImportKind], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [(kind.code, kind.title) for kind in kinds]  # type: ignore[attr-defined]

    def clean_file(self) -> Any:
        """Too large a file is refused before it is read."""
        file = self.cleaned_data["file"]
        if file.size > intake.UPLOAD_BYTES_MAX:
            raise forms.ValidationError(sentences.sentence("bytes_at_most", {"maximum": intake.UPLOAD_BYTES_MAX}))
        return file


class MappingForm(forms.Form):
    """One choice for each header of the file; fields are named by the header's place."""

    def __init__(self, kind: imports.ImportKind, header: list[str], mapping: dict[str, str], *args: Any) -> None:
        super().__init__(*args)
        self.header = header
        choices = [("", _("leave out")), *((column.code, column.title) for column in kind.columns())]
        for place, name in enumerate(header):
            self.fields[f"column{place}"] = forms.ChoiceField(
                label=name, choices=choices, required=False, initial=mapping.get(name, "")
            )

    @property
    def mapping(self) -> dict[str, str]:
        """Header → column code of the headers that are used."""
        chosen = ((name, self.cleaned_data[f"column{place}"]) for place, name in enumerate(self.header))
        return {name: code for name, code in chosen if code}


class PublicationFilter(forms.Form):
    """Narrows the list of publications."""

    kind = forms.CharField(label=_("kind"), required=False, max_length=50)
    state = forms.ChoiceField(label=_("state"), required=False, choices=[*ANY, *PublicationState.choices])


class PublicationForm(forms.Form):
    """The text of a publication."""

    text = forms.CharField(
        label=_("text"), strip=False, widget=forms.Textarea({"rows": 24, "class": "mono", "spellcheck": "false"}),
        help_text=_("YAML with kind, id, title, authority, source, status, effective_from and body"),
    )


class CommentForm(forms.Form):
    """Why a document is given up."""

    reason = forms.CharField(label=_("reason"), max_length=300)
