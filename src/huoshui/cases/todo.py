"""What waits for the signed-in person (我的待办), from every module.

    todo.register("compute.publish", source)       # source(actor) -> Iterable[Todo]

A source looks for itself whether the actor may do the thing. It yields at most TODO_PER_SOURCE_MAX items; the page
shows the most urgent first: what is due, then by weight.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice

from django.db.models import F
from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.cases import queries
from huoshui.cases.machine import Status
from huoshui.cases.models import Case
from huoshui.cases.permissions import HANDLE, OPEN, READ
from huoshui.registry import permissions as registry
from huoshui.registry.models import Publication, PublicationState

TODO_PER_SOURCE_MAX = 50


@dataclass(frozen=True)
class Todo:
    """One thing to do. `due` is a local date, None when nobody waits for a date; a higher `weight` comes first."""

    title: str
    url: str
    due: date | None = None
    weight: int = 0
    kind: str = ""

    @property
    def overdue(self) -> bool:
        return self.due is not None and self.due < clock.today()


Source = Callable[[Actor], Iterable[Todo]]
_sources: dict[str, Source] = {}


def register(code: str, source: Source) -> None:
    """Add a source (called once, from apps.py)."""
    _sources[code] = source


def for_actor(actor: Actor) -> list[Todo]:
    """Everything that waits for the actor, the most urgent first."""
    if actor.user is None:
        return []
    found = [item for source in _sources.values() for item in islice(source(actor), TODO_PER_SOURCE_MAX)]
    return sorted(found, key=lambda item: (item.due or date.max, -item.weight, item.title))


def _cases(actor: Actor, **condition: object) -> Iterable[Case]:
    rows = queries.cases(actor).filter(**condition).order_by(F("legal_due").asc(nulls_last=True), "id")
    return rows[:TODO_PER_SOURCE_MAX]


def _item(case: Case, sentence: str, kind: str, due: date | None, weight: int = 0) -> Todo:
    title = sentence % {"number": case.number, "title": case.title, "party": case.party.name}
    return Todo(title, reverse("cases:case", args=[case.pk]), due, weight, kind)


def cases_to_handle(actor: Actor) -> Iterator[Todo]:
    """One's own cases, and for who handles cases those that nobody has taken."""
    if not actor.can(READ):
        return
    for case in _cases(actor, handler=actor.user, status__in=[Status.OPEN, Status.ASSIGNED, Status.ACCEPTED]):
        sentence = _("Supervised, handle: %(title)s") if case.supervised else _("Handle: %(title)s")
        yield _item(case, sentence, _("case"), case.target_due, weight=2 if case.supervised else 1)
    if actor.can(HANDLE):
        for case in _cases(actor, handler=None, status=Status.OPEN):
            yield _item(case, _("Take or assign: %(title)s (%(party)s)"), _("case"), case.target_due)


def questions_to_answer(actor: Actor) -> Iterator[Todo]:
    """Cases of one's own party that wait for its answer, or for its word on the result."""
    parties = [scope for scope in actor.scopes(OPEN) if scope.startswith("party:")]
    if not parties or not actor.can(READ):
        return
    own = {"party_id__in": [int(scope.partition(":")[2]) for scope in parties]}
    for case in _cases(actor, status=Status.PAUSED, **own):
        yield _item(case, _("Answer the centre's question: %(title)s"), _("case"), None, weight=3)
    for case in _cases(actor, status=Status.RESOLVED, **own):
        yield _item(case, _("Say whether this is solved: %(title)s"), _("call-back"), None)


def call_backs(actor: Actor) -> Iterator[Todo]:
    """Resolved cases of other handlers whose applicant has not been asked yet."""
    if not actor.can(HANDLE):
        return
    for case in _cases(actor, status=Status.RESOLVED):
        if case.type.call_back and case.handler != actor.user and actor.can(case.type.handle_permission, case.party):
            yield _item(case, _("Call back %(party)s: %(title)s"), _("call-back"), None)


def publications_to_review(actor: Actor) -> Iterator[Todo]:
    """Publications that wait for a second person."""
    if not actor.can(registry.REVIEW):
        return
    waiting = Publication.objects.filter(state=PublicationState.DRAFT).exclude(submitted_by=actor.principal)
    for publication in waiting.order_by("effective_from", "id")[:TODO_PER_SOURCE_MAX]:
        yield Todo(
            _("Review the publication: %(title)s") % {"title": publication.title},
            reverse("registry:publication", args=[publication.pk]),
            publication.effective_from, 1, _("publication"),
        )
