"""Demo of lists and batches: two runs, a batch that was paid out of one and a batch that waits, two push lists with
what came of them, and a year's R&D costs. Everything happened in the last two weeks, told with the clock moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import date, timedelta

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.models import User
from huoshui.policy import rd, reach
from huoshui.policy.actions import applications, batches, funds, pushes, runs
from huoshui.policy.actions import rd as rd_actions
from huoshui.policy.demo.facts import applied
from huoshui.policy.models import Batch, BatchRow, MatchRun, Push, RdWorking, Telling
from huoshui.policy.rd import Asset, Category, Line
from huoshui.registry import actions as registry
from huoshui.registry import queries, uscc
from huoshui.registry.models import Party

SYSTEM = access.system("demo")
GRANT = "demo-first-compute-grant"
BATCHES = 2
YEARLY_FEN = 50_000_000
STRUCK, NEWLY_LISTED = 112, (121, 133)
"""Serials of the firm that was found on the abnormal list, and of those that entered the list of technology SMEs."""
CONFIRMED_ACCOUNT = (107, 113, 119)
QUALIFYING, ASKED = ("innovative-sme", 14), ("financing-guarantee", 12)
NOTE = "材料可在中心代办窗口一次交齐。"
GUARANTEE_FEN = 1_000_000_00
DECLINED = "今年正在搬迁厂房，明年再申请。"


def load() -> Iterator[str]:
    """Repeatable: what was begun goes on. Nothing when it is all there, or the demo firms or the grant are missing."""
    if Batch.objects.filter(pack=GRANT).count() >= BATCHES:
        return
    people = {user.username: Actor(user) for user in User.objects.filter(username__in=("officer", "officer2"))}
    if len(people) < 2 or not Party.objects.filter(uscc=uscc.invented(STRUCK)).exists():
        return
    officer, second = people["officer"], people["officer2"]
    first = _run(officer, 1, days_ago=12)
    if GRANT not in first.figures:
        return
    _paid_batch(officer, second, first)
    _told(officer, first)
    last = _run(officer, 2, days_ago=1)
    _waiting_batch(officer, last)
    yield _("Demo: everybody matched twice, a batch confirmed and one proposed, %(count)s firms told") % {
        "count": Telling.objects.count()
    }
    _costs()
    yield _("Demo: R&D costs of %(count)s firms") % {"count": len(COSTS)}


def _ago(days: int, hours: int = 0) -> AbstractContextManager[None]:
    return clock.moved_to(clock.now() - timedelta(days=days, hours=-hours))


def _party(serial: int) -> Party:
    return Party.objects.get(uscc=uscc.invented(serial))


def _run(officer: Actor, number: int, days_ago: int) -> MatchRun:
    with _ago(days_ago):
        run: MatchRun = runs.start(officer, key=f"demo/run/{number}")
        run.refresh_from_db()
        if run.state == MatchRun.State.WAITING:
            run = runs.carry_out(SYSTEM, run, runs.here)
    return run


def _say(serial: int, code: str, value: bool | date, key: str) -> None:
    registry.state_fact(
        SYSTEM, key=f"demo/outreach/{key}/{serial}/{code}", party=_party(serial), code=code, value=value,
        source="official",
    )  # fmt: skip


# --- batches ----------------------------------------------------------------------------------------------------------


def _paid_batch(officer: Actor, second: Actor, run: MatchRun) -> None:
    """Proposed, one firm found abnormal meanwhile, confirmed, some accounts told."""
    with _ago(12, hours=1):
        batch: Batch = batches.propose(officer, key="demo/batch/1", run=run, pack=GRANT)
    with _ago(11):
        _say(STRUCK, "abnormal", True, "struck")
    batch.refresh_from_db()
    with _ago(10):
        if batch.state == Batch.State.PROPOSED:
            batches.confirm(second, key="demo/batch/1/confirm", batch=batch)
        for _done in batches.check_all(SYSTEM, batch):
            pass
    _accounts(batch)


def _accounts(batch: Batch) -> None:
    """A fund for the grant, where nobody opened one, and the accounts of a few firms; theirs are ordered."""
    year = clock.today().year
    if funds.current(GRANT) is None:
        funds.open_fund(
            SYSTEM, key=f"demo/outreach/fund/{year}", authority=queries.centre(), publication=batch.publication,
            year=year, title=f"示例市算力首用补贴专项资金（{year}年）", basis="示服〔2026〕1号", yearly_fen=YEARLY_FEN,
            used_from=date(year, 1, 1), used_until=date(year, 12, 31), redeem_until=date(year, 12, 31), notice_days=5,
        )  # fmt: skip
    rows = batch.rows.filter(state=BatchRow.State.CONFIRMED, party__uscc__in=map(uscc.invented, CONFIRMED_ACCOUNT))
    for row in rows.select_related("application", "party"):
        with _ago(8):
            if row.application is not None and not row.application.account_confirmed:
                applications.confirm_account(
                    SYSTEM, key=f"demo/account/{row.pk}", application=row.application, bank_name="示例银行城东支行",
                    account_number=f"6200990000{row.pk:08d}",
                )  # fmt: skip


def _waiting_batch(officer: Actor, run: MatchRun) -> None:
    with _ago(1, hours=1):
        batches.propose(officer, key="demo/batch/2", run=run, pack=GRANT)


# --- push lists -------------------------------------------------------------------------------------------------------


def _told(officer: Actor, run: MatchRun) -> None:
    """Two lists, and what firms did about them. What the registers find later is in the second run."""
    with _ago(9):
        first = _push(officer, run, "demo/push/1", *QUALIFYING, Push.Reason.QUALIFIES, "", NOTE)
        second = _push(officer, run, "demo/push/2", *ASKED, Push.Reason.MISSING, "guarantee.wanted", "")
    for number, telling in enumerate(first.tellings.order_by("id") if first else ()):
        _reaction(telling, number)
    for telling in second.tellings.order_by("id")[:4] if second else ():
        with _ago(6):
            registry.state_fact(
                SYSTEM, key=f"demo/push/2/answer/{telling.pk}", party=telling.party, code=telling.fact,
                value=GUARANTEE_FEN * (1 + telling.pk % 3), source="self",
            )  # fmt: skip
    with _ago(3):
        for serial in NEWLY_LISTED:
            _say(serial, "tech-sme", True, "listed")
            _say(serial, "tech-sme.until", date(clock.today().year + 1, 12, 31), "listed")


def _push(
    officer: Actor, run: MatchRun, key: str, pack: str, count: int, reason: str, detail: str, text: str
) -> Push | None:
    """A list of the first `count` of whom the reason is true; none where the pack is not there."""
    if found := Push.objects.filter(run=run, pack=pack, reason=reason).first():
        return found
    if pack not in run.figures:
        return None
    wanted = reach.Wanted(pushes.SHOWS[Push.Reason(reason)], fact=detail)
    rows = reach.ordered(reach.chosen(run, pack, wanted), wanted.show).select("party").head(count)
    parties = rows.collect()["party"].to_list()
    if not parties:
        return None
    made: Push = pushes.push(
        officer, key=key, run=run, pack=pack, reason=reason, detail=detail, parties=parties, text=text
    )
    return made


def _reaction(telling: Telling, number: int) -> None:
    """Of every five: one applies, one declines, two look, one does nothing."""
    if number % 5 == 0:
        with _ago(5):
            applied(telling.party, telling.pack, f"demo/push/1/apply/{telling.pk}")
    elif number % 5 == 1 and telling.declined_at is None:
        with _ago(7):
            pushes.decline(SYSTEM, key=f"demo/push/1/decline/{telling.pk}", telling=telling, reason=DECLINED)
    elif number % 5 in (2, 3):
        with _ago(8):
            pushes.see(SYSTEM, key=f"demo/push/1/seen/{telling.pk}", telling=telling)


# --- R&D costs --------------------------------------------------------------------------------------------------------

_LINES = (
    ("示例智能排产软件", Category.PERSONNEL, 1_860_000_00), ("示例智能排产软件", Category.DIRECT, 240_500_00),
    ("示例智能排产软件", Category.DEPRECIATION, 96_300_00), ("示例视觉检测模块", Category.PERSONNEL, 920_000_00),
    ("示例视觉检测模块", Category.DESIGN, 150_000_00), ("示例视觉检测模块", Category.OTHER, 486_000_00),
    ("示例视觉检测模块", Category.ENTRUSTED, 300_000_00), ("示例视觉检测模块", Category.ABROAD, 120_000_00),
)  # fmt: skip
COSTS = ((101, True), (103, False))
"""Serial of the firm, and whether its figures were stated as facts."""


def _costs() -> None:
    year = clock.today().year - 1
    lines = [Line(project, category, fen) for project, category, fen in _LINES]
    lines.append(Line("示例边缘推理框架", Category.PERSONNEL, 640_000_00, capitalised=True))
    assets = [Asset("示例排产引擎（软件著作权）", 1_080_000_00, year - 1, 7, rd.MONTHS_USUAL)]
    for serial, stated in COSTS:
        with _ago(4):
            working: RdWorking = rd_actions.save(
                SYSTEM, key=f"demo/rd/{serial}", party=_party(serial), year=year, lines=lines, assets=assets
            )
            if stated and not hasattr(working, "statement"):
                rd_actions.state(SYSTEM, key=f"demo/rd/{serial}/state", working=working)
