"""What every test may use: the database, people with roles, a moved clock, a sandbox to crash in.

The suite runs on SQLite in memory. With HUOSHUI_TEST_POSTGRES=postgresql://user@host:port/name it runs as a whole on
PostgreSQL (a database `test_NAME` is made and dropped), and only then tests marked `postgres` run.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import translation
from tests import sandbox as sandboxes
from tests.sandbox import Sandbox
from xdist.scheduler import LoadScopeScheduling

from huoshui.base import access, clock, triggers
from huoshui.base.access import Actor
from huoshui.base.models import Assignment, Role, User
from huoshui.settings import database

EXAMPLES = int(os.environ.get("HUOSHUI_TEST_EXAMPLES", "40"))
"""Drawn inputs of each property test that does not say; more find more, and CI has twenty minutes."""
hypothesis.settings.register_profile("patient", deadline=None, max_examples=EXAMPLES)  # a busy machine is no fault
hypothesis.settings.load_profile("patient")
TOGETHER = {
    "console": ("tests/browser/",),
    "cluster": ("tests/engines/test_engine_slurm", "tests/jobs/test_jobs_slurm", "tests/jobs/test_nodes"),
}
TESTS = Path(__file__).parent
BOOK_AND_LOG = ("book/", "base/test_log", "base/test_act", "base/test_tasks", "base/test_triggers")
PROCESSES = ("cli/", "web/", "engines/", "browser/", "mcp/")
"""Tests that need a sandbox for processes rather than for what the database does."""
POSTGRES = os.environ.get("HUOSHUI_TEST_POSTGRES", "")
if POSTGRES:
    settings.DATABASES["default"].clear()
    settings.DATABASES["default"].update(database(POSTGRES))
    connections.configure_settings(None)
    with suppress(AttributeError):
        del connections["default"]


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Tests go one by one to the next free worker; those that share a console or a cluster go to the same."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group, shared in TOGETHER.items() if nodeid.startswith(shared)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `postgres` need the server; those of the book, the log, crashes and concurrency run on it too."""
    for item in items:
        path = item.path.relative_to(TESTS).as_posix()
        crashes = "sandbox" in getattr(item, "fixturenames", ()) and not path.startswith(PROCESSES)
        if crashes or "postgres" in item.keywords or path.startswith(BOOK_AND_LOG):
            item.add_marker(pytest.mark.database)
    if not POSTGRES:
        skip = pytest.mark.skip(reason="needs HUOSHUI_TEST_POSTGRES")
        for item in items:
            if "postgres" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:  # noqa: PT004
    """Emptying the tables after a transactional test is the one change that append-only tables must allow."""
    operations = type(connections["default"].ops)
    original = operations.sql_flush

    def sql_flush(self: Any, *args: Any, **kwargs: Any) -> list[str]:
        drops = [f'DROP TRIGGER IF EXISTS "{name}"' + on for name, on in trigger_names(self.connection)]
        return [*drops, *original(self, *args, **kwargs)]

    operations.sql_flush = sql_flush  # the triggers come back with post_migrate, which flush sends


def trigger_names(connection: BaseDatabaseWrapper) -> list[tuple[str, str]]:
    """Each append-only trigger, and what DROP TRIGGER must say after its name."""
    on = ' ON "{}"' if connection.vendor == "postgresql" else ""
    pairs = itertools.product(triggers.tables(), triggers.events(connection))
    return [(triggers.name_of(table, event), on.format(table)) for table, event in pairs]


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that the product writes go to a temporary directory."""
    settings.HOME = tmp_path_factory.mktemp("home")
    return settings.HOME


@pytest.fixture(autouse=True)
def usual_language() -> Iterator[None]:
    """A test that speaks another language leaves the usual one behind."""
    yield
    translation.deactivate()


class People:
    """Makes people with roles: `people("agent", "party:7")` is an Actor who holds role `agent` for that party."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def __call__(self, role: str, scope: str = access.EVERYWHERE, *, since: date = date(2020, 1, 1)) -> Actor:
        """A new person who holds a role that exists (see docs/design.md for the codes)."""
        return self._holder(Role.objects.get(code=role), scope, since)

    def holding(self, *permissions: str, scope: str = access.EVERYWHERE) -> Actor:
        """A new person who holds just these permissions."""
        for permission in permissions:
            assert permission in access.permissions, f"permission {permission} is not registered"
        code = f"test-{next(self._numbers)}"
        role = Role.objects.create(code=code, title=code, permissions=list(permissions))
        return self._holder(role, scope, date(2020, 1, 1))

    def nobody(self) -> Actor:
        """A new person without any role."""
        user = User(username=f"person{next(self._numbers)}", name=f"Person {next(self._numbers)}")
        user.set_unusable_password()
        user.save()
        return Actor(user)

    def _holder(self, role: Role, scope: str, since: date) -> Actor:
        actor = self.nobody()
        assert actor.user is not None
        Assignment.objects.create(user=actor.user, role=role, scope=scope, since=since)
        return actor


@pytest.fixture
def people(db: None) -> People:
    """Factory of people; sign one in with `client.force_login(people("officer").user)`."""
    return People()


@pytest.fixture
def system_actor() -> Actor:
    """The platform itself, which may do everything."""
    return access.system("test")


@pytest.fixture
def moved_clock() -> Callable[[str | datetime], AbstractContextManager[None]]:
    """`with moved_clock("2026-03-02 09:00"): …` (Asia/Shanghai when it names no zone)."""

    def move(instant: str | datetime) -> AbstractContextManager[None]:
        at = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
        return clock.moved_to((at if at.tzinfo else at.replace(tzinfo=clock.LOCAL)).astimezone(UTC))

    return move


@pytest.fixture(scope="session")
def sandbox_template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandboxes.template(tmp_path_factory.mktemp("template"), POSTGRES) as made:
        yield made


@pytest.fixture
def sandbox(sandbox_template: Sandbox, tmp_path: Path) -> Iterator[Sandbox]:
    """A fresh database to run, crash and kill processes in (see tests/sandbox.py)."""
    with sandboxes.copy(sandbox_template, tmp_path) as made:
        yield made


@pytest.fixture
def undone(db: None) -> Callable[[], AbstractContextManager[None]]:
    """`with undone(): …` leaves no trace in the database: one example of a property test."""

    @contextmanager
    def block() -> Iterator[None]:
        with transaction.atomic():
            yield
            transaction.set_rollback(True)

    return block
