"""Accounts, entries, statements and what banks report.

An account is (party, kind, asset, subject). A posting moves amounts between accounts and sums to zero per asset, so
all accounts of an asset always sum to zero. Entries are never changed; a balance is a cache of their sum that can be
locked, and the database itself refuses a balance with the wrong sign.

Three circles, each of which sums to zero by itself:

- *authority*: limit → held → committed → payable, against the grants of whoever gave the limit. A grant is the
  grantor's own limit account with the subject `grant/registry.party:12`; it is never above zero. An earmarked limit
  has the earmark as subject, and its grant `grant/registry.party:12@policy.fund:3`.
- *owed*: receivable, above zero for who is owed and below zero for who owes.
- *settled*: paid, above zero for who received and below zero for who paid.
"""

from datetime import date

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base.models import AppendOnly, LogRecord
from huoshui.registry import scopes
from huoshui.registry.models import OfParty, Party

GRANT = "grant/"
INT64_MAX = 2**63 - 1
Content = tuple[str, date, str, int, str, str]
"""Of a bank report: kind, day, USCC, amount, statement number, payee's USCC."""


class Kind(models.TextChoices):
    """What an account counts."""

    LIMIT = "limit", _("limit")
    HELD = "held", _("held")
    COMMITTED = "committed", _("committed")
    PAYABLE = "payable", _("payable")
    RECEIVABLE = "receivable", _("receivable")
    PAID = "paid", _("paid")


AUTHORITY = (Kind.LIMIT, Kind.HELD, Kind.COMMITTED, Kind.PAYABLE)


def sign_of(kind: str, subject: str) -> int:
    """Which sign the balance of such an account must have: 1 never below zero, -1 never above, 0 either."""
    if kind not in AUTHORITY:
        return 0
    return -1 if kind == Kind.LIMIT and subject.startswith(GRANT) else 1


class Account(OfParty):
    """Where amounts of one asset stand for one party, of one kind, about one subject."""

    party = models.ForeignKey(Party, models.PROTECT, related_name="accounts", verbose_name=_("party"))
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    asset = models.CharField(_("asset"), max_length=12)
    subject = models.CharField(_("subject"), max_length=80, blank=True)

    class Meta:
        verbose_name = pgettext_lazy("book", "account")
        indexes = [models.Index(fields=["subject"])]
        constraints = [
            models.UniqueConstraint(fields=["party", "kind", "asset", "subject"], name="account_once"),
            models.CheckConstraint(condition=Q(kind__in=Kind.values), name="account_kind"),
            models.CheckConstraint(condition=~Q(asset=""), name="account_has_asset"),
        ]

    def __str__(self) -> str:
        return f"{self.party_id}/{self.kind}/{self.asset}/{self.subject}"


class Balance(models.Model):
    """The sum of an account's entries: locked by whoever moves it, rebuilt from entries at any time."""

    account = models.OneToOneField(Account, models.PROTECT, primary_key=True, related_name="balance")
    amount = models.BigIntegerField(default=0)
    sign = models.SmallIntegerField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(sign=0) | Q(sign=1, amount__gte=0) | Q(sign=-1, amount__lte=0), name="balance_has_its_sign"
            )
        ]


class Posting(AppendOnly):
    """One movement: its entries sum to zero per asset. `memo` is a code that faces put into words."""

    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="postings")
    memo = models.CharField(max_length=40)
    effective_on = models.DateField(_("effective on"))
    recorded_at = models.DateTimeField(_("recorded at"))

    class Meta:
        verbose_name = _("posting")


class Entry(AppendOnly):
    """An amount added to an account (below zero: taken from it)."""

    posting = models.ForeignKey(Posting, models.PROTECT, related_name="entries")
    account = models.ForeignKey(Account, models.PROTECT, related_name="entries")
    amount = models.BigIntegerField(_("amount"))

    class Meta:
        verbose_name = _("entry")
        indexes = [models.Index(fields=["account", "id"])]
        constraints = [models.CheckConstraint(condition=~Q(amount=0), name="entry_moves_something")]


class LimitGrant(AppendOnly, OfParty):
    """What a grantor says it stands for: the balance that a bank reports, or the credit that the centre approved.

    `short` is the part of what is already reserved that the new amount no longer covers.
    """

    party = models.ForeignKey(Party, models.PROTECT, related_name="limit_grants", verbose_name=_("party"))
    grantor = models.ForeignKey(Party, models.PROTECT, related_name="limits_granted", verbose_name=_("granted by"))
    asset = models.CharField(max_length=12)
    earmark = models.CharField(_("earmarked for"), max_length=60, blank=True)
    amount = models.BigIntegerField(_("amount"))
    short = models.BigIntegerField(_("not covered"), default=0)
    evidence = models.CharField(_("evidence"), max_length=200)
    granted_at = models.DateTimeField(_("granted at"))
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("limit grant")
        indexes = [models.Index(fields=["party", "grantor", "asset", "id"])]
        constraints = [models.CheckConstraint(condition=Q(amount__gte=0, short__gte=0), name="grant_not_negative")]


class State(models.TextChoices):
    """How far a statement has come."""

    ISSUED = "issued", pgettext_lazy("statement", "issued")
    CONTESTED = "contested", pgettext_lazy("statement", "contested")
    ACCEPTED = "accepted", pgettext_lazy("statement", "accepted")
    PAID = "paid", pgettext_lazy("statement", "paid")
    CANCELLED = "cancelled", pgettext_lazy("statement", "cancelled")


OPEN = (State.ISSUED, State.CONTESTED)


class Statement(models.Model):
    """What was used, at what price, and who is paid which part by the payer.

    `secured` statements are paid out of what is committed under `subject`; an unsecured one (a compensation that a
    payer owes without having reserved it) only says what is owed. Accepting a `final` statement releases what is left
    committed under its subject, to the limit that `earmark` names. Days of contract and use are the desk's to say
    (None: unknown). Lines and events are append-only; `state` repeats what the last event said.
    """

    number = models.CharField(_("number"), max_length=30, unique=True, null=True)
    desk = models.SlugField(_("desk"), max_length=30)
    subject = models.CharField(_("subject"), max_length=80, db_index=True)
    payer = models.ForeignKey(Party, models.PROTECT, related_name="statements", verbose_name=_("payer"))
    asset = models.CharField(max_length=12, default="CNY")
    secured = models.BooleanField(_("secured"), default=True)
    final = models.BooleanField(_("final"), default=True)
    earmark = models.CharField(_("earmarked for"), max_length=60, blank=True)
    contract = models.CharField(_("contract"), max_length=100, blank=True)
    signed_on = models.DateField(_("contract of"), null=True)
    used_from = models.DateField(_("used from"), null=True)
    used_to = models.DateField(_("used until"), null=True)
    issued_at = models.DateTimeField(_("issued at"))
    contest_until = models.DateField(_("contest until"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.ISSUED)

    class Meta:
        verbose_name = _("statement")
        indexes = [
            models.Index(fields=["payer", "-id"]),
            models.Index(fields=["state", "contest_until"]),
        ]
        constraints = [models.CheckConstraint(condition=Q(state__in=State.values), name="statement_state")]

    def __str__(self) -> str:
        return self.number or ""

    def access_scopes(self) -> set[str]:
        """Payer and payees see a statement, each their own lines."""
        parties = Party.objects.filter(Q(pk=self.payer_id) | Q(statement_lines__statement=self)).distinct()
        return set().union(*(party.access_scopes() for party in parties))

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        payees = StatementLine.objects.filter(scopes.to_party(held, "payee")).values("statement")
        return scopes.to_party(held, "payer") | Q(pk__in=payees)


class StatementLine(AppendOnly):
    """One line: card-time at a price, or a fixed amount. Negative lines are concessions and credits.

    Card-time is `quantity_mch` (milli-card-hours) or, counted by an engine, `card_seconds`.

    Prices include VAT. `description` is a code with parameters, which faces put into words.
    """

    statement = models.ForeignKey(Statement, models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    payee = models.ForeignKey(Party, models.PROTECT, related_name="statement_lines", verbose_name=_("payee"))
    kind = models.SlugField(_("kind"), max_length=30)
    quantity_mch = models.BigIntegerField(_("card-hours"), null=True)
    card_seconds = models.BigIntegerField(_("card-seconds"), null=True)
    price_mfen = models.BigIntegerField(_("price (1/1000 fen per card-hour)"), null=True)
    amount = models.BigIntegerField(_("amount"))
    vat_bps = models.PositiveSmallIntegerField(_("VAT rate"))
    description = models.CharField(max_length=60)
    params = models.JSONField(default=dict)
    evidence = models.CharField(_("evidence"), max_length=64, blank=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("statement line")
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["statement", "position"], name="statement_line_once"),
            models.CheckConstraint(
                condition=Q(price_mfen__isnull=True)
                | Q(quantity_mch__gte=0, card_seconds__isnull=True, price_mfen__gte=0, amount__gte=0)
                | Q(card_seconds__gte=0, quantity_mch__isnull=True, price_mfen__gte=0, amount__gte=0),
                name="line_price_has_quantity",
            ),
            models.CheckConstraint(condition=Q(vat_bps__lte=10_000), name="line_vat_is_a_share"),
        ]


class StatementEvent(AppendOnly):
    """A step of a statement's life, with the sentence that its doer gave."""

    class What(models.TextChoices):
        ISSUED = "issued", pgettext_lazy("statement", "issued")
        CONTESTED = "contested", pgettext_lazy("statement", "contested")
        ANSWERED = "answered", _("contest answered")
        ACCEPTED = "accepted", pgettext_lazy("statement", "accepted")
        LAPSED = "lapsed", _("accepted: the contest period ended")
        INVOICED = "invoiced", _("invoice given")
        PAYMENT = "payment", _("payment reported")
        CANCELLED = "cancelled", pgettext_lazy("statement", "cancelled")

    statement = models.ForeignKey(Statement, models.PROTECT, related_name="events")
    what = models.CharField(max_length=12, choices=What.choices)
    at = models.DateTimeField()
    note = models.CharField(max_length=500, blank=True)
    amount = models.BigIntegerField(null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        indexes = [models.Index(fields=["statement", "id"])]


class Invoice(AppendOnly):
    """The number of an invoice that a payee gave for its part of a statement."""

    statement = models.ForeignKey(Statement, models.PROTECT, related_name="invoices")
    payee = models.ForeignKey(Party, models.PROTECT, related_name="+", verbose_name=_("payee"))
    number = models.CharField(_("invoice number"), max_length=40)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("invoice")
        constraints = [models.UniqueConstraint(fields=["statement", "payee", "number"], name="invoice_once")]


class BankFile(AppendOnly):
    """A file of reports that was taken in; the same bytes are taken in once."""

    bank = models.ForeignKey(Party, models.PROTECT, related_name="bank_files", verbose_name=_("bank"))
    name = models.CharField(_("file"), max_length=200)
    digest = models.CharField(max_length=64)
    rows = models.PositiveIntegerField(_("rows"))
    imported_at = models.DateTimeField(_("imported at"))
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("bank file")
        constraints = [models.UniqueConstraint(fields=["bank", "digest"], name="bank_file_once")]

    def access_scopes(self) -> set[str]:
        return self.bank.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "bank")


class BankReport(AppendOnly):
    """What a bank says: the balance of a supervised account, or a payment out of it."""

    class Kind(models.TextChoices):
        BALANCE = "balance", _("balance")
        PAYMENT = "payment", _("payment")

    file = models.ForeignKey(BankFile, models.PROTECT, related_name="reports")
    bank = models.ForeignKey(Party, models.PROTECT, related_name="bank_reports", verbose_name=_("bank"))
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    reference = models.CharField(_("bank reference"), max_length=80)
    uscc = models.CharField(_("USCC"), max_length=18)
    party = models.ForeignKey(Party, models.PROTECT, null=True, related_name="+", verbose_name=_("party"))
    payee_uscc = models.CharField(_("payee's USCC"), max_length=18, blank=True)
    amount = models.BigIntegerField(_("amount"))
    on = models.DateField(_("date"))
    statement_number = models.CharField(_("statement number"), max_length=30, blank=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("bank report")
        indexes = [models.Index(fields=["bank", "party", "kind", "on"])]
        constraints = [
            models.UniqueConstraint(fields=["bank", "reference"], name="bank_reference_once"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="bank_amount_not_negative"),
        ]

    @property
    def content(self) -> Content:
        """What a repeated reference must repeat."""
        return self.kind, self.on, self.uscc, self.amount, self.statement_number, self.payee_uscc

    def access_scopes(self) -> set[str]:
        return self.bank.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "bank")


class BankException(AppendOnly):
    """Something in a bank's report that needs a person. `amount` is the part that is not accounted for."""

    class Reason(models.TextChoices):
        UNKNOWN_ACCOUNT = "unknown_account", _("no party has this USCC")
        UNMATCHED = "unmatched_payment", _("no accepted statement of this payer has this number")
        AMOUNT_DIFFERS = "amount_differs", _("more was paid than is owed")
        DUPLICATE = "duplicate_reference", _("this reference was reported before with other content")
        OVER_RESERVED = "over_reserved", _("the balance no longer covers what is reserved")

    file = models.ForeignKey(BankFile, models.PROTECT, related_name="exceptions")
    report = models.ForeignKey(BankReport, models.PROTECT, null=True, related_name="exceptions")
    reason = models.CharField(_("reason"), max_length=20, choices=Reason.choices)
    amount = models.BigIntegerField(_("amount"))
    detail = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("exception")

    @property
    def who(self) -> str:
        """Whose account it is about, as well as that is known."""
        if self.report is None:
            return str(self.detail.get("uscc", ""))
        return self.report.party.name if self.report.party else self.report.uscc

    @property
    def reference(self) -> str:
        """The bank's reference."""
        return self.report.reference if self.report else str(self.detail.get("reference", ""))

    def access_scopes(self) -> set[str]:
        return self.file.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "file__bank")


class Resolution(AppendOnly):
    """How an exception was settled, by whom (the record) and why."""

    exception = models.OneToOneField(BankException, models.PROTECT, related_name="resolution")
    statement = models.ForeignKey(Statement, models.PROTECT, null=True, verbose_name=_("statement"))
    reason = models.CharField(_("reason"), max_length=500)
    at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)
