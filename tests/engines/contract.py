"""What every engine keeps, whatever runs underneath: inherited by the tests of each engine.

A subclass gives fixtures `engine` and `site` (a Site: the engine's card and how to make jobs). Names are drawn fresh,
since engines remember them.
"""

import itertools
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from huoshui.engines import Engine, EngineError, JobSpec, Phase, Reservation, Status, batch_script, local

WAIT_SECONDS_MAX = 90
_numbers = itertools.count()


def fresh(word: str = "job") -> str:
    return f"{word}-{secrets.token_hex(3)}-{next(_numbers)}"


@dataclass
class Site:
    """An engine with a folder for jobs. `python` runs on its nodes; `numbered`: it tells a job which cards it has."""

    engine: Engine
    workdir: Path
    card: str
    cards: int
    python: str = sys.executable
    numbered: bool = True

    def spec(self, code: str, **more: Any) -> JobSpec:
        """A job that runs Python code, or `argv` when given."""
        name = more.pop("name", None) or fresh()
        directory = more.pop("directory", None) or self.workdir / name
        directory.mkdir(exist_ok=True)
        given: dict[str, Any] = {
            "cards": 1, "card": self.card, "seconds_max": 60, "tenant": 1, "memory_mib": 512, "disk_mib": 64,
            "argv": (self.python, "-c", code),
        }  # fmt: skip
        return JobSpec(name=name, directory=directory, log=directory / "log.1", **given | more)

    def submit(self, code: str, **more: Any) -> JobSpec:
        spec = self.spec(code, **more)
        self.engine.submit(spec)
        return spec

    def status(self, spec: JobSpec) -> Status:
        return self.engine.watch([spec.name])[spec.name]

    def until(self, spec: JobSpec, *phases: Phase) -> Status:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while (status := self.status(spec)).phase not in phases:
            assert time.monotonic() < deadline, f"{spec.name} is {status}: {self.log(spec)}"
            time.sleep(0.1)
        return status

    def ended(self, spec: JobSpec) -> Status:
        return self.until(spec, Phase.ENDED, Phase.LOST)

    def run(self, code: str, **more: Any) -> tuple[Status, str]:
        spec = self.submit(code, **more)
        return self.ended(spec), self.log(spec)

    def log(self, spec: JobSpec) -> str:
        return self.engine.logs(spec, 0).decode(errors="replace")

    def wait_for_file(self, path: Path) -> str:
        deadline = time.monotonic() + WAIT_SECONDS_MAX
        while not (path.exists() and path.read_text()):
            assert time.monotonic() < deadline, path
            time.sleep(0.05)
        return path.read_text()

    @contextmanager
    def reserved(self, cards: int = 2, *, starts_in: float = -1, lasts: float = 3600) -> Iterator[Reservation]:
        now = datetime.now(UTC).replace(microsecond=0)
        begin = now + timedelta(seconds=starts_in)
        kept = Reservation(fresh("booking"), self.card, cards, begin, now + timedelta(seconds=starts_in + lasts))
        self.engine.reserve(kept)
        yield kept
        self.engine.release(kept.name)


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(EngineError) as caught:
        call(*arguments)
    return caught.value.code


class EngineContract:
    """Facts about any engine."""

    @pytest.fixture(autouse=True)
    def _short_grace(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who ignores signals is given one second, not five."""
        monkeypatch.setattr(local, "GRACE_SECONDS", 1)
        monkeypatch.setattr(batch_script, "GRACE_SECONDS", 1)

    def test_nothing_is_at_fault(self, site: Site) -> None:
        findings = site.engine.check()
        assert [finding for finding in findings if finding.level == "fault"] == []
        assert "separation" in {finding.code for finding in findings}
        assert site.engine.cards()[site.card] == site.cards

    def test_a_job_sees_its_folder_its_cards_and_its_own_environment_only(
        self, site: Site, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HUOSHUI_SECRET", "of the platform")
        code = "import os; print(sorted(os.environ.items())); print(os.getcwd()); open('outcome', 'w').write('done')"
        spec = site.submit(code, cards=2, environment={"GREETING": "你好 it's $HOME"})
        assert site.ended(spec) == Status(Phase.ENDED, 0, "", site.status(spec).node)
        said = site.log(spec)
        assert "('GREETING', \"你好 it's $HOME\")" in said
        assert "of the platform" not in said
        assert str(spec.directory) in said
        assert (spec.directory / "outcome").read_text() == "done"
        cards = dict(eval(said.splitlines()[0]))["CUDA_VISIBLE_DEVICES"].split(",")
        assert len(set(cards)) == (2 if site.numbered else 1)

    def test_what_was_asked_twice_happens_once(self, site: Site) -> None:
        with site.reserved(cards=2) as kept:
            site.engine.reserve(kept)
            assert site.engine.reservations()[kept.name] == kept or kept.start < datetime.now(UTC)
            spec = site.spec("open('runs', 'a').write('once ')", reservation=kept.name)
            for _ in range(3):
                site.engine.submit(spec)
            site.ended(spec)
            site.engine.submit(spec)
            time.sleep(1)
            assert (spec.directory / "runs").read_text() == "once "
            assert site.engine.reservations()[kept.name].cards == 2

    def test_a_reservation_may_grow_and_shrink(self, site: Site) -> None:
        with site.reserved(cards=2) as kept:
            later = kept.end + timedelta(hours=1)
            for changed in (replace(kept, cards=3), replace(kept, cards=1), replace(kept, cards=1, end=later)):
                site.engine.reserve(changed)
                stands = site.engine.reservations()[kept.name]
                assert (stands.cards, stands.end) == (changed.cards, changed.end)

    def test_what_runs_goes_on_when_its_reservation_shrinks(self, site: Site) -> None:
        with site.reserved(cards=2) as kept:
            spec = site.submit("import time; time.sleep(99)", cards=2, reservation=kept.name)
            site.until(spec, Phase.RUNNING)
            site.engine.reserve(replace(kept, cards=1))
            assert site.engine.reservations()[kept.name].cards == 1
            assert site.status(spec).phase is Phase.RUNNING
            assert refusal(site.engine.reserve, replace(kept, cards=site.cards + 1)) == "refused"
            assert site.engine.reservations()[kept.name].cards == 1

    def test_an_unknown_name_is_lost_and_has_no_account(self, site: Site) -> None:
        assert site.engine.watch(["never-was"]) == {"never-was": Status(Phase.LOST)}
        assert site.engine.usage(["never-was"]) == {}
        site.engine.cancel("never-was")
        site.engine.release("never-was")

    def test_cards_that_are_not_there_are_refused(self, site: Site) -> None:
        now = datetime.now(UTC)
        far = (now + timedelta(hours=5), now + timedelta(hours=6))
        refused = (
            refusal(site.engine.reserve, Reservation(fresh(), site.card, site.cards + 1, *far)),
            refusal(site.engine.submit, site.spec("", cards=site.cards + 1)),
            refusal(site.engine.submit, site.spec("", reservation="never-was")),
        )
        assert set(refused) == {"refused"}
        assert refusal(site.engine.reserve, Reservation(fresh(), "abacus", 1, *far)) == "unknown_card"
        assert refusal(site.engine.submit, site.spec("", card="abacus")) == "unknown_card"
        kept = Reservation(fresh(), site.card, site.cards, *far)
        site.engine.reserve(kept)
        assert refusal(site.engine.reserve, Reservation(fresh(), site.card, 1, *far)) == "refused"
        site.engine.release(kept.name)
        assert kept.name not in site.engine.reservations()

    def test_nodes_that_a_job_cannot_have_are_refused(self, site: Site) -> None:
        sizes = site.engine.nodes()[site.card]
        assert sum(sizes) <= site.cards
        beyond = len(sizes) + 1
        assert refusal(site.engine.submit, site.spec("", cards=beyond, nodes=beyond)) == "refused"
        assert refusal(lambda: site.spec("", cards=3, nodes=2)) == "refused"

    def test_how_a_command_ended(self, site: Site) -> None:
        failed = site.submit("raise SystemExit(7)")
        killed = site.submit("import os; os.kill(os.getpid(), 9)")
        missing = site.submit("", argv=("/no/such/program",))
        assert site.ended(failed).exit_code == 7
        assert site.ended(killed).exit_code == 137
        assert site.ended(missing).exit_code in (126, 127)

    def test_the_account_is_wall_seconds_times_cards(self, site: Site) -> None:
        began = time.time()
        spec = site.submit("import time; time.sleep(2)", cards=2)
        told = site.until(spec, Phase.RUNNING).started
        running = site.engine.usage([spec.name])
        site.ended(spec)
        account = site.engine.usage([spec.name])[spec.name]
        assert told is not None, "the cap counts from it"
        assert abs(told - account.started) <= timedelta(seconds=1)
        assert not running or running[spec.name].ended is None
        assert account.cards == 2
        assert account.ended is not None
        seconds = (account.ended - account.started).total_seconds()
        assert 2 <= account.card_seconds / 2 <= time.time() - began + 1
        assert abs(account.card_seconds / 2 - seconds) <= 1
        assert account.raw
        assert site.engine.usage([spec.name])[spec.name] == account

    def test_a_job_that_ignores_signals_ends_at_its_time(self, site: Site) -> None:
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('on', flush=True); time.sleep(99)"
        spec = site.submit(code, seconds_max=2)
        status = site.ended(spec)
        assert status.reason == "time_limit"
        assert 2 <= site.engine.usage([spec.name])[spec.name].card_seconds <= 2 + 1 + 3
        assert site.log(spec).strip() == "on"

    def test_a_cancelled_job_ends_with_all_it_started(self, site: Site) -> None:
        code = (
            "import os, subprocess, sys, time\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(98.5)'])\n"
            "open('started', 'w').write(str(child.pid)); time.sleep(99)"
        )
        spec = site.submit(code)
        site.wait_for_file(spec.directory / "started")
        site.engine.cancel(spec.name)
        assert site.ended(spec).reason == "cancelled"
        site.engine.cancel(spec.name)
        assert commands_with("time.sleep(98.5)") == []

    def test_a_reservation_binds_its_jobs(self, site: Site) -> None:
        with site.reserved(cards=2) as kept:
            first = site.submit("import time; time.sleep(2.5)", cards=2, reservation=kept.name)
            second = site.submit("print('second')", cards=1, reservation=kept.name)
            assert refusal(site.engine.submit, site.spec("", cards=3, reservation=kept.name)) == "refused"
            site.until(first, Phase.RUNNING)
            assert site.status(second).phase is Phase.WAITING
            site.ended(first)
            assert site.ended(second).exit_code == 0

    def test_a_job_waits_for_its_reservation_and_ends_with_it(self, site: Site) -> None:
        with site.reserved(starts_in=3, lasts=4) as kept:
            spec = site.submit("import time; time.sleep(60)", cards=2, reservation=kept.name)
            late = site.submit("open('ran', 'w')", reservation=kept.name)
            assert site.status(spec).phase is Phase.WAITING
            assert site.ended(spec).reason == "time_limit"
            assert site.ended(late).reason == "no_start"
            assert not (late.directory / "ran").exists()
            account = site.engine.usage([spec.name])[spec.name]
            assert account.started >= kept.start - timedelta(seconds=1)
            assert account.card_seconds / 2 <= 4 + 1 + 3

    def test_releasing_a_reservation_ends_what_runs_in_it(self, site: Site) -> None:
        with site.reserved() as kept:
            spec = site.submit("import time; time.sleep(99)", reservation=kept.name)
            site.until(spec, Phase.RUNNING)
            site.engine.release(kept.name)
            assert site.ended(spec).reason == "cancelled"

    def test_logs_are_read_from_a_byte_on_and_traps_are_not_followed(self, site: Site) -> None:
        spec = site.submit("import os; os.remove('log.1'); os.symlink('/etc/passwd', 'log.1')")
        plain = site.submit("print('abc')")
        site.ended(spec)
        site.ended(plain)
        assert site.engine.logs(spec, 0) == b""
        assert site.engine.logs(plain, 1, 1) == b"b"
        assert site.engine.logs(plain, 99) == b""

    def test_a_job_that_fills_the_disk_or_the_memory_is_ended(self, site: Site) -> None:
        disk = site.submit(
            "import itertools\nfor n in itertools.count():\n  open(str(n), 'wb').write(b'x' * (4 << 20))", disk_mib=20
        )
        memory = site.submit("kept = []\nwhile True: kept.append(bytearray(1 << 20))", memory_mib=100)
        output = site.submit("import os\nwhile True: os.write(1, b'y' * 65536)", disk_mib=20)
        assert site.ended(disk).reason == "disk"
        assert site.ended(memory).exit_code != 0
        assert site.ended(output).exit_code != 0
        assert (output.directory / "log.1").stat().st_size <= (64 << 20) + 200

    def test_bounds_and_names_that_make_no_sense(self, site: Site) -> None:
        for wrong in ({"cards": 0}, {"seconds_max": 0}, {"name": "a b"}, {"argv": ()}, {"environment": {"a b": ""}}):
            assert refusal(lambda given: site.spec("", **given), wrong) == "refused", wrong


def commands_with(text: str) -> list[int]:
    """Processes of this machine with a text in their command line."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in line:
                found.append(int(process.name))
    return found
