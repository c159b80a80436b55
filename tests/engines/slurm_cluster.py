"""A real Slurm on this machine: munge, a controller, four nodes with pretended cards, accounting; up in seconds.

    from tests.engines.slurm_cluster import cluster      # a fixture of the session

Everything lies in one folder that is removed at the end; daemons are ended by the numbers that they wrote down.
Pretended cards are character devices like /dev/null, so CUDA_VISIBLE_DEVICES is set as it would be. Slurm's daemons
need root. Tests skip only where Slurm is not installed; without MariaDB and slurmdbd there is no slurmdbd accounting
(`Cluster.dbd`), and jobcomp's file takes its place.
"""

import atexit
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

NODES = {"a100": ("node1", "node2"), "ascend910b": ("node3", "node4")}
CARDS_PER_NODE = 8
UP_SECONDS_MAX = 60
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "sacct")

CONF = """ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/log/slurmctld
SlurmdLogFile={folder}/log/slurmd-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=1,batch_sched_delay=0,default_queue_depth=2000
{accounting}
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/jobcomp
ReturnToService=1
KillWait=2
MinJobAge=300
MaxJobCount=20000
GresTypes=gpu
Licenses={licences}
SlurmdParameters=config_overrides
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=1-0 State=UP
"""
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd}
AccountingStoragePass={folder}/munge/sock
AccountingStorageTRES=gres/gpu,{typed}"""
DBD = """AuthType=auth/munge
AuthInfo=socket={folder}/munge/sock
DbdHost=localhost
DbdPort={dbd}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
LogFile={folder}/log/slurmdbd
PidFile={folder}/slurmdbd.pid
"""


CGROUP = """CgroupPlugin=cgroup/v1
CgroupMountpoint={folder}/cgroup
ConstrainRAMSpace=yes
ConstrainSwapSpace=yes
AllowedSwapSpace=0
"""
MEMORY = Path("/sys/fs/cgroup/memory")


@dataclass
class Cluster:
    """A running cluster. `settings()` opens `SlurmEngine` on it. `kernel`: the kernel keeps its jobs' memory."""

    folder: Path
    dbd: bool
    kernel: bool = False

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    @property
    def memory(self) -> Path:
        """Its part of the machine's memory cgroups."""
        return MEMORY / self.folder.name

    def settings(self, workdir: Path, **more: str) -> dict[str, str]:
        cards = ",".join(f"{word}={word}" for word in NODES)
        given = {"cards": cards, "conf": str(self.conf), "python": sys.executable, "shared_user": "yes"}
        return {"workdir": str(workdir), **given, **more}

    def run(self, *command: str, check: bool = True, environment: Mapping[str, str] | None = None) -> str:
        variables = {
            "PATH": os.environ["PATH"], "SLURM_CONF": str(self.conf), "MYSQL_UNIX_PORT": str(self.folder / "db.sock"),
            **(environment or {}),
        }  # fmt: skip
        done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.stderr}")
        return done.stdout

    def start_controller(self) -> None:
        self.run("slurmctld", "-f", str(self.conf))
        wait_for(lambda: "is UP" in self.run("scontrol", "ping", check=False))

    def stop_controller(self) -> None:
        """As an operator does: it writes down what it knows, which a kill in the first seconds of a job would lose."""
        end(self.folder / "slurmctld.pid")

    def start_node(self, name: str) -> None:
        (self.folder / "spool" / name).mkdir(parents=True, exist_ok=True)
        self.run("slurmd", "-f", str(self.conf), "-N", name)

    def ready(self) -> bool:
        states = self.run("sinfo", "-h", "-N", "-o", "%T", check=False).split()
        return len(states) >= sum(map(len, NODES.values())) and set(states) <= {"idle", "mixed", "allocated"}


def wait_for(holds: Callable[[], object], seconds: float = UP_SECONDS_MAX) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so in {seconds} seconds")
        time.sleep(0.05)


def end(pid_file: Path, number: int = signal.SIGTERM) -> None:
    """End the daemon that wrote this file, and wait for it."""
    try:
        process = int(pid_file.read_text())
        os.kill(process, number)
    except (OSError, ValueError):
        return
    deadline = time.monotonic() + 10
    while _lives(process) and time.monotonic() < deadline:
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
        time.sleep(0.02)


def _lives(process: int) -> bool:
    """A dead process that nobody buried does not count."""
    with suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def start(*, dbd: bool, kernel: bool = False) -> Cluster:
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="slurm-test-", dir=memory if os.access(memory, os.W_OK) else None))
    folder.chmod(0o755)
    made = Cluster(folder, dbd, kernel)
    try:
        _write(made)
        _start_munge(made)
        if dbd:
            _start_accounting(made)
        made.run("slurmctld", "-f", str(made.conf), "-c")
        wait_for(lambda: "is UP" in made.run("scontrol", "ping", check=False))
        for names in NODES.values():
            for name in names:
                made.start_node(name)
        wait_for(made.ready)
    except BaseException:
        stop(made)
        raise
    return made


def stop(made: Cluster) -> None:
    folder = made.folder
    with suppress(Exception):
        made.run("scancel", "-u", "root", check=False)
        wait_for(lambda: not made.run("squeue", "-h", check=False).strip(), 8)
    for name in ("slurmctld.pid", *(f"slurmd-{node}.pid" for nodes in NODES.values() for node in nodes)):
        end(folder / name, signal.SIGKILL)
    for name in ("slurmdbd.pid", "db.pid", "munge/pid"):
        end(folder / name, signal.SIGKILL)
    for group in (*sorted(made.memory.rglob("*/"), reverse=True), made.memory) if made.kernel else ():
        with suppress(OSError):
            group.rmdir()
    shutil.rmtree(folder, ignore_errors=True)


def _write(made: Cluster) -> None:
    folder = made.folder
    for name in ("state", "log", "spool", "munge", "cards"):
        (folder / name).mkdir()
    ports = _free_ports(2 + sum(map(len, NODES.values())))
    host = socket.gethostname().partition(".")[0]
    for number in range(CARDS_PER_NODE):
        os.mknod(folder / "cards" / str(number), 0o20666, os.makedev(1, 3))
    lines, gres = [], ["AutoDetect=off"]
    for word, names in NODES.items():
        for name in names:
            lines.append(
                f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={ports.pop()} CPUs=32 RealMemory=128000 "
                f"Gres=gpu:{word}:{CARDS_PER_NODE}"
            )
            gres.append(f"NodeName={name} Name=gpu Type={word} File={folder}/cards/[0-{CARDS_PER_NODE - 1}]")
    ctld, dbd = ports
    accounting = ACCOUNTING.format(folder=folder, dbd=dbd, typed=",".join(f"gres/gpu:{word}" for word in NODES))
    made.conf.write_text(
        CONF.format(
            folder=folder, host=host, ctld=ctld, nodes="\n".join(lines),
            licences=",".join(f"{word}:{len(names) * CARDS_PER_NODE}" for word, names in NODES.items()),
            accounting=accounting if made.dbd else "AccountingStorageType=accounting_storage/none",
        )
    )  # fmt: skip
    if made.kernel:
        made.memory.mkdir()
        (folder / "cgroup").mkdir()
        (folder / "cgroup" / "memory").symlink_to(made.memory)
        (folder / "cgroup.conf").write_text(CGROUP.format(folder=folder))
        text = made.conf.read_text().replace("task/none", "task/cgroup")
        made.conf.write_text(text.replace("JobAcctGatherParams=OverMemoryKill\n", ""))
    (folder / "gres.conf").write_text("\n".join(gres) + "\n")
    (folder / "slurmdbd.conf").write_text(DBD.format(folder=folder, dbd=dbd))
    (folder / "slurmdbd.conf").chmod(0o600)


def _start_munge(made: Cluster) -> None:
    munge = made.folder / "munge"
    munge.chmod(0o711)
    (munge / "key").write_bytes(secrets.token_bytes(1024))
    (munge / "key").chmod(0o400)
    made.run(
        "munged", "--force", f"--key-file={munge}/key", f"--socket={munge}/sock", f"--pid-file={munge}/pid",
        f"--log-file={munge}/log", f"--seed-file={munge}/seed",
    )  # fmt: skip


def _start_accounting(made: Cluster) -> None:
    folder = made.folder
    (folder / "tmp").mkdir()  # of its own: a server that starts clears what it finds there
    own = ("--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", f"--tmpdir={folder}/tmp")
    made.run(
        "mariadb-install-db", "--no-defaults", f"--datadir={folder}/db", "--user=root", "--skip-test-db",
        "--auth-root-authentication-method=normal", *own,
    )  # fmt: skip
    with open(folder / "log" / "db", "w") as log:
        subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={folder}/db", "--user=root", "--skip-networking",
             f"--socket={folder}/db.sock", f"--pid-file={folder}/db.pid", "--skip-log-bin", *own],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    wait_for((folder / "db.sock").exists)
    made.run("slurmdbd")
    wait_for(lambda: "started" in (folder / "log" / "slurmdbd").read_text())
    wait_for(lambda: made.run("sacctmgr", "-n", "show", "cluster") is not None)
    made.run("sacctmgr", "-i", "add", "cluster", "test", check=False)


def _free_ports(count: int) -> list[int]:
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def has_accounting() -> bool:
    return all(shutil.which(program) for program in ("slurmdbd", "mariadbd", "mariadb-install-db"))


def _need() -> None:
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


@cache
def running(dbd: bool, kernel: bool = False) -> Cluster:
    """One cluster for all tests of a process, whichever module asks first."""
    made = start(dbd=dbd, kernel=kernel)
    atexit.register(stop, made)
    return made


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """Four nodes of 8 cards, with slurmdbd where it is installed."""
    _need()
    return running(has_accounting())


@pytest.fixture(scope="session")
def plain_cluster() -> Cluster:
    """The same without slurmdbd."""
    _need()
    return running(False)


@pytest.fixture(scope="session")
def kernel_cluster() -> Cluster:
    """The same with slurmdbd, and the memory of jobs kept by the kernel (cgroups of version 1)."""
    _need()
    if not (has_accounting() and os.access(MEMORY, os.W_OK)):
        pytest.skip("no slurmdbd, or no memory cgroups to write to")
    return running(True, True)
