"""Forms of `web`."""

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import access
from huoshui.base.access import EVERYWHERE, Actor
from huoshui.base.actions import TOKEN_DAYS_MAX
from huoshui.base.models import Role
from huoshui.book.forms import YuanField
from huoshui.registry.models import Division, Party
from huoshui.web import actions


class SignInForm(AuthenticationForm):
    """User name and password; says nothing about which of them was wrong, and stops guessing."""

    def __init__(self, request: HttpRequest | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.fields["username"].label = _("User name")
        self.fields["password"].label = _("Password")

    def clean(self) -> dict[str, Any]:
        address = self.request.META.get("REMOTE_ADDR", "") if self.request else ""
        tried = actions.who(self.cleaned_data.get("username", ""), address)
        if actions.locked_out(tried):
            minutes = int(actions.FAILURES_WINDOW.total_seconds() // 60)
            raise forms.ValidationError(
                _("Too many wrong passwords. Wait %(minutes)s minutes and try again.") % {"minutes": minutes}
            )
        try:
            cleaned = super().clean()
        except forms.ValidationError:
            actions.count_failure(tried)
            raise
        if self.user_cache is not None:
            actions.forget_failures(tried)
        return cleaned

    def get_invalid_login_error(self) -> forms.ValidationError:
        return forms.ValidationError(_("User name and password do not fit together."))


class PeopleFilter(forms.Form):
    text = forms.CharField(label=_l("Name or user name"), required=False, max_length=100)


class PersonForm(forms.Form):
    """A new person."""

    username = forms.CharField(label=_l("User name"), max_length=150)
    name = forms.CharField(label=_l("Name"), max_length=100)
    email = forms.EmailField(label=_l("E-mail"), required=False)
    phone = forms.CharField(label=_l("Phone"), required=False, max_length=30)
    password = forms.CharField(
        label=_l("First password"),
        max_length=200,
        help_text=_l("At least ten characters, none of the common ones."),
        widget=forms.PasswordInput({"autocomplete": "new-password"}),
    )


class AssignForm(forms.Form):
    """A role and where it holds. `cleaned_data["scope"]` is ready for the action."""

    role = forms.ModelChoiceField(Role.objects.order_by("code"), label=_l("Role"), empty_label=None)
    where = forms.ChoiceField(
        label=_l("Holds"),
        choices=[("*", _l("everywhere")), ("party", _l("for one party")), ("division", _l("in a division"))],
    )
    which = forms.CharField(
        label=_l("Which"),
        required=False,
        max_length=200,
        help_text=_l("USCC or exact name of the party, or the code of the division."),
    )
    since = forms.DateField(label=_l("From"), required=False)
    until = forms.DateField(label=_l("Until"), required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        where, which = cleaned.pop("where", ""), cleaned.pop("which", "").strip()
        if where == EVERYWHERE:
            cleaned["scope"] = EVERYWHERE
        elif where == "party":
            found = Party.objects.filter(uscc=which.upper()).first() or Party.objects.filter(name=which).first()
            cleaned["scope"] = f"party:{found.pk}" if found else self.add_error("which", _("no such party"))
        elif where == "division":
            division = Division.objects.filter(pk=which).first()
            cleaned["scope"] = f"division:{which}" if division else self.add_error("which", _("no such division"))
        return cleaned


class TokenForm(forms.Form):
    """A token for oneself: a name, how long, and which of one's permissions."""

    name = forms.CharField(label=_l("What it is for"), max_length=100)
    days = forms.IntegerField(label=_l("Valid for (days)"), min_value=1, max_value=TOKEN_DAYS_MAX, initial=90)
    spending_limit_fen = YuanField(
        label=_l("Drafts may cost together at most (yuan)"), required=False,
        help_text=_l("For a program that prepares drafts for you; empty: it may prepare nothing that costs money."),
    )
    permissions = forms.MultipleChoiceField(label=_l("It may"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, actor: Actor, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = [(code, title) for code, title in sorted(access.permissions.items()) if actor.can(code)]
        self.fields["permissions"].choices = mine  # type: ignore[attr-defined]


class LogFilter(forms.Form):
    who = forms.CharField(
        label=_l("Who"), required=False, max_length=80, widget=forms.TextInput({"placeholder": "user:3"})
    )
    action = forms.CharField(
        label=_l("Action"), required=False, max_length=80, widget=forms.TextInput({"placeholder": "registry.party"})
    )
    subject = forms.CharField(
        label=_l("Subject"), required=False, max_length=80, widget=forms.TextInput({"placeholder": "registry.party:7"})
    )
