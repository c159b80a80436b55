"""Packs as published documents: which there are, what each says, what it replaced, and what ends or opens when."""

import calendar
import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing
from huoshui.base.models import User
from huoshui.cases.todo import Todo
from huoshui.policy import pack_words
from huoshui.policy.models import Notice, PackComparison, PackDraft
from huoshui.policy.permissions import AUTHOR, OVERSEE
from huoshui.registry import queries as registry
from huoshui.registry.models import Publication, PublicationState
from huoshui.rules import KIND, Pack
from huoshui.rules import words as rule_words

AHEAD_MONTHS: Final = 12
"""How far the calendar looks ahead; what ends later is named beneath."""
ANCESTORS_MAX: Final = 20


def publications(actor: Actor) -> QuerySet[Publication]:
    """The packs that the actor may read: what was ever in force is open to anyone."""
    return registry.publications(actor).filter(kind=KIND).order_by("-effective_from", "-id")


def publication(actor: Actor, identifier: str, pk: int | None = None) -> Publication:
    """One text of a pack: the given one, else the one in force, else the newest. Raises Missing."""
    found = publications(actor).defer(None).filter(identifier=identifier)
    if pk is not None:
        chosen = found.filter(pk=pk).first()
    else:
        in_force = registry.publications_in_force(KIND).filter(identifier=identifier).last()
        chosen = in_force or found.exclude(state=PublicationState.WITHDRAWN).first()
    if chosen is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return chosen


@dataclass(frozen=True)
class Listed:
    """A pack in a list: its newest text and what people look for."""

    publication: Publication
    pack: Pack
    ends_soon: bool

    @property
    def benefit(self) -> str:
        """The kind of its benefit in words."""
        found = self.pack.benefit
        return rule_words.pick(rule_words.BENEFITS[found.kind], pack_words.language()) if found else ""


def listed(actor: Actor) -> dict[str, list[Listed]]:
    """All packs by how they stand today: in_force, coming, waiting (for review), past. The newest text of each state
    of an identifier."""
    today, groups = clock.today(), dict[str, list[Listed]]()
    in_force = {row.pk for row in registry.publications_in_force(KIND)}
    for row in publications(actor).defer(None):
        if row.state == PublicationState.WITHDRAWN:
            continue
        if row.pk in in_force:
            group = "in_force"
        elif row.activated_at is None:
            group = "waiting"
        else:
            group = "coming" if row.effective_from > today else "past"
        groups.setdefault(group, []).append(Listed(row, row.loaded(), _ends_soon(row, today)))
    return groups


def _ends_soon(row: Publication, today: dt.date) -> bool:
    return row.effective_to is not None and today <= row.effective_to <= ahead(today)


def ahead(today: dt.date) -> dt.date:
    """The last day of the calendar's view: the end of the month AHEAD_MONTHS on."""
    month = today.month - 1 + AHEAD_MONTHS
    year, month = today.year + month // 12, month % 12 + 1
    return dt.date(year, month, calendar.monthrange(year, month)[1])


def history(actor: Actor, identifier: str) -> list[Publication]:
    """Every text under an identifier, newest first."""
    return list(publications(actor).filter(identifier=identifier).exclude(state=PublicationState.WITHDRAWN))


def known_publications() -> list[Publication]:
    """What another pack may name: the newest text of each identifier that was not withdrawn."""
    rows = Publication.objects.filter(kind=KIND).exclude(state=PublicationState.WITHDRAWN)
    return list({row.identifier: row for row in rows.order_by("effective_from", "pk")}.values())


def known() -> dict[str, Pack]:
    """The packs of `known_publications`, by id."""
    return {row.identifier: row.loaded() for row in known_publications()}


def predecessor(found: Publication) -> Publication | None:
    """The text that this one replaces or would replace: by the registry's link, else by the name it gives, else the
    earlier text of the same identifier."""
    linked = Publication.objects.filter(superseded_by=found).order_by("-effective_from").first()
    if linked is not None:
        return linked
    named = found.loaded().header.supersedes
    earlier = Publication.objects.filter(kind=KIND, activated_at__isnull=False).exclude(pk=found.pk)
    by_name = earlier.filter(identifier=named).order_by("-effective_from").first() if named else None
    same = earlier.filter(identifier=found.identifier, effective_from__lte=found.effective_from)
    return by_name or same.order_by("-effective_from", "-pk").first()


def ancestors(found: Publication) -> list[Publication]:
    """What a text replaced, and what that replaced, back to the first; at most ANCESTORS_MAX."""
    listed: list[Publication] = []
    while len(listed) < ANCESTORS_MAX:
        before = predecessor(listed[-1] if listed else found)
        if before is None or before == found or before in listed:
            break
        listed.append(before)
    return listed


def comparison(old: Publication, new: Publication) -> PackComparison | None:
    """The newest finished comparison of two texts."""
    return PackComparison.objects.filter(old=old, new=new, finished_at__isnull=False).order_by("-on").first()


# --- drafts and notices -------------------------------------------------------------------------------------------


def drafts(actor: Actor) -> QuerySet[PackDraft]:
    """Drafts that are not discarded, last changed first; only for those who write or oversee."""
    if not (actor.can(AUTHOR) or actor.can(OVERSEE)):
        return PackDraft.objects.none()
    return PackDraft.objects.filter(discarded_at=None).select_related("notice", "publication").order_by("-changed_at")


def draft(actor: Actor, pk: int) -> PackDraft:
    """One draft. Raises Missing."""
    found = drafts(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def names(principals: Iterable[str]) -> dict[str, str]:
    """The names of people by what the log calls them."""
    keys = [int(each.removeprefix("user:")) for each in set(principals) if each.startswith("user:")]
    return {f"user:{user.pk}": str(user) for user in User.objects.filter(pk__in=keys)}


def notice(pk: int) -> Notice:
    """One notice. Raises Missing."""
    found = Notice.objects.filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


# --- the calendar -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Date:
    """Something that happens to a pack on a day. `code`: begins, ends, opens, closes, transition."""

    on: dt.date
    code: str
    pack: Pack
    text: str
    level: str

    @property
    def url(self) -> str:
        return reverse("policy:pack", args=[self.pack.id])


@dataclass(frozen=True)
class Month:
    """A month of the calendar with its dates."""

    first: dt.date
    dates: tuple[Date, ...]


def dates(on: dt.date) -> list[Date]:
    """Every date of the packs in force or to come, from `on`, in order."""
    coming = Publication.objects.filter(kind=KIND, activated_at__isnull=False, superseded_by=None)
    rows = {row.pk: row for row in [*registry.publications_in_force(KIND, on), *coming.filter(effective_from__gt=on)]}
    found = [date for row in rows.values() for date in _dates_of(row.loaded()) if date.on >= on]
    return sorted(found, key=lambda date: (date.on, date.pack.id))


def _dates_of(pack: Pack) -> Iterator[Date]:
    header = pack.header
    yield Date(header.effective_from, "begins", pack, _("comes into force"), "info")
    if header.effective_to:
        yield Date(header.effective_to, "ends", pack, _("ends"), "bad")
    for window in pack.windows:
        yield Date(window.first, "opens", pack, _("applications open: %(text)s") % {"text": window.text}, "good")
        if window.last:
            text = _("applications close: %(text)s") % {"text": window.text}
            yield Date(window.last, "closes", pack, text, "watch")
    for transition in pack.transitions:
        if transition.until:
            text = _("transition ends: %(text)s") % {"text": transition.title}
            yield Date(transition.until, "transition", pack, text, "watch")


def successors_due(actor: Actor) -> Iterator[Todo]:
    """Packs that end within the year ahead and have no successor yet, for those who write packs."""
    if not actor.can(AUTHOR):
        return
    today = clock.today()
    for date in dates(today):
        if date.code == "ends" and date.on <= ahead(today):
            title = _("“%(title)s” ends: prepare what follows") % {"title": date.pack.header.title}
            yield Todo(title, date.url, date.on)


def months(found: list[Date], on: dt.date) -> tuple[Month, ...]:
    """The dates of the months ahead, month by month; months without a date are left out."""
    last, by_month = ahead(on), dict[dt.date, list[Date]]()
    for date in found:
        if date.on <= last:
            by_month.setdefault(date.on.replace(day=1), []).append(date)
    return tuple(Month(first, tuple(listed)) for first, listed in by_month.items())


def cliffs(found: list[Date]) -> list[tuple[dt.date, list[Date]]]:
    """Days on which several packs end at once."""
    by_day = dict[dt.date, list[Date]]()
    for date in found:
        if date.code == "ends":
            by_day.setdefault(date.on, []).append(date)
    return [(day, listed) for day, listed in by_day.items() if len(listed) > 1]
