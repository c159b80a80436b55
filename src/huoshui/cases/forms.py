"""Forms of cases. Which fields an event asks for follows from its rule."""

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext_lazy as _

from huoshui.base.access import Actor
from huoshui.cases import files, machine, queries, types
from huoshui.cases.files import Upload
from huoshui.cases.machine import Kind
from huoshui.cases.models import TEXT_MAX, TITLE_MAX, Case
from huoshui.cases.types import CaseType
from huoshui.cases.words import STATUSES
from huoshui.registry.models import Party, RoleKind

PARTY_CHOICES_MAX = 100


class FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """Several files at once, as a tuple of `Upload`."""

    widget = FilesInput

    def __init__(self) -> None:
        help_text = _("At most %(count)s files of %(size)s MB: %(kinds)s") % {
            "count": files.FILES_PER_EVENT_MAX, "size": files.BYTES_MAX >> 20, "kinds": " ".join(files.SUFFIXES),
        }
        super().__init__(label=_("files"), required=False, help_text=help_text)

    def clean(self, data: Any, initial: Any = None) -> tuple[Upload, ...]:
        given: list[UploadedFile] = [file for file in data or () if file]
        if len(given) > files.FILES_PER_EVENT_MAX:
            raise forms.ValidationError(self.help_text)
        found = []
        for file in given:
            super().clean(file, initial)
            # One byte more than allowed is enough for the action to refuse it.
            found.append(Upload(file.name or "", file.read(files.BYTES_MAX + 1)))
        return tuple(found)


class OpenForm(forms.Form):
    """Open a case: for whom, what about."""

    def __init__(self, actor: Actor, case_type: CaseType, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.parties = queries.parties_to_open_for(actor, case_type)
        few = list(self.parties[: PARTY_CHOICES_MAX + 1])
        if len(few) <= PARTY_CHOICES_MAX:
            self.fields["party"] = forms.ModelChoiceField(
                self.parties, label=_("applicant"), initial=few[0] if len(few) == 1 else None
            )
        else:
            self.fields["party"] = forms.CharField(
                label=_("applicant"), max_length=200, help_text=_("USCC or the whole name")
            )
        self.fields["title"] = forms.CharField(label=_("case title"), max_length=TITLE_MAX)
        self.fields["body"] = forms.CharField(
            label=_("what it is about"), max_length=TEXT_MAX, required=False, widget=forms.Textarea(attrs={"rows": 6})
        )
        self.fields["uploads"] = FilesField()

    def clean_party(self) -> Party:
        given = self.cleaned_data["party"]
        if isinstance(given, Party):
            return given
        found = self.parties.filter(uscc=given.strip().upper()) or self.parties.filter(name=given.strip())
        if len(found) != 1:
            raise forms.ValidationError(_("No single party has this code or name."))
        return found[0]


class EventForm(forms.Form):
    """What one kind of event needs."""

    def __init__(self, case: Case, kind: Kind, *args: Any, insider: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        needs = machine.RULES[kind].needs
        if "assignee" in needs:
            handlers = queries.handlers(case)
            self.fields["assignee"] = forms.TypedChoiceField(
                label=_("handler"), choices=[("", "—"), *((user.pk, str(user)) for user in handlers)],
                coerce={str(user.pk): user for user in handlers}.__getitem__,
            )
        if "copied_to" in needs:
            kinds = [RoleKind.INSTITUTION, RoleKind.BANK, RoleKind.CARRIER, RoleKind.OPERATOR, RoleKind.CENTRE]
            self.fields["copied_to"] = forms.ModelChoiceField(
                Party.objects.filter(roles__kind__in=kinds).distinct().order_by("name"), label=_("copy to")
            )
        if "days" in needs:
            self.fields["days"] = forms.IntegerField(
                label=_("number of days"), min_value=1, max_value=case.type.extension_days,
                help_text=_("at most %(max)s") % {"max": case.type.extension_days},
            )
        if "satisfied" in needs:
            self.fields["satisfied"] = forms.TypedChoiceField(
                label=_("Is the applicant satisfied?"), choices=[("yes", _("satisfied")), ("no", _("not satisfied"))],
                coerce=lambda given: given == "yes", widget=forms.RadioSelect,
            )
        self.fields["text"] = forms.CharField(
            label=_("text"), max_length=TEXT_MAX, required="text" in needs, widget=forms.Textarea(attrs={"rows": 5})
        )
        if kind is Kind.COMMENTED and insider:
            self.fields["shared"] = forms.BooleanField(label=_("the applicant sees this"), required=False)
        self.fields["uploads"] = FilesField()


class FilterForm(forms.Form):
    """Narrow the list of cases."""

    text = forms.CharField(label=_("number, title, applicant"), required=False, max_length=100)
    status = forms.ChoiceField(
        label=_("status"), required=False,
        choices=[("", _("all")), ("running", _("not resolved yet")), *STATUSES.items()],
    )
    due = forms.ChoiceField(
        label=_("clock"), required=False,
        choices=[("", _("all")), ("late", _("target missed")), ("overdue", _("past the legal deadline"))],
    )
    kind = forms.ChoiceField(label=_("type"), required=False)
    mine = forms.BooleanField(label=_("only those I handle"), required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", _("all")), *((kind.code, kind.title) for kind in types.registered())]
        self.fields["kind"].choices = choices  # type: ignore[attr-defined]
