"""An invented million: firms with every fact that rule packs read, the same on every machine.

    frame(1_000_000, seed=1)                      wide: party, division, "revenue@2025", … in the dtypes of `rules`
    write(Path("firms.parquet"), 1_000_000)       the same, chunk by chunk
    register_file(path, 1_000_000)                a CSV of a register as an office would send it; tax_file likewise

Nothing is drawn from real firms. Sizes are lognormal and hang together: staff, revenue, assets and R&D of a firm grow
from one size; a young firm has no facts of the years before it; three to five in a hundred values are unknown. USCCs
carry the region 990000, which no division has, and pass the check of GB 32100-2015.
"""

import argparse
import datetime as dt
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from huoshui.registry import uscc
from huoshui.rules.fields import FIELDS, Field

CHUNK = 100_000
YEAR = 2026
"""The year of evaluation; facts of the three years before it, and of the year itself where a pack asks for them."""
YEARS_BACK = 3
NULL_SHARE = 0.04
EPOCH = dt.date(1970, 1, 1)
DIVISIONS = (
    "330102", "330106", "330108", "330110", "330200", "330400", "320500", "320100", "321000", "310000", "440300",
)
INDUSTRIES = (
    ("6510", 0.10), ("6531", 0.04), ("3525", 0.06), ("3490", 0.05), ("3985", 0.04), ("2770", 0.03), ("7340", 0.04),
    ("5112", 0.12), ("5299", 0.14), ("6210", 0.10), ("4710", 0.06), ("7010", 0.03), ("5430", 0.05), ("0412", 0.04),
    ("7484", 0.05), ("8760", 0.05),
)
SHARES = {
    "abnormal": 0.03, "dishonest": 0.004, "incident.three": 0.006, "incident.year": 0.003, "incident.two": 0.004,
    "restricted": 0.02, "data-fraud": 0.002, "high-tech": 0.08, "tech-sme": 0.10, "innovative-sme": 0.06, "srdi": 0.03,
    "little-giant": 0.004, "innovation-demo": 0.001, "ip-demo": 0.004, "single-champion": 0.001,
    "little-giant.group": 0.002, "award.national": 0.001, "award.national.five": 0.002, "award.provincial": 0.01,
    "rd-body.provincial": 0.02, "standard.led": 0.02, "product.strategic": 0.2, "ip.core": 0.3, "credit.need": 0.35,
    "resident": 0.97, "legal-entity": 0.9, "premises.fixed": 0.95, "operating": 0.96, "credit.good": 0.93,
    "credit.use-lawful": 0.97, "loan.normal": 0.95, "tax.books": 0.9,
    "loan.misused": 0.01, "foundation-model": 0.002, "vat.general": 0.45,
}
"""Share of the firms of which it is true."""
SELDOM = 0.05
"""The same for every other yes or no."""
GRADES = (("A", 0.12), ("B", 0.42), ("M", 0.38), ("C", 0.06), ("D", 0.02))
TEXTS = {"industry": INDUSTRIES, "tax.grade": GRADES}
STATED_SIZE = 0.02
"""Share of the firms of which a source states the size class; of the others a pack derives it."""


def frame(count: int, *, seed: int = 1, year: int = YEAR) -> pl.DataFrame:
    """All firms in memory: `party` 1 … count, `division`, and a column for each fact and year."""
    return pl.concat(chunks(count, seed=seed, year=year))


def chunks(count: int, *, seed: int = 1, year: int = YEAR) -> Iterator[pl.DataFrame]:
    """The same in parts; a part is the same however many firms follow."""
    for number, start in enumerate(range(0, count, CHUNK)):
        size = min(CHUNK, count - start)
        yield _Draw(np.random.default_rng((seed, number)), year).part().slice(0, size).with_columns(
            pl.int_range(start + 1, start + size + 1, dtype=pl.Int64).alias("party")
        )


def write(path: Path, count: int, *, seed: int = 1, year: int = YEAR) -> Path:
    """One Parquet file of all firms, without holding them all in memory."""
    parts = []
    for number, part in enumerate(chunks(count, seed=seed, year=year)):
        parts.append(path.with_suffix(f".part{number}"))
        part.write_parquet(parts[-1])
    pl.concat([pl.scan_parquet(part) for part in parts]).sink_parquet(path)
    for part in parts:
        part.unlink()
    return path


def _listed(field: Field) -> tuple[tuple[str, float], ...]:
    """The values that a field's title lists (规模（large、medium）), all as likely."""
    words = re.findall(r"[a-z][a-z-]*", field.title.partition("（")[2])
    return tuple((word, 1 / len(words)) for word in words)


class _Draw:
    """One part of CHUNK firms. Every draw is for a whole part, so that a shorter one has the same firms."""

    def __init__(self, dice: np.random.Generator, year: int) -> None:
        self.dice, self.year = dice, year
        self.staff0 = np.clip(dice.lognormal(2.3, 1.25, CHUNK), 1, 50_000)
        self.per_head = dice.lognormal(13.0, 0.8, CHUNK)
        """Revenue of one person in yuan: half of the firms between 260,000 and 760,000."""
        self.growth = dice.normal(0.06, 0.2, CHUNK).clip(-0.6, 1.5)
        self.technical = dice.random(CHUNK) < 0.3
        self.age_days = (dice.gamma(2.0, 1_500.0, CHUNK) + 60).astype(np.int64).clip(60, 16_000)
        self.today = (dt.date(year, 6, 1) - EPOCH).days
        self.levels: dict[tuple[str, int], np.ndarray[Any, Any]] = {}

    def part(self) -> pl.DataFrame:
        columns: dict[str, pl.Series] = {"division": self._choice(tuple((d, 1 / len(DIVISIONS)) for d in DIVISIONS))}
        for field in FIELDS.values():
            if field.of_claim or field.code == "division":
                continue
            if not field.periodic:
                columns[field.code] = self._holed(self._lasting(field))
                continue
            for year in range(self.year - YEARS_BACK, self.year + 1):
                young = self.today - self.age_days > (dt.date(year, 12, 31) - EPOCH).days
                columns[f"{field.code}@{year}"] = self._holed(pl.Series(self._yearly(field, year)), young)
        return pl.DataFrame({"party": pl.Series(np.zeros(CHUNK, np.int64)), **columns})

    def _holed(self, series: pl.Series, absent: Any = None) -> pl.Series:
        """Unknown for some, and where there was no firm yet."""
        share = 1 - STATED_SIZE if series.name == "sme.size" else self.dice.uniform(0.03, 0.05)
        holes = self.dice.random(CHUNK) < share
        gone = pl.Series(holes if absent is None else holes | absent)
        return pl.select(pl.when(~gone).then(series)).to_series()

    def _choice(self, weighted: tuple[tuple[str, float], ...]) -> pl.Series:
        words, weights = zip(*weighted, strict=True)
        total = np.cumsum(weights) / sum(weights)
        return pl.Series(words, dtype=pl.String).gather(np.searchsorted(total, self.dice.random(CHUNK), side="right"))

    def _lasting(self, field: Field) -> pl.Series:
        if field.code == "founded":
            return self._dates(self.today - self.age_days)
        if field.code == "segment.since":
            return self._dates(self.today - (self.age_days * self.dice.uniform(0.3, 1, CHUNK)).astype(np.int64))
        if field.kind == "date":
            return self._dates(self.today + self.dice.integers(-400, 1_100, CHUNK))
        if field.code == "sme.size":
            return self._choice((("medium", 0.1), ("small", 0.4), ("micro", 0.5))).alias("sme.size")
        if field.kind == "text":
            return self._choice(TEXTS.get(field.code) or _listed(field))
        if field.kind == "boolean":
            share = SHARES.get(field.code, SELDOM)
            return pl.Series(self.dice.random(CHUNK) < share)
        rate = {"ip.class1": 0.5, "ip.class2": 2.0, "segment.rank": 40}.get(field.code, 0.3)
        return pl.Series(self.dice.poisson(rate * np.where(self.technical, 3, 0.3)) + (field.unit == "位"))

    def _dates(self, days: Any) -> pl.Series:
        return pl.Series(days).cast(pl.Int32).cast(pl.Date)

    def _yearly(self, field: Field, year: int) -> Any:
        """Values in the smallest unit: people, fen, hundredths of a point or a percent."""
        dice, size = self.dice, (1 + self.growth) ** (year - self.year)
        staff = np.maximum(1, self.staff0 * size).astype(np.int64)
        revenue = (staff * self.per_head * 100 * self._noise(0.1)).astype(np.int64)
        rd = (revenue * np.where(self.technical, dice.beta(2, 18, CHUNK), dice.beta(1, 90, CHUNK))).astype(np.int64)
        drawn = {
            "staff": lambda: staff,
            "staff.rd": lambda: (staff * np.where(self.technical, dice.beta(2, 4, CHUNK), 0.02)).astype(np.int64),
            "revenue": lambda: revenue,
            "revenue.main": lambda: self._share_of(revenue, 12, 1.5),
            "revenue.high-tech": lambda: self._share_of(np.where(self.technical, revenue, revenue // 10), 3, 2),
            "income.total": lambda: (revenue * dice.uniform(1, 1.1, CHUNK)).astype(np.int64),
            "cost.total": lambda: (revenue * dice.normal(0.94, 0.1, CHUNK).clip(0.3, 2)).astype(np.int64),
            "assets": lambda: (revenue * dice.lognormal(0, 0.6, CHUNK)).astype(np.int64),
            "assets.net": lambda: (revenue * dice.normal(0.4, 0.35, CHUNK)).astype(np.int64),
            "liabilities": lambda: (revenue * dice.lognormal(-0.7, 0.7, CHUNK)).astype(np.int64),
            "taxable-income": lambda: (revenue * dice.normal(0.05, 0.1, CHUNK)).astype(np.int64),
            "vat.input": lambda: (revenue * dice.uniform(0.02, 0.1, CHUNK)).astype(np.int64),
            "rd": lambda: rd,
            "rd.domestic": lambda: self._share_of(rd, 20, 1),
            "rd.capitalised": lambda: self._share_of(rd, 1, 9),
        }
        if field.code in drawn:
            return drawn[field.code]()
        if field.unit == "%":
            return (dice.beta(1, 12, CHUNK) * 10_000).astype(np.int64)
        if field.unit == "分":
            return dice.normal(4_500, 1_200, CHUNK).clip(0, 10_000).astype(np.int64)
        some = dice.random(CHUNK) < 0.08
        return np.where(some, self._share_of(revenue, 1, 12), 0)

    def _noise(self, spread: float) -> Any:
        return self.dice.normal(1, spread, CHUNK).clip(0.3, 3)

    def _share_of(self, amounts: Any, a: float, b: float) -> Any:
        return (amounts * self.dice.beta(a, b, CHUNK)).astype(np.int64)


# --- files as offices send them -----------------------------------------------------------------------------------

SERIAL_CHARACTERS = 5
_ALPHABET = np.frombuffer(uscc.ALPHABET.encode(), np.uint8)
_VALUE36 = np.array([int(character, 36) for character in uscc.ALPHABET])


def codes(count: int) -> pl.Series:
    """Invented USCCs: 91, region 990000, organisation DEM + serial of five characters, check characters."""
    serial = np.arange(count)
    digits = np.stack([serial // len(uscc.ALPHABET) ** place % len(uscc.ALPHABET)
                       for place in range(SERIAL_CHARACTERS - 1, -1, -1)], axis=1)
    head = np.array([uscc.ALPHABET.index(c) for c in "91" + uscc.INVENTED_REGION + "DEM"])
    organisation = np.concatenate([np.tile(head[8:], (count, 1)), digits], axis=1)
    rest = 11 - (_VALUE36[organisation] @ np.array(uscc.ORGANISATION_WEIGHTS)) % 11
    check = np.where(rest == 10, uscc.ALPHABET.index("X"), np.where(rest == 11, 0, rest))
    first17 = np.concatenate([np.tile(head[:8], (count, 1)), organisation, check[:, None]], axis=1)
    last = -(first17 @ np.array(uscc.WEIGHTS)) % 31
    text = _ALPHABET[np.concatenate([first17, last[:, None]], axis=1)]
    return pl.Series(np.ascontiguousarray(text).view("S18").ravel().astype(str).tolist())


def register_file(path: Path, count: int, *, seed: int = 1, bad_share: float = 0.0) -> Path:
    """名称, 统一社会信用代码, 行政区划, 成立日期, 行业 as CSV. `bad_share` of the rows have one fault."""
    firms = pl.concat(part.select("party", "division", "founded", "industry") for part in chunks(count, seed=seed))
    table = firms.select(
        pl.format("示例{}号公司", "party").alias("企业名称"), codes(count).alias("统一社会信用代码"),
        pl.col("division").alias("行政区划"), pl.col("founded").cast(pl.String).alias("成立日期"),
        pl.col("industry").alias("行业"),
    )
    dice = np.random.default_rng((seed, 7))
    spoiled = pl.Series(dice.random(count) < bad_share)
    kind = pl.Series(dice.integers(0, 4, count))
    code = pl.col("统一社会信用代码")
    table = table.with_columns(
        pl.when(spoiled & (kind == 0)).then(code.str.slice(0, 17) + "I").when(spoiled & (kind == 1))
        .then(code.str.slice(0, 16)).otherwise(code).alias("统一社会信用代码"),
        pl.when(spoiled & (kind == 2)).then(pl.lit("2019-02-30")).otherwise("成立日期").alias("成立日期"),
        pl.when(spoiled & (kind == 3)).then(pl.lit("999999")).otherwise("行政区划").alias("行政区划"),
    )
    table.write_csv(path)
    return path


TAX_MONEY = ("revenue", "assets", "liabilities", "taxable-income", "rd", "revenue.main", "cost.total")
TAX_OTHER = ("staff", "staff.rd", "tax.grade")


def tax_file(path: Path, count: int, *, seed: int = 1, year: int = YEAR - 1) -> Path:
    """Ten facts of a year about each firm, amounts in yuan, as CSV or Parquet by the name of the file."""
    wanted = [*(f"{code}@{year}" for code in TAX_MONEY), f"staff@{year}", f"staff.rd@{year}", "tax.grade"]
    firms = pl.concat(part.select(wanted) for part in chunks(count, seed=seed))
    yuan = [
        (pl.col(f"{code}@{year}") // 100).alias(f"{FIELDS[code].title}（元）") for code in TAX_MONEY
    ]
    other = [pl.col(name).alias(name.partition("@")[0]) for name in wanted[len(TAX_MONEY) :]]
    table = firms.select(codes(count).alias("统一社会信用代码"), *yuan, *other)
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)
    return path


def main() -> None:
    """Write files of invented firms."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bad", type=float, default=0.0, help="share of spoiled rows in the register")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    write(chosen.folder / "firms.parquet", chosen.count, seed=chosen.seed)
    register_file(chosen.folder / "register.csv", chosen.count, seed=chosen.seed, bad_share=chosen.bad)
    tax_file(chosen.folder / "tax.csv", chosen.count, seed=chosen.seed)


if __name__ == "__main__":
    main()
