"""How much work a clearing may do, and the round terms that the solver must respect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from huoshui.clearing.capacity.codes import Phase

Progress = Callable[[Phase, int, int, int, int], bool | None]
"""progress(phase, done, total, objective, bound); False asks to stop. Called between steps, never inside one."""

NEVER = 1 << 60


@dataclass(frozen=True)
class Options:
    """Work is counted, never timed: the same options give the same result on every machine.

    seed                random choices of the search
    bound_steps, coarse_steps   price vectors tried for the bound, and before on each sample of a large round
    place_passes, place_moves   passes over the plan, and ruin-and-recreate moves in each
    price_steps         slot-price vectors tried
    reserved_share_bps  share of each pool's local day that is kept for small requests first
    price_step          slot prices are multiples of this; 1000 = whole fen
    workers             threads; does not change the result
    bound_stop, place_stop   stop there as if `progress` had asked to: replays a stopped run
    """

    seed: int = 0
    bound_steps: int = 400
    coarse_steps: int = 150
    place_passes: int = 40
    place_moves: int = 20_000
    price_steps: int = 60
    reserved_share_bps: int = 0
    price_step: int = 1000
    workers: int = 2
    bound_stop: int = NEVER
    place_stop: int = NEVER

    def __post_init__(self) -> None:
        if not 0 <= self.reserved_share_bps <= 10_000:
            raise ValueError(f"reserved_share_bps = {self.reserved_share_bps}: must be 0 to 10000")
        for name in ("bound_steps", "place_passes", "place_moves", "price_step", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")

    @classmethod
    def for_size(cls, requests: int, **changes: int) -> Options:
        """Work that ends within a minute on two cores for 300 to 100,000 requests over a week."""
        work = next(work for limit, *work in SIZES if requests <= limit)
        bound_steps, coarse_steps, passes, moves, price_steps = work
        chosen = cls(0, bound_steps, coarse_steps, passes, moves, price_steps)
        return replace(chosen, **changes)

    @classmethod
    def quick(cls, requests: int, **changes: int) -> Options:
        """About a tenth of the work of `for_size`, for previews and tests."""
        full = cls.for_size(requests)
        less = {"bound_steps": full.bound_steps // 3, "place_moves": full.place_moves // 10, "price_steps": 20}
        return replace(full, **(less | changes))


SIZES = (
    (500, 600, 150, 40, 20_000, 100),
    (2_000, 400, 150, 40, 40_000, 100),
    (8_000, 250, 150, 40, 20_000, 60),
    (30_000, 100, 150, 30, 24_000, 30),
    (1 << 60, 30, 100, 20, 24_000, 15),
)
"""(requests up to, bound_steps, coarse_steps, place_passes, place_moves, price_steps)."""
