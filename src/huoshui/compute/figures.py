"""What a result says in the figures that people read, and how the solver is set for a round."""

from __future__ import annotations

from typing import Any

import numpy as np

from huoshui.clearing import capacity
from huoshui.compute.models import Round
from huoshui.compute.problems import MILLI, terms_of
from huoshui.terms.rounding import BPS


def settings(round_: Round) -> dict[str, int]:
    """What the solver and the figures need to know of the round terms, with the options of the round on top."""
    terms = terms_of(round_)
    return {
        "reserved_share_bps": terms.reserved_share_bps,
        "price_step": terms.price_step,
        "fee_bps": terms.fee_bps,
        "concession_bps": terms.concession_bps,
    } | round_.options


def solver_options(problem: capacity.Problem, chosen: dict[str, int]) -> capacity.Options:
    """Options by size, with what the settings say. `quick` asks for a tenth of the work. Raises TypeError on an
    unknown option."""
    own = {name: value for name, value in chosen.items() if name not in ("fee_bps", "concession_bps", "quick")}
    preset = capacity.Options.quick if chosen.get("quick") else capacity.Options.for_size
    return preset(problem.requests, **own)


def of(problem: capacity.Problem, result: capacity.Result, chosen: dict[str, int]) -> dict[str, Any]:
    """Figures of a result: counts, card-hours, money in fen, value and bound in 1/1000 fen."""
    served = result.served
    cards, pool = problem.cards.astype(np.int64), result.pool
    hours = np.zeros(problem.requests, np.int64)
    np.add.at(hours, result.run_request, result.run_end - result.run_start)
    transfer = np.where(served, problem.transfer_cost[np.arange(len(pool)), problem.pool_region[pool]], 0) // MILLI
    card_part = result.payment // MILLI - transfer
    concession = card_part * chosen["concession_bps"] // BPS
    fee = card_part * chosen["fee_bps"] // BPS
    never = np.iinfo(np.int32).max
    shortest = np.where(problem.run_hours > 0, problem.run_hours, never).min(axis=1, initial=never)
    return {
        "served": int(served.sum()),
        "offered_card_hours": int(problem.capacity.sum()),
        "asked_card_hours": int((cards * np.where(shortest < never, shortest, 0)).sum()),
        "sold_card_hours": int(result.deposit_sold.sum()),
        "served_card_hours": int((cards * hours).sum()),
        "small_served": int((served & problem.small).sum()),
        "objective_mfen": result.objective,
        "bound_mfen": result.bound,
        "gap_bps": result.gap_bps,
        "first_come_mfen": capacity.first_come(problem).value,
        "paid_fen": int((card_part - concession + transfer).sum()),
        "sellers_fen": int((card_part - fee).sum()),
        "carriers_fen": int(transfer.sum()),
        "fee_fen": int((fee - concession).sum()),
        "concession_fen": int(concession.sum()),
        "refused": {code.name.lower(): int((result.refusal == code).sum()) for code in capacity.Refusal if code},
    }
