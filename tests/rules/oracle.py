"""What a pack says of one entity, worked out one step at a time: the evaluator's oracle.

Written to be read beside docs/rules/format.md, in plain Python with fractions. It shares with the evaluator the model
of a pack and nothing else.
"""

import calendar
import datetime as dt
from fractions import Fraction
from math import ceil, floor

from huoshui.rules import model as m
from huoshui.rules.model import Kind, Op, Stage, Verdict

NA, MET, MANUAL, UNKNOWN, UNMET = Verdict.NA, Verdict.MET, Verdict.MANUAL, Verdict.UNKNOWN, Verdict.UNMET


class Undefined(Exception):
    """A measure whose denominator is not above zero: a person's to say."""


class Missing(Exception):
    """A fact that nobody states."""


def all_of(verdicts):
    counted = [v for v in verdicts if v is not NA]
    for worst in (UNMET, UNKNOWN, MANUAL):
        if worst in counted:
            return worst
    return MET if counted else NA


def any_of(verdicts):
    counted = [v for v in verdicts if v is not NA]
    for best in (MET, MANUAL, UNKNOWN):
        if best in counted:
            return best
    return UNMET if counted else NA


def add_months(day, months):
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return dt.date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def fact(row, on, field, year=None):
    value = row.get(field if year is None else f"{field}@{on.year + year}")
    if value is None:
        raise Missing
    return value


def amount(terms, row, on):
    return sum(term.weight * fact(row, on, term.field, term.year) for term in terms)


class Growing:
    """Compound growth compares like the number of basis points that it is, without ever working that out."""

    def __init__(self, last, first, years):
        self.last, self.first, self.years = last, first, years

    def side(self, bps):
        """-1, 0, 1: below, at, above this many basis points."""
        a, b = self.last * 10_000**self.years, self.first * max(0, 10_000 + bps) ** self.years
        return (a > b) - (a < b)

    def __floor__(self):
        if self.last < 0:
            return -10_001
        low, high = -10_000, 10**20
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.side(middle) >= 0 else (low, middle)
        return low

    def __ceil__(self):
        low = floor(self)
        return low + (self.last < 0 or self.side(low) > 0)


def measure(what, row, on):
    if isinstance(what, m.Amount):
        return amount(what.terms, row, on)
    if isinstance(what, m.Age):
        start = fact(row, on, what.field)
        day = dt.date(on.year - 1, 12, 31) if what.at_year_end else on
        months = 0
        while add_months(start, months + 1) <= day:
            months += 1
        while add_months(start, months) > day:
            months -= 1
        return months
    if isinstance(what, m.Growth):
        last, first = fact(row, on, what.last.field, what.last.year), fact(row, on, what.first.field, what.first.year)
        if first <= 0:
            raise Undefined
        return Growing(last, first, what.years)
    over, under = amount(what.numerator.terms, row, on), amount(what.denominator.terms, row, on)
    if under <= 0:
        raise Undefined
    return Fraction(over * 10_000, under)


def compares(value, op, threshold):
    side = value.side(threshold) if isinstance(value, Growing) else (value > threshold) - (value < threshold)
    return {Op.GE: side >= 0, Op.GT: side > 0, Op.LE: side <= 0, Op.LT: side < 0, Op.EQ: side == 0, Op.NE: side != 0}[
        op
    ]


def truth(test, row, on):
    if isinstance(test, m.AllOf):
        return all_of([truth(each, row, on) for each in test.tests])
    if isinstance(test, m.AnyOf):
        return any_of([truth(each, row, on) for each in test.tests])
    if isinstance(test, m.Manual):
        return MANUAL
    if isinstance(test, m.Certificate):
        return all_of([truth(m.Flag(test.field, True), row, on), truth(m.Dated(test.until, Op.GE, None), row, on)])
    try:
        if isinstance(test, m.Compare):
            holds = compares(measure(test.measure, row, on), test.op, test.threshold.value)
        elif isinstance(test, m.Member):
            text = fact(row, on, test.field)
            holds = any(text.startswith(v) if test.prefix else text == v for v in test.values) is not test.negated
        elif isinstance(test, m.Flag):
            holds = fact(row, on, test.field, test.year) is test.value
        else:
            holds = compares(fact(row, on, test.field), test.op, test.day or on)
    except Missing:
        return UNKNOWN
    except Undefined:
        return MANUAL
    return MET if holds else UNMET


# --- points -----------------------------------------------------------------------------------------------------------


def way_points(way, row, on):
    """(surely, if persons decide favourably, if missing facts turn out well too)."""
    if isinstance(way, m.Stepped):
        verdicts = [(truth(step.test, row, on), step.points) for step in way.steps]
        return tuple(
            max([points for verdict, points in verdicts if verdict in favourable] + [way.otherwise])
            for favourable in ((MET,), (MET, MANUAL), (MET, MANUAL, UNKNOWN))
        )
    possible = [band.points for band in way.bands]
    lowest = min(possible) if covers(way.bands) else 0
    try:
        value = measure(way.measure, row, on)
    except Missing:
        return lowest, lowest, max(possible)
    except Undefined:
        return lowest, max(possible), max(possible)
    inside = [
        band.points
        for band in way.bands
        if (band.low is None or compares(value, Op.GE, band.low))
        and (band.high is None or compares(value, Op.LT, band.high))
    ]
    return (max(inside, default=0),) * 3


def covers(bands):
    """Whether every number lies in a band: only the ends and what is beside them can be left out."""
    ends = [end for band in bands for end in (band.low, band.high) if end is not None]
    points = [end + side for end in ends for side in (-1, 0)] or [0]
    return all(any((b.low is None or b.low <= p) and (b.high is None or p < b.high) for b in bands) for p in points)


def score_points(criterion, row, on):
    ways = [way_points(way, row, on) for way in criterion.score.alternatives]
    best = tuple(max(way[level] for way in ways) for level in range(3))
    applies = MET if criterion.applies_when is None else truth(criterion.applies_when, row, on)
    favourable = ((MET,), (MET, MANUAL), (MET, MANUAL, UNKNOWN))
    return tuple(points if applies in favourable[level] else 0 for level, points in enumerate(best))


def reaches(points, threshold):
    for level, verdict in enumerate((MET, MANUAL, UNKNOWN)):
        if points[level] >= threshold:
            return verdict
    return UNMET


# --- money ------------------------------------------------------------------------------------------------------------


def first_case(cases, otherwise):
    for verdict, value in cases:
        if verdict is MET:
            return value
        if verdict is not UNMET:
            return None
    return otherwise


def share(of, rate):
    return None if of is None or rate is None else max(of, 0) * rate // 10_000


def value_of(money, row, on):
    if isinstance(money, m.Fixed):
        return money.fen
    if isinstance(money, m.FromFacts):
        try:
            return amount(money.amount.terms, row, on)
        except Missing:
            return None
    if isinstance(money, m.Share):
        rate = first_case([(truth(t, row, on), bps) for t, bps in money.rate.cases], money.rate.otherwise)
        return share(value_of(money.of, row, on), rate)
    if isinstance(money, (m.Least, m.Total)):
        values = [value_of(member, row, on) for member in money.members]
        return None if None in values else (min if isinstance(money, m.Least) else sum)(values)
    if isinstance(money, m.Remainder):
        of, less = value_of(money.of, row, on), value_of(money.less, row, on)
        return None if of is None or less is None else max(of - max(less, 0), 0)
    return first_case(
        [(truth(t, row, on), value_of(v, row, on)) for t, v in money.cases], value_of(money.otherwise, row, on)
    )


def greatest_case(cases, otherwise):
    possible = []
    for verdict, value in cases:
        if verdict is not UNMET:
            possible.append(value)
        if verdict is MET:
            break
    else:
        possible.append(otherwise)
    return None if None in possible else max(possible)


def upper_of(money, row, on):
    if isinstance(money, (m.Fixed, m.FromFacts)):
        return value_of(money, row, on)
    if isinstance(money, m.Share):
        highest = max([bps for _, bps in money.rate.cases] + [money.rate.otherwise or 0])
        rest = highest if money.rate.otherwise is None else money.rate.otherwise
        return share(
            upper_of(money.of, row, on), greatest_case([(truth(t, row, on), bps) for t, bps in money.rate.cases], rest)
        )
    if isinstance(money, (m.Least, m.Total)):
        values = [upper_of(member, row, on) for member in money.members]
        if isinstance(money, m.Total):
            return None if None in values else sum(values)
        return min((value for value in values if value is not None), default=None)
    if isinstance(money, m.Remainder):
        of, less = upper_of(money.of, row, on), value_of(money.less, row, on) or 0
        return None if of is None else max(of - max(less, 0), 0)
    return greatest_case(
        [(truth(t, row, on), upper_of(v, row, on)) for t, v in money.cases], upper_of(money.otherwise, row, on)
    )


# --- margins ----------------------------------------------------------------------------------------------------------


def distance(value, op, threshold):
    low, high = floor(value), ceil(value)
    if op is Op.GE:
        return low - threshold
    if op is Op.GT:
        return high - (threshold + 1)
    if op is Op.LE:
        return threshold - high
    if op is Op.LT:
        return threshold - 1 - low
    off = max(high - threshold, threshold - low)
    return -off if op is Op.EQ else off if off else -1


REVERSED = {Op.GE: Op.LT, Op.LT: Op.GE, Op.GT: Op.LE, Op.LE: Op.GT, Op.EQ: Op.NE, Op.NE: Op.EQ}


def margin(test, wanted, row, on):
    """Distance from where the test holds (`wanted`), or does not hold."""
    try:
        if isinstance(test, m.Compare):
            op = test.op if wanted else REVERSED[test.op]
            threshold = test.threshold.value
            if isinstance(test.measure, m.Growth):
                threshold = max(threshold, -10_000)
            found = distance(measure(test.measure, row, on), op, threshold)
            return found if abs(found) < 2**63 else None
        if isinstance(test, m.Dated):
            days = (fact(row, on, test.field) - (test.day or on)).days
            return distance(days, test.op if wanted else REVERSED[test.op], 0)
    except (Missing, Undefined):
        return None
    if not isinstance(test, m.AllOf if wanted else m.AnyOf):
        return None
    if not all(isinstance(each, m.Compare) for each in test.tests):
        return None
    found = [margin(each, wanted, row, on) for each in test.tests]
    of_one_unit = len({(type(each.measure), each.unit) for each in test.tests}) == 1
    return min(found) if of_one_unit and None not in found else None


# --- packs ------------------------------------------------------------------------------------------------------------


def prefix(division):
    while division.endswith("00"):
        division = division[:-2]
    return division


def own_verdict(criterion, row, on):
    """A criterion by itself: (verdict, points)."""
    if criterion.kind is Kind.SCORE:
        applies = MET if criterion.applies_when is None else truth(criterion.applies_when, row, on)
        points = score_points(criterion, row, on)
        return (NA if applies is UNMET else reaches(points, 1)), points
    verdict = truth(criterion.test, row, on)
    if criterion.kind is Kind.VETO:
        verdict = {MET: UNMET, UNMET: MET}.get(verdict, verdict)
    if criterion.applies_when is not None:
        applies = truth(criterion.applies_when, row, on)
        if applies is UNMET:
            verdict = NA
        elif applies is not MET:
            verdict = any_of([verdict, applies])
    return verdict, None


def by_itself(pack, row, on, stage):
    """The pack with its own criteria and parameters: a mapping of the result's columns."""
    asked = [c for c in pack.criteria if stage is Stage.CLAIM or c.stage is Stage.ENTITLEMENT]
    own = {c.id: own_verdict(c, row, on) for c in asked}
    exemptions = [c for c in asked if c.kind is Kind.EXEMPTION]
    final = {}
    for c in asked:
        verdict = own[c.id][0]
        others = [own[e.id][0] for e in exemptions if c.id in e.exempts]
        final[c.id] = verdict if verdict is NA else any_of([verdict, *others])
    audience = [] if pack.division == m.NATIONAL else [m.Member("division", (prefix(pack.division),), prefix=True)]
    audience += [] if pack.audience is None else [pack.audience]
    heard = all_of([truth(test, row, on) for test in audience])
    members = [(i, final[c.id]) for i, c in enumerate(pack.criteria)
               if c.id in final and c.kind in (Kind.HARD, Kind.VETO, Kind.MANUAL)]  # fmt: skip
    total = None
    if pack.scoring is not None and any(c.kind is Kind.SCORE for c in asked):
        part_points = [
            tuple(sum(own[name][1][level] for name in part.criteria if name in own) for level in range(3))
            for part in pack.scoring.parts
        ]
        total = tuple(sum(points[level] for points in part_points) for level in range(3))
        scoring = all_of([reaches(total, pack.scoring.threshold)] + [
            reaches(points, part.minimum) for points, part in zip(part_points, pack.scoring.parts, strict=True)
        ])  # fmt: skip
        scoring = any_of([scoring, *(own[e.id][0] for e in exemptions if "score" in e.exempts)])
        members.append((len(pack.criteria), scoring))
    asked_of = [verdict for _, verdict in members]
    applies = heard is not UNMET and (not members or any(verdict is not NA for verdict in asked_of))
    found = {"c." + name: verdict for name, verdict in final.items()}
    found |= {"score_low": total and total[0], "score_high": total and total[2], "via": -1}
    if not applies:
        return found | {"verdict": NA, "n_unmet": 0, "n_unknown": 0, "n_manual": 0, "blocker": -1, "margin": None,
                        "amount_fen": None, "amount_max_fen": None}  # fmt: skip
    said = [*asked_of, *([] if heard in (MET, NA) else [heard])]
    unmet = [i for i, verdict in members if verdict is UNMET]
    found |= {
        "verdict": all_of(said) if said else MET,
        "n_unmet": said.count(UNMET), "n_unknown": said.count(UNKNOWN), "n_manual": said.count(MANUAL),
        "blocker": unmet[0] if len(unmet) == 1 else -1, "margin": None,
    }  # fmt: skip
    if len(unmet) == 1 and unmet[0] < len(pack.criteria):
        blocking = pack.criteria[unmet[0]]
        found["margin"] = margin(blocking.test, blocking.kind is not Kind.VETO, row, on)
    elif unmet == [len(pack.criteria)]:
        short = [total[2] - pack.scoring.threshold]
        short += [points[2] - part.minimum for points, part in zip(part_points, pack.scoring.parts, strict=True)]
        found["margin"] = min(short)
    return found | money(pack.benefit, row, on)


def money(benefit, row, on):
    if benefit is None:
        return {"amount_fen": None, "amount_max_fen": None}
    if benefit.amount is None:
        return {"amount_fen": None, "amount_max_fen": benefit.cap_fen}

    def fits(value):
        if value is not None:
            value = max(value if benefit.cap_fen is None else min(value, benefit.cap_fen), 0)
        return None if value is None or value >= 2**63 else value

    value = fits(value_of(benefit.amount, row, on))
    upper = upper_of(benefit.amount, row, on)
    bounds = [bound for bound in (upper, benefit.cap_fen) if bound is not None]
    most = value if value is not None else fits(min(bounds)) if bounds else None
    return {"amount_fen": value, "amount_max_fen": most}


def agreed(when, yes, otherwise):
    """What can be said while it is open (`when`) which of two ways judges."""
    a, b = yes["verdict"], otherwise["verdict"]
    if a is NA and b is NA:
        verdict = NA
    else:
        a, b = (UNMET if v is NA else v for v in (a, b))
        verdict = any_of([all_of([when, a]), all_of([when, b]), all_of([a, b])])
    both = (yes["amount_max_fen"], otherwise["amount_max_fen"])

    def joined(name, how):
        pair = (yes[name], otherwise[name])
        return None if None in pair else how(pair)

    return otherwise | {
        "verdict": verdict, "blocker": -1, "margin": None,
        "n_unmet": otherwise["n_unmet"] if verdict is UNMET else 0,
        "n_unknown": otherwise["n_unknown"] + (verdict is UNKNOWN),
        "n_manual": otherwise["n_manual"] + (verdict is MANUAL),
        "amount_fen": otherwise["amount_fen"] if yes["amount_fen"] == otherwise["amount_fen"] else None,
        "amount_max_fen": None if None in both else max(both),
        "score_low": joined("score_low", min), "score_high": joined("score_high", max),
    }  # fmt: skip


def judge(packs, variants, pack, row, on, stage=Stage.ENTITLEMENT):
    """`packs` by id; `variants`: pack id → [(division, the pack with its parameters)]."""
    ways = [
        (each.when, lambda each=each, i=i: judge(packs, variants, packs[each.pack], row, on, stage) | {"via": i})
        for i, each in enumerate(pack.transitions)
        if each.until is None or on <= each.until
    ]
    by_division = sorted(variants.get(pack.id, []), key=lambda pair: -len(prefix(pair[0])))
    ways += [
        (m.Member("division", (prefix(division),), prefix=True), lambda other=other: by_itself(other, row, on, stage))
        for division, other in by_division
    ]

    def from_way(index):
        if index == len(ways):
            return by_itself(pack, row, on, stage)
        test, way = ways[index]
        when = truth(test, row, on)
        if when is MET:
            return way()
        return from_way(index + 1) if when is UNMET else agreed(when, way(), from_way(index + 1))

    return from_way(0)


def class_of(pack, row, on):
    """The class, None where an earlier one is open or none is met."""
    for each in pack.classes.classes:
        verdict = MET if each.test is None else truth(each.test, row, on)
        if verdict is not UNMET:
            return each.id if verdict is MET else None
    return None
