"""Tables of the model service 模型服务, shared with the gateway, which reads and writes the marked ones by plain SQL.

A **wallet** is what a party set aside for model calls (held in the book under `maas.wallet:ID`); a **key** calls within
it. A **call** holds the most that it can cost, runs, and settles what it did cost; both steps change the wallet, the
key and the call in one transaction. **Upstreams** answer calls; an **offer** is an upstream's dated price for a model.

Unit of money inside the service: **µfen**, a millionth of a fen, so that tokens × price in fen per million tokens is
exact and nothing is ever rounded until a statement line, once (`Settled.carried` takes the rest along).
Instants of gateway tables are whole milliseconds since the Unix epoch (`…_ms`): one form for both databases.
"""

from collections.abc import Iterable
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base import clock
from huoshui.base.models import AppendOnly, LogRecord, User
from huoshui.book.models import Statement
from huoshui.compute.models import OfParty, Region
from huoshui.jobs.models import Endpoint
from huoshui.maas.instants import period_start_ms
from huoshui.registry.models import Party

UFEN = 1_000_000
"""µfen in one fen."""


class Upstream(OfParty):
    """Whoever answers calls: a provider's address, or an endpoint of this platform. Gateway reads it.

    `secret` is the name of the environment variable with the provider's key (`HUOSHUI_UPSTREAM_…`), never the key. An
    address takes calls only once somebody of the centre has looked at it (`approved_at`): until then it is paused. Its
    prices are public from the first time on (`listed_at`), whatever comes after. `base_url` ends before `/v1`.
    """

    OWNER = "provider"

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        PAUSED = "paused", pgettext_lazy("on sale", "paused")

    provider = models.ForeignKey(Party, models.PROTECT, related_name="upstreams", verbose_name=_("provider"))
    name = models.SlugField(_("name"), max_length=60, unique=True)
    base_url = models.CharField(_("address"), max_length=200, blank=True)
    secret = models.CharField(_("variable with its key"), max_length=80, blank=True)
    endpoint = models.OneToOneField(
        Endpoint, models.PROTECT, null=True, blank=True, related_name="upstream", verbose_name=_("endpoint")
    )
    region = models.ForeignKey(Region, models.PROTECT, verbose_name=_("region"))
    state = models.CharField(max_length=10, choices=State.choices, default=State.ACTIVE)
    approved_at = models.DateTimeField(null=True)
    listed_at = models.DateTimeField(null=True)
    concurrency_max = models.PositiveIntegerField(_("calls at once"), default=64)
    connect_seconds = models.PositiveIntegerField(_("seconds to connect"), default=5)
    first_token_seconds = models.PositiveIntegerField(_("seconds to the first token"), default=60)
    gap_seconds = models.PositiveIntegerField(_("seconds between tokens"), default=30)

    class Meta:
        verbose_name = _("upstream")
        constraints = [
            models.CheckConstraint(
                condition=Q(endpoint__isnull=True) ^ Q(base_url=""), name="upstream_is_address_or_endpoint"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Offer(models.Model):
    """An upstream's price for a model from an instant on: fen per million tokens. Gateway reads it.

    `model` is the name that clients call; `upstream_model` what the upstream calls it. An ended offer takes no new
    call. A private one is for keys of the provider itself: nobody else sees or calls it.
    """

    class Kind(models.TextChoices):
        CHAT = "chat", _("chat and completion")
        EMBEDDING = "embedding", _("embedding")

    upstream = models.ForeignKey(Upstream, models.PROTECT, related_name="offers")
    model = models.CharField(_("model"), max_length=80)
    upstream_model = models.CharField(_("its name there"), max_length=120)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.CHAT)
    input_fen = models.PositiveIntegerField(_("input (fen per million tokens)"))
    output_fen = models.PositiveIntegerField(_("output (fen per million tokens)"))
    cached_fen = models.PositiveIntegerField(_("cached input (fen per million tokens)"))
    context_tokens = models.PositiveIntegerField(_("context (tokens)"))
    output_tokens_max = models.PositiveIntegerField(_("longest answer (tokens)"))
    since_ms = models.BigIntegerField()
    until_ms = models.BigIntegerField(null=True, blank=True)
    private = models.BooleanField(_("private"), default=False)

    class Meta:
        verbose_name = _("offer")
        indexes = [models.Index(fields=["model", "until_ms"])]
        constraints = [
            models.UniqueConstraint(fields=["upstream", "model", "since_ms"], name="offer_once"),
            models.CheckConstraint(condition=Q(cached_fen__lte=F("input_fen")), name="offer_cached_not_dearer"),
        ]


def open_to(parties: Iterable[Any]) -> Q:
    """Offers that keys of these parties may call: what is private only of their own."""
    return Q(private=False) | Q(upstream__provider__in=parties)


class Wallet(OfParty):
    """What a party set aside for calls 模型服务额度. Gateway changes `held_ufen` and `spent_ufen`.

    Always held + spent ≤ funded. `billed_ufen` is the part of `spent_ufen` that bills have taken up, in whole fen; so
    the book holds funded − billed under `maas.wallet:ID`. `opened_on` is the day of the contract on its statements.
    """

    OWNER = "party"

    party = models.OneToOneField(Party, models.PROTECT, related_name="wallet")
    funded_ufen = models.BigIntegerField(default=0)
    held_ufen = models.BigIntegerField(default=0)
    spent_ufen = models.BigIntegerField(default=0)
    billed_ufen = models.BigIntegerField(default=0)
    frozen = models.BooleanField(_("frozen"), default=False)
    opened_on = models.DateField(null=True)

    class Meta:
        verbose_name = _("wallet")
        constraints = [
            models.CheckConstraint(
                condition=Q(held_ufen__gte=0, spent_ufen__gte=0, billed_ufen__gte=0, billed_ufen__lte=F("spent_ufen"))
                & Q(funded_ufen__gte=F("held_ufen") + F("spent_ufen")),
                name="wallet_holds_what_it_spends",
            )
        ]


class Key(OfParty):
    """A key of a party or of one of its agents 密钥: only its SHA-256 is kept. Gateway changes the figures.

    `allowed_models` are those it may call (empty: all), `allowed_regions` where they may run (empty: anywhere). A
    budget counts per `period`; `period_start_ms` is where the present one began. Rate limits count calls and tokens in
    a sliding minute.
    """

    OWNER = "wallet__party"

    class Period(models.TextChoices):
        TOTAL = "total", _("in all")
        DAY = "day", _("per day")
        MONTH = "month", _("per month")

    class Routing(models.TextChoices):
        PRICE = "price", _("cheapest first")
        LATENCY = "latency", _("fastest first")

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="keys")
    name = models.CharField(_("name"), max_length=80)
    agent = models.BooleanField(_("for a program"), default=False)
    prefix = models.CharField(max_length=12)
    digest = models.CharField(max_length=64, unique=True)
    allowed_models = models.JSONField(_("models"), default=list, blank=True)
    allowed_regions = models.JSONField(_("regions"), default=list, blank=True)
    routing = models.CharField(_("routing"), max_length=10, choices=Routing.choices, default=Routing.PRICE)
    period = models.CharField(_("budget"), max_length=10, choices=Period.choices, default=Period.TOTAL)
    budget_ufen = models.BigIntegerField(null=True, blank=True)
    period_start_ms = models.BigIntegerField(default=0)
    held_ufen = models.BigIntegerField(default=0)
    spent_ufen = models.BigIntegerField(default=0)
    calls_per_minute = models.PositiveIntegerField(_("calls per minute"), null=True, blank=True)
    tokens_per_minute = models.PositiveIntegerField(_("tokens per minute"), null=True, blank=True)
    expires_ms = models.BigIntegerField()
    revoked_ms = models.BigIntegerField(null=True, blank=True)
    made_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    made_ms = models.BigIntegerField()

    class Meta:
        verbose_name = _("key")
        constraints = [
            models.CheckConstraint(condition=Q(held_ufen__gte=0, spent_ufen__gte=0), name="key_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def spent_now_ufen(self) -> int:
        """What it spent in the present budget period: the gateway begins a period with its first call."""
        return self.spent_ufen if self.period_start_ms >= period_start_ms(self.period, clock.today()) else 0


class Call(models.Model):
    """One call, without any of its content. Written by the gateway only.

    held → settled, or released when nothing is owed; a hold whose gateway died is `expired` after `expires_ms`.
    `hold_ufen` was the most it could cost; `counted` says who counted the tokens: the upstream, the platform (the
    upstream's figures were missing or impossible) or nobody. `outcome` is a stable code: ok, aborted, truncated,
    timeout, rate_limited, upstream_error, upstream_refused, unreachable, bad_answer, lost. `asks`: how often it was
    begun under its name, each less than a minute after the one before. Only streams have a first token.
    """

    class State(models.TextChoices):
        HELD = "held", _("held")
        SETTLED = "settled", _("settled")
        RELEASED = "released", _("released")
        EXPIRED = "expired", _("expired")

    id = models.CharField(primary_key=True, max_length=32)
    key = models.ForeignKey(Key, models.PROTECT, related_name="calls")
    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="calls")
    offer = models.ForeignKey(Offer, models.PROTECT, null=True, related_name="calls")
    path = models.CharField(max_length=30)
    model = models.CharField(max_length=80)
    stream = models.BooleanField()
    state = models.CharField(max_length=10, choices=State.choices)
    hold_ufen = models.BigIntegerField()
    cost_ufen = models.BigIntegerField(default=0)
    input_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    counted = models.CharField(max_length=10, blank=True)
    outcome = models.CharField(max_length=20, blank=True)
    status = models.PositiveSmallIntegerField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)
    asks = models.PositiveSmallIntegerField(default=1)
    started_ms = models.BigIntegerField()
    first_token_ms = models.BigIntegerField(null=True)
    ended_ms = models.BigIntegerField(null=True)
    expires_ms = models.BigIntegerField()
    billed = models.ForeignKey("Settled", models.PROTECT, null=True, related_name="calls")

    class Meta:
        verbose_name = _("call")
        indexes = [
            models.Index(fields=["key", "-started_ms"]),
            models.Index(fields=["wallet", "billed", "state"]),
            models.Index(fields=["state", "expires_ms"]),
            models.Index(fields=["offer", "-started_ms"]),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(cost_ufen__gte=0, cost_ufen__lte=F("hold_ufen")), name="call_within_hold"
            ),
        ]


class Settled(AppendOnly):
    """A bill of a wallet's calls up to an instant. With the µfen carried from the bill before it

        cost + carried before = (billed + own) × UFEN + carried

    for the whole and for each offer. `lines` says it offer by offer: tokens, `cost_ufen`, `before_ufen`, `fen`,
    `carried_ufen`. `carried` is what did not make a whole fen, by offer, also of offers that this bill does not name.
    `own_fen` is what calls to the party's own upstreams cost: nobody's claim, so it returns to the party's limit.
    """

    wallet = models.ForeignKey(Wallet, models.PROTECT, related_name="bills")
    until_ms = models.BigIntegerField()
    calls_count = models.PositiveIntegerField()
    cost_ufen = models.BigIntegerField()
    billed_fen = models.BigIntegerField()
    own_fen = models.BigIntegerField()
    carried_ufen = models.BigIntegerField()
    carried = models.JSONField(default=dict)
    lines = models.JSONField(default=list)
    statement = models.ForeignKey(Statement, models.PROTECT, null=True, related_name="+")
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("bill of calls")

    @property
    def number(self) -> str:
        return f"MB{self.pk:06d}"


class Probe(AppendOnly):
    """One measured call of the quality table 量化评估 (method: docs/desks/model-service-quality.md).

    `outcome` is a code of `Call.outcome`, or `quota`. `cost_ufen` is what the call cost at the offer's price.
    """

    offer = models.ForeignKey(Offer, models.PROTECT, related_name="probes")
    batch = models.CharField(max_length=32)
    at = models.DateTimeField()
    input_bucket = models.PositiveIntegerField()
    concurrency = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=20)
    status = models.PositiveSmallIntegerField(null=True)
    ttft_us = models.BigIntegerField(null=True)
    e2e_us = models.BigIntegerField(null=True)
    input_tokens = models.PositiveIntegerField(null=True)
    output_tokens = models.PositiveIntegerField(null=True)
    cost_ufen = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("probe")
        indexes = [models.Index(fields=["offer", "-at"])]
