"""How a pack comes about: the notice that it is taken from, the draft that people write, what its publication changes.

A **notice** is the text of an authority, kept as numbered paragraphs with the digest of its file. A **draft** is the
YAML of a pack and of its test cases; every saving is an append-only **version** with the person who saved it, and the
draft's `version` is what a second writer must have seen to save over it. Submitting a draft makes a publication of the
registry, which a second person reviews. A **comparison** says what one publication changes against another: in words
from the rules alone, and in firms and fen over the registry on one day.
"""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from huoshui.base.models import AppendOnly, LogRecord
from huoshui.registry.models import Party, Publication, PublicationState


class Notice(AppendOnly):
    """The text of a policy as its authority published it."""

    title = models.CharField(_("title"), max_length=200)
    authority = models.CharField(_("authority"), max_length=200)
    document_number = models.CharField(_("document number"), max_length=100, blank=True)
    source = models.CharField(_("source"), max_length=1000)
    filename = models.CharField(_("file"), max_length=200)
    digest = models.CharField(max_length=64, unique=True)
    paragraphs = models.JSONField()
    added_by = models.CharField(max_length=80)
    added_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("notice")

    def __str__(self) -> str:
        return self.title


class PackDraft(models.Model):
    """A pack that is being written. `publication` is what became of it when it was submitted, `word` what its writer
    said of the warnings that stood then."""

    notice = models.ForeignKey(Notice, models.PROTECT, null=True, related_name="drafts", verbose_name=_("notice"))
    title = models.CharField(_("title"), max_length=200)
    text = models.TextField()
    tests = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=1)
    publication = models.ForeignKey(Publication, models.PROTECT, null=True, related_name="drafts")
    word = models.TextField(blank=True)
    created_by = models.CharField(max_length=80)
    changed_by = models.CharField(max_length=80)
    changed_at = models.DateTimeField(_("changed"))
    discarded_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("draft of a pack")

    def __str__(self) -> str:
        return self.title

    @property
    def submitted(self) -> bool:
        """Whether its publication waits for review or has been in force; one that was withdrawn may be written on."""
        return self.publication is not None and self.publication.state != PublicationState.WITHDRAWN

    @property
    def is_open(self) -> bool:
        """Whether it may be changed."""
        return self.discarded_at is None and not self.submitted


class DraftVersion(AppendOnly):
    """What a draft said after one saving."""

    draft = models.ForeignKey(PackDraft, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    tests = models.TextField(blank=True)
    changed_by = models.CharField(max_length=80)
    changed_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("version of a draft")
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["draft", "number"], name="draft_version_once")]


class PackComparison(models.Model):
    """What `new` changes against `old` for the entities of the registry, as known on one day.

    `totals` counts and sums over all entities and may be shown to anyone once small counts are hidden;
    `facts_digest` is over the columns that were read.
    """

    old = models.ForeignKey(Publication, models.PROTECT, related_name="comparisons_as_old")
    new = models.ForeignKey(Publication, models.PROTECT, related_name="comparisons_as_new")
    on = models.DateField(_("evaluated on"))
    totals = models.JSONField(default=dict)
    facts_digest = models.CharField(max_length=64, blank=True)
    asked_by = models.CharField(max_length=80)
    asked_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("comparison of packs")
        constraints = [
            models.UniqueConstraint(fields=["old", "new", "on"], name="comparison_once_a_day"),
            models.CheckConstraint(condition=~Q(old=F("new")), name="comparison_of_two"),
        ]


class ComparisonRow(AppendOnly):
    """One entity for which a change of rules changes something. Amounts in fen; None: not known."""

    comparison = models.ForeignKey(PackComparison, models.PROTECT, related_name="rows")
    party = models.ForeignKey(Party, models.PROTECT, related_name="+")
    old_verdict = models.PositiveSmallIntegerField()
    new_verdict = models.PositiveSmallIntegerField()
    old_fen = models.BigIntegerField(null=True)
    new_fen = models.BigIntegerField(null=True)

    class Meta:
        verbose_name = _("change for an entity")
        constraints = [models.UniqueConstraint(fields=["comparison", "party"], name="comparison_row_once")]
