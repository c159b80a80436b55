"""Drafts 自动化草稿: what an agent prepared with its token and a person confirms or rejects.

A draft holds the name of a tool and its validated arguments, nothing else decides what confirming does. `cost_fen` is
the most it may cost; a draft counts against its token's spending limit while it is open and when it was confirmed.
`said` is what the person read when confirming: pairs of a name and a value.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base.models import LogRecord, Token, User


class Draft(models.Model):
    """One action that waits for its person."""

    class State(models.TextChoices):
        OPEN = "open", _("waiting for you")
        CONFIRMED = "confirmed", pgettext_lazy("draft", "confirmed")
        REJECTED = "rejected", pgettext_lazy("draft", "rejected")

    user = models.ForeignKey(User, models.PROTECT, related_name="drafts")
    token = models.ForeignKey(Token, models.PROTECT, related_name="drafts")
    tool = models.SlugField(max_length=60)
    arguments = models.JSONField()
    digest = models.CharField(max_length=64)
    cost_fen = models.BigIntegerField(_("costs at most"))
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    result = models.CharField(max_length=80, blank=True)
    said = models.JSONField(default=list)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("draft")
        indexes = [models.Index(fields=["user", "state", "-id"]), models.Index(fields=["token", "state"])]
        constraints = [models.CheckConstraint(condition=Q(cost_fen__gte=0), name="draft_cost")]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"A{self.pk:06d}"
