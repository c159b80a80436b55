"""The shelf finds what the database holds, counts every facet, and learns of every change."""

from datetime import timedelta
from typing import Any

import pytest
from tests.compute.world import SYSTEM, World, publish
from tests.market.shop import bought, ended, listed, noon

from huoshui.base import clock
from huoshui.compute.actions import catalogue
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.market import queries, shelf, tools
from huoshui.market.actions import products
from huoshui.market.models import Product, ShelfState
from huoshui.market.shelf import Wanted
from huoshui.registry import actions as registry


@pytest.fixture
def pools(world: World) -> list[Pool]:
    """The world's pool, and one of imported cards at another site."""
    south = Region.objects.create(code="south", name="南部")
    model = CardModel.objects.create(
        code="big", name="昇腾 Big", memory_gib=160, fp16_tflops=1000, domestic=False, watts=700, vendor="示例厂"
    )
    site = Site.objects.create(
        operator=world.operator, code="t", name="示例南站", region=south, division="440100", tariff="-"
    )
    return [world.pool, Pool.objects.create(site=site, card_model=model, cards=16, list_price_fen=1)]


def found(**values: Any) -> list[int]:
    return [product.pk for product in queries.search(Wanted(**values))[0]]


def total(**values: Any) -> int:
    return queries.search(Wanted(**values))[1].total


def test_only_what_is_on_sale_is_found_and_changes_are_seen_at_once(world: World) -> None:
    first, second = listed(world, price_fen=500), listed(world, price_fen=400)
    assert found() == [second.pk, first.pk]
    products.set_price(SYSTEM, product=first, price_fen=300)
    assert found() == [first.pk, second.pk]
    products.pause_product(SYSTEM, product=first)
    assert found() == [second.pk]
    products.resume_product(SYSTEM, product=first)
    products.end_product(SYSTEM, product=second)
    assert found() == [first.pk]


def test_only_what_changed_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = listed(world)
    listed(world)
    found()
    read: list[int] = []
    whole = shelf._read
    monkeypatch.setattr(shelf, "_read", lambda since: read.append((rows := whole(since)).height) or rows)
    found()
    assert read == []
    products.set_price(SYSTEM, product=first, price_fen=300)
    found()
    assert read == [1]


def test_corrections_of_what_a_product_shows_of_its_pool_are_seen_at_once(world: World, pools: list[Pool]) -> None:
    home, away = listed(world), listed(world, pool=pools[1])
    assert found(facets={"domestic": ["false"]}) == [away.pk]
    model, site = pools[1].card_model, pools[1].site
    catalogue.define_card_model(
        SYSTEM, code="big", name="昇腾 Big", vendor="示例厂", memory_gib=96, fp16_tflops=900, domestic=True, watts=700
    )
    assert found(facets={"domestic": ["false"]}) == []
    assert found(memory_gib=97) == []
    publish("tariff", "guangdong-2021")
    place = {"operator": world.operator, "code": "t", "region": site.region, "tariff": "tariff-guangdong-2021"}
    catalogue.define_site(SYSTEM, name="改名中心", division="330200", **place)
    assert found(text="改名") == [away.pk]
    assert found(division="3302") == [away.pk]
    assert found(cards=17) == [home.pk]
    catalogue.define_pool(SYSTEM, site=site, card_model=model, cards=24, list_price_fen=1)
    assert set(found(cards=17)) == {home.pk, away.pk}
    before = shelf.current().version
    catalogue.define_region(SYSTEM, code="south", name="华南")
    assert shelf.current().version == before + 1
    catalogue.define_region(SYSTEM, code="nowhere", name="无")
    assert shelf.current().version == before + 1, "nothing on sale is concerned"


def test_an_operator_is_found_by_what_it_is_called_now(world: World) -> None:
    product = listed(world, title="整机")
    assert found(text=world.operator.name) == [product.pk]
    registry.update_party(SYSTEM, party=world.operator, name="改名数据港")
    assert found(text=world.operator.name) == []
    assert found(text="数据港 整机") == [product.pk]


def test_a_shelf_of_another_database_is_not_taken_for_ones_own(world: World) -> None:
    listed(world)
    assert total() == 1
    ShelfState.objects.all().delete()
    Product.objects.all().delete()
    other = listed(world)
    assert found() == [other.pk]


def test_words_must_all_be_there_and_half_of_the_pairs(world: World) -> None:
    train = listed(world, title="大模型训练整机", frameworks="PyTorch 2.4")
    infer = listed(world, title="推理裸卡", frameworks="MindSpore 2.4")
    assert found(text="训练") == [train.pk]
    assert found(text="训练整机 pytorch") == [train.pk]
    assert found(text="ＰＹＴＯＲＣＨ") == [train.pk]  # full-width letters are letters
    assert found(text="推理训练") == []  # one of three pairs is less than half
    assert set(found(text="2.4")) == {train.pk, infer.pk}
    assert found(text="mindspore 训练") == []
    assert set(found(text="  ，。 ")) == {train.pk, infer.pk}


def test_more_fitting_text_comes_first(world: World) -> None:
    listed(world, title="整机推理", price_fen=1)
    best = listed(world, title="训练整机", price_fen=900)
    assert found(text="训练整机")[0] == best.pk


def test_facets_count_what_choosing_them_anew_would_give(world: World, pools: list[Pool]) -> None:
    listed(world, kind="cards", cards_per_unit=1)
    listed(world, kind="node")
    listed(world, kind="node", pool=pools[1])
    _rows, all_of_them = queries.search(Wanted())
    assert all_of_them.facets["kind"] == {"cards": 1, "node": 2}
    assert all_of_them.facets["domestic"] == {"true": 2, "false": 1}
    _rows, chosen = queries.search(Wanted(facets={"kind": ["cards"], "domestic": ["true"]}))
    assert chosen.total == 1
    assert chosen.facets["kind"] == {"cards": 1, "node": 1}
    assert chosen.facets["domestic"] == {"true": 1}
    assert chosen.facets["model"] == {"test": 1}


def test_conditions_narrow(world: World, pools: list[Pool]) -> None:
    cheap = listed(world, price_fen=200, sla_bps=9900, sla_compensation_bps=1)
    dear = listed(world, price_fen=2000, pool=pools[1], cards_per_unit=2)
    assert found(price_from_fen=300) == [dear.pk]
    assert found(price_to_fen=300) == [cheap.pk]
    assert found(memory_gib=160) == [dear.pk]
    assert found(tflops=301) == [dear.pk]
    assert found(sla_bps=9900) == [cheap.pk]
    assert found(division="4401") == [dear.pk]
    assert found(cards=2) == [dear.pk]  # a unit of eight cannot be had as two cards
    assert found(delivered_bps=1) == []  # nothing is measured yet: unknown is not good
    assert found(hours=24 * 61) == []


def test_cards_are_those_that_a_pool_has_in_whole_units(world: World, pools: list[Pool]) -> None:
    large, small = listed(world), listed(world, pool=pools[1])  # units of eight in pools of 1,000 and of 16
    assert set(found(cards=9)) == {large.pk, small.pk}
    assert found(cards=17) == [large.pk], "three units are 24 cards"
    assert found(cards=1001) == []
    bought(world, small, 1)
    assert found(cards=9, start_hour=world.start, hours=2) == [large.pk]
    assert set(found(cards=8, start_hour=world.start, hours=2)) == {large.pk, small.pk}


def test_an_agent_asks_for_the_same(world: World, pools: list[Pool]) -> None:
    def told(**named: Any) -> list[Any]:
        return [row["id"] for row in tools.search(SYSTEM, tools.SearchArguments(**named))["products"]]

    home, away = listed(world), listed(world, pool=pools[1], hours_max=24)
    start = clock.instant_of(world.start)
    assert told(cards=17) == [home.pk]
    assert told(region="south") == told(region="south", billing="hourly") == [away.pk]
    assert told(billing="spot") == []
    assert told(hours=25) == [home.pk]
    bought(world, away, 2)
    assert told(cards=8, start=start, hours=4) == [home.pk]
    assert set(told(cards=8, start=start + timedelta(hours=4), hours=4)) == {home.pk, away.pk}


def test_a_monthly_price_is_compared_by_the_hour(world: World) -> None:
    month = listed(world, billing="monthly", price_fen=72_000, hours_min=720, hours_max=1440)
    hour = listed(world, price_fen=101)
    assert found() == [month.pk, hour.pk]
    assert found(price_to_fen=100) == [month.pk]


def test_orders_sort(world: World, pools: list[Pool]) -> None:
    small, big = listed(world, price_fen=400), listed(world, price_fen=1000, pool=pools[1])
    assert found(sort="price") == [small.pk, big.pk]
    assert found(sort="pflops") == [big.pk, small.pk]  # 1.00 against 1.33 yuan a PFLOPS-hour
    assert found(sort="memory") == [small.pk, big.pk]
    assert found(sort="newest")[0] in (small.pk, big.pk)


def test_what_is_not_free_all_the_time_is_not_found(world: World) -> None:
    product = listed(world)
    bought(world, product, 124, 2, 2)
    window = {"start_hour": world.start, "cards": 16}
    assert found(**window, hours=2) == [product.pk]
    assert found(**window, hours=3) == []
    assert found(start_hour=world.start, hours=4) == [product.pk]  # eight of them are


def test_pages_are_cut_and_counted(world: World) -> None:
    keys = [listed(world, price_fen=100 + number).pk for number in range(5)]
    rows, part = queries.search(Wanted(first=2, rows=2))
    assert ([row.pk for row in rows], part.total) == (keys[2:4], 5)
    assert found(first=99) == []


def test_the_rating_moves_the_shelf(world: World) -> None:
    product = listed(world)
    assert found(delivered_bps=9000) == []
    ended(world, bought(world, product))
    assert found(delivered_bps=9000) == [product.pk]


def test_an_empty_catalogue_is_an_empty_page(world: World) -> None:
    with noon():
        assert total(text="训练", facets={"kind": ["node"]}, start_hour=world.start, hours=4) == 0
