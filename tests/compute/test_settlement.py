"""What an allocation costs: delivery, caps, shortfall, conservation, early finish, cancellation."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.compute.world import NOON, SYSTEM, World, build, moment, party

from huoshui.base import clock
from huoshui.base.errors import Conflict, Forbidden, Invalid, Refused
from huoshui.book import actions as book
from huoshui.book import ledger, services
from huoshui.book.models import Statement
from huoshui.compute import problems, schedules, settle
from huoshui.compute.actions import allocations, delivery
from huoshui.compute.models import Allocation, Delivery, Deposit, Request
from huoshui.registry.models import Party
from huoshui.terms import publication, round_terms
from huoshui.terms.round_terms import RoundTerms

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return build((800_000, 600_000, 300_000))


def two_sellers(world: World, **more: Any) -> Allocation:
    """4 cards over 6 hours: 3 of one depositor, 1 of another."""
    first, second = world.offer(3), world.offer(5, party("示例转租", "entity"))
    return world.give([(2, 8)], [(first, 2, 8, 3), (second, 2, 8, 1)], transfer_fen=3000, **more)


def report(world: World, allocation: Allocation, start: int, end: int, milli: int, **more: Any) -> Delivery:
    return delivery.report_delivery(
        SYSTEM, allocation=allocation, start_hour=world.start + start, end_hour=world.start + end,
        milli_card_hours=milli, **more,
    )  # fmt: skip


def settled(world: World, allocation: Allocation, hour: float = 9) -> Statement | None:
    with clock.moved_to(moment(world, hour)):
        return delivery.settle_allocation(SYSTEM, key=f"settle/{allocation.pk}", allocation=allocation)


def test_full_delivery_costs_exactly_the_payment(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 8, 24_000)
    statement = settled(world, allocation)
    assert statement is not None
    assert services.statement_total(statement) == allocation.payment_fen
    parts = services.by_payee(statement)
    gross = 4 * 1000 * 2 * (8 + 6 + 3) // 10
    assert parts[world.carrier.pk] == 3000
    assert parts[world.centre.pk] == gross * 300 // 10_000 - gross * 200 // 10_000
    assert sum(parts.values()) == allocation.payment_fen
    allocation.refresh_from_db()
    allocation.request.refresh_from_db()
    assert (allocation.state, allocation.request.state) == (Allocation.State.FINISHED, Request.State.COMPLETED)


def test_accepting_pays_out_of_the_commitment_and_gives_the_rest_back(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 8, 12_000)
        statement = settled(world, allocation)
        assert statement is not None
        book.accept(SYSTEM, statement=statement)
    total = services.statement_total(statement)
    have = services.balances(world.entity)
    assert (have["committed"], have["held"], have["payable"]) == (0, 0, total)
    assert have["limit"] == 10**9 - total
    assert -have["receivable"] == total
    assert ledger.replay() == []


def test_half_an_hour_missing_is_not_paid_and_is_compensated(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 8, 24_000 - 2_000)
    statement = settled(world, allocation)
    assert statement is not None
    assert services.statement_total(statement) < allocation.payment_fen
    lines = {line.kind: line for line in statement.lines.all()}
    assert lines["shortfall"].amount < 0
    used = sum(line.quantity_mch or 0 for line in statement.lines.all())
    assert used == 22_000


def test_nothing_delivered_costs_nothing_and_each_seller_compensates(world: World) -> None:
    allocation = two_sellers(world)
    assert settled(world, allocation, 8 + settle.REPORT_GRACE_HOURS) is None
    assert services.balances(world.entity)["limit"] == 10**9
    owed = Statement.objects.filter(secured=False)
    assert {statement.payer for statement in owed} == {deposit.depositor for deposit in world.deposits}
    gross = {world.operator: 3, world.deposits[1].depositor: 1}
    for statement in owed:
        worth = gross[statement.payer] * 2 * (800 + 600 + 300)
        assert services.statement_total(statement) == worth * 1000 // 10_000
        assert services.by_payee(statement) == {world.entity.pk: services.statement_total(statement)}


def test_unreported_hours_wait_for_the_grace_period(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 5, 12_000)
        with pytest.raises(Refused) as refused:
            delivery.settle_allocation(SYSTEM, key="early", allocation=allocation)
        assert refused.value.code == "not_due"
        assert delivery.settle_due(SYSTEM) == 0
    with clock.moved_to(moment(world, 8 + settle.REPORT_GRACE_HOURS)):
        assert delivery.settle_due(SYSTEM) == 1
        assert delivery.settle_due(SYSTEM) == 0
    assert Statement.objects.filter(secured=True).count() == 1


def test_settling_twice_issues_one_statement(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 8, 24_000)
        first = delivery.settle_allocation(SYSTEM, key="one", allocation=allocation)
        assert delivery.settle_allocation(SYSTEM, key="one", allocation=allocation) == first
        assert delivery.settle_allocation(SYSTEM, key="two", allocation=allocation) == first
        with pytest.raises(Conflict):
            report(world, allocation, 2, 3, 1_000)
    assert Statement.objects.count() == 1


@pytest.mark.parametrize(
    ("start", "end", "milli", "field"),
    [
        (1, 3, 1_000, "start"),  # before the run
        (7, 9, 1_000, "start"),  # beyond it
        (2, 8, 24_001, "card_hours"),
        (2, 8, -1, "card_hours"),
        (4, 4, 0, "end"),
        (5, 4, 0, "end"),
        (3, 5, 0, "start"),  # reported already
    ],
)
def test_a_report_that_cannot_be_is_refused(world: World, start: int, end: int, milli: int, field: str) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 20)):
        if (start, end) == (3, 5):
            report(world, allocation, 2, 4, 8_000)
        with pytest.raises(Invalid) as refused:
            report(world, allocation, start, end, milli)
    assert field in {problem.field for problem in refused.value.problems}


def test_hours_that_still_run_cannot_be_reported(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 3.5)):
        with pytest.raises(Invalid, match="end"):
            report(world, allocation, 2, 4, 8_000)
        assert report(world, allocation, 2, 3, 4_000).milli_card_hours == 4_000


def test_only_the_operator_of_the_site_reports(world: World, people: Any) -> None:
    allocation, other = two_sellers(world), party("示例别家", "operator")
    said = {
        "allocation": allocation, "start_hour": world.start + 2, "end_hour": world.start + 8, "milli_card_hours": 0,
    }  # fmt: skip
    with clock.moved_to(moment(world, 9)):
        with pytest.raises(Forbidden):
            delivery.report_delivery(people("operator", f"party:{other.pk}"), **said)
        delivery.report_delivery(people("operator", f"party:{world.operator.pk}"), **said)


def test_a_file_with_faults_tells_them_all_and_imports_nothing(world: World) -> None:
    allocation = two_sellers(world)
    number = allocation.request.number
    first = clock.local(moment(world, 2))
    text = "申请编号,开始,结束,卡时\n"
    for request, begin, end, hours in ((number, 0, 2, 8), (number, 2, 3, 99), ("R999999", 0, 1, 1), (number, 1, 2, 1)):
        when = [f"{first + timedelta(hours=hour):%Y-%m-%d %H:%M}" for hour in (begin, end)]
        text += f"{request},{when[0]},{when[1]},{hours}\n"
    rows = delivery.read_file("a.csv", text.encode())
    with clock.moved_to(moment(world, 9)):
        with pytest.raises(Invalid) as refused:
            delivery.import_deliveries(SYSTEM, key="file", operator=world.operator, rows=rows)
        assert {(problem.row, problem.field) for problem in refused.value.problems} == {
            (3, "card_hours"), (4, "request"), (5, "start"),
        }  # fmt: skip
        assert not Delivery.objects.exists()
        assert delivery.import_deliveries(SYSTEM, key="file 2", operator=world.operator, rows=rows[:1]) == 1
        assert delivery.import_deliveries(SYSTEM, key="file 2", operator=world.operator, rows=rows[:1]) == 1
    assert Delivery.objects.get().milli_card_hours == 8_000


def test_work_stops_at_the_cap_and_what_lies_beyond_is_neither_billed_nor_missing(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(NOON):
        cap = 3000 + 4 * (300 + 800 + 600)  # the first three hours, before the concession
        allocations.set_spending_cap(SYSTEM, allocation=allocation, cap_fen=cap)
        allocation.refresh_from_db()
        assert allocations.stops_at(allocation) == world.start + 5
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 8, 24_000)
    statement = settled(world, allocation)
    assert statement is not None
    assert services.statement_total(statement) == 3000 + 6800 - 136 <= cap
    assert not Statement.objects.filter(secured=False).exists()


def test_the_cap_covers_what_has_begun(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 3.5)):
        with pytest.raises(Invalid):
            allocations.set_spending_cap(SYSTEM, allocation=allocation, cap_fen=3000 + 4 * 1100 - 89)
        allocations.set_spending_cap(SYSTEM, allocation=allocation, cap_fen=3000 + 4 * 1100 - 88)
        with pytest.raises(Invalid):
            allocations.set_spending_cap(SYSTEM, allocation=allocation, cap_fen=allocation.payment_fen + 1)


def test_an_early_end_frees_whole_hours_after_the_notice(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 3.5)):
        allocations.finish_early(SYSTEM, allocation=allocation, hour=world.start + 4)
    allocation.refresh_from_db()
    assert (allocation.version, allocation.finished_hour) == (2, world.start + 6)
    assert schedules.ends_at(allocation) == world.start + 6
    free = problems.free_cards(world.deposits, world.start, world.start + 9)
    assert free[0].tolist() == [3, 3, 0, 0, 0, 0, 3, 3, 3]
    assert free[1].tolist() == [5, 5, 4, 4, 4, 4, 5, 5, 5]
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 6, 16_000)
    statement = settled(world, allocation)
    assert statement is not None
    gross = 4 * (300 + 800 + 600 + 300)
    assert services.statement_total(statement) == gross - gross * 200 // 10_000 + 3000


def test_an_early_end_that_frees_nothing_is_refused(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 5)), pytest.raises(Refused) as refused:
        allocations.finish_early(SYSTEM, allocation=allocation, hour=world.start + 6)
    assert refused.value.code == "nothing_freed"
    with clock.moved_to(moment(world, 5)), pytest.raises(Invalid):
        allocations.finish_early(SYSTEM, allocation=allocation, hour=world.start + 5)


@pytest.mark.parametrize(("hours_before", "returned_bps"), [(49, 10_000), (30, 8_000), (7, 5_000), (0.5, 0)])
def test_cancelling_returns_a_share_by_notice(world: World, hours_before: float, returned_bps: int) -> None:
    first, second = world.offer(3), world.offer(5, party("示例转租", "entity"))
    runs = [(40, 44)]
    allocation = world.give(runs, [(first, 40, 44, 3), (second, 40, 44, 1)], transfer_fen=3000)
    price = allocation.payment_fen - 3000
    with clock.moved_to(moment(world, 40 - hours_before)):
        statement = allocations.cancel_allocation(SYSTEM, key="c", allocation=allocation)
        kept = price - price * returned_bps // 10_000
        if statement is None:
            assert kept == 0
        else:
            assert services.statement_total(statement) == kept
            assert sum(services.by_payee(statement).values()) == kept
            assert set(services.by_payee(statement)) == {deposit.depositor_id for deposit in world.deposits}
            book.accept(SYSTEM, statement=statement)
        assert allocations.cancel_allocation(SYSTEM, key="again", allocation=allocation) == statement
    assert services.balances(world.entity)["limit"] == 10**9 - kept
    assert services.balances(world.entity)["committed"] == 0
    assert problems.free_cards(world.deposits, world.start + 40, world.start + 44).sum() == 4 * 8
    assert ledger.replay() == []


def test_what_has_begun_cannot_be_cancelled(world: World) -> None:
    allocation = two_sellers(world)
    with clock.moved_to(moment(world, 2.1)), pytest.raises(Refused) as refused:
        allocations.cancel_allocation(SYSTEM, key="c", allocation=allocation)
    assert refused.value.code == "allocation_begun"


def test_resold_cards_count_as_delivered_without_a_report(world: World) -> None:
    allocation = two_sellers(world)
    resale = world.offer(4, world.entity, resold_from=allocation, hours=(5, 8))
    buyer = party("示例买方", "entity")
    world.limit(buyer)
    world.give([(5, 8)], [(resale, 5, 8, 4)], entity=buyer)
    with clock.moved_to(moment(world, 4)), pytest.raises(Refused) as refused:
        allocations.finish_early(SYSTEM, allocation=allocation, hour=world.start + 5 - 2)
    assert refused.value.code in ("hours_resold", "invalid")
    with clock.moved_to(moment(world, 9)):
        report(world, allocation, 2, 5, 12_000)
    statement = settled(world, allocation)
    assert statement is not None
    assert services.statement_total(statement) == allocation.payment_fen


# --- for all deliveries -----------------------------------------------------------------------------------------------


@st.composite
def usages(draw: st.DrawFn) -> tuple[list[settle.Cell], dict[int, int], int, int, int]:
    """Cells of up to 3 deposits over up to 12 hours at whole-fen prices, deliveries, transfer, concession and cap."""
    hours = draw(st.integers(1, 12))
    prices = draw(st.lists(st.integers(1, 3000).map(lambda fen: fen * 1000), min_size=hours, max_size=hours))
    cards = draw(st.lists(st.integers(1, 64), min_size=1, max_size=3))
    cells = [
        settle.Cell(hour, deposit, count, prices[hour])
        for hour in range(hours)
        for deposit, count in enumerate(cards, 1)
    ]
    most = sum(cards) * 1000
    ran = draw(st.lists(st.integers(0, most) | st.just(most), min_size=hours, max_size=hours))
    transfer, concession = draw(st.integers(0, 10_000)), draw(st.integers(0, 300))
    return cells, dict(enumerate(ran)), transfer, concession, draw(st.integers(0, 10_000))


@given(usages())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_conservation_for_any_delivery(
    usage: tuple[list[settle.Cell], dict[int, int], int, int, int],
) -> None:
    cells, ran, transfer, concession, cap_share = usage
    payment = settle.Cap(0, transfer, concession).bill(settle.gross_micro(cells) // settle.MICRO)
    for cap_fen in (payment, payment * cap_share // 10_000):
        cap = settle.Cap(cap_fen, transfer, concession)
        metered = settle.meter(cells, ran, cap)
        bill = settle.bill(metered, _parties(), _terms(concession), cap, "")
        assert bill.total <= cap_fen
        shares: dict[Any, int] = {}
        for line in bill.lines:
            shares[line.payee] = shares.get(line.payee, 0) + line.total
        assert sum(shares.values()) == bill.total
        assert all(amount >= 0 for amount in shares.values())
        billed, missing = sum(metered.used.values()), sum(metered.missing.values())
        until = metered.stopped_at if metered.stopped_at is not None else len(ran)
        assert billed == sum(milli for hour, milli in ran.items() if hour < until)
        assert billed + missing == sum(cell.cards * 1000 for cell in cells if cell.hour < until)
    full = {hour: sum(cell.cards for cell in cells if cell.hour == hour) * 1000 for hour in ran}
    cap = settle.Cap(payment, transfer, concession)
    whole = settle.meter(cells, full, cap)
    assert settle.bill(whole, _parties(), _terms(concession), cap, "").total == payment


@cache
def _demo_terms() -> RoundTerms:
    text = resources.files("huoshui.publications").joinpath("round_terms", "demo-2026.yaml").read_text()
    return round_terms.from_publication(publication.parse(text))


def _terms(concession_bps: int) -> RoundTerms:
    return replace(_demo_terms(), concession_bps=concession_bps)


def _parties() -> settle.Parties:
    sellers = [Party(pk=pk, name=str(pk)) for pk in (1, 2)]
    deposits = {pk: Deposit(pk=pk, depositor=sellers[pk % 2]) for pk in (1, 2, 3)}
    return settle.Parties(deposits, frozenset({3}), Party(pk=8), Party(pk=9), 800_000, 180)
