"""One policy of ten criteria with a rate by case and a capped amount, the firms it is asked of, and the plain loop.

The policy is a made-up city voucher in the shape of the real ones. `POLICY` is the pack; `plain` says the same as
a Python programmer would write it by hand, unknown facts and all, and is what every engine is held against.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

ON = dt.date(2026, 6, 1)
YEAR_AGO = dt.date(2025, 6, 1)
MET, UNKNOWN, UNMET = 1, 3, 4
CITIES = ("330106", "330108", "330110", "330200", "330400")
INDUSTRIES = ("3490", "5190", "6510", "7010", "7340", "7484", "8760")
CAP_FEN = 800_000_000

POLICY = """
kind: rule_pack
id: bench-voucher
title: 基准测试用券
authority: 示例市
source: 基准测试
status: in_force
demo: true
effective_from: 2026-01-01
body:
  audience: {text: 全部企业}
  criteria:
    - {id: local, title: 本市登记, kind: hard, clause: 一, quote: 本市登记,
       test: {op: starts_with, of: division, values: ["3301"]}}
    - {id: trade, title: 行业, kind: hard, clause: 二, quote: 不含房地产和批发,
       test: {op: not_starts_with, of: industry, values: ["70", "51"]}}
    - {id: age, title: 成立年限, kind: hard, clause: 三, quote: 成立满1年,
       test: {op: ge, of: {age: founded}, value: 1, unit: 年}}
    - {id: staff, title: 人员, kind: hard, clause: 四, quote: 不超过300人,
       test: {op: le, of: staff, period: last_year, value: 300, unit: 人}}
    - {id: revenue, title: 收入, kind: hard, clause: 五, quote: 不低于200万元,
       test: {op: ge, of: revenue, period: last_year, value: 200, unit: 万元}}
    - {id: research, title: 研发占比, kind: hard, clause: 六, quote: 不低于3%,
       test: {op: ge, of: {ratio: [rd, revenue]}, period: last_year, value: 3, unit: "%"}}
    - {id: debt, title: 资产负债率, kind: hard, clause: 七, quote: 不高于80%,
       test: {op: le, of: {ratio: [liabilities, assets]}, period: last_year, value: 80, unit: "%"}}
    - {id: abnormal, title: 经营异常, kind: veto, clause: 八, quote: 列入经营异常名录,
       test: {op: is, of: abnormal, value: true}}
    - {id: dishonest, title: 失信, kind: veto, clause: 九, quote: 列入严重失信主体名单,
       test: {op: is, of: dishonest, value: true}}
    - {id: innovative, title: 科技型, kind: hard, clause: 十, quote: 有效的科技型中小企业,
       test: {op: valid, of: tech-sme}}
  benefit:
    kind: voucher
    text: 按合同额补助，最高800万元
    cap: {value: 800, unit: 万元}
    clause: 十一
    quote: 合同额不超过50万元的50%，其余30%，最高800万元
    amount:
      least:
        - share: {of: compute.contracts, period: this_year}
          rate:
            cases: [{when: {op: le, of: compute.contracts, period: this_year, value: 50, unit: 万元}, then: 50}]
            otherwise: 30
        - remainder: {fixed: 800, unit: 万元}
          less: {of: subsidy.compute, period: this_year}
"""
COLUMNS = (
    "division", "industry", "founded", "staff@2025", "revenue@2025", "rd@2025", "liabilities@2025", "assets@2025",
    "abnormal", "dishonest", "tech-sme", "tech-sme.until", "compute.contracts@2026", "subsidy.compute@2026",
)  # fmt: skip


def firms(count: int, *, unknown: float, seed: int = 1) -> pl.DataFrame:
    """Invented firms, one column a fact; a share `unknown` of all values is null."""
    dice = np.random.default_rng(seed)
    revenue = np.exp(dice.normal(21.5, 1.6, count)).astype(np.int64)
    assets = np.maximum((revenue * dice.uniform(0.3, 3, count)).astype(np.int64), 1)
    day = np.datetime64("2026-06-01")
    values: dict[str, np.ndarray] = {
        "division": np.array(CITIES)[dice.choice(len(CITIES), count, p=(0.3, 0.3, 0.3, 0.05, 0.05))],
        "industry": np.array(INDUSTRIES)[dice.integers(0, len(INDUSTRIES), count)],
        "founded": day - dice.integers(0, 8_000, count).astype("timedelta64[D]"),
        "staff@2025": dice.integers(1, 400, count),
        "revenue@2025": revenue,
        "rd@2025": (revenue * dice.uniform(0, 0.12, count)).astype(np.int64),
        "liabilities@2025": (assets * dice.uniform(0, 1, count)).astype(np.int64),
        "assets@2025": assets,
        "abnormal": dice.random(count) < 0.03,
        "dishonest": dice.random(count) < 0.01,
        "tech-sme": dice.random(count) < 0.8,
        "tech-sme.until": day + dice.integers(-100, 900, count).astype("timedelta64[D]"),
        "compute.contracts@2026": np.exp(dice.normal(17.5, 2.2, count)).astype(np.int64),
        "subsidy.compute@2026": np.where(dice.random(count) < 0.1, dice.integers(0, CAP_FEN, count), 0),
    }
    frame = pl.DataFrame(values)
    kept = {name: pl.Series(dice.random(count) >= unknown) for name in COLUMNS}
    return frame.select(pl.when(kept[name]).then(pl.col(name)).alias(name) for name in COLUMNS)


def plain(row: Mapping[str, Any]) -> tuple[int, int | None]:
    """Verdict and amount in fen of one firm, written out by hand."""
    verdicts = [
        _known(row, lambda division: division.startswith("3301"), "division"),
        _known(row, lambda industry: not industry.startswith(("70", "51")), "industry"),
        _known(row, lambda founded: founded <= YEAR_AGO, "founded"),
        _known(row, lambda staff: staff <= 300, "staff@2025"),
        _known(row, lambda revenue: revenue >= 200_000_000, "revenue@2025"),
        _known(row, lambda rd, revenue: rd * 100 >= revenue * 3, "rd@2025", "revenue@2025"),
        _known(row, lambda owed, assets: owed * 100 <= assets * 80, "liabilities@2025", "assets@2025"),
        _known(row, lambda listed: not listed, "abnormal"),
        _known(row, lambda listed: not listed, "dishonest"),
        UNMET if row["tech-sme"] is False else _known(row, lambda held, until: held and until >= ON, *CERTIFICATE),
    ]
    contracts, used = row["compute.contracts@2026"], row["subsidy.compute@2026"]
    if contracts is None or used is None:
        return max(verdicts), None
    share = contracts * (5_000 if contracts <= 50_000_000 else 3_000) // 10_000
    return max(verdicts), min(share, max(CAP_FEN - used, 0))


CERTIFICATE = ("tech-sme", "tech-sme.until")


def _known(row: Mapping[str, Any], holds: Any, *columns: str) -> int:
    values = [row[column] for column in columns]
    if None in values:
        if columns == CERTIFICATE and values[1] is not None and values[1] < ON:
            return UNMET
        return UNKNOWN
    return MET if holds(*values) else UNMET
