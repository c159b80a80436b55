"""This machine as an engine: the contract, and the walls around a job that means harm."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.contract import EngineContract, Site, commands_with, fresh, refusal

from huoshui.engines import EngineError, Phase, confine, open_engine
from huoshui.engines.local_cards import Cards, Kept, Taker

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives tenants users of their own")
CARDS = 4


@pytest.fixture(scope="module")
def workdir() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="huoshui-engine-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def site(workdir: Path) -> Site:
    return Site(open_engine("local", {"workdir": str(workdir), "cards": f"a100={CARDS}"}), workdir, "a100", CARDS)


class TestLocal(EngineContract):
    """The contract on this machine."""


@root
def test_a_tenant_reads_neither_another_tenants_files_nor_the_platforms(site: Site, workdir: Path) -> None:
    other = site.spec("", tenant=2)
    (other.directory / "secret").write_text("of tenant 2")
    assert site.run("", name=fresh(), directory=other.directory, tenant=2)[0].exit_code == 0
    platform = workdir / "settings"
    platform.write_text("password")  # readable by all, as far as users go
    code = f"""
for path in {[str(other.directory / "secret"), str(platform), str(workdir / ".engine/cards.json"), "/etc/shadow"]}:
    try:
        print(open(path).read())
    except OSError as error:
        print(error.errno)
"""
    _status, said = site.run(code, tenant=1)
    assert said.split() == ["13"] * 4


@root
def test_a_folder_that_was_another_tenants_stays_closed_to_the_next(site: Site) -> None:
    first = site.submit("open('mine', 'w').write('x')", tenant=1)
    site.ended(first)
    state = (first.directory / "mine").stat()
    assert state.st_uid == first.directory.stat().st_uid >= 200_000
    assert first.directory.stat().st_mode & 0o077 == 0


def test_a_job_neither_signals_nor_sees_the_platform(site: Site) -> None:
    code = f"""
import os
for call in (lambda: os.kill({os.getpid()}, 0), lambda: open('/tmp/{fresh()}', 'w'), lambda: os.kill(1, 9)):
    try:
        call()
        print('did')
    except OSError:
        print('could not')
print(sorted(name for name in os.listdir('/proc') if name.isdigit())[:9])
"""
    _status, said = site.run(code)
    lines = said.splitlines()
    assert "did" not in lines[:2]
    assert len(eval(lines[3])) <= 3, "only the job's own processes are in its /proc"


def test_a_fork_bomb_ends_with_everything_in_it(site: Site) -> None:
    code = "import os, sys\nwhile True:\n  try: os.fork()\n  except OSError: pass  # bomb-7341"
    spec = site.submit(code, seconds_max=2, processes_max=40)
    site.until(spec, Phase.RUNNING)
    time.sleep(1)
    assert len(commands_with("bomb-7341")) <= 41
    assert site.ended(spec).reason == "time_limit"
    assert commands_with("bomb-7341") == []


def test_who_leaves_the_session_ends_with_the_job(site: Site) -> None:
    code = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(97.25)
    os._exit(0)
time.sleep(0.5)
"""
    status, _said = site.run(code)
    assert status.exit_code == 0
    assert commands_with("time.sleep(97.25)") == []


def test_removed_files_that_stay_open_count(site: Site) -> None:
    code = """
import os, time
kept = []
for number in range(9):
    kept.append(open('big', 'wb')); kept[-1].write(b'x' * (8 << 20)); kept[-1].flush(); os.remove('big')
time.sleep(30)
"""
    assert site.run(code, disk_mib=30)[0].reason == "disk"


def test_output_beyond_its_bound_is_not_kept_and_the_job_goes_on(site: Site) -> None:
    code = "import os\nfor _ in range(1100): os.write(1, b'y' * 65536)\nopen('done', 'w').write('x')"
    spec = site.submit(code, disk_mib=500)
    assert site.ended(spec).exit_code == 0
    assert (64 << 20) < (spec.directory / "log.1").stat().st_size < (64 << 20) + 200
    assert site.engine.logs(spec, 64 << 20).endswith(b"is not kept]\n")


def test_a_dead_supervisor_is_a_lost_job_with_the_account_so_far(site: Site, workdir: Path) -> None:
    spec = site.submit("import time; time.sleep(96.125)", cards=2)
    site.until(spec, Phase.RUNNING)
    site.wait_for_file(workdir / ".engine" / "jobs" / spec.name / "state.json")
    time.sleep(2.4)
    folder = f"{workdir}/.engine/jobs/{spec.name}"
    (shim,) = (pid for pid in commands_with(folder) if _parent(pid) == _parent_of_daemons())
    os.kill(shim, signal.SIGKILL)
    status = site.ended(spec)
    assert (status.phase, status.reason) == (Phase.LOST, "node_lost")
    account = site.engine.usage([spec.name])[spec.name]
    assert account.ended is not None
    assert 2 * 2 <= account.card_seconds <= 2 * 4
    time.sleep(0.2)
    assert commands_with("time.sleep(96.125)") == []
    assert site.run("print('cards are free again')", cards=CARDS)[0].exit_code == 0
    site.engine.submit(spec)
    assert site.status(spec).phase is Phase.LOST, "a lost job is not run again"


def _parent(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def _parent_of_daemons() -> int:
    """Whoever adopts a process that left its parent: the first of the machine, unless something adopts before it."""
    done = subprocess.run(
        [sys.executable, "-c", "import os, time\nif os.fork() == 0:\n  time.sleep(0.2); print(os.getppid())"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return int(done.stdout)


def test_a_restart_of_the_platform_disturbs_no_job(site: Site, workdir: Path) -> None:
    name, directory = fresh(), workdir / fresh()
    directory.mkdir()
    program = f"""
import sys
from pathlib import Path
from huoshui.engines import JobSpec, open_engine
folder = Path({str(directory)!r})
open_engine("local", {{"workdir": {str(workdir)!r}, "cards": "a100={CARDS}"}}).submit(JobSpec(
    {name!r}, (sys.executable, "-c", "import time; time.sleep(1); print('survived')"), folder, folder / "log.1",
    cards=1, card="a100", seconds_max=60, tenant=1))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
    spec = site.spec("", name=name, directory=directory)
    assert site.ended(spec).exit_code == 0
    assert site.log(spec) == "survived\n"


def test_cards_are_never_given_twice(site: Site, workdir: Path) -> None:
    code = """
import os, time
start = time.time(); time.sleep(0.4)
print(os.environ["HUOSHUI_CARD_IDS"], start, time.time())
"""
    specs = [site.submit(code, cards=cards) for cards in (2, 1, 2, 3, 1, 4)]
    for spec in specs:
        assert site.ended(spec).exit_code == 0
    seen = [site.log(spec).split() for spec in specs]
    stretches = [(set(ids.split(",")), float(start), float(end)) for ids, start, end in seen]
    for at, (ids, start, end) in enumerate(stretches):
        for others, began, over in stretches[:at]:
            assert end <= began or over <= start or not ids & others


@root
def test_without_root_landlock_keeps_files_apart() -> None:
    """The same engine under an ordinary user: walls that need no privilege hold too."""
    if not confine.landlock_version():
        pytest.skip("this kernel has no Landlock")
    folder = Path(tempfile.mkdtemp(prefix="huoshui-engine-"))
    python = "/usr/bin/python3"
    os.chown(folder, 65_500, 65_500)
    source = str(Path(confine.__file__).parents[2])
    program = f"""
import json, sys, time
sys.path.insert(0, {source!r})
from pathlib import Path
from huoshui.engines import JobSpec, open_engine
engine = open_engine("local", {{"workdir": {str(folder)!r}, "cards": "a100=1", "python": {python!r}}})
findings = [(finding.level, finding.code, finding.text) for finding in engine.check()]
home = Path({str(folder)!r}, "job"); home.mkdir()
(home.parent / "secret").write_text("x")
code = "try: open('../secret')\\nexcept OSError as error: print(error.errno)\\nopen('out', 'w').write('y')"
engine.submit(JobSpec("j", ({python!r}, "-c", code), home, home / "log", cards=1, card="a100", seconds_max=9, tenant=3))
while engine.watch(["j"])["j"].phase in ("waiting", "running"): time.sleep(0.05)
print(json.dumps([findings, (home / "log").read_text(), (home / "out").exists()]))
"""
    done = subprocess.run(
        ["setpriv", "--reuid=65500", "--regid=65500", "--clear-groups", python, "-c", program],
        capture_output=True, text=True, timeout=60, cwd="/",
    )  # fmt: skip
    shutil.rmtree(folder)
    assert done.returncode == 0, done.stderr
    findings, said, wrote = json.loads(done.stdout)
    assert [level for level, code, _text in findings if code == "separation"] == ["ok"], findings
    assert "the platform's own user" in str(findings)
    assert (said, wrote) == ("13\n", True)


def test_settings_that_make_no_sense(tmp_path: Path) -> None:
    for cards in ("", "a100", "a100=x", "a100=0", "a100=1,a100=2"):
        assert refusal(open_engine, "local", {"workdir": str(tmp_path), "cards": cards}) == "settings", cards
    assert refusal(open_engine, "abacus", {}) == "settings"
    (finding, *_others) = open_engine("local", {"workdir": "/proc/nowhere", "cards": "a100=1"}).check()
    assert finding.level == "fault"


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.integers(0, 50), st.integers(1, 20)).map(
            lambda drawn: (drawn[0], drawn[1], drawn[1] + drawn[2])
        ),
        max_size=12,
    )
)
def test_reservations_never_exceed_the_cards(drawn: list[tuple[int, int, int]]) -> None:
    """Whatever is asked for in whatever order, no instant has more reserved than there is, and refusals are needed."""
    base = time.time() + 1_000
    cards = Cards({"a100": 6})
    for number, (count, start, end) in enumerate(drawn):
        before = {at: _reserved(cards, base + at) for at in range(start, end)}
        try:
            cards.reserve(str(number), Kept("a100", count, base + start, base + end))
        except EngineError:
            assert max(before.values()) + count > 6
        else:
            assert max(before.values()) + count <= 6
    assert all(_reserved(cards, base + at) <= 6 for at in range(71))


def _reserved(cards: Cards, at: float) -> int:
    return sum(kept.cards for kept in cards.reservations.values() if kept.start <= at < kept.end)


@given(st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=10), st.integers(0, 4))
def test_takers_never_hold_a_card_twice(asked: list[tuple[int, bool]], reserved: int) -> None:
    """Jobs with and without a reservation share the cards, and a reservation's cards stay for its own."""
    cards = Cards({"a100": 6})
    now = time.time()
    if reserved:
        cards.reserve("kept", Kept("a100", reserved, now - 1, now + 1_000))
    for number, (count, inside) in enumerate(asked):
        taker = Taker("a100", count, "kept" if inside and reserved else "", 60, 0)
        try:
            cards.queue(str(number), taker)
        except EngineError:
            assert count > (reserved if taker.reservation else 6)
    for name in cards.takers:
        cards.take(name)
    held = [number for taker in cards.takers.values() for number in taker.ids or ()]
    assert len(held) == len(set(held)) <= 6
    running = [taker for taker in cards.takers.values() if taker.ids is not None]
    assert sum(taker.cards for taker in running if taker.reservation) <= reserved
    assert sum(taker.cards for taker in running if not taker.reservation) <= 6 - reserved
