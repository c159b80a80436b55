"""Missing facts become questions, the one that decides most first.

A fact **decides** a pack for an entity if it is the only one by which the verdict is still open; it **concerns** a pack
if it is one of several, or if the amount waits for it. `questions` asks one entity; `deciding` tells an office, over
all entities, which fact it would pay to collect.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import polars as pl

from .algebra import Bits, both, count, full, yes
from .evaluate import judged, judged_slices
from .explain import Explanation
from .fields import Field
from .library import Library
from .missing import bits, undecided
from .model import Pack, Stage, Verdict
from .table import Table

DECIDING: Final = {"pack": pl.String, "column": pl.String, "decided": pl.Int64, "concerned": pl.Int64,
                   "amount_max_fen": pl.Int64}  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A missing fact: the packs (ids) that it alone would decide, all that it concerns, and the most that these could
    pay together (None: no bound is known for any)."""

    column: str
    field: Field
    decides: tuple[str, ...]
    concerns: tuple[str, ...]
    amount_max_fen: int | None


def questions(explanations: Iterable[Explanation]) -> list[Question]:
    """The facts that one entity lacks and that matter: most packs decided first, then most money, then most packs."""
    waiting = dict[str, list[Explanation]]()
    for each in explanations:
        for column in each.unknown:
            waiting.setdefault(column, []).append(each)
    found = [_question(column, concerned) for column, concerned in waiting.items()]
    return sorted(found, key=lambda question: _rank(question, waiting[question.column]))


def _question(column: str, concerned: list[Explanation]) -> Question:
    code = column.partition("@")[0]
    return Question(
        column=column,
        field=concerned[0].judged_by.fields[code],
        decides=tuple(each.pack.id for each in concerned if each.undecided == (column,)),
        concerns=tuple(each.pack.id for each in concerned),
        amount_max_fen=_together(concerned),
    )


def _together(explanations: Iterable[Explanation]) -> int | None:
    known = [each.amount_max_fen for each in explanations if each.amount_max_fen is not None]
    return sum(known) if known else None


def _rank(question: Question, concerned: list[Explanation]) -> tuple[int, int, int, int, str]:
    decided = _together(each for each in concerned if each.pack.id in question.decides)
    return (
        -len(question.decides),
        -(decided or 0),
        -len(question.concerns),
        -(question.amount_max_fen or 0),
        question.column,
    )


def deciding(
    library: Library,
    frame: pl.DataFrame,
    on: dt.date,
    *,
    stage: Stage = Stage.ENTITLEMENT,
    packs: Iterable[str] | None = None,
) -> pl.DataFrame:
    """For each pack and column, over the entities of `frame` (see `evaluate`) whose verdict is unknown: how many the
    column alone would decide, how many it concerns, and the most (fen) that those decided could be paid.

    Sorted by entities decided, then money. Raises RuleError for an unknown pack.
    """
    wanted = [library[name] for name in (library if packs is None else packs)]

    def look(table: Table) -> pl.DataFrame:
        return pl.concat([_deciding(library, pack, table, stage) for pack in wanted])

    slices = judged_slices(library, frame, on, look)
    return (
        pl.concat(slices)
        .group_by("pack", "column")
        .agg(pl.col("decided", "concerned", "amount_max_fen").sum())
        .sort(["decided", "amount_max_fen", "concerned", "pack", "column"], descending=[True] * 3 + [False] * 2)
    )


def _deciding(library: Library, pack: Pack, table: Table, stage: Stage) -> pl.DataFrame:
    columns = judged(library, pack, table, stage)
    is_open = yes(columns["verdict"] == Verdict.UNKNOWN.value)
    money = full(columns["amount_max_fen"], table.rows, pl.Int64, "money").fill_null(0)
    missing = {name: both(is_open, bits(rows)) for name, rows in undecided(library, pack, table, stage).items()}
    alone = yes(count(missing.values()) == 1)
    found = []
    for name, rows in missing.items():
        decided = both(rows, alone)
        found.append((pack.id, name, _sum(decided, table.rows), _sum(rows, table.rows), _total(money, decided)))
    return pl.DataFrame(found, schema=DECIDING, orient="row")


def _sum(rows: Bits, height: int) -> int:
    return height * rows if isinstance(rows, bool) else int(rows.sum())


def _total(money: pl.Series, rows: Bits) -> int:
    return int(money.sum()) * rows if isinstance(rows, bool) else int(money.filter(pl.Series(rows)).sum())
