"""Do wallets and keys say what their calls say? Every µfen is looked at again, from the calls alone.

    wallet.held  = Σ hold of held calls              key.held  = Σ hold of held calls
    wallet.spent = Σ cost of settled calls           key.spent = Σ cost of settled calls of its budget period
    cost of a settled call = its tokens × the prices of its offer, never above its hold
"""

from collections.abc import Iterator
from dataclasses import dataclass

from huoshui.gateway.database import Database

WALLETS = """
SELECT w.id, w.held_ufen, w.spent_ufen,
 coalesce(sum(CASE WHEN c.state = 'held' THEN c.hold_ufen END), 0),
 coalesce(sum(CASE WHEN c.state = 'settled' THEN c.cost_ufen END), 0)
FROM maas_wallet w LEFT JOIN maas_call c ON c.wallet_id = w.id GROUP BY w.id, w.held_ufen, w.spent_ufen ORDER BY w.id"""
KEYS = """
SELECT k.id, k.held_ufen, k.spent_ufen,
 coalesce(sum(CASE WHEN c.state = 'held' THEN c.hold_ufen END), 0),
 coalesce(sum(CASE WHEN c.state = 'settled' AND c.started_ms >= k.period_start_ms THEN c.cost_ufen END), 0)
FROM maas_key k LEFT JOIN maas_call c ON c.key_id = k.id GROUP BY k.id, k.held_ufen, k.spent_ufen ORDER BY k.id"""
CALLS = """
SELECT id, cost_ufen, counted_ufen FROM (
 SELECT c.id, c.cost_ufen,
  CASE WHEN c.state = 'settled' THEN (c.input_tokens - c.cached_tokens) * CAST(o.input_fen AS bigint)
  + c.cached_tokens * CAST(o.cached_fen AS bigint) + c.output_tokens * CAST(o.output_fen AS bigint) ELSE 0 END
  AS counted_ufen
 FROM maas_call c JOIN maas_offer o ON o.id = c.offer_id
) told WHERE cost_ufen <> counted_ufen"""


@dataclass(frozen=True)
class Drift:
    """`subject` says `told_ufen` where its calls say `counted_ufen`."""

    subject: str
    told_ufen: int
    counted_ufen: int

    def __str__(self) -> str:
        return f"{self.subject}: {self.told_ufen} µfen, its calls say {self.counted_ufen}"


def drifts(db: Database) -> list[Drift]:
    """What does not agree, as of one instant; empty when every µfen does."""
    with db.snapshot():
        return [drift for drift in _all(db) if drift.told_ufen != drift.counted_ufen]


def _all(db: Database) -> Iterator[Drift]:
    for name, sql in (("wallet", WALLETS), ("key", KEYS)):
        for number, held, spent, calls_held, calls_spent in db.rows(sql):
            yield Drift(f"{name} {number}, held", held, int(calls_held))
            yield Drift(f"{name} {number}, spent", spent, int(calls_spent))
    for number, cost, counted in db.rows(CALLS):
        yield Drift(f"call {number}, cost", cost, int(counted))
