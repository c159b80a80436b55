"""R&D costs of a year: limits, amortisation to the fen, and the way from the table to facts."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.base.models import LogRecord
from huoshui.policy import rd
from huoshui.policy.actions import rd as actions
from huoshui.policy.models import RdWorking
from huoshui.policy.rd import Asset, Category, Line, Year
from huoshui.registry import actions as registry
from huoshui.registry import view
from huoshui.registry.models import Fact, Party

WAN = 1_000_000
amounts = st.integers(1, rd.AMOUNT_FEN_MAX)
lines = st.builds(Line, st.sampled_from(["甲", "乙"]), st.sampled_from(Category), amounts, st.booleans())
years = st.builds(Year, st.integers(2020, 2030), st.lists(lines, max_size=30).map(tuple))
assets = st.builds(
    Asset, st.just("软件"), amounts, st.integers(2000, 2020), st.integers(1, 12), st.integers(1, rd.MONTHS_MAX)
)


def line(category: Category, amount_fen: int, **more: Any) -> Line:
    return Line("甲", category, amount_fen, **more)


def test_other_costs_are_limited_to_a_tenth_of_the_total_that_they_are_part_of() -> None:
    """900,000 of own costs admit 100,000 of others: one tenth of 1,000,000."""
    result = rd.collect(Year(2025, (line(Category.PERSONNEL, 90 * WAN), line(Category.OTHER, 15 * WAN))))
    assert result.other_limit_fen == result.other_fen == 10 * WAN
    assert result.expensed_fen == 100 * WAN


def test_entrusted_counts_for_four_fifths_and_abroad_for_at_most_two_thirds_of_what_qualifies_at_home() -> None:
    result = rd.collect(Year(2025, (
        line(Category.DIRECT, 50 * WAN), line(Category.ENTRUSTED, 50 * WAN), line(Category.ABROAD, 100 * WAN),
    )))  # fmt: skip
    assert result.entrusted_fen == 40 * WAN
    assert result.domestic_fen == 90 * WAN
    assert (result.abroad_share_fen, result.abroad_limit_fen, result.abroad_fen) == (80 * WAN, 60 * WAN, 60 * WAN)


def test_capitalised_costs_wait_for_the_asset() -> None:
    result = rd.collect(Year(2025, (line(Category.DIRECT, 7, capitalised=True), line(Category.DIRECT, 3))))
    assert (result.expensed_fen, result.to_assets_fen, result.spent_fen) == (3, 7, 10)
    assert result.projects == (rd.Project("甲", 3, 7),)


def test_an_asset_is_amortised_from_its_first_month_until_the_month_before_it_is_disposed_of() -> None:
    asset = Asset("软件", 1_200_00, 2024, 11, 120)
    assert [rd.amortised_in(asset, year) for year in (2023, 2024, 2025)] == [0, 20_00, 120_00]
    sold = Asset("软件", 1_200_00, 2024, 11, 120, 2025, 3)
    assert rd.amortised_in(sold, 2025) == 20_00
    assert rd.amortised_in(sold, 2026) == 0


@given(assets)
def test_amortisation_sums_to_the_cost_and_is_even_within_a_fen_a_year(asset: Asset) -> None:
    years = [rd.amortised_in(asset, year) for year in range(asset.first_year, asset.first_year + 52)]
    assert sum(years) == asset.cost_fen
    assert min(years) >= 0
    whole = years[1 : asset.months // 12]
    assert all(abs(amount * asset.months - asset.cost_fen * 12) < asset.months for amount in whole)


@given(years)
def test_limits_hold_for_any_costs(year: Year) -> None:
    """Stated as the law does, by cross-multiplication, apart from how the sums are computed."""
    result = rd.collect(year)
    spent = {category: result.sum_of(category) for category in Category}
    assert 10 * result.other_fen <= result.own_fen
    assert result.other_fen == spent[Category.OTHER] or 10 * (result.other_fen + 1) > result.own_fen + 1
    assert 5 * result.entrusted_fen <= 4 * spent[Category.ENTRUSTED]
    assert 3 * result.abroad_fen <= 2 * result.domestic_fen
    assert result.expensed_fen <= sum(spent.values()) == result.spent_fen - result.to_assets_fen
    assert sum(p.expensed_fen + p.capitalised_fen for p in result.projects) == sum(x.amount_fen for x in year.lines)


@given(years, lines)
def test_spending_more_never_qualifies_less(year: Year, more: Line) -> None:
    after = rd.collect(Year(year.year, (*year.lines, more)))
    assert after.expensed_fen >= rd.collect(year).expensed_fen


@pytest.mark.parametrize(
    ("year", "field", "rule"),
    [
        (Year(1999), "year", "year"),
        (Year(2025, (Line(" ", Category.DIRECT, 1),)), "project", "needed"),
        (Year(2025, (line(Category.DIRECT, 0),)), "amount", "amount"),
        (Year(2025, (line(Category.DIRECT, rd.AMOUNT_FEN_MAX + 1),)), "amount", "amount"),
        (Year(2025, (), (Asset("软件", 1, 2026, 1),)), "first", "first"),
        (Year(2025, (), (Asset("软件", 1, 2024, 13),)), "first", "first"),
        (Year(2025, (), (Asset("软件", 1, 2024, 5, 0),)), "months", "months"),
        (Year(2025, (), (Asset("软件", 1, 2024, 5, 120, 2024, 4),)), "last", "last"),
        (Year(2025, (), (Asset("软件", 1, 2024, 5, 120, 2024, None),)), "last", "last"),
        (Year(2025, tuple(line(Category.DIRECT, 1) for _ in range(rd.LINES_MAX + 1))), "lines", "lines_max"),
    ],
)
def test_what_cannot_be_right_is_named(year: Year, field: str, rule: str) -> None:
    assert [(fault.field, fault.rule) for fault in rd.faults(year)] == [(field, rule)]


# --- from the table to facts -------------------------------------------------------------------------------------


@pytest.fixture
def firm(system_actor: Any) -> Party:
    return registry.create_party(system_actor, name="示例研发公司", kinds=("entity",))


@pytest.fixture
def accountant(people: Any, firm: Party) -> Any:
    return people("agent", f"party:{firm.pk}")


LINES = (line(Category.PERSONNEL, 90 * WAN), line(Category.OTHER, 15 * WAN), line(Category.DIRECT, 5, capitalised=True))
ASSETS = (Asset("排产软件", 1_200_00, 2023, 1, 120),)


def test_the_result_becomes_facts_of_the_year_with_their_working(
    accountant: Any, firm: Party, moved_clock: Any
) -> None:
    with moved_clock("2026-03-02 09:00"):
        working = actions.save(accountant, party=firm, year=2025, lines=LINES, assets=ASSETS)
        stated = actions.state(accountant, working=working)
        told = view.of_party(firm, date(2026, 3, 2))
    assert {code: told[f"{code}@2025"].value for code, _figure in actions.FACTS} == {
        "rd": 105 * WAN + 5, "rd.domestic": 105 * WAN + 5, "rd.expensed": 100 * WAN, "rd.capitalised": 120_00,
    }
    assert told["rd@2025"].source == "self"
    assert told["rd@2025"].facts == (stated.facts["rd"],)


def test_only_the_last_working_of_a_finished_year_is_stated_and_only_once(
    accountant: Any, firm: Party, moved_clock: Any
) -> None:
    with moved_clock("2026-03-02 09:00"):
        first = actions.save(accountant, party=firm, year=2025, lines=LINES, assets=())
        same = actions.save(accountant, party=firm, year=2025, lines=LINES, assets=())
        assert same == first, "saving again without a change adds nothing"
        second = actions.save(accountant, party=firm, year=2025, lines=LINES, assets=ASSETS)
        running = actions.save(accountant, party=firm, year=2026, lines=LINES, assets=())
        actions.state(accountant, working=second)
        for working, code in ((first, "working_replaced"), (second, "working_stated"), (running, "year_not_over")):
            with pytest.raises(Refused) as refused:
                actions.state(accountant, working=working)
            assert refused.value.code == code
        with pytest.raises(Invalid):
            actions.save(accountant, party=firm, year=2027, lines=LINES, assets=())


def test_names_of_projects_stay_out_of_the_log(accountant: Any, firm: Party) -> None:
    actions.save(accountant, party=firm, year=2024, lines=[Line("秘密项目", Category.DIRECT, 7)], assets=())
    record = LogRecord.objects.get(action="policy.rd.save")
    assert "秘密项目" not in record.payload
    assert json.loads(record.payload)["lines"] == 1


def test_nobody_else_fills_in_or_sees_the_costs_of_a_firm(people: Any, firm: Party, accountant: Any) -> None:
    other = registry.create_party(people("officer"), name="示例别家公司", kinds=("entity",))
    stranger = people("agent", f"party:{other.pk}")
    with pytest.raises(Forbidden):
        actions.save(stranger, party=firm, year=2024, lines=LINES, assets=())
    working = actions.save(accountant, party=firm, year=2024, lines=LINES, assets=())
    client = Client()
    client.force_login(stranger.user)
    for address in (f"/policy/rd/{firm.pk}/2024/", f"/policy/rd/workings/{working.pk}/"):
        assert client.get(address).status_code == 404
    assert "示例研发公司" not in client.get("/policy/rd/").content.decode()
    client.force_login(people("auditor").user)
    page = client.get(f"/policy/rd/{firm.pk}/2024/").content.decode()
    assert "1,000,000.00" in page
    assert "<form class=\"stack\"" not in page, "an auditor reads"


@pytest.fixture
def browser(accountant: Any) -> Client:
    client = Client()
    client.force_login(accountant.user)
    return client


ROW = {"project0": "甲", "category0": "personnel", "amount0": "900,000.00"}


def test_the_table_is_filled_saved_and_shown_again(browser: Client, firm: Party) -> None:
    address = f"/policy/rd/{firm.pk}/2024/"
    assert browser.get(address).status_code == 200
    asset = {"name0": "软件", "cost0": "1200", "first0": "2023年1月"}
    done = browser.post(address, ROW | asset | {"project1": "", "amount1": "", "idempotency_key": "k1"})
    assert done.status_code == 302, done.content.decode()
    working = RdWorking.objects.get()
    assert working.result["expensed_fen"] == 90 * WAN
    assert working.result["amortised_fen"] == 120_00, "ten years without a number of months"
    page = browser.get(address).content.decode()
    assert 'value="900000.00"' in page
    assert browser.get(f"/policy/rd/workings/{working.pk}/").status_code == 200
    browser.post(f"/policy/rd/workings/{working.pk}/state/", {"idempotency_key": "k2"})
    assert Fact.objects.get(type__code="rd.expensed").number == 90 * WAN


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"amount0": "1.234"}, "amount0"),
        ({"amount0": "0"}, "amount0"),
        ({"project0": ""}, "project0"),
        ({"category0": ""}, "category0"),
        ({"name0": "软件", "cost0": "5", "first0": "2023-13"}, "first0"),
        ({"name0": "软件", "cost0": "5", "first0": "2025-01"}, "first0"),
        ({"name0": "软件", "cost0": "5", "first0": "2023-05", "last0": "2023-01"}, "last0"),
    ],
)
def test_what_is_wrong_stands_beside_its_cell_and_nothing_is_kept(
    browser: Client, firm: Party, sent: dict[str, str], field: str
) -> None:
    answer = browser.post(f"/policy/rd/{firm.pk}/2024/", ROW | sent | {"idempotency_key": "k1"})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert not RdWorking.objects.exists()


def test_a_file_fills_the_table_and_stores_nothing(browser: Client, firm: Party) -> None:
    address = f"/policy/rd/{firm.pk}/2024/"
    good = "项目,费用类别,金额（元）,资本化\n甲,委托研发（境外）,\"1,000.50\",\n乙,人员人工费用,2000,是\n".encode()
    answer = browser.post(address, {"upload": "1", "file": SimpleUploadedFile("rd.csv", good)})
    assert not RdWorking.objects.exists()
    filled = answer.context["form"]
    assert [filled[name].value() for name in ("project0", "category0", "amount0", "kept1")] == [
        "甲", "abroad", Decimal("1000.50"), True,
    ]  # fmt: skip
    bad = "项目,费用类别,金额（元）\n甲,午餐,-5\n".encode()
    answer = browser.post(address, {"upload": "1", "file": SimpleUploadedFile("rd.csv", bad)})
    assert {(problem.row, problem.value) for problem in answer.context["file"].problems} == {(2, "午餐"), (2, "-5")}
