"""Drives the search for a plan: priority classes one after another, the reserved share in two phases, passes in
groups.

Priority: class 0 is placed on all capacity and frozen, then class 1 on what is left, and so on. Reserved share:
in phase 1 requests that are not small may take at most (1 - share) of the card-hours that a pool offers on a
local day; in phase 2 the small requests served so far keep their places and everybody competes for the rest
without that limit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from huoshui.clearing.capacity.bound import Bound
from huoshui.clearing.capacity.grid import Grid
from huoshui.clearing.capacity.options import Options
from huoshui.clearing.capacity.oracle import respond_all
from huoshui.clearing.capacity.place import Plan, anneal, copy_plan, empty_plan, fill, plan_value
from huoshui.clearing.capacity.problem import Bool, Int32, Int64

NO_LIMIT = 1 << 60
GROUP_POOLS = 8
"""Pools that are searched together; a constant, so that it does not follow the number of threads."""
MOVES_PER_MEAN = 1500
"""Moves per request that allow a first threshold of the mean budget: a hot search needs many moves to cool."""
HOPE = 4
"""A request whose best answer costs more than (1 + 1/HOPE) of its budget is left to the last fill."""


class Prospects(NamedTuple):
    """order int64[k]: requests with an option, most surplus first; rank int64[n] >= 0; hopeful bool[n]."""

    order: Int64
    rank: Int64
    hopeful: Bool


def prospects(grid: Grid, bound: Bound, threads: ThreadPoolExecutor) -> Prospects:
    """How good each request looks at the prices of the bound."""
    able = np.diff(grid.option_from) > 0
    answer = respond_all(grid._replace(budget=np.where(able, 4 * grid.budget + 1, 0)), bound.prices, threads)
    surplus = grid.budget - answer.cost
    order = np.lexsort((np.arange(len(surplus)), -surplus))
    return Prospects(order[able[order]], surplus - surplus.min(initial=0), surplus + grid.budget // HOPE > 0)


@dataclass
class Search:
    """One search: counts passes over all its phases so that a stopped run can be replayed."""

    grid: Grid
    bound: Bound
    look: Prospects
    options: Options
    threads: ThreadPoolExecutor
    on_pass: Callable[[int, int], bool]
    passes: int = 0
    stopped: bool = False

    def run(self, priority: Int32, small: Bool, share_bps: int, passes: int) -> Plan:
        """A plan under the given classes and share, with about `passes` passes in all."""
        plan = empty_plan(self.grid, self._room(share_bps))
        classes = np.unique(priority) if len(priority) else np.zeros(1, np.int32)
        for rank in classes:
            active = priority == rank
            part = max(1, passes * int(active.sum()) // max(1, len(active)))
            if share_bps == 0:
                plan = self._phase(plan, active, part)
                continue
            plan.others_room[:] = self._room(share_bps)
            self._charge_room(plan)
            plan = self._phase(plan, active, part)
            plan.others_room[:] = NO_LIMIT
            plan = self._phase(plan, active & ~(small & (plan.option >= 0)), part)
        return plan

    def _phase(self, plan: Plan, active: Bool, passes: int) -> Plan:
        """Fill and anneal the `active` requests; everybody else stays."""
        grid, look, options = self.grid, self.look, self.options
        order = look.order[active[look.order]]
        fill(grid, plan, order, self.bound.prices, 4)
        best, best_value = copy_plan(plan), plan_value(grid, plan)
        members = order[look.hopeful[order]]
        random = np.random.Generator(np.random.PCG64([options.seed, self.passes]))
        heat = self._heat(members, passes)
        for done in range(passes):
            if self.stopped or len(members) == 0:
                break
            left = passes - done - 1
            self._pass(plan, members, heat * left * left // (passes * passes), random)
            value = plan_value(grid, plan)
            if value > best_value:
                best, best_value = copy_plan(plan), value
            self.passes += 1
            go_on = self.on_pass(self.passes, best_value)
            self.stopped = not go_on or self.passes >= options.place_stop
        fill(grid, best, order, self.bound.prices, 0)
        return best

    def _heat(self, members: Int64, passes: int) -> int:
        """First threshold for worse plans: up to half the mean budget, less when there are few moves per request."""
        if len(members) == 0:
            return 0
        mean = int(self.grid.budget[members].sum()) // len(members)
        moves = passes * self.options.place_moves // len(members)
        return mean * min(moves, MOVES_PER_MEAN // 2) // MOVES_PER_MEAN

    def _pass(self, plan: Plan, members: Int64, heat: int, random: np.random.Generator) -> None:
        """Deal pools into groups and anneal each; a refused request goes to the group of one of its pools by lot."""
        grid = self.grid
        pools = len(grid.capacity)
        groups = max(1, pools // GROUP_POOLS)
        group_of = np.empty(pools, np.int64)
        group_of[random.permutation(pools)] = np.arange(pools) % groups
        first, count = grid.option_from[members], np.diff(grid.option_from)[members]
        lot = first + random.integers(0, 1 << 30, len(members)) % count
        where = np.where(plan.option[members] >= 0, plan.option[members], lot)
        mine = group_of[grid.option_pool[where]]
        moves = self.options.place_moves // groups
        seeds = random.integers(0, 1 << 62, groups)
        jobs = [
            self.threads.submit(
                anneal,
                grid,
                plan,
                self.bound.prices,
                self.look.rank,
                members[mine == g],
                group_of,
                g,
                moves,
                heat,
                seeds[g],
            )
            for g in range(groups)
        ]
        for job in jobs:
            job.result()

    def _room(self, share_bps: int) -> Int64:
        """Card-hours of each pool and local day open to requests that are not small."""
        days = int(self.grid.day[-1]) + 1
        room = np.full((len(self.grid.capacity), days), NO_LIMIT, np.int64)
        return room if share_bps == 0 else others_part(self.grid.capacity, self.grid.day, share_bps)

    def _charge_room(self, plan: Plan) -> None:
        """Take what frozen requests that are not small already use out of the room."""
        grid = self.grid
        for r in np.flatnonzero((plan.option >= 0) & ~grid.small):
            o = plan.option[r]
            hours = plan.taken[plan.taken_from[r] : plan.taken_from[r] + grid.option_hours[o]]
            np.subtract.at(plan.others_room[grid.option_pool[o]], grid.day[hours], grid.cards[r])


def others_part(capacity: Int64, day: Int32, share_bps: int) -> Int64:
    """Card-hours of each pool and local day beyond the reserved share, int64[P,days]."""
    offered = np.zeros((len(capacity), int(day[-1]) + 1), np.int64)
    np.add.at(offered.T, day, capacity.T)
    return offered * (10_000 - share_bps) // 10_000
