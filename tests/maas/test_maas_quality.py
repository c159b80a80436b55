"""The quality table says what a client really sees: known delays are measured, failures are named, no data is none."""

import random
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compute.world import party
from tests.maas.service import SYSTEM, Gateway, Service, build, limit
from tests.maas.upstream_server import Upstream as Server
from tests.maas.upstream_server import serving

from huoshui.base import clock
from huoshui.base.errors import Refused
from huoshui.maas import measuring, probing, published, quality, queries
from huoshui.maas.actions import bills, keys, wallets
from huoshui.maas.models import UFEN, Call, Key, Offer, Probe, Upstream
from huoshui.maas.quality import Sample

AT = datetime(2026, 11, 1, tzinfo=UTC)
SLACK_US = 60_000
"""A busy machine adds this much; it never takes anything away."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@pytest.fixture(autouse=True)
def at_its_best(server: Server) -> Server:
    """Each test begins with a server that answers."""
    server.behaviour, server.tokens, server.said, server.at_once_max = "ok", 8, "content", 0
    server.asked.clear()
    server.headers.clear()
    return server


def target(server: Server, **changes: object) -> probing.Target:
    made = probing.Target(server.url, "secret-of-upstream", "m", 2, 2, 5)
    return replace(made, **changes)  # type: ignore[arg-type]


def call(server: Server, **changes: object) -> probing.Measured:
    return probing.measure(target(server, **changes), [probing.prompt(32, 7)], 64, 1)[0]


def test_known_delays_are_measured(server: Server) -> None:
    told = call(server)
    assert told.outcome == "ok"
    assert told.ttft_us is not None
    assert 80_000 <= told.ttft_us <= 80_000 + SLACK_US
    assert told.e2e_us is not None
    assert 150_000 <= told.e2e_us <= 150_000 + 2 * SLACK_US
    assert (told.input_tokens, told.output_tokens) == (32, 8)
    tpot = Sample("b", AT, told.outcome, told.ttft_us, told.e2e_us, told.output_tokens).tpot_us
    assert tpot is not None
    assert 10_000 <= tpot <= 10_000 + SLACK_US // 7
    assert server.headers[0]["Authorization"] == "Bearer secret-of-upstream"
    assert server.asked[0]["max_tokens"] == 64


@pytest.mark.parametrize("said", ["reasoning_content", "reasoning"])
def test_thoughts_are_tokens_too(server: Server, said: str) -> None:
    server.said = said
    told = call(server)
    assert (told.outcome, told.output_tokens) == ("ok", 8)
    assert told.ttft_us is not None


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("ok", "ok"), ("503", "upstream_error"), ("429", "rate_limited"), ('{"data":[]}', "bad_answer"),
        ('{"data":[{"embedding":[]}]}', "bad_answer"), ('{"data":[{"embedding":["x"]}]}', "bad_answer"),
        ('{"data":[{"embedding":[1]},{"embedding":[1]}]}', "bad_answer"), ('{"data":[7]}', "bad_answer"),
        ('{"data":7}', "bad_answer"), ("{", "bad_answer"),
    ],
)  # fmt: skip
def test_an_embedding_is_one_vector_and_has_no_first_token(server: Server, behaviour: str, outcome: str) -> None:
    server.behaviour = behaviour
    told = call(server, embeds=True)
    assert (told.outcome, told.ttft_us, told.output_tokens) == (outcome, None, None)
    assert server.asked == [{"model": "m", "input": probing.prompt(32, 7)}]
    if outcome == "ok":
        assert told.input_tokens == 32
        assert told.e2e_us is not None
        assert 80_000 <= told.e2e_us <= 80_000 + 2 * SLACK_US
    else:
        assert told.e2e_us is None


@pytest.mark.parametrize(
    ("behaviour", "outcome", "status"),
    [
        ("429", "rate_limited", 429), ("402", "quota", 402), ("503", "upstream_error", 503),
        ("404", "upstream_refused", 404), ("half", "truncated", 200), ("quiet", "truncated", 200),
        ("nonsense", "bad_answer", 200), ('{"choices":["x"]}', "bad_answer", 200),
        ('{"choices":7}', "bad_answer", 200), ('{"choices":[{"delta":"x"}]}', "bad_answer", 200),
        ('{"choices":' + "[" * 100_000, "bad_answer", 200),
    ],
)  # fmt: skip
def test_every_failure_has_its_class(server: Server, behaviour: str, outcome: str, status: int) -> None:
    server.behaviour = behaviour
    told = call(server)
    assert (told.outcome, told.status) == (outcome, status)
    assert told.e2e_us is None, "a call that failed has no end-to-end time"


def test_who_never_answers_and_who_is_not_there(server: Server) -> None:
    server.behaviour = "silent"
    assert call(server, seconds_max=1).outcome == "timeout"
    assert call(server, url="http://127.0.0.1:9").outcome == "unreachable"


def test_a_usage_that_cannot_be_is_not_believed(server: Server) -> None:
    server.behaviour = "lies"
    told = call(server)
    assert (told.outcome, told.input_tokens, told.output_tokens) == ("ok", None, 8)


def test_as_many_calls_at_once_as_asked_for(server: Server) -> None:
    prompts = [probing.prompt(8, number) for number in range(6)]
    told = probing.measure(target(server), prompts, 16, 3)
    assert [row.outcome for row in told] == ["ok"] * 6
    assert server.at_once_max == 3
    assert len({body["messages"][0]["content"].split()[0] for body in server.asked}) == 6, "no two begin alike"


# --- arithmetic -------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_a_percentile_is_a_value_with_that_share_below(values: list[int]) -> None:
    ordered = sorted(values)
    for percent in quality.PERCENTILES:
        found = quality.percentile(ordered, percent)
        assert found in values
        assert sum(value <= found for value in values) * 100 >= percent * len(values)
        assert sum(value < found for value in values) * 100 < percent * len(values)


def test_no_data_is_none_and_never_zero() -> None:
    nothing = quality.quality([])
    assert nothing.calls == 0
    assert (nothing.ttft.p50, nothing.speed_mtps, nothing.success_bps, nothing.availability_bps, nothing.good_bps) == (
        (None,) * 5
    )
    failed = quality.quality([Sample("b", AT, "timeout", None, None, None)])
    assert (failed.success_bps, failed.availability_bps, failed.e2e.p99) == (0, 0, None)
    assert failed.errors == (("timeout", 1),)


def test_goodput_counts_calls_within_both_thresholds() -> None:
    within = Sample("a", AT, "ok", published.SLO_TTFT_US, published.SLO_TTFT_US + 10 * published.SLO_TPOT_US, 11)
    late = replace(within, ttft_us=published.SLO_TTFT_US + 1)
    slow = replace(within, e2e_us=(within.e2e_us or 0) + 10)
    failed = replace(within, batch="b", outcome="truncated")
    told = quality.quality([within, late, slow, failed])
    assert (told.good_bps, told.success_bps, told.availability_bps) == (2_500, 7_500, 5_000)
    assert told.speed_mtps == 33 * 1_000_000 * 1_000 // sum(row.e2e_us or 0 for row in (within, late, slow))


# --- the probe --------------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(
    db: None, server: Server, moved_clock: Callable[..., AbstractContextManager[None]]
) -> Iterator[Service]:
    """A service whose upstream is the server, late on a day: nearly all of its budget is allowed."""
    made = build()
    Upstream.objects.update(base_url=server.url)
    with moved_clock(f"{clock.today() + timedelta(days=1)} 23:00"):
        yield made


def test_a_turn_measures_every_cell(measured: Service, server: Server) -> None:
    server.tokens = 4
    calls = measuring.measure(SYSTEM)
    cells = len(published.INPUT_BUCKETS) * len(published.CONCURRENCIES)
    assert calls == cells * published.PROBES_PER_CELL == Probe.objects.filter(outcome="ok").count()
    (row,) = queries.measured(queries.offers())
    assert row.quality.calls == calls
    assert row.quality.success_bps == row.quality.availability_bps == 10_000
    assert row.quality.ttft.p50 is not None
    assert row.quality.ttft.p50 >= 80_000
    assert len(queries.measured(queries.offers(), by_cell=True)) == cells
    inputs = {len(body["messages"][0]["content"].split()) for body in server.asked}
    assert inputs == set(published.INPUT_BUCKETS)
    cost = sum(probe.cost_ufen for probe in Probe.objects.all())
    assert cost == measuring.spent_today_ufen()
    assert cost == sum(bucket * 200 + 4 * 800 for bucket in published.INPUT_BUCKETS) * len(
        published.CONCURRENCIES
    ) * published.PROBES_PER_CELL


def test_the_day_costs_no_more_than_published(
    measured: Service, monkeypatch: pytest.MonkeyPatch, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    (cell, *_rest) = [cell for cell in measuring.cells() if cell.bucket == min(published.INPUT_BUCKETS)]
    budget = -(-measuring.cost_max_ufen(cell) * 3 // (2 * UFEN))
    monkeypatch.setattr(published, "PROBE_DAY_FEN", budget)
    with moved_clock(f"{clock.today() + timedelta(days=3)} 12:00"):
        assert measuring.measure(SYSTEM) == 0, "half a day allows half of the budget"
    with moved_clock(f"{clock.today() + timedelta(days=3)} 17:00"):
        for _turn in range(4):
            measuring.measure(SYSTEM)
        assert 0 < measuring.spent_today_ufen() <= budget * UFEN
        count = Probe.objects.count()
    with moved_clock(f"{clock.today() + timedelta(days=4)} 17:00"):
        assert measuring.spent_today_ufen() == 0
        measuring.measure(SYSTEM)
        assert Probe.objects.count() > count, "another day, another budget"


def test_every_hour_has_its_share_of_the_budget(
    measured: Service, monkeypatch: pytest.MonkeyPatch, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    """Spent evenly over the day, and what is dear waits its turn: nothing overtakes it."""
    all_cells = measuring.cells()
    dear = max(all_cells, key=measuring.cost_max_ufen)
    monkeypatch.setattr(measuring, "cells", lambda: [dear, *all_cells])
    monkeypatch.setattr(published, "PROBE_DAY_FEN", -(-measuring.cost_max_ufen(dear) * 12 // UFEN))
    counts = []
    for hour in (0, 1, 2):
        with moved_clock(f"{clock.today() + timedelta(days=3)} {hour:02}:00"):
            counts.append(measuring.measure(SYSTEM))
            assert measuring.spent_today_ufen() <= measuring.allowed_today_ufen()
    assert counts[:2] == [0, 0], "what the dear one can cost is allowed at two o'clock"
    assert counts[2] > 0


def test_a_dear_provider_keeps_nobody_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    """Providers have equal shares of the day and take turns: what waits for its own share holds up nobody else's."""
    monkeypatch.setattr(probing, "measure", lambda _target, prompts, *_rest: [
        probing.Measured("ok", 200, 1, 2, len(text.split()), 4) for text in prompts
    ])  # fmt: skip
    dear = service.offer_of(service.upstream_of(party("示例高价", "operator")), "dear", 1_000, 4_000)
    by_turns = [cell.offer.pk for cell in measuring.cells()]
    assert by_turns == [service.offer.pk, dear.pk] * (len(by_turns) // 2)
    most = max(measuring.cost_max_ufen(cell) for cell in measuring.cells())
    monkeypatch.setattr(published, "PROBE_DAY_FEN", -(-most * 2 // UFEN))
    all_cells = measuring.cells
    monkeypatch.setattr(measuring, "cells", lambda: sorted(
        all_cells(), key=lambda cell: (cell.offer != dear, -measuring.cost_max_ufen(cell))
    ))  # fmt: skip
    counts = []
    for hour in (5, 10, 15, 20):
        with moved_clock(f"{clock.today() + timedelta(days=3)} {hour:02}:00"):
            before = Probe.objects.exclude(offer=dear).count()
            measuring.measure(SYSTEM)
            counts.append(Probe.objects.exclude(offer=dear).count() - before)
            assert measuring.spent_today_ufen() <= measuring.allowed_today_ufen()
    assert all(counts), "the others are measured at every hour"
    assert not Probe.objects.filter(offer=dear).exists(), "its dearest cell waits for its own share until midnight"
    with moved_clock(f"{clock.today() + timedelta(days=3)} 23:59:59"):
        monkeypatch.setattr(published, "PROBE_DAY_FEN", published.PROBE_DAY_FEN + 1)
        measuring.measure(SYSTEM)
        assert Probe.objects.filter(offer=dear).exists()
        assert measuring.spent_today_ufen() <= measuring.allowed_today_ufen()


def test_what_was_measured_longest_ago_comes_first(measured: Service) -> None:
    first = measuring.cells()[0]
    measuring.record_probes(SYSTEM, cell=first, batch="b", rows=[probing.Measured("ok", 200, 1, 2, 3, 4)])
    assert measuring.cells()[-1] == first


def test_what_takes_no_calls_is_not_measured(measured: Service) -> None:
    measured.offer_of(measured.upstream, "short", 1, 1, context_tokens=128 * 3 + published.OUTPUT_TOKENS)
    private = measured.offer_of(measured.upstream, "private", 1, 1)
    Offer.objects.filter(pk=private.pk).update(private=True)
    found = {(cell.offer.model, cell.bucket) for cell in measuring.cells()}
    assert ("short", 128) in found
    assert ("short", 1_024) not in found
    assert not any(model == "private" for model, _bucket in found)
    Upstream.objects.update(state=Upstream.State.PAUSED)
    assert measuring.cells() == []


def test_embeddings_are_measured_without_a_first_token(measured: Service, server: Server) -> None:
    Offer.objects.update(kind=Offer.Kind.EMBEDDING)
    calls = measuring.measure(SYSTEM)
    assert calls == Probe.objects.filter(outcome="ok", ttft_us=None, output_tokens=None).count() > 0
    assert all("input" in body for body in server.asked)
    (row,) = queries.measured(queries.offers())
    assert (row.quality.success_bps, row.quality.availability_bps) == (10_000, 10_000)
    assert row.quality.e2e.count == calls
    assert (row.quality.ttft.p50, row.quality.tpot.p50, row.quality.speed_mtps, row.quality.good_bps) == (None,) * 4
    assert measuring.spent_today_ufen() == sum(
        bucket * 200 * published.PROBES_PER_CELL * len(published.CONCURRENCIES) for bucket in published.INPUT_BUCKETS
    )


def test_only_who_measures_writes_measurements(measured: Service, people: object) -> None:
    agent = people("agent", f"party:{measured.provider.pk}")  # type: ignore[operator]
    with pytest.raises(Refused):
        measuring.record_probes(agent, cell=measuring.cells()[0], batch="b", rows=[])
    with pytest.raises(Refused) as refused:
        measuring.record_probes(
            SYSTEM, cell=measuring.cells()[0], batch="b", rows=[probing.Measured("excellent")]
        )
    assert refused.value.code == "invalid"


def test_figures_of_real_calls_show_no_single_firm(service: Service) -> None:
    dice = random.Random(1)
    for _number in range(published.LIVE_CALLS_MIN):
        Gateway.call(service.key, service.offer, dice.randint(1, 9), 2)
    assert queries.live([service.offer]) == {}
    others = [build_wallet(service, number) for number in range(published.LIVE_WALLETS_MIN - 1)]
    for key in others:
        Gateway.call(key, service.offer, 5, 5)
    Gateway.release(Gateway.hold(others[0], service.offer, 100))
    (told,) = queries.live([service.offer]).values()
    assert told.calls == published.LIVE_CALLS_MIN + len(others) + 1
    assert told.errors == (("upstream_error", 1),)
    assert told.ttft.p50 == 100_000


def build_wallet(service: Service, number: int) -> Key:
    """A key of another firm."""
    firm = party(f"示例第{number}家", "entity")
    limit(service.bank, firm)
    wallet = wallets.fund(SYSTEM, key=f"other/{number}", party=firm, amount_fen=100)
    return keys.make_key(SYSTEM, wallet=wallet, name="k", days=1).key


def test_the_centre_owes_what_its_probes_cost_once(
    measured: Service, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    cell = measuring.cells()[0]
    with moved_clock("2027-01-20 10:00"):
        measuring.record_probes(SYSTEM, cell=cell, batch="b", rows=[
            probing.Measured("ok", 200, 1, 2, 12_345, 64), probing.Measured("timeout"),
        ])  # fmt: skip
        assert bills.bill_probes(SYSTEM, month=date(2027, 1, 1)) is None, "the month is not over"
    with moved_clock("2027-02-01 10:00"):
        statement = bills.bill_probes(SYSTEM, month=date(2027, 1, 1))
        assert bills.bill_probes(SYSTEM, month=date(2027, 1, 1)) is None
        assert bills.bill_probes(SYSTEM, month=date(2026, 12, 1)) is None, "nothing was measured"
    assert statement is not None
    line = statement.lines.get()
    assert (line.payee, line.amount, statement.secured) == (measured.provider, (12_345 * 200 + 64 * 800) // UFEN, False)
    assert line.params["calls"] == 2


def test_old_measurements_fall_out_of_the_window(
    measured: Service, moved_clock: Callable[..., AbstractContextManager[None]]
) -> None:
    cell = measuring.cells()[0]
    measuring.record_probes(SYSTEM, cell=cell, batch="b", rows=[probing.Measured("ok", 200, 1, 2, 3, 4)])
    (row,) = queries.measured(queries.offers())
    assert row.quality.calls == 1
    with moved_clock(clock.now() + published.WINDOW + timedelta(minutes=1)):
        (row,) = queries.measured(queries.offers())
    assert (row.quality.calls, row.quality.ttft.p50) == (0, None)
    assert Call.objects.count() == 0
