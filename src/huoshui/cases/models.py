"""Cases and what happened to them.

`CaseEvent` is the truth and append-only; what `Case` holds below `opened_at` is a cache of the events (see
`actions.refresh`), there so that lists can be filtered and sorted.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.base.models import AppendOnly, LogRecord, User
from huoshui.cases import machine, types
from huoshui.cases.types import CaseType
from huoshui.cases.words import EVENTS, STATUSES
from huoshui.registry import scopes
from huoshui.registry.models import Party

TITLE_MAX = 200
TEXT_MAX = 5000


class Case(models.Model):
    """One instance of a service: who asked, what about, where it stands."""

    kind = models.CharField(_("type"), max_length=50)
    party = models.ForeignKey(Party, models.PROTECT, related_name="cases", verbose_name=_("applicant"))
    subject = models.CharField(_("about"), max_length=80, blank=True)
    title = models.CharField(_("case title"), max_length=TITLE_MAX)
    salt = models.CharField(max_length=64, editable=False)
    opened_at = models.DateTimeField(_("opened"))
    status = models.CharField(_("status"), max_length=10, choices=list(STATUSES.items()), default="open")
    handler = models.ForeignKey(
        User, models.PROTECT, null=True, related_name="handled_cases", verbose_name=_("handler")
    )
    supervised = models.BooleanField(_("supervised"), default=False)
    target_due = models.DateField(_("target"), null=True)
    legal_due = models.DateField(_("legal deadline"), null=True)

    class Meta:
        verbose_name = _("case")
        indexes = [
            models.Index(fields=["status", "legal_due"]),
            models.Index(fields=["party", "-id"]),
            models.Index(fields=["handler", "status"]),
            models.Index(fields=["subject"]),
        ]
        constraints = [models.CheckConstraint(condition=~Q(title=""), name="case_has_title")]

    def __str__(self) -> str:
        return f"{self.number} {self.title}"

    @property
    def number(self) -> str:
        """What people call it on the phone."""
        return f"{clock.local(self.opened_at):%Y}-{self.pk:06d}"

    @property
    def type(self) -> CaseType:
        return types.get(self.kind)

    @property
    def running(self) -> bool:
        """Whether somebody still has to do something before it is resolved."""
        return self.status in machine.BEFORE_RESOLUTION

    @property
    def overdue(self) -> bool:
        return self.running and self.legal_due is not None and self.legal_due < clock.today()

    @property
    def late(self) -> bool:
        return self.running and self.target_due is not None and self.target_due < clock.today()

    def access_scopes(self) -> set[str]:
        """Where the applicant lies, and where those lie to whom the case was copied."""
        copied = Party.objects.filter(case_copies__case=self)
        return scopes.of_party(self.party).union(*(scopes.of_party(party) for party in copied))

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        copied = CaseEvent.objects.filter(scopes.to_party(held, "copied_to"))
        return scopes.to_party(held) | Q(pk__in=copied.values("case_id"))


class CaseEvent(AppendOnly):
    """One thing that happened to a case. `shared`: the applicant sees it."""

    case = models.ForeignKey(Case, models.PROTECT, related_name="events")
    sequence = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=list(EVENTS.items()))
    at = models.DateTimeField()
    actor = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    text = models.TextField(blank=True)
    days = models.PositiveSmallIntegerField(null=True)
    satisfied = models.BooleanField(null=True)
    assignee = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    copied_to = models.ForeignKey(Party, models.PROTECT, null=True, related_name="case_copies")
    shared = models.BooleanField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("case event")
        ordering = ["case", "sequence"]
        constraints = [
            models.UniqueConstraint(fields=["case", "sequence"], name="case_event_once"),
            models.CheckConstraint(
                condition=~Q(kind="extended") | Q(days__gte=1), name="extension_has_days"
            ),
            models.CheckConstraint(
                condition=~Q(kind="called_back") | Q(satisfied__isnull=False), name="call_back_has_answer"
            ),
            models.CheckConstraint(
                condition=~Q(kind="assigned") | Q(assignee__isnull=False), name="assignment_has_assignee"
            ),
        ]

    @property
    def pure(self) -> machine.Event:
        """The event as the pure functions see it."""
        return machine.Event(machine.Kind(self.kind), self.at, self.days, self.satisfied)


class Attachment(AppendOnly):
    """A file that came with an event. The bytes lie under their digest (see `files`)."""

    event = models.ForeignKey(CaseEvent, models.PROTECT, related_name="attachments")
    name = models.CharField(max_length=200)
    size = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = _("attachment")
