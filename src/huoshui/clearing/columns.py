"""Frozen numpy columns: what problems and results of every solver are made of.

A record is a frozen dataclass of ints, strings, tuples and arrays. Its columns are checked once, when it is made: by
dtype, shape and range. From then on nobody can write to them, and its digest stands for every byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Bool = npt.NDArray[np.bool_]


class ProblemError(ValueError):
    """A column of a problem breaks a rule; the message names the column, the row, the value and the rule."""


def check(ok: Any, column: str, rule: str, values: Any = None) -> None:
    """Raise ProblemError at the first False of `ok`, showing the offending row and value."""
    flags = np.asarray(ok)
    if flags.all():
        return
    where = tuple(int(i) for i in np.argwhere(~flags)[0]) if flags.ndim else ()
    at = f"[{', '.join(map(str, where))}]" if where else ""
    value = "" if values is None else f" = {np.asarray(values)[where]}"
    raise ProblemError(f"{column}{at}{value}: must be {rule}")


def frozen_column(name: str, values: Any, dtype: type[np.generic], shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """A read-only, C-ordered copy of `values` as `dtype`; ProblemError when a value or the shape does not fit."""
    given = np.asarray(values)
    check(given.shape == shape, name, f"of shape {shape}, not {given.shape}")
    kinds = "b" if dtype is np.bool_ else "iu"
    check(given.dtype.kind in kinds or given.size == 0, name, f"{dtype.__name__}, not {given.dtype}")
    column = np.array(given, dtype=dtype, order="C")
    check(column == given, name, f"within {dtype.__name__}", given)
    column.setflags(write=False)
    return column


def freeze(record: Any) -> None:
    """Put read-only copies in the place of a frozen dataclass's arrays that can still be written to."""
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray) and value.flags.writeable:
            value = value.copy()
            value.setflags(write=False)
            object.__setattr__(record, field.name, value)


def digest_of(kind: str, record: Any) -> str:
    """sha256 (hex) of a dataclass of ints, strings, tuples and arrays, each tagged by field name, type and shape."""
    state = hashlib.sha256(kind.encode())
    for field in fields(record):
        value = getattr(record, field.name)
        if isinstance(value, np.ndarray):
            little = value.astype(value.dtype.newbyteorder("<"), copy=False)
            state.update(f"\n{field.name}:{value.dtype.name}{list(value.shape)}:".encode())
            state.update(np.ascontiguousarray(little).tobytes())
        else:
            state.update(f"\n{field.name}:{_canonical(value)}".encode())
    return state.hexdigest()


def _canonical(value: int | str | Sequence[Any]) -> str:
    if isinstance(value, int | str):
        return f"{len(str(value))}#{value}"
    return f"[{len(value)};{','.join(_canonical(item) for item in value)}]"
