"""The demo province: invented sites, cards and firms, one settled round in the past, one published, one open.

Numbers are drawn from a fixed seed; tariffs are the real ones. All dates follow from the day on which the database was
first filled, so loading again changes nothing.
"""

import csv
import io
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import F
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.demo import Progress, Step
from huoshui.base.errors import Refused
from huoshui.base.models import LogRecord
from huoshui.book import actions as book
from huoshui.book.banks import COLUMNS
from huoshui.book.models import State, Statement
from huoshui.book.services import statement_total
from huoshui.compute.actions import catalogue, delivery, rounds
from huoshui.compute.actions.deposits import Stretch, submit_deposit
from huoshui.compute.actions.requests import submit_request
from huoshui.compute.models import CardModel, Deposit, Pool, Region, Request, Round, Run
from huoshui.compute.solving import solve
from huoshui.registry.models import Party, RoleKind
from huoshui.terms.rounding import format_yuan

SEED = 20_260
ACTOR = access.system("demo")
TERMS = "round-terms-demo-2026"
HOURS = 168
REQUESTS_PER_ROUND = 300
PAST_DAYS = 38
PAID_DAYS = 18
"""Days after the first day of the past round on which its contest periods are over and the bank reports payments."""

REGIONS = (("east", "东部"), ("south", "南部"), ("north", "北部"), ("northwest", "西北"), ("southwest", "西南"))


@dataclass(frozen=True)
class Model:
    """A card model with a usual base price (fen per card-hour) and list price."""

    code: str
    name: str
    vendor: str
    memory_gib: int
    fp16_tflops: int
    domestic: bool
    watts: int
    base_fen: int
    list_fen: int


MODELS = (
    Model("a100-80g", "A100 80G", "NVIDIA", 80, 312, False, 400, 420, 1180),
    Model("a800-80g", "A800 80G", "NVIDIA", 80, 312, False, 400, 400, 1120),
    Model("l20-48g", "L20 48G", "NVIDIA", 48, 119, False, 275, 190, 560),
    Model("rtx4090-24g", "RTX 4090 24G", "NVIDIA", 24, 165, False, 450, 95, 320),
    Model("ascend-910b", "昇腾 910B 64G", "华为", 64, 320, True, 400, 330, 960),
    Model("mlu370-x8", "MLU370-X8 48G", "寒武纪", 48, 96, True, 250, 120, 380),
)
SITES = (
    ("hupan", "示例湖畔智算中心", "east", "330100", "zhejiang-2026", 12_500, "a100-80g ascend-910b l20-48g"),
    ("jiangnan", "示例江南数据港", "east", "320100", "jiangsu-2025", 13_000, "a800-80g l20-48g"),
    ("dongjiao", "示例东角算力工坊", "east", "310100", "shanghai-2022", 13_500, "l20-48g rtx4090-24g mlu370-x8"),
    ("lingnan", "示例岭南云谷", "south", "440100", "guangdong-2021", 13_200, "a800-80g ascend-910b"),
    ("taihang", "示例太行绿算园", "north", "140100", "shanxi-2026", 12_800, "ascend-910b mlu370-x8 a100-80g"),
    ("qinling", "示例秦岭算力仓", "northwest", "610100", "shaanxi-2025", 12_200, "ascend-910b a800-80g a100-80g"),
    ("diancang", "示例点苍水电算场", "southwest", "530100", "yunnan-2026", 11_800, "mlu370-x8 a100-80g rtx4090-24g"),
    ("huizhou", "示例徽州公共算台", "east", "340100", "anhui-2025", 12_900, "rtx4090-24g ascend-910b a800-80g"),
)  # fmt: skip
TASKS = (
    "客服问答模型微调", "质检图像批量推理", "产品渲染图", "注塑仿真", "合同审阅模型微调", "语音转写批量处理",
    "风道流体仿真", "包装设计渲染", "缺陷检测模型训练", "行业知识库向量化", "电商文案批量生成", "轴承寿命预测训练",
)  # fmt: skip
CARDS = (1,) * 8 + (2,) * 8 + (4,) * 8 + (8,) * 7 + (16,) * 3


def load() -> Iterator[Step]:
    """Catalogue → past round (settled) → current round (published) → requests waiting for the next."""
    today = first_day()
    _catalogue()
    yield _("%(sites)s sites with %(pools)s pools of cards") % {
        "sites": len(SITES), "pools": Pool.objects.count(),
    }  # fmt: skip
    past = today - timedelta(days=PAST_DAYS)
    for number, start in ((1, past), (2, today + timedelta(days=1))):
        with clock.moved_to(midday(start - timedelta(days=1))):
            yield from _round(number, start)
        if number == 1:
            with clock.moved_to(midday(past + timedelta(days=HOURS // 24 + 1))):
                yield _delivered(Round.objects.get(number=1))
            with clock.moved_to(midday(past + timedelta(days=PAID_DAYS))):
                yield _paid()
    with clock.moved_to(midday(today)):
        _deposits(3, today + timedelta(days=8))
        _requests(3, today + timedelta(days=8), 40)
    yield _("40 requests wait for the next round")


def first_day() -> date:
    """The local day on which this database got its first record."""
    record = LogRecord.objects.order_by("id").first()
    return clock.local(record.recorded_at).date() if record else clock.today()


def midday(day: date) -> datetime:
    """10:00 in Shanghai."""
    return datetime.combine(day, time(10), clock.LOCAL).astimezone(UTC)


def hour_at(day: date, hour: int = 0) -> int:
    """Hour slot of a local hour."""
    return clock.hour_of(datetime.combine(day, time(0), clock.LOCAL)) + hour


def _catalogue() -> None:
    for code, name in REGIONS:
        catalogue.define_region(ACTOR, key=f"demo/region/{code}", code=code, name=name)
    for model in MODELS:
        catalogue.define_card_model(
            ACTOR, key=f"demo/model/{model.code}", code=model.code, name=model.name, vendor=model.vendor,
            memory_gib=model.memory_gib, fp16_tflops=model.fp16_tflops, domestic=model.domestic, watts=model.watts,
            source="演示取值，以厂商规格书为准",
        )  # fmt: skip
    operators = list(Party.objects.filter(roles__kind=RoleKind.OPERATOR).order_by("id"))
    if not operators:
        return
    regions = {region.code: region for region in Region.objects.all()}
    models = {model.code: model for model in CardModel.objects.all()}
    dice = random.Random(SEED)  # noqa: S311
    for index, (code, name, region, division, tariff, pue, held) in enumerate(SITES):
        site = catalogue.define_site(
            ACTOR, key=f"demo/site/{code}", operator=operators[index % len(operators)], code=code, name=name,
            region=regions[region], division=division, tariff=f"tariff-{tariff}", pue_bps=pue,
        )  # fmt: skip
        for model in MODELS:
            if model.code in held.split():
                catalogue.define_pool(
                    ACTOR, key=f"demo/pool/{code}/{model.code}", site=site, card_model=models[model.code],
                    cards=dice.choice((16, 24, 32, 48)), list_price_fen=model.list_fen,
                )  # fmt: skip


def _round(number: int, start: date) -> Iterator[Step]:
    """Deposits, requests, clearing with progress, publishing; the first round is then delivered and paid."""
    _deposits(number, start)
    _requests(number, start, REQUESTS_PER_ROUND)
    round_ = rounds.open_round(
        ACTOR, key=f"demo/round/{number}", title=f"演示第 {number} 轮", start_hour=hour_at(start), hours=HOURS,
        terms=TERMS,
    )  # fmt: skip
    if round_.state == Round.State.DRAFT:
        rounds.freeze(ACTOR, key=f"demo/round/{number}/freeze", round=round_)
        for step in _solved(round_):
            if isinstance(step, Progress):
                yield step
            else:
                rounds.record_result(
                    ACTOR, key=f"demo/round/{number}/result", round=round_, content=step[0], figures=step[1]
                )
        round_.refresh_from_db()
    if round_.state == Round.State.CLEARED:
        rounds.publish(ACTOR, key=f"demo/round/{number}/publish", round=round_)
    rounds.checkpoint_log()
    round_.refresh_from_db()
    yield from summary(round_)


def _solved(round_: Round) -> Iterator[Any]:
    """Progress of the solver, and at last (bytes of the result, figures)."""
    import queue
    import threading

    reports: queue.Queue[Any] = queue.Queue()

    def progress(phase: str, done: int, total: int, *_more: int, **_figures: int) -> bool:
        reports.put(Progress(phase, done, total))
        return True

    def run() -> None:
        try:
            reports.put(solve(content, chosen, progress))
        except Exception as error:
            reports.put(error)

    content, chosen = rounds.problem_bytes(round_), rounds.solver_settings(round_) | {"quick": 1, "place_passes": 10}
    threading.Thread(target=run, daemon=True).start()
    while isinstance(report := reports.get(), Progress):
        yield report
    if isinstance(report, Exception):
        raise report
    yield report


def _deposits(number: int, start: date) -> None:
    """Each pool offers what lies idle: most cards at night, some at noon, many on weekends."""
    dice = random.Random(SEED + number)  # noqa: S311
    base = {model.code: model.base_fen for model in MODELS}
    for pool in Pool.objects.select_related("site__operator", "card_model").order_by("id"):
        price = base[pool.card_model.code] * dice.randint(80, 130) // 100
        with suppress(Refused):
            submit_deposit(
                ACTOR, key=f"demo/deposit/{number}/{pool.pk}", depositor=pool.site.operator, pool=pool,
                stretches=_idle(dice, pool.cards, start), base_price_fen=price,
                settle_in=Deposit.SettleIn.ACCOUNT if dice.random() < 0.15 else Deposit.SettleIn.MONEY,
                recall_notice_hours=dice.choice((12, 24, 48)),
            )  # fmt: skip


def _idle(dice: random.Random, cards: int, start: date) -> list[Stretch]:
    shares = {"night": dice.randint(50, 85), "noon": dice.randint(15, 40), "day": dice.randint(5, 20)}
    weekend = dice.randint(45, 75)
    found = []
    for day in range(HOURS // 24):
        first = hour_at(start + timedelta(days=day))
        for name, begin, end in (("night", 0, 8), ("day", 8, 11), ("noon", 11, 14), ("day", 14, 22), ("night", 22, 24)):
            share = max(shares[name], weekend if (start + timedelta(days=day)).weekday() >= 5 else 0)
            if count := cards * share // 100:
                found.append(Stretch(first + begin, first + end, count))
    return found


def _delivered(round_: Round) -> str:
    """Operators report what ran (a little less here and there), and statements are issued."""
    dice = random.Random(SEED * 3)  # noqa: S311
    rows: dict[Party, list[delivery.Row]] = {}
    runs = Run.objects.filter(allocation__round=round_, version=F("allocation__version"))
    for run in runs.select_related("allocation__request", "pool__site__operator").order_by("id"):
        whole = run.allocation.request.cards * (run.end_hour - run.start_hour) * 1000
        ran = whole if dice.random() < 0.9 else whole * dice.randint(85, 99) // 100
        row = delivery.Row(None, run.allocation.request.number, run.start_hour, run.end_hour, ran)
        rows.setdefault(run.pool.site.operator, []).append(row)
    for operator, reports in rows.items():
        delivery.import_deliveries(ACTOR, key=f"demo/delivery/{operator.pk}", operator=operator, rows=reports)
    count = delivery.settle_due(ACTOR)
    return _("%(count)s statements issued from delivery reports") % {"count": count}


def _paid() -> str:
    """Contest periods end; the bank reports payment of most statements."""
    book.lapse_due(ACTOR)
    due = Statement.objects.filter(desk="compute", state=State.ACCEPTED).select_related("payer").order_by("id")
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(column.zh for column in COLUMNS)
    paid = [statement for statement in due if statement.pk % 5 and statement.payer.uscc]
    for statement in paid:
        table.writerow([
            "付款", f"DEMO-PAY-{statement.pk:06d}", clock.today().isoformat(), statement.payer.uscc,
            format_yuan(statement_total(statement), grouping=False), statement.number, "",
        ])  # fmt: skip
    bank = Party.objects.filter(roles__kind=RoleKind.BANK).order_by("id").first()
    if bank is not None and paid:
        content = out.getvalue().encode("utf-8-sig")
        book.import_bank_report(ACTOR, key="demo/bank/payments", bank=bank, name="demo-payments.csv", data=content)
    return _("The bank reported payment of %(count)s statements") % {"count": len(paid)}


def _requests(number: int, start: date, count: int) -> None:
    """Firms ask for cards with windows and budgets of all kinds."""
    dice = random.Random(SEED * 7 + number)  # noqa: S311
    firms = list(Party.objects.filter(roles__kind=RoleKind.ENTITY).order_by("id").distinct())
    models, regions = list(CardModel.objects.order_by("id")), list(Region.objects.order_by("id"))
    speed = {model.code: model.fp16_tflops for model in MODELS}
    usual = {model.code: model.base_fen for model in MODELS}
    for index in range(count if firms else 0):
        cards = dice.choice(CARDS)
        accepted = dice.sample(models, dice.choice((1, 2, 3)))
        work = dice.choice((2, 3, 4, 6, 8, 12, 16, 24, 36)) * 640
        hours = {model: min(-(-work // speed[model.code]), 72) for model in accepted}
        longest = max(hours.values())
        first = dice.randint(0, max(HOURS - 3 * longest - 24, 1))
        window = min(longest * dice.choice((2, 3, 4)) + dice.randint(2, 24), HOURS - first)
        price = min(usual[model.code] * hours[model] for model in accepted) * dice.randint(90, 260) // 100
        rigid = dice.random() < 0.6 or longest < 4
        origin = dice.choices(regions, (6, 3, 2, 1, 1))[0]
        with suppress(Refused):
            submit_request(
                ACTOR, key=f"demo/request/{number}/{index}", entity=dice.choice(firms), title=dice.choice(TASKS),
                cards=cards, hours=hours, earliest_hour=hour_at(start, first),
                deadline_hour=hour_at(start, first + window), budget_fen=max(cards * price + 3000, 5000),
                origin=origin, regions=regions if dice.random() < 0.7 else [origin],
                mode=Request.Mode.RIGID if rigid else Request.Mode.PREEMPTIBLE,
                min_piece_hours=0 if rigid else 2,
            )  # fmt: skip


def summary(round_: Round) -> Iterator[str]:
    """What a round achieved, in sentences."""
    told = round_.figures
    yield _("Round %(number)s: %(served)s of %(requests)s requests served, %(hours)s card-hours sold") % {
        "number": round_.number, "served": told["served"], "requests": told["requests"],
        "hours": f"{told['sold_card_hours']:,}",
    }  # fmt: skip
    yield _("  value %(ratio)s %% of first come, first served; proven gap at most %(gap)s %%") % {
        "ratio": percent(told["objective_mfen"], told["first_come_mfen"]), "gap": f"{told['gap_bps'] / 100:.2f}",
    }  # fmt: skip
    yield _("  buyers pay %(paid)s yuan: depositors %(sellers)s, carriers %(carriers)s, fee %(fee)s") % {
        "paid": yuan(told["paid_fen"]), "sellers": yuan(told["sellers_fen"]),
        "carriers": yuan(told["carriers_fen"]), "fee": yuan(told["fee_fen"]),
    }  # fmt: skip


def percent(part: int, whole: int) -> str:
    return f"{part * 100 / whole:.1f}" if whole else "—"


def yuan(fen: int) -> str:
    return f"{fen // 100:,}.{fen % 100:02d}"

