"""Pages of the book: accounts, statements, bank reports with their exceptions, and proofs."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from huoshui.base import export, intake, log
from huoshui.base.errors import invalid
from huoshui.base.requests import actor_of
from huoshui.base.views import page, page_errors, post_action
from huoshui.book import actions, banks, queries, subsidies, words
from huoshui.book.forms import (
    AnswerForm,
    ConsistencyForm,
    FindParty,
    FindStatement,
    GrantForm,
    InvoiceForm,
    ReasonForm,
    ReportForm,
    ResolveForm,
)
from huoshui.book.models import Kind, State
from huoshui.book.permissions import ACCEPT, ANSWER, CONTEST, INVOICE, READ, REPORT, RESOLVE
from huoshui.book.permissions import GRANT as GRANT_LIMIT
from huoshui.registry.models import Party
from huoshui.registry.queries import parties_of

ROWS_PER_PAGE = 50


def _page(request: HttpRequest, rows: Any) -> Any:
    return Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))


# --- accounts ---------------------------------------------------------------------------------------------------------


@page(READ)
def accounts(request: HttpRequest) -> HttpResponse:
    """Parties and what stands in their accounts."""
    form = FindParty(request.GET or None)
    text = form.cleaned_data["text"].strip() if form.is_bound and form.is_valid() else ""
    found = queries.parties(actor_of(request)).order_by("name", "pk")
    if text:
        found = found.filter(Q(name__icontains=text) | Q(uscc__startswith=text.upper()))
    parties = _page(request, found)
    rows = queries.with_balances(parties.object_list)
    return render(request, "book/accounts.html", {"form": form, "page": parties, "rows": rows, "kinds": Kind})


@page(READ)
def party(request: HttpRequest, pk: int) -> HttpResponse:
    """A party's accounts with a balance, and who stands for its limit."""
    actor = actor_of(request)
    found = queries.party(actor, pk)
    context = {
        "party": found,
        "sums": queries.sums(found),
        "accounts": _page(request, queries.accounts(actor, found)),
        "grants": queries.grants(actor, found),
        "may_grant": actor.can(GRANT_LIMIT, found),
    }
    return render(request, "book/party.html", context)


@page(READ)
def account(request: HttpRequest, pk: int) -> HttpResponse:
    """One account's entries, each with its receipt."""
    found = queries.account(actor_of(request), pk)
    return render(request, "book/account.html", {"account": found, "page": _page(request, queries.entries(found))})


@page(GRANT_LIMIT)
def grant(request: HttpRequest, pk: int) -> HttpResponse:
    """The centre approves a credit limit."""
    found = queries.party(actor_of(request), pk)
    form = GrantForm(request.POST or None)
    if form.is_valid():
        done = post_action(request, actions.grant_limit, form, _("The limit is set."), party=found, **form.cleaned_data)
        if done is not None:
            return redirect("book:party", found.pk)
    return render(request, "book/form.html", {"form": form, "title": _("Approve credit"), "about": found.name})


# --- statements -------------------------------------------------------------------------------------------------------


@page(READ)
def statements(request: HttpRequest) -> HttpResponse:
    """Statements that the person may see."""
    actor = actor_of(request)
    form = FindStatement(request.GET or None)
    wanted = form.cleaned_data if form.is_bound and form.is_valid() else {}
    found = _page(request, queries.statements(actor, **wanted))
    totals = queries.totals(found.object_list, actor)
    rows = [(statement, totals.get(statement.pk)) for statement in found.object_list]
    return render(request, "book/statements.html", {"form": form, "page": found, "rows": rows})


def _statement(request: HttpRequest, pk: int) -> dict[str, Any]:
    actor = actor_of(request)
    found = queries.statement(actor, pk)
    lines = queries.lines(actor, found)
    shares = queries.shares(lines)
    return {
        "statement": found,
        "lines": lines,
        "shares": shares,
        "total": sum(share.amount for share in shares),
        "vat": sum(share.vat for share in shares),
        "owed": None if any(share.owed is None for share in shares) else sum(share.owed or 0 for share in shares),
        "whole": actor.can(READ, found.payer),
        "invoices": found.invoices.filter(payee__in=[share.payee for share in shares]).select_related("payee"),
    }


@page(READ)
def statement(request: HttpRequest, pk: int) -> HttpResponse:
    """One statement: its lines, who gets what, its life, and what may be done now."""
    context = _statement(request, pk)
    actor, found = actor_of(request), context["statement"]
    open_now = found.state == State.ISSUED
    context |= {
        "events": queries.events(found),
        "reimbursed": subsidies.of_statement(actor, found),
        "may_contest": open_now and actor.can(CONTEST, found.payer),
        "may_accept": open_now and actor.can(ACCEPT, found.payer),
        "may_answer": found.state == State.CONTESTED and actor.can(ANSWER, found),
        "may_invoice": any(actor.can(INVOICE, share.payee) for share in context["shares"]),
    }
    return render(request, "book/statement.html", context)


@page(READ)
def statement_print(request: HttpRequest, pk: int) -> HttpResponse:
    """The statement on paper."""
    return render(request, "book/statement_print.html", _statement(request, pk))


@page(READ)
def statement_file(request: HttpRequest, pk: int, kind: str) -> HttpResponse:
    """The lines that the person may see, as a file."""
    context = _statement(request, pk)
    headers = [
        _("statement number"), _("line"), _("payee"), _("USCC"), _("kind"), _("what for"), _("card-hours"),
        _("card-seconds"), _("price (yuan per card-hour)"), _("amount (yuan, VAT included)"), _("VAT (yuan)"),
        _("evidence"),
    ]  # fmt: skip
    rows = [
        [
            context["statement"].number, line.position, line.payee.name, line.payee.uscc, words.line_kind(line.kind),
            words.line(line.description, line.params), queries.scaled(line.quantity_mch, 3),
            line.card_seconds, queries.scaled(line.price_mfen, 5), export.yuan(line.amount),
            export.yuan(queries.vat_of(line.amount, line.vat_bps)), line.evidence,
        ]
        for line in context["lines"]
    ]  # fmt: skip
    return export.response(kind, context["statement"].number, headers, rows)


@page(ACCEPT)
def accept(request: HttpRequest, pk: int) -> HttpResponse:
    """The payer accepts (POST)."""
    found = queries.statement(actor_of(request), pk)
    if request.method == "POST":
        post_action(request, actions.accept, None, _("The statement is accepted."), statement=found)
    return redirect("book:statement", pk)


def _reason(request: HttpRequest, pk: int, form: ReasonForm, action: Any, title: str, **more: Any) -> HttpResponse:
    found = queries.statement(actor_of(request), pk)
    if form.is_valid():
        given = {name: make() for name, make in more.items()}
        reason = form.cleaned_data["reason"]
        if post_action(request, action, form, _("Saved."), statement=found, reason=reason, **given) is not None:
            return redirect("book:statement", pk)
    return render(request, "book/form.html", {"form": form, "title": title, "about": found.number})


@page(CONTEST)
def contest(request: HttpRequest, pk: int) -> HttpResponse:
    """The payer says what is wrong."""
    return _reason(request, pk, ReasonForm(request.POST or None), actions.contest, _("Contest the statement"))


@page(ANSWER)
def answer(request: HttpRequest, pk: int) -> HttpResponse:
    """The centre answers a contest."""
    actor = actor_of(request)
    form = AnswerForm(queries.lines(actor, queries.statement(actor, pk)), request.POST or None)
    return _reason(request, pk, form, actions.answer, _("Answer the contest"), credits=form.credits)


@page(INVOICE)
def invoice(request: HttpRequest, pk: int) -> HttpResponse:
    """A payee gives an invoice number."""
    actor = actor_of(request)
    found = queries.statement(actor, pk)
    payees = parties_of(actor, INVOICE).filter(statement_lines__statement=found).distinct()
    form = InvoiceForm(payees, request.POST or None)
    if form.is_valid():
        given = form.cleaned_data
        if post_action(request, actions.give_invoice, form, _("Saved."), statement=found, **given) is not None:
            return redirect("book:statement", pk)
    return render(request, "book/form.html", {"form": form, "title": _("Invoice number"), "about": found.number})


# --- bank -------------------------------------------------------------------------------------------------------------


@page(READ)
def bank(request: HttpRequest) -> HttpResponse:
    """Files that banks sent, and a form for the next."""
    actor = actor_of(request)
    may_report = actor.can(REPORT)
    form = ReportForm(actor, request.POST or None, request.FILES or None) if may_report else None
    if form is not None and form.is_valid():
        file = form.cleaned_data["file"]
        done = post_action(
            request, actions.import_bank_report, form, _("The file is taken in."),
            bank=form.cleaned_data["bank"], name=file.name, data=file.read(intake.UPLOAD_BYTES_MAX + 1),
        )  # fmt: skip
        if done is not None:
            return redirect("book:bank")
    own = parties_of(actor, REPORT).filter(roles__kind="bank").distinct() if may_report else Party.objects.none()
    context = {
        "form": form,
        "files": _page(request, queries.bank_files(actor)),
        "columns": banks.COLUMNS,
        "checks": [(bank, code, adapter.title, adapter.check(bank)) for bank in own[:20]
                   for code, adapter in banks.adapters.items()],
        "open": queries.exceptions(actor).count(),
    }  # fmt: skip
    return render(request, "book/bank.html", context)


@page(READ)
def bank_file(request: HttpRequest, pk: int) -> HttpResponse:
    """One file: its reports and its exceptions."""
    actor = actor_of(request)
    found = queries.bank_file(actor, pk)
    context = {
        "file": found,
        "page": _page(request, queries.bank_reports(actor).filter(file=found).order_by("pk")),
        "exceptions": queries.exceptions(actor).filter(file=found),
    }
    return render(request, "book/bank_file.html", context)


@page(REPORT)
def fetch(request: HttpRequest, pk: int) -> HttpResponse:
    """Take in what the adapters hold for a bank (POST)."""
    actor = actor_of(request)
    found = parties_of(actor, REPORT).filter(pk=pk).first()
    if found is None:
        raise invalid("bank", pk, _("not one of yours"))
    if request.method == "POST":
        actions.import_waiting(actor, found)
    return redirect("book:bank")


@page(READ)
def exceptions(request: HttpRequest) -> HttpResponse:
    """What in bank reports needs a person."""
    actor = actor_of(request)
    resolved = request.GET.get("state") == "resolved"
    rows = _page(request, queries.exceptions(actor, resolved=resolved))
    context = {"page": rows, "resolved": resolved, "may_resolve": actor.can(RESOLVE)}
    return render(request, "book/exceptions.html", context)


@page(RESOLVE)
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    """Settle one exception."""
    found = queries.exception(actor_of(request), pk)
    form = ResolveForm(request.POST or None)
    if form.is_valid():
        done = post_action(
            request, actions.resolve_exception, form, _("The exception is settled."),
            exception=found, **form.cleaned_data,
        )  # fmt: skip
        if done is not None:
            return redirect("book:exceptions")
    return render(request, "book/resolve.html", {"form": form, "exception": found})


# --- proof ------------------------------------------------------------------------------------------------------------


@page_errors
def proofs(request: HttpRequest) -> HttpResponse:
    """What the log proves, its present checkpoint, and whether it still begins with an older one. Open to everyone."""
    checkpoint = log.checkpoint() if log.size() else None
    form = ConsistencyForm(request.GET or None)
    proof = None
    if checkpoint is not None and form.is_bound and form.is_valid():
        old = form.cleaned_data["old"]
        if old <= checkpoint.size:
            proof = log.consistency(old, checkpoint.size)
        else:
            form.add_error("old", _("the log has %(size)s records") % {"size": checkpoint.size})
    if proof is not None and request.GET.get("as") == "json":
        return JsonResponse(proof, json_dumps_params={"indent": 2})
    return render(request, "book/proofs.html", {"checkpoint": checkpoint, "form": form, "proof": proof})


@page()
def proof(request: HttpRequest, pk: int) -> HttpResponse:
    """The proof that a record stands in the log."""
    record = queries.record(actor_of(request), pk)
    receipt = log.inclusion(record)
    return render(request, "book/proof.html", {"record": record, "receipt": receipt})


@page()
def receipt(request: HttpRequest, pk: int) -> HttpResponse:
    """The same proof as a file that anyone can check."""
    record = queries.record(actor_of(request), pk)
    answer = JsonResponse(log.inclusion(record), json_dumps_params={"indent": 2})
    answer["Content-Disposition"] = f'attachment; filename="receipt-{record.pk}.json"'
    return answer
