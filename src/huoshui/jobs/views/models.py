"""Trained models 已训练模型: the list with versions, registering one, the tree of what made it."""

from __future__ import annotations

import json

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.jobs import artefacts, lineage, live, serving
from huoshui.jobs import forms_serving as forms
from huoshui.jobs.actions.models import register_model
from huoshui.jobs.models import Endpoint
from huoshui.jobs.permissions import READ, RUN, SERVE
from huoshui.jobs.templates import TEMPLATES

ROWS_PER_PAGE = 25


@page(READ)
def model_list(request: HttpRequest) -> HttpResponse:
    """Models that the person may see, newest first."""
    rows = Paginator(serving.models(actor_of(request)), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "jobs/models.html", {"rows": rows, "page_obj": rows})


@page(SERVE)
def model_new(request: HttpRequest, pk: int) -> HttpResponse:
    """Give a model file a name."""
    artefact = artefacts.artefact(actor_of(request), pk)
    form = forms.ModelForm(request.POST or None)
    if form.is_valid():
        said = _("The model is registered.")
        made = post_action(request, register_model, form, said, artefact=artefact, **form.cleaned_data)
        if made is not None:
            return redirect("jobs:model", made.pk)
    return render(request, "jobs/model_form.html", {"form": form, "artefact": artefact})


@page(READ)
def model_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One model: its versions, endpoints and lineage."""
    actor = actor_of(request)
    model = serving.model(actor, pk)
    told = model.lineage
    template = TEMPLATES.get(told.get("template", ""))
    context = {
        "model": model,
        "lineage": told,
        "parameters": template.answers(told["parameters"]) if template else [],
        "metrics": [live.figure(*pair) for pair in sorted(told.get("metrics", {}).items())],
        "origin": lineage.tree(model.artefact),
        "versions": serving.models(actor).filter(party=model.party, name=model.name),
        "endpoints": model.endpoints.exclude(state=Endpoint.State.CLOSED).order_by("-pk"),
        "may_serve": actor.can(SERVE, model),
        "may_open": actor.can(RUN, model.artefact),
    }
    return render(request, "jobs/model.html", context)


@page(READ)
def model_lineage(request: HttpRequest, pk: int) -> HttpResponse:
    """The lineage as a file."""
    model = serving.model(actor_of(request), pk)
    content = json.dumps(lineage.document(model), ensure_ascii=False, indent=1)
    answer = HttpResponse(content, content_type="application/json; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{model.name}-{model.version}-lineage.json"'
    return answer
