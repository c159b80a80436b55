"""Facts about tables of deposits and requests: what they mean, and how each broken rule is reported."""

import numpy as np
import polars as pl
import pytest
from benchmarks.generator import generate
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui.clearing import tables
from huoshui.clearing.capacity import frames
from huoshui.clearing.tables import BadTable

DEPOSITS = """deposit,site,model,region,start,end,cards,reserve_price_yuan
D1,S1,A,east,2026-12-07 00:00,2026-12-07 08:00,4,2.50
D1,S1,A,east,2026-12-07 08:00,2026-12-08 00:00,2,3.00
D2,S2,B,west,2026-12-07 00:00,2026-12-08 00:00,8,1.00
"""
REQUESTS = """request,cards,hours:A,hours:B,earliest,deadline,budget_yuan,mode,min_piece,regions,data_region
R1,2,4,,2026-12-07 06:00,2026-12-07 20:00,100,,,,
R2,1,2,3,2026-12-06 00:00,2026-12-09 00:00,50.25,可中断,2,east;west,east
"""
TRANSFERS = "from_region,to_region,lead_hours,cost_yuan\neast,west,2,3.20\n"


def problem(deposits=DEPOSITS, requests=REQUESTS, transfers=TRANSFERS, **options):
    sources = {"deposits": deposits, "requests": requests, "transfers": transfers}
    return frames.from_texts(*(tables.read(n, f"{n}.csv", s.encode()) for n, s in sources.items()), **options)


def faults(**sources):
    with pytest.raises(BadTable) as caught:
        problem(**sources)
    return caught.value.faults


def test_tables_become_the_columns_of_a_problem():
    found = problem()
    assert (found.horizon_start, found.hours, found.models) == (499_048, 24, ("A", "B"))
    assert found.deposit_cards[0].tolist() == [4] * 8 + [2] * 16
    assert found.deposit_reserve[0].tolist() == [250_000] * 8 + [300_000] * 16
    assert found.run_hours.tolist() == [[4, 0], [2, 3]]
    assert found.budget.tolist() == [10_000_000, 5_025_000]
    assert found.preemptible.tolist() == [False, True]
    assert found.min_piece.tolist() == [0, 2]


def test_the_horizon_is_what_the_deposits_span():
    assert problem(deposits=DEPOSITS.replace("12-08 00:00,8", "12-31 00:00,8")).hours == 24 * 24


def test_windows_are_cut_to_the_horizon():
    found = problem()
    assert found.earliest.tolist() == [6, 0]
    assert found.deadline.tolist() == [20, 24]


def test_transfers_follow_where_the_data_is():
    found = problem()
    assert found.lead_hours.tolist() == [[0, 0], [0, 2]]
    assert found.transfer_cost.tolist() == [[0, 0], [0, 320_000]]


def test_without_a_route_a_region_cannot_be_reached():
    assert problem(transfers=TRANSFERS.replace("east,west", "west,east")).lead_hours.tolist() == [[0, 0], [0, -1]]


def test_hours_may_stand_in_one_column_and_headers_in_chinese():
    requests = (
        "取用申请,卡数,时长,最早开始,最晚完成,预算上限(元)\nR1,2,A=4; B=6,2026-12-07 06:00,2026-12-07 20:00,100\n"
    )
    assert problem(requests=requests).run_hours.tolist() == [[4, 6]]


def test_a_model_that_nobody_deposits_must_be_declared():
    requests = REQUESTS.replace("hours:B", "hours:C")
    assert [(fault.field, fault.value, fault.rule) for fault in faults(requests=requests)] == [
        ("header", "hours:C", "known_model")
    ]
    assert problem(requests=requests, models=("C",)).models == ("A", "B", "C")


@pytest.mark.parametrize(
    ("table", "old", "new", "row", "field", "rule"),
    [
        ("deposits", ",4,2.50", ",0,2.50", 2, "cards", "at_least"),
        ("deposits", ",4,2.50", ",-4,2.50", 2, "cards", "at_least"),
        ("deposits", ",4,2.50", ",four,2.50", 2, "cards", "whole_number"),
        ("deposits", ",4,2.50", ",,2.50", 2, "cards", "required"),
        ("deposits", ",4,2.50", ",4,2.505", 2, "reserve_price_yuan", "decimals_at_most"),
        ("deposits", "12-07 08:00,2026-12-08", "12-07 08:30,2026-12-08", 3, "start", "whole_hour"),
        ("deposits", "12-07 08:00,4", "12-06 08:00,4", 2, "end", "after"),
        ("deposits", "12-08 00:00,8", "2027-01-31 00:00,8", 4, "end", "local_time"),
        ("deposits", "2026-12-08 00:00,8", "2027-01-31 00:00,8", 4, "end", "in_horizon"),
        ("deposits", "12-07 08:00,2026-12-08", "12-07 07:00,2026-12-08", 3, "start", "no_overlap"),
        ("deposits", "D1,S1,A,east,2026-12-07 08", "D1,S1,B,east,2026-12-07 08", 3, "model", "same_for_deposit"),
        ("deposits", "D2,S2,B,west", "D2,S1,B,west", 4, "region", "same_for_site"),
        ("deposits", "reserve_price_yuan", "reserve_price", None, "header", "known_column"),
        ("requests", "R2,1", "R1,1", 3, "request", "once"),
        ("requests", "2,4,,", "2,,,", 2, "hours", "at_least_one_model"),
        ("requests", "12-07 06:00,2026-12-07 20:00", "12-07 20:00,2026-12-07 06:00", 2, "deadline", "after"),
        ("requests", "2026-12-06 00:00,2026-12-09", "2026-11-06 00:00,2026-11-09", 3, "deadline", "in_horizon"),
        ("requests", "100,,,", "0,,,", 2, "budget_yuan", "at_least"),
        ("requests", "100,,,", "100,,3,", 2, "min_piece", "only_preemptible"),
        ("requests", "可中断", "sometimes", 3, "mode", "one_of"),
        ("requests", "east;west,east", "east;north,east", 3, "regions", "known_region"),
        ("transfers", "3.20", "3.205", 2, "cost_yuan", "decimals_at_most"),
    ],
)
def test_every_broken_rule_is_reported_by_row_field_and_rule(table, old, new, row, field, rule):
    text = {"deposits": DEPOSITS, "requests": REQUESTS, "transfers": TRANSFERS}[table]
    assert old in text
    found = faults(**{table: text.replace(old, new, 1)})[0]
    assert (found.table, found.row, found.field, found.rule) == (table, row, field, rule)


def test_all_faults_of_all_tables_come_at_once():
    found = faults(deposits=DEPOSITS.replace(",4,", ",0,"), requests=REQUESTS.replace("R1,2", "R1,x"))
    assert [fault.table for fault in found] == ["deposits", "requests"]


def test_lead_hours_and_regions_contradict_each_other():
    requests = REQUESTS.replace("data_region", "lead_hours:west").replace(",east\n", ",2\n")
    assert [(fault.field, fault.rule) for fault in faults(requests=requests)] == [("regions", "not_with_lead_hours")]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 60), st.integers(0, 1_000), st.sampled_from([0.8, 1.5, 2.0]))
def test_a_problem_survives_frames_and_files(requests, seed, load):
    original = generate(requests, load, seed)
    parts = frames.to_frames(original)
    assert frames.from_frames(**parts).digest() == original.digest()
    texts = (tables.read(name, f"{name}.csv", tables.to_csv(frame)) for name, frame in parts.items())
    assert frames.from_texts(*texts).digest() == original.digest()


def test_frames_with_typed_columns_read_like_text():
    parts = frames.to_frames(generate(20))
    zone = pl.Datetime("us", "Asia/Shanghai")
    typed = parts["requests"].with_columns(
        pl.col("earliest", "deadline").str.to_datetime("%Y-%m-%dT%H:%M").dt.replace_time_zone("Asia/Shanghai")
    )
    assert typed["earliest"].dtype == zone
    first, second = frames.from_frames(**parts), frames.from_frames(parts["deposits"], typed)
    assert np.array_equal(first.earliest, second.earliest)
    assert first.digest() == second.digest()
