"""What a change of law changes: every changed threshold once, and exactly who gains and loses how much."""

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rules.packs import document, dump, pack_with, text_with

from huoshui.publications import shipped
from huoshui.rules import Verdict, diff_words, load
from huoshui.rules.diff import diff, pairs

ON = dt.date(2026, 6, 1)
PACKS = {pack.id: pack for pack in map(load, shipped("rule_pack").values())}
GRANT = """
benefit:
  kind: grant
  text: 按研发费用补助
  clause: 第五条
  quote: 按研发费用的比例补助
  amount: {least: [{share: {of: rd, period: last_year}, rate: {otherwise: %s}}, {fixed: %s, unit: 万元}]}
"""
STAFF = "{op: le, of: staff, period: last_year, value: %s, unit: 人}"


def grant(rate: str, cap: int, staff: int):  # type: ignore[no-untyped-def]
    return pack_with(GRANT % (rate, cap), test=STAFF % staff, quote="职工人数")


def test_a_pack_does_not_differ_from_itself() -> None:
    for pack in PACKS.values():
        assert diff(pack, pack).changes == ()


def test_a_moved_threshold_is_one_change() -> None:
    changes = diff(grant("10", 100, 300), grant("10", 100, 500)).changes
    assert [(change.what, change.aspects) for change in changes] == [("criterion", ("test",))]


def test_a_criterion_with_another_id_that_asks_the_same_is_the_same() -> None:
    old = pack_with(test=STAFF % 300)
    new = pack_with(test=STAFF % 500, id="people")
    assert [(a and a.id, b and b.id) for a, b in pairs(old, new)] == [("only", "people")]


def test_63_to_2026_says_what_rises_and_what_comes_and_goes() -> None:
    found = diff(PACKS["srdi-2022"], PACKS["srdi-2026"])
    lines = {line.label: (line.before, line.after) for line in diff_words.changes(found, "zh")}
    assert "2 年" in lines["从事特定细分市场三年以上"][0]
    assert "3 年" in lines["从事特定细分市场三年以上"][1]
    assert "1,000 万元" in lines["上年营业收入，或近两年股权融资"][0]
    assert "1,500 万元" in lines["上年营业收入，或近两年股权融资"][1]
    assert lines["有效的科技和创新型中小企业"][0] == "—"
    assert lines["评分"][1] == "—"


def test_hangzhou_2023_to_2025_says_what_the_voucher_pays_now() -> None:
    found = diff(PACKS["hangzhou-compute-voucher-2023"], PACKS["hangzhou-compute-voucher-2025"])
    whats = {change.what for change in found.changes}
    assert {"effective_from", "effective_to", "criterion"} <= whats
    assert any(what.startswith("benefit") for what in whats)
    text = " ".join(line.after for line in diff_words.changes(found, "en"))
    assert "8,000,000 yuan" in text


@given(
    staff=st.lists(st.none() | st.integers(0, 800), min_size=1, max_size=20),
    rd=st.lists(st.none() | st.integers(0, 10**10), min_size=20, max_size=20),
)
def test_gains_and_losses_are_to_the_fen(staff: list[int | None], rd: list[int | None]) -> None:
    old, new = grant("10", 100, 300), grant("12.5", 80, 500)
    frame = pl.DataFrame(
        {"staff@2025": staff, "rd@2025": rd[: len(staff)]}, schema={"staff@2025": pl.Int64, "rd@2025": pl.Int64}
    )
    effect = diff(old, new, frame, ON).effect
    assert effect is not None

    def paid(people: int | None, spent: int | None, limit: int, rate: int, cap: int) -> int | None:
        if people is None:
            return None
        if people > limit:
            return 0
        return None if spent is None else min(spent * rate // 10_000, cap)

    rows = [(paid(p, s, 300, 1_000, 10**8), paid(p, s, 500, 1_250, 8 * 10**7))
            for p, s in zip(staff, rd, strict=False)]  # fmt: skip
    deltas = [b - a for a, b in rows if a is not None and b is not None]
    assert effect.entities.select("before_fen", "after_fen").rows() == rows
    assert effect.gained_fen == sum(delta for delta in deltas if delta > 0)
    assert effect.lost_fen == -sum(delta for delta in deltas if delta < 0)
    assert effect.open == len(rows) - len(deltas)
    assert sum(effect.verdicts.values()) == len(rows)
    assert effect.becomes_met == sum(1 for p in staff if p is not None and 300 < p <= 500)


def test_two_versions_of_one_pack_are_each_judged_by_themselves() -> None:
    frame = pl.DataFrame({"staff@2025": [400]})
    effect = diff(grant("10", 100, 300), grant("10", 100, 500), frame, ON).effect
    assert effect is not None
    assert effect.verdicts == {(Verdict.UNMET, Verdict.MET): 1}


def test_a_frame_needs_a_day() -> None:
    with pytest.raises(ValueError, match="day"):
        diff(grant("10", 100, 300), grant("10", 100, 500), pl.DataFrame({"staff@2025": [1]}))


def test_a_new_clause_of_the_benefit_is_told() -> None:
    old = document(text_with(GRANT % ("10", 100)))
    new = document(dump(old))
    new["body"]["benefit"]["clause"] = "第六条"
    assert [change.what for change in diff(load(dump(old)), load(dump(new))).changes] == ["benefit.clause"]
