"""The page of a pack (`show`) in words: headings, and rows of a label, a text and its clause with the quote.

And the same page as one print-ready HTML file, with nothing that needs a network.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, Final

from . import words
from .fields import AGE, MONEY, SHARE
from .model import Criterion, Kind, Pack, Stage
from .show import Row, Section, show

HEADINGS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "about": ("基本信息", "About"), "audience": ("适用对象", "For whom"), "benefit": ("支持内容", "What it brings"),
    "scoring": ("评分", "Scoring"), "classes": ("分类", "Classes"), "parameters": ("参数", "Parameters"),
    "variants": ("地区参数", "Divisions with other parameters"), "windows": ("申报时间", "When to apply"),
    "transitions": ("过渡条款", "Transitions"), "materials": ("申报材料", "Materials"),
})  # fmt: skip
LABELS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType({
    "authority": ("发布机关", "authority"), "document_number": ("文号", "document number"),
    "source": ("出处", "source"),
    "status": ("状态", "status"), "effective_from": ("施行日期", "in force from"),
    "effective_to": ("有效期至", "in force until"), "supersedes": ("取代", "supersedes"), "note": ("备注", "note"),
    "division": ("地区", "division"), "digest": ("摘要值", "digest"), "audience": ("对象", "audience"),
    "test": ("检验", "test"), "benefit_kind": ("方式", "kind"), "benefit": ("内容", "benefit"),
    "amount": ("金额", "amount"), "cap": ("每家每年上限", "cap for a firm in a year"), "stacking": ("叠加", "stacking"),
    "no_application": ("免申即享", "without an application"), "cited": ("依据", "by"),
    "threshold": ("总分不低于", "total at least"), "part": ("部分", "part"),
})  # fmt: skip
STATUSES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"draft": ("草稿（未按原文核对）", "draft (not checked against the text)"), "in_force": ("施行", "in force")}
)
NATIONWIDE: Final = ("全国", "the whole country")


@dataclass(frozen=True)
class Line:
    """A row of the page: what it is, what it says, and the clause with its quote ("" where there is none)."""

    label: str
    text: str
    clause: str = ""
    quote: str = ""


@dataclass(frozen=True)
class Block:
    heading: str
    lines: tuple[Line, ...]


def page(pack: Pack, language: str, on: dt.date | None = None) -> tuple[Block, ...]:
    """The page of a pack in words."""
    return tuple(
        Block(
            _heading(section, language), tuple(line for row in section.rows for line in _lines(row, pack, language, on))
        )
        for section in show(pack)
    )


def _heading(section: Section, language: str) -> str:
    if not section.code.startswith("criteria."):
        return words.pick(HEADINGS[section.code], language)
    _, stage, kind = section.code.split(".")
    text = words.kind(Kind(kind), language)
    if Stage(stage) is Stage.ENTITLEMENT:
        return text
    name = words.pick(words.STAGES[Stage.CLAIM], language)
    return f"{text}（{name}）" if words.is_chinese(language) else f"{text} ({name})"


def _lines(row: Row, pack: Pack, language: str, on: dt.date | None) -> Iterator[Line]:
    value, zh = row.value, words.is_chinese(language)
    label = words.pick(LABELS[row.code], language) if row.code in LABELS else ""
    if row.code == "criterion":
        yield from _criterion(value, pack, language, on)
    elif row.code == "cited":
        yield Line(label, "", value.clause, value.quote)
    elif row.code == "class":
        rest = words.pick(("其余", "the rest"), language)
        yield Line(value.title, rest if value.test is None else words.test(value.test, pack, language, on))
    elif row.code == "part":
        titles = "、".join(pack.criterion(name).title for name in value.criteria)
        least = (f"不低于 {value.minimum} 分：" if zh else f"at least {value.minimum}: ") if value.minimum else ""
        yield Line(value.title, f"{least}{titles}")
    elif row.code == "parameter":
        yield Line(value.title, _parameter(value.value, value.unit, language))
    elif row.code == "variant":
        units = {each.id: (each.title, each.unit) for each in pack.parameters}
        text = "；".join(
            f"{units[name][0]} {_parameter(given, units[name][1], language)}" for name, given in value.values.items()
        )
        yield Line(f"{value.title} {value.division}", text, value.clause, value.quote)
    elif row.code == "window":
        yield Line(f"{value.first} — {value.last or ''}", value.text)
    elif row.code == "transition":
        until = (f"至 {value.until}：" if zh else f"until {value.until}: ") if value.until else ""
        when = words.test(value.when, pack, language, on)
        text = f"{until}{when}，按 {value.pack} 评价" if zh else f"{until}{when}; judged by {value.pack}"
        yield Line(value.title, text, value.clause, value.quote)
    elif row.code == "material":
        yield Line(value.title, words.pick(("中心已有", "the centre has it"), language) if value.kept else "")
    else:
        yield Line(label, _text(row.code, value, pack, language, on))


def _parameter(value: int, unit: str, language: str) -> str:
    if unit in AGE:
        return words.months(value, language)
    if unit in MONEY:
        return words.money(value, language, unit)
    if unit == SHARE:
        return words.percent(value)
    return f"{value} {unit if words.is_chinese(language) else words.UNITS.get(unit, unit)}"


def _criterion(of: Criterion, pack: Pack, language: str, on: dt.date | None) -> Iterator[Line]:
    if of.score is None:
        yield Line(of.title, words.criterion(of, pack, language, on), of.clause, of.quote)
        return
    points = words.pick(("分", "points"), language)
    rows = list[str]()
    for way in of.score.alternatives:
        head, graded = words.graded(way, pack, language, on)
        rows += [head] if head else []
        rows += [f"{condition}  {given} {points}" for condition, given in graded]
    yield Line(of.title, "\n".join(rows), of.clause, of.quote)


def _text(code: str, value: Any, pack: Pack, language: str, on: dt.date | None) -> str:
    if code == "status":
        return words.pick(STATUSES[value], language)
    if code == "division":
        return words.pick(NATIONWIDE, language) if value == "000000" else str(value)
    if code == "test":
        return words.test(value, pack, language, on)
    if code == "benefit_kind":
        return words.pick(words.BENEFITS[value], language)
    if code == "amount":
        return words.formula(value, pack, language, on)
    if code == "cap":
        return words.money(value, language)
    if code == "stacking":
        return words.stacking(value, language)
    if code == "no_application":
        return words.pick(("是", "yes"), language)
    return str(value)


# --- a file to print --------------------------------------------------------------------------------------------------

STYLE: Final = """\
body{font:15px/1.6 system-ui,"Noto Sans CJK SC","Microsoft YaHei",sans-serif;margin:2rem auto;max-width:60rem;
padding:0 1rem;color:#1b1b1b}h1{font-size:1.5rem}h2{font-size:1.1rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #bbb}
table{border-collapse:collapse;width:100%}
th,td{overflow-wrap:anywhere;white-space:pre-line;text-align:left;vertical-align:top;
padding:.3rem .6rem .3rem 0;
border-bottom:1px solid #e4e4e4}th{width:24%;font-weight:600}blockquote{margin:.2rem 0 0;color:#555;font-size:.92em}
@media print{body{margin:0;max-width:none;font-size:11pt}tr{break-inside:avoid}h2{break-after:avoid}}
@media(max-width:40rem){table,tbody,th,td{display:block;width:auto;border:0;padding:.1rem 0}
tr{display:block;padding:.5rem 0;border-bottom:1px solid #e4e4e4}}"""


def html(pack: Pack, language: str, on: dt.date | None = None) -> str:
    """The page as one HTML file, for print."""
    blocks = "".join(
        f"<h2>{escape(block.heading)}</h2><table>{''.join(map(_row, block.lines))}</table>"
        for block in page(pack, language, on)
    )
    code = "zh-Hans" if words.is_chinese(language) else "en"
    title = escape(pack.header.title)
    return (
        f'<!doctype html><html lang="{code}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body><h1>{title}</h1>{blocks}</body></html>\n"
    )


def _row(line: Line) -> str:
    cited = f"<blockquote>{escape(line.clause)}：“{escape(line.quote)}”</blockquote>" if line.clause else ""
    return f"<tr><th>{escape(line.label)}</th><td>{escape(line.text)}{cited}</td></tr>"
