"""Pages of requests and accounts: all is seen before signing, nothing is half taken in, each role sees its own."""

import io
from datetime import date
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st
from tests.compute.world import HOURS, NOON, SYSTEM, World, ask, build, clear, moment, party, run

from huoshui.base import clock
from huoshui.book import services, subsidies
from huoshui.book.models import Kind
from huoshui.compute import accounts, previews
from huoshui.compute.actions import delivery, recalls
from huoshui.compute.models import Allocation, Move, Request
from huoshui.compute.schedule_bar import moment as told
from huoshui.terms.round_terms import NoticeSteps

pytestmark = pytest.mark.django_db
QUERIES_MAX = 45
LIST_QUERIES_MAX = 14
LATER = date(2026, 9, 1)


@pytest.fixture
def world(people: Any) -> World:
    made: Any = build((800_000, 600_000), reserve_ratio_floor_bps="0")
    made.other = party("示例他企", "entity")
    made.agent = people("agent", f"party:{made.entity.pk}").user
    made.stranger = people("agent", f"party:{made.other.pk}").user
    made.officer, made.auditor = people("officer").user, people("auditor").user
    with clock.moved_to(NOON):
        yield made


def credit(world: World, milli: int) -> None:
    run(lambda act, record: accounts.credit_many(act, record, [(world.entity, milli, LATER)]))


def filled(world: World, **changes: Any) -> dict[str, Any]:
    """What the form of a request sends."""
    fields = {
        "entity": world.entity.pk, "title": "质检模型微调", "cards": 4, "hours-test": 6,
        "earliest": told(world.start).replace(" ", "T"), "deadline": told(world.start + 24).replace(" ", "T"),
        "mode": "rigid", "origin": world.region.pk, "regions": [world.region.pk], "budget": "1234.50",
        "pay_with": "money", "idempotency_key": "form/1",
    }  # fmt: skip
    return {name: value for name, value in (fields | changes).items() if value is not None}


def served(world: World, **named: Any) -> Allocation:
    deposit: Any = world
    offered = deposit.offer(8)
    return world.give([(4, 8)], [(offered, 4, 8, 2)], **named)


# --- before signing ---------------------------------------------------------------------------------------------------


def test_what_it_may_cost_is_shown_before_anything_is_held(world: World, client: Any) -> None:
    client.force_login(world.agent)
    before = services.balances(world.entity)
    page = client.post(reverse("compute:request_new"), filled(world))
    text = page.content.decode()
    assert "compute/request_sign.html" in [template.name for template in page.templates]
    seen = page.context["seen"]
    assert seen.pays_at_most_fen == 123_450
    assert seen.list_price_fen == 2000 * 4 * 6
    assert seen.expected_subsidy_fen is None
    assert "—" in text
    assert [step.notice_hours for step in seen.cancellation] == [48, 24, 6, 0]
    assert (Request.objects.count(), services.balances(world.entity)) == (0, before)


def test_signing_holds_the_budget_once_however_often_it_is_sent(world: World, client: Any) -> None:
    client.force_login(world.agent)
    for _again in range(2):
        answer = client.post(reverse("compute:request_new"), filled(world, sign="1"))
    made = Request.objects.get()
    assert answer.url == reverse("compute:request", args=[made.pk])
    assert (made.budget_fen, made.cards, made.regions.get()) == (123_450, 4, world.region)
    assert services.balances(world.entity)[Kind.HELD] == 123_450


def test_going_back_keeps_what_was_filled_in(world: World, client: Any) -> None:
    client.force_login(world.agent)
    page = client.post(reverse("compute:request_new"), filled(world, edit="1", title="改一改"))
    assert "compute/request_form.html" in [template.name for template in page.templates]
    assert "改一改" in page.content.decode()


def test_a_desk_that_answers_for_subsidies_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsidies, "_hooks", [])
    assert subsidies.expected(world.entity, 100) is None
    subsidies.on_subsidy(lambda entity, budget_fen: None)
    assert subsidies.expected(world.entity, 100) is None
    subsidies.on_subsidy(lambda entity, budget_fen: budget_fen * 3 // 10)
    assert subsidies.expected(world.entity, 100) == 30


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("budget", {"budget": "10.005"}),
        ("budget", {"budget": "0"}),
        ("budget", {"budget": "-5"}),
        ("deadline", {"deadline": "2026-03-02T13:00"}),
        ("earliest", {"earliest": "2026-03-01T13:00"}),
        ("earliest", {"earliest": "2026-03-05T13:30"}),
        ("regions", {"regions": None}),
        ("hours-test", {"hours-test": -1}),
        ("cards", {"cards": 0}),
        ("title", {"title": "  "}),
        ("mode", {"mode": "sometimes"}),
    ],
)
def test_what_breaks_a_rule_is_marked_and_nothing_is_written(
    world: World, client: Any, field: str, changes: dict[str, Any]
) -> None:
    client.force_login(world.agent)
    for step in ({}, {"sign": "1"}):
        page = client.post(reverse("compute:request_new"), filled(world, **changes, **step))
        assert field in page.context["form"].errors, page.context["form"].errors
    assert not Request.objects.exists()


def test_a_request_names_a_model_and_hours_that_fit(world: World, client: Any) -> None:
    client.force_login(world.agent)
    for hours in (None, 25):
        page = client.post(reverse("compute:request_new"), filled(world, **{"hours-test": hours}))
        assert page.context["form"].errors
    assert not Request.objects.exists()


def test_a_budget_beyond_the_limit_is_foretold_and_then_refused(world: World, client: Any) -> None:
    client.force_login(world.agent)
    much = filled(world, budget="99999999.00")
    assert not client.post(reverse("compute:request_new"), much).context["seen"].covered
    page = client.post(reverse("compute:request_new"), much | {"sign": "1"})
    assert page.context["form"].non_field_errors()
    assert not Request.objects.exists()


def test_nobody_asks_in_the_name_of_another(world: World, client: Any) -> None:
    client.force_login(world.stranger)
    page = client.post(reverse("compute:request_new"), filled(world, sign="1"))
    assert "entity" in page.context["form"].errors
    client.force_login(world.officer)
    assert client.get(reverse("compute:request_new")).status_code == 403


@given(
    st.lists(st.integers(0, 10_000), min_size=1, max_size=5), st.integers(0, 10**9), st.integers(0, 10**6),
    st.integers(0, 400),
)  # fmt: skip
def test_what_comes_back_and_what_is_lost_make_up_the_price(
    shares: list[int], share_fen: int, transfer_fen: int, notice: int
) -> None:
    hours = tuple(range(24 * (len(shares) - 1), -1, -24))
    amount = share_fen + transfer_fen
    rows = previews.steps(NoticeSteps(hours, tuple(shares)), amount, transfer_fen, notice)
    assert all(row.returned_fen + row.lost_fen == amount and row.returned_fen >= transfer_fen for row in rows)
    assert [row.returned_bps for row in rows if row.current] == [NoticeSteps(hours, tuple(shares)).bps(notice)]


# --- estimate and quote -----------------------------------------------------------------------------------------------


def test_a_sentence_becomes_cards_and_the_request_is_filled_in_with_them(world: World, client: Any) -> None:
    client.force_login(world.agent)
    page = client.get(reverse("compute:estimate"), {"text": "微调 14B 模型，2000 万 tokens"})
    assert page.context["form"]["parameters"].value() == "14"
    assert page.context["form"]["tokens"].value() == "20"
    row = page.context["rows"][0]
    form = client.get(f"{reverse('compute:request_new')}?{page.context['query']}&model=test").context["form"]
    assert form.initial["cards"] == row["cards"]
    assert form["hours-test"].value() == row["hours"]
    answer = client.post(
        reverse("compute:request_new"), filled(world, sign="1", estimate=form.initial["estimate"], cards=row["cards"])
    )
    assert answer.status_code == 302
    assert Request.objects.get().estimate["parameters_million"] == 14_000


def test_a_sentence_not_understood_asks_for_figures_and_prices_nothing(world: World, client: Any) -> None:
    client.force_login(world.agent)
    page = client.get(reverse("compute:estimate"), {"text": "10张4090卡跑三天"}, headers={"accept-language": "zh-hans"})
    said = page.content.decode()
    assert "没有看懂，请填写下面的参数" in said
    assert f'href="{reverse("compute:quote")}"' in said
    assert "rows" not in page.context
    assert 'name="parameters"' in said
    assert not page.context["form"].errors


def test_only_who_may_ask_is_led_from_prices_to_a_request(world: World, client: Any) -> None:
    addresses = (reverse("compute:estimate") + "?text=渲染 1 卡时", reverse("compute:quote") + "?cards=1&hours=2")
    for user, led in ((world.agent, True), (world.officer, False), (world.auditor, False)):
        client.force_login(user)
        for address in addresses:
            page = client.get(address)
            assert page.context["rows"]
            assert (f"{reverse('compute:request_new')}?" in page.content.decode()) is led, (user, address)


def test_the_figures_and_the_assumptions_of_an_estimate_can_be_changed(world: World, client: Any) -> None:
    client.force_login(world.agent)
    usual = {"kind": "full_tune", "parameters": "7", "tokens": "1000", "hours_wanted": 672}
    hours = [
        client.get(reverse("compute:estimate"), usual | more).context["rows"][0]["hours"]
        for more in ({}, {"utilisation": "17.5"}, {"utilisation": "35"})
    ]
    assert hours[0] == hours[2]
    assert abs(hours[1] - 2 * hours[0]) <= 1
    page = client.get(reverse("compute:estimate"), usual | {"parameters": "0"})
    assert "parameters" in page.context["form"].errors
    assert "rows" not in page.context
    page = client.get(reverse("compute:estimate"), usual | {"utilisation": "101"})
    assert "utilisation" in page.context["form"].errors


def test_a_forged_estimate_is_left_out(world: World, client: Any) -> None:
    client.force_login(world.agent)
    for number, forged in enumerate(("[1]", "{", '{"kind": "x"}', '{"kind": "inference", "parameters_million": -1}')):
        sent = filled(world, sign="1", estimate=forged, idempotency_key=f"form/{number}")
        assert client.post(reverse("compute:request_new"), sent).status_code == 302
    assert set(Request.objects.values_list("estimate", flat=True)) == {None}


def test_a_quote_tells_low_high_and_list_price(world: World, client: Any) -> None:
    client.force_login(world.agent)
    row = client.get(reverse("compute:quote"), {"cards": 2, "hours": 3}).context["rows"][0]
    assert (row["quote"].low_fen, row["quote"].high_fen) == (2 * (600 + 800 + 600), 2 * (800 + 600 + 800))
    assert row["list_price_fen"] == 2000 * 2 * 3
    none = client.get(reverse("compute:quote"), {"cards": 101, "hours": 3}).context["rows"][0]
    assert none["quote"].low_fen is None


# --- files ------------------------------------------------------------------------------------------------------------

HEADER = "用途,卡数,时长,最早开始,最晚完成,预算上限（元）,数据所在区域\n"


def upload(client: Any, world: World, text: str) -> Any:
    file = SimpleUploadedFile("requests.csv", text.encode())
    return client.post(reverse("compute:request_file"), {"entity": world.entity.pk, "file": file})


def rows(world: World, *cells: str) -> str:
    window = f"{told(world.start)},{told(world.start + 24)}"
    return HEADER + "".join(f"任务{number},{cell.replace('WINDOW', window)}\n" for number, cell in enumerate(cells))


def test_every_bad_row_is_named_and_none_is_taken(world: World, client: Any) -> None:
    client.force_login(world.agent)
    text = rows(world, "2,test=3,WINDOW,100.00,东部", "2,nosuch=3,WINDOW,100,东部", "2,test=30,WINDOW,100,东部",
                "2,test=3,WINDOW,100,月球")  # fmt: skip
    problems = upload(client, world, text).context["form"].problems
    assert [(problem.row, problem.field) for problem in problems] == [(3, "hours"), (4, "hours"), (5, "data_region")]
    malformed = upload(client, world, rows(world, "两张,test=3,WINDOW,1.005,东部")).context["form"].problems
    assert {problem.row for problem in malformed} == {2}
    assert len(malformed) == 2
    assert not Request.objects.exists()


def test_a_file_is_shown_and_then_taken_whole_once(world: World, client: Any) -> None:
    client.force_login(world.agent)
    page = upload(client, world, rows(world, "2,test=3,WINDOW,100.50,东部", "1,test=2,WINDOW,50,east"))
    assert page.context["total_fen"] == 15_050
    assert not Request.objects.exists()
    for _again in range(2):
        sent = {"rows": page.context["signed"], "idempotency_key": "file/1"}
        assert client.post(reverse("compute:request_file"), sent).url == reverse("compute:requests")
    assert sorted(Request.objects.values_list("budget_fen", flat=True)) == [5_000, 10_050]


def test_a_file_beyond_the_limit_submits_nothing(world: World, client: Any) -> None:
    client.force_login(world.agent)
    page = upload(client, world, rows(world, "2,test=3,WINDOW,6000000,东部", "1,test=2,WINDOW,6000000,东部"))
    sent = {"rows": page.context["signed"], "idempotency_key": "file/1"}
    answer = client.post(reverse("compute:request_file"), sent)
    assert answer.context["form"].non_field_errors()
    assert not Request.objects.exists()
    assert services.balances(world.entity)[Kind.HELD] == 0


def test_a_checked_file_serves_its_own_people_only_and_not_forever(world: World, client: Any) -> None:
    client.force_login(world.agent)
    signed = upload(client, world, rows(world, "2,test=3,WINDOW,100,东部")).context["signed"]
    client.force_login(world.stranger)
    assert client.post(reverse("compute:request_file"), {"rows": signed}).status_code == 404
    assert client.post(reverse("compute:request_file"), {"rows": signed[:-2] + "xx"}).status_code == 422
    assert not Request.objects.exists()


def test_the_example_file_can_be_read_back(world: World, client: Any) -> None:
    client.force_login(world.agent)
    data = client.get(reverse("compute:request_file_example")).content
    assert data[:2] == b"PK"
    page = client.post(
        reverse("compute:request_file"),
        {"entity": world.entity.pk, "file": SimpleUploadedFile("example.xlsx", io.BytesIO(data).read())},
    )
    assert {problem.field for problem in page.context["form"].problems} <= {"hours", "regions", "data_region"}


# --- what came of it --------------------------------------------------------------------------------------------------


def test_a_refused_request_says_why_with_budget_and_price(world: World, client: Any) -> None:
    client.force_login(world.agent)
    client.post(reverse("compute:request_new"), filled(world, sign="1"))
    refusal = {"code": "price", "params": [234_567_800, 0, 0], "round": 1}
    Request.objects.update(state=Request.State.REFUSED, refusal=refusal, round=world.round)
    text = client.get(reverse("compute:request", args=[Request.objects.get().pk])).content.decode()
    assert "1,234.50" in text
    assert "2,345.68" in text
    again = client.get(reverse("compute:request_new"), {"again": Request.objects.get().pk}).context["form"]
    assert again["title"].value() == "质检模型微调"
    assert again["hours-test"].value() == 6


def test_a_served_request_is_capped_finished_early_or_cancelled_from_its_page(world: World, client: Any) -> None:
    client.force_login(world.agent)
    allocation = served(world)
    pk, page = allocation.request_id, lambda: client.get(reverse("compute:request", args=[allocation.request_id]))
    assert page().context["cancellation"]
    assert page().context["may_cap"]
    post = client.post(reverse("compute:request_cap", args=[pk]), {"cap": "1.00", "idempotency_key": "cap/1"})
    assert post.status_code == 302
    assert page().context["stops_at"] == world.start + 4
    over = client.post(reverse("compute:request_cap", args=[pk]), {"cap": "999999", "idempotency_key": "cap/2"})
    assert over.context["form"].errors["cap"]
    with clock.moved_to(moment(world, 4.5)):
        assert page().context["cancellation"] == []
        refused = client.post(reverse("compute:request_cancel", args=[pk]), {"idempotency_key": "cancel/1"})
        assert refused.status_code == 409
    with clock.moved_to(moment(world, 1)):
        assert [step.notice_hours for step in page().context["cancellation"] if step.current] == [0]
    client.post(reverse("compute:request_cancel", args=[pk]), {"idempotency_key": "cancel/2"})
    allocation.refresh_from_db()
    assert allocation.state == Allocation.State.CANCELLED
    assert page().status_code == 200


def test_withdrawing_from_the_page_gives_the_budget_back(world: World, client: Any) -> None:
    client.force_login(world.agent)
    client.post(reverse("compute:request_new"), filled(world, sign="1"))
    asked = Request.objects.get()
    assert client.get(reverse("compute:request_withdraw", args=[asked.pk])).status_code == 405
    client.post(reverse("compute:request_withdraw", args=[asked.pk]), {"idempotency_key": "w/1"})
    assert services.balances(world.entity)[Kind.HELD] == 0


def test_the_receipt_of_a_request_is_open_to_its_people(world: World, client: Any) -> None:
    client.force_login(world.agent)
    client.post(reverse("compute:request_new"), filled(world, sign="1"))
    page = client.get(reverse("compute:request", args=[Request.objects.get().pk]))
    receipt = page.context["receipts"][0]
    assert receipt.pk in page.context["provable"]
    assert client.get(reverse("book:proof", args=[receipt.pk])).status_code == 200


def test_other_cards_in_the_same_hours_are_no_displacement(world: World, client: Any) -> None:
    first = world.offer(10, base=100)
    world.offer(10, party("示例乙", "operator"), base=900)
    asked = ask(world, 8, 4)
    clear(world)
    recalls.recall_cards(
        SYSTEM, key="recall", deposit=first, start_hour=world.start, end_hour=world.start + HOURS, cards=10,
        reason="recall",
    )  # fmt: skip
    assert Move.objects.get().outcome == Move.Outcome.SUPPLIED
    client.force_login(world.agent)
    address = reverse("compute:request", args=[asked.pk])
    chinese, english = (
        client.get(address, headers={"accept-language": spoken}).content.decode() for spoken in ("zh-hans", "en")
    )
    assert "改由其他算力卡服务，您的安排不变" in chinese
    assert "served by other cards, nothing changes for you" in english
    assert "未能重新安排" not in chinese
    assert not any(word in english for word in ("Displaced on", "Compensation:"))


# --- whose it is ------------------------------------------------------------------------------------------------------


def test_what_belongs_to_another_looks_like_what_does_not_exist(world: World, client: Any) -> None:
    asked = served(world).request
    client.force_login(world.stranger)
    assert list(client.get(reverse("compute:requests")).context["page_obj"]) == []
    for key in (asked.pk, 10**6):
        assert client.get(reverse("compute:request", args=[key])).status_code == 404
        for name in ("request_cap", "request_finish", "request_contest"):
            assert client.get(reverse(f"compute:{name}", args=[key])).status_code == 404
        for name in ("request_withdraw", "request_cancel", "request_accept"):
            assert client.post(reverse(f"compute:{name}", args=[key])).status_code == 404
        assert client.get(reverse("compute:request_new"), {"again": key}).status_code == 404
    for name in ("account", "account_transfer"):
        for key in (world.entity.pk, 10**6):
            assert client.get(reverse(f"compute:{name}", args=[key])).status_code == 404


def test_pages_open_for_those_who_may_see_them_with_few_queries(world: World, client: Any) -> None:
    asked = served(world).request
    credit(world, 5_000)
    addresses = [reverse("compute:requests"), reverse("compute:estimate") + "?text=渲染 300 卡时",
                 reverse("compute:quote") + "?cards=1&hours=2", reverse("compute:request", args=[asked.pk]),
                 reverse("compute:account", args=[world.entity.pk])]  # fmt: skip
    for user in (world.agent, world.officer, world.auditor):
        client.force_login(user)
        for address in addresses:
            with CaptureQueriesContext(connection) as seen:
                assert client.get(address).status_code == 200, address
            assert len(seen) <= QUERIES_MAX, (address, len(seen))
        assert client.get(reverse("compute:accounts")).status_code in (200, 302)


def test_the_list_takes_the_same_queries_however_long(world: World, client: Any) -> None:
    client.force_login(world.officer)
    asked = served(world).request
    counts = []
    for more in (0, 60):
        Request.objects.bulk_create(
            Request(
                entity=world.entity, title=f"批量 {number}", cards=1, earliest_hour=world.start,
                deadline_hour=world.start + 9, mode="rigid", budget_fen=100, origin=world.region, submitted_at=NOON,
            )
            for number in range(more)
        )  # fmt: skip
        with CaptureQueriesContext(connection) as seen:
            client.get(reverse("compute:requests"), {"text": "批量"} if more else {})
        counts.append(len(seen))
    assert counts[0] == counts[1] <= LIST_QUERIES_MAX
    found = client.get(reverse("compute:requests"), {"text": asked.number}).context["page_obj"]
    assert [row.pk for row in found] == [asked.pk]


# --- accounts ---------------------------------------------------------------------------------------------------------


def test_a_balance_is_passed_on_after_its_taker_was_shown(world: World, client: Any) -> None:
    credit(world, 5_000)
    client.force_login(world.agent)
    address = reverse("compute:account_transfer", args=[world.entity.pk])
    sent = {"taker": world.other.uscc, "milli": "1.250", "idempotency_key": "t/1"}
    assert client.post(address, sent).context["taker"] == world.other
    assert accounts.balances(world.other) == {}
    for _again in range(2):
        assert client.post(address, sent | {"sign": "1"}).status_code == 302
    assert (accounts.balances(world.other), accounts.balances(world.entity)) == ({LATER: 1_250}, {LATER: 3_750})
    page = client.get(reverse("compute:account", args=[world.entity.pk]))
    assert page.context["free"] == 3_750
    assert len(page.context["moved"]) == 2


@pytest.mark.parametrize(
    ("field", "changes"), [("milli", {"milli": "1.2345"}), ("milli", {"milli": "x"}), ("taker", {"taker": "nobody"}),
                           ("milli", {"milli": "0"}), ("milli", {"milli": "-1"})]
)  # fmt: skip
def test_a_transfer_that_breaks_a_rule_moves_nothing(
    world: World, client: Any, field: str, changes: dict[str, str]
) -> None:
    credit(world, 5_000)
    client.force_login(world.agent)
    sent = {"taker": world.other.uscc, "milli": "1", "idempotency_key": "t/1", "sign": "1"} | changes
    page = client.post(reverse("compute:account_transfer", args=[world.entity.pk]), sent)
    assert field in page.context["form"].errors
    assert accounts.balances(world.entity) == {LATER: 5_000}


def test_an_account_pays_for_a_request_elsewhere(world: World, client: Any) -> None:
    credit(world, 500_000)
    client.force_login(world.agent)
    asked = {"pay_with": "account", "entity": world.entity.pk}
    form = client.get(reverse("compute:request_new"), asked).context["form"]
    assert form["pay_with"].value() == "account"
    sent = filled(world, pay_with="account")
    seen = client.post(reverse("compute:request_new"), sent).context["seen"]
    assert seen.standard_milli == accounts.standard_of_fen(123_450, 800_000)
    assert seen.covered
    assert client.post(reverse("compute:request_new"), sent | {"sign": "1"}).status_code == 302
    assert accounts.balances(world.entity)[LATER] == 500_000 - seen.standard_milli


def test_without_a_balance_the_reserve_ratio_is_no_data(world: World, client: Any) -> None:
    client.force_login(world.officer)
    page = client.get(reverse("compute:accounts"))
    assert page.context["ratio_bps"] is None
    assert page.context["index_mfen"] == 800_000


def test_what_was_drawn_from_the_account_is_contested_or_accepted_on_the_page(world: World, client: Any) -> None:
    credit(world, 500_000)
    client.force_login(world.agent)
    allocation = served(world, pay_with="account")
    with clock.moved_to(moment(world, 9)):
        delivery.report_delivery(
            SYSTEM, allocation=allocation, start_hour=world.start + 4, end_hour=world.start + 8, milli_card_hours=8_000
        )
        delivery.settle_allocation(SYSTEM, key="settle/1", allocation=allocation)
        page = client.get(reverse("compute:request", args=[allocation.request_id]))
        assert page.context["to_answer"]["own"] is False
        sent = {"reason": "", "idempotency_key": "c/1"}
        refused = client.post(reverse("compute:request_contest", args=[allocation.request_id]), sent)
        assert "reason" in refused.context["form"].errors
        address = reverse("compute:request_accept", args=[allocation.request_id])
        assert client.post(address, {"idempotency_key": "a/1"}).status_code == 302
        page = client.get(reverse("compute:request", args=[allocation.request_id]))
    assert page.context["to_answer"] is None
    assert services.balances(world.entity, services.SCH)[Kind.COMMITTED] == 0


def test_hours_that_are_not_needed_are_given_back_from_the_page(world: World, client: Any) -> None:
    client.force_login(world.agent)
    offered: Any = world.offer(8)
    allocation = world.give([(4, 20)], [(offered, 4, 20, 2)])
    with clock.moved_to(moment(world, 5.5)):
        assert client.get(reverse("compute:request", args=[allocation.request_id])).context["may_finish"]
        sent = {"hour": told(world.start + 8).replace(" ", "T"), "idempotency_key": "f/1"}
        assert client.post(reverse("compute:request_finish", args=[allocation.request_id]), sent).status_code == 302
    allocation.refresh_from_db()
    assert allocation.finished_hour == world.start + 10
