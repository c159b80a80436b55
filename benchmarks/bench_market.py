"""`python -m benchmarks.bench_market`: searching 100,000 products, and the page around it.

A database of its own: operators, 200 sites, 1,000 pools with deposits, and products written in bulk. The search of the
shelf is measured by itself, without what it remembers of words; then as the page that a visitor gets (Django's test
client: routing, search, templates, no network); then against a like question asked of the database. `--database` names
an empty PostgreSQL database instead of a temporary SQLite file.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.runner import median, publish, table

SITES, MODELS, CALLS, SEED, BAR_MS = 200, 5, 25, 11, 100
WORDS = ("训练", "推理", "渲染", "仿真", "整机", "集群", "裸卡", "包月", "按小时", "竞价", "预留", "高速互联")
HEADER = ("median ms", "slowest ms", "processor ms")
QUERIES: dict[str, dict[str, Any]] = {
    "everything, by price": {},
    "one word": {"text": "训练"},
    "a sentence": {"text": "昇腾八卡整机训练 高速互联 pytorch 2.4"},
    "three facets, by PFLOPS-hour": {
        "facets": {"model": ["m1", "m2"], "billing": ["hourly"], "domestic": ["true"]}, "sort": "pflops",
    },
    "price, memory, availability": {"price_from_fen": 300, "price_to_fen": 900, "memory_gib": 64, "sla_bps": 9900},
    "free for 72 hours, 16 cards": {"start_hour": 24, "hours": 72, "cards": 16, "text": "训练"},
    "last page": {"first": 99_000},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_market", description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--database", default="", help="URL of an empty PostgreSQL database; default: SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "HUOSHUI_HOME": home, "DJANGO_SETTINGS_MODULE": "huoshui.settings", "HUOSHUI_DATABASE": options.database,
        }  # fmt: skip
        kind = "PostgreSQL" if options.database else "SQLite"
        parts = measure(options.products, kind)
        for part in parts:
            print(part, end="\n\n", flush=True)
        publish(f"market_{kind.lower()}", *parts)


def measure(products: int, kind: str) -> list[str]:
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(products)
    return [searching(products, kind), pages(products, kind)]


# --- data -------------------------------------------------------------------------------------------------------------


def fill(count: int) -> None:
    """Parties, sites, pools, deposits and products, straight into the tables."""
    from huoshui.base import clock
    from huoshui.compute.models import CardModel, Deposit, DepositStretch, Pool, Region, Site
    from huoshui.market.models import Product, ShelfState
    from huoshui.registry.models import Party

    dice, now = random.Random(SEED), clock.now()
    operators = Party.objects.bulk_create(Party(name=f"示例算力公司{n}") for n in range(40))
    regions = Region.objects.bulk_create(Region(code=f"r{n}", name=f"区域{n}") for n in range(5))
    models = CardModel.objects.bulk_create(
        CardModel(
            code=f"m{n}", name=f"昇腾{n}号" if n % 2 else f"GPU-{n}", memory_gib=(24, 32, 48, 64, 80)[n],
            fp16_tflops=100 + 80 * n, domestic=bool(n % 2), watts=400,
        )
        for n in range(MODELS)
    )  # fmt: skip
    sites = Site.objects.bulk_create(
        Site(operator=dice.choice(operators), code=f"s{n}", name=f"示例智算中心{n}", region=regions[n % 5],
             division=dice.choice(("330100", "330200", "320500", "440100")), tariff="-")
        for n in range(SITES)
    )  # fmt: skip
    pools = Pool.objects.bulk_create(
        Pool(site=site, card_model=model, cards=dice.choice((64, 128, 512)), list_price_fen=900)
        for site in sites for model in models
    )  # fmt: skip
    hour = clock.hour_of(now)
    deposits = Deposit.objects.bulk_create(
        Deposit(depositor=pool.site.operator, pool=pool, base_price_fen=100, settle_in="money", recall_notice_hours=24,
                submitted_at=now)
        for pool in pools
    )  # fmt: skip
    DepositStretch.objects.bulk_create(
        DepositStretch(deposit=deposit, start_hour=hour + 24 * day, end_hour=hour + 24 * day + 8, cards=40)
        for deposit in deposits for day in range(7)
    )  # fmt: skip
    ShelfState.objects.create(version=1, stamp=uuid.uuid4())
    Product.objects.bulk_create(
        (_product(Product, dice, n, pools[n % len(pools)], now) for n in range(count)), batch_size=2_000
    )


def _product(model: Any, dice: random.Random, number: int, pool: Any, now: Any) -> Any:
    billing = dice.choice(("hourly", "hourly", "monthly", "reserved", "spot"))
    return model(
        pool=pool, code=f"p{number}", title=f"示例{''.join(dice.sample(WORDS, 3))}{number}", billing=billing,
        kind=dice.choice(("cards", "node", "cluster")), cards_per_unit=dice.choice((1, 8, 16)),
        price_fen=dice.randint(80, 1_500) * (720 if billing == "monthly" else 1),
        frameworks=dice.choice(("PyTorch 2.4", "MindSpore 2.4", "")), about="".join(dice.choices(WORDS, k=8)),
        recall_notice_hours=4 if billing == "spot" else None, hours_max=8_640,
        sla_bps=dice.choice((None, 9500, 9900, 9990)), state="listed", listed_at=now, revision=1,
    )  # fmt: skip


# --- measuring --------------------------------------------------------------------------------------------------------


def _times(call: Callable[[], Any], calls: int = CALLS) -> tuple[str, str, str]:
    """Median and slowest milliseconds of calls after a first one, and the median of the processor's time (all
    threads), which other work on the machine does not lengthen."""
    call()
    wall, busy = [], []
    for _n in range(calls):
        start, work = time.perf_counter(), time.process_time()
        call()
        wall.append((time.perf_counter() - start) * 1e3)
        busy.append((time.process_time() - work) * 1e3)
    return f"{median(wall):.1f}", f"{max(wall):.1f}", f"{median(busy):.1f}"


def forgetful(call: Callable[[], Any]) -> Callable[[], Any]:
    """The same without the matches of words that the shelf keeps."""
    from huoshui.market import shelf

    def run() -> None:
        shelf.current()._scores.clear()
        call()

    return run


def searching(products: int, kind: str) -> str:
    """The shelf, and the same search as SQL."""
    from huoshui.base import clock
    from huoshui.market import shelf
    from huoshui.market.models import Product

    start = time.perf_counter()
    size = len(shelf.current())
    loading = time.perf_counter() - start
    assert size == products
    rows = []
    for name, values in QUERIES.items():
        values = dict(values)
        if "start_hour" in values:
            values["start_hour"] += clock.hour_of(clock.now())
        wanted = shelf.Wanted(**values)
        found = shelf.current().search(wanted)
        rows.append((name, f"{found.total:,}", *_times(forgetful(partial(_search, wanted)))))

    def in_sql() -> int:
        found = Product.objects.filter(state="listed", title__contains="训练", pool__card_model__memory_gib__gte=64)
        list(found.order_by("price_fen")[:24])
        return sum(len(list(found.values_list(field).distinct())) for field in ("kind", "billing")) + found.count()

    rows.append(("in SQL: one word and a condition, two facets named but not counted", "", *_times(in_sql, 5)))
    title = f"Search over {products:,} products, {kind} (bar {BAR_MS} ms; first load {loading:.1f} s)"
    return table(title, ("query", "fit", *HEADER), rows)


def _search(wanted: Any) -> Any:
    from huoshui.market import shelf

    return shelf.current().search(wanted)


def pages(products: int, kind: str) -> str:
    """The public catalogue as a visitor gets it."""
    from django.test import Client

    from huoshui.market import shelf
    from huoshui.market.models import Product, ShelfState

    client, rows = Client(HTTP_HOST="localhost"), []
    for name, query in (
        ("catalogue", ""), ("one word", "?text=训练"), ("facets", "?model=m1&billing=hourly&sort=pflops"),
        ("page 40", "?page=40"),
    ):  # fmt: skip
        def get(query: str = query) -> None:
            assert client.get(f"/market/{query}").status_code == 200

        rows.append((name, *_times(forgetful(get), 15)))

    def after_a_change() -> None:
        ShelfState.objects.update(version=ShelfState.objects.get().version + 1)
        Product.objects.filter(pk=Product.objects.order_by("id").values("pk")[:1]).update(
            revision=ShelfState.objects.get().version
        )
        shelf.current()

    rows.append(("(the shelf brought up to date after one product changed)", *_times(after_a_change, 5)))
    return table(f"Pages over {products:,} products, {kind}", ("page", *HEADER), rows)


if __name__ == "__main__":
    main()
