"""Pages that belong to no desk: home, sign-in and -out, people and roles, one's tokens, the log."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base import actions as base
from huoshui.base import clock, log
from huoshui.base.access import Actor
from huoshui.base.actions import MANAGE_PEOPLE, READ_LOG
from huoshui.base.errors import Missing
from huoshui.base.models import Assignment, User
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.cases import todo
from huoshui.indicators.queries import readings, visible
from huoshui.registry import deadlines
from huoshui.registry import permissions as registry
from huoshui.registry.queries import parties_of
from huoshui.web import actions, queries
from huoshui.web.forms import AssignForm, LogFilter, PeopleFilter, PersonForm, SignInForm, TokenForm

PAGE_ROWS = 50
HOME_PARTIES_MAX = 5
HOME_ROWS_MAX = 8


@page()
def home(request: HttpRequest) -> HttpResponse:
    """What waits for the signed-in person, what falls due, and the ways onward."""
    actor = actor_of(request)
    own = _own_parties(actor)
    due = sorted(
        (item for party in own for item in deadlines.upcoming(actor, party, HOME_ROWS_MAX)), key=lambda item: item.due
    )
    waiting = todo.for_actor(actor)
    context = {
        "own": own,
        "deadlines": due[:HOME_ROWS_MAX],
        "todo": waiting[:HOME_ROWS_MAX],
        "todo_count": len(waiting),
        "indicators": readings(visible(actor)[:HOME_ROWS_MAX], periods=1),
    }
    return render(request, "web/home.html", context)


def _own_parties(actor: Actor) -> list[Any]:
    """The parties for which the person acts by name (not those seen through an office)."""
    if any(not scope.startswith("party:") for scope in actor.scopes(registry.READ)):
        return []
    return list(parties_of(actor, registry.READ).order_by("name")[:HOME_PARTIES_MAX])


# --- sign-in ------------------------------------------------------------------


class SignIn(LoginView):
    """Password sign-in; a button for the issuer when OpenID Connect is set up."""

    template_name = "web/sign_in.html"
    form_class = SignInForm
    authentication_form = SignInForm
    redirect_authenticated_user = True
    extra_context = {"oidc": bool(settings.OIDC_RP_CLIENT_ID)}

    def form_valid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        response = super().form_valid(form)
        user = form.get_user()
        actions.record_sign_in(Actor(user), user=user)
        if user.language:
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, user.language, samesite="Lax")
        return response


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("sign_in")


# --- people and roles ----------------------------------------------------------


def keyless(action: Callable[..., Any]) -> Callable[..., Any]:
    """For actions whose arguments or answers are secret: no digest of them may be kept under a key."""
    return lambda actor, key="", **named: action(actor, **named)


@page(MANAGE_PEOPLE)
def people(request: HttpRequest) -> HttpResponse:
    form = PeopleFilter(request.GET)
    text = form.cleaned_data["text"] if form.is_valid() else ""
    found = Paginator(queries.people(actor_of(request), text), PAGE_ROWS).get_page(request.GET.get("page"))
    names = queries.scope_names({held.scope for user in found for held in user.held})  # type: ignore[attr-defined]
    return render(request, "web/people.html", {"form": form, "page": found, "names": names})


@page(MANAGE_PEOPLE)
def person_new(request: HttpRequest) -> HttpResponse:
    form = PersonForm(request.POST or None)
    if form.is_valid():
        user = post_action(request, keyless(base.create_user), form, _("Saved."), **form.cleaned_data)
        if user is not None:
            return redirect("person", user.pk)
    return render(request, "web/person_new.html", {"form": form})


@page(MANAGE_PEOPLE)
def person(request: HttpRequest, pk: int) -> HttpResponse:
    """One person: what they hold, another role, in or out."""
    user = queries.person(actor_of(request), pk)
    form = AssignForm(request.POST or None, initial={"since": clock.today()})
    if form.is_valid():
        given = post_action(request, base.assign, form, _("Assigned."), user=user, **form.cleaned_data)
        if given is not None:
            return redirect("person", pk)
    names = queries.scope_names({held.scope for held in user.held})  # type: ignore[attr-defined]
    return render(request, "web/person.html", {"person": user, "form": form, "names": names})


@require_POST
@page(MANAGE_PEOPLE)
def person_active(request: HttpRequest, pk: int) -> HttpResponse:
    user, active = queries.person(actor_of(request), pk), request.POST.get("active") == "1"
    post_action(request, base.set_active, None, _("Saved."), user=user, active=active)
    return redirect("person", pk)


@require_POST
@page(MANAGE_PEOPLE)
def withdraw(request: HttpRequest, pk: int) -> HttpResponse:
    assignment = Assignment.objects.select_related("role", "user").filter(pk=pk).first()
    if assignment is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    post_action(request, keyless(base.withdraw), None, _("Withdrawn."), assignment=assignment)
    return redirect("person", assignment.user_id)


# --- one's tokens ---------------------------------------------------------------


@page()
def my_tokens(request: HttpRequest) -> HttpResponse:
    """One's tokens; a new one is shown once, on this very answer, and never again."""
    actor = actor_of(request)
    form, secret = TokenForm(actor, request.POST or None), ""
    if form.is_valid():
        issued = post_action(request, keyless(base.issue_token), form, **form.cleaned_data)
        if issued:
            form, secret = TokenForm(actor), issued["secret"]
    owner: User = request.user  # type: ignore[assignment]
    tokens = owner.tokens.order_by("-id")
    context = {"form": form, "secret": secret, "tokens": tokens, "now": clock.now()}
    response = render(request, "web/tokens.html", context)
    response["Cache-Control"] = "no-store"
    return response


@require_POST
@page()
def revoke_token(request: HttpRequest, pk: int) -> HttpResponse:
    owner: User = request.user  # type: ignore[assignment]
    token = owner.tokens.filter(pk=pk).first()
    if token is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    post_action(request, base.revoke_token, None, _("Revoked."), token=token)
    return redirect("my_tokens")


# --- the log ---------------------------------------------------------------------


@page(READ_LOG)
def log_list(request: HttpRequest) -> HttpResponse:
    form = LogFilter(request.GET)
    chosen = form.cleaned_data if form.is_valid() else {}
    records = queries.log_records(actor_of(request), **chosen)
    found = Paginator(records, PAGE_ROWS).get_page(request.GET.get("page"))
    context = {"form": form, "page": found, "names": queries.actor_names(found), "size": log.size()}
    return render(request, "web/log.html", context | {"root": log.root().hex()})


@page(READ_LOG)
def log_record(request: HttpRequest, pk: int) -> HttpResponse:
    reading = queries.log_record(actor_of(request), pk)
    return render(request, "web/log_record.html", {"reading": reading, "receipt": log.inclusion(reading.record)})


@page(READ_LOG)
def log_receipt(request: HttpRequest, pk: int) -> HttpResponse:
    """The receipt as a file that anyone can check with RFC 6962 arithmetic."""
    reading = queries.log_record(actor_of(request), pk)
    response = JsonResponse(log.inclusion(reading.record), json_dumps_params={"indent": 2})
    response["Content-Disposition"] = f'attachment; filename="receipt-{pk}.json"'
    return response
