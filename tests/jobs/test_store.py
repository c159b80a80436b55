"""The store: content under its digest, on disk and in a real S3 server, never half, never other than its digest."""

import hashlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import obstore
import pytest
from django.conf import settings

from huoshui.base.errors import Invalid, Refused
from huoshui.jobs import store

S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """Address of an S3 server (moto's, another process, over HTTP)."""
    pytest.importorskip("moto.server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        else:
            raise AssertionError("the S3 server did not start")
        urllib.request.urlopen(urllib.request.Request(f"{address}/huoshui", method="PUT"), timeout=5).close()
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Both kinds of store, empty."""
    monkeypatch.setattr(settings, "HOME", tmp_path)
    monkeypatch.setattr(settings, "STORE", "")
    if request.param == "s3":
        address = request.getfixturevalue("s3_server")
        for name, value in (S3_KEYS | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(settings, "STORE", f"s3://huoshui/{tmp_path.name}")
    return str(request.param)


def put(content: bytes, bytes_max: int = 1 << 30) -> str:
    with store.staged([content[:3], content[3:]], bytes_max) as staged:
        store.keep(staged)
    return staged.digest


def test_content_comes_back_under_its_digest(place: str, tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    digest = put(content)
    assert digest == hashlib.sha256(content).hexdigest()
    assert b"".join(store.read(digest)) == content
    store.fetch(digest, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == content
    assert [found for found, _since in store.contents()] == [digest]


def test_the_same_content_is_kept_once_and_can_be_taken_out(place: str) -> None:
    assert put(b"twice") == put(b"twice")
    digest = put(b"twice")
    assert len(list(store.contents())) == 1
    store.delete(digest)
    store.delete(digest)
    assert store.put_at(digest) is None
    with pytest.raises(Refused) as refused:
        next(store.read(digest))
    assert refused.value.code == "lost_content"


def test_changed_bytes_are_noticed_and_nothing_of_them_stays(place: str, tmp_path: Path) -> None:
    digest = put(b"what was put in")
    obstore.put(store._store(), store._key(digest), b"something else!")
    with pytest.raises(store.Damaged):
        list(store.read(digest))
    with pytest.raises(store.Damaged):
        store.fetch(digest, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_content_above_the_bound_leaves_nothing(place: str) -> None:
    with pytest.raises(Invalid, match="9"):
        put(b"0123456789", bytes_max=9)
    assert list(store.contents()) == []
    assert list((settings.HOME / "staged").iterdir()) == []


def test_a_stream_that_breaks_leaves_nothing(place: str) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError), store.staged(broken(), 100) as staged:
        store.keep(staged)
    assert list(store.contents()) == []
    assert list((settings.HOME / "staged").iterdir()) == []


def test_a_file_is_never_written_through_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "HOME", tmp_path)
    digest = put(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        store.fetch(digest, tmp_path / "link")
    assert not (tmp_path / "victim").exists()


def test_a_store_that_does_not_answer_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (S3_KEYS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(settings, "STORE", "s3://nobody/here")
    with pytest.raises(Refused) as refused:
        store.put_at("0" * 64)
    assert refused.value.code == "store_down"


def test_a_store_that_hangs_is_one_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "READ_SECONDS", 0.1)
    monkeypatch.setattr(store, "RETRY_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in (S3_KEYS | {"AWS_ENDPOINT_URL": address}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(settings, "STORE", "s3://silent/here")
        with pytest.raises(Refused) as refused:
            store.put_at("0" * 64)
    assert refused.value.code == "store_down"


def test_an_address_of_another_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STORE", "ftp://somewhere")
    with pytest.raises(ValueError, match="s3://bucket/prefix"):
        store.put_at("0" * 64)
