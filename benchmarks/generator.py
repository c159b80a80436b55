"""Seeded rounds of a made-up province: the same numbers on every machine, no file needed.

What is drawn, and why so:
- gangs of 1 to 64 cards in the shares of the Philly jobs of 30 minutes and more: 91 % ask for one card, yet three
  quarters of the card-hours are in gangs of 4 and more, because gangs run longer (medians of about 1.5, 22 and 8 h
  for 1, 2 to 16, 32 and 64 cards; at most 48 h);
- arrivals follow office hours; slack is U(0.2, 2) × run time + U(0, 24) h;
- 20 pools: 10 sites in 6 regions, 2 card models each, sizes falling like 1/rank, in whole servers; 30 % of the idle
  cards are there in the daytime, all of them at night, so supply is widest when demand is thinnest;
- reserve = base by model + energy × time-of-use tariff, with noon valleys in the sunny regions;
- budgets per reference card-hour log-normal, median 8 yuan, σ 0.6 (no public trace says what a firm would pay);
- 3 in 10 requests may be cut into pieces of 1 to 4 hours.

`load` is reference card-hours asked for over card-hours offered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from huoshui.clearing.capacity import Problem

HORIZON_START = 499_048
"""Monday 2026-12-07T00:00+08:00 in hours since the epoch: hour 0 is a local midnight."""
HOURS = 168
GANGS = np.array([1, 2, 4, 8, 16, 32, 64], np.int64)
GANG_SHARES = np.array([0.9082, 0.0095, 0.0395, 0.0373, 0.0041, 0.0012, 0.0002])
GANG_HOURS = np.array([1.5, 22, 22, 22, 22, 8, 8])
"""Median run time of a gang of each size on the reference card."""
GANG_SIGMA = np.array([1.2, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9])
RUN_HOURS_MAX = 48
BUDGET_MEDIAN = 800_000
"""8 yuan per reference card-hour, in 1/1000 fen."""
BUDGET_SIGMA = 0.6
SMALL_CARD_HOURS = 16

MODELS = ("DT-64", "DT-96", "RX-40", "RX-80")
"""Made-up card models: two domestic, two foreign."""
SPEED_PERCENT = np.array([100, 125, 80, 160], np.int64)
"""Work done per hour, in percent of the reference card."""
BASE_RESERVE = np.array([150_000, 200_000, 120_000, 300_000], np.int64)
"""1/1000 fen per card-hour without energy."""
ENERGY_RESERVE = np.array([40_000, 50_000, 30_000, 65_000], np.int64)
"""1/1000 fen per card-hour of energy at the flat tariff."""

REGIONS = ("east-1", "east-2", "north", "south", "west-1", "west-2")
REGION_OF_SITE = (0, 0, 1, 1, 2, 3, 3, 4, 4, 5)
MODELS_OF_SITE = ((2, 3), (0, 3), (1, 2), (1, 3), (0, 2), (0, 1), (2, 3), (0, 3), (0, 1), (1, 2))
ARRIVALS_BY_HOUR = np.array([2, 1, 1, 1, 1, 1, 2, 3, 6, 9, 10, 9, 6, 7, 9, 10, 10, 9, 7, 5, 4, 4, 3, 3], float)


def tariff_percent() -> npt.NDArray[np.int64]:
    """Time-of-use multipliers in percent of flat, int64[R, 24], by local hour."""
    table = np.full((len(REGIONS), 24), 100, np.int64)
    peaks = ((16, 23, 185), (15, 22, 170), (16, 22, 160), (14, 22, 170), (17, 23, 160), (18, 23, 150))
    for region, (start, end, peak) in enumerate(peaks):
        table[region, start:end] = peak
        table[region, 0:7] = 40
        if region not in (3, 5):
            table[region, 11:14] = 40
    return table


@dataclass(frozen=True)
class Demand:
    """Requests before they meet a fleet: cards, reference hours, arrival hour (local, from hour 0), all int64[n]."""

    cards: npt.NDArray[np.int64]
    reference_hours: npt.NDArray[np.int64]
    arrival: npt.NDArray[np.int64]

    @property
    def card_hours(self) -> int:
        return int((self.cards * self.reference_hours).sum())


def drawn_demand(requests: int, rng: np.random.Generator) -> Demand:
    """Philly-like sizes and office-hour arrivals."""
    gang = rng.choice(len(GANGS), requests, p=GANG_SHARES)
    hours = np.ceil(np.exp(rng.normal(np.log(GANG_HOURS[gang]), GANG_SIGMA[gang])))
    weights = np.tile(ARRIVALS_BY_HOUR, HOURS // 24)
    arrival = rng.choice(HOURS, requests, p=weights / weights.sum())
    return Demand(GANGS[gang], hours.clip(1, RUN_HOURS_MAX).astype(np.int64), arrival.astype(np.int64))


def pool_columns() -> dict[str, Any]:
    """The 20 pools of the made-up province."""
    pairs = [(site, model) for site, models in enumerate(MODELS_OF_SITE) for model in models]
    return {
        "sites": tuple(f"site-{site + 1:02d}" for site in range(len(MODELS_OF_SITE))),
        "models": MODELS,
        "regions": REGIONS,
        "pool_site": np.array([site for site, _ in pairs], np.int32),
        "pool_model": np.array([model for _, model in pairs], np.int32),
        "pool_region": np.array([REGION_OF_SITE[site] for site, _ in pairs], np.int32),
    }


def whole_servers(cards: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The nearest number of cards that whole servers have: 0, 1, 2, 4 or a multiple of 8."""
    small = np.array([0, 1, 2, 4, 8])
    nearest = small[np.abs(cards[:, None] - small).argmin(1)]
    return np.where(cards < 8, nearest, np.rint(cards / 8) * 8).astype(np.int64)


def deposit_columns(
    pools: dict[str, Any], weights: npt.NDArray[np.float64], card_hours: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Two deposits a pool, one always there and one at night, that offer `card_hours` in all (up to rounding).

    weights: float[P], the pools' shares of the whole.
    """
    count = len(weights)
    local = np.arange(HOURS) % 24
    night = (local < 8) | (local >= 22)
    full = weights / weights.sum() * card_hours / (0.3 * HOURS + 0.7 * night.sum())
    always = np.maximum(1, whole_servers(full * 0.3))
    nightly = whole_servers(full * 0.7)
    model, region = pools["pool_model"], pools["pool_region"]
    base = BASE_RESERVE[model % len(MODELS)] * rng.integers(85, 116, count) // 100
    energy = ENERGY_RESERVE[model % len(MODELS), None] * tariff_percent()[region % len(REGIONS)][:, local] // 100
    reserve = (base[:, None] + energy) // 1000 * 1000
    cards = np.zeros((2 * count, HOURS), np.int32)
    cards[:count] = always[:, None]
    cards[count:] = nightly[:, None] * night
    dearer = np.concatenate([reserve, reserve * 95 // 100 // 1000 * 1000])
    offered = cards.any(1)
    return {
        "deposit_id": tuple(f"D{number:04d}" for number in np.flatnonzero(offered)),
        "deposit_pool": np.tile(np.arange(count, dtype=np.int32), 2)[offered],
        "deposit_order": np.flatnonzero(offered),
        "deposit_cards": cards[offered],
        "deposit_reserve": np.where(cards > 0, dearer, 0).astype(np.int64)[offered],
    }


def request_columns(demand: Demand, pools: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """What is drawn for each request: models, regions, window, budget, mode."""
    count, models, regions = len(demand.cards), len(pools["models"]), len(pools["regions"])
    accepts = rng.random((count, models)) < 0.5
    accepts[np.arange(count), rng.integers(0, models, count)] = True
    speed = SPEED_PERCENT[np.arange(models) % len(MODELS)]
    hours = -(-demand.reference_hours[:, None] * 100 // speed) * accepts
    longest = hours.max(1)
    slack = rng.uniform(0.2, 2, count) * longest + rng.uniform(0, 24, count)
    earliest = np.minimum(demand.arrival, HOURS - longest).clip(0)
    deadline = np.minimum(earliest + longest + np.floor(slack).astype(np.int64), HOURS)
    lead, transfer = _transfers(demand, regions, rng)
    per_hour = np.exp(rng.normal(0, BUDGET_SIGMA, count)) * BUDGET_MEDIAN
    work = demand.cards * demand.reference_hours
    preemptible = rng.random(count) < 0.3
    return {
        "request_id": tuple(f"R{number:06d}" for number in range(count)),
        "cards": demand.cards.astype(np.int32),
        "run_hours": hours.astype(np.int32),
        "earliest": earliest.astype(np.int32),
        "deadline": deadline.astype(np.int32),
        "budget": (per_hour * work).astype(np.int64) // 1000 * 1000,
        "preemptible": preemptible,
        "min_piece": np.where(preemptible, rng.integers(1, 5, count), 0).astype(np.int32),
        "small": work <= SMALL_CARD_HOURS,
        "priority": np.zeros(count, np.int32),
        "lead_hours": lead,
        "transfer_cost": transfer,
    }


def _transfers(demand: Demand, regions: int, rng: np.random.Generator) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Data lives in one region; elsewhere it takes 1 to 3 hours and 1 to 20 yuan; 4 in 10 accept only some regions."""
    count = len(demand.cards)
    home = rng.integers(0, regions, count)
    away = np.arange(regions) != home[:, None]
    lead = np.where(away, rng.integers(1, 4, (count, 1)), 0)
    cost = np.where(away, rng.integers(1, 21, (count, 1)) * 100_000, 0)
    refuses = away & (rng.random((count, 1)) < 0.4) & (rng.random((count, regions)) < 0.5)
    return np.where(refuses, -1, lead).astype(np.int32), np.where(refuses, 0, cost).astype(np.int64)


def build(demand: Demand, pools: dict[str, Any], weights: npt.NDArray[np.float64], load: float, seed: int) -> Problem:
    """A round in which `demand` meets pools that offer its card-hours divided by `load`."""
    rng = np.random.default_rng([seed, 2])
    deposits = deposit_columns(pools, weights, round(demand.card_hours / load), rng)
    requests = request_columns(demand, pools, rng)
    return Problem(horizon_start=HORIZON_START, hours=HOURS, **pools, **deposits, **requests)


def generate(requests: int, load: float = 1.5, seed: int = 0) -> Problem:
    """A round of `requests` requests at the load given; the same for the same seed everywhere."""
    rng = np.random.default_rng([seed, 1])
    pools = pool_columns()
    ranks = rng.permutation(len(pools["pool_site"])) + 1
    return build(drawn_demand(requests, rng), pools, 1 / ranks, load, seed)
