"""A column of a large file, cell by cell, at the speed of columns.

The idea: what a cell means is said once, by the parser of its column (`imports.Column.parse`), the same that small
files and forms use. A million rows have few different industries, dates or yes and no: each different text is parsed
once. Names, codes and amounts are all different; for these, ordinary spellings (nearly all) are read by whole columns,
and only what is left goes to the parser. A test holds fast path and parser together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from huoshui.clearing.tables import Rule
from huoshui.registry import sentences, uscc
from huoshui.registry.imports import Column

FAST_DIGITS_MAX = 15
_CODE_VALUES = np.full(256, 255, np.uint8)
_CODE_VALUES[[ord(character) for character in uscc.ALPHABET]] = np.arange(len(uscc.ALPHABET))
_WEIGHTS = np.array([*uscc.WEIGHTS, 1], np.int64)


@dataclass(frozen=True)
class Cells:
    """Values (null where there is none) and faults (the sentence of the rule that a cell breaks, null where none)."""

    values: pl.Series
    faults: pl.Series


Fast = Callable[[pl.Series], pl.Series]
"""Texts to values; null for every text whose meaning is left to the parser."""


def parse(column: Column, texts: pl.Series, dtype: Any, fast: Fast | None = None) -> Cells:
    """The values of a column of texts (null: an empty cell). Dates are parsed to ISO texts, then cast."""
    stored = pl.String if dtype == pl.Date else dtype
    done = fast(texts).cast(stored) if fast else pl.Series([None], dtype=stored).new_from_index(0, len(texts))
    left = texts.filter(done.is_null() & texts.is_not_null()).unique()
    answers = [_answer(column, text) for text in left]
    read = pl.DataFrame({
        "text": left, "value": pl.Series([value for value, _fault in answers], dtype=stored),
        "fault": pl.Series([fault for _value, fault in answers], dtype=pl.String),
    })
    joined = texts.alias("text").to_frame().join(read, on="text", how="left", maintain_order="left")
    values = done.zip_with(done.is_not_null(), joined["value"])
    faults = joined["fault"].zip_with(done.is_null(), pl.Series([None], dtype=pl.String).new_from_index(0, len(texts)))
    return Cells(values.str.to_date("%Y-%m-%d") if dtype == pl.Date else values, faults)


def _answer(column: Column, text: str) -> tuple[Any, str | None]:
    try:
        return column.parse(text), None
    except Rule as rule:
        return None, sentences.of_rule(rule)


# --- fast paths ---------------------------------------------------------------------------------------------------


def numbers(places: int, low: int, high: int) -> Fast:
    """Plain digits with at most `places` decimals, as an integer times 10^places, from `low` to `high`."""
    decimals = rf"(?:\.([0-9]{{1,{places}}}))?" if places else r"(?:\.0)?"
    pattern = rf"^(-?)([0-9]{{1,{FAST_DIGITS_MAX - places}}}){decimals}$"

    def read(texts: pl.Series) -> pl.Series:
        text = pl.col("text")
        whole = text.str.extract(pattern, 2).cast(pl.Int64) * 10**places
        if places:
            whole += text.str.extract(pattern, 3).fill_null("0").str.pad_end(places, "0").cast(pl.Int64)
        value = pl.when(text.str.starts_with("-")).then(-whole).otherwise(whole)
        return texts.to_frame("text").select(pl.when(value.is_between(low, high)).then(value)).to_series()

    return read


def codes(texts: pl.Series) -> pl.Series:
    """USCCs of 18 half-width capitals and digits whose check character fits (GB 32100-2015, modulo 31)."""
    shaped = texts.str.contains(f"^[{uscc.ALPHABET}]{{2}}[0-9]{{6}}[{uscc.ALPHABET}]{{10}}$").fill_null(False)
    held = texts.filter(shaped)
    digits = np.frombuffer("".join(held).encode("ascii"), np.uint8).reshape(-1, uscc.LENGTH)
    fits = (_CODE_VALUES[digits] @ _WEIGHTS) % 31 == 0
    kept = np.zeros(len(texts), bool)
    kept[shaped.to_numpy()] = fits
    return texts.to_frame("text").select(pl.when(pl.Series(kept)).then("text")).to_series()


def names(texts: pl.Series) -> pl.Series:
    """Han characters, letters, digits and ordinary marks, full-width ones made half-width."""
    normal = pl.col("text").str.normalize("NFKC")
    plain = normal.str.contains(r"^[\p{Unified_Ideograph}A-Za-z0-9()&·.\-]{1,100}$")
    return texts.to_frame("text").select(pl.when(plain).then(normal)).to_series()
