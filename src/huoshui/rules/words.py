"""A pack in words, Chinese and English: for the command line and for pages, from one place.

The idea: evaluation, lint and diff give codes and numbers; here, and nowhere below the faces, they become text. Pure
templates and no gettext, because a pack is read on the command line, in files and in tests without Django. Every
function takes the language last but `on`; `zh…` is Chinese, all else English. With `on` (the day of evaluation) a
period is named by its calendar year, without it in relation to that day.

    words.test(criterion.test, pack, "zh")      营业收入（上一年）不低于 1,500 万元
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from .fields import FIELDS, MONEY, SHARE, Field
from .model import (
    Age,
    AllOf,
    Amount,
    AnyOf,
    Banded,
    Certificate,
    Compare,
    Criterion,
    Dated,
    Either,
    Fixed,
    Flag,
    FromFacts,
    Growth,
    Kind,
    Least,
    Manual,
    Measure,
    Member,
    Money,
    Op,
    Pack,
    Rate,
    Ratio,
    Remainder,
    Score,
    Share,
    Stacking,
    Stage,
    Stepped,
    Term,
    Test,
    Total,
    Verdict,
    terms_of_measure,
)
from .titles import ENGLISH, VALUES

VALUES_SHOWN: Final = 8

COMPARED: Final[Mapping[Op, tuple[str, str]]] = {
    Op.GE: ("不低于", "is at least"), Op.GT: ("高于", "is more than"), Op.LE: ("不高于", "is at most"),
    Op.LT: ("低于", "is less than"), Op.EQ: ("等于", "is"), Op.NE: ("不等于", "is not"),
}  # fmt: skip
COUNTED: Final[Mapping[Op, str]] = {Op.GE: "不少于", Op.GT: "多于", Op.LE: "不超过", Op.LT: "少于"}
AGED: Final[Mapping[Op, tuple[str, str]]] = {
    Op.GE: ("已满", "at least"), Op.GT: ("超过", "more than"), Op.LE: ("不超过", "at most"),
    Op.LT: ("不满", "less than"), Op.EQ: ("恰满", "exactly"), Op.NE: ("不是", "not exactly"),
}  # fmt: skip
UNITS: Final[Mapping[str, str]] = {
    "人": "people",
    "项": "items",
    "位": "",
    "分": "points",
    "件": "items",
    "年": "years",
    "月": "months",
}
VERDICTS: Final[Mapping[Verdict, tuple[str, str]]] = {
    Verdict.MET: ("符合", "met"), Verdict.UNMET: ("不符合", "not met"), Verdict.UNKNOWN: ("待补充", "facts missing"),
    Verdict.MANUAL: ("需人工审核", "needs a person"), Verdict.NA: ("不适用", "not applicable"),
}  # fmt: skip
KINDS: Final[Mapping[Kind, tuple[str, str]]] = {
    Kind.HARD: ("必备条件", "must be met"), Kind.VETO: ("排除情形", "excludes"),
    Kind.SCORE: ("评分指标", "gives points"), Kind.EXEMPTION: ("替代条件", "stands in"),
    Kind.MANUAL: ("人工审核", "a person decides"),
}  # fmt: skip
STAGES: Final[Mapping[Stage, tuple[str, str]]] = {
    Stage.ENTITLEMENT: ("资格", "entitlement"), Stage.CLAIM: ("兑付", "claim"),
}  # fmt: skip
BENEFITS: Final[Mapping[str, tuple[str, str]]] = {
    "certificate": ("认定", "certificate"), "grant": ("补助", "grant"), "tax": ("税收优惠", "tax benefit"),
    "voucher": ("政策券", "voucher"), "credit": ("融资", "credit"),
}  # fmt: skip


def is_chinese(language: str) -> bool:
    return language.lower().startswith("zh")


def pick(pair: tuple[str, str], language: str) -> str:
    """The text of a (Chinese, English) pair."""
    return pair[0] if is_chinese(language) else pair[1]


def verdict(value: Verdict | int, language: str) -> str:
    return pick(VERDICTS[Verdict(value)], language)


def kind(value: Kind, language: str) -> str:
    return pick(KINDS[value], language)


def field(code: str, fields: Mapping[str, Field], language: str) -> str:
    """The title of a field; English where the catalogue has it."""
    base = code.removesuffix(".until")
    if base != code and base in ENGLISH and not is_chinese(language):
        return f"{ENGLISH[base]}: valid until"
    known = fields.get(code) or FIELDS.get(code)
    title = known.title if known else code
    if code in VALUES:  # its codes are spelt out where they stand
        title = title.partition("（")[0]
    return title if is_chinese(language) else ENGLISH.get(code, title)


def column(name: str, fields: Mapping[str, Field], language: str) -> str:
    """A column of the evaluator (`revenue@2025`) in words."""
    code, _, year = name.partition("@")
    title = field(code, fields, language)
    if not year:
        return title
    return f"{title}（{year} 年）" if is_chinese(language) else f"{title} ({year})"


# --- numbers ----------------------------------------------------------------------------------------------------------


def plain(value: int, factor: int) -> str:
    """value / factor with thousands separators and no idle zeros."""
    text = f"{Decimal(value) / Decimal(factor):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def money(fen: int, language: str, unit: str | None = None) -> str:
    """An amount of money; in Chinese in `unit`, or in 万元 where that stays short."""
    if not is_chinese(language):
        return f"{plain(fen, 100)} yuan"
    if unit is None:
        unit = (
            "亿元"
            if fen and fen % 10**8 == 0 and abs(fen) >= 10**10
            else "万元"
            if fen and fen % 10_000 == 0 and abs(fen) >= 10**6
            else "元"
        )
    return f"{plain(fen, MONEY[unit])} {unit}"


def percent(bps: int) -> str:
    return f"{plain(bps, 100)}%"


def months(value: int, language: str) -> str:
    if value % 12 == 0:
        return f"{value // 12} 年" if is_chinese(language) else f"{value // 12} years"
    return f"{value} 个月" if is_chinese(language) else f"{value} months"


def quantity(value: int, of: Field, language: str, unit: str | None = None) -> str:
    """A value of a number field, in its smallest unit, with its unit (money in `unit`)."""
    if of.is_money:
        return money(value, language, unit)
    if of.unit == SHARE:
        return percent(value)
    shown = of.unit if is_chinese(language) else UNITS.get(of.unit, of.unit)
    return f"{plain(value, 10**of.places)} {shown}".rstrip()


def value(content: object, of: Field, language: str) -> str:
    """A value of any field as stored: a scaled integer, text, a date, true or false; None is unknown."""
    if content is None:
        return "未知" if is_chinese(language) else "unknown"
    if isinstance(content, bool):
        return pick(("是", "yes") if content else ("否", "no"), language)
    if isinstance(content, int):
        return quantity(content, of, language)
    return coded(str(content), of.code, language)


def coded(code: str, of: str, language: str) -> str:
    """A code of a text field in words, where it has some."""
    known = VALUES.get(of, {}).get(code)
    return pick(known, language) if known else code


def measured(amount: int, measure_of: Measure, pack: Pack, language: str, unit: str | None = None) -> str:
    """A number in the smallest unit of a measure (a threshold, an edge of a band, a margin) with its unit."""
    if isinstance(measure_of, (Ratio, Growth)):
        return percent(amount)
    if isinstance(measure_of, Age):
        return months(amount, language) if unit != "月" else f"{amount} {'个月' if is_chinese(language) else 'months'}"
    return quantity(amount, pack.fields[measure_of.terms[0].field], language, unit if unit in MONEY else None)


# --- measures ---------------------------------------------------------------------------------------------------------


def period(years: Iterable[int], language: str, on: dt.date | None = None) -> str:
    """Years relative to the year of evaluation, in words: 上一年, or 2025 年 where the day is known."""
    ordered = sorted(set(years))
    first, last = ordered[0], ordered[-1]
    zh = is_chinese(language)
    if on is not None:
        first, last = on.year + first, on.year + last
        if len(ordered) == 1:
            return f"{first} 年" if zh else str(first)
        return f"{first}—{last} 年合计" if zh else f"{first}–{last} together"
    if len(ordered) > 1:
        return f"近 {len(ordered)} 年合计" if zh else f"last {len(ordered)} years together"
    named = {0: ("当年", "this year"), -1: ("上一年", "last year"), -2: ("上上年", "the year before last")}
    return pick(named.get(first, (f"前第 {-first} 年", f"{-first} years before")), language)


def _bracket(text: str, inside: str, language: str) -> str:
    if not inside:
        return text
    return f"{text}（{inside}）" if is_chinese(language) else f"{text} ({inside})"


def _years(terms: Iterable[Term]) -> frozenset[int]:
    return frozenset(term.year for term in terms if term.year is not None)


def _sum(amount: Amount, pack: Pack, language: str) -> str:
    """The fields of an amount, joined by their signs, without periods."""
    weights = {term.field: term.weight for term in amount.terms}
    text = ""
    for code, weight in weights.items():
        sign = (" − " if weight < 0 else " + ") if text else ("−" if weight < 0 else "")
        text += f"{sign}{field(code, pack.fields, language)}"
    return text


def _grouped(amount: Amount, pack: Pack, language: str) -> str:
    text = _sum(amount, pack, language)
    if len({term.field for term in amount.terms}) == 1:
        return text
    return f"（{text}）" if is_chinese(language) else f"({text})"


def measure(of: Measure, pack: Pack, language: str, on: dt.date | None = None) -> str:
    """What is counted, with its period."""
    zh = is_chinese(language)
    if isinstance(of, Age):
        title = field(of.field, pack.fields, language)
        if zh:
            return f"自{title}至{'上年末' if of.at_year_end else '评价当日'}"
        return f"time since {title}{' at the end of last year' if of.at_year_end else ''}"
    if isinstance(of, Growth):
        title = field(of.last.field, pack.fields, language)
        span = period((of.last.year or 0,), language, on)
        if of.years == 1:
            return f"{title}增长率（{span}）" if zh else f"growth of {title} ({span})"
        return (
            f"{title} {of.years} 年年均复合增长率（至{span}）"
            if zh
            else f"yearly growth of {title} over {of.years} years (to {span})"
        )
    years = _years(terms_of_measure(of))
    span = period(years, language, on) if years else ""
    if isinstance(of, Ratio):
        over, under = (_grouped(side, pack, language) for side in (of.numerator, of.denominator))
        return _bracket(f"{over} ÷ {under}", span, language)
    return _bracket(_sum(of, pack, language), span, language)


# --- tests ------------------------------------------------------------------------------------------------------------


def test(of: Test, pack: Pack, language: str, on: dt.date | None = None) -> str:  # noqa: PT028 - not a pytest test
    """A test as a sentence without a full stop."""
    zh = is_chinese(language)
    if isinstance(of, Compare):
        return _compare(of, pack, language, on)
    if isinstance(of, Member):
        return _member(of, pack, language)
    if isinstance(of, Flag):
        title = _bracket(
            field(of.field, pack.fields, language),
            "" if of.year is None else period((of.year,), language, on),
            language,
        )
        if of.value:
            return title
        return f"无此情形：{title}" if zh else f"not: {title}"
    if isinstance(of, Dated):
        title = field(of.field, pack.fields, language)
        day = of.day.isoformat() if of.day else pick(("评价当日", "the day of evaluation"), language)
        word = pick({Op.LE: ("不晚于", "is on or before"), Op.GE: ("不早于", "is on or after")}[of.op], language)
        return f"{title}{word} {day}" if zh else f"{title} {word} {day}"
    if isinstance(of, Certificate):
        title = field(of.field, pack.fields, language)
        return f"持有有效期内的“{title}”资格" if zh else f"holds a valid certificate: {title}"
    if isinstance(of, Manual):
        return f"人工审核：{of.question}" if zh else f"a person decides: {of.question}"
    return _joined(of, pack, language, on)


def _compare(of: Compare, pack: Pack, language: str, on: dt.date | None) -> str:
    zh = is_chinese(language)
    left = measure(of.measure, pack, language, on)
    right = measured(of.threshold.value, of.measure, pack, language, of.unit)
    if isinstance(of.measure, Age):
        return (
            f"{left}{pick(AGED[of.op], language)} {right}" if zh else f"{left}: {pick(AGED[of.op], language)} {right}"
        )
    if zh and isinstance(of.measure, Amount) and pack.fields[of.measure.terms[0].field].kind == "integer":
        return f"{left}{COUNTED.get(of.op, COMPARED[of.op][0])} {right}"
    return f"{left}{COMPARED[of.op][0]} {right}" if zh else f"{left} {COMPARED[of.op][1]} {right}"


def _member(of: Member, pack: Pack, language: str) -> str:
    zh = is_chinese(language)
    title = field(of.field, pack.fields, language)
    shown = [coded(each, of.field, language) for each in of.values[:VALUES_SHOWN]]
    more = len(of.values) - len(shown)
    listed = ("、" if zh else ", ").join(shown)
    if more:
        listed += f" 等 {len(of.values)} 项" if zh else f" and {more} more"
    if of.prefix and zh:
        return f"{title}{'不' if of.negated else ''}以 {listed} {'之一' if len(of.values) > 1 else ''}开头"
    if of.prefix:
        return f"{title} {'does not begin' if of.negated else 'begins'} with {listed}"
    word = ("不属于" if of.negated else "属于") if zh else ("is none of" if of.negated else "is one of")
    return f"{title}{word}：{listed}" if zh else f"{title} {word}: {listed}"


def _joined(of: AllOf | AnyOf, pack: Pack, language: str, on: dt.date | None) -> str:
    zh = is_chinese(language)
    if isinstance(of, AllOf) and (each := _each(of.tests, pack, language, on)):
        return each
    parts = [
        f"（{test(part, pack, language, on)}）" if isinstance(part, (AllOf, AnyOf)) and len(part.tests) > 1
        else test(part, pack, language, on)
        for part in of.tests
    ]  # fmt: skip
    if len(parts) == 1:
        return parts[0]
    if isinstance(of, AllOf):
        return "；且".join(parts) if zh else "; and ".join(parts)
    return "；或".join(parts) if zh else "; or ".join(parts)


def _each(tests: tuple[Test, ...], pack: Pack, language: str, on: dt.date | None) -> str | None:
    """One sentence for the same comparison asked of several years: 近 2 年每年……"""
    if len(tests) < 2 or not all(isinstance(part, Compare) for part in tests):
        return None
    compares = [part for part in tests if isinstance(part, Compare)]
    spans = [_years(terms_of_measure(part.measure)) for part in compares]
    if any(len(span) != 1 for span in spans) or len({_yearless(part) for part in compares}) != 1:
        return None
    years = sorted(year for span in spans for year in span)
    first, last = years[0], years[-1]
    if last - first != len(years) - 1:
        return None
    zh = is_chinese(language)
    if on is not None:
        when = f"{on.year + first}—{on.year + last} 年每年" if zh else f"in each of {on.year + first}–{on.year + last}"
    else:
        when = f"近 {len(years)} 年每年" if zh else f"in each of the last {len(years)} years"
    body = test(_yearless(compares[0]), pack, language, on)
    return f"{when}：{body}" if zh else f"{when}: {body}"


def _yearless(of: Compare) -> Compare:
    def bare(amount: Amount) -> Amount:
        return Amount(tuple(replace(term, year=None) for term in amount.terms))

    if isinstance(of.measure, Amount):
        return replace(of, measure=bare(of.measure))
    if isinstance(of.measure, Ratio):
        return replace(of, measure=Ratio(bare(of.measure.numerator), bare(of.measure.denominator)))
    return of


# --- scores, money, criteria ------------------------------------------------------------------------------------------


def score(of: Score, pack: Pack, language: str, on: dt.date | None = None) -> list[tuple[str, int]]:
    """(condition, points) rows of a score criterion, in the order of the pack; alternatives after one another."""
    colon = "：" if is_chinese(language) else ": "
    rows = list[tuple[str, int]]()
    for way in of.alternatives:
        head, graded_rows = graded(way, pack, language, on)
        rows += [(f"{head}{colon}{condition}" if head else condition, points) for condition, points in graded_rows]
    return rows


def graded(
    way: Banded | Stepped, pack: Pack, language: str, on: dt.date | None = None
) -> tuple[str, list[tuple[str, int]]]:
    """One way to score: the measure of its bands ("" for steps), and (condition, points) rows."""
    if isinstance(way, Banded):
        rows = [(_band(band.low, band.high, way, pack, language), band.points) for band in way.bands]
        return measure(way.measure, pack, language, on), rows
    steps = [(test(step.test, pack, language, on), step.points) for step in way.steps]
    return "", [*steps, (pick(("其他情形", "otherwise"), language), way.otherwise)]


def _band(low: int | None, high: int | None, way: Banded, pack: Pack, language: str) -> str:
    zh = is_chinese(language)
    edges = [None if edge is None else measured(edge, way.measure, pack, language, way.unit) for edge in (low, high)]
    if edges[0] is None:
        return f"{edges[1]} 以下（不含）" if zh else f"below {edges[1]}"
    if edges[1] is None:
        return f"{edges[0]} 及以上" if zh else f"{edges[0]} and above"
    return f"{edges[0]}（含）至 {edges[1]}" if zh else f"from {edges[0]} to below {edges[1]}"


def rate(of: Rate, pack: Pack, language: str, on: dt.date | None = None) -> str:
    """The per cent of a share, case by case."""
    zh = is_chinese(language)
    cases = [
        f"{test(when, pack, language, on)}时 {percent(bps)}"
        if zh
        else f"{percent(bps)} if {test(when, pack, language, on)}"
        for when, bps in of.cases
    ]
    if of.otherwise is not None:
        rest = percent(of.otherwise)
        cases.append((f"其他情形 {rest}" if zh else f"otherwise {rest}") if cases else rest)
    return ("；" if zh else "; ").join(cases)


def formula(of: Money, pack: Pack, language: str, on: dt.date | None = None) -> str:
    """A benefit's formula in words."""
    zh = is_chinese(language)

    def inner(part: Money) -> str:
        return formula(part, pack, language, on)

    if isinstance(of, Fixed):
        return money(of.fen, language)
    if isinstance(of, FromFacts):
        return measure(of.amount, pack, language, on)
    if isinstance(of, Share):
        base, bps = inner(of.of), rate(of.rate, pack, language, on)
        several = len(of.rate.cases) > 0
        if zh:
            return f"{base} × （{bps}）" if several else f"{base} × {bps}"
        return f"{base} × ({bps})" if several else f"{base} × {bps}"
    if isinstance(of, Least):
        return (
            f"以下最小者：{'；'.join(map(inner, of.members))}"
            if zh
            else f"the least of: {'; '.join(map(inner, of.members))}"
        )
    if isinstance(of, Total):
        return " + ".join(map(inner, of.members))
    if isinstance(of, Remainder):
        return (
            f"{inner(of.of)} − {inner(of.less)}（不低于零）"
            if zh
            else f"{inner(of.of)} − {inner(of.less)} (never below zero)"
        )
    return _either(of, pack, language, on)


def _either(of: Either, pack: Pack, language: str, on: dt.date | None) -> str:
    zh = is_chinese(language)
    cases = [
        f"{test(when, pack, language, on)}时：{formula(part, pack, language, on)}" if zh
        else f"if {test(when, pack, language, on)}: {formula(part, pack, language, on)}"
        for when, part in of.cases
    ]  # fmt: skip
    rest = formula(of.otherwise, pack, language, on)
    cases.append(f"其他情形：{rest}" if zh else f"otherwise: {rest}")
    return ("；" if zh else "; ").join(cases)


def stacking(of: Stacking, language: str) -> str:
    """Up to how much of one contract the benefits of a group add up."""
    zh = f"同组（{of.group}）各项支持合计不超过合同的 {percent(of.max_bps)}"
    return pick((zh, f"benefits of group {of.group}: together at most {percent(of.max_bps)} of a contract"), language)


def _points(of: Score, pack: Pack, language: str, on: dt.date | None) -> str:
    """A score in one sentence; the measure of bands is named once."""
    zh = is_chinese(language)
    comma, colon = ("；", "：") if zh else ("; ", ": ")
    ways = []
    for way in of.alternatives:
        head, rows = graded(way, pack, language, on)
        unit = "分" if zh else "points"
        given = comma.join(f"{condition} {points} {unit}" for condition, points in rows)
        ways.append(f"{head}{colon}{given}" if head else given)
    best = "以下取最高者：" if zh else "the best of: "
    return ways[0] if len(ways) == 1 else best + (" / ").join(ways)


def criterion(of: Criterion, pack: Pack, language: str, on: dt.date | None = None) -> str:
    """What a criterion asks, in one sentence."""
    zh = is_chinese(language)
    if of.score is not None:
        text = _points(of.score, pack, language, on)
    else:
        assert of.test is not None, "a criterion has a test or a score"
        text = test(of.test, pack, language, on)
    if of.kind is Kind.VETO:
        text = f"有此情形的不予支持：{text}" if zh else f"excluded if: {text}"
    if of.exempts:
        names = [
            pick(("评分", "the scoring"), language) if name == "score" else pack.criterion(name).title
            for name in of.exempts
        ]
        text += f"（可替代：{'、'.join(names)}）" if zh else f" (stands in for: {', '.join(names)})"
    if of.applies_when is not None:
        when = test(of.applies_when, pack, language, on)
        text = f"适用于“{when}”：{text}" if zh else f"where {when}: {text}"
    return text
