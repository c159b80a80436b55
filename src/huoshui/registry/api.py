"""REST routes of the registry, under /api/registry/."""

from datetime import date, datetime
from typing import Any, Literal

from django.http import HttpRequest
from ninja import File, Form, Query, Router, Schema, UploadedFile
from pydantic import Field

from huoshui.base import canonical, intake
from huoshui.base.apikit import Cut, Id, Page, Paging, ProblemOut, actor, cut, key, register
from huoshui.base.errors import invalid
from huoshui.registry import actions, consents, permissions, precedence, queries, sentences
from huoshui.registry.models import Consent, ImportBatch, ImportRow, Party, Publication, RoleKind, RowChange

router = Router(tags=["registry"])
Kind = Literal["entity", "institution", "operator", "bank", "carrier", "centre"]
Source = Literal["official", "tax", "officer", "self"]


class PartyOut(Schema):
    """A party. `division` is a GB/T 2260 code; `kinds` are its roles today."""

    id: int
    name: str
    uscc: str | None
    division: str | None = Field(None, alias="division_id")
    kinds: list[str]

    @staticmethod
    def resolve_kinds(party: Any) -> list[str]:
        found = getattr(party, "roles_now", None)
        return sorted({role.kind for role in (party.roles.all() if found is None else found)})


class PartyIn(Schema):
    """A party's name, code and place."""

    name: str = Field(max_length=200)
    uscc: str | None = Field(None, max_length=30)
    division: str | None = Field(None, max_length=6)


class NewPartyIn(PartyIn):
    """A party and its roles from today on."""

    kinds: list[Kind] = Field(default=[], max_length=len(RoleKind.values))


class PartyFilter(Schema):
    """What to look for: a part of the name or the beginning of a USCC, a role, a division, a group."""

    text: str = Field("", max_length=100)
    role: str = Field("", max_length=20)
    division: str = Field("", max_length=6)
    group: str = Field("", max_length=50)


class StatementOut(Schema):
    """What one source says. `chosen` marks the value that counts."""

    value: int | bool | str | None
    source: str
    source_name: str
    observed_on: date
    recorded_at: datetime
    chosen: bool

    @staticmethod
    def resolve_value(said: precedence.Statement) -> Any:
        return canonical.plain(said.value)


class FactOut(Schema):
    """What is known of one thing: `state` is known, missing or conflict. A decimal is an integer times 10^-places."""

    code: str
    title: str
    unit: str
    places: int
    state: str
    value: int | bool | str | None
    period_start: date | None
    period_end: date | None
    statements: list[StatementOut]

    @staticmethod
    def of(found: queries.FactValue) -> dict[str, Any]:
        kind = found.type
        return {
            "code": kind.code, "title": kind.title, "unit": kind.unit, "places": kind.places, "state": found.state,
            "value": canonical.plain(found.value), "period_start": found.period_start, "period_end": found.period_end,
            "statements": found.statements,
        }


class FactIn(Schema):
    """A statement; `value` null withdraws what the source said. Dates are ISO texts for facts of that kind."""

    code: str = Field(max_length=50)
    value: int | bool | str | None
    source: Source
    source_name: str = Field("", max_length=100)
    observed_on: date | None = None
    period_start: date | None = None
    period_end: date | None = None


class ConsentOut(Schema):
    """What a party agreed to. `codes` empty: the facts that the purpose names."""

    id: int
    party: int = Field(alias="party_id")
    recipient: int | None = Field(None, alias="recipient_id")
    recipient_name: str
    purpose: str
    text: str
    codes: list[str]
    since: date
    until: date | None
    withdrawn_at: datetime | None


class ConsentIn(Schema):
    """A consent: `recipient` is the key of a party, else `recipient_name` says in words with whom facts are shared."""

    purpose: str = Field(max_length=50)
    recipient: Id | None = None
    recipient_name: str = Field("", max_length=200)
    codes: list[str] = Field(default=[], max_length=500)
    text: str = Field("", max_length=500)
    since: date | None = None
    until: date | None = None


class PublicationOut(Schema):
    """A stored document. `digest` is SHA-256 over its canonical content."""

    id: int
    kind: str
    identifier: str
    title: str
    authority: str
    document_number: str
    digest: str
    state: str
    effective_from: date
    effective_to: date | None
    superseded_by: int | None = Field(None, alias="superseded_by_id")


class PublicationTextOut(PublicationOut):
    """A stored document with its text."""

    text: str


class PublicationIn(Schema):
    """The YAML text of a document."""

    text: str = Field(max_length=512 * 1024)


class ReasonIn(Schema):
    """Why a document is given up."""

    reason: str = Field(min_length=1, max_length=300)


class BatchOut(Schema):
    """A staged file. `counts` says how many rows are new, changed, same or bad."""

    id: int
    kind: str
    filename: str
    digest: str
    header: list[str]
    mapping: dict[str, str]
    state: str
    counts: dict[str, int]
    created_at: datetime
    activated_at: datetime | None


class MappingIn(Schema):
    """Header → column code."""

    mapping: dict[str, str] = Field(max_length=intake.UPLOAD_COLUMNS_MAX)


class RowOut(Schema):
    """A staged row: what it says, what stands there before, what is wrong with it."""

    id: int
    number: int
    change: str
    values: dict[str, Any]
    before: dict[str, Any]
    problems: list[ProblemOut]


class RowFilter(Schema):
    """Which rows."""

    change: Literal["", "unread", "new", "changed", "same", "bad"] = ""


# --- parties ------------------------------------------------------------------------------------------------------


@router.get("/parties/", response=Page[PartyOut])
def parties(request: HttpRequest, wanted: Query[PartyFilter], paging: Query[Paging]) -> Cut:
    """The parties that you may see."""
    return cut(queries.parties(actor(request), **wanted.dict()), paging)


@router.post("/parties/", response=PartyOut)
def create_party(request: HttpRequest, body: NewPartyIn) -> Party:
    """Enter a party."""
    return actions.create_party(actor(request), key=key(request), **body.dict())


@router.get("/parties/{pk}/", response=PartyOut)
def party(request: HttpRequest, pk: Id) -> Party:
    """One party."""
    return queries.party(actor(request), pk)


@router.put("/parties/{pk}/", response=PartyOut)
def update_party(request: HttpRequest, pk: Id, body: PartyIn) -> Party:
    """Rename, recode or move a party."""
    found = queries.party(actor(request), pk)
    return actions.update_party(actor(request), key=key(request), party=found, **body.dict())


@router.get("/parties/{pk}/facts/", response=list[FactOut])
def facts(request: HttpRequest, pk: Id, as_of: date | None = None) -> list[dict[str, Any]]:
    """Everything that is said of a party as of a day, all sources side by side."""
    return [FactOut.of(found) for found in queries.facts(queries.party(actor(request), pk), as_of)]


@router.post("/parties/{pk}/facts/", response=FactOut)
def state_fact(request: HttpRequest, pk: Id, body: FactIn) -> dict[str, Any]:
    """State a fact; answers with what is known afterwards."""
    found = queries.party(actor(request), pk)
    named = body.dict() | {"value": _fact_value(body)}
    actions.state_fact(actor(request), key=key(request), party=found, **named)
    return FactOut.of(queries.fact(found, body.code))


def _fact_value(body: FactIn) -> Any:
    """JSON has no dates: a text becomes one where the fact is a date."""
    if not isinstance(body.value, str) or not queries.is_date_fact(body.code):
        return body.value
    try:
        return date.fromisoformat(body.value)
    except ValueError:
        raise invalid("value", body.value, sentences.sentence("date")) from None


@router.get("/parties/{pk}/consents/", response=list[ConsentOut])
def consents_of(request: HttpRequest, pk: Id) -> list[Consent]:
    """What a party has agreed to, the newest first."""
    return queries.consents(actor(request), queries.party(actor(request), pk))


@router.post("/parties/{pk}/consents/", response=ConsentOut)
def give_consent(request: HttpRequest, pk: Id, body: ConsentIn) -> Consent:
    """Agree that facts of a party are shared."""
    named = body.dict()
    recipient = named.pop("recipient")
    to = None if recipient is None else queries.recipient(recipient)
    return consents.give(
        actor(request), key=key(request), party=queries.party(actor(request), pk), recipient=to, **named
    )


@router.post("/consents/{pk}/withdraw/", response=ConsentOut)
def withdraw_consent(request: HttpRequest, pk: Id) -> Consent:
    """Withdraw a consent."""
    return consents.withdraw(actor(request), key=key(request), consent=queries.consent(actor(request), pk))


# --- publications -------------------------------------------------------------------------------------------------


@router.get("/publications/", response=Page[PublicationOut])
def publications(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Documents that were ever in force, and drafts for those who work on them."""
    return cut(queries.publications(actor(request)), paging)


@router.get("/publications/{pk}/", response=PublicationTextOut)
def publication(request: HttpRequest, pk: Id) -> Publication:
    """One document with its text."""
    return queries.publication(actor(request), pk)


@router.post("/publications/", response=PublicationOut)
def submit_publication(request: HttpRequest, body: PublicationIn) -> Publication:
    """Submit a document."""
    return actions.submit_publication(actor(request), key=key(request), text=body.text)


@router.post("/publications/{pk}/review/", response=PublicationOut)
def review_publication(request: HttpRequest, pk: Id) -> Publication:
    """Review a document that another person submitted."""
    found = queries.publication(actor(request), pk)
    return actions.review_publication(actor(request), key=key(request), publication=found)


@router.post("/publications/{pk}/activate/", response=PublicationOut)
def activate_publication(request: HttpRequest, pk: Id) -> Publication:
    """Put a reviewed document in force."""
    found = queries.publication(actor(request), pk)
    return actions.activate_publication(actor(request), key=key(request), publication=found)


@router.post("/publications/{pk}/withdraw/", response=PublicationOut)
def withdraw_publication(request: HttpRequest, pk: Id, body: ReasonIn) -> Publication:
    """Give up a document that is not in force yet."""
    found = queries.publication(actor(request), pk)
    return actions.withdraw_publication(actor(request), key=key(request), publication=found, reason=body.reason)


# --- imports ------------------------------------------------------------------------------------------------------


@router.get("/imports/", response=Page[BatchOut])
def imports(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """The imports of your office."""
    return cut(queries.batches(actor(request)), paging)


@router.post("/imports/", response=BatchOut)
def stage_import(
    request: HttpRequest, kind: Form[Literal["parties", "facts"]], file: File[UploadedFile]
) -> ImportBatch:
    """Stage a CSV, XLSX or Parquet file; nothing counts yet."""
    actor(request).require(permissions.IMPORT)
    if (file.size or 0) > intake.UPLOAD_BYTES_MAX:
        raise invalid("file", file.size, sentences.sentence("bytes_at_most", {"maximum": intake.UPLOAD_BYTES_MAX}))
    return actions.stage_import(
        actor(request), key=key(request), kind=kind, filename=file.name or "", data=file.read()
    )


@router.get("/imports/{pk}/", response=BatchOut)
def batch(request: HttpRequest, pk: Id) -> ImportBatch:
    """One import."""
    return queries.batch(actor(request), pk)


@router.get("/imports/{pk}/rows/", response=Page[RowOut])
def rows(request: HttpRequest, pk: Id, wanted: Query[RowFilter], paging: Query[Paging]) -> Cut:
    """The rows of an import with their problems and differences."""
    found: Any = ImportRow.objects.filter(batch=queries.batch(actor(request), pk))
    return cut(found.filter(change=RowChange(wanted.change)) if wanted.change else found, paging)


@router.post("/imports/{pk}/check/", response=BatchOut)
def check_import(request: HttpRequest, pk: Id, body: MappingIn) -> ImportBatch:
    """Read all rows with this mapping and say what each would change."""
    found = queries.batch(actor(request), pk)
    return actions.check_import(actor(request), key=key(request), batch=found, mapping=body.mapping)


@router.post("/imports/{pk}/activate/", response=BatchOut)
def activate_import(request: HttpRequest, pk: Id) -> ImportBatch:
    """Write all rows that are new or changed, or none."""
    return actions.activate_import(actor(request), key=key(request), batch=queries.batch(actor(request), pk))


@router.post("/imports/{pk}/discard/", response=BatchOut)
def discard_import(request: HttpRequest, pk: Id) -> ImportBatch:
    """Give up a staged file."""
    return actions.discard_import(actor(request), key=key(request), batch=queries.batch(actor(request), pk))


register("registry", router)
