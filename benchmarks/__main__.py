"""`make bench`: the tables of README, at most 10 minutes. `make bench-full` (--full): every size, load and seed."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from benchmarks import bench_capacity, robustness, traces
from benchmarks.runner import publish


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every size, load and seed (hours)")
    parser.add_argument("--data", help="folder with the real traces")
    options = parser.parse_args()
    scale = bench_capacity.FULL if options.full else bench_capacity.BRIEF
    start = time.monotonic()
    parts = []
    for part in bench_capacity.tables(scale, traces.data_folder(options.data)):
        print(part, end="\n\n", flush=True)
        parts.append(part)
    parts.append(robustness.robustness(1_000, 3 if options.full else 1))
    print(parts[-1], end="\n\n", flush=True)
    parts.append(f"All tables: {(time.monotonic() - start) / 60:.1f} minutes.")
    publish("capacity_full" if options.full else "capacity", *parts)
    subprocess.run([sys.executable, "-m", "benchmarks.bench_server"], check=True)  # Django is set up once a process


if __name__ == "__main__":
    main()
