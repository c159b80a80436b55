"""OpenFisca-core: the policy as variables, vectorised; a missing fact is its default, 0 or false.

    python openfisca_peer.py FIRMS.parquet RUNS ANSWERS.parquet
"""

import json
import statistics
import sys
import time

import numpy as np
import polars as pl
from openfisca_core.entities import build_entity
from openfisca_core.periods import DateUnit
from openfisca_core.simulation_builder import SimulationBuilder
from openfisca_core.taxbenefitsystems import TaxBenefitSystem
from openfisca_core.variables import Variable

PERIOD = "2026"
firm = build_entity(key="firm", plural="firms", label="firm", is_person=True)


def _input(name: str, kind: type) -> type[Variable]:
    return type(name, (Variable,), {"value_type": kind, "entity": firm, "definition_period": DateUnit.YEAR})


INPUTS = {
    "local": bool, "trade": bool, "old_enough": bool, "staff": int, "revenue": float, "rd": float, "liabilities": float,
    "assets": float, "abnormal": bool, "dishonest": bool, "innovative": bool, "contracts": float, "used": float,
}  # fmt: skip


class eligible(Variable):
    value_type, entity, definition_period = bool, firm, DateUnit.YEAR

    def formula(firms, period):  # noqa: N805
        def ask(name):
            return firms(name, period)

        return (
            ask("local") * ask("trade") * ask("old_enough") * (ask("staff") <= 300) * (ask("revenue") >= 2_000_000)
            * (ask("rd") >= ask("revenue") * 0.03) * (ask("liabilities") <= ask("assets") * 0.8)
            * np.logical_not(ask("abnormal")) * np.logical_not(ask("dishonest")) * ask("innovative")
        )  # fmt: skip


class amount(Variable):
    value_type, entity, definition_period = float, firm, DateUnit.YEAR

    def formula(firms, period):  # noqa: N805
        contracts, used = firms("contracts", period), firms("used", period)
        share = contracts * np.where(contracts <= 500_000, 0.5, 0.3)
        return np.minimum(share, np.maximum(8_000_000 - used, 0))


def inputs(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Missing facts read as 0, as OpenFisca does; amounts in yuan, dates and lists tested before (it has no dates)."""
    filled = frame.with_columns(
        pl.col(pl.Int64).fill_null(0), pl.col(pl.Boolean).fill_null(False), pl.col(pl.String).fill_null("")
    )
    old = (pl.col("founded") <= pl.date(2025, 6, 1)).fill_null(False)
    valid = pl.col("tech-sme") & (pl.col("tech-sme.until") >= pl.date(2026, 6, 1)).fill_null(False)
    listed = pl.col("industry").str.starts_with("70") | pl.col("industry").str.starts_with("51")
    return {
        name: filled.select(expression).to_series().to_numpy()
        for name, expression in {
            "local": pl.col("division").str.starts_with("3301"), "trade": ~listed, "old_enough": old,
            "staff": pl.col("staff@2025"), "revenue": pl.col("revenue@2025") / 100, "rd": pl.col("rd@2025") / 100,
            "liabilities": pl.col("liabilities@2025") / 100, "assets": pl.col("assets@2025") / 100,
            "abnormal": pl.col("abnormal"), "dishonest": pl.col("dishonest"), "innovative": valid,
            "contracts": pl.col("compute.contracts@2026") / 100, "used": pl.col("subsidy.compute@2026") / 100,
        }.items()
    }  # fmt: skip


def main(path: str, runs: int, answers: str) -> None:
    frame = pl.read_parquet(path)
    system = TaxBenefitSystem([firm])
    system.add_variables(*(_input(name, kind) for name, kind in INPUTS.items()), eligible, amount)
    calculating, loading = [], []
    for _ in range(runs):
        start = time.perf_counter()
        values = inputs(frame)
        simulation = SimulationBuilder().build_default_simulation(system, count=len(frame))
        for name, array in values.items():
            simulation.set_input(name, PERIOD, array)
        loaded = time.perf_counter()
        met, money = simulation.calculate("eligible", PERIOD), simulation.calculate("amount", PERIOD)
        loading.append(time.perf_counter() - start)
        calculating.append(time.perf_counter() - loaded)
    fen = np.rint(money.astype(np.float64) * 100).astype(np.int64)
    pl.DataFrame({"met": met, "fen": fen}).write_parquet(answers)
    print(json.dumps({"calculating": statistics.median(calculating), "loading": statistics.median(loading)}))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
