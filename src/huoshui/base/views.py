"""How a page meets an action, the pages that say no, and the pages of the kit itself.

    @page("registry.edit")
    def party_new(request: HttpRequest) -> HttpResponse:
        form = PartyForm(request.POST or None)
        if form.is_valid():
            party = post_action(request, actions.create_party, form, _("Saved."), **form.cleaned_data)
            if party is not None:
                return redirect(party)
        return render(request, "registry/party_form.html", {"form": form})

`page` wants a signed-in person with the permission and turns `Refused` into a page (or a fragment, when htmx asks).
`post_action` calls one action with the actor of the request and the form's idempotency key; a refusal that the person
can mend goes back into the form.
"""

import uuid
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from huoshui.base import log
from huoshui.base.errors import Forbidden, Invalid, Missing, Refused
from huoshui.base.models import TaskProgress
from huoshui.base.requests import actor_of
from huoshui.base.templatetags.kit import progress_context

R = TypeVar("R")
View = Callable[..., HttpResponse]


def refused(request: HttpRequest, error: Refused) -> HttpResponse:
    """The page that says why not; for htmx only the message."""
    context = {
        "heading": _headings().get(error.status, _("This could not be done")),
        "what": _("Nothing was changed.") if request.method == "POST" else "",
        "message": _("The input breaks a rule.") if error.problems else error.message,
        "problems": error.problems,
        "level": "bad" if error.status in (403, 409, 422) else "info",
    }
    name = "base/_refused.html" if getattr(request, "htmx", False) else "base/refused.html"
    return render(request, name, context, status=error.status)


def _headings() -> dict[int, str]:
    return {
        400: _("The request was not understood"),
        403: _("This is not open to you"),
        404: _("There is nothing here"),
        422: _("Something has to be put right"),
    }


def page_errors(view: View) -> View:
    """Decorator: a Refused raised in the view becomes a page or an htmx fragment."""

    @wraps(view)
    def run(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except Refused as error:
            return refused(request, error)

    return run


def page(permission: str = "") -> Callable[[View], View]:
    """Decorator: a signed-in person, who holds the permission somewhere; refusals become pages."""

    def wrap(view: View) -> View:
        @wraps(view)
        def run(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if permission:
                actor_of(request).require(permission)
            return view(request, *args, **kwargs)

        return page_errors(run)

    return wrap


def post_action(
    request: HttpRequest, action: Callable[..., R], form: Form | None = None, said: str = "", /, **named: Any
) -> R | None:
    """Call one action; returns its result, or None when it was refused and the form now says why.

    Without a form every refusal is raised. With one, Invalid marks its fields and other refusals that a person can
    mend stand above it; Forbidden and Missing are raised still. `said` is shown on the next page.
    """
    key = request.POST.get("idempotency_key", "")
    try:
        result = action(actor_of(request), key=key, **named)
    except (Forbidden, Missing):
        raise
    except Refused as error:
        if form is None:
            raise
        show_refusal(form, error)
        return None
    if said:
        messages.success(request, said)
    return result


def show_refusal(form: Form, error: Refused) -> None:
    """Put what is wrong beside its field or above the form; rows of files go into `form.problems`."""
    if not isinstance(error, Invalid):
        form.add_error(None, error.message)
        return
    elsewhere = []
    for problem in error.problems:
        if problem.row is None and problem.field in form.fields:
            form.add_error(problem.field, problem.rule)
        else:
            elsewhere.append(problem)
    if elsewhere:
        form.problems = tuple(elsewhere)  # type: ignore[attr-defined]
        form.add_error(None, _("The input breaks a rule."))


# --- error pages (web/urls.py names them as handlers) -------------------------


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    error = Refused(_("The address or the form did not arrive whole. Go back, load the page again and repeat."))
    error.status = 400
    return refused(request, error)


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return refused(request, Forbidden(_("Your role does not include this page.")))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """The form came without a valid token: most often a page left open over a new sign-in."""
    return refused(request, Forbidden(_("This page was open too long. Load it again and repeat.")))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return refused(request, Missing(_("There is nothing here, or it is not yours to see.")))


def server_error(request: HttpRequest) -> HttpResponse:
    """Rendered without request or database: either may be what failed."""
    return HttpResponse(render_to_string("base/500.html"), status=500)


# --- pages ------------------------------------------------------------------


def progress(request: HttpRequest, task: uuid.UUID) -> HttpResponse:
    """The progress bar of a task, for htmx to poll; at the end the page that shows it is loaded again."""
    if not request.user.is_authenticated:
        raise PermissionDenied
    row = get_object_or_404(TaskProgress, pk=task)
    refresh = "stay" not in request.GET
    response = render(request, "base/_progress.html", progress_context(row, refresh))
    if row.finished_at and refresh:
        response["HX-Refresh"] = "true"
    return response


def healthz(request: HttpRequest) -> JsonResponse:
    """For load balancers: the database answers and the log has a size."""
    return JsonResponse({"status": "ok", "log_size": log.size()})


def kit(request: HttpRequest) -> HttpResponse:
    """Every component on one page."""
    from huoshui.base.kit_page import context

    return render(request, "base/kit.html", context(request))
