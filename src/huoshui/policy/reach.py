"""Who qualifies and has not applied: the rows of a match run beside what people have done since.

The idea: a run's rows lie in Parquet, sorted by nothing but the entity's key; what entities did (applications, push
lists) is in the database. A list scans the one pack's columns, takes out by key what the database says, and hands back
one page. Nothing is joined that is not shown. All of it is for officers; messages are for the firm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
from django.db.models import Exists, OuterRef, Q, QuerySet

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.policy import matching
from huoshui.policy.actions.runs import folder
from huoshui.policy.models import Application, BatchRow, MatchRun, Push, Telling
from huoshui.policy.permissions import OVERSEE, READ
from huoshui.registry.models import Fact, Membership, Party, Publication, on_day
from huoshui.registry.scopes import division_prefix
from huoshui.rules import Pack, Verdict
from huoshui.rules.model import Test

NAMED_MAX = 2_000
"""Parties that a search by name may find; a list narrowed by name looks among them."""
EXPORT_ROWS_MAX = 100_000
TELLING_SHOWN_DAYS = 60
PAID_HERE = ("grant", "voucher")
"""Benefits whose money goes through the centre: only of these is it known that they were not claimed."""
TAKEN = (Application.State.SUBMITTED, Application.State.APPROVED, Application.State.PAID_OUT)
SCHEMA: Mapping[str, Any] = {
    "party": pl.Int64, "division": pl.String, "verdict": pl.UInt8, "via": pl.Int16, "blocker": pl.Int16,
    "margin": pl.Int64, "amount_fen": pl.Int64, "amount_max_fen": pl.Int64, "fact": pl.String,
}  # fmt: skip
VERDICTS = {verdict.name.lower(): verdict for verdict in Verdict}


# --- runs -------------------------------------------------------------------------------------------------------------


def runs(actor: Actor) -> QuerySet[MatchRun]:
    """All runs, newest first. Raises Forbidden."""
    actor.require(OVERSEE)
    return MatchRun.objects.order_by("-id")


def run(actor: Actor, pk: int) -> MatchRun:
    """One run. Raises Missing."""
    found = runs(actor).filter(pk=pk).first()
    if found is None:
        raise Missing("match_run")
    return found


def latest() -> MatchRun | None:
    """The last run whose rows are there."""
    return MatchRun.objects.filter(state=MatchRun.State.FINISHED).order_by("-id").first()


def pack_of(run: MatchRun, name: str) -> tuple[Pack, Publication]:
    """A pack that a run evaluated, by its stored text. Raises Missing."""
    for one in run.packs:
        if one["id"] == name and one["listed"]:
            publication = Publication.objects.get(pk=one["publication"])
            return publication.loaded(), publication
    raise Missing(f"rule_pack/{name}")


SCORING = "scoring"


@dataclass(frozen=True)
class Condition:
    """What alone stands in the way of `count` entities: a criterion of the pack (`test` None: its scoring).

    `key` names it: its id, after the other pack's where a transition sends an entity to another pack (`via`).
    """

    key: str
    via: int
    index: int
    title: str
    pack: Pack
    test: Test | None
    count: int


def conditions(run: MatchRun, pack: Pack) -> list[Condition]:
    """Conditions that alone stand in somebody's way, of the most entities first."""
    return [_condition(run, pack, via, index, count) for via, index, count in run.figures[pack.id]["blockers"]]


def _condition(run: MatchRun, pack: Pack, via: int, index: int, count: int) -> Condition:
    judge = pack if via < 0 else _other(run, pack.transitions[via].pack)
    scoring = index >= len(judge.criteria)
    name = SCORING if scoring else judge.criteria[index].id
    return Condition(
        key=name if via < 0 else f"{judge.id}/{name}", via=via, index=index, pack=judge, count=count,
        title="" if scoring else judge.criteria[index].title, test=None if scoring else judge.criteria[index].test,
    )  # fmt: skip


def _other(run: MatchRun, name: str) -> Pack:
    """A pack that a transition names, by the text that the run used."""
    keys = {one["id"]: one["publication"] for one in run.packs}
    pack: Pack = Publication.objects.get(pk=keys[name]).loaded()
    return pack


def rows(run: MatchRun, name: str) -> pl.LazyFrame:
    """The rows of one pack; an entity that is not among them is not concerned by it."""
    if not any(file.startswith(f"{name}/") for file in run.files):
        return pl.LazyFrame(schema=SCHEMA)
    return pl.scan_parquet(folder(run) / name / "*.parquet")


def period_of(on: date) -> str:
    """Within which a benefit is given once: the calendar year."""
    return str(on.year)


def taken(name: str, on: date) -> QuerySet[Application]:
    """Applications for a pack in the year that were not refused or withdrawn."""
    year = clock.day_start(date(on.year, 1, 1)), clock.day_start(date(on.year + 1, 1, 1))
    return Application.objects.filter(pack=name, state__in=TAKEN, submitted_at__gte=year[0], submitted_at__lt=year[1])


def taken_by(name: str, on: date) -> list[int]:
    """Keys of the parties of `taken`."""
    return list(taken(name, on).values_list("party", flat=True).distinct())


def is_claimed_here(pack: Pack) -> bool:
    """Whether the benefit is money that is applied for, and paid, through the centre."""
    return pack.benefit is not None and pack.benefit.kind in PAID_HERE


# --- the overview -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """One pack at a glance. `unclaimed_fen` None: not money that the centre pays out, or nobody's amount is known;
    `amounts_unknown`: how many qualify for an amount that is not known yet."""

    id: str
    title: str
    kind: str
    draft: bool
    no_application: bool
    concerned: int
    qualify: int
    applied: int
    paid: int
    unclaimed: int
    unclaimed_fen: int | None
    amounts_unknown: int
    one_step: int
    unknown: int
    manual: int


def standings(run: MatchRun) -> list[Standing]:
    """Every pack of a run, what most money waits for first."""
    keys = {one["publication"]: one for one in run.packs if one["listed"]}
    loaded = {row.pk: row.loaded() for row in Publication.objects.filter(pk__in=keys)}
    found = [_standing(run, loaded[key]) for key in keys]
    return sorted(found, key=lambda row: (row.draft, -(row.unclaimed_fen or 0), -row.unclaimed, row.title))


def _standing(run: MatchRun, pack: Pack) -> Standing:
    figures = run.figures[pack.id]
    counts = figures["verdicts"]
    applied, applied_fen, parties = 0, 0, taken_by(pack.id, run.on)
    if parties:
        chosen = _qualifying(run, pack.id).filter(pl.col("party").is_in(parties))
        applied, applied_fen = chosen.select(pl.len(), pl.col("amount_fen").sum()).collect().row(0)
    unknown = figures["amounts_unknown"]
    money = is_claimed_here(pack) and not matching.is_draft(pack) and (not counts["met"] or counts["met"] > unknown)
    return Standing(
        id=pack.id, title=pack.header.title, kind=pack.benefit.kind if pack.benefit else "",
        draft=matching.is_draft(pack),
        no_application=pack.no_application, concerned=run.entities - counts["na"], qualify=counts["met"],
        applied=len(parties), paid=taken(pack.id, run.on).filter(state=Application.State.PAID_OUT).count(),
        unclaimed=counts["met"] - applied, unclaimed_fen=figures["amount_fen"] - applied_fen if money else None,
        amounts_unknown=unknown, one_step=sum(count for _via, _index, count in figures["blockers"]),
        unknown=counts["unknown"], manual=counts["manual"],
    )  # fmt: skip


def _qualifying(run: MatchRun, name: str) -> pl.LazyFrame:
    return rows(run, name).filter(pl.col("verdict") == Verdict.MET)


# --- lists ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wanted:
    """Which rows of a pack. `show`: unclaimed, applied, one_step, missing, or a verdict; `condition` (via, index) that
    alone stands in the way, `fact` the column that alone is missing, `parties` the only ones (None: all)."""

    show: str = "unclaimed"
    condition: tuple[int, int] | None = None
    fact: str = ""
    division: str = ""
    group: int | None = None
    text: str = ""
    parties: tuple[int, ...] | None = None


SHOWN = ("unclaimed", "applied", "one_step", "missing", "met", "unknown", "manual", "unmet")


def chosen(run: MatchRun, name: str, wanted: Wanted) -> pl.LazyFrame:
    """The rows that are wanted, in no order (`ordered` puts those worth calling first at the top)."""
    found = rows(run, name)
    met = pl.col("verdict") == Verdict.MET
    if wanted.show == "one_step":
        found = found.filter((pl.col("verdict") == Verdict.UNMET) & (pl.col("blocker") >= 0))
        if wanted.condition is not None:
            via, index = wanted.condition
            found = found.filter((pl.col("via") == via) & (pl.col("blocker") == index))
    elif wanted.show == "missing":
        found = found.filter(pl.col("fact").is_not_null())
        if wanted.fact:
            found = found.filter(pl.col("fact") == wanted.fact)
    else:
        found = found.filter(met if wanted.show in ("unclaimed", "applied") else _verdict(wanted.show))
    if wanted.show in ("unclaimed", "applied"):
        mine = pl.col("party").is_in(taken_by(name, run.on))
        found = found.filter(mine if wanted.show == "applied" else ~mine)
    return _narrowed(found, run.on, wanted)


def ordered(rows_: pl.LazyFrame, show: str) -> pl.LazyFrame:
    """Nearest to the threshold first, condition by condition; in other lists most money first."""
    if show == "one_step":
        return rows_.sort("via", "blocker", pl.col("margin").abs(), "party", nulls_last=True)
    amount = "amount_max_fen" if show == "missing" else "amount_fen"
    return rows_.sort(amount, "party", descending=[True, False], nulls_last=True)


def _verdict(show: str) -> pl.Expr:
    return pl.col("verdict") == VERDICTS[show]


def _narrowed(found: pl.LazyFrame, on: date, wanted: Wanted) -> pl.LazyFrame:
    """By place, group, name and keys."""
    if wanted.division:
        found = found.filter(pl.col("division").str.starts_with(division_prefix(wanted.division)))
    if wanted.group is not None:
        members = Membership.objects.filter(on_day(on), group=wanted.group).values_list("party", flat=True)
        found = found.filter(pl.col("party").is_in(list(members)))
    if text := wanted.text.strip():
        named = Party.objects.filter(Q(name__icontains=text) | Q(uscc__startswith=text.upper()))
        found = found.filter(pl.col("party").is_in(list(named.values_list("pk", flat=True)[:NAMED_MAX])))
    if wanted.parties is not None:
        found = found.filter(pl.col("party").is_in(list(wanted.parties)))
    return found


@dataclass(frozen=True)
class Listed:
    """One row for the page."""

    party: Party
    verdict: Verdict
    via: int
    blocker: int
    margin: int | None
    amount_fen: int | None
    amount_max_fen: int | None
    fact: str | None
    application: Application | None
    told: Telling | None


@dataclass(frozen=True)
class Found:
    """What a list adds up to, and the rows that were asked for."""

    count: int
    amount_fen: int
    rows: list[Listed]


def found(run: MatchRun, name: str, wanted: Wanted, start: int, size: int) -> Found:
    """One page of a list."""
    lazy = chosen(run, name, wanted)
    total = lazy.select(pl.len(), pl.coalesce("amount_fen", "amount_max_fen").sum())
    part, sums = pl.collect_all([ordered(lazy, wanted.show).slice(start, size), total])
    return Found(int(sums.row(0)[0]), int(sums.row(0)[1]), _with_names(run, name, part))


def _with_names(run: MatchRun, name: str, part: pl.DataFrame) -> list[Listed]:
    """Names, applications and tellings of the few that are shown."""
    keys = part["party"].to_list()
    parties = Party.objects.select_related("division").in_bulk(keys)
    applications = {row.party_id: row for row in taken(name, run.on).filter(party__in=keys).order_by("id")}
    tellings = {row.party_id: row for row in Telling.objects.filter(pack=name, party__in=keys).order_by("told_at")}
    return [
        Listed(
            parties[row["party"]], Verdict(row["verdict"]), row["via"], row["blocker"], row["margin"],
            row["amount_fen"], row["amount_max_fen"], row["fact"], applications.get(row["party"]),
            tellings.get(row["party"]),
        )
        for row in part.iter_rows(named=True)
        if row["party"] in parties
    ]  # fmt: skip


def by_division(run: MatchRun, name: str, wanted: Wanted) -> list[tuple[str, int, int]]:
    """Division, entities, fen, of a list; the most entities first. Entities without a division are under ''."""
    amount = pl.coalesce("amount_fen", "amount_max_fen").sum()
    grouped = chosen(run, name, wanted).group_by(pl.col("division").fill_null("")).agg(pl.len(), amount)
    return [(code, count, fen) for code, count, fen in grouped.sort("len", descending=True).collect().iter_rows()]


# --- batches and push lists -------------------------------------------------------------------------------------------


def batchable(run: MatchRun, name: str, limit: int) -> pl.DataFrame:
    """party, amount_fen: who may be paid without an application and waits in no batch; at most `limit`, by key.

    Who fell out of this run because of what only the firm declared is not offered again: it would fill every batch.
    """
    rows_ = BatchRow.objects.filter(pack=name, period=period_of(run.on))
    waiting = rows_.exclude(state=BatchRow.State.DROPPED) | rows_.filter(batch__run=run, why=BatchRow.Why.DECLARED)
    taken_ = [*taken_by(name, run.on), *waiting.values_list("party", flat=True)]
    found = _qualifying(run, name).filter((pl.col("amount_fen") > 0) & ~pl.col("party").is_in(taken_))
    return found.select("party", "amount_fen").sort("party").head(limit).collect()


def tellings(rows_: QuerySet[Telling]) -> QuerySet[Telling]:
    """With what came of each: `applied` after it was told, `answered` the fact that was missing."""
    after = Application.objects.filter(
        party=OuterRef("party"), pack=OuterRef("pack"), submitted_at__gte=OuterRef("told_at")
    ).exclude(state=Application.State.WITHDRAWN)
    answered = Fact.objects.filter(
        party=OuterRef("party"), type__code=OuterRef("fact"), record__effective_at__gte=OuterRef("told_at")
    )
    return rows_.annotate(applied=Exists(after), answered=Exists(answered))


OUTCOMES = ("applied", "answered", "declined", "seen", "nothing")


def outcome(telling: Telling) -> str:
    """What came of a telling, the furthest first; needs the annotations of `tellings`."""
    if telling.applied:  # type: ignore[attr-defined]
        return "applied"
    if telling.answered:  # type: ignore[attr-defined]
        return "answered"
    if telling.declined_at is not None:
        return "declined"
    return "seen" if telling.seen_at is not None else "nothing"


def pushes(actor: Actor) -> QuerySet[Push]:
    """All push lists, newest first. Raises Forbidden."""
    actor.require(OVERSEE)
    return Push.objects.select_related("publication", "run").defer("publication__text").order_by("-id")


def messages(actor: Actor, party: Party) -> list[Telling]:
    """What a firm was told lately and has not acted on, newest first."""
    actor.require(READ, party)
    since = clock.now() - timedelta(days=TELLING_SHOWN_DAYS)
    recent = Telling.objects.select_related("push__publication", "push__run").filter(party=party, told_at__gte=since)
    return [row for row in tellings(recent).order_by("-told_at") if outcome(row) in ("seen", "nothing")]


def telling(actor: Actor, pk: int) -> Telling:
    """One telling that the actor may see. Raises Missing."""
    return access.get_visible(
        tellings(Telling.objects.select_related("push__publication", "push__run", "party")), actor, READ, pk=pk
    )
