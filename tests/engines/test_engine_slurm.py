"""Slurm as an engine: the contract on a real cluster, and a Slurm that dies, lies, answers late or twice."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engines.contract import EngineContract, Site, commands_with, fresh, refusal
from tests.engines.slurm_cluster import NODES, Cluster, cluster, kernel_cluster, plain_cluster, wait_for

from huoshui.engines import JobSpec, Phase, batch_script, confine, open_engine, slurm

__all__ = ["cluster", "kernel_cluster", "plain_cluster"]
TOTAL = 16
SPREAD = 8
"""Cards over two nodes of eight."""
PROGRAMS = ("sbatch", "squeue", "sacct", "scontrol", "scancel", "sinfo")


def opened(made: Cluster, workdir: Path, **more: str) -> Site:
    return Site(open_engine("slurm", made.settings(workdir, **more)), workdir, "a100", TOTAL)


@pytest.fixture
def site(cluster: Cluster, tmp_path: Path) -> Site:
    return opened(cluster, tmp_path)


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder of Slurm's commands, of which a test may replace one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in PROGRAMS:
        (folder / program).symlink_to(str(shutil.which(program)))
    return folder


def replaced(tools: Path, program: str, script: str) -> None:
    """`REAL` in the script is the command that it stands for."""
    (tools / program).unlink(missing_ok=True)
    (tools / program).write_text("#!/bin/sh\n" + script.replace("REAL", str(shutil.which(program))))
    (tools / program).chmod(0o755)


class TestSlurm(EngineContract):
    """The contract on Slurm. Without slurmdbd, which hears of a short job only seconds after its end."""

    @pytest.fixture
    def site(self, plain_cluster: Cluster, tmp_path: Path) -> Site:
        return opened(plain_cluster, tmp_path)


def test_the_account_is_what_sacct_says_and_the_job_knows_its_node(site: Site, cluster: Cluster) -> None:
    spec = site.submit("import os, time; print(os.environ['SLURMD_NODENAME']); time.sleep(2)", cards=3)
    assert site.ended(spec).node == site.log(spec).strip()
    account = site.engine.usage([spec.name])[spec.name]
    fields = "-n", "-P", "-X", "-o", "elapsedraw,alloctres"
    if not cluster.dbd:
        pytest.skip("no slurmdbd here")
    elapsed, tres = cluster.run("sacct", f"--name={spec.name}", *fields).strip().split("|")
    assert "gres/gpu:a100=3" in tres
    assert account.card_seconds == int(elapsed) * 3 >= 6
    assert account.source == "sacct"
    assert account.raw.endswith(tres)


TELL = """
import json, os, sys
names = ("HUOSHUI_NODES", "HUOSHUI_NODE", "HUOSHUI_FIRST_NODE", "SLURMD_NODENAME", "GREETING")
told = {name: os.environ[name] for name in names}
told["cards"] = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
told["foreign"] = [name for name in os.environ if name.startswith("SLURM_")]
try:
    open("/etc/cron.d/x", "w")
except OSError as error:
    told["elsewhere"] = error.errno
open("told-" + told["HUOSHUI_NODE"], "w").write(json.dumps(told))
"""


def on_two_nodes(site: Site, code: str, cards: int = SPREAD, **more: Any) -> JobSpec:
    return site.submit(code, cards=cards, nodes=2, **more)


def test_a_job_of_two_nodes_runs_on_both_and_its_account_is_what_sacct_says(site: Site, cluster: Cluster) -> None:
    assert site.engine.nodes()["a100"] == [TOTAL // 2] * 2
    spec = on_two_nodes(site, TELL + "import time; time.sleep(2)", environment={"GREETING": "你好 it's $HOME"})
    assert site.ended(spec).exit_code == 0, site.log(spec)
    told = [json.loads((spec.directory / f"told-{number}").read_text()) for number in (0, 1)]
    nodes = cluster.run("scontrol", "show", "hostnames", site.status(spec).node).split()
    assert sorted(nodes) == sorted(NODES["a100"])
    for number, one in enumerate(told):
        assert (one["HUOSHUI_NODES"], one["HUOSHUI_NODE"]) == ("2", str(number))
        assert (one["HUOSHUI_FIRST_NODE"], one["SLURMD_NODENAME"]) == (nodes[0], nodes[number])
        assert one["GREETING"] == "你好 it's $HOME"
        assert len(set(one["cards"])) == SPREAD // 2
        assert one["foreign"] == []
        assert not confine.landlock_version() or one["elsewhere"] == 13
    account = site.engine.usage([spec.name])[spec.name]
    assert account.cards == SPREAD
    if cluster.dbd:
        fields = "-n", "-P", "-X", "-o", "elapsedraw,alloctres"
        elapsed, tres = cluster.run("sacct", f"--name={spec.name}", *fields).strip().split("|")
        assert f"gres/gpu:a100={SPREAD}" in tres
        assert account.card_seconds == int(elapsed) * SPREAD >= 2 * SPREAD


def test_the_node_that_fails_ends_the_job_on_all(plain_cluster: Cluster, tmp_path: Path) -> None:
    site = opened(plain_cluster, tmp_path)
    spec = on_two_nodes(site, """
import os, sys, time
node = os.environ["HUOSHUI_NODE"]
print("node", node, flush=True)
if node == "0":
    time.sleep(98.25)
while "node 0" not in open("log.1").read():
    time.sleep(0.1)
sys.exit(7)
""")  # fmt: skip
    status = site.ended(spec)
    assert (status.exit_code, status.reason) == (7, "")
    assert "0: node 0" in site.log(spec)
    assert commands_with("time.sleep(98.25)") == []


def test_a_job_of_two_nodes_ends_on_both_when_cancelled_or_out_of_time(
    plain_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_script, "GRACE_SECONDS", 1)
    site = opened(plain_cluster, tmp_path)
    code = "import os, time; open('on-' + os.environ['HUOSHUI_NODE'], 'w').write('1'); time.sleep(98.75)"
    cancelled = on_two_nodes(site, code, cards=2)
    over = on_two_nodes(site, code, cards=2, seconds_max=2)
    for spec in (cancelled, over):
        for number in (0, 1):
            site.wait_for_file(spec.directory / f"on-{number}")
    site.engine.cancel(cancelled.name)
    assert site.ended(cancelled).reason == "cancelled"
    assert site.ended(over).reason == "time_limit"
    assert commands_with("time.sleep(98.75)") == []


NODE_0_IS_THROUGH = """
import os, sys, time
if os.environ["HUOSHUI_NODE"] == "0":
    sys.exit()
"""


def test_time_and_disk_hold_when_the_first_node_is_through(
    plain_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_script, "GRACE_SECONDS", 1)
    site = opened(plain_cluster, tmp_path)
    disk = on_two_nodes(site, NODE_0_IS_THROUGH + """
for number in range(10):
    open(str(number), "wb").write(b"x" * (4 << 20))
time.sleep(97.25)
""", cards=2, disk_mib=20)  # fmt: skip
    over = on_two_nodes(site, NODE_0_IS_THROUGH + "time.sleep(97.25)", cards=2, seconds_max=3)
    assert (site.ended(disk).reason, site.ended(over).reason) == ("disk", "time_limit")
    assert commands_with("time.sleep(97.25)") == []


def test_the_script_keeps_time_when_srun_hangs(
    plain_cluster: Cluster, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_script, "GRACE_SECONDS", 1)
    site = opened(plain_cluster, tmp_path, bin=str(tools))
    (tools / "srun").write_text("#!/bin/bash\ntrap '' TERM\nwhile :; do sleep 1; done\n")
    (tools / "srun").chmod(0o755)
    spec = on_two_nodes(site, "pass", cards=2, seconds_max=2)
    assert site.ended(spec).reason == "time_limit"
    account = site.engine.usage([spec.name])[spec.name]
    assert account.card_seconds / 2 <= 2 + 2 + 5


def test_a_node_that_failed_before_its_time_was_over_is_told_as_failed(
    plain_cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others take until after the time to end: here, since they do not listen to being asked.

    The one fails less before the end than Slurm waits (`KillWait`), counted from the file that the script makes first.
    """
    monkeypatch.setattr(batch_script, "GRACE_SECONDS", 1)
    site = opened(plain_cluster, tmp_path)
    spec = on_two_nodes(site, """
import glob, os, signal, sys, time
if os.environ["HUOSHUI_NODE"] == "1":
    time.sleep(max(0, os.stat(glob.glob(".ran-*")[0]).st_mtime + 4.7 - time.time()))
    sys.exit(7)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(96.25)
""", cards=2, seconds_max=6)  # fmt: skip
    status = site.ended(spec)
    assert (status.exit_code, status.reason) == (7, "")
    assert commands_with("time.sleep(96.25)") == []


def test_several_nodes_are_asked_before_they_are_ended(plain_cluster: Cluster, tmp_path: Path) -> None:
    site = opened(plain_cluster, tmp_path)
    spec = on_two_nodes(site, """
import os, signal, time
node = os.environ["HUOSHUI_NODE"]
signal.signal(signal.SIGTERM, lambda *_: (open("kept-" + node, "w").write("checkpoint"), os._exit(0)))
time.sleep(60)
""", cards=2, seconds_max=3)  # fmt: skip
    assert site.ended(spec).reason == "time_limit"
    assert {site.wait_for_file(spec.directory / f"kept-{node}") for node in (0, 1)} == {"checkpoint"}


@pytest.mark.parametrize("nodes", [1, 2])
def test_memory_that_the_kernel_keeps_is_told_as_the_reason(
    kernel_cluster: Cluster, tmp_path: Path, nodes: int
) -> None:
    site = opened(kernel_cluster, tmp_path)
    spec = site.submit("""
import os, time
kept = []
while os.environ.get("HUOSHUI_NODE", "0") == "0":
    kept.append(b"x" * (1 << 20))
time.sleep(60)
""", cards=nodes, nodes=nodes, memory_mib=100)  # fmt: skip
    assert site.ended(spec).reason == "memory", site.log(spec)


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_command_cannot_speak_for_the_batch_script(plain_cluster: Cluster, tmp_path: Path, nodes: int) -> None:
    """Its exit status is never one of the script's own, also not by the bit that Slurm drops; its account stands."""
    site = opened(plain_cluster, tmp_path)
    own = (115, 116, 117, 118) if nodes == 1 else (115,)
    specs = [
        site.submit(f"raise SystemExit({code})", nodes=nodes, cards=nodes)
        for code in (*own, *(code + 128 for code in own), 128, 147)
    ]
    for spec in specs:
        status = site.ended(spec)
        assert (status.exit_code, status.reason) == (1, ""), spec.argv
    assert set(site.engine.usage([spec.name for spec in specs])) == {spec.name for spec in specs}


def test_what_a_tenant_writes_as_the_first_failure_is_no_status_of_the_script(
    plain_cluster: Cluster, tmp_path: Path
) -> None:
    site = opened(plain_cluster, tmp_path)
    spec = site.spec("", cards=2, nodes=2)
    code = f"open('.failed-{spec.name}', 'w').write('115'); raise SystemExit(3)"
    site.engine.submit(replace(spec, argv=(site.python, "-c", code)))
    assert (site.ended(spec).exit_code, site.status(spec).reason) == (1, "")
    assert site.engine.usage([spec.name])[spec.name].ended is not None


@pytest.mark.parametrize(("elapsed", "counts"), [(1, False), (3600, True)])
def test_a_repeat_is_one_that_took_no_time(tmp_path: Path, tools: Path, elapsed: int, counts: bool) -> None:
    line = f"7|name|{os.geteuid()}|FAILED|node1|115:0|1000|{1000 + elapsed}|{elapsed}|gres/gpu:a100=2"
    replaced(tools, "sacct", f"echo '{line}'\n")
    replaced(tools, "scontrol", "echo 'AccountingStorageType = accounting_storage/slurmdbd'\n")
    engine = open_engine("slurm", {"workdir": str(tmp_path), "cards": "a100=a100", "bin": str(tools)})
    assert ("name" in engine.usage(["name"])) is counts


def test_an_sbatch_that_is_taken_but_does_not_answer_runs_once(
    plain_cluster: Cluster, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is accepted and then hangs: the engine looks, finds the job, and asks no second time."""
    monkeypatch.setattr(slurm, "COMMAND_SECONDS_MAX", 2)
    site = opened(plain_cluster, tmp_path, bin=str(tools))
    replaced(tools, "sbatch", f'echo asked >> {tmp_path}/asked\nREAL "$@"\nexec sleep 30\n')
    spec = site.spec("open('runs', 'a').write('once ')")
    site.engine.submit(spec)
    site.engine.submit(spec)
    site.ended(spec)
    assert (tmp_path / "asked").read_text() == "asked\n"
    assert (spec.directory / "runs").read_text() == "once "


def test_an_sbatch_that_nobody_took_may_be_tried_again(
    plain_cluster: Cluster, tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "COMMAND_SECONDS_MAX", 2)
    site = opened(plain_cluster, tmp_path, bin=str(tools))
    replaced(tools, "sbatch", "exec sleep 30\n")
    spec = site.spec("print('at last')")
    assert refusal(site.engine.submit, spec) == "unreachable"
    replaced(tools, "sbatch", 'exec REAL "$@"\n')
    site.engine.submit(spec)
    assert site.ended(spec).exit_code == 0
    assert site.log(spec) == "at last\n"


def test_a_reservation_that_is_still_in_use_is_a_refusal_and_no_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "DELETE_SECONDS", 0)
    shown = 'echo "ReservationName=kept StartTime=1 EndTime=9999999999 Licenses=a100:2"'
    busy = '[ "$1" != delete ] || { echo "Requested reservation is in use" >&2; exit 1; }'
    replaced(tmp_path, "scontrol", f"{busy}\n{shown}\n")
    replaced(tmp_path, "scancel", "exit 0\n")
    engine = open_engine("slurm", {"workdir": str(tmp_path), "cards": "a100=a100", "bin": str(tmp_path)})
    assert refusal(engine.release, "kept") == "refused"


def test_a_job_that_was_taken_twice_runs_once(plain_cluster: Cluster, tmp_path: Path, tools: Path) -> None:
    """Worse: both were accepted. The second finds that the first ran, and bills nothing."""
    site = opened(plain_cluster, tmp_path, bin=str(tools))
    script = tmp_path / "script"
    replaced(tools, "sbatch", f'cat > {script}; REAL "$@" < {script}; exec REAL "$@" < {script}\n')
    spec = site.submit("import time; time.sleep(1.5); open('runs', 'a').write('once ')", cards=2)
    assert site.ended(spec).exit_code == 0
    wait_for(lambda: not plain_cluster.run("squeue", "-h", f"--name={spec.name}").strip())
    assert (spec.directory / "runs").read_text() == "once "
    assert site.status(spec).exit_code == 0
    assert len(site.engine.usage([spec.name])[spec.name].raw.splitlines()) == 1


def test_a_job_that_an_operator_requeues_does_not_run_again(site: Site, cluster: Cluster) -> None:
    spec = site.submit("open('runs', 'a').write('once '); import time; time.sleep(60)")
    site.wait_for_file(spec.directory / "runs")
    job = cluster.run("squeue", "-h", "-o", "%i", f"--name={spec.name}").strip()
    cluster.run("scontrol", "update", f"JobId={job}", "Requeue=1")
    cluster.run("scontrol", "requeue", job)
    status = site.ended(spec)
    assert (status.phase, status.reason) == (Phase.ENDED, "node_lost")
    wait_for(lambda: not cluster.run("squeue", "-h", f"--name={spec.name}").strip())
    assert (spec.directory / "runs").read_text() == "once "


def test_a_node_that_goes_down_ends_its_jobs(site: Site, cluster: Cluster) -> None:
    spec, both = site.submit("import time; time.sleep(60)"), on_two_nodes(site, "import time; time.sleep(60)", cards=2)
    site.until(both, Phase.RUNNING)
    node = site.until(spec, Phase.RUNNING).node
    try:
        cluster.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
        for status in (site.ended(spec), site.ended(both)):
            assert (status.phase, status.reason) == (Phase.ENDED, "node_lost")
        assert site.engine.cards()["a100"] == TOTAL // len(NODES["a100"])
        assert site.engine.nodes()["a100"] == [TOTAL // 2] * 2
    finally:
        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
        wait_for(cluster.ready)
    assert site.engine.usage([spec.name])[spec.name].ended is not None


def test_a_controller_that_is_gone_is_unreachable_and_its_jobs_are_there_when_it_is_back(
    site: Site, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = site.submit("import time; time.sleep(3)")
    site.until(spec, Phase.RUNNING)
    monkeypatch.setattr(slurm, "COMMAND_SECONDS_MAX", 1)
    cluster.stop_controller()
    try:
        assert refusal(site.engine.watch, [spec.name]) == "unreachable"
        assert refusal(site.engine.submit, site.spec("")) == "unreachable"
        assert {finding.level for finding in site.engine.check()} >= {"fault"}
    finally:
        monkeypatch.undo()
        cluster.start_controller()
        wait_for(cluster.ready)
    assert site.ended(spec).exit_code == 0
    assert site.engine.usage([spec.name])[spec.name].card_seconds >= 3


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("sacct", "echo 'half a li'"),
        ("sacct", "echo 'x|NAME|0|COMPLETED|node1|0:0|1|2|1|gres/gpu:a100=1'"),
        ("sacct", "echo '7|NAME|0|COMPLETED|node1|0:0|20|10|-1|gres/gpu:a100=1'"),
        ("sacct", "echo '7|NAME|0|COMPLETED|node1|0:0|20|10|5|gres/gpu:a100=1'"),
        ("sacct", "echo '7|NAME|0|COMPLETED|node1|0:0|10|20|10|gres/gpu:a100=many'"),
        ("squeue", "head -c 300 /dev/urandom | base64 -w 40; exit 0"),
        ("squeue", "echo 'Bus error' >&2; kill -7 $$"),
    ],
)
def test_nonsense_is_an_error_and_no_account(
    cluster: Cluster, tmp_path: Path, tools: Path, program: str, answer: str
) -> None:
    site = opened(cluster, tmp_path, bin=str(tools))
    name = fresh()
    replaced(tools, program, answer.replace("NAME", name) + "\n")
    assert refusal(site.engine.watch, [name]) in ("malformed", "refused")
    if program == "sacct":
        assert refusal(site.engine.usage, [name]) == "malformed"


def test_nodes_that_sleep_count_as_working_and_those_that_do_not_answer_do_not(tmp_path: Path, tools: Path) -> None:
    states = ("idle~", "allocated#", "mixed@", "idle%", "allocated+", "idle*", "mixed$", "idle^", "down", "draining")
    replaced(tools, "sinfo", "".join(f"echo 'node{at}|{state}|gpu:a100:1'\n" for at, state in enumerate(states)))
    engine = open_engine("slurm", {"workdir": str(tmp_path), "cards": "a100=a100", "bin": str(tools)})
    assert (engine.cards(), len(engine.nodes()["a100"])) == ({"a100": 5}, len(states))


def test_accounting_that_is_down_loses_no_job(cluster: Cluster, tmp_path: Path, tools: Path) -> None:
    site = opened(cluster, tmp_path, bin=str(tools))
    replaced(tools, "sacct", "echo 'sacct: error: slurm_persist_conn_open: Connection refused' >&2; exit 1\n")
    assert refusal(site.engine.watch, [fresh()]) == "unreachable"


def test_many_jobs_are_watched_with_two_questions(cluster: Cluster, tmp_path: Path, tools: Path) -> None:
    site = opened(cluster, tmp_path, bin=str(tools))
    specs = [site.submit("pass") for _ in range(4)]
    for spec in specs:
        site.ended(spec)
    for program in ("squeue", "sacct"):
        replaced(tools, program, f'echo {program} >> {tmp_path}/calls\nexec REAL "$@"\n')
    names = [spec.name for spec in specs]
    assert {status.exit_code for status in site.engine.watch(names).values()} == {0}
    assert (tmp_path / "calls").read_text().split() == ["squeue", "sacct"]
    assert set(site.engine.usage(names)) == set(names)


def test_without_slurmdbd_the_account_is_jobcomps_with_the_cards_asked_for(
    plain_cluster: Cluster, tmp_path: Path
) -> None:
    site = opened(plain_cluster, tmp_path)
    spec = site.submit("import time; time.sleep(2)", cards=2)
    assert site.ended(spec).exit_code == 0
    account = site.engine.usage([spec.name])[spec.name]
    assert account.source == "jobcomp+request"
    assert account.card_seconds in (4, 6)
    assert "warning" in {finding.level for finding in site.engine.check() if finding.code == "accounting"}


@pytest.mark.skipif(not confine.landlock_version(), reason="this kernel has no Landlock")
def test_a_job_on_a_node_reads_no_other_jobs_folder(plain_cluster: Cluster, tmp_path: Path) -> None:
    """Even as the same user, and what is readable to all: only its folder, and what the site lets jobs read."""
    shared, other = tmp_path / "shared", tmp_path / "other"
    for folder in (shared, other):
        folder.mkdir()
        (folder / "file").write_text("content")
    site = opened(plain_cluster, tmp_path, readable=str(shared), python=sys.executable)
    code = f"""
import os
for path, mode in (("{shared}/file", "r"), ("{shared}/file", "a"), ("{other}/file", "r"), ("/etc/cron.d/x", "w")):
    try:
        print(open(path, mode).read() if mode == "r" else open(path, mode))
    except OSError as error:
        print(error.errno)
"""
    assert site.run(code)[1].split() == ["content", "13", "13", "13"]


@pytest.mark.skipif(not confine.landlock_version(), reason="this kernel has no Landlock")
def test_a_job_submits_no_job(plain_cluster: Cluster, tmp_path: Path) -> None:
    """Else what it submits would run as the same user, enclosed by nothing and billed to nobody."""
    (tmp_path / "other").write_text("another firm's")
    site = opened(plain_cluster, tmp_path)
    with site.reserved(cards=2) as kept:
        status, said = site.run(f"""
import os, subprocess
open("slurm.conf", "w").write({plain_cluster.conf.read_text()!r})
done = subprocess.run(
    ["sbatch", "--reservation={kept.name}", "--licenses=a100:2", "--job-name=beside", "--chdir=/"], text=True,
    input="#!/bin/sh\\ncp {tmp_path}/other {tmp_path}/stolen\\n", capture_output=True,
    env=os.environ | {{"SLURM_CONF": os.path.abspath("slurm.conf")}},
)
print(done.returncode, done.stderr)
""", reservation=kept.name)  # fmt: skip
        assert status.exit_code == 0, said
        assert said.startswith("1 ")
        assert "Munge encode failed" in said
        assert "beside" not in plain_cluster.run("squeue", "-h", "-t", "all", "-o", "%j")
    assert not (tmp_path / "stolen").exists()


@pytest.mark.skipif(not confine.landlock_version(), reason="this kernel has no Landlock")
def test_that_tenants_share_a_user_must_be_accepted(plain_cluster: Cluster, tmp_path: Path) -> None:
    def separation(**more: str) -> list[tuple[str, str]]:
        findings = opened(plain_cluster, tmp_path, **more).engine.check()
        return [(finding.level, finding.text) for finding in findings if finding.code in ("separation", "probe")]

    ((level, text),) = separation(shared_user="")
    assert (level, "shared_user=yes" in text) == ("fault", True)
    (shared, probed) = separation()
    assert shared[0] == "warning"
    assert probed == ("ok", "a job on a node reaches nothing of others")
    assert "J" not in "".join(path.name for path in tmp_path.iterdir())


def test_a_node_on_which_the_probe_fails_is_a_fault(plain_cluster: Cluster, tmp_path: Path) -> None:
    site = opened(plain_cluster, tmp_path, python="/no/such/python")
    (finding,) = (finding for finding in site.engine.check() if finding.code == "probe")
    assert finding.level == "fault"
    assert "/no/such/python" in finding.text


def test_the_python_of_the_nodes_is_not_run_here(tmp_path: Path, tools: Path) -> None:
    (tmp_path / "python").write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    (tmp_path / "python").chmod(0o755)
    replaced(tools, "sbatch", f"cat > {tmp_path}/script\n")
    replaced(tools, "scontrol", "echo 'AuthInfo = (null)'\n")
    given = {"workdir": str(tmp_path), "cards": "a100=a100", "bin": str(tools), "python": str(tmp_path / "python")}
    Site(open_engine("slurm", given), tmp_path, "a100", TOTAL).submit("")
    assert f"{tmp_path}/python -I -S" in (tmp_path / "script").read_text()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("nodes", [1, 2])
def test_a_job_has_processors_of_its_own_on_each_node(plain_cluster: Cluster, tmp_path: Path, nodes: int) -> None:
    site = opened(plain_cluster, tmp_path)
    spec = site.submit("import time; time.sleep(3)", cards=nodes, nodes=nodes, cpus=6)
    site.until(spec, Phase.RUNNING)
    job = plain_cluster.run("squeue", "-h", f"--name={spec.name}", "-o", "%i %C").split()
    assert int(job[1]) == 6 * nodes
    if nodes > 1:
        step = ("scontrol", "show", "step", f"{job[0]}.0")
        wait_for(lambda: f"CPUs={6 * nodes} " in plain_cluster.run(*step, check=False))
    assert site.ended(spec).exit_code == 0, site.log(spec)


def by_hand(made: Cluster, reservation: str, *more: str) -> str:
    """A job that somebody with an account on the cluster submits beside the platform; its number."""
    asked = ("--parsable", "--output=/dev/null", f"--reservation={reservation}", "--licenses=a100:2", "--chdir=/")
    return made.run("sbatch", *asked, "--gres=gpu:a100:2", *more, "--wrap=sleep 60").strip()


def test_what_others_submit_in_a_reservation_is_found_and_accounted_for(site: Site, cluster: Cluster) -> None:
    with site.reserved(cards=4) as kept:
        ours = site.submit("import time; time.sleep(60)", cards=1, reservation=kept.name)
        number = by_hand(cluster, kept.name, f"--job-name={ours.name}")
        wait_for(lambda: site.engine.find([kept.name]))
        site.until(ours, Phase.RUNNING)
        (found,) = site.engine.find([kept.name])
        assert (found.name, found.reservation, found.cards) == (f"{kept.name}-{number}", kept.name, 2)
        assert site.engine.find(["another"]) == []
        assert site.engine.watch([found.name])[found.name].started == found.started
        site.engine.cancel(ours.name)
        assert site.ended(ours).reason == "cancelled"
        assert site.engine.watch([found.name])[found.name].phase is Phase.RUNNING
        site.engine.cancel(found.name)
        wait_for(lambda: site.engine.watch([found.name])[found.name].reason == "cancelled", 20)
        account = site.engine.usage([found.name])[found.name]
        assert (account.cards, account.ended is None) == (2, False)
        both = site.engine.usage([ours.name, found.name])
        assert both[found.name] == account, "also where its own name is that of another that is asked for"
        assert both[ours.name].cards == 1
        if cluster.dbd:
            assert account.raw.startswith(f"{number}|{ours.name}|")
            assert [one.name for one in site.engine.find([kept.name], kept.start)] == [found.name]
        site.engine.cancel(found.name)


def test_a_job_of_our_name_is_not_ours(site: Site, cluster: Cluster) -> None:
    """Neither its end nor its account is told for the job that was submitted here."""
    with site.reserved(cards=4) as kept:
        spec = site.submit("import time; time.sleep(4)", cards=1, reservation=kept.name)
        site.until(spec, Phase.RUNNING)
        other = by_hand(cluster, kept.name, f"--job-name={spec.name}")
        cluster.run("scancel", other)
        assert site.ended(spec).exit_code == 0
        account = site.engine.usage([spec.name])[spec.name]
        assert (account.cards, len(account.raw.splitlines())) == (1, 1)


def test_tenants_with_users_of_their_own(plain_cluster: Cluster, tmp_path: Path) -> None:
    """`users` names a user of the nodes for each tenant; who has none is refused."""
    site = opened(plain_cluster, tmp_path, users="tenant%d-of-nowhere")
    assert refusal(site.engine.submit, site.spec("")) == "refused"


def test_settings_that_make_no_sense_for_slurm(tmp_path: Path) -> None:
    given = {"workdir": str(tmp_path), "cards": "a100=a100"}
    assert refusal(open_engine, "slurm", given | {"users": "tenant"}) == "settings"
    assert refusal(open_engine, "slurm", given | {"cards": "a100"}) == "settings"
    assert refusal(open_engine, "slurm", given | {"enclose": "never"}) == "settings"
    site = Site(open_engine("slurm", given | {"bin": "/no/such/folder"}), tmp_path, "a100", 0)
    assert refusal(site.engine.cards) == "settings"
