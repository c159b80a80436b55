"""Sealed orders for one contract and what a call auction makes of them, as frozen numpy columns.

The idea: demand at a price is the lots of all buyers who would pay it, supply the lots of all sellers who would take
it. Demand falls with the price and supply rises, both in steps, so all that a price can do is known from the few
prices next to a step. The result carries this curve (its *levels*): whoever reads it sees that no other price trades
more. Prices are 1/1000 fen per unit on a grid of `tick`; a lot is the smallest part of an order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from huoshui.clearing.columns import Bool, Int64, check, digest_of, freeze, frozen_column

ORDERS_MAX = 1_000_000
LOTS_MAX = 1_000_000
PRICE_MAX = 100_000_000
"""1,000 yuan per unit."""
NO_PRICE = -1
"""The price of an auction in which nothing can be traded."""
COLUMNS: dict[str, type[np.generic]] = {
    "buy": np.bool_, "price": np.int64, "lots": np.int64, "time": np.int64, "group": np.int64,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Problem:
    """The orders of one auction, n of them.

    order_id  n names, each once
    buy       bool[n]; price int64[n], the most a buyer pays and the least a seller takes; lots int64[n]
    time      int64[n], earlier goes first at equal price, each value once
    group     int64[n], parties that count as one (a party and those related to it)
    tick      prices are multiples of it; low, high: the price limits; reference: the reference price, anywhere between

    Raises ProblemError when a column has the wrong shape or a value out of range.
    """

    order_id: tuple[str, ...]
    buy: Bool
    price: Int64
    lots: Int64
    time: Int64
    group: Int64
    tick: int
    low: int
    high: int
    reference: int

    def __post_init__(self) -> None:
        names = tuple(str(name) for name in self.order_id)
        object.__setattr__(self, "order_id", names)
        check(len(names) <= ORDERS_MAX, "order_id", f"at most {ORDERS_MAX} orders")
        check(len(set(names)) == len(names), "order_id", "without repeated names")
        for name, dtype in COLUMNS.items():
            object.__setattr__(self, name, frozen_column(name, getattr(self, name), dtype, (len(names),)))
        check(0 < self.tick <= PRICE_MAX, "tick", f"1 to {PRICE_MAX}")
        check(0 < self.low <= self.high <= PRICE_MAX, "low, high", f"1 to {PRICE_MAX}, low not above high")
        check(self.low % self.tick == self.high % self.tick == 0, "low, high", "multiples of the tick")
        check(self.low <= self.reference <= self.high, "reference", "within the price limits")
        check(self.price % self.tick == 0, "price", "multiples of the tick", self.price)
        check((self.price >= self.low) & (self.price <= self.high), "price", "within the price limits", self.price)
        check((self.lots >= 1) & (self.lots <= LOTS_MAX), "lots", f"1 to {LOTS_MAX}", self.lots)
        check(len(np.unique(self.time)) == len(names), "time", "a different one for each order")

    def digest(self) -> str:
        """sha256 (hex) over a canonical encoding of every column, in the order declared."""
        return digest_of("huoshui/auction/problem/1", self)


@dataclass(frozen=True, eq=False)
class Result:
    """What the auction decided. All of it follows from the problem, so one wrong number is a false statement.

    problem_digest  digest of the problem that was cleared
    admitted        bool[n]: the order took part (see `clear` on orders of one group on both sides)
    price           of every trade, 1/1000 fen per unit; NO_PRICE when nothing is traded; volume: lots traded
    filled          int64[n]: lots of each order that were traded
    level_price     int64[k], rising: the prices next to a step of the curve, the limits, those next to the reference
    level_demand, level_supply  int64[k]: lots of admitted buyers who pay that price, of sellers who take it
    trade_buy, trade_sell, trade_lots  int64[m]: who gets how many lots from whom (indices of orders)
    """

    problem_digest: str
    admitted: Bool
    price: int
    volume: int
    filled: Int64
    level_price: Int64
    level_demand: Int64
    level_supply: Int64
    trade_buy: Int64
    trade_sell: Int64
    trade_lots: Int64

    def __post_init__(self) -> None:
        freeze(self)

    def digest(self) -> str:
        """sha256 (hex) over a canonical encoding of every column."""
        return digest_of("huoshui/auction/result/1", self)
