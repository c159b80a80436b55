"""Real demand on a real fleet: Philly jobs asking for idle cards of the 10,412 GPUs of a 2026 Alibaba cluster.

Both files are read by path (`--data`, or HUOSHUI_DATA, or ../shared/data beside the repository) and never copied.

Real: cards (at most 64), run time (whole hours, at most 48) and hour of arrival of every job of 30 minutes and more in
the busiest week (from 2017-10-09), and the fleet's card models with their numbers. Drawn by seed: which of 8 sites have
which models, which models and regions a job accepts, speeds and reserve prices (those of the generator), deadlines,
budgets (log-normal, median 8 yuan per card-hour, σ 0.6), mode. The share of the fleet that is idle is set so that the
load is what the row says. Below one week: a sample of that week; above: the week resampled with replacement, labelled.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from benchmarks.generator import GANGS, HOURS, REGIONS, RUN_HOURS_MAX, Demand, build
from huoshui.clearing.capacity import Problem

WEEK_START = "2017-10-09"
SITES = 8
JOBS, NODES = "philly_jobs.csv", "spot_gpu_nodes.csv"
HERE = Path(__file__).resolve().parents[1]


def data_folder(given: str | None = None) -> Path | None:
    """Where both traces are, or None."""
    for folder in (given, os.environ.get("HUOSHUI_DATA"), str(HERE.parent / "shared" / "data")):
        if folder and all((Path(folder) / name).is_file() for name in (JOBS, NODES)):
            return Path(folder)
    return None


def week(folder: Path) -> Demand:
    """The jobs of 30 minutes and more that arrived in the busiest week, in order of arrival."""
    start = pl.lit(WEEK_START).str.to_datetime()
    jobs = (
        pl.read_csv(folder / JOBS)
        .with_columns(pl.col("timestamp").str.to_datetime(strict=False))
        .drop_nulls(["timestamp", "duration", "num_gpus"])
        .filter(pl.col("duration") >= 1800, pl.col("timestamp").is_between(start, start.dt.offset_by("7d"), "left"))
        .sort("timestamp", maintain_order=True)
    )
    hours = np.ceil(jobs["duration"].to_numpy() / 3600).clip(1, RUN_HOURS_MAX)
    arrival = ((jobs["timestamp"] - jobs["timestamp"].dt.truncate("1w").min()).dt.total_hours()).to_numpy()
    cards = jobs["num_gpus"].cast(pl.Int64).to_numpy().clip(1, GANGS.max())
    return Demand(cards, hours.astype(np.int64), arrival.astype(np.int64))


def fleet(folder: Path, rng: np.random.Generator) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """Pool columns and the GPUs of each pool: nodes dealt to sites, so that each model stands at 2 to 5 sites."""
    nodes = pl.read_csv(folder / NODES)
    counts = nodes.group_by("gpu_model").agg(pl.col("gpu_capacity_num").sum()).sort("gpu_model")
    cards: dict[tuple[int, int], float] = {}
    for model, total in enumerate(counts["gpu_capacity_num"].to_list()):
        sites = rng.permutation(SITES)[: rng.integers(2, 6)]
        for site, share in zip(sites.tolist(), rng.dirichlet(np.full(len(sites), 3.0)).tolist(), strict=True):
            cards[site, model] = total * share
    pairs = sorted(cards)
    present = sorted({site for site, _ in pairs})
    region = rng.integers(0, len(REGIONS), SITES)
    used = sorted({int(region[site]) for site in present})
    pools = {
        "sites": tuple(f"site-{site + 1:02d}" for site in present),
        "models": tuple(counts["gpu_model"].to_list()),
        "regions": tuple(REGIONS[number] for number in used),
        "pool_site": np.array([present.index(site) for site, _ in pairs], np.int32),
        "pool_model": np.array([model for _, model in pairs], np.int32),
        "pool_region": np.array([used.index(int(region[site])) for site, _ in pairs], np.int32),
    }
    return pools, np.array([cards[pair] for pair in pairs])


def sampled(demand: Demand, requests: int, rng: np.random.Generator) -> Demand:
    """Fewer jobs: a sample without repeats; more: with repeats."""
    size = len(demand.cards)
    chosen = np.sort(rng.choice(size, requests, replace=requests > size))
    return Demand(demand.cards[chosen], demand.reference_hours[chosen], demand.arrival[chosen])


def problem(folder: Path, requests: int | None, load: float = 1.5, seed: int = 0) -> Problem:
    """Real jobs on the real fleet. requests None = the whole week."""
    rng = np.random.default_rng([seed, 3])
    demand = week(folder)
    assert int(demand.arrival.max()) < HOURS
    if requests is not None:
        demand = sampled(demand, requests, rng)
    pools, gpus = fleet(folder, rng)
    return build(demand, pools, gpus, load, seed)
