"""What a round decided: the plan, its prices and its proof, as frozen numpy columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from huoshui.clearing.columns import Bool, Int32, Int64, digest_of, freeze

PARAMS = 3


@dataclass(frozen=True, eq=False)
class Result:
    """The answer to one Problem. Money in 1/1000 fen; K gang sizes, k runs.

    problem_digest  digest of the problem that was cleared
    served bool[n]; pool int32[n], -1 = refused
    run_request, run_start, run_end  int32[k]: unbroken runs [start, end) in hour offsets, by request and start
    shadow_price int64[P,T] per card, gang_size int64[K] and gang_price int64[K,P,T] per card of a whole gang: prove the
                    bound, pay nobody
    slot_price      int64[P,T]: published and settled
    payment         int64[n]: slot prices times cards, plus transfer; 0 when refused
    deposit_sold    int32[D,T]: cards of each deposit in use
    objective       budgets minus transfers minus reserve cost of the served requests
    bound           no plan is worth more; gap_bps = bound - objective in 1/10000 of the bound, rounded up
    refusal int8[n] (codes.Refusal); refusal_params int64[n,3]: cheapest cost, its pool (-1 none), missed amount.
                    The cost is at slot prices, for BUDGET at reserve prices on an empty grid
    dropped bool[n], price_rule_loss  served requests that no slot price supported, and what the objective lost by it
                    (below 0 when they had become dearer than they are worth)
    share_cost_low, share_cost_high, priority_cost_low, priority_cost_high  what the reserved share and the priority
                    classes cost: the best plan without the rule is worth at least low and at most high more
    bound_steps, place_steps  work done: with the same options and these stops a replay is exact
    """

    problem_digest: str
    served: Bool
    pool: Int32
    run_request: Int32
    run_start: Int32
    run_end: Int32
    shadow_price: Int64
    gang_size: Int64
    gang_price: Int64
    slot_price: Int64
    payment: Int64
    deposit_sold: Int32
    objective: int
    bound: int
    gap_bps: int
    refusal: np.ndarray
    refusal_params: Int64
    dropped: Bool
    price_rule_loss: int
    share_cost_low: int
    share_cost_high: int
    priority_cost_low: int
    priority_cost_high: int
    reserved_share_bps: int
    price_step: int
    bound_steps: int
    place_steps: int

    def __post_init__(self) -> None:
        freeze(self)

    def digest(self) -> str:
        """sha256 (hex) over a canonical encoding of every column."""
        return digest_of("huoshui/capacity/result/1", self)


def gap_bps(bound: int, objective: int) -> int:
    """(bound - objective) / bound in basis points, rounded up; 0 when the bound is 0."""
    return -(-(bound - objective) * 10_000 // bound) if bound > 0 else 0
