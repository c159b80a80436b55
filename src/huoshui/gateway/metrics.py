"""Figures of the gateway for Prometheus. Labels are models, upstreams and codes: never content, keys or parties.

With several processes the command sets PROMETHEUS_MULTIPROC_DIR, and each process tells the figures of all.
"""

import os

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
CALLS = Counter("huoshui_gateway_calls", "Calls that ended", ["path", "model", "outcome"])
REFUSED = Counter("huoshui_gateway_refused", "Calls that were refused", ["reason"])
TOKENS = Counter("huoshui_gateway_tokens", "Tokens settled", ["model", "kind"])
COST = Counter("huoshui_gateway_cost_ufen", "Settled, in millionths of a fen", ["model"])
TRIES = Counter("huoshui_gateway_upstream_tries", "Tries at upstreams", ["upstream", "outcome"])
FIRST_TOKEN = Histogram("huoshui_gateway_first_token_seconds", "To the first token", ["upstream"], buckets=SECONDS)
LIVE = Gauge("huoshui_gateway_live_calls", "Calls now running", multiprocess_mode="livesum")
BATCH = Histogram("huoshui_gateway_meter_batch", "Operations in a commit", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256))
COMMIT_SECONDS = Histogram("huoshui_gateway_meter_commit_seconds", "Transaction with its commit", buckets=SECONDS)


def text() -> bytes:
    """All figures in Prometheus' text form."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call, unused-ignore]
    return generate_latest(registry)
