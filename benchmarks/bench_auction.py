"""A call auction of many orders with proof, beside plain heap matching: `python benchmarks/bench_auction.py`.

Seeded orders around a reference price. Prints the seconds of clearing and of verifying (bar: 2 s together for 100,000
orders) and, for the same orders one after another through a plain order book of two heaps, its seconds, its lots, and
how many of its lots would have been traded at the auction's one price.
"""

from __future__ import annotations

import argparse
import heapq
import time

import numpy as np

from huoshui.clearing import auction

TICK, REFERENCE = 1_000, 800_000
BAR_SECONDS = 2.0


def orders(count: int, seed: int = 7) -> auction.Problem:
    """Orders of which most limits lie within a fifth of the reference price; some firms have several."""
    dice = np.random.default_rng(seed)
    buy = dice.random(count) < 0.5
    away = dice.normal(0, 0.07, count) + np.where(buy, -0.01, 0.01)
    price = np.clip((REFERENCE * (1 + away)).astype(np.int64) // TICK * TICK, 640_000, 960_000)
    return auction.Problem(
        tuple(f"A{index:07d}" for index in range(count)), buy, price, dice.integers(1, 65, count), np.arange(count),
        dice.integers(0, 20 * count, count), TICK, 640_000, 960_000, REFERENCE,
    )  # fmt: skip


def one_after_another(problem: auction.Problem) -> list[tuple[int, int, int]]:
    """(bid, ask, lots) of each trade of a plain order book: price first, then time."""
    books: tuple[list[list[int]], list[list[int]]] = ([], [])
    trades = []
    for index, (buy, price, lots) in enumerate(
        zip(problem.buy.tolist(), problem.price.tolist(), problem.lots.tolist(), strict=True)
    ):
        asks_or_bids, mine = (books[1], books[0]) if buy else (books[0], books[1])
        while lots and asks_or_bids:
            other = asks_or_bids[0]
            limit = other[0] if buy else -other[0]
            if (limit > price) if buy else (limit < price):
                break
            taken = min(lots, other[2])
            trades.append((price, limit, taken) if buy else (limit, price, taken))
            lots, other[2] = lots - taken, other[2] - taken
            if not other[2]:
                heapq.heappop(asks_or_bids)
        if lots:
            heapq.heappush(mine, [-price if buy else price, index, lots])
    return trades


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=100_000)
    problem = orders(parser.parse_args().orders)
    started = time.perf_counter()
    result = auction.clear(problem)
    cleared = time.perf_counter()
    faults = auction.verify(problem, result)
    verified = time.perf_counter()
    assert not faults, faults[:3]
    trades = one_after_another(problem)
    matched = time.perf_counter()
    fits = sum(lots for bid, ask, lots in trades if ask <= result.price <= bid)
    left_out = int((~result.admitted).sum())
    print(f"orders {len(problem.order_id):,}, of them left out (own group on both sides) {left_out:,}")
    print(f"auction: clear {cleared - started:.3f} s, verify {verified - cleared:.3f} s, bar {BAR_SECONDS} s together")
    print(f"  price {result.price / 100_000:.2f} yuan, {result.volume:,} lots in {len(result.trade_lots):,} trades")
    print(f"plain heap matching: {matched - verified:.3f} s, {sum(t[2] for t in trades):,} lots at many prices,")
    print(f"  of which {fits:,} at prices that admit the auction's")


if __name__ == "__main__":
    main()
