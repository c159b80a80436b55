"""R&D costs of a year (研发费用归集) and the straight-line amortisation of intangible assets. Pure, exact to the fen.

The idea: an accountant files each cost of the year under a project and a category. What may be deducted with a
supplement is less than what was spent, by three limits, each a plain formula over sums of all projects:

    other costs      at most 10 % of the total they are part of: (five own categories) × 10 % / (1 − 10 %)
    entrusted        80 % of what was actually paid
    entrusted abroad 80 % as well, and not above two thirds of what qualifies at home

Costs of a capitalised project are not deducted in the year; they come back as amortisation of the asset that the
project became. Every limit is floored once, on the sum. Sources, **from memory, to be checked against the texts**
(draft): 财税〔2015〕119号 parts 1 and 2; 财税〔2018〕64号 (abroad); 国家税务总局公告2017年第40号 (what belongs to
which category) and 2021年第28号 article 3 (one limit over all projects); 企业所得税法实施条例 article 67 (amortisation
over at least ten years).
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

LINES_MAX, ASSETS_MAX = 200, 30
"""A line may be the sum of a project and category; a form of this size is sent whole (Django: 1,000 fields)."""
AMOUNT_FEN_MAX = 10_000_000_000_000
"""100 billion yuan: what is above is a wrong unit."""
MONTHS_MIN, MONTHS_MAX = 1, 600
MONTHS_USUAL = 120
YEAR_MIN, YEAR_MAX = 2015, 2100
OTHER_BPS, WHOLE_BPS = 1_000, 10_000
ENTRUSTED_BPS = 8_000
ABROAD_PARTS, ABROAD_WHOLE = 2, 3


class Category(enum.StrEnum):
    """Where a cost belongs. The first five are the base of the limit of other costs."""

    PERSONNEL = "personnel"
    DIRECT = "direct"
    DEPRECIATION = "depreciation"
    AMORTISATION = "amortisation"
    DESIGN = "design"
    OTHER = "other"
    ENTRUSTED = "entrusted"
    ABROAD = "abroad"


OWN = (Category.PERSONNEL, Category.DIRECT, Category.DEPRECIATION, Category.AMORTISATION, Category.DESIGN)


@dataclass(frozen=True)
class Line:
    """One cost of the year in fen. `capitalised`: it became part of an asset and is not deducted now."""

    project: str
    category: Category
    amount_fen: int
    capitalised: bool = False


@dataclass(frozen=True)
class Asset:
    """An intangible asset that own R&D became. It is amortised from the month in which it was ready for use.

    `first_year`, `first_month`: that month; `months`: useful life; `last_year`, `last_month`: the month in which it was
    disposed of, which is not amortised any more (None: still held).
    """

    name: str
    cost_fen: int
    first_year: int
    first_month: int
    months: int = MONTHS_USUAL
    last_year: int | None = None
    last_month: int | None = None


@dataclass(frozen=True)
class Year:
    """What was filled in for one year."""

    year: int
    lines: tuple[Line, ...] = ()
    assets: tuple[Asset, ...] = ()


@dataclass(frozen=True)
class Fault:
    """What cannot be right, by code: `part` lines or assets, `index` counts from 0."""

    part: str
    index: int
    field: str
    value: str
    rule: str


@dataclass(frozen=True)
class Project:
    """One project's costs as they were: expensed and capitalised, before any limit."""

    name: str
    expensed_fen: int
    capitalised_fen: int


@dataclass(frozen=True)
class Result:
    """What the year comes to, in fen. `sums`: expensed costs by category, before limits, in the order of Category.

    `spent_fen` is everything as it was paid, capitalised or not; `expensed_fen` what qualifies of the expensed part.
    """

    spent_fen: int
    spent_at_home_fen: int
    sums: tuple[int, ...]
    other_limit_fen: int
    other_fen: int
    own_fen: int
    entrusted_fen: int
    domestic_fen: int
    abroad_share_fen: int
    abroad_limit_fen: int
    abroad_fen: int
    expensed_fen: int
    amortised_fen: int
    to_assets_fen: int
    projects: tuple[Project, ...]
    assets: tuple[int, ...]

    def sum_of(self, category: Category) -> int:
        return self.sums[list(Category).index(category)]


def collect(year: Year) -> Result:
    """Put the year's costs together. The input must have no `faults`."""
    sums = tuple(
        sum(line.amount_fen for line in year.lines if line.category is category and not line.capitalised)
        for category in Category
    )
    by = dict(zip(Category, sums, strict=True))
    five = sum(by[category] for category in OWN)
    other_limit = five * OTHER_BPS // (WHOLE_BPS - OTHER_BPS)
    other = min(by[Category.OTHER], other_limit)
    entrusted = by[Category.ENTRUSTED] * ENTRUSTED_BPS // WHOLE_BPS
    domestic = five + other + entrusted
    abroad_share = by[Category.ABROAD] * ENTRUSTED_BPS // WHOLE_BPS
    abroad_limit = domestic * ABROAD_PARTS // ABROAD_WHOLE
    abroad = min(abroad_share, abroad_limit)
    amortised = tuple(amortised_in(asset, year.year) for asset in year.assets)
    spent = sum(line.amount_fen for line in year.lines)
    spent_abroad = sum(line.amount_fen for line in year.lines if line.category is Category.ABROAD)
    return Result(
        spent_fen=spent, spent_at_home_fen=spent - spent_abroad, sums=sums,
        other_limit_fen=other_limit, other_fen=other, own_fen=five + other,
        entrusted_fen=entrusted, domestic_fen=domestic, abroad_share_fen=abroad_share,
        abroad_limit_fen=abroad_limit, abroad_fen=abroad, expensed_fen=domestic + abroad, amortised_fen=sum(amortised),
        to_assets_fen=sum(line.amount_fen for line in year.lines if line.capitalised),
        projects=tuple(_projects(year.lines)), assets=amortised,
    )  # fmt: skip


def _projects(lines: Iterable[Line]) -> Iterable[Project]:
    """Projects in the order in which they first appear."""
    sums: dict[str, list[int]] = {}
    for line in lines:
        sums.setdefault(line.project, [0, 0])[line.capitalised] += line.amount_fen
    return (Project(name, expensed, capitalised) for name, (expensed, capitalised) in sums.items())


def amortised_in(asset: Asset, year: int) -> int:
    """Fen of straight-line amortisation that fall in a calendar year; over the whole life they sum to the cost."""
    return _amortised_before(asset, _month(year + 1, 1)) - _amortised_before(asset, _month(year, 1))


def _amortised_before(asset: Asset, month: int) -> int:
    """Fen amortised in the months before `month`."""
    if asset.last_year is not None and asset.last_month is not None:
        month = min(month, _month(asset.last_year, asset.last_month))
    passed = min(max(month - _month(asset.first_year, asset.first_month), 0), asset.months)
    return asset.cost_fen * passed // asset.months


def _month(year: int, month: int) -> int:
    return year * 12 + month - 1


def faults(year: Year) -> list[Fault]:
    """Everything in the input that cannot be right; empty when it may be collected."""
    found = []
    if not YEAR_MIN <= year.year <= YEAR_MAX:
        found.append(Fault("year", 0, "year", str(year.year), "year"))
    if len(year.lines) > LINES_MAX:
        found.append(Fault("lines", LINES_MAX, "lines", str(len(year.lines)), "lines_max"))
    if len(year.assets) > ASSETS_MAX:
        found.append(Fault("assets", ASSETS_MAX, "assets", str(len(year.assets)), "assets_max"))
    for index, line in enumerate(year.lines[:LINES_MAX]):
        found += [Fault("lines", index, *fault) for fault in _line_faults(line)]
    for index, asset in enumerate(year.assets[:ASSETS_MAX]):
        found += [Fault("assets", index, *fault) for fault in _asset_faults(asset, year.year)]
    return found


def _line_faults(line: Line) -> list[tuple[str, str, str]]:
    found = []
    if not line.project.strip():
        found.append(("project", line.project, "needed"))
    if not 0 < line.amount_fen <= AMOUNT_FEN_MAX:
        found.append(("amount", str(line.amount_fen), "amount"))
    return found


def _asset_faults(asset: Asset, year: int) -> list[tuple[str, str, str]]:
    found = []
    if not asset.name.strip():
        found.append(("name", asset.name, "needed"))
    if not 0 < asset.cost_fen <= AMOUNT_FEN_MAX:
        found.append(("cost", str(asset.cost_fen), "amount"))
    if not MONTHS_MIN <= asset.months <= MONTHS_MAX:
        found.append(("months", str(asset.months), "months"))
    if not 1 <= asset.first_month <= 12 or asset.first_year > year:
        found.append(("first", f"{asset.first_year}-{asset.first_month}", "first"))
    if (asset.last_year is None) != (asset.last_month is None):
        found.append(("last", f"{asset.last_year}-{asset.last_month}", "last"))
    elif asset.last_year is not None and asset.last_month is not None:
        ends = _month(asset.last_year, asset.last_month)
        if not 1 <= asset.last_month <= 12 or ends < _month(asset.first_year, asset.first_month):
            found.append(("last", f"{asset.last_year}-{asset.last_month}", "last"))
    return found
