"""Pages and REST of the supermarket: open to look at, each side sees its own, and few queries whatever the size."""

import re
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from tests.compute.world import World, party
from tests.conftest import People
from tests.market.shop import bought, counted, draft, ended, listed, noon, placed, ran

from huoshui.base import clock
from huoshui.book.models import Statement
from huoshui.market import demo
from huoshui.market.actions import products
from huoshui.market.indicators import answered, delivered, median_price, orders, sold
from huoshui.market.models import CartItem, Order, Product
from huoshui.market.panel import orders_to_answer, products_to_review
from huoshui.market.templatetags.market import hour_value

QUERIES_MAX = 22


@pytest.fixture
def visitor() -> Client:
    return Client()


def signed_in(actor: Any) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


@pytest.fixture
def buyer(world: World, people: People) -> Client:
    return signed_in(people("agent", f"party:{world.entity.pk}"))


@pytest.fixture
def seller(world: World, people: People) -> Client:
    return signed_in(people("operator", f"party:{world.operator.pk}"))


@pytest.fixture(autouse=True)
def at_noon() -> Any:
    with noon():
        yield


def body(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status, path
    return response.content.decode()


def test_the_catalogue_is_open_and_names_no_buyer(world: World, visitor: Client) -> None:
    product = listed(world, about="适合训练", sla_bps=9900)
    placed(world, product)
    key = product.pk
    for path in ("/market/", f"/market/products/{key}/", f"/market/compare/?c={key}", "/market/?text=训练"):
        found = body(visitor, path)
        assert product.title in found
        assert world.entity.name not in found
    for path in ("/market/cart/", "/market/orders/", "/market/my/", "/market/checkout/"):
        assert visitor.get(path).status_code == 302


@pytest.mark.parametrize(
    "query",
    ["page=0", "page=99999999999", "page=x", "sort=magic", "memory=-1", "price_from=abc", "start=tomorrow", "c=x&c=9",
     "kind=planet&model=nix", "text=" + "长" * 200, "hours=0&cards=0", "c=" + "9" * 40, "division=999999", "sla=1"],
)  # fmt: skip
def test_nonsense_in_the_address_is_left_out(world: World, visitor: Client, query: str) -> None:
    listed(world)
    body(visitor, f"/market/?{query}")
    body(visitor, f"/market/compare/?{query}")


def test_chips_take_a_condition_away_and_facets_set_it(world: World, visitor: Client) -> None:
    listed(world, kind="cards", cards_per_unit=1)
    found = body(visitor, "/market/?kind=node&billing=hourly&text=示例")
    assert 'class="chips"' in found
    assert "billing=hourly&amp;text=" in found  # the chip of the kind leads to the address without it
    assert "kind=node&amp;kind=cards" in found  # the facet adds a value


def test_a_page_takes_few_queries_however_many_products(world: World, visitor: Client) -> None:
    def cost() -> int:
        with CaptureQueriesContext(connection) as asked:
            body(visitor, "/market/?hours=4")
        return len(asked)

    listed(world)
    body(visitor, "/market/")
    few = cost()
    for _number in range(6):
        listed(world)
    body(visitor, "/market/")
    assert cost() == few <= QUERIES_MAX


def test_the_calculator_says_what_an_order_costs_or_why_not(world: World, visitor: Client) -> None:
    product = listed(world)
    when = clock.local(clock.instant_of(world.start)).strftime("%Y-%m-%dT%H:%M")
    found = body(visitor, f"/market/products/{product.pk}/?units=2&start={when}&hours=10")
    assert "1,536.00" in found
    assert "1,505.28" in found  # less two percent
    assert "1,505.28" not in body(visitor, f"/market/products/{product.pk}/?units=2&start={when}&hours=99999")
    bought(world, product, 124, 0, 10)
    asked = f"/market/products/{product.pk}/?units=2&start={when}&hours=10"
    found = visitor.get(asked, headers={"Accept-Language": "en"}).content.decode()
    assert "Only 8 cards are free throughout this time." in found


def test_a_monthly_product_offers_months(world: World, visitor: Client) -> None:
    product = listed(world, billing="monthly", price_fen=100_000, hours_min=720, hours_max=2160)
    found = body(visitor, f"/market/products/{product.pk}/")
    assert '<option value="2160"' in found


def test_from_the_product_to_the_order(world: World, buyer: Client) -> None:
    product = listed(world)
    when = clock.local(clock.instant_of(world.start)).strftime("%Y-%m-%dT%H:%M")
    term = {"units": "2", "start": when, "hours": "4"}
    assert buyer.post(f"/market/products/{product.pk}/cart/", term | {"idempotency_key": "k1"}).status_code == 302
    assert buyer.post(f"/market/products/{product.pk}/cart/", term | {"units": "0"}).status_code == 422
    assert product.title in body(buyer, "/market/cart/")
    products.set_price(demo.ACTOR, product=product, price_fen=1000)
    assert "602.12" in body(buyer, "/market/cart/")  # what it was, beside 627.20
    (key,) = re.findall(r'name="item" value="(\d+)"', body(buyer, "/market/checkout/"))
    order = {"buyer": str(world.entity.pk), "purpose": "测试", "contract": "HT-1", "idempotency_key": "k2", "item": key}
    stale = buyer.post("/market/checkout/", order | {"expected_fen": "60212"})
    assert stale.status_code == 200
    assert not Order.objects.exists()
    last = order | {"expected_fen": "62720", "idempotency_key": "k3"}
    done = buyer.post("/market/checkout/", last)
    made = Order.objects.get()
    assert done.headers["Location"] == f"/market/orders/{made.pk}/"
    assert (made.contract, made.total_fen) == ("HT-1", 62_720)
    again = buyer.post("/market/checkout/", last)
    assert again.headers["Location"] == done.headers["Location"], "sent twice, ordered once"
    assert Order.objects.count() == 1
    assert not CartItem.objects.exists()


def test_prices_that_were_seen_are_changed_no_more(world: World, buyer: Client) -> None:
    product = listed(world)
    when = clock.local(clock.instant_of(world.start)).strftime("%Y-%m-%dT%H:%M")
    buyer.post(f"/market/products/{product.pk}/cart/", {"units": "1", "start": when, "hours": "4"})
    products.set_price(demo.ACTOR, product=product, price_fen=1000)
    buyer.post("/market/cart/see/")
    assert CartItem.objects.get().seen_fen == 8 * 4 * 1000 * 98 // 100
    buyer.post(f"/market/cart/{CartItem.objects.get().pk}/take/")
    assert not CartItem.objects.exists()


def test_the_calculator_reckons_what_is_typed_and_an_item_is_changed_in_place(world: World, buyer: Client) -> None:
    product, when = listed(world), hour_value(world.start)
    page, cart = f"/market/products/{product.pk}/", f"/market/products/{product.pk}/cart/"
    typed = {"units": "2", "start": when, "hours": "4"}
    asked = buyer.post(cart, typed | {"reckon": "1"})
    assert asked.status_code == 302
    assert "units=2" in asked["Location"]
    assert not CartItem.objects.exists()
    assert "invalid" in body(buyer, f"{page}?units=900&start={when}&hours=4")
    buyer.post(cart, typed | {"idempotency_key": "k1"})
    item = CartItem.objects.get()
    assert f"item={item.pk}" in body(buyer, "/market/cart/")
    buyer.post(cart, typed | {"units": "3", "item": str(item.pk), "idempotency_key": "k2"})
    assert CartItem.objects.get().units == 3


def test_a_cap_is_set_with_the_product_and_kept_until_the_order(world: World, buyer: Client) -> None:
    product, whole, when = listed(world), listed(world, billing="reserved"), hour_value(world.start)
    typed = {"units": "2", "start": when, "hours": "4", "cap_fen": "100"}
    cart = f"/market/products/{product.pk}/cart/"
    assert "98.00" in body(buyer, f"/market/products/{product.pk}/?{urlencode(typed)}")
    assert "id_cap_fen" not in body(buyer, f"/market/products/{whole.pk}/")
    assert buyer.post(cart, typed | {"cap_fen": "614.41"}).status_code == 422
    buyer.post(cart, typed | {"idempotency_key": "k1"})
    found = body(buyer, "/market/cart/")
    assert "cap_fen=100.00" in found
    assert "98.00" in found
    assert "98.00" in body(buyer, "/market/checkout/")
    order = {"buyer": str(world.entity.pk), "purpose": "测试", "expected_fen": "9800", "idempotency_key": "k2"}
    order["item"] = str(CartItem.objects.get().pk)
    assert buyer.post("/market/checkout/", order).status_code == 302
    made = Order.objects.get()
    assert (made.cap_fen, made.total_fen) == (10_000, 9_800)
    assert "100.00" in body(buyer, f"/market/orders/{made.pk}/")


def test_a_booking_names_the_order_that_it_came_from(world: World, buyer: Client) -> None:
    order = placed(world, listed(world, auto_accept=True))
    assert order.booking_id is not None
    assert f'href="/market/orders/{order.pk}/"' in body(buyer, f"/jobs/bookings/{order.booking_id}/")


def test_both_sides_see_the_order_and_nobody_else(world: World, buyer: Client, seller: Client, people: People) -> None:
    order = placed(world, listed(world))
    stranger = signed_in(people("agent", f"party:{party('示例别家', 'entity').pk}"))
    for client, status in ((buyer, 200), (seller, 200), (stranger, 404)):
        body(client, f"/market/orders/{order.pk}/", status)
    assert order.number not in body(stranger, "/market/orders/")
    assert buyer.post(f"/market/orders/{order.pk}/confirm/").status_code == 403
    assert seller.post(f"/market/orders/{order.pk}/confirm/").status_code == 302
    assert Order.objects.get().state == Order.State.CONFIRMED
    assert "376.32" in body(buyer, f"/market/orders/{order.pk}/extend/?hours=5")
    assert 'name="expected_fen"' not in body(buyer, f"/market/orders/{order.pk}/extend/?hours=8000"), "sold for 60 days"
    assert buyer.post(f"/market/orders/{order.pk}/extend/", {"hours": "5", "expected_fen": "37632"}).status_code == 302
    assert Order.objects.count() == 2


def test_an_order_whose_cards_are_gone_says_why_and_offers_nothing_that_would_be_refused(
    world: World, buyer: Client, seller: Client
) -> None:
    order = bought(world, listed(world))
    path, english = f"/market/orders/{order.pk}/", {"headers": {"Accept-Language": "en"}}
    assert f"{path}cancel/" in body(buyer, path)
    form = {"from_hour": hour_value(order.start_hour), "cards": "8", "reason": "failure"}
    assert seller.post(f"{path}recall/", form).status_code == 302
    shown = buyer.get(path, **english).content.decode()
    assert "the site lost these cards" in shown
    assert f"{path}cancel/" not in shown
    assert f"{path}recall/" not in body(seller, path)


def test_an_operator_turns_an_order_down_with_a_reason(world: World, buyer: Client, seller: Client) -> None:
    order = placed(world, listed(world))
    body(seller, f"/market/orders/{order.pk}/refuse/")
    assert seller.post(f"/market/orders/{order.pk}/refuse/", {"note": "机房维护"}).status_code == 302
    assert "机房维护" in body(buyer, f"/market/orders/{order.pk}/")


def test_the_settled_order_shows_its_statement_and_takes_one_comment(
    world: World, buyer: Client, visitor: Client
) -> None:
    order = bought(world, listed(world))
    ran(world, order, 7200)
    ended(world, order)
    found = body(buyer, f"/market/orders/{order.pk}/")
    assert str(Statement.objects.get().number) in found
    assert "2:00:00" in found
    assert buyer.post(f"/market/orders/{order.pk}/comment/", {"text": "很稳定"}).status_code == 302
    assert buyer.post(f"/market/orders/{order.pk}/comment/", {"text": "再说一次"}).status_code == 200
    shown = body(visitor, f"/market/products/{order.product_id}/")
    assert "很稳定" in shown
    assert "再说一次" not in shown


def test_an_operator_draws_up_changes_and_prices_a_product(world: World, seller: Client) -> None:
    values = {
        "pool": str(world.pool.pk), "code": "page", "title": "示例整机", "kind": "node", "billing": "hourly",
        "price_fen": "9.60", "tiers": "64/24/9.00\n64/720/8.40", "cards_per_unit": "8", "hours_min": "1",
        "hours_max": "720", "vat_bps": "6", "sla_bps": "99.5", "sla_compensation_bps": "50", "interconnect": "nvlink",
    }  # fmt: skip
    body(seller, "/market/my/new/")
    assert seller.post("/market/my/new/", values | {"tiers": "64/24"}).status_code == 200
    assert seller.post("/market/my/new/", values).status_code == 302
    made = Product.objects.get()
    assert (made.price_fen, made.sla_bps, made.tiers.count(), made.cpu_cores) == (960, 9950, 2, None)
    form = body(seller, f"/market/my/{made.pk}/change/")
    assert "64 / 24 / 9.00" in form
    assert 'value="99.5"' in form
    engine = f'href="/jobs/engines/{world.pool.site_id}/"'
    assert engine in body(seller, f"/market/my/{made.pk}/")
    assert seller.post(f"/market/my/{made.pk}/submit/").status_code == 409
    counted(world.pool.site)
    assert engine not in body(seller, f"/market/my/{made.pk}/")
    assert seller.post(f"/market/my/{made.pk}/submit/").status_code == 302
    assert seller.post(f"/market/my/{made.pk}/approve/").status_code == 403
    assert seller.post(f"/market/my/{made.pk}/price/", {"price_fen": "8.00", "tiers": ""}).status_code == 302
    assert Product.objects.get().price_fen == 800
    assert seller.post(f"/market/my/{made.pk}/explode/").status_code == 404


def test_a_file_is_shown_first_and_taken_in_when_confirmed(world: World, seller: Client) -> None:
    example = seller.get("/market/my/upload/csv/").content.decode("utf-8-sig").splitlines()
    text = "\n".join([example[0], example[1].replace("hupan", "s").replace("ascend-910b,", "test,")])
    sent = {"party": str(world.operator.pk), "file": SimpleUploadedFile("p.csv", text.encode())}
    shown = seller.post("/market/my/upload/", sent).content.decode()
    assert not Product.objects.exists()
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', shown))
    assert fields["confirmed"] == "1", shown
    assert seller.post("/market/my/upload/", fields).status_code == 302
    assert Product.objects.get().code == "ascend-node-hourly"


def test_reviewers_and_operators_are_told_what_waits(world: World, people: People) -> None:
    placed(world, listed(world))
    made = products.draft_product(demo.ACTOR, pool=world.pool, draft=draft())
    products.submit_product(demo.ACTOR, product=made)
    operator, officer = people("operator", f"party:{world.operator.pk}"), people("officer")
    assert len(list(orders_to_answer(operator))) == 1
    assert list(orders_to_answer(officer)) == []
    assert len(list(products_to_review(officer))) == 1
    assert list(products_to_review(operator)) == []


def test_indicators_say_nothing_where_there_is_nothing(world: World) -> None:
    at = clock.now()
    assert (orders(at), sold(at), median_price(at), delivered(at), answered(at)) == (0, 0, None, None, None)
    order = bought(world, listed(world))
    at = clock.now()
    assert (orders(at), sold(at), median_price(at), answered(at)) == (1, 8 * 4 * 1000, 960_000, 10_000)
    ended(world, order)
    assert delivered(at) == 10_000


# --- REST -------------------------------------------------------------------------------------------------------------


def test_rest_searches_without_a_token_and_orders_with_one(world: World, visitor: Client, people: People) -> None:
    product = listed(world, auto_accept=True)
    found = visitor.get("/api/market/products", {"text": "示例", "kind": ["node"], "sort": "pflops"}).json()
    assert (found["total"], found["items"][0]["id"], found["items"][0]["rating"]) == (1, product.pk, None)
    start = clock.instant_of(world.start).isoformat()
    term = {"units": 1, "start": start, "hours": 4}
    quoted = visitor.get(f"/api/market/products/{product.pk}/quote", term).json()
    assert (quoted["gross_fen"], quoted["total_fen"], quoted["free_cards"]) == (30_720, 30_106, 1000)
    capped = visitor.get(f"/api/market/products/{product.pk}/quote", term | {"cap_fen": 10_000}).json()
    assert (capped["gross_fen"], capped["total_fen"]) == (30_720, 9_800)
    beyond = visitor.get(f"/api/market/products/{product.pk}/quote", term | {"cap_fen": 30_721}).json()
    assert [problem["field"] for problem in beyond["problems"]] == ["cap_fen"]
    client = Client()
    client.force_login(people("agent", f"party:{world.entity.pk}").user)
    order = {"buyer": world.entity.pk, "product": product.pk, "purpose": "接口", "expected_fen": 30_106, **term}

    def place(key: str, **more: Any) -> Any:
        return client.post(
            "/api/market/orders", order | more, content_type="application/json", headers={"Idempotency-Key": key}
        )

    assert place("a", expected_fen=1).json()["code"] == "price_changed"
    made = place("b").json()
    assert (made["state"], made["number"]) == ("confirmed", f"S{made['id']:06d}")
    assert place("b").json() == made
    assert client.get("/api/market/orders").json()["items"][0]["id"] == made["id"]
    assert visitor.get("/api/market/orders").status_code == 401


def test_the_needs_estimate_leads_to_the_products_that_fit(world: World, buyer: Client) -> None:
    product = listed(world)
    found = body(buyer, "/compute/requests/estimate/?text=微调 14B 模型，2000 万 tokens")
    address = re.search(r'href="(/market/\?model=test[^"]*)"', found)
    assert address is not None
    assert product.title in body(buyer, address[1].replace("&amp;", "&").replace("cards=1&", "cards=8&"))
