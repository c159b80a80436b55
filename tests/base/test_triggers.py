"""What is append-only cannot be changed through any connection, on either database."""

import pytest
from django.db import DatabaseError, connection, transaction

from huoshui.base import log, triggers
from huoshui.base.clock import now
from huoshui.base.models import AppendOnly, LogHead, LogRecord

pytestmark = pytest.mark.django_db


def record() -> LogRecord:
    return log.write("system:test", "test.act", "test:1", {"a": 1}, now())


@pytest.mark.parametrize("change", ["UPDATE base_logrecord SET actor = 'x'", "DELETE FROM base_logrecord"])
def test_a_log_record_is_never_changed(change: str) -> None:
    record()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert LogRecord.objects.get().actor == "system:test"


@pytest.mark.postgres
def test_a_table_of_the_log_is_not_truncated() -> None:
    record()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE base_logrecord CASCADE")
    assert LogRecord.objects.count() == 1


def test_the_system_check_finds_a_missing_trigger() -> None:
    assert triggers.check(databases=["default"]) == []
    name = triggers.name_of("base_logleaf", "DELETE")
    on = ' ON "base_logleaf"' if connection.vendor == "postgresql" else ""
    with connection.cursor() as cursor:
        cursor.execute(f'DROP TRIGGER "{name}"{on}')
    [fault] = triggers.check(databases=["default"])
    assert name in fault.msg
    triggers.install()
    assert triggers.check(databases=["default"]) == []


def test_every_append_only_model_has_its_table_guarded() -> None:
    assert "base_logrecord" in set(triggers.tables())
    assert issubclass(LogRecord, AppendOnly)
    assert not issubclass(LogHead, AppendOnly)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("_again", [1, 2])
def test_a_transactional_test_starts_empty_with_its_triggers(_again: int) -> None:
    assert LogRecord.objects.count() == 0
    assert LogHead.objects.get(pk=1).size == 0
    record()
    assert triggers.check(databases=["default"]) == []
