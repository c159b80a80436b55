"""How offers to an enquiry are ranked: pure arithmetic on published criteria.

Each criterion gives 0 to 10,000 points, the best offer of all the most:

* `price`: 10,000 × lowest price ÷ own price
* `throughput`, `memory`: 10,000 × own figure ÷ highest figure (FP16 TFLOPS, GiB of a card)
* `firmness`: 10,000 when the cards cannot be recalled, else 10,000 × hours of notice ÷ 168, at most 9,000
* `record`: share of the site's bookings that ended and were not lost; nothing known gives the points of the terms

The total is the sum of points × weight ÷ 10,000; every division rounds down. Equal totals go by lower price, then by
earlier offer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

FULL = 10_000
NOTICE_HOURS_FULL = 168
RECALLABLE_MAX = 9_000


@dataclass(frozen=True)
class Bid:
    """What is known of an offer. `record_bps` None: nothing known; `notice_hours` None: not recallable."""

    key: int
    price_mfen: int
    fp16_tflops: int
    memory_gib: int
    notice_hours: int | None
    record_bps: int | None


@dataclass(frozen=True)
class Scored:
    """Points by criterion, and their weighted total."""

    key: int
    points: dict[str, int]
    total: int


def rank(bids: Sequence[Bid], weights: Mapping[str, int], unknown_bps: int) -> list[Scored]:
    """The bids, best first. `weights` in basis points; `bids` in the order in which they came."""
    scored = []
    for bid in bids:
        points = {code: found for code, found in _points(bid, bids, unknown_bps).items() if weights.get(code)}
        total = sum(points[code] * weights[code] for code in points) // FULL
        scored.append(Scored(bid.key, points, total))
    order = {bid.key: (bid.price_mfen, place) for place, bid in enumerate(bids)}
    return sorted(scored, key=lambda one: (-one.total, *order[one.key]))


def _points(bid: Bid, bids: Sequence[Bid], unknown_bps: int) -> dict[str, int]:
    return {
        "price": FULL * min(other.price_mfen for other in bids) // bid.price_mfen,
        "throughput": FULL * bid.fp16_tflops // max(other.fp16_tflops for other in bids),
        "memory": FULL * bid.memory_gib // max(other.memory_gib for other in bids),
        "firmness": _firmness(bid.notice_hours),
        "record": unknown_bps if bid.record_bps is None else bid.record_bps,
    }


def _firmness(notice_hours: int | None) -> int:
    return FULL if notice_hours is None else min(FULL * notice_hours // NOTICE_HOURS_FULL, RECALLABLE_MAX)
