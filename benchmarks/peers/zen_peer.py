"""zen-engine: the policy as one expression node; a missing field is an error, so missing facts are read as 0.

    python zen_peer.py FIRMS.parquet RUNS ANSWERS.parquet
"""

import json
import statistics
import sys
import time

import polars as pl
import zen

MET = (
    'startsWith(division, "3301") and not (startsWith(industry, "70") or startsWith(industry, "51"))'
    " and founded <= 20250601 and staff <= 300 and revenue >= 200000000 and rd * 100 >= revenue * 3"
    " and liabilities * 100 <= assets * 80 and not abnormal and not dishonest and held and until >= 20260601"
)
SHARE = "floor(contracts * (contracts <= 50000000 ? 5000 : 3000) / 10000)"
AMOUNT = f"min([{SHARE}, max([800000000 - used, 0])])"
GRAPH = {
    "contentType": "application/vnd.gorules.decision",
    "nodes": [
        {"id": "in", "name": "in", "type": "inputNode"},
        {"id": "rule", "name": "rule", "type": "expressionNode", "content": {"expressions": [
            {"id": "1", "key": "met", "value": MET}, {"id": "2", "key": "fen", "value": AMOUNT},
        ]}},
        {"id": "out", "name": "out", "type": "outputNode"},
    ],
    "edges": [
        {"id": "a", "type": "edge", "sourceId": "in", "targetId": "rule"},
        {"id": "b", "type": "edge", "sourceId": "rule", "targetId": "out"},
    ],
}  # fmt: skip
NAMES = {
    "staff@2025": "staff", "revenue@2025": "revenue", "rd@2025": "rd", "liabilities@2025": "liabilities",
    "assets@2025": "assets", "tech-sme": "held", "tech-sme.until": "until", "compute.contracts@2026": "contracts",
    "subsidy.compute@2026": "used",
}  # fmt: skip


def timed(call, runs):
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), answer


def main(path: str, runs: int, answers: str) -> None:
    frame = pl.read_parquet(path).rename(NAMES)
    days = [pl.col(name).dt.strftime("%Y%m%d").cast(pl.Int64) for name in ("founded", "until")]
    frame = frame.with_columns(days).with_columns(
        pl.col("founded").fill_null(99_999_999), pl.col("until").fill_null(0),
        pl.col(pl.Int64).exclude("founded", "until").fill_null(0), pl.col(pl.Boolean).fill_null(False),
        pl.col(pl.String).fill_null(""),
    )  # fmt: skip
    rows = frame.to_dicts()
    engine = zen.ZenEngine({"loader": {"type": "static", "content": {"policy": GRAPH}}})
    decision = engine.create_decision(json.dumps(GRAPH))
    requests = [{"key": "policy", "context": row} for row in rows]
    few = rows[: max(len(rows) // 20, 1)]
    batch, results = timed(lambda: engine.evaluate_batch(requests), 1)
    single, _ = timed(lambda: [engine.evaluate("policy", row) for row in few], runs)
    slow, _ = timed(lambda: [decision.evaluate(row) for row in few[:2_000]], runs)
    found = [result["data"]["result"] for result in results]
    said = {"met": [row["met"] for row in found], "fen": [int(row["fen"]) for row in found]}
    pl.DataFrame(said).write_parquet(answers)
    print(json.dumps({
        "batch": len(rows) / batch, "single": len(few) / single, "decision": len(few[:2_000]) / slow,
    }))  # fmt: skip


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
