"""What is said of one entity: the tree, what is missing and matters, and the questions that follow."""

import datetime as dt
from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from tests.rules import worlds
from tests.rules.test_evaluate import THOROUGH, pack_of

from huoshui import rules
from huoshui.rules import Explanation, Library, Stage, Verdict

VALUES: dict[str, list[Any]] = {
    "integer": [0, 3],
    "decimal": [0, 400],
    "boolean": [True, False],
    "date": [dt.date(2020, 1, 1), dt.date(2030, 1, 1)],
    "text": ["C35", "330106", "small"],
}


def answered(library: Library, row: dict[str, Any], names: list[str], which: int) -> dict[str, Any]:
    columns = library.columns(worlds.ON, Stage.CLAIM)
    given_ = {name: VALUES[columns[name][0].kind] for name in names}
    return {**row, **{name: values[which % len(values)] for name, values in given_.items()}}


def explained(library: Library, row: dict[str, Any]) -> list[Explanation]:
    return rules.explain_all(library, row, worlds.ON, Stage.CLAIM)


@THOROUGH
@given(worlds.packs(), st.integers(0, 10**6))
def test_only_the_facts_that_are_named_can_decide(content: dict[str, Any], seed: int) -> None:
    library = Library([rules.load(worlds.text_of(content))])
    for row in worlds.rows(library, 15, seed):
        (found,) = explained(library, row)
        assert all(row[name] is None for name in found.unknown)
        assert bool(found.undecided) is (found.verdict is Verdict.UNKNOWN)
        if found.verdict is Verdict.UNKNOWN:
            others = [name for name, value in row.items() if value is None and name not in found.undecided]
            for which in range(2):
                (after,) = explained(library, answered(library, row, others, which))
                # a fact may yet make a person needless, or show that the pack asks nothing of this entity
                assert after.verdict in (Verdict.UNKNOWN, Verdict.NA) or found.n_manual
                (after,) = explained(library, answered(library, row, list(found.undecided), which))
                assert after.verdict is not Verdict.UNKNOWN
        if (
            found.verdict in (Verdict.MET, Verdict.MANUAL)
            and found.judged_by.benefit
            and found.judged_by.benefit.amount
        ):
            priced = [name for name in found.unknown if name not in found.undecided]
            if priced:
                assert found.amount_fen is None


@THOROUGH
@given(worlds.libraries(), st.integers(0, 10**6))
def test_an_office_counts_what_its_entities_are_asked(library: Library, seed: int) -> None:
    """`deciding` in bulk is the sum of what is asked of each one."""
    entities = worlds.rows(library, 15, seed)
    counted = rules.deciding(library, worlds.frame_of(library, entities), worlds.ON, stage=Stage.CLAIM)
    expected: dict[tuple[str, str], list[int]] = {}
    for row in entities:
        for each in explained(library, row):
            for column in each.undecided:
                sums = expected.setdefault((each.pack.id, column), [0, 0, 0])
                sums[1] += 1
                if each.undecided == (column,):
                    sums[0] += 1
                    sums[2] += each.amount_max_fen or 0
    found = {(pack, column): [*rest] for pack, column, *rest in counted.iter_rows() if rest[1]}
    assert found == expected


def test_the_tree_gives_the_values_read_and_the_margins() -> None:
    pack = pack_of([
        {"op": "all_of", "tests": [
            {"op": "ge", "of": {"ratio": ["rd", "revenue"]}, "period": "last_year", "value": 3, "unit": "%"},
            {"op": "valid", "of": "high-tech"},
            {"op": "in", "of": "industry", "values": ["C35"]},
        ]},
        {"kind": "veto", "test": {"op": "is", "of": "abnormal", "value": True}},
    ])  # fmt: skip
    row = {"rd@2023": 29_999, "revenue@2023": 1_000_000, "high-tech": True, "high-tech.until": dt.date(2024, 3, 31),
           "industry": "C35", "abnormal": True}  # fmt: skip
    found = rules.explain(Library([pack]), "example", row, worlds.ON)
    assert (found.verdict, found.n_unmet, found.blocker) == (Verdict.UNMET, 2, -1)
    first, veto = found.criteria
    assert first.tree is not None
    ratio, certificate, industry = first.tree.children
    assert (ratio.verdict, ratio.measured, ratio.margin) == (Verdict.UNMET, 299, -1)
    assert ratio.values == (("rd@2023", 29_999), ("revenue@2023", 1_000_000))
    assert [child.verdict for child in certificate.children] == [Verdict.MET, Verdict.MET]
    assert certificate.children[1].values == (("high-tech.until", dt.date(2024, 3, 31)),)
    assert industry.values == (("industry", "C35"),)
    assert veto.tree is not None
    assert (veto.verdict, veto.tree.verdict) == (Verdict.UNMET, Verdict.MET)


def test_a_denominator_of_nothing_is_for_a_person() -> None:
    pack = pack_of([{"op": "ge", "of": {"ratio": ["rd", "revenue"]}, "period": "last_year", "value": 3, "unit": "%"}])
    found = rules.explain(Library([pack]), "example", {"rd@2023": 1, "revenue@2023": 0}, worlds.ON)
    assert found.verdict is Verdict.MANUAL
    assert found.criteria[0].tree is not None
    assert (found.criteria[0].tree.measured, found.criteria[0].tree.margin) == (None, None)


def test_an_exemption_is_named_in_whose_place_it_stands() -> None:
    pack = pack_of([
        {"op": "ge", "of": "ip.class1", "value": 1, "unit": "项"},
        {"kind": "exemption", "exempts": ["c0"], "test": {"op": "is", "of": "award.provincial", "value": True}},
    ])  # fmt: skip
    found = rules.explain(Library([pack]), "example", {"ip.class1": 0, "award.provincial": True}, worlds.ON)
    assert found.verdict is Verdict.MET
    assert (found.criteria[0].own, found.criteria[0].verdict, found.criteria[0].exempted_by) == (
        Verdict.UNMET,
        Verdict.MET,
        "c1",
    )


def test_questions_come_with_what_they_decide() -> None:
    benefit = {"kind": "grant", "text": "补助", "amount": {"fixed": 5, "unit": "万元"}, **worlds.CITED}
    resident = {"op": "is", "of": "resident", "value": True}
    staff = {"op": "le", "of": "staff", "period": "last_year", "value": 300, "unit": "人"}
    first = pack_of([resident, staff], benefit=benefit)
    second = rules.load(worlds.text_of(
        {**worlds.HEADER, "id": "second", "body": {"audience": {"text": "企业"}, "criteria": [
            {"id": "c0", "title": "条件", "kind": "hard", "test": staff, **worlds.CITED}]}}
    ))  # fmt: skip
    found = rules.questions(rules.explain_all(Library([first, second]), {}, worlds.ON))
    assert [(each.column, each.decides, each.concerns, each.amount_max_fen) for each in found] == [
        ("staff@2023", ("second",), ("example", "second"), 5_000_000),
        ("resident", (), ("example",), 5_000_000),
    ]
    assert (found[0].field.code, found[0].field.unit) == ("staff", "人")


def test_a_class_that_is_not_known_asks_for_what_makes_it() -> None:
    """Nobody is asked for the size of the enterprise where a pack works it out from staff."""
    small = {"op": "le", "of": "staff", "period": "last_year", "value": 300, "unit": "人"}
    of = [{"id": "small", "title": "小型", "test": small}, {"id": "large", "title": "大型"}]
    sizes = pack_of(
        [{"op": "is", "of": "resident", "value": True}], classes={"field": "sme.size", "of": of, **worlds.CITED}
    )
    reader = rules.load(worlds.text_of(
        {**worlds.HEADER, "id": "reader", "body": {"audience": {"text": "企业"}, "criteria": [
            {"id": "c0", "title": "条件", "kind": "hard", "test": {"op": "in", "of": "sme.size", "values": ["small"]},
             **worlds.CITED}]}}
    ))  # fmt: skip
    library = Library([sizes, reader])
    assert set(library.columns(worlds.ON, Stage.ENTITLEMENT, ["reader"])) == {"sme.size", "staff@2023", "resident"}
    asked = rules.explain(library, "reader", {}, worlds.ON)
    assert (asked.verdict, asked.undecided) == (Verdict.UNKNOWN, ("staff@2023",))
    for row, verdict, size in (
        ({"staff@2023": 300}, Verdict.MET, "small"),
        ({"staff@2023": 301}, Verdict.UNMET, "large"),
        ({"staff@2023": 301, "sme.size": "small"}, Verdict.MET, "small"),
    ):
        found = rules.explain(library, "reader", row, worlds.ON)
        assert found.verdict is verdict
        assert found.criteria[0].tree is not None
        assert found.criteria[0].tree.values == (("sme.size", size),)
        bulk = rules.evaluate(library, pl.DataFrame([row]), worlds.ON, packs=["reader"])
        assert bulk["reader"]["verdict"].to_list() == [verdict]
