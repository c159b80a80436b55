"""Rules: ours, peers, a plain loop, and raw Polars without reasons, on one policy and the same firms in the same run.

    python -m benchmarks.bench_rules            # peers are installed into an environment that is thrown away after

The policy has ten criteria, a rate by case and a capped amount (`rules_policy`). Ours answers with five verdicts, the
sole blocking criterion, its margin and integer fen; the others answer yes or no and an amount. Every answer is held
against the plain loop: a firm for which a fact is missing is *unknown*, and telling it yes or no is an error that is
counted. Then all shipped packs are asked of a million firms, from Parquet to Parquet.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from benchmarks import entities, rules_policy
from benchmarks.runner import measured, median, publish, table
from huoshui import publications, rules
from huoshui.policy import bulk

PEERS = ("openfisca-core", "zen-engine", "duckdb", "polars", "numpy")
FIRMS = 1_000_000
ZEN_FIRMS = 200_000
LOOP_FIRMS = 200_000
RUNS = 9
UNKNOWN_SHARE = 0.03
PAGES = 25
VERDICTS = {"met": "met", "manual": "for a person", "unknown": "unknown", "unmet": "unmet"}


@dataclass(frozen=True)
class Answer:
    """Of one engine: firms a second, and what it said (met: true, false or null for unknown; fen)."""

    name: str
    reasons: str
    rate: float
    said: pl.DataFrame


def _timed(call: Callable[[], pl.DataFrame], runs: int) -> tuple[float, pl.DataFrame]:
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - start)
    return median(seconds), answer


def ours(path: str) -> tuple[float, pl.DataFrame]:
    """Seconds and answer of `rules.evaluate` on the firms of a file."""
    frame = pl.read_parquet(path)
    pack = rules.load(rules_policy.POLICY)
    library = rules.Library([pack])
    seconds, result = _timed(lambda: rules.evaluate(library, frame, rules_policy.ON)[pack.id], RUNS)
    return seconds, result


def raw_polars(path: str) -> tuple[float, pl.DataFrame]:
    """The same policy as one hand-written Polars expression, without reasons."""
    frame = pl.read_parquet(path)
    column = pl.col
    met = (
        column("division").str.starts_with("3301")
        & ~(column("industry").str.starts_with("70") | column("industry").str.starts_with("51"))
        & (column("founded") <= rules_policy.YEAR_AGO) & (column("staff@2025") <= 300)
        & (column("revenue@2025") >= 200_000_000) & (column("rd@2025") * 100 >= column("revenue@2025") * 3)
        & (column("liabilities@2025") * 100 <= column("assets@2025") * 80)
        & ~column("abnormal") & ~column("dishonest")
        & column("tech-sme") & (column("tech-sme.until") >= rules_policy.ON)
    )  # fmt: skip
    contracts = column("compute.contracts@2026")
    rate = pl.when(contracts <= 50_000_000).then(5_000).otherwise(3_000)
    left = (rules_policy.CAP_FEN - column("subsidy.compute@2026")).clip(lower_bound=0)
    share = contracts * rate // 10_000
    fen = pl.when(contracts.is_not_null() & left.is_not_null()).then(pl.min_horizontal(share, left))
    return _timed(lambda: frame.select(met.alias("met"), fen.alias("fen")), RUNS)


def plain_loop(path: str) -> tuple[float, pl.DataFrame]:
    """A Python loop over dictionaries."""
    rows = pl.read_parquet(path).to_dicts()
    start = time.perf_counter()
    found = [rules_policy.plain(row) for row in rows]
    seconds = time.perf_counter() - start
    verdicts, fen = zip(*found, strict=True)
    return seconds, pl.DataFrame({"verdict": verdicts, "fen": fen}, schema={"verdict": pl.UInt8, "fen": pl.Int64})


def _peer(python: Path, name: str, firms: Path, answers: Path) -> tuple[dict[str, float], pl.DataFrame]:
    script = Path(__file__).parent / "peers" / f"{name}_peer.py"
    done = subprocess.run(
        [python, script, firms, str(RUNS), answers], capture_output=True, text=True, check=True, timeout=900
    )
    return json.loads(done.stdout.splitlines()[-1]), pl.read_parquet(answers)


def _environment(folder: Path) -> tuple[Path, str]:
    """An environment with the peers; its Python and the versions it holds."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True, stderr=subprocess.DEVNULL)
    listed = json.loads(subprocess.run(
        [python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
    ).stdout)  # fmt: skip
    versions = {each["name"].lower(): each["version"] for each in listed}
    return python, ", ".join(f"{name} {versions[name]}" for name in PEERS)


def _faults(answer: Answer, truth: pl.DataFrame) -> tuple[str, str]:
    """Firms told yes or no although a fact is missing, and amounts that are wrong, each of those asked."""
    both = pl.concat([truth.head(len(answer.said)), answer.said.rename({"fen": "said"})], how="horizontal")
    wrong = both.filter(
        pl.col("met").is_null() & (pl.col("verdict") != rules_policy.UNKNOWN)
        | pl.col("met").is_not_null() & (pl.col("met") != (pl.col("verdict") == rules_policy.MET))
    )  # fmt: skip
    unknown = wrong.filter(pl.col("verdict") == rules_policy.UNKNOWN).height
    off = both.filter(pl.col("fen").is_not_null() & (pl.col("fen") != pl.col("said").fill_null(-1)))
    most = off.select((pl.col("fen") - pl.col("said")).abs().max()).item() if off.height else 0
    share = f"{off.height / max(both['fen'].count(), 1):.1%}"
    verdicts = f"{wrong.height:,} ({unknown:,} of them unknown)" if wrong.height else "0"
    return verdicts, f"{off.height:,} ({share}; at most {most:,} fen)" if off.height else "0"


def engines(folder: Path) -> str:
    """The table of one policy."""
    files = {count: folder / f"firms-{count}.parquet" for count in {FIRMS, ZEN_FIRMS, LOOP_FIRMS}}
    firms = rules_policy.firms(FIRMS, unknown=UNKNOWN_SHARE)
    for count, path in files.items():
        firms.head(count).write_parquet(path)
    python, versions = _environment(folder / "peers")
    _, truth = plain_loop(str(files[FIRMS]))
    truth = truth.select("verdict", "fen")

    def told(frame: pl.DataFrame) -> pl.DataFrame:
        met = pl.when(pl.col("verdict") != rules_policy.UNKNOWN).then(pl.col("verdict") == rules_policy.MET)
        return frame.select(met.alias("met"), pl.col("fen"))

    first = measured(ours, str(files[FIRMS]), limit_seconds=300)
    mine_seconds, mine = first.answer
    loop_seconds, loop = plain_loop(str(files[LOOP_FIRMS]))
    raw_seconds, raw = raw_polars(str(files[FIRMS]))
    fisca, fisca_said = _peer(python, "openfisca", files[FIRMS], folder / "openfisca.parquet")
    duck, duck_said = _peer(python, "duckdb", files[FIRMS], folder / "duckdb.parquet")
    zen, zen_said = _peer(python, "zen", files[ZEN_FIRMS], folder / "zen.parquet")
    seen = measured(ours, str(files[FIRMS]), limit_seconds=300).answer[0]
    rate = FIRMS / median([mine_seconds, seen])
    every = "verdict, counts, blocker, margin"
    answers = [
        Answer("**Huoshui**", every, rate, told(mine.select("verdict", pl.col("amount_fen").alias("fen")))),
        Answer("raw Polars, by hand", "none", FIRMS / raw_seconds, raw),
        Answer("DuckDB, SQL by hand", "none", FIRMS / duck["seconds"], duck_said),
        Answer("OpenFisca, calculating", "none", FIRMS / fisca["calculating"], fisca_said),
        Answer("OpenFisca, with its inputs", "none", FIRMS / fisca["loading"], fisca_said),
        Answer("plain Python loop", "none", LOOP_FIRMS / loop_seconds, told(loop)),
        Answer("zen evaluate", "none", zen["single"], zen_said),
        Answer("zen evaluate_batch", "none", zen["batch"], zen_said),
        Answer("zen ZenDecision.evaluate", "none", zen["decision"], zen_said),
    ]
    rows = [
        (answer.name, answer.reasons, f"{answer.rate / 1e6:.3f}", f"{rate / answer.rate:,.1f}", *_faults(answer, truth))
        for answer in answers
    ]
    return table(
        "One policy of ten criteria, a rate by case and a capped amount",
        ("engine", "reasons", "million firms a second", "Huoshui is × as fast", "wrong verdicts", "wrong amounts"),
        rows,
        f"{FIRMS:,} firms ({ZEN_FIRMS:,} for zen, {LOOP_FIRMS:,} for the loop), {UNKNOWN_SHARE:.0%} of all facts "
        f"missing; medians of {RUNS} runs, all in this run.",
        "Wrong: against the plain loop on the firms asked. OpenFisca and zen are given 0 or false for a missing "
        "fact: the one reads it so, the other raises an error. Its inputs: from the same columns, lists and dates too.",
        f"Peers: {versions}. Peak memory of ours: {first.peak_mb:,.0f} MB.",
    )


def _shipped() -> list[str]:
    return list(publications.shipped("rule_pack").values())


def _every_pack(source: str, out: str) -> dict[str, object]:
    ids = tuple(rules.load(text).id for text in _shipped())
    return bulk.evaluate_file(bulk.Job(tuple(_shipped()), ids, rules_policy.ON), source, out, lambda *_: True)


def every_pack(folder: Path) -> str:
    """All shipped packs on a million firms with every fact that they read, from Parquet to Parquet."""
    source = entities.write(folder / "entities.parquet", FIRMS)
    run = measured(_every_pack, str(source), str(folder / "out"), limit_seconds=300)
    if run.answer is None:
        raise RuntimeError(run.failure)
    packs = run.answer["packs"]
    told = {name: sum(tally["verdicts"][name] for tally in packs.values()) for name in VERDICTS}
    return table(
        f"All {len(packs)} shipped packs on {FIRMS:,} firms, from Parquet, results written",
        ("seconds", "aim", "peak memory", "aim", *VERDICTS.values()),
        [(f"{run.seconds:.1f}", "60", f"{run.peak_mb / 1000:.2f} GB", "4 GB", *(f"{n:,}" for n in told.values()))],
        "Verdict, sole blocker with margin, amount and the one missing fact for each pack and firm; start included.",
    )


def match_page(home: str) -> str:
    """Server time of the match page of one firm of the demo, all packs in force, with questions and steps."""
    os.environ |= {"HUOSHUI_HOME": home, "DJANGO_SETTINGS_MODULE": "huoshui.settings", "HUOSHUI_DATABASE": ""}
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.test import Client

    settings.ALLOWED_HOSTS = ["*"]
    call_command("migrate", verbosity=0)
    from huoshui.base import demo
    from huoshui.base.models import User
    from huoshui.registry.models import Party
    from huoshui.registry.uscc import invented

    for _step in demo.load():
        pass
    firm = Party.objects.get(uscc=invented(101))
    rows = []
    for who in ("agent1", "officer"):
        client = Client()
        client.force_login(User.objects.get(username=who))
        path = f"/policy/match/{firm.pk}/"
        assert client.get(path).status_code == 200
        seconds = [_timed(lambda c=client, p=path: c.get(p), 1)[0] for _ in range(PAGES)]
        rows.append((who, f"{median(seconds) * 1e3:.1f} ms", f"{sorted(seconds)[-2] * 1e3:.1f} ms", "50 ms"))
    return table(
        "The match page of one firm", ("signed in as", "median", "second slowest", "aim"), rows,
        f"Sign-in, facts, {len(_shipped())} packs with reasons, questions, steps, page; {PAGES} calls after one.",
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = []
        for part in (lambda: engines(folder), lambda: every_pack(folder), lambda: match_page(name)):
            parts.append(part())
            print(parts[-1], end="\n\n", flush=True)
    publish("rules", *parts)


if __name__ == "__main__":
    sys.exit(main())
