"""Packs over a million entities: columns in, columns out, with reasons.

The frame is judged in slices, on as many threads as Polars has: large enough that the work outweighs the calls, small
enough that what a slice needs is little beside the results. A caller with more rows than memory passes one part of them
at a time.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Final, TypeVar

import numpy as np
import polars as pl

from .algebra import Bits, Number, both, choose, either, full, least, most, no, plus, some, yes
from .judging import Columns, Judging, judging_on, truth
from .library import Branch, Library
from .model import Pack, Stage, Test, Verdict
from .table import Table, lexicons_of

T = TypeVar("T")
SLICE_ROWS_MIN: Final = 1 << 14
SLICE_ROWS_MAX: Final = 1 << 19
CRITERION: Final = "c."

RESULT: Final = MappingProxyType({
    "verdict": pl.UInt8, "n_unmet": pl.UInt8, "n_unknown": pl.UInt8, "n_manual": pl.UInt8, "blocker": pl.Int16,
    "margin": pl.Int64, "amount_fen": pl.Int64, "amount_max_fen": pl.Int64, "score_low": pl.Int32,
    "score_high": pl.Int32, "via": pl.Int16,
})  # fmt: skip
"""The columns of a result that are numbers. `class` (String) comes with them."""


def evaluate(
    library: Library,
    frame: pl.DataFrame,
    on: dt.date,
    *,
    stage: Stage = Stage.ENTITLEMENT,
    packs: Iterable[str] | None = None,
    details: bool = False,
) -> dict[str, pl.DataFrame]:
    """Judge every row of `frame` by every pack (`packs` None: all of the library, in effect or not) on a day.

    Columns of `frame` are those of `Library.columns`: integers and decimals Int64 (money in fen, shares in basis
    points; at most 10^15 either way), texts String, Categorical or Enum, dates Date, Booleans Boolean. Null, or a
    column that is not there, is unknown. Other columns are ignored.

    Returns, for each pack, a frame with a row for each row of `frame`:
    `verdict` (model.Verdict), `n_unmet`, `n_unknown`, `n_manual` (how many members say so: criteria, scoring, and an
    audience that is not certain), `blocker` (index into the criteria of the only unmet member, their number for the
    scoring, -1 for none or several), `margin` (its signed distance, negative is short, null where that is no number),
    `amount_fen`, `amount_max_fen` (what it pays, or would pay if it were met, and the most that this can be; null
    where not known), `score_low`, `score_high`, `class`, `via` (index of the transition by which another pack judged,
    whose criteria `blocker` then counts; -1 none); with `details` `c.<id>` for each criterion (n/a where another pack
    judged).
    Where the pack is n/a, only `verdict`, the score and the class say anything. Raises RuleError for an unknown pack.
    """
    wanted = [library[name] for name in (library if packs is None else packs)]

    def look(table: Table) -> list[pl.DataFrame]:
        return [_frame(library, pack, table, stage, details) for pack in wanted]

    slices = judged_slices(library, frame, on, look)
    return {pack.id: pl.concat([part[index] for part in slices]) for index, pack in enumerate(wanted)}


def judged_slices(library: Library, frame: pl.DataFrame, on: dt.date, look: Callable[[Table], T]) -> list[T]:
    """What `look` gives for each slice of a frame, in order; classes are filled in."""
    lexicons = lexicons_of(frame)

    def work(offset: int) -> T:
        table = Table.of_frame(frame.slice(offset, rows), on, lexicons)
        fill(library, table)
        return look(table)

    threads = pl.thread_pool_size()
    rows = min(SLICE_ROWS_MAX, max(SLICE_ROWS_MIN, -(-frame.height // threads)))

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(0, max(frame.height, 1), rows)))


def fill(library: Library, table: Table) -> None:
    """Give each entity the classes that no fact states."""
    for pack in library.fillers(table.on):
        table.fill(pack, class_index(library, pack, table))


def class_index(library: Library, pack: Pack, table: Table) -> Number:
    """The class by index, by the parameters of each division."""

    def classify(which: Pack, part: Table) -> Columns:
        return {"class": Judging(which, part, Stage.ENTITLEMENT).class_index()}

    return by_branch(table, library.variants(pack), lambda branch, part: classify(branch.pack, part),
                     lambda part: classify(pack, part), same_class)["class"]  # fmt: skip


def judged(library: Library, pack: Pack, table: Table, stage: Stage, details: bool = False) -> Columns:
    """The columns of the result (`class` aside), by whichever pack and parameters judge each row."""
    unasked: Columns = {CRITERION + criterion.id: Verdict.NA.value for criterion in pack.criteria} if details else {}

    def own(which: Pack, part: Table) -> Columns:
        judging = judging_on(which, part, stage)
        found = {**judging.columns(), "via": -1, **unasked}
        if details:
            found |= {CRITERION + name: outcome.verdict for name, outcome in judging.outcomes.items()}
        return found

    def other(branch: Branch, part: Table) -> Columns:
        if branch.via is None:
            return own(branch.pack, part)
        return {**judged(library, branch.pack, part, stage), "via": branch.via, **unasked}

    return by_branch(table, library.branches(pack, table.on), other, lambda part: own(pack, part), agreed)


def by_branch(
    table: Table,
    branches: Sequence[Branch],
    judge: Callable[[Branch, Table], Columns],
    otherwise: Callable[[Table], Columns],
    agree: Callable[[Test, Table, Columns, Columns], Columns],
) -> Columns:
    """Each row as its first branch judges it, else `otherwise`; where that is open, what `agree` makes of both ways."""
    if not branches:
        return otherwise(table)
    first, *others = branches
    when = truth(first.test, table)

    def rest(part: Table) -> Columns:
        return by_branch(part, others, judge, otherwise, agree)

    ways: list[tuple[Bits, Callable[[Table], Columns]]] = [
        (when.sure, lambda part: judge(first, part)),
        (when.unmet, rest),
        (when.open, lambda part: agree(first.test, part, judge(first, part), rest(part))),
    ]
    taken = [(rows, way) for rows, way in ways if some(rows)]
    if len(taken) == 1:
        return taken[0][1](table)
    found = [(rows, way(table.where(rows))) for rows, way in taken]
    return _assembled([(rows, columns) for rows, columns in found if isinstance(rows, np.ndarray)])


def same_class(when: Test, table: Table, yes: Columns, otherwise: Columns) -> Columns:
    """The class on which both ways agree."""
    return {"class": _same(yes["class"], otherwise["class"])}


def agreed(when: Test, table: Table, yes: Columns, otherwise: Columns) -> Columns:
    """What can be said while it is open whether `when` holds.

    The verdict is any-of (when and yes), (when and otherwise), (both): what the two agree on, else open as `when` is.
    Reasons are those of `otherwise`; an amount is known where both are the same.
    """
    open_code = choose(truth(when, table).manual, Verdict.MANUAL.value, Verdict.UNKNOWN.value)
    a, b = (choose(_is(each["verdict"], 0), Verdict.UNMET.value, each["verdict"]) for each in (yes, otherwise))
    code = least(least(most(open_code, a), most(open_code, b)), most(a, b))
    code = choose(both(_is(yes["verdict"], 0), _is(otherwise["verdict"], 0)), 0, code)
    unmet, is_open = _is(code, 4), both(no(_is(code, 0)), either(_is(code, 2), _is(code, 3)))
    return {
        **otherwise,
        "verdict": code,
        "n_unmet": choose(unmet, otherwise["n_unmet"], 0),
        "n_unknown": plus(otherwise["n_unknown"], choose(both(is_open, _is(code, 3)), 1, 0)),
        "n_manual": plus(otherwise["n_manual"], choose(both(is_open, _is(code, 2)), 1, 0)),
        "blocker": -1,
        "margin": None,
        "amount_fen": _same(yes["amount_fen"], otherwise["amount_fen"]),
        "amount_max_fen": most(yes["amount_max_fen"], otherwise["amount_max_fen"]),
        "score_low": least(yes["score_low"], otherwise["score_low"]),
        "score_high": most(yes["score_high"], otherwise["score_high"]),
    }


def _is(number: Number, value: int) -> Bits:
    return yes(number == value)


def _same(a: Number, b: Number) -> Number:
    """The number on which both agree."""
    if a is None or b is None:
        return None
    return choose(yes(a == b), a, None)


def _assembled(parts: Sequence[tuple[np.ndarray, Columns]]) -> Columns:
    """One table again from parts of its rows."""
    back = np.argsort(np.concatenate([np.flatnonzero(rows) for rows, _ in parts]))
    sizes = [int(rows.sum()) for rows, _ in parts]
    found: Columns = {}
    for name in dict.fromkeys(name for _, columns in parts for name in columns):
        values = [columns.get(name) for _, columns in parts]
        if all(not isinstance(value, (pl.Series, np.ndarray)) and value == values[0] for value in values):
            found[name] = values[0]
        else:
            joined = [full(value, rows, pl.Int64, name) for value, rows in zip(values, sizes, strict=True)]
            found[name] = pl.concat(joined).gather(back)
    return found


def _frame(library: Library, pack: Pack, table: Table, stage: Stage, details: bool) -> pl.DataFrame:
    columns = judged(library, pack, table, stage, details)
    series = [full(columns[name], table.rows, dtype, name) for name, dtype in RESULT.items()]
    series.append(_classes(library, pack, table))
    series += [
        full(columns[CRITERION + criterion.id], table.rows, pl.UInt8, CRITERION + criterion.id)
        for criterion in (pack.criteria if details else ())
    ]
    return pl.DataFrame(series)


def _classes(library: Library, pack: Pack, table: Table) -> pl.Series:
    if pack.classes is None:
        return pl.Series("class", [None], dtype=pl.String).new_from_index(0, table.rows)
    names = pl.Series("class", [each.id for each in pack.classes.classes], dtype=pl.String)
    index = full(class_index(library, pack, table), table.rows, pl.Int64, "class")
    return names.gather(index.cast(pl.UInt32)).alias("class")
