"""Idle profiles: from accounting, from Prometheus text, and what they propose to deposit."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.contract import Site, refusal
from tests.engines.slurm_cluster import Cluster, cluster

from huoshui.engines import EngineError, open_engine, profiles
from huoshui.engines.profiles import WEEK_HOURS, Run, from_prometheus, from_runs, propose
from huoshui.engines.slurm import SlurmEngine

__all__ = ["cluster"]
HOUR = profiles.HOUR_SECONDS
RUNS = st.lists(
    st.builds(
        lambda cards, start, length: Run("a100", cards, start, start + length),
        st.integers(1, 8), st.integers(0, 20), st.integers(1, 12),
    ),
    max_size=12,
)  # fmt: skip


@given(RUNS)
def test_an_hour_counts_the_most_cards_in_use_at_once(runs: list[Run]) -> None:
    """Against counting at every instant, with a quarter of an hour as the smallest step."""
    quarters = [Run(run.card, run.cards, run.start * 900, run.end * 900) for run in runs]
    profile = from_runs(quarters, ["a100", "h20"], 1, 7)
    for hour in range(1, 7):
        instants = [hour * HOUR + quarter * 900 for quarter in range(4)]
        at_once = [sum(run.cards for run in quarters if run.start <= at < run.end) for at in instants]
        assert profile["a100", hour] == max(at_once)
        assert profile["h20", hour] == 0
    assert ("a100", 7) not in profile


def test_one_job_after_another_is_not_both_at_once() -> None:
    runs = [Run("a100", 4, 0, HOUR), Run("a100", 4, HOUR, 2 * HOUR), Run("a100", 4, HOUR + 60, HOUR + 120)]
    assert from_runs(runs, ["a100"], 0, 2) == {("a100", 0): 4, ("a100", 1): 8}


SCRAPE = """
# HELP DCGM_FI_DEV_GPU_UTIL GPU utilization (in %).
# TYPE DCGM_FI_DEV_GPU_UTIL gauge
DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="node1",modelName="NVIDIA A100-SXM4-80GB"} 97 7200000
DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="node1",modelName="NVIDIA A100-SXM4-80GB"} 0 7260000
DCGM_FI_DEV_GPU_UTIL{gpu="1",Hostname="node1",modelName="NVIDIA A100-SXM4-80GB"} 0 7200000
DCGM_FI_DEV_GPU_UTIL{gpu="2",Hostname="node1",modelName="NVIDIA A100-SXM4-80GB"} NaN 7200000
DCGM_FI_DEV_GPU_UTIL{gpu="0",Hostname="node2",modelName="another"} 50 7200000
# TYPE DCGM_FI_DEV_FB_USED gauge
DCGM_FI_DEV_FB_USED{gpu="1",Hostname="node1",modelName="NVIDIA A100-SXM4-80GB"} 40000 7200000
"""
WORDS = {"NVIDIA A100-SXM4-80GB": "a100"}


def test_a_card_that_was_busy_once_in_an_hour_was_in_use_in_it() -> None:
    assert from_prometheus(SCRAPE, WORDS) == {("a100", 2): 1}
    assert from_prometheus(SCRAPE, WORDS, busy_above=97) == {("a100", 2): 0}
    assert from_prometheus(SCRAPE, WORDS, metric="DCGM_FI_DEV_FB_USED") == {("a100", 2): 1}


def test_a_scrape_tells_of_a_moment_and_is_refused() -> None:
    text = 'npu_util{model="910B",id="0"} 3\nnpu_util{model="910B",id="1"} 0\n'
    words = {"910B": "ascend910b"}
    assert refusal(lambda: from_prometheus(text, words, metric="npu_util", label="model")) == profiles.NO_TIME
    assert from_prometheus(text, words, metric="another", label="model") == {}, "nothing observed is nothing said"


def test_openmetrics_counts_in_seconds_and_prometheus_in_milliseconds() -> None:
    line = 'DCGM_FI_DEV_GPU_UTIL{gpu="0",modelName="NVIDIA A100-SXM4-80GB"} 97'
    assert from_prometheus(f"{line} 7200.000\n{line} 7260.000\n# EOF\n", WORDS) == {("a100", 2): 1}
    assert from_prometheus(f"{line} 7200000\n", WORDS) == {("a100", 2): 1}
    dumped = '{__name__="DCGM_FI_DEV_GPU_UTIL", gpu="0", modelName="NVIDIA A100-SXM4-80GB"} 97 7200000\n'
    assert from_prometheus(dumped, WORDS) == {("a100", 2): 1}


def test_the_answer_to_a_range_query_is_read() -> None:
    model = {"modelName": "NVIDIA A100-SXM4-80GB"}
    series = [
        {"metric": model | {"gpu": str(card)}, "values": [[7200, "5"], [10800, str(card)]]} for card in range(3)
    ]
    series += [{"metric": model | {"__name__": "other"}, "values": [[7200, "5"]]}]
    answer = {"status": "success", "data": {"resultType": "matrix", "result": series}}
    assert from_prometheus(json.dumps(answer), WORDS) == {("a100", 2): 3, ("a100", 3): 2}
    with pytest.raises(EngineError, match="malformed: Prometheus refused the query: parse error"):
        from_prometheus('{"status":"error","error":"parse error"}', WORDS)


@pytest.mark.parametrize(
    "text",
    [
        "<html>502</html>", '{"status":', '{"status":"success","data":{"result":[1]}}', 'x{model="a} 1',
        'x{a="b"} many', "x 1 tomorrow",
    ],
)  # fmt: skip
def test_what_is_no_exposition_is_malformed(text: str) -> None:
    assert refusal(lambda: from_prometheus(text, WORDS)) == "malformed"


def test_the_same_hour_of_past_weeks_says_what_is_idle() -> None:
    start = 100 * WEEK_HOURS
    used = {start - WEEK_HOURS * week + hour: hour for week in (1, 2, 3) for hour in range(6)}
    used[start - 2 * WEEK_HOURS] = 7
    assert propose(used, 4, start, 8, 10_000) == [
        (start + 1, start + 2, 3), (start + 2, start + 3, 2), (start + 3, start + 4, 1),
    ]  # fmt: skip
    assert propose(used, 4, start, 1, 6_000) == [(start, start + 1, 4)]
    assert propose({start - WEEK_HOURS: 0}, 4, start, 5, 10_000) == [], "one observation is not enough"


@given(
    st.dictionaries(st.integers(0, 6 * WEEK_HOURS - 1), st.integers(0, 9), max_size=60).flatmap(
        lambda used: st.tuples(st.just(used), st.integers(1, 9), st.integers(1, 200), st.integers(0, 10_000))
    )
)
def test_proposals_are_in_order_and_never_more_than_was_idle(
    drawn: tuple[dict[int, int], int, int, int],
) -> None:
    used, cards, ahead, quantile = drawn
    start = 6 * WEEK_HOURS
    stretches = propose(used, cards, start, ahead, quantile)
    for before, after in zip(stretches, stretches[1:], strict=False):
        assert before[1] <= after[0]
        assert before[1:] != after[:1] + after[2:]
    for begin, end, offered in stretches:
        assert start <= begin < end <= start + ahead
        for hour in range(begin, end):
            seen = [used[past] for past in range(hour - WEEK_HOURS, -1, -WEEK_HOURS) if past in used]
            beside = sum(cards - one >= offered for one in seen)
            assert len(seen) >= 2
            assert 0 < offered <= cards
            assert beside * 10_000 >= len(seen) * quantile, "so many observations leave room for the offer"


def test_slurms_own_accounting_gives_the_profile(cluster: Cluster, tmp_path: Path) -> None:
    engine = open_engine("slurm", cluster.settings(tmp_path))
    assert isinstance(engine, SlurmEngine)
    if not cluster.dbd:
        pytest.skip("no slurmdbd here")
    site = Site(engine, tmp_path, "a100", 16)
    spec = site.submit("import time; time.sleep(1)", cards=5)
    site.ended(spec)
    now = datetime.now(UTC)
    runs = engine.history(now - timedelta(hours=1), now + timedelta(minutes=1))
    account = engine.usage([spec.name])[spec.name]
    assert (
        Run("a100", 5, int(account.started.timestamp()), int(account.ended.timestamp() if account.ended else 0)) in runs
    )
    hour = int(account.started.timestamp()) // HOUR
    assert from_runs(runs, ["a100"], hour, hour + 1)["a100", hour] >= 5
