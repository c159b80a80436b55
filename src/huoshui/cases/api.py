"""REST routes of cases, under /api/cases/."""

from datetime import date, datetime

from django.http import HttpRequest
from django.utils.translation import gettext as _
from ninja import Query, Router, Schema
from pydantic import Field

from huoshui.base.access import get_visible
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.base.errors import invalid
from huoshui.base.models import User
from huoshui.cases import actions, queries, todo
from huoshui.cases.clocks import CaseClock
from huoshui.cases.machine import Kind, Status
from huoshui.cases.models import TEXT_MAX, TITLE_MAX, Case, CaseEvent
from huoshui.registry.models import Party

router = Router(tags=["cases"])


class TypeOut(Schema):
    """A case type: what the centre promises (`target_days`) and what the rule in `source` allows (`legal_days`)."""

    code: str
    title: str
    source: str
    target_days: int
    legal_days: int
    extension_days: int
    working_days: bool
    call_back: bool

    @staticmethod
    def resolve_title(row: object) -> str:
        return str(getattr(row, "title"))  # noqa: B009

    @staticmethod
    def resolve_source(row: object) -> str:
        return str(getattr(row, "source"))  # noqa: B009


class CaseOut(Schema):
    """A case. Due dates are local dates (Asia/Shanghai), null while the case waits for the applicant."""

    id: int
    number: str
    kind: str
    party: int = Field(alias="party_id")
    subject: str
    title: str
    opened_at: datetime
    status: Status
    handler: int | None = Field(None, alias="handler_id")
    supervised: bool
    target_due: date | None
    legal_due: date | None
    late: bool
    overdue: bool


class EventOut(Schema):
    """One event of a case. `days` is what an extension granted; `satisfied` the answer of a call-back."""

    id: int
    sequence: int
    kind: Kind
    at: datetime
    text: str
    days: int | None
    satisfied: bool | None
    assignee: int | None = Field(None, alias="assignee_id")
    copied_to: int | None = Field(None, alias="copied_to_id")
    shared: bool
    log_record: int = Field(alias="record_id")


class ClockOut(Schema):
    """The clock, derived from the events. Days are working days or calendar days, as the type says."""

    state: str
    start: date
    target_due: date | None
    legal_due: date | None
    days_used: int
    days_paused: int
    days_left: int
    days_allowed: int
    extension_used: bool
    met: bool | None
    unconfirmed_years: list[int]


class CaseDetail(CaseOut):
    """A case with its clock, the events that the caller may see, and what the caller may do now."""

    clock: ClockOut
    events: list[EventOut]
    possible: list[Kind]


class OpenIn(Schema):
    """A new case. `subject` names the object it is about, as `app.model:id`."""

    kind: str = Field(max_length=50)
    party: Id
    title: str = Field(min_length=1, max_length=TITLE_MAX)
    body: str = Field("", max_length=TEXT_MAX)
    subject: str = Field("", max_length=80)


class EventIn(Schema):
    """What happens. Which fields are needed depends on `event`."""

    event: Kind
    text: str = Field("", max_length=TEXT_MAX)
    days: int | None = Field(None, ge=1, le=365)
    satisfied: bool | None = None
    assignee: Id | None = None
    copied_to: Id | None = None
    shared: bool = True


class Filters(Paging):
    """Which cases."""

    status: str = Field("", max_length=10)
    kind: str = Field("", max_length=50)
    due: str = Field("", max_length=10, description="late or overdue")
    mine: bool = False
    text: str = Field("", max_length=100)


class TodoOut(Schema):
    """Something that waits for the caller."""

    title: str
    url: str
    due: date | None
    overdue: bool
    kind: str


@router.get("/types/", response=list[TypeOut])
def case_types(request: HttpRequest) -> list[object]:
    """The case types that the caller may open."""
    return list(queries.types_to_open(actor(request)))


@router.get("/to-do/", response=list[TodoOut])
def to_do(request: HttpRequest) -> list[todo.Todo]:
    """What waits for the caller, the most urgent first."""
    return todo.for_actor(actor(request))


@router.get("/", response=Page[CaseOut])
def case_list(request: HttpRequest, filters: Query[Filters]) -> Cut:
    """The cases that the caller may see, newest first."""
    wanted = filters.dict(exclude={"limit", "after"})
    return cut(queries.search(actor(request), **wanted), filters)


@router.post("/", response=CaseOut)
def open_case(request: HttpRequest, content: OpenIn) -> Case:
    """Open a case for one's own party (or, as an officer, for any)."""
    case_type = queries.type_to_open(actor(request), content.kind)
    party = get_visible(Party.objects.all(), actor(request), case_type.open_permission, pk=content.party)
    named = content.dict(exclude={"party"})
    return actions.open_case(actor(request), key=key(request), party=party, **named)


@router.get("/{pk}/", response=CaseDetail)
def case_detail(request: HttpRequest, pk: Id) -> dict[str, object]:
    """One case with clock and events."""
    case = queries.case(actor(request), pk)
    clock: CaseClock = queries.clock_of(case)
    detail = CaseOut.from_orm(case).dict(by_alias=True)
    return detail | {
        "clock": clock,
        "events": queries.events(actor(request), case),
        "possible": queries.possible_events(actor(request), case),
    }


@router.post("/{pk}/events/", response=EventOut)
def add_event(request: HttpRequest, pk: Id, content: EventIn) -> CaseEvent:
    """Let something happen to a case."""
    case = queries.case(actor(request), pk)
    named = content.dict(exclude={"assignee", "copied_to"})
    return actions.add_event(
        actor(request), key=key(request), case=case, **named,
        assignee=_row(User, "assignee", content.assignee), copied_to=_row(Party, "copied_to", content.copied_to),
    )


def _row(model: type[User] | type[Party], field: str, pk: int | None) -> User | Party | None:
    found = model.objects.filter(pk=pk).first() if pk is not None else None
    if pk is not None and found is None:
        raise invalid(field, pk, _("no such row"))
    return found
