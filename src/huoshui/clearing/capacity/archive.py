"""Problems and results as bytes, exactly: the files that an auditor verifies and that a replay starts from.

The idea: a record is a frozen dataclass of numpy arrays, numbers, texts, tuples and further such records. Arrays
go into a NumPy archive under their field names, everything else into one JSON member, so nothing is pickled and the
same record gives the same bytes.
"""

from __future__ import annotations

import dataclasses
import io
import json
import typing
import zipfile
import zlib
from typing import Any, TypeVar

import numpy as np

BYTES_MAX = 2 << 30
"""Largest archive, unpacked."""
PLAIN = "plain.json"
Record = TypeVar("Record")


class ArchiveError(ValueError):
    """The bytes are not an archive of the record asked for; the message says what is missing or wrong."""


def pack(record: Any) -> bytes:
    """A record as a compressed archive."""
    arrays: dict[str, np.ndarray] = {}
    plain = _taken_apart(record, "", arrays)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _write(archive, PLAIN, json.dumps(plain, ensure_ascii=False, sort_keys=True).encode())
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            _write(archive, f"{name}.npy", member.getvalue())
    return stream.getvalue()


def unpack(kind: type[Record], data: bytes) -> Record:
    """The record of class `kind`, which checks its own columns. Raises ArchiveError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
            if unpacked > BYTES_MAX:
                raise ArchiveError(f"unpacks to {unpacked} bytes, more than {BYTES_MAX}")
            plain = json.loads(archive.read(PLAIN))
            arrays = {
                name.removesuffix(".npy"): np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
        return typing.cast(Record, _put_together(kind, plain, "", arrays))
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError, RuntimeError) as error:
        raise ArchiveError(f"not an archive of a {kind.__name__}: {error}") from error


def _write(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """One member without a time stamp."""
    member = zipfile.ZipInfo(name)
    member.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(member, data)


def _taken_apart(record: Any, prefix: str, arrays: dict[str, np.ndarray]) -> Any:
    plain: dict[str, Any] = {}
    for field in dataclasses.fields(record):
        value, name = getattr(record, field.name), f"{prefix}{field.name}"
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif dataclasses.is_dataclass(value):
            plain[field.name] = _taken_apart(value, f"{name}.", arrays)
        else:
            plain[field.name] = value
    return plain


def _put_together(kind: Any, plain: dict[str, Any], prefix: str, arrays: dict[str, np.ndarray]) -> Any:
    types = typing.get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        name, wanted = f"{prefix}{field.name}", types[field.name]
        if name in arrays:
            values[field.name] = arrays[name]
        elif dataclasses.is_dataclass(wanted):
            values[field.name] = _put_together(wanted, plain[field.name], f"{name}.", arrays)
        else:
            value = plain[field.name]
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return kind(**values)
