"""A product is what its operator says within its pool; its public text goes through a second pair of eyes."""

import csv
import io
from typing import Any

import pytest
from tests.compute.world import SYSTEM, World, party
from tests.conftest import People
from tests.market.shop import bought, counted, draft, listed, noon, placed

from huoshui.base.errors import Conflict, Forbidden, Invalid, Missing, Refused
from huoshui.compute.models import Pool
from huoshui.jobs.models import Connection
from huoshui.market import queries
from huoshui.market.actions import product_files, products
from huoshui.market.models import Order, Product
from huoshui.market.prices import Tier

HEADERS = [f"{column.zh}（元）" if column.is_money else column.zh for column in product_files.COLUMNS]


def faults(pool: Pool, tiers: tuple[Tier, ...] = (), **values: Any) -> set[str]:
    return {problem.field for problem in products.problems_of(draft(**values), pool, tiers)}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"price_fen": 0}, "price_fen"), ({"kind": "planet"}, "kind"), ({"billing": "free"}, "billing"),
        ({"title": " "}, "title"), ({"title": "长" * 81}, "title"), ({"code": "a b"}, "code"),
        ({"cards_per_unit": 1001}, "cards_per_unit"), ({"hours_min": 9, "hours_max": 8}, "hours_max"),
        ({"billing": "monthly", "hours_min": 700, "hours_max": 1440}, "hours_min"),
        ({"billing": "spot"}, "recall_notice_hours"), ({"recall_notice_hours": 2}, "recall_notice_hours"),
        ({"sla_bps": 10_001}, "sla_bps"), ({"sla_compensation_bps": 1}, "sla_compensation_bps"),
        ({"cpu_cores": 0}, "cpu_cores"), ({"vat_bps": -1}, "vat_bps"), ({"interconnect": "string"}, "interconnect"),
    ],
)  # fmt: skip
def test_every_fault_names_its_field(world: World, values: dict[str, Any], field: str) -> None:
    assert faults(world.pool, **values) == {field}


@pytest.mark.parametrize(
    "tiers",
    [
        (Tier(8, 1, 960),), (Tier(8, 1, 0),), (Tier(0, 1, 900),), (Tier(8, 1, 900), Tier(8, 1, 800)),
        tuple(Tier(n, 1, 900) for n in range(1, 12)),
    ],
)  # fmt: skip
def test_tiers_are_lower_few_and_distinct(world: World, tiers: tuple[Tier, ...]) -> None:
    assert faults(world.pool, tiers) == {"tiers"}


def test_what_is_in_order_has_no_fault(world: World) -> None:
    assert faults(world.pool, (Tier(16, 1, 900), Tier(16, 24, 880)), billing="spot", recall_notice_hours=0) == set()


def test_a_product_goes_on_sale_only_by_a_second_person(world: World, people: People) -> None:
    seller = people("operator", f"party:{world.operator.pk}")
    officer = people("officer")
    counted(world.pool.site)
    made = products.draft_product(seller, pool=world.pool, draft=draft())
    with pytest.raises(Conflict):
        products.approve_product(officer, product=made)
    products.submit_product(seller, product=made)
    with pytest.raises(Forbidden):
        products.approve_product(seller, product=made)
    given_back = products.return_product(officer, product=made, note="说明不清")
    assert (given_back.state, given_back.note) == (Product.State.DRAFT, "说明不清")
    products.submit_product(seller, product=made)
    assert products.approve_product(officer, product=made).state == Product.State.LISTED


def test_nothing_is_on_sale_where_no_engine_counts_what_runs(world: World) -> None:
    made = products.draft_product(SYSTEM, pool=world.pool, draft=draft(billing="reserved"))
    with pytest.raises(Refused) as refused:
        products.submit_product(SYSTEM, product=made)
    assert refused.value.code == "no_engine"
    product = listed(world)
    products.pause_product(SYSTEM, product=product)
    Connection.objects.update(state=Connection.State.OFF)
    with pytest.raises(Refused) as refused:
        products.resume_product(SYSTEM, product=product)
    assert refused.value.code == "no_engine"
    Product.objects.filter(pk=product.pk).update(state=Product.State.LISTED)
    with pytest.raises(Refused) as refused:
        placed(world, product)
    assert refused.value.code == "no_engine"


def test_who_submits_and_reviews_is_not_one_person(world: World, people: People) -> None:
    both = people.holding("market.product.manage", "market.product.review")
    counted(world.pool.site)
    made = products.draft_product(both, pool=world.pool, draft=draft())
    products.submit_product(both, product=made)
    with pytest.raises(Refused) as refused:
        products.approve_product(both, product=made)
    assert refused.value.code == "second_person"


def test_text_on_sale_cannot_change_but_its_price_can(world: World) -> None:
    product = listed(world)
    with pytest.raises(Conflict):
        products.change_product(SYSTEM, product=product, draft=draft(code=product.code, title="别的"))
    products.set_price(SYSTEM, product=product, price_fen=900, tiers=[Tier(16, 1, 800)])
    product.refresh_from_db()
    assert (product.state, product.price_fen, product.tiers.get().price_fen) == (Product.State.LISTED, 900, 800)
    products.pause_product(SYSTEM, product=product)
    changed = products.change_product(SYSTEM, product=product, draft=draft(code=product.code, title="别的"))
    assert changed.state == Product.State.DRAFT


def test_an_order_keeps_the_price_and_the_promise_of_its_day(world: World) -> None:
    product = listed(world, sla_bps=9900, sla_compensation_bps=100)
    order = bought(world, product)
    products.set_price(SYSTEM, product=product, price_fen=1)
    order = Order.objects.get(pk=order.pk)
    assert (order.price_fen, order.sla_bps, order.sla_compensation_bps) == (960, 9900, 100)


def test_a_product_that_is_not_on_sale_is_nobody_elses_business(world: World, people: People) -> None:
    made = products.draft_product(SYSTEM, pool=world.pool, draft=draft())
    other = people("operator", f"party:{party('示例别家', 'operator').pk}")
    for actor in (other, people("agent", f"party:{world.entity.pk}")):
        with pytest.raises(Missing):
            queries.product(actor, made.pk)
    assert queries.product(people("operator", f"party:{world.operator.pk}"), made.pk) == made
    with pytest.raises(Missing):
        queries.own_product(other, made.pk)


# --- files ------------------------------------------------------------------------------------------------------------


def file_of(*rows: dict[str, str]) -> bytes:
    out = io.StringIO()
    table = csv.DictWriter(out, HEADERS, restval="")
    table.writeheader()
    table.writerows(rows)
    return out.getvalue().encode()


def row(**values: str) -> dict[str, str]:
    usual = {
        "算力中心编码": "s", "卡型号编码": "test", "产品编码": "a", "产品名称": "示例", "形态": "整机",
        "计费方式": "按小时", "单价（元）": "9.60", "可用性承诺": "99.5%", "赔付比例": "50",
        "阶梯价": "64/24/9.00；64/720/8.4",
    }  # fmt: skip
    return usual | values


def test_a_file_makes_drafts_of_all_its_rows(world: World) -> None:
    monthly = row(产品编码="b", 计费方式="包月", 最短时长="720", 最长时长="1440")
    rows = product_files.read_file("p.csv", file_of(row(), monthly))
    assert product_files.import_products(SYSTEM, operator=world.operator, rows=rows) == 2
    made = Product.objects.get(code="a")
    assert (made.state, made.price_fen, made.sla_bps, made.sla_compensation_bps) == ("draft", 960, 9950, 5000)
    assert [(tier.cards_from, tier.hours_from, tier.price_fen) for tier in made.tiers.all()] == [
        (64, 24, 900), (64, 720, 840),
    ]  # fmt: skip
    assert made.cpu_cores is None


def test_a_file_with_one_bad_row_makes_nothing_and_names_every_fault(world: World) -> None:
    bad = [row(产品编码="a"), row(产品编码="c", 卡型号编码="nix"), row(产品编码="d", 每件卡数="1001")]
    rows = product_files.read_file("p.csv", file_of(row(), *bad))
    with pytest.raises(Invalid) as refused:
        product_files.import_products(SYSTEM, operator=world.operator, rows=rows)
    assert [(problem.row, problem.field) for problem in refused.value.problems] == [
        (3, "code"), (4, "card_model"), (5, "cards_per_unit"),
    ]  # fmt: skip
    assert not Product.objects.exists()


@pytest.mark.parametrize(
    ("header", "value"),
    [("单价（元）", "9.605"), ("可用性承诺", "101%"), ("可用性承诺", "x"), ("阶梯价", "64/24"), ("形态", "球")],
)
def test_a_cell_that_cannot_be_read_is_named(world: World, header: str, value: str) -> None:
    with pytest.raises(Invalid) as refused:
        product_files.read_file("p.csv", file_of(row(**{header: value})))
    assert [problem.row for problem in refused.value.problems] == [2]


def test_pools_of_others_cannot_be_put_up(world: World, people: People) -> None:
    other = party("示例别家", "operator")
    rows = product_files.read_file("p.csv", file_of(row()))
    with pytest.raises(Invalid):
        product_files.import_products(people("operator", f"party:{other.pk}"), operator=other, rows=rows)
    with pytest.raises(Forbidden):
        product_files.import_products(people("operator", f"party:{other.pk}"), operator=world.operator, rows=rows)


def test_steps_happen_in_order_and_are_logged(world: World) -> None:
    product = listed(world)
    with noon():
        products.pause_product(SYSTEM, product=product)
        products.resume_product(SYSTEM, product=product)
        products.end_product(SYSTEM, product=product)
        with pytest.raises(Conflict):
            products.resume_product(SYSTEM, product=product)
