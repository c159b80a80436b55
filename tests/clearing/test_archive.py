"""Facts about problems and results as bytes: exact, the same every time, and nothing else is accepted."""

import io
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from benchmarks.generator import generate
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui.clearing import capacity
from huoshui.clearing.capacity import archive
from huoshui.clearing.capacity.archive import ArchiveError

PROBLEM = generate(40)
RESULT = capacity.clear(PROBLEM, options=capacity.Options.quick(40))


@pytest.mark.parametrize("record", [PROBLEM, RESULT], ids=["problem", "result"])
def test_a_record_comes_back_exactly_and_its_bytes_do_not_change(record):
    data = archive.pack(record)
    assert archive.pack(record) == data
    assert archive.unpack(type(record), data).digest() == record.digest()


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_a_damaged_archive_is_refused_unless_the_damage_changes_nothing(data):
    packed = bytearray(archive.pack(RESULT))
    place = data.draw(st.integers(0, len(packed) - 1))
    packed[place] ^= data.draw(st.integers(1, 255))
    with suppress(ArchiveError):
        assert archive.unpack(capacity.Result, bytes(packed)).digest() == RESULT.digest()


def test_an_archive_whose_members_say_that_they_are_encrypted_is_refused():
    packed = bytearray(archive.pack(RESULT))
    packed[packed.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(ArchiveError, match="encrypted"):
        archive.unpack(capacity.Result, bytes(packed))


def test_an_archive_of_something_else_is_refused():
    with pytest.raises(ArchiveError, match="not an archive of a Result"):
        archive.unpack(capacity.Result, archive.pack(PROBLEM))


def test_pickled_arrays_are_not_read():
    stream, member = io.BytesIO(), io.BytesIO()
    np.save(member, np.array([object()], dtype=object), allow_pickle=True)
    with zipfile.ZipFile(io.BytesIO(archive.pack(PROBLEM))) as good, zipfile.ZipFile(stream, "w") as bad:
        for name in good.namelist():
            bad.writestr(name, member.getvalue() if name == "cards.npy" else good.read(name))
    with pytest.raises(ArchiveError):
        archive.unpack(capacity.Problem, stream.getvalue())


def test_an_archive_that_unpacks_to_more_than_the_limit_is_refused(monkeypatch):
    monkeypatch.setattr(archive, "BYTES_MAX", 1_000)
    with pytest.raises(ArchiveError, match="more than 1000"):
        archive.unpack(capacity.Problem, archive.pack(PROBLEM))
