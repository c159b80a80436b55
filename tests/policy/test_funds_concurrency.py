"""Two hundred at once against the last yuan of a fund: never overspent, nobody paid twice, every refusal with its
clause. And a kill at any point leaves nothing half done."""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connections
from tests.book import helpers
from tests.policy import money
from tests.policy.money import NOON, SYSTEM, build, submit
from tests.sandbox import Sandbox

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.book import services
from huoshui.book.models import Kind, Statement
from huoshui.policy import fund_queries
from huoshui.policy.actions import payouts, redemptions
from huoshui.policy.actions.redemptions import InvoiceIn
from huoshui.policy.models import ClaimedInvoice, Payout, Redemption, Voucher

ATTEMPTS = 200
WORKERS = 40


def all_at_once(steps: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run the steps on many threads, each with its own connection; returns what each gave or raised."""

    def run(step: Callable[[], Any]) -> Any:
        try:
            with clock.moved_to(NOON):
                return step()
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(run, steps))


def codes(answers: Sequence[Any]) -> Counter[str]:
    """How often each refusal came; what went through counts as `done`."""
    for answer in answers:
        assert not isinstance(answer, Exception) or isinstance(answer, Refused), repr(answer)
    return Counter(answer.code if isinstance(answer, Refused) else "done" for answer in answers)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_hundred_vouchers_against_the_last_yuan_of_a_fund() -> None:
    with clock.moved_to(NOON):
        world = build(70 * 1_000 + 999)
        firms = [helpers.party(f"示例企业{number}") for number in range(ATTEMPTS)]
        applications = [world.approved(1_000, firm=firm) for firm in firms]
    answers = all_at_once([lambda one=one: money.issue(one) for one in applications])
    assert codes(answers) == {"done": 70, "fund_exhausted": 130}
    assert all(answer.params["clause"] for answer in answers if isinstance(answer, Refused))
    assert services.balance(world.authority, Kind.LIMIT, subject=world.fund.earmark) == 999
    assert sum(fund_queries.left_of(Voucher.objects.all()).values()) == 70_000
    assert services.replay() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_hundred_redemptions_of_one_voucher_share_exactly_what_it_holds() -> None:
    with clock.moved_to(NOON):
        world = build()
        voucher = world.voucher(5_000)
        statement = world.statement(1_000)
        shared = [world.statement(1_000) for _number in range(24)]
    steps = [lambda: submit(voucher, statement, invoices=["SAME"])] * (ATTEMPTS - len(shared))
    steps += [lambda one=one: submit(voucher, one) for one in shared]
    answers = all_at_once(steps)
    assert codes(answers)["done"] == 1 + len(shared)
    assert set(codes(answers)) <= {"done", "invoice_used", "contract_used"}
    assert all(answer.params["clause"] for answer in answers if isinstance(answer, Refused))
    waiting = list(Redemption.objects.filter(state="submitted"))
    seen = {"invoice": True}
    approvals = [lambda one=one: redemptions.approve(SYSTEM, redemption=one, findings=seen) for one in waiting * 4]
    answers = all_at_once(approvals)
    found = codes(answers)
    assert (found["done"], set(found)) == (17, {"done", "redemption_state", "voucher_left"})
    approved = Redemption.objects.filter(state="notice")
    assert sum(approved.values_list("amount_fen", flat=True)) == 5_000  # sixteen of 300 fen, the last gets 200
    assert services.replay() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_one_invoice_at_two_funds_at_once_counts_once() -> None:
    with clock.moved_to(NOON):
        world = build()
        other = money.pack("other-voucher")
        fund = money.fund(other, world.authority, 1_000_000)
        world.supply(world.seller, "a", fund)
        vouchers = [world.voucher(10_000), world.voucher(10_000, publication=other)]
        statements = [[world.statement(1_000) for _number in range(10)] for _voucher in vouchers]
    pairs = [(voucher, one) for voucher, own in zip(vouchers, statements, strict=True) for one in own]
    answers = all_at_once([
        lambda voucher=voucher, one=one: redemptions.submit(
            SYSTEM, voucher=voucher, statement=one, invoices=[InvoiceIn("24260009")]
        )
        for voucher, one in pairs
    ])  # fmt: skip
    assert codes(answers) == {"done": 1, "invoice_used": 19}
    assert ClaimedInvoice.objects.filter(live=True).count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_funds_of_one_stacking_group_at_once_stay_below_their_limit() -> None:
    with clock.moved_to(NOON):
        world = build(publication=money.pack("city", stacking=True))
        nation = money.pack("nation", stacking=True)
        world.supply(world.seller, "a", money.fund(nation, world.authority, 1_000_000))
        vouchers = [world.voucher(), world.voucher(publication=nation)]
        statements = [world.statement(1_000) for _number in range(10)]
    answers = all_at_once([
        lambda voucher=voucher, one=one: submit(voucher, one) for one in statements for voucher in vouchers
    ])  # fmt: skip
    assert codes(answers) == {"done": 20}
    for one in statements:
        assert sorted(one.redemptions.values_list("amount_fen", flat=True)) == [100, 300]  # at most 40 % together


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_hundred_orders_and_reports_pay_once() -> None:
    with clock.moved_to(NOON):
        world = build()
        redemption = money.approve(submit(world.voucher(), world.statement()))
    with money.after_notice(redemption):
        day = clock.now()

        def order() -> Payout:
            with clock.moved_to(day):
                return payouts.order(SYSTEM, redemption=redemption)

    answers = all_at_once([order] * ATTEMPTS)
    assert set(codes(answers)) <= {"done", "redemption_state"}
    payout = Payout.objects.get()
    assert Statement.objects.filter(desk="policy").count() == 1

    def report() -> None:
        with clock.moved_to(day):
            money.report(world.bank, payout.statement)

    assert codes(all_at_once([report] * 20)) == {"done": 20}
    assert fund_queries.use_of(world.fund).paid_fen == 30_000  # nineteen reports are exceptions, not payments
    assert services.replay() == []


SETUP = """
from tests.policy import money
from tests.policy.money import NOON
from huoshui.base import clock
with clock.moved_to(NOON):
    world = money.build()
    application = world.approved(100_000)
    statement = world.statement()
"""
FIND = """
from datetime import timedelta
from tests.policy import money
from tests.policy.money import NOON
from huoshui.base import clock
from huoshui.book import ledger, services
from huoshui.book.models import Kind, Statement
from huoshui.policy import fund_queries
from huoshui.policy.actions import payouts, redemptions
from huoshui.policy.models import Application, ClaimedInvoice, Fund, Payout, Redemption, Voucher
from huoshui.registry.models import Party
fund = Fund.objects.get()
def issue():
    with clock.moved_to(NOON):
        return money.issue(Application.objects.get())
def submit():
    with clock.moved_to(NOON):
        return redemptions.submit(
            system, key="submit", voucher=Voucher.objects.get(), statement=Statement.objects.get(desk="compute"),
            invoices=[redemptions.InvoiceIn("K1")],
        )
def approve():
    with clock.moved_to(NOON):
        return redemptions.approve(
            system, key="approve", redemption=Redemption.objects.get(), findings={"invoice": True}
        )
def order():
    with clock.moved_to(NOON + timedelta(days=30)):
        return payouts.order(system, key="order", redemption=Redemption.objects.get())
def state():
    use = fund_queries.use_of(fund)
    print(Voucher.objects.count(), Redemption.objects.count(), ClaimedInvoice.objects.count(), Payout.objects.count(),
          use.free_fen, use.reserved_fen, use.approved_fen, ledger.replay())
"""


@pytest.mark.parametrize(
    ("done", "step", "place", "before", "after"),
    [
        ("issue()", "submit", "huoshui.policy.actions.redemptions:_open_case",
         "1 0 0 0 9900000 100000 0 []", "1 1 1 0 9900000 100000 0 []"),
        ("issue(); submit(); approve()", "order", "huoshui.book.services:accept",
         "1 1 1 0 9900000 70000 30000 []", "1 1 1 1 9900000 70000 30000 []"),
    ],
)  # fmt: skip
def test_a_kill_leaves_nothing_half_done_and_the_step_is_done_once(
    sandbox: Sandbox, done: str, step: str, place: str, before: str, after: str
) -> None:
    sandbox.run(SETUP + FIND + done)
    sandbox.run(FIND + f"{step}()", crash_at=place, after=True)
    assert sandbox.run(FIND + "state()") == before
    assert sandbox.run(FIND + f"{step}(); {step}(); state()") == after
