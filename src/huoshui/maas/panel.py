"""What the desk adds to the page of an entity, and what waits for whom (to-dos)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.cases.todo import Todo
from huoshui.maas import queries
from huoshui.maas.instants import at
from huoshui.maas.models import Upstream, Wallet
from huoshui.maas.permissions import APPROVE, FUND, KEYS
from huoshui.registry.models import Party

ROWS_MAX = 20


def context(actor: Actor, party: Party) -> dict[str, Any] | None:
    """The party's wallet and keys; None when it has none."""
    wallet = queries.with_use(Wallet.objects.filter(party=party)).first()
    if wallet is None:
        return None
    live = [key for key in wallet.keys.all() if queries.key_state(key) in ("live", "soon")]
    return {
        "wallet": wallet, "free_ufen": queries.free_ufen(wallet), "unbilled_ufen": queries.unbilled_ufen(wallet),
        "keys": len(live), "low": queries.is_low(wallet),
    }  # fmt: skip


def low_wallets(actor: Actor) -> Iterator[Todo]:
    """Wallets of one's own of which little is left."""
    if not _acts_for_parties(actor, FUND):
        return
    for wallet in queries.wallets(actor)[:ROWS_MAX]:
        if queries.is_low(wallet) and wallet.keys.filter(revoked_ms=None).exists() and actor.can(FUND, wallet):
            title = _("Little is left in the model service wallet of %(party)s") % {"party": wallet.party.name}
            yield Todo(title, reverse("maas:wallet", args=[wallet.pk]), None, 2, _("wallet"))


def expiring_keys(actor: Actor) -> Iterator[Todo]:
    """Keys of one's own that expire soon."""
    if not _acts_for_parties(actor, KEYS):
        return
    for key in queries.expiring(actor)[:ROWS_MAX]:
        title = _("The key %(name)s expires") % {"name": key.name}
        due = clock.local(at(key.expires_ms) or clock.now()).date()
        yield Todo(title, reverse("maas:key", args=[key.pk]), due, 1, _("key"))


def upstreams_to_approve(actor: Actor) -> Iterator[Todo]:
    """Addresses that wait for somebody of the centre."""
    if not actor.can(APPROVE):
        return
    for upstream in Upstream.objects.filter(approved_at=None).order_by("pk")[:ROWS_MAX]:
        title = _("Look at the address of the upstream %(name)s") % {"name": upstream.name}
        yield Todo(title, reverse("maas:upstream", args=[upstream.pk]), None, 1, _("upstream"))


def _acts_for_parties(actor: Actor, permission: str) -> bool:
    return any(scope.startswith("party:") for scope in actor.scopes(permission))
