"""Plain SQL on the tables that Django made: SQLite (the embedded file) or PostgreSQL, chosen as settings.py chooses.

Statements are written once with `?`; the few words in which the two differ are properties here. A connection belongs
to one thread at a time. Instants of Django's own columns go through `instant`.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import psycopg

BUSY_SECONDS = 20
WAL_PAGES_MAX = 8_000
"""A commit carries the write-ahead log over itself only when it is longer than this (32 MB)."""
Row = tuple[Any, ...]
Gone = (sqlite3.OperationalError, psycopg.OperationalError)
"""What is worth another try: locked, deadlocked, restarted."""


class NoDatabase(Exception):
    """There is no database to work on."""


@lru_cache(maxsize=256)
def _for_postgres(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


class Database:
    """One connection. `url` as HUOSHUI_DATABASE; empty: the file in `home`. Raises NoDatabase."""

    def __init__(self, url: str, home: Path) -> None:
        self.postgres = bool(url)
        self.for_key_update = " FOR NO KEY UPDATE" if self.postgres else ""  # SQLite: the transaction is the lock
        try:
            self._connection: Any = _postgres(url) if self.postgres else _sqlite(home / "huoshui.sqlite3")
        except Gone as error:
            raise NoDatabase(str(error).strip()) from error

    @classmethod
    def from_environment(cls) -> "Database":
        home = Path(os.environ.get("HUOSHUI_HOME", "var")).resolve()
        return cls(os.environ.get("HUOSHUI_DATABASE", ""), home)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        found: list[Row] = self._connection.execute(self._own(sql), parameters).fetchall()
        return found

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> None:
        self._connection.execute(self._own(sql), parameters)

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for each row."""
        if not rows:
            return
        if self.postgres:
            with self._connection.cursor() as cursor:
                cursor.executemany(self._own(sql), rows)
        else:
            self._connection.executemany(sql, rows)

    def among(self, column: str, values: Sequence[Any]) -> tuple[str, list[Any]]:
        """Condition that `column` is one of `values`, and its parameters."""
        if self.postgres:
            return f"{column} = ANY(?)", [list(values)]
        return f"{column} IN ({','.join('?' * len(values))})", list(values)

    def instant(self, ms: int) -> Any:
        """A DateTimeField's value for milliseconds since the epoch."""
        at = datetime.fromtimestamp(ms / 1000, UTC)
        return at if self.postgres else at.strftime("%Y-%m-%d %H:%M:%S.%f")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Durable when the block has ended; nothing of it stays when it raises."""
        if self.postgres:
            with self._connection.transaction():
                yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads in the block see one state of the database, and stop nobody from writing."""
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if self.postgres else "BEGIN DEFERRED")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    def tidy(self) -> None:
        """SQLite: carry what the write-ahead log holds into the file, so that no commit has to do it on its way."""
        if not self.postgres:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def close(self) -> None:
        self._connection.close()

    def _own(self, sql: str) -> str:
        return _for_postgres(sql) if self.postgres else sql


def _sqlite(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{path}?mode=rw", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"wal_autocheckpoint={WAL_PAGES_MAX}"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _postgres(url: str) -> "psycopg.Connection[Row]":
    connection = psycopg.connect(url, autocommit=True, connect_timeout=BUSY_SECONDS)
    connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")  # type: ignore[arg-type, unused-ignore]
    return connection
