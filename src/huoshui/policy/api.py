"""REST operations of the match and of applications, under /api/policy/. Money in fen; facts in their smallest unit."""

from __future__ import annotations

import base64
import binascii
from datetime import date, datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Field, Query, Router, Schema

from huoshui.base import clock
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.canonical import plain
from huoshui.base.errors import invalid
from huoshui.cases import files
from huoshui.cases.files import Upload
from huoshui.policy import answers, matching, needs, queries, words
from huoshui.policy.actions import applications as actions
from huoshui.policy.actions.applications import Handed, Wish
from huoshui.policy.matching import Match
from huoshui.policy.models import Application, Filing
from huoshui.rules import Explanation, Stage, TestResult

router = Router(tags=["policy"])
PLANNED_FEN_MAX = actions.PLANNED_FEN_MAX
UPLOADS_MAX = 50
Fen = int


class PackOut(Schema):
    """What one pack says of a party. `amount_fen` null: not money, or not known; `blocker`: what alone stands against
    it (a criterion's id, or `scoring`); `margin`: its distance from the threshold, below zero when it is short."""

    pack: str
    title: str
    digest: str
    draft: bool
    no_application: bool
    verdict: str
    amount_fen: Fen | None
    amount_max_fen: Fen | None
    why: str
    blocker: str | None
    margin: int | None
    missing: list[str]
    judged_by: str
    opens: date | None
    closes: date | None

    @staticmethod
    def of(found: Match, one: Explanation) -> dict[str, Any]:
        pack = one.pack
        window = needs.window_of(pack, found.on)
        return {
            "pack": pack.id, "title": pack.header.title, "digest": pack.digest, "draft": matching.is_draft(pack),
            "no_application": pack.no_application, "verdict": one.verdict.name.lower(), "amount_fen": one.amount_fen,
            "amount_max_fen": one.amount_max_fen, "why": words.why(one),
            "blocker": blocker_of(one), "margin": one.margin, "missing": list(one.unknown),
            "judged_by": one.judged_by.id, "opens": window.first if window else None,
            "closes": window.last if window else None,
        }  # fmt: skip


def blocker_of(one: Explanation) -> str | None:
    """What alone stands against it, as an id."""
    if one.blocker < 0:
        return None
    return one.blocking.id if one.blocking else "scoring"


class QuestionOut(Schema):
    """A missing fact. `decides`: packs that it alone decides; `concerns`: packs for which it matters."""

    column: str
    title: str
    kind: str
    unit: str
    places: int
    decides: list[str]
    concerns: list[str]
    amount_max_fen: Fen | None


class MatchOut(Schema):
    """Every pack in force on a day for one party."""

    party: int
    on: date
    packs: list[PackOut]
    questions: list[QuestionOut]


class TestOut(Schema):
    """A test with the values that it read; `tests` are those that it joins."""

    verdict: str
    values: dict[str, int | bool | str | None]
    margin: int | None
    tests: list[TestOut]

    @staticmethod
    def of(node: TestResult) -> dict[str, Any]:
        return {
            "verdict": node.verdict.name.lower(), "values": plain(dict(node.values)), "margin": node.margin,
            "tests": [TestOut.of(child) for child in node.children],
        }  # fmt: skip


class CriterionOut(Schema):
    """One criterion with its clause and the words of the notice."""

    id: str
    title: str
    kind: str
    verdict: str
    clause: str
    quote: str
    exempted_by: str | None
    points_low: int | None
    points_high: int | None
    test: TestOut | None


class FactOut(Schema):
    """A fact as it was read, with its source."""

    value: int | bool | str | None
    state: str
    source: str
    source_name: str
    observed_on: date | None


class ExplanationOut(PackOut):
    """One pack in full: criteria with their trees, the facts that they read, with sources and dates."""

    criteria: list[CriterionOut]
    facts: dict[str, FactOut]


class AnswerIn(Schema):
    """The answer to a missing fact: a column of a question and its value (a decimal is an integer × 10^-places)."""

    column: str = Field(max_length=120)
    value: int | bool | str


class WishIn(Schema):
    """One benefit that is applied for; `planned_fen` only for a voucher."""

    pack: str = Field(max_length=100)
    planned_fen: int | None = Field(None, ge=1, le=PLANNED_FEN_MAX)


class HandedIn(Schema):
    """A document: `material` is the key of a need, `content` its bytes in Base64."""

    material: str = Field(max_length=100)
    name: str = Field(min_length=1, max_length=files.NAME_MAX)
    content: str = Field(max_length=files.BYTES_MAX * 4 // 3 + 4)


class FilingIn(Schema):
    """One file, many applications. `consent`: the reviewing office may see the facts."""

    applications: list[WishIn] = Field(min_length=1, max_length=actions.PACKS_MAX)
    documents: list[HandedIn] = Field([], max_length=UPLOADS_MAX)
    consent: Literal[True]


class NeedOut(Schema):
    """A document that applying takes. `state`: asked, or why not (kept, known, filed)."""

    key: str
    title: str
    packs: list[str]
    state: str


class ApplicationOut(Schema):
    """An application. The account is told only by its last four digits."""

    id: int
    number: str
    party: int = Field(alias="party_id")
    pack: str
    filing: int | None = Field(None, alias="filing_id")
    channel: str
    state: str
    amount_fen: Fen | None
    planned_fen: Fen | None
    decision: int = Field(alias="decision_id")
    submitted_at: datetime
    checked_at: datetime | None
    decided_at: datetime | None
    account_confirmed_at: datetime | None
    account_ends_with: str

    @staticmethod
    def resolve_account_ends_with(row: Application) -> str:
        return row.account_number[-4:]


class FilingOut(Schema):
    """A filing with its applications."""

    id: int
    submitted_at: datetime
    applications: list[ApplicationOut]

    @staticmethod
    def resolve_applications(row: Filing) -> Any:
        return row.applications.order_by("pk")


class CheckIn(Schema):
    """What the first officer finds: criterion id → met."""

    findings: dict[str, bool] = Field({}, max_length=200)
    text: str = Field("", max_length=actions.TEXT_MAX)


class RefuseIn(Schema):
    """Why not: the criterion (or `scoring`) and words for the applicant."""

    criterion: str = Field(min_length=1, max_length=100)
    text: str = Field(min_length=1, max_length=actions.TEXT_MAX)


class AccountIn(Schema):
    """The account to which money goes."""

    bank_name: str = Field(min_length=1, max_length=actions.BANK_MAX)
    account_number: str = Field(min_length=1, max_length=60)


class ReplayOut(Schema):
    """A stored decision evaluated again from its texts and facts."""

    id: int
    verdict: str
    digests: list[str]
    decided_at: datetime
    same: bool
    verdict_now: str
    differs: list[str]
    facts_differ: list[str]


# --- the match --------------------------------------------------------------------------------------------------------


@router.get("/parties/{pk}/match/", response=MatchOut)
def match(request: HttpRequest, pk: Id, on: date | None = None) -> dict[str, Any]:
    """Every pack in force for an entity, today or on a past day, and the questions that would decide more."""
    party = queries.entity(actor(request), pk)
    found = matching.explanations(actor(request), party, _day(on))
    return {
        "party": party.pk, "on": found.on, "packs": [PackOut.of(found, one) for one in found.explanations],
        "questions": [
            {
                "column": one.column, "title": words.question(one.column, one.field), "kind": one.field.kind,
                "unit": one.field.unit, "places": one.field.places, "decides": list(one.decides),
                "concerns": list(one.concerns), "amount_max_fen": one.amount_max_fen,
            }
            for one in found.questions
        ],
    }  # fmt: skip


@router.get("/parties/{pk}/match/packs/{pack}/", response=ExplanationOut)
def explanation(request: HttpRequest, pk: Id, pack: str, on: date | None = None) -> dict[str, Any]:
    """One pack for an entity with its reasons."""
    party = queries.entity(actor(request), pk)
    found = matching.explanations(actor(request), party, _day(on))
    one = found.explain(pack)
    columns = found.shelf.library.columns(found.on, Stage.ENTITLEMENT, packs=[pack])
    return PackOut.of(found, one) | {
        "criteria": [
            {
                "id": row.criterion.id, "title": row.criterion.title, "kind": row.criterion.kind.value,
                "verdict": row.verdict.name.lower(), "clause": row.criterion.clause, "quote": row.criterion.quote,
                "exempted_by": row.exempted_by, "points_low": row.points_low, "points_high": row.points_high,
                "test": TestOut.of(row.tree) if row.tree else None,
            }
            for row in one.criteria
        ],
        "facts": {
            name: {
                "value": plain(cell.value), "state": cell.state, "source": cell.source,
                "source_name": cell.source_name, "observed_on": cell.observed_on,
            }
            for name in sorted(columns)
            if (cell := found.known.cells.get(name)) is not None
        },
    }  # fmt: skip


def _day(on: date | None) -> date:
    today = clock.today()
    if on is not None and on > today:
        raise invalid("on", on, _("lies in the future"))
    return on or today


@router.post("/parties/{pk}/answers/", response=MatchOut)
def answer(request: HttpRequest, pk: Id, body: AnswerIn) -> dict[str, Any]:
    """Answer a missing fact; answers with the match as it is then. An officer's word counts as the centre's."""
    who = actor(request)
    party = queries.entity(who, pk)
    column = answers.asked(matching.explanations(who, party), body.column)
    answers.state(who, key=key(request), party=party, column=column, value=answers.typed(body.value, column[0]))
    return match(request, pk)


# --- applications -----------------------------------------------------------------------------------------------------


@router.get("/parties/{pk}/needs/", response=list[NeedOut])
def documents(request: HttpRequest, pk: Id, pack: Query[list[str]]) -> list[needs.Need]:
    """The documents for applying to packs at once."""
    party = queries.entity(actor(request), pk)
    found = matching.explanations(actor(request), party)
    return needs.of(found, [found.shelf.pack(name) for name in pack[: actions.PACKS_MAX]])


@router.post("/parties/{pk}/applications/", response=FilingOut)
def apply(request: HttpRequest, pk: Id, body: FilingIn) -> Filing:
    """Apply for several benefits with one file."""
    party = queries.entity(actor(request), pk)
    handed = tuple(
        Handed(one.material, Upload(one.name, _bytes(one))) for one in body.documents
    )
    wishes = tuple(Wish(one.pack, one.planned_fen) for one in body.applications)
    return actions.apply(
        actor(request), key=key(request), party=party, wishes=wishes, handed=handed, consent=body.consent
    )


def _bytes(document: HandedIn) -> bytes:
    try:
        return base64.b64decode(document.content, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("content", document.name, _("not Base64")) from None


@router.get("/applications/", response=Page[ApplicationOut])
def applications(
    request: HttpRequest, paging: Query[Paging],
    state: Literal["", "submitted", "approved", "refused", "withdrawn", "paid_out"] = "",
) -> Cut:  # fmt: skip
    """The applications that you may see."""
    return cut(queries.applications(actor(request), state=state), paging)


@router.get("/applications/{pk}/", response=ApplicationOut)
def application(request: HttpRequest, pk: Id) -> Application:
    """One application."""
    return queries.application(actor(request), pk)


@router.post("/applications/{pk}/check/", response=ApplicationOut)
def check(request: HttpRequest, pk: Id, body: CheckIn) -> Application:
    """The first officer's findings."""
    found = queries.application(actor(request), pk)
    return actions.check(actor(request), key=key(request), application=found, **body.dict())


@router.post("/applications/{pk}/approve/", response=ApplicationOut)
def approve(request: HttpRequest, pk: Id) -> Application:
    """The second officer's word."""
    found = queries.application(actor(request), pk)
    return actions.approve(actor(request), key=key(request), application=found)


@router.post("/applications/{pk}/refuse/", response=ApplicationOut)
def refuse(request: HttpRequest, pk: Id, body: RefuseIn) -> Application:
    """Refuse, naming the criterion."""
    found = queries.application(actor(request), pk)
    return actions.refuse(actor(request), key=key(request), application=found, **body.dict())


@router.post("/applications/{pk}/withdraw/", response=ApplicationOut)
def withdraw(request: HttpRequest, pk: Id) -> Application:
    """Take an application back."""
    found = queries.application(actor(request), pk)
    return actions.withdraw(actor(request), key=key(request), application=found)


@router.post("/applications/{pk}/account/", response=ApplicationOut)
def account(request: HttpRequest, pk: Id, body: AccountIn) -> Application:
    """Confirm the account."""
    found = queries.application(actor(request), pk)
    return actions.confirm_account(actor(request), key=key(request), application=found, **body.dict())


@router.get("/decisions/{pk}/replay/", response=ReplayOut)
def replay(request: HttpRequest, pk: Id) -> dict[str, Any]:
    """Evaluate a stored decision again."""
    found = queries.decision(actor(request), pk)
    again = matching.replay(found)
    return {
        "id": found.pk, "verdict": found.verdict, "digests": found.digests, "decided_at": found.decided_at,
        "same": again.same, "verdict_now": again.explanation.verdict.name.lower(), "differs": list(again.differs),
        "facts_differ": list(again.facts),
    }  # fmt: skip
