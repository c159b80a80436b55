"""What the office does with the rules: runs over everybody, batches paid without a form, lists of whom it told what.

A **match run** is the verdict of every pack on every entity on one day; its rows lie in Parquet under HUOSHUI_HOME,
the table holds what they were computed from and what they add up to. A **batch** (免申即享) is a proposal out of a run
that a second person confirms. A **push** (政策找企) tells a list of entities about one pack; what came of it is derived
from what they did. A **working** is a year's R&D costs (研发费用归集) as the accountant filled them in.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from huoshui.base.models import AppendOnly, LogRecord
from huoshui.policy.models.applications import Application
from huoshui.registry.models import OfParty, Party, Publication


class MatchRun(models.Model):
    """All packs in force on a day, for all entities.

    `packs`: id, digest, publication and title of each, in order. `figures`: see `policy.bulk.Figures`. `files`: SHA-256
    of each file of results by its name within the run's directory.
    """

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting", _("under way")
        FINISHED = "finished", _("finished")
        FAILED = "failed", _("failed")
        PRUNED = "pruned", _("rows removed")

    on = models.DateField(_("as of"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.WAITING)
    task = models.UUIDField(null=True)
    started_by = models.CharField(max_length=80)
    started_at = models.DateTimeField(_("started"))
    known_at = models.DateTimeField()
    finished_at = models.DateTimeField(_("finished"), null=True)
    entities = models.PositiveIntegerField(_("entities"), default=0)
    packs = models.JSONField(default=list)
    figures = models.JSONField(default=dict)
    files = models.JSONField(default=dict)

    class Meta:
        verbose_name = _("match run")
        indexes = [models.Index(fields=["state", "id"])]
        constraints = [
            models.UniqueConstraint(fields=["state"], condition=Q(state="waiting"), name="one_match_run_at_a_time"),
            models.CheckConstraint(
                condition=~Q(state__in=["finished", "pruned"]) | Q(finished_at__isnull=False),
                name="finished_match_run_has_time",
            ),
        ]

    def __str__(self) -> str:
        return f"M{self.pk:05d}"

    @property
    def number(self) -> str:
        """What people call it on the phone."""
        return str(self)


class Batch(models.Model):
    """Entities to be paid without an application, proposed out of a run, confirmed by a second person."""

    class State(models.TextChoices):
        """How far it has come."""

        PROPOSED = "proposed", _("waits for the second person")
        CONFIRMED = "confirmed", _("confirmed, being checked again")
        DONE = "done", _("done")
        DISCARDED = "discarded", _("discarded")

    run = models.ForeignKey(MatchRun, models.PROTECT, related_name="batches")
    publication = models.ForeignKey(Publication, models.PROTECT, related_name="+", verbose_name=_("rule pack"))
    pack = models.CharField(max_length=100)
    period = models.CharField(_("period"), max_length=10)
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PROPOSED)
    task = models.UUIDField(null=True)
    proposed_by = models.CharField(max_length=80)
    proposed_at = models.DateTimeField(_("proposed"))
    confirmed_by = models.CharField(max_length=80, blank=True)
    confirmed_at = models.DateTimeField(_("confirmed"), null=True)
    discarded_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("no-application batch")
        constraints = [
            models.CheckConstraint(
                condition=Q(confirmed_by="") | ~Q(confirmed_by=F("proposed_by")), name="batch_second_person"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["proposed", "discarded"]) | ~Q(confirmed_by=""), name="batch_done_is_confirmed"
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """What people call it on the phone."""
        return f"N{self.pk:05d}"


class BatchRow(OfParty):
    """One entity in a batch. Pack and period stand here too, so that the database itself lets nobody be paid twice."""

    class State(models.TextChoices):
        """What became of it."""

        PROPOSED = "proposed", _("proposed")
        CONFIRMED = "confirmed", _("confirmed")
        DROPPED = "dropped", _("fell out")

    class Why(models.TextChoices):
        """Why a row fell out when it was checked again."""

        UNMET = "unmet", _("no longer qualifies")
        UNKNOWN = "unknown", _("a fact is missing or contested now")
        MANUAL = "manual", _("needs a person's judgement now")
        DECLARED = "declared", _("self-declared: an officer must see it")
        NA = "na", _("no longer concerns this entity")
        AMOUNT = "amount", _("the amount is another one now")
        APPLIED = "applied", _("has applied or been paid already")
        PACK = "pack", _("the rule pack was replaced")
        DISCARDED = "discarded", _("the batch was discarded")

    batch = models.ForeignKey(Batch, models.PROTECT, related_name="rows")
    party = models.ForeignKey(Party, models.PROTECT, related_name="batch_rows")
    pack = models.CharField(max_length=100)
    period = models.CharField(max_length=10)
    amount_fen = models.BigIntegerField(_("amount"))
    state = models.CharField(_("state"), max_length=10, choices=State.choices, default=State.PROPOSED)
    why = models.CharField(max_length=10, choices=Why.choices, blank=True)
    criterion = models.CharField(max_length=100, blank=True)
    now_fen = models.BigIntegerField(null=True)
    application = models.OneToOneField(Application, models.PROTECT, null=True, related_name="batch_row")

    class Meta:
        verbose_name = _("row of a no-application batch")
        indexes = [models.Index(fields=["batch", "state", "id"])]
        constraints = [
            models.UniqueConstraint(fields=["batch", "party"], name="batch_row_once"),
            models.UniqueConstraint(
                fields=["party", "pack", "period"], condition=~Q(state="dropped"), name="nobody_batched_twice"
            ),
            models.CheckConstraint(
                condition=Q(state="confirmed", application__isnull=False)
                | ~Q(state="confirmed") & Q(application__isnull=True),
                name="confirmed_row_has_application",
            ),
            models.CheckConstraint(condition=Q(amount_fen__gt=0), name="batch_amount_above_zero"),
        ]


class Push(models.Model):
    """A list of entities that were told about one pack, and why them. `detail` is the criterion that they are short of,
    or the column that is missing; `text` is the office's own and not in the log."""

    class Reason(models.TextChoices):
        """Why these."""

        QUALIFIES = "qualifies", _("qualifies and has not applied")
        ONE_STEP = "one_step", _("one condition short")
        MISSING = "missing", _("one fact is missing")

    class Channel(models.TextChoices):
        """How they were told; the message on the platform is always there."""

        PLATFORM = "platform", _("message on the platform")
        PHONE = "phone", _("telephone")
        VISIT = "visit", _("visit")
        LETTER = "letter", _("letter or short message")

    run = models.ForeignKey(MatchRun, models.PROTECT, null=True, related_name="pushes")
    publication = models.ForeignKey(Publication, models.PROTECT, related_name="+", verbose_name=_("rule pack"))
    pack = models.CharField(max_length=100)
    reason = models.CharField(_("reason"), max_length=10, choices=Reason.choices)
    detail = models.CharField(max_length=100, blank=True)
    channel = models.CharField(_("channel"), max_length=10, choices=Channel.choices)
    text = models.TextField(_("message"), blank=True)
    salt = models.CharField(max_length=64, editable=False)
    told_by = models.CharField(max_length=80)
    told_at = models.DateTimeField(_("told"))
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("push list")
        indexes = [models.Index(fields=["pack", "told_at"])]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        """What people call it on the phone."""
        return f"P{self.pk:05d}"


class Telling(OfParty):
    """One entity of a push list: when it looked, whether it declined. What it then did is seen from what it did.

    `fact` is the code of the fact that was missing."""

    push = models.ForeignKey(Push, models.PROTECT, related_name="tellings")
    party = models.ForeignKey(Party, models.PROTECT, related_name="tellings")
    pack = models.CharField(max_length=100)
    reason = models.CharField(max_length=10, choices=Push.Reason.choices)
    fact = models.CharField(max_length=50, blank=True)
    told_at = models.DateTimeField()
    seen_at = models.DateTimeField(null=True)
    declined_at = models.DateTimeField(null=True)
    decline_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        verbose_name = _("telling")
        indexes = [models.Index(fields=["party", "pack", "told_at"]), models.Index(fields=["told_at"])]
        constraints = [
            models.UniqueConstraint(fields=["push", "party"], name="told_once_by_a_list"),
            models.CheckConstraint(
                condition=Q(declined_at__isnull=True) | Q(seen_at__isnull=False), name="declined_was_seen"
            ),
        ]


class RdWorking(AppendOnly, OfParty):
    """R&D costs of one year as they stood when saved: each save is a row, the last one counts.

    `content` is what was filled in (see `policy.rd.Year`), `result` what it comes to, in fen.
    """

    party = models.ForeignKey(Party, models.PROTECT, related_name="rd_workings")
    year = models.PositiveSmallIntegerField(_("year"))
    content = models.JSONField()
    result = models.JSONField()
    digest = models.CharField(max_length=64)
    salt = models.CharField(max_length=64, editable=False)
    saved_by = models.CharField(max_length=80)
    saved_at = models.DateTimeField(_("saved"))
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("collection of R&D costs")
        indexes = [models.Index(fields=["party", "year", "id"])]


class RdStatement(AppendOnly, OfParty):
    """A working that was made facts: `facts` are their keys, by code."""

    party = models.ForeignKey(Party, models.PROTECT, related_name="rd_statements")
    working = models.OneToOneField(RdWorking, models.PROTECT, related_name="statement")
    facts = models.JSONField()
    stated_by = models.CharField(max_length=80)
    stated_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("R&D costs stated as facts")
