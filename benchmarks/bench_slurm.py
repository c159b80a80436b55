"""Jobs through the Slurm engine beside plain `sbatch`, on the same real cluster in the same run.

    python -m benchmarks.bench_slurm [JOBS]      # 1,000 by default; needs root and Slurm (tests/engines/slurm_cluster)

JOBS are submitted by `SlurmEngine.submit` into a reservation and as many by plain `sbatch` with the same options and
the job's command as script, in alternating blocks, so that both meet the same load. Each job writes down when its
command started. What is measured is the time from before the submission until then; the overhead is the difference of
the means. A block is small enough that no job waits for cards: waiting is Slurm's, not ours. Afterwards every job's
usage is held against sacct, asked by hand.
"""

from __future__ import annotations

import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.engines import slurm_cluster
from tests.engines.slurm_cluster import Cluster

from benchmarks.runner import median, publish, table
from huoshui.engines import JobSpec, Reservation
from huoshui.engines.slurm import SlurmEngine

BLOCK = 8
CARD = "a100"
BAR_MS = 50


def command(folder: Path) -> tuple[str, ...]:
    return ("/bin/sh", "-c", f"date +%s.%N > {shlex.quote(str(folder))}/started")


def by_engine(engine: SlurmEngine, folder: Path, reservation: str) -> float:
    """Submit one job; when it was begun (seconds since the epoch)."""
    began = time.time()
    engine.submit(
        JobSpec(
            folder.name, command(folder), folder, folder / "log", cards=1, card=CARD, seconds_max=60, tenant=0,
            memory_mib=100, reservation=reservation,
        )
    )  # fmt: skip
    return began


def by_sbatch(cluster: Cluster, folder: Path, reservation: str) -> float:
    began = time.time()
    options = {
        "job-name": folder.name, "chdir": folder, "output": folder / "log", "nodes": 1, "gres": f"gpu:{CARD}:1",
        "licenses": f"{CARD}:1", "mem": "100M", "time": 2, "reservation": reservation,
    }  # fmt: skip
    subprocess.run(
        ["sbatch", "--parsable", *(f"--{name}={value}" for name, value in options.items())],
        input=f"#!/bin/sh\n{shlex.join(command(folder))}\n", text=True, check=True, capture_output=True,
        env={"SLURM_CONF": str(cluster.conf), "PATH": "/usr/bin"},
    )  # fmt: skip
    return began


def measured(cluster: Cluster, jobs: int) -> str:
    workdir = Path(tempfile.mkdtemp(prefix="bench-slurm-"))
    engine = SlurmEngine(cluster.settings(workdir))
    now = datetime.now(UTC)
    engine.reserve(Reservation("bench", CARD, BLOCK, now, now + timedelta(hours=2)))
    waits: dict[str, list[float]] = {"engine": [], "sbatch": []}
    submits: dict[str, list[float]] = {"engine": [], "sbatch": []}
    for block in range(jobs * 2 // BLOCK):
        way = ("engine", "sbatch")[block % 2]
        begun = {}
        for number in range(BLOCK):
            folder = workdir / f"{way}-{block}-{number}"
            folder.mkdir()
            begun[folder] = (
                by_engine(engine, folder, "bench") if way == "engine" else by_sbatch(cluster, folder, "bench")
            )
            submits[way].append(time.time() - begun[folder])
        for folder, at in begun.items():
            slurm_cluster.wait_for(
                lambda folder=folder: (folder / "started").exists() and (folder / "started").read_text()
            )
            waits[way].append(float((folder / "started").read_text()) - at)
        slurm_cluster.wait_for(lambda: not cluster.run("squeue", "-h", "-t", "PD,R,CG").strip())
    names = [folder.name for folder in workdir.iterdir() if folder.name.startswith("engine-")]
    differing = differences(engine, cluster, names)
    overhead = (statistics.fmean(waits["engine"]) - statistics.fmean(waits["sbatch"])) * 1_000
    rows = [
        [way, len(waits[way]), *(f"{value * 1_000:.1f}" for value in (median(submits[way]), *spread(waits[way])))]
        for way in ("sbatch", "engine")
    ]
    return table(
        "Jobs through Slurm",
        ["way", "jobs", "submit, median ms", "until it runs, mean ms", "median ms", "p99 ms"],
        rows,
        f"Overhead a job: {overhead:.1f} ms (bar: {BAR_MS} ms).",
        f"Usage that differs from sacct: {differing} of {len(names)} jobs.",
    )


def started(folder: Path) -> float:
    """When the job's command started; 0: not yet."""
    written = (folder / "started").read_text() if (folder / "started").exists() else ""
    return float(written) if written.endswith("\n") else 0.0


def spread(values: list[float]) -> tuple[float, float, float]:
    return statistics.fmean(values), median(values), statistics.quantiles(values, n=100)[98]


def differences(engine: SlurmEngine, cluster: Cluster, names: list[str]) -> int:
    """Jobs whose usage is not elapsed × cards as sacct prints them."""
    slurm_cluster.wait_for(lambda: len(engine.usage(names)) == len(names))
    usage = engine.usage(names)
    differing = 0
    said = cluster.run("sacct", "-n", "-P", "-X", "-S", "now-1days", "-o", "jobname,elapsedraw,alloctres")
    accounts = {name: (int(elapsed), tres) for name, elapsed, tres in (line.split("|") for line in said.splitlines())}
    for name in names:
        elapsed, tres = accounts[name]
        cards = int(tres.partition(f"gres/gpu:{CARD}=")[2].partition(",")[0])
        differing += usage[name].card_seconds != elapsed * cards or usage[name].cards != cards
    return differing


def main() -> None:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000
    cluster = slurm_cluster.start(dbd=True)
    try:
        part = measured(cluster, jobs)
        print(part)
        if jobs >= 1_000:
            publish("slurm", part)
    finally:
        slurm_cluster.stop(cluster)


if __name__ == "__main__":
    main()
