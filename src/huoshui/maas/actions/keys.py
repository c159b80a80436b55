"""Keys: what a person or a program calls models with. Made once, shown once; only the digest stays.

The secret comes out of the action once and is nowhere else, so making a key takes no idempotency key: an answer that
got lost means another key, and the lost one is revoked.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Sum
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, invalid
from huoshui.base.secrets import token_digest
from huoshui.compute.models import Region
from huoshui.maas.actions.wallets import FUNDED_FEN_MAX
from huoshui.maas.instants import ms_of, period_start_ms
from huoshui.maas.models import UFEN, Call, Key, Offer, Wallet, open_to
from huoshui.maas.permissions import KEYS

PREFIX = "hsk_"
PREFIX_SHOWN = 12
DAYS_MAX = 366
KEYS_PER_WALLET_MAX = 200
CALLS_PER_MINUTE_MAX = 100_000
TOKENS_PER_MINUTE_MAX = 1_000_000_000
NAMES_MAX = 50


@dataclass(frozen=True)
class Scope:
    """What a key may do. Empty models or regions: all. No budget, no rate: only what the wallet has."""

    models: Sequence[str] = ()
    regions: Sequence[str] = ()
    routing: str = Key.Routing.PRICE
    period: str = Key.Period.TOTAL
    budget_fen: int | None = None
    calls_per_minute: int | None = None
    tokens_per_minute: int | None = None


@dataclass(frozen=True)
class Made:
    """A key and its secret, which is shown this once."""

    key: Key
    secret: str = field(repr=False)


@action("maas.key.make")
def make_key(
    act: Act, *, wallet: Wallet, name: str, days: int, agent: bool = False, scope: Scope | None = None
) -> Made:
    """Make a key that expires after some days. Raises Invalid naming each field; Conflict when called with a key."""
    act.require(KEYS, wallet)
    _without_key(act)
    if not 0 < len(name.strip()) <= 80:
        raise invalid("name", name[:80], _("1 to 80 characters"))
    if not 1 <= days <= DAYS_MAX:
        raise invalid("days", days, _("between 1 and %(max)s") % {"max": DAYS_MAX})
    if wallet.keys.filter(revoked_ms=None, expires_ms__gt=ms_of(act.at)).count() >= KEYS_PER_WALLET_MAX:
        raise invalid("name", name, _("at most %(max)s keys at a time") % {"max": KEYS_PER_WALLET_MAX})
    scope = scope or Scope()
    _check(scope, wallet)
    secret = PREFIX + secrets.token_urlsafe(32)
    made = Key.objects.create(
        wallet=wallet, name=name.strip(), agent=agent, **_secret(secret), **_columns(scope), made_by=act.actor.user,
        made_ms=ms_of(act.at), expires_ms=ms_of(act.at + timedelta(days=days)),
    )  # fmt: skip
    act.record(made, {"wallet": wallet, "agent": agent, "expires_ms": made.expires_ms, "scope": scope})
    return Made(made, secret)


@action("maas.key.change")
def change_key(act: Act, *, target: Key, scope: Scope) -> Key:
    """Change what a key may do. Raises Invalid; Conflict for a revoked key.

    What it has spent stays, or is counted anew from the start of the present period when the budget has another one.
    """
    act.require(KEYS, target)
    _check(scope, target.wallet)
    target = Key.objects.select_for_update().get(pk=target.pk)
    _live(target, act.at)
    spent = _spent(target, scope.period, act.at) if scope.period != target.period else {}
    Key.objects.filter(pk=target.pk).update(**_columns(scope), **spent)
    act.record(target, {"scope": scope})
    target.refresh_from_db()
    return target


@action("maas.key.rotate")
def rotate_key(act: Act, *, target: Key) -> Made:
    """Give the key a new secret: the old one calls nothing once the gateway has looked again, within a second.

    Budget and spending stay.
    """
    act.require(KEYS, target)
    _without_key(act)
    _live(target, act.at)
    secret = PREFIX + secrets.token_urlsafe(32)
    Key.objects.filter(pk=target.pk).update(**_secret(secret))
    act.record(target, {"rotated": True})
    target.refresh_from_db()
    return Made(target, secret)


@action("maas.key.revoke")
def revoke_key(act: Act, *, target: Key) -> Key:
    """The key calls nothing any more; calls under way are settled still."""
    act.require(KEYS, target)
    if target.revoked_ms is not None:
        act.nothing_changed()
        return target
    Key.objects.filter(pk=target.pk).update(revoked_ms=ms_of(act.at))
    act.record(target, {"revoked": True})
    target.refresh_from_db()
    return target


def _without_key(act: Act) -> None:
    if act.key:
        raise Conflict(_("A secret is shown once: this takes no idempotency key."), code="shown_once")


def _secret(secret: str) -> dict[str, str]:
    return {"prefix": secret[:PREFIX_SHOWN], "digest": token_digest(secret)}


def _columns(scope: Scope) -> dict[str, object]:
    return {
        "allowed_models": list(scope.models), "allowed_regions": list(scope.regions), "routing": scope.routing,
        "period": scope.period, "budget_ufen": None if scope.budget_fen is None else scope.budget_fen * UFEN,
        "calls_per_minute": scope.calls_per_minute, "tokens_per_minute": scope.tokens_per_minute,
    }  # fmt: skip


def _spent(key: Key, period: str, now: datetime) -> dict[str, int]:
    """What a locked key has spent in the present period of this kind, by its settled calls."""
    start_ms = period_start_ms(period, clock.local(now).date())
    settled = key.calls.filter(state=Call.State.SETTLED, started_ms__gte=start_ms)
    return {"period_start_ms": start_ms, "spent_ufen": settled.aggregate(all=Sum("cost_ufen"))["all"] or 0}


def _live(key: Key, now: datetime) -> None:
    if key.revoked_ms is not None or key.expires_ms <= ms_of(now):
        raise Conflict(_("The key is revoked or has expired."), code="key_ended")


def _check(scope: Scope, wallet: Wallet) -> None:
    """Raises Invalid: unknown models or regions, amounts out of range."""
    models = set(Offer.objects.filter(open_to([wallet.party_id])).values_list("model", flat=True))
    problems = [
        *_unknown("models", scope.models, models, _("nobody offers it")),
        *_unknown("regions", scope.regions, set(Region.objects.values_list("code", flat=True)), _("no such region")),
    ]
    for name, value, known in (("routing", scope.routing, Key.Routing), ("period", scope.period, Key.Period)):
        if value not in known.values:
            problems.append(Problem(name, value, _("one of %(all)s") % {"all": ", ".join(known.values)}))
    bounds = {
        "budget_fen": (scope.budget_fen, FUNDED_FEN_MAX),
        "calls_per_minute": (scope.calls_per_minute, CALLS_PER_MINUTE_MAX),
        "tokens_per_minute": (scope.tokens_per_minute, TOKENS_PER_MINUTE_MAX),
    }
    for name, (number, most) in bounds.items():
        if number is not None and not 0 < number <= most:
            problems.append(Problem(name, str(number), _("between 1 and %(max)s") % {"max": most}))
    if problems:
        raise Invalid(*problems)


def _unknown(name: str, given: Sequence[str], known: set[str], rule: str) -> list[Problem]:
    if len(given) > NAMES_MAX:
        return [Problem(name, str(len(given)), _("at most %(max)s") % {"max": NAMES_MAX})]
    return [Problem(name, item, rule) for item in given if item not in known]
