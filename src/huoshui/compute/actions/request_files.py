"""Many requests in one file 批量取用申请: every row is checked before any is submitted; all are, or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from huoshui.base import intake
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Problem
from huoshui.clearing.capacity import problem as limits
from huoshui.clearing.capacity.frames import hours_by_model
from huoshui.clearing.tables import BadTable, Column, choice, hour, money, parse, several, whole, words
from huoshui.compute.actions.requests import BUDGET_FEN_MAX, CARDS_MAX, check_request, submit_request
from huoshui.compute.models import CardModel, Region, Request
from huoshui.compute.permissions import REQUEST
from huoshui.registry import sentences
from huoshui.registry.models import Party
from huoshui.terms.rounding import MILLI

ROWS_MAX = 500


@dataclass(frozen=True)
class Row:
    """A row of the file: hours needed by model code, regions by code or name, budget in fen. `line`: its row."""

    line: int
    title: str
    cards: int
    hours: dict[str, int]
    earliest_hour: int
    deadline_hour: int
    budget_fen: int
    origin: str
    regions: tuple[str, ...]
    mode: str
    min_piece_hours: int
    pay_with: str


COLUMNS: Sequence[Column] = (
    Column("title", "用途", words(120), "客服问答模型微调"),
    Column("cards", "卡数", whole(1, CARDS_MAX), "8"),
    Column("hours", "时长", hours_by_model, "a100-80g=12; a800-80g=12"),
    Column("earliest", "最早开始", hour, "2026-12-07 08:00"),
    Column("deadline", "最晚完成", hour, "2026-12-09 20:00"),
    Column("budget", "预算上限", money(BUDGET_FEN_MAX * MILLI, MILLI), "4200.00", is_money=True),
    Column("data_region", "数据所在区域", words(50), "东部"),
    Column("regions", "可用区域", several, "东部; 北部", required=False, default=()),
    Column("mode", "方式", choice(rigid="rigid 连续", preemptible="preemptible 可中断"), "连续", False, "rigid"),
    Column("min_piece", "最短分段", whole(1, limits.HOURS_MAX), "2", required=False, default=1),
    Column("pay_with", "支付方式", choice(money="money 资金", account="account 算力账户"), "资金", False, "money"),
)
"""`meaning` is an example cell; empty regions are all of them."""


def read_file(name: str, data: bytes) -> list[Row]:
    """The rows of a file (CSV, XLSX). Raises Invalid with every fault by row, field, value and rule."""
    try:
        parsed = parse(intake.read(name, data), COLUMNS)
    except BadTable as error:
        raise sentences.of_table(error) from None
    value = parsed.values
    return [
        Row(
            line, value["title"][at], value["cards"][at], value["hours"][at], value["earliest"][at],
            value["deadline"][at], value["budget"][at] // MILLI, value["data_region"][at],
            value["regions"][at], value["mode"][at], value["min_piece"][at], value["pay_with"][at],
        )
        for at, line in enumerate(parsed.numbers)
    ]  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """A row with its models and regions looked up."""

    row: Row
    hours: dict[CardModel, int]
    origin: Region
    regions: list[Region]


def check_rows(rows: Sequence[Row], at: datetime) -> list[Checked]:
    """Every row as it would be submitted at an instant. Raises Invalid with every fault of every row."""
    if not 0 < len(rows) <= ROWS_MAX:
        raise Invalid(Problem("rows", str(len(rows)), _("between 1 and %(max)s") % {"max": ROWS_MAX}))
    models = {model.code: model for model in CardModel.objects.all()}
    regions = {name: region for region in Region.objects.all() for name in (region.code, region.name)}
    problems: list[Problem] = []
    checked = []
    for row in rows:
        if unknown := _unknown(row, models, regions):
            problems += unknown
            continue
        found = Checked(
            row, {models[code]: hours for code, hours in row.hours.items()}, regions[row.origin],
            [regions[name] for name in row.regions] or list(dict.fromkeys(regions.values())),
        )  # fmt: skip
        try:
            check_request(
                at, title=row.title, cards=row.cards, hours=found.hours, earliest_hour=row.earliest_hour,
                deadline_hour=row.deadline_hour, budget_fen=row.budget_fen, regions=found.regions, mode=row.mode,
                min_piece_hours=row.min_piece_hours, pay_with=row.pay_with,
            )  # fmt: skip
        except Invalid as error:
            problems += [Problem(p.field, p.value, p.rule, row.line) for p in error.problems]
        checked.append(found)
    if problems:
        raise Invalid(*problems)
    return checked


def _unknown(row: Row, models: Mapping[str, CardModel], regions: Mapping[str, Region]) -> list[Problem]:
    """Names of a row that nobody knows."""
    found = [Problem("hours", code, _("no such card model"), row.line) for code in row.hours if code not in models]
    named = [("data_region", row.origin), *(("regions", name) for name in row.regions)]
    return found + [Problem(field, name, _("no such region"), row.line) for field, name in named if name not in regions]


@action("compute.request.import")
def import_requests(act: Act, *, entity: Party, rows: Sequence[Row]) -> list[Request]:
    """Submit every row of a file for an entity: all or none.

    Raises Invalid with every fault of every row, Refused when the limit or the account does not cover all budgets.
    """
    act.require(REQUEST, entity)
    made = [
        submit_request(
            act.actor, entity=entity, title=one.row.title, cards=one.row.cards, hours=one.hours,
            earliest_hour=one.row.earliest_hour, deadline_hour=one.row.deadline_hour, budget_fen=one.row.budget_fen,
            origin=one.origin, regions=one.regions, mode=one.row.mode, min_piece_hours=one.row.min_piece_hours,
            pay_with=one.row.pay_with,
        )
        for one in check_rows(rows, act.at)
    ]  # fmt: skip
    act.record(entity, {"requests": [request.number for request in made]})
    return made
