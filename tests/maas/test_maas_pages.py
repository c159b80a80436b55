"""Pages, files and REST of the model service: open where they should be, closed where not, everywhere the same."""

import csv
import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from tests.compute.world import party
from tests.conftest import People
from tests.maas.service import SYSTEM, Gateway, Service, build

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.secrets import token_digest
from huoshui.cases import todo
from huoshui.indicators import catalogue
from huoshui.maas import checking, measuring, probing, queries
from huoshui.maas.actions import bills, keys, upstreams
from huoshui.maas.instants import DAY_MS, ms_of
from huoshui.maas.models import UFEN, Call, Key, Offer, Wallet

QUERIES_MAX = 25
PAGES = ("models", "quality", "method", "wallets", "keys", "usage", "calls", "bills", "upstreams")


@pytest.fixture
def agent(service: Service, people: People) -> Actor:
    return people("agent", f"party:{service.firm.pk}")


@pytest.fixture
def stranger(service: Service, people: People) -> Actor:
    return people("agent", f"party:{party('示例别家', 'entity').pk}")


def get(client: Client, name: str, *args: Any, status: int = 200, query: str = "") -> str:
    answer = client.get(reverse(f"maas:{name}", args=args) + query, headers={"Accept-Language": "en"})
    assert answer.status_code == status, answer.content.decode()[:2_000]
    return answer.content.decode()


def post(client: Client, page: str, /, *args: Any, status: int = 302, **body: Any) -> Any:
    answer = client.post(reverse(f"maas:{page}", args=args), body, headers={"Accept-Language": "en"})
    assert answer.status_code == status, answer.content.decode()[:2_000]
    return answer


def test_models_prices_and_quality_are_open_to_everybody(service: Service, client: Client) -> None:
    assert "8.00" in get(client, "models")
    assert "example-one" in get(client, "model", "example-chat")
    assert "no data" in get(client, "quality")
    assert "0221-2025" in get(client, "method")
    get(client, "model", "nobody-offers-it", status=404)
    for name in ("wallets", "keys", "usage", "calls", "bills", "upstreams"):
        assert client.get(reverse(f"maas:{name}")).status_code == 302


def test_prices_stay_public_when_the_centre_pauses_their_provider(service: Service, client: Client) -> None:
    given = {"provider": service.provider, "base_url": "http://127.0.0.1:9", "secret": "", "region": service.region}
    service.offer_of(upstreams.register_upstream(SYSTEM, name="unseen", **given), "example-chat", 1, 1)
    upstreams.switch_upstream(SYSTEM, upstream=service.upstream, active=False)
    page = get(client, "model", "example-chat")
    assert "example-one" in page
    assert "8.00" in page
    assert "paused" in page
    assert "unseen" not in page


def test_the_quality_table_shows_what_was_measured(service: Service, client: Client) -> None:
    cell = measuring.cells()[0]
    rows = [probing.Measured("ok", 200, 123_400, 1_123_400, cell.bucket, 11), probing.Measured("timeout")]
    measuring.record_probes(SYSTEM, cell=cell, batch="b", rows=rows)
    for query in ("", "?by=cell&sort=ttft", "?sort=nonsense"):
        page = get(client, "quality", query=query)
        assert "1,123" in page
        assert "50%" in page
        assert "timed out 1" in page
    table = list(csv.reader(io.StringIO(client.get(reverse("maas:quality_file", args=["csv"])).content.decode()[1:])))
    told = dict(zip(table[0], table[1], strict=True))
    assert told["TTFT p50 (ms)"] == "123.400"
    assert told["TPOT p50 (ms)"] == "100.000"
    public = client.get("/api/models/quality").json()
    assert public[0]["ttft"]["p99"] == 123_400
    assert public[0]["errors"] == {"timeout": 1}


def test_a_firm_sets_money_aside_makes_a_key_and_takes_the_rest_back(
    service: Service, client: Client, agent: Actor
) -> None:
    client.force_login(agent.user)
    post(client, "fund", party=service.firm.pk, amount_fen="12.34")
    assert Wallet.objects.get(pk=service.wallet.pk).funded_ufen == 1_012_34 * UFEN
    made = post(
        client, "key_new", status=200, wallet=service.wallet.pk, name="客服系统", agent="on", days=30,
        models=["example-chat"], routing="price", period="month", budget_fen="5.00", calls_per_minute=60,
    )  # fmt: skip
    assert made["Cache-Control"] == "no-store"
    key = Key.objects.get(name="客服系统")
    secret = made.context["secret"]
    assert key.digest == token_digest(secret)
    assert (key.allowed_models, key.budget_ufen, key.period, key.agent) == (
        ["example-chat"], 500 * UFEN, "month", True,
    )  # fmt: skip
    shown = made.content.decode()
    assert secret in shown
    assert "/v1/chat/completions" in shown
    again = get(client, "key", key.pk)
    assert secret not in again
    assert "curl" in again
    post(client, "take_back", service.wallet.pk, amount_fen="12.34")
    assert "not free" in post(client, "take_back", service.wallet.pk, status=200, amount_fen="5000").content.decode()
    rotated = post(client, "key_rotate", key.pk, status=200)
    assert rotated.context["secret"] != secret
    post(client, "key_revoke", key.pk)
    assert "revoked" in get(client, "key", key.pk)
    assert list(checking.differences()) == []


def test_usage_bills_and_files_tell_the_same(service: Service, client: Client, agent: Actor) -> None:
    today = ms_of(clock.day_start(clock.today()))
    costs = [
        Gateway.call(service.key, service.offer, 1_000_000, 10_000, 1_000, started_ms=today - DAY_MS),
        Gateway.call(service.key, service.offer, 500, 77, started_ms=today),
    ]
    Gateway.release(Gateway.hold(service.key, service.offer, 5_000, started_ms=today))
    client.force_login(agent.user)
    page = get(client, "usage")
    total = f"{sum(costs) // 10_000 / 10_000:.4f}"
    assert total in page
    assert page.count("<svg") >= 3
    answer = client.get(reverse("maas:usage_file", args=["csv"]), headers={"Accept-Language": "en"})
    rows = list(csv.reader(io.StringIO(answer.content.decode()[1:])))
    assert [row[0] for row in rows[1:]] == [str(clock.today()), str(clock.today() - timedelta(days=1))]
    assert [(row[3], row[4]) for row in rows[1:]] == [("2", "1"), ("1", "0")]
    assert sum(round(float(row[-1]) * 100 * UFEN) for row in rows[1:]) == sum(costs)
    assert len(client.get(reverse("maas:call_file", args=["xlsx"])).content) > 1_000
    assert "error of the upstream" in get(client, "calls", query="?outcome=upstream_error")
    assert "No calls here" in get(client, "calls", query=f"?since={clock.today() + timedelta(days=1)}")
    post(client, "bill_now", service.wallet.pk)
    (bill,) = service.wallet.bills.all()
    assert bill.cost_ufen == sum(costs)
    assert bill.number in get(client, "bills")
    assert f"{bill.billed_fen / 100:.2f}" in get(client, "bill", bill.pk)
    assert client.get(reverse("book:statement", args=[bill.statement_id])).status_code == 200
    post(client, "bill_now", service.wallet.pk)
    assert service.wallet.bills.count() == 1


def test_a_budget_that_begins_anew_is_shown_anew(service: Service, client: Client, agent: Actor) -> None:
    """The gateway begins a period with its first call; pages and REST do not wait for it."""
    today = ms_of(clock.day_start(clock.today()))
    yesterday = service.make_key(scope=keys.Scope(period="day", budget_fen=200))
    Gateway.call(yesterday, service.offer, 1_000_000, 0, started_ms=today - DAY_MS)
    Key.objects.filter(pk=yesterday.pk).update(period_start_ms=today - DAY_MS)
    client.force_login(agent.user)

    def told() -> tuple[int, int, str]:
        rows = client.get("/api/models/keys").json()["items"]
        (spent,) = (row["spent_ufen"] for row in rows if row["id"] == yesterday.pk)
        left = client.get(reverse("maas:key", args=[yesterday.pk])).context["left_ufen"]
        return spent, left, get(client, "keys")

    spent, left, listed = told()
    assert (spent, left) == (0, 200 * UFEN)
    assert "2.0000" not in listed
    Key.objects.filter(pk=yesterday.pk).update(period_start_ms=today)
    spent, left, listed = told()
    assert (spent, left) == (200 * UFEN, 0)
    assert "2.0000" in listed


def test_page_and_file_of_usage_begin_on_the_same_day(service: Service, client: Client, agent: Actor) -> None:
    today = ms_of(clock.day_start(clock.today()))
    for days in (0, 29, 30):
        Gateway.call(service.key, service.offer, 1_000, 0, started_ms=today - days * DAY_MS)
    client.force_login(agent.user)
    for query, count in (("", 2), (f"?since={clock.today() - timedelta(days=40)}", 3), ("?model=example-chat", 3)):
        answer = client.get(reverse("maas:usage_file", args=["csv"]) + query)
        assert len(answer.content.decode().splitlines()) == 1 + count
        assert client.get(reverse("maas:usage") + query).context["total"].calls == count


def test_totals_count_what_tables_leave_out(
    service: Service, client: Client, agent: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = ms_of(clock.day_start(clock.today()))
    for days in range(3):
        Gateway.call(service.make_key(), service.offer, 1_000, 0, started_ms=today - days * DAY_MS)
    monkeypatch.setattr(queries, "GROUPS_MAX", 2)
    monkeypatch.setattr(queries, "USAGE_ROWS_MAX", 2)
    client.force_login(agent.user)
    answer = client.get(reverse("maas:usage"), headers={"Accept-Language": "en"})
    assert (answer.context["total"].calls, len(answer.context["by_day"]), len(answer.context["by_key"])) == (3, 2, 2)
    assert "first 2 rows" in answer.content.decode()
    refused = client.get(reverse("maas:usage_file", args=["csv"]), headers={"Accept-Language": "en"})
    assert refused.status_code == 409
    assert "More than 2 rows" in refused.content.decode()


def test_what_belongs_to_another_firm_is_not_there(service: Service, client: Client, stranger: Actor) -> None:
    Gateway.call(service.key, service.offer, 1_000_000, 0)
    bill = bills.bill(SYSTEM, wallet=service.wallet)
    assert bill is not None
    client.force_login(stranger.user)
    for name, pk in (("wallet", service.wallet.pk), ("key", service.key.pk), ("bill", bill.pk)):
        get(client, name, pk, status=404)
    for name in ("key_revoke", "key_rotate", "bill_now"):
        pk = service.wallet.pk if name == "bill_now" else service.key.pk
        post(client, name, pk, status=404)
    for name in ("wallets", "keys", "calls", "bills", "usage"):
        page = get(client, name)
        assert service.firm.name not in page
        assert service.key.prefix not in page
    get(client, "upstream", service.upstream.pk, status=404)


def test_a_provider_registers_and_an_officer_lets_it_take_calls(
    service: Service, client: Client, people: People
) -> None:
    client.force_login(people("operator", f"party:{service.provider.pk}").user)
    post(
        client, "upstream_new", provider=service.provider.pk, name="second", base_url="https://second.example.com",
        secret="", region=service.region.pk, concurrency_max=4, connect_seconds=5, first_token_seconds=60,
        gap_seconds=30,
    )  # fmt: skip
    made = service.provider.upstreams.get(name="second")
    page = get(client, "upstream", made.pk)
    assert "waits for the centre" in page
    assert "Let it take calls" not in page
    post(
        client, "offer_new", made.pk, model="second-chat", upstream_model="chat", kind="chat", input_fen="0.50",
        output_fen="2.00", cached_fen="0.05", context_tokens=8_192, output_tokens_max=4_096,
    )  # fmt: skip
    made_offer = Offer.objects.get(model="second-chat")
    assert (made_offer.output_fen, made_offer.private) == (200, False)
    post(client, "upstream_approve", made.pk, status=403)
    officer = people("officer")
    assert [row.url for row in todo.for_actor(officer) if "second" in row.title] == [
        reverse("maas:upstream", args=[made.pk])
    ]
    client.force_login(officer.user)
    post(client, "upstream_approve", made.pk)
    assert "second-chat" in get(client, "models")
    post(client, "freeze", service.wallet.pk, reason="核对中")
    assert Wallet.objects.get(pk=service.wallet.pk).frozen


def test_a_private_price_is_shown_to_its_provider_only(service: Service, client: Client, people: People) -> None:
    client.force_login(people("operator", f"party:{service.provider.pk}").user)
    assert 'name="private"' in get(client, "offer_new", service.upstream.pk)
    post(
        client, "offer_new", service.upstream.pk, model="own-chat", upstream_model="chat", kind="chat", private="on",
        input_fen="0.50", output_fen="2.00", cached_fen="0.05", context_tokens=8_192, output_tokens_max=4_096,
    )  # fmt: skip
    page = get(client, "upstream", service.upstream.pk)
    assert "own-chat" in page
    assert "private" in page
    assert reverse("maas:model", args=["own-chat"]) not in page, "it has no public page"
    client.logout()
    for name in ("models", "quality"):
        assert "own-chat" not in get(client, name)
    get(client, "model", "own-chat", status=404)
    for path in ("offers", "quality"):
        assert "own-chat" not in client.get(f"/api/models/{path}").content.decode()


def test_who_has_little_left_and_whose_key_ends_is_told(service: Service, agent: Actor, people: People) -> None:
    assert todo.for_actor(agent) == []
    Gateway.call(service.key, service.offer, 200_000_000, 0)
    assert todo.for_actor(agent) == [], "a week's use is left"
    Gateway.hold(service.key, service.offer, 200_00 * UFEN)
    Key.objects.update(expires_ms=ms_of(clock.now() + timedelta(days=3)))
    urls = {row.url for row in todo.for_actor(agent)}
    assert urls == {
        reverse("maas:wallet", args=[service.wallet.pk]), reverse("maas:key", args=[service.key.pk])
    }  # fmt: skip
    assert not any("/models/keys/" in row.url for row in todo.for_actor(people("officer")))


def test_lists_ask_the_database_a_bounded_number_of_times(
    service: Service, client: Client, agent: Actor, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        Gateway.call(service.make_key(), service.offer, 1_000 + number, 10)
    bills.bill(SYSTEM, wallet=service.wallet)
    client.force_login(agent.user)
    for name in PAGES:
        with django_assert_max_num_queries(QUERIES_MAX):
            client.get(reverse(f"maas:{name}"), follow=True)


def test_the_page_of_an_entity_has_its_wallet(service: Service, client: Client, agent: Actor) -> None:
    client.force_login(agent.user)
    page = client.get(reverse("registry:party", args=[service.firm.pk])).content.decode()
    assert reverse("maas:wallet", args=[service.wallet.pk]) in page


def test_indicators_count_the_day_and_say_when_there_is_no_data(db: None) -> None:
    end = clock.day_start(clock.today()) + timedelta(days=1)
    assert [catalogue.get(f"maas.{code}").compute(end) for code in ("calls", "cost", "success", "keys")] == [None] * 4
    service = build()
    now = ms_of(clock.day_start(clock.today()))
    Gateway.call(service.key, service.offer, 1_000_000, 1_000, started_ms=now)
    Gateway.release(Gateway.hold(service.key, service.offer, 5_000, started_ms=now))
    told = {code: catalogue.get(f"maas.{code}").compute(end) for code in (
        "calls", "tokens", "cost", "success", "keys", "unexplained",
    )}  # fmt: skip
    assert told == {"calls": 2, "tokens": 1_001_000, "cost": 200, "success": 5_000, "keys": 1, "unexplained": 0}


def test_the_api_does_what_the_pages_do(service: Service, client: Client, agent: Actor) -> None:
    client.force_login(agent.user)

    def send(path: str, number: int, **body: Any) -> Any:
        return client.post(
            f"/api/models/{path}", json.dumps(body), content_type="application/json",
            headers={"Idempotency-Key": f"api-{number}"},
        )  # fmt: skip

    assert client.get("/api/models/offers").json()[0]["output_fen"] == 800
    assert send("wallets/fund", 1, party=service.firm.pk, amount_fen=500).json()["funded_ufen"] == 1_005_00 * UFEN
    assert send("wallets/fund", 1, party=service.firm.pk, amount_fen=500).json()["funded_ufen"] == 1_005_00 * UFEN
    made = send("keys", 2, wallet=service.wallet.pk, name="程序", agent=True, models=["example-chat"])
    assert made.status_code == 200
    key = Key.objects.get(pk=made.json()["key"]["id"])
    assert key.digest == token_digest(made.json()["secret"])
    for number in range(3):
        Gateway.call(key, service.offer, 100_000, number, started_ms=1_700_000_000_000)
    first = client.get("/api/models/calls?limit=2").json()
    rest = client.get(f"/api/models/calls?limit=2&after={first['next']}").json()
    assert {row["id"] for row in first["items"] + rest["items"]} == set(Call.objects.values_list("pk", flat=True))
    assert rest["next"] is None
    billed = send(f"wallets/{service.wallet.pk}/bill", 3).json()["bill"]
    assert billed["billed_fen"] == 60
    assert send(f"wallets/{service.wallet.pk}/bill", 4).json()["bill"] is None
    refused = send(f"wallets/{service.wallet.pk}/take-back", 5, amount_fen=10**6)
    assert (refused.status_code, refused.json()["code"]) == (409, "over_wallet")
    assert send(f"keys/{key.pk}/revoke", 6).json()["revoked_ms"] is not None
