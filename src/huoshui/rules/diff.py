"""What a change of law changes: the differences of two packs, and on given entities who gains and who loses how much.

The idea: criteria are paired by id, else by what they measure, so that a threshold that moved is one change and not a
loss and a gain. On a frame both packs are evaluated on the same day with the same facts; an entity is paid what its
pack pays if it is met, and nothing otherwise. What is unknown on either side is counted as such and in no total.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from .evaluate import evaluate
from .library import Library
from .model import Criterion, Pack, Stage, Verdict, criterion_reads

HEADER: Final = ("title", "authority", "document_number", "status", "effective_from", "effective_to")
BODY: Final = (
    "division", "audience", "no_application", "windows", "stacking", "transitions", "materials", "parameters",
    "variants", "classes",
)  # fmt: skip
ASPECTS: Final = ("kind", "stage", "test", "score", "applies_when", "exempts", "clause", "quote", "title")


@dataclass(frozen=True)
class Change:
    """`what` is the part that changed: `criterion`, `scoring.threshold`, `benefit.cap`, `effective_to` …; `before` or
    `after` None: it was not there. `aspects` of a criterion: which of its attributes differ."""

    what: str
    before: Any
    after: Any
    aspects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Effect:
    """Both packs on the same entities. `verdicts`: how many went from which verdict to which.

    `entities` has a row for each row of the frame, in its order: `before`, `after` (Verdict), `before_fen`, `after_fen`
    (what is paid: null where open), `delta_fen`. Totals are over rows whose amounts are known on both sides.
    """

    verdicts: Mapping[tuple[Verdict, Verdict], int]
    entities: pl.DataFrame
    gained: int
    gained_fen: int
    lost: int
    lost_fen: int
    open: int

    @property
    def becomes_met(self) -> int:
        return sum(n for (old, new), n in self.verdicts.items() if new is Verdict.MET and old is not Verdict.MET)

    @property
    def no_longer_met(self) -> int:
        return sum(n for (old, new), n in self.verdicts.items() if old is Verdict.MET and new is not Verdict.MET)


@dataclass(frozen=True)
class Difference:
    before: Pack
    after: Pack
    changes: tuple[Change, ...]
    effect: Effect | None


def diff(
    old: Pack,
    new: Pack,
    frame: pl.DataFrame | None = None,
    on: dt.date | None = None,
    *,
    stage: Stage = Stage.ENTITLEMENT,
    known_packs: Mapping[str, Pack] | None = None,
) -> Difference:
    """The difference of two packs; with `frame` (columns of `Library.columns`) and `on` its effect on entities.

    `known_packs`: other packs by id, for classes and transitions. Raises RuleError where one that is named is not
    known, ValueError for a frame without a day.
    """
    effect = None
    if frame is not None:
        if on is None:
            raise ValueError("a frame is evaluated on a day: give on")
        effect = _effect(old, new, frame, on, stage, known_packs or {})
    return Difference(old, new, tuple(_changes(old, new)), effect)


# --- what changed -----------------------------------------------------------------------------------------------------


def _changes(old: Pack, new: Pack) -> Iterator[Change]:
    for name in HEADER:
        before, after = getattr(old.header, name), getattr(new.header, name)
        if before != after:
            yield Change(name, before, after)
    for name in BODY:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            yield Change(name, before or None, after or None)
    for before, after in pairs(old, new):
        if before is None or after is None:
            yield Change("criterion", before, after)
        elif aspects := tuple(name for name in ASPECTS if getattr(before, name) != getattr(after, name)):
            yield Change("criterion", before, after, aspects)
    yield from _named("scoring", old.scoring, new.scoring, ("threshold", "parts"))
    yield from _named("benefit", old.benefit, new.benefit, ("kind", "text", "amount", "cap_fen", "clause", "quote"))


def _named(what: str, before: Any, after: Any, names: tuple[str, ...]) -> Iterator[Change]:
    if before is None or after is None:
        if before is not after:
            yield Change(what, before, after)
        return
    for name in names:
        if getattr(before, name) != getattr(after, name):
            yield Change(f"{what}.{name}", getattr(before, name), getattr(after, name))


def pairs(old: Pack, new: Pack) -> list[tuple[Criterion | None, Criterion | None]]:
    """Criteria side by side: by id, else by what they read and their kind; what has no partner stands alone."""
    left = {criterion.id: criterion for criterion in old.criteria}
    found = dict[str, Criterion | None]()
    for criterion in new.criteria:
        found[criterion.id] = left.pop(criterion.id, None)
    for criterion in new.criteria:
        if found[criterion.id] is None:
            partner = next((each for each in left.values() if _asks(each) and _asks(each) == _asks(criterion)), None)
            found[criterion.id] = left.pop(partner.id) if partner else None
    beside: list[tuple[Criterion | None, Criterion | None]] = [(found[each.id], each) for each in new.criteria]
    return beside + [(criterion, None) for criterion in old.criteria if criterion.id in left]


def _asks(criterion: Criterion) -> tuple[str, frozenset[str]] | None:
    fields = frozenset(term.field for term in criterion_reads(criterion))
    return (criterion.kind.value, fields) if fields else None


# --- whom it concerns -------------------------------------------------------------------------------------------------


def _effect(
    old: Pack, new: Pack, frame: pl.DataFrame, on: dt.date, stage: Stage, known: Mapping[str, Pack]
) -> Effect:  # fmt: skip
    together = {**known, old.id: old, new.id: new}  # two versions of one pack are never in one library
    before, after = (_paid(pack, {**together, pack.id: pack}, frame, on, stage) for pack in (old, new))
    entities = pl.DataFrame({
        "before": before["verdict"], "after": after["verdict"],
        "before_fen": before["paid_fen"], "after_fen": after["paid_fen"],
    }).with_columns(delta_fen=pl.col("after_fen") - pl.col("before_fen"))  # fmt: skip
    counted = entities.group_by("before", "after").len().sort("before", "after")
    delta = entities["delta_fen"]
    up, down = delta.filter(delta > 0), delta.filter(delta < 0)
    return Effect(
        verdicts={(Verdict(a), Verdict(b)): n for a, b, n in counted.iter_rows()},
        entities=entities,
        gained=len(up),
        gained_fen=int(up.sum()),
        lost=len(down),
        lost_fen=-int(down.sum()),
        open=delta.null_count(),
    )


def _paid(pack: Pack, known: Mapping[str, Pack], frame: pl.DataFrame, on: dt.date, stage: Stage) -> pl.DataFrame:
    """Verdict and what is paid: the amount where met, nothing where unmet or n/a, null while open."""
    result = evaluate(Library(known.values()), frame, on, stage=stage, packs=[pack.id])[pack.id]
    verdict = pl.col("verdict")
    pays = pack.benefit is not None and pack.benefit.amount is not None
    none = pl.lit(0 if pays else None, pl.Int64)
    paid = (
        pl.when(verdict == Verdict.MET.value).then(pl.col("amount_fen"))
        .when(verdict.is_in([Verdict.UNMET.value, Verdict.NA.value])).then(none)
        .otherwise(pl.lit(None, pl.Int64))
    )  # fmt: skip
    return result.select("verdict", paid.alias("paid_fen"))
