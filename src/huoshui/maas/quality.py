"""The figures of the quality table 量化评估, from measured calls: pure arithmetic, no database.

Times to the microsecond; percentiles by nearest rank, so each is a time that was measured. Times and speeds are of
calls that succeeded, shares are of all calls. No calls, or none that tells, gives None: no data is never zero.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from huoshui.maas import published
from huoshui.maas.probing import OK

BPS = 10_000
SECOND_US = 1_000_000
PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Sample:
    """One call: its batch (turn of the probe), how it ended, and what was measured of it. Only what streams has a first
    token, and so a goodput."""

    batch: str
    at: datetime
    outcome: str
    ttft_us: int | None
    e2e_us: int | None
    output_tokens: int | None
    streams: bool = True

    @property
    def tpot_us(self) -> int | None:
        """Time for each token after the first."""
        if self.e2e_us is None or self.ttft_us is None or not self.output_tokens or self.output_tokens < 2:
            return None
        return (self.e2e_us - self.ttft_us) // (self.output_tokens - 1)

    @property
    def good(self) -> bool:
        """Within both thresholds."""
        if self.outcome != OK or self.ttft_us is None or self.ttft_us > published.SLO_TTFT_US:
            return False
        return self.tpot_us is None or self.tpot_us <= published.SLO_TPOT_US


@dataclass(frozen=True)
class Spread:
    """p50, p95 and p99 of a time in µs; `count` calls told it."""

    count: int
    p50: int | None
    p95: int | None
    p99: int | None


@dataclass(frozen=True)
class Quality:
    """What the table says of some calls. Shares in basis points, speed in 1/1000 tokens per second."""

    calls: int
    first: datetime | None
    last: datetime | None
    ttft: Spread
    tpot: Spread
    e2e: Spread
    speed_mtps: int | None
    success_bps: int | None
    availability_bps: int | None
    good_bps: int | None
    errors: tuple[tuple[str, int], ...]


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """Nearest rank: the least value that is not below `percent` of all. None of nothing."""
    if not ordered:
        return None
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def spread(values: Iterable[int | None]) -> Spread:
    """Percentiles of the values that are known."""
    ordered = sorted(value for value in values if value is not None)
    return Spread(len(ordered), *(percentile(ordered, percent) for percent in PERCENTILES))


def quality(samples: Sequence[Sample]) -> Quality:
    """All figures of some calls."""
    succeeded = [sample for sample in samples if sample.outcome == OK]
    batches = {sample.batch for sample in samples}
    answered = {sample.batch for sample in succeeded}
    streams = [sample for sample in samples if sample.streams]
    errors = Counter(sample.outcome for sample in samples if sample.outcome != OK)
    instants = [sample.at for sample in samples]
    return Quality(
        calls=len(samples), first=min(instants, default=None), last=max(instants, default=None),
        ttft=spread(sample.ttft_us for sample in succeeded), tpot=spread(sample.tpot_us for sample in succeeded),
        e2e=spread(sample.e2e_us for sample in succeeded), speed_mtps=_speed(succeeded),
        success_bps=_bps(len(succeeded), len(samples)), availability_bps=_bps(len(answered), len(batches)),
        good_bps=_bps(sum(sample.good for sample in streams), len(streams)), errors=tuple(sorted(errors.items())),
    )  # fmt: skip


def _speed(succeeded: Sequence[Sample]) -> int | None:
    """Tokens over seconds of one request, all requests together."""
    timed = [(sample.output_tokens, sample.e2e_us) for sample in succeeded if sample.output_tokens and sample.e2e_us]
    tokens, micros = sum(tokens for tokens, _us in timed), sum(us for _tokens, us in timed)
    return tokens * SECOND_US * 1_000 // micros if micros else None


def _bps(part: int, whole: int) -> int | None:
    return part * BPS // whole if whole else None
