"""Deposits by file: rows become deposits, all of them or none.

Rows that agree in site, card model, price and conditions are stretches of one deposit. Each deposit passes through
`submit_deposit`, so a file is judged by the same rules as the form; faults name the row of the file.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from django.utils.translation import gettext as _

from huoshui.base import intake
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Problem, Refused
from huoshui.clearing.tables import BadTable, Column, Rule, Text, choice, hour, parse, whole, words, yes_no
from huoshui.compute.actions import deposits
from huoshui.compute.actions.deposits import Stretch, submit_deposit
from huoshui.compute.models import Deposit, Pool
from huoshui.compute.permissions import DEPOSIT
from huoshui.registry import sentences
from huoshui.registry.models import Party

ROWS_MAX = 10_000
CARDS_MAX = 1_000_000
FEN_PER_YUAN = 100


def _price_fen(text: str) -> int:
    """A base price in yuan as fen. Raises Rule."""
    price_fen = intake.decimal(text, 2)
    if price_fen < 0:
        raise Rule("at_least", minimum=0)
    if price_fen > deposits.BASE_PRICE_FEN_MAX:
        raise Rule("at_most", maximum=deposits.BASE_PRICE_FEN_MAX // FEN_PER_YUAN)
    return price_fen


COLUMNS: Sequence[Column] = (
    Column("site", "算力中心", words(80), "示例湖畔智算中心"),
    Column("model", "算力卡型号", words(60), "A100 80G"),
    Column("start", "开始", hour, "2026-12-07 22:00"),
    Column("end", "结束", hour, "2026-12-08 06:00"),
    Column("cards", "卡数", whole(1, CARDS_MAX), "16"),
    Column("base_price_yuan", "基础价（元）", _price_fen, "3.20"),
    Column("energy", "另加电费", yes_no, "是", required=False, default=True),
    Column("settle_in", "收款方式", choice(money="money 资金", account="account 算力账户"), "资金",
           required=False, default=Deposit.SettleIn.MONEY),
    Column("recall_notice_hours", "撤回通知期（小时）", whole(0, deposits.RECALL_NOTICE_HOURS_MAX), "24",
           required=False, default=24),
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of a deposit file. `line` is its number in the file; price in fen per card-hour.

    `typed`: by column name, the heading of the file and the cell as written, with which faults are told.
    """

    line: int
    site: str
    model: str
    start_hour: int
    end_hour: int
    cards: int
    price_fen: int
    energy: bool
    settle_in: str
    recall_notice_hours: int
    typed: Mapping[str, tuple[str, str]]

    @property
    def deposit(self) -> tuple[str, str, int, bool, str, int]:
        """What rows of one deposit have in common."""
        return self.site, self.model, self.price_fen, self.energy, self.settle_in, self.recall_notice_hours


def read_file(name: str, data: bytes) -> list[Row]:
    """The rows of a deposit file (CSV, XLSX). Raises Invalid with every fault by row, field, value and rule."""
    try:
        text = intake.read(name, data)
        parsed = parse(text, COLUMNS)
    except BadTable as error:
        raise sentences.of_table(error) from None
    cells = zip(*(parsed.values[column.name] for column in COLUMNS), _typed(text), strict=True)
    return [Row(line, *row) for line, row in zip(parsed.numbers, cells, strict=True)]


def _typed(text: Text) -> list[dict[str, tuple[str, str]]]:
    """What each row says under which heading, by column name."""
    known = {heading: column.name for column in COLUMNS for heading in column.headers()}
    rows = zip(*text.columns, strict=True)
    return [{known[h]: (h, cell) for h, cell in zip(text.headers, row, strict=True)} for row in rows]


@action("compute.deposit.import")
def import_deposits(act: Act, *, depositor: Party, rows: Sequence[Row]) -> list[Deposit]:
    """Take in the deposits of a file. Raises Invalid with every fault of every row."""
    act.require(DEPOSIT, depositor)
    if not 0 < len(rows) <= ROWS_MAX:
        raise Invalid(Problem("rows", str(len(rows)), _("between 1 and %(max)s") % {"max": ROWS_MAX}))
    pools = _pools_of(depositor)
    grouped: dict[tuple[str, str, int, bool, str, int], list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row.deposit].append(row)
    made: list[Deposit] = []
    problems: list[Problem] = []
    for group in grouped.values():
        pool = pools.get((group[0].site, group[0].model))
        if pool is None:
            problems += [_without_pool(row) for row in group]
            continue
        try:
            made.append(_submit(act, depositor, pool, group))
        except Invalid as error:
            problems += [_at_line(problem, group) for problem in error.problems]
        except Refused as error:
            problems.append(_at_line(Problem("settle_in", group[0].settle_in, error.message), group))
    if problems:
        raise Invalid(*sorted(problems, key=lambda problem: problem.row or 0))
    act.record(depositor, {"deposits": made, "rows": len(rows)})
    return made


def _pools_of(depositor: Party) -> dict[tuple[str, str], Pool]:
    """A party's pools by site and card model, each by code or by name."""
    found: dict[tuple[str, str], Pool] = {}
    for pool in Pool.objects.filter(site__operator=depositor).select_related("site", "card_model"):
        for site in (pool.site.code, pool.site.name):
            for model in (pool.card_model.code, pool.card_model.name):
                found[site, model] = pool
    return found


def _submit(act: Act, depositor: Party, pool: Pool, group: Sequence[Row]) -> Deposit:
    first = group[0]
    found: Deposit = submit_deposit(
        act.actor, depositor=depositor, pool=pool, base_price_fen=first.price_fen, energy=first.energy,
        settle_in=first.settle_in, recall_notice_hours=first.recall_notice_hours,
        stretches=[Stretch(row.start_hour, row.end_hour, row.cards) for row in group],
    )  # fmt: skip
    return found


def _at_line(problem: Problem, group: Sequence[Row]) -> Problem:
    """A problem of a deposit, told by the row of the file it came from, in the words of the file."""
    row = group[(problem.row or 1) - 1]
    heading, cell = row.typed.get(problem.field, (problem.field, problem.value))
    return replace(problem, row=row.line, field=heading, value=cell)


def _without_pool(row: Row) -> Problem:
    """Site and card model name no pool of the depositor."""
    (site, at), (model, of) = row.typed["site"], row.typed["model"]
    return Problem(f"{site} · {model}", f"{at} · {of}", _("no such pool at your sites"), row.line)
