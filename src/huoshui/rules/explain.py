"""One entity and one pack, with the whole tree: what was read, what each test said and by how much.

The row is a table of constants and goes through the same code as a million rows (see `algebra`); this module only
walks the tests and writes down what they said. Codes and numbers, never sentences.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .algebra import Number, Truth, verdict
from .evaluate import class_index, fill, judged
from .judging import (
    SCORE,
    Judging,
    Outcome,
    Points,
    has_margin,
    judging_on,
    margin_of,
    members,
    points_of,
    truth,
)
from .library import Library
from .measures import measured
from .missing import undecided, unpriced
from .model import (
    Banded,
    Compare,
    Criterion,
    Kind,
    Measure,
    Pack,
    Part,
    Score,
    Stage,
    Stepped,
    Test,
    Verdict,
    reads,
    terms_of_measure,
)
from .steps import Plan, plans
from .table import Table, column_of

Values = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class TestResult:
    """A test and what it said. `values`: the columns that it reads by itself, None where missing. `measured`: its
    measure in smallest units, rounded down (None: not a number, unknown, or not defined). `margin`: signed distance
    from holding, below zero exactly where it does not hold."""

    test: Test
    verdict: Verdict
    values: Values
    measured: int | None
    margin: int | None
    children: tuple["TestResult", ...]


@dataclass(frozen=True)
class WayResult:
    """One way to score: `measured` and `values` for bands, `steps` (a tree each) for steps."""

    way: Banded | Stepped
    points_low: int
    points_high: int
    values: Values
    measured: int | None
    steps: tuple[TestResult, ...]


@dataclass(frozen=True)
class CriterionResult:
    """A criterion and what it said: `verdict` with its exemptions, `own` without (a veto that is triggered is unmet).

    `exempted_by`: the exemption that is met in its place. `margin`: its distance from being met. Of kind score:
    `tree` is None, `ways` and `points_low`, `points_high` say what it gives, and the verdict is met if that is surely
    something, unmet if it is surely nothing.
    """

    criterion: Criterion
    verdict: Verdict
    own: Verdict
    tree: TestResult | None
    applies: TestResult | None
    exempted_by: str | None
    margin: int | None
    ways: tuple[WayResult, ...]
    points_low: int | None
    points_high: int | None


@dataclass(frozen=True)
class PartResult:
    part: Part
    points_low: int
    points_high: int


@dataclass(frozen=True)
class ScoringResult:
    """The total as an interval, against `threshold`; `verdict` with exemptions, `own` without."""

    verdict: Verdict
    own: Verdict
    threshold: int
    points_low: int
    points_high: int
    parts: tuple[PartResult, ...]
    exempted_by: str | None


@dataclass(frozen=True)
class Explanation:
    """Why `pack` says what it says. `judged_by` is the pack whose criteria these are: itself, its variant for the
    division, or the pack of transition `via` (-1: none). `blocker` is an index into `judged_by.criteria`, as in
    `evaluate`.

    `undecided`: missing columns that keep the verdict open; `unknown`: these, and those that keep the amount open.
    `steps`: where the verdict is unmet, plans that would change it, the cheapest first.
    """

    pack: Pack
    judged_by: Pack
    verdict: Verdict
    audience: TestResult | None
    criteria: tuple[CriterionResult, ...]
    scoring: ScoringResult | None
    n_unmet: int
    n_unknown: int
    n_manual: int
    blocker: int
    margin: int | None
    amount_fen: int | None
    amount_max_fen: int | None
    class_id: str | None
    via: int
    undecided: tuple[str, ...]
    unknown: tuple[str, ...]
    steps: tuple[Plan, ...]

    @property
    def blocking(self) -> Criterion | None:
        """The only criterion that is unmet; None also if it is the scoring."""
        criteria = self.judged_by.criteria
        return criteria[self.blocker] if 0 <= self.blocker < len(criteria) else None


def explain(
    library: Library, pack_id: str, row: Mapping[str, Any], on: dt.date, *, stage: Stage = Stage.ENTITLEMENT
) -> Explanation:
    """Judge one row (column → value, None or absent where unknown) and say why. Raises RuleError."""
    return _explain(library, library[pack_id], _table(library, row, on), stage)


def explain_all(
    library: Library, row: Mapping[str, Any], on: dt.date, stage: Stage = Stage.ENTITLEMENT
) -> list[Explanation]:
    """Judge one row by every pack of the library, in its order."""
    table = _table(library, row, on)
    return [_explain(library, pack, table, stage) for pack in library.packs.values()]


def _table(library: Library, row: Mapping[str, Any], on: dt.date) -> Table:
    table = Table.of_row(row, on)
    fill(library, table)
    return table


def _explain(library: Library, pack: Pack, table: Table, stage: Stage) -> Explanation:
    columns = {name: _int(value) for name, value in judged(library, pack, table, stage).items()}
    judging = _judging(library, pack, table, stage)
    code = Verdict(columns["verdict"] or 0)
    open_ = tuple(undecided(library, pack, table, stage)) if code is Verdict.UNKNOWN else ()
    price = () if code in (Verdict.NA, Verdict.UNMET) else tuple(unpriced(library, pack, table, stage))
    index = None if pack.classes is None else _int(class_index(library, pack, table))
    audience = judging.pack.audience
    return Explanation(
        pack=pack,
        judged_by=judging.pack,
        verdict=code,
        audience=None if audience is None else tree(audience, table),
        criteria=tuple(_criterion(outcome, judging) for outcome in judging.outcomes.values()),
        scoring=_scoring(judging),
        n_unmet=columns["n_unmet"] or 0,
        n_unknown=columns["n_unknown"] or 0,
        n_manual=columns["n_manual"] or 0,
        blocker=_sure(columns["blocker"]),
        margin=columns["margin"],
        amount_fen=columns["amount_fen"],
        amount_max_fen=columns["amount_max_fen"],
        class_id=None if index is None or pack.classes is None else pack.classes.classes[index].id,
        via=_sure(columns["via"]),
        undecided=open_,
        unknown=tuple(dict.fromkeys((*open_, *price))),
        steps=plans(judging) if code is Verdict.UNMET else (),
    )


def _judging(library: Library, pack: Pack, table: Table, stage: Stage) -> Judging:
    """Who judges this row; while that is open, the pack itself."""
    for branch in library.branches(pack, table.on):
        if truth(branch.test, table).sure:
            if branch.via is None:
                return judging_on(branch.pack, table, stage)
            return _judging(library, branch.pack, table, stage)
    return judging_on(pack, table, stage)


def tree(test: Test, table: Table) -> TestResult:
    """A test on a table of one row, with all tests within."""
    children = tuple(tree(each, table) for each in members(test))
    return TestResult(
        test=test,
        verdict=_verdict(truth(test, table)),
        values=() if children else _values(reads(test), table),
        measured=_measured(test.measure, table) if isinstance(test, Compare) else None,
        margin=_int(margin_of(test, False, table)) if has_margin(test, False) else None,
        children=children,
    )


def _criterion(outcome: Outcome, judging: Judging) -> CriterionResult:
    criterion, table = outcome.criterion, judging.table
    own = _verdict(outcome.own)
    points = outcome.points
    margin = None
    if criterion.test is not None and own is not Verdict.NA:
        margin = _int(margin_of(criterion.test, criterion.kind is Kind.VETO, table))
    return CriterionResult(
        criterion=criterion,
        verdict=Verdict.NA if outcome.na else _verdict(outcome.truth),
        own=Verdict.NA if outcome.na else own,
        tree=None if criterion.test is None else tree(criterion.test, table),
        applies=None if criterion.applies_when is None else tree(criterion.applies_when, table),
        exempted_by=None if own is Verdict.MET or outcome.na else _stand_in(criterion.id, judging),
        margin=margin,
        ways=() if criterion.score is None else _ways(criterion.score, table),
        points_low=None if points is None else _int(points.sure),
        points_high=None if points is None else _int(points.may),
    )


def _stand_in(name: str, judging: Judging) -> str | None:
    """The first exemption from a criterion (or from the scoring) that is met."""
    for outcome in judging.outcomes.values():
        if name in outcome.criterion.exempts and outcome.own.sure is True:
            return outcome.criterion.id
    return None


def _ways(score: Score, table: Table) -> tuple[WayResult, ...]:
    found = []
    for way in score.alternatives:
        points: Points = points_of(Score((way,)), table)
        banded = isinstance(way, Banded)
        found.append(WayResult(
            way=way,
            points_low=_sure(_int(points.sure)),
            points_high=_sure(_int(points.may)),
            values=_values(terms_of_measure(way.measure), table) if isinstance(way, Banded) else (),
            measured=_measured(way.measure, table) if isinstance(way, Banded) else None,
            steps=() if banded else tuple(tree(step.test, table) for step in way.steps),  # type: ignore[union-attr]
        ))  # fmt: skip
    return tuple(found)


def _scoring(judging: Judging) -> ScoringResult | None:
    if judging.rule is None or judging.score is None:
        return None
    own = _verdict(judging.scoring_own)
    return ScoringResult(
        verdict=_verdict(judging.scoring),
        own=own,
        threshold=judging.rule.threshold,
        points_low=_sure(_int(judging.score.sure)),
        points_high=_sure(_int(judging.score.may)),
        parts=tuple(
            PartResult(part, _sure(_int(points.sure)), _sure(_int(points.may)))
            for part, points in zip(judging.rule.parts, judging.parts, strict=True)
        ),
        exempted_by=None if own is Verdict.MET else _stand_in(SCORE, judging),
    )


# --- constants --------------------------------------------------------------------------------------------------------


def _verdict(each: Truth) -> Verdict:
    return Verdict(_sure(_int(verdict(each))))


def _int(number: Number) -> int | None:
    assert number is None or isinstance(number, int), "a table of one row is constants"
    return number


def _sure(number: int | None) -> int:
    assert number is not None, "never unknown"
    return number


def _measured(measure: Measure, table: Table) -> int | None:
    value = measured(measure, table)
    return _int(value.floor()) if value.known is True else None


def _values(terms: Any, table: Table) -> Values:
    return tuple((name, table.raw(name)) for name in dict.fromkeys(column_of(term, table.on) for term in terms))
