"""Imports: every bad row named, units and dates as offices write them, all or nothing whatever happens."""

import io
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from openpyxl import Workbook

from huoshui.base import log
from huoshui.base.access import Actor
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.registry import actions, queries, uscc
from huoshui.registry.models import Fact, ImportBatch, ImportRow, Party

pytestmark = pytest.mark.django_db


@pytest.fixture
def officer(people: Any) -> Actor:
    return people("officer")


def checked(actor: Actor, text: str, kind: str = "parties", **mapping: str) -> ImportBatch:
    batch = actions.stage_import(actor, kind=kind, filename="名单.csv", data=text.encode())
    return actions.check_import(actor, batch=batch, mapping=batch.mapping | mapping)


def problems(batch: ImportBatch) -> list[tuple[int, str, str]]:
    return [(p["row"], p["field"], p["value"]) for row in batch.rows.filter(change="bad") for p in row.problems]


def test_every_bad_row_is_named_and_nothing_is_imported(officer: Actor) -> None:
    batch = checked(officer, f"""企业名称,统一社会信用代码,行政区划,园区
示例甲,{uscc.invented(1)},杭州市,
,{uscc.invented(2)},,
示例丙,91110000600037342L,火星市,月亮园
示例丁,{uscc.invented(1)},,
示例戊,,330106,
示例戊,,,
""")
    found = problems(batch)
    assert [row for row, _field, _value in found] == [3, 4, 4, 4, 5, 7], "as in the file: the header is row 1"
    assert [value for row, _field, value in found if row == 4] == ["91110000600037342L", "火星市", "月亮园"]
    assert batch.counts["bad"] == 4
    with pytest.raises(Refused):
        actions.activate_import(officer, batch=batch)
    assert not Party.objects.exists()


def test_money_in_both_units_and_excel_dates(officer: Actor) -> None:
    firm = actions.create_party(officer, name="示例甲", uscc=uscc.invented(1), kinds=["entity"])
    book, stream = Workbook(), io.BytesIO()
    book.active.append(
        ["统一社会信用代码", "年度", "来源", "营业收入（万元）", "资产", "成立日期", "从业人员", "高新技术企业"]
    )
    book.active.append([firm.uscc, 2024, "税务", 1234.5678, "1,000.50", 43890, 26, "是"])
    book.save(stream)
    batch = actions.stage_import(officer, kind="facts", filename="a.xlsx", data=stream.getvalue())
    assert batch.mapping["营业收入（万元）"] == "fact.revenue/wan_yuan"
    assert "资产" not in batch.mapping, "an amount without a unit is not guessed"
    batch = actions.check_import(officer, batch=batch, mapping=batch.mapping | {"资产": "fact.assets/yuan"})
    assert problems(batch) == []
    actions.activate_import(officer, batch=batch)
    values = {found.type.code: found.value for found in queries.facts(firm)}
    assert values == {
        "revenue": 1_234_567_800, "assets": 100_050, "founded": date(2020, 2, 29), "staff": 26, "high-tech": True,
    }


def test_the_office_remembers_its_headers(officer: Actor, people: Any) -> None:
    checked(officer, "字号,备注\n示例甲,x\n", 字号="name")
    second = "备注,字 号\ny,示例乙\n".encode()
    again = actions.stage_import(people("officer"), kind="parties", filename="b.csv", data=second)
    assert again.mapping == {"字 号": "name"}
    elsewhere = actions.stage_import(
        people("officer", "division:330100"), kind="parties", filename="b.csv", data="字号\n示例乙\n".encode()
    )
    assert elsewhere.mapping == {}


def test_a_repeated_import_is_a_difference(officer: Actor) -> None:
    first = f"企业名称,统一社会信用代码\n示例甲,{uscc.invented(1)}\n示例乙,{uscc.invented(2)}\n"
    actions.activate_import(officer, batch=checked(officer, first))
    again = checked(officer, first.replace("示例乙", "示例乙新名") + f"示例丙,{uscc.invented(3)}\n")
    assert [(row.number, row.change, row.before) for row in again.rows.all()] == [
        (2, "same", {}), (3, "changed", {"name": "示例乙"}), (4, "new", {}),
    ]
    actions.activate_import(officer, batch=again)
    party = Party.objects.get(uscc=uscc.invented(2))
    assert [row.name for row in party.revisions.order_by("pk")] == ["示例乙", "示例乙新名"]
    assert log.replay() == []


def test_empty_cells_erase_nothing(officer: Actor) -> None:
    firm = actions.create_party(officer, name="示例甲", uscc=uscc.invented(1), division="330106", kinds=["operator"])
    actions.activate_import(officer, batch=checked(officer, f"企业名称,统一社会信用代码,行政区划\n改名,{firm.uscc},\n"))
    firm.refresh_from_db()
    assert (firm.name, firm.division_id) == ("改名", "330106")
    assert firm.has_role("operator")
    assert not firm.has_role("entity")


def test_what_moved_since_the_check_is_not_overwritten(officer: Actor) -> None:
    text = f"企业名称,统一社会信用代码\n示例甲,{uscc.invented(1)}\n"
    batch = checked(officer, text)
    actions.create_party(officer, name="抢先", uscc=uscc.invented(1))
    with pytest.raises(Conflict):
        actions.activate_import(officer, batch=batch)
    assert Party.objects.get().name == "抢先"
    batch = actions.check_import(officer, batch=batch, mapping=batch.mapping)
    actions.activate_import(officer, batch=batch)
    assert Party.objects.get().name == "示例甲"
    with pytest.raises(Conflict):
        actions.activate_import(officer, batch=batch)


def test_a_mapping_must_meet_the_needs(officer: Actor) -> None:
    batch = actions.stage_import(officer, kind="parties", filename="a.csv", data=b"a,b\n1,2\n")
    for mapping in ({}, {"a": "name", "b": "name"}, {"a": "nothing"}, {"c": "name"}):
        with pytest.raises(Invalid):
            actions.check_import(officer, batch=batch, mapping=mapping)


def test_a_fact_needs_a_party_a_period_and_the_permission(officer: Actor, people: Any) -> None:
    actions.create_party(officer, name="示例甲", uscc=uscc.invented(1), division="330106")
    text = f"统一社会信用代码,从业人员,年度\n{uscc.invented(1)},12,\n{uscc.invented(9)},12,2024\n"
    batch = checked(officer, text, "facts")
    assert [row for row, _field, _value in problems(batch)] == [2, 3]
    reader = people.holding("registry.import.run")
    good = checked(reader, f"统一社会信用代码,从业人员,年度\n{uscc.invented(1)},12,2024\n", "facts")
    with pytest.raises(Forbidden):
        actions.activate_import(reader, batch=good)
    assert not Fact.objects.exists()


def test_an_officer_of_a_division_imports_there_only(people: Any) -> None:
    local = people("officer", "division:330100")
    batch = checked(local, "企业名称,行政区划\n示例甲,330106\n示例乙,320500\n")
    with pytest.raises(Forbidden):
        actions.activate_import(local, batch=batch)
    assert not Party.objects.exists()


def test_offices_do_not_see_each_others_files(people: Any, officer: Actor) -> None:
    local = people("officer", "division:330100")
    actions.stage_import(officer, kind="parties", filename="a.csv", data=b"name\nx\n")
    own = actions.stage_import(local, kind="parties", filename="a.csv", data=b"name\nx\n")
    assert list(queries.batches(local)) == [own]


def test_queries_grow_with_chunks_not_with_rows(
    officer: Actor, django_assert_max_num_queries: Callable[[int], Any]
) -> None:
    rows = "".join(f"示例{serial}号,{uscc.invented(serial)},330106\n" for serial in range(5_000))
    with django_assert_max_num_queries(300):
        batch = checked(officer, "企业名称,统一社会信用代码,行政区划\n" + rows)
        actions.activate_import(officer, batch=batch)
    assert Party.objects.count() == 5_000


SETUP = """
    from huoshui.registry import actions, uscc
    text = "企业名称,统一社会信用代码\\n" + "".join(f"示例{n},{uscc.invented(n)}\\n" for n in range(50))
    batch = actions.stage_import(system, key="s", kind="parties", filename="a.csv", data=text.encode())
    actions.check_import(system, key="c", batch=batch, mapping=batch.mapping)
    actions.activate_import(system, key="a", batch=batch)
"""


def test_killed_in_the_middle_nothing_or_all(sandbox: Any) -> None:
    count = "from huoshui.registry.models import *; print(Party.objects.count(), PartyRole.objects.count())"
    # In the midst of the rows; then before the log is sealed (staging and checking are done and answer again).
    for place in ("huoshui.registry.import_parties:PartyRole.objects.bulk_create", "huoshui.base.log:seal"):
        sandbox.run(SETUP, crash_at=place)
        assert sandbox.run(count).split() == ["0", "0"]
    sandbox.run(SETUP)
    sandbox.run(SETUP)
    assert sandbox.run(count).split() == ["50", "50"]


def test_rows_of_a_discarded_file_are_gone(officer: Actor) -> None:
    batch = checked(officer, "企业名称\n示例甲\n")
    actions.discard_import(officer, batch=batch)
    assert not ImportRow.objects.exists()
    with pytest.raises(Conflict):
        actions.activate_import(officer, batch=batch)
