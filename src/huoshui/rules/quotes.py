"""What a sentence of a notice states: its numbers with units and direction, its dates, its periods.

The idea: a clause error is a difference between what the notice says and what the test asks, so the sentence is read
for what can be compared: 不低于1500万元 is (150 000 000 fen, at least), 百分之三十 is 3000 basis points, 近两年 is two
years. Article numbers, list marks, document numbers and dates are no quantities. Arabic and Chinese numerals alike.
Reading is by pattern and not by understanding: what is not recognised is not stated, never guessed.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from .model import Op

MONEY: Final = "money"
SHARE: Final = "share"
TIME: Final = "time"
POINTS: Final = "points"
COUNT: Final = "count"

_DIGITS: Final = MappingProxyType({c: i for i, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2})
_TENS: Final = MappingProxyType({"十": 10, "百": 100, "千": 1_000})
_UNITS: Final[Mapping[str, tuple[str, Fraction]]] = MappingProxyType({
    "亿元": (MONEY, Fraction(10**10)), "万元": (MONEY, Fraction(10**6)), "千元": (MONEY, Fraction(10**5)),
    "元": (MONEY, Fraction(100)), "亿": (MONEY, Fraction(10**10)), "万": (MONEY, Fraction(10**6)),
    "个百分点": (SHARE, Fraction(100)), "%": (SHARE, Fraction(100)),
    "周年": (TIME, Fraction(12)), "年": (TIME, Fraction(12)), "个月": (TIME, Fraction(1)),
    "个自然月": (TIME, Fraction(1)), "天": (TIME, Fraction(12, 365)), "日": (TIME, Fraction(12, 365)),
    "分": (POINTS, Fraction(1)),
    **dict.fromkeys("人名项件个家位种款次份套级P", (COUNT, Fraction(1))),
})  # fmt: skip
"""Units as notices write them: dimension, smallest units in one."""

_UNIT: Final = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_ARABIC: Final = r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"
_CHINESE: Final = r"[零〇一二三四五六七八九十百千两]+(?:点[零〇一二三四五六七八九]+)?"
_HUNDREDTHS: Final = re.compile(rf"百分之({_CHINESE}|{_ARABIC})")
_QUANTITY: Final = re.compile(rf"(?P<number>{_ARABIC}|{_CHINESE})\s*(?P<unit>{_UNIT})?")
_JOINT: Final = re.compile(r"\s*(?:\(含\))?\s*[-—–−~～至到或、/和]+\s*$")
"""Between two numbers of which the second carries the unit of both: 5—10人, 30或20%."""

_DATE: Final = re.compile(r"(\d{4})\s*[年./-]\s*(\d{1,2})\s*[月./-]\s*(\d{1,2})\s*日?")
_NO_QUANTITY: Final = re.compile(
    rf"{_DATE.pattern}"
    r"|\d{4}\s*年?\s*[-—–~～至]\s*\d{4}\s*年|\d{4}\s*年(?:\s*\d{1,2}\s*月)?(?:版|度)?|\d{1,2}\s*月\s*\d{1,2}\s*日"
    rf"|第\s*(?:{_CHINESE}|\d+)\s*(?:条|款|项|章|节|批|号|类|档|部分|产业|次|届)?|[〔\[]\d{{4}}[〕\]]\s*(?:第)?\s*\d+\s*号|\d+号"
    rf"|\((?:{_CHINESE}|\d+)\)|(?:^|[;。:\n])\s*\d{{1,2}}[.、](?!\d)|GB/?T?\s*[\d.-]+|附件\s*(?:{_CHINESE}|\d+)"
    r"|统一|同一|唯一|之一|任一|单一|一般|一定|一致|一律|一次性|一体|进一步|三新|四上|六基|十四五|十五五|百强"
)
_AGO: Final = r"(?:近|最近|过去|连续|此前|前|上|之前)"
_PERIOD: Final = re.compile(
    rf"{_AGO}\s*(?P<n>{_CHINESE}|\d{{1,2}})\s*个?\s*(?:完整)?(?:会计|自然|纳税)?年度?"
    rf"|(?P<m>{_CHINESE}|\d{{1,2}})\s*个?(?:会计|自然|纳税)年度|(?P<i>{_CHINESE}|\d{{1,2}})\s*年(?:度)?(?:以)?(?:内|来)"
    rf"|(?P<p>(?:[2-9]|[二两三四五六七八九十]))\s*年(?:期|的?(?:平均|年均|复合|累计|合计|总))"
)
_LAST: Final = re.compile(r"上一?个?(?:会计|自然|纳税)?年度?|最近一(?:个会计)?年|最?近[一1](?:个会计)?年")
_THIS: Final = re.compile(r"当年(?!及)|本年|今年|年度内|每年度?(?=累计|申报)")
_EACH: Final = re.compile(r"每年|各年|(?<![平年])均(?!复合|增长|值)|逐年|分别")
_SUM: Final = re.compile(r"合计|累计|总和|之和|总额之")

_BEFORE: Final[tuple[tuple[str, frozenset[Op]], ...]] = tuple(
    (word, frozenset(ops))
    for words, ops in (
        (("不低于", "不少于", "不小于", "不得低于", "不得少于", "不应低于", "至少", "≥", ">=", "大于等于", "大于或等于",
          "高于或等于", "不短于"), (Op.GE,)),
        (("高于", "超过", "大于", "多于", ">", "超出"), (Op.GT,)),
        (("不超过", "不高于", "不大于", "不多于", "不得超过", "不得高于", "最高", "至多", "最多", "≤", "<=", "小于等于",
          "小于或等于", "不超出", "最高不超过"), (Op.LE,)),
        (("低于", "少于", "小于", "不足", "不满", "<", "未达到", "未满", "不到"), (Op.LT,)),
    )
    for word in words
)  # fmt: skip
_AFTER: Final = re.compile(r"\s*(?:\(?含?\)?)?\s*(?:的)?及?(以上|以下|以内|之内|以外)(\(不含)?")
_WEAK: Final = re.compile(r"(达到|达|满|控制在)$")
_NARROW: Final = str.maketrans({chr(0xFF01 + i): chr(0x21 + i) for i in range(94)} | {"　": " ", "﹪": "%", "＜": "<"})


@dataclass(frozen=True)
class Stated:
    """One quantity: `value` in smallest units of its dimension (fen, basis points, months, points, pieces).

    `ops` are the comparisons that its direction word allows, empty if it has none; `digits` the number as written.
    """

    value: Fraction
    dimension: str
    unit: str
    digits: Fraction
    ops: frozenset[Op]
    start: int
    end: int


@dataclass(frozen=True)
class Said:
    """All that a sentence states. `spans` are the numbers of years of its periods (近两年: 2); `last`, `this`: it
    speaks of last year, of the current year; `each`, `total`: of each year, of years together."""

    text: str
    stated: tuple[Stated, ...]
    dates: tuple[dt.date, ...]
    spans: frozenset[int]
    last: bool
    this: bool
    each: bool
    total: bool

    def of(self, *dimensions: str) -> tuple[Stated, ...]:
        return tuple(each for each in self.stated if each.dimension in dimensions)


def narrow(text: str) -> str:
    """Full-width signs and digits as ASCII; nothing else changes, and no position does."""
    return text.translate(_NARROW)


def numeral(text: str) -> Fraction:
    """A number in Arabic or Chinese numerals: 1,500, 2.5, 十二, 一千五百, 三点五."""
    if text[0].isascii():
        return Fraction(text.replace(",", ""))
    whole, _, decimals = text.partition("点")
    total, digit = 0, 0
    for character in whole:
        if character in _TENS:
            total += (digit or 1) * _TENS[character]
            digit = 0
        else:
            digit = _DIGITS[character]
    part = Fraction(int("".join(str(_DIGITS[c]) for c in decimals)), 10 ** len(decimals)) if decimals else Fraction(0)
    return total + digit + part


def read(text: str) -> Said:
    """What a sentence states."""
    plain = narrow(text)
    dates = tuple(_dates(plain))
    blank = _NO_QUANTITY.sub(lambda match: "\0" * len(match.group()), plain)
    spans = set[int]()
    for match in _PERIOD.finditer(blank):
        spans.add(int(numeral(next(group for group in match.groups() if group))))
    last = bool(_LAST.search(plain)) or 1 in spans
    blank = _PERIOD.sub(lambda match: "\0" * len(match.group()), _LAST.sub(lambda m: "\0" * len(m.group()), blank))
    return Said(
        text=text,
        stated=tuple(_stated(blank)),
        dates=dates,
        spans=frozenset(spans - {1}),
        last=last,
        this=bool(_THIS.search(plain)),
        each=bool(_EACH.search(plain)),
        total=bool(_SUM.search(plain)),
    )


def _dates(text: str) -> Iterator[dt.date]:
    for match in _DATE.finditer(text):
        try:
            yield dt.date(*(int(group) for group in match.groups()))
        except ValueError:
            continue


def _stated(text: str) -> Iterator[Stated]:
    taken = list[tuple[int, int, Fraction, str]]()
    for match in _HUNDREDTHS.finditer(text):
        taken.append((match.start(), match.end(), numeral(match.group(1)), "%"))
    rest = _HUNDREDTHS.sub(lambda match: "\0" * len(match.group()), text)
    for match in _QUANTITY.finditer(rest):
        unit = match.group("unit") or ""
        if not unit and not match.group("number")[0].isascii():
            continue  # a Chinese numeral without a unit is a word
        taken.append((match.start(), match.end(), numeral(match.group("number")), unit))
    taken.sort()
    for place, (start, end, digits, unit) in enumerate(taken):
        if not unit and place + 1 < len(taken) and _JOINT.fullmatch(text[end : taken[place + 1][0]]):
            unit = taken[place + 1][3]
        dimension, factor = _UNITS.get(unit, (COUNT, Fraction(1)))
        yield Stated(digits * factor, dimension, unit, digits, _direction(text, start, end), start, end)


def _direction(text: str, start: int, end: int) -> frozenset[Op]:
    """What the words right before or right after a number say about it."""
    before = re.sub(r"(?:人民币|为|是|约|在)?\s*$", "", text[:start])
    after = _AFTER.match(text, end)
    named = [(len(word), ops) for word, ops in _BEFORE if before.endswith(word)]
    if named:
        ops = max(named, key=lambda each: each[0])[1]
        included = text.startswith("(含", end)  # 小于5000万元（含）
        return frozenset({Op.LT: Op.LE, Op.GT: Op.GE}.get(op, op) if included else op for op in ops)
    if after:
        excluded = after.group(2) is not None
        if after.group(1) == "以上":
            return frozenset((Op.GT,) if excluded else (Op.GE,))
        return frozenset((Op.LT,) if excluded else (Op.LE, Op.LT))
    if _WEAK.search(before) and not before.endswith(("未达到", "不满", "未满")):
        return frozenset((Op.LE, Op.LT)) if before.endswith("控制在") else frozenset((Op.GE,))
    return frozenset()
