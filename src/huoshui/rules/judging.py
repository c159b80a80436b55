"""One pack on one table: the verdict of every criterion, the points, the blocker, the money.

What applies is judged first: an entity outside the division or the audience is n/a, and so is a criterion whose
`applies_when` is unmet. While that is not known, the criterion is any-of itself and not applying, which is any-of with
the verdict of `applies_when`. A criterion with exemptions is any-of itself and them. Hard, veto and manual criteria,
the scoring and an audience that is not certain are the members of the pack's all-of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from types import MappingProxyType
from typing import Final

import numpy as np
import polars as pl

from .algebra import (
    INT64_MAX,
    MET,
    Bits,
    Number,
    Truth,
    all_of,
    any_of,
    bit,
    both,
    choose,
    count,
    either,
    floor_of,
    full,
    holds,
    known,
    least,
    minus,
    most,
    narrow,
    no,
    opposite,
    plus,
    some,
    times,
    verdict,
    wide,
    yes,
)
from .algebra import MANUAL as BY_PERSON
from .measures import OPPOSITE, Plain, amount, compare, distance, limit
from .model import (
    BPS,
    NATIONAL,
    AllOf,
    Amount,
    AnyOf,
    Banded,
    Certificate,
    Compare,
    Criterion,
    Dated,
    Fixed,
    Flag,
    FromFacts,
    Kind,
    Least,
    Member,
    Money,
    Op,
    Pack,
    Rate,
    Remainder,
    Score,
    Share,
    Stage,
    Stepped,
    Term,
    Test,
    Total,
    reads,
)
from .table import EPOCH, Table, column_of

Columns = dict[str, Number]
"""What a judgement gives, by the names of the result's columns."""
SCORE: Final = "score"


# --- tests ------------------------------------------------------------------------------------------------------------


def truth(test: Test, table: Table) -> Truth:
    """The verdict of a test; judged once for a table."""
    return table.once(test, lambda: _truth(test, table))


def _truth(test: Test, table: Table) -> Truth:
    if isinstance(test, Compare):
        return compare(test.measure, test.op, test.threshold.value, table)
    if isinstance(test, Member):
        text = table.text(test.field)
        among = text.among(test.values, test.prefix)
        return holds(no(among) if test.negated else among, table.known(test.field))
    if isinstance(test, Flag):
        name = column_of(Term(test.field, test.year), table.on)
        value = table.values(name)
        flag: Bits = False if value is None else value
        return holds(flag if test.value else no(flag), table.known(name))
    if isinstance(test, Dated):
        return Plain(table, (test.field,), table.values(test.field)).compare(test.op, day_number(test, table))
    if isinstance(test, (Certificate, AllOf)):
        return all_of(truth(each, table) for each in members(test))
    if isinstance(test, AnyOf):
        return any_of(truth(each, table) for each in test.tests)
    return BY_PERSON


def members(test: Test) -> tuple[Test, ...]:
    """The tests that a test joins."""
    if isinstance(test, Certificate):
        return Flag(test.field, True), Dated(test.until, Op.GE, None)
    return test.tests if isinstance(test, (AllOf, AnyOf)) else ()


def day_number(test: Dated, table: Table) -> int:
    """The day that a date is compared with, since 1970-01-01."""
    return (test.day or table.on).toordinal() - EPOCH


def margin_of(test: Test | None, negated: bool, table: Table) -> Number:
    """Signed distance of a test from holding (`negated`: from not holding); None where it has no one number.

    Several comparisons of one unit, all of which must hold, are as far as the farthest of them.
    """
    if isinstance(test, Compare):
        return distance(test.measure, OPPOSITE[test.op] if negated else test.op, test.threshold.value, table)
    if isinstance(test, Dated):
        days = Amount((Term(test.field),))
        after = day_number(test, table)
        op = OPPOSITE[test.op] if negated else test.op
        return distance(days, op, after, table)
    if isinstance(test, (AnyOf if negated else AllOf)) and has_margin(test, negated):
        farthest = reduce(least, [margin_of(each, negated, table) for each in test.tests])
        return choose(table.all_known(column_of(term, table.on) for term in reads(test)), farthest, None)
    return None


def has_margin(test: Test | None, negated: bool) -> bool:
    """Whether the test has a margin as one number."""
    if isinstance(test, (AnyOf if negated else AllOf)):
        kinds = {(type(each.measure), each.unit) for each in test.tests if isinstance(each, Compare)}
        return len(kinds) == 1 and all(isinstance(each, Compare) for each in test.tests)
    return isinstance(test, (Compare, Dated))


# --- criteria ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Points:
    """Points for sure, if persons decide favourably, and if the missing facts turn out well too."""

    sure: Number
    person: Number
    may: Number


NO_POINTS: Final = Points(*[0] * 3)


def added(a: Points, b: Points) -> Points:
    sure = plus(a.sure, b.sure)
    person = sure if a.person is a.sure and b.person is b.sure else plus(a.person, b.person)
    may = person if a.may is a.person and b.may is b.person else plus(a.may, b.may)
    return Points(sure, person, may)


@dataclass(frozen=True)
class Outcome:
    """A criterion on a table. `own` is its verdict by itself, `truth` with its exemptions; both unmet where n/a."""

    criterion: Criterion
    na: Bits
    own: Truth
    truth: Truth
    points: Points | None

    @property
    def neutral(self) -> Truth:
        """The verdict as a member of all-of, in which n/a does not count."""
        return self.truth if self.na is False else Truth(*(either(part, self.na) for part in self.truth))

    @property
    def verdict(self) -> Number:
        code = verdict(self.truth)
        return code if self.na is False else choose(self.na, 0, code)


def points_of(score: Score, table: Table) -> Points:
    """The best of the alternatives."""
    ways = [_way_points(way, table) for way in score.alternatives]
    return ways[0] if len(ways) == 1 else Points(*(
        reduce(most, [getattr(way, level) for way in ways]) for level in ("sure", "person", "may")
    ))  # fmt: skip


def _way_points(way: Banded | Stepped, table: Table) -> Points:
    """Cases by rising points over the least: the last that holds gives the points."""
    if isinstance(way, Stepped):
        cases = [(truth(step.test, table), step.points) for step in reversed(way.steps)]
        floor = way.otherwise
    else:
        cases = [(_in_band(way, low, high, table), points) for points, low, high in _rising(way)]
        floor = lowest(way)
    sure: Number = floor
    person: Number = floor
    may: Number = floor
    for each, points in cases:
        same, certain = person is sure and each.person is each.sure, may is person and each.may is each.person
        sure = choose(each.sure, points, sure)
        person = sure if same else choose(each.person, points, person)
        may = person if certain else choose(each.may, points, may)
    return Points(sure, person, may)


def _rising(way: Banded) -> list[tuple[int, int | None, int | None]]:
    return sorted(((band.points, band.low, band.high) for band in way.bands), key=lambda band: band[0])


def _in_band(way: Banded, low: int | None, high: int | None, table: Table) -> Truth:
    """Known at once: bands share their ends, and each end is compared once."""
    above = MET if low is None else compare(way.measure, Op.GE, low, table)
    return above if high is None else all_of((above, opposite(compare(way.measure, Op.GE, high, table))))


def lowest(way: Banded) -> int:
    """The least points that bands can give: none where they leave a gap."""
    ends = sorted(((band.low, band.high) for band in way.bands), key=lambda ends: (ends[0] is not None, ends[0] or 0))
    reached: int | None = None
    for index, (low, high) in enumerate(ends):
        if (index == 0 and low is not None) or (index and low is not None and reached is not None and low > reached):
            return 0
        if high is None:
            return min(band.points for band in way.bands)
        reached = high if reached is None else max(reached, high)
    return 0


# --- money ------------------------------------------------------------------------------------------------------------


def money_max(money: Money) -> int:
    """The largest absolute value that a formula can reach on facts within their limit."""
    if isinstance(money, Fixed):
        return abs(money.fen)
    if isinstance(money, FromFacts):
        return limit(money.amount)
    if isinstance(money, Share):
        return money_max(money.of) * highest(money.rate) // BPS + 1
    if isinstance(money, (Least, Total)):
        sizes = [money_max(member) for member in money.members]
        return sum(sizes) if isinstance(money, Total) else max(sizes)
    if isinstance(money, Remainder):
        return money_max(money.of)
    return max(money_max(money.otherwise), *(money_max(member) for _, member in money.cases))


def highest(rate: Rate) -> int:
    return max([bps for _, bps in rate.cases] + ([] if rate.otherwise is None else [rate.otherwise]))


def value_of(money: Money, table: Table) -> Number:
    """The amount in fen; unknown where a fact that it needs is."""
    if isinstance(money, Fixed):
        return money.fen
    if isinstance(money, FromFacts):
        return amount(money.amount, table)
    if isinstance(money, Share):
        rate = _first_case([(truth(test, table), bps) for test, bps in money.rate.cases], money.rate.otherwise)
        return _share(money, value_of(money.of, table), rate)
    if isinstance(money, (Least, Total)):
        values = [_sized(money, member, table) for member in money.members]
        return reduce(least if isinstance(money, Least) else plus, values)
    if isinstance(money, Remainder):
        return _remainder(value_of(money.of, table), value_of(money.less, table))
    cases = [(truth(test, table), value_of(member, table)) for test, member in money.cases]
    return _first_case(cases, value_of(money.otherwise, table))


def _sized(whole: Money, member: Money, table: Table) -> Number:
    value = value_of(member, table)
    return wide(value) if money_max(whole) > INT64_MAX else value


def _share(share: Share, of: Number, rate: Number) -> Number:
    if money_max(share.of) * highest(share.rate) > INT64_MAX:
        of = wide(of)
    return floor_of(times(most(of, 0), rate), BPS)


def _remainder(of: Number, less: Number) -> Number:
    less = most(less, 0)
    return None if less is None else most(plus(of, times(less, -1)), 0)


def _first_case(cases: Sequence[tuple[Truth, Number]], otherwise: Number) -> Number:
    """What the first case that is met gives; unknown from the first that is open."""
    result = otherwise
    undecided: Bits = False
    for each, value in reversed(cases):
        result = choose(each.sure, value, result)
        undecided = either(each.open, both(no(each.sure), undecided))
    return choose(undecided, None, result)


def upper_of(money: Money, table: Table) -> Number:
    """The most that the amount can be, whatever the missing facts are; unknown where nothing bounds it."""
    if isinstance(money, (Fixed, FromFacts)):
        return value_of(money, table)
    if isinstance(money, Share):
        rest = highest(money.rate) if money.rate.otherwise is None else money.rate.otherwise
        rate = _greatest_case([(truth(test, table), bps) for test, bps in money.rate.cases], rest)
        return _share(money, upper_of(money.of, table), rate)
    if isinstance(money, Least):
        return reduce(_least_known, [_upper_sized(money, member, table) for member in money.members])
    if isinstance(money, Total):
        return reduce(plus, [_upper_sized(money, member, table) for member in money.members])
    if isinstance(money, Remainder):
        less = value_of(money.less, table)
        return _remainder(upper_of(money.of, table), choose(known(less), less, 0))
    cases = [(truth(test, table), upper_of(member, table)) for test, member in money.cases]
    return _greatest_case(cases, upper_of(money.otherwise, table))


def _upper_sized(whole: Money, member: Money, table: Table) -> Number:
    value = upper_of(member, table)
    return wide(value) if money_max(whole) > INT64_MAX else value


def _least_known(a: Number, b: Number) -> Number:
    return choose(both(known(a), known(b)), least(a, b), choose(known(a), a, b))


def _greatest_case(cases: Sequence[tuple[Truth, Number]], otherwise: Number) -> Number:
    result = otherwise
    for each, value in reversed(cases):
        result = choose(each.sure, value, choose(each.open, most(value, result), result))
    return result


# --- the pack ---------------------------------------------------------------------------------------------------------


class Judging:
    """A pack (its variant chosen, transitions aside) on a table, part by part."""

    def __init__(self, pack: Pack, table: Table, stage: Stage) -> None:
        self.pack, self.table, self.stage = pack, table, stage
        self.asked = pack.at_stage(stage)
        scored = any(criterion.kind is Kind.SCORE for criterion in self.asked)
        self.rule = pack.scoring if scored else None

    @cached_property
    def audience(self) -> Truth:
        return all_of(truth(test, self.table) for test in audience_tests(self.pack))

    @cached_property
    def outcomes(self) -> Mapping[str, Outcome]:
        """Every criterion that is asked, by id, with its exemptions."""
        own = {criterion.id: self._own(criterion) for criterion in self.asked}
        stands_in = [outcome for outcome in own.values() if outcome.criterion.kind is Kind.EXEMPTION]
        return MappingProxyType({name: self._exempted(outcome, stands_in) for name, outcome in own.items()})

    def _own(self, criterion: Criterion) -> Outcome:
        applies = MET if criterion.applies_when is None else truth(criterion.applies_when, self.table)
        if criterion.score is not None:
            points = points_of(criterion.score, self.table)
            if applies is not MET:
                points = Points(*(
                    choose(where, level, 0)
                    for where, level in zip(applies, (points.sure, points.person, points.may), strict=True)
                ))  # fmt: skip
            result = points_truth(points)
            return Outcome(criterion, applies.unmet, result, result, points)
        assert criterion.test is not None, "only a score has no test"
        result = truth(criterion.test, self.table)
        if criterion.kind is Kind.VETO:
            result = opposite(result)
        if applies is not MET:
            result = _where_applies(result, applies)
        return Outcome(criterion, applies.unmet, result, result, None)

    def _exempted(self, outcome: Outcome, stands_in: Iterable[Outcome]) -> Outcome:
        others = [each.own for each in stands_in if outcome.criterion.id in each.criterion.exempts]
        if not others:
            return outcome
        result = any_of((outcome.own, *others))
        if outcome.na is not False:
            result = Truth(*(both(part, no(outcome.na)) for part in result))
        return Outcome(outcome.criterion, outcome.na, outcome.own, result, outcome.points)

    @cached_property
    def score(self) -> Points | None:
        """The total."""
        if self.rule is None:
            return None
        return self._sum([name for part in self.rule.parts for name in part.criteria])

    @cached_property
    def parts(self) -> tuple[Points, ...]:
        """The points of each part of the scoring."""
        return tuple(self._sum(part.criteria) for part in self.rule.parts) if self.rule else ()

    def _sum(self, names: Iterable[str]) -> Points:
        total = NO_POINTS
        for name in names:
            points = self.outcomes[name].points if name in self.outcomes else None
            total = total if points is None else added(total, points)
        return total

    @cached_property
    def scoring_own(self) -> Truth:
        """Whether the total and each part reach what they must, exemptions aside."""
        assert self.score is not None, "only a pack with scoring is asked"
        assert self.rule is not None, "only a pack with scoring is asked"
        truths = [_reaches(self.score, self.rule.threshold)]
        truths += [
            _reaches(points, part.minimum)
            for points, part in zip(self.parts, self.rule.parts, strict=True) if part.minimum
        ]  # fmt: skip
        return all_of(truths)

    @cached_property
    def scoring(self) -> Truth:
        others = [each.own for each in self.outcomes.values() if SCORE in each.criterion.exempts]
        return any_of((self.scoring_own, *others))

    @cached_property
    def members(self) -> list[tuple[int, Truth]]:
        """What must all be met, by index into the criteria; the scoring comes after them."""
        order = {criterion.id: index for index, criterion in enumerate(self.pack.criteria)}
        found = [
            (order[name], outcome.neutral)
            for name, outcome in self.outcomes.items()
            if outcome.criterion.kind not in (Kind.SCORE, Kind.EXEMPTION)
        ]
        return found if self.rule is None else [*found, (len(order), self.scoring)]

    @cached_property
    def applies(self) -> Bits:
        """Where the pack is not n/a: someone of its audience, to whom anything that is asked applies."""
        asked = [outcome for outcome in self.outcomes.values()
                 if outcome.criterion.kind not in (Kind.SCORE, Kind.EXEMPTION)]  # fmt: skip
        if self.rule is not None or not asked:
            return self.audience.may
        return both(self.audience.may, reduce(either, [no(outcome.na) for outcome in asked]))

    @cached_property
    def unmet(self) -> list[tuple[int, Bits]]:
        """The members that are unmet."""
        return [(index, both(self.applies, each.unmet)) for index, each in self.members]

    def columns(self) -> Columns:
        """The columns of the result, `class` and `via` aside."""
        truths = [self.audience, *(each for _, each in self.members)]
        n_unmet = count(each for _, each in self.unmet)
        code = verdict(all_of(truths))
        found: Columns = {
            "verdict": code if self.applies is True else code * bit(self.applies),
            "n_unmet": n_unmet,
            "n_unknown": count(both(self.applies, each.unknown) for each in truths),
            "n_manual": count(both(self.applies, each.manual) for each in truths),
        }
        sole: Bits = n_unmet == 1
        blocking = [(index, both(sole, each)) for index, each in self.unmet]
        return found | self._blocker(blocking) | self._money() | {
            "score_low": self.score.sure if self.score else None,
            "score_high": self.score.may if self.score else None,
        }  # fmt: skip

    def _blocker(self, blocking: Sequence[tuple[int, Bits]]) -> Columns:
        """The sole blocking member, and its margin, which only the rows that it blocks need."""
        blocker: Number = 0
        for index, where in blocking:
            blocker = plus(blocker, times(bit(where), index + 1))
        margin: Number = None
        for index, where in blocking:
            if not self.measurable(index) or not some(where):
                continue
            if isinstance(where, bool) or self._is_light(index):
                margin = choose(where, self.margin(index, self.table), margin)
            else:
                margin = spread_over(where, self.margin(index, self.table.where(where)), margin)
        return {"blocker": minus(blocker.astype(np.int16) if isinstance(blocker, np.ndarray) else blocker, 1),
                "margin": margin}  # fmt: skip

    def _is_light(self, index: int) -> bool:
        """Whether the margin is a subtraction, which costs less for all rows than picking those that need it."""
        test = self.pack.criteria[index].test if index < len(self.pack.criteria) else None
        return test is None or (isinstance(test, Compare) and isinstance(test.measure, Amount))

    def measurable(self, index: int) -> bool:
        if index == len(self.pack.criteria):
            return True
        criterion = self.pack.criteria[index]
        return has_margin(criterion.test, criterion.kind is Kind.VETO)

    def margin(self, index: int, table: Table) -> Number:
        """The signed distance of a member from being met, on some of the rows."""
        if index < len(self.pack.criteria):
            criterion = self.pack.criteria[index]
            return narrow(margin_of(criterion.test, criterion.kind is Kind.VETO, table))
        scoring = self.rule
        assert scoring is not None, "the index after the criteria is the scoring"
        there = self if table is self.table else Judging(self.pack, table, self.stage)
        assert there.score is not None, "a pack with scoring has a score"
        short = [plus(there.score.may, -scoring.threshold)]
        short += [plus(points.may, -part.minimum) for points, part in zip(there.parts, scoring.parts, strict=True)]
        return reduce(least, short)

    def _money(self) -> Columns:
        benefit = self.pack.benefit
        if benefit is None:
            return {"amount_fen": None, "amount_max_fen": None}
        if benefit.amount is None:
            return {"amount_fen": None, "amount_max_fen": choose(self.applies, benefit.cap_fen, None)}
        value = self._capped(value_of(benefit.amount, self.table))
        found = known(value)
        upper = value
        if found is not True:
            rows = self.table.where(no(found))
            part = self._capped(_least_known(upper_of(benefit.amount, rows), benefit.cap_fen))
            upper = part if isinstance(found, bool) else spread_over(~found, part, value)
        return {"amount_fen": choose(self.applies, value, None), "amount_max_fen": choose(self.applies, upper, None)}

    def _capped(self, value: Number) -> Number:
        benefit = self.pack.benefit
        assert benefit is not None, "only an amount is capped"
        if benefit.cap_fen is not None:
            value = least(value, benefit.cap_fen)
        return narrow(most(value, 0))

    def class_index(self) -> Number:
        """Index of the class; unknown where an earlier class is open, or where none is met."""
        assert self.pack.classes is not None, "asked only of a pack with classes"
        return _first_case(
            [(MET if each.test is None else truth(each.test, self.table), index)
             for index, each in enumerate(self.pack.classes.classes)],
            None,
        )  # fmt: skip


def judging_on(pack: Pack, table: Table, stage: Stage) -> Judging:
    """The pack on this table; made once."""
    return table.kept((id(pack), stage), pack, lambda: Judging(pack, table, stage))


def _where_applies(result: Truth, applies: Truth) -> Truth:
    """`result` where `applies` is met, unmet where it is unmet, any-of both where it is open."""
    pairs = zip(result, applies, strict=True)
    return Truth(*(both(applies.may, either(part, both(applies.open, other))) for part, other in pairs))


def audience_tests(pack: Pack) -> list[Test]:
    """Where, and for whom."""
    where = [] if pack.division == NATIONAL else [Member("division", (division_prefix(pack.division),), prefix=True)]
    return [*where, *([] if pack.audience is None else [pack.audience])]


def division_prefix(code: str) -> str:
    """330100 is Hangzhou and all its districts: 3301."""
    return code[:2] if code.endswith("0000") else code[:4] if code.endswith("00") else code


def points_truth(points: Points) -> Truth:
    """The verdict of a score criterion: met if it surely gives points, unmet if it can give none."""
    return _reaches(points, 1)


def _reaches(points: Points, threshold: int) -> Truth:
    def level(number: Number) -> Bits:
        assert number is not None, "points are always known at each level"
        return yes(number >= threshold)

    sure = level(points.sure)
    person = sure if points.person is points.sure else level(points.person)
    return Truth(sure, person, person if points.may is points.person else level(points.may))


def spread_over(where: np.ndarray, values: Number, rest: Number) -> Number:
    """What was worked out for the rows that say yes, with `rest` elsewhere."""
    if not isinstance(values, (pl.Series, np.ndarray)):
        return choose(where, values, rest)
    base = full(rest, len(where), pl.Int64, "").clone()
    return base.scatter(np.flatnonzero(where), pl.Series(values, dtype=pl.Int64))
