"""Who there is and what we know of them.

One table of parties with a surrogate key. What a party is (entity, operator, bank …) is a dated role; who owns whom is
a dated relation; what is known is a fact that carries its source and is never overwritten. Published documents are
stored as text with their digest. Imports wait as staged rows until one short step makes them real.

Dates are inclusive at both ends, as in law and in `base.Assignment`: `until` is the last day.
"""

from datetime import date
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base import clock
from huoshui.base.models import AppendOnly, LogRecord
from huoshui.registry import scopes


def on_day(day: date) -> Q:
    """Rows of a dated table that hold on a day."""
    return Q(since__lte=day) & (Q(until__isnull=True) | Q(until__gte=day))


class Dated(models.Model):
    """Holds from `since` to `until`, both included."""

    since = models.DateField(_("since"))
    until = models.DateField(_("until"), null=True, blank=True)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=Q(until__isnull=True) | Q(until__gte=F("since")), name="%(class)s_ends_after_start"
            )
        ]


class Division(models.Model):
    """An administrative division, by its GB/T 2260 code."""

    code = models.CharField(_("code"), max_length=6, primary_key=True)
    name = models.CharField(_("name"), max_length=60)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")

    class Meta:
        verbose_name = _("division")
        ordering = ["code"]

    def __str__(self) -> str:
        return self.name


class Party(models.Model):
    """Anyone who can owe or be owed."""

    name = models.CharField(_("name"), max_length=200)
    uscc = models.CharField(_("USCC"), max_length=18, null=True, blank=True, unique=True)
    division = models.ForeignKey(Division, models.PROTECT, null=True, blank=True, verbose_name=_("division"))
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        verbose_name = _("party")
        indexes = [models.Index(fields=["name", "id"])]
        constraints = [
            models.CheckConstraint(condition=~Q(name=""), name="party_has_name"),
            models.CheckConstraint(condition=Q(uscc__isnull=True) | ~Q(uscc=""), name="party_uscc_not_empty"),
        ]

    def __str__(self) -> str:
        return self.name

    def access_scopes(self) -> set[str]:
        return scopes.of_party(self)

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "")

    def has_role(self, kind: str, on: date | None = None) -> bool:
        """Whether the party has the role on a day (default: today)."""
        return self.roles.filter(on_day(on or clock.today()), kind=kind).exists()


class OfParty(models.Model):
    """A row that belongs to a party and is seen by whoever sees the party."""

    class Meta:
        abstract = True

    def access_scopes(self) -> set[str]:
        party: Party = getattr(self, "party")  # noqa: B009  (the field is declared by the subclass)
        return party.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held)


class PartyRevision(AppendOnly, OfParty):
    """What a party was called, coded and where it sat, from the moment of the record on."""

    party = models.ForeignKey(Party, models.PROTECT, related_name="revisions")
    name = models.CharField(max_length=200)
    uscc = models.CharField(max_length=18, null=True, db_index=True)
    division = models.ForeignKey(Division, models.PROTECT, null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)


class RoleKind(models.TextChoices):
    """What a party can be."""

    ENTITY = "entity", _("entity")
    INSTITUTION = "institution", _("institution")
    OPERATOR = "operator", _("site operator")
    BANK = "bank", _("bank")
    CARRIER = "carrier", _("network carrier")
    CENTRE = "centre", _("service centre")


class PartyRole(Dated, OfParty):
    """A party is something for a time."""

    party = models.ForeignKey(Party, models.CASCADE, related_name="roles")
    kind = models.CharField(_("role"), max_length=20, choices=RoleKind.choices)

    class Meta(Dated.Meta):
        verbose_name = _("party role")
        indexes = [models.Index(fields=["kind", "since", "until", "party"])]
        constraints = [
            *Dated.Meta.constraints,
            models.UniqueConstraint(fields=["party", "kind", "since"], name="party_role_once"),
            models.UniqueConstraint(
                fields=["kind"], condition=Q(kind="centre", until__isnull=True), name="one_centre"
            ),
        ]


class RelationKind(models.TextChoices):
    """How one party stands to another."""

    OWNERSHIP = "ownership", _("ownership")
    CONTROL = "control", _("control")


class Relation(Dated):
    """`holder` owns a share of `held`, or controls it."""

    holder = models.ForeignKey(Party, models.PROTECT, related_name="holdings", verbose_name=_("holder"))
    held = models.ForeignKey(Party, models.PROTECT, related_name="holders", verbose_name=_("held party"))
    kind = models.CharField(_("kind"), max_length=20, choices=RelationKind.choices)
    share_bps = models.PositiveIntegerField(_("share"), null=True, blank=True)
    source = models.CharField(_("source"), max_length=200)

    class Meta(Dated.Meta):
        verbose_name = _("relation")
        constraints = [
            *Dated.Meta.constraints,
            models.UniqueConstraint(fields=["holder", "held", "kind", "since"], name="relation_once"),
            models.CheckConstraint(condition=~Q(holder=F("held")), name="relation_of_two"),
            models.CheckConstraint(
                condition=Q(kind="control", share_bps__isnull=True) | Q(kind="ownership", share_bps__range=(1, 10_000)),
                name="ownership_has_share",
            ),
        ]


class GroupKind(models.TextChoices):
    """Kinds of group."""

    CLUSTER = "cluster", _("industrial cluster")
    PARK = "park", _("park")


class Group(models.Model):
    """A cluster or a park that entities belong to."""

    code = models.SlugField(_("code"), max_length=50, unique=True)
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=20, choices=GroupKind.choices)
    division = models.ForeignKey(Division, models.PROTECT, null=True, blank=True, verbose_name=_("division"))

    class Meta:
        verbose_name = pgettext_lazy("of parties", "group")
        ordering = ["kind", "name"]

    def __str__(self) -> str:
        return self.name


class Membership(Dated, OfParty):
    """A party belongs to a group for a time."""

    group = models.ForeignKey(Group, models.PROTECT, related_name="memberships")
    party = models.ForeignKey(Party, models.CASCADE, related_name="memberships")

    class Meta(Dated.Meta):
        verbose_name = _("membership")
        constraints = [
            *Dated.Meta.constraints,
            models.UniqueConstraint(fields=["group", "party", "since"], name="membership_once"),
        ]


class ValueKind(models.TextChoices):
    """How a fact's value is written. A decimal is kept as an integer times 10^-places."""

    INTEGER = "int", _("whole number")
    DECIMAL = "decimal", _("decimal number")
    TEXT = "text", _("text")
    DATE = "date", _("date")
    BOOLEAN = "bool", _("yes or no")


class FactType(models.Model):
    """A thing that can be known of a party: its code, its unit, how it is written."""

    code = models.SlugField(_("code"), max_length=100, unique=True)
    title = models.CharField(_("title"), max_length=200)
    unit = models.CharField(_("unit"), max_length=20, blank=True)
    kind = models.CharField(_("kind"), max_length=10, choices=ValueKind.choices)
    places = models.PositiveSmallIntegerField(_("decimal places"), default=0)
    periodic = models.BooleanField(_("told for a period"), default=False)

    class Meta:
        verbose_name = _("kind of fact")
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                condition=Q(places=0) | Q(kind="decimal", places__lte=6), name="places_of_decimals_only"
            )
        ]

    def __str__(self) -> str:
        return self.title


class FactSource(models.TextChoices):
    """Who says so, the most believed first."""

    OFFICIAL = "official", _("official register")
    TAX = "tax", _("tax file")
    OFFICER = "officer", _("centre officer")
    SELF = "self", _("self-declared")


class Fact(AppendOnly, OfParty):
    """One statement about a party by one source. Without a value the source withdraws what it said before."""

    party = models.ForeignKey(Party, models.PROTECT, related_name="facts")
    type = models.ForeignKey(FactType, models.PROTECT)
    number = models.BigIntegerField(null=True)
    text = models.CharField(max_length=500, null=True)
    period_start = models.DateField(null=True)
    period_end = models.DateField(null=True)
    source = models.CharField(max_length=10, choices=FactSource.choices)
    source_name = models.CharField(max_length=100, blank=True)
    observed_on = models.DateField()
    recorded_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("fact")
        indexes = [models.Index(fields=["party", "type", "observed_on"])]
        constraints = [
            models.CheckConstraint(condition=Q(number__isnull=True) | Q(text__isnull=True), name="fact_one_value"),
            models.CheckConstraint(
                condition=Q(period_start__isnull=True, period_end__isnull=True)
                | Q(period_start__isnull=False, period_end__gte=F("period_start")),
                name="fact_period_whole",
            ),
        ]


class FactFile(AppendOnly):
    """The facts of one file for many parties: one source, one day, one period. The values lie in a Parquet snapshot.

    `digest` is of the snapshot (a column `party`, sorted, and one for each of `codes`) and names it in
    HUOSHUI_HOME/facts; `origin` is the digest of the file that was sent in. A null says nothing: it withdraws nothing.
    """

    digest = models.CharField(max_length=64)
    origin = models.CharField(max_length=64)
    filename = models.CharField(_("file"), max_length=200)
    codes = models.JSONField()
    rows = models.PositiveIntegerField(_("rows"))
    source = models.CharField(_("source"), max_length=10, choices=FactSource.choices)
    source_name = models.CharField(_("name of the source"), max_length=100, blank=True)
    period_start = models.DateField(null=True)
    period_end = models.DateField(null=True)
    observed_on = models.DateField(_("observed on"))
    recorded_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("file of facts")
        indexes = [models.Index(fields=["observed_on"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(period_start__isnull=True, period_end__isnull=True)
                | Q(period_start__isnull=False, period_end__gte=F("period_start")),
                name="fact_file_period_whole",
            )
        ]


class Consent(Dated, OfParty):
    """A party agrees that facts of it are shared: with whom, for what, which, how long.

    `recipient` is a party, or null and `recipient_name` names partners of the centre in words. `codes` empty: all
    facts that the purpose names (see `consents`).
    """

    party = models.ForeignKey(Party, models.PROTECT, related_name="consents")
    recipient = models.ForeignKey(
        Party, models.PROTECT, null=True, related_name="consents_received", verbose_name=_("recipient")
    )
    recipient_name = models.CharField(_("recipient in words"), max_length=200, blank=True)
    purpose = models.CharField(_("purpose"), max_length=50)
    text = models.CharField(_("what it is for"), max_length=500, blank=True)
    codes = models.JSONField(default=list)
    salt = models.CharField(max_length=32, editable=False)
    withdrawn_at = models.DateTimeField(null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta(Dated.Meta):
        verbose_name = _("consent")
        indexes = [models.Index(fields=["party", "recipient"])]
        constraints = [
            *Dated.Meta.constraints,
            models.CheckConstraint(
                condition=Q(recipient__isnull=False, recipient_name="")
                | Q(recipient__isnull=True) & ~Q(recipient_name=""),
                name="consent_has_recipient",
            ),
        ]


class Decision(AppendOnly, OfParty):
    """A verdict about a party with what it was based on: digests of the documents used and the trace of the rule."""

    party = models.ForeignKey(Party, models.PROTECT, related_name="decisions")
    kind = models.SlugField(max_length=50)
    subject = models.CharField(max_length=80, db_index=True)
    verdict = models.CharField(max_length=20)
    digests = models.JSONField(default=list)
    trace = models.JSONField(default=dict)
    decided_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("decision")
        indexes = [models.Index(fields=["party", "kind", "decided_at"])]


class PublicationState(models.TextChoices):
    """How far a document has come."""

    DRAFT = "draft", _("draft")
    REVIEWED = "reviewed", _("reviewed")
    IN_FORCE = "in_force", _("in force")
    SUPERSEDED = "superseded", _("superseded")
    WITHDRAWN = "withdrawn", _("withdrawn")


class Publication(models.Model):
    """A published document: its text never changes, only how far it has come and when it ends."""

    kind = models.SlugField(_("kind"), max_length=50)
    identifier = models.CharField(_("identifier"), max_length=100)
    title = models.CharField(_("title"), max_length=200)
    authority = models.CharField(_("authority"), max_length=200, blank=True)
    document_number = models.CharField(_("document number"), max_length=100, blank=True)
    text = models.TextField()
    digest = models.CharField(max_length=64)
    state = models.CharField(_("state"), max_length=12, choices=PublicationState.choices, default="draft")
    effective_from = models.DateField(_("in force from"))
    effective_to = models.DateField(_("in force to"), null=True, blank=True)
    superseded_by = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="supersedes")
    submitted_by = models.CharField(max_length=80)
    submitted_at = models.DateTimeField()
    reviewed_by = models.CharField(max_length=80, blank=True)
    reviewed_at = models.DateTimeField(null=True)
    activated_by = models.CharField(max_length=80, blank=True)
    activated_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("publication")
        indexes = [models.Index(fields=["kind", "identifier", "effective_from"])]
        constraints = [
            models.UniqueConstraint(fields=["kind", "identifier", "digest"], name="publication_once"),
            models.CheckConstraint(
                condition=Q(effective_to__isnull=True) | Q(effective_to__gte=F("effective_from")),
                name="publication_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(reviewed_by="") | ~Q(reviewed_by=F("submitted_by")), name="publication_second_person"
            ),
        ]

    def __str__(self) -> str:
        return self.title

    def loaded(self) -> Any:
        """The document as an object of `huoshui.terms` (cached by digest)."""
        from huoshui.registry.publications import load

        return load(self.digest, self.text)


class ImportMapping(models.Model):
    """Which header an office uses for which field: learnt when somebody confirms a mapping."""

    office = models.CharField(max_length=60)
    kind = models.SlugField(max_length=50)
    headers = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["office", "kind"], name="import_mapping_once")]


class BatchState(models.TextChoices):
    """How far an import has come."""

    UPLOADED = "uploaded", _("waits for its columns")
    CHECKED = "checked", _("checked")
    ACTIVATED = "activated", _("activated")
    DISCARDED = "discarded", _("discarded")


class ImportBatch(models.Model):
    """One uploaded file, staged: nothing of it counts until it is activated."""

    kind = models.SlugField(_("kind"), max_length=50)
    office = models.CharField(max_length=60)
    filename = models.CharField(_("file"), max_length=200)
    digest = models.CharField(max_length=64, db_index=True)
    header = models.JSONField()
    mapping = models.JSONField(default=dict)
    state = models.CharField(_("state"), max_length=10, choices=BatchState.choices, default="uploaded")
    counts = models.JSONField(default=dict)
    created_by = models.CharField(max_length=80)
    created_at = models.DateTimeField()
    activated_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("import")
        ordering = ["-id"]

    def access_scopes(self) -> set[str]:
        return {self.office}

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return Q(office__in=held)


class RowChange(models.TextChoices):
    """What a staged row would do."""

    UNREAD = "unread", _("not checked yet")
    NEW = "new", _("new")
    CHANGED = "changed", _("changed")
    SAME = "same", _("same as before")
    BAD = "bad", _("cannot be taken")


class ImportRow(models.Model):
    """One row of a staged file: its cells as read, the values made of them, what they would change."""

    batch = models.ForeignKey(ImportBatch, models.CASCADE, related_name="rows")
    number = models.PositiveIntegerField()
    cells = models.JSONField()
    values = models.JSONField(default=dict)
    change = models.CharField(max_length=10, choices=RowChange.choices, default="unread")
    before = models.JSONField(default=dict)
    problems = models.JSONField(default=list)

    class Meta:
        ordering = ["number"]
        constraints = [models.UniqueConstraint(fields=["batch", "number"], name="import_row_once")]
        indexes = [models.Index(fields=["batch", "change", "number"])]
