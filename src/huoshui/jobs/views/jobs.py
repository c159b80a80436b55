"""Jobs: the list, a new one from a template, one with its attempts, log, curves and files."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.jobs import forms, live, queries
from huoshui.jobs.actions.jobs import cancel_job, submit_job
from huoshui.jobs.artefacts import UNFINISHED
from huoshui.jobs.models import JobInput
from huoshui.jobs.permissions import READ, RUN
from huoshui.jobs.templates import TEMPLATES

ROWS_PER_PAGE = 25


@page(READ)
def job_list(request: HttpRequest) -> HttpResponse:
    """Jobs that the person may see, newest first."""
    actor = actor_of(request)
    form = forms.JobFilter(request.GET or None)
    chosen = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    listed = Paginator(queries.jobs(actor, **chosen), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "form": form, "page_obj": listed, "rows": listed, "narrowed": bool(chosen),
        "may_run": queries.bookable(actor).exists(),
    }  # fmt: skip
    return render(request, "jobs/jobs.html", context)


@page(RUN)
def job_choose(request: HttpRequest) -> HttpResponse:
    """In which booking a new job is to run."""
    rows = queries.bookable(actor_of(request))[:ROWS_PER_PAGE]
    if len(rows) == 1:
        return redirect("jobs:job_new", rows[0].pk)
    return render(request, "jobs/job_choose.html", {"rows": rows})


@page(RUN)
def job_new(request: HttpRequest, pk: int) -> HttpResponse:
    """A new job in a booking, from a template."""
    actor = actor_of(request)
    booking = queries.booking(actor, pk)
    actor.require(RUN, booking)
    offered = {code: template for code, template in TEMPLATES.items() if template.for_people}
    template = offered.get(request.GET.get("template", "")) or next(iter(offered.values()))
    form = forms.JobForm(booking, template, request.POST or None)
    if form.is_valid():
        said = _("The job waits for its cards.")
        made = post_action(request, submit_job, form, said, booking=booking, **form.named())
        if made is not None:
            return redirect("jobs:job", made.pk)
    first = next(iter(offered))
    tabs = [(str(one.title), "?" if code == first else f"?template={code}") for code, one in offered.items()]
    context = {"booking": booking, "form": form, "template": template, "tabs": tabs}
    return render(request, "jobs/job_form.html", context)


@page(READ)
def job_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One job."""
    actor = actor_of(request)
    job = queries.job(actor, pk)
    number = request.GET.get("attempt", "")
    template = TEMPLATES.get(job.template)
    may_open = actor.can(RUN, job)
    context = live.progress(job) | {
        **live.log(job, int(number) if number.isdecimal() and len(number) < 5 else None, may_open),
        "may_open": may_open, "artefacts": job.artefacts.filter(deleted_at=None).order_by("name"),
        "template": template, "answers": template.answers(job.parameters) if template else [],
        "inputs": JobInput.objects.filter(job=job).select_related("artefact").order_by("name"),
        "may_cancel": job.state in UNFINISHED and not job.cancel_asked and actor.can(RUN, job),
    }  # fmt: skip
    return render(request, "jobs/job.html", context)


@require_POST
@page(RUN)
def job_cancel(request: HttpRequest, pk: int) -> HttpResponse:
    """Ask that a job end."""
    job = queries.job(actor_of(request), pk)
    post_action(request, cancel_job, None, _("The job is being ended."), job=job)
    return redirect("jobs:job", pk)
