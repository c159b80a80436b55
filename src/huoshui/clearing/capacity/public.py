"""What everyone may see of a round, as one JSON document that `public_verify.py` checks with bare Python.

The idea: before a round is cleared, each request as submitted is hashed with a secret salt (`commitment`); nobody can
change it afterwards, and nobody can read it. The *statement* (prices, totals, bound, refusals, digests, roots) is
public at once. When the table is opened after the published delay, anyone can check that it is the table of that day.
The format is described in docs/formats/public-round.md.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

import numpy as np

from huoshui.clearing.capacity import public_verify
from huoshui.clearing.capacity.codes import Refusal
from huoshui.clearing.capacity.problem import Problem
from huoshui.clearing.capacity.result import Result

SALT_BYTES = public_verify.SALT_BYTES


def salts_of(secret: bytes, problem: Problem) -> tuple[str, ...]:
    """One salt (hex) per request from one secret of at least SALT_BYTES bytes: HMAC-SHA256 of problem and request.

    Whoever keeps the secret can open the table later, or give one party the salt of its own row.
    """
    if len(secret) < SALT_BYTES:
        raise ValueError(f"secret of {len(secret)} bytes: must have at least {SALT_BYTES}")
    digest = problem.digest()
    names = enumerate(problem.request_id)
    return tuple(hmac.digest(secret, f"{digest}/{k}/{name}".encode(), hashlib.sha256).hex() for k, name in names)


def request_rows(problem: Problem) -> list[dict[str, Any]]:
    """Every request as submitted, in the order of the problem; amounts in 1/1000 fen, hours as offsets."""
    return [_request_row(problem, request) for request in range(problem.requests)]


def commitment(salt: str, row: dict[str, Any]) -> str:
    """SHA-256 (hex) of the salt (hex of SALT_BYTES bytes) and the canonical row."""
    return public_verify.commitment(bytes.fromhex(salt), row).hex()


def root(commitments: Sequence[str]) -> str:
    """Merkle root (hex, RFC 6962) over commitments (hex)."""
    return public_verify.merkle_root([bytes.fromhex(item) for item in commitments]).hex()


def public_document(
    problem: Problem, result: Result, *, salts: Sequence[str] | None = None, opened: bool = False
) -> dict[str, Any]:
    """The public part of a round.

    salts: one per request, hex of SALT_BYTES bytes: the document then carries the commitments. opened: it also carries
    the table. The caller adds `log` (docs/formats/public-round.md) once the statement has entered the log.
    Raises ValueError when `opened` is asked for without salts, or the salts are not one per request.
    """
    document: dict[str, Any] = {"statement": _statement(problem, result)}
    if salts is None:
        if opened:
            raise ValueError("the table cannot be opened without its salts")
        return document
    if [len(bytes.fromhex(salt)) for salt in salts] != [SALT_BYTES] * problem.requests:
        raise ValueError(f"salts must be {SALT_BYTES} bytes for each of {problem.requests} requests")
    rows, outcomes = request_rows(problem), _outcomes(problem, result)
    document["commitments"] = [commitment(salt, row) for salt, row in zip(salts, rows, strict=True)]
    hidden = [commitment(salt, outcome) for salt, outcome in zip(salts, outcomes, strict=True)]
    document["statement"] |= {"commitments_root": root(document["commitments"]), "outcomes_root": root(hidden)}
    if opened:
        table = zip(salts, rows, outcomes, strict=True)
        document["table"] = [{"salt": salt, "request": row, "outcome": outcome} for salt, row, outcome in table]
    return document


def statement_digest(document: dict[str, Any]) -> str:
    """What the log record of the publication must carry: SHA-256 of the canonical statement, in hexadecimal."""
    return public_verify.digest(document["statement"])


def _statement(problem: Problem, result: Result) -> dict[str, Any]:
    names = zip(problem.pool_site.tolist(), problem.pool_model.tolist(), problem.pool_region.tolist(), strict=True)
    sold = np.zeros((problem.pools, problem.hours), np.int64)
    np.add.at(sold, problem.deposit_pool, result.deposit_sold.astype(np.int64))
    return {
        "format": public_verify.FORMAT,
        "problem_digest": problem.digest(),
        "result_digest": result.digest(),
        "horizon_start": int(problem.horizon_start),
        "hours": int(problem.hours),
        "pools": [
            {"site": problem.sites[site], "model": problem.models[model], "region": problem.regions[region]}
            for site, model, region in names
        ],
        "offered": problem.capacity.tolist(),
        "sold": sold.tolist(),
        "slot_price": result.slot_price.tolist(),
        "totals": _totals(problem, result, sold),
        "refused": {code.name: int((result.refusal == code).sum()) for code in Refusal if code is not Refusal.SERVED},
        "commitments_root": None,
        "outcomes_root": None,
    }


def _totals(problem: Problem, result: Result, sold: np.ndarray) -> dict[str, int]:
    served = result.served
    transfer = int(_transfers(problem, result).sum())
    objective, bound = int(result.objective), int(result.bound)
    return {
        "requests": problem.requests,
        "served": int(served.sum()),
        "card_hours_offered": int(problem.capacity.sum()),
        "card_hours_sold": int(sold.sum()),
        "budget_served": int(problem.budget[served].sum()),
        "transfer": transfer,
        "reserve_cost": int((result.deposit_sold * problem.deposit_reserve).sum()),
        "payment": int(result.payment.sum()),
        "deposit_revenue": int((sold * result.slot_price).sum()),
        "objective": objective,
        "bound": bound,
        "gap_bps": public_verify.gap_bps(objective, bound),
    }


def _transfers(problem: Problem, result: Result) -> np.ndarray:
    """Transfer cost of each request where it runs, int64[n]; 0 when not served."""
    region = problem.pool_region[np.where(result.served, result.pool, 0)]
    return np.where(result.served, problem.transfer_cost[np.arange(problem.requests), region], 0)


def _request_row(problem: Problem, request: int) -> dict[str, Any]:
    lead = dict(zip(problem.regions, problem.lead_hours[request].tolist(), strict=True))
    cost = dict(zip(problem.regions, problem.transfer_cost[request].tolist(), strict=True))
    hours = zip(problem.models, problem.run_hours[request].tolist(), strict=True)
    return {
        "request": problem.request_id[request],
        "cards": int(problem.cards[request]),
        "hours": {model: need for model, need in hours if need},
        "earliest": int(problem.earliest[request]),
        "deadline": int(problem.deadline[request]),
        "budget": int(problem.budget[request]),
        "preemptible": bool(problem.preemptible[request]),
        "min_piece": int(problem.min_piece[request]),
        "small": bool(problem.small[request]),
        "priority": int(problem.priority[request]),
        "lead_hours": {region: value for region, value in lead.items() if value >= 0},
        "transfer_cost": {region: cost[region] for region, value in lead.items() if value >= 0},
    }


def _outcomes(problem: Problem, result: Result) -> list[dict[str, Any]]:
    """What became of every request, in the order of the problem."""
    runs: list[list[list[int]]] = [[] for _ in range(problem.requests)]
    pieces = (result.run_request.tolist(), result.run_start.tolist(), result.run_end.tolist())
    for request, start, end in zip(*pieces, strict=True):
        runs[request].append([start, end])
    columns = (result.served, result.pool, _transfers(problem, result), result.payment, result.refusal)
    return [
        {
            "request": name,
            "pool": pool if served else None,
            "runs": taken,
            "transfer": transfer,
            "payment": payment,
            "refusal": None if served else Refusal(refusal).name,
        }
        for name, taken, served, pool, transfer, payment, refusal in zip(
            problem.request_id, runs, *(column.tolist() for column in columns), strict=True
        )
    ]
