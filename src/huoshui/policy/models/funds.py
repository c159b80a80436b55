"""Public money: the fund, the voucher that reserves a part of it, the redemption that asks for it, the payout.

A fund is the yearly amount that an authority has for one pack. A **voucher** reserves a part of it for a firm; it is
not tender: the firm pays its statements in full. A **redemption** asks the fund to reimburse the pack's share of what
was actually paid on one statement. A **payout** is a statement in the book, from the authority to the firm; only a
bank's report makes it paid. What stands in the book (reserved, committed, paid) is read there and not repeated here.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base import clock
from huoshui.base.models import AppendOnly, LogRecord, User
from huoshui.book.models import Statement
from huoshui.cases.models import Case
from huoshui.policy.models.applications import Application
from huoshui.registry.models import Dated, Decision, OfParty, Party, Publication


class Fund(models.Model):
    """What an authority may spend on one pack in a year, and under which published terms.

    Use counts from `used_from` to `used_until`; redemptions are taken until `redeem_until`; `notice_days` working days
    of public notice precede a payout. `basis` names the document in which this stands: refusals cite it.
    """

    authority = models.ForeignKey(Party, models.PROTECT, related_name="funds", verbose_name=_("authority"))
    publication = models.ForeignKey(Publication, models.PROTECT, related_name="+", verbose_name=_("rule pack"))
    pack = models.CharField(max_length=100)
    year = models.PositiveSmallIntegerField(_("year"))
    title = models.CharField(_("title"), max_length=100)
    basis = models.CharField(_("basis"), max_length=200)
    yearly_fen = models.BigIntegerField(_("yearly amount"))
    firm_cap_fen = models.BigIntegerField(_("at most for one firm"), null=True, blank=True)
    used_from = models.DateField(_("use counts from"))
    used_until = models.DateField(_("use counts until"))
    redeem_until = models.DateField(_("redemptions until"))
    notice_days = models.PositiveSmallIntegerField(_("public notice (working days)"))
    open = models.BooleanField(_("issues vouchers"), default=True)
    created_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("fund")
        ordering = ["-year", "id"]
        constraints = [
            models.UniqueConstraint(fields=["authority", "pack", "year"], name="fund_once_a_year"),
            models.CheckConstraint(condition=Q(yearly_fen__gte=0), name="fund_not_negative"),
            models.CheckConstraint(
                condition=Q(firm_cap_fen__isnull=True) | Q(firm_cap_fen__gt=0), name="fund_firm_cap_above_zero"
            ),
            models.CheckConstraint(
                condition=Q(used_until__gte=F("used_from"), redeem_until__gte=F("used_from")),
                name="fund_dates_in_order",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def earmark(self) -> str:
        """The subject of its limit in the book."""
        return f"policy.fund:{self.pk}"


class Supplier(Dated):
    """A party on the published list of those whose services a fund reimburses, with the type of its facility."""

    fund = models.ForeignKey(Fund, models.PROTECT, related_name="suppliers")
    party = models.ForeignKey(Party, models.PROTECT, related_name="+", verbose_name=_("supplier"))
    facility = models.CharField(_("type of facility"), max_length=30, blank=True)
    service = models.CharField(_("service"), max_length=30, blank=True)
    source = models.CharField(_("source"), max_length=200)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta(Dated.Meta):
        verbose_name = _("supplier")
        constraints = [
            *Dated.Meta.constraints,
            models.UniqueConstraint(fields=["fund", "party", "since"], name="supplier_once"),
        ]


class Voucher(OfParty):
    """A reservation on a fund for a firm (in the book: held under `policy.voucher:ID`)."""

    class State(models.TextChoices):
        """Whether it can be redeemed."""

        ACTIVE = "active", pgettext_lazy("voucher", "can be redeemed")
        EXPIRED = "expired", pgettext_lazy("voucher", "expired")
        CANCELLED = "cancelled", pgettext_lazy("voucher", "taken back")

    fund = models.ForeignKey(Fund, models.PROTECT, related_name="vouchers", verbose_name=_("fund"))
    party = models.ForeignKey(Party, models.PROTECT, related_name="vouchers", verbose_name=_("firm"))
    application = models.OneToOneField(Application, models.PROTECT, related_name="voucher")
    amount_fen = models.BigIntegerField(_("amount"))
    issued_at = models.DateTimeField(_("issued"))
    redeem_until = models.DateField(_("redeem until"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ACTIVE)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("voucher")
        indexes = [models.Index(fields=["fund", "party"]), models.Index(fields=["state", "redeem_until"])]
        constraints = [models.CheckConstraint(condition=Q(amount_fen__gt=0), name="voucher_above_zero")]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """What people call it."""
        return f"Q{clock.local(self.issued_at):%Y}-{self.pk:06d}"

    @property
    def label(self) -> str:
        """Its subject in the book."""
        return f"policy.voucher:{self.pk}"


class Redemption(OfParty):
    """A firm asks that the fund reimburse its share of what was paid on one statement.

    `statement` is the book's; None for a contract outside the platform, whose figures the firm states and an officer
    checks against the documents. `declared` are facts of the claim that only the firm can tell. `claimed_fen` is the
    payment for which it is asked, `amount_fen` what the pack gives for it: the estimate until it is approved. `parts`
    says how the claim falls on types of facility.
    """

    class State(models.TextChoices):
        """How far it has come."""

        SUBMITTED = "submitted", _("in review")
        NOTICE = "notice", _("in public notice")
        OBJECTED = "objected", _("objected to")
        ORDERED = "ordered", _("payout ordered")
        PAID = "paid", _("paid out")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")

    ENDED = ("refused", "withdrawn")

    voucher = models.ForeignKey(Voucher, models.PROTECT, related_name="redemptions", verbose_name=_("voucher"))
    party = models.ForeignKey(Party, models.PROTECT, related_name="redemptions", verbose_name=_("firm"))
    pack = models.CharField(max_length=100)
    statement = models.ForeignKey(
        Statement, models.PROTECT, null=True, related_name="redemptions", verbose_name=_("statement")
    )
    seller = models.CharField(_("supplier"), max_length=200)
    seller_uscc = models.CharField(_("USCC of the supplier"), max_length=18, blank=True)
    service = models.CharField(_("service"), max_length=30)
    contract = models.CharField(_("contract"), max_length=100)
    signed_on = models.DateField(_("contract of"), null=True)
    used_from = models.DateField(_("used from"), null=True)
    used_to = models.DateField(_("used until"), null=True)
    contract_fen = models.BigIntegerField(_("amount of the contract"), null=True)
    settled_fen = models.BigIntegerField(_("settled"))
    paid_fen = models.BigIntegerField(_("paid"))
    claimed_fen = models.BigIntegerField(_("claimed"))
    amount_fen = models.BigIntegerField(_("subsidy"))
    declared = models.JSONField(default=dict)
    parts = models.JSONField(default=list)
    decision = models.ForeignKey(Decision, models.PROTECT, null=True, related_name="redemptions")
    case = models.OneToOneField(Case, models.PROTECT, null=True, related_name="redemption")
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.SUBMITTED)
    live = models.BooleanField(default=True)
    salt = models.CharField(max_length=64, editable=False)
    submitted_at = models.DateTimeField(_("submitted"))
    reviewed_at = models.DateTimeField(null=True)
    notice_until = models.DateField(_("in public notice until"), null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("redemption")
        indexes = [
            models.Index(fields=["state", "notice_until"]),
            models.Index(fields=["contract"]),
            models.Index(fields=["party", "seller_uscc"]),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["statement", "pack"], condition=Q(live=True), name="statement_redeemed_once"
            ),
            models.CheckConstraint(
                condition=Q(claimed_fen__gt=0, claimed_fen__lte=F("paid_fen"), paid_fen__lte=F("settled_fen")),
                name="claimed_was_paid",
            ),
            models.CheckConstraint(
                condition=Q(amount_fen__gt=0, amount_fen__lte=F("claimed_fen")), name="subsidy_within_the_claim"
            ),
            models.CheckConstraint(
                condition=Q(live=False, state__in=["refused", "withdrawn"])
                | Q(live=True) & ~Q(state__in=["refused", "withdrawn"]),
                name="redemption_live",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """What people call it."""
        return f"D{clock.local(self.submitted_at):%Y}-{self.pk:06d}"

    @property
    def on_platform(self) -> bool:
        """Whether the book holds what it is about."""
        return self.statement_id is not None


class InvoiceNumber(models.Model):
    """A number of an invoice that was ever claimed: the row that two claims of it lock."""

    number = models.CharField(max_length=40, unique=True)


class ClaimedInvoice(models.Model):
    """An invoice that a redemption stands on. It counts once for a pack, and once anywhere unless packs may stack."""

    invoice = models.ForeignKey(InvoiceNumber, models.PROTECT, related_name="claims")
    redemption = models.ForeignKey(Redemption, models.PROTECT, related_name="invoices")
    pack = models.CharField(max_length=100)
    name = models.CharField(_("file"), max_length=200, blank=True)
    digest = models.CharField(max_length=64, blank=True)
    live = models.BooleanField(default=True)

    class Meta:
        verbose_name = _("invoice")
        constraints = [
            models.UniqueConstraint(fields=["invoice", "pack"], condition=Q(live=True), name="invoice_counts_once"),
            models.UniqueConstraint(
                fields=["digest", "pack"], condition=Q(live=True) & ~Q(digest=""), name="invoice_file_counts_once"
            ),
        ]

    @property
    def number(self) -> str:
        """The number on the invoice."""
        return self.invoice.number


class RedemptionEvent(AppendOnly):
    """One thing that happened to a redemption. `text` is for its readers and stands in the log only as a digest."""

    class Kind(models.TextChoices):
        """What can happen."""

        SUBMITTED = "submitted", _("submitted")
        APPROVED = "approved", _("approved, in public notice")
        OBJECTED = "objected", _("objected to")
        DISMISSED = "dismissed", _("objection dismissed")
        ORDERED = "ordered", _("payout ordered")
        STOPPED = "stopped", _("payout stopped")
        PAID = "paid", _("the bank reported the payout")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")
        CLAWED_BACK = "clawed_back", _("claimed back")

    redemption = models.ForeignKey(Redemption, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    at = models.DateTimeField()
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    amount = models.BigIntegerField(null=True)
    text = models.TextField(blank=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("redemption event")
        ordering = ["id"]


class Payout(OfParty):
    """An order to pay a subsidy: a statement of the authority to the firm, for one redemption or one grant.

    The firm's account stands here and never in the log.
    """

    fund = models.ForeignKey(Fund, models.PROTECT, related_name="payouts", verbose_name=_("fund"))
    party = models.ForeignKey(Party, models.PROTECT, related_name="payouts", verbose_name=_("firm"))
    redemption = models.OneToOneField(Redemption, models.PROTECT, null=True, related_name="payout")
    application = models.OneToOneField(Application, models.PROTECT, null=True, related_name="payout")
    statement = models.OneToOneField(Statement, models.PROTECT, related_name="payout", verbose_name=_("statement"))
    amount_fen = models.BigIntegerField(_("amount"))
    bank_name = models.CharField(_("bank"), max_length=100)
    account_number = models.CharField(_("account number"), max_length=40)
    ordered_at = models.DateTimeField(_("ordered"))
    paid_at = models.DateTimeField(_("paid"), null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("payout")
        indexes = [models.Index(fields=["fund", "paid_at"])]
        constraints = [
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="payout_above_zero"),
            models.CheckConstraint(
                condition=Q(redemption__isnull=True, application__isnull=False)
                | Q(redemption__isnull=False, application__isnull=True),
                name="payout_for_one_thing",
            ),
        ]

    def __str__(self) -> str:
        return self.statement.number or ""

    @property
    def about(self) -> str:
        """The number of what it pays for."""
        return str(self.redemption or self.application)


class StoppedPayout(AppendOnly, OfParty):
    """A payout that was ordered and taken back before the bank paid. It takes the payout's place, so that whatever
    counts payouts counts those that stand; its statement is cancelled.
    """

    party = models.ForeignKey(Party, models.PROTECT, related_name="stopped_payouts")
    redemption = models.ForeignKey(Redemption, models.PROTECT, null=True, related_name="stopped_payouts")
    application = models.ForeignKey(Application, models.PROTECT, null=True, related_name="stopped_payouts")
    statement = models.OneToOneField(Statement, models.PROTECT, related_name="stopped_payout")
    amount_fen = models.BigIntegerField(_("amount"))
    bank_name = models.CharField(_("bank"), max_length=100)
    account_number = models.CharField(_("account number"), max_length=40)
    ordered_at = models.DateTimeField(_("ordered"))
    reason = models.CharField(_("reason"), max_length=500)
    at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("stopped payout")


class ClawBack(AppendOnly, OfParty):
    """A payout, or a part of it, claimed back: a statement of the firm to the authority."""

    payout = models.ForeignKey(Payout, models.PROTECT, related_name="claw_backs")
    party = models.ForeignKey(Party, models.PROTECT, related_name="claw_backs")
    amount_fen = models.BigIntegerField(_("amount"))
    reason = models.CharField(_("reason"), max_length=500)
    statement = models.OneToOneField(Statement, models.PROTECT, related_name="claw_back", verbose_name=_("statement"))
    at = models.DateTimeField(_("claimed back"))
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("claw-back")
        constraints = [models.CheckConstraint(condition=Q(amount_fen__gt=0), name="claw_back_above_zero")]
