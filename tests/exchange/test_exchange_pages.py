"""Pages and API of the exchange: whoever may, sees; whoever may not, does not; each list in few queries."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from tests.compute.world import NOON, SYSTEM
from tests.exchange.bourse import PRICE, Bourse, held

from huoshui.base import clock
from huoshui.compute.models import CardModel, Pool
from huoshui.exchange.actions import enquiries
from huoshui.exchange.models import Alert, Auction, Enquiry, Listing, Offer, Order, Trade
from huoshui.registry.models import Party

QUERIES_MAX = 40
Sign = Callable[[str, str], Client]


@pytest.fixture
def sign(people: Any) -> Sign:
    """The browser of a person with a role in a scope."""

    def start(role: str, scope: str = "*") -> Client:
        client = Client()
        client.force_login(people(role, scope).user)
        return client

    return start


def scope(party: Party) -> str:
    return f"party:{party.pk}"


def local(hour_or_instant: Any) -> str:
    at = clock.instant_of(hour_or_instant) if isinstance(hour_or_instant, int) else hour_or_instant
    return clock.local(at).strftime("%Y-%m-%dT%H:%M")


def window_of(bourse: Bourse) -> dict[str, str]:
    return {name: local(hour) for name, hour in bourse.window.items()} | {"expires_at": local(bourse.expires)}


def test_a_site_lists_and_a_firm_buys_through_the_pages(bourse: Bourse, sign: Sign) -> None:
    with clock.moved_to(NOON):
        site, firm = sign("operator", scope(bourse.operator)), sign("agent", scope(bourse.firms[0]))
        form = {"pool": bourse.world.pool.pk, "lots": 4, "price_mfen": "20.00", "billing": "whole", **window_of(bourse)}
        answer = site.post("/exchange/listings/sell/", form | {"idempotency_key": "s"})
        listing = Listing.objects.get()
        assert answer["Location"] == f"/exchange/listings/{listing.pk}/"
        assert listing.price_mfen == PRICE
        shown = firm.get(answer["Location"]).content.decode()
        assert 'name="lots"' in shown
        answer = firm.post(answer["Location"], {"party": bourse.firms[0].pk, "lots": 3, "idempotency_key": "t"})
        trade = Trade.objects.get()
        assert answer["Location"] == f"/exchange/trades/{trade.pk}/"
        assert "20.0000" in firm.get(answer["Location"]).content.decode()
        assert firm.get(f"/exchange/listings/resell/{trade.booking_id}/").status_code == 200
        assert sign("agent", scope(bourse.firms[1])).get(answer["Location"]).status_code == 404


def test_the_prices_allowed_stand_beside_the_field(bourse: Bourse, sign: Sign) -> None:
    english = {"headers": {"Accept-Language": "en"}}
    bought = bourse.take(bourse.sell(4), bourse.firms[0], 4)
    auction = bourse.auction()
    with clock.moved_to(auction.opens_at + timedelta(minutes=1)):
        firm, site = sign("agent", scope(bourse.firms[0])), sign("operator", scope(bourse.operator))
        resale = f"listings/resell/{bought.booking_id}/"
        for client, path in ((site, "listings/sell/"), (firm, "listings/seek/"), (firm, resale), (firm, "auctions/1/")):
            assert "From 14.00 to 26.00 yuan." in client.get(f"/exchange/{path}", **english).content.decode(), path
        assert "From" in firm.get("/exchange/listings/balance/", **english).content.decode()
        other = CardModel.objects.create(
            code="other", name="另一型号", memory_gib=32, fp16_tflops=200, domestic=True, watts=300
        )
        Pool.objects.create(site=bourse.world.pool.site, card_model=other, cards=8, list_price_fen=1000)
        page = firm.get("/exchange/listings/seek/", **english).content.decode()
        assert "What is allowed stands below." in page
        for part in ("另一型号", "7.0000", "13.0000", "14.0000", "26.0000"):
            assert part in page


def test_a_refusal_stands_in_the_form_and_in_the_alerts_of_both(bourse: Bourse, sign: Sign) -> None:
    with clock.moved_to(NOON):
        site = sign("operator", scope(bourse.operator))
        form = {"pool": bourse.world.pool.pk, "lots": 4, "price_mfen": "99.00", "billing": "whole", **window_of(bourse)}
        page = site.post("/exchange/listings/sell/", form | {"idempotency_key": "s"})
        assert "26.00" in page.content.decode()
        assert Alert.objects.get().code == "price_limit"
        assert "99.00" in site.get("/exchange/mine/").content.decode()
        officer = sign("officer")
        assert "price_limit" in officer.get("/exchange/monitor/").content.decode()
        assert site.get("/exchange/monitor/").status_code == 403


def test_a_sealed_order_is_on_no_page_but_its_partys(bourse: Bourse, sign: Sign) -> None:
    auction = bourse.auction()
    with clock.moved_to(auction.opens_at + timedelta(minutes=1)):
        firm, other = sign("agent", scope(bourse.firms[0])), sign("agent", scope(bourse.firms[1]))
        form = {"party": bourse.firms[0].pk, "side": "buy", "lots": 7, "price_mfen": "21.35", "idempotency_key": "o"}
        assert firm.post("/exchange/auctions/1/", form).status_code == 302
        assert Order.objects.get().price_mfen == 2_135_000
        for path in ("/exchange/auctions/1/", "/exchange/mine/"):
            assert "21.3500" in firm.get(path).content.decode(), path
        for client in (other, sign("officer"), sign("auditor"), sign("administrator")):
            for path in ("/exchange/auctions/1/", "/exchange/mine/", "/exchange/", "/exchange/auctions/"):
                assert "21.35" not in client.get(path).content.decode(), path
            answer = client.get("/api/exchange/auctions/1/orders")
            assert answer.status_code in (200, 403)
            assert "2135000" not in answer.content.decode()
        assert client.get(f"/exchange/orders/{Order.objects.get().pk}/proof/").status_code in (403, 404)


def test_an_auction_from_announcement_to_the_public_page(bourse: Bourse, sign: Sign) -> None:
    with clock.moved_to(NOON):
        first = sign("officer")
        form = {
            "card_model": bourse.world.pool.card_model.pk, "region": bourse.world.region.pk, "billing": "whole",
            "day": "2026-03-02", "session": "afternoon", "idempotency_key": "a",
            **{name: local(hour) for name, hour in bourse.window.items()},
        }  # fmt: skip
        assert first.post("/exchange/auctions/new/", form)["Location"] == "/exchange/auctions/1/"
        assert Client().get("/exchange/public/1/").status_code == 404
    auction = Auction.objects.get()
    bourse.order(auction, bourse.operator, "sell", 3)
    bourse.order(auction, bourse.firms[0], "buy", 3)
    bourse.cleared(auction)
    with clock.moved_to(auction.closes_at + timedelta(minutes=5)):
        assert first.post("/exchange/auctions/1/publish/", {"idempotency_key": "p"}).status_code == 409
        assert sign("officer").post("/exchange/auctions/1/publish/", {"idempotency_key": "p"}).status_code == 302
        public = Client().get("/exchange/public/1/").content.decode()
        assert "<svg" in public
        assert bourse.firms[0].name not in public
        told = json.loads(Client().get("/exchange/public/1/document/").content)
        assert (told["statement"]["price"], told["statement"]["volume"]) == (PRICE, 3)
        assert "message good" in sign("auditor").get("/exchange/auctions/1/verify/").content.decode()


def test_an_enquiry_from_need_to_award_through_the_pages(bourse: Bourse, sign: Sign) -> None:
    assert bourse.pool2 is not None
    with clock.moved_to(NOON):
        buyer, site = sign("agent", scope(bourse.firms[0])), sign("operator", scope(bourse.operator))
        other = sign("operator", scope(bourse.pool2.site.operator))
        form = {
            "party": bourse.firms[0].pk, "title": "质检推理", "cards": 4, "budget_fen": "900.00", "billing": "used",
            "card_models": [bourse.world.pool.card_model.pk], "regions": [bourse.world.region.pk],
            "closes_at": local(NOON + timedelta(hours=8)), "weight_price": 70, "weight_firmness": 30,
            "weight_throughput": 0, "weight_memory": 0, "weight_record": 0, "idempotency_key": "q",
            **{name: local(hour) for name, hour in bourse.window.items()},
        }  # fmt: skip
        answer = buyer.post("/exchange/enquiries/new/", form)
        path = answer["Location"]
        assert Enquiry.objects.get().weights == {"price": 7_000, "firmness": 3_000}
        offer = {"pool": bourse.world.pool.pk, "price_mfen": "18.75", "idempotency_key": "f"}
        assert "From 14.00 to 22.50 yuan." in site.get(path, headers={"Accept-Language": "en"}).content.decode()
        assert site.post(path, offer).status_code == 302
        assert other.post(path, offer | {"pool": bourse.pool2.pk, "price_mfen": "19.45"}).status_code == 302
        assert "18.7500" in site.get(path).content.decode()
        for client in (buyer, other, sign("officer"), sign("auditor")):
            assert "18.75" not in client.get(path).content.decode()
    enquiry = Enquiry.objects.get()
    with clock.moved_to(enquiry.closes_at + timedelta(minutes=1)):
        enquiries.open_offers(SYSTEM, key="open", enquiry=enquiry)
        ranking = buyer.get(path).content.decode()
        assert "18.7500" in ranking
        assert "19.4500" in ranking
        best = Offer.objects.get(rank=1)
        done = buyer.post(f"{path}award/", {"offer": best.pk, "reason": "", "idempotency_key": "w"})
        assert done["Location"].startswith("/exchange/trades/")
        lost = other.get(path).content.decode()
        assert "19.4500" in lost
        assert "18.7500" not in lost, "an unsuccessful seller sees the winner's points, not its price"


PAGES = ["", "rules/", "auctions/", "enquiries/", "trades/", "mine/"]


@pytest.mark.parametrize("full", [False, True])
def test_every_page_opens_empty_and_full_in_few_queries(
    bourse: Bourse, sign: Sign, django_assert_max_num_queries: Any, full: bool
) -> None:
    if full:
        for index in range(6):
            bourse.take(bourse.sell(4, PRICE + index * 5_000), bourse.firms[index % 4], 2)
        bourse.seek(bourse.firms[0], 2, PRICE * 9 // 10)
        bourse.auction()
    with clock.moved_to(NOON):
        for role, where in (("agent", scope(bourse.firms[0])), ("operator", scope(bourse.operator))):
            client = sign(role, where)
            for path in [*PAGES, "listings/sell/", "listings/seek/", "listings/balance/", "enquiries/new/"]:
                with django_assert_max_num_queries(QUERIES_MAX):
                    assert client.get(f"/exchange/{path}").status_code == 200, path
        officer = sign("officer")
        for path in ["", "rules/", "auctions/", "auctions/new/", "enquiries/", "trades/", "monitor/"]:
            with django_assert_max_num_queries(QUERIES_MAX):
                assert officer.get(f"/exchange/{path}").status_code == 200, path


def test_the_api_sells_and_takes_with_keys_and_plain_codes(bourse: Bourse, people: Any) -> None:
    site, firm = people("operator", scope(bourse.operator)), people("agent", scope(bourse.firms[0]))

    def call(actor: Any, path: str, body: dict[str, Any], key: str) -> Any:
        client = Client()
        client.force_login(actor.user)
        return client.post(
            f"/api/exchange/{path}", json.dumps(body), content_type="application/json", headers={"Idempotency-Key": key}
        )

    def at(hour: int) -> str:
        return clock.instant_of(hour).isoformat()

    body = {
        "party": bourse.operator.pk, "pool": bourse.world.pool.pk, "lots": 4, "price_mfen": PRICE,
        "start": at(bourse.window["start_hour"]), "end": at(bourse.window["end_hour"]),
        "expires_at": bourse.expires.isoformat(),
    }  # fmt: skip
    with clock.moved_to(NOON):
        made = call(site, "listings/sell", body, "1").json()
        assert call(site, "listings/sell", body, "1").json() == made, "the same key repeats nothing"
        assert Listing.objects.count() == 1
        take = {"party": bourse.firms[0].pk, "lots": 4}
        trade = call(firm, f"listings/{made['id']}/take", take, "2").json()
        assert (trade["lots"], trade["price_mfen"], trade["seller"]) == (4, PRICE, bourse.operator.pk)
        assert call(firm, f"listings/{made['id']}/take", take, "2").json() == trade, "a lost answer is repeated"
        again = call(firm, f"listings/{made['id']}/take", take, "3")
        assert again.json()["code"] == "listing_state"
        assert call(firm, "listings/sell", body, "4").status_code == 404, "another party's"
        outside = call(site, "listings/sell", body | {"price_mfen": PRICE * 2}, "5")
        assert (outside.status_code, outside.json()["code"]) == (409, "price_limit")


def test_an_operator_takes_cards_of_a_trade_back_on_the_page_and_by_the_api(bourse: Bourse, sign: Sign) -> None:
    trade = bourse.take(bourse.sell(4), bourse.firms[0], 4)
    path, hour = f"/exchange/trades/{trade.pk}/", bourse.window["start_hour"] + 4
    form = {"from_hour": local(hour), "cards": 3, "reason": "failure", "idempotency_key": "r"}
    with clock.moved_to(NOON):
        site, firm = sign("operator", scope(bourse.operator)), sign("agent", scope(bourse.firms[0]))
        assert f"{path}recall/" in site.get(path).content.decode()
        assert f"{path}recall/" not in firm.get(path).content.decode()
        assert firm.post(f"{path}recall/", form).status_code == 404
        assert "recall" not in site.get(f"{path}recall/").content.decode().split("<select")[1].split("</select>")[0]
        assert "has no cards then" in site.post(
            f"{path}recall/", form | {"from_hour": local(hour + 90)}, headers={"Accept-Language": "en"}
        ).content.decode()
        assert site.post(f"{path}recall/", form)["Location"] == path
        assert "they failed" in firm.get(path, headers={"Accept-Language": "en"}).content.decode()
        body = {"from": clock.instant_of(hour + 2).isoformat(), "cards": 1, "reason": "failure"}
        asked = {"content_type": "application/json", "headers": {"Idempotency-Key": "k"}}
        assert firm.post(f"/api/exchange/trades/{trade.pk}/recall", json.dumps(body), **asked).status_code == 403
        done = site.post(f"/api/exchange/trades/{trade.pk}/recall", json.dumps(body), **asked)
        assert (done.status_code, done.json()["id"]) == (200, trade.pk)
    assert held(trade.booking) == 4 * 10 - 3 * 6 - 4


def test_an_operator_reports_what_failed_of_hours_that_are_only_on_offer(bourse: Bourse, sign: Sign) -> None:
    bought = bourse.take(bourse.sell(4), bourse.firms[0], 4)
    listing = bourse.sell(4, party=bourse.firms[0], resold_from=bought.booking)
    path, hour = f"/exchange/aside/{listing.booking_id}/recall/", bourse.window["start_hour"] + 4
    form = {"from_hour": local(hour), "cards": 1, "reason": "failure", "idempotency_key": "r"}
    with clock.moved_to(NOON):
        site, firm = sign("operator", scope(bourse.operator)), sign("agent", scope(bourse.firms[0]))
        assert path in site.get("/exchange/trades/").content.decode()
        assert path not in firm.get("/exchange/trades/").content.decode()
        assert firm.get(path).status_code == 404
        assert "<select" in site.get(path).content.decode()
        assert site.post(path, form)["Location"] == "/exchange/trades/"
        assert [row["booking"] for row in site.get("/api/exchange/aside").json()["items"]] == [listing.booking_id]
        body = {"from": clock.instant_of(hour).isoformat(), "cards": 1, "reason": "failure"}
        asked = {"content_type": "application/json", "headers": {"Idempotency-Key": "k"}}
        address = f"/api/exchange/aside/{listing.booking_id}/recall"
        assert firm.post(address, json.dumps(body), **asked).status_code == 403
        assert site.post(address, json.dumps(body), **asked).status_code == 200
    assert held(listing.booking) == 4 * 10 - 2 * 6


def test_indicators_tell_volume_price_and_spread(bourse: Bourse) -> None:
    from huoshui.exchange import indicators

    with clock.moved_to(NOON + timedelta(minutes=1)):
        assert (indicators.mean_price(clock.now()), indicators.spread(clock.now())) == (None, None)
    bourse.take(bourse.sell(4), bourse.firms[0], 2)
    bourse.seek(bourse.firms[1], 2, PRICE * 8 // 10, site=bourse.world.pool.site)
    with clock.moved_to(NOON + timedelta(minutes=1)):
        assert indicators.volume(clock.now()) == 20
        assert indicators.mean_price(clock.now()) == PRICE // 1000
        assert indicators.spread(clock.now()) == 2_222
