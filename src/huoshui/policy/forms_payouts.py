"""The form with which a payout is stopped."""

from django import forms
from django.utils.translation import gettext_lazy as _l


class StopForm(forms.Form):
    """Why an ordered payout is stopped."""

    reason = forms.CharField(label=_l("Reason"), max_length=500, widget=forms.Textarea({"rows": 3}))
