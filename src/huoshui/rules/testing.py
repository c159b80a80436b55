"""Tests of a pack as a lawyer writes them: cases of facts, what the pack must say of each, and what no case covers.

The format is described in docs/rules/format.md. A case runs through `explain`, the code that a firm's page shows. The
idea of coverage: `possible` works out which verdicts a criterion can have at all, and each of them must be seen.
"""

import datetime as dt
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from huoshui.terms.publication import Fields, check_date, parse_yaml

from .errors import RuleError
from .explain import CriterionResult, Explanation, explain
from .fields import CLAIM, MONEY, Field
from .library import Library
from .model import (
    AllOf,
    AnyOf,
    Criterion,
    Kind,
    Manual,
    Pack,
    Stage,
    Test,
    Verdict,
)
from .reader import YEARS
from .table import column_name

CASES_MAX: Final = 500
UNKNOWN: Final = "unknown"
NONE: Final = "none"
SCORING: Final = "score"
VERDICTS: Final = {"met": Verdict.MET, "unmet": Verdict.UNMET, UNKNOWN: Verdict.UNKNOWN, "manual": Verdict.MANUAL,
                   "na": Verdict.NA}  # fmt: skip
NAMES: Final = {verdict: name for name, verdict in VERDICTS.items()}
_QUANTITY: Final = re.compile(r"(-?[\d,]+(?:\.\d+)?)\s*(\D*)", re.ASCII)


@dataclass(frozen=True)
class Case:
    """A firm: what is known of it in the evaluator's columns, and what is expected, as written."""

    name: str
    on: dt.date
    stage: Stage
    variant: str | None
    row: Mapping[str, Any]
    expect: Mapping[str, Any]


@dataclass(frozen=True)
class Mismatch:
    """What came out otherwise than expected: `what` is verdict, score, amount … or the id of a criterion."""

    what: str
    expected: str
    found: str


@dataclass(frozen=True)
class CaseResult:
    case: Case
    explanation: Explanation
    mismatches: tuple[Mismatch, ...]


@dataclass(frozen=True)
class Coverage:
    """Which verdicts of a criterion (or of the scoring) can be, and which of them some case expects and gets."""

    criterion: str
    wanted: frozenset[Verdict]
    seen: frozenset[Verdict]

    @property
    def missing(self) -> frozenset[Verdict]:
        return self.wanted - self.seen


@dataclass(frozen=True)
class Report:
    results: tuple[CaseResult, ...]
    coverage: tuple[Coverage, ...]

    @property
    def passed(self) -> bool:
        return not any(result.mismatches for result in self.results) and not any(each.missing for each in self.coverage)


def run_tests(pack: Pack, text: str, known_packs: Mapping[str, Pack] | None = None) -> Report:
    """Run a test file on a pack. `known_packs` by id, for the packs that its transitions name.

    Raises RuleError or TermError where the file cannot be read, naming the place.
    """
    library = Library(_with_transitions(pack, known_packs or {}))
    cases = read_cases(pack, text)
    results = tuple(_run(library, pack, case) for case in cases)
    return Report(results, tuple(_coverage(pack, results)))


def _with_transitions(pack: Pack, known: Mapping[str, Pack]) -> Iterable[Pack]:
    """The pack and those that may judge in its place; others would fill facts that the file leaves unknown."""
    found, waiting = {pack.id: pack}, [pack]
    while waiting:
        for step in waiting.pop().transitions:
            if step.pack in known and step.pack not in found:
                found[step.pack] = known[step.pack]
                waiting.append(known[step.pack])
    return found.values()


# --- reading ----------------------------------------------------------------------------------------------------------


def read_cases(pack: Pack, text: str) -> list[Case]:
    """The cases of a test file."""
    fields = Fields(parse_yaml(text), "")
    if fields.text("pack") != pack.id:
        raise RuleError("pack", fields.value("pack"), "choice", choices=pack.id)
    day, stage = fields.date("on"), _stage(fields, Stage.ENTITLEMENT)
    base = fields.mapping("base") if "base" in fields else {}
    cases = [
        _case(pack, row, day, stage, base) for row in fields.rows("cases", minimum=1, maximum=CASES_MAX)
    ]  # fmt: skip
    fields.done()
    return cases


def _stage(fields: Fields, usual: Stage) -> Stage:
    return Stage(fields.choice("stage", tuple(Stage))) if "stage" in fields else usual


def _case(pack: Pack, row: Fields, day: dt.date, stage: Stage, base: Mapping[str, Any]) -> Case:
    on = row.date("on") if "on" in row else day
    facts = dict(_columns(pack, base, "base", on))
    facts |= _columns(pack, row.mapping("facts"), row.path("facts"), on) if "facts" in row else {}
    if "claim" in row:
        claim = {f"{CLAIM}{code.removeprefix(CLAIM)}": value for code, value in row.mapping("claim").items()}
        facts |= _columns(pack, claim, row.path("claim"), on)
    return Case(
        name=row.text("name", max_characters=200),
        on=on,
        stage=_stage(row, Stage.CLAIM if "claim" in row else stage),
        variant=row.identifier("variant") if "variant" in row else None,
        row={name: value for name, value in facts.items() if value is not None},
        expect=dict(_expected(pack, row.fields("expect"))),
    )


def _columns(pack: Pack, facts: Mapping[str, Any], where: str, on: dt.date) -> Iterator[tuple[str, Any]]:
    for key, content in facts.items():
        path = f"{where}.{key}"
        code, _, year = str(key).partition("@")
        if code not in pack.fields:
            raise RuleError(path, key, "field_unknown")
        field = pack.fields[code]
        if field.periodic != bool(year):
            raise RuleError(path, key, "period_needed" if field.periodic else "period_refused", code=code)
        yield column_name(code, _year(year, path, on) if year else None), value_of(field, content, path)


def _year(text: str, where: str, on: dt.date) -> int:
    if text in YEARS:
        return on.year + YEARS[text]
    if re.fullmatch(r"-\d{1,2}", text, re.ASCII):
        return on.year + int(text)
    if not re.fullmatch(r"\d{4}", text, re.ASCII):
        raise RuleError(where, text, "choice", choices=", ".join([*YEARS, "2025", "-3"]))
    return int(text)


def value_of(field: Field, content: Any, where: str) -> Any:
    """A fact as a test file writes it, as the evaluator's columns hold it; None is unknown."""
    if content == UNKNOWN or content is None:
        return None
    if field.kind == "boolean":
        if not isinstance(content, bool):
            raise RuleError(where, content, "boolean")
        return content
    if field.kind == "date":
        return check_date(content, where)
    if field.kind == "text":
        if not isinstance(content, str):
            raise RuleError(where, content, "text", max=200)
        return content
    return _number(field, content, where)


def _number(field: Field, content: Any, where: str) -> int:
    match = _QUANTITY.fullmatch(str(content).strip())
    units: dict[str, int] = {"": 10**field.places, field.unit: 10**field.places, **(MONEY if field.is_money else {})}
    if isinstance(content, bool) or match is None or match.group(2).strip() not in units:
        raise RuleError(where, content, "unit_mismatch", expected="/".join(filter(None, units)) or "none")
    scaled = Decimal(match.group(1).replace(",", "")) * units[match.group(2).strip()]
    if scaled != scaled.to_integral_value():
        raise RuleError(where, content, "threshold_places", places=field.places)
    return int(scaled)


def _expected(pack: Pack, fields: Fields) -> Iterator[tuple[str, Any]]:
    """What is expected, checked and as written."""
    yield "verdict", fields.choice("verdict", tuple(VERDICTS))
    if "criteria" in fields:
        inner = fields.fields("criteria")
        known = [criterion.id for criterion in pack.criteria]
        for name in inner.names():
            expected = inner.value(name)
            whole = isinstance(expected, int) and not isinstance(expected, bool)
            if name not in known and name != SCORING:
                raise RuleError(inner.path(name), name, "criterion_unknown", known=", ".join(known))
            if expected not in VERDICTS and not (whole and name != SCORING):
                raise RuleError(inner.path(name), expected, "choice", choices=", ".join(VERDICTS))
        yield "criteria", dict(fields.mapping("criteria"))
    for key in ("score", "amount", "class", "blocker", "via"):
        if key in fields:
            yield key, fields.value(key)
    fields.done()


# --- running ----------------------------------------------------------------------------------------------------------


def _run(library: Library, pack: Pack, case: Case) -> CaseResult:
    found = explain(library, pack.id, case.row, case.on, stage=case.stage)
    return CaseResult(case, found, tuple(_mismatches(pack, case, found)))


def _mismatches(pack: Pack, case: Case, found: Explanation) -> Iterator[Mismatch]:
    pairs = [("verdict", case.expect["verdict"], NAMES[found.verdict])]
    if case.variant is not None:
        variant = found.judged_by.variant
        pairs.append(("variant", case.variant, variant.id if variant else NONE))
    results = {result.criterion.id: result for result in found.criteria}
    for name, expected in case.expect.get("criteria", {}).items():
        pairs.append((name, str(expected), _criterion_found(name, expected, results, found)))
    for key in ("score", "amount", "class", "blocker", "via"):
        if key in case.expect:
            expected = case.expect[key]
            pairs.append((key, _written(key, expected), _summary(key, pack, found)))
    for what, expected, actual in pairs:
        if expected != actual:
            yield Mismatch(what, expected, actual)


def _criterion_found(name: str, expected: Any, results: Mapping[str, CriterionResult], found: Explanation) -> str:
    if name == SCORING and found.scoring is not None:
        return NAMES[found.scoring.verdict]
    if name not in results:
        return NONE
    result = results[name]
    if isinstance(expected, int):
        return f"{result.points_low}" if result.points_low == result.points_high else UNKNOWN
    return NAMES[result.verdict]


def _written(key: str, expected: Any) -> str:
    """An expectation in one form of writing: amounts in fen, scores as low-high."""
    if key == "amount" and expected != UNKNOWN:
        return str(_number(Field("amount", "", "decimal", "元", 2), expected, "expect.amount"))
    if key == "score" and isinstance(expected, list):
        return "-".join(map(str, expected))
    if key == "class" and expected == UNKNOWN:
        return NONE
    return str(expected)


def _summary(key: str, pack: Pack, found: Explanation) -> str:
    if key == "amount":
        return UNKNOWN if found.amount_fen is None else str(found.amount_fen)
    if key == "score":
        if found.scoring is None:
            return NONE
        low, high = found.scoring.points_low, found.scoring.points_high
        return str(low) if low == high else f"{low}-{high}"
    if key == "class":
        return found.class_id or NONE
    if key == "via":
        return NONE if found.via < 0 else pack.transitions[found.via].id
    if found.blocker == len(found.judged_by.criteria):
        return SCORING
    return found.blocking.id if found.blocking else NONE


# --- coverage ---------------------------------------------------------------------------------------------------------


def possible(test: Test) -> frozenset[Verdict]:
    """The verdicts that a test can have, its members taken to be independent."""
    if isinstance(test, Manual):
        return frozenset((Verdict.MANUAL,))
    if not isinstance(test, (AllOf, AnyOf)):
        return frozenset((Verdict.MET, Verdict.UNMET, Verdict.UNKNOWN))
    order = list(Verdict) if isinstance(test, AllOf) else [
        Verdict.NA, Verdict.UNMET, Verdict.UNKNOWN, Verdict.MANUAL, Verdict.MET
    ]  # fmt: skip
    found = possible(test.tests[0])
    for member in test.tests[1:]:
        found = frozenset(max(pair, key=order.index) for pair in itertools.product(found, possible(member)))
    return found


def _possible_of_points(points: tuple[int, ...]) -> frozenset[Verdict]:
    """A score is met if it surely gives points, unmet if it surely gives none."""
    none, some = points[0] == 0, points[-1] > 0
    return frozenset(
        verdict
        for verdict, can in ((Verdict.MET, some), (Verdict.UNMET, none), (Verdict.UNKNOWN, some and none))
        if can
    )


def wanted(criterion: Criterion) -> frozenset[Verdict]:
    """The verdicts in which a criterion must be seen."""
    if criterion.score is not None:
        found = _possible_of_points(criterion.score.points)
    else:
        assert criterion.test is not None, "a criterion has a test or a score"
        found = possible(criterion.test)
    if criterion.kind is Kind.VETO:
        flipped = {Verdict.MET: Verdict.UNMET, Verdict.UNMET: Verdict.MET}
        found = frozenset(flipped.get(verdict, verdict) for verdict in found)
    return found | {Verdict.NA} if criterion.applies_when is not None else found


def _coverage(pack: Pack, results: Iterable[CaseResult]) -> Iterator[Coverage]:
    seen = dict[str, set[Verdict]]()
    for result in results:
        failed = {mismatch.what for mismatch in result.mismatches}
        by_id = {each.criterion.id: each for each in result.explanation.criteria}
        for name in result.case.expect.get("criteria", {}):
            if name in failed:
                continue
            if name == SCORING and result.explanation.scoring is not None:
                seen.setdefault(name, set()).add(result.explanation.scoring.verdict)
            elif name in by_id:
                seen.setdefault(name, set()).add(by_id[name].verdict)
    for criterion in pack.criteria:
        yield Coverage(criterion.id, wanted(criterion), frozenset(seen.get(criterion.id, ())))
    if pack.scoring is not None:
        every = frozenset((Verdict.MET, Verdict.UNMET, Verdict.UNKNOWN))
        yield Coverage(SCORING, every, frozenset(seen.get(SCORING, ())))


__all__ = ["Case", "CaseResult", "Coverage", "Mismatch", "Report", "possible", "run_tests", "value_of"]
