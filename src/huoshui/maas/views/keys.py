"""Keys 密钥: made, shown once, narrowed, rotated, revoked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action
from huoshui.maas import queries
from huoshui.maas.actions import keys
from huoshui.maas.commands import commands
from huoshui.maas.forms import KeyForm, ScopeForm, scope_initial
from huoshui.maas.models import Key, Offer
from huoshui.maas.permissions import KEYS, READ

ROWS_PER_PAGE = 25
CALLS_SHOWN = 8
ANY_MODEL = "MODEL"
NEW = ("wallet", "name", "agent", "days")


def keyless(action: Callable[..., Any]) -> Callable[..., Any]:
    """For actions whose answer is secret: nothing of it may be kept under an idempotency key."""
    return lambda actor, key="", **named: action(actor, **named)


@page(READ)
def key_list(request: HttpRequest) -> HttpResponse:
    """Keys that the person may see."""
    actor = actor_of(request)
    listed = Paginator(queries.keys(actor), ROWS_PER_PAGE).get_page(request.GET.get("page"))
    return render(request, "maas/keys.html", {"page_obj": listed, "may_key": actor.can(KEYS)})


@page(KEYS)
def key_new(request: HttpRequest) -> HttpResponse:
    """Make a key; the answer shows it, this once."""
    actor = actor_of(request)
    form = KeyForm(actor, request.POST or None)
    if form.is_valid():
        given = {name: form.cleaned_data[name] for name in NEW}
        made = post_action(request, keyless(keys.make_key), form, scope=form.scope(), **given)
        if made is not None:
            return _shown(request, made)
    has_wallet = queries.wallets(actor).exists()
    return render(request, "maas/key_form.html", {"form": form, "title": _("New key"), "has_wallet": has_wallet})


@page(READ)
def key(request: HttpRequest, pk: int) -> HttpResponse:
    """One key: what it may do, what it spent, how to call with it."""
    actor = actor_of(request)
    found = queries.key(actor, pk)
    context = {
        "key": found, "commands": commands(_model_of(found)), "may_key": actor.can(KEYS, found),
        "calls": queries.calls(actor, {"key": found})[:CALLS_SHOWN],
        "calls_url": f"{reverse('maas:calls')}?key={found.pk}",
        "left_ufen": None if found.budget_ufen is None else found.budget_ufen - found.held_ufen - found.spent_now_ufen,
    }  # fmt: skip
    return render(request, "maas/key.html", context)


@page(KEYS)
def key_change(request: HttpRequest, pk: int) -> HttpResponse:
    """Change what a key may do."""
    found = queries.key(actor_of(request), pk)
    form = ScopeForm([found.wallet.party], request.POST or None, initial=scope_initial(found))
    if form.is_valid():
        said = _("Saved: the gateway follows within seconds.")
        if post_action(request, keys.change_key, form, said, target=found, scope=form.scope()) is not None:
            return redirect("maas:key", pk)
    context = {"form": form, "title": _("Change what the key may do"), "key": found, "has_wallet": True}
    return render(request, "maas/key_form.html", context)


@require_POST
@page(KEYS)
def key_rotate(request: HttpRequest, pk: int) -> HttpResponse:
    """A new secret at once; the answer shows it, this once."""
    made = post_action(request, keyless(keys.rotate_key), None, target=queries.key(actor_of(request), pk))
    assert made is not None
    return _shown(request, made)


@require_POST
@page(KEYS)
def key_revoke(request: HttpRequest, pk: int) -> HttpResponse:
    """The key calls nothing any more."""
    post_action(request, keys.revoke_key, None, _("Revoked."), target=queries.key(actor_of(request), pk))
    return redirect("maas:key", pk)


def _shown(request: HttpRequest, made: keys.Made) -> HttpResponse:
    """The page with the secret: nothing keeps it, not even the browser."""
    context = {"key": made.key, "secret": made.secret, "commands": commands(_model_of(made.key))}
    response = render(request, "maas/key_made.html", context)
    response["Cache-Control"] = "no-store"
    return response


def _model_of(found: Key) -> str:
    """A chat model that the key may call now, or any other."""
    parties = [found.wallet.party_id]
    names = found.allowed_models or queries.model_names(parties)
    chats = queries.model_names(parties, Offer.Kind.CHAT)
    return next((name for name in chats if name in names), next(iter(names), ANY_MODEL))
