"""Forms of funds, vouchers, redemptions and payouts: yuan become fen, the rest is the actions' to judge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui import rules
from huoshui.base import clock
from huoshui.book.forms import YuanField
from huoshui.cases.files import Upload
from huoshui.policy.actions.redemptions import INVOICE_LENGTH, InvoiceIn, Outside
from huoshui.policy.claims import DECLARED
from huoshui.policy.models import Redemption
from huoshui.registry.models import Party, RoleKind
from huoshui.registry.queries import publications_in_force
from huoshui.rules import Pack
from huoshui.rules.fields import FIELDS
from huoshui.rules.model import criterion_reads, money_reads

SERVICES = (
    ("compute", _l("computing power")), ("model", _l("model service")), ("maas", _l("model as a service")),
    ("agent", _l("AI agent")), ("corpus", _l("corpus")),
)  # fmt: skip
INVOICE_ROWS = 2
YES_NO = (("", "—"), ("yes", _l("yes")), ("no", _l("no")))


def _date(**attrs: str) -> forms.DateInput:
    return forms.DateInput({"type": "date", **attrs}, format="%Y-%m-%d")


def upload_of(given: Any) -> Upload | None:
    """A file as the actions take it."""
    return Upload(given.name or "", given.read()) if given else None


# --- funds ------------------------------------------------------------------------------------------------------------


class FundForm(forms.Form):
    """What an authority may spend on a pack in a year."""

    authority = forms.ModelChoiceField(Party.objects.none(), label=_l("Authority"))
    publication = forms.ChoiceField(label=_l("Rule pack"))
    title = forms.CharField(label=_l("Title"), max_length=100)
    basis = forms.CharField(
        label=_l("Basis"), max_length=200, help_text=_l("Document and clause; refusals by the fund cite it.")
    )
    year = forms.IntegerField(label=_l("Year"), min_value=2020, max_value=2100)
    yearly_fen = YuanField(label=_l("Yearly amount (yuan)"))
    firm_cap_fen = YuanField(
        label=_l("At most for one firm a year (yuan)"), required=False,
        help_text=_l("Empty: only the cap of the rule pack."),
    )
    used_from = forms.DateField(label=_l("Use counts from"), widget=_date())
    used_until = forms.DateField(label=_l("Use counts until"), widget=_date())
    redeem_until = forms.DateField(label=_l("Redemptions until"), widget=_date())
    notice_days = forms.IntegerField(label=_l("Public notice (working days)"), min_value=0, max_value=60, initial=5)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        year = clock.today().year
        authority: Any = self.fields["authority"]
        authority.queryset = Party.objects.filter(roles__kind=RoleKind.INSTITUTION).distinct().order_by("name")
        found = {row.pk: row for row in publications_in_force(rules.KIND)}
        paying = [row for row in found.values() if _pays(row.loaded())]
        publication: Any = self.fields["publication"]
        publication.choices = [(row.pk, row.title) for row in paying]
        self._publications = {str(row.pk): row for row in paying}
        for name, value in {
            "year": year, "used_from": f"{year}-01-01", "used_until": f"{year}-12-31", "redeem_until": f"{year}-12-31",
        }.items():
            self.fields[name].initial = value

    def clean_publication(self) -> Any:
        return self._publications[self.cleaned_data["publication"]]


def _pays(pack: Pack) -> bool:
    return pack.benefit is not None and pack.benefit.kind in ("voucher", "grant")


class AmountForm(forms.Form):
    """Another yearly amount."""

    yearly_fen = YuanField(label=_l("Yearly amount (yuan)"))
    basis = forms.CharField(label=_l("Basis"), max_length=200)


class SupplierForm(forms.Form):
    """A party on the list."""

    party = forms.CharField(label=_l("USCC of the supplier"), max_length=18)
    facility = forms.CharField(
        label=_l("Type of facility"), max_length=30, required=False,
        help_text=_l("As the pack names it, such as a or b."),
    )
    service = forms.ChoiceField(label=_l("Service"), choices=SERVICES)
    source = forms.CharField(label=_l("Source"), max_length=200, help_text=_l("Where the list was published."))
    since = forms.DateField(label=_l("Listed since"), widget=_date())

    def clean_party(self) -> Party:
        found = Party.objects.filter(uscc=self.cleaned_data["party"].strip().upper()).first()
        if found is None:
            raise forms.ValidationError(_("no party has this USCC"))
        return found


# --- redemptions ------------------------------------------------------------------------------------------------------


class RedemptionFilter(forms.Form):
    """Narrows the list of redemptions."""

    text = forms.CharField(label=_l("Number, firm or contract"), required=False, max_length=100)
    state = forms.ChoiceField(label=_l("State"), required=False, choices=[("", _l("all")), *Redemption.State.choices])


class InvoicesForm(forms.Form):
    """Invoices, the amount claimed, and what of the claim only the firm can tell."""

    def __init__(self, pack: Pack, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for number in range(1, INVOICE_ROWS + 1):
            first = number == 1
            self.fields[f"invoice_{number}"] = forms.CharField(
                label=_("Invoice number") if first else _("Another invoice number"), max_length=INVOICE_LENGTH,
                required=first,
            )
            self.fields[f"file_{number}"] = forms.FileField(label=_("Invoice file"), required=self.wants_files(first))
        for name in declared_of(pack):
            self.fields[name] = forms.ChoiceField(label=FIELDS[name].title, choices=YES_NO, required=False)

    def wants_files(self, first: bool) -> bool:
        """Whether the first invoice's file must be there."""
        return False

    def invoices(self) -> list[InvoiceIn]:
        """As the action takes them."""
        given = self.cleaned_data
        return [
            InvoiceIn(given[f"invoice_{number}"], upload_of(given.get(f"file_{number}")))
            for number in range(1, INVOICE_ROWS + 1)
            if given.get(f"invoice_{number}")
        ]

    def declared(self) -> dict[str, bool]:
        """What the firm tells of its claim."""
        return {name: self.cleaned_data[name] == "yes" for name in DECLARED if self.cleaned_data.get(name)}


def declared_of(pack: Pack) -> list[str]:
    """Facts of the claim that the pack reads and only the firm can tell."""
    terms = [term for criterion in pack.criteria for term in criterion_reads(criterion)]
    terms += money_reads(pack.benefit.amount) if pack.benefit else []
    return [name for name in DECLARED if any(term.field == name for term in terms)]


class RedeemForm(InvoicesForm):
    """A redemption of a statement in the book."""

    claimed_fen = YuanField(
        label=_l("Amount claimed (yuan)"), help_text=_l("At most what was paid on the statement, as banks reported it.")
    )
    field_order = ("claimed_fen",)


class OutsideForm(InvoicesForm):
    """A redemption of a contract outside the platform."""

    seller = forms.CharField(label=_l("Supplier"), max_length=200)
    seller_uscc = forms.CharField(label=_l("USCC of the supplier"), max_length=18)
    service = forms.ChoiceField(label=_l("Service"), choices=SERVICES)
    contract = forms.CharField(label=_l("Contract number"), max_length=100)
    signed_on = forms.DateField(label=_l("Contract of"), widget=_date())
    used_from = forms.DateField(label=_l("Used from"), widget=_date())
    used_to = forms.DateField(label=_l("Used until"), widget=_date())
    contract_fen = YuanField(label=_l("Amount of the contract (yuan)"))
    settled_fen = YuanField(label=_l("Settled under it (yuan)"))
    paid_fen = YuanField(label=_l("Paid (yuan)"))
    contract_file = forms.FileField(label=_l("Contract"))
    payment_file = forms.FileField(label=_l("Proof of payment"))

    def wants_files(self, first: bool) -> bool:
        return first

    def outside(self) -> Outside:
        """As the action takes it."""
        given = self.cleaned_data
        names = ("seller", "service", "contract", "signed_on", "used_from", "used_to", "contract_fen", "settled_fen",
                 "paid_fen")  # fmt: skip
        return Outside(seller_uscc=given["seller_uscc"].strip().upper(), **{name: given[name] for name in names})

    def documents(self) -> tuple[Upload, ...]:
        """The contract and the proof of payment."""
        found = (upload_of(self.cleaned_data[name]) for name in ("contract_file", "payment_file"))
        return tuple(upload for upload in found if upload)


class ApproveForm(forms.Form):
    """What the officer found of everything that only a person can say."""

    def __init__(self, wanted: Mapping[str, str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, title in wanted.items():
            self.fields[f"finding_{name}"] = forms.BooleanField(label=title, required=False)
        self.fields["text"] = forms.CharField(
            label=_("Note"), required=False, max_length=2_000, widget=forms.Textarea({"rows": 2})
        )

    def findings(self) -> dict[str, bool]:
        """Criterion → met."""
        prefix = "finding_"
        return {
            name.removeprefix(prefix): given for name, given in self.cleaned_data.items() if name.startswith(prefix)
        }


class RefuseForm(forms.Form):
    """Why a redemption is refused."""

    clause = forms.CharField(label=_l("Clause"), max_length=200)
    text = forms.CharField(label=_l("Reason"), max_length=2_000, widget=forms.Textarea({"rows": 2}))


class TextForm(forms.Form):
    """What somebody has to say."""

    text = forms.CharField(label=_l("Reason"), max_length=2_000, widget=forms.Textarea({"rows": 3}))


class AnswerForm(TextForm):
    """The answer to an objection."""

    upheld = forms.ChoiceField(
        label=_l("The objection is"),
        choices=(("no", _l("dismissed: the notice goes on")), ("yes", _l("upheld: nothing is paid"))),
    )


class ObjectForm(TextForm):
    """An objection during the public notice."""

    objector = forms.ModelChoiceField(Party.objects.none(), label=_l("On behalf of"))

    def __init__(self, parties: QuerySet[Party], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        objector: Any = self.fields["objector"]
        objector.queryset = parties


class ClawBackForm(forms.Form):
    """How much is claimed back, and why."""

    amount_fen = YuanField(label=_l("Amount (yuan)"))
    reason = forms.CharField(label=_l("Reason"), max_length=500, widget=forms.Textarea({"rows": 3}))
