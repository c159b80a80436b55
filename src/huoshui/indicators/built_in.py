"""Indicators of the platform itself: is the log kept and shown, do the banks' reports agree, does the worker work?"""

from datetime import datetime, timedelta

from django.utils.translation import gettext_lazy as _

from huoshui.base.models import Checkpoint, LogRecord, TaskProgress
from huoshui.book.models import BankException
from huoshui.indicators.catalogue import ColourRule, Indicator, Period, desk, period_start, register

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


def log_records(end: datetime) -> int:
    """Records written in the day that ends at `end`."""
    return LogRecord.objects.filter(
        recorded_at__gte=period_start(Period.DAY, end), recorded_at__lt=end, leaf__isnull=False
    ).count()


def checkpoint_age_hours(at: datetime) -> int | None:
    """Whole hours since the log's root was last shown; None before the first time."""
    last = Checkpoint.objects.filter(recorded_at__lte=at).order_by("-size").first()
    return max(0, (at - last.recorded_at) // HOUR) if last else None


def open_exceptions(at: datetime) -> int:
    """Exceptions in bank reports that nobody has settled."""
    return BankException.objects.filter(resolution__isnull=True).count()


def failed_tasks(at: datetime) -> int:
    """Background tasks that ended with an error within a week."""
    return TaskProgress.objects.filter(finished_at__gt=at - WEEK, finished_at__lte=at).exclude(error="").count()


def register_all() -> None:
    """Called from apps.py."""
    platform = desk("platform", _("the platform"))
    register(Indicator(
        "log.records", platform, _("log records"), _("Records appended to the log in a day."),
        _("log"), Period.DAY, "count", log_records,
    ))
    register(Indicator(
        "log.checkpoint_age", platform, _("age of the last checkpoint"),
        _("Whole hours since the root of the log was last fixed for the public."),
        _("log"), Period.NOW, "hours", checkpoint_age_hours, ColourRule(24, 72, higher_is_better=False),
    ))
    register(Indicator(
        "book.open_exceptions", platform, _("unresolved bank exceptions"),
        _("Lines of bank reports that do not agree with the book and that nobody has settled."),
        _("book"), Period.NOW, "count", open_exceptions, ColourRule(0, 5, higher_is_better=False),
    ))
    register(Indicator(
        "tasks.failed", platform, _("failed background tasks"),
        _("Background tasks that ended with an error within the last 7 days."),
        _("task queue"), Period.NOW, "count", failed_tasks, ColourRule(0, 3, higher_is_better=False),
    ))
