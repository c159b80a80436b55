"""Delivered card-time 交付: operators report it, by hand or by file; once all is known, the statement is issued."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import F, Max, Min
from django.utils.translation import gettext as _

from huoshui.base import clock, intake
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, Refused
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import Statement
from huoshui.book.services import LineDraft
from huoshui.clearing.tables import BadTable, Column, hour, parse, words
from huoshui.compute import accounts, schedules, settle
from huoshui.compute.actions.deposits import hour_text
from huoshui.compute.budgets import payer_of, subject_of
from huoshui.compute.models import Allocation, Delivery, Request, Run
from huoshui.compute.permissions import DELIVER, SETTLE
from huoshui.compute.problems import terms_of
from huoshui.registry import sentences
from huoshui.registry.models import Party
from huoshui.terms.round_terms import RoundTerms
from huoshui.terms.rounding import MILLI

DESK = "compute"
ROWS_MAX = 20_000
EVIDENCE_LENGTH = 64
SETTLED_PER_RUN_MAX = 10_000


@dataclass(frozen=True)
class Row:
    """A row of a delivery file: what ran for a request over [start_hour, end_hour). `line`: row of the file, if any."""

    line: int | None
    request: str
    start_hour: int
    end_hour: int
    milli_card_hours: int
    evidence: str = ""


COLUMNS: Sequence[Column] = (
    Column("request", "申请编号", words(20), "R000012"),
    Column("start", "开始", hour, "2026-12-07 08:00"),
    Column("end", "结束", hour, "2026-12-07 12:00"),
    Column("card_hours", "卡时", lambda text: intake.decimal(text, 3), "31.5"),
    Column("evidence", "凭证摘要", words(EVIDENCE_LENGTH), "SHA-256", required=False, default=""),
)


def read_file(name: str, data: bytes) -> list[Row]:
    """The rows of a delivery file (CSV, XLSX). Raises Invalid with every fault by row, field, value and rule."""
    try:
        parsed = parse(intake.read(name, data), COLUMNS)
    except BadTable as error:
        raise sentences.of_table(error) from None
    cells = zip(*(parsed.values[column.name] for column in COLUMNS), strict=True)
    return [Row(line, *row) for line, row in zip(parsed.numbers, cells, strict=True)]


@action("compute.delivery.report")
def report_delivery(
    act: Act, *, allocation: Allocation, start_hour: int, end_hour: int, milli_card_hours: int, evidence: str = ""
) -> Delivery:
    """Say what ran over [start_hour, end_hour): within one run, past, not reported before, at most what was given.

    `evidence` is a SHA-256 digest of the operator's own record. Raises Invalid.
    """
    allocation = lock(allocation)
    runs = list(schedules.runs_of(allocation))
    pools = [run.pool for run in runs if run.start_hour <= start_hour < run.end_hour]
    act.require(DELIVER, pools[0] if pools else allocation.pool)
    row = Row(None, allocation.request.number, start_hour, end_hour, milli_card_hours, evidence)
    if problems := _problems(act, allocation, runs, [row]):
        raise Invalid(*problems)
    return _store(act, allocation, [row])[0]


@action("compute.delivery.import")
def import_deliveries(act: Act, *, operator: Party, rows: Sequence[Row]) -> int:
    """Take in the reports of an operator's file: all or none. Returns how many were taken in.

    Raises Invalid with every fault of every row.
    """
    act.require(DELIVER, operator)
    if not 0 < len(rows) <= ROWS_MAX:
        raise Invalid(Problem("rows", str(len(rows)), _("between 1 and %(max)s") % {"max": ROWS_MAX}))
    allocations = _allocations_of(operator, {row.request for row in rows})
    problems: list[Problem] = []
    for row in rows:
        if row.request not in allocations:
            problems.append(Problem("request", row.request, _("has no open allocation at your sites"), row.line))
    for number, allocation in allocations.items():
        runs = [run for run in schedules.runs_of(allocation) if run.pool.site.operator_id == operator.pk]
        problems += _problems(act, allocation, runs, [row for row in rows if row.request == number])
    if problems:
        raise Invalid(*sorted(problems, key=lambda problem: (problem.row or 0, problem.field)))
    for number, allocation in allocations.items():
        _store(act, allocation, [row for row in rows if row.request == number])
    return len(rows)


def lock(allocation: Allocation, *states: str) -> Allocation:
    """The allocation, locked, in one of the states (planned when none is named); Refused otherwise."""
    found = (
        Allocation.objects.select_for_update(of=("self",))
        .select_related("request__entity", "round", "pool__site")
        .get(pk=allocation.pk)
    )
    if found.state not in (states or (Allocation.State.PLANNED,)):
        raise Conflict(
            _("The allocation of %(request)s is %(state)s.")
            % {"request": found.request.number, "state": found.get_state_display()},
            code="allocation_state",
        )
    return found


def _allocations_of(operator: Party, numbers: set[str]) -> dict[str, Allocation]:
    """Open allocations at an operator's sites by request number, locked in the order of their keys."""
    keys = {int(number[1:]) for number in numbers if number[:1] == "R" and number[1:].isdecimal() and len(number) < 19}
    there = Run.objects.filter(pool__site__operator=operator, version=F("allocation__version"))
    rows = Allocation.objects.select_for_update(of=("self",)).filter(
        request__in=keys, state=Allocation.State.PLANNED, pk__in=there.values("allocation")
    )
    found = rows.select_related("request__entity", "round", "pool__site").order_by("id")
    return {allocation.request.number: allocation for allocation in found}


def _problems(act: Act, allocation: Allocation, runs: Sequence[Run], rows: Sequence[Row]) -> list[Problem]:
    """Everything wrong with reports for one allocation, against its runs, its earlier reports and one another."""
    problems: list[Problem] = []
    now, cards = clock.hour_of(act.at), allocation.request.cards
    known = [(report.start_hour, report.end_hour) for report in schedules.reports_of(allocation)]
    for row in rows:

        def fault(field: str, value: object, rule: str, line: int | None = row.line) -> None:
            problems.append(Problem(field, str(value), rule, line))

        if row.end_hour <= row.start_hour:
            fault("end", hour_text(row.end_hour), _("must be after the start"))
            continue
        if row.end_hour > now:
            fault("end", hour_text(row.end_hour), _("is not over yet"))
        if not any(run.start_hour <= row.start_hour and row.end_hour <= run.end_hour for run in runs):
            fault("start", hour_text(row.start_hour), _("lies outside the hours of the allocation"))
        most = cards * (row.end_hour - row.start_hour) * MILLI
        if not 0 <= row.milli_card_hours <= most:
            rule = _("between 0 and %(max)s card-hours in these hours") % {"max": services.show(most, services.SCH)}
            fault("card_hours", services.show(row.milli_card_hours, services.SCH), rule)
        if any(start < row.end_hour and row.start_hour < end for start, end in known):
            fault("start", hour_text(row.start_hour), _("was reported already"))
        if len(row.evidence) > EVIDENCE_LENGTH:
            fault("evidence", row.evidence, _("at most %(max)s characters") % {"max": EVIDENCE_LENGTH})
        known.append((row.start_hour, row.end_hour))
    return problems


def _store(act: Act, allocation: Allocation, rows: Sequence[Row]) -> list[Delivery]:
    facts = [[row.start_hour, row.end_hour, row.milli_card_hours, row.evidence] for row in rows]
    record = act.record(allocation, {"delivered": facts})
    return Delivery.objects.bulk_create(
        Delivery(
            allocation=allocation, start_hour=row.start_hour, end_hour=row.end_hour, evidence=row.evidence,
            milli_card_hours=row.milli_card_hours, reported_at=act.at, record=record,
        )
        for row in rows
    )  # fmt: skip


# --- settlement -------------------------------------------------------------------------------------------------------


@action("compute.allocation.settle")
def settle_allocation(act: Act, *, allocation: Allocation) -> Statement | None:
    """Issue the statement of an allocation whose hours are past and reported; None when nothing is owed.

    Asked again, it repeats nothing. Raises Refused(code="not_due") while hours run or reports may still come.
    """
    act.require(SETTLE)
    allocation = lock(allocation, Allocation.State.PLANNED, Allocation.State.FINISHED)
    if allocation.state == Allocation.State.FINISHED:
        act.nothing_changed()
        return statement_of(allocation)
    if not schedules.is_due(allocation, clock.hour_of(act.at)):
        raise Refused(_("Hours of this allocation still run, or their reports may still come."), code="not_due")
    terms, cells = terms_of(allocation.round), schedules.cells_of(allocation)
    cap = schedules.cap_of(allocation)
    usage = settle.meter(cells, schedules.delivered_of(allocation), cap)
    parties = schedules.parties_of(allocation, {cell.deposit for cell in cells})
    evidence, bearers = schedules.evidence_of(allocation), schedules.bearers_of(allocation)
    bill = settle.bill(usage, parties, terms, cap, evidence, bearers)
    record = act.record(
        allocation,
        {
            "total_fen": bill.total, "stopped_at": usage.stopped_at, "version": allocation.version,
            "card_time": sorted([*rate, milli] for rate, milli in usage.used.items()),
            "missing": sorted([*rate, milli] for rate, milli in usage.missing.items()),
        },
    )  # fmt: skip
    allocation.state = Allocation.State.FINISHED
    allocation.save(update_fields=["state"])
    if allocation.request.state == Request.State.SERVED:
        allocation.request.state = Request.State.COMPLETED
        allocation.request.save(update_fields=["state"])
    for seller, amount in bill.compensations.items():
        compensate(act, record, allocation, seller, settle.SHORTFALL, amount, terms)
    for payer, parts in bill.advances.items():
        lines = [settle.compensation_line(payee, settle.DIFFERENCE, part, terms) for payee, part in parts.items()]
        _issue_unsecured(act, record, allocation, payer, lines, terms)
    return issue(act, record, allocation, bill.lines, terms)


def issue(
    act: Act, record: LogRecord, allocation: Allocation, lines: Sequence[LineDraft], terms: RoundTerms
) -> Statement | None:
    """The buyer's final statement; without lines the commitment comes back at once."""
    request = allocation.request
    if not lines:
        release_commitment(act, record, request)
        return None
    return services.issue_statement(
        act, record, desk=DESK, subject=subject_of(request), payer=payer_of(request), lines=lines,
        contest_until=_contest_until(terms), contract=f"{allocation.round.number}/{request.number}",
        signed_on=_local_day(allocation.round.published_at), used=_days_of(allocation),
    )  # fmt: skip


def _local_day(instant: datetime | None) -> date | None:
    return clock.local(instant).date() if instant else None


def _days_of(allocation: Allocation) -> tuple[date, date] | None:
    """First and last local day of its schedule."""
    hours = schedules.runs_of(allocation).aggregate(first=Min("start_hour"), end=Max("end_hour"))
    if hours["first"] is None:
        return None
    first, last = (clock.local(clock.instant_of(hour)).date() for hour in (hours["first"], hours["end"] - 1))
    return first, last


def compensate(
    act: Act, record: LogRecord, allocation: Allocation, payer: Party, kind: str, amount: int, terms: RoundTerms
) -> Statement | None:
    """What a depositor owes the entity beside the buyer's statement (nothing when the two are the same)."""
    entity = allocation.request.entity
    if not amount or payer == entity:
        return None
    return _issue_unsecured(
        act, record, allocation, payer, [settle.compensation_line(entity, kind, amount, terms)], terms
    )


def _issue_unsecured(
    act: Act, record: LogRecord, allocation: Allocation, payer: Party, lines: Sequence[LineDraft], terms: RoundTerms
) -> Statement:
    return services.issue_statement(
        act, record, desk=DESK, subject=subject_of(allocation.request), payer=payer, secured=False, lines=lines,
        contest_until=_contest_until(terms),
    )  # fmt: skip


def release_commitment(act: Act, record: LogRecord, request: Request) -> None:
    """All that a request still has committed comes back."""
    services.release_commitment(act, record, payer_of(request), subject_of(request))
    if request.pay_with == Request.PayWith.ACCOUNT:
        accounts.consume_many(act, record, {request: 0})


def statement_of(allocation: Allocation) -> Statement | None:
    """The buyer's statement of a settled or cancelled allocation; None when nothing was owed."""
    rows = Statement.objects.filter(desk=DESK, subject=subject_of(allocation.request), secured=True)
    return rows.order_by("id").last()


def _contest_until(terms: RoundTerms) -> date:
    return services.contest_deadline(clock.today(), terms.contest_working_days)


def settle_due(actor: Actor) -> int:
    """Settle every allocation that is due; returns how many. Safe to repeat, to stop and to run twice at once.

    One that cannot be settled does not keep the others back: what was refused is raised at the end, as a group.
    """
    now, done, failed = clock.hour_of(clock.now()), 0, list[Refused]()
    for allocation in schedules.ended(now).select_related("request")[:SETTLED_PER_RUN_MAX]:
        if schedules.is_due(allocation, now):
            try:
                settle_allocation(actor, key=f"allocation/{allocation.pk}/settle", allocation=allocation)
                done += 1
            except Conflict:
                pass  # cancelled or settled by somebody else meanwhile
            except Refused as refused:
                refused.add_note(f"allocation {allocation.pk}")
                failed.append(refused)
    if failed:
        raise ExceptionGroup("allocations that cannot be settled", failed)
    return done
