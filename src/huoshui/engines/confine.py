"""Keeping a job to itself: what a process gives up before it becomes a tenant's command (Linux, standard library only).

Four walls, each useful alone; `walls()` says which ones this machine has:

* **user**: when the platform runs as root, each tenant has a user number of its own, so the kernel keeps files apart.
* **Landlock** (Linux 5.13; kernel documentation userspace-api/landlock): the process and all it starts see only the
  paths that were named. Needs no privilege, and also holds against world-readable files of the platform.
* **namespaces**: own process numbers (all that a job left running dies with the namespace), own /proc and /dev/shm.
* **limits** (setrlimit): files, processes, processor time, memory of one process.

As a program it does this for a scheduler's job, on the node (`main`): Landlock, and a view of the files without the
sockets of the machine's services. Landlock does not keep a process from connecting to a socket that has a name, and
who reaches munge's submits jobs that nothing encloses.

The network is not kept apart: an endpoint must be reachable, and what a job may reach is for the site's firewall.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
CLONE_NEWNS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x20000, 0x8000000, 0x10000000, 0x20000000
PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
CAPABILITIES = 64
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, TRUNCATE, IOCTL_DEV = 1, 2, 4, 8, 1 << 14, 1 << 15
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
FS_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All rights over files that a version of Landlock knows; versions between have those of the one before."""
SCOPES, SCOPED_FROM = 0b11, 6
"""No signals to, and no abstract sockets of, processes outside: from version 6 on."""

READABLE = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/run/systemd/resolve",
)
DEVICES = (
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "nvidia*",
    "davinci*",
    "devmm_svm",
    "hisi_hdc",
    "dri",
    "kfd",
)
SERVICES = ("/run", "/etc/munge", "/etc/slurm", "/etc/slurm-llnl")
"""Where a node keeps sockets and keys of its services, which a scheduler's jobs do not see."""
SERVICES_LEFT = ("/run/systemd/resolve", "/run/nvidia*")
"""But names of machines and cards are needed."""
SHARED_MEMORY = "/dev/shm"  # noqa: S108
"""Of its own for each job; that of the machine is all users'."""
FILES_OPEN_MAX = 4_096
CANNOT_START = 126
ASK_PATHS = """
import json, os, sys
print(json.dumps([sys.prefix, sys.base_prefix, os.path.realpath(sys.executable), *sys.path]))
"""

_libc = ctypes.CDLL(None, use_errno=True)


def _called(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def landlock_version() -> int:
    """Version of Landlock that the kernel offers; 0: none."""
    return max(0, _libc.syscall(CREATE_RULESET, None, 0, 1))


def restrict(readable: Iterable[str | Path], writable: Iterable[str | Path], devices: Iterable[str | Path]) -> None:
    """From now on this process and its children use only these paths and what lies below them; others are refused.

    Paths that do not exist are passed over. Raises OSError.
    """
    version = landlock_version()
    rights = FS_RIGHTS[max(known for known in FS_RIGHTS if known <= version)]
    attributes = struct.pack("QQQ", rights, 0, SCOPES if version >= SCOPED_FROM else 0)
    size = 24 if version >= SCOPED_FROM else 8
    rules = _called(_libc.syscall(CREATE_RULESET, attributes, size, 0), "landlock_create_ruleset")
    groups = (
        (readable, EXECUTE | READ_FILE | READ_DIR),
        (writable, rights),
        (devices, READ_FILE | WRITE_FILE | READ_DIR | IOCTL_DEV),
    )
    for paths, allowed in groups:
        for path in paths:
            _allow(rules, path, allowed & rights)
    no_new_privileges()
    _called(_libc.syscall(RESTRICT_SELF, rules, 0), "landlock_restrict_self")
    os.close(rules)


def _allow(rules: int, path: str | Path, rights: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not Path(path).is_dir():
        rights &= ON_FILES
    try:
        _called(_libc.syscall(ADD_RULE, rules, 1, struct.pack("=Qi", rights, handle), 0), f"landlock_add_rule {path}")
    finally:
        os.close(handle)


def enclose(directory: str | Path, readable: Iterable[str | Path]) -> None:
    """What a job's command may use: its folder, what it reads, the machine's own programs, devices, /dev/shm."""
    restrict((*READABLE, *readable), (directory, SHARED_MEMORY), device_paths())


def paths_of(python: str) -> list[str]:
    """Where a Python lies, with all that it imports. Raises OSError or SubprocessError."""
    import json  # here, since on a node this module is a program that every job waits for
    import subprocess

    said = subprocess.run(  # noqa: S603
        [python, "-c", ASK_PATHS], capture_output=True, check=True, timeout=30, cwd="/", env={"PATH": "/usr/bin:/bin"}
    ).stdout
    return sorted({path for path in json.loads(said) if path and path != "/"})


def device_paths() -> list[Path]:
    return [path for pattern in DEVICES for path in Path("/dev").glob(pattern)]


def no_new_privileges() -> None:
    _called(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def die_with_parent() -> None:
    _called(_libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "pdeathsig")


def adopt_orphans() -> None:
    """Descendants whose parent ended become children of this process, not of the machine's first one."""
    _called(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")


def unshare(spaces: int = CLONE_NEWPID | CLONE_NEWIPC) -> bool:
    """Namespaces of its own, of processes for the next child only. False: the machine does not allow it."""
    user, group = os.geteuid(), os.getegid()
    if _libc.unshare(spaces) == 0:
        return True
    if user == 0 or _libc.unshare(spaces | CLONE_NEWUSER) != 0:
        return False
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        Path("/proc/self", name).write_text(text)
    return True


def furnish(shared_mib: int) -> bool:
    """In the first process of new namespaces: a /proc that shows only them, and a /dev/shm of its own.

    False: the machine forbids mounts, and the old ones stay: then other jobs' command lines are visible.
    """
    if _libc.unshare(CLONE_NEWNS) or _libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None):
        return False
    shared = f"size={shared_mib}m,mode=1777".encode()
    proc = _libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None)
    shm = _libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", MS_NOSUID | MS_NODEV, shared)
    return bool(proc == 0 and shm == 0)


def reveal(paths: Iterable[str | Path], uid: int) -> None:
    """In the first process of new namespaces: let a user reach paths below folders that are closed to it.

    Such a folder (say /root, where a Python was built) is covered by an empty one in which only these paths lie.
    """
    found = {Path(path).resolve() for path in paths if Path(path).exists()}
    outermost = [path for path in found if not any(parent in found for parent in path.parents)]
    wanted: dict[Path, dict[Path, int]] = {}
    for path in outermost:
        closed = next((parent for parent in reversed(path.parents) if not _passes(parent, uid)), None)
        if closed is not None:
            wanted.setdefault(closed, {})[path] = os.open(path, os.O_PATH)
    os.umask(0o022)
    for closed, handles in wanted.items():
        _called(_libc.mount(b"tmpfs", bytes(closed), b"tmpfs", MS_NOSUID | MS_NODEV, b"size=1m,mode=711"), f"{closed}")
        for path, handle in handles.items():
            source = Path(f"/proc/self/fd/{handle}")
            if source.is_dir():
                path.mkdir(parents=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            _called(_libc.mount(bytes(source), bytes(path), None, MS_BIND | MS_REC, None), f"{path}")
            os.close(handle)


def hide(folders: Iterable[str | Path], left: Iterable[str | Path]) -> None:
    """From now on this process and its children find these folders empty but for what is left. Raises OSError.

    Who is under Landlock besides cannot undo it.
    """
    if not unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), "no namespace of mounts")
    _called(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "mount /")
    kept = {path: os.open(path, os.O_PATH) for path in map(os.path.realpath, left) if os.path.isdir(path)}
    found = {Path(folder).resolve() for folder in folders if os.path.isdir(folder)}
    for folder in (path for path in found if not found & set(path.parents)):
        options = b"mode=1777" if str(folder) == SHARED_MEMORY else b"size=1m,mode=755"
        _called(_libc.mount(b"tmpfs", bytes(folder), b"tmpfs", MS_NOSUID | MS_NODEV, options), f"{folder}")
        for path, handle in kept.items():
            if Path(path).is_relative_to(folder):
                os.makedirs(path, exist_ok=True)
                source = f"/proc/self/fd/{handle}".encode()
                _called(_libc.mount(source, path.encode(), None, MS_BIND | MS_REC, None), path)
    for handle in kept.values():
        os.close(handle)


def drop_capabilities() -> None:
    """What this process becomes has no power beyond its user's own, also when that is root."""
    for capability in range(CAPABILITIES):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def _passes(folder: Path, uid: int) -> bool:
    state = folder.stat()
    return bool(state.st_mode & (0o100 if state.st_uid == uid else 0o001))


def become(uid: int) -> None:
    """Take on a tenant's user number and a group of the same number, for good."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def limit(*, seconds: int, memory_mib: int, disk_mib: int, processes: int) -> None:
    """Bounds on this process and each that it starts. `processes` counts all processes of the user.

    Memory is bounded by what is written (RLIMIT_DATA), at twice what the job may use in all: address space alone says
    nothing, since drivers reserve it by the terabyte. The whole is watched by the supervisor.
    """
    bounds = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: seconds * (os.cpu_count() or 1) + 60,
        resource.RLIMIT_DATA: memory_mib * 2 << 20,
        resource.RLIMIT_FSIZE: disk_mib << 20,
        resource.RLIMIT_NPROC: processes,
        resource.RLIMIT_NOFILE: FILES_OPEN_MAX,
    }
    for kind, bound in bounds.items():
        _soft, hard = resource.getrlimit(kind)
        bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(kind, (bound, bound))


def processes_of(uid: int) -> int:
    """Tasks of a user on this machine now."""
    count = 0
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if process.stat().st_uid == uid:
                    count += len(os.listdir(process / "task"))
    return count


def hand_over(directory: Path, uid: int, gid: int) -> None:
    """Make a tenant the owner of a job's folder and of what the platform put there; nobody else may look into it.

    Links are not followed, and a file with a second name is left alone: a tenant could have linked another's.
    """
    mine = os.geteuid()
    for _path, folders, files, handle in os.fwalk(directory, follow_symlinks=False):
        for name in (*folders, *files):
            state = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if state.st_uid == mine and (name in folders or state.st_nlink == 1):
                os.chown(name, uid, gid, dir_fd=handle, follow_symlinks=False)
    os.chown(directory, uid, gid)
    directory.chmod(0o700)


def of_this_python() -> list[str]:
    """Where the Python that runs this lies, with its libraries; `-S` has not looked whether it is of an environment."""
    home = Path(sys.executable).parent.parent
    found = {sys.prefix, sys.base_prefix, os.path.realpath(sys.executable)}
    found |= {str(home)} if (home / "pyvenv.cfg").is_file() else set()
    return sorted(found - {"/", ""})


def main(arguments: list[str]) -> None:
    """`python3 -I -S confine.py MUST DIRECTORY HIDDEN READABLE -- COMMAND…`: enclose this process, become the command.

    It sees its folder, READABLE and this Python, and nothing of the node's services, which may lie in HIDDEN too (both
    are joined by `:`). Where the node cannot do that, nothing is run, unless MUST is `no`.
    """
    must, directory, hidden, readable, _dashes, *command = arguments
    faults = [] if landlock_version() else ["Landlock (Linux 5.13)"]
    try:
        left = (path for pattern in SERVICES_LEFT for path in Path("/").glob(pattern[1:]))
        hide((SHARED_MEMORY, *SERVICES, *filter(None, hidden.split(":"))), (directory, *left))
    except OSError as error:
        faults.append(f"a view of the files of its own ({error})")
    if faults and must != "no":
        _give_up(f"this node cannot enclose a job, so nothing was run; it lacks {', '.join(faults)}")
    drop_capabilities()
    if landlock_version():
        enclose(directory, (*filter(None, readable.split(":")), *of_this_python()))
    try:
        os.execvp(command[0], command)  # noqa: S606
    except OSError as error:
        _give_up(f"cannot start {command[0]!r}: {error}")


def _give_up(why: str) -> None:
    print(f"huoshui: {why}", file=sys.stderr, flush=True)
    sys.exit(CANNOT_START)


if __name__ == "__main__":
    main(sys.argv[1:])
