"""Rows by the hundred thousand into the tables of parties: the database's own fast way in, inside one transaction.

PostgreSQL takes them by COPY, SQLite by one prepared statement. Keys are reserved before, so that facts about new
parties can be written down before the parties are in.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import polars as pl
from django.db import connection
from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.registry.models import Party, PartyRevision, PartyRole, RoleKind, RowChange

CHUNK = 50_000
"""Rows between two reports of progress."""
TITLES = {Party: _("parties"), PartyRevision: _("their history"), PartyRole: _("their roles")}
Report = Callable[[str, int, int], None]


def reserve(model: type[Model], count: int) -> Sequence[int]:
    """Keys for so many new rows. Whoever uses them must find out whether another took them in the meantime (SQLite)."""
    table, start = model._meta.db_table, 0
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)",
                           [table, count])
            return [key for (key,) in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        if found := cursor.fetchone():
            start = found[0]
    return range(start + 1, start + count + 1)


def write_parties(
    act: Act, record: LogRecord, rows: pl.DataFrame, change: str, party: str, report: Report
) -> None:
    """Enter new parties as entities, change others; each gets its revision. `rows` has `name`, `uscc`, `division` and
    the columns named by `change` and `party`. Raises IntegrityError when a key or a USCC is taken."""
    rows = rows.select(pl.col(party).alias("id"), "name", "uscc", "division", pl.col(change).alias("change"))
    new = rows.filter(pl.col("change") == RowChange.NEW.value)
    at = connection.ops.adapt_datetimefield_value(act.at)
    told = new.select("id", "name", "uscc", pl.col("division").alias("division_id"), created_at=pl.lit(str(at)))
    insert(Party, told, report)
    _update(rows.filter(pl.col("change") == RowChange.CHANGED.value))
    revisions = rows.select(
        pl.col("id").alias("party_id"), "name", "uscc", pl.col("division").alias("division_id"),
        record_id=pl.lit(record.pk),
    )
    insert(PartyRevision, revisions, report)
    roles = new.select(
        pl.col("id").alias("party_id"), kind=pl.lit(RoleKind.ENTITY.value), since=pl.lit(clock.today().isoformat()),
        until=pl.lit(None, pl.String),
    )
    insert(PartyRole, roles, report)


def _update(changed: pl.DataFrame) -> None:
    table = connection.ops.quote_name(Party._meta.db_table)
    with connection.cursor() as cursor:
        # A code may pass from one party to another: first all changed ones let go of theirs.
        for name in ("UPDATE {} SET uscc = NULL WHERE id = %s", "UPDATE {} SET name = %s, uscc = %s, division_id = %s "
                     "WHERE id = %s"):
            columns = ["id"] if "NULL" in name else ["name", "uscc", "division", "id"]
            for part in changed.select(columns).iter_slices(CHUNK):
                cursor.executemany(name.format(table), part.rows())


def insert(model: type[Model], frame: pl.DataFrame, report: Report) -> None:
    """Add the rows of a frame whose columns are columns of the table."""
    title = TITLES[model]
    for number, part in enumerate(frame.iter_slices(CHUNK)):
        report(str(title), number * CHUNK, frame.height)
        (_copy if connection.vendor == "postgresql" else _prepared)(model, frame.columns, part)
    report(str(title), frame.height, frame.height)


def _names(columns: Iterable[str]) -> str:
    return ", ".join(connection.ops.quote_name(name) for name in columns)


def _copy(model: type[Model], columns: Sequence[str], part: pl.DataFrame) -> None:
    statement = f"COPY {_names([model._meta.db_table])} ({_names(columns)}) FROM STDIN (FORMAT csv)"
    with connection.cursor() as cursor:
        raw: Any = cursor.cursor
        with raw.copy(statement) as copy:
            copy.write(part.write_csv(include_header=False))


def _prepared(model: type[Model], columns: Sequence[str], part: pl.DataFrame) -> None:
    places = ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {_names([model._meta.db_table])} ({_names(columns)}) VALUES ({places})",  # noqa: S608  (names)
            part.rows(),
        )
