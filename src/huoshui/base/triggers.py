"""Append-only in the database itself: UPDATE, DELETE and TRUNCATE on such tables fail, whoever asks.

One function installs the triggers for SQLite and PostgreSQL after every migration; a system check (tag `database`)
asserts that they are there.
"""

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.checks import CheckMessage, Error
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from huoshui.base.models import AppendOnly


def events(connection: BaseDatabaseWrapper) -> tuple[str, ...]:
    """What is refused. SQLite has no TRUNCATE."""
    return ("UPDATE", "DELETE", "TRUNCATE") if connection.vendor == "postgresql" else ("UPDATE", "DELETE")


def tables() -> Iterator[str]:
    """Names of all append-only tables."""
    for model in apps.get_models():
        if issubclass(model, AppendOnly):
            yield model._meta.db_table


def name_of(table: str, event: str) -> str:
    """Name of the trigger (PostgreSQL keeps 63 characters)."""
    return f"append_only_{event.lower()}_{table}"[:63]


def install(using: str = "default", **_kwargs: Any) -> None:
    """Create the triggers that are missing (called after each migration)."""
    connection = connections[using]
    present = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$"
            )
        for table in present.intersection(tables()):
            for event in events(connection):
                name = name_of(table, event)
                if connection.vendor == "postgresql":
                    each = "STATEMENT" if event == "TRUNCATE" else "ROW"
                    cursor.execute(
                        f'CREATE OR REPLACE TRIGGER "{name}" BEFORE {event} ON "{table}" '
                        f"FOR EACH {each} EXECUTE FUNCTION append_only()"
                    )
                else:
                    cursor.execute(
                        f'CREATE TRIGGER IF NOT EXISTS "{name}" BEFORE {event} ON "{table}" '
                        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                    )


def check(app_configs: Any = None, databases: Any = None, **_kwargs: Any) -> list[CheckMessage]:
    """System check: every append-only table that exists has both triggers."""
    faults: list[CheckMessage] = []
    for using in databases or ():
        connection = connections[using]
        present = set(connection.introspection.table_names())
        catalogue = (
            "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
            if connection.vendor == "postgresql"
            else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        )
        with connection.cursor() as cursor:
            cursor.execute(catalogue)
            installed = {row[0] for row in cursor.fetchall()}
        faults += [
            Error(f"{table} can be changed: trigger {name_of(table, event)} is missing", id="huoshui.E001")
            for table in present.intersection(tables())
            for event in events(connection)
            if name_of(table, event) not in installed
        ]
    return faults
