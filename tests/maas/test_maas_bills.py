"""Money of the model service is exact: what is set aside, held, spent, billed and carried always adds up."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.maas.service import SYSTEM, Gateway, Service, build, day, limit

from huoshui.base import clock
from huoshui.base.canonical import label
from huoshui.base.errors import Invalid, Refused
from huoshui.book import actions as book
from huoshui.book import services
from huoshui.book.models import Kind, State, Statement
from huoshui.maas import billing, checking
from huoshui.maas.actions import bills, keys, wallets
from huoshui.maas.actions.keys import Scope
from huoshui.maas.instants import ms_of
from huoshui.maas.models import UFEN, Call, Key, Settled, Wallet

tokens = st.integers(0, 3_000_000)
used = st.builds(
    lambda offer, cost, own: billing.Used(offer, 1, 0, 0, 0, cost, own, ""),
    st.integers(1, 3), st.integers(0, 5 * UFEN), st.just(False),
)  # fmt: skip


def held(service: Service, kind: str = Kind.HELD) -> int:
    return services.balance(service.firm, kind, subject=label(service.wallet))


def explained() -> list[checking.Difference]:
    return list(checking.differences())


@given(st.lists(st.lists(used, max_size=3, unique_by=lambda row: row.offer), max_size=6))
def test_bills_in_parts_are_the_bill_in_one(parts: list[list[billing.Used]]) -> None:
    """Whatever the days on which bills are made: no µfen is lost, and none is asked for twice."""
    carried: dict[int, int] = {}
    fen = 0
    for part in parts:
        made = billing.bill(part, carried)
        before, carried = sum(carried.values()), dict(made.carried)
        assert made.cost_ufen + before == made.fen * UFEN + sum(carried.values())
        assert all(0 < rest < UFEN for rest in carried.values())
        fen += made.fen
    costs: dict[int, int] = {}
    for row in (row for part in parts for row in part):
        costs[row.offer] = costs.get(row.offer, 0) + row.cost_ufen
    assert fen == sum(cost // UFEN for cost in costs.values())


Step = tuple[str, int, int, int]
steps = st.lists(
    st.tuples(st.sampled_from(["call", "hold", "fail", "lose", "bill", "fund", "take_back"]), tokens, tokens, tokens),
    max_size=14,
)


@given(steps)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_fen_is_explained_whatever_happens(
    undone: Callable[[], AbstractContextManager[None]], told: list[Step]
) -> None:
    with undone():
        service = build(50_00)
        second = service.offer_of(service.upstream, "example-small", 37, 113, 11)
        other = service.make_key()
        for number, (what, first, then, third) in enumerate(told):
            key, offer = (service.key, service.offer) if number % 2 else (other, second)
            _step(service, key, offer, number, (what, first, then, third))
            assert explained() == []
        wallet = Wallet.objects.get(pk=service.wallet.pk)
        free = wallet.funded_ufen - wallet.held_ufen - wallet.spent_ufen
        assert free >= 0
        assert services.check_zero() == []
        assert held(service) * UFEN == wallet.funded_ufen - wallet.billed_ufen


def _step(service: Service, key: Key, offer: object, number: int, step: Step) -> None:
    what, first, then, third = step
    wallet = Wallet.objects.get(pk=service.wallet.pk)
    room = wallet.funded_ufen - wallet.held_ufen - wallet.spent_ufen
    most = first * offer.input_fen + then * offer.output_fen  # type: ignore[attr-defined]
    if what in ("call", "hold", "fail", "lose"):
        if most > room:
            return
        call = Gateway.hold(key, offer, most, seconds=-1 if what == "lose" else 90)  # type: ignore[arg-type]
        if what == "call":
            Gateway.settle(call, first, then, min(third, first))
        elif what == "fail":
            Gateway.release(call)
        elif what == "lose":
            assert bills.expire_holds(SYSTEM) == 1
    elif what == "bill":
        bills.bill(SYSTEM, wallet=wallet)
    elif what == "fund":
        wallets.fund(SYSTEM, key=f"more/{number}", party=service.firm, amount_fen=first + 1)
    else:
        amount = first // 100 + 1
        if amount * UFEN > room:
            with pytest.raises(Refused):
                wallets.take_back(SYSTEM, key=f"back/{number}", wallet=wallet, amount_fen=amount)
        else:
            wallets.take_back(SYSTEM, key=f"back/{number}", wallet=wallet, amount_fen=amount)


def test_a_bill_becomes_a_statement_that_the_bank_can_pay(service: Service) -> None:
    cost = Gateway.call(service.key, service.offer, 1_234_567, 89_012, 345_678)
    assert cost == (1_234_567 - 345_678) * 200 + 345_678 * 20 + 89_012 * 800 == 255_900_960
    settled = bills.bill(SYSTEM, wallet=service.wallet)
    assert settled is not None
    assert (settled.billed_fen, settled.carried_ufen, settled.own_fen) == (255, 900_960, 0)
    statement = settled.statement
    assert statement is not None
    line = statement.lines.get()
    assert (line.amount, line.payee, line.vat_bps) == (255, service.provider, 600)
    assert (line.params["input"], line.params["cached"], line.params["output"]) == (1_234_567, 345_678, 89_012)
    assert (held(service), held(service, Kind.COMMITTED)) == (1_000_00 - 255, 255)
    book.accept(SYSTEM, statement=statement)
    assert held(service, Kind.COMMITTED) == 0
    assert services.balance(service.firm, Kind.PAYABLE, subject=label(statement)) == 255
    assert bills.bill(SYSTEM, wallet=service.wallet) is None, "nothing new, nothing billed"
    assert explained() == []


def test_what_did_not_make_a_fen_waits_for_the_next_bill(service: Service) -> None:
    for _number in range(3):
        Gateway.call(service.key, service.offer, 2_000, 0)  # 0.4 fen
        bills.bill(SYSTEM, wallet=service.wallet)
    told = [(row.billed_fen, row.carried_ufen, row.statement is None) for row in Settled.objects.order_by("pk")]
    assert told == [(0, 400_000, True), (0, 800_000, True), (1, 200_000, False)]
    assert explained() == []


def test_prices_of_two_days_are_two_lines(service: Service) -> None:
    Gateway.call(service.key, service.offer, 1_000_000, 0)
    with clock.moved_to(clock.now()):
        dearer = service.offer_of(service.upstream, "example-chat", 300, 800, 20)
    service.offer.refresh_from_db()
    assert service.offer.until_ms == dearer.since_ms
    Gateway.call(service.key, dearer, 1_000_000, 0)
    settled = bills.bill(SYSTEM, wallet=service.wallet)
    assert settled is not None
    assert settled.statement is not None
    assert list(settled.statement.lines.values_list("amount", "params__input_fen")) == [(200, 200), (300, 300)]


def test_calls_to_ones_own_upstream_are_nobodys_claim(service: Service) -> None:
    """They count in budgets at the published price, and go back to the limit when they are billed."""
    limit(service.bank, service.provider)
    wallet = wallets.fund(SYSTEM, key="own", party=service.provider, amount_fen=1_000)
    service.wallet, mine = wallet, service.wallet
    key = service.make_key()
    service.wallet = mine
    before = services.balance(service.provider, Kind.LIMIT)
    Gateway.call(key, service.offer, 1_500_000, 0)
    settled = bills.bill(SYSTEM, wallet=wallet)
    assert settled is not None
    assert (settled.billed_fen, settled.own_fen, settled.statement) == (0, 300, None)
    assert services.balance(service.provider, Kind.LIMIT) == before + 300
    assert explained() == []


def test_what_is_credited_returns_to_the_limit(service: Service) -> None:
    Gateway.call(service.key, service.offer, 5_000_000, 0)
    first = bills.bill(SYSTEM, wallet=service.wallet)
    Gateway.call(service.key, service.offer, 1_000_000, 0)
    bills.bill(SYSTEM, wallet=service.wallet)
    assert first is not None
    assert first.statement is not None
    book.contest(SYSTEM, statement=first.statement, reason="答复被截断")
    line = first.statement.lines.get()
    first.statement.refresh_from_db()
    book.answer(SYSTEM, statement=first.statement, reason="退还", credits={line.position: 400})
    before = services.balance(service.firm, Kind.LIMIT)
    book.accept(SYSTEM, statement=Statement.objects.get(pk=first.statement.pk))
    assert services.balance(service.firm, Kind.LIMIT) == before + 400
    assert held(service, Kind.COMMITTED) == 200, "what the other statement needs stays committed"
    assert explained() == []


def test_only_what_is_free_is_taken_back(service: Service) -> None:
    Gateway.hold(service.key, service.offer, 600_00 * UFEN)
    with pytest.raises(Refused) as refused:
        wallets.take_back(SYSTEM, key="b1", wallet=service.wallet, amount_fen=400_01)
    assert refused.value.code == "over_wallet"
    assert held(service) == 1_000_00, "nothing was half done"
    wallets.take_back(SYSTEM, key="b2", wallet=service.wallet, amount_fen=400_00)
    assert held(service) == 600_00
    with pytest.raises(Refused):
        wallets.fund(SYSTEM, key="f", party=service.firm, amount_fen=10**12)
    with pytest.raises(Invalid):
        wallets.fund(SYSTEM, key="g", party=service.firm, amount_fen=0)
    assert explained() == []


def test_months_and_amounts_say_when_a_wallet_is_billed(
    service: Service, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    with moved_clock("2026-11-20 12:00"):
        Gateway.call(service.key, service.offer, 100_000, 0)
        assert bills.bill_due(SYSTEM) == 0, "little, and the month is not over"
    with moved_clock("2026-12-01 03:00"):
        assert bills.bill_due(SYSTEM) == 1
        assert bills.bill_due(SYSTEM) == 0
        Gateway.call(service.key, service.offer, 250_000_000, 0)
        assert bills.bill_due(SYSTEM) == 1, "more than the published amount has gathered"
    assert explained() == []


def test_a_lost_hold_is_given_back_once(service: Service) -> None:
    lost = Gateway.hold(service.key, service.offer, 5_000, seconds=-1)
    alive = Gateway.hold(service.key, service.offer, 7_000)
    assert (bills.expire_holds(SYSTEM), bills.expire_holds(SYSTEM)) == (1, 0)
    assert list(Call.objects.filter(pk__in=[lost.pk, alive.pk]).order_by("pk").values_list("state", "outcome")) == [
        ("expired", "lost"), ("held", ""),
    ]  # fmt: skip
    assert explained() == []


def test_a_lost_hold_is_given_back_as_large_as_it_is_then(service: Service) -> None:
    """The gateway may move a hold to a dearer offer after the late calls were listed and before they are locked."""
    lost = Gateway.hold(service.key, service.offer, 5_000, seconds=-1)

    def moved(execute: Callable[..., object], sql: str, *rest: object) -> object:
        if 'FROM "maas_wallet"' in sql and Call.objects.filter(pk=lost.pk, hold_ufen=5_000).update(hold_ufen=8_000):
            for table, pk in ((Wallet, lost.wallet_id), (Key, lost.key_id)):
                table.objects.filter(pk=pk).update(held_ufen=8_000)
        return execute(sql, *rest)

    with connection.execute_wrapper(moved):
        assert bills.expire_holds(SYSTEM) == 1
    assert explained() == []


def test_another_budget_period_counts_the_calls_of_that_period(
    service: Service, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    with moved_clock("2026-11-20 13:00"):
        costs = [
            Gateway.call(service.key, service.offer, tokens, 0, started_ms=day(2026, month, number))
            for tokens, month, number in ((1_000, 10, 31), (2_000, 11, 19), (4_000, 11, 20))
        ]
        for period, counted in (("day", costs[2:]), ("month", costs[1:]), ("total", costs), ("day", costs[2:])):
            changed = keys.change_key(SYSTEM, target=service.key, scope=Scope(period=period, budget_fen=100))
            assert changed.spent_ufen == sum(counted)
            assert explained() == []
        assert keys.change_key(SYSTEM, target=service.key, scope=Scope(period="day")).spent_ufen == costs[2]


def test_the_check_finds_what_was_tampered_with(service: Service) -> None:
    Gateway.call(service.key, service.offer, 10_000, 10_000)
    assert explained() == []
    Wallet.objects.update(spent_ufen=1)
    Key.objects.update(held_ufen=3)
    assert {row.what for row in explained()} == {"wallet_spent", "wallet_unbilled", "key_held"}


def test_people_bill_their_own_wallet_and_no_other(service: Service, people: object) -> None:
    mine = people("agent", f"party:{service.firm.pk}")  # type: ignore[operator]
    stranger = people("agent", f"party:{service.provider.pk}")  # type: ignore[operator]
    Gateway.call(service.key, service.offer, 1_000_000, 0)
    for action in (
        lambda: bills.bill(stranger, wallet=service.wallet),
        lambda: wallets.fund(stranger, key="x", party=service.firm, amount_fen=1),
        lambda: wallets.take_back(stranger, key="y", wallet=service.wallet, amount_fen=1),
        lambda: wallets.freeze(mine, wallet=service.wallet, frozen=True, reason="x"),
        lambda: bills.expire_holds(mine),
    ):
        with pytest.raises(Refused) as refused:
            action()
        assert refused.value.code == "forbidden"
    assert bills.bill(mine, wallet=service.wallet) is not None


def test_the_days_of_use_stand_on_the_statement(
    service: Service, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    with moved_clock("2026-11-20 12:00"):
        Gateway.call(service.key, service.offer, 1_000_000, 0, started_ms=day(2026, 11, 3))
        Gateway.call(service.key, service.offer, 1_000_000, 0, started_ms=day(2026, 11, 9))
        settled = bills.bill(SYSTEM, wallet=service.wallet)
    assert settled is not None
    assert settled.statement is not None
    assert (settled.statement.used_from, settled.statement.used_to) == (date(2026, 11, 3), date(2026, 11, 9))
    assert settled.until_ms <= ms_of(clock.now()) + 10**12
    assert settled.statement.state == State.ISSUED
