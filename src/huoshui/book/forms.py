"""Forms of the book."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from huoshui import terms
from huoshui.base.access import Actor
from huoshui.book.models import State, Statement, StatementLine
from huoshui.book.permissions import REPORT
from huoshui.registry import sentences
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of

LINES_SHOWN_MAX = 200


class YuanField(forms.Field):
    """An amount in yuan with at most two decimals, cleaned to fen."""

    widget = forms.TextInput(attrs={"inputmode": "decimal"})

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        try:
            return terms.parse_yuan(value)
        except terms.TermError as error:
            raise forms.ValidationError(sentences.of_term(error).problems[0].rule) from None


class FindParty(forms.Form):
    """Narrows the list of parties."""

    text = forms.CharField(label=_("name or USCC"), required=False, max_length=100)


class FindStatement(forms.Form):
    """Narrows the list of statements."""

    text = forms.CharField(label=_("number, payer or contract"), required=False, max_length=100)
    state = forms.ChoiceField(label=_("state"), required=False, choices=[("", _("all")), *State.choices])


class GrantForm(forms.Form):
    """A credit limit."""

    amount = YuanField(label=_("credit in all (yuan)"))
    evidence = forms.CharField(label=_("evidence"), max_length=200, help_text=_("the decision's number and date"))


class ReasonForm(forms.Form):
    """Why."""

    reason = forms.CharField(label=_("reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 3}))


class AnswerForm(ReasonForm):
    """The answer to a contest: what is given back on each line."""

    def __init__(self, lines: Iterable[StatementLine], *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for line in list(lines)[:LINES_SHOWN_MAX]:
            if line.amount > 0:
                label = _("give back on line %(line)s, %(payee)s (yuan)")
                self.fields[f"line {line.position}"] = YuanField(
                    label=label % {"line": line.position, "payee": line.payee.name}, required=False
                )

    def credits(self) -> dict[int, int]:
        """Fen to give back, by line position."""
        given = {name: amount for name, amount in self.cleaned_data.items() if name.startswith("line ")}
        return {int(name.removeprefix("line ")): amount for name, amount in given.items() if amount}


class InvoiceForm(forms.Form):
    """An invoice number of a payee."""

    payee = forms.ModelChoiceField(Party.objects.none(), label=_("payee"))
    number = forms.CharField(label=_("invoice number"), max_length=40)

    def __init__(self, payees: Any, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        payee: Any = self.fields["payee"]
        payee.queryset = payees


class ReportForm(forms.Form):
    """A bank's file."""

    bank = forms.ModelChoiceField(Party.objects.none(), label=_("bank"))
    file = forms.FileField(label=_("file"), help_text=_("CSV or XLSX; the columns are listed below"))

    def __init__(self, actor: Actor, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        bank: Any = self.fields["bank"]
        bank.queryset = parties_of(actor, REPORT).filter(roles__kind="bank").distinct().order_by("name")
        if bank.queryset.count() == 1:
            bank.initial = bank.queryset.get().pk


class ResolveForm(ReasonForm):
    """How an exception is settled: with a statement's number, the amount pays that statement."""

    statement = forms.CharField(
        label=_("statement number"), required=False, max_length=30,
        help_text=_("left empty: nothing is paid, the reason alone settles it"),
    )

    def clean_statement(self) -> Statement | None:
        number = self.cleaned_data["statement"].strip()
        if not number:
            return None
        found = Statement.objects.filter(number=number).first()
        if found is None:
            raise forms.ValidationError(_("no statement has this number"))
        return found


class ConsistencyForm(forms.Form):
    """Since which checkpoint."""

    old = forms.IntegerField(label=_("records in the older checkpoint"), min_value=1)
