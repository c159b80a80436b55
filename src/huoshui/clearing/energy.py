"""A data centre's cheapest day: when to make cold, when to use it, when to run what can wait.

The idea: electricity is dear by day and cheap by night, IT load is mostly given, but cold can be stored and some load
can be moved. That is a linear program. Its dual prices prove how good the plan is and say what one more kilowatt-hour
of IT load would cost in each step: the price that deferrable jobs should see.

Per step t (all power is the mean over the step, in whole watts; energy stored is in watt-steps, W x step):

    import_t >= it_t + moved_t + other_t - pv_t + 1000 (it_t + moved_t - discharge_t) / cop_milli_t     power
    peak     >= import_t                                                                                 peak
    stock_t+1 <= keep stock_t - discharge_t                 keep = 1 - loss per hour x hours of a step    store
    0 <= it_t + moved_t - discharge_t <= chiller            what the chillers must make                   chiller
    sum of moved_t over a window = sum of movable_t over it                                               window

minimise sum price_t import_t + demand_price peak. A negative discharge charges the tank. PV beyond the load is not paid
for; cold may be thrown away. The chillers' part load, start-up and ramps are not modelled.

The plan is whole watts: the solver's limits are kept with MARGIN_W to spare, the solution is rounded so that every
constraint holds exactly. `verify` shares nothing with the solver: it checks the constraints in integers and evaluates
the Lagrangian of the stated multipliers over the box of the variables, which is a lower bound whatever the multipliers
are. Prices are 1/1000 fen per kWh, the result's sums are fen, rounded up.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import highspy
import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

STEPS_MAX = 2976
"""A month of quarter-hours."""
POWER_MAX_W = 10**9
PRICE_MAX = 10**6
DEMAND_PRICE_MAX = 10**8
COP_MILLI_MIN, COP_MILLI_MAX = 500, 30_000
TANK_MAX_WH = 10**10
RATE_MIN_W = 1000
"""Slowest charge or discharge of a tank."""
BPS = 10_000
MARGIN_W = 4
MULTIPLIER = 10**9
"""Multipliers are stated in 1/MULTIPLIER of their unit."""
STEPS_OF_MINUTES = (15, 30, 60)
_YUAN = 100_000
_SNAP = 1e-3
"""How far from a whole watt the solver's float may be and still mean it."""


class Code(StrEnum):
    """Why a problem has no plan.

    FIELD        a value is out of its range (params: field, value, min, max)
    SHAPE        a column has another length than `it_w` (params: field)
    GRID         the load cannot be met within `grid_w`, whatever is moved or stored
    CHILLER      the cold cannot be made within `chiller_w`
    TANK_END     the tank cannot hold `tank_end_wh` at the end
    """

    FIELD = "energy_field"
    SHAPE = "energy_shape"
    GRID = "energy_grid_too_small"
    CHILLER = "energy_chiller_too_small"
    TANK_END = "energy_tank_end_out_of_reach"


class NoPlan(ValueError):
    """There is no plan; `code` and `params` say why."""

    def __init__(self, code: Code, **params: Any) -> None:
        super().__init__(f"{code} {params}" if params else str(code))
        self.code, self.params = code, params


@dataclass(frozen=True, eq=False)
class Problem:
    """One horizon of T equal steps. Columns are int64[T].

    `movable_w` is the IT load that may run at another step of the same `window` (any labels), at most `movable_max_w`
    at once; as it stands it is how the load runs today. `peak_floor_w` is a peak that is paid for anyway.
    """

    step_minutes: int
    price: Int64
    it_w: Int64
    movable_w: Int64
    window: Int64
    other_w: Int64
    pv_w: Int64
    cop_milli: Int64
    movable_max_w: int
    chiller_w: int
    grid_w: int
    tank_wh: int = 0
    charge_w: int = 0
    discharge_w: int = 0
    loss_bps: int = 0
    tank_start_wh: int = 0
    tank_end_wh: int = 0
    peak_floor_w: int = 0
    demand_price: int = 0

    def __post_init__(self) -> None:
        if self.step_minutes not in STEPS_OF_MINUTES:
            raise NoPlan(Code.FIELD, field="step_minutes", value=self.step_minutes, min=15, max=60)
        if not 1 <= len(self.it_w) <= STEPS_MAX:
            raise NoPlan(Code.FIELD, field="steps", value=len(self.it_w), min=1, max=STEPS_MAX)
        rates = (RATE_MIN_W, POWER_MAX_W) if self.tank_wh else (0, 0)
        limits = {
            "price": (0, PRICE_MAX), "cop_milli": (COP_MILLI_MIN, COP_MILLI_MAX), "movable_w": (0, self.movable_max_w),
            "window": (0, STEPS_MAX), "tank_wh": (0, TANK_MAX_WH), "loss_bps": (0, BPS),
            "tank_start_wh": (0, self.tank_wh), "tank_end_wh": (0, self.tank_wh),
            "charge_w": rates, "discharge_w": rates,
            "peak_floor_w": (0, self.grid_w), "demand_price": (0, DEMAND_PRICE_MAX),
        }  # fmt: skip
        for field in fields(self):
            value = np.asarray(getattr(self, field.name))
            if field.type == "Int64" and value.shape != self.it_w.shape:
                raise NoPlan(Code.SHAPE, field=field.name)
            low, high = limits.get(field.name, (0, POWER_MAX_W))
            if value.min() < low or value.max() > high:
                wrong = int(value.min()) if value.min() < low else int(value.max())
                raise NoPlan(Code.FIELD, field=field.name, value=wrong, min=low, max=high)

    @property
    def steps(self) -> int:
        return len(self.it_w)

    @property
    def per_hour(self) -> int:
        """Steps of an hour."""
        return 60 // self.step_minutes

    @property
    def keep(self) -> tuple[int, int]:
        """What is left of a stored watt-step after one step, as numerator and denominator."""
        whole = BPS * self.per_hour
        return whole - self.loss_bps, whole

    def digest(self) -> str:
        """SHA-256 over every field, integers little-endian, in the order of the fields."""
        found = hashlib.sha256()
        for field in fields(self):
            found.update(field.name.encode() + np.atleast_1d(getattr(self, field.name)).astype("<i8").tobytes())
        return found.hexdigest()


@dataclass(frozen=True, eq=False)
class Multipliers:
    """Dual prices in 1/MULTIPLIER: int64[T] each, `window` one for each label of the windows in ascending order.

    power, peak, store are zero or more; `chiller` is above zero where the chillers are at their limit, below where they
    stand; `window` may have either sign.
    """

    power: Int64
    peak: Int64
    store: Int64
    chiller: Int64
    window: Int64


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do, what it costs, and why it cannot be much cheaper.

    import_w, moved_w, discharge_w, stock (after each step, in watt-steps): int64[T]. `energy_price` int64[T]: what one
    more kWh of IT load would cost in each step, its cooling and its part in the peak included (1/1000 fen).
    `bound_fen`: no plan costs less. `now_*`: the same load as it runs today without storage.
    """

    import_w: Int64
    moved_w: Int64
    discharge_w: Int64
    stock: Int64
    peak_w: int
    cost_fen: int
    bound_fen: int
    now_import_w: Int64
    now_cost_fen: int
    energy_price: Int64
    multipliers: Multipliers

    @property
    def gap_fen(self) -> int:
        return self.cost_fen - self.bound_fen

    @property
    def saved_fen(self) -> int:
        return self.now_cost_fen - self.cost_fen


def clear(problem: Problem) -> Plan:
    """The cheapest plan. Raises NoPlan."""
    solved = _solve(problem)
    if solved is None:
        raise NoPlan(_why(problem))
    values, duals = solved
    moved = _whole_moved(problem, values[3 * problem.steps + 1 :])
    discharge, stock = _whole_store(problem, moved, values)
    imported = import_of(problem, moved, discharge)
    peak = max(int(imported.max()), problem.peak_floor_w)
    multipliers = _multipliers(problem, duals)
    now = import_of(problem, problem.movable_w, np.zeros_like(moved))
    return Plan(
        imported, moved, discharge, stock, peak,
        cost_fen=cost_of(problem, imported, peak),
        bound_fen=bound_of(problem, multipliers),
        now_import_w=now,
        now_cost_fen=cost_of(problem, now, max(int(now.max()), problem.peak_floor_w)),
        energy_price=price_of(problem, multipliers),
        multipliers=multipliers,
    )  # fmt: skip


# --- what the plan and its verifier both mean by cost -----------------------------------------------------------------


def import_of(problem: Problem, moved: Int64, discharge: Int64) -> Int64:
    """Watts from the grid in each step, rounded up (int64[T])."""
    load = problem.it_w + moved
    net = problem.cop_milli * (load + problem.other_w - problem.pv_w) + 1000 * (load - discharge)
    return np.maximum(-(-net // problem.cop_milli), 0)


def cost_of(problem: Problem, imported: Int64, peak_w: int) -> int:
    """Energy and demand charge of the horizon in fen, rounded up."""
    units = sum(price * watts for price, watts in zip(problem.price.tolist(), imported.tolist(), strict=True))
    units += problem.demand_price * problem.per_hour * peak_w
    return -(-units // (problem.per_hour * 10**6))


def price_of(problem: Problem, multipliers: Multipliers) -> Int64:
    """What one more kWh of IT load costs in each step (1/1000 fen, rounded, never below zero)."""
    exact = (problem.cop_milli + 1000).astype(object) * multipliers.power + multipliers.chiller
    return np.maximum((2 * exact + MULTIPLIER) // (2 * MULTIPLIER), 0).astype(np.int64)


def bound_of(problem: Problem, multipliers: Multipliers) -> int:
    """The Lagrangian bound in fen, rounded up: exact integers, valid for any multipliers of the right sign."""
    power, peak, store, chiller = (
        column.astype(object) for column in
        (multipliers.power, multipliers.peak, multipliers.store, multipliers.chiller)
    )  # fmt: skip
    cop, heat = problem.cop_milli, problem.it_w
    keep, whole = problem.keep
    labels, member = np.unique(problem.window, return_inverse=True)
    window = multipliers.window.astype(object)
    moved = np.zeros(len(labels), np.int64)
    np.add.at(moved, member, problem.movable_w)

    high, low = np.maximum(chiller, 0), np.maximum(-chiller, 0)
    units = (power * (cop * (heat + problem.other_w - problem.pv_w) + 1000 * heat)).sum()
    units += (high * (heat - problem.chiller_w) - low * heat).sum() + (window * moved).sum()
    units -= keep * store[0] * problem.tank_start_wh * problem.per_hour
    after = np.append(store[1:], 0)
    tank = problem.tank_wh * problem.per_hour
    floor = np.zeros(problem.steps, np.int64)
    floor[-1] = problem.tank_end_wh * problem.per_hour
    units += _least(problem.price * MULTIPLIER - cop * power + peak, 0, problem.grid_w)
    units += _least(
        np.array([problem.demand_price * problem.per_hour * MULTIPLIER - peak.sum()], object),
        problem.peak_floor_w, problem.grid_w,
    )  # fmt: skip
    units += _least(-1000 * power + whole * store - chiller, -problem.charge_w, problem.discharge_w)
    units += _least(whole * store - keep * after, floor, tank)
    units += _least((cop + 1000) * power + chiller - window[member], 0, problem.movable_max_w)
    return -int(-units // (problem.per_hour * 10**6 * MULTIPLIER))


def _least(reduced: npt.NDArray[Any], low: Any, high: Any) -> int:
    """The least of `reduced` times a variable in [low, high], summed."""
    return int(np.where(reduced > 0, reduced * low, reduced * high).sum())


# --- solving ----------------------------------------------------------------------------------------------------------


def _solve(problem: Problem) -> tuple[Float, Float] | None:
    """Values and row duals of the linear program in kW and yuan; None when it is infeasible."""
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.setOptionValue("threads", 1)
    highs.passModel(_model(problem))
    highs.run()
    status = highs.getModelStatus()
    if status == highspy.HighsModelStatus.kOptimal:
        solution = highs.getSolution()
        return np.array(solution.col_value), np.array(solution.row_dual)
    if status in (highspy.HighsModelStatus.kInfeasible, highspy.HighsModelStatus.kUnboundedOrInfeasible):
        return None
    raise RuntimeError(f"HiGHS ended with {status}")  # bounded and linear: nothing else can be true of it


def _model(problem: Problem) -> highspy.HighsLp:
    """Columns: import[T], peak, discharge[T], stock after each step[T], moved[T]. Rows: power, peak, store, chiller
    (T each), then a row for each window."""
    steps, per_hour = problem.steps, problem.per_hour
    each = np.arange(steps)
    imports, peak = each, np.full(steps, steps)
    discharge, stock, moved = (part * steps + 1 + each for part in (1, 2, 3))
    labels, member = np.unique(problem.window, return_inverse=True)
    per_cop = 1000 / problem.cop_milli
    keep = problem.keep[0] / problem.keep[1]
    one = np.ones(steps)
    entries = [  # (row, column, value)
        (each, imports, one), (each, discharge, per_cop), (each, moved, -1 - per_cop),
        (steps + each, peak, one), (steps + each, imports, -one),
        (2 * steps + each, stock, one), (2 * steps + each[1:], stock[:-1], -keep * one[1:]),
        (2 * steps + each, discharge, one),
        (3 * steps + each, moved, one), (3 * steps + each, discharge, -one),
        (4 * steps + member, moved, one),
    ]  # fmt: skip
    rows, columns, values = (np.concatenate([entry[part] for entry in entries]) for part in range(3))
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]

    heat, infinite = _kilowatts(problem.it_w), np.full(steps, np.inf)
    rounded = MARGIN_W / 1000 if problem.tank_wh or problem.movable_max_w else 0.0
    energy = np.zeros(len(labels))
    np.add.at(energy, member, _kilowatts(problem.movable_w))
    held = np.zeros(steps)
    held[0] = keep * _kilowatts(problem.tank_start_wh * per_hour)
    tank_low = np.zeros(steps)
    tank_low[-1] = _kilowatts(problem.tank_end_wh * per_hour)
    need = _kilowatts(problem.it_w + problem.other_w - problem.pv_w) + heat * per_cop

    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = 4 * steps + 1, 4 * steps + len(labels)
    price = problem.price / (_YUAN * per_hour)
    lp.col_cost_ = np.concatenate([price, [problem.demand_price / _YUAN], np.zeros(3 * steps)])
    grid = max(_kilowatts(problem.grid_w) - rounded, 0)
    floor = min(_kilowatts(problem.peak_floor_w), grid)
    charge, use = (max(_kilowatts(power) - rounded, 0) for power in (problem.charge_w, problem.discharge_w))
    lp.col_lower_ = np.concatenate([np.zeros(steps), [floor], np.full(steps, -charge), tank_low, np.zeros(steps)])
    lp.col_upper_ = np.concatenate([
        np.full(steps, grid), [grid], np.full(steps, use), np.full(steps, _kilowatts(problem.tank_wh * per_hour)),
        np.full(steps, _kilowatts(problem.movable_max_w)),
    ])  # fmt: skip
    lp.row_lower_ = np.concatenate([need, np.zeros(steps), -infinite, -heat, energy])
    lp.row_upper_ = np.concatenate([infinite, infinite, held, _kilowatts(problem.chiller_w) - rounded - heat, energy])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_ = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=lp.num_row_))])
    lp.a_matrix_.index_, lp.a_matrix_.value_ = columns, values
    return lp


def _kilowatts(watts: npt.ArrayLike) -> Any:
    return np.asarray(watts, np.float64) / 1000


def _why(problem: Problem) -> Code:
    """Which limit leaves no plan: the first whose lifting gives one."""
    wide = replace(problem, grid_w=POWER_MAX_W)
    if _solve(wide) is not None:
        return Code.GRID
    return Code.CHILLER if _solve(replace(wide, chiller_w=POWER_MAX_W)) is not None else Code.TANK_END


def _whole_moved(problem: Problem, kilowatts: Float) -> Int64:
    """Whole watts with the exact sum of each window: floors, then the largest remainders."""
    exact = kilowatts * 1000
    whole = np.clip(np.floor(exact + _SNAP).astype(np.int64), 0, problem.movable_max_w)
    for label in np.unique(problem.window):
        here = np.flatnonzero(problem.window == label)
        short = int(problem.movable_w[here].sum() - whole[here].sum())
        free = here[whole[here] < problem.movable_max_w]
        whole[free[np.argsort(whole[free] - exact[free], kind="stable")[:short]]] += 1
    return whole


def _whole_store(problem: Problem, moved: Int64, values: Float) -> tuple[Int64, Int64]:
    """Whole watts of discharge, whole watt-steps of stock: the stock is rounded up, the discharge is what remains."""
    steps, (keep, whole) = problem.steps, problem.keep
    wanted = np.rint(values[steps + 1 : 2 * steps + 1] * 1000).astype(np.int64)
    tank = problem.tank_wh * problem.per_hour
    stock = np.clip(np.ceil(values[2 * steps + 1 : 3 * steps + 1] * 1000 - _SNAP).astype(np.int64), 0, tank)
    before = np.append(problem.tank_start_wh * problem.per_hour, stock[:-1])
    left = keep * before // whole - stock
    most = np.minimum(problem.discharge_w, problem.it_w + moved)
    return np.minimum(np.minimum(left, wanted), most), stock


def _multipliers(problem: Problem, duals: Float) -> Multipliers:
    """The solver's duals (yuan per kW and step) in units of price x watt."""
    steps = problem.steps
    unit = float(_YUAN * problem.per_hour) * MULTIPLIER
    power, peak, store, chiller = (duals[row * steps : (row + 1) * steps] * unit for row in range(4))

    def whole(column: Float) -> Int64:
        return np.rint(column).astype(np.int64)

    return Multipliers(
        np.maximum(whole(power / problem.cop_milli), 0), np.maximum(whole(peak), 0),
        np.maximum(whole(-store / problem.keep[1]), 0), whole(-chiller), whole(duals[4 * steps :] * unit),
    )  # fmt: skip


# --- proving ----------------------------------------------------------------------------------------------------------


class Breach(StrEnum):
    """What `verify` found to be false."""

    SHAPE = "shape"
    POWER = "power"
    GRID = "grid"
    PEAK = "peak"
    STORE = "store"
    TANK = "tank"
    CHILLER = "chiller"
    MOVED = "moved"
    SIGN = "sign"
    COST = "cost"
    BOUND = "bound"
    NOW = "now"
    PRICE = "price"


def verify(problem: Problem, plan: Plan) -> list[Breach]:
    """Every statement of the plan that is false, in exact integers, step by step; empty when all are true."""
    columns = (plan.import_w, plan.moved_w, plan.discharge_w, plan.stock, plan.now_import_w, plan.energy_price)
    dual = (plan.multipliers.power, plan.multipliers.peak, plan.multipliers.store, plan.multipliers.chiller)
    windows = sorted(set(problem.window.tolist()))
    if any(len(c) != problem.steps for c in columns + dual) or len(plan.multipliers.window) != len(windows):
        return [Breach.SHAPE]
    found: set[Breach] = set()

    def need(holds: bool, breach: Breach) -> None:
        if not holds:
            found.add(breach)

    (keep, whole), stock = problem.keep, problem.tank_start_wh * problem.per_hour
    todo = dict.fromkeys(windows, 0)
    spent = spent_now = 0
    for t in range(problem.steps):
        it, other, pv = int(problem.it_w[t]), int(problem.other_w[t]), int(problem.pv_w[t])
        moved, movable, out, after = (
            int(c[t]) for c in (plan.moved_w, problem.movable_w, plan.discharge_w, plan.stock)
        )
        drawn, now, cop, price = (
            int(c[t]) for c in (plan.import_w, plan.now_import_w, problem.cop_milli, problem.price)
        )
        need(cop * (drawn - it - moved - other + pv) >= 1000 * (it + moved - out), Breach.POWER)
        need(0 <= drawn <= problem.grid_w, Breach.GRID)
        need(drawn <= plan.peak_w, Breach.PEAK)
        need(whole * after <= keep * stock - whole * out, Breach.STORE)
        need(-problem.charge_w <= out <= problem.discharge_w, Breach.STORE)
        need(0 <= after <= problem.tank_wh * problem.per_hour, Breach.TANK)
        need(0 <= it + moved - out <= problem.chiller_w, Breach.CHILLER)
        need(0 <= moved <= problem.movable_max_w, Breach.MOVED)
        as_it_is = cop * (it + movable + other - pv) + 1000 * (it + movable)
        need(now == max(0, -(-as_it_is // cop)), Breach.NOW)
        todo[int(problem.window[t])] += movable - moved
        spent, spent_now, stock = spent + price * drawn, spent_now + price * now, after
    need(stock >= problem.tank_end_wh * problem.per_hour, Breach.TANK)
    need(not any(todo.values()), Breach.MOVED)
    need(problem.peak_floor_w <= plan.peak_w <= problem.grid_w, Breach.PEAK)
    fen, demand = problem.per_hour * 10**6, problem.demand_price * problem.per_hour
    need(plan.cost_fen == -(-(spent + demand * plan.peak_w) // fen), Breach.COST)
    peak_now = max(problem.peak_floor_w, *plan.now_import_w.tolist())
    need(plan.now_cost_fen == -(-(spent_now + demand * peak_now) // fen), Breach.NOW)
    need(all(int(c.min()) >= 0 for c in dual[:3]), Breach.SIGN)
    need(plan.bound_fen <= bound_of(problem, plan.multipliers), Breach.BOUND)
    need(np.array_equal(plan.energy_price, price_of(problem, plan.multipliers)), Breach.PRICE)
    return sorted(found)
