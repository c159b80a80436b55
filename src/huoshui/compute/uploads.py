"""A file that a person sends in is shown first and taken in when confirmed.

Between the two steps nothing is stored: the page carries the file along, and the second step reads it again. What the
file would do is found out by doing it and taking it back, so the preview and the real thing cannot disagree.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base.errors import Invalid, Problem, Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import post_action, show_refusal
from huoshui.registry.models import Party

FILE_BYTES_MAX = 1 << 20
"""As text in a hidden field it stays below what a form may send; more goes through the REST API or the command line."""
PREVIEW_ROWS_MAX = 50


class UploadForm(forms.Form):
    """A party and a file; on the way back from the preview the file comes as text."""

    party = forms.ModelChoiceField(label=_l("For"), queryset=Party.objects.none(), empty_label=None)
    file = forms.FileField(label=_l("File (CSV or XLSX)"), required=False)
    name = forms.CharField(widget=forms.HiddenInput, required=False, max_length=200)
    content = forms.CharField(widget=forms.HiddenInput, required=False)
    confirmed = forms.BooleanField(widget=forms.HiddenInput, required=False)

    def __init__(self, parties: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["party"].queryset = parties  # type: ignore[attr-defined]
        self.fields["file"].required = not self.data.get("content")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if file := cleaned.get("file"):
            if file.size > FILE_BYTES_MAX:
                rule = _("The file may have at most %(max)s bytes; larger ones go through the REST API.")
                raise forms.ValidationError({"file": rule % {"max": f"{FILE_BYTES_MAX:,}"}})
            cleaned |= {"name": file.name, "data": file.read(), "confirmed": False}
        elif cleaned.get("content"):
            try:
                cleaned["data"] = base64.b64decode(cleaned["content"], validate=True)
            except binascii.Error:
                raise forms.ValidationError({"file": _("Choose the file again.")}) from None
        return cleaned

    @property
    def carried(self) -> dict[str, str]:
        """The hidden fields with which the preview asks for the real thing."""
        data = self.cleaned_data
        return {
            "party": data["party"].pk, "name": data["name"], "content": base64.b64encode(data["data"]).decode(),
            "confirmed": "1",
        }  # fmt: skip


def faults_of(action: Callable[..., Any], actor: Any, **named: Any) -> tuple[Problem, ...]:
    """What an action would object to: it is done and taken back. Empty when it would go through."""
    try:
        with transaction.atomic():
            action(actor, **named)
            transaction.set_rollback(True)
    except Invalid as error:
        return error.problems
    except Refused as error:
        return (Problem(_("file"), "", error.message),)
    return ()


@dataclass(frozen=True)
class Upload:
    """A page that takes in a file: `read(name, bytes)` gives its rows, `action(actor, **{party, rows})` takes them in.

    `party` is the action's name for whose file it is; `summary(rows)` is what the preview says besides; `said(result)`
    the message when it is done. Either the whole file is taken in or nothing.
    """

    template: str
    columns: Any
    read: Callable[[str, bytes], Sequence[Any]]
    action: Callable[..., Any]
    party: str
    then: str
    said: Callable[[Any], str]
    summary: Callable[[Sequence[Any]], dict[str, Any]] = lambda _rows: {}

    def page(self, request: HttpRequest, parties: Any) -> HttpResponse:
        """The form, the preview, or on to `then`."""
        form = UploadForm(parties, request.POST or None, request.FILES or None)
        context: dict[str, Any] = {"form": form, "columns": self.columns}
        if form.is_valid():
            data = form.cleaned_data
            try:
                rows = self.read(data["name"], data["data"])
            except Refused as error:
                show_refusal(form, error)
                return render(request, self.template, context)
            named = {self.party: data["party"], "rows": rows}
            if data["confirmed"]:
                made = post_action(request, self.action, form, **named)
                if made is not None:
                    messages.success(request, self.said(made))
                    return redirect(self.then)
            else:
                found = faults_of(self.action, actor_of(request), **named)
                shown = {"rows": rows[:PREVIEW_ROWS_MAX], "count": len(rows), "problems": found, "party": data["party"]}
                context |= shown | self.summary(rows)
        return render(request, self.template, context)
