"""Ray as an engine: the contract on a real cluster where Ray is installed, and its absence everywhere.

`HUOSHUI_TEST_RAY=http://127.0.0.1:8265` names a cluster that was started with `--resources '{"a100": 8}'`.
"""

import http.server
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engines.contract import EngineContract, Site, refusal

from huoshui.engines import open_engine

ADDRESS = os.environ.get("HUOSHUI_TEST_RAY", "")


def settings(workdir: Path, address: str) -> dict[str, str]:
    return {"workdir": str(workdir), "address": address, "cards": "a100=8"}


@pytest.mark.skipif(not ADDRESS, reason="no Ray cluster named by HUOSHUI_TEST_RAY")
class TestRay(EngineContract):
    """The contract on Ray."""

    @pytest.fixture
    def site(self, tmp_path: Path) -> Site:
        return Site(open_engine("ray", settings(tmp_path, ADDRESS)), tmp_path, "a100", 8, numbered=False)


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    engine = open_engine("ray", settings(tmp_path, "http://127.0.0.1:9"))
    assert refusal(engine.cards) == "unreachable"
    assert refusal(engine.watch, ["job"]) == "unreachable"
    assert [finding.level for finding in engine.check()] == ["fault"]


@pytest.fixture
def babbling() -> Iterator[str]:
    """Something that answers, but is no Ray."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>" if self.path.endswith("version") else b'{"data": [1]}')

        def log_message(self, *_arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_something_that_is_no_ray_is_malformed(tmp_path: Path, babbling: str) -> None:
    engine = open_engine("ray", settings(tmp_path, babbling))
    assert refusal(engine.cards) == "malformed"
    assert refusal(engine.watch, ["job"]) == "malformed"
    assert refusal(engine.usage, ["job"]) == "malformed"


def test_settings_that_make_no_sense_for_ray(tmp_path: Path) -> None:
    for address, cards in (("file:///etc/passwd", "a100=8"), ("http://127.0.0.1:9", "a100=many")):
        given = {"workdir": str(tmp_path), "address": address, "cards": cards}
        assert refusal(open_engine, "ray", given) == "settings", given
