"""Tables of deposits, requests and transfers to a `Problem`, and back.

The idea: one tuple of columns per table (DEPOSITS, REQUESTS, TRANSFERS) documents, prints and validates it; the rules
that need more than one cell stand below them, one function each. A table with any fault is not read at all:
`BadTable` carries every fault. People's files are in yuan and local time; frames made here are exact (1/1000 fen).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from huoshui.clearing import tables
from huoshui.clearing.capacity import problem as limits
from huoshui.clearing.capacity.problem import Problem
from huoshui.clearing.tables import BadTable, Column, Fault, Parsed, Rule, Text

DEPOSIT_CELLS_MAX = 50_000_000
"""Deposits × hours of one problem: 600 MB of cards and reserve prices."""


def hours_by_model(text: str) -> dict[str, int]:
    """`A=4; B=2`: hours needed on each acceptable model."""
    found: dict[str, int] = {}
    for part in tables.several(text):
        model, equals, hours = part.partition("=")
        if not equals or not model.strip() or model.strip() in found:
            raise Rule("hours_by_model", example="MODEL-A=4; MODEL-B=2")
        found[model.strip()] = tables.whole(1, limits.RUN_HOURS_MAX)(hours.strip())
    return found


_cards = tables.whole(1, limits.CARDS_MAX)
_lead = tables.whole(0, limits.HOURS_MAX)

DEPOSITS = (
    Column("deposit", "存单", tables.words(), "name of the deposit; several rows with one name are one deposit"),
    Column("site", "算力中心", tables.words(), "site that offers the cards"),
    Column("model", "算力卡型号", tables.words(), "card model"),
    Column("region", "区域", tables.words(), "region of the site; the same in every row of the site"),
    Column("start", "开始", tables.hour, "first hour offered: whole hour, Asia/Shanghai unless an offset is written"),
    Column("end", "结束", tables.hour, "hour at which the offer ends (not offered any more)"),
    Column("cards", "卡数", _cards, "cards idle in each of these hours"),
    Column("reserve_price", "保留价", tables.money(limits.PRICE_MAX), "least accepted per card-hour", is_money=True),
    Column(
        "order",
        "次序",
        tables.whole(0, 10**15),
        "earlier (smaller) serves first at equal reserve price; order of the rows when absent",
        required=False,
    ),
)

REQUESTS = (
    Column("request", "取用申请", tables.words(), "name of the request, once"),
    Column("cards", "卡数", _cards, "cards needed together"),
    Column(
        "hours",
        "时长",
        tables.whole(1, limits.RUN_HOURS_MAX),
        "hours needed on model KEY; empty = model not acceptable",
        required=False,
        family=True,
    ),
    Column(
        "hours",
        "时长",
        hours_by_model,
        "instead of hours:KEY columns: `MODEL-A=4; MODEL-B=2`",
        required=False,
        default={},
    ),
    Column(
        "earliest", "最早开始", tables.hour, "earliest start: whole hour, Asia/Shanghai unless an offset is written"
    ),
    Column("deadline", "最晚完成", tables.hour, "hour by which all work is done"),
    Column(
        "budget",
        "预算上限",
        tables.money(limits.MONEY_MAX, 1),
        "most that is paid for the whole request, transfer included",
        is_money=True,
    ),
    Column(
        "mode",
        "方式",
        tables.choice(rigid="rigid 连续", preemptible="preemptible 可中断"),
        "rigid (one unbroken run, the default) or preemptible (pieces)",
        required=False,
        default="rigid",
    ),
    Column(
        "min_piece",
        "最短分段",
        tables.whole(1, limits.HOURS_MAX),
        "shortest piece of a preemptible request in hours; 1 when empty",
        required=False,
    ),
    Column(
        "small",
        "小额",
        tables.yes_no,
        "may use the reserved share (yes/no; no when empty)",
        required=False,
        default=False,
    ),
    Column("priority", "优先级", tables.whole(0, 99), "class, 0 goes first; 0 when empty", required=False, default=0),
    Column(
        "regions",
        "可用区域",
        tables.several,
        "acceptable regions separated by `;`; any when empty",
        required=False,
        default=(),
    ),
    Column(
        "data_region",
        "数据所在区域",
        tables.words(),
        "where the data is: the transfers table says what moving it takes; nothing to move when empty",
        required=False,
    ),
    Column(
        "lead_hours",
        "传输时间",
        _lead,
        "instead of regions and data_region: hours to move the data to region KEY; empty = not acceptable",
        required=False,
        family=True,
    ),
    Column(
        "transfer_cost",
        "传输费",
        tables.money(limits.MONEY_MAX),
        "with lead_hours:KEY, paid to a carrier; nothing when empty",
        required=False,
        default=0,
        is_money=True,
        family=True,
    ),
)

TRANSFERS = (
    Column("from_region", "起点区域", tables.words(), "region where the data is"),
    Column(
        "to_region", "终点区域", tables.words(), "region where it is needed; a pair that is not listed has no route"
    ),
    Column("lead_hours", "传输时间", _lead, "hours that moving the data takes"),
    Column("cost", "传输费", tables.money(limits.MONEY_MAX), "paid to a carrier for one request", is_money=True),
)

TABLES: dict[str, tuple[Column, ...]] = {"deposits": DEPOSITS, "requests": REQUESTS, "transfers": TRANSFERS}
_NO_TRANSFERS = Text("transfers", tuple(column.shown() for column in TRANSFERS), (), ((),) * len(TRANSFERS))


# --- tables to a problem ------------------------------------------------------------------------------------------


def from_frames(
    deposits: pl.DataFrame,
    requests: pl.DataFrame,
    transfers: pl.DataFrame | None = None,
    *,
    models: Sequence[str] = (),
) -> Problem:
    """The problem in three frames with the columns of DEPOSITS, REQUESTS and TRANSFERS.

    models: card models that exist though nobody deposits them in this round; any other model is a fault.
    Raises BadTable with every fault of every row (rows numbered from 0).
    """
    frames = {"deposits": deposits, "requests": requests, "transfers": transfers}
    texts = {name: tables.of_frame(name, frame) for name, frame in frames.items() if frame is not None}
    return from_texts(texts["deposits"], texts["requests"], texts.get("transfers"), models=models)


def from_texts(deposits: Text, requests: Text, transfers: Text | None = None, *, models: Sequence[str] = ()) -> Problem:
    """The problem in tables of text, as `tables.read` gives them; otherwise like `from_frames`."""
    faults: list[Fault] = []
    parsed: dict[str, Parsed] = {}
    for text in (deposits, requests, transfers or _NO_TRANSFERS):
        try:
            parsed[text.table] = tables.parse(text, TABLES[text.table])
        except BadTable as bad:
            faults += bad.faults
    if faults:
        raise BadTable(faults)
    supply, faults = _supply(parsed["deposits"], models)
    if not faults:
        routes, more = _routes(parsed["transfers"])
        demand, most = _demand(parsed["requests"], supply, routes)
        faults = more + most
    if faults:
        raise BadTable(faults)
    return Problem(**supply.columns, **demand)


@dataclass(frozen=True)
class _Supply:
    """Problem columns of pools and deposits."""

    columns: dict[str, Any]

    @property
    def start(self) -> int:
        return int(self.columns["horizon_start"])

    @property
    def hours(self) -> int:
        return int(self.columns["hours"])


Routes = dict[tuple[str, str], tuple[int, int]]
"""(from region, to region) to (lead hours, cost in 1/1000 fen)."""


def _fault(table: str, row: int | None, field: str, value: Any, rule: str, **params: Any) -> Fault:
    return Fault(table, row, field, str(value), rule, params)


def _supply(parsed: Parsed, models: Sequence[str]) -> tuple[_Supply, list[Fault]]:
    """Pools and deposits in order of name and of first appearance; faults when rows contradict one another."""
    values, numbers = parsed.values, parsed.numbers
    faults = [*_deposit_faults(parsed), *_overlap_faults(parsed)]
    if not numbers:
        faults.append(_fault("deposits", None, "rows", 0, "at_least", minimum=1))
    if faults:
        return _Supply({}), faults
    start, end = min(values["start"]), max(values["end"])
    names = {name: tuple(sorted(set(values[name]))) for name in ("site", "region")}
    names["model"] = tuple(sorted({*values["model"], *models}))
    pairs = sorted(set(zip(values["site"], values["model"], strict=True)))
    region_of = dict(zip(values["site"], values["region"], strict=True))
    deposits = {name: number for number, name in enumerate(dict.fromkeys(values["deposit"]))}
    pool_of = {pair: pool for pool, pair in enumerate(pairs)}
    columns: dict[str, Any] = {
        "horizon_start": start,
        "hours": end - start,
        "sites": names["site"],
        "models": names["model"],
        "regions": names["region"],
        "pool_site": np.array([names["site"].index(site) for site, _ in pairs], np.int32),
        "pool_model": np.array([names["model"].index(model) for _, model in pairs], np.int32),
        "pool_region": np.array([names["region"].index(region_of[site]) for site, _ in pairs], np.int32),
        "deposit_id": tuple(deposits),
        "deposit_pool": np.zeros(len(deposits), np.int32),
        "deposit_order": np.zeros(len(deposits), np.int64),
        "deposit_cards": np.zeros((len(deposits), end - start), np.int32),
        "deposit_reserve": np.zeros((len(deposits), end - start), np.int64),
    }
    for row in range(len(numbers)):
        deposit = deposits[values["deposit"][row]]
        hours = slice(values["start"][row] - start, values["end"][row] - start)
        columns["deposit_pool"][deposit] = pool_of[values["site"][row], values["model"][row]]
        columns["deposit_order"][deposit] = deposit if values["order"][row] is None else values["order"][row]
        columns["deposit_cards"][deposit, hours] = values["cards"][row]
        columns["deposit_reserve"][deposit, hours] = values["reserve_price"][row]
    return _Supply(columns), []


def _deposit_faults(parsed: Parsed) -> Iterator[Fault]:
    """Windows, the horizon, and what must be the same in all rows of a deposit or a site."""
    values, horizon_start = parsed.values, min(parsed.values["start"], default=0)
    same = (("deposit", "site"), ("deposit", "model"), ("deposit", "order"), ("site", "region"))
    first: dict[tuple[str, str, str], tuple[Any, int]] = {}
    for row, number in enumerate(parsed.numbers):
        start, end = values["start"][row], values["end"][row]
        if end <= start:
            yield _fault("deposits", number, "end", local(end), "after", start=local(start))
        elif end - horizon_start > limits.HOURS_MAX:
            limit = {"horizon_start": local(horizon_start), "hours_at_most": limits.HOURS_MAX}
            yield _fault("deposits", number, "end", local(end), "in_horizon", **limit)
        for owner, name in same:
            key, value = (owner, values[owner][row], name), values[name][row]
            stated, where = first.setdefault(key, (value, number))
            if stated != value:
                yield _fault("deposits", number, name, value, f"same_for_{owner}", stated=stated, in_row=where)
    longest = max((end - horizon_start for end in values["end"]), default=0)
    cells = len(set(values["deposit"])) * longest
    if cells > DEPOSIT_CELLS_MAX and longest <= limits.HOURS_MAX:
        yield _fault("deposits", None, "deposits × hours", cells, "at_most", maximum=DEPOSIT_CELLS_MAX)


def _overlap_faults(parsed: Parsed) -> Iterator[Fault]:
    """Rows of one deposit may not say two things about one hour."""
    values = parsed.values
    order = sorted(range(len(parsed.numbers)), key=lambda row: (values["deposit"][row], values["start"][row], row))
    for before, row in zip(order, order[1:], strict=False):
        if values["deposit"][before] == values["deposit"][row] and values["end"][before] > values["start"][row]:
            start = local(values["start"][row])
            yield _fault("deposits", parsed.numbers[row], "start", start, "no_overlap", in_row=parsed.numbers[before])


def _routes(parsed: Parsed) -> tuple[Routes, list[Fault]]:
    routes: Routes = {}
    faults = []
    values = parsed.values
    for row, number in enumerate(parsed.numbers):
        pair = (values["from_region"][row], values["to_region"][row])
        if pair in routes:
            faults.append(_fault("transfers", number, "from_region, to_region", " ".join(pair), "once"))
        routes[pair] = (values["lead_hours"][row], values["cost"][row])
    return routes, faults


def _demand(parsed: Parsed, supply: _Supply, routes: Routes) -> tuple[dict[str, Any], list[Fault]]:
    """Problem columns of the requests."""
    values, numbers = parsed.values, parsed.numbers
    faults: list[Fault] = []
    hours = _run_hours(parsed, supply.columns["models"], faults)
    lead, cost = _reach(parsed, supply.columns["regions"], routes, faults)
    earliest, deadline = _windows(parsed, supply, faults)
    preemptible = np.array([mode == "preemptible" for mode in values["mode"]], np.bool_)
    piece = np.array([piece or 1 for piece in values["min_piece"]], np.int32) * preemptible
    seen: dict[str, int] = {}
    for row, number in enumerate(numbers):
        first = seen.setdefault(values["request"][row], number)
        if first != number:
            faults.append(_fault("requests", number, "request", values["request"][row], "once", in_row=first))
        if values["min_piece"][row] and not preemptible[row]:
            faults.append(_fault("requests", number, "min_piece", values["min_piece"][row], "only_preemptible"))
    return {
        "request_id": tuple(values["request"]),
        "cards": np.array(values["cards"], np.int32),
        "run_hours": hours,
        "earliest": earliest,
        "deadline": deadline,
        "budget": np.array(values["budget"], np.int64),
        "preemptible": preemptible,
        "min_piece": piece.astype(np.int32),
        "small": np.array(values["small"], np.bool_),
        "priority": np.array(values["priority"], np.int32),
        "lead_hours": lead,
        "transfer_cost": cost,
    }, faults


def _run_hours(parsed: Parsed, models: Sequence[str], faults: list[Fault]) -> npt.NDArray[np.int32]:
    """Hours on each model, int32[n, M], from hours:KEY columns or the hours column."""
    index = {model: position for position, model in enumerate(models)}
    table = np.zeros((len(parsed.numbers), len(models)), np.int32)
    for model, column in parsed.families["hours"].items():
        if model not in index:
            params = {"known": ", ".join(models)}
            faults.append(_fault("requests", None, "header", f"hours:{model}", "known_model", **params))
            continue
        table[:, index[model]] = [hours or 0 for hours in column]
    for row, pairs in enumerate(parsed.values["hours"]):
        for model, hours in pairs.items():
            if model not in index:
                params = {"known": ", ".join(models)}
                faults.append(_fault("requests", parsed.numbers[row], "hours", model, "known_model", **params))
            else:
                table[row, index[model]] = hours
    for row in np.flatnonzero(~table.any(1)).tolist():
        if not parsed.values["hours"][row]:
            faults.append(_fault("requests", parsed.numbers[row], "hours", "", "at_least_one_model"))
    return table


def _windows(
    parsed: Parsed, supply: _Supply, faults: list[Fault]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Windows as offsets, cut to the horizon; a window without a single hour of it is a fault."""
    horizon = {"horizon_start": local(supply.start), "horizon_end": local(supply.start + supply.hours)}
    earliest = np.array(parsed.values["earliest"], np.int64) - supply.start
    deadline = np.array(parsed.values["deadline"], np.int64) - supply.start
    for row in np.flatnonzero((earliest >= deadline) | (earliest >= supply.hours) | (deadline <= 0)).tolist():
        early, late = local(parsed.values["earliest"][row]), local(parsed.values["deadline"][row])
        if earliest[row] >= deadline[row]:
            faults.append(_fault("requests", parsed.numbers[row], "deadline", late, "after", earliest=early))
        else:
            name, value = ("deadline", late) if deadline[row] <= 0 else ("earliest", early)
            faults.append(_fault("requests", parsed.numbers[row], name, value, "in_horizon", **horizon))
    return earliest.clip(0).astype(np.int32), deadline.clip(max=supply.hours).astype(np.int32)


def _reach(
    parsed: Parsed, regions: Sequence[str], routes: Routes, faults: list[Fault]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Lead time (-1 = not acceptable) and transfer cost of each request to each region, both [n, R]."""
    families = parsed.families
    if families["lead_hours"] or families["transfer_cost"]:
        return _stated_reach(parsed, regions, faults)
    known = {*regions, *(region for pair in routes for region in pair)}
    lead = np.full((len(parsed.numbers), len(regions)), -1, np.int32)
    cost = np.zeros((len(parsed.numbers), len(regions)), np.int64)
    for row, number in enumerate(parsed.numbers):
        accepted, home = parsed.values["regions"][row], parsed.values["data_region"][row]
        for name, stated in (("regions", accepted), ("data_region", (home,) if home else ())):
            for region in set(stated) - known:
                params = {"known": ", ".join(sorted(known))}
                faults.append(_fault("requests", number, name, region, "known_region", **params))
        for position, region in enumerate(regions):
            route = routes.get((home, region), (0, 0) if home in (None, region) else None)
            if route is not None and (not accepted or region in accepted):
                lead[row, position], cost[row, position] = route
    return lead, cost


def _stated_reach(
    parsed: Parsed, regions: Sequence[str], faults: list[Fault]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The same from lead_hours:KEY and transfer_cost:KEY columns."""
    lead = np.full((len(parsed.numbers), len(regions)), -1, np.int32)
    cost = np.zeros((len(parsed.numbers), len(regions)), np.int64)
    index = {region: position for position, region in enumerate(regions)}
    for name, target in (("lead_hours", lead), ("transfer_cost", cost)):
        for region, column in parsed.families[name].items():
            if region not in index:
                params = {"known": ", ".join(regions)}
                faults.append(_fault("requests", None, "header", f"{name}:{region}", "known_region", **params))
                continue
            empty = -1 if name == "lead_hours" else 0
            target[:, index[region]] = [empty if value is None else value for value in column]
    for name in ("regions", "data_region"):
        for row, value in enumerate(parsed.values[name]):
            if value:
                faults.append(_fault("requests", parsed.numbers[row], name, value, "not_with_lead_hours"))
    for unreached, to in np.argwhere((lead < 0) & (cost > 0)).tolist():
        header, value = f"transfer_cost:{regions[to]}", cost[unreached, to]
        faults.append(_fault("requests", parsed.numbers[unreached], header, value, "needs_lead_hours"))
    return lead, cost


# --- a problem to tables ------------------------------------------------------------------------------------------


def to_frames(problem: Problem) -> dict[str, pl.DataFrame]:
    """Frames `deposits` and `requests` from which `from_frames` makes the same problem, amounts in 1/1000 fen.

    The horizon is what the deposits span, so a problem whose first or last hour nobody offers comes back shorter.
    """
    return {"deposits": _deposit_frame(problem), "requests": _request_frame(problem)}


def _deposit_frame(problem: Problem) -> pl.DataFrame:
    """One row for each stretch of hours in which cards and reserve price do not change."""
    rows: dict[str, list[Any]] = {column.name: [] for column in DEPOSITS}
    for deposit, name in enumerate(problem.deposit_id):
        cards, reserve = problem.deposit_cards[deposit], problem.deposit_reserve[deposit]
        changes = np.flatnonzero((np.diff(cards) != 0) | (np.diff(reserve) != 0)) + 1
        edges = [0, *changes.tolist(), problem.hours]
        pool = problem.deposit_pool[deposit]
        place = (
            problem.sites[problem.pool_site[pool]],
            problem.models[problem.pool_model[pool]],
            problem.regions[problem.pool_region[pool]],
        )
        for start, end in zip(edges, edges[1:], strict=False):
            if cards[start]:
                span = (local(problem.horizon_start + start), local(problem.horizon_start + end))
                amounts = (int(cards[start]), int(reserve[start]), int(problem.deposit_order[deposit]))
                for column, value in zip(rows.values(), (name, *place, *span, *amounts), strict=True):
                    column.append(value)
    return pl.DataFrame(rows, strict=False).rename({"reserve_price": "reserve_price_millifen"})


def _request_frame(problem: Problem) -> pl.DataFrame:
    frame: dict[str, Any] = {"request": problem.request_id, "cards": problem.cards}
    for model, name in enumerate(problem.models):
        hours = problem.run_hours[:, model]
        frame[f"hours:{name}"] = [int(value) or None for value in hours]
    frame["earliest"] = [local(problem.horizon_start + int(hour)) for hour in problem.earliest]
    frame["deadline"] = [local(problem.horizon_start + int(hour)) for hour in problem.deadline]
    frame["budget_millifen"] = problem.budget
    frame["mode"] = ["preemptible" if flag else "rigid" for flag in problem.preemptible]
    frame["min_piece"] = [int(value) or None for value in problem.min_piece]
    frame["small"] = problem.small
    frame["priority"] = problem.priority
    for region, name in enumerate(problem.regions):
        reachable = (problem.lead_hours[:, region] >= 0).tolist()
        for header, column in (("lead_hours", problem.lead_hours), ("transfer_cost_millifen", problem.transfer_cost)):
            values = column[:, region].tolist()
            frame[f"{header}:{name}"] = [value if ok else None for value, ok in zip(values, reachable, strict=True)]
    schema = {name: pl.Int64 for name in frame if name.startswith(("hours:", "lead_hours:", "transfer_cost"))}
    return pl.DataFrame(frame, schema_overrides={**schema, "min_piece": pl.Int64})


def local(hour: int) -> str:
    """Hours since the epoch as Asia/Shanghai time, `2026-12-07T08:00`."""
    moment = datetime.fromtimestamp(0, UTC) + timedelta(hours=hour)
    return moment.astimezone(tables.SHANGHAI).strftime("%Y-%m-%dT%H:%M")
