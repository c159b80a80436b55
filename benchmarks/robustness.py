"""What a plan delivers when the week does not go to plan.

One week is played hour by hour on a cleared round:

- a share of the jobs (0, 20, 40 %) is hit at a random hour of its run: half of them fail and are placed again by
  `reschedule` (a rigid job from its beginning, a preemptible one for the rest), half end early (they got what they
  needed; the hours come free);
- with wrong run times, every job needs U(0.5, 1.5) times the hours it asked for: where it needs less, hours come free;
  where it needs more, it goes on in free hours of its pool before its deadline, and is cut when there are too few;
- with recalls, at each midnight one deposit in ten takes back a quarter of its cards of the day after; `reschedule`
  moves the fewest requests, nobody else.

Delivered: the budgets of the served requests, each in full when the job got what it needed, in proportion when it was
cut, not at all when it was displaced. Nothing is sold anew: what comes free is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.generator import generate
from benchmarks.runner import median, table
from huoshui.clearing import capacity
from huoshui.clearing.capacity import Options, Problem, Reschedule, Result

DAY = 24
RATES = (0.0, 0.2, 0.4)
RECALLING, RECALLED_SHARE = 0.1, 0.25


@dataclass(frozen=True)
class World:
    """What will happen, drawn before the week begins.

    fails, early: bool[n]; at: the part of the run after which, and need: hours needed over hours
    asked for, float[n].
    """

    fails: npt.NDArray[np.bool_]
    early: npt.NDArray[np.bool_]
    at: npt.NDArray[np.float64]
    need: npt.NDArray[np.float64]
    recalls: bool


def draw(problem: Problem, rate: float, wrong: bool, recalls: bool, rng: np.random.Generator) -> World:
    n = problem.requests
    hit, failure = rng.random(n) < rate, rng.random(n) < 0.5
    need = rng.uniform(0.5, 1.5, n) if wrong else np.ones(n)
    return World(hit & failure, hit & ~failure, rng.uniform(0.2, 0.9, n), need, recalls)


class Week:
    """The state of the week: the schedule in force, and who was hit, cut or displaced so far."""

    def __init__(self, problem: Problem, result: Result, world: World, rng: np.random.Generator) -> None:
        self.problem, self.result, self.world, self.rng = problem, result, world, rng
        self.cards = problem.deposit_cards.copy()
        self.delivered = np.where(result.served, 1.0, 0.0)
        self.settled = ~result.served
        self.moves = 0

    def play(self) -> float:
        """Share of the plan's budgets that is delivered."""
        planned = self.problem.budget * self.result.served
        for now in range(self.problem.hours + 1):
            failed = self._hour(now)
            recalled = self.world.recalls and now % DAY == 0 and now > 0 and self._recall(now)
            if failed or recalled:
                self._again(now, failed)
        return float((planned * self.delivered).sum() / planned.sum())

    def _hour(self, now: int) -> list[int]:
        """Let every job whose hour has come meet its fate; who failed and has to be placed again."""
        failed = []
        hours = self._hours()
        for request in np.flatnonzero(~self.settled).tolist():
            own = hours[request]
            fails, early = self.world.fails[request], self.world.early[request]
            moment = int(own[int(len(own) * self.world.at[request])]) if fails or early else int(own[-1]) + 1
            if moment != now:
                continue
            if fails:
                self.world.fails[request] = False  # it runs through the second time
                failed.append(request)
                continue
            self.settled[request] = True
            if early:
                self._keep(request, own[own <= now])
            else:
                self._finish(request, own)
        return failed

    def _recall(self, now: int) -> bool:
        """At a midnight: deposits take back the day that begins in 24 hours."""
        taken = self.rng.random(len(self.cards)) < RECALLING
        day = self.cards[taken, now + DAY : now + 2 * DAY]
        self.cards[taken, now + DAY : now + 2 * DAY] = day - np.floor(day * RECALLED_SHARE).astype(np.int32)
        return bool(taken.any())

    def _finish(self, request: int, own: npt.NDArray[np.int64]) -> None:
        """A run ends as planned; it may need fewer hours, or more than it has."""
        wanted = max(1, int(np.ceil(len(own) * self.world.need[request])))
        if wanted <= len(own):
            self._keep(request, own[:wanted])
            return
        later = np.arange(own[-1] + 1, self.problem.deadline[request])
        free = self._free()[self.result.pool[request], later] >= self.problem.cards[request]
        own = np.append(own, later[free][: wanted - len(own)])
        self._keep(request, own)
        self.delivered[request] = len(own) / wanted

    def _again(self, now: int, failed: list[int]) -> None:
        """The fewest changes from `now` on."""
        cards = np.concatenate([self.problem.deposit_cards[:, :now], self.cards[:, now:]], axis=1)
        plan = capacity.reschedule(self.problem, self.result, now=now, new_deposit_cards=cards, failed=failed)
        self.moves += int(plan.moved.sum())
        self.delivered[plan.displaced] = 0.0
        self.settled |= plan.displaced
        self.result = successor(self.result, plan)

    def _hours(self) -> list[npt.NDArray[np.int64]]:
        found: list[list[int]] = [[] for _ in range(self.problem.requests)]
        columns = (self.result.run_request, self.result.run_start, self.result.run_end)
        for request, start, end in zip(*(column.tolist() for column in columns), strict=True):
            found[request] += range(start, end)
        return [np.array(hours, np.int64) for hours in found]

    def _free(self) -> npt.NDArray[np.int64]:
        free = np.zeros((self.problem.pools, self.problem.hours), np.int64)
        np.add.at(free, self.problem.deposit_pool, self.cards.astype(np.int64))
        for request, hours in enumerate(self._hours()):
            if len(hours):
                free[self.result.pool[request], hours] -= self.problem.cards[request]
        return free

    def _keep(self, request: int, hours: npt.NDArray[np.int64]) -> None:
        """The runs of a request become exactly these hours."""
        edges = np.flatnonzero(np.diff(hours) > 1) + 1
        pieces = [(request, int(part[0]), int(part[-1]) + 1) for part in np.split(hours, edges)]
        others = self.result.run_request != request
        columns = (self.result.run_request, self.result.run_start, self.result.run_end)
        rows = [*zip(*(column[others].tolist() for column in columns), strict=True), *pieces]
        table = np.array(sorted(rows), np.int32).reshape(-1, 3).T
        self.result = replace(self.result, run_request=table[0], run_start=table[1], run_end=table[2])


def successor(result: Result, plan: Reschedule) -> Result:
    """The schedule after a change as the result that the next change starts from.

    Of a moved request only the new runs are kept: what it ran before is over and holds no card any more.
    """
    request = plan.run_request
    stale = plan.moved[request] & (plan.run_start < plan.now) | plan.displaced[request]
    pool = result.pool.copy()
    pool[request[~stale]] = plan.run_pool[~stale]
    columns = {"run_request": request, "run_start": plan.run_start, "run_end": plan.run_end}
    kept = {name: column[~stale] for name, column in columns.items()}
    served = result.served & ~plan.displaced
    return replace(result, served=served, pool=np.where(served, pool, -1).astype(np.int32), **kept)


def robustness(requests: int, seeds: int) -> str:
    """Value delivered, by what goes wrong."""
    kinds = {
        "failing or ending early": (False, False),
        "and run times wrong by ±50 %": (True, False),
        "and recalls": (True, True),
    }
    problems = [generate(requests, seed=seed) for seed in range(seeds)]
    results = [capacity.clear(problem, options=Options.quick(requests)) for problem in problems]
    rows = []
    for kind, (wrong, recalls) in kinds.items():
        shares, moves = [], []
        for rate in RATES:
            weeks = []
            for seed, (problem, result) in enumerate(zip(problems, results, strict=True)):
                rng = np.random.default_rng([seed, 4])
                week = Week(problem, result, draw(problem, rate, wrong, recalls, rng), rng)
                weeks.append((week.play(), week.moves))
            shares.append(f"{median([share for share, _ in weeks]):.1%}")
            moves.append(str(round(median([count for _, count in weeks]))))
        rows.append([kind, *shares, " / ".join(moves)])
    header = ["what goes wrong", *(f"{rate:.0%} of jobs" for rate in RATES), "requests moved"]
    notes = (
        "Budgets of jobs that got what they needed, in % of the plan; cut short: in proportion; displaced: nothing.",
        f"Medians over {seeds} seeds, load 1.5; each day {RECALLING:.0%} of deposits recall {RECALLED_SHARE:.0%}.",
    )
    return table(f"Robustness: {requests:,} requests, value delivered", header, rows, *notes)
