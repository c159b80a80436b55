"""What would change it: the cheapest steps by which an entity that a pack refuses would no longer be refused.

A **change** makes one criterion hold, or gives it more points: the needed value and its signed distance from today's.
A **plan** answers everything that is unmet. Its effort is the sum of the efforts of the criteria that it changes, each
counted once, as the pack orders them (1 light … 5 hard); criteria are taken as independent of one another.

For a scored pack the plan is found exactly, by dynamic programming over the points that each part can reach: least
effort, then fewest points above the threshold, then the criteria that stand first. Missing facts and open questions
count as they surely are, so a plan holds whatever they turn out to be.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .judging import SCORE, Judging, Outcome, members, truth
from .measures import OPPOSITE, earliest_day, measured
from .model import (
    Age,
    AllOf,
    Band,
    Banded,
    Certificate,
    Compare,
    Flag,
    Kind,
    Measure,
    Op,
    Part,
    Scoring,
    Stepped,
    Test,
    terms_of_measure,
)
from .table import EPOCH, Table, column_name, column_of

STATES_MAX: Final = 1_000
"""Sums of points that the search keeps for a pack; beyond it there is no plan for its scoring."""
PLANS_MAX: Final = 5


@dataclass(frozen=True)
class Change:
    """What to change for one criterion.

    `columns` are what the measure reads; `now` and `needed` are numbers of the measure's smallest unit (`delta` between
    them) or yes and no. `unit` as the pack writes it. `day`: from when it holds if nothing but time passes.
    """

    criterion: str
    points_from: int | None
    points_to: int | None
    measure: Measure | Flag | Certificate
    unit: str
    columns: tuple[str, ...]
    now: int | bool | None
    needed: int | bool
    delta: int | None
    day: dt.date | None = None


@dataclass(frozen=True)
class Plan:
    """Changes that together suffice. `points`: the total that they give, None without scoring."""

    effort: int
    points: int | None
    changes: tuple[Change, ...]

    @property
    def criteria(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(change.criterion for change in self.changes))


@dataclass(frozen=True)
class Gain:
    """A way to more points for a criterion."""

    points: int
    changes: tuple[Change, ...]


Points = tuple[int | None, int | None]
"""Of a change: from, to."""
Pick = tuple[int, int]
"""A criterion by its place among those that score, and its gain by place."""


def plans(judging: Judging) -> tuple[Plan, ...]:
    """Plans for one entity, the cheapest first: it, and what else there is for each of its members. None where
    something that is unmet cannot be changed, such as an industry."""
    unmet = {index for index, rows in judging.unmet if rows is True}
    ways = [_ways(index, judging) for index in sorted(unmet)]
    if not ways or not all(ways):
        return ()
    cheapest = [each[0] for each in ways]
    found = [_joined(cheapest)]
    for index, each in enumerate(ways):
        found += [_joined([*cheapest[:index], other, *cheapest[index + 1 :]]) for other in each[1:]]
    return tuple(sorted(dict.fromkeys(found), key=lambda plan: plan.effort)[:PLANS_MAX])


def _joined(parts: Sequence[Plan]) -> Plan:
    changes = dict.fromkeys(change for part in parts for change in part.changes)
    points = [part.points for part in parts if part.points is not None]
    return Plan(sum(part.effort for part in parts), points[0] if points else None, tuple(changes))


def _ways(index: int, judging: Judging) -> list[Plan]:
    """The ways to have one member met, the cheapest first: by itself, or by an exemption."""
    own = list[Plan]()
    name = SCORE
    if index == len(judging.pack.criteria):
        own += scored(judging)
    else:
        criterion = judging.pack.criteria[index]
        name = criterion.id
        own += _plan(judging.outcomes[name], judging.table)
    for outcome in judging.outcomes.values():
        if name in outcome.criterion.exempts and outcome.na is False:
            own += _plan(outcome, judging.table)
    return sorted(own, key=lambda plan: plan.effort)


def _plan(outcome: Outcome, table: Table) -> list[Plan]:
    criterion = outcome.criterion
    assert criterion.test is not None, "a score is not changed by itself"
    changes = needed(criterion.test, criterion.kind is not Kind.VETO, table, criterion.id)
    return [] if not changes else [Plan(criterion.effort, None, changes)]


# --- one test ---------------------------------------------------------------------------------------------------------


def needed(
    test: Test, hold: bool, table: Table, criterion: str, points: Points = (None, None)
) -> tuple[Change, ...] | None:
    """The fewest changes by which a test holds (or does not); none where it may already, None where there is no way."""
    judged = truth(test, table)
    if (judged.may if hold else not judged.sure) is True:
        return ()
    if isinstance(test, Certificate):
        return (_yes_no(test, test.field, hold, table, criterion, points),)
    if isinstance(test, Flag):
        name = column_name(test.field, None if test.year is None else table.on.year + test.year)
        return (_yes_no(test, name, test.value is hold, table, criterion, points),)
    if isinstance(test, Compare):
        op = test.op if hold else OPPOSITE[test.op]
        change = _number(test.measure, test.unit, op, test.threshold.value, table, criterion, points)
        return None if change is None else (change,)
    inner = [needed(each, hold, table, criterion, points) for each in members(test)]
    ways = [changes for changes in inner if changes is not None]
    if isinstance(test, AllOf) is hold:
        return None if not inner or len(ways) < len(inner) else tuple(change for changes in ways for change in changes)
    return min(ways, key=len, default=None)


def _yes_no(test: Flag | Certificate, name: str, value: bool, table: Table, criterion: str, points: Points) -> Change:
    return Change(criterion, *points, test, "", (name,), table.raw(name), value, None)


def _number(
    measure: Measure, unit: str, op: Op, threshold: int, table: Table, criterion: str,
    points: Points,
) -> Change | None:  # fmt: skip
    """The change to the nearest number that compares; None where the measure is not known or cannot move that way."""
    now = _now(measure, table)
    if now is None:
        return None
    target = {Op.GT: threshold + 1, Op.LT: threshold - 1}.get(op, threshold)
    if op is Op.NE:
        target = threshold + 1
    day = None
    if isinstance(measure, Age):
        if target < now:
            return None
        day = _day_of_age(measure, target, table)
    columns = tuple(dict.fromkeys(column_of(term, table.on) for term in terms_of_measure(measure)))
    return Change(criterion, *points, measure, unit, columns, now, target, target - now, day)


def _now(measure: Measure, table: Table) -> int | None:
    """The measure in smallest units, rounded down; None if unknown or not defined."""
    value = measured(measure, table)
    found = value.floor() if value.known is True else None
    assert found is None or isinstance(found, int), "a table of one row is constants"
    return found


def _day_of_age(measure: Age, months: int, table: Table) -> dt.date | None:
    days = table.number(measure.field)
    assert isinstance(days, int), "its age is known"
    day = earliest_day(dt.date.fromordinal(days + EPOCH), months)
    return dt.date(day.year + 1, 1, 1) if day is not None and measure.at_year_end else day


# --- scoring ----------------------------------------------------------------------------------------------------------


def scored(judging: Judging) -> list[Plan]:
    """The cheapest plan to the threshold and the parts' minimums, and the cheapest that leaves out each criterion of
    it in turn. Empty if there is none, or if the points have more sums than STATES_MAX."""
    assert judging.rule is not None, "asked only of a pack with scoring"
    open_ = {name: outcome for name, outcome in judging.outcomes.items() if outcome.points is not None}
    standing = {name: _surely(outcome) for name, outcome in open_.items()}
    gains = {name: _gains(outcome, judging.table) for name, outcome in open_.items() if outcome.na is False}
    efforts = {name: outcome.criterion.effort for name, outcome in open_.items()}
    first = search(judging.rule, standing, gains, efforts)
    if first is None:
        return []
    others = (
        search(judging.rule, standing, {key: gain for key, gain in gains.items() if key != name}, efforts)
        for name in first.criteria
    )
    return list(dict.fromkeys([first, *(plan for plan in others if plan is not None)]))


def search(
    rule: Scoring, standing: Mapping[str, int], gains: Mapping[str, Sequence[Gain]], efforts: Mapping[str, int]
) -> Plan | None:
    """The plan with the least effort, then the fewest points above the threshold, then the criteria that stand first
    in `standing` and their smallest gains. None if no gains reach, or if there are too many sums to tell."""
    order = {name: index for index, name in enumerate(standing)}
    totals: _Sums | None = {0: (0, ())}
    for part in rule.parts:
        sums = _sums(part, order, standing, gains, efforts)
        totals = None if sums is None or totals is None else _together(totals, sums)
    if totals is None:
        return None
    reached = [(effort, total, picks) for total, (effort, picks) in totals.items() if total >= rule.threshold]
    if not reached:
        return None
    effort, total, picks = min(reached)
    names = list(standing)
    chosen = [gains[names[place]][which] for place, which in picks]
    return Plan(effort, total, tuple(change for gain in chosen for change in gain.changes))


_Sums = dict[int, tuple[int, tuple[Pick, ...]]]
"""For each sum of points, the least effort and the first picks that give it."""


def _sums(
    part: Part, order: Mapping[str, int], standing: Mapping[str, int], gains: Mapping[str, Sequence[Gain]],
    efforts: Mapping[str, int],
) -> _Sums | None:  # fmt: skip
    sums: _Sums = {0: (0, ())}
    for name in sorted((name for name in part.criteria if name in order), key=lambda name: order[name]):
        longer: _Sums = {}
        for total, (effort, picks) in sums.items():
            _keep(longer, total + standing[name], (effort, picks))
            for which, gain in enumerate(gains.get(name, ())):
                _keep(longer, total + gain.points, (effort + efforts[name], (*picks, (order[name], which))))
        if len(longer) > STATES_MAX:
            return None
        sums = longer
    return {total: found for total, found in sums.items() if total >= part.minimum}


def _together(one: _Sums, other: _Sums) -> _Sums | None:
    found: _Sums = {}
    for a, (effort, picks) in one.items():
        for b, (more, also) in other.items():
            _keep(found, a + b, (effort + more, tuple(sorted((*picks, *also)))))
    return found if len(found) <= STATES_MAX else None


def _keep(sums: _Sums, total: int, found: tuple[int, tuple[Pick, ...]]) -> None:
    if total not in sums or found < sums[total]:
        sums[total] = found


def _surely(outcome: Outcome) -> int:
    points = outcome.points.sure if outcome.points is not None else None
    assert isinstance(points, int), "a table of one row is constants"
    return points


def _gains(outcome: Outcome, table: Table) -> list[Gain]:
    """The ways to more points than now, by rising points; of several to the same, the nearest."""
    criterion, now = outcome.criterion, _surely(outcome)
    assert criterion.score is not None, "a criterion with points has a score"
    found = dict[int, tuple[Change, ...]]()
    for way in criterion.score.alternatives:
        ways = _banded if isinstance(way, Banded) else _stepped
        for gain in ways(way, now, table, criterion.id):  # type: ignore[arg-type]
            held = found.get(gain.points)
            if held is None or _distance(gain.changes) < _distance(held):
                found[gain.points] = gain.changes
    return [Gain(points, changes) for points, changes in sorted(found.items(), key=lambda item: item[0])]


def _distance(changes: Iterable[Change]) -> tuple[int, int]:
    deltas = [abs(change.delta or 0) for change in changes]
    return len(deltas), sum(deltas)


def _banded(way: Banded, now: int, table: Table, criterion: str) -> list[Gain]:
    value = _now(way.measure, table)
    found = list[Gain]()
    for band in way.bands:
        if value is None or band.points <= now:
            continue
        below = band.low is not None and value < band.low
        op, threshold = (Op.GE, band.low) if below else (Op.LT, band.high)
        if threshold is None or (not below and value < threshold):
            continue
        target = threshold if below else threshold - 1
        points = max(each.points for each in way.bands if _inside(each, target))
        change = _number(way.measure, way.unit, op, threshold, table, criterion, (now, points))
        if change is not None:
            found.append(Gain(points, (change,)))
    return found


def _inside(band: Band, value: int) -> bool:
    return (band.low is None or band.low <= value) and (band.high is None or value < band.high)


def _stepped(way: Stepped, now: int, table: Table, criterion: str) -> list[Gain]:
    found = list[Gain]()
    for step in way.steps:
        if step.points > now and truth(step.test, table).may is False:
            changes = needed(step.test, True, table, criterion, (now, step.points))
            if changes:
                found.append(Gain(step.points, changes))
    return found
