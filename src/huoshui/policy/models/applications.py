"""Who applied for which benefit, on the strength of which decision, and what became of it.

One **filing** is one visit to the counter: an entity applies for several benefits at once and hands in each document
once. Each **application** in it is for one pack and goes its own way. A benefit that needs no application has an
application row all the same (`channel` no_application), made by the office's batch, so that approval, account and
payment have one shape. What happened stands in append-only **events**; `state` is their last word, kept for lists.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.base.models import AppendOnly, LogRecord, User
from huoshui.cases.models import Case
from huoshui.registry.models import Decision, OfParty, Party, Publication


class Filing(AppendOnly, OfParty):
    """One file with which an entity applies for one or several benefits."""

    party = models.ForeignKey(Party, models.PROTECT, related_name="filings", verbose_name=_("applicant"))
    submitted_at = models.DateTimeField(_("submitted"))
    submitted_by = models.CharField(max_length=80)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("filing")


class FiledMaterial(AppendOnly):
    """A document handed in with a filing. The bytes lie under their digest (`cases.files`)."""

    filing = models.ForeignKey(Filing, models.PROTECT, related_name="materials")
    material = models.CharField(max_length=100)
    title = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    size = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("material")
        indexes = [models.Index(fields=["digest"])]


class Application(OfParty):
    """An entity's application for the benefit of one pack.

    `amount_fen` is what the decision gives (None: not money, or only known when a voucher is used). `planned_fen` is
    the contract that the entity plans to pay for with a voucher. The account is the entity's own; it stands here and
    never in the log. `salt` keeps its digests from being guessed.
    """

    class Channel(models.TextChoices):
        """How it came about."""

        APPLIED = "applied", _("applied for")
        NO_APPLICATION = "no_application", _("without application")

    class State(models.TextChoices):
        """How far it has come."""

        SUBMITTED = "submitted", _("in review")
        APPROVED = "approved", _("approved")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")
        PAID_OUT = "paid_out", _("paid out")

    party = models.ForeignKey(Party, models.PROTECT, related_name="applications", verbose_name=_("applicant"))
    filing = models.ForeignKey(Filing, models.PROTECT, null=True, related_name="applications")
    publication = models.ForeignKey(Publication, models.PROTECT, related_name="+", verbose_name=_("rule pack"))
    pack = models.CharField(max_length=100)
    decision = models.ForeignKey(Decision, models.PROTECT, related_name="applications")
    channel = models.CharField(_("channel"), max_length=15, choices=Channel.choices, default=Channel.APPLIED)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.SUBMITTED)
    amount_fen = models.BigIntegerField(_("amount"), null=True)
    planned_fen = models.BigIntegerField(_("planned contract"), null=True)
    bank_name = models.CharField(_("bank"), max_length=100, blank=True)
    account_number = models.CharField(_("account number"), max_length=40, blank=True)
    account_confirmed_at = models.DateTimeField(null=True)
    account_confirmed_by = models.CharField(max_length=80, blank=True)
    case = models.OneToOneField(Case, models.PROTECT, null=True, related_name="application")
    salt = models.CharField(max_length=64, editable=False)
    submitted_at = models.DateTimeField(_("submitted"))
    checked_at = models.DateTimeField(null=True)
    checked_by = models.CharField(max_length=80, blank=True)
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=80, blank=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("application")
        indexes = [models.Index(fields=["state", "id"]), models.Index(fields=["pack", "state"])]
        constraints = [
            models.UniqueConstraint(
                fields=["party", "pack"], condition=Q(state="submitted"), name="one_application_in_review"
            ),
            models.CheckConstraint(
                condition=Q(amount_fen__isnull=True) | Q(amount_fen__gte=0), name="application_amount_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(planned_fen__isnull=True) | Q(planned_fen__gt=0), name="planned_contract_above_zero"
            ),
            models.CheckConstraint(
                condition=Q(account_confirmed_at__isnull=True) | ~Q(bank_name="") & ~Q(account_number=""),
                name="confirmed_account_is_told",
            ),
            models.CheckConstraint(
                condition=Q(state="refused") | Q(checked_by="") | ~Q(checked_by=F("decided_by")),
                name="application_second_person",
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """What people call it on the phone."""
        return f"{clock.local(self.submitted_at):%Y}-A{self.pk:06d}"

    @property
    def account_confirmed(self) -> bool:
        """Whether money can be sent."""
        return self.account_confirmed_at is not None


class ApplicationEvent(AppendOnly):
    """One thing that happened to an application. `text` is for its readers and never in the log; `content` is codes."""

    class Kind(models.TextChoices):
        """What can happen."""

        SUBMITTED = "submitted", _("submitted")
        CHECKED = "checked", _("checked")
        APPROVED = "approved", _("approved")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", _("withdrawn")
        ACCOUNT = "account", _("account confirmed")
        STOPPED = "stopped", _("payout stopped")
        PAID_OUT = "paid_out", _("paid out")

    application = models.ForeignKey(Application, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    at = models.DateTimeField()
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    text = models.TextField(blank=True)
    content = models.JSONField(default=dict)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("application event")
        ordering = ["id"]
