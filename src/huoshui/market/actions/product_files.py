"""Many products in one file 批量上架: every row is checked before any is stored; all become drafts, or none."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import intake
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Problem
from huoshui.clearing.tables import BadTable, Column, Rule, choice, money, parse, several, whole, words, yes_no
from huoshui.compute.models import Pool
from huoshui.market.actions import products
from huoshui.market.actions.products import FIGURE_MAX, HOURS_MAX, PRICE_FEN_MAX, ProductDraft
from huoshui.market.models import Billing, Interconnect, Kind, Product
from huoshui.market.permissions import SELL
from huoshui.market.prices import MONTH_HOURS, Tier
from huoshui.registry import sentences
from huoshui.registry.models import Party
from huoshui.terms.rounding import BPS, MILLI

ROWS_MAX = 2_000


def share(maximum_bps: int) -> Any:
    """A percentage with at most two decimals, as basis points."""

    def parse_share(text: str) -> int:
        whole_part, _dot, decimals = text.rstrip("%％").partition(".")
        if not (whole_part.isascii() and whole_part.isdecimal() and (decimals + "0").isdecimal()):
            raise Rule("number")
        if len(decimals) > 2:
            raise Rule("decimals_at_most", maximum=2)
        value = int(whole_part) * 100 + int(decimals.ljust(2, "0"))
        if value > maximum_bps:
            raise Rule("at_most", maximum=f"{maximum_bps // 100}%")
        return value

    return parse_share


def tiers(text: str) -> tuple[Tier, ...]:
    """`cards/hours/yuan; …`: the price from so many cards and hours on."""
    found = []
    for part in several(text):
        cells = [cell.strip() for cell in part.split("/")]
        if len(cells) != 3:
            raise Rule("tiers")
        count, hours = (whole(1, FIGURE_MAX)(cell) for cell in cells[:2])
        found.append(Tier(count, hours, money(PRICE_FEN_MAX * MILLI, MILLI)("yuan")(cells[2]) // MILLI))
    return tuple(found)


def _named(choices: Any) -> Any:
    """A code, or its Chinese word."""
    return choice(**{value: f"{value} {CHINESE[value]}" for value in choices.values})


CHINESE = {
    "cards": "裸卡", "node": "整机", "cluster": "集群", "hourly": "按小时", "monthly": "包月", "reserved": "预留",
    "spot": "可撤回", "none": "无", "pcie": "PCIe", "nvlink": "NVLink", "hccs": "HCCS", "mlu-link": "MLU-Link",
    "roce": "RoCE", "infiniband": "InfiniBand",
}  # fmt: skip


def _figure(name: str, zh: str, example: str) -> Column:
    return Column(name, zh, whole(1, FIGURE_MAX), example, required=False)


def _words(name: str, zh: str, characters_max: int, example: str) -> Column:
    return Column(name, zh, words(characters_max), example, required=False, default="")


COLUMNS: Sequence[Column] = (
    Column("site", "算力中心编码", words(40), "hupan"),
    Column("card_model", "卡型号编码", words(40), "ascend-910b"),
    Column("code", "产品编码", words(40), "ascend-node-hourly"),
    Column("title", "产品名称", words(80), "昇腾 910B 八卡整机 按小时"),
    Column("kind", "形态", _named(Kind), "整机"),
    Column("billing", "计费方式", _named(Billing), "按小时"),
    Column("price", "单价", money(PRICE_FEN_MAX * MILLI, MILLI), "9.60", is_money=True),
    Column("tiers", "阶梯价", tiers, "64/24/9.00; 64/720/8.40", required=False, default=()),
    Column("cards_per_unit", "每件卡数", whole(1, products.CARDS_PER_UNIT_MAX), "8", required=False, default=1),
    _figure("cpu_cores", "CPU核数", "192"),
    _figure("ram_gib", "内存GiB", "1536"),
    _figure("disk_gib", "本地盘GiB", "7680"),
    _figure("disk_mb_s", "磁盘带宽MB每秒", "6000"),
    _figure("storage_gib", "共享存储GiB", "2048"),
    _figure("network_mbit_s", "公网带宽Mbit每秒", "1000"),
    Column("interconnect", "互联方式", _named(Interconnect), "HCCS", required=False, default="none"),
    _figure("interconnect_gbit_s", "互联带宽Gbit每秒", "392"),
    _words("driver", "驱动版本", 60, "CANN 8.0"),
    _words("frameworks", "框架", 200, "MindSpore 2.4; PyTorch 2.4"),
    _words("images", "镜像", 300, "ubuntu22.04-cann8"),
    _words("label", "算力标识", 60, ""),
    Column("hours_min", "最短时长", whole(1, HOURS_MAX), "1", required=False, default=1),
    Column("hours_max", "最长时长", whole(1, HOURS_MAX), "720", required=False, default=MONTH_HOURS),
    Column("vat", "增值税率", share(BPS), "6%", required=False, default=600),
    Column("sla", "可用性承诺", share(BPS), "99.5%", required=False),
    Column("sla_compensation", "赔付比例", share(products.COMPENSATION_BPS_MAX), "100%", required=False, default=0),
    Column("recall_notice_hours", "撤回通知期", whole(0, products.NOTICE_HOURS_MAX), "", required=False),
    Column("auto_accept", "自动确认", yes_no, "是", required=False, default=False),
    _words("about", "说明", 500, ""),
    _words("conditions", "使用条件", 500, ""),
)
"""`meaning` is an example cell."""
RENAMED = {"price": "price_fen", "vat": "vat_bps", "sla": "sla_bps", "sla_compensation": "sla_compensation_bps"}
APART = ("site", "card_model", "tiers")


@dataclass(frozen=True)
class Row:
    """A row of the file: which pool, what is said of the product, at which lower prices."""

    line: int
    site: str
    card_model: str
    draft: ProductDraft
    tiers: tuple[Tier, ...]


def read_file(name: str, data: bytes) -> list[Row]:
    """The rows of a file (CSV, XLSX). Raises Invalid with every fault by row, field, value and rule."""
    try:
        parsed = parse(intake.read(name, data), COLUMNS)
    except BadTable as error:
        raise sentences.of_table(error) from None
    rows = []
    for at, line in enumerate(parsed.numbers):
        cells = {column.name: parsed.values[column.name][at] for column in COLUMNS}
        cells["price"] //= MILLI
        named = {RENAMED.get(field, field): cells[field] for field in cells if field not in APART}
        rows.append(Row(line, cells["site"], cells["card_model"], ProductDraft(**named), cells["tiers"]))
    return rows


@action("market.product.import")
def import_products(act: Act, *, operator: Party, rows: Sequence[Row]) -> int:
    """Draw up the products of an operator's file: all or none. Returns how many. Raises Invalid with every fault."""
    act.require(SELL, operator)
    if not 0 < len(rows) <= ROWS_MAX:
        raise Invalid(Problem("rows", str(len(rows)), _("between 1 and %(max)s") % {"max": ROWS_MAX}))
    own = Pool.objects.filter(site__operator=operator).select_related("site", "card_model")
    pools = {(pool.site.code, pool.card_model.code): pool for pool in own}
    taken = set(Product.objects.filter(pool__in=own).values_list("pool", "code"))
    found: list[Problem] = []
    for row in rows:
        pool = pools.get((row.site, row.card_model))
        if pool is None:
            found.append(Problem("card_model", row.card_model, _("you have no pool of it at this site"), row.line))
            continue
        if (pool.pk, row.draft.code) in taken:
            found.append(Problem("code", row.draft.code, _("exists already"), row.line))
        taken.add((pool.pk, row.draft.code))
        found += products.problems_of(row.draft, pool, row.tiers, row.line)
    if found:
        raise Invalid(*found)
    for row in rows:
        products.store(act, pools[row.site, row.card_model], row.draft, row.tiers)
    return len(rows)
