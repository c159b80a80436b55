"""Reads of the registry that more than one face or module needs."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from django.db.models import Count, Prefetch, Q, QuerySet
from django.utils.translation import gettext as _

from huoshui import terms
from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.base.models import Assignment
from huoshui.registry import permissions, uscc, view
from huoshui.registry.consents import named_by
from huoshui.registry.models import (
    Consent,
    Division,
    FactType,
    Group,
    ImportBatch,
    Membership,
    Party,
    PartyRole,
    Publication,
    PublicationState,
    Relation,
    RelationKind,
    RoleKind,
    ValueKind,
    on_day,
)
from huoshui.registry.precedence import Statement, Value, weigh
from huoshui.registry.scopes import division_prefix

RELATED_SHARE_BPS_MIN = 2_500
"""A quarter of the shares makes two parties related (税务总局公告2016年第42号, article 2); control always does."""
RELATED_PARTIES_MAX = 10_000


def centre() -> Party:
    """The party that runs the platform. Raises Missing before one is set."""
    role = PartyRole.objects.filter(on_day(clock.today()), kind=RoleKind.CENTRE).select_related("party").first()
    if role is None:
        raise Missing(_("No party holds the role of the service centre."))
    return role.party


def parties_of(actor: Actor, permission: str) -> QuerySet[Party]:
    """The parties for which the actor holds the permission."""
    return access.visible(Party.objects.all(), actor, permission)


def parties(
    actor: Actor, *, text: str = "", role: str = "", division: str = "", group: str = ""
) -> QuerySet[Party]:
    """The parties that the actor may see, by name. `text` is a part of the name or the beginning of a USCC."""
    found = parties_of(actor, permissions.READ).select_related("division")
    today = clock.today()
    if text := text.strip():
        found = found.filter(Q(name__icontains=text) | Q(uscc__startswith=uscc.normal(text)))
    if role:
        found = found.filter(pk__in=PartyRole.objects.filter(on_day(today), kind=role).values("party"))
    if division:
        found = found.filter(division__code__startswith=division_prefix(division))
    if group:
        found = found.filter(pk__in=Membership.objects.filter(on_day(today), group__code=group).values("party"))
    roles_now = PartyRole.objects.filter(on_day(today)).order_by("kind")
    return found.prefetch_related(Prefetch("roles", roles_now, "roles_now")).order_by("name", "id")


def party(actor: Actor, pk: int) -> Party:
    """One party. Raises Missing when it does not exist or is not the actor's to see."""
    return access.get_visible(Party.objects.select_related("division"), actor, permissions.READ, pk=pk)


def related(party: Party, on: date | None = None) -> set[int]:
    """Keys of the parties related to this one, without itself: ownership or control, either direction, transitive."""
    links = Relation.objects.filter(on_day(on or clock.today())).filter(
        Q(kind=RelationKind.CONTROL) | Q(share_bps__gte=RELATED_SHARE_BPS_MIN)
    )
    known, frontier = {party.pk}, {party.pk}
    while frontier and len(known) < RELATED_PARTIES_MAX:
        pairs = links.filter(Q(holder__in=frontier) | Q(held__in=frontier)).values_list("holder", "held")
        frontier = {key for pair in pairs for key in pair} - known
        known |= frontier
    return known - {party.pk}


@dataclass(frozen=True)
class Tie:
    """A relation as the page of one side tells it."""

    relation: Relation
    other: Party
    holds: bool


def ties(party: Party, on: date | None = None) -> list[Tie]:
    """Who holds the party and whom it holds on a day (default: today)."""
    rows = Relation.objects.filter(on_day(on or clock.today())).filter(Q(holder=party) | Q(held=party))
    return [
        Tie(row, row.held if row.holder_id == party.pk else row.holder, row.holder_id == party.pk)
        for row in rows.select_related("holder", "held").order_by("since", "id")
    ]


def groups() -> QuerySet[Group]:
    """Clusters and parks with `members`, the number of their members today."""
    today = clock.today()
    now = Q(memberships__since__lte=today) & (
        Q(memberships__until__isnull=True) | Q(memberships__until__gte=today)
    )
    return Group.objects.select_related("division").annotate(members=Count("memberships", filter=now))


def people_of(party: Party) -> QuerySet[Assignment]:
    """Who acts for a party today."""
    return (
        Assignment.objects.filter(on_day(clock.today()), scope=f"party:{party.pk}")
        .select_related("user", "role").order_by("role", "user__name")
    )


# --- facts --------------------------------------------------------------------------------------------------------

Periods = Mapping[tuple[date | None, date | None], list[Statement]]
"""What was said of one thing: by period (None, None where it has none)."""


@dataclass(frozen=True)
class FactValue:
    """What is known of one thing. `state` is known, missing (nobody says) or conflict (equal rank, other value).

    `value` is None unless the state is known; a decimal is an integer times 10^-places. Of a fact that is told for
    periods, it is the value of the latest.
    """

    type: FactType
    state: str
    value: Value | None
    period_start: date | None
    period_end: date | None
    statements: tuple[Statement, ...]


def fact(party: Party, code: str, as_of: date | None = None) -> FactValue:
    """The value of a fact as of a day (default: today), by precedence. Raises FactType.DoesNotExist."""
    kind = FactType.objects.get(code=code)
    said = view.statements(party, as_of or clock.today())
    return _latest(kind, {(start, end): told for (found, start, end), told in said.items() if found == code})


def is_date_fact(code: str) -> bool:
    """Whether the values of a kind of fact are dates."""
    return FactType.objects.filter(code=code, kind=ValueKind.DATE).exists()


def facts(party: Party, as_of: date | None = None) -> list[FactValue]:
    """Everything that is said of a party as of a day, by code, with all sources side by side."""
    by_code: dict[str, dict[tuple[date | None, date | None], list[Statement]]] = defaultdict(dict)
    for (code, start, end), told in view.statements(party, as_of or clock.today()).items():
        by_code[code][start, end] = told
    kinds = FactType.objects.filter(code__in=by_code).order_by("code")
    return [_latest(kind, by_code[kind.code]) for kind in kinds]


def _latest(kind: FactType, periods: Periods) -> FactValue:
    """The latest period of which anything stands; of two that end together the longer."""
    for start, end in sorted(periods, key=_lateness, reverse=True):
        weighed = weigh(periods[start, end])
        if weighed.statements:
            return FactValue(kind, weighed.state, weighed.value, start, end, weighed.statements)
    return FactValue(kind, "missing", None, None, None, ())


def _lateness(period: tuple[date | None, date | None]) -> tuple[date, int]:
    start, end = period
    return (date.min, 0) if start is None or end is None else (end, (end - start).days)


# --- consents -----------------------------------------------------------------------------------------------------


def consents(actor: Actor, party: Party) -> list[Consent]:
    """What the party has agreed to, the newest first. Raises Missing for a party that is not the actor's to see."""
    access.get_visible(Party.objects.all(), actor, permissions.READ, pk=party.pk)
    return list(Consent.objects.filter(party=party).select_related("recipient").order_by("-pk"))


def consent(actor: Actor, pk: int) -> Consent:
    """One consent. Raises Missing."""
    return access.get_visible(Consent.objects.select_related("party", "recipient"), actor, permissions.READ, pk=pk)


def recipient(pk: int) -> Party:
    """The party with a key, whoever asks: one may share with a party that one may not look into. Raises Missing."""
    found = Party.objects.filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def consented(
    party: Party, recipient: Party | str, codes: Iterable[str], on: date | None = None, purpose: str = ""
) -> bool:
    """Whether the party agreed that all these facts are shared with the recipient (a party, or the words under which
    others were named) on a day (default: today), for this purpose where one is given."""
    to = Q(recipient_name=recipient) if isinstance(recipient, str) else Q(recipient=recipient)
    given = Consent.objects.filter(to, on_day(on or clock.today()), party=party)
    if purpose:
        given = given.filter(purpose=purpose)
    left = set(codes)
    for row in given.exclude(withdrawn_at__lt=clock.day_start((on or clock.today()) + timedelta(1))):
        covered = named_by(row)
        left = set() if covered is None else left - covered
        if not left:
            return True
    return False


# --- publications -------------------------------------------------------------------------------------------------


def publications_in_force(kind: str, on: date | None = None) -> QuerySet[Publication]:
    """All documents of a kind in force on a day (default: today), by identifier, the newest text of each last.

    A superseded document stays in force until the day before its successor's first.
    """
    day = on or clock.today()
    return Publication.objects.filter(
        Q(effective_to__isnull=True) | Q(effective_to__gte=day),
        Q(superseded_by__isnull=True) | Q(superseded_by__effective_from__gt=day),
        kind=kind, effective_from__lte=day, activated_at__isnull=False,
    ).order_by("identifier", "effective_from", "id")


def publication_in_force(kind: str, identifier: str, on: date | None = None) -> Publication:
    """The document in force on a day (default: today), followed to its successor under another identifier.

    Raises Missing when there is none.
    """
    day = on or clock.today()
    wanted, seen = identifier, set[str]()
    while wanted not in seen:
        seen.add(wanted)
        if found := publications_in_force(kind, day).filter(identifier=wanted).last():
            return found
        replaced = Publication.objects.filter(
            kind=kind, identifier=wanted, superseded_by__effective_from__lte=day
        ).exclude(superseded_by__identifier=wanted)
        wanted = replaced.values_list("superseded_by__identifier", flat=True).last() or wanted
    raise Missing(
        _("No publication “%(identifier)s” (%(kind)s) is in force on %(day)s.")
        % {"identifier": identifier, "kind": kind, "day": day}
    )


DRAFTS = (PublicationState.DRAFT, PublicationState.REVIEWED, PublicationState.WITHDRAWN)


def publications(actor: Actor) -> QuerySet[Publication]:
    """Documents that were ever in force, which anyone may read; drafts for those who work on them."""
    found = Publication.objects.select_related("superseded_by").defer("text").order_by("kind", "identifier", "-id")
    works = (permissions.SUBMIT, permissions.REVIEW, permissions.ACTIVATE)
    return found if any(actor.can(permission) for permission in works) else found.exclude(state__in=DRAFTS)


def publication(actor: Actor, pk: int) -> Publication:
    """One document. Raises Missing."""
    found = publications(actor).defer(None).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


# --- imports ------------------------------------------------------------------------------------------------------


def batches(actor: Actor) -> QuerySet[ImportBatch]:
    """The imports of the actor's office, newest first."""
    return access.visible(ImportBatch.objects.all(), actor, permissions.IMPORT).order_by("-id")


def batch(actor: Actor, pk: int) -> ImportBatch:
    """One import. Raises Missing."""
    return access.get_visible(ImportBatch.objects.all(), actor, permissions.IMPORT, pk=pk)


def earlier(batch: ImportBatch) -> ImportBatch | None:
    """The last import of the very same file that was activated, if any."""
    same = ImportBatch.objects.filter(kind=batch.kind, digest=batch.digest, activated_at__isnull=False)
    return same.exclude(pk=batch.pk).order_by("-id").first()


def calendar() -> terms.Calendar:
    """All working-day calendars ever put in force, joined: periods cross years. Of two for a year the later counts."""
    activated = Publication.objects.filter(kind="calendar", activated_at__isnull=False)
    years = (row.loaded() for row in activated.order_by("effective_from", "id"))
    return terms.Calendar.of({year.year: year for year in years}.values())


def divisions() -> QuerySet[Division]:
    """All divisions, by code."""
    return Division.objects.all()
