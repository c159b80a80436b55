"""The evaluator says what the oracle says: random packs, random entities, every column, in bulk and for one."""

import datetime as dt
import sys
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.rules import oracle, worlds

from huoshui import rules
from huoshui.rules import Library, Stage, Verdict
from huoshui.rules.model import Pack

evaluating = sys.modules["huoshui.rules.evaluate"]  # the package has a function of this name

THOROUGH = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a whole library shrinks for longer than CI may take
)
NUMBERS = tuple(rules.RESULT)


def filled(library: Library, row: dict[str, Any], on: dt.date) -> dict[str, Any]:
    """The row with the classes that packs give, as the oracle sees them."""
    row = dict(row)
    for pack in library.packs.values():
        if pack.classes is not None and row.get(pack.classes.field) is None:
            row[pack.classes.field] = oracle.class_of(pack, row, on)
    return row


def variants(library: Library) -> dict[str, list[tuple[str, Pack]]]:
    return {
        pack.id: [(variant.division, rules.at(pack, variant.id)) for variant in pack.variants]
        for pack in library.packs.values()
    }


@THOROUGH
@given(worlds.libraries(), st.integers(0, 10**6), st.sampled_from(list(Stage)))
def test_bulk_and_one_row_agree_with_the_oracle(library: Library, seed: int, stage: Stage) -> None:
    on = worlds.ON
    entities = worlds.rows(library, 15, seed)
    results = rules.evaluate(library, worlds.frame_of(library, entities), on, stage=stage, details=True)
    others = variants(library)
    for index, row in enumerate(entities):
        full = filled(library, row, on)
        for pack, explanation in zip(library.packs.values(), rules.explain_all(library, row, on, stage), strict=True):
            expected = oracle.judge(library.packs, others, pack, full, on, stage)
            found = results[pack.id].row(index, named=True)
            assert {name: found[name] for name in NUMBERS} == {name: expected[name] for name in NUMBERS}, (
                index,
                pack.id,
            )
            if pack.classes is not None:
                assert found["class"] == explanation.class_id == oracle.class_of(pack, row, on)
            if found["via"] < 0:
                for criterion in pack.criteria:
                    assert found["c." + criterion.id] == expected.get("c." + criterion.id, Verdict.NA)
            for name in ("verdict", "n_unmet", "n_unknown", "n_manual", "blocker", "margin", "amount_fen",
                         "amount_max_fen", "via"):  # fmt: skip
                assert getattr(explanation, name) == expected[name], (index, pack.id, name)
            if explanation.judged_by.id == pack.id:
                for each in explanation.criteria:
                    assert each.verdict == expected["c." + each.criterion.id]
                    if each.points_low is not None:
                        low, _, high = oracle.score_points(each.criterion, full, on)
                        assert (each.points_low, each.points_high) == (low, high)


def pack_of(tests: list[Any], **body: Any) -> Pack:
    """A pack of hard criteria with these tests, or criteria as given."""
    criteria = [
        {
            "id": f"c{index}",
            "title": "条件",
            "kind": "hard",
            **worlds.CITED,
            **(each if "kind" in each else {"test": each}),
        }
        for index, each in enumerate(tests)
    ]
    body = {"audience": {"text": "企业"}, "criteria": criteria, **body}
    return rules.load(worlds.text_of({**worlds.HEADER, "id": "example", "body": body}))


def verdict_of(pack: Pack, row: dict[str, Any], on: dt.date = worlds.ON) -> Verdict:
    """In bulk and for one, which must be the same."""
    library = Library([pack])
    frame = worlds.frame_of(library, [row], on)
    both = {
        Verdict(rules.evaluate(library, frame, on, stage=Stage.CLAIM)[pack.id]["verdict"][0]),
        rules.explain(library, pack.id, row, on, stage=Stage.CLAIM).verdict,
    }
    (found,) = both
    return found


@pytest.mark.parametrize(
    ("op", "below", "at", "above"),
    [("ge", 0, 1, 1), ("gt", 0, 0, 1), ("le", 1, 1, 0), ("lt", 1, 0, 0), ("eq", 0, 1, 0), ("ne", 1, 0, 1)],
)
@pytest.mark.parametrize("threshold", [-3, 0, 500, 10**14])
def test_thresholds_bite_at_the_unit(op: str, below: int, at: int, above: int, threshold: int) -> None:
    pack = pack_of([{"op": op, "of": "staff", "period": "this_year", "value": threshold, "unit": "人"}])
    found = [verdict_of(pack, {"staff@2024": threshold + side}) is Verdict.MET for side in (-1, 0, 1)]
    assert found == [bool(below), bool(at), bool(above)]


@pytest.mark.parametrize("share", ["3", "33.33", "66.67", "0.01", "99.99"])
def test_a_ratio_is_compared_without_division(share: str) -> None:
    """One fen beside the share of the largest amounts: a float could not tell."""
    bps = round(float(share) * 100)
    pack = pack_of(
        [{"op": "ge", "of": {"ratio": ["rd", "revenue"]}, "period": "this_year", "value": share, "unit": "%"}]
    )
    revenue = 10**15 - 10**15 % 10_000
    exact = revenue // 10_000 * bps
    found = [verdict_of(pack, {"rd@2024": exact + side, "revenue@2024": revenue}) for side in (-1, 0, 1)]
    assert found == [Verdict.UNMET, Verdict.MET, Verdict.MET]


@pytest.mark.parametrize("years", [2, 3, 5, 10])
@given(g=st.integers(-9_999, 200_000), first=st.integers(1, 10**15), side=st.integers(-2, 2))
@settings(max_examples=40, deadline=None)
def test_growth_is_exact_over_any_years(years: int, g: int, first: int, side: int) -> None:
    """Where the powers pass 128 bits the threshold is replaced by a fraction of facts: the answer must not change."""
    spans = years - 1
    last = min(first * (10_000 + g) ** spans // 10_000**spans + side, 10**15)
    share = f"{g / 100:.2f}"
    pack = pack_of(
        [{"op": "ge", "of": {"growth": "revenue"}, "period": {"growth": years}, "value": share, "unit": "%"}]
    )
    row = {f"revenue@{2023 - spans}": first, "revenue@2023": last}
    expected = last * 10_000**spans >= first * (10_000 + g) ** spans
    assert (verdict_of(pack, row) is Verdict.MET) is expected


def test_the_largest_facts_do_not_overflow() -> None:
    amount = {"total": [{"share": {"of": "claim.claimed"}, "rate": {"otherwise": 1000}}] * 20}
    pack = pack_of(
        [{"op": "ge", "of": {"sum": ["revenue"] * 20}, "period": {"sum": 10}, "value": "1", "unit": "元"}],
        benefit={
            "kind": "grant",
            "text": "补助",
            "amount": {"share": amount, "rate": {"otherwise": 10}},
            **worlds.CITED,
        },
    )
    library, most = Library([pack]), 10**15
    row = {f"revenue@{year}": most for year in range(2014, 2024)} | {"claim.claimed": most}
    result = rules.evaluate(library, worlds.frame_of(library, [row]), worlds.ON, stage=Stage.CLAIM)["example"]
    assert result["verdict"][0] == Verdict.MET
    assert result["amount_fen"][0] == 20 * most * 10 // 10
    assert rules.explain(library, "example", row, worlds.ON, stage=Stage.CLAIM).amount_fen == 20 * most


def test_an_amount_beyond_64_bits_is_unknown_and_not_wrong() -> None:
    amount: dict[str, Any] = {"of": "claim.claimed"}
    for _ in range(5):
        amount = {"share": amount, "rate": {"otherwise": 1000}}
    benefit = {"kind": "grant", "text": "补助", "amount": amount, **worlds.CITED}
    pack = pack_of([{"op": "is", "of": "resident", "value": True}], benefit=benefit)
    library = Library([pack])
    entities = [{"resident": True, "claim.claimed": value} for value in (10**15, 10**13)]
    found = rules.evaluate(library, worlds.frame_of(library, entities), worlds.ON, stage=Stage.CLAIM)["example"]
    assert found["amount_fen"].to_list() == [None, 10**18]
    assert [rules.explain(library, "example", row, worlds.ON, stage=Stage.CLAIM).amount_fen for row in entities] == [
        None,
        10**18,
    ]


def test_a_missing_fact_is_neither_zero_nor_no() -> None:
    pack = pack_of([{"op": "le", "of": "staff", "period": "this_year", "value": 5, "unit": "人"},
                    {"kind": "veto", "test": {"op": "is", "of": "abnormal", "value": True}}])  # fmt: skip
    assert verdict_of(pack, {}) is Verdict.UNKNOWN
    assert verdict_of(pack, {"staff@2024": 5}) is Verdict.UNKNOWN
    assert verdict_of(pack, {"staff@2024": 6}) is Verdict.UNMET
    assert verdict_of(pack, {"staff@2024": 5, "abnormal": False}) is Verdict.MET


def test_a_replay_on_another_day_reads_the_years_of_that_day() -> None:
    pack = pack_of([{"op": "ge", "of": "revenue", "period": "last_year", "value": 1, "unit": "元"},
                    {"op": "ge", "of": {"age": "founded"}, "value": 12, "unit": "月"},
                    {"op": "valid", "of": "high-tech"}])  # fmt: skip
    row = {"revenue@2022": 100, "revenue@2023": 99, "founded": dt.date(2022, 2, 28), "high-tech": True,
           "high-tech.until": dt.date(2024, 6, 1)}  # fmt: skip
    assert verdict_of(pack, row, dt.date(2023, 2, 27)) is Verdict.UNMET
    assert verdict_of(pack, row, dt.date(2023, 2, 28)) is Verdict.MET
    assert verdict_of(pack, row, dt.date(2024, 1, 1)) is Verdict.UNMET
    assert verdict_of(pack, {**row, "revenue@2023": 100}, dt.date(2024, 6, 1)) is Verdict.MET
    assert verdict_of(pack, {**row, "revenue@2023": 100}, dt.date(2024, 6, 2)) is Verdict.UNMET


def test_texts_may_come_as_categories_and_frames_in_parts() -> None:
    pack = pack_of([{"op": "starts_with", "of": "industry", "values": ["C3"]},
                    {"op": "not_in", "of": "division", "values": ["330100"]}])  # fmt: skip
    library = Library([pack])
    industry = pl.Series("industry", ["C35", "C41", None, "C30"] * 9_000)
    division = pl.Series("division", ["330106", "330100", "330106"] * 12_000)
    frame = pl.DataFrame([industry, division])
    plain = rules.evaluate(library, frame, worlds.ON)["example"]
    assert plain["verdict"].to_list() == [
        oracle.judge(library.packs, {}, pack, row, worlds.ON)["verdict"] for row in frame.iter_rows(named=True)
    ]
    for dtype in (pl.Categorical(), pl.Enum(["C30", "C35", "C41", "C99"])):
        other = frame.with_columns(pl.col("industry").cast(dtype), pl.col("division").cast(pl.Categorical()))
        assert rules.evaluate(library, other, worlds.ON)["example"].equals(plain)
    parts = pl.concat([frame.slice(start, 10_000) for start in range(0, 36_000, 10_000)], rechunk=False)
    assert rules.evaluate(library, parts, worlds.ON)["example"].equals(plain)


def test_no_rows_and_no_columns_give_results_of_that_shape() -> None:
    pack = pack_of([{"op": "is", "of": "resident", "value": True}])
    library = Library([pack])
    for height in (0, 3):
        frame = pl.DataFrame({"party": range(height)}, schema={"party": pl.Int64})
        found = rules.evaluate(library, frame, worlds.ON, details=True)["example"]
        assert found.columns == [*rules.RESULT, "class", "c.c0"]
        assert found["verdict"].to_list() == [Verdict.UNKNOWN] * height


def test_a_circle_and_an_unknown_pack_are_refused() -> None:
    to = {"id": "t", "title": "过渡", "when": {"op": "is", "of": "resident", "value": True}, **worlds.CITED}
    there = pack_of([{"op": "is", "of": "resident", "value": True}], transitions=[{**to, "pack": "example"}])
    with pytest.raises(rules.RuleError) as refused:
        Library([there])
    assert refused.value.rule == "cycle"
    away = pack_of([{"op": "is", "of": "resident", "value": True}], transitions=[{**to, "pack": "elsewhere"}])
    with pytest.raises(rules.RuleError) as refused:
        Library([away])
    assert refused.value.rule == "pack_unknown"
    of = [
        {"id": "a", "title": "甲", "test": {"op": "in", "of": "sme.size", "values": ["small"]}},
        {"id": "b", "title": "乙"},
    ]
    own = pack_of(
        [{"op": "is", "of": "resident", "value": True}], classes={"field": "sme.size", "of": of, **worlds.CITED}
    )
    with pytest.raises(rules.RuleError) as refused:
        Library([own])
    assert refused.value.rule == "cycle"


@settings(THOROUGH, max_examples=15)
@given(worlds.libraries(), st.integers(0, 10**6))
def test_slices_are_judged_as_the_whole(library: Library, seed: int) -> None:
    """Texts that only a later slice brings, slices without a text, and results put together in order."""
    frame = worlds.frame_of(library, worlds.rows(library, 60, seed))
    whole = rules.evaluate(library, frame, worlds.ON, stage=Stage.CLAIM, details=True)
    with mock.patch.object(evaluating, "SLICE_ROWS_MAX", 7):
        parts = rules.evaluate(library, frame, worlds.ON, stage=Stage.CLAIM, details=True)
    for name, result in whole.items():
        assert parts[name].equals(result)
