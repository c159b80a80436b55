"""What was bought runs on a real engine, and the statement equals the engine's accounting to the card-second."""

from datetime import timedelta
from pathlib import Path

from tests.compute.world import LIMIT_FEN, SYSTEM
from tests.compute.world import run as in_action
from tests.exchange.bourse import PRICE, Bourse, money
from tests.jobs.site import connect, over, submit, turn_until

from huoshui.base import clock
from huoshui.book.services import accept, statement_total
from huoshui.exchange.actions import listings
from huoshui.exchange.models import Trade
from huoshui.jobs.models import Attempt, Connection

HOURS = 2


def test_a_trade_by_use_is_billed_to_the_card_second(bourse: Bourse, tmp_path: Path) -> None:
    Connection.objects.get(site=bourse.world.pool.site).delete()
    connect(bourse.world, tmp_path / "jobs")
    buyer, start = bourse.firms[0], clock.hour_of(clock.real_now())
    with clock.moved_to(clock.real_now() - timedelta(hours=8)):  # engines live in real time, trades come before it
        listing = listings.sell_cards(
            SYSTEM, key="sell", party=bourse.operator, pool=bourse.world.pool, lots=2, price_mfen=PRICE,
            start_hour=start, end_hour=start + HOURS, expires_at=clock.now() + timedelta(hours=3), billing="used",
        )  # fmt: skip
        trade = listings.take(SYSTEM, key="take", listing=listing, party=buyer, lots=2)
    assert trade.booking is not None
    job = submit(trade.booking, "sleep 1.2", cards=2)
    turn_until(over(job))
    turn_until(lambda: Trade.objects.get(pk=trade.pk).state != Trade.State.OPEN, later=timedelta(hours=HOURS + 1))
    trade.refresh_from_db()
    ran = Attempt.objects.get(job=job)
    assert ran.card_seconds is not None
    assert trade.statement is not None
    line = trade.statement.lines.get(kind="card_hours")
    assert (line.card_seconds, line.evidence != "") == (ran.card_seconds, True)
    billed = ran.card_seconds * PRICE // 3_600_000
    assert statement_total(trade.statement) == billed
    statement = trade.statement
    in_action(lambda act, record: accept(act, record, statement))
    assert money(buyer) == {"limit": LIMIT_FEN - billed, "held": 0, "committed": 0, "payable": billed}
