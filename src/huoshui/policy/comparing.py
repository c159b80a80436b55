"""What a publication changes: in words from the rules, in firms and fen from the registry, for officers and for anyone.

The words need nothing but the two texts. The firms are counted in the background over everything that the registry
knows, and stored with the digests of both texts and of the facts, so that the published figures can be computed again.
What anyone may read hides every figure from which a firm could be told: counts below COUNT_MIN, and sums of which one
firm has more than half.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import polars as pl
from django.conf import settings
from django.utils.translation import gettext as _
from django_tasks import task
from django_tasks.base import TaskContext

from huoshui.base import access, clock, tasks
from huoshui.policy import effects, pack_queries, pack_words
from huoshui.policy.actions import authoring as actions
from huoshui.policy.models import ComparisonRow, PackComparison
from huoshui.registry import view
from huoshui.registry.models import PartyRole, Publication, RoleKind, on_day
from huoshui.rules import Verdict, diff_words, words
from huoshui.rules.diff import diff
from huoshui.rules.diff_words import Beside

WORKER: Final = access.system("worker")
COUNT_MIN: Final = 10
"""Counts of entities below this are not shown to the public."""


# --- in words -----------------------------------------------------------------------------------------------------


def changes(old: Publication, new: Publication) -> list[Beside]:
    """What differs between two texts, criterion by criterion and part by part."""
    return diff_words.changes(diff(old.loaded(), new.loaded()), pack_words.language())


# --- in firms and fen ---------------------------------------------------------------------------------------------


def enqueue(comparison: PackComparison) -> None:
    """Count in the background, unless it is done."""
    if comparison.finished_at is None:
        tasks.enqueue(compare_packs, comparison, comparison.pk)


@task(takes_context=True)
def compare_packs(context: TaskContext, comparison_id: int) -> None:
    """Count what a change does. Safe to run again: the answer is stored once."""
    tasks.watched(context, partial(count, PackComparison.objects.get(pk=comparison_id)))


class CompareWatch(tasks.Watch):
    """Tells people what is being worked on."""

    def beat(self, phase: str = "", done: int = 0, total: int = 0, **_figures: int) -> bool:
        return super().beat(_("comparing the packs") if phase else "", done, total)


def count(comparison: PackComparison, watch: tasks.Watch) -> None:
    """Count in a child of the worker."""
    told = CompareWatch(watch.task, watch.attempt)
    answer_with(comparison, lambda job, source: tasks.in_child(told, effects.compare, job, source))


def count_here(comparison: PackComparison) -> None:
    """Count in this process: for few entities."""
    answer_with(comparison, lambda job, source: effects.compare(job, source, lambda *_told, **_figures: True))


def answer_with(comparison: PackComparison, compare: Callable[[effects.Job, str], dict[str, Any]]) -> None:
    """Write the facts of all entities to a file, have it judged by both packs, store what came out."""
    if comparison.finished_at is not None:
        return
    with tempfile.TemporaryDirectory(dir=settings.HOME, prefix="compare-") as folder:
        job, source = prepare(comparison, Path(folder))
        answer = compare(job, str(source))
    store(comparison, answer)


def prepare(comparison: PackComparison, folder: Path) -> tuple[effects.Job, Path]:
    """The job of a comparison, and the file of everything that it reads."""
    old, new, on = comparison.old, comparison.new, comparison.on
    others = _needed(old, new)
    packs = [row.loaded() for row in (*others, new, old)]
    wanted = effects.columns(packs, old.loaded(), on) | effects.columns(packs, new.loaded(), on)
    facts = view.frame(None, wanted, clock.today())
    entities = PartyRole.objects.filter(on_day(clock.today()), kind=RoleKind.ENTITY).values_list("party", flat=True)
    who = pl.DataFrame({effects.PARTY: list(entities.distinct())}, {effects.PARTY: pl.Int64})
    source = folder / "facts.parquet"
    facts.join(who, on=effects.PARTY, how="semi").write_parquet(source, compression="lz4")
    return effects.Job(old.text, new.text, tuple(row.text for row in others), on), source


def _needed(old: Publication, new: Publication) -> list[Publication]:
    """The other packs that judging by these two reads: those that give classes, and those that transitions name."""
    known = {row.identifier: row for row in pack_queries.known_publications()}
    named = (old.identifier, new.identifier)
    waiting = [old, new, *(row for row in known.values() if row.loaded().classes and row.identifier not in named)]
    found: dict[str, Publication] = {}
    while waiting:
        row = waiting.pop()
        if row.identifier not in found:
            found[row.identifier] = row
            waiting += [known[each.pack] for each in row.loaded().transitions if each.pack in known]
    return [row for name, row in found.items() if name not in named]


def store(comparison: PackComparison, answer: dict[str, Any]) -> PackComparison:
    """Keep the answer under a key, so that a second attempt changes nothing."""
    rows = [
        ComparisonRow(
            comparison=comparison, party_id=party, old_verdict=old, new_verdict=new, old_fen=old_fen, new_fen=new_fen
        )
        for party, old, new, old_fen, new_fen in answer["rows"]
    ]
    kept: PackComparison = actions.store_comparison(
        WORKER, comparison=comparison, totals=answer["totals"], facts_digest=answer["digest"], rows=rows
    )
    return kept


# --- what is shown ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Total:
    """One line of the totals. `entities` and `fen` None: hidden (`hidden`) or not asked."""

    what: str
    entities: int | None
    fen: int | None
    hidden: bool
    level: str


def totals_shown(comparison: PackComparison, *, exact: bool) -> list[Total]:
    """The totals: exact for officers, without what could tell a firm for anyone."""
    kept = comparison.totals
    lines = [
        _line(_("newly entitled"), {"entities": kept["enter"]}, "good", exact),
        _line(_("no longer entitled"), {"entities": kept["leave"]}, "bad", exact),
    ]
    if kept["money"]:
        lines += [
            _line(_("are paid more"), kept["gain"], "good", exact),
            _line(_("are paid less"), kept["lose"], "bad", exact),
        ]
    if exact:
        lines += [
            _line(_("cannot be told yet"), {"entities": kept["open"]}, "watch", exact),
            _line(_("entities in all"), {"entities": kept["entities"]}, "none", exact),
        ]
    return lines


def _line(what: str, found: dict[str, int], level: str, exact: bool) -> Total:
    entities, fen, largest = found["entities"], found.get("fen"), found.get("largest", 0)
    if exact or entities == 0:
        return Total(what, entities, fen, False, level)
    if entities < COUNT_MIN:
        return Total(what, None, None, True, level)
    return Total(what, entities, fen if fen is not None and largest * 2 <= fen else None, False, level)


@dataclass(frozen=True)
class Touched:
    """An entity that the change touches."""

    row: ComparisonRow

    @property
    def old(self) -> str:
        return words.verdict(Verdict(self.row.old_verdict), pack_words.language())

    @property
    def new(self) -> str:
        return words.verdict(Verdict(self.row.new_verdict), pack_words.language())

    @property
    def delta_fen(self) -> int | None:
        if self.row.old_fen is None or self.row.new_fen is None:
            return None
        return self.row.new_fen - self.row.old_fen


def rows_shown(comparison: PackComparison, limit: int) -> list[Touched]:
    """The entities that are touched, those whose amounts change most first."""
    found = [Touched(row) for row in comparison.rows.select_related("party").order_by("pk")[:limit]]
    return sorted(found, key=lambda each: -abs(each.delta_fen or 0))
