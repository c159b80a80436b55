"""A plan in figures and words: what the page, the printed document and the DOCX say alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from django.utils.translation import gettext as _

from huoshui.base import clock, docx, figures
from huoshui.base.figures import Figure
from huoshui.clearing.energy import Int64, Plan, Problem
from huoshui.energy import planning
from huoshui.energy.models import EnergyPlan

KILO = 1000
MFEN_PER_YUAN = 100_000
FIGURE_STEPS_MAX = 96
"""More steps than this are drawn as means of whole hours."""
HOURS_PER_DAY = 24
MEASURES_MAX = 40
TABLE_HOURS_MAX = 24 * 31


@dataclass(frozen=True)
class Measure:
    """Something to do from one instant to another: `kwh` of energy; for moved load less is a negative number."""

    what: str
    start: datetime
    end: datetime
    kwh: int


@dataclass(frozen=True)
class HourRow:
    """An hour of the plan: mean kilowatts, stock at its end (kWh), prices in 1/1000 fen per kWh."""

    start: datetime
    it_kw: int
    moved_kw: int
    cold_kw: int
    discharge_kw: int
    stock_kwh: int
    pv_kw: int
    import_kw: int
    now_kw: int
    tariff_mfen: int
    marginal_mfen: int


class Described:
    """One plan, read once."""

    def __init__(self, plan: EnergyPlan) -> None:
        self.row = plan
        self.problem: Problem = planning.problem(plan)
        self.plan: Plan = planning.result(plan)
        self.start = clock.instant_of(plan.start_hour)

    @cached_property
    def shift(self) -> Int64:
        """Watts of movable load that run in a step beyond what runs there today."""
        return self.plan.moved_w - self.problem.movable_w

    def _hourly(self, column: Int64) -> Int64:
        """Mean of each hour, rounded."""
        table = column.reshape(-1, self.problem.per_hour)
        return (table.sum(axis=1) + table.shape[1] // 2) // table.shape[1]

    @cached_property
    def hours(self) -> list[HourRow]:
        """The plan hour by hour."""
        plan, problem = self.plan, self.problem
        stock = plan.stock.reshape(-1, problem.per_hour)[:, -1] // problem.per_hour
        cold = problem.it_w + plan.moved_w - plan.discharge_w
        columns = [
            *(self._hourly(column) // KILO for column in (problem.it_w, plan.moved_w, cold, plan.discharge_w)),
            stock // KILO,
            *(self._hourly(column) // KILO for column in (problem.pv_w, plan.import_w, plan.now_import_w)),
            self._hourly(problem.price), self._hourly(plan.energy_price),
        ]  # fmt: skip
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [HourRow(clock.instant_of(self.row.start_hour + hour), *row) for hour, row in enumerate(rows)]

    # --- figures ------------------------------------------------------------------------------------------------------

    def _columns(self) -> tuple[list[str], int]:
        """Labels of the drawn steps and how many steps each is the mean of."""
        every = 1 if self.problem.steps <= FIGURE_STEPS_MAX else self.problem.per_hour
        step = timedelta(minutes=self.problem.step_minutes * every)
        count = self.problem.steps // every
        pattern = "%H:%M" if self.row.end_hour - self.row.start_hour <= HOURS_PER_DAY else "%m-%d %H:00"
        return [clock.local(self.start + step * at).strftime(pattern) for at in range(count)], every

    def _series(self, column: Int64, every: int, unit: int) -> list[float]:
        return [round(float(value) / unit, 2) for value in column.reshape(-1, every).mean(axis=1)]

    def power(self) -> Figure:
        """Power from the grid: under the plan and as it runs today."""
        labels, every = self._columns()
        series = {
            _("Under the plan"): self._series(self.plan.import_w, every, KILO),
            _("As it runs today"): self._series(self.plan.now_import_w, every, KILO),
        }
        return figures.lines(_("Power from the grid"), labels, series, _("kW"), step=True)

    def store(self) -> Figure:
        """What the cold store holds after each step."""
        labels, every = self._columns()
        stock = self.plan.stock // self.problem.per_hour
        series = {_("Cold in the store"): self._series(stock, every, KILO)}
        return figures.lines(_("Cold store"), labels, series, _("kWh of cold"), step=True)

    def prices(self) -> Figure:
        """The tariff and what one more kilowatt-hour of IT load costs."""
        labels, every = self._columns()
        series = {
            _("One more kWh of IT load"): self._series(self.plan.energy_price, every, MFEN_PER_YUAN),
            _("Tariff"): self._series(self.problem.price, every, MFEN_PER_YUAN),
        }
        return figures.lines(_("Price of electricity"), labels, series, _("yuan per kWh"), step=True)

    # --- words --------------------------------------------------------------------------------------------------------

    def measures(self) -> list[Measure]:
        """What to do and when, the first MEASURES_MAX of it."""
        parts = (
            (_("Charge the cold store"), np.maximum(-self.plan.discharge_w, 0)),
            (_("Use the cold store"), np.maximum(self.plan.discharge_w, 0)),
            (_("Run load that can wait"), np.maximum(self.shift, 0)),
            (_("Hold load back"), np.minimum(self.shift, 0)),
        )
        found = [one for what, column in parts for one in self._stretches(what, column)]
        return sorted(found, key=lambda one: one.start)[:MEASURES_MAX]

    def _stretches(self, what: str, column: Int64) -> Iterator[Measure]:
        """Unbroken stretches in which a column moves at least a kilowatt."""
        step = timedelta(minutes=self.problem.step_minutes)
        active = np.concatenate([[False], np.abs(column) >= KILO, [False]])
        edges = np.flatnonzero(active[1:] != active[:-1])
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            kwh = int(column[first:last].sum()) // (KILO * self.problem.per_hour)
            yield Measure(what, self.start + step * first, self.start + step * last, kwh)

    def document(self) -> list[docx.Block]:
        """The plan as a document 优化用电方案."""
        row = self.row
        period = f"{_local(self.start)} – {_local(clock.instant_of(row.end_hour))}"
        return [
            docx.Heading(_("Plan for the use of electricity"), 1),
            docx.Text(f"{row.site.operator.name} · {row.site.name} · {row.number} · {period}"),
            docx.Heading(_("What it brings")),
            docx.Table([_("Figure"), _("Yuan")], [
                [_("Cost as it runs today"), _yuan(row.now_cost_fen)],
                [_("Cost under the plan"), _yuan(row.cost_fen)], [_("Saving"), _yuan(row.saved_fen)],
            ]),
            docx.Heading(_("What to do")),
            docx.Table([_("From"), _("To"), _("Measure"), _("kWh")], [
                [_local(one.start), _local(one.end), one.what, f"{abs(one.kwh):,}"] for one in self.measures()
            ]),
            docx.Heading(_("Hour by hour")),
            docx.Text(_("Power in kW, cold in the store in kWh, prices in yuan per kWh")),
            docx.Table(
                [_("Hour"), _("IT load"), _("Load that can wait"), _("Cold made"), _("From the store"),
                 _("In the store"), "PV", _("From the grid"), _("Tariff")],
                [[_local(one.start), *(f"{value:,}" for value in (
                    one.it_kw, one.moved_kw, one.cold_kw, one.discharge_kw, one.stock_kwh, one.pv_kw, one.import_kw,
                )), f"{one.tariff_mfen / MFEN_PER_YUAN:.4f}"] for one in self.hours[:TABLE_HOURS_MAX]],
            ),
            docx.Heading(_("Basis")),
            docx.Text(
                _("No plan costs less than %(bound)s yuan. Digest of the problem %(problem)s, of the plan %(result)s.")
                % (row.digests | {"bound": _yuan(row.bound_fen)})
            ),
            docx.Text(_("Approved by: ____________    Date: ____________")),
        ]  # fmt: skip


def _local(at: datetime) -> str:
    return clock.local(at).strftime("%Y-%m-%d %H:%M")


def _yuan(fen: int) -> str:
    sign = "−" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"
