"""A cleared round as files and figures: what `huoshui clear capacity` writes and `huoshui verify` makes again.

Everything here follows from the problem and the result alone, so the same round gives the same bytes. Frames are
exact (1/1000 fen in columns `*_millifen`); `for_people` turns these columns into yuan.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from huoshui.clearing import tables
from huoshui.clearing.capacity import archive, public_verify
from huoshui.clearing.capacity.codes import Refusal
from huoshui.clearing.capacity.frames import local
from huoshui.clearing.capacity.problem import Problem
from huoshui.clearing.capacity.queues import first_come
from huoshui.clearing.capacity.result import Result

SUMS = "SHA256SUMS"


def files(problem: Problem, result: Result) -> dict[str, bytes]:
    """Name and content of every file of a cleared round; SHA256SUMS is readable by `sha256sum -c`."""
    found = {f"{name}.csv": tables.to_csv(for_people(frame)) for name, frame in frames(problem, result).items()}
    found["problem.npz"], found["result.npz"] = archive.pack(problem), archive.pack(result)
    found["summary.json"] = json.dumps(summary(problem, result), indent=2, ensure_ascii=False).encode() + b"\n"
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(found.items()))
    return found | {SUMS: sums.encode()}


def summary(problem: Problem, result: Result) -> dict[str, Any]:
    """What the round achieved, in whole numbers: amounts in 1/1000 fen, ratios in basis points."""
    codes = {code: int((result.refusal == code).sum()) for code in Refusal if code is not Refusal.SERVED}
    queue = first_come(problem)
    return {
        "requests": problem.requests,
        "served": int(result.served.sum()),
        "card_hours_offered": int(problem.capacity.sum()),
        "card_hours_sold": int(result.deposit_sold.sum()),
        "value_millifen": result.objective,
        "bound_millifen": result.bound,
        "gap_bps": result.gap_bps,
        "first_come_served": int((queue.pool >= 0).sum()),
        "first_come_value_millifen": queue.value,
        "paid_millifen": int(result.payment.sum()),
        "transfer_millifen": int(transfers(problem, result).sum()),
        "deposit_revenue_millifen": int(_revenue(problem, result).sum()),
        "reserve_cost_millifen": int((result.deposit_sold * problem.deposit_reserve).sum()),
        "refused": {code.name: count for code, count in codes.items() if count},
        "dropped_by_price_rule": int(result.dropped.sum()),
        "price_rule_loss_millifen": result.price_rule_loss,
        "reserved_share_bps": result.reserved_share_bps,
        "reserved_share_cost_millifen": [result.share_cost_low, result.share_cost_high],
        "priority_cost_millifen": [result.priority_cost_low, result.priority_cost_high],
        "bound_steps": result.bound_steps,
        "place_steps": result.place_steps,
        "problem_digest": problem.digest(),
        "result_digest": result.digest(),
    }


def frames(problem: Problem, result: Result) -> dict[str, pl.DataFrame]:
    """Frames `plan` (one row per unbroken run), `prices` (per pool and hour), `refusals`, `earnings` (per deposit).

    In `plan`, slots + transfer summed over the runs of a request is what it pays; the transfer stands in its first run.
    """
    return {
        "plan": _plan(problem, result),
        "prices": _prices(problem, result),
        "refusals": _refusals(problem, result),
        "earnings": _earnings(problem, result),
    }


def for_people(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with every `*_millifen` column as an exact amount in `*_yuan`."""
    amounts = [name for name in frame.columns if name.endswith("_millifen")]
    texts = [pl.Series(name, [yuan(value) for value in frame[name]], dtype=pl.String) for name in amounts]
    return frame.with_columns(texts).rename({name: name.replace("_millifen", "_yuan") for name in amounts})


def yuan(millifen: int | None) -> str | None:
    """An amount in yuan, exact; None stays None."""
    return None if millifen is None else public_verify.yuan(millifen)


def transfers(problem: Problem, result: Result) -> npt.NDArray[np.int64]:
    """What each served request pays for transfer, int64[n]; 0 when refused."""
    region = problem.pool_region[np.where(result.served, result.pool, 0)]
    return np.where(result.served, problem.transfer_cost[np.arange(problem.requests), region], 0)


def _revenue(problem: Problem, result: Result) -> npt.NDArray[np.int64]:
    """What each deposit earns, int64[D]."""
    return (result.deposit_sold * result.slot_price[problem.deposit_pool]).sum(1)


def _places(problem: Problem, pool: npt.NDArray[Any]) -> dict[str, list[str | None]]:
    """Names of site, model and region of each pool number; None for -1."""
    columns = {
        "site": (problem.sites, problem.pool_site),
        "model": (problem.models, problem.pool_model),
        "region": (problem.regions, problem.pool_region),
    }
    return {
        name: [None if number < 0 else names[index[number]] for number in pool.tolist()]
        for name, (names, index) in columns.items()
    }


def _plan(problem: Problem, result: Result) -> pl.DataFrame:
    request, start, end = result.run_request, result.run_start, result.run_end
    pool = result.pool[request]
    summed = np.concatenate([np.zeros((problem.pools, 1), np.int64), np.cumsum(result.slot_price, 1)], 1)
    slots = (summed[pool, end] - summed[pool, start]) * problem.cards[request]
    first = np.diff(request, prepend=-1) != 0
    return pl.DataFrame(
        {
            "request": [problem.request_id[number] for number in request.tolist()],
            **_places(problem, pool),
            "start": [local(problem.horizon_start + hour) for hour in start.tolist()],
            "end": [local(problem.horizon_start + hour) for hour in end.tolist()],
            "cards": problem.cards[request],
            "slots_millifen": slots,
            "transfer_millifen": np.where(first, transfers(problem, result)[request], 0),
        }
    )


def _prices(problem: Problem, result: Result) -> pl.DataFrame:
    sold = np.zeros((problem.pools, problem.hours), np.int64)
    np.add.at(sold, problem.deposit_pool, result.deposit_sold.astype(np.int64))
    hours = [local(problem.horizon_start + hour) for hour in range(problem.hours)]
    return pl.DataFrame(
        {
            **_places(problem, np.repeat(np.arange(problem.pools), problem.hours)),
            "start": hours * problem.pools,
            "cards_offered": problem.capacity.ravel(),
            "cards_sold": sold.ravel(),
            "slot_price_millifen": result.slot_price.ravel(),
        }
    ).filter(pl.col("cards_offered") > 0)


def _refusals(problem: Problem, result: Result) -> pl.DataFrame:
    """Reason of every refusal; the cheapest place and its cost, and the surplus missed, where the reason has them."""
    refused = np.flatnonzero(~result.served)
    cost, pool, missed = result.refusal_params[refused].T
    priced = np.isin(result.refusal[refused], [Refusal.BUDGET, Refusal.PRICE, Refusal.KEPT_FOR_SMALL, Refusal.MISSED])
    could = np.isin(result.refusal[refused], [Refusal.KEPT_FOR_SMALL, Refusal.MISSED])
    return pl.DataFrame(
        {
            "request": [problem.request_id[number] for number in refused.tolist()],
            "reason": [Refusal(code).name for code in result.refusal[refused].tolist()],
            "budget_millifen": problem.budget[refused],
            **_places(problem, np.where(priced, pool, -1)),
            "cheapest_millifen": _where(priced, cost),
            "missed_millifen": _where(could, missed),
        },
        schema_overrides={"request": pl.String, "reason": pl.String},
    )


def _where(shown: npt.NDArray[np.bool_], values: npt.NDArray[np.int64]) -> pl.Series:
    cells = [value if ok else None for ok, value in zip(shown.tolist(), values.tolist(), strict=True)]
    return pl.Series(cells, dtype=pl.Int64)


def _earnings(problem: Problem, result: Result) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "deposit": problem.deposit_id,
            **_places(problem, problem.deposit_pool),
            "card_hours_offered": problem.deposit_cards.sum(1, dtype=np.int64),
            "card_hours_sold": result.deposit_sold.sum(1, dtype=np.int64),
            "reserve_millifen": (result.deposit_sold * problem.deposit_reserve).sum(1),
            "revenue_millifen": _revenue(problem, result),
        }
    )
