"""What a scheduler's job can still do on a node, whoever it runs as: `confine.main` on this machine, without Slurm."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from huoshui.engines import confine

PYTHON = "/usr/bin/python3"
NOBODY = 65534
TRY = """
import ctypes, json, os, socket, sys
mine, other, service, shared = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
def can(call):
    try:
        return call() not in (-1, False)
    except OSError:
        return False
def connect(path):
    socket.socket(socket.AF_UNIX).connect(path)
print(json.dumps({
    "memory": can(lambda: open(shared).read()),
    "own": can(lambda: open("file", "w").write("x")),
    "other": can(lambda: open(other).read()),
    "service": can(lambda: connect(service)),
    "beside": can(lambda: connect(f"/proc/{os.getppid()}/root{service}")),
    "unhide": can(lambda: libc.umount2(os.path.dirname(service).encode(), 2)),
    "mount": can(lambda: libc.unshare(0x10020000) or libc.mount(b"none", mine.encode(), b"tmpfs", 0, None)),
    "device": can(lambda: os.mknod("device", 0o60600, os.makedev(8, 0))),
}))
"""
pytestmark = [
    pytest.mark.skipif(not confine.landlock_version(), reason="this kernel has no Landlock"),
    pytest.mark.skipif(not Path(PYTHON).exists(), reason=f"no {PYTHON}"),
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Path]:
    """A socket that all may reach, as munge's is."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and folder.is_relative_to(tempfile.gettempdir()):
            folder.chmod(folder.stat().st_mode | 0o055)
    folder = tmp_path / "service"
    folder.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "s"))
        (folder / "s").chmod(0o777)
        listening.listen()
        yield folder / "s"


@pytest.fixture
def shared_memory() -> Iterator[IO[bytes]]:
    """What another firm's job keeps in the machine's shared memory."""
    with tempfile.NamedTemporaryFile(dir=confine.SHARED_MEMORY) as file:
        os.fchmod(file.fileno(), 0o644)
        yield file


@pytest.fixture
def enclosed(
    tmp_path: Path, service: Path, shared_memory: IO[bytes]
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    (tmp_path / "other").write_text("another firm's")
    (tmp_path / "other").chmod(0o644)
    program = tmp_path / "confine.py"
    program.write_text(Path(confine.__file__).read_text())
    program.chmod(0o644)

    def run(user: int, must: str = "yes", before: str = "") -> "subprocess.CompletedProcess[str]":
        mine = tmp_path / f"mine-{user}"
        mine.mkdir(mode=0o700, exist_ok=True)
        os.chown(mine, user, user)
        start = [PYTHON, "-I", "-S", str(program)]
        if before:
            start = [PYTHON, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import confine\n{before}\n"
                     "confine.main(sys.argv[1:])"]  # fmt: skip
        words = [must, str(mine), str(service.parent), "", "--", PYTHON, "-c", TRY, str(mine), str(tmp_path / "other")]
        return subprocess.run(
            [*start, *words, str(service), shared_memory.name], cwd=mine, user=user, group=user, extra_groups=[],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    return run


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs as others")
@pytest.mark.parametrize("user", [0, NOBODY])
def test_a_job_reaches_its_folder_and_no_service_of_the_node(enclosed: Callable[..., Any], user: int) -> None:
    done = enclosed(user)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("own")
    assert not any(told.values()), told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs as others")
@pytest.mark.parametrize(
    ("lacks", "reached"),
    [("confine.landlock_version = lambda: 0", "other"), ("confine.unshare = lambda spaces: False", "service")],
)
def test_a_node_that_cannot_enclose_runs_nothing_unless_that_was_accepted(
    enclosed: Callable[..., Any], lacks: str, reached: str
) -> None:
    done = enclosed(NOBODY, before=lacks)
    assert (done.returncode, done.stdout) == (126, "")
    assert "nothing was run; it lacks" in done.stderr
    assert json.loads(enclosed(NOBODY, must="no", before=lacks).stdout)[reached], "the wall is what held"


def test_the_python_that_encloses_is_seen_with_its_libraries() -> None:
    code = f"import sys; sys.path.insert(0, {str(Path(confine.__file__).parent)!r}); import confine\n" \
        "print(*confine.of_this_python(), sep=':')"  # fmt: skip
    said = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True).stdout
    found = said.strip().split(":")
    assert str(Path(sys.prefix)) in found
    assert sys.base_prefix in found
