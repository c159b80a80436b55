"""One way to write a value as bytes, so that a digest means the same everywhere.

Canonical JSON: keys sorted, no spaces, UTF-8, integers only (a float has no single spelling and is refused),
dates in ISO 8601 and instants in UTC.
"""

import hashlib
import json
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from django.db.models import Model


def label(obj: Model) -> str:
    """`app.model:pk`, the name under which the log knows an object."""
    return f"{obj._meta.label_lower}:{obj.pk}"


def plain(value: Any) -> Any:
    """The value as JSON types. Raises TypeError for a float or an unknown type."""
    if value is None or isinstance(value, bool | int | str):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, Model):
        return label(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    raise TypeError(f"{type(value).__name__} has no canonical form: {value!r}")


def encode(value: Any) -> bytes:
    """Canonical bytes of a value."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, in hexadecimal."""
    return hashlib.sha256(encode(value)).hexdigest()


def salted(salt: str, personal: str) -> str:
    """Digest that stands in the log for personal data: without the salt it cannot be guessed back."""
    return hashlib.sha256(f"{salt}\x00{personal}".encode()).hexdigest()
