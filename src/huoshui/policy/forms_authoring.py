"""Forms of writing packs. The form of a criterion is a small language of its own: at most a few conditions, each a
measure, a comparison, a number and a period; what needs more is written in the text.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from huoshui.policy import notices, pack_words
from huoshui.policy.suggestions import CONDITIONS_MAX, Asked, Suggestion
from huoshui.rules.fields import FIELDS, Field
from huoshui.rules.model import Kind

IDENTIFIER: Final = r"^[a-z0-9][a-z0-9._-]{0,79}$"
KINDS: Final = (Kind.HARD, Kind.VETO, Kind.EXEMPTION, Kind.MANUAL)
"""Kinds that the form can make; scores are written in the text."""
MEASURES: Final = (
    ("amount", _("quantity")), ("ratio", _("ratio to…")), ("growth", _("growth a year")), ("age", _("time since")),
    ("is", _("yes or no")), ("valid", _("valid certificate")), ("in", _("one of a list")),
    ("starts_with", _("code begins with")),
)  # fmt: skip
OPERATORS: Final = (
    ("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"), ("eq", "="), ("ne", "≠"),
)  # fmt: skip
PERIODS: Final = (
    ("", "—"), ("this_year", _("this year")), ("last_year", _("last year")),
    ("year_before_last", _("the year before last")), ("each:2", _("each of the last 2 years")),
    ("each:3", _("each of the last 3 years")), ("sum:2", _("last 2 years together")),
    ("sum:3", _("last 3 years together")), ("growth:2", _("over the last 2 values")),
    ("growth:3", _("over the last 3 values")),
)  # fmt: skip
UNITS: Final = ("", "元", "万元", "亿元", "%", "年", "月", "人", "项", "位", "分")


class NoticeForm(forms.Form):
    """A notice with its file."""

    file = forms.FileField(label=_("file"), help_text=_("DOCX, PDF with text, or TXT; at most 10 MB."))
    title = forms.CharField(label=_("title"), max_length=200)
    authority = forms.CharField(label=_("authority"), max_length=200)
    document_number = forms.CharField(label=_("document number"), max_length=100, required=False)
    source = forms.CharField(
        label=_("source"), max_length=1000, help_text=_("Address or gazette where anyone can read it.")
    )

    def clean_file(self) -> UploadedFile:
        file: UploadedFile = self.cleaned_data["file"]
        if file.size is None or file.size > notices.BYTES_MAX:
            raise forms.ValidationError(pack_words.sentence("notice_bytes", {"max": notices.BYTES_MAX >> 20}))
        return file


class StartForm(forms.Form):
    """The first lines of a draft."""

    identifier = forms.RegexField(
        IDENTIFIER, label=_("identifier"), help_text=_("Lower-case letters, digits, dots, hyphens; kept for ever."),
        error_messages={"invalid": _("must be lower-case letters, digits, dots and hyphens")},
    )  # fmt: skip
    effective_from = forms.DateField(label=_("in force from"), widget=forms.DateInput())


class TextForm(forms.Form):
    """The draft's text and its test cases, and the version that they were written over."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    text = forms.CharField(
        label=_("pack (YAML)"), strip=False,
        widget=forms.Textarea(attrs={"rows": 26, "class": "mono", "spellcheck": "false"}),
    )  # fmt: skip
    tests = forms.CharField(
        label=_("test cases (YAML)"), strip=False, required=False,
        widget=forms.Textarea(attrs={"rows": 14, "class": "mono", "spellcheck": "false"}),
    )  # fmt: skip


class SubmitForm(forms.Form):
    """What the writer says of the warnings."""

    version = forms.IntegerField(widget=forms.HiddenInput)
    word = forms.CharField(
        label=_("word on the warnings"), required=False, max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Why they may stand. The second person reads it."),
    )  # fmt: skip


class TryForm(forms.Form):
    """The firm on which a draft is tried."""

    firm = forms.CharField(
        label=_("firm"), required=False, max_length=200, help_text=_("Name or code."),
        widget=forms.TextInput(attrs={"list": "firms", "autocomplete": "off"}),
    )  # fmt: skip


# --- criteria -----------------------------------------------------------------------------------------------------


def field_choices(own: Mapping[str, Field]) -> list[tuple[str, str]]:
    """Every field of the catalogue and of the draft itself, by title."""
    known = {**FIELDS, **own}
    return [("", "—"), *((code, f"{known[code].title} · {code}") for code in known)]


class CriterionForm(forms.Form):
    """One clause as a criterion: what it is called, where it stands, what it says, what follows from it."""

    id = forms.RegexField(IDENTIFIER, label=_("id"), error_messages={"invalid": _("must be lower-case letters, "
                          "digits, dots and hyphens")})  # fmt: skip
    title = forms.CharField(label=_("title"), max_length=200)
    kind = forms.ChoiceField(
        label=_("what it does"), choices=lambda: [(kind.value, pack_words.kind(kind)) for kind in KINDS]
    )
    stage = forms.ChoiceField(
        label=_("asked of"), choices=[("entitlement", _("the firm")), ("claim", _("each claim"))], required=False
    )
    clause = forms.CharField(label=_("clause"), max_length=200)
    quote = forms.CharField(
        label=_("quote, word for word"), max_length=2_000, strip=True, widget=forms.Textarea(attrs={"rows": 3})
    )
    join = forms.ChoiceField(
        label=_("several conditions"), choices=[("all_of", _("all of them")), ("any_of", _("one suffices"))]
    )
    question = forms.CharField(
        label=_("question for a person"), max_length=500, required=False,
        help_text=_("For what no fact can tell. It stands instead of the conditions."),
    )  # fmt: skip
    exempts = forms.CharField(
        label=_("stands in for"), required=False, max_length=500,
        help_text=_("Only for what stands in: ids of criteria, or score, separated by commas."),
    )  # fmt: skip
    evidence = forms.CharField(
        label=_("documents that prove it"), required=False, max_length=2_000, widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("One document on each line."),
    )  # fmt: skip

    def clean_quote(self) -> str:
        """The words on their lines, without what a paste brings along."""
        quote: str = self.cleaned_data["quote"]
        return "\n".join(filter(None, map(notices.plain, quote.splitlines())))

    def content(self, tests: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The criterion as it stands in the text."""
        given = self.cleaned_data
        made: dict[str, Any] = {name: given[name] for name in ("id", "title", "kind")}
        if given["stage"] == "claim":
            made["stage"] = "claim"
        made |= {name: given[name] for name in ("clause", "quote")}
        if given["question"]:
            made["test"] = {"op": "manual", "question": given["question"]}
        else:
            made["test"] = dict(tests[0]) if len(tests) == 1 else {"op": given["join"], "tests": list(tests)}
        if names := _split(given["exempts"].replace("，", ","), ","):
            made["exempts"] = names
        if documents := _split(given["evidence"], "\n"):
            made["evidence"] = documents
        return made


class ConditionForm(forms.Form):
    """One condition. A row whose field is empty does not count."""

    measure = forms.ChoiceField(label=_("measure"), choices=MEASURES)
    field = forms.ChoiceField(label=_("what is measured"), required=False)
    over = forms.ChoiceField(label=_("divided by"), required=False)
    op = forms.ChoiceField(label=_("comparison"), choices=OPERATORS, required=False)
    value = forms.CharField(
        label=_("value"), required=False, max_length=2_000, help_text=_("A number; yes or no; codes with commas.")
    )
    unit = forms.ChoiceField(label=_("unit"), choices=[(unit, unit or "—") for unit in UNITS], required=False)
    period = forms.ChoiceField(label=_("of which years"), choices=PERIODS, required=False)

    def __init__(self, fields: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["field"].choices = fields  # type: ignore[attr-defined]
        self.fields["over"].choices = fields  # type: ignore[attr-defined]

    @property
    def given(self) -> bool:
        return bool(self.cleaned_data.get("field"))

    @property
    def starts_open(self) -> bool:
        """Whether the row stands open: the first one, and those that are filled in."""
        return self.prefix == "c0" or bool(self["field"].value())

    def test(self) -> dict[str, Any]:
        """The condition as a test of the text."""
        return test_of(Asked(**{name: self.cleaned_data[name] for name in Asked.__dataclass_fields__}))


def _split(text: str, at: str) -> list[str]:
    return [part.strip() for part in text.split(at) if part.strip()]


# --- conditions to tests and back ---------------------------------------------------------------------------------


def test_of(asked: Asked) -> dict[str, Any]:
    """One condition as a test."""
    if asked.measure == "valid":
        return {"op": "valid", "of": asked.field}
    period = _period_of(asked.period)
    if asked.measure == "is":
        return {"op": "is", "of": asked.field, **period, "value": asked.value.lower() not in ("false", "no", "否")}
    if asked.measure in ("in", "starts_with"):
        values = _split(asked.value.replace("，", ",").replace("、", ","), ",")
        return {"op": asked.measure, "of": asked.field, "values": values}
    of: Any = asked.field
    if asked.measure == "ratio":
        of = {"ratio": [asked.field, asked.over]}
    elif asked.measure in ("growth", "age"):
        of = {asked.measure: asked.field}
    test = {"op": asked.op, "of": of, **period, "value": _number(asked.value)}
    return {**test, "unit": asked.unit} if asked.unit else test


def _number(text: str) -> int | str:
    """Whole numbers as such, decimals as text, anything else as it came (the reader says what is wrong with it)."""
    plain = text.strip().replace(",", "").replace("，", "")
    return int(plain) if plain.removeprefix("-").isdecimal() and len(plain) < 16 else plain


def _period_of(period: str) -> dict[str, Any]:
    kind, _colon, count = period.partition(":")
    return {"period": {kind: int(count)} if count else kind} if period else {}


def asked_of(test: Mapping[str, Any]) -> Asked | None:
    """A test as one condition of the form; None when the form has no words for it."""
    op, of, period = test.get("op"), test.get("of"), _period_text(test.get("period"))
    value = test.get("value")
    if op in ("valid", "is") and isinstance(of, str):
        return Asked(op, of, op=op, value="" if value is None else str(value).lower(), period=period)
    if op in ("in", "starts_with") and isinstance(of, str):
        return Asked(op, of, op=op, value=", ".join(map(str, test.get("values") or ())))
    if op not in dict(OPERATORS) or value is None or isinstance(value, bool):
        return None
    unit = str(test.get("unit") or "")
    if isinstance(of, str):
        return Asked("amount", of, "", str(op), str(value), unit, period)
    if isinstance(of, Mapping) and len(of) == 1:
        (measure, inner), = of.items()
        if measure == "ratio" and isinstance(inner, list) and all(isinstance(each, str) for each in inner):
            return Asked("ratio", inner[0], inner[-1], str(op), str(value), unit, period)
        if measure in ("growth", "age") and isinstance(inner, str):
            return Asked(str(measure), inner, "", str(op), str(value), unit, period)
    return None


def _period_text(period: Any) -> str:
    if isinstance(period, Mapping) and len(period) == 1:
        (kind, count), = period.items()
        return f"{kind}:{count}"
    return period if isinstance(period, str) else ""


def shown(criterion: Mapping[str, Any]) -> tuple[dict[str, Any], list[Asked]] | None:
    """A criterion of the text as initial values of the form; None when it can only be changed in the text."""
    test = criterion.get("test")
    plain_keys = {"id", "title", "kind", "stage", "clause", "quote", "test", "exempts", "evidence"}
    if not isinstance(test, Mapping) or set(criterion) - plain_keys:
        return None
    initial = {name: criterion.get(name, "") for name in ("id", "title", "kind", "stage", "clause", "quote")}
    initial["exempts"] = ", ".join(map(str, criterion.get("exempts") or ()))
    initial["evidence"] = "\n".join(map(str, criterion.get("evidence") or ()))
    if test.get("op") == "manual":
        return initial | {"question": test.get("question", "")}, []
    joined = test.get("op") in ("all_of", "any_of")
    members: Iterable[Any] = test.get("tests") or () if joined else (test,)
    asked = [asked_of(each) if isinstance(each, Mapping) else None for each in members]
    if not asked or len(asked) > CONDITIONS_MAX or None in asked:
        return None
    return initial | {"join": test["op"] if joined else "all_of"}, [each for each in asked if each is not None]


def proposed(suggestion: Suggestion, clause: str, quote: str, identifier: str) -> dict[str, Any]:
    """Initial values from a marked sentence and what it seems to ask."""
    return {
        "id": identifier, "title": suggestion.title[:200], "kind": suggestion.kind.value, "clause": clause,
        "stage": "claim" if any(each.field.startswith("claim.") for each in suggestion.asked) else "entitlement",
        "quote": quote, "join": "any_of" if suggestion.any_of else "all_of",
        "question": "" if suggestion.asked else f"是否符合：{suggestion.title}"[:500],
    }  # fmt: skip
