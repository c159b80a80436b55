"""The published precedence: of all that sources say about one thing, which value counts.

Each source's last word counts; a last word without a value withdraws what the source said. Of what stands, the best
rank wins: official register, tax file, centre officer, self-declared. Sources of that rank that disagree are a
conflict: the value is unknown until one gives way. A thing that is told for periods is weighed for each period.

`weigh` is for one thing of one party. `view.frame` does the same for a million parties at once; a test holds the two
together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime

from huoshui.registry.models import FactSource

Value = int | str | bool | date
RANK = {source: rank for rank, source in enumerate(FactSource.values)}


@dataclass(frozen=True)
class Statement:
    """What one source says. `fact` or `file` is the key of the row that holds it; `chosen`: this value counts."""

    fact: int | None
    file: int | None
    value: Value | None
    source: str
    source_name: str
    observed_on: date
    recorded_at: datetime
    chosen: bool = False

    @property
    def order(self) -> tuple[date, datetime, int, int]:
        """Later words are greater."""
        return self.observed_on, self.recorded_at, self.fact or -1, self.file or 0


@dataclass(frozen=True)
class Weighed:
    """`state` is known, missing (nobody says) or conflict; `value` is None unless known.

    `statements` are the last words that stand, the most believed first.
    """

    state: str
    value: Value | None
    statements: tuple[Statement, ...]

    @property
    def chosen(self) -> tuple[Statement, ...]:
        """The statements whose value counts: of several sources of one rank, all that agree."""
        return tuple(said for said in self.statements if said.chosen)


MISSING = Weighed("missing", None, ())


def weigh(said: Iterable[Statement]) -> Weighed:
    """The value of one thing (in one period, if it has periods) from all that was ever said of it."""
    last: dict[tuple[str, str], Statement] = {}
    for statement in said:
        source = statement.source, statement.source_name
        if source not in last or last[source].order < statement.order:
            last[source] = statement
    standing = sorted(
        (statement for statement in last.values() if statement.value is not None),
        key=lambda statement: (RANK[statement.source], statement.source_name),
    )
    if not standing:
        return MISSING
    best = [statement for statement in standing if statement.source == standing[0].source]
    if any(statement.value != best[0].value for statement in best):
        return Weighed("conflict", None, tuple(standing))
    chosen = (replace(statement, chosen=True) for statement in best)
    return Weighed("known", best[0].value, (*chosen, *standing[len(best) :]))
