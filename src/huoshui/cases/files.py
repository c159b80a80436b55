"""Attached files: bytes under their SHA-256 in HUOSHUI_HOME/files, written whole or not at all.

The same content is stored once. A file whose action failed stays behind without a row that names it; it is harmless
and the next upload of the same content finds it there.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from huoshui.base.errors import Missing, invalid

BYTES_MAX = 10 * 1024 * 1024
FILES_PER_EVENT_MAX = 5
NAME_MAX = 200
SUFFIXES = (".pdf", ".jpg", ".jpeg", ".png", ".doc", ".docx", ".xls", ".xlsx", ".csv", ".txt", ".zip", ".ofd")


@dataclass(frozen=True)
class Upload:
    """A file as it came in."""

    name: str
    content: bytes


def _path(digest: str) -> Path:
    return Path(settings.HOME) / "files" / digest[:2] / digest


def check(uploads: tuple[Upload, ...]) -> None:
    """Raises Invalid when there are too many files, or one is too large, empty or of a kind not taken."""
    if len(uploads) > FILES_PER_EVENT_MAX:
        raise invalid("uploads", len(uploads), _("at most %(max)s files at a time") % {"max": FILES_PER_EVENT_MAX})
    for upload in uploads:
        if not 0 < len(upload.content) <= BYTES_MAX:
            raise invalid("uploads", upload.name, _("between 1 byte and %(max)s MB") % {"max": BYTES_MAX >> 20})
        if not upload.name.lower().endswith(SUFFIXES) or len(upload.name) > NAME_MAX:
            raise invalid("uploads", upload.name, _("one of these kinds: %(kinds)s") % {"kinds": " ".join(SUFFIXES)})


def store(content: bytes) -> str:
    """Keep the bytes; returns their digest."""
    digest = hashlib.sha256(content).hexdigest()
    path = _path(digest)
    if path.exists():
        return digest
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return digest


def read(digest: str) -> bytes:
    """The bytes under a digest. Raises Missing when they are gone or no longer what they were."""
    try:
        content = _path(digest).read_bytes()
    except FileNotFoundError:
        content = b""
    if hashlib.sha256(content).hexdigest() != digest:
        raise Missing(_("The file is not there or was damaged."))
    return content
