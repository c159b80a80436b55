"""The migrations make the tables that the models say (installations get the former, tests the latter)."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
from tests import sandbox as sandboxes
from tests.sandbox import Sandbox

POSTGRES = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default, is_identity
        FROM information_schema.columns WHERE table_schema = 'public'""",
    "constraints": """
        SELECT conrelid::regclass::text, contype::text, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": """
        SELECT tablename, regexp_replace(indexdef, 'INDEX \\S+ ON', 'INDEX ON')
        FROM pg_indexes WHERE schemaname = 'public'""",
    "triggers": "SELECT tgrelid::regclass::text, tgname FROM pg_trigger WHERE NOT tgisinternal",
}
SQLITE = {
    "columns": """
        SELECT t.name, c.name, c.type, c."notnull", c.dflt_value, c.pk
        FROM sqlite_master t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'""",
    "references": """
        SELECT t.name, f."from", f."table", f."to"
        FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'""",
    "indexes": """
        SELECT t.name, i."unique", group_concat(c.name)
        FROM sqlite_master t JOIN pragma_index_list(t.name) i JOIN pragma_index_info(i.name) c
        WHERE t.type = 'table' GROUP BY t.name, i.name""",
    "triggers": "SELECT tbl_name, name FROM sqlite_master WHERE type = 'trigger'",
}


def rows(made: Sandbox, query: str) -> list[tuple[object, ...]]:
    """What a query of the database's own tables says of ours."""
    if made.database:
        with psycopg.connect(made.database) as server:
            found = server.execute(query).fetchall()
    else:
        with closing(sqlite3.connect(made.home / "huoshui.sqlite3")) as file:
            found = file.execute(query).fetchall()
    return sorted((row for row in found if not row[0].startswith(("auth_", "django_"))), key=str)


def test_migrations_make_what_the_models_say(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "migrated").mkdir()
    with sandboxes.empty(tmp_path / "migrated", sandbox.database) as migrated:
        migrated.manage("migrate", "--verbosity", "0")
        for query in (POSTGRES if sandbox.database else SQLITE).values():
            assert rows(sandbox, query)
            assert rows(migrated, query) == rows(sandbox, query)
