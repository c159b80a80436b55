"""The parts of a job's page that change while it runs: the log, the curves, the progress."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from huoshui.base.errors import Missing
from huoshui.base.requests import actor_of
from huoshui.base.views import page
from huoshui.jobs import folders, live, queries
from huoshui.jobs.models import Attempt, Job
from huoshui.jobs.permissions import READ

OFFSET_MAX = 1 << 50
WHOLE_LOG_MAX = 32 << 20
STOP_POLLING = 286
"""htmx stops asking when it gets this status."""


def _attempt(job: Job, number: int) -> Attempt:
    found = job.attempts.select_related("connection").filter(number=number).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


@page(READ)
def job_log(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """What an attempt said since `?offset=`; 204 when there is nothing new, and the last piece asks no more."""
    attempt = _attempt(queries.logs_of(actor_of(request), pk), number)
    try:
        offset = int(request.GET.get("offset", "0"))
    except ValueError:
        raise Http404 from None
    if not 0 <= offset <= OFFSET_MAX:
        raise Http404
    piece = live.log_piece(attempt, offset)
    over = attempt.state == Attempt.State.ENDED and piece.offset == offset
    if over:
        return HttpResponse(status=STOP_POLLING)
    if piece.offset == offset:
        return HttpResponse(status=204)
    context = {"job": attempt.job, "attempt": attempt, "piece": piece, "log_goes_on": True}
    return render(request, "jobs/_log_piece.html", context)


@page(READ)
def job_log_file(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """The log as it is, at most WHOLE_LOG_MAX of its end."""
    job = queries.logs_of(actor_of(request), pk)
    attempt = _attempt(job, number)
    data, _size = folders.read_log(attempt, live.workdir_of(attempt), -WHOLE_LOG_MAX, WHOLE_LOG_MAX)
    answer = HttpResponse(data, content_type="text/plain; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{job.number}-{number}.log"'
    return answer


@page(READ)
def job_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the job is, with its curves; at the end the page is loaded again."""
    job = queries.job(actor_of(request), pk)
    answer = render(request, "jobs/_metrics.html", live.progress(job))
    if job.ended_at is not None:
        answer["HX-Refresh"] = "true"
    return answer
