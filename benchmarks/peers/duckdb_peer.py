"""DuckDB: the policy as SQL with three-valued logic, two threads; no reasons.

    python duckdb_peer.py FIRMS.parquet RUNS ANSWERS.parquet
"""

import json
import statistics
import sys
import time

import duckdb

SQL = """
create or replace table answer as select
  division like '3301%' and not (industry like '70%' or industry like '51%') and founded <= date '2025-06-01'
  and "staff@2025" <= 300 and "revenue@2025" >= 200000000 and "rd@2025" * 100 >= "revenue@2025" * 3
  and "liabilities@2025" * 100 <= "assets@2025" * 80 and not abnormal and not dishonest
  and "tech-sme" and "tech-sme.until" >= date '2026-06-01' as met,
  least("compute.contracts@2026" * (case when "compute.contracts@2026" <= 50000000 then 5000 else 3000 end) // 10000,
        greatest(800000000 - "subsidy.compute@2026", 0)) as fen
from firms
"""


def main(path: str, runs: int, answers: str) -> None:
    connection = duckdb.connect(config={"threads": 2})
    connection.execute("create table firms as select * from read_parquet(?)", [path])
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        connection.execute(SQL)
        seconds.append(time.perf_counter() - start)
    connection.execute(f"copy answer to '{answers}' (format parquet)")
    print(json.dumps({"seconds": statistics.median(seconds)}))


main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
