"""Checks every statement of an auction's result against its orders, in plain Python.

Nothing is shared with the solver but the two records. The verifier sorts and counts the orders the plain way, checks
that the curve is the curve of these orders and leaves out no step, walks it to see that no price is better by the
published rule, and deals the volume out again. An empty answer means that every statement holds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from huoshui.clearing.auction.problem import NO_PRICE, Problem, Result


class Breach(StrEnum):
    """What was found to be false."""

    SHAPE = "shape"
    DIGEST = "digest"
    ADMITTED = "admitted"
    CURVE = "curve"
    PRICE = "price"
    VOLUME = "volume"
    FILLED = "filled"
    TRADES = "trades"


@dataclass(frozen=True)
class Violation:
    """A false statement: its code, the field and index it concerns, and (said, should be)."""

    code: Breach
    where: str
    params: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Order:
    index: int
    buy: bool
    price: int
    lots: int
    time: int
    group: int


def verify(problem: Problem, result: Result) -> tuple[Violation, ...]:
    """All false statements of `result` about `problem`; empty when the result holds."""
    if shape := tuple(_shape(problem, result)):
        return shape
    orders = [
        _Order(*row)
        for row in zip(
            range(len(problem.order_id)), problem.buy.tolist(), problem.price.tolist(), problem.lots.tolist(),
            problem.time.tolist(), problem.group.tolist(), strict=True,
        )
    ]  # fmt: skip
    admitted = _on_first_side(orders)
    if admitted != result.admitted.tolist():
        return tuple(
            Violation(Breach.ADMITTED, f"admitted[{index}]", (said, should))
            for index, (said, should) in enumerate(zip(result.admitted.tolist(), admitted, strict=True))
            if said != should
        )
    buys = sorted((o for o in orders if o.buy and admitted[o.index]), key=lambda o: (-o.price, o.time))
    sells = sorted((o for o in orders if not o.buy and admitted[o.index]), key=lambda o: (o.price, o.time))
    if curve := tuple(_curve(problem, result, buys, sells)):
        return curve
    return (*_price(problem, result), *_dealt(result, buys, sells))


def _shape(problem: Problem, result: Result) -> Iterator[Violation]:
    n, k, m = len(problem.order_id), len(result.level_price), len(result.trade_buy)
    wanted = {
        "admitted": n, "filled": n, "level_price": k, "level_demand": k, "level_supply": k, "trade_buy": m,
        "trade_sell": m, "trade_lots": m,
    }  # fmt: skip
    for name, length in wanted.items():
        if getattr(result, name).shape != (length,):
            yield Violation(Breach.SHAPE, name, getattr(result, name).shape)
    if result.problem_digest != problem.digest():
        yield Violation(Breach.DIGEST, "problem_digest")


def _on_first_side(orders: list[_Order]) -> list[bool]:
    side: dict[int, bool] = {}
    for order in sorted(orders, key=lambda order: order.time):
        side.setdefault(order.group, order.buy)
    return [side[order.group] == order.buy for order in orders]


def _curve(problem: Problem, result: Result, buys: list[_Order], sells: list[_Order]) -> Iterator[Violation]:
    """The levels are the prices at which something may change, and demand and supply there are right."""
    tick = problem.tick
    steps = {problem.low, problem.high}
    steps |= {problem.reference // tick * tick, -(-problem.reference // tick) * tick}
    steps |= {price for o in buys for price in (o.price, o.price + tick)}
    steps |= {price for o in sells for price in (o.price, o.price - tick)}
    levels = sorted(step for step in steps if problem.low <= step <= problem.high)
    if levels != result.level_price.tolist():
        yield Violation(Breach.CURVE, "level_price")
        return
    dear, cheap = sorted(-o.price for o in buys), sorted(o.price for o in sells)
    bought = [0, *accumulate(o.lots for o in buys)]
    sold = [0, *accumulate(o.lots for o in sells)]
    rows = zip(levels, result.level_demand.tolist(), result.level_supply.tolist(), strict=True)
    for row, (price, demand, supply) in enumerate(rows):
        if demand != (should := bought[bisect_right(dear, -price)]):
            yield Violation(Breach.CURVE, f"level_demand[{row}]", (demand, should))
        if supply != (should := sold[bisect_right(cheap, price)]):
            yield Violation(Breach.CURVE, f"level_supply[{row}]", (supply, should))


def _price(problem: Problem, result: Result) -> Iterator[Violation]:
    """No level is better than the price by the published rule."""
    best: tuple[int, int, int, int] | None = None
    rows = zip(result.level_price.tolist(), result.level_demand.tolist(), result.level_supply.tolist(), strict=True)
    for price, demand, supply in rows:
        key = (-min(demand, supply), abs(demand - supply), abs(price - problem.reference), price)
        best = key if best is None else min(best, key)
    assert best is not None, "the limits are levels"
    volume = -best[0]
    if result.volume != volume:
        yield Violation(Breach.VOLUME, "volume", (result.volume, volume))
    if result.price != (should := best[3] if volume else NO_PRICE):
        yield Violation(Breach.PRICE, "price", (result.price, should))


def _dealt(result: Result, buys: list[_Order], sells: list[_Order]) -> Iterator[Violation]:
    """The volume went to the front of both queues, and the trades lay the queues side by side."""
    filled = [0] * len(result.filled)
    for queue in (buys, sells):
        left = result.volume
        for order in queue:
            filled[order.index] = min(order.lots, left)
            left -= filled[order.index]
    for index, (said, should) in enumerate(zip(result.filled.tolist(), filled, strict=True)):
        if said != should:
            yield Violation(Breach.FILLED, f"filled[{index}]", (said, should))
    trades: list[tuple[int, int, int]] = []
    sellers = iter([o.index, filled[o.index]] for o in sells if filled[o.index])
    seller = [0, 0]
    for order in buys:
        wanted = filled[order.index]
        while wanted:
            if not seller[1]:
                seller = next(sellers, [0, wanted])
            lots = min(wanted, seller[1])
            trades.append((order.index, seller[0], lots))
            wanted, seller[1] = wanted - lots, seller[1] - lots
    columns = (result.trade_buy.tolist(), result.trade_sell.tolist(), result.trade_lots.tolist())
    if list(zip(*columns, strict=True)) != trades:
        yield Violation(Breach.TRADES, "trade_lots", (len(columns[0]), len(trades)))
