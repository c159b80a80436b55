"""Large files: every bad row named, all or nothing, the same file again adds nothing, one meaning with small files."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox import Sandbox

from huoshui.base import intake, log
from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.clearing.tables import Rule
from huoshui.registry import actions, bulk, cells, plausible, queries, snapshots, uscc, view
from huoshui.registry.import_facts import value_columns
from huoshui.registry.import_parties import PARTY_COLUMNS
from huoshui.registry.models import FactFile, FactType, ImportBatch, Party, PartyRevision, PartyRole

DAY = date(2026, 3, 2)
REGISTER = bulk.Told("official", DAY, "登记机关")
TAX = bulk.Told("tax", DAY, "", intake.period("2025"))


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


def taken(actor: Actor, folder: Path, text: str, kind: str = bulk.PARTIES, told: bulk.Told = REGISTER,
          skip_bad: bool = False, **chosen: str) -> bulk.Checked:
    file = folder / "名单.csv"
    file.write_text(text)
    checked = bulk.check(kind, bulk.read(file), told, chosen)
    bulk.take(actor, checked, skip_bad=skip_bad)
    return checked


def faults(checked: bulk.Checked) -> list[tuple[Any, ...]]:
    return [row[:3] for row in checked.bad.iter_rows()]


ROWS = f"""企业名称,统一社会信用代码,行政区划,成立日期,行业
示例甲,{uscc.invented(1)},杭州市,2019-05-06,6510
示例（乙）,{uscc.invented(2)},330106,2020年1月2日,34
示例丙,,,,
"""


@pytest.mark.django_db
def test_a_register_becomes_parties_with_history_role_and_facts(officer: Actor, tmp_path: Path) -> None:
    checked = taken(officer, tmp_path, ROWS)
    assert checked.counts == {"rows": 3, "new": 3}
    first = Party.objects.get(uscc=uscc.invented(1))
    assert (first.name, first.division_id, first.has_role("entity")) == ("示例甲", "330100", True)
    assert [row.name for row in first.revisions.all()] == ["示例甲"]
    assert {found.type.code: found.value for found in queries.facts(first, DAY)} == {
        "founded": date(2019, 5, 6), "industry": "6510",
    }
    bracketed = Party.objects.get(uscc=uscc.invented(2))
    assert bracketed.name == "示例(乙)", "as a small file would enter it"
    assert view.of_party(bracketed, DAY)["founded"].source_name == "登记机关"
    assert Party.objects.get(name="示例丙").uscc is None
    assert log.replay() == []
    actions.create_party(officer, name="之后", uscc=uscc.invented(4))  # keys go on


@pytest.mark.django_db
def test_the_same_file_again_adds_nothing(officer: Actor, tmp_path: Path) -> None:
    taken(officer, tmp_path, ROWS)
    models = (Party, PartyRevision, PartyRole, FactFile, ImportBatch)
    before = [model.objects.count() for model in models]
    checked = taken(officer, tmp_path, ROWS)
    assert checked.counts == {"rows": 3, "same": 3}
    assert [model.objects.count() for model in models] == before
    changed = taken(officer, tmp_path, ROWS.replace("示例甲,", "示例甲新名,").replace("杭州市", ""))
    assert changed.counts == {"rows": 3, "changed": 1, "same": 2}
    first = Party.objects.get(uscc=uscc.invented(1))
    assert (first.name, first.division_id) == ("示例甲新名", "330100"), "an empty cell erases nothing"
    assert [row.name for row in first.revisions.order_by("pk")] == ["示例甲", "示例甲新名"]


@pytest.mark.django_db
def test_every_bad_row_is_named_and_nothing_is_imported(officer: Actor, tmp_path: Path) -> None:
    text = f"""名称,统一社会信用代码,行政区划,成立日期,行业
示例甲,{uscc.invented(1)},杭州市,2019-05-06,6510
,{uscc.invented(2)},,,
示例丙,91110000600037342L,火星市,2019-02-30,六五
示例丁,{uscc.invented(1)},,,
示例戊,,,2999-01-01,
示例戊,,,,
示例戊,,,,
"""
    with pytest.raises(Refused):
        taken(officer, tmp_path, text)
    assert not Party.objects.exists()
    assert not FactFile.objects.exists()
    checked = taken(officer, tmp_path, text, skip_bad=True)
    assert faults(checked) == [
        (3, "名称", ""), (4, "统一社会信用代码", "91110000600037342L"), (4, "成立日期", "2019-02-30"),
        (4, "行业", "六五"), (4, "行政区划", "火星市"), (5, "统一社会信用代码", uscc.invented(1)),
        (6, "成立日期", "2999-01-01"), (8, "统一社会信用代码", "示例戊"),
    ]
    assert checked.bad_rows == 5
    assert list(Party.objects.order_by("pk").values_list("name", flat=True)) == ["示例甲", "示例戊"], "row 7 is good"
    assert bulk.bad_file(checked).count(b"\r\n") == 9


FACTS = f"""统一社会信用代码,营业收入（万元）,资产总额（元）,从业人员,纳税信用等级
{uscc.invented(1)},1234.5678,"1,000.50",26,A
{uscc.invented(2)},0,,3,
"""


@pytest.mark.django_db
def test_a_tax_file_says_many_facts_in_both_units(officer: Actor, tmp_path: Path) -> None:
    taken(officer, tmp_path, ROWS)
    checked = taken(officer, tmp_path, FACTS, bulk.FACTS, TAX)
    assert checked.differences["revenue"] == {"said": 2, "new": 2, "changed": 0, "same": 0}
    first, second = (view.of_party(Party.objects.get(uscc=uscc.invented(n)), DAY) for n in (1, 2))
    assert {name: first[name].value for name in ("revenue@2025", "assets@2025", "staff@2025", "tax.grade")} == {
        "revenue@2025": 1_234_567_800, "assets@2025": 100_050, "staff@2025": 26, "tax.grade": "A",
    }
    assert second["revenue@2025"].value == 0
    assert "assets@2025" not in second, "nothing said is not zero"
    taken(officer, tmp_path, FACTS, bulk.FACTS, TAX)
    assert FactFile.objects.filter(source="tax").count() == 1
    later = bulk.Told("tax", date(2026, 4, 1), "", intake.period("2025"))
    checked = taken(officer, tmp_path, FACTS.replace(",26,A", ",27,"), bulk.FACTS, later)
    assert checked.differences["staff"] == {"said": 2, "new": 0, "changed": 1, "same": 1}
    firm = Party.objects.get(uscc=uscc.invented(1))
    assert view.of_party(firm, date(2026, 3, 31))["staff@2025"].value == 26
    assert view.of_party(firm, date(2026, 4, 1))["staff@2025"].value == 27
    assert view.of_party(firm, date(2026, 4, 1))["tax.grade"].value == "A", "an empty cell withdraws nothing"
    assert view.of_party(firm, DAY - (date(2026, 3, 2) - date(2026, 3, 1))).keys() == {"division"}


@pytest.mark.django_db
def test_bad_facts_are_named(officer: Actor, tmp_path: Path) -> None:
    taken(officer, tmp_path, ROWS)
    text = f"""统一社会信用代码,名称,营业收入（元）,从业人员,年度
{uscc.invented(1)},,-5,三,2025
{uscc.invented(9)},,1,1,2025
,,1,1,2025
{uscc.invented(2)},,99999999999999,1,2024
,示例丙,,,
,示例丙,7,20000000,2025年
"""
    file = tmp_path / "税务.csv"
    file.write_bytes(text.encode("gb18030"))
    checked = bulk.check(bulk.FACTS, bulk.read(file), TAX)
    assert faults(checked) == [
        (2, "营业收入（元）", "-5"), (2, "从业人员", "三"), (3, "统一社会信用代码", uscc.invented(9)),
        (4, "统一社会信用代码", ""), (5, "营业收入（元）", "99999999999999"), (5, "周期", "2024-01-01 – 2024-12-31"),
        (6, "事实", ""), (7, "从业人员", "20000000"),
    ]
    assert checked.counts == {"rows": 6, "bad": 6}


@pytest.mark.django_db
@pytest.mark.parametrize(("name", "data", "told"), [
    ("a.csv", "名称,营业收入\n示例甲,5\n".encode(), TAX),
    ("a.csv", "名称,从业人员\n示例甲,5\n".encode(), REGISTER),
    ("a.csv", "名称,从业人员\n示例甲,5,6,7\n".encode(), TAX),
    ("a.csv", "名称,名称\n示例甲,5\n".encode(), TAX),
    ("a.csv", "从业人员\n5\n".encode(), TAX),
    ("a.csv", b"\xff\xfe\x00", TAX),
    ("a.parquet", b"PAR1", TAX),
    ("a.txt", b"", TAX),
    ("a.csv", "名称,从业人员\n示例甲,5\n".encode(), bulk.Told("self", DAY)),
    ("a.csv", "名称,从业人员\n示例甲,5\n".encode(), bulk.Told("tax", date(2999, 1, 1), "", intake.period("2025"))),
])
def test_a_file_that_is_wrong_as_a_whole_is_refused(tmp_path: Path, name: str, data: bytes, told: bulk.Told) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(Invalid):
        bulk.check(bulk.FACTS, bulk.read(file), told)


@pytest.mark.django_db
def test_parquet_means_what_its_csv_means(officer: Actor, tmp_path: Path) -> None:
    taken(officer, tmp_path, ROWS)
    frame = pl.DataFrame({
        "uscc": [uscc.invented(1), uscc.invented(2)], "revenue_yuan": [12345678901.23, 5.0], "staff": [7, None],
        "founded": [date(2019, 5, 6), None], "high-tech": [True, False],
    })
    frame.write_parquet(tmp_path / "a.parquet")
    frame.write_csv(tmp_path / "a.csv")
    one, two = (bulk.check(bulk.FACTS, bulk.read(tmp_path / name), TAX) for name in ("a.parquet", "a.csv"))
    assert one.bad.equals(two.bad)
    assert one.good.equals(two.good)
    assert one.good["fact.founded"].to_list() == [date(2019, 5, 6), None]
    assert one.good["fact.high-tech"].to_list() == [True, False]


@pytest.mark.django_db
def test_only_who_holds_the_registry_everywhere_imports(officer: Actor, people: Any, tmp_path: Path) -> None:
    for actor in (people("officer", "division:330100"), people("auditor"), people("agent", "party:1")):
        with pytest.raises(Forbidden):
            taken(actor, tmp_path, ROWS)
    taken(officer, tmp_path, ROWS)
    reader = people.holding("registry.import.run", "registry.fact.record")
    with pytest.raises(Forbidden):
        taken(reader, tmp_path, FACTS, bulk.FACTS, TAX)
    assert not FactFile.objects.filter(source="tax").exists()


@pytest.mark.django_db
def test_what_moved_since_the_check_is_not_overwritten(officer: Actor, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    checked = bulk.check(bulk.PARTIES, bulk.read(tmp_path / "a.csv"), REGISTER)
    actions.create_party(officer, name="抢先", uscc=uscc.invented(1))
    with pytest.raises(Conflict):
        bulk.take(officer, checked, skip_bad=False)
    assert list(Party.objects.values_list("name", flat=True)) == ["抢先"]
    taken(officer, tmp_path, ROWS)
    assert Party.objects.get(uscc=uscc.invented(1)).name == "示例甲"


@pytest.mark.django_db
def test_a_lost_snapshot_is_an_error_and_not_unknown(officer: Actor, tmp_path: Path) -> None:
    taken(officer, tmp_path, ROWS)
    file = FactFile.objects.get()
    snapshots.path(file.digest).rename(tmp_path / "elsewhere")
    snapshots._row.cache_clear()
    with pytest.raises(snapshots.SnapshotMissing):
        view.of_party(Party.objects.get(uscc=uscc.invented(1)), DAY)
    with pytest.raises(snapshots.SnapshotMissing):
        view.frame(None, ["industry"], DAY)


# --- one meaning with small files ---------------------------------------------------------------------------------


NUMBERS = st.one_of(
    st.decimals(-10**6, 10**9, places=2).map(str), st.integers(-5, 10**16).map(str),
    st.sampled_from(["1,234.5", "1e3", "５", "12.345", "-0", "007", "+4", "1.", ".5", "", "0.10", "1000000000001"]),
)


@pytest.mark.django_db
@given(texts=st.lists(NUMBERS, min_size=1, max_size=20))
def test_amounts_are_read_as_in_small_files(texts: list[str]) -> None:
    types = {kind.code: kind for kind in FactType.objects.filter(code__in=("revenue", "staff", "segment.share"))}
    for column in value_columns():
        kind = types.get(column.field.removeprefix("fact."))
        if kind is not None:
            _dtype, fast = bulk._dtype(column, types)
            _agrees(column, texts, fast, pl.Int64)


@given(texts=st.lists(
    st.one_of(
        st.integers(0, 99_999).map(uscc.invented), st.text("0189AIYX ａ", max_size=19),
        st.tuples(st.integers(0, 99_999).map(uscc.invented), st.integers(0, 17), st.sampled_from("09AYI")).map(
            lambda drawn: drawn[0][: drawn[1]] + drawn[2] + drawn[0][drawn[1] + 1 :]
        ),
    ), min_size=1, max_size=20,
))
def test_codes_are_read_as_in_small_files(texts: list[str]) -> None:
    _agrees(PARTY_COLUMNS[1], texts, cells.codes, pl.String)


@given(texts=st.lists(st.text(st.sampled_from("示例公（）()Aａ ·\t\u200b﨑㈱"), max_size=12), min_size=1, max_size=20))
def test_names_are_read_as_in_small_files(texts: list[str]) -> None:
    _agrees(PARTY_COLUMNS[0], texts, cells.names, pl.String)


def _agrees(column: Any, texts: list[str], fast: Any, dtype: Any) -> None:
    """The fast path and the parser of small files say the same of every cell."""
    cleaned = [text.strip() or None for text in texts]
    read = cells.parse(column, pl.Series(cleaned, dtype=pl.String), dtype, fast)
    for text, value, fault in zip(cleaned, read.values, read.faults, strict=True):
        if text is None:
            assert (value, fault) == (None, None)
            continue
        try:
            expected = column.parse(text)
        except Rule:
            assert value is None
            assert fault
        else:
            assert (value, fault) == (expected, None)


def test_ordinary_cells_take_the_fast_path() -> None:
    """Else a million rows would go to the parser one by one."""
    assert cells.numbers(2, 0, 10**15)(pl.Series(["12345678.90", "0", "5.1"])).to_list() == [1_234_567_890, 0, 510]
    assert cells.numbers(0, 0, 10)(pl.Series(["7", "10"])).to_list() == [7, 10]
    assert cells.codes(pl.Series([uscc.invented(5)])).to_list() == [uscc.invented(5)]
    assert cells.names(pl.Series(["示例（甲）有限公司"])).to_list() == ["示例(甲)有限公司"]


@pytest.mark.django_db
def test_no_firm_can_be_absurd_wherever_it_is_stated(officer: Actor) -> None:
    firm = actions.create_party(officer, name="示例甲", kinds=["entity"])
    span = {"period_start": date(2025, 1, 1), "period_end": date(2025, 12, 31)}
    for code, value, more in (
        ("staff", -1, span), ("staff", 10_000_001, span), ("revenue", -1, span),
        ("revenue", plausible.MONEY_FEN_MAX + 1, span),
        ("segment.share", 10_001, span), ("founded", date(2999, 1, 1), {}), ("founded", date(1800, 1, 1), {}),
        ("tax.grade", "E", {}), ("industry", "六五", {}), ("sme.size", "tiny", {}),
    ):
        with pytest.raises(Invalid):
            actions.state_fact(officer, party=firm, code=code, value=value, source="officer", **more)
    actions.state_fact(officer, party=firm, code="taxable-income", value=-5, source="officer", **span)
    actions.state_fact(officer, party=firm, code="high-tech.until", value=date(2028, 1, 1), source="officer")


# --- crashes ------------------------------------------------------------------------------------------------------


IMPORT = """
from pathlib import Path
from datetime import date
from huoshui.registry import bulk
from huoshui.registry.models import *
file = Path({file!r})
def run():
    checked = bulk.check("parties", bulk.read(file), bulk.Told("official", date(2026, 3, 2)))
    bulk.take(system, checked, skip_bad=False)
"""
LOOK = """
from huoshui.registry.models import *
from huoshui.base import log
print(Party.objects.count(), PartyRevision.objects.count(), PartyRole.objects.count(), FactFile.objects.count(),
      ImportBatch.objects.count(), log.replay())
"""


def test_a_crash_leaves_nothing_and_the_next_import_is_whole(sandbox: Sandbox, tmp_path: Path) -> None:
    file = tmp_path / "名单.csv"
    file.write_text(ROWS)
    code = IMPORT.format(file=str(file))
    for place in ("huoshui.registry.rows:insert", "huoshui.base.log:seal"):
        sandbox.run(code + "run()", place, after=True)
    assert sandbox.run(LOOK + code + "run()" + LOOK).splitlines() == ["0 0 0 0 0 []", "3 3 3 1 1 []"]
