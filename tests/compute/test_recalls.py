"""Recall and failure: fewest moves, nobody pays more, the displaced are compensated, no card is promised twice."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from tests.compute.world import HOURS, NOON, SYSTEM, World, ask, build, clear, moment, party

from huoshui.base import clock
from huoshui.base.errors import Forbidden, Invalid, Refused
from huoshui.book import actions as book
from huoshui.book import ledger, services
from huoshui.book.models import Statement
from huoshui.compute import problems, schedules, settle
from huoshui.compute.actions import delivery
from huoshui.compute.actions.recalls import recall_cards
from huoshui.compute.models import Allocation, Deposit, Move, Recall, Request

pytestmark = pytest.mark.django_db


@pytest.fixture
def world() -> World:
    return build()


def recall(world: World, deposit: Deposit, start: int, end: int, cards: int, at: float = -12, **more: str) -> Recall:
    with clock.moved_to(moment(world, at)):
        return recall_cards(
            SYSTEM, key=f"recall/{at}", deposit=deposit, start_hour=world.start + start, end_hour=world.start + end,
            cards=cards, **more,
        )  # fmt: skip


def only(request: Request) -> Allocation:
    return Allocation.objects.select_related("request__entity", "round").get(request=request)


def hours_of(world: World, allocation: Allocation) -> list[int]:
    return sorted({cell.hour - world.start for cell in schedules.cells_of(allocation)})


def finish(world: World, allocation: Allocation, at: float = HOURS + 1) -> Statement | None:
    """Everything that the newest schedule says was delivered, and settled."""
    with clock.moved_to(moment(world, at)):
        known = {hour for start, end, _m in schedules.reports_of(allocation) for hour in range(start, end)}
        for run in schedules.runs_of(allocation):
            if run.start_hour not in known:
                delivery.report_delivery(
                    SYSTEM, allocation=allocation, start_hour=run.start_hour, end_hour=run.end_hour,
                    milli_card_hours=(run.end_hour - run.start_hour) * allocation.request.cards * 1000,
                )  # fmt: skip
        return delivery.settle_allocation(SYSTEM, key=f"settle/{allocation.pk}", allocation=allocation)


def test_free_cards_are_recalled_without_moving_anybody(world: World) -> None:
    deposit = world.offer(10)
    request = ask(world, 4, 6)
    clear(world)
    recall(world, deposit, 0, HOURS, 6)
    assert not Move.objects.exists()
    assert only(request).version == 1


def test_other_cards_serve_the_same_hours_at_no_higher_price(world: World) -> None:
    cheap, dear = world.offer(10, base=100), world.offer(10, party("示例乙", "operator"), base=900)
    request = ask(world, 8, 4)
    clear(world)
    before = only(request)
    hours = hours_of(world, before)
    recall(world, cheap, 0, HOURS, 10)
    allocation = only(request)
    assert hours_of(world, allocation) == hours
    assert {cell.deposit for cell in schedules.cells_of(allocation)} == {dear.pk}
    move = Move.objects.get()
    assert move.outcome == Move.Outcome.SUPPLIED
    statement = finish(world, allocation)
    assert statement is not None
    assert sum(statement.lines.values_list("amount", flat=True)) <= before.payment_fen
    gross = 8 * 4 * 928  # 900 fen after a fee of 3 %, on whole fen
    assert services.by_payee(statement)[dear.depositor_id] < gross
    owed = Statement.objects.filter(secured=False)
    assert {row.payer for row in owed} <= {world.operator, world.centre}
    received = services.by_payee(statement)[dear.depositor_id]
    received += sum(services.by_payee(row).get(dear.depositor_id, 0) for row in owed)
    assert received == gross - gross * 300 // 10_000
    assert move.price_difference_fen > 0


def test_a_request_moves_to_other_hours_inside_its_window(world: World) -> None:
    first, second = world.offer(10, hours=(0, 24), base=100), world.offer(10, hours=(24, 48), base=300)
    request, other = ask(world, 8, 4, (0, 40)), ask(world, 2, 4, (0, 20), entity=_rich(world))
    clear(world)
    stays = hours_of(world, only(other))
    recall(world, first, 0, 24, 8)
    allocation = only(request)
    assert all(24 <= hour < 40 for hour in hours_of(world, allocation))
    assert {cell.deposit for cell in schedules.cells_of(allocation)} == {second.pk}
    assert [move.outcome for move in Move.objects.filter(allocation=allocation)] == [Move.Outcome.MOVED]
    assert hours_of(world, only(other)) == stays
    statement = finish(world, allocation)
    assert statement is not None
    assert sum(statement.lines.values_list("amount", flat=True)) <= allocation.payment_fen


def test_who_finds_no_place_is_compensated_and_goes_first_next_time(world: World) -> None:
    deposit = world.offer(10)
    request = ask(world, 8, 4)
    clear(world)
    price = only(request).payment_fen
    recall(world, deposit, 0, HOURS, 10)
    allocation = only(request)
    assert (allocation.state, allocation.request.state) == (Allocation.State.DISPLACED, Request.State.DISPLACED)
    have = services.balances(world.entity)
    assert (have["committed"], have["limit"]) == (0, 10**9)
    statement = Statement.objects.get()
    assert (statement.payer, statement.secured) == (world.operator, False)
    assert services.by_payee(statement) == {world.entity.pk: price * 2_000 // 10_000}
    assert ask(world, 1, 1).priority == 0
    assert ledger.replay() == []


@pytest.mark.parametrize(("mode", "pays"), [("rigid", False), ("preemptible", True)])
def test_what_was_cut_short_by_a_failure(world: World, mode: str, pays: bool) -> None:
    deposit = world.offer(10)
    request = ask(world, 8, 6, (0, 6), mode=mode)
    clear(world)
    agreed = only(request).payment_fen
    with clock.moved_to(moment(world, 2)):
        delivery.report_delivery(
            SYSTEM, allocation=only(request), start_hour=world.start, end_hour=world.start + 2, milli_card_hours=16_000
        )
    recall(world, deposit, 2, 6, 10, at=2.5, reason="failure")
    allocation = only(request)
    assert hours_of(world, allocation) == [0, 1, 2]
    statement = finish(world, allocation, 6 + settle.REPORT_GRACE_HOURS)
    assert statement is not None
    total = sum(statement.lines.values_list("amount", flat=True))
    assert (total > 0) is pays
    assert total < agreed * 2 // 6 + 1
    with clock.moved_to(moment(world, 80)):
        book.accept(SYSTEM, statement=statement)
    have = services.balances(world.entity)
    assert (have["committed"], have["limit"]) == (0, 10**9 - total)
    assert only(request).request.state == Request.State.DISPLACED
    assert ledger.replay() == []


def test_a_recall_of_sold_cards_keeps_its_notice_a_failure_needs_none(world: World) -> None:
    deposit = world.offer(10, notice=24)
    ask(world, 8, 4, (0, 10))
    clear(world)
    with pytest.raises(Refused) as refused:
        recall(world, deposit, 0, 10, 3)
    assert refused.value.code == "recall_notice"
    recall(world, deposit, 0, 10, 2)
    recall(world, deposit, 0, 10, 3, at=-11, reason="failure")
    assert Move.objects.get().outcome == Move.Outcome.DISPLACED


@pytest.mark.parametrize(
    ("start", "end", "cards", "field"),
    [(-13, 5, 1, "start"), (5, 5, 1, "end"), (0, 5, 11, "cards"), (0, 5, 0, "cards")],
)
def test_a_recall_that_cannot_be_is_refused(world: World, start: int, end: int, cards: int, field: str) -> None:
    deposit = world.offer(10)
    with pytest.raises(Invalid) as refused:
        recall(world, deposit, start, end, cards)
    assert refused.value.problems[0].field == field


def test_a_recall_counts_once_under_its_key(world: World, people) -> None:  # type: ignore[no-untyped-def]
    deposit = world.offer(10)
    ask(world, 8, 4)
    clear(world)
    assert recall(world, deposit, 0, HOURS, 5) == recall(world, deposit, 0, HOURS, 5)
    assert (Recall.objects.count(), Statement.objects.count()) == (1, 1)
    stranger = people("operator", f"party:{party('示例别家', 'operator').pk}")
    with clock.moved_to(NOON), pytest.raises(Forbidden):
        recall_cards(stranger, deposit=deposit, start_hour=world.start, end_hour=world.start + 1, cards=1)


def test_resold_hours_go_with_the_hours_of_the_reseller(world: World) -> None:
    deposit = world.offer(10)
    request = ask(world, 8, 10, (0, 10))
    clear(world)
    resale = world.offer(8, world.entity, resold_from=only(request), hours=(4, 10))
    buyer = _rich(world)
    bought = ask(world, 8, 6, (4, 10), entity=buyer)
    clear(world)
    assert {cell.deposit for cell in schedules.cells_of(only(bought))} <= {resale.pk, deposit.pk}
    recall(world, deposit, 0, HOURS, 10)
    assert only(request).state == only(bought).state == Allocation.State.DISPLACED
    assert Recall.objects.filter(deposit=resale).count() == 1
    assert services.balances(buyer)["committed"] == 0


class AnyRecall(TestCase):
    """Whatever is recalled, whenever."""

    @given(
        st.lists(
            st.tuples(st.integers(2, 8), st.integers(2, 9), st.integers(0, 12), st.booleans()), min_size=5, max_size=9
        ),
        st.lists(
            st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(8, 40), st.integers(3, 8)),
            min_size=1,
            max_size=3,
        ),
    )
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    def test_no_card_is_promised_twice_and_nobody_pays_more(
        self, requests: list[tuple[int, int, int, bool]], recalls: list[tuple[int, int, int, int]]
    ) -> None:
        world = build()
        for base in (100, 250, 400):
            world.offer(8, party(f"示例{base}", "operator"), base=base)
        for cards, hours, first, rigid in requests:
            window = (first, min(first + 3 * hours + 4, HOURS))
            ask(world, cards, hours, window, mode="rigid" if rigid else "preemptible", price_fen=500)
        clear(world)
        agreed = {row.pk: row.payment_fen for row in Allocation.objects.all()}
        for step, (which, start, length, cards) in enumerate(recalls):
            at = -3.0 + step * 9
            first = max(start, int(at) + 2)
            try:
                recall(world, world.deposits[which], first, min(first + length, HOURS), cards, at, reason="failure")
            except Invalid as refused:
                assert {problem.field for problem in refused.problems} <= {"cards", "end"}  # noqa: PT017
            self.check(world, agreed, int(at) + 1)
        assert ledger.replay() == []

    def check(self, world: World, agreed: dict[int, int], now: int) -> None:
        offered = problems.free_cards(world.deposits, world.start, world.start + HOURS, problems.live_shares().none())
        used: Counter[tuple[int, int]] = Counter()
        for allocation in Allocation.objects.filter(state=Allocation.State.PLANNED).select_related("request", "round"):
            cells = schedules.cells_of(allocation)
            by_hour: Counter[int] = Counter()
            for cell in cells:
                used[cell.deposit, cell.hour - world.start] += cell.cards
                by_hour[cell.hour] += cell.cards
            runs = [(run.start_hour, run.end_hour) for run in schedules.runs_of(allocation)]
            assert set(by_hour) == {hour for start, end in runs for hour in range(start, end)}
            assert set(by_hour.values()) <= {allocation.request.cards}
            cap = schedules.cap_of(allocation)
            assert cap.bill(settle.gross_micro(cells) // settle.MICRO) <= agreed[allocation.pk]
        row = {deposit.pk: index for index, deposit in enumerate(world.deposits)}
        for (deposit, hour), cards in used.items():
            assert hour < now or cards <= offered[row[deposit], hour]


def _rich(world: World):  # type: ignore[no-untyped-def]
    firm = party("示例富户", "entity")
    world.limit(firm)
    return firm
