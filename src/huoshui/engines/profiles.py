"""How many cards were in use, hour by hour, and what of the weeks to come may therefore be deposited.

Two sources, both of the site itself: Slurm's accounting (every job that ran, with its cards) and what Prometheus kept
(one gauge a card, such as `DCGM_FI_DEV_GPU_UTIL` of NVIDIA's DCGM exporter). Both err on the side of use:
an hour counts the most cards that were in use at once, and a card whose gauge was high once in it was in use.

A proposal looks at the same hour of the week in the weeks before. Few observations propose nothing: what was not
observed is unknown, not idle.

Hours are whole hours since the Unix epoch (UTC); instants seconds since it.
"""

import json
import math
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from huoshui.engines.base import MALFORMED, EngineError

HOUR_SECONDS = 3_600
WEEK_HOURS = 168
WEEKS_MIN = 2
"""Observations of an hour of the week without which nothing is said of it."""
WEEKS_MAX = 26
TEXT_BYTES_MAX = 64 << 20
DCGM_GAUGE = "DCGM_FI_DEV_GPU_UTIL"
DCGM_LABEL = "modelName"
ANSWER = re.compile(r'\s*\{\s*"status"')
"""How what Prometheus answers begins."""
NO_TIME = "no_time"
"""Code of the refusal of samples without a time of their own: a scrape tells of one moment, not of an hour."""

Profile = dict[tuple[str, int], int]
"""(card, hour) → the most cards in use at once. An hour that is not in it was not observed."""


@dataclass(frozen=True)
class Run:
    """`cards` of a model in use over [start, end), seconds since the epoch."""

    card: str
    cards: int
    start: int
    end: int


def from_runs(runs: Iterable[Run], cards: Collection[str], start_hour: int, end_hour: int) -> Profile:
    """The profile of [start_hour, end_hour) of these card models, when `runs` are all that ran. Idle hours are 0."""
    changes: dict[str, list[tuple[int, int]]] = {card: [] for card in cards}
    for run in runs:
        begin, end = max(run.start, start_hour * HOUR_SECONDS), min(run.end, end_hour * HOUR_SECONDS)
        if run.card in changes and begin < end:
            changes[run.card] += [(begin, run.cards), (end, -run.cards)]
    profile = {}
    for card, moments in changes.items():
        moments.sort()  # at one instant, what ends comes before what begins
        used = at = 0
        for hour in range(start_hour, end_hour):
            begin = hour * HOUR_SECONDS
            while at < len(moments) and moments[at][0] <= begin:
                used, at = used + moments[at][1], at + 1
            most = used
            while at < len(moments) and moments[at][0] < begin + HOUR_SECONDS:
                used, at = used + moments[at][1], at + 1
                most = max(most, used)
            profile[card, hour] = most
    return profile


def from_prometheus(
    text: str,
    words: Mapping[str, str],
    *,
    metric: str = DCGM_GAUGE,
    label: str = DCGM_LABEL,
    busy_above: float = 0.0,
) -> Profile:
    """The profile of the hours for which `text` has samples of a gauge that is above `busy_above` on a card in use.

    `text`: Prometheus' answer to a range query (JSON), OpenMetrics (`promtool tsdb dump-openmetrics`), or Prometheus'
    own exposition. `words`: value of the label → card. A series is a card: one that was busy in any sample of an hour
    was in use in that hour; NaN is no sample. Raises EngineError: MALFORMED, or NO_TIME when a sample has no time of
    its own.
    """
    if len(text) > TEXT_BYTES_MAX:
        raise EngineError(MALFORMED, f"more than {TEXT_BYTES_MAX} characters")
    seen: dict[tuple[str, int], dict[tuple[tuple[str, str], ...], bool]] = defaultdict(dict)
    try:
        for name, labels, value, at in _samples(text):
            card = words.get(labels.get(label, ""))
            if name not in ("", metric) or card is None or math.isnan(value):
                continue
            if at is None:
                raise EngineError(NO_TIME, f"{metric} has samples without a time")
            in_hour = seen[card, int(at // HOUR_SECONDS)]
            series = tuple(sorted(labels.items()))
            in_hour[series] = in_hour.get(series, False) or value > busy_above
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise EngineError(MALFORMED, f"nothing that Prometheus writes: {error}") from error
    return {key: sum(busy.values()) for key, busy in seen.items()}


def _samples(text: str) -> Iterator[tuple[str, Mapping[str, str], float, float | None]]:
    """(name, labels, value, seconds since the epoch) of each sample; functions of a query take the name away."""
    if ANSWER.match(text):
        answer = json.loads(text)
        if answer["status"] != "success":
            raise EngineError(MALFORMED, f"Prometheus refused the query: {str(answer.get('error'))[:300]}")
        for series in answer["data"]["result"]:
            for at, value in series["values"]:
                yield series["metric"].get("__name__", ""), series["metric"], float(value), float(at)
        return
    read = openmetrics if text.rstrip().endswith("# EOF") else parser
    for family in read.text_string_to_metric_families(text):
        for sample in family.samples:
            time = sample.timestamp
            yield sample.name, sample.labels, sample.value, None if time is None else float(time)


def propose(
    used: Mapping[int, int], cards: int, start_hour: int, hours_ahead: int, quantile_bps: int
) -> list[tuple[int, int, int]]:
    """Stretches (start hour, end hour, cards) of [start_hour, start_hour + hours_ahead) that were idle in past weeks.

    Of a pool with `cards` cards and hours `used` (hour → cards in use). An hour offers what is left beside the
    `quantile_bps` quantile of its observations (the smallest that so many ten-thousandths do not exceed): 10,000 offers
    only what was never in use. Stretches do not overlap, are in order, and as long as the number of cards stays.
    """
    stretches: list[tuple[int, int, int]] = []
    for hour in range(start_hour, start_hour + hours_ahead):
        seen = sorted(used[past] for past in (hour - WEEK_HOURS * week for week in range(1, WEEKS_MAX)) if past in used)
        if len(seen) < WEEKS_MIN:
            continue
        rank = max(1, -(-len(seen) * quantile_bps // 10_000))
        idle = cards - seen[rank - 1]
        if idle <= 0:
            continue
        if stretches and stretches[-1][1:] == (hour, idle):
            stretches[-1] = (stretches[-1][0], hour + 1, idle)
        else:
            stretches.append((hour, hour + 1, idle))
    return stretches
