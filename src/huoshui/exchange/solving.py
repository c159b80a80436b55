"""The calculation of an auction: bytes in, bytes out. Runs in a child process, so nothing here knows Django."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from huoshui.clearing import auction
from huoshui.clearing.capacity import archive


def solve(problem_bytes: bytes, progress: Callable[..., bool]) -> tuple[bytes, dict[str, Any]]:
    """Bytes of the orders → bytes of a verified result and the figures that people read.

    Raises RuntimeError when `verify` finds a false statement: such a result is never stored.
    """
    problem = archive.unpack(auction.Problem, problem_bytes)
    result = auction.clear(problem)
    progress("verify", 1, 2)
    if faults := auction.verify(problem, result):
        raise RuntimeError(f"the result does not verify: {faults[:5]}")
    return archive.pack(result), figures(problem, result)


def figures(problem: auction.Problem, result: auction.Result) -> dict[str, Any]:
    """Orders and lots of both sides, what was traded and left out, demand and supply at the price and one tick off."""
    buy, lots = problem.buy, problem.lots
    traded = result.price != auction.NO_PRICE
    return {
        "orders": len(problem.order_id),
        "buy_lots": int(lots[buy].sum()),
        "sell_lots": int(lots[~buy].sum()),
        "left_out": int((~result.admitted).sum()),
        "volume": result.volume,
        "trades": len(result.trade_lots),
        "price_mfen": result.price if traded else None,
        "at_price": _at(problem, result, result.price) if traded else None,
        "above": _at(problem, result, result.price + problem.tick) if traded else None,
        "below": _at(problem, result, result.price - problem.tick) if traded else None,
    }


def _at(problem: auction.Problem, result: auction.Result, price: int) -> list[int] | None:
    """[demand, supply] at a price; None outside the limits."""
    if not problem.low <= price <= problem.high:
        return None
    asked, buy = problem.price, problem.buy
    demand = problem.lots[result.admitted & buy & (asked >= price)]
    supply = problem.lots[result.admitted & ~buy & (asked <= price)]
    return [int(np.sum(demand)), int(np.sum(supply))]
