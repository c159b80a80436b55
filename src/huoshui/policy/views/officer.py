"""For officers: who qualifies and has not applied, pack by pack, out of the last match run; the runs themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import clock, export, figures, tasks
from huoshui.base.errors import Missing
from huoshui.base.models import TaskProgress
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.policy import outreach_words, reach
from huoshui.policy.actions import runs
from huoshui.policy.actions.batches import KIND
from huoshui.policy.actions.pushes import SHOWS
from huoshui.policy.forms_outreach import NarrowForm
from huoshui.policy.models import Batch, MatchRun
from huoshui.policy.permissions import OUTREACH, OVERSEE, READ
from huoshui.policy.reach import Condition, Listed, Standing, Wanted
from huoshui.registry.models import Division
from huoshui.rules import FIELDS, Pack, Verdict
from huoshui.rules import words as rule_words

ROWS_PER_PAGE = 50
FACTS_SHOWN = 8
BARS_MAX = 15


@page(READ)
def overview(request: HttpRequest) -> HttpResponse:
    """Everybody under every pack, for who oversees the desk; others are led to the match of their own firm."""
    actor = actor_of(request)
    if not actor.can(OVERSEE):
        return redirect("policy:find")
    run = reach.latest()
    context: dict[str, Any] = {"run": run, "may_run": actor.can(OUTREACH), "under_way": _under_way()}
    if run is not None:
        rows = reach.standings(run)
        counts = [run.figures[row.id]["verdicts"] for row in rows]
        judged = sum(sum(each.values()) - each["na"] for each in counts)
        context |= {
            "rows": rows, "unclaimed_fen": sum(row.unclaimed_fen or 0 for row in rows),
            "unclaimed": sum(row.unclaimed for row in rows if row.unclaimed_fen is not None),
            "one_step": sum(row.one_step for row in rows if not row.draft),
            "unknown_bps": sum(each["unknown"] for each in counts) * 10_000 // judged if judged else None,
            "facts": _facts(run, rows)[:FACTS_SHOWN], "where": _unclaimed_by_division(run, rows),
            "batches": Batch.objects.filter(state=Batch.State.PROPOSED).count(),
        }  # fmt: skip
    return render(request, "policy/overview.html", context)


def _under_way() -> TaskProgress | None:
    waiting = MatchRun.objects.filter(state=MatchRun.State.WAITING).first()
    return TaskProgress.objects.filter(task=waiting.task).first() if waiting and waiting.task else None


def _facts(run: MatchRun, rows: list[Standing]) -> list[dict[str, Any]]:
    """Missing facts over all packs in force, those that alone decide most first."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    packs: dict[str, list[Standing]] = defaultdict(list)
    for row in rows:
        for column, decides, concerns, fen in run.figures[row.id]["facts"] if not row.draft else ():
            for at, more in enumerate((decides, concerns, fen)):
                sums[column][at] += more
            packs[column].append(row)
    return [
        {
            "title": rule_words.column(column, FIELDS, outreach_words.language()), "column": column,
            "decides": decides, "concerns": concerns, "fen": fen, "packs": packs[column],
        }
        for column, (decides, concerns, fen) in sorted(sums.items(), key=lambda pair: (-pair[1][0], -pair[1][1]))
    ]  # fmt: skip


def _unclaimed_by_division(run: MatchRun, rows: list[Standing]) -> figures.Figure | None:
    """Yuan that qualify and were not applied for, by division."""
    fen: dict[str, int] = defaultdict(int)
    for row in rows:
        if row.unclaimed_fen:
            for code, _count, amount in reach.by_division(run, row.id, Wanted()):
                fen[code] += amount
    named = _named(sorted(fen.items(), key=lambda pair: -pair[1])[:BARS_MAX])
    if not named:
        return None
    title = _("Qualifies and was not applied for, by division")
    return figures.bars(title, [name for name, _n in named], [amount // 100 for _n, amount in named], _("yuan"))


def _named(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    names = dict(Division.objects.filter(pk__in=[code for code, _n in pairs]).values_list("code", "name"))
    return [(names.get(code, _("without a division")), number) for code, number in pairs]


# --- one pack ---------------------------------------------------------------------------------------------------------


@page(OVERSEE)
def who(request: HttpRequest, pack: str) -> HttpResponse:
    """The list of one pack: who, how much or what is in the way, whether they were told."""
    run, content, show, form = _asked(request, pack)
    wanted = form.wanted()
    number = max(int(request.GET.get("page", "1")) if request.GET.get("page", "1").isdecimal() else 1, 1)
    found = reach.found(run, pack, wanted, (number - 1) * ROWS_PER_PAGE, ROWS_PER_PAGE)
    listed = Paginator(range(found.count), ROWS_PER_PAGE).get_page(number)
    actor = actor_of(request)
    standing = next(row for row in reach.standings(run) if row.id == pack)
    counts = {name: _count(standing, run, name) for name in outreach_words.SHOWS}
    query = request.GET.copy()
    query.pop("page", None)
    context = {
        "run": run, "pack": content, "standing": standing, "show": show, "form": form, "found": found,
        "page_obj": listed, "rows": _rows(form, content, found.rows), "query": query.urlencode(),
        "tabs": [(f"{title} {counts[name]:,}", f"?show={name}") for name, title in outreach_words.SHOWS.items()],
        "where": _by_division(run, pack, wanted), "conditions": form.conditions.values() if show == "one_step" else (),
        "facts": _pack_facts(run, content) if show == "missing" else [], "empty_text": form.cleaned_data.get("text"),
        "may_tell": actor.can(OUTREACH) and show in SHOWS.values() and not standing.draft and found.count,
        "may_propose": actor.can(OUTREACH) and content.no_application and standing.kind == KIND
        and not standing.draft and show == "unclaimed" and standing.unclaimed,
    }  # fmt: skip
    return render(request, "policy/overview_pack.html", context)


def _asked(request: HttpRequest, pack: str) -> tuple[MatchRun, Pack, str, NarrowForm]:
    """The last run, its text of the pack, and what the address narrows it to. Raises Missing."""
    run = reach.latest()
    if run is None:
        raise Missing(_("There is no match run yet."))
    content, _publication = reach.pack_of(run, pack)
    show = request.GET.get("show", "unclaimed")
    show = show if show in reach.SHOWN else "unclaimed"
    facts = [(row["column"], row["title"]) for row in _pack_facts(run, content) if row["decides"]]
    form = NarrowForm(request.GET, conditions=reach.conditions(run, content), facts=facts, show=show)
    return run, content, show, form


def _count(standing: Standing, run: MatchRun, show: str) -> int:
    verdicts = run.figures[standing.id]["verdicts"]
    counts = {
        "unclaimed": standing.unclaimed, "applied": standing.qualify - standing.unclaimed,
        "one_step": standing.one_step, "missing": sum(row[1] for row in run.figures[standing.id]["facts"]),
    }  # fmt: skip
    return counts[show] if show in counts else verdicts[show]


def _rows(form: NarrowForm, pack: Pack, rows: list[Listed]) -> list[dict[str, Any]]:
    """What is said of each entity."""
    conditions = {(one.via, one.index): one for one in form.conditions.values()}
    return [_row(pack, row, conditions.get((row.via, row.blocker))) for row in rows]


def _row(pack: Pack, row: Listed, condition: Condition | None) -> dict[str, Any]:
    short = condition if row.verdict is Verdict.UNMET else None
    return {
        "it": row, "short": outreach_words.condition(short) if short else "",
        "by": outreach_words.margin(short, row.margin) if short else "",
        "fact": outreach_words.fact(pack, row.fact) if row.fact else "",
        "fen": row.amount_fen if row.amount_fen is not None else row.amount_max_fen,
        "up_to": row.amount_fen is None and row.amount_max_fen is not None,
    }  # fmt: skip


def _pack_facts(run: MatchRun, pack: Pack) -> list[dict[str, Any]]:
    return [
        {"column": column, "title": outreach_words.fact(pack, column), "decides": decides, "concerns": concerns,
         "fen": fen}
        for column, decides, concerns, fen in run.figures[pack.id]["facts"]
    ]  # fmt: skip


def _by_division(run: MatchRun, pack: str, wanted: Wanted) -> figures.Figure | None:
    pairs = _named([(code, count) for code, count, _fen in reach.by_division(run, pack, wanted)[:BARS_MAX]])
    if len(pairs) < 2:
        return None
    return figures.bars(_("Entities by division"), [name for name, _n in pairs], [count for _n, count in pairs])


@page(OVERSEE)
def who_export(request: HttpRequest, pack: str, kind: str) -> HttpResponse:
    """The list as a file."""
    run, content, show, form = _asked(request, pack)
    found = reach.found(run, pack, form.wanted(), 0, reach.EXPORT_ROWS_MAX)
    headers = [
        _("Entity"), _("USCC"), _("Division"), _("Conclusion"), _("Condition"), _("By how much"), _("Missing fact"),
        _("Amount (yuan)"), _("At most (yuan)"), _("Applied"), _("Told"),
    ]  # fmt: skip
    name = f"{content.header.title} {outreach_words.SHOWS[show]} {run.on}"
    return export.response(kind, name, headers, _cells(_rows(form, content, found.rows)))


def _cells(rows: list[dict[str, Any]]) -> Iterator[list[export.Cell]]:
    for said in rows:
        row: Listed = said["it"]
        yield [
            row.party.name, row.party.uscc or "", row.party.division.name if row.party.division else "",
            rule_words.verdict(row.verdict, outreach_words.language()), said["short"], said["by"], said["fact"],
            export.yuan(row.amount_fen), export.yuan(row.amount_max_fen),
            row.application.submitted_at if row.application else None, row.told.told_at if row.told else None,
        ]  # fmt: skip


# --- runs -------------------------------------------------------------------------------------------------------------


@page(OVERSEE)
def run_list(request: HttpRequest) -> HttpResponse:
    """All runs, newest first."""
    actor = actor_of(request)
    listed = Paginator(reach.runs(actor), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {"page_obj": listed, "under_way": _under_way(), "may_run": actor.can(OUTREACH)}
    return render(request, "policy/runs.html", context)


@page(OVERSEE)
def run_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One run: what it was computed from, and what it found."""
    run = reach.run(actor_of(request), pk)
    rows = [
        {"title": one["title"], "id": one["id"], "digest": one["digest"], "draft": one["draft"],
         "figures": run.figures.get(one["id"])}
        for one in run.packs if one["listed"]
    ]  # fmt: skip
    progress = TaskProgress.objects.filter(task=run.task).first() if run.task else None
    return render(request, "policy/run.html", {"run": run, "rows": rows, "progress": progress})


@require_POST
@page(OUTREACH)
def run_start(request: HttpRequest) -> HttpResponse:
    """Start a run over everybody."""
    run = post_action(request, runs.start, None, _("The run has begun."), on=clock.today())
    return redirect("policy:run", run.pk) if run is not None else redirect("policy:runs")


@require_POST
@page(OUTREACH)
def run_stop(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask a run to stop."""
    run = reach.run(actor_of(request), pk)
    if run.task:
        tasks.stop(run.task)
    return redirect("policy:run", pk)
