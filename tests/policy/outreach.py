"""A small town for lists and batches: the invented grant that needs no application, and firms around its conditions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from typing import Any

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.policy.actions import runs
from huoshui.policy.models import MatchRun
from huoshui.registry import actions as registry
from huoshui.registry.models import Party, Publication
from huoshui.registry.uscc import invented

GRANT = "demo-first-compute-grant"
GRANT_FEN = 500_000
TODAY = date(2026, 11, 16)
NOON = datetime(2026, 11, 16, 12, tzinfo=clock.LOCAL)
SYSTEM = access.system("test")


def pack_text(name: str) -> str:
    """A rule pack as shipped."""
    return (resources.files("huoshui.publications") / "rule_pack" / f"{name}.yaml").read_text(encoding="utf-8")


def publish(text: str, first: Actor, second: Actor) -> Publication:
    """Through both officers' hands."""
    publication = registry.submit_publication(first, text=text)
    registry.review_publication(second, publication=publication)
    registry.activate_publication(second, publication=publication)
    return publication


def say(party: Party, code: str, value: Any) -> None:
    """An official register states a fact (a date as such, a truth as such)."""
    registry.state_fact(SYSTEM, party=party, code=code, value=value, source="official", source_name="示例名录")


@dataclass(frozen=True)
class Town:
    """`good` qualify; `short` lacks the certificate; `open_` has one fact missing; `large` is not concerned."""

    officer: Actor
    second: Actor
    good: tuple[Party, ...]
    short: Party
    open_: Party
    large: Party

    def run(self) -> MatchRun:
        """A finished run over everybody, in this process."""
        return runs.carry_out(SYSTEM, runs.start(self.officer), runs.here)


def firm(
    serial: int, size: str = "small", until: date | None = date(2027, 6, 30), abnormal: bool | None = False
) -> Party:
    """An entity and what registers say of it."""
    party = registry.create_party(
        SYSTEM, name=f"示例企业{serial:03d}", uscc=invented(serial), division="330106" if serial % 2 else "330200",
        kinds=("entity",),
    )  # fmt: skip
    say(party, "sme.size", size)
    say(party, "tech-sme", until is not None)
    if until is not None:
        say(party, "tech-sme.until", until)
    if abnormal is not None:
        say(party, "abnormal", abnormal)
    return party


def build(people: Any, good: int = 3) -> Town:
    """Call it with the clock at NOON."""
    officer, second = people("officer"), people("officer")
    publish(pack_text(GRANT), officer, second)
    return Town(
        officer, second, tuple(firm(601 + number) for number in range(good)), short=firm(651, until=None),
        open_=firm(652, abnormal=None), large=firm(653, size="large"),
    )  # fmt: skip


@contextmanager
def at_noon() -> Iterator[None]:
    with clock.moved_to(NOON):
        yield
