"""A product as names and values, in sections: its own page and the comparison show the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base.templatetags.kit import bps, number, unit_price, value, yuan
from huoshui.market.models import Product
from huoshui.market.queries import rating
from huoshui.registry.queries import divisions

Show = Callable[[Product], Any]


def _figure(name: str) -> Show:
    return lambda product: number(getattr(product, name))


def _text(name: str) -> Show:
    return lambda product: value(getattr(product, name))


def _rated(name: str, show: Callable[[Any], Any]) -> Show:
    def read(product: Product) -> Any:
        record = rating(product)
        return show(getattr(record, name) if record else None)

    return read


def _division(code: str) -> str:
    """The division's name; of one that nobody has entered, the city's or province's."""
    around = (code, f"{code[:4]}00", f"{code[:2]}0000")
    return divisions().filter(code__in=around).order_by("-code").values_list("name", flat=True).first() or code


def _unit(product: Product) -> str:
    return _("yuan per card and month") if product.unit_hours > 1 else _("yuan per card-hour")


SECTIONS: Sequence[tuple[Any, Sequence[tuple[Any, Show]]]] = (
    (_l("Price"), (
        (_l("Price"), lambda product: f"{yuan(product.price_fen)} {_unit(product)}"),
        (_l("Price per card-hour (yuan)"), lambda product: unit_price(product.price_mfen)),
        (_l("Price per PFLOPS-hour (yuan)"), lambda product: yuan(product.pflops_hour_fen)),
        (_l("Price per GiB of memory and hour (yuan)"), lambda product: unit_price(product.memory_hour_mfen)),
        (_l("Billing"), lambda product: product.get_billing_display()),
        (_l("Term (hours)"), lambda product: f"{number(product.hours_min)} – {number(product.hours_max)}"),
        (_l("VAT rate"), lambda product: bps(product.vat_bps)),
    )),
    (_l("The cards"), (
        (_l("Card model"), lambda product: product.pool.card_model.name),
        (_l("Origin"), lambda product: _("domestic") if product.pool.card_model.domestic else _("imported")),
        (_l("Memory of a card (GiB)"), lambda product: number(product.pool.card_model.memory_gib)),
        (_l("FP16 throughput of a card (TFLOPS)"), lambda product: number(product.pool.card_model.fp16_tflops)),
        (_l("Sold as"), lambda product: product.get_kind_display()),
        (_l("Cards per unit"), _figure("cards_per_unit")),
        (_l("Interconnect"), lambda product: product.get_interconnect_display()),
        (_l("Interconnect bandwidth (Gbit/s)"), _figure("interconnect_gbit_s")),
    )),
    (_l("Machine, for each unit"), (
        (_l("CPU cores"), _figure("cpu_cores")),
        (_l("Main memory (GiB)"), _figure("ram_gib")),
        (_l("Local disk (GiB)"), _figure("disk_gib")),
        (_l("Disk bandwidth (MB/s)"), _figure("disk_mb_s")),
        (_l("Shared storage (GiB)"), _figure("storage_gib")),
        (_l("Public network (Mbit/s)"), _figure("network_mbit_s")),
    )),
    (_l("Software"), (
        (_l("Driver"), _text("driver")), (_l("Frameworks"), _text("frameworks")), (_l("Images"), _text("images")),
    )),
    (_l("Where"), (
        (_l("Operator"), lambda product: product.operator.name),
        (_l("Site"), lambda product: product.pool.site.name),
        (_l("Region"), lambda product: product.pool.site.region.name),
        (_l("Division"), lambda product: _division(product.pool.site.division)),
        (_l("Compute label"), _text("label")),
    )),
    (_l("Promise and delivery"), (
        (_l("Promised availability"), lambda product: bps(product.sla_bps)),
        (_l("Compensation below it"), lambda product: bps(product.sla_compensation_bps)),
        (_l("Recall notice (hours)"), _figure("recall_notice_hours")),
        (_l("Orders confirmed"), lambda product: _("at once") if product.auto_accept else _("by the operator")),
        (_l("Delivered of what was sold"), _rated("delivered_bps", bps)),
        (_l("Attempts failed by the operator's fault"), _rated("failed_bps", bps)),
        (_l("Mean time to an answer (minutes)"), _rated("answer_minutes", number)),
        (_l("Settled orders"), _rated("orders", number)),
    )),
)  # fmt: skip


def sections(product: Product) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Everything that is said of a product."""
    return [(str(title), [(str(name), show(product)) for name, show in rows]) for title, rows in SECTIONS]


@dataclass(frozen=True)
class Compared:
    """One thing said of each product."""

    section: str
    name: str
    values: list[Any]

    @property
    def differs(self) -> bool:
        return len({str(one) for one in self.values}) > 1


def compared(products: Sequence[Product]) -> list[Compared]:
    """Every row of a comparison."""
    return [
        Compared(str(title), str(name), [show(product) for product in products])
        for title, rows in SECTIONS
        for name, show in rows
    ]
