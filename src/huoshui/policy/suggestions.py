"""What a sentence of a notice seems to ask: a first proposal for a criterion, for a person to correct.

The idea: such sentences have one shape. Something that is measured (营业收入), when (上年度), a comparison (不低于),
a number (1,500) and its unit (万元). Each is looked for by its own words; what is not found stays empty, and a sentence
in which nothing is found becomes a question for a person. Nothing here decides: the officer sees the proposal beside
the sentence, and the lint compares the two once more. No Django.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from huoshui.rules import lexicon, quotes
from huoshui.rules.fields import AGE, FIELDS, SHARE
from huoshui.rules.model import Kind, Op

CONDITIONS_MAX: Final = 4


@dataclass(frozen=True)
class Asked:
    """One condition: `measure` amount, ratio, growth, age, is or valid; `field` (and `over`, for a ratio) codes."""

    measure: str = "amount"
    field: str = ""
    over: str = ""
    op: str = ""
    value: str = ""
    unit: str = ""
    period: str = ""


@dataclass(frozen=True)
class Suggestion:
    """A proposal for a criterion. `asked` empty: a person has to judge. `any_of`: one condition suffices."""

    kind: Kind
    title: str
    asked: tuple[Asked, ...]
    any_of: bool = False


def suggest(words: str) -> Suggestion:
    """What a sentence seems to ask."""
    text = unicodedata.normalize("NFKC", words)
    flag = _yes_or_no(text)
    if flag is not None:
        return flag
    asked, start = list[Asked](), 0
    for stated in quotes.read(text).stated:
        op = next((op.value for op in _OPS if op in stated.ops), "")
        if op:
            before = asked[-1] if asked else Asked()
            asked.append(_measured(text[start : stated.end], text, before, op, stated))
            start = stated.end
    any_of = len(asked) > 1 and re.search(r"[,，;；]?或(?!股)|之一", text) is not None
    kind = Kind.HARD if asked else Kind.MANUAL
    return Suggestion(kind, _title(text, asked), tuple(asked[:CONDITIONS_MAX]), any_of)


# --- words --------------------------------------------------------------------------------------------------------

_OPS: Final = (Op.GE, Op.GT, Op.LE, Op.LT)
_UNITS: Final = MappingProxyType({"周年": "年", "个月": "月", "个自然月": "月", "名": "人", "个": "项", "件": "项"})

_HOLDS: Final = re.compile(r"有效|资格|认定|称号|获得|取得|评为|属于|须为|应为|是")
_LEAD_IN: Final = re.compile(r"(?:下列|以下|如下)(?:条件|情形|要求|指标|之一)?")


# --- one condition ------------------------------------------------------------------------------------------------


def _measured(part: str, whole: str, before: Asked, op: str, stated: quotes.Stated) -> Asked:
    """What is compared with one quantity; `part` is the text since the last one, whose subject may carry on."""
    unit, digits = _UNITS.get(stated.unit, stated.unit), _digits(stated.digits)
    fields = _fields(part)
    period = _period(part) or _period(whole)
    if stated.dimension == quotes.TIME:
        age = next((code for code in fields if FIELDS[code].kind == "date"), "founded")
        return Asked("age", age, "", op, digits, unit if unit in AGE else "")
    if stated.dimension == quotes.SHARE:
        return _share(part, fields, before, op, digits, period)
    money = stated.dimension == quotes.MONEY
    code = next((code for code in fields if FIELDS[code].is_number and FIELDS[code].is_money == money), "")
    if not money:
        unit = FIELDS[code].unit if code else unit
    return Asked("amount", code, "", op, digits, unit, _usual(period, code))


def _digits(number: Fraction) -> str:
    """A number as the form shows it."""
    return str(number.numerator) if number.denominator == 1 else f"{Decimal(number.numerator) / number.denominator:f}"


def _share(part: str, named: Mapping[str, int], before: Asked, op: str, digits: str, period: str) -> Asked:
    """A percentage: of a field that is one, a growth rate, or one field over another."""
    fields = [code for code in named if FIELDS[code].is_number]
    if fields and FIELDS[fields[0]].unit == SHARE:
        return Asked("amount", fields[0], "", op, digits, SHARE, _usual(period, fields[0]))
    if "增长" in part and fields:
        return Asked("growth", fields[0], "", op, digits, SHARE, period if "growth" in period else "growth:2")
    upper, over = (fields + ["", ""])[:2]
    if "资产负债率" in part:
        upper, over = "liabilities", "assets"
    elif len(named) == 1 and 0 <= part.find("占") < next(iter(named.values())):
        upper, over = before.field, upper
    elif not over:
        over = {"staff.rd": "staff"}.get(upper, "revenue" if upper else "")
    return Asked("ratio", upper, over, op, digits, SHARE, _usual(period, upper or "revenue"))


def _fields(part: str) -> dict[str, int]:
    """The number and date fields named in a part, in the order of its words, with their places.

    Where one word names several, the one that the catalogue has first stands for them.
    """
    asked = [field for field in FIELDS.values() if field.is_number or field.kind == "date"]
    found = dict[int, str]()
    for code, place in lexicon.mentions(part, asked).items():
        found.setdefault(place, code)
    return {found[place]: place for place in sorted(found)}


def _period(text: str) -> str:
    """last_year, this_year, each:2, sum:3, growth:2, or empty. Written as the form writes it."""
    said = quotes.read(text)
    if said.spans:
        count = min(said.spans)
        return f"growth:{count}" if "增长" in text else f"each:{count}" if said.each else f"sum:{count}"
    return "last_year" if said.last or "上年末" in text or "上一年末" in text else "this_year" if said.this else ""


def _usual(period: str, code: str) -> str:
    """The period for a field: none if it has one value, last year if the words do not say."""
    return "" if not code or not FIELDS[code].periodic else period or "last_year"


# --- yes, no and certificates -------------------------------------------------------------------------------------


def _yes_or_no(text: str) -> Suggestion | None:
    """A sentence about standing rather than about a number."""
    if any(stated.ops for stated in quotes.read(text).stated) or _LEAD_IN.search(text):
        return None
    named = lexicon.mentions(text, [field for field in FIELDS.values() if field.kind == "boolean"])
    certificates = [code for code in named if f"{code}.until" in FIELDS]
    flags = [code for code in named if code not in certificates][:CONDITIONS_MAX]
    excludes = lexicon.NEGATIVE.search(text) is not None
    if flags:
        asked = tuple(Asked("is", code, "", "is", "true") for code in flags)
        kind = Kind.VETO if excludes or lexicon.BAD.issuperset(flags) else Kind.HARD
        return Suggestion(kind, _title(text, list(asked)), asked, kind is Kind.VETO)
    if certificates and _HOLDS.search(text) and not excludes:
        held = tuple(Asked("valid", code, "", "valid") for code in certificates[:CONDITIONS_MAX])
        return Suggestion(Kind.HARD, _title(text, list(held)), held, "或" in text)
    return None


def _title(text: str, asked: list[Asked]) -> str:
    if "资产负债率" in text and len(asked) == 1:
        return "资产负债率"
    named = [FIELDS[each.field].title for each in asked if each.field]
    return "、".join(dict.fromkeys(re.split(r"[（(]", title)[0] for title in named)) or text[:30]
