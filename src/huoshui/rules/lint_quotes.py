"""Lint of a clause against its quote: the numbers, units, directions, periods, dates and names that differ.

Each check takes a `Place` and what its quote says (`quotes.read`) and yields findings. A quote that states nothing of a
kind is not held against the test: only a difference is an error, a silence at most a warning.
"""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Final

from . import quotes
from .fields import CLAIM, FIELDS, Field
from .findings import ERROR, NOTE, WARNING, Finding, finding
from .lexicon import BAD, NEGATIVE, NEUTRAL, mentions, named_at, sizes
from .lint_places import NEGATED, Asked, Leaf, Place, measures
from .model import (
    Age,
    AllOf,
    Amount,
    AnyOf,
    Certificate,
    Compare,
    Dated,
    Flag,
    Growth,
    Kind,
    Manual,
    Measure,
    Member,
    Op,
    Pack,
    Ratio,
    reads,
    terms_of_measure,
    tests_of,
)
from .quotes import COUNT, MONEY, POINTS, SHARE, TIME, Said, Stated

_PER_PIECE: Final = re.compile(r"每(?:满足?|增加|有|项|个|件|新增)?[^，；。]{0,8}[得加计]\s*\d+\s*分")
_NOT_NOTHING: Final = re.compile(r"不(?:得|能)?为\s*[0零]")
SAME_UNIT: Final = (frozenset("人名"), frozenset("项件个种款"), frozenset("位名"), frozenset("家个"))
THIS_YEAR: Final = "当年"
PLACEHOLDER: Final = (
    "todo", "tbd", "xxx", "待补", "待粘贴", "待填", "（略）", "placeholder", "lorem", "？？", "??", "无",
)  # fmt: skip


def check(pack: Pack, found: Sequence[Place]) -> Iterator[Finding]:
    """Every finding that comes from comparing places with their quotes."""
    said = {place.path: quotes.read(place.text) for place in found}
    for place in found:
        yield from _citation(place)
        yield from _numbers(place, said[place.path])
        yield from _unasked(place, said[place.path], found)
        yield from _grades(place, said[place.path])
        yield from _fields(place, pack)
        yield from _periods(place, pack)
        yield from _dates(place, said[place.path], pack)
        yield from _polarity(place, pack)
        yield from _members(place)
        yield from _joints(place, pack)
        yield from _named_unasked(place, pack, found)
        yield from _compared(place, pack)
    yield from _repeated(found)


# --- citations --------------------------------------------------------------------------------------------------------


def _citation(place: Place) -> Iterator[Finding]:
    for key, text in (("clause", place.clause), ("quote", place.quote)):
        bare = text.strip().lower()
        if any(word in bare for word in PLACEHOLDER[:-1]) or bare in (PLACEHOLDER[-1], "-", "…", "...", "/"):
            yield finding("citation_placeholder", f"{place.path}.{key}", ERROR, text=text)
        elif key == "quote" and len(bare) < 4:
            yield finding("quote_short", f"{place.path}.quote", WARNING, text=text)


def _repeated(found: Sequence[Place]) -> Iterator[Finding]:
    """One quote for nearly everything cites nothing."""
    cited = [place for place in found if place.criterion is not None]
    for quote in {place.quote for place in cited}:
        same = [place for place in cited if place.quote == quote]
        if len(same) >= 3 and len(same) * 2 > len(cited):
            yield finding("quote_repeated", f"{same[0].path}.quote", WARNING, count=len(same))
        for place in same:
            others = [other for other in same if other is not place]
            if any(other.clause != place.clause for other in others):
                yield finding("quote_two_clauses", f"{place.path}.quote", WARNING)
            elif any(alike(place) == 0 < alike(other) for other in others):
                yield finding("quote_of_other", f"{place.path}.quote", WARNING)


def alike(place: Place) -> int:
    """How many pairs of characters the title and the quote of a place have in common."""
    title, quote = (
        {text[at : at + 2] for at in range(len(text) - 1)} for text in (place.title, place.quote)
    )  # fmt: skip
    return len({pair for pair in title & quote if pair.isalpha()})


# --- numbers ----------------------------------------------------------------------------------------------------------


def same_unit(asked: Asked, stated: Stated) -> bool:
    if asked.dimension != stated.dimension:
        return not stated.unit and asked.dimension in (POINTS, COUNT)
    if asked.dimension != COUNT or not stated.unit or asked.unit == stated.unit:
        return True
    return any(asked.unit in group and stated.unit in group for group in SAME_UNIT) or asked.unit not in "人名项件个"


def states(asked: Asked, stated: Stated) -> bool:
    """Whether the quote's number is the pack's number."""
    return same_unit(asked, stated) and asked.value == stated.value


def _numbers(place: Place, said: Said) -> Iterator[Finding]:
    if place.path == "body.classes" and len(said.stated) < len({asked.value for asked in place.asked}):
        return  # a table is cited and not quoted
    for asked in place.asked:
        matched = [stated for stated in said.stated if states(asked, stated)]
        if matched:
            yield from _direction(place, asked, matched)
        else:
            yield from _missing(asked, said)


def _mean_of(asked: Asked, stated: Stated) -> bool:
    """Whether a sum over years asks a stated mean: 1000 a year is 2000 in two."""
    return same_unit(asked, stated) and any(asked.value == stated.value * years for years in range(2, 6))


def _missing(asked: Asked, said: Said) -> Iterator[Finding]:
    """The quote does not contain this number."""
    rivals = [stated for stated in said.stated if same_unit(asked, stated)]
    if _PER_PIECE.search(said.text) and asked.path.startswith("body.criteria") and ".score" in asked.path:
        return  # “1 point for every 2 years” states no edges
    if "平均" in said.text or "均值" in said.text:
        rivals = [stated for stated in rivals if not _mean_of(asked, stated)] or []
        if any(_mean_of(asked, stated) for stated in said.stated):
            return
    params = {"number": _text(asked.digits), "unit": asked.unit}
    if asked.dimension == POINTS and asked.value == 1 and _NOT_NOTHING.search(said.text):
        return
    if asked.value == 0 or (asked.value == 1 and asked.dimension == COUNT and not rivals):
        return  # “has one” and “not below nothing” are said without a number
    if other := [s for s in said.stated if s.digits == asked.digits and s.unit and s.unit != asked.unit]:
        yield finding("unit_differs", asked.path, ERROR, **params, stated=other[0].unit)
    elif rivals:
        shown = "、".join(dict.fromkeys(f"{_text(s.digits)}{s.unit}" for s in rivals))
        level = WARNING if _conditional(asked.path) and asked.op is not None else ERROR
        yield finding("number_differs", asked.path, level, **params, stated=shown)
    else:
        yield finding("number_not_quoted", asked.path, WARNING, **params)


def _direction(place: Place, asked: Asked, matched: Sequence[Stated]) -> Iterator[Finding]:
    if asked.op is None or any(not stated.ops for stated in matched):
        return
    allowed = frozenset[Op]().union(*(stated.ops for stated in matched))
    excluding = NEGATIVE.search(place.quote) is not None
    readings = {asked.op} if not asked.excludes else {NEGATED[asked.op]} | ({asked.op} if excluding else set())
    if place.path == "body.classes" or (not asked.excludes and excluding and asked.op not in allowed):
        readings.add(NEGATED[asked.op])
    if readings & allowed:
        return
    params = {"op": asked.op.value, "number": _text(asked.digits), "unit": asked.unit}
    if {_side(op) for op in readings} & {_side(op) for op in allowed}:
        yield finding("strictness_differs", asked.path, WARNING, **params)
    elif not (_conditional(asked.path) and place.criterion is not None and place.criterion.kind is Kind.MANUAL):
        yield finding("direction_differs", asked.path, WARNING if _conditional(asked.path) else ERROR, **params)


def _side(op: Op) -> str:
    return "up" if op in (Op.GE, Op.GT) else "down" if op in (Op.LE, Op.LT) else op.value


def _conditional(path: str) -> bool:
    """Whether a test only says when something applies: its sentence may speak of the other case."""
    return ".applies_when" in path or path.startswith("body.benefit")


def _text(number: Fraction) -> str:
    return f"{float(number):.4f}".rstrip("0").rstrip(".")


def _unasked(place: Place, said: Said, found: Sequence[Place]) -> Iterator[Finding]:
    """Numbers of the quote that no test asks: a condition was lost, or a number was changed."""
    if any(isinstance(part, Manual) for leaf in place.leaves for part in leaf.parts):
        return
    if place.path == "body.benefit" and not place.asked:
        return
    if place.path == "body.classes" or place.path.startswith("body.transitions"):
        return
    sharing = [other for other in found if other.quote in place.quote or place.quote in other.quote]
    if place.path == "body.stacking":
        sharing += [other for other in found if other.path == "body.benefit"]
    if "平均" in place.quote or "均值" in place.quote or _PER_PIECE.search(place.quote):
        return
    asked = [number for other in sharing for number in other.asked]
    asked_dimensions = {number.dimension for number in asked}
    implied = _implied_points(place)
    seen = set[tuple[str, Fraction]]()
    for stated in said.stated:
        if stated.value == 0 or any(states(number, stated) or _next_below(number, stated) for number in asked):
            continue
        if stated.dimension in (COUNT, TIME) and stated.dimension not in asked_dimensions:
            continue
        if stated.dimension == POINTS and (stated.value in implied or POINTS not in asked_dimensions):
            continue
        if (stated.dimension, stated.value) in seen:
            continue
        seen.add((stated.dimension, stated.value))
        level = WARNING if asked else NOTE
        yield finding("number_not_asked", place.path, level, number=_text(stated.digits), unit=stated.unit)


def _next_below(asked: Asked, stated: Stated) -> bool:
    """An edge of counts, excluded: “below 2” is stated as 1."""
    return asked.op is None and asked.dimension == COUNT == stated.dimension and asked.value == stated.value + 1


def _implied_points(place: Place) -> set[Fraction]:
    """Totals that a quote of points may state beside the points themselves."""
    if place.criterion is not None and place.criterion.score is not None:
        return {Fraction(place.criterion.score.points[-1]), Fraction(100)}
    return {Fraction(100)}


def _grades(place: Place, said: Said) -> Iterator[Finding]:
    """Where the quote pairs edges with points (“5%以上（20分）”), each band pairs them alike."""
    groups = _paired(said)
    if not groups:
        return
    for grade in place.grades:
        edges = [edges for points, edges in groups if points == grade.points]
        own = {edge for edge in grade.edges if edge != 0}
        below = {edge - 1 for edge in own} if grade.counted else set[Fraction]()
        if edges and own and not any(own <= group or group <= own | below for group in edges):
            yield finding("band_differs", grade.path, ERROR, points=grade.points)


def _paired(said: Said) -> list[tuple[int, frozenset[Fraction]]]:
    """(points, edges before them) as the quote lists them; empty unless every points but a leading total has edges."""
    groups = list[tuple[int, frozenset[Fraction]]]()
    edges = set[Fraction]()
    for stated in said.stated:
        if stated.dimension != POINTS:
            edges.add(stated.value)
        elif edges:
            groups.append((int(stated.value), frozenset(edges)))
            edges = set()
        elif groups and stated.value != 0:
            return []
    return groups if len(groups) > 1 else []


# --- names ------------------------------------------------------------------------------------------------------------


def _fields(place: Place, pack: Pack) -> Iterator[Finding]:
    """A field that the quote does not name, while it names another of its kind that is not asked."""
    quoted = mentions(place.quote, pack.fields.values())
    named = quoted | mentions(place.title, pack.fields.values())
    used = {code for leaf in place.leaves for part in leaf.parts for code in _codes(part)}
    used |= {term.field for _, measure, _, _ in measures(place) for term in terms_of_measure(measure)}
    if place.path == "body.benefit":
        return
    for path, codes in _by_path(place):
        for code in codes:
            if code in quoted:
                continue
            others = [o for o in quoted if o not in used and _alike(pack.fields[code], pack.fields[o])]
            if code in named:
                if others and not any(each in quoted for each in codes):
                    yield finding("field_differs", path, WARNING, field=code, named=others[0])
                continue
            if code.endswith(".until"):
                continue
            rivals = [other for other in named if other not in used and _alike(pack.fields[code], pack.fields[other])]
            if rivals:
                yield finding("field_differs", path, WARNING, field=code, named=rivals[0])
            elif any(other in named and _alike(pack.fields[code], pack.fields[other]) for other in used):
                yield finding("field_not_quoted", path, WARNING, field=code)
    for path, measure, _, _ in measures(place):
        if isinstance(measure, Ratio):
            yield from _ratio(path, measure, place, pack)


def _by_path(place: Place) -> Iterator[tuple[str, list[str]]]:
    for leaf in place.leaves:
        yield leaf.path, list(dict.fromkeys(code for part in leaf.parts for code in _codes(part)))
    for path, measure, _, _ in measures(place):
        if path.endswith(".score"):
            yield path, list(dict.fromkeys(term.field for term in terms_of_measure(measure)))


def _codes(part: object) -> list[str]:
    if isinstance(part, Compare):
        return [term.field for term in terms_of_measure(part.measure)]
    return [part.field] if isinstance(part, (Flag, Member, Dated, Certificate)) else []


def _alike(a: Field, b: Field) -> bool:
    return (a.kind, a.unit, a.of_claim, a.periodic) == (b.kind, b.unit, b.of_claim, b.periodic) and a.kind != "text"


def _ratio(path: str, measure: Ratio, place: Place, pack: Pack) -> Iterator[Finding]:
    """A ratio of a thing to itself, of the whole to its part, or the other way round than “A占B” and 资产负债率 say."""
    over, under = measure.numerator.terms[0].field, measure.denominator.terms[0].field
    if measure.numerator == measure.denominator:
        yield finding("ratio_itself", path, ERROR)
    elif under.startswith(f"{over}.") or _said_inverted(over, under, place, pack):
        yield finding("ratio_inverted", path, ERROR)


def _said_inverted(over: str, under: str, place: Place, pack: Pack) -> bool:
    if "资产负债率" in f"{place.quote}{place.title}":
        return (over, under) == ("assets", "liabilities")
    named = named_at(place.quote, pack.fields.values())
    said = set[tuple[str, str]]()
    for match in re.finditer("占", place.quote):
        before = [codes for start, codes in named if start < match.start()]
        after = [codes for start, codes in named if start > match.start()]
        if before and after:
            said |= {(a, b) for a in before[-1] for b in after[0]}
    return (under, over) in said and (over, under) not in said


def _compared(place: Place, pack: Pack) -> Iterator[Finding]:
    """“A不少于B” against a difference of A and B compared with nothing."""
    for asked, leaf in ((number, leaf) for number in place.asked for leaf in place.leaves if leaf.path == number.path):
        part = leaf.parts[0]
        if asked.value != 0 or not isinstance(part, Compare) or not isinstance(part.measure, Amount):
            continue
        terms = part.measure.terms
        word = re.search("不少于|不低于|不小于|不超过|不高于|不大于|超过|高于|少于|低于", place.quote)
        if word is None or len(terms) != 2 or [term.weight for term in terms] != [1, -1]:
            continue
        named = named_at(place.quote, pack.fields.values())
        first = next((codes for start, codes in reversed(named) if start < word.start()), ())
        at_least = word.group() in ("不少于", "不低于", "不小于", "超过", "高于")
        wanted_up = at_least if terms[0].field in first else not at_least if terms[1].field in first else None
        if leaf.excludes and wanted_up is not None:
            wanted_up = not wanted_up
        if wanted_up is not None and wanted_up != (part.op in (Op.GE, Op.GT)):
            yield finding("direction_differs", leaf.path, ERROR, op=part.op.value, number="0", unit=asked.unit)


def _named_unasked(place: Place, pack: Pack, found: Sequence[Place]) -> Iterator[Finding]:
    """The quote names something that no test of this quote reads: a condition was left out, or another was meant."""
    if place.criterion is None or any(isinstance(p, Manual) for leaf in place.leaves for p in leaf.parts):
        return
    sharing = [other for other in found if other.quote in place.quote or place.quote in other.quote]
    asked = {code for other in sharing for _, codes in _by_path(other) for code in codes}
    asked |= {term.field for test in tests_of(pack.audience) for term in reads(test)}
    asked |= {pack.classes.field} if pack.classes is not None else set()
    kinds = {pack.fields[code].kind for _, codes in _by_path(place) for code in codes}
    families = {code.split(".")[0] for code in asked}
    for _, codes in named_at(place.quote, pack.fields.values()):
        kin = any(code.split(".")[0] in families for code in codes)
        if not asked & set(codes) and not kin and pack.fields[codes[0]].kind in kinds:
            yield finding("field_not_asked", place.path, WARNING, field=codes[0])


# --- and, or ----------------------------------------------------------------------------------------------------------

_OR: Final = re.compile("或|之一|任一|其一|择一|、|除外|放宽|可不|不受|但")
_AND: Final = re.compile("且|并|同时|均|又|及|和|、|；|，")
_STRONG_AND: Final = re.compile("且|同时|并")


def _joints(place: Place, pack: Pack) -> Iterator[Finding]:
    """A test that joins by “any” where the quote knows no “or”, or by “all” where it says nothing but “or”."""
    test = place.criterion.test if place.criterion is not None else None
    if not isinstance(test, (AllOf, AnyOf)) or len(place.leaves) < 2:
        return
    between, text = _between(test, place, pack), place.quote
    says_or = any(word in f"{text}{place.title}" for word in ("或", "之一", "任一", "其一", "择一"))
    if isinstance(test, AnyOf):
        cases = all(isinstance(part, AllOf) for part in test.tests)
        joined = bool(between) and all(_STRONG_AND.search(words) and "或" not in words for words in between)
        if joined or not (cases or says_or or _OR.search(text)):
            yield finding("joint_any", f"{place.path}.test", WARNING)
        return
    parted = bool(between) and all("或" in words and not _STRONG_AND.search(words) for words in between)
    certificates = sum(isinstance(part, Certificate) for part in test.tests) > 1 and not _STRONG_AND.search(text)
    if parted or certificates or (says_or and not _AND.search(text)):
        yield finding("joint_all", f"{place.path}.test", WARNING)


def _between(test: AllOf | AnyOf, place: Place, pack: Pack) -> list[str]:
    """What the quote says between the names of neighbouring members; empty unless it names each of them."""
    named = named_at(place.quote, pack.fields.values())
    spots = list[int]()
    for part in test.tests:
        codes = {term.field for term in reads(part)}
        spot = next((start for start, meant in named if codes & set(meant) and start not in spots), None)
        if spot is None:
            return []
        spots.append(spot)
    spots.sort()
    return [place.quote[a:b] for a, b in pairwise(spots)]


# --- years and dates --------------------------------------------------------------------------------------------------


def _periods(place: Place, pack: Pack) -> Iterator[Finding]:
    said = quotes.read(place.quote)
    if not (said.spans or said.last or said.this):
        said = quotes.read(f"{place.quote}；{place.title}")
    found = list(measures(place))
    for path, measure, years, each in found:
        if not years:
            continue
        whole = any(other == measure_shape(measure) for other in _whole_spans(found, said))
        fields = [pack.fields[term.field] for term in terms_of_measure(measure)]
        if not _period_fits(measure, years, said) and not whole:
            yield finding("period_differs", path, ERROR, years=sorted(years), spans=_spans(said))
        elif len(years) > 1 and not isinstance(measure, Growth):
            alike = any(other == said.each for _, _, span, other in found if len(span) > 1)
            if each and said.total and not said.each and not alike:
                yield finding("period_sum", path, WARNING)
            elif not each and said.each and not said.total and not alike:
                yield finding("period_each", path, WARNING)
        if isinstance(measure, (Amount, Ratio)):
            yield from _odd_year(path, years, fields, said)
        if isinstance(measure, Growth) != ("增长" in f"{place.quote}{place.title}") and not _both(place):
            yield finding("growth_differs", path, WARNING)
    yield from _field_periods(place, pack, said)


def _both(place: Place) -> bool:
    """Several measures in one place: which of them grows cannot be told."""
    return len(list(measures(place))) > 1 or place.path == "body.benefit"


def measure_shape(measure: Measure) -> tuple[str, ...]:
    """The fields of a measure, whatever the years."""
    return tuple(dict.fromkeys(term.field for term in terms_of_measure(measure)))


def _whole_spans(
    found: Sequence[tuple[str, Measure, frozenset[int], bool]], said: Said
) -> Iterator[tuple[str, ...]]:
    """Measures that are asked over the quote's whole period somewhere in the place: there a part of it may be too,
    for firms that are younger than the period."""
    for _, measure, years, _ in found:
        if said.spans and years == frozenset(range(-max(said.spans), 0)):
            yield measure_shape(measure)


def _spans(said: Said) -> list[int]:
    return sorted(said.spans | ({1} if said.last else set()) | ({0} if said.this else set()))


def _period_fits(measure: Measure, years: frozenset[int], said: Said) -> bool:
    """Whether the years are those of one of the quote's periods; a quote without a period fits all."""
    spans = _spans(said)
    if not spans:
        return True
    if isinstance(measure, Growth):
        first = min(years)
        return any(first in (-span, -span - 1) for span in spans if span)
    if 0 in spans and years == {0}:
        return True
    allowed = [frozenset(range(-span, 0)) for span in spans if span]
    return not allowed or years in allowed or (max(spans) > 1 and len(years) == 1 and min(years) >= -max(spans))


def _odd_year(path: str, years: frozenset[int], fields: list[Field], said: Said) -> Iterator[Finding]:
    """Years that a yearly figure is rarely asked for, unless the quote says so."""
    current = any(THIS_YEAR in field.title for field in fields)
    if years == {0} and not current and not said.this and fields[0].is_number:
        yield finding("period_unfinished", path, WARNING, field=fields[0].code)
    elif current and max(years) < 0 and not said.last:
        yield finding("period_not_current", path, WARNING, field=fields[0].code)
    elif len(years) == 1 and min(years) < -1 and not said.spans:
        yield finding("period_old", path, WARNING, years=sorted(years))


def _field_periods(place: Place, pack: Pack, said: Said) -> Iterator[Finding]:
    """A yes/no field that carries its own period (近三年……) beside a quote with another."""
    for leaf in place.leaves:
        for part in leaf.parts:
            if not isinstance(part, Flag):
                continue
            own = quotes.read(pack.fields[part.field].title)
            own_short, said_short = own.last or own.this, said.last or said.this
            if (
                (own.spans and said.spans and not own.spans & said.spans)
                or (own.spans and not said.spans and said_short)
                or (said.spans and not own.spans and own_short)
            ):
                yield finding("field_period_differs", leaf.path, WARNING, field=part.field)


def _dates(place: Place, said: Said, pack: Pack) -> Iterator[Finding]:
    if not said.dates:
        return
    for leaf in place.leaves:
        for part in leaf.parts:
            if isinstance(part, Dated) and part.day is not None and part.day not in said.dates:
                shown = "、".join(day.isoformat() for day in said.dates)
                yield finding("date_differs", leaf.path, ERROR, day=part.day.isoformat(), stated=shown)


# --- which way round --------------------------------------------------------------------------------------------------


def _polarity(place: Place, pack: Pack) -> Iterator[Finding]:
    """Requiring what speaks against an entity, or excluding for what speaks for it."""
    criterion = place.criterion
    negative = NEGATIVE.search(place.quote) is not None
    for leaf in place.leaves:
        if leaf.path.startswith(f"{place.path}.applies_when"):
            continue
        yield from _ranks(leaf, place, pack)
        for part in leaf.parts:
            if isinstance(part, Flag):
                wanted = part.value != leaf.excludes
                yield from _flag(leaf, part, wanted, negative, place)
            elif isinstance(part, Certificate) and criterion is not None and leaf.excludes and not negative:
                yield finding("excludes_good", leaf.path, WARNING, field=part.field)
    if criterion is not None and criterion.kind is Kind.VETO and not NEGATIVE.search(f"{place.quote}{place.title}"):
        flags = {part.field for leaf in place.leaves for part in leaf.parts if isinstance(part, Flag)}
        if not flags & (BAD | NEUTRAL) and flags <= FIELDS.keys():
            yield finding("veto_not_negative", f"{place.path}.kind", WARNING)
    if criterion is not None and criterion.kind is Kind.MANUAL:
        if not any(isinstance(part, Manual) for leaf in place.leaves for part in leaf.parts):
            yield finding("manual_computable", f"{place.path}.kind", WARNING)
    elif criterion is not None and criterion.kind is Kind.HARD:
        parts = [part for leaf in place.leaves for part in leaf.parts]
        if parts and all(isinstance(part, Manual) for part in parts):
            yield finding("hard_manual", f"{place.path}.kind", WARNING)


_LACKING: Final = re.compile("未|没有|不具备|无|缺|不是|不在|不属于|以外|非")
_DENIES: Final = re.compile("不(?!低|少|超|高|大|小)|未|没有|无|非")
_HUNDREDS: Final = re.compile(r"\d{2,}(?=强|名|家)")


def _ranks(leaf: Leaf, place: Place, pack: Pack) -> Iterator[Finding]:
    """A yes/no field that carries its own number (500强) beside a quote with another."""
    for part in leaf.parts:
        own = set(_HUNDREDS.findall(pack.fields[part.field].title)) if isinstance(part, Flag) else set()
        said = set(_HUNDREDS.findall(quotes.narrow(place.quote)))
        if own and said and not own & said and isinstance(part, Flag):
            yield finding("field_differs", leaf.path, WARNING, field=part.field, named="、".join(sorted(said)))


def _flag(leaf: Leaf, part: Flag, wanted: bool, negative: bool, place: Place) -> Iterator[Finding]:
    code = part.field
    if code in BAD and wanted:
        yield finding("requires_bad", leaf.path, ERROR, field=code)
    elif leaf.excludes and not part.value and not _LACKING.search(f"{place.quote}{place.title}"):
        yield finding("excludes_without", leaf.path, WARNING, field=code)
    elif place.criterion is not None and place.criterion.kind is Kind.HARD and wanted and _DENIES.match(place.title):
        yield finding("title_denies", leaf.path, WARNING, field=code)
    elif code in BAD or code in NEUTRAL or code not in FIELDS or place.criterion is None:
        return  # of a field that a pack declares, nobody knows which answer speaks for the entity
    elif leaf.excludes and wanted is False and not negative:
        yield finding("excludes_good", leaf.path, ERROR, field=code)
    elif place.criterion.kind in (Kind.HARD, Kind.EXEMPTION) and not wanted:
        yield finding("excludes_good", leaf.path, WARNING, field=code)


def _sizes_asked(place: Place) -> frozenset[str]:
    """All sizes that a place asks for, wherever in it."""
    parts = [part for leaf in place.leaves for part in leaf.parts]
    return frozenset(v for part in parts if isinstance(part, Member) and part.field == "sme.size" for v in part.values)


def _members(place: Place) -> Iterator[Finding]:
    for leaf in place.leaves:
        for part in leaf.parts:
            if not isinstance(part, Member):
                continue
            wanted = part.negated == leaf.excludes
            stated = sizes(place.quote)
            if part.field == "sme.size" and stated and wanted and _sizes_asked(place) != stated:
                yield finding("values_differ", leaf.path, WARNING, field=part.field, stated=sorted(stated))
            if place.criterion is None or part.field.startswith(CLAIM) or not place.path.startswith("body.criteria"):
                continue
            if ".applies_when" in leaf.path or place.criterion.kind is Kind.SCORE:
                continue
            negative = NEGATIVE.search(place.quote) is not None
            if not wanted and not negative:
                yield finding("excludes_members", leaf.path, WARNING, field=part.field)
            elif wanted and negative and place.criterion.kind is Kind.HARD:
                yield finding("requires_members", leaf.path, WARNING, field=part.field)


__all__ = ["MONEY", "SHARE", "TIME", "Age", "check", "same_unit", "states"]
