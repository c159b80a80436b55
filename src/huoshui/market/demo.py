"""Demo data of the supermarket: two or so products of each pool, looked at by the centre; a firm's orders.

Figures of machines are invented; prices follow the pools' list prices. Everything goes through actions, so that it may
be loaded again.
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Refused
from huoshui.base.models import User
from huoshui.compute.demo import first_day, hour_at, midday
from huoshui.compute.models import Pool
from huoshui.market.actions import orders, products
from huoshui.market.actions.products import ProductDraft
from huoshui.market.models import Billing, Interconnect, Kind, Order, Product
from huoshui.market.prices import MONTH_HOURS, Tier
from huoshui.registry.models import Party

ACTOR = access.system("demo")
WORDS = {
    Billing.HOURLY: "按小时", Billing.MONTHLY: "包月", Billing.RESERVED: "预留", Billing.SPOT: "可撤回",
}  # fmt: skip
NODES = {
    "ascend-910b": (Interconnect.HCCS, 392, "CANN 8.0", "MindSpore 2.4；PyTorch 2.4"),
    "mlu370-x8": (Interconnect.MLU_LINK, 200, "CNToolkit 3.8", "PyTorch 2.1"),
    "a100-80g": (Interconnect.NVLINK, 600, "CUDA 12.4", "PyTorch 2.5；TensorFlow 2.18"),
    "a800-80g": (Interconnect.NVLINK, 400, "CUDA 12.4", "PyTorch 2.5"),
    "l20-48g": (Interconnect.PCIE, 64, "CUDA 12.4", "PyTorch 2.5；vLLM"),
    "rtx4090-24g": (Interconnect.PCIE, 64, "CUDA 12.4", "PyTorch 2.5；Blender 4.2"),
}


def load() -> Iterator[str]:
    """Products on sale, then two orders of the first agent's firm."""
    pools = list(Pool.objects.select_related("site__operator", "card_model").order_by("id"))
    reviewer = User.objects.filter(username="officer").first()
    if not pools or reviewer is None:
        return
    with clock.moved_to(midday(first_day())):
        for index, pool in enumerate(pools):
            for draft, tiers in _drafts(pool, index):
                _put_up(pool, draft, tiers, Actor(reviewer))
        on_sale = Product.objects.filter(state=Product.State.LISTED).count()
        yield _("%(count)s products on sale in the compute supermarket") % {"count": on_sale}
        yield from _orders()


def _drafts(pool: Pool, index: int) -> Iterator[tuple[ProductDraft, list[Tier]]]:
    """A pool's products: by the hour always, one more way of billing in turn."""
    price = pool.list_price_fen
    yield _draft(pool, Billing.HOURLY, Kind.CARDS, price, 1, auto_accept=index % 2 == 0), [
        Tier(8, 24, price * 95 // 100), Tier(8, 168, price * 88 // 100),
    ]  # fmt: skip
    other = (Billing.SPOT, Billing.MONTHLY, Billing.RESERVED)[index % 3]
    if other == Billing.SPOT:
        more: dict[str, Any] = {"recall_notice_hours": 2, "auto_accept": True}
        yield _draft(pool, other, Kind.CARDS, price * 55 // 100, 1, **more), []
    elif other == Billing.MONTHLY:
        monthly = price * MONTH_HOURS * 62 // 100
        more = {"hours_min": MONTH_HOURS, "hours_max": MONTH_HOURS * 6}
        yield _draft(pool, other, Kind.NODE, monthly, 4, **more), [Tier(4, MONTH_HOURS * 3, monthly * 92 // 100)]
    else:
        yield _draft(pool, other, Kind.NODE, price * 75 // 100, 4, hours_min=24, hours_max=24 * 60), []


def _draft(pool: Pool, billing: str, kind: str, price_fen: int, cards: int, **more: Any) -> ProductDraft:
    link, gbit, driver, frameworks = NODES[pool.card_model.code]
    name = f"{pool.card_model.name}{' 四卡整机' if cards > 1 else ' 单卡'} {WORDS[Billing(billing)]}"
    return ProductDraft(
        code=f"{pool.card_model.code}-{billing}", title=name, kind=kind, billing=billing, price_fen=price_fen,
        cards_per_unit=cards, cpu_cores=16 * cards, ram_gib=128 * cards, disk_gib=960 * cards, disk_mb_s=3_000,
        storage_gib=500 * cards, network_mbit_s=200, interconnect=link if cards > 1 else Interconnect.NONE,
        interconnect_gbit_s=gbit if cards > 1 else None, driver=driver, frameworks=frameworks,
        images="ubuntu22.04-py311", sla_bps=9900 if billing == Billing.SPOT else 9950,
        sla_compensation_bps=10_000, about=f"{pool.site.name}的{pool.card_model.name}，适合训练、微调与批量推理。",
        conditions="演示产品，不得用于法律法规禁止的用途。", **more,
    )  # fmt: skip


def _put_up(pool: Pool, draft: ProductDraft, tiers: list[Tier], reviewer: Actor) -> None:
    key = f"demo/product/{pool.pk}/{draft.code}"
    made = products.draft_product(ACTOR, key=key, pool=pool, draft=draft, tiers=tiers)
    products.submit_product(ACTOR, key=f"{key}/submit", product=made)
    products.approve_product(reviewer, key=f"{key}/approve", product=made)


def _orders() -> Iterator[str]:
    """One that was confirmed at once, one that waits for its operator."""
    buyer = Party.objects.filter(name="示例青禾软件公司").first()
    if buyer is None:
        return
    start = hour_at(first_day(), 20)
    made = list[Order]()
    for name, at_once, hours in (("now", True, 6), ("waits", False, 48)):
        rows = Product.objects.filter(state=Product.State.LISTED, billing=Billing.HOURLY, auto_accept=at_once)
        for product in rows.order_by("id"):
            with suppress(Refused):
                order = orders.place_order(
                    ACTOR, key=f"demo/order/{name}", buyer=buyer, product=product, units=2, start_hour=start,
                    hours=hours, purpose="客服问答模型微调",
                )  # fmt: skip
                made.append(order)
                break
    yield _("%(count)s orders of %(buyer)s") % {"count": len(made), "buyer": buyer.name}
