"""Which cards of this machine are kept, taken or free: one small file under a lock, shared by engine and supervisors.

A reservation keeps a number of cards over a time; a job takes certain cards, by number. A job waits for its turn: in a
reservation, in the order of submission, for cards that the reservation's earlier jobs leave; without one, for cards
that no reservation needs before the job's longest run is over. A taker whose supervisor died holds nothing.
"""

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from huoshui.engines.base import REFUSED, UNKNOWN_CARD, EngineError


@dataclass
class Kept:
    """A reservation. Times are seconds since the Unix epoch."""

    card: str
    cards: int
    start: float
    end: float


@dataclass
class Taker:
    """A job that waits (`ids` None, `until` 0) or runs on cards `ids`, at most `until`. `turn`: order of submission."""

    card: str
    cards: int
    reservation: str
    seconds_max: int
    turn: int
    ids: list[int] | None = None
    until: float = 0.0


@dataclass
class Cards:
    """The state of the file. `total`: cards of each model on this machine."""

    total: dict[str, int]
    reservations: dict[str, Kept] = field(default_factory=dict)
    takers: dict[str, Taker] = field(default_factory=dict)

    def reserve(self, name: str, wanted: Kept) -> None:
        """Raises EngineError(UNKNOWN_CARD, REFUSED). One that stands under this name gets what is wanted now."""
        now = time.time()
        standing = {key: kept for key, kept in self.reservations.items() if kept.end > now}
        there = standing.get(name)
        if there is not None and (there.cards, there.end) == (wanted.cards, wanted.end):
            self.reservations = standing
            return
        self.reservations = {key: kept for key, kept in standing.items() if key != name}
        try:
            self._require(name, wanted, now)
        except EngineError:
            self.reservations = standing
            raise
        self.reservations[name] = wanted

    def _require(self, name: str, wanted: Kept, now: float) -> None:
        if wanted.card not in self.total:
            raise EngineError(UNKNOWN_CARD, wanted.card)
        if not max(wanted.start, now) < wanted.end or wanted.cards < 1:
            raise EngineError(REFUSED, f"{name}: {wanted.cards} cards from {wanted.start} to {wanted.end}")
        free = self.total[wanted.card] - self.peak(wanted.card, max(wanted.start, now), wanted.end)
        if wanted.cards > free:
            raise EngineError(REFUSED, f"{name}: {wanted.cards} cards of {wanted.card}, {free} are free")

    def peak(self, card: str, start: float, end: float) -> int:
        """Most cards that reservations, and jobs without one, need at once between two times."""
        needs = [(kept.start, kept.end, kept.cards) for kept in self.reservations.values() if kept.card == card]
        needs += [
            (0.0, taker.until, taker.cards)
            for taker in self.takers.values()
            if taker.card == card and not taker.reservation and taker.ids is not None
        ]
        moments = [start, *(begin for begin, _until, _cards in needs if start < begin < end)]
        return max(sum(cards for begin, until, cards in needs if begin <= at < until) for at in moments)

    def queue(self, name: str, taker: Taker) -> None:
        """A job asks for cards. Raises EngineError when it can never have them."""
        if taker.card not in self.total:
            raise EngineError(UNKNOWN_CARD, taker.card)
        kept = self.reservations.get(taker.reservation)
        if taker.reservation and (kept is None or kept.end <= time.time() or kept.card != taker.card):
            raise EngineError(REFUSED, f"{name}: no reservation {taker.reservation} of {taker.card}")
        most = kept.cards if kept else self.total[taker.card]
        if taker.cards > most:
            raise EngineError(REFUSED, f"{name}: {taker.cards} cards, at most {most}")
        taker.turn = 1 + max((other.turn for other in self.takers.values()), default=0)
        self.takers[name] = taker

    def take(self, name: str) -> Taker | None:
        """The job's cards, once it is its turn; None: not yet. Raises EngineError(REFUSED): its reservation is over."""
        taker = self.takers[name]
        if taker.ids is not None:
            return taker
        now = time.time()
        kept = self.reservations.get(taker.reservation)
        if taker.reservation and (kept is None or kept.end <= now):
            raise EngineError(REFUSED, f"{name}: reservation {taker.reservation} is over")
        beside = [
            other
            for other in self.takers.values()
            if other.card == taker.card and other.reservation == taker.reservation and other is not taker
        ]
        if any(other.ids is None and other.turn < taker.turn for other in beside):
            return None
        if kept is not None:
            room = (
                kept.cards - sum(other.cards for other in beside if other.ids is not None) if kept.start <= now else 0
            )
        else:
            room = self.total[taker.card] - self.peak(taker.card, now, now + taker.seconds_max)
        used = {number for other in self.takers.values() if other.card == taker.card for number in other.ids or ()}
        idle = [number for number in range(self.total[taker.card]) if number not in used]
        if taker.cards > min(room, len(idle)):
            return None
        taker.ids = idle[: taker.cards]
        taker.until = min(now + taker.seconds_max, kept.end if kept else float("inf"))
        return taker


@contextmanager
def locked(folder: Path, alive: Callable[[str], bool]) -> Iterator[Cards]:
    """The cards, for reading and changing under the lock; written back when the block ends without an error.

    `alive(name)` says whether a taker's supervisor lives.
    """
    handle = os.open(folder / "cards.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        cards, before = Cards({}), ""
        with suppress(FileNotFoundError):
            before = (folder / "cards.json").read_text()
            state = json.loads(before)
            cards.total = state["total"]
            cards.reservations = {name: Kept(**kept) for name, kept in state["reservations"].items()}
            cards.takers = {name: Taker(**taker) for name, taker in state["takers"].items() if alive(name)}
        yield cards
        after = json.dumps(asdict(cards))
        if after != before:
            write(folder / "cards.json", after)
    finally:
        os.close(handle)


def write(path: Path, text: str) -> None:
    """Replace a file whole, so that a reader sees the old or the new one, also after a crash."""
    fresh = path.with_suffix(".new")
    with open(fresh, "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
