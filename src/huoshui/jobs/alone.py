"""Of the runners of an installation one works at a time; the others stand by and take over when it has ended.

Two at work would submit nothing twice, but one could make a folder ready in which the other's job runs already. The
lock goes with its process, however that ends: on PostgreSQL an advisory lock of a session of its own, on SQLite, which
serves one machine, a lock on a file in HUOSHUI_HOME.
"""

import fcntl
from typing import IO

from django.conf import settings
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper

KEY = 7_230_114
"""Names the lock among the advisory locks of the database."""
FILE = "runner.lock"
GONE_SECONDS = 20
"""A session whose machine fell silent is ended by the server after about three times as long."""
PATIENCE = (
    f"SET tcp_keepalives_idle = {GONE_SECONDS}; SET tcp_keepalives_interval = {GONE_SECONDS};"
    "SET tcp_keepalives_count = 2"
)


class Lock:
    """The right to be the runner that works."""

    def __init__(self) -> None:
        self._session: BaseDatabaseWrapper | None = None
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """Take it; False while another has it. Raises DatabaseError when the database cannot be asked."""
        if connection.vendor == "postgresql":
            return self._ask("SELECT pg_try_advisory_lock(%s)", KEY)
        self._file = self._file or (settings.HOME / FILE).open("wb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def require(self) -> None:
        """Raises DatabaseError when it was lost, since the session has ended: another may work now."""
        if self._session is not None:
            self._ask("SELECT true")

    def close(self) -> None:
        """Leave it to another."""
        if self._session is not None:
            self._session.close()
        if self._file is not None:
            self._file.close()
        self._session = self._file = None

    def _ask(self, question: str, *values: int) -> bool:
        if self._session is None:
            session = connection.copy()
            session.settings_dict["OPTIONS"] = session.settings_dict["OPTIONS"] | {"pool": False}
            with session.cursor() as cursor:
                cursor.execute(PATIENCE)
            self._session = session
        with self._session.cursor() as cursor:
            cursor.execute(question, values)
            return bool(cursor.fetchone()[0])
