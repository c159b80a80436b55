"""Lint of tests against one another: what can never be met, is always met, contradicts, repeats or leaves a gap.

The idea: a leaf becomes a `Limit`, the set of values that it admits (an interval of a measure, a choice of a field).
Two limits on the same measure can then be compared: disjoint is a contradiction, contained is a repetition. Bounds are
doubled so that > v lies between v and the next number and ratios need no smallest step. What is not an interval or a
choice has no limit and is never complained of.
"""

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from .fields import SHARE
from .findings import ERROR, NOTE, WARNING, Finding, finding
from .lint_places import leaves
from .model import (
    BPS,
    Age,
    AllOf,
    Amount,
    AnyOf,
    Band,
    Banded,
    Compare,
    Criterion,
    Dated,
    Flag,
    Kind,
    Measure,
    Member,
    Op,
    Pack,
    Ratio,
    Stepped,
    Test,
)

MAY_BE_NEGATIVE: Final = ("净利润", "净资产", "应纳税所得额", "利润", "盈亏", "现金流", "差额")
INFINITY: Final = math.inf


@dataclass(frozen=True)
class Interval:
    """Doubled bounds of a measure or of the ordinal of a date, both included."""

    key: Hashable
    low: float
    high: float

    def disjoint(self, other: "Limit") -> bool:
        return isinstance(other, Interval) and max(self.low, other.low) > min(self.high, other.high)

    def within(self, other: "Limit") -> bool:
        return isinstance(other, Interval) and other.low <= self.low and self.high <= other.high

    def negated(self) -> "Interval | None":
        if self.low == -INFINITY and self.high < INFINITY:
            return Interval(self.key, self.high + 1, INFINITY)
        if self.high == INFINITY and self.low > -INFINITY:
            return Interval(self.key, -INFINITY, self.low - 1)
        return None


@dataclass(frozen=True)
class Choice:
    """The values of a field that are admitted (or, `negated`, refused); `prefix`: values that begin so."""

    key: Hashable
    values: frozenset[object]
    prefix: bool = False
    out: bool = False

    def _covers(self, value: object) -> bool:
        if self.prefix:
            return any(str(value).startswith(str(each)) for each in self.values)
        return value in self.values

    def _touches(self, other: "Choice") -> bool:
        return any(self._covers(value) for value in other.values) or any(other._covers(value) for value in self.values)

    def disjoint(self, other: "Limit") -> bool:
        if not isinstance(other, Choice) or (self.out and other.out):
            return False
        if not self.out and not other.out:
            return not self._touches(other)
        kept, refused = (other, self) if self.out else (self, other)
        return all(refused._covers(value) for value in kept.values)

    def within(self, other: "Limit") -> bool:
        if not isinstance(other, Choice) or self.out != other.out:
            return False
        inner, outer = (other, self) if self.out else (self, other)
        return all(outer._covers(value) for value in inner.values) and (outer.prefix or not inner.prefix)

    def negated(self) -> "Choice | None":
        if self.values <= {True, False}:
            return Choice(self.key, frozenset({True, False}) - self.values)
        return Choice(self.key, self.values, self.prefix, not self.out)


Limit = Interval | Choice


@dataclass(frozen=True)
class Required:
    """A limit that every entity with the benefit meets, and where it stands."""

    path: str
    limit: Limit


def domain(measure: Measure, pack: Pack) -> tuple[float, float]:
    """Least and greatest value that a measure can take."""
    if isinstance(measure, Age):
        return 0, INFINITY
    if isinstance(measure, Amount):
        fields = [pack.fields[term.field] for term in measure.terms]
        positive = all(term.weight > 0 for term in measure.terms)
        signed = any(word in field.title for field in fields for word in MAY_BE_NEGATIVE)
        top = BPS if len(fields) == 1 and fields[0].unit == SHARE else INFINITY
        return (0 if positive and not signed else -INFINITY), top
    if isinstance(measure, Ratio):
        return domain(measure.numerator, pack)[0], INFINITY
    return -BPS, INFINITY


def limit(test: Test) -> Limit | None:
    """What a leaf admits; None where it is neither an interval nor a choice."""
    if isinstance(test, Compare):
        doubled = 2 * test.threshold.value
        bounds: dict[Op, tuple[float, float]] = {
            Op.GE: (doubled, INFINITY), Op.GT: (doubled + 1, INFINITY), Op.LE: (-INFINITY, doubled),
            Op.LT: (-INFINITY, doubled - 1), Op.EQ: (doubled, doubled),
        }  # fmt: skip
        return Interval(test.measure, *bounds[test.op]) if test.op in bounds else None
    if isinstance(test, Dated) and test.day is not None:
        doubled = 2 * test.day.toordinal()
        return Interval(
            test.field, *((-INFINITY, doubled) if test.op is Op.LE else (doubled, INFINITY))
        )  # fmt: skip
    if isinstance(test, Member):
        return Choice(test.field, frozenset(test.values), test.prefix, test.negated)
    if isinstance(test, Flag):
        return Choice((test.field, test.year), frozenset((test.value,)))
    return None


def check(pack: Pack) -> Iterator[Finding]:
    """Every finding that comes from the tests alone."""
    body = pack.header.body
    for index, criterion in enumerate(pack.criteria):
        path, raw = f"body.criteria[{index}]", body["criteria"][index]
        if criterion.test is not None:
            yield from _tree(raw["test"], criterion.test, f"{path}.test", pack)
        if criterion.applies_when is not None:
            yield from _tree(raw["applies_when"], criterion.applies_when, f"{path}.applies_when", pack)
        if criterion.score is not None:
            yield from _score(raw["score"], criterion, f"{path}.score", pack)
    if pack.audience is not None:
        yield from _tree(body["audience"]["test"], pack.audience, "body.audience.test", pack)
    yield from _together(pack)
    yield from _repeated(pack)


# --- one test ---------------------------------------------------------------------------------------------------------


def _tree(raw: Any, test: Test, path: str, pack: Pack) -> Iterator[Finding]:
    if not isinstance(test, (AllOf, AnyOf)) or raw.get("op") not in ("all_of", "any_of"):
        parts = test.tests if isinstance(test, (AllOf, AnyOf)) else (test,)
        yield from _leaf(parts[0], path, pack)
        return
    members = list(zip(raw["tests"], test.tests, strict=True))
    for index, (inner, part) in enumerate(members):
        yield from _tree(inner, part, f"{path}.tests[{index}]", pack)
    if len(members) == 1:
        yield finding("single_member", path, WARNING)
    known = list(_limits(test, path))
    yield from (_conjunction(known) if isinstance(test, AllOf) else _alternatives(known, path, pack))
    yield from _odd_one(test, path)
    for index, (inner, part) in enumerate(members):
        if type(part) is type(test) and inner.get("op") == raw["op"]:
            yield finding("nested_alike", f"{path}.tests[{index}]", WARNING)
    if isinstance(test, AnyOf):
        yield from _overlapping(test, path)
    for index, part in enumerate(test.tests):
        if part in test.tests[:index] and limit(part) is None:
            yield finding("test_repeated", f"{path}.tests[{index}]", WARNING)


def _limits(test: AllOf | AnyOf, path: str) -> Iterator[tuple[str, Limit]]:
    """Limits of the members; a member that joins in the same way is part of the list."""
    for index, part in enumerate(test.tests):
        where = f"{path}.tests[{index}]"
        own = limit(part)
        if own is not None:
            yield where, own
        elif isinstance(part, (AllOf, AnyOf)) and isinstance(part, type(test)):
            yield from ((where, inner) for _, inner in _limits(part, where))


def _odd_one(test: AllOf | AnyOf, path: str) -> Iterator[Finding]:
    """Among three or more alike, one that joins its own members the other way."""
    kinds = [type(part) for part in test.tests]
    for one, rest in ((AllOf, AnyOf), (AnyOf, AllOf)):
        if len(kinds) > 2 and kinds.count(one) == 1 and kinds.count(rest) == len(kinds) - 1:
            yield finding("odd_one", f"{path}.tests[{kinds.index(one)}]", WARNING)


def _leaf(test: Test, path: str, pack: Pack) -> Iterator[Finding]:
    """A comparison that the unit decides by itself."""
    own = limit(test)
    if isinstance(test, Compare) and isinstance(own, Interval):
        low, high = (2 * bound for bound in domain(test.measure, pack))
        if own.low > high or own.high < low:
            yield finding("never_met", path, ERROR)
        elif own.low <= low and own.high >= high:
            yield finding("always_met", path, ERROR)
        elif isinstance(test.measure, Age) and test.threshold.value > 100 * 12:
            yield finding("implausible", path, WARNING)
        elif isinstance(test.measure, Ratio) and _part_of_whole(test.measure) and test.threshold.value > BPS:
            yield finding("share_over_whole", path, ERROR)
        elif not isinstance(test.measure, Age) and test.threshold.value > 10 * BPS and _is_share(test.measure):
            yield finding("implausible", path, WARNING)
    if isinstance(test, Member) and not test.prefix:
        yield from _known_values(test, path, pack)
    if isinstance(test, Flag) and f"{test.field}.until" in pack.fields and test.value:
        yield finding("certificate_by_flag", path, NOTE, field=test.field)


def _is_share(measure: Measure) -> bool:
    return not isinstance(measure, (Amount, Age))


def _part_of_whole(measure: Ratio) -> bool:
    """A numerator that is a part of the denominator by name: rd.domestic of rd, revenue.main of revenue."""
    over, under = measure.numerator.terms, measure.denominator.terms
    return len({t.field for t in over}) == 1 == len({t.field for t in under}) and over[0].field.startswith(
        f"{under[0].field}."
    )


def _known_values(test: Member, path: str, pack: Pack) -> Iterator[Finding]:
    """Codes that the field's title lists in brackets (large、medium、small、micro)."""
    import re

    listed = re.findall(r"[A-Za-z][A-Za-z-]*", pack.fields[test.field].title.partition("（")[2])
    unknown = [value for value in test.values if listed and value not in listed]
    if unknown and test.field != "industry" and not test.field.startswith("product."):
        yield finding("value_unknown", path, ERROR, value=unknown[0], known=", ".join(listed))
    doubled = [value for value in test.values if test.values.count(value) > 1]
    if doubled:
        yield finding("value_repeated", path, WARNING, value=doubled[0])


def _conjunction(known: Sequence[tuple[str, Limit]]) -> Iterator[Finding]:
    for index, (path, mine) in enumerate(known):
        for other_path, other in known[:index]:
            if mine.key != other.key:
                continue
            if mine.disjoint(other):
                yield finding("contradiction", path, ERROR, other=other_path)
            elif other.within(mine) or mine.within(other):
                yield finding("redundant", path, WARNING, other=other_path)


def _alternatives(known: Sequence[tuple[str, Limit]], path: str, pack: Pack) -> Iterator[Finding]:
    for index, (where, mine) in enumerate(known):
        for other_path, other in known[:index]:
            if mine.key == other.key and (mine.within(other) or other.within(mine)):
                yield finding("redundant", where, WARNING, other=other_path)
    for key in {each.key for _, each in known}:
        same = [each for _, each in known if each.key == key]
        if _cover_everything(same, pack):
            yield finding("always_met", path, ERROR)


def _overlapping(test: AnyOf, path: str) -> Iterator[Finding]:
    """Alternatives that share values of a field, one with more conditions: for these it never matters."""
    plain = [(index, own) for index, part in enumerate(test.tests) if isinstance(own := limit(part), Choice)]
    for index, part in enumerate(test.tests):
        for inner in part.tests if isinstance(part, AllOf) else ():
            own = limit(inner)
            for other, alone in plain:
                if isinstance(own, Choice) and own.key == alone.key and not own.disjoint(alone):
                    where = f"{path}.tests[{index}]"
                    yield finding("redundant", where, WARNING, other=f"{path}.tests[{other}]")


def _cover_everything(limits: Sequence[Limit], pack: Pack) -> bool:
    intervals = [each for each in limits if isinstance(each, Interval)]
    choices = [each for each in limits if isinstance(each, Choice)]
    if len(intervals) > 1:
        key = intervals[0].key
        low, high = (2 * b for b in domain(key, pack)) if not isinstance(key, str) else (-INFINITY, INFINITY)  # type: ignore[arg-type]
        reached = low - 1
        for each in sorted(intervals, key=lambda interval: interval.low):
            if each.low > reached + 1:
                return False
            reached = max(reached, each.high)
        return reached >= high
    return any(a.negated() == b for a in choices for b in choices)


# --- scores -----------------------------------------------------------------------------------------------------------


def _score(raw: Any, criterion: Criterion, path: str, pack: Pack) -> Iterator[Finding]:
    assert criterion.score is not None
    several = raw.get("best_of") is not None
    for index, way in enumerate(criterion.score.alternatives):
        at = f"{path}.best_of[{index}]" if several else path
        inner = raw["best_of"][index] if several else raw
        if isinstance(way, Banded):
            yield from bands(way, at, pack)
        else:
            yield from _steps(inner, way, at, pack)
    if len(criterion.score.points) == 1:
        yield finding("points_constant", path, WARNING, points=criterion.score.points[0])


def bands(way: Banded, path: str, pack: Pack) -> Iterator[Finding]:
    """Gaps, overlaps, open ends and points out of order."""
    low, high = domain(way.measure, pack)
    ordered = sorted(enumerate(way.bands), key=lambda each: _low(each[1]))
    first, last = ordered[0], ordered[-1]
    if _low(first[1]) > low:
        yield finding("bands_open_low", f"{path}.bands[{first[0]}]", ERROR)
    if max(_high(band) for _, band in ordered) < high:
        yield finding("bands_open_high", f"{path}.bands[{last[0]}]", ERROR)
    for index, band in ordered:
        if _high(band) <= low or _low(band) > high:
            yield finding("band_unreachable", f"{path}.bands[{index}]", ERROR)
    for (_, before), (index, band) in zip(ordered, ordered[1:], strict=False):
        if _low(band) > _high(before):
            yield finding("band_gap", f"{path}.bands[{index}]", ERROR, other=_index(way, before))
        elif _low(band) < _high(before):
            yield finding("band_overlap", f"{path}.bands[{index}]", ERROR, other=_index(way, before))
    points = [band.points for _, band in ordered]
    steps = [b - a for a, b in zip(points, points[1:], strict=False)]
    if any(step > 0 for step in steps) and any(step < 0 for step in steps):
        yield finding("points_not_monotone", f"{path}.bands[{_turn(ordered, steps)}]", WARNING)
    if 0 in steps:
        yield finding("points_repeated", f"{path}.bands[{ordered[steps.index(0) + 1][0]}]", WARNING)


def _turn(ordered: Sequence[tuple[int, Band]], steps: Sequence[int]) -> int:
    """The band whose points go against most of the others."""
    rising = sum(1 if step > 0 else -1 for step in steps if step) >= 0
    for place, step in enumerate(steps):
        if step and (step > 0) != rising:
            return ordered[place + 1][0]
    return ordered[0][0]


def _index(way: Banded, band: Band) -> int:
    return way.bands.index(band)


def _low(band: Band) -> float:
    return -INFINITY if band.low is None else band.low


def _high(band: Band) -> float:
    return INFINITY if band.high is None else band.high


def _steps(raw: Any, way: Stepped, path: str, pack: Pack) -> Iterator[Finding]:
    for index, step in enumerate(way.steps):
        where = f"{path}.steps[{index}]"
        yield from _tree(raw["steps"][index]["test"], step.test, f"{where}.test", pack)
        own = limit(step.test)
        for before in way.steps[:index]:
            earlier = limit(before.test)
            if before.test == step.test or (own and earlier and own.key == earlier.key and own.within(earlier)):
                yield finding("step_unreachable", where, ERROR, points=before.points)
                break


# --- criteria together ------------------------------------------------------------------------------------------------


def required(pack: Pack) -> Iterator[Required]:
    """Limits that hold for whoever meets the pack: of the audience, of hard criteria, and of vetoes turned round."""
    exempted = {name for criterion in pack.criteria for name in criterion.exempts}
    if pack.audience is not None:
        yield from _of(pack.header.body["audience"]["test"], pack.audience, "body.audience.test", False)
    for index, criterion in enumerate(pack.criteria):
        if criterion.test is None or criterion.applies_when is not None or criterion.id in exempted:
            continue
        if criterion.kind in (Kind.HARD, Kind.VETO):
            raw = pack.header.body["criteria"][index]["test"]
            yield from _of(raw, criterion.test, f"body.criteria[{index}].test", criterion.kind is Kind.VETO)


def _of(raw: Any, test: Test, path: str, negated: bool) -> Iterator[Required]:
    """The leaves that must all hold (of a veto: must all fail)."""
    joins = AnyOf if negated else AllOf
    split = isinstance(test, joins) or not isinstance(test, (AllOf, AnyOf))
    if not split:
        return
    for leaf in leaves(raw, test, path):
        if leaf.path.count(".tests[") > path.count(".tests[") + 1:
            continue  # deeper than one level: no longer a plain list
        for part in leaf.parts:
            own = limit(part)
            own = own.negated() if own is not None and negated else own
            if own is not None:
                yield Required(leaf.path, own)


def _together(pack: Pack) -> Iterator[Finding]:
    known = list(required(pack))
    for index, mine in enumerate(known):
        for other in known[:index]:
            if mine.limit.key != other.limit.key or _criterion_path(mine.path) == _criterion_path(other.path):
                continue
            if mine.limit.disjoint(other.limit):
                yield finding("contradiction", mine.path, ERROR, other=other.path)
            elif other.limit.within(mine.limit) or mine.limit.within(other.limit):
                level = NOTE if other.path.startswith("body.audience") else WARNING
                yield finding("redundant", mine.path, level, other=other.path)


def _criterion_path(path: str) -> str:
    return path.partition(".test")[0]


def _repeated(pack: Pack) -> Iterator[Finding]:
    for index, criterion in enumerate(pack.criteria):
        for place, other in enumerate(pack.criteria[:index]):
            path = f"body.criteria[{index}]"
            if (criterion.test, criterion.score, criterion.kind, criterion.applies_when, criterion.exempts) == (
                other.test, other.score, other.kind, other.applies_when, other.exempts,
            ):  # fmt: skip
                yield finding("criterion_repeated", path, WARNING, other=f"body.criteria[{place}]")
            if criterion.title == other.title:
                yield finding("title_repeated", f"{path}.title", WARNING, other=f"body.criteria[{place}]")
