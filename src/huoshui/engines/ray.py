"""A Ray cluster as an engine, through its Jobs API over HTTP; nothing of Ray is imported. An optional extra.

Ray runs jobs on resources of a name and a number (`ray start --resources '{"a100": 8}'`), and knows neither
reservations nor accounts. So the reservations are kept here (`local_cards`, in `<workdir>/.engine`): a job that must
wait is handed to Ray by a later `watch`, and what others run on the cluster is not seen. The account is Ray's start and
end of the job times its cards (`ray-times`): weaker than an accounting of the engine's own, which the source says.

Cards are counted, not numbered: which ones a job sees is between it and Ray (CUDA_VISIBLE_DEVICES stays empty).
All jobs run as Ray's own user, so this engine is for a site whose tenants trust one another.
"""

import json
import shlex
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huoshui.engines import batch_script
from huoshui.engines.base import (
    LOG_READ_MAX,
    MALFORMED,
    NAME,
    REFUSED,
    SETTINGS,
    UNREACHABLE,
    EngineError,
    Finding,
    Found,
    JobSpec,
    Phase,
    Reservation,
    Status,
    Usage,
    pairs,
    read_log,
)
from huoshui.engines.local_cards import Cards, Kept, Taker, locked, write

ANSWER_SECONDS_MAX = 20
ANSWER_BYTES_MAX = 64 << 20
SOURCE = "ray-times"


class RayEngine:
    """Settings: `workdir` (shared with the head node), `address` (`http://host:8265`), `cards` (`a100=8`)."""

    def __init__(self, settings: Mapping[str, str]) -> None:
        self.workdir = Path(settings["workdir"]).absolute()
        self.address = settings["address"].rstrip("/")
        self.folder = self.workdir / ".engine"
        try:
            self.total = {card: int(cards) for card, cards in pairs(settings["cards"]).items()}
        except ValueError as error:
            raise EngineError(SETTINGS, f"cards: {error}") from error
        if not self.total or urllib.parse.urlsplit(self.address).scheme not in ("http", "https"):
            raise EngineError(SETTINGS, "cards: at least one; address: http:// or https://")

    # cards

    def cards(self) -> dict[str, int]:
        return {card: sum(cards) for card, cards in self._nodes().items()}

    def nodes(self) -> dict[str, list[int]]:
        return {card: [max(cards)] for card, cards in self._nodes().items() if cards}

    def _nodes(self) -> dict[str, list[int]]:
        """Cards of each living node that has some. A job's command runs on one of them."""
        nodes = _within(self._ask("GET", "/api/v0/nodes?detail=1&limit=10000"), "data", "result", "result")
        alive = [node.get("resources_total", {}) for node in nodes if node.get("state") == "ALIVE"]
        return {card: [count for has in alive if (count := int(has.get(card, 0)))] for card in self.total}

    def reserve(self, wanted: Reservation) -> None:
        if not NAME.fullmatch(wanted.name):
            raise EngineError(REFUSED, f"name {wanted.name!r}")
        with self._cards() as cards:
            kept = Kept(wanted.card, wanted.cards, wanted.start.timestamp(), wanted.end.timestamp())
            cards.reserve(wanted.name, kept)

    def release(self, name: str) -> None:
        with self._cards() as cards:
            cards.reservations.pop(name, None)
            jobs = [job for job, taker in cards.takers.items() if taker.reservation == name]
        for job in jobs:
            self.cancel(job)

    def reservations(self) -> dict[str, Reservation]:
        now = datetime.now(UTC).timestamp()
        with self._cards() as cards:
            return {
                name: Reservation(
                    name, kept.card, kept.cards,
                    datetime.fromtimestamp(kept.start, UTC), datetime.fromtimestamp(kept.end, UTC),
                )
                for name, kept in cards.reservations.items()
                if kept.end > now
            }  # fmt: skip

    # jobs

    def submit(self, spec: JobSpec) -> None:
        if spec.nodes > 1:
            raise EngineError(REFUSED, f"{spec.name}: a job runs on one of Ray's nodes, not on {spec.nodes}")
        if self._order(spec.name) is None:
            with self._cards() as cards:
                kept = cards.reservations.get(spec.reservation)
                cards.queue(spec.name, Taker(spec.card, spec.cards, spec.reservation, spec.seconds_max, 0))
                script = spec.directory / f".run-{spec.name}.sh"
                script.write_text(batch_script.write(spec, int(kept.end) if kept else 0))
                self._keep(spec.name, {
                    "entrypoint": f"/bin/bash {shlex.quote(str(script))} > {shlex.quote(str(spec.log))} 2>&1",
                    "cards": spec.cards, "card": spec.card,
                })  # fmt: skip
        self._hand_on()

    def watch(self, names: Sequence[str]) -> dict[str, Status]:
        self._hand_on()
        jobs = self._jobs()
        return {name: self._status(name, jobs.get(name)) for name in names}

    def usage(self, names: Sequence[str]) -> dict[str, Usage]:
        jobs, found = self._jobs(), {}
        for name in names:
            job, order = jobs.get(name), self._order(name)
            if job is None or order is None or not job.get("start_time") or job["status"] == "PENDING":
                continue
            began, ended = _instant(job["start_time"]), _instant(job["end_time"]) if job.get("end_time") else None
            seconds = int(((ended or datetime.now(UTC)) - began).total_seconds())
            if seconds < 0:
                raise EngineError(MALFORMED, f"{name}: ended before it started")
            cards = order["cards"]
            keys = ("submission_id", "status", "start_time", "end_time", "driver_exit_code")
            raw = json.dumps({key: job.get(key) for key in keys} | {"cards": cards})
            found[name] = Usage(cards, seconds * cards, began, ended, SOURCE, raw)
        return found

    def find(self, reservations: Sequence[str], since: datetime | None = None) -> list[Found]:
        return []

    def logs(self, spec: JobSpec, offset: int, limit: int = LOG_READ_MAX) -> bytes:
        return read_log(spec.log, offset, limit)

    def cancel(self, name: str) -> None:
        order = self._order(name)
        if order is None or order.get("over"):
            return
        self._keep(name, order | {"cancelled": True})
        if self._jobs().get(name):
            self._ask("POST", f"/api/jobs/{name}/stop")
        else:
            self._keep(name, order | {"cancelled": True, "over": "cancelled"})

    # check

    def check(self) -> list[Finding]:
        try:
            there = self.cards()
            version = self._ask("GET", "/api/version").get("ray_version", "")
            findings = [Finding("ok", "version", str(version))]
            findings += [
                Finding("ok" if there[card] >= cards else "fault", "cards", f"{card}: {there[card]} of {cards}")
                for card, cards in self.total.items()
            ]
            with self._cards():
                pass
        except EngineError as error:
            return [Finding("fault", error.code, error.text)]
        except OSError as error:
            return [Finding("fault", "workdir", str(error))]
        findings.append(Finding("warning", "separation", "jobs of all tenants run as Ray's user"))
        findings.append(Finding("warning", "accounting", "Ray keeps no accounts: its start and end times are used"))
        return findings

    # parts

    def _hand_on(self) -> None:
        """Hand to Ray what may run now; forget the cards of what has ended."""
        jobs = self._jobs()
        for name, job in jobs.items():
            order = self._order(name)
            if order and not order.get("over") and job["status"] in ("STOPPED", "SUCCEEDED", "FAILED"):
                self._keep(name, order | {"over": "ended"})
        with self._cards() as cards:
            for name in sorted(cards.takers, key=lambda name: cards.takers[name].turn):
                order = self._order(name)
                if order is None or name in jobs:
                    continue
                try:
                    if cards.take(name) is not None:
                        self._start(name, order)
                except EngineError as error:
                    if error.code != REFUSED:
                        raise
                    self._keep(name, order | {"over": "no_start"})

    def _start(self, name: str, order: dict[str, Any]) -> None:
        wanted = {
            "submission_id": name, "entrypoint": order["entrypoint"],
            "entrypoint_resources": {order["card"]: order["cards"]},
        }  # fmt: skip
        try:
            self._ask("POST", "/api/jobs/", wanted)
        except EngineError:
            if name not in self._jobs():  # else an earlier call was taken, and its answer lost
                raise

    def _status(self, name: str, job: dict[str, Any] | None) -> Status:
        order = self._order(name)
        if order is None:
            return Status(Phase.LOST)
        if job is None:
            over = order.get("over")
            if over == "ended":
                return Status(Phase.LOST)
            return Status(Phase.ENDED, None, over) if over else Status(Phase.WAITING)
        node = str(job.get("driver_node_id") or "")[:80]
        state, code = job["status"], job.get("driver_exit_code")
        if state in ("PENDING", "RUNNING"):
            if state == "PENDING" or not job.get("start_time"):
                return Status(Phase.WAITING, None, "", node)
            return Status(Phase.RUNNING, None, "", node, _instant(job["start_time"]))
        code = 0 if state == "SUCCEEDED" else 128 - code if code is not None and code < 0 else code
        reason = "" if code is None else batch_script.REASONS.get(code, "")
        if order.get("cancelled"):
            reason = "cancelled"
        elif state == "FAILED" and code is None:
            reason = "node_lost"
        return Status(Phase.ENDED, code, reason, node)

    def _jobs(self) -> dict[str, dict[str, Any]]:
        said = self._ask("GET", "/api/jobs/")
        if not isinstance(said, list) or not all(isinstance(job, dict) and "status" in job for job in said):
            raise EngineError(MALFORMED, "jobs")
        return {job["submission_id"]: job for job in said if job.get("submission_id")}

    def _order(self, name: str) -> dict[str, Any] | None:
        """What was asked of us under a name; `over`: why nothing of it runs any more."""
        if not NAME.fullmatch(name):
            raise EngineError(REFUSED, f"name {name!r}")
        with suppress(FileNotFoundError):
            order: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
            return order
        return None

    def _keep(self, name: str, order: dict[str, Any]) -> None:
        write(self.folder / f"{name}.json", json.dumps(order))

    @contextmanager
    def _cards(self) -> Iterator[Cards]:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise EngineError(UNREACHABLE, str(error)) from error

        def lives(name: str) -> bool:
            order = self._order(name)
            return order is not None and not order.get("over")

        with locked(self.folder, lives) as cards:
            cards.total = self.total
            yield cards

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - the scheme was checked
            self.address + path, None if body is None else json.dumps(body).encode(), method=method,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:  # noqa: S310
                said = answer.read(ANSWER_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            raise EngineError(REFUSED, f"{path}: {error.code} {error.read(300).decode(errors='replace')}") from error
        except (OSError, ValueError) as error:
            raise EngineError(UNREACHABLE, f"{path}: {error}") from error
        try:
            return json.loads(said)
        except ValueError as error:
            raise EngineError(MALFORMED, f"{path}: {said[:200]!r}") from error


def _within(said: Any, *keys: str) -> list[dict[str, Any]]:
    for key in keys:
        said = said.get(key) if isinstance(said, dict) else None
    if not isinstance(said, list):
        raise EngineError(MALFORMED, "/".join(keys))
    return said


def _instant(milliseconds: Any) -> datetime:
    if not isinstance(milliseconds, int):
        raise EngineError(MALFORMED, f"time {milliseconds!r}")
    return datetime.fromtimestamp(milliseconds / 1_000, UTC)
