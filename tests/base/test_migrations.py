"""The migrations make the tables that the models say (sandboxes start from the latter, consoles from the former)."""

from pathlib import Path

import psycopg
import pytest
from tests import sandbox as sandboxes
from tests.sandbox import Sandbox

COLUMNS = """
SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, is_identity
FROM information_schema.columns WHERE table_schema = 'public'
"""
CONSTRAINTS = """
SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""
INDEXES = """
SELECT tablename, regexp_replace(indexdef, 'INDEX \\S+ ON', 'INDEX ON') FROM pg_indexes WHERE schemaname = 'public'
"""
TRIGGERS = "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal"


def shape(made: Sandbox, query: str) -> list[tuple[object, ...]]:
    """What the query says of our tables."""
    with psycopg.connect(made.database) as connection:
        rows = connection.execute(query).fetchall()
    return sorted((row for row in rows if not row[0].startswith(("auth_", "django_"))), key=str)


@pytest.mark.postgres
def test_migrations_make_what_the_models_say(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "migrated").mkdir()
    with sandboxes.empty(tmp_path / "migrated", sandbox.database) as migrated:
        migrated.manage("migrate", "--verbosity", "0")
        for query in (COLUMNS, CONSTRAINTS, INDEXES, TRIGGERS):
            assert shape(sandbox, query)
            assert shape(migrated, query) == shape(sandbox, query)
