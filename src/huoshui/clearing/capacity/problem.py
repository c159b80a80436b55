"""What a round has to decide: idle cards on offer and requests for them, as frozen numpy columns.

The idea: a *pool* is one card model at one site; a *cell* is one pool in one hour. Deposits fill cells with
cards at a reserve price, so the supply of a cell is a ladder of (cards, reserve). A request runs on `cards`
cards together, in one pool, for the hours that its model needs, inside its window. Everything is an integer:
money in 1/1000 fen, prices in 1/1000 fen per card-hour, hours as offsets from `horizon_start`. The ranges
asserted here are what makes int64 arithmetic exact everywhere else, so no later step checks for overflow.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from huoshui.clearing.columns import Bool, Int32, Int64, ProblemError, check, digest_of, frozen_column

__all__ = ["Bool", "Int32", "Int64", "Problem", "ProblemError"]

HOURS_MAX = 672
POOLS_MAX = 2_000
DEPOSITS_MAX = 200_000
REQUESTS_MAX = 1_000_000
CARDS_MAX = 1_000_000
RUN_HOURS_MAX = 10_000
CARD_HOURS_MAX = 4_000_000_000
PRICE_MAX = 100_000_000
"""1,000 yuan per card-hour: the highest reserve price, shadow price and slot price."""
MONEY_MAX = 1_000_000_000_000_000
"""10 billion yuan: the highest budget or transfer cost of one request."""
MONEY_SUM_MAX = 4_000_000_000_000_000_000
"""The highest sum of budgets, and of reserve cost: below 2**62, so sums and differences fit in int64."""


@dataclass(frozen=True, eq=False)
class Problem:
    """One round. T hours, P pools, M models, R regions, S sites, D deposits, n requests.

    horizon_start  hours since 1970-01-01T00:00Z of hour 0; hours is T, at most 672
    sites, models, regions  names; pool_site, pool_model, pool_region  int32[P], indices into them
    deposit_id     D names; deposit_pool int32[D]; deposit_order int64[D], earlier first at equal reserve
    deposit_cards  int32[D,T] idle cards; deposit_reserve int64[D,T], 1/1000 fen per card-hour
    request_id     n names; cards int32[n], needed together
    run_hours      int32[n,M], hours needed on each model, 0 = model not acceptable
    earliest, deadline  int32[n], the half-open window [earliest, deadline) in hour offsets
    budget         int64[n], 1/1000 fen, the most that is paid for the whole request, transfer included
    preemptible    bool[n]; min_piece int32[n], shortest piece in hours (0 when rigid); a request shorter than its
                   shortest piece runs in one piece
    small          bool[n], may use the reserved share; priority int32[n], class 0 goes first
    lead_hours     int32[n,R], transfer lead time after `earliest`, -1 = region not acceptable
    transfer_cost  int64[n,R], 1/1000 fen, paid to a carrier

    Raises ProblemError when a column has the wrong shape or a value out of range.
    """

    horizon_start: int
    hours: int
    sites: tuple[str, ...]
    models: tuple[str, ...]
    regions: tuple[str, ...]
    pool_site: Int32
    pool_model: Int32
    pool_region: Int32
    deposit_id: tuple[str, ...]
    deposit_pool: Int32
    deposit_order: Int64
    deposit_cards: Int32
    deposit_reserve: Int64
    request_id: tuple[str, ...]
    cards: Int32
    run_hours: Int32
    earliest: Int32
    deadline: Int32
    budget: Int64
    preemptible: Bool
    min_piece: Int32
    small: Bool
    priority: Int32
    lead_hours: Int32
    transfer_cost: Int64

    def __post_init__(self) -> None:
        check(0 < self.hours <= HOURS_MAX, "hours", f"between 1 and {HOURS_MAX}", self.hours)
        for name in ("sites", "models", "regions", "deposit_id", "request_id"):
            self._freeze_names(name)
        self._freeze_columns()
        self._check_pools()
        self._check_deposits()
        self._check_requests()

    @property
    def pools(self) -> int:
        return len(self.pool_site)

    @property
    def requests(self) -> int:
        return len(self.request_id)

    @cached_property
    def capacity(self) -> Int64:
        """Cards offered in each cell, int64[P,T]."""
        total = np.zeros((self.pools, self.hours), np.int64)
        np.add.at(total, self.deposit_pool, self.deposit_cards.astype(np.int64))
        total.setflags(write=False)
        return total

    def digest(self) -> str:
        """sha256 (hex) over a canonical encoding of every column, in the order declared."""
        return digest_of("huoshui/capacity/problem/1", self)

    def _freeze_names(self, name: str) -> None:
        names = tuple(str(value) for value in getattr(self, name))
        check(len(set(names)) == len(names), name, "without repeated names")
        object.__setattr__(self, name, names)

    def _freeze_columns(self) -> None:
        size = {"P": len(self.pool_site), "M": len(self.models), "R": len(self.regions), "T": self.hours}
        size |= {"D": len(self.deposit_id), "n": len(self.request_id)}
        check(size["P"] <= POOLS_MAX, "pool_site", f"at most {POOLS_MAX} pools", size["P"])
        check(size["D"] <= DEPOSITS_MAX, "deposit_id", f"at most {DEPOSITS_MAX} deposits", size["D"])
        check(size["n"] <= REQUESTS_MAX, "request_id", f"at most {REQUESTS_MAX} requests", size["n"])
        for name, (dtype, axes) in COLUMNS.items():
            shape = tuple(size[axis] for axis in axes)
            object.__setattr__(self, name, frozen_column(name, getattr(self, name), dtype, shape))

    def _check_pools(self) -> None:
        kinds = (("pool_site", self.sites), ("pool_model", self.models), ("pool_region", self.regions))
        for name, names in kinds:
            column = getattr(self, name)
            check((column >= 0) & (column < len(names)), name, f"an index below {len(names)}", column)
        pairs = self.pool_site.astype(np.int64) * len(self.models) + self.pool_model
        check(len(np.unique(pairs)) == len(pairs), "pool_site, pool_model", "a different pair for each pool")
        region = np.full(len(self.sites), -1, np.int32)
        region[self.pool_site] = self.pool_region
        check(region[self.pool_site] == self.pool_region, "pool_region", "one region per site", self.pool_region)

    def _check_deposits(self) -> None:
        pool, cards, reserve = self.deposit_pool, self.deposit_cards, self.deposit_reserve
        check((pool >= 0) & (pool < self.pools), "deposit_pool", f"an index below {self.pools}", pool)
        check((cards >= 0) & (cards <= CARDS_MAX), "deposit_cards", f"0 to {CARDS_MAX}", cards)
        check((reserve >= 0) & (reserve <= PRICE_MAX), "deposit_reserve", f"0 to {PRICE_MAX}", reserve)
        check(int(cards.sum(dtype=np.int64)) <= CARD_HOURS_MAX, "deposit_cards", f"at most {CARD_HOURS_MAX} in all")

    def _check_requests(self) -> None:
        cards, hours, early, late = self.cards, self.run_hours, self.earliest, self.deadline
        piece, lead, transfer, budget = self.min_piece, self.lead_hours, self.transfer_cost, self.budget
        check((cards >= 1) & (cards <= CARDS_MAX), "cards", f"1 to {CARDS_MAX}", cards)
        check((hours >= 0) & (hours <= RUN_HOURS_MAX), "run_hours", f"0 to {RUN_HOURS_MAX}", hours)
        check((early >= 0) & (early < late), "earliest", "at least 0 and before the deadline", early)
        check(late <= self.hours, "deadline", f"at most the horizon of {self.hours} hours", late)
        check((budget >= 0) & (budget <= MONEY_MAX), "budget", f"0 to {MONEY_MAX}", budget)
        check(
            (piece >= self.preemptible) & (piece <= HOURS_MAX), "min_piece", f"1 to {HOURS_MAX} if preemptible", piece
        )
        check(self.preemptible | (piece == 0), "min_piece", "0 for a rigid request", piece)
        check((self.priority >= 0) & (self.priority < 100), "priority", "0 to 99", self.priority)
        check((lead >= -1) & (lead <= HOURS_MAX), "lead_hours", f"-1 to {HOURS_MAX}", lead)
        check((transfer >= 0) & (transfer <= MONEY_MAX), "transfer_cost", f"0 to {MONEY_MAX}", transfer)
        check(sum(budget.tolist()) <= MONEY_SUM_MAX, "budget", f"at most {MONEY_SUM_MAX} in all")


COLUMNS: dict[str, tuple[type[np.generic], str]] = {
    "pool_site": (np.int32, "P"),
    "pool_model": (np.int32, "P"),
    "pool_region": (np.int32, "P"),
    "deposit_pool": (np.int32, "D"),
    "deposit_order": (np.int64, "D"),
    "deposit_cards": (np.int32, "DT"),
    "deposit_reserve": (np.int64, "DT"),
    "cards": (np.int32, "n"),
    "run_hours": (np.int32, "nM"),
    "earliest": (np.int32, "n"),
    "deadline": (np.int32, "n"),
    "budget": (np.int64, "n"),
    "preemptible": (np.bool_, "n"),
    "min_piece": (np.int32, "n"),
    "small": (np.bool_, "n"),
    "priority": (np.int32, "n"),
    "lead_hours": (np.int32, "nR"),
    "transfer_cost": (np.int64, "nR"),
}
"""dtype and axes of every numeric column of a Problem, in declaration order."""
