"""The store 数据与产物存储: content under its SHA-256, on this machine's disk or in an S3-compatible bucket.

Who puts something in streams it to a file first (`staged`), so that its digest is known before the store hears of it
and content that is there already is not written again. Whoever reads is told when the bytes are not those of the
digest. `HUOSHUI_STORE=s3://bucket/prefix` with the usual AWS_* variables (AWS_ENDPOINT_URL for other makers' stores)
chooses S3; without it files lie under HUOSHUI_HOME/store. The store knows digests only: whose content it is, and
whether it is still wanted, say the artefacts (`jobs.artefacts`).
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _
from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from huoshui.base import clock
from huoshui.base.errors import Invalid, Refused, invalid

CHUNK_BYTES = 1 << 20
DIGEST = re.compile(r"[0-9a-f]{64}")
FRESH = timedelta(hours=1)
"""Content that was put in longer ago is put in again by who keeps it, so that no sweep takes it meanwhile."""
CONNECT_SECONDS, READ_SECONDS, RETRIES_MAX, RETRY_SECONDS = 5, 30, 2, 30
COPY_HOURS_MAX = 6
"""A bucket that hangs is one that does not answer."""


class Damaged(Exception):
    """The bytes that the store gave are not those of the digest."""


@dataclass(frozen=True)
class Staged:
    """Content that lies in a file of ours, about to be kept."""

    path: Path
    digest: str
    bytes: int


@contextmanager
def staged(chunks: Iterable[bytes], bytes_max: int) -> Iterator[Staged]:
    """Stream content to a temporary file. Raises Invalid when it is longer than `bytes_max`."""
    folder = settings.HOME / "staged"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder, prefix="put-") as file:
        digest, size = hashlib.sha256(), 0
        for chunk in chunks:
            size += len(chunk)
            if size > bytes_max:
                raise too_large(bytes_max)
            digest.update(chunk)
            file.write(chunk)
        file.flush()
        yield Staged(Path(file.name), digest.hexdigest(), size)


def too_large(bytes_max: int) -> Invalid:
    """The refusal of content that is longer than allowed."""
    return invalid("file", "", _("at most %(max)s bytes") % {"max": f"{bytes_max:,}"})


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """A file in pieces."""
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def keep(content: Staged) -> None:
    """Put staged content in, unless it is there and FRESH. Raises Refused when the store does not answer."""
    since = put_at(content.digest)
    if since is None or since < clock.real_now() - FRESH:
        with _answering():
            _store().put(_key(content.digest), content.path)


def put_at(digest: str) -> datetime | None:
    """When the content was last put in; None when it is not there."""
    with _answering(), suppress(FileNotFoundError):
        put: datetime = _store().head(_key(digest))["last_modified"]
        return put
    return None


def read(digest: str) -> Generator[bytes, None, None]:
    """The content in pieces. Raises Refused when it is not there, Damaged at the end when it was changed."""
    found = hashlib.sha256()
    with _answering():
        try:
            stream = _store().get(_key(digest)).stream(min_chunk_size=CHUNK_BYTES)
        except FileNotFoundError:
            raise Refused(_("The store has lost this file."), code="lost_content") from None
        for chunk in stream:
            piece = bytes(chunk)
            found.update(piece)
            yield piece
    if found.hexdigest() != digest:
        raise Damaged(digest)


def fetch(digest: str, path: Path) -> None:
    """Write the content to a file that does not exist yet; on any failure nothing stays. Raises as `read`."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.writelines(read(digest))
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def delete(digest: str) -> None:
    """Take content out; content that is gone is no error. Only `jobs.artefacts` knows when nothing refers to it."""
    with _answering(), suppress(FileNotFoundError):
        _store().delete(_key(digest))


def contents() -> Iterator[tuple[str, datetime]]:
    """Every digest in the store, and when it was last put in."""
    with _answering():
        for batch in _store().list():
            for entry in batch:
                digest = entry["path"].rpartition("/")[2]
                if DIGEST.fullmatch(digest):
                    yield digest, entry["last_modified"]


def clear_staged(before: datetime) -> int:
    """Take away what processes that were killed left staged on this machine; returns how many files."""
    cleared = 0
    for path in (settings.HOME / "staged").glob("put-*"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < before.timestamp():
                path.unlink()
                cleared += 1
    return cleared


@contextmanager
def _answering() -> Iterator[None]:
    """A store that does not answer is a refusal that people understand."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        raise Refused(_("The data store does not answer. Try again later."), code="store_down") from error


def _key(digest: str) -> str:
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return f"{digest[:2]}/{digest}"


def _store() -> Any:
    return _open(settings.STORE, str(settings.HOME / "store"))


@cache
def _open(address: str, folder: str) -> LocalStore | S3Store:
    """The store of an address; raises ValueError for an address of an unknown kind."""
    if not address:
        return LocalStore(folder, mkdir=True)
    parts = urlsplit(address)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"HUOSHUI_STORE must look like s3://bucket/prefix, not {address!r}")
    insecure = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return S3Store(
        parts.netloc, prefix=parts.path.strip("/") or None,
        client_options={
            "allow_http": insecure, "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=READ_SECONDS), "timeout": timedelta(hours=COPY_HOURS_MAX),
        },
        retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    )  # fmt: skip
