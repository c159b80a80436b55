"""The calculation of a round: bytes in, bytes out. Runs in a child process, so nothing here knows Django."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from huoshui.clearing import capacity
from huoshui.clearing.capacity import archive
from huoshui.clearing.capacity.queues import first_come
from huoshui.terms.rounding import BPS

MILLI = 1000
OF_MONEY = ("fee_bps", "concession_bps")
"""Settings that the figures need and the solver does not."""
Report = Callable[..., bool]


def solve(problem_bytes: bytes, settings: dict[str, int], progress: Report) -> tuple[bytes, dict[str, Any]]:
    """Bytes of a problem → bytes of a verified result and the figures that people read.

    `settings`: reserved_share_bps, price_step, fee_bps, concession_bps, and any field of capacity.Options on top;
    `quick` asks for a tenth of the work. Raises RuntimeError when `verify` finds a false statement: such a result is
    never stored.
    """
    problem = archive.unpack(capacity.Problem, problem_bytes)

    def told(phase: str, done: int, total: int, objective: int, bound: int) -> bool:
        return progress(str(phase), done, total, objective=int(objective), bound=int(bound))

    result = capacity.clear(problem, options=options(problem, settings), progress=told)
    if faults := capacity.verify(problem, result):
        raise RuntimeError(f"the result does not verify: {faults[:5]}")
    return archive.pack(result), figures(problem, result, settings)


def options(problem: capacity.Problem, settings: dict[str, int]) -> capacity.Options:
    """Options by size, with what the settings say. Raises TypeError on an unknown option."""
    own = {name: value for name, value in settings.items() if name not in (*OF_MONEY, "quick")}
    preset = capacity.Options.quick if settings.get("quick") else capacity.Options.for_size
    return preset(problem.requests, **own)


def figures(problem: capacity.Problem, result: capacity.Result, settings: dict[str, int]) -> dict[str, Any]:
    """Counts, card-hours, money in fen, value and bound in 1/1000 fen."""
    served = result.served
    cards, pool = problem.cards.astype(np.int64), result.pool
    transfer = np.where(served, problem.transfer_cost[np.arange(len(pool)), problem.pool_region[pool]], 0) // MILLI
    card_part = result.payment // MILLI - transfer
    concession = card_part * settings["concession_bps"] // BPS
    fee = card_part * settings["fee_bps"] // BPS
    never = np.iinfo(np.int32).max
    shortest = np.where(problem.run_hours > 0, problem.run_hours, never).min(axis=1, initial=never)
    return {
        "served": int(served.sum()),
        "small_served": int((served & problem.small).sum()),
        "refused": {code.name.lower(): int((result.refusal == code).sum()) for code in capacity.Refusal if code},
        "offered_card_hours": int(problem.capacity.sum()),
        "asked_card_hours": int((cards * np.where(shortest < never, shortest, 0)).sum()),
        "sold_card_hours": int(result.deposit_sold.sum()),
        "objective_mfen": int(result.objective),
        "bound_mfen": int(result.bound),
        "gap_bps": int(result.gap_bps),
        "first_come_mfen": int(first_come(problem).value),
        "paid_fen": int((card_part - concession + transfer).sum()),
        "sellers_fen": int((card_part - fee).sum()),
        "carriers_fen": int(transfer.sum()),
        "fee_fen": int((fee - concession).sum()),
        "concession_fen": int(concession.sum()),
    }
