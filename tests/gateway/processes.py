"""A gateway and an upstream as processes, and a client that talks to them."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from tests.gateway.books import Made
from tests.sandbox import ROOT, Sandbox

from huoshui.gateway.meter import now_ms

WAIT_SECONDS_MAX = 60


def until(what: Any, seconds: float = WAIT_SECONDS_MAX) -> Any:
    """The first true answer of `what()`."""
    end = time.monotonic() + seconds
    while not (answer := what()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Said:
    """An answer: status, headers, body; of a stream its events (parsed) and whether `[DONE]` came."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def reason(self) -> str:
        return str(self.body["error"]["reason"])

    @property
    def call(self) -> str:
        return self.headers["x-huoshui-call"]

    @property
    def events(self) -> list[Any]:
        lines = [line[6:] for line in self.raw.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line) for line in lines if line != b"[DONE]"]

    @property
    def done(self) -> bool:
        return b"data: [DONE]" in self.raw

    @property
    def text(self) -> str:
        choices = [choice for event in self.events for choice in event.get("choices", [])]
        return "".join(choice.get("delta", choice).get("content") or choice.get("text", "") for choice in choices)


@dataclass
class Server:
    port: int
    process: "subprocess.Popen[bytes]"
    output: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None, seconds: float = 60
    ) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            raw = bytearray()
            with suppress(http.client.IncompleteRead, ConnectionError):
                while data := answer.read1():
                    raw += data
            sent = {name.lower(): value for name, value in answer.getheaders()}
            return Said(answer.status, sent, bytes(raw))
        finally:
            connection.close()

    def ask(self, made: Made | None, path: str = "/v1/chat/completions", **body: Any) -> Said:
        """A call; `messages` unless the path wants something else. `idempotency` is sent as the header."""
        headers = {"Content-Type": "application/json"}
        if made is not None:
            headers["Authorization"] = f"Bearer {made.token}"
        if name := body.pop("idempotency", ""):
            headers["Idempotency-Key"] = name
        if path == "/v1/chat/completions":
            body.setdefault("messages", [{"role": "user", "content": "你好"}])
        return self.request("POST", path, json.dumps(body).encode(), headers)

    def seen(self) -> dict[str, Any]:
        """What an upstream saw since the last look."""
        return dict(self.request("GET", "/seen").body)

    def read_anew(self) -> None:
        """Wait until the gateway has read the offers as they are now."""
        since = now_ms()
        until(lambda: self.request("GET", "/health").body["read_ms"] > since)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> bytes:
        """Ask it to end; what it wrote."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, _ = self.process.communicate(timeout=30)
        return out


@contextmanager
def started(
    command: list[str], port: int, environment: dict[str, str], health: str = "/health"
) -> Iterator[Server]:
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, start_new_session=True
    )
    server = Server(port, process)
    try:
        until(lambda: process.poll() is not None or answers(server, health))
        assert process.poll() is None, process.communicate()[0].decode()
        yield server
    finally:
        if process.poll() is None:
            server.end()


def answers(server: Server, health: str = "/health") -> bool:
    try:
        return server.request("GET", health, seconds=5).status == 200
    except OSError:
        return False


@contextmanager
def gateway(sandbox: Sandbox, *options: str, **environment: str) -> Iterator[Server]:
    """`huoshui gateway` on a sandbox's database."""
    port = free_port()
    command = [sys.executable, "-m", "huoshui.cli.main", "gateway", "--port", str(port), *options]
    with started(command, port, sandbox.environment(**environment)) as server:
        yield server


@contextmanager
def upstream() -> Iterator[Server]:
    """The scripted upstream (tests/gateway/upstream.py)."""
    port = free_port()
    command = [sys.executable, "-m", "tests.gateway.upstream", str(port)]
    with started(command, port, dict(os.environ)) as server:
        yield server
