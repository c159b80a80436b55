"""What every pack says of one entity, and the decisions that rest on it.

The packs in force on a day stand on a **shelf**: the library of their texts, read and compiled once and kept by digest,
so a page costs two small queries, the facts of one party and one evaluation. A **match** is everything that the shelf
says of a party. A **decision** stores what was read (digests, facts with their sources, the trace), so `replay` can
evaluate it again from the stored texts alone and compare.

A draft stands on the shelf like any other and says that it is one; nobody can apply for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any, Final

from django.utils.translation import gettext as _

from huoshui import rules
from huoshui.base import canonical, clock
from huoshui.base.access import Actor
from huoshui.base.act import Act
from huoshui.base.errors import Missing
from huoshui.policy.permissions import READ
from huoshui.registry import queries as registry
from huoshui.registry import services, view
from huoshui.registry.models import Decision, Party, Publication
from huoshui.registry.view import Cell
from huoshui.rules import Explanation, Library, Pack, Question, Stage, Verdict

PACKS_MAX: Final = 512
LIBRARIES_MAX: Final = 64
DECIDED: Final = "policy.match"
UNTIL: Final = ".until"
CLAIM_AMOUNTS: Final = ("claim.contract-amount", "claim.settled", "claim.paid", "claim.claimed")
Value = int | str | bool | date
Member = tuple[int, str]
"""Of a shelf: the key of a publication and its digest."""


# --- the packs in force -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shelf:
    """The packs of a day. `listed` are in force; the others stand there because a transition names them."""

    on: date
    library: Library
    publications: Mapping[str, int]
    listed: tuple[str, ...]

    def pack(self, identifier: str) -> Pack:
        """A pack by its id. Raises Missing."""
        if identifier not in self.publications:
            raise Missing(_("No such policy is in force."))
        return self.library[identifier]


def is_draft(pack: Pack) -> bool:
    """Whether the text of the pack has not been checked against its source yet."""
    return pack.header.status == "draft"


def library(on: date) -> Library:
    """The packs in force on a day, and those that their transitions name."""
    return shelf(on).library


def shelf(on: date) -> Shelf:
    """The packs in force on a day."""
    fields = ("identifier", "pk", "digest")
    activated = Publication.objects.filter(
        kind=rules.KIND, activated_at__isnull=False, effective_from__lte=on
    ).order_by("effective_from", "id")
    ever = {name: (pk, digest) for name, pk, digest in activated.values_list(*fields)}
    in_force = {
        name: (pk, digest) for name, pk, digest in registry.publications_in_force(rules.KIND, on).values_list(*fields)
    }
    chosen = _with_named(in_force, ever)
    publications = MappingProxyType({name: pk for name, (pk, _digest) in chosen.items()})
    return Shelf(on, _library(tuple(chosen[name] for name in sorted(chosen))), publications, tuple(sorted(in_force)))


def _with_named(
    in_force: Mapping[str, tuple[int, str]], ever: Mapping[str, tuple[int, str]]
) -> dict[str, tuple[int, str]]:
    """With the packs that transitions name, and those that theirs name; the newest text of each."""
    chosen, waiting = dict(in_force), list(in_force)
    while waiting:
        for transition in _pack(*chosen[waiting.pop()]).transitions:
            if transition.pack not in chosen and transition.pack in ever:
                chosen[transition.pack] = ever[transition.pack]
                waiting.append(transition.pack)
    return chosen


@lru_cache(maxsize=PACKS_MAX)
def _pack(key: int, digest: str) -> Pack:
    """A pack out of its publication; the digest names the content, so it is read once."""
    pack: Pack = Publication.objects.get(pk=key, digest=digest).loaded()
    return pack


@lru_cache(maxsize=LIBRARIES_MAX)
def _library(members: tuple[Member, ...]) -> Library:
    return Library([_pack(*member) for member in members])


# --- one party --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What is known of a party: a cell for each column, with its sources."""

    cells: Mapping[str, Cell]

    @property
    def row(self) -> dict[str, Value | None]:
        """The values for the evaluator; what is in conflict counts as unknown."""
        return {column: cell.value if cell.state == "known" else None for column, cell in self.cells.items()}


@dataclass(frozen=True)
class Match:
    """Everything that the packs of a day say of a party."""

    party: Party
    on: date
    known: Known
    shelf: Shelf
    explanations: tuple[Explanation, ...]

    @cached_property
    def questions(self) -> list[Question]:
        """The missing facts of the party (not of a claim to come), those that decide most first."""
        return _with_certificates([one for one in rules.questions(self.explanations) if not one.field.of_claim])

    def of(self, pack_id: str) -> Explanation:
        """What one pack says. Raises Missing."""
        for explanation in self.explanations:
            if explanation.pack.id == pack_id:
                return explanation
        raise Missing(_("No such policy is in force."))

    def explain(self, pack_id: str) -> Explanation:
        """What a pack on the shelf says, also one that is no longer in force. Raises Missing."""
        self.shelf.pack(pack_id)
        if pack_id in self.shelf.listed:
            return self.of(pack_id)
        return rules.explain(self.shelf.library, pack_id, self.known.row, self.on)


def _with_certificates(found: list[Question]) -> list[Question]:
    """Whether a certificate is held is asked before until when: the two are one question, and a no settles both."""
    by_column = {one.column: one for one in found}
    return [one for one in found if one.column.removesuffix(UNTIL) == one.column
            or one.column.removesuffix(UNTIL) not in by_column]  # fmt: skip


def row(party: Party, as_of: date, known_at: datetime | None = None) -> Known:
    """The facts of a party on a day, as they were known at an instant (default: now)."""
    return Known(view.of_party(party, as_of, known_at))


def match(party: Party, on: date, known_at: datetime | None = None) -> Match:
    """Every pack of a day for one party."""
    stand, known = shelf(on), row(party, on, known_at)
    found = rules.explain_all(stand.library, known.row, on)
    return Match(party, on, known, stand, tuple(one for one in found if one.pack.id in stand.listed))


def explanations(actor: Actor, party: Party, on: date | None = None, known_at: datetime | None = None) -> Match:
    """`match` for an actor, who must be allowed to see the party's entitlements. Raises Forbidden."""
    actor.require(READ, party)
    return match(party, on or clock.today(), known_at)


def explain_claim(
    pack_id: str, party: Party, claim: Mapping[str, Value | None], on: date, known_at: datetime | None = None,
    *, stage: Stage = Stage.CLAIM, as_of: date | None = None,
) -> Explanation:  # fmt: skip
    """What a pack says of one claim of a party; `claim` has fields of the vocabulary that begin with `claim.`.

    The rules are those of the day `on`, the facts those of `as_of` (None: the same day).
    """
    stand, known = shelf(on), row(party, as_of or on, known_at)
    stand.pack(pack_id)
    return rules.explain(stand.library, pack_id, known.row | dict(claim), on, stage=stage)


def planned_claim(amount_fen: int) -> dict[str, Value | None]:
    """The claim that a contract of an amount would become when it is delivered and paid in full."""
    return dict.fromkeys(CLAIM_AMOUNTS, amount_fen)


# --- decisions --------------------------------------------------------------------------------------------------------


def decide(
    act: Act, *, party: Party, pack_id: str, on: date, subject: str, claim: Mapping[str, Value | None] | None = None,
    stage: Stage = Stage.ENTITLEMENT, kind: str = DECIDED, extra: Mapping[str, Any] | None = None,
    as_of: date | None = None,
) -> tuple[Decision, Explanation]:  # fmt: skip
    """Store what a pack says of a party (or of its claim) with everything that replaying it needs.

    `subject` is the label of what is decided on; `extra` is added to the trace. The rules are those of the day `on`,
    the facts those of `as_of` (None: the same day). The caller has checked its permission.
    """
    known_at, as_of = clock.real_now(), as_of or on
    stand, known = shelf(on), row(party, as_of, known_at)
    stand.pack(pack_id)
    explanation = rules.explain(stand.library, pack_id, known.row | dict(claim or {}), on, stage=stage)
    wanted = stand.library.columns(on, stage, packs=[pack_id])
    trace = {
        "pack": pack_id, "on": on, "as_of": as_of, "known_at": known_at, "stage": stage, "claim": dict(claim or {}),
        "facts": {name: _cited(known.cells[name]) for name in sorted(wanted) if name in known.cells},
        **outcome(explanation), **(extra or {}),
    }  # fmt: skip
    decision = services.decide(
        act, party=party, kind=kind, subject=subject, verdict=explanation.verdict.name.lower(),
        digests=[stand.library[name].digest for name in _family(stand, pack_id, stage)], trace=canonical.plain(trace),
    )
    return decision, explanation


def outcome(explanation: Explanation) -> dict[str, Any]:
    """What an explanation says, in plain words of the trace."""
    return {
        "verdict": explanation.verdict.name.lower(),
        "criteria": {each.criterion.id: each.verdict.name.lower() for each in explanation.criteria},
        "amount_fen": explanation.amount_fen, "amount_max_fen": explanation.amount_max_fen,
        "judged_by": explanation.judged_by.id,
    }  # fmt: skip


def _cited(cell: Cell) -> dict[str, Any]:
    """A fact as a decision keeps it: value, state, source, dates and the keys of the statements."""
    return {
        "value": cell.value, "state": cell.state, "source": cell.source, "source_name": cell.source_name,
        "observed_on": cell.observed_on, "recorded_at": cell.recorded_at, "facts": list(cell.facts),
    }  # fmt: skip


def _family(stand: Shelf, pack_id: str, stage: Stage) -> list[str]:
    """The pack, those that its transitions lead to, and those that fill a field that these read, in a fixed order."""
    library, found, waiting = stand.library, [pack_id], [pack_id]
    while waiting:
        pack = library[waiting.pop()]
        read = {field.code for field, _year in library.columns(stand.on, stage, packs=[pack.id]).values()}
        fillers = (each.id for each in library.fillers(stand.on) if each.classes and each.classes.field in read)
        for name in (*(each.pack for each in pack.transitions), *fillers):
            if name not in found:
                found.append(name)
                waiting.append(name)
    return found


@dataclass(frozen=True)
class Replayed:
    """A decision evaluated again. `differs`: what came out otherwise; `facts`: what the registry tells otherwise."""

    explanation: Explanation
    differs: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether texts and facts give the same answer as they did."""
        return not self.differs and not self.facts


def replay(decision: Decision) -> Replayed:
    """Evaluate a decision again: the texts by their digests, the facts as the registry knew them then.

    The stored facts decide; that the registry tells the same of that day and instant is checked beside it.
    """
    trace = decision.trace
    on, stage = date.fromisoformat(trace["on"]), Stage(trace["stage"])
    stored = Library([
        _pack(key, digest)
        for key, digest in Publication.objects.filter(kind=rules.KIND, digest__in=decision.digests).values_list(
            "pk", "digest"
        )
    ])  # fmt: skip
    columns = stored.columns(on, stage, packs=[trace["pack"]])
    values = {name: _typed(told["value"], columns[name][0].kind) for name, told in trace["facts"].items()}
    values |= {name: _typed(told, columns[name][0].kind) for name, told in trace["claim"].items() if name in columns}
    explanation = rules.explain(stored, trace["pack"], values, on, stage=stage)
    found = canonical.plain(outcome(explanation))
    as_of = date.fromisoformat(trace.get("as_of", trace["on"]))
    then = row(decision.party, as_of, datetime.fromisoformat(trace["known_at"])).cells
    return Replayed(
        explanation,
        tuple(name for name, told in found.items() if trace[name] != told),
        tuple(
            name for name, told in trace["facts"].items()
            if canonical.plain(then[name].value if name in then else None) != told["value"]
        ),
    )  # fmt: skip


def _typed(value: Any, kind: str) -> Value | None:
    """A stored value in the type of its field."""
    if value is None or kind != "date":
        return value
    return date.fromisoformat(value)


# --- what a payment would be reimbursed -------------------------------------------------------------------------------


def expected_subsidy(entity: Party, amount_fen: int) -> int | None:
    """The most that one voucher in force would reimburse of a compute contract; None when it cannot be told."""
    on = clock.today()
    stand, known = shelf(on), row(entity, on)
    claim = planned_claim(amount_fen) | {"claim.service": "compute", "claim.on-platform": True}
    vouchers = [name for name in stand.listed if _is_voucher(stand.library[name])]
    told = [
        entitled.amount_fen
        for name in vouchers
        if (entitled := rules.explain(stand.library, name, known.row | claim, on)).verdict is Verdict.MET
        and _may_claim(stand.library, name, known.row | claim, on)
        and entitled.amount_fen is not None
    ]
    return max(told, default=None)


def _is_voucher(pack: Pack) -> bool:
    return pack.benefit is not None and pack.benefit.kind == "voucher" and not is_draft(pack)


def _may_claim(stand: Library, pack_id: str, values: Mapping[str, Value | None], on: date) -> bool:
    """Whether nothing that is known of the claim speaks against it."""
    asked = rules.explain(stand, pack_id, values, on, stage=Stage.CLAIM)
    return asked.verdict not in (Verdict.UNMET, Verdict.NA)
