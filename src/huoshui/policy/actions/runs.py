"""Match runs: started by hand or by night, evaluated in a child process, kept as Parquet, pruned.

A run is whole or it is not there: its files are written into a directory of their own and get their name only when all
are; a worker that dies begins again from nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from django.conf import settings
from django.utils.translation import gettext as _

from huoshui.base import clock, tasks
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused
from huoshui.base.models import TaskProgress
from huoshui.policy import bulk, matching
from huoshui.policy.models import Batch, MatchRun
from huoshui.policy.permissions import OUTREACH
from huoshui.registry import view
from huoshui.registry.models import PartyRole, Publication, RoleKind, on_day
from huoshui.rules import Library, Stage

RUNS_KEPT_MAX = 30
"""Of older runs only the sums stay."""


def folder(run: MatchRun) -> Path:
    """Where a run's rows lie."""
    return Path(settings.HOME) / "policy" / "runs" / str(run.pk)


@action("policy.run.start")
def start(act: Act, *, on: date | None = None) -> MatchRun:
    """Queue a run over all entities as of a day (default: today). Raises Refused while another is under way."""
    from huoshui.policy.tasks import match_all

    act.require(OUTREACH)
    _give_up_dead(act)
    shelf = matching.shelf(on or clock.today())
    if not shelf.listed:
        raise Refused(_("No rule pack is in force."), code="no_packs")
    packs = [
        {
            "id": name, "digest": shelf.pack(name).digest, "publication": key, "listed": name in shelf.listed,
            "title": shelf.pack(name).header.title, "draft": matching.is_draft(shelf.pack(name)),
        }
        for name, key in sorted(shelf.publications.items())
    ]  # fmt: skip
    run = MatchRun.objects.create(
        on=shelf.on, started_by=act.actor.principal, started_at=act.at, known_at=clock.real_now(), packs=packs
    )
    run.task = tasks.enqueue(match_all, run, run.pk)
    run.save(update_fields=["task"])
    act.record(run, {"on": run.on, "known_at": run.known_at, "packs": {pack["id"]: pack["digest"] for pack in packs}})
    return run


def _give_up_dead(act: Act) -> None:
    """A run whose worker is gone for good makes room for the next. Raises Refused when it is still alive."""
    waiting = MatchRun.objects.select_for_update().filter(state=MatchRun.State.WAITING).first()
    if waiting is None:
        return
    if waiting.task and TaskProgress.objects.filter(task=waiting.task, finished_at=None).exists():
        raise Refused(_("Run %(number)s is under way.") % {"number": waiting.number}, code="run_under_way")
    _fail(act, waiting)


def _fail(act: Act, run: MatchRun) -> None:
    run.state = MatchRun.State.FAILED
    run.save(update_fields=["state"])
    act.record(run, {"state": run.state})


@dataclass(frozen=True)
class Prepared:
    """What the child is given."""

    job: bulk.Job
    source: str
    out: str


def prepare(run: MatchRun) -> Prepared:
    """Write the facts of all entities as the run knows them; what an earlier attempt left is removed."""
    part = folder(run).with_suffix(".part")
    for leftover in (part, folder(run)):
        shutil.rmtree(leftover, ignore_errors=True)
    (part / "rows").mkdir(parents=True, mode=0o700)
    keys = {pack["publication"]: pack for pack in run.packs}
    publications = Publication.objects.filter(pk__in=keys)
    texts = {row.identifier: row.text for row in publications}
    library = Library([row.loaded() for row in publications])
    listed = tuple(pack["id"] for pack in run.packs if pack["listed"])
    facts = view.frame(None, {view.DIVISION, *library.columns(run.on, Stage.ENTITLEMENT, listed)}, run.on, run.known_at)
    entities = PartyRole.objects.filter(on_day(run.on), kind=RoleKind.ENTITY).values_list("party", flat=True)
    who = pl.DataFrame({bulk.PARTY: list(entities.distinct())}, {bulk.PARTY: pl.Int64})
    source = part / "facts.parquet"
    facts.join(who, on=bulk.PARTY, how="semi").write_parquet(source, compression="lz4", row_group_size=bulk.CHUNK_ROWS)
    return Prepared(bulk.Job(tuple(texts.values()), listed, run.on), str(source), str(part / "rows"))


def conclude(run: MatchRun) -> None:
    """Give the rows their name; the facts they came from are in the registry and not kept twice."""
    part = folder(run).with_suffix(".part")
    (part / "rows").replace(folder(run))
    shutil.rmtree(part)


def carry_out(actor: Actor, run: MatchRun, evaluate: Callable[[Prepared], dict[str, Any]]) -> MatchRun:
    """The steps of a run; `evaluate` is where the work is done: in a child (`tasks`), or `here`."""
    figures = evaluate(prepare(run))
    conclude(run)
    done: MatchRun = finish(actor, key=f"run/{run.pk}/finish", run=run, figures=figures)
    return done


def here(prepared: Prepared) -> dict[str, Any]:
    """Evaluate in this process (few entities)."""
    return bulk.evaluate_file(prepared.job, prepared.source, prepared.out, lambda *_steps, **_figures: True)


@action("policy.run.finish")
def finish(act: Act, *, run: MatchRun, figures: dict[str, Any]) -> MatchRun:
    """Store what a run found."""
    act.require(OUTREACH)
    run = MatchRun.objects.select_for_update().get(pk=run.pk)
    if run.state != MatchRun.State.WAITING:
        raise Refused(_("Run %(number)s is not under way.") % {"number": run.number}, code="run_over")
    run.state, run.finished_at = MatchRun.State.FINISHED, act.at
    run.entities, run.figures, run.files = figures["entities"], figures["packs"], figures["files"]
    run.save(update_fields=["state", "finished_at", "entities", "figures", "files"])
    act.record(run, {"entities": run.entities, "figures": run.figures, "files": run.files})
    return run


@action("policy.run.fail")
def fail(act: Act, *, run: MatchRun) -> None:
    """Say that a run came to nothing."""
    act.require(OUTREACH)
    run = MatchRun.objects.select_for_update().get(pk=run.pk)
    if run.state == MatchRun.State.WAITING:
        _fail(act, run)
    else:
        act.nothing_changed()


@action("policy.run.prune")
def prune(act: Act) -> int:
    """Remove the rows of all but the last RUNS_KEPT_MAX runs; a run with an open batch stays. Returns how many."""
    act.require(OUTREACH)
    finished = MatchRun.objects.filter(state=MatchRun.State.FINISHED).order_by("-id")
    kept = list(finished.values_list("pk", flat=True)[:RUNS_KEPT_MAX])
    open_ = Batch.objects.filter(state__in=[Batch.State.PROPOSED, Batch.State.CONFIRMED]).values("run")
    old = list(finished.exclude(pk__in=kept).exclude(pk__in=open_).select_for_update())
    if not old:
        act.nothing_changed()
    for run in old:
        run.state = MatchRun.State.PRUNED
        run.save(update_fields=["state"])
        act.record(run, {"state": run.state})
        shutil.rmtree(folder(run), ignore_errors=True)
    return len(old)
