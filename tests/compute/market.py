"""Steps of a round as the firms and the centre take them, on the small bank of `world`. Everything is real.

Works in a test and in a sandbox process alike. Hours count from `World.start`. Steps happen at NOON of the world, when
the round has not begun; the solver does a tiny, fixed amount of work, which is plenty for a handful of requests.
"""

import itertools
from collections.abc import Callable
from typing import Any

from tests.compute.world import NOON, SYSTEM, World

from huoshui.base import clock
from huoshui.compute.actions import rounds
from huoshui.compute.actions.requests import submit_request
from huoshui.compute.models import Request, Round
from huoshui.compute.solving import solve
from huoshui.registry.models import Party

TERMS = "round-terms-demo-2026"
TINY = {"bound_steps": 40, "coarse_steps": 10, "place_passes": 3, "place_moves": 300, "price_steps": 20, "workers": 1}
HOURS = 24
numbers = itertools.count(1)


def ask(
    world: World, cards: int = 1, hours: int = 4, budget_fen: int = 100_000, window: tuple[int, int] = (0, HOURS), *,
    entity: Party | None = None, key: str = "", **more: Any,
) -> Request:  # fmt: skip
    """A request of the world's entity (or another) on the world's card model."""
    values = {"title": "测试", "origin": world.region, "regions": [world.region], **more}
    with clock.moved_to(NOON):
        return submit_request(
            SYSTEM, key=key or f"ask/{next(numbers)}", entity=entity or world.entity, cards=cards,
            hours={world.pool.card_model: hours}, earliest_hour=world.start + window[0],
            deadline_hour=world.start + window[1], budget_fen=budget_fen, **values,
        )  # fmt: skip


def opened(world: World, hours: int = HOURS, **options: int) -> Round:
    """A draft round over the first hours of the world."""
    with clock.moved_to(NOON):
        made = rounds.open_round(
            SYSTEM, key=f"open/{next(numbers)}", title="测试", start_hour=world.start, hours=hours, terms=TERMS
        )
    Round.objects.filter(pk=made.pk).update(options=TINY | options)
    return Round.objects.get(pk=made.pk)


def frozen(world: World, **options: int) -> Round:
    """A round that has taken in what is open."""
    round_ = opened(world, **options)
    with clock.moved_to(NOON):
        return rounds.freeze(SYSTEM, key=f"round/{round_.pk}/freeze", round=round_)


def go_on(*_report: Any, **_figures: int) -> bool:
    """A caller that never asks the solver to stop."""
    return True


def solved(round_: Round, progress: Callable[..., bool] = go_on) -> tuple[bytes, dict[str, Any]]:
    """The result of a frozen round and its figures."""
    return solve(rounds.problem_bytes(round_), rounds.solver_settings(round_), progress)


def cleared(world: World, **options: int) -> Round:
    """A round with its verified result."""
    round_ = frozen(world, **options)
    content, figures = solved(round_)
    with clock.moved_to(NOON):
        return rounds.record_result(
            SYSTEM, key=f"round/{round_.pk}/result", round=round_, content=content, figures=figures
        )


def publish(round_: Round, key: str = "") -> Round:
    """Publish a cleared round."""
    with clock.moved_to(NOON):
        return rounds.publish(SYSTEM, key=key or f"round/{round_.pk}/publish", round=round_)


def published(world: World, **options: int) -> Round:
    """A round from opening to publication."""
    return publish(cleared(world, **options))
