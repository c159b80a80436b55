"""Reading what a job wrote, as if it were hostile: never through a link, never out of the folder, never a device.

The job owns its folder and may put anything there: links to other people's files, pipes that never answer, files
that claim to be huge. Every part of a path is opened by itself and without following links (openat, O_NOFOLLOW), and
only ordinary files are read. What cannot be read so is as if it were absent.

A `snapshot` is stricter: all of a tree as it was at one moment, or nothing.
"""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

ENTRIES_MAX = 10_000
DEPTH_MAX = 4
UNFINISHED_SUFFIX = ".part"
"""A file or folder of this name is still being written and no part of a snapshot."""
LOOKS_MAX = 20
LOOK_PAUSE_SECONDS = 0.02
"""A tree must be found the same twice running; for so long it may change between two looks."""
CHUNK_BYTES = 1 << 20
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC


@contextmanager
def opened(root: Path, *parts: str) -> Iterator[IO[bytes] | None]:
    """An ordinary file beneath a folder that is ours; None when there is none."""
    with ExitStack() as stack:
        file: IO[bytes] | None = None
        with suppress(OSError):
            *folders, name = parts
            at = _enter(stack, os.open(root, _FOLDER))
            for folder in folders:
                at = _enter(stack, os.open(folder, _FOLDER, dir_fd=at))
            file = _ordinary(stack, os.open(name, _FILE, dir_fd=at))
        yield file


def _enter(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _ordinary(stack: ExitStack, descriptor: int) -> IO[bytes] | None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return None
    return stack.enter_context(os.fdopen(descriptor, "rb"))


def size_of(file: IO[bytes]) -> int:
    """Bytes that an open file claims to have."""
    return os.fstat(file.fileno()).st_size


@dataclass(frozen=True)
class Found:
    """A name in the tree; `ordinary` is False for links, pipes, devices and what lies too deep."""

    parts: tuple[str, ...]
    ordinary: bool


def walk(root: Path, *parts: str) -> Iterator[Found]:
    """What lies beneath a folder, files before folders, by name; at most ENTRIES_MAX entries are looked at."""
    with ExitStack() as stack, suppress(OSError):
        at = _enter(stack, os.open(root, _FOLDER))
        for folder in parts:
            at = _enter(stack, os.open(folder, _FOLDER, dir_fd=at))
        yield from _walk(at, (), [ENTRIES_MAX])


def _walk(at: int, above: tuple[str, ...], left: list[int]) -> Iterator[Found]:
    folders = []
    for name, is_file, is_folder in _entries(at, left):
        if is_folder and len(above) < DEPTH_MAX:
            folders.append(name)
        else:
            yield Found((*above, name), is_file)
    for name in folders:
        with ExitStack() as stack, suppress(OSError):
            yield from _walk(_enter(stack, os.open(name, _FOLDER, dir_fd=at)), (*above, name), left)


def _entries(at: int, left: list[int]) -> list[tuple[str, bool, bool]]:
    found = []
    with os.scandir(at) as entries:
        for entry in entries:
            if left[0] <= 0:
                break
            left[0] -= 1
            found.append((entry.name, entry.is_file(follow_symlinks=False), entry.is_dir(follow_symlinks=False)))
    return sorted(found)


class Changing(Exception):
    """What lies there is being changed; later it may be still."""


class Unfit(Exception):
    """What lies there will not do: `odd` (links, pipes, devices, names that cannot be, too deep) or `many` files."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Held:
    """A file of a snapshot, held open: the bytes up to `size` are its content, whatever is renamed into its place."""

    parts: tuple[str, ...]
    file: IO[bytes]
    inode: int
    size: int
    modified_ns: int

    @property
    def name(self) -> str:
        return "/".join(self.parts)

    @property
    def seen(self) -> tuple[tuple[str, ...], int, int, int]:
        return self.parts, self.inode, self.size, self.modified_ns

    def chunks(self) -> Iterator[bytes]:
        """The content in pieces, from the beginning each time; less than `size` where the file was cut off."""
        at = 0
        while piece := os.pread(self.file.fileno(), min(CHUNK_BYTES, self.size - at), at):
            at += len(piece)
            yield piece

    def was_written(self) -> bool:
        """Whether somebody wrote to it since: behind its end, or over what it held."""
        now = os.fstat(self.file.fileno())
        return (now.st_size, now.st_mtime_ns) != (self.size, self.modified_ns)


@contextmanager
def snapshot(root: Path, *parts: str, files_max: int) -> Iterator[list[Held]]:
    """Every file beneath a folder as it stood at one moment, by name; empty when `root` has no such folder.

    All are open at once, and a second look finds the same names, files, sizes and times: so they stood together between
    the two. Raises Changing when no two looks agree, Unfit, OSError when something cannot be read, `root` above all.
    """
    for _look in range(LOOKS_MAX):
        with ExitStack() as stack, ExitStack() as again:
            held = _hold(stack, root, parts, files_max)
            if [one.seen for one in held] == [one.seen for one in _hold(again, root, parts, files_max)]:
                again.close()
                yield held
                return
        time.sleep(LOOK_PAUSE_SECONDS)
    raise Changing(str(root))


def _hold(stack: ExitStack, root: Path, parts: tuple[str, ...], files_max: int) -> list[Held]:
    """Open every file beneath a folder."""
    at = _enter(stack, os.open(root, _FOLDER))
    try:
        for folder in parts:
            at = _enter(stack, os.open(folder, _FOLDER, dir_fd=at))
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        raise Unfit("odd") from None
    held: list[Held] = []
    try:
        for one in _holding(stack, at, (), [ENTRIES_MAX]):
            held.append(one)
            if len(held) > files_max:
                raise Unfit("many")
    except FileNotFoundError:
        raise Changing(str(root)) from None
    return held


def _holding(stack: ExitStack, at: int, above: tuple[str, ...], left: list[int]) -> Iterator[Held]:
    folders = []
    for name, is_file, is_folder in _entries(at, left):
        parts = (*above, name)
        if name.endswith(UNFINISHED_SUFFIX):
            continue
        if is_folder and len(above) < DEPTH_MAX and name.isprintable():
            folders.append(name)
        elif not is_file or not name.isprintable():
            raise Unfit("odd")
        else:
            file = _ordinary(stack, os.open(name, _FILE, dir_fd=at))
            if file is None:
                raise Unfit("odd")
            state = os.fstat(file.fileno())
            yield Held(parts, file, state.st_ino, state.st_size, state.st_mtime_ns)
    if left[0] <= 0:
        raise Unfit("many")
    for name in folders:
        with ExitStack() as here:
            yield from _holding(stack, _enter(here, os.open(name, _FOLDER, dir_fd=at)), (*above, name), left)
