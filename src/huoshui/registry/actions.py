"""Writes of the registry: parties, what they are, how they relate, what is known of them, what is published."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from huoshui import rules, terms
from huoshui.base import actions as base_actions
from huoshui.base import canonical, clock, intake
from huoshui.base.access import EVERYWHERE, WHOLE
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Refused, invalid
from huoshui.base.models import Assignment, LogRecord, Role, User
from huoshui.clearing.tables import BadTable, Rule
from huoshui.registry import imports, permissions, plausible, publications, reference, roles, sentences, uscc
from huoshui.registry.imports import ImportKind
from huoshui.registry.models import (
    BatchState,
    Dated,
    Division,
    Fact,
    FactSource,
    FactType,
    Group,
    GroupKind,
    ImportBatch,
    ImportMapping,
    ImportRow,
    Membership,
    Party,
    PartyRevision,
    PartyRole,
    Publication,
    PublicationState,
    Relation,
    RelationKind,
    RoleKind,
    RowChange,
    ValueKind,
)

NAME_CHARACTERS_MAX = 200
FACT_CHARACTERS_MAX = 500

# --- parties ------------------------------------------------------------------------------------------------------


def clean_name(text: str) -> str:
    """The name as it is stored. Raises Invalid."""
    name = " ".join(intake.normal(text).split())
    if not name:
        raise invalid("name", text, sentences.sentence("required"))
    if len(name) > NAME_CHARACTERS_MAX:
        raise invalid("name", name, sentences.sentence("characters_at_most", {"maximum": NAME_CHARACTERS_MAX}))
    if not name.isprintable():
        raise invalid("name", name, sentences.sentence("printable"))
    return name


def clean_uscc(text: str | None) -> str | None:
    """The code as it is stored, None for an empty one. Raises Invalid."""
    code = uscc.normal(text or "")
    if code and (fault := uscc.fault(code)):
        raise invalid("uscc", code, sentences.sentence(fault))
    return code or None


def clean_division(code: str | None) -> Division | None:
    """The division of a code, None for an empty one. Raises Invalid."""
    if not code:
        return None
    found = Division.objects.filter(code=code).first()
    if found is None:
        raise invalid("division", code, sentences.sentence("division"))
    return found


def revise(party: Party, record: LogRecord) -> None:
    """Keep what the party is called from this record on."""
    PartyRevision.objects.create(
        party=party, name=party.name, uscc=party.uscc, division=party.division, record=record
    )


def _save(party: Party) -> None:
    try:
        with transaction.atomic():
            party.save()
    except IntegrityError:
        holder = Party.objects.filter(uscc=party.uscc).exclude(pk=party.pk).first()
        if party.uscc is None or holder is None:
            raise
        raise invalid("uscc", party.uscc, _("is the code of %(name)s") % {"name": holder.name}) from None


def _content(party: Party) -> dict[str, Any]:
    return {"name": party.name, "uscc": party.uscc, "division": party.division_id}


@action("registry.party.create")
def create_party(
    act: Act, *, name: str, uscc: str | None = None, division: str | None = None, kinds: Sequence[str] = ()
) -> Party:
    """Enter a party, with roles from today on. `division` is a GB/T 2260 code. Raises Invalid."""
    party = Party(name=clean_name(name), uscc=clean_uscc(uscc), division=clean_division(division), created_at=act.at)
    act.require(permissions.EDIT, party)
    _save(party)
    record = act.record(party, _content(party) | {"kinds": list(kinds)})
    revise(party, record)
    for kind in kinds:
        _add_role(party, kind, clock.today(), None)
    return party


@action("registry.party.update")
def update_party(
    act: Act, *, party: Party, name: str, uscc: str | None = None, division: str | None = None
) -> Party:
    """Rename, recode or move a party; its earlier name stays in its history. Raises Invalid."""
    act.require(permissions.EDIT, party)
    party = Party.objects.select_for_update().get(pk=party.pk)
    before = _content(party)
    party.name, party.uscc, party.division = clean_name(name), clean_uscc(uscc), clean_division(division)
    act.require(permissions.EDIT, party)
    if _content(party) == before:
        act.nothing_changed()
        return party
    _save(party)
    revise(party, act.record(party, _content(party)))
    return party


def _add_role(party: Party, kind: str, since: date, until: date | None) -> PartyRole:
    if kind not in RoleKind.values:
        raise invalid("kind", kind, sentences.sentence("role_kind", {"one_of": ", ".join(RoleKind.values)}))
    _check_dates(since, until)
    span = Q(until__isnull=True) | Q(until__gte=since)
    overlapping = PartyRole.objects.filter(span, kind=kind, **({"since__lte": until} if until else {}))
    if overlapping.filter(party=party).exists():
        raise invalid("since", since, _("the party holds this role at that time already"))
    if kind == RoleKind.CENTRE and overlapping.exists():
        raise invalid("kind", kind, _("another party is the service centre at that time"))
    return PartyRole.objects.create(party=party, kind=kind, since=since, until=until)


def _check_dates(since: date, until: date | None) -> None:
    if until is not None and until < since:
        raise invalid("until", until, _("ends before it starts"))


def _end(row: Dated, until: date) -> None:
    _check_dates(row.since, until)
    row.until = until
    row.save(update_fields=["until"])


@action("registry.role.add")
def add_role(act: Act, *, party: Party, kind: str, since: date | None = None, until: date | None = None) -> PartyRole:
    """A party becomes something, from `since` (default: today) to `until`. Raises Invalid when it already is."""
    act.require(permissions.EDIT, party)
    role = _add_role(party, kind, since or clock.today(), until)
    act.record(party, {"kind": kind, "since": role.since, "until": until})
    return role


@action("registry.role.end")
def end_role(act: Act, *, role: PartyRole, until: date) -> PartyRole:
    """A party stops being something; `until` is the last day."""
    act.require(permissions.EDIT, role.party)
    _end(role, until)
    act.record(role.party, {"kind": role.kind, "since": role.since, "until": until})
    return role


@action("registry.relation.add")
def relate(
    act: Act, *, holder: Party, held: Party, kind: str, source: str, share_bps: int | None = None,
    since: date | None = None, until: date | None = None,
) -> Relation:
    """`holder` owns `share_bps` of `held`, or controls it (no share). `source` says how it is known. Raises Invalid."""
    act.require(permissions.EDIT, held)
    since = since or clock.today()
    _check_dates(since, until)
    if kind not in RelationKind.values:
        raise invalid("kind", kind, sentences.sentence("one_of", {"one_of": ", ".join(RelationKind.values)}))
    if holder.pk == held.pk:
        raise invalid("held", held.name, _("a party cannot hold itself"))
    owned = share_bps is not None and 1 <= share_bps <= 10_000
    if not owned if kind == RelationKind.OWNERSHIP else share_bps is not None:
        raise invalid("share_bps", share_bps, _("ownership has a share from 0.01% to 100%, control has none"))
    if not source.strip():
        raise invalid("source", source, sentences.sentence("required"))
    same = Relation.objects.filter(Q(until__isnull=True) | Q(until__gte=since), holder=holder, held=held, kind=kind)
    if same.exists():
        raise invalid("since", since, _("this relation is entered already; end it first"))
    relation = Relation.objects.create(
        holder=holder, held=held, kind=kind, share_bps=share_bps, since=since, until=until, source=source.strip()
    )
    content = {"holder": holder, "kind": kind, "share_bps": share_bps, "since": since, "until": until}
    act.record(held, content | {"source": relation.source})
    return relation


@action("registry.relation.end")
def end_relation(act: Act, *, relation: Relation, until: date) -> Relation:
    """A relation ends; `until` is its last day."""
    act.require(permissions.EDIT, relation.held)
    _end(relation, until)
    act.record(relation.held, {"holder": relation.holder, "kind": relation.kind, "until": until})
    return relation


@action("registry.group.create")
def create_group(act: Act, *, code: str, name: str, kind: str, division: str | None = None) -> Group:
    """A cluster or a park. Raises Invalid when the code is taken."""
    act.require(permissions.EDIT, WHOLE)
    if kind not in GroupKind.values:
        raise invalid("kind", kind, sentences.sentence("one_of", {"one_of": ", ".join(GroupKind.values)}))
    if Group.objects.filter(code=code).exists():
        raise invalid("code", code, _("this code is taken"))
    group = Group.objects.create(code=code, name=clean_name(name), kind=kind, division=clean_division(division))
    act.record(group, {"code": code, "name": group.name, "kind": kind, "division": division})
    return group


@action("registry.group.join")
def join_group(act: Act, *, group: Group, party: Party, since: date | None = None) -> Membership:
    """A party joins a group from `since` (default: today). Raises Invalid when it is a member already."""
    act.require(permissions.EDIT, party)
    since = since or clock.today()
    if Membership.objects.filter(Q(until__isnull=True) | Q(until__gte=since), group=group, party=party).exists():
        raise invalid("since", since, _("the party is a member already"))
    membership = Membership.objects.create(group=group, party=party, since=since)
    act.record(party, {"group": group.code, "since": since})
    return membership


@action("registry.group.leave")
def leave_group(act: Act, *, membership: Membership, until: date) -> Membership:
    """A party leaves a group; `until` is its last day."""
    act.require(permissions.EDIT, membership.party)
    _end(membership, until)
    act.record(membership.party, {"group": membership.group.code, "until": until})
    return membership


# --- people -------------------------------------------------------------------------------------------------------


@action("registry.person.assign")
def assign_person(
    act: Act, *, party: Party, user: User, role: str, since: date | None = None, until: date | None = None
) -> Assignment:
    """A person acts for a party in a role. Raises Invalid when the party is not what the role needs."""
    act.require(base_actions.MANAGE_PEOPLE, party)
    found = Role.objects.filter(code=role).first()
    if found is None:
        raise invalid("role", role, _("no such role"))
    needed = roles.PARTY_KIND_OF_ROLE.get(role)
    if needed and not party.has_role(needed, since):
        rule = _("%(party)s is not registered as “%(kind)s”") % {"party": party, "kind": RoleKind(needed).label}
        raise invalid("role", role, rule)
    assignment = base_actions.assign(
        act.actor, user=user, role=found, scope=f"party:{party.pk}", since=since, until=until
    )
    act.record(party, {"person": user, "role": role, "since": assignment.since, "until": until})
    return assignment


@action("registry.person.invite")
def invite_person(
    act: Act, *, party: Party, username: str, name: str, password: str, role: str, email: str = "", phone: str = ""
) -> User:
    """Create a person who signs in and acts for a party from today on. Raises Invalid."""
    act.require(base_actions.MANAGE_PEOPLE, party)
    user = base_actions.create_user(
        act.actor, username=username, name=name, password=password, email=email, phone=phone
    )
    assign_person(act.actor, party=party, user=user, role=role)
    act.record(party, {"person": user, "role": role})
    return user


# --- facts --------------------------------------------------------------------------------------------------------

SOURCE_PERMISSIONS = {
    FactSource.SELF: permissions.DECLARE,
    FactSource.OFFICER: permissions.RECORD_FACT,
    FactSource.OFFICIAL: permissions.OFFICIAL_FACT,
    FactSource.TAX: permissions.OFFICIAL_FACT,
}


def stored_value(kind: FactType, value: int | str | bool | date | None) -> tuple[int | None, str | None]:
    """A fact's value as the columns (number, text). Raises Invalid when it is not of the type's kind, or absurd."""
    expected = {ValueKind.TEXT: str, ValueKind.DATE: date, ValueKind.BOOLEAN: bool}.get(ValueKind(kind.kind), int)
    if value is None:
        return None, None
    if type(value) is not expected:
        raise invalid(kind.code, value, _("must be: %(kind)s") % {"kind": ValueKind(kind.kind).label})
    try:
        plausible.check(kind, value, clock.today())
    except Rule as rule:
        raise invalid(kind.code, value, sentences.of_rule(rule)) from rule
    if isinstance(value, date):
        return None, value.isoformat()
    if isinstance(value, str):
        if not 0 < len(value) <= FACT_CHARACTERS_MAX or not value.isprintable():
            raise invalid(kind.code, value, sentences.sentence("text", {"max": FACT_CHARACTERS_MAX}))
        return None, value
    return int(value), None


@action("registry.fact.state")
def state_fact(
    act: Act, *, party: Party, code: str, value: int | str | bool | date | None, source: str, source_name: str = "",
    observed_on: date | None = None, period_start: date | None = None, period_end: date | None = None,
) -> Fact:
    """A source says something about a party; without a value it withdraws what it said. Nothing is overwritten.

    A decimal is given as an integer times 10^-places (an amount in yuan: in fen). `source_name` tells two registers of
    one rank apart; a party's own word has one source only. Raises Invalid.
    """
    if source not in FactSource.values:
        raise invalid("source", source, sentences.sentence("one_of", {"one_of": ", ".join(FactSource.values)}))
    act.require(SOURCE_PERMISSIONS[FactSource(source)], party)
    kind = FactType.objects.filter(code=code).first()
    if kind is None:
        raise invalid("code", code, _("no such kind of fact"))
    observed_on = observed_on or clock.today()
    if observed_on > clock.today():
        raise invalid("observed_on", observed_on, _("lies in the future"))
    if kind.periodic != (period_start is not None) or (period_start is None) != (period_end is None):
        raise invalid("period", period_start, _("this kind of fact is told for a period") if kind.periodic
                      else _("this kind of fact has no period"))
    if period_start and period_end:
        _check_dates(period_start, period_end)
    number, text = stored_value(kind, value)
    name = "" if source == FactSource.SELF else source_name.strip()
    content = {
        "source": source, "source_name": name[:100], "observed_on": observed_on,
        "period_start": period_start, "period_end": period_end, "number": number, "text": text,
    }
    record = act.record(party, {"fact": code} | content)
    return Fact.objects.create(party=party, type=kind, recorded_at=record.recorded_at, record=record, **content)


# --- publications -------------------------------------------------------------------------------------------------


@action("registry.publication.submit")
def submit_publication(act: Act, *, text: str) -> Publication:
    """Store a document as a draft for a second person. Raises Invalid naming field, value and rule."""
    act.require(permissions.SUBMIT)
    try:
        header, _value = publications.read(text)
    except terms.TermError as error:
        raise sentences.of_term(error) from error
    if Publication.objects.filter(kind=header.kind, identifier=header.id, digest=header.digest).exists():
        raise invalid("digest", header.digest, _("this very document is stored already"))
    publication = Publication.objects.create(
        kind=header.kind, identifier=header.id, title=header.title, authority=header.authority,
        document_number=header.document_number or "", text=text, digest=header.digest,
        effective_from=header.effective_from, effective_to=header.effective_to,
        submitted_by=act.actor.principal, submitted_at=act.at,
    )
    act.record(publication, {"kind": header.kind, "identifier": header.id, "digest": header.digest})
    return publication


def _locked(publication: Publication, *states: str) -> Publication:
    fresh = Publication.objects.select_for_update().get(pk=publication.pk)
    if fresh.state not in states:
        state = PublicationState(fresh.state).label
        raise Conflict(_("The publication is already: %(state)s") % {"state": state}, code="publication_state")
    return fresh


@action("registry.publication.review")
def review_publication(act: Act, *, publication: Publication, comment: str = "") -> Publication:
    """A second person has compared the document with its source. Raises Refused for the one who submitted it."""
    act.require(permissions.REVIEW)
    publication = _locked(publication, PublicationState.DRAFT)
    if publication.submitted_by == act.actor.principal:
        raise Refused(_("Who submitted a publication cannot review it."), code="second_person")
    publication.state = PublicationState.REVIEWED
    publication.reviewed_by, publication.reviewed_at = act.actor.principal, act.at
    publication.save()
    act.record(publication, {"digest": publication.digest, "comment": comment})
    return publication


@action("registry.publication.withdraw")
def withdraw_publication(act: Act, *, publication: Publication, reason: str) -> Publication:
    """Give up a document that is not in force yet."""
    act.require(permissions.REVIEW)
    publication = _locked(publication, PublicationState.DRAFT, PublicationState.REVIEWED)
    if not reason.strip():
        raise invalid("reason", reason, sentences.sentence("required"))
    publication.state = PublicationState.WITHDRAWN
    publication.save(update_fields=["state"])
    act.record(publication, {"digest": publication.digest, "reason": reason})
    return publication


@action("registry.publication.activate")
def activate_publication(act: Act, *, publication: Publication) -> Publication:
    """Put a reviewed document in force from its date on; it supersedes the text of the same identifier, and the one
    it names. Raises Refused when a later text is in force already."""
    act.require(permissions.ACTIVATE)
    publication = _locked(publication, PublicationState.REVIEWED)
    names = {publication.identifier, terms.parse(publication.text).supersedes or publication.identifier}
    standing = Publication.objects.select_for_update().filter(
        kind=publication.kind, identifier__in=names, state=PublicationState.IN_FORCE
    )
    older = list(standing.order_by("pk"))
    if any(old.effective_from > publication.effective_from for old in older):
        raise Refused(_("A text with a later date is in force already."), code="later_in_force")
    publication.state = PublicationState.IN_FORCE
    publication.activated_by, publication.activated_at = act.actor.principal, act.at
    publication.save()
    if publication.kind == rules.KIND:
        reference.add_fact_types(publication.loaded().fields.values())
    for old in older:
        old.state, old.superseded_by = PublicationState.SUPERSEDED, publication
        old.save(update_fields=["state", "superseded_by"])
    act.record(publication, {"digest": publication.digest, "supersedes": [old.digest for old in older]})
    return publication


# --- imports ------------------------------------------------------------------------------------------------------


def _office(act: Act, permission: str) -> str:
    """For whom the actor imports: everywhere, else the first scope in which they may."""
    scopes = act.actor.scopes(permission)
    return EVERYWHERE if EVERYWHERE in scopes else min(scopes)


@action("registry.import.stage")
def stage_import(act: Act, *, kind: str, filename: str, data: bytes) -> ImportBatch:
    """Keep the rows of a file, with its columns guessed. Nothing counts yet. Raises Invalid for an unreadable file."""
    found = imports.kind_of(kind)
    act.require(found.permission)
    try:
        text = intake.read(filename, data)
    except BadTable as error:
        raise sentences.of_table(error) from error
    office = _office(act, found.permission)
    remembered = ImportMapping.objects.filter(office=office, kind=kind).values_list("headers", flat=True).first() or {}
    batch = ImportBatch.objects.create(
        kind=kind, office=office, filename=filename[-200:], digest=canonical.plain(data), header=list(text.headers),
        mapping=imports.guess(found, text.headers, remembered), counts={"rows": len(text.numbers)},
        created_by=act.actor.principal, created_at=act.at,
    )
    rows = zip(text.numbers, *text.columns, strict=True)
    ImportRow.objects.bulk_create(
        (ImportRow(batch=batch, number=number, cells=cells) for number, *cells in rows), batch_size=imports.CHUNK
    )
    act.record(batch, {"kind": kind, "file": batch.digest, "rows": len(text.numbers)})
    return batch


def _open_batch(act: Act, batch: ImportBatch, *states: str) -> tuple[ImportBatch, ImportKind]:
    kind = imports.kind_of(batch.kind)
    act.require(kind.permission, batch)
    fresh = ImportBatch.objects.select_for_update().get(pk=batch.pk)
    if fresh.state not in states:
        state = BatchState(fresh.state).label
        raise Conflict(_("The import is already: %(state)s") % {"state": state}, code="import_state")
    return fresh, kind


@action("registry.import.check")
def check_import(act: Act, *, batch: ImportBatch, mapping: dict[str, str]) -> ImportBatch:
    """Read all rows with this mapping (header → column) and say what each would change. The office's mapping is
    remembered. Raises Invalid for a mapping that leaves a need open."""
    batch, kind = _open_batch(act, batch, BatchState.UPLOADED, BatchState.CHECKED)
    columns = imports.check_mapping(kind, batch.header, mapping)
    stored = list(batch.rows.all())
    rows = [imports.parse_row(row.number, dict(zip(batch.header, row.cells, strict=True)), columns) for row in stored]
    imports.compare(kind, rows)
    for kept, row in zip(stored, rows, strict=True):
        kept.values, kept.change, kept.before = row.values, row.change, row.before
        kept.problems = [asdict(problem) for problem in row.problems]
    ImportRow.objects.bulk_create(
        stored, batch_size=imports.CHUNK, update_conflicts=True, unique_fields=["batch", "number"],
        update_fields=["values", "change", "before", "problems"],
    )
    batch.mapping, batch.state = mapping, BatchState.CHECKED
    batch.counts = {"rows": len(rows), **Counter(row.change for row in rows)}
    batch.save(update_fields=["mapping", "state", "counts"])
    remembered, _created = ImportMapping.objects.get_or_create(office=batch.office, kind=batch.kind)
    remembered.headers |= {imports.header_key(header): code for header, code in mapping.items()}
    remembered.save(update_fields=["headers"])
    act.record(batch, {"mapping": mapping, "counts": batch.counts})
    return batch


@action("registry.import.activate")
def activate_import(act: Act, *, batch: ImportBatch) -> ImportBatch:
    """Write all rows that are new or changed, in one step or not at all. Raises Refused while a row is bad, and
    Conflict when the registry has moved since the check."""
    batch, kind = _open_batch(act, batch, BatchState.CHECKED)
    if bad := batch.counts.get(RowChange.BAD, 0):
        raise Refused(_("%(count)s rows cannot be taken: put them right first.") % {"count": bad}, code="bad_rows")
    stored = list(batch.rows.all())
    rows = [imports.Row(row.number, dict(row.values)) for row in stored]
    imports.compare(kind, rows)
    if any((row.change, row.before) != (kept.change, kept.before) for row, kept in zip(rows, stored, strict=True)):
        raise Conflict(_("The registry has changed since this file was checked: check it again."), code="moved_on")
    effective = [row for row in rows if row.change != RowChange.SAME]
    batch.state, batch.activated_at = BatchState.ACTIVATED, act.at
    batch.save(update_fields=["state", "activated_at"])
    content = [[row.number, row.values] for row in effective]
    record = act.record(batch, {"counts": batch.counts, "content": canonical.digest(content)})
    try:
        with transaction.atomic():
            kind.apply(act, record, effective)
    except IntegrityError as error:
        raise Conflict(_("The registry has changed since this file was checked: check it again.")) from error
    return batch


@action("registry.import.discard")
def discard_import(act: Act, *, batch: ImportBatch) -> ImportBatch:
    """Give up a staged file: its rows are deleted, that it was there stays on record."""
    batch, _kind = _open_batch(act, batch, BatchState.UPLOADED, BatchState.CHECKED)
    batch.rows.all().delete()
    batch.state = BatchState.DISCARDED
    batch.save(update_fields=["state"])
    act.record(batch, {"file": batch.digest})
    return batch
