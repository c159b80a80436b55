"""Requests 取用申请: estimate and quote; asking in two steps (fill in, read what it means, sign); what came of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any
from urllib.parse import urlencode

from django.core import signing
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock, export
from huoshui.base.errors import Invalid, Missing, invalid
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.book import services
from huoshui.book.models import Kind, State
from huoshui.book.permissions import READ as READ_BOOK
from huoshui.compute import elsewhere, needs, previews, queries, quotes, schedule_bar, schedules
from huoshui.compute.actions import accounts, allocations, request_files
from huoshui.compute.actions import requests as actions
from huoshui.compute.forms_requests import (
    CapForm,
    ContestForm,
    FindRequest,
    FinishForm,
    QuoteForm,
    RequestForm,
    RequestsFileForm,
    SentenceForm,
    TaskForm,
    estimate_of,
    estimated,
)
from huoshui.compute.models import Allocation, CardModel, Region, Request
from huoshui.compute.permissions import DEPOSIT, READ, REQUEST
from huoshui.compute.problems import terms_of
from huoshui.compute.settle import REPORT_GRACE_HOURS
from huoshui.terms.rounding import MILLI

ROWS_PER_PAGE = 25
RECEIPTS_MAX = 20
DELIVERIES_MAX = 50
SALT = "compute.request.file"
SIGNED_SECONDS_MAX = 3600
"""How long a checked file waits for its confirmation."""


@page(READ)
def request_list(request: HttpRequest) -> HttpResponse:
    """Requests that the person may see, newest first."""
    actor = actor_of(request)
    form = FindRequest(request.GET or None)
    wanted = {name: given for name, given in form.cleaned_data.items() if given} if form.is_valid() else {}
    found = Paginator(queries.requests(actor, **wanted), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    paid = queries.payments(found.object_list)
    context = {
        "form": form, "page_obj": found, "rows": [(row, paid.get(row.pk)) for row in found],
        "may_ask": actor.can(REQUEST), "narrowed": bool(wanted), "many": len({row.entity_id for row in found}) > 1,
    }  # fmt: skip
    return render(request, "compute/requests.html", context)


# --- estimate and quote -----------------------------------------------------------------------------------------------


@page(READ)
def estimate(request: HttpRequest) -> HttpResponse:
    """Needs estimate: a sentence becomes figures, figures become cards, memory, hours and a price on each model."""
    sentence = SentenceForm(request.GET if "text" in request.GET and "kind" not in request.GET else None)
    form = TaskForm(request.GET) if "kind" in request.GET else None
    if form is None and sentence.is_valid():
        told = needs.from_words(sentence.cleaned_data["text"])
        form = TaskForm(TaskForm.values_of(told) if told else None)
    context: dict[str, Any] = {
        "sentence": sentence, "form": form, "examples": EXAMPLES, "unclear": form is not None and not form.is_bound,
        "may_ask": actor_of(request).can(REQUEST),
    }  # fmt: skip
    if form is not None and form.is_valid():
        task, within = form.cleaned_data["task"], form.cleaned_data["hours_wanted"]
        rows = quotes.priced(task, within)
        models = {model.code: model for model in CardModel.objects.all()}
        context |= {
            "task": task, "rows": [row | _found(row, models[row["model"]]) for row in rows],
            "formula": _formula(task, models, rows), "query": request.GET.urlencode() if "kind" in request.GET else
            _query(task, within), "round": queries.last_published(),
        }  # fmt: skip
    return render(request, "compute/estimate.html", context)


def _found(row: dict[str, Any], model: CardModel) -> dict[str, Any]:
    """The card model of an estimate's row, and where else its cards may be had."""
    return {"model": model, "ways": elsewhere.ways(model.code, row["cards"], row["hours"])}


EXAMPLES = ("微调 14B 模型，2000 万 tokens", "7B 模型批量推理，10 亿 tokens", "产品渲染 300 卡时", "注塑仿真 200 小时")


def _query(task: needs.Task, within: int) -> str:
    """The figures of a task as the query of an address."""
    return urlencode(TaskForm.values_of(task, within))


def _formula(task: needs.Task, models: dict[str, CardModel], rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The numbers of the formula for the cheapest model."""
    if not rows:
        return None
    model = models[rows[0]["model"]]
    told = {"model": model, "cards": rows[0]["cards"], "hours": rows[0]["hours"], "memory": rows[0]["memory_gib"]}
    return told | {"assumed": task.assumed if task.kind in needs.ASSUMPTIONS else None}


@page(READ)
def quote(request: HttpRequest) -> HttpResponse:
    """Instant quote: what a run would have cost on each card model at the newest published prices."""
    form = QuoteForm(request.GET if "cards" in request.GET else None)
    may_ask = actor_of(request).can(REQUEST)
    context: dict[str, Any] = {"form": form, "round": queries.last_published(), "may_ask": may_ask}
    if form.is_valid():
        cards, hours, region = (form.cleaned_data[name] for name in ("cards", "hours", "region"))
        regions = [region] if region else list(Region.objects.all())
        context["rows"] = [
            {
                "model": model, "quote": quotes.quote(cards, {model: hours}, regions),
                "list_price_fen": queries.list_price(cards, {model: hours}, regions),
            }
            for model in CardModel.objects.order_by("id")
        ]  # fmt: skip
        context |= {"cards": cards, "hours": hours}
    return render(request, "compute/quote.html", context)


# --- asking -----------------------------------------------------------------------------------------------------------


@page(REQUEST)
def request_new(request: HttpRequest) -> HttpResponse:
    """Fill in, read what it means before signing, sign. Prefilled from an estimate, a quote or an account."""
    actor = actor_of(request)
    form = RequestForm(actor, request.POST or None, initial=_prefilled(request))
    if form.is_valid() and "edit" not in request.POST:
        if "sign" in request.POST:
            made = post_action(request, actions.submit_request, form, _("The request is submitted."), **form.named)
            if made is not None:
                return redirect("compute:request", made.pk)
        elif (seen := _seen(form)) is not None:
            below_low = seen.low_fen is not None and seen.pays_at_most_fen < seen.low_fen
            context = {"form": form, "named": form.named, "seen": seen, "below_low": below_low}
            return render(request, "compute/request_sign.html", context)
    return render(request, "compute/request_form.html", {"form": form})


def _seen(form: RequestForm) -> previews.Preview | None:
    """What is shown before signing; None when the form now says what is wrong."""
    named = form.named
    checked = {name: named[name] for name in (
        "title", "cards", "hours", "earliest_hour", "deadline_hour", "budget_fen", "regions", "mode",
        "min_piece_hours", "pay_with",
    )}  # fmt: skip
    try:
        actions.check_request(clock.now(), **checked)
    except Invalid as error:
        show_refusal(form, error)
        return None
    shown = ("entity", "cards", "hours", "origin", "regions", "budget_fen", "pay_with")
    return previews.preview(**{name: named[name] for name in shown})


def _prefilled(request: HttpRequest) -> dict[str, Any]:
    """First values of the form out of the address: of an earlier request, an estimated task, a quote, an account."""
    if request.GET.get("again", "").isdecimal():
        return _from_earlier(queries.request(actor_of(request), int(request.GET["again"])))
    given: dict[str, Any] = {}
    if request.GET.get("pay_with") in Request.PayWith.values:
        given["pay_with"] = request.GET["pay_with"]
    if request.GET.get("entity", "").isdecimal():
        given["entity"] = int(request.GET["entity"])
    model, task = request.GET.get("model", ""), TaskForm(request.GET)
    if "kind" in request.GET and task.is_valid():
        return given | _from_estimate(task, model)
    form = QuoteForm(request.GET)
    if model and form.is_valid():
        given |= {"cards": form.cleaned_data["cards"], "hours": {model: form.cleaned_data["hours"]}}
    return given


def _from_earlier(found: Request) -> dict[str, Any]:
    """The same request once more; hours that have passed are left out."""
    later = found.earliest_hour > clock.hour_of(clock.now())
    return {
        "entity": found.entity_id, "title": found.title, "cards": found.cards, "mode": found.mode,
        "hours": {row.card_model.code: row.hours for row in found.models.all()},
        "budget": export.yuan(found.budget_fen),
        "min_piece_hours": found.min_piece_hours or None, "origin": found.origin_id, "pay_with": found.pay_with,
        "regions": [region.pk for region in found.regions.all()], "carry_over": found.carry_over,
        "estimate": json.dumps(found.estimate) if found.estimate else "",
    } | ({"earliest": found.earliest_hour, "deadline": found.deadline_hour} if later else {})  # fmt: skip


def _from_estimate(form: TaskForm, chosen: str) -> dict[str, Any]:
    """Cards of the chosen model, and the hours that as many cards of each other model would take."""
    task, within = form.cleaned_data["task"], form.cleaned_data["hours_wanted"]
    models = list(CardModel.objects.order_by("id"))
    found = {need.model: need for need in needs.estimate(task, models, within)}
    if chosen not in found:
        return {}
    cards = found[chosen].cards
    hours = {
        model.code: spent
        for model in models
        if needs.cards_for_memory(task, model) <= cards and (spent := needs.hours_on(task, model, cards)) <= within * 2
    } | {chosen: found[chosen].hours}
    row = next(model for model in models if model.code == chosen)
    high = quotes.quote(cards, {row: found[chosen].hours}, list(Region.objects.all())).high_fen
    return {
        "cards": cards, "hours": hours, "estimate": json.dumps(estimate_of(task)),
        "title": dict(form.fields["kind"].choices)[task.kind],  # type: ignore[attr-defined]
    } | ({"budget": export.yuan(high)} if high else {})  # fmt: skip


@page(REQUEST)
def request_file(request: HttpRequest) -> HttpResponse:
    """Many requests in a file: checked whole, shown, then submitted; nothing is half taken in."""
    actor = actor_of(request)
    form = RequestsFileForm(actor, request.POST or None, request.FILES or None)
    context: dict[str, Any] = {
        "form": form, "columns": request_files.COLUMNS, "card_models": CardModel.objects.order_by("id"),
    }  # fmt: skip
    if "rows" in request.POST:
        entity, rows = _unsigned(actor, request.POST["rows"])
        form = RequestsFileForm(actor, {"entity": entity.pk})
        form.full_clean()
        del form.errors["file"]
        said = _("The requests are submitted.")
        if post_action(request, request_files.import_requests, form, said, entity=entity, rows=rows) is not None:
            return redirect("compute:requests")
        context["form"] = form
    elif form.is_valid():
        file, entity = form.cleaned_data["file"], form.cleaned_data["entity"]
        try:
            rows = request_files.read_file(file.name, file.read())
            checked = request_files.check_rows(rows, clock.now())
        except Invalid as error:
            show_refusal(form, error)
        else:
            told = {"entity": entity.pk, "rows": [asdict(row) for row in rows]}
            signed = signing.dumps(told, salt=SALT, compress=True)
            context |= {
                "entity": entity, "checked": checked, "signed": signed,
                "free_fen": services.balances(entity)[Kind.LIMIT], "total_fen": sum(row.budget_fen for row in rows),
                "card_hours": sum(one.row.cards * min(one.hours.values()) for one in checked),
            }  # fmt: skip
            return render(request, "compute/request_file_check.html", context)
    return render(request, "compute/request_file.html", context)


def _unsigned(actor: Any, signed: str) -> tuple[Any, list[request_files.Row]]:
    """The entity and the rows of a file that was checked. Raises Invalid when it is too old or not ours."""
    try:
        told = signing.loads(signed, salt=SALT, max_age=SIGNED_SECONDS_MAX)
    except signing.BadSignature:
        raise invalid("file", "", _("was checked too long ago: upload it again")) from None
    entity = queries.requesting_parties(actor).filter(pk=told["entity"]).first()
    if entity is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return entity, [request_files.Row(**row | {"regions": tuple(row["regions"])}) for row in told["rows"]]


@page(REQUEST)
def request_file_example(request: HttpRequest) -> HttpResponse:
    """An empty file with the right headers and one example row."""
    columns = request_files.COLUMNS
    headers = [f"{column.zh}（元）" if column.is_money else column.zh for column in columns]
    return export.response("xlsx", "requests", headers, [[column.meaning for column in columns]])


# --- one request ------------------------------------------------------------------------------------------------------


@page(READ)
def request_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One request: where it stands, why not, when it runs, what it costs, what was delivered, what may be done."""
    actor = actor_of(request)
    found = queries.request(actor, pk)
    allocation = queries.allocation_of(found)
    may, statements = actor.can(REQUEST, found), queries.statements(found)
    receipts = queries.receipts(found)[-RECEIPTS_MAX:]
    context: dict[str, Any] = {
        "asked": found, "states": Request.State, "models": found.models.all(), "may": may,
        "bar": _bar(found, allocation), "receipts": receipts,
        "provable": queries.provable(actor, receipts), "to_answer": _to_answer(actor, statements, found),
        "statements": [(row, actor.can(READ_BOOK, row.payer)) for row in statements],
        "estimated": estimated(found.estimate) if found.estimate else None, "price_fen": _wanted_fen(found),
    }  # fmt: skip
    if allocation is not None:
        context |= _about(allocation) | {"may_resell": may and actor.can(DEPOSIT, found.entity)}
    return render(request, "compute/request.html", context)


def _to_answer(actor: Any, statements: list[Any], found: Request) -> dict[str, Any] | None:
    """The issued statement that waits for the entity: its own, or the centre's when the account paid."""
    for row in statements:
        if row.state == State.ISSUED and row.secured:
            return {"pk": row.pk, "own": row.payer_id == found.entity_id}
    return None


def _wanted_fen(found: Request) -> int | None:
    """What the cheapest place cost when the request was refused, in fen, rounded up; None when none was found."""
    if not found.refusal or found.refusal["code"] not in ("price", "budget", "missed"):
        return None
    return -(-int(found.refusal["params"][0]) // MILLI)


def _bar(found: Request, allocation: Allocation | None) -> Any:
    """Window, runs and delivered stretches."""
    pieces = [schedule_bar.Piece("window", found.earliest_hour, found.deadline_hour, "")]
    if allocation is not None:
        pieces += [
            schedule_bar.Piece("run", run.start_hour, run.end_hour, str(run.pool.site))
            for run in schedules.runs_of(allocation)
        ]
        pieces += [
            schedule_bar.Piece(
                "delivered", report.start_hour, report.end_hour,
                _("%(count)s card-hours") % {"count": f"{report.milli_card_hours / MILLI:,.1f}"},
            )
            for report in schedules.reports_of(allocation)
        ]  # fmt: skip
    return schedule_bar.draw(pieces, clock.hour_of(clock.now()))


def _about(allocation: Allocation) -> dict[str, Any]:
    """Payment, cancellation and deliveries of an allocation."""
    now, terms = clock.hour_of(clock.now()), terms_of(allocation.round)
    runs = list(schedules.runs_of(allocation))
    planned = allocation.state == Allocation.State.PLANNED
    begun = bool(runs) and now >= runs[0].start_hour
    ends = runs[-1].end_hour if runs else now
    return {
        "allocation": allocation,
        "runs": runs,
        "terms": terms,
        "card_hours_fen": allocation.payment_fen - allocation.transfer_fen + allocation.concession_fen,
        "stops_at": allocations.stops_at(allocation) if planned else None,
        "deliveries": allocation.deliveries.select_related("record").order_by("-start_hour")[:DELIVERIES_MAX],
        "delivered_milli": sum(delivered.values()) if (delivered := schedules.delivered_of(allocation)) else None,
        "cancellation": previews.cancellation(allocation) if planned and runs else [],
        "moves": allocation.moves.select_related("recall").order_by("-id"),
        "planned": planned,
        "may_cap": planned and now < ends,
        "may_finish": planned and begun and now + 1 + terms.early_finish_notice_hours < ends,
        "reports_until": ends + REPORT_GRACE_HOURS,
    }


@require_POST
@page(REQUEST)
def request_withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    """Withdraw a request that no round has taken."""
    found = queries.request(actor_of(request), pk)
    said = _("The request is withdrawn; the whole budget is free again.")
    post_action(request, actions.withdraw_request, None, said, request=found)
    return redirect("compute:request", pk)


@require_POST
@page(REQUEST)
def request_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Cancel what a round gave."""
    _found, allocation = _allocated(request, pk)
    post_action(request, allocations.cancel_allocation, None, _("The allocation is cancelled."), allocation=allocation)
    return redirect("compute:request", pk)


@page(REQUEST)
def request_cap(request: HttpRequest, pk: int) -> HttpResponse:
    """Set the amount at which work stops."""
    found, allocation = _allocated(request, pk)
    form = CapForm(request.POST or None, initial={"cap": export.yuan(allocation.spending_cap_fen)})
    if form.is_valid():
        named = {"allocation": allocation, "cap_fen": form.cleaned_data["cap"]}
        if post_action(request, allocations.set_spending_cap, form, _("The spending cap is set."), **named) is not None:
            return redirect("compute:request", pk)
    begun = allocations.begun_fen(allocation, clock.hour_of(clock.now()))
    lead = _("Work stops before the first hour that no longer fits. Between %(begun)s and %(most)s yuan.") % {
        "begun": export.yuan(begun), "most": export.yuan(allocation.payment_fen),
    }  # fmt: skip
    return _act_page(request, found, form, _("Spending cap"), lead, _("Set the cap"))


@page(REQUEST)
def request_finish(request: HttpRequest, pk: int) -> HttpResponse:
    """Say that the work ends early."""
    found, allocation = _allocated(request, pk)
    form = FinishForm(request.POST or None, initial={"hour": clock.hour_of(clock.now()) + 1})
    if form.is_valid():
        hour, said = form.cleaned_data["hour"], _("The unused hours are free.")
        if post_action(request, allocations.finish_early, form, said, allocation=allocation, hour=hour) is not None:
            return redirect("compute:request", pk)
    lead = _("Whole hours that begin at least %(hours)s hours after this are freed and not paid.") % {
        "hours": terms_of(allocation.round).early_finish_notice_hours
    }
    return _act_page(request, found, form, _("Finish early"), lead, _("Finish early"))


@page(REQUEST)
def request_contest(request: HttpRequest, pk: int) -> HttpResponse:
    """Contest the statement of a request paid from the compute account."""
    found = queries.request(actor_of(request), pk)
    form = ContestForm(request.POST or None)
    if form.is_valid():
        reason, said = form.cleaned_data["reason"], _("The statement is contested; the centre will answer.")
        if post_action(request, accounts.contest_withdrawal, form, said, request=found, reason=reason) is not None:
            return redirect("compute:request", pk)
    return _act_page(request, found, form, _("Contest the statement"), found.title, _("Contest"))


@require_POST
@page(REQUEST)
def request_accept(request: HttpRequest, pk: int) -> HttpResponse:
    """Accept the statement of a request paid from the compute account."""
    found = queries.request(actor_of(request), pk)
    post_action(request, accounts.accept_withdrawal, None, _("The statement is accepted."), request=found)
    return redirect("compute:request", pk)


def _allocated(request: HttpRequest, pk: int) -> tuple[Request, Allocation]:
    """A request and its newest allocation. Raises Missing."""
    found = queries.request(actor_of(request), pk)
    allocation = queries.allocation_of(found)
    if allocation is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found, allocation


def _act_page(request: HttpRequest, found: Request, form: Any, title: str, lead: str, submit: str) -> HttpResponse:
    context = {"asked": found, "form": form, "title": title, "lead": lead, "submit": submit}
    return render(request, "compute/request_act.html", context)
