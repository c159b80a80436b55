"""Data and artefacts 数据与产物: the list, uploads, one file, its content."""

from __future__ import annotations

from itertools import chain
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.jobs import artefacts, store
from huoshui.jobs import forms_serving as forms
from huoshui.jobs.actions.artefacts import FORM_BYTES_MAX, delete_artefact, upload
from huoshui.jobs.models import Artefact
from huoshui.jobs.permissions import READ, RUN, SERVE, STORE
from huoshui.registry.queries import parties_of

ROWS_PER_PAGE = 25
PREVIEW_BYTES = 4_096


@page(READ)
def artefact_list(request: HttpRequest) -> HttpResponse:
    """Files that the person may see, newest first."""
    actor = actor_of(request)
    form = forms.ArtefactFilter(request.GET or None)
    chosen = {name: value for name, value in (form.cleaned_data if form.is_valid() else {}).items() if value}
    found = artefacts.artefacts(actor, **chosen)
    rows = Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    mine = list(parties_of(actor, STORE)[:2])
    context = {
        "form": form, "rows": rows, "page_obj": rows, "narrowed": bool(chosen), "may_store": bool(mine),
        "room": artefacts.room_of(mine[0]) if len(mine) == 1 else None, "several": not actor.limited_to,
    }  # fmt: skip
    return render(request, "jobs/data.html", context)


@page(STORE)
def artefact_new(request: HttpRequest) -> HttpResponse:
    """Upload a file."""
    parties = parties_of(actor_of(request), STORE).order_by("name")
    form = forms.UploadForm(parties, request.POST or None, request.FILES or None)
    if form.is_valid():
        data = form.cleaned_data
        made = post_action(
            request, upload, form, _("The file is in the store."), party=data["party"], name=data["file"].name,
            kind=data["kind"], chunks=data["file"].chunks(), bytes_max=FORM_BYTES_MAX,
        )  # fmt: skip
        if made is not None:
            return redirect("jobs:artefact", made.pk)
    context = {"form": form, "bytes_max": FORM_BYTES_MAX, "party": parties.first()}
    return render(request, "jobs/data_form.html", context)


@page(READ)
def artefact_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One file: what it is, where it came from, what used it."""
    actor = actor_of(request)
    row = artefacts.artefact(actor, pk)
    may_open = row.deleted_at is None and actor.can(RUN, row)
    context = {
        "artefact": row,
        "may_open": may_open,
        "preview": _preview(row) if may_open else None,
        "used_by": row.used_by.order_by("-pk")[:ROWS_PER_PAGE],
        "models": row.models.order_by("pk"),
        "may_delete": row.deleted_at is None and actor.can(STORE, row),
        "may_register": row.deleted_at is None and row.kind == Artefact.Kind.MODEL and actor.can(SERVE, row),
    }
    return render(request, "jobs/artefact.html", context)


def _preview(row: Artefact) -> str | None:
    """The beginning of a file that is text; None when it is not."""
    head = b""
    for piece in store.read(row.digest):
        head = piece[:PREVIEW_BYTES]
        break
    for cut in range(4):  # the last character may be cut
        try:
            text = head[: len(head) - cut].decode()
        except UnicodeDecodeError:
            continue
        return text if all(letter.isprintable() or letter in "\n\r\t" for letter in text) else None
    return None


@page(READ)
def artefact_file(request: HttpRequest, pk: int) -> Any:
    """The content, as it comes out of the store; it breaks off when it is not what was put in."""
    return file_answer(artefacts.content_of(actor_of(request), pk))


def file_answer(row: Artefact) -> StreamingHttpResponse:
    """The content of an artefact as a download. Raises Refused before the first byte."""
    content = store.read(row.digest)
    first = next(content, b"")
    answer = StreamingHttpResponse(chain([first], content), content_type="application/octet-stream")
    answer["Content-Length"] = str(row.bytes)
    answer["Content-Disposition"] = content_disposition_header(True, row.name.replace("/", "_")) or "attachment"
    return answer


@require_POST
@page(STORE)
def artefact_delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Take a file out."""
    row = artefacts.artefact(actor_of(request), pk)
    post_action(request, delete_artefact, None, _("The file is deleted."), artefact=row)
    return redirect("jobs:data")
