"""The places of a pack where a quote stands beside what is asked: what lint compares.

The idea: criteria, scoring, benefit, classes, variants and transitions all cite a clause and ask numbers. Here each
becomes one `Place` with its paths as the document writes them, so that the comparison with the quote is written once.
Paths follow the document and not the model: a period “each” is one line there and several comparisons here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from .fields import AGE, Field
from .fields import MONEY as MONEY_UNITS
from .model import (
    Age,
    AllOf,
    AnyOf,
    Banded,
    Compare,
    Criterion,
    Either,
    Fixed,
    Growth,
    Kind,
    Least,
    Measure,
    Money,
    Op,
    Pack,
    Rate,
    Ratio,
    Remainder,
    Score,
    Share,
    Stepped,
    Test,
    Total,
    terms_of_measure,
)
from .quotes import COUNT, MONEY, POINTS, SHARE, TIME

NEGATED: Final[Mapping[Op, Op]] = {
    Op.GE: Op.LT, Op.GT: Op.LE, Op.LE: Op.GT, Op.LT: Op.GE, Op.EQ: Op.NE, Op.NE: Op.EQ,
}  # fmt: skip


@dataclass(frozen=True)
class Leaf:
    """A test without members, where the document has it; several parts are one test for each of several years.

    `excludes`: it stands in a veto.
    """

    path: str
    parts: tuple[Test, ...]
    excludes: bool = False


@dataclass(frozen=True)
class Asked:
    """A number of the pack in smallest units of its dimension; `op` where it is a comparison, else None."""

    path: str
    value: Fraction
    dimension: str
    unit: str
    digits: Fraction
    op: Op | None = None
    excludes: bool = False


@dataclass(frozen=True)
class Grade:
    """Points for edges of a measure: one band, or one step. `counted`: the edges are whole numbers of things."""

    path: str
    edges: tuple[Fraction, ...]
    points: int
    counted: bool = False


@dataclass(frozen=True)
class Place:
    """Something cited. `text` is what numbers are compared with (the quote, for a benefit its text too)."""

    path: str
    clause: str
    quote: str
    text: str
    title: str
    leaves: tuple[Leaf, ...] = ()
    asked: tuple[Asked, ...] = ()
    grades: tuple[Grade, ...] = ()
    criterion: Criterion | None = None


def dimension_of(measure: Measure, pack: Pack) -> tuple[str, Field | None]:
    """The dimension in which a measure is stated, and the field that gives the unit of an amount."""
    if isinstance(measure, (Ratio, Growth)):
        return SHARE, None
    if isinstance(measure, Age):
        return TIME, None
    field = pack.fields[measure.terms[0].field]
    return {"元": MONEY, "%": SHARE, "分": POINTS}.get(field.unit, COUNT), field


def asked_by(value: int, measure: Measure, unit: str, pack: Pack, path: str, op: Op | None, excludes: bool) -> Asked:
    """A threshold or an edge as lint compares it."""
    dimension, field = dimension_of(measure, pack)
    places = field.places if field is not None else 0
    whole = Fraction(value) if dimension in (MONEY, SHARE, TIME) else Fraction(value, 10**places)
    factor = MONEY_UNITS.get(unit) or (100 if dimension == SHARE else AGE.get(unit, 1) if dimension == TIME else 1)
    return Asked(path, whole, dimension, unit, whole / factor, op, excludes)


# --- walking the document and the model side by side ------------------------------------------------------------------


def leaves(raw: Any, test: Test, path: str, excludes: bool = False) -> Iterator[Leaf]:
    """The leaves of a test, each where the document writes it."""
    if isinstance(test, (AllOf, AnyOf)) and raw.get("op") in ("all_of", "any_of"):
        for index, (inner, part) in enumerate(zip(raw["tests"], test.tests, strict=True)):
            yield from leaves(inner, part, f"{path}.tests[{index}]", excludes)
    else:
        parts = test.tests if isinstance(test, (AllOf, AnyOf)) else (test,)
        yield Leaf(path, parts, excludes)


def numbers(found: Leaf, pack: Pack) -> Iterator[Asked]:
    """The threshold of a leaf."""
    first = found.parts[0]
    if isinstance(first, Compare):
        yield asked_by(
            first.threshold.value, first.measure, first.unit, pack, found.path, first.op, found.excludes
        )  # fmt: skip


def _score(raw: Any, score: Score, path: str, pack: Pack) -> tuple[list[Leaf], list[Asked], list[Grade]]:
    ways = raw["best_of"] if raw.get("best_of") is not None else [raw]
    all_leaves, asked, grades = list[Leaf](), list[Asked](), list[Grade]()
    for index, (inner, way) in enumerate(zip(ways, score.alternatives, strict=True)):
        at = f"{path}.best_of[{index}]" if raw.get("best_of") is not None else path
        if isinstance(way, Stepped):
            for place, step in enumerate(way.steps):
                where = f"{at}.steps[{place}]"
                own = list(leaves(inner["steps"][place]["test"], step.test, f"{where}.test"))
                own_numbers = [number for leaf in own for number in numbers(leaf, pack)]
                all_leaves += own
                asked += [*own_numbers, points(step.points, f"{where}.points")]
                grades.append(Grade(where, tuple(number.value for number in own_numbers), step.points))
            asked.append(points(way.otherwise, f"{at}.otherwise"))
        else:
            if asked_by(0, way.measure, way.unit, pack, at, None, False).dimension == POINTS:
                continue  # points that somebody else gave are passed on
            for place, band in enumerate(way.bands):
                where = f"{at}.bands[{place}]"
                edges = [
                    asked_by(edge, way.measure, way.unit, pack, f"{where}.{key}", None, False)
                    for key, edge in (("from", band.low), ("to", band.high))
                    if edge is not None
                ]
                asked += [*edges, points(band.points, f"{where}.points")]
                counted = bool(edges) and edges[0].dimension == COUNT
                grades.append(Grade(where, tuple(edge.value for edge in edges), band.points, counted))
    return all_leaves, asked, grades


def points(value: int, path: str) -> Asked:
    return Asked(path, Fraction(value), POINTS, "分", Fraction(value))


def share(bps: int, path: str) -> Asked:
    return Asked(path, Fraction(bps), SHARE, "%", Fraction(bps, 100))


def fen(value: int, path: str, unit: str) -> Asked:
    return Asked(path, Fraction(value), MONEY, unit, Fraction(value, MONEY_UNITS[unit]))


def _money(raw: Any, money: Money, path: str) -> tuple[list[Leaf], list[Asked]]:
    found, asked = list[Leaf](), list[Asked]()

    def add(inner: Any, part: Money, at: str) -> None:
        more_leaves, more_asked = _money(inner, part, at)
        found.extend(more_leaves)
        asked.extend(more_asked)

    if isinstance(money, Fixed):
        asked.append(fen(money.fen, f"{path}.fixed", raw["unit"]))
    elif isinstance(money, Share):
        add(raw["share"], money.of, f"{path}.share")
        rate_leaves, rates = _rate(raw["rate"], money.rate, f"{path}.rate")
        found += rate_leaves
        asked += rates
    elif isinstance(money, (Least, Total)):
        key = "least" if isinstance(money, Least) else "total"
        for index, (inner, part) in enumerate(zip(raw[key], money.members, strict=True)):
            add(inner, part, f"{path}.{key}[{index}]")
    elif isinstance(money, Remainder):
        add(raw["remainder"], money.of, f"{path}.remainder")
        add(raw["less"], money.less, f"{path}.less")
    elif isinstance(money, Either):
        for index, (inner, (when, part)) in enumerate(zip(raw["cases"], money.cases, strict=True)):
            found += leaves(inner["when"], when, f"{path}.cases[{index}].when")
            add(inner["then"], part, f"{path}.cases[{index}].then")
        add(raw["otherwise"], money.otherwise, f"{path}.otherwise")
    return found, asked


def _rate(raw: Any, rate: Rate, path: str) -> tuple[list[Leaf], list[Asked]]:
    found, asked = list[Leaf](), list[Asked]()
    for index, (when, bps) in enumerate(rate.cases):
        at = f"{path}.cases[{index}]"
        found += leaves(raw["cases"][index]["when"], when, f"{at}.when")
        asked.append(share(bps, f"{at}.then"))
    if rate.otherwise is not None:
        asked.append(share(rate.otherwise, f"{path}.otherwise"))
    return found, asked


# --- the places of a pack ---------------------------------------------------------------------------------------------


def places(pack: Pack) -> tuple[Place, ...]:
    """Everything cited, in the order of the document's sections."""
    body = pack.header.body
    found = [_criterion(pack, index, raw) for index, raw in enumerate(body["criteria"])]
    if pack.classes is not None:
        found.append(_classes(pack, body["classes"]))
    if pack.scoring is not None:
        asked = [points(pack.scoring.threshold, "body.scoring.threshold")]
        asked += [
            points(part.minimum, f"body.scoring.parts[{index}].minimum")
            for index, part in enumerate(pack.scoring.parts)
            if part.minimum
        ]
        found.append(_place("body.scoring", pack.scoring.clause, pack.scoring.quote, "", asked=tuple(asked)))
    if pack.benefit is not None:
        found.append(_benefit(pack, body["benefit"]))
    if pack.stacking is not None:
        cited = pack.stacking
        asked = [share(cited.max_bps, "body.stacking.max")]
        found.append(_place("body.stacking", cited.clause, cited.quote, "", asked=tuple(asked)))
    for index, variant in enumerate(pack.variants):
        path = f"body.variants[{index}]"
        asked = [_parameter(pack, name, value, f"{path}.parameters.{name}") for name, value in variant.values.items()]
        found.append(_place(path, variant.clause, variant.quote, variant.title, asked=tuple(asked)))
    for index, step in enumerate(pack.transitions):
        path = f"body.transitions[{index}]"
        when = tuple(leaves(body["transitions"][index]["when"], step.when, f"{path}.when"))
        found.append(_place(path, step.clause, step.quote, step.title, leaves=when))
    return tuple(found)


def _place(path: str, clause: str, quote: str, title: str, **more: Any) -> Place:
    return Place(path=path, clause=clause, quote=quote, text=more.pop("text", quote), title=title, **more)


def _criterion(pack: Pack, index: int, raw: Any) -> Place:
    criterion, path = pack.criteria[index], f"body.criteria[{index}]"
    found, asked, grades = list[Leaf](), list[Asked](), list[Grade]()
    if criterion.test is not None:
        found += leaves(raw["test"], criterion.test, f"{path}.test", criterion.kind is Kind.VETO)
    if criterion.score is not None:
        found, asked, grades = _score(raw["score"], criterion.score, f"{path}.score", pack)
    else:
        asked += [number for leaf in found for number in numbers(leaf, pack)]
    if criterion.applies_when is not None:
        when = list(leaves(raw["applies_when"], criterion.applies_when, f"{path}.applies_when"))
        asked += [number for leaf in when for number in numbers(leaf, pack)]
        found += when
    return _place(
        path, criterion.clause, criterion.quote, criterion.title,
        leaves=tuple(found), asked=tuple(asked), grades=tuple(grades), criterion=criterion,
    )  # fmt: skip


def _classes(pack: Pack, raw: Any) -> Place:
    assert pack.classes is not None
    found = [
        leaf
        for index, each in enumerate(pack.classes.classes)
        if each.test is not None
        for leaf in leaves(raw["of"][index]["test"], each.test, f"body.classes.of[{index}].test")
    ]
    asked = tuple(number for leaf in found for number in numbers(leaf, pack))
    quotes_of_criteria = [criterion.quote for criterion in pack.criteria]
    return _place(
        "body.classes", pack.classes.clause, pack.classes.quote, "", leaves=tuple(found), asked=asked,
        text="；".join([pack.classes.quote, *quotes_of_criteria]),
    )  # fmt: skip


def _benefit(pack: Pack, raw: Any) -> Place:
    benefit = pack.benefit
    assert benefit is not None
    found, asked = list[Leaf](), list[Asked]()
    if benefit.amount is not None:
        found, asked = _money(raw["amount"], benefit.amount, "body.benefit.amount")
        asked += [number for leaf in found for number in numbers(leaf, pack)]
    if benefit.cap_fen is not None:
        asked.append(fen(benefit.cap_fen, "body.benefit.cap", raw["cap"]["unit"]))
    return _place(
        "body.benefit", benefit.clause, benefit.quote, benefit.text,
        text=_benefit_text(pack), leaves=tuple(found), asked=tuple(asked),
    )  # fmt: skip


def _benefit_text(pack: Pack) -> str:
    """What may state a benefit's numbers: its quote, its text, and the clause on stacking."""
    assert pack.benefit is not None
    return "；".join(
        [pack.benefit.quote, pack.benefit.text, *([pack.stacking.quote] if pack.stacking else [])]
    )  # fmt: skip


def _parameter(pack: Pack, name: str, value: int, path: str) -> Asked:
    unit = next(each.unit for each in pack.parameters if each.id == name)
    dimension = MONEY if unit in MONEY_UNITS else SHARE if unit == "%" else TIME if unit in AGE else COUNT
    factor = MONEY_UNITS.get(unit) or (100 if dimension == SHARE else AGE.get(unit, 1))
    return Asked(path, Fraction(value), POINTS if unit == "分" else dimension, unit, Fraction(value, factor))


def measures(place: Place) -> Iterator[tuple[str, Measure, frozenset[int], bool]]:
    """(path, measure, its years relative to the day of evaluation, each year by itself) of what a place measures."""
    for leaf in place.leaves:
        compares = [part for part in leaf.parts if isinstance(part, Compare)]
        if compares:
            years = frozenset().union(*(_years(part.measure) for part in compares))
            yield leaf.path, compares[0].measure, years, len(compares) > 1
    if place.criterion is not None and place.criterion.score is not None:
        for way in place.criterion.score.alternatives:
            if isinstance(way, Banded):
                yield f"{place.path}.score", way.measure, _years(way.measure), False


def _years(measure: Measure) -> frozenset[int]:
    return frozenset(term.year for term in terms_of_measure(measure) if term.year is not None)
