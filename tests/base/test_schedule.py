"""Scheduled tasks come round, and not more often than they should."""

from datetime import timedelta

import pytest
from django_tasks_db.models import DBTaskResult

from huoshui.base import clock, schedule

pytestmark = pytest.mark.django_db


def test_what_is_due_is_queued_once_and_again_after_its_interval() -> None:
    count = len(schedule._tasks)
    assert count >= 2
    assert schedule.tick() == count
    assert schedule.tick() == 0
    DBTaskResult.objects.update(enqueued_at=clock.real_now() - timedelta(days=2))
    assert schedule.tick() == count
