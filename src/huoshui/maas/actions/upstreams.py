"""Upstreams and offers: who answers calls, and at what price.

An address is called by the platform with the platform's network, so it takes calls only after somebody of the centre
has looked at it; an endpoint of the platform takes calls at once. A price is a row of its own: a new price ends the
old one at the instant at which it begins, and what was called before is billed at the old one. Prices are published as
their provider states them; the log keeps who stated what when.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.db.models import Q
from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, Refused, invalid
from huoshui.compute.models import Region
from huoshui.jobs.models import Endpoint
from huoshui.maas.instants import ms_of
from huoshui.maas.models import Offer, Upstream
from huoshui.maas.permissions import APPROVE, PROVIDE
from huoshui.registry.models import Party, RoleKind

PROVIDERS = (RoleKind.OPERATOR, RoleKind.INSTITUTION)
NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?")
MODEL = re.compile(r"[A-Za-z0-9][\w.:/-]{0,79}", re.ASCII)
SECRET = re.compile(r"HUOSHUI_UPSTREAM_[A-Z0-9_]{1,60}")
PRICE_FEN_MAX = 10_000_00
TOKENS_MAX = 100_000_000
LIMITS = {"concurrency_max": 10_000, "connect_seconds": 60, "first_token_seconds": 900, "gap_seconds": 900}
AHEAD_MAX = timedelta(days=90)


@action("maas.upstream.register")
def register_upstream(
    act: Act, *, provider: Party, name: str, base_url: str, secret: str, region: Region,
    concurrency_max: int = 64, connect_seconds: int = 5, first_token_seconds: int = 60, gap_seconds: int = 30,
) -> Upstream:
    """Register a provider's address; it is paused until the centre has looked at it.

    Raises Invalid: the party is no operator and no institution; the name is taken; the address is no plain http(s)
    address; the variable of the key does not begin with HUOSHUI_UPSTREAM_ (it would be sent to that address), or is
    another provider's.
    """
    act.require(PROVIDE, provider)
    if not any(provider.has_role(kind) for kind in PROVIDERS):
        raise invalid("provider", provider.name, _("must be an operator or an institution"))
    if secret and not SECRET.fullmatch(secret):
        raise invalid("secret", secret, _("the name of a variable that begins with HUOSHUI_UPSTREAM_"))
    if secret and Upstream.objects.filter(secret=secret).exclude(provider=provider).exists():
        raise invalid("secret", secret, _("is the variable of another provider"))
    given = {
        "concurrency_max": concurrency_max, "connect_seconds": connect_seconds,
        "first_token_seconds": first_token_seconds, "gap_seconds": gap_seconds,
    }  # fmt: skip
    problems = [
        Problem(field, str(value), _("between 1 and %(max)s") % {"max": LIMITS[field]})
        for field, value in given.items()
        if not 1 <= value <= LIMITS[field]
    ]
    if problems:
        raise Invalid(*problems)
    upstream = Upstream.objects.create(
        provider=provider, name=_free_name(name), base_url=_address(base_url), secret=secret, region=region,
        state=Upstream.State.PAUSED, **given,
    )  # fmt: skip
    act.record(upstream, {
        "provider": provider, "name": upstream.name, "base_url": upstream.base_url, "secret": secret, **given,
    })  # fmt: skip
    return upstream


@action("maas.upstream.take_endpoint")
def take_endpoint(act: Act, *, endpoint: Endpoint, name: str) -> Upstream:
    """Let an endpoint of the platform answer calls. Raises Conflict when it does already or is closed."""
    act.require(PROVIDE, endpoint)
    if endpoint.state in (Endpoint.State.CLOSED, Endpoint.State.FAILED):
        raise Conflict(_("The endpoint is %(state)s.") % {"state": endpoint.get_state_display()}, code="endpoint_state")
    if Upstream.objects.filter(endpoint=endpoint).exists():
        raise Conflict(_("The endpoint answers calls already."), code="endpoint_taken")
    upstream = Upstream.objects.create(
        provider=endpoint.party, name=_free_name(name), endpoint=endpoint, region=endpoint.booking.pool.site.region,
        approved_at=act.at, listed_at=act.at, first_token_seconds=LIMITS["first_token_seconds"],
    )  # fmt: skip
    act.record(upstream, {"provider": endpoint.party, "endpoint": endpoint, "name": upstream.name})
    return upstream


def follow_endpoint(act: Act, endpoint: Endpoint) -> None:
    """An endpoint is served elsewhere now: calls to it run in that region (`jobs.actions.endpoints.on_moved`)."""
    Upstream.objects.filter(endpoint=endpoint).update(region=endpoint.booking.pool.site.region)


@action("maas.upstream.approve")
def approve_upstream(act: Act, *, upstream: Upstream) -> Upstream:
    """Somebody of the centre has looked at the address: it takes calls."""
    act.require(APPROVE)
    if upstream.approved_at is not None:
        act.nothing_changed()
        return upstream
    upstream.approved_at, upstream.state = act.at, Upstream.State.ACTIVE
    upstream.listed_at = upstream.listed_at or act.at
    upstream.save(update_fields=["approved_at", "listed_at", "state"])
    act.record(upstream, {"base_url": upstream.base_url, "secret": upstream.secret})
    return upstream


@action("maas.upstream.switch")
def switch_upstream(act: Act, *, upstream: Upstream, active: bool) -> Upstream:
    """Take calls again, or no more for now. What the centre pauses stays paused until the centre approves it again.

    Raises Refused(code="not_approved") for what nobody of the centre looked at, or what the centre paused.
    """
    officer = act.actor.can(APPROVE)
    act.require(APPROVE if officer else PROVIDE, upstream)
    upstream = Upstream.objects.select_for_update().get(pk=upstream.pk)
    if active and upstream.approved_at is None:
        raise Refused(_("The centre has not looked at this address yet."), code="not_approved")
    upstream.state = Upstream.State.ACTIVE if active else Upstream.State.PAUSED
    if officer and not active:
        upstream.approved_at = None
    upstream.save(update_fields=["state", "approved_at"])
    act.record(upstream, {"state": upstream.state, "approved": upstream.approved_at is not None})
    return upstream


@action("maas.offer.publish")
def publish_offer(
    act: Act, *, upstream: Upstream, model: str, upstream_model: str, input_fen: int, output_fen: int,
    cached_fen: int, context_tokens: int, output_tokens_max: int, kind: str = Offer.Kind.CHAT,
    since: datetime | None = None, private: bool | None = None,
) -> Offer:
    """A price for a model from now or from `since` on (fen per million tokens); it ends the one before.

    A private price is for keys of the provider itself; unless it is said, an endpoint's is and an address's is not.

    Raises Invalid naming each field; Conflict(code="price_ahead") when a later price is published already;
    Conflict(code="name_taken") for an endpoint, at which nobody of the centre looks, under another provider's name.
    """
    act.require(PROVIDE, upstream)
    _check_offer(model, upstream_model, kind, context_tokens, output_tokens_max)
    _check_prices(input_fen, output_fen, cached_fen)
    _hold_names()
    private = upstream.endpoint_id is not None if private is None else private
    unseen = upstream.endpoint_id is not None and not private and not act.actor.can(APPROVE)
    if unseen and _others_name(upstream, model, act.at):
        raise Conflict(_("Another provider offers a model of this name: choose another one."), code="name_taken")
    start = since or act.at
    if not act.at <= start <= act.at + AHEAD_MAX:
        raise invalid("since", start, _("between now and %(days)s days ahead") % {"days": AHEAD_MAX.days})
    since_ms = ms_of(start)
    earlier = Offer.objects.filter(upstream=upstream, model=model).exclude(until_ms__lte=ms_of(act.at))
    if earlier.filter(Q(since_ms__gt=ms_of(act.at)) | Q(since_ms__gte=since_ms)).exists():
        raise Conflict(_("A later price of this model is published already."), code="price_ahead")
    ended = list(earlier)
    earlier.update(until_ms=since_ms)
    offer = Offer.objects.create(
        upstream=upstream, model=model, upstream_model=upstream_model, kind=kind, input_fen=input_fen,
        output_fen=output_fen, cached_fen=cached_fen, context_tokens=context_tokens,
        output_tokens_max=output_tokens_max, since_ms=since_ms, private=private,
    )  # fmt: skip
    act.record(offer, {
        "upstream": upstream, "model": model, "upstream_model": upstream_model, "input_fen": input_fen,
        "output_fen": output_fen, "cached_fen": cached_fen, "since_ms": since_ms, "private": private, "ended": ended,
    })  # fmt: skip
    return offer


@action("maas.offer.end")
def end_offer(act: Act, *, offer: Offer) -> Offer:
    """Take no new calls at this price."""
    act.require(PROVIDE, offer.upstream)
    now = ms_of(act.at)
    if offer.until_ms is not None and offer.until_ms <= now:
        act.nothing_changed()
        return offer
    offer.until_ms = max(now, offer.since_ms)
    offer.save(update_fields=["until_ms"])
    act.record(offer, {"until_ms": offer.until_ms})
    return offer


def _hold_names() -> None:
    """Until the transaction ends nobody else publishes a price: a name that is free stays free."""
    list(Upstream.objects.select_for_update(no_key=True).order_by("pk").values_list("pk"))


def _others_name(upstream: Upstream, model: str, now: datetime) -> bool:
    """Whether another provider that takes calls offers a model to all under this name, now or later."""
    offers = Offer.objects.filter(model=model, private=False, upstream__approved_at__isnull=False)
    return offers.exclude(upstream__provider=upstream.provider_id).exclude(until_ms__lte=ms_of(now)).exists()


def _free_name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise invalid("name", name, _("small letters, digits and hyphens, at most 60"))
    if Upstream.objects.filter(name=name).exists():
        raise invalid("name", name, _("is taken"))
    return name


def _address(given: str) -> str:
    """The address without a slash at its end."""
    rule = _("an address such as https://models.example.com/api, without user, query or fragment")
    try:
        parts = urlsplit(given.strip())
        port_is_number = parts.port is None or parts.port > 0
    except ValueError:
        raise invalid("base_url", given, rule) from None
    plain = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc and port_is_number
    if not plain or parts.query or parts.fragment or len(given) > 200 or not given.isascii():
        raise invalid("base_url", given, rule)
    return given.strip().rstrip("/").removesuffix("/v1")


def _check_offer(model: str, upstream_model: str, kind: str, context_tokens: int, output_tokens_max: int) -> None:
    problems = []
    if not MODEL.fullmatch(model):
        problems.append(Problem("model", model, _("letters, digits and . _ : / -, at most 80")))
    if not 0 < len(upstream_model.strip()) <= 120:
        problems.append(Problem("upstream_model", upstream_model, _("1 to 120 characters")))
    if kind not in Offer.Kind.values:
        problems.append(Problem("kind", kind, _("one of %(all)s") % {"all": ", ".join(Offer.Kind.values)}))
    if not 1 <= context_tokens <= TOKENS_MAX:
        rule = _("between 1 and %(max)s") % {"max": TOKENS_MAX}
        problems.append(Problem("context_tokens", str(context_tokens), rule))
    if not 1 <= output_tokens_max <= max(context_tokens, 1):
        rule = _("between 1 and the context")
        problems.append(Problem("output_tokens_max", str(output_tokens_max), rule))
    if problems:
        raise Invalid(*problems)


def _check_prices(input_fen: int, output_fen: int, cached_fen: int) -> None:
    prices = {"input_fen": input_fen, "output_fen": output_fen, "cached_fen": cached_fen}
    problems = [
        Problem(field, str(value), _("between 0 and %(max)s") % {"max": PRICE_FEN_MAX})
        for field, value in prices.items()
        if not 0 <= value <= PRICE_FEN_MAX
    ]
    if cached_fen > input_fen:
        problems.append(Problem("cached_fen", str(cached_fen), _("not above the price of input")))
    if problems:
        raise Invalid(*problems)
