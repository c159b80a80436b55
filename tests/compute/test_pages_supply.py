"""Pages of the supply side: overview, deposits, delivery reports, rounds, and what everyone may see."""

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st
from tests.compute import world as worlds
from tests.compute.world import World

from huoshui.base import clock
from huoshui.compute import depositing
from huoshui.compute.actions.deposits import Stretch
from huoshui.compute.forms_deposits import DAYS, PatternForm, RowsForm
from huoshui.compute.models import Allocation, Delivery, Deposit, DepositStretch, Pool, Round, Site

QUERIES_PER_LIST_MAX = 12
KEY = {"idempotency_key": "form/test"}
FREE = {"base_price_fen": "3.20", "settle_in": "money", "recall_notice_hours": "24"}


@pytest.fixture
def world(db: None) -> World:
    return worlds.build()


@pytest.fixture
def at_noon() -> Iterator[None]:
    """The moment at which the world's round was published."""
    with clock.moved_to(worlds.NOON):
        yield


@pytest.fixture
def signed_in(people: Any) -> Callable[[str, str], Client]:
    """`signed_in("operator", "party:3")` is the browser of a person with that role."""

    def start(role: str, scope: str = "*") -> Client:
        client = Client()
        client.force_login(people(role, scope).user)
        return client

    return start


@pytest.fixture
def operator(world: World, signed_in: Callable[[str, str], Client]) -> Client:
    return signed_in("operator", f"party:{world.operator.pk}")


def other_operator(world: World) -> Pool:
    """A pool of somebody else."""
    party = worlds.party("别家算力", "operator")
    site = Site.objects.create(
        operator=party, code="o", name="别家站", region=world.region, division="330100", tariff="-"
    )
    return Pool.objects.create(site=site, card_model=world.pool.card_model, cards=10, list_price_fen=2000)


def day_of(world: World, hour: int = 0) -> str:
    return clock.local(worlds.moment(world, hour)).strftime("%Y-%m-%d")


# --- who sees what ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_noon")
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_page_of_an_operator_stands(world: World, operator: Client, language: str) -> None:
    deposit = world.offer(8)
    given = world.give([(0, 4)], [(deposit, 0, 4, 2)])
    paths = [
        "", "deposits/", "deposits/?state=open&text=D1", "deposits/new/", "deposits/new/?by=rows", "deposits/upload/",
        "deposits/upload/csv/", "deposits/upload/xlsx/", f"deposits/{deposit.pk}/",
        f"deposits/{deposit.pk}/?show=free", f"deposits/{deposit.pk}/recall/", "deliveries/",
        "deliveries/?show=coming", "deliveries/?show=finished", f"deliveries/{given.pk}/", "deliveries/upload/",
        "deliveries/upload/csv/", "deliveries/schedule/csv/", "public/", f"public/{world.round.number}/",
    ]  # fmt: skip
    spoken = {"accept-language": language}
    found = {path: operator.get(f"/compute/{path}", headers=spoken).status_code for path in paths}
    assert found == dict.fromkeys(paths, 200)


@pytest.mark.usefixtures("at_noon")
def test_what_is_not_yours_is_not_there(world: World, signed_in: Callable[[str, str], Client]) -> None:
    deposit = world.offer(8)
    allocation = world.give([(0, 4)], [(deposit, 0, 4, 2)])
    stranger = signed_in("operator", f"party:{other_operator(world).site.operator_id}")
    for path in (f"deposits/{deposit.pk}/", f"deposits/{deposit.pk}/recall/", f"deliveries/{allocation.pk}/"):
        assert stranger.get(f"/compute/{path}").status_code == 404
    assert stranger.post(f"/compute/deposits/{deposit.pk}/withdraw/").status_code == 404
    assert stranger.get(f"/compute/deposits/resell/{allocation.pk}/").status_code == 404
    assert deposit.number not in stranger.get("/compute/deposits/").content.decode()
    schedule = stranger.get("/compute/deliveries/schedule/csv/").content.decode()
    assert allocation.request.number not in schedule


def test_only_operators_report_delivery_and_only_the_centre_opens_rounds(
    world: World, signed_in: Callable[[str, str], Client]
) -> None:
    agent, auditor = signed_in("agent", f"party:{world.entity.pk}"), signed_in("auditor", "*")
    assert agent.get("/compute/deliveries/").status_code == 403
    assert agent.get("/compute/rounds/").status_code == 403
    assert auditor.get("/compute/rounds/").status_code == 200
    assert "/compute/rounds/new/" not in auditor.get("/compute/rounds/").content.decode()
    assert auditor.post(f"/compute/rounds/{world.round.number}/settle/").status_code == 403


def test_published_rounds_are_public_and_others_are_not(world: World, client: Client) -> None:
    number = world.round.number
    assert client.get(f"/compute/public/{number}/").status_code == 200
    prices = client.get(f"/compute/public/{number}/prices/csv/").content.decode("utf-8-sig").splitlines()
    assert len(prices) == 1 + worlds.HOURS
    assert prices[1].endswith(",8.00000,100,0")
    assert b"public_verify" in client.get("/compute/public/verifier/").content
    Round.objects.filter(pk=world.round.pk).update(state=Round.State.CLEARED)
    assert client.get(f"/compute/public/{number}/").status_code == 404
    assert client.get("/compute/deposits/").status_code == 302


def test_bound_and_gap_stand_only_behind_the_basis(world: World, signed_in: Callable[[str, str], Client]) -> None:
    figures = {"served": 1, "requests": 2, "objective_mfen": 5, "bound_mfen": 6, "gap_bps": 12, "refused": {"price": 1}}
    Round.objects.filter(pk=world.round.pk).update(figures=figures)
    page = signed_in("officer", "*").get(f"/compute/rounds/{world.round.number}/").content.decode()
    assert "差距" in page
    assert "上界" in page
    shown = re.sub(r'<details class="basis">.*?</details>', "", page, flags=re.S)
    assert "差距" not in shown
    assert "上界" not in shown


# --- deposits ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("at_noon")
def test_a_weekly_pattern_becomes_a_deposit_once(world: World, operator: Client) -> None:
    body = KEY | FREE | {
        "pool": world.pool.pk, "energy": "on", "first_day": day_of(world), "last_day": day_of(world, 24),
        "days1": "all", "from1": "22", "to1": "6", "cards1": "16", "days2": "all", "from2": "0", "to2": "1",
        "days3": "all", "from3": "0", "to3": "1",
    }  # fmt: skip
    for _time in range(2):
        assert operator.post("/compute/deposits/new/", body).status_code == 302
    deposit = Deposit.objects.get()
    assert (deposit.base_price_fen, deposit.depositor, deposit.energy) == (320, world.operator, True)
    stretches = deposit.stretches.order_by("start_hour").values_list("start_hour", "end_hour", "cards")
    assert list(stretches) == [(world.start + 22, world.start + 30, 16), (world.start + 46, world.start + 54, 16)]


@pytest.mark.usefixtures("at_noon")
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"base_price_fen": "3.205"}, "id_base_price_fen_error"),
        ({"base_price_fen": "-1"}, "id_base_price_fen_error"),
        ({"recall_notice_hours": "9999"}, "id_recall_notice_hours_error"),
        ({"end1": ""}, "使用该行时必填"),
        ({"start1": "2020-01-01T00:00"}, "已经过去"),
        ({"end1": "2026-03-03T00:00"}, "须晚于开始时间"),
        ({"cards1": "1001"}, "资源池共 1000 张卡"),
        ({"start1": "2026-03-04T00:30"}, "应为整点"),
        ({"pool": "999999"}, "id_pool_error"),
    ],
)
def test_what_is_wrong_with_a_deposit_is_said_and_nothing_is_stored(
    world: World, operator: Client, wrong: dict[str, str], told: str
) -> None:
    body = KEY | FREE | {
        "pool": world.pool.pk, "start1": "2026-03-04T00:00", "end1": "2026-03-04T08:00", "cards1": "8",
    }  # fmt: skip
    page = operator.post("/compute/deposits/new/?by=rows", body | wrong, headers={"accept-language": "zh-hans"})
    assert page.status_code == 200
    assert told in page.content.decode()
    assert not Deposit.objects.exists()


@pytest.mark.usefixtures("at_noon")
def test_rented_hours_are_resold_from_their_allocation(
    world: World, signed_in: Callable[[str, str], Client]
) -> None:
    allocation = world.give([(4, 8)], [(world.offer(8), 4, 8, 4)])
    agent = signed_in("agent", f"party:{world.entity.pk}")
    page = agent.get(f"/compute/deposits/resell/{allocation.pk}/").content.decode()
    start, end = (clock.local(worlds.moment(world, hour)).strftime("%Y-%m-%dT%H:%M") for hour in (4, 8))
    assert f'value="{start}"' in page
    assert f'value="{end}"' in page
    body = KEY | FREE | {"start1": start, "end1": end, "cards1": "3"}
    assert agent.post(f"/compute/deposits/resell/{allocation.pk}/", body).status_code == 302
    resold = Deposit.objects.get(resold_from=allocation)
    assert (resold.depositor, resold.pool, resold.stretches.get().cards) == (world.entity, world.pool, 3)


@pytest.mark.usefixtures("at_noon")
def test_a_deposit_is_withdrawn_or_recalled_in_part(world: World, operator: Client) -> None:
    deposit = world.offer(8)
    start, end = (clock.local(worlds.moment(world, hour)).strftime("%Y-%m-%dT%H:%M") for hour in (2, 6))
    body = {"start": start, "end": end, "cards": "3", "reason": "recall"}
    assert operator.post(f"/compute/deposits/{deposit.pk}/recall/", KEY | body).status_code == 302
    assert depositing.tallies([deposit])[deposit.pk].recalled == 12
    more = {"idempotency_key": "form/2"} | body | {"cards": "6"}
    too_many = operator.post(f"/compute/deposits/{deposit.pk}/recall/", more)
    assert 'id="id_cards_error"' in too_many.content.decode()
    assert operator.post(f"/compute/deposits/{deposit.pk}/withdraw/", {"idempotency_key": "form/3"}).status_code == 302
    deposit.refresh_from_db()
    assert deposit.state == Deposit.State.WITHDRAWN


def test_lists_ask_the_same_number_of_queries_however_long(
    world: World, operator: Client, django_assert_max_num_queries: Any
) -> None:
    for _deposit in range(30):
        world.give([(0, 2)], [(world.offer(4), 0, 2, 1)])
    for path in ("deposits/", "deposits/?page=2", "deliveries/", "deliveries/?show=coming", "deliveries/upload/csv/"):
        with django_assert_max_num_queries(QUERIES_PER_LIST_MAX):
            assert operator.get(f"/compute/{path}").status_code == 200


# --- deposits by file -------------------------------------------------------------------------------------------------

HEADER = "算力中心,算力卡型号,开始,结束,卡数,基础价（元）"


def sent(client: Client, path: str, party: int, text: str) -> str:
    """Upload a file; the page that comes back."""
    file = SimpleUploadedFile("in.csv", text.encode("utf-8-sig"))
    page = client.post(f"/compute/{path}", KEY | {"party": party, "file": file}, headers={"accept-language": "zh-hans"})
    return page.content.decode()


def confirm(client: Client, path: str, page: str) -> int:
    """Press the button of the preview; the status that comes back."""
    fields = dict(re.findall(r'<input type="hidden" name="(party|name|content|confirmed)" value="([^"]*)"', page))
    return client.post(f"/compute/{path}", KEY | fields).status_code


@pytest.mark.usefixtures("at_noon")
def test_a_file_is_shown_first_and_taken_in_when_confirmed(world: World, operator: Client) -> None:
    rows = [
        "测试站,测试卡,2026-03-04 22:00,2026-03-05 06:00,16,3.20",
        "s,test,2026-03-05 22:00,2026-03-06 06:00,16,3.20",
        "测试站,test,2026-03-07 00:00,2026-03-07 02:00,4,2.50",
    ]
    page = sent(operator, "deposits/upload/", world.operator.pk, "\n".join([HEADER, *rows]))
    assert "文件检查通过" in page
    assert not Deposit.objects.exists()
    assert confirm(operator, "deposits/upload/", page) == 302
    found = Deposit.objects.order_by("id").values_list("base_price_fen", "energy", "recall_notice_hours")
    assert list(found) == [(320, True, 24), (320, True, 24), (250, True, 24)]
    assert DepositStretch.objects.count() == 3
    assert confirm(operator, "deposits/upload/", page) == 302
    assert Deposit.objects.count() == 3


@pytest.mark.usefixtures("at_noon")
def test_one_bad_row_keeps_the_whole_file_out(world: World, operator: Client) -> None:
    other_operator(world)
    rows = [
        "测试站,测试卡,2026-03-04 22:00,2026-03-05 06:00,16,3.20",
        "别家站,测试卡,2026-03-04 22:00,2026-03-05 06:00,1,3.20",
        "测试站,测试卡,2020-03-04 22:00,2020-03-05 06:00,16,2.20",
    ]
    page = sent(operator, "deposits/upload/", world.operator.pk, "\n".join([HEADER, *rows]))
    assert "您的算力中心没有该资源池" in page
    assert "别家站 · 测试卡" in page
    assert "已经过去" in page
    assert "2020-03-04 22:00" in page
    assert 'name="confirmed"' not in page
    assert not Deposit.objects.exists()
    unreadable = "测试站,测试卡,明天,2026-03-05 06:00,1.5,3.205"
    page = sent(operator, "deposits/upload/", world.operator.pk, f"{HEADER}\n{unreadable}")
    assert re.findall("<code>(.*?)</code>", page) == ["明天", "1.5", "3.205"]


@pytest.mark.usefixtures("at_noon")
@pytest.mark.parametrize(
    ("heading", "row", "value"),
    [
        ("基础价（元）", "测试站,测试卡,2026-03-04 22:00,2026-03-05 06:00,16,-3", "-3"),
        ("基础价（元）", "测试站,测试卡,2026-03-04 22:00,2026-03-05 06:00,16,500.01", "500.01"),
        ("卡数", "测试站,测试卡,2026-03-04 22:00,2026-03-05 06:00,99999,3.20", "99999"),
        ("开始", "测试站,测试卡,2020/3/4 22:00,2026-03-05 06:00,16,3.20", "2020/3/4 22:00"),
        ("结束", "测试站,测试卡,2026-03-04 22:00,2026/3/4 21:00,16,3.20", "2026/3/4 21:00"),
        ("算力中心 · 算力卡型号", "没有的站,测试卡,2026-03-04 22:00,2026-03-05 06:00,16,3.20", "没有的站 · 测试卡"),
    ],
)
def test_a_fault_is_told_in_the_words_of_the_file(
    world: World, operator: Client, heading: str, row: str, value: str
) -> None:
    page = sent(operator, "deposits/upload/", world.operator.pk, f"{HEADER}\n{row}")
    assert re.findall("<code>(.*?)</code>", page) == [value]
    told = page[: page.index("<code>")].rsplit("<tr>", 1)[-1]
    assert f">{heading}<" in told


def test_a_file_for_somebody_else_is_refused(world: World, operator: Client) -> None:
    stranger = other_operator(world).site.operator
    page = sent(operator, "deposits/upload/", stranger.pk, HEADER)
    assert 'id="id_party_error"' in page


# --- what a deposit earns ---------------------------------------------------------------------------------------------


def test_the_calendar_adds_up(db: None) -> None:
    world = worlds.build((800_000, 500_000), fee_bps="600")
    deposit = world.offer(10, hours=(3, 30))
    world.give([(4, 7)], [(deposit, 4, 7, 2)])
    world.give([(26, 28)], [(deposit, 26, 28, 5)])
    calendar, tally = depositing.calendar_of(deposit), depositing.tallies([deposit])[deposit.pk]
    assert calendar is not None
    assert calendar.days == [date(2026, 3, 3), date(2026, 3, 4)]
    assert (int(calendar.offered.sum()), int(calendar.sold.sum())) == (tally.offered, tally.sold) == (270, 16)
    prices = {hour: (800_000, 500_000)[hour % 2] for hour in range(48)}
    gross = 2 * sum(prices[hour] for hour in range(4, 7)) + 5 * sum(prices[hour] for hour in range(26, 28))
    assert int(calendar.earned_mfen.sum()) == gross * 9400 // 10_000
    assert calendar.energy_fen is None, "without a tariff the energy cost is unknown, not zero"


# --- delivery ---------------------------------------------------------------------------------------------------------


def test_the_form_proposes_what_is_over_and_takes_it_in(world: World, operator: Client) -> None:
    allocation = world.give([(0, 4), (6, 8)], [(world.offer(8), 0, 4, 2), (world.deposits[0], 6, 8, 2)])
    with clock.moved_to(worlds.moment(world, 5)):
        page = operator.get(f"/compute/deliveries/{allocation.pk}/").content.decode()
        fields = dict(re.findall(r'name="(start|end|card_hours)" value="([^"]*)"', page))
        assert fields["card_hours"] == "8"
        assert operator.post(f"/compute/deliveries/{allocation.pk}/", KEY | fields).status_code == 302
        again = operator.post(f"/compute/deliveries/{allocation.pk}/", {"idempotency_key": "form/2"} | fields)
        assert 'id="id_start_error"' in again.content.decode()
    stored = Delivery.objects.get()
    assert (stored.start_hour, stored.end_hour, stored.milli_card_hours) == (world.start, world.start + 4, 8000)


def test_the_list_of_what_is_to_be_reported_can_be_sent_back(world: World, operator: Client) -> None:
    deposit = world.offer(8)
    for first in (0, 2):
        world.give([(first, first + 2)], [(deposit, first, first + 2, 2)])
    with clock.moved_to(worlds.moment(world, 5)):
        file = operator.get("/compute/deliveries/upload/csv/").content.decode("utf-8-sig")
        page = sent(operator, "deliveries/upload/", world.operator.pk, file)
        assert not Delivery.objects.exists()
        assert confirm(operator, "deliveries/upload/", page) == 302
    assert sorted(Delivery.objects.values_list("milli_card_hours", flat=True)) == [4000, 4000]
    assert Allocation.objects.filter(deliveries__isnull=True).count() == 0


# --- patterns ---------------------------------------------------------------------------------------------------------


@given(
    first=st.dates(date(2026, 1, 1), date(2027, 12, 1)), count=st.integers(1, 40), days=st.sampled_from(sorted(DAYS)),
    start=st.integers(0, 23), end=st.integers(1, 24),
)  # fmt: skip
def test_a_pattern_gives_one_stretch_for_each_day_it_names(
    first: date, count: int, days: str, start: int, end: int
) -> None:
    """Each begins at its hour on a day of the pattern, lasts 1 to 24 hours and ends at the hour that was asked for."""
    data: dict[str, Any] = {"first_day": first, "last_day": first + timedelta(days=count - 1)}
    for line in (1, 2, 3):
        data |= {f"days{line}": days, f"from{line}": str(start), f"to{line}": str(end)}
    form = PatternForm(data | {"cards1": "3"})
    assert form.is_valid(), form.errors
    found = form.stretches()
    wanted = [day for day in (first + timedelta(days=n) for n in range(count)) if day.weekday() in DAYS[days]]
    begun = [clock.local(clock.instant_of(stretch.start_hour)) for stretch in found]
    assert [at.date() for at in begun] == wanted
    assert all(at.hour == start for at in begun)
    assert all(1 <= stretch.end_hour - stretch.start_hour <= 24 and stretch.cards == 3 for stretch in found)
    assert all(clock.local(clock.instant_of(stretch.end_hour)).hour == end % 24 for stretch in found)


def test_empty_rows_are_passed_over() -> None:
    form = RowsForm({"start2": "2026-03-04T22:00", "end2": "2026-03-05T06:00", "cards2": "4"})
    assert form.is_valid(), form.errors
    [stretch] = form.stretches()
    assert isinstance(stretch, Stretch)
    assert (stretch.end_hour - stretch.start_hour, stretch.cards) == (8, 4)
    assert not RowsForm({"cards1": ""}).is_valid()
