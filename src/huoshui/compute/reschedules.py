"""From a recall to the new schedule of a round: what the solver is asked, and which cards then serve whom.

The stored problem and result of the round are brought up to date from the tables (cards that are left, runs as they
stand now) and given to `capacity.reschedule`, which moves as few requests as possible. Deposits are then assigned so
that as few shares as possible change: who stays keeps its cards; what the recalled deposit no longer serves, and what
moved, is filled from free cards, cheapest reserve first, then the earlier deposit. Everything here only computes.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from huoshui.clearing import capacity
from huoshui.clearing.capacity import Reschedule, reschedule, verify_reschedule
from huoshui.compute.models import Allocation, Request, Round, Run
from huoshui.compute.problems import Built, free_cards, live_shares
from huoshui.compute.schedules import Stretch, runs_of
from huoshui.compute.settle import Cell

Int32 = npt.NDArray[np.int32]
Piece = tuple[int, int, int]
"""(deposit index, cards, price in 1/1000 fen per card-hour)"""


@dataclass(frozen=True)
class Lost:
    """Cards of a deposit taken away over [start_hour, end_hour)."""

    deposit: int
    start_hour: int
    end_hour: int
    cards: int


@dataclass
class Change:
    """The future of one allocation, from hour `now` on: its cells, and its runs when it moved or was displaced."""

    allocation: Allocation
    moved: bool
    displaced: bool
    runs: list[Stretch] = field(default_factory=list)
    cells: list[Cell] = field(default_factory=list)
    extra_transfer_fen: int = 0


def changes(round_: Round, built: Built, result: capacity.Result, lost: Lost, now: int) -> list[Change]:
    """What a recall that is already written changes in a round, from the hour `now` on (nothing when free cards do).

    The round's allocations must be locked. Raises RuntimeError when the new schedule does not verify.
    """
    first = now - round_.start_hour
    given = live_shares().exclude(allocation__round=round_)
    left = free_cards(built.deposits, round_.start_hour, round_.end_hour, given)
    first = max(first, 0)
    left[:, :first] = built.problem.deposit_cards[:, :first]  # hours that have happened do not count
    board = _Board(round_, built, result, left, first)
    if not board.short(lost):
        return []
    plan = board.solve(lost)
    return board.changes(plan, lost)


class _Board:
    """A round as it stands: allocations, their cards from `now` on (offset `first`), and the cards that are left."""

    def __init__(self, round_: Round, built: Built, result: capacity.Result, left: Int32, first: int) -> None:
        self.round, self.built, self.result, self.left, self.first = round_, built, result, left, first
        states = (Allocation.State.PLANNED, Allocation.State.FINISHED)
        rows = Allocation.objects.filter(round=round_, state__in=states).select_related("request__entity", "round")
        self.allocations = {row.pk: row for row in rows.order_by("id")}
        self.deposit = {deposit.pk: index for index, deposit in enumerate(built.deposits)}
        self.row = {request.pk: index for index, request in enumerate(built.requests)}
        self.cells: dict[int, list[Cell]] = defaultdict(list)
        shares = live_shares().filter(allocation__in=self.allocations, end_hour__gt=round_.start_hour + first)
        for pk, deposit, start, end, cards, own in shares.order_by("id").values_list(
            "allocation_id", "deposit_id", "start_hour", "end_hour", "cards", "price_mfen"
        ):
            for hour in range(max(start, round_.start_hour + first), end):
                self.cells[pk].append(Cell(hour, deposit, cards, own or self.price(deposit, hour)))

    def hour(self, hour: int) -> int:
        """Offset of an hour in the round."""
        return hour - self.round.start_hour

    def price(self, deposit: int, hour: int) -> int:
        """What a card of a deposit costs in an hour: the slot price, or its reserve where that is higher."""
        index, offset, problem = self.deposit[deposit], self.hour(hour), self.built.problem
        slot = self.result.slot_price[problem.deposit_pool[index], offset]
        return int(max(slot, problem.deposit_reserve[index, offset]))

    def held(self, allocations: Iterable[int]) -> Int32:
        """Cards of each deposit that allocations hold from `now` on, int32[D,T]."""
        cards = np.zeros_like(self.left)
        for pk in allocations:
            for cell in self.cells.get(pk, ()):
                cards[self.deposit[cell.deposit], self.hour(cell.hour)] += cell.cards
        return cards

    def short(self, lost: Lost) -> bool:
        """Whether sold cards are lost, not only free ones."""
        if lost.deposit not in self.deposit:
            return False
        return bool((self.held(self.allocations) > self.left)[:, self.first :].any())

    def solve(self, lost: Lost) -> Reschedule:
        """Ask the solver: the problem before the loss, the schedule as it stands, the cards after it."""
        problem, result = self.built.problem, self.result
        before = self.left.copy()
        hours = slice(max(self.hour(lost.start_hour), self.first), max(self.hour(lost.end_hour), self.first))
        before[self.deposit[lost.deposit], hours] += lost.cards
        before = np.maximum(before, self.held(self.allocations))
        asked = replace(problem, deposit_cards=before)
        runs = self._runs()
        served = np.zeros(problem.requests, np.bool_)
        pool = np.full(problem.requests, -1, np.int32)
        for row, run in runs:
            served[row], pool[row] = True, self.built.pool_index[run.pool_id]
        stands = replace(
            result, served=served, pool=pool,
            run_request=np.array([row for row, _run in runs], np.int32),
            run_start=np.array([self.hour(run.start_hour) for _row, run in runs], np.int32),
            run_end=np.array([self.hour(run.end_hour) for _row, run in runs], np.int32),
        )  # fmt: skip
        plan = reschedule(asked, stands, now=self.first, new_deposit_cards=self.left)
        if faults := verify_reschedule(asked, stands, plan, self.left):
            raise RuntimeError(f"the new schedule does not verify: {faults[:5]}")
        return plan

    def _runs(self) -> list[tuple[int, Run]]:
        """Runs with hours left, with the request's row. Of a rigid request the last run: earlier ones are lost work."""
        found = []
        for allocation in self.allocations.values():
            runs = list(runs_of(allocation))
            if allocation.request.mode == Request.Mode.RIGID:
                runs = runs[-1:]
            row = self.row[allocation.request_id]
            found += [(row, self._clipped(run, allocation)) for run in runs if self.hour(run.end_hour) > self.first]
        return sorted(found, key=lambda pair: (pair[0], pair[1].start_hour))

    def _clipped(self, run: Run, allocation: Allocation) -> Run:
        """A preemptible run counts from `now` on; what a rigid one has run is part of what it would do again."""
        if allocation.request.mode == Request.Mode.PREEMPTIBLE:
            run.start_hour = max(run.start_hour, self.round.start_hour + self.first)
        return run

    def changes(self, plan: Reschedule, lost: Lost) -> list[Change]:
        """What happens to whom: moved, displaced, or served by other cards in the same hours."""
        touched = {
            pk: Change(row, bool(plan.moved[r]), bool(plan.displaced[r]))
            for pk, row in self.allocations.items()
            if plan.moved[r := self.row[row.request_id]] or plan.displaced[r]
        }
        stay = [pk for pk in self.allocations if pk not in touched]
        free = self.left - self.held(stay)
        missing = self._taken_back(stay, free, lost)
        for pk, hours in missing.items():
            change = touched[pk] = Change(self.allocations[pk], moved=False, displaced=False)
            change.cells = [cell for cell in self.cells[pk] if cell.cards]
            pool = int(self.built.problem.deposit_pool[self.deposit[lost.deposit]])
            change.cells += self._filled(free, pool, hours)
        for pk in sorted(touched):
            if touched[pk].moved:
                self._place(plan, touched[pk], free)
        return [touched[pk] for pk in sorted(touched)]

    def _taken_back(self, stay: Sequence[int], free: Int32, lost: Lost) -> dict[int, dict[int, int]]:
        """Cards of the lost deposit that who stays must give back, by allocation and hour; the latest gives first."""
        index = self.deposit[lost.deposit]
        missing: dict[int, dict[int, int]] = defaultdict(dict)
        for pk in reversed(stay):
            for place, cell in enumerate(self.cells.get(pk, ())):
                offset = self.hour(cell.hour)
                if cell.deposit == lost.deposit and free[index, offset] < 0:
                    back = min(cell.cards, int(-free[index, offset]))
                    free[index, offset] += back
                    missing[pk][cell.hour] = missing[pk].get(cell.hour, 0) + back
                    self.cells[pk][place] = cell._replace(cards=cell.cards - back)
        return missing

    def _place(self, plan: Reschedule, change: Change, free: Int32) -> None:
        """Runs and cells of a moved allocation from its new runs."""
        problem, r = self.built.problem, self.row[change.allocation.request_id]
        old = self.built.pool_index[change.allocation.pool_id]
        for k in np.flatnonzero(plan.run_request == r):
            start, end, pool = max(int(plan.run_start[k]), self.first), int(plan.run_end[k]), int(plan.run_pool[k])
            if start >= end:
                continue
            base = self.round.start_hour
            change.runs.append(Stretch(self.built.pools[pool].pk, base + start, base + end))
            hours = {base + hour: int(problem.cards[r]) for hour in range(start, end)}
            change.cells += self._filled(free, pool, hours)
            if problem.pool_region[pool] != problem.pool_region[old]:
                change.extra_transfer_fen = int(problem.transfer_cost[r, problem.pool_region[pool]]) // 1000

    def _filled(self, free: Int32, pool: int, hours: dict[int, int]) -> list[Cell]:
        """Cells of `hours` (hour → cards) from free cards of a pool, in merit order; takes them off `free`."""
        problem = self.built.problem
        rows = [int(index) for index in np.flatnonzero(problem.deposit_pool == pool)]
        cells = []
        for hour, wanted in hours.items():
            offset = self.hour(hour)
            ladder = sorted(rows, key=lambda d: (problem.deposit_reserve[d, offset], problem.deposit_order[d]))
            for index in ladder:
                taken = min(wanted, max(int(free[index, offset]), 0))
                if taken:
                    deposit = self.built.deposits[index].pk
                    free[index, offset] -= taken
                    wanted -= taken
                    cells.append(Cell(hour, deposit, taken, self.price(deposit, hour)))
            assert wanted == 0, f"hour {hour} of pool {pool}: {wanted} cards short"
        return cells
