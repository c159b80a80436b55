"""Forms of the lists: what narrows them, and what is said to those on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _l

from huoshui.policy import outreach_words
from huoshui.policy.actions.pushes import REASON_MAX, TEXT_MAX
from huoshui.policy.models import Push
from huoshui.policy.reach import Condition, Wanted
from huoshui.registry.models import Division, Group
from huoshui.registry.scopes import division_prefix

TEXT_FILTER_MAX = 100


class NarrowForm(forms.Form):
    """Which of the entities of a list: by name, place, group, condition or fact."""

    text = forms.CharField(label=_l("name or USCC"), required=False, max_length=TEXT_FILTER_MAX)
    division = forms.ChoiceField(label=_l("division"), required=False)
    group = forms.ModelChoiceField(
        label=_l("cluster or park"), required=False, empty_label=_l("all"), queryset=Group.objects.all()
    )
    condition = forms.ChoiceField(label=_l("condition"), required=False)
    fact = forms.ChoiceField(label=_l("fact"), required=False)

    def __init__(
        self, data: Any, *, conditions: Sequence[Condition], facts: list[tuple[str, str]], show: str
    ) -> None:
        super().__init__(data)
        self.shown, self.conditions = show, {one.key: one for one in conditions}
        self.fields["show"] = forms.CharField(widget=forms.HiddenInput, required=False)
        everything = [("", _l("all"))]
        self.fields["division"].choices = everything + [  # type: ignore[attr-defined]
            (row.code, f"{'　' * (len(division_prefix(row.code)) // 2 - 1)}{row.name}")
            for row in Division.objects.filter(party__isnull=False).distinct().order_by("code")
        ]
        self.fields["condition"].choices = everything + [  # type: ignore[attr-defined]
            (one.key, outreach_words.condition(one)) for one in conditions
        ]
        self.fields["fact"].choices = everything + facts  # type: ignore[attr-defined]
        if show != "one_step" or not conditions:
            del self.fields["condition"]
        if show != "missing" or not facts:
            del self.fields["fact"]

    def wanted(self) -> Wanted:
        """What the form asks for; a wrong value narrows nothing."""
        self.is_valid()
        data = self.cleaned_data
        group, condition = data.get("group"), self.conditions.get(data.get("condition") or "")
        return Wanted(
            show=self.shown, text=data.get("text") or "", division=data.get("division") or "",
            group=group.pk if group else None, condition=(condition.via, condition.index) if condition else None,
            fact=data.get("fact") or "",
        )  # fmt: skip


class PushForm(forms.Form):
    """How to tell them, and what to add."""

    channel = forms.ChoiceField(
        label=_l("How they are told"), choices=Push.Channel.choices,
        help_text=_l("They always find it on the platform; anything else is recorded as done by the centre."),
    )  # fmt: skip
    text = forms.CharField(
        label=_l("What to add"), required=False, max_length=TEXT_MAX, widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_l("The pack, the reason and the way to apply are said by themselves."),
    )  # fmt: skip


class DeclineForm(forms.Form):
    """Why not."""

    reason = forms.CharField(label=_l("Why not"), max_length=REASON_MAX, widget=forms.Textarea(attrs={"rows": 2}))
