"""Reads that pages, files and the API share. Each takes the actor, except what is public."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.errors import Missing, Refused
from huoshui.jobs.models import Endpoint
from huoshui.maas import probing, published, quality
from huoshui.maas.instants import DAY_MS, LOCAL_MS, at, day_of, day_start_ms, ms_of
from huoshui.maas.measuring import active_offers
from huoshui.maas.models import UFEN, Call, Key, Offer, Probe, Settled, Upstream, Wallet, open_to
from huoshui.maas.permissions import PROVIDE, READ
from huoshui.maas.quality import Quality, Sample
from huoshui.registry.queries import parties_of

PROBES_MAX = 50_000
LIVE_CALLS_MAX = 100_000
USAGE_ROWS_MAX = 50_000
GROUPS_MAX = 1_000
DAY = ExpressionWrapper((F("started_ms") + LOCAL_MS) / DAY_MS, output_field=BigIntegerField())


# --- what is on offer (public) ----------------------------------------------------------------------------------------


def open_offers() -> QuerySet[Offer]:
    """Offers that take calls now, private ones too, by model and price."""
    found = Offer.objects.filter(active_offers()).select_related("upstream__provider", "upstream__region")
    return found.order_by("model", "output_fen", "input_fen", "pk")


def offers(model: str = "") -> QuerySet[Offer]:
    """Offers that take everybody's calls now, by model and price."""
    found = open_offers().filter(private=False)
    return found.filter(model=model) if model else found


def price_history(model: str) -> QuerySet[Offer]:
    """All prices that a model ever had here, the newest first; also of who takes no calls any more."""
    rows = Offer.objects.filter(model=model, private=False, upstream__listed_at__isnull=False)
    return rows.select_related("upstream__provider").order_by("-since_ms", "-pk")


def model_names(parties: Iterable[Any], kind: str = "") -> list[str]:
    """Models that keys of these parties may call now, of a kind."""
    found = open_offers().filter(open_to(parties))
    found = found.filter(kind=kind) if kind else found
    return list(found.values_list("model", flat=True).distinct().order_by("model"))


@dataclass(frozen=True)
class Measured:
    """A row of the quality table: an offer's figures, of one cell or (bucket 0) of all."""

    offer: Offer
    bucket: int
    concurrency: int
    quality: Quality
    days: int


def measured(found: Iterable[Offer], by_cell: bool = False) -> list[Measured]:
    """What the probe measured of offers within the published window; offers without data are there too."""
    listed = list(found)
    since = clock.now() - published.WINDOW
    streams = {offer.pk: offer.kind == Offer.Kind.CHAT for offer in listed}
    columns = ("offer", "input_bucket", "concurrency", "batch", "at", "outcome", "ttft_us", "e2e_us", "output_tokens")
    rows = Probe.objects.filter(offer__in=listed, at__gte=since).order_by("-at").values_list(*columns)[:PROBES_MAX]
    groups: dict[tuple[int, int, int], list[Sample]] = defaultdict(list)
    for offer, bucket, at_once, *seen in rows:
        sample = Sample(*seen, streams=streams[offer])  # type: ignore[misc]
        groups[(offer, bucket, at_once) if by_cell else (offer, 0, 0)].append(sample)
    told = []
    for offer in listed:
        keys = sorted(key for key in groups if key[0] == offer.pk) or [(offer.pk, 0, 0)]
        told += [Measured(offer, key[1], key[2], quality.quality(groups[key]), published.WINDOW.days) for key in keys]
    return told


def live(found: Iterable[Offer]) -> dict[int, Quality]:
    """Figures of real calls within the window, of offers with enough calls of enough firms that none shows through.

    What clients ended themselves (`aborted`) and what a dead gateway lost says nothing of an upstream.
    """
    since = ms_of(clock.now() - published.WINDOW)
    rows = Call.objects.filter(offer__in=list(found), started_ms__gte=since, outcome__in=probing.OUTCOMES)
    enough = rows.values("offer").annotate(calls=Count("pk"), wallets=Count("wallet", distinct=True)).filter(
        calls__gte=published.LIVE_CALLS_MIN, wallets__gte=published.LIVE_WALLETS_MIN
    ).order_by()  # fmt: skip
    told: dict[int, list[Sample]] = defaultdict(list)
    columns = ("offer", "started_ms", "first_token_ms", "ended_ms", "outcome", "output_tokens", "stream")
    chosen = rows.filter(offer__in=[row["offer"] for row in enough]).order_by("-started_ms")
    for offer, start, first, end, outcome, tokens, stream in chosen.values_list(*columns)[:LIVE_CALLS_MAX]:
        instant = at(start) or clock.EPOCH
        ttft = (first - start) * 1_000 if stream and first else None
        whole = end and (end - start) * 1_000
        told[offer].append(Sample(f"{instant:%j%H}", instant, outcome, ttft, whole, tokens, stream))
    return {offer: quality.quality(samples) for offer, samples in told.items()}


# --- what one may see -------------------------------------------------------------------------------------------------


def wallets(actor: Actor) -> QuerySet[Wallet]:
    """Wallets that the actor may see."""
    return with_use(access.visible(Wallet.objects.select_related("party"), actor, READ)).order_by("party__name", "pk")


def _seen(actor: Actor) -> QuerySet[Wallet]:
    return access.visible(Wallet.objects.all(), actor, READ)


def with_use(rows: QuerySet[Wallet]) -> QuerySet[Wallet]:
    """With `used_ufen`: what the calls of the published time before now cost."""
    since = ms_of(clock.now() - published.LOW_WITHIN)
    recent = Call.objects.filter(wallet=OuterRef("pk"), state=Call.State.SETTLED, started_ms__gte=since)
    cost = recent.order_by().values("wallet").annotate(cost=Sum("cost_ufen")).values("cost")
    return rows.annotate(used_ufen=Coalesce(Subquery(cost), 0, output_field=BigIntegerField()))


def wallet(actor: Actor, pk: int) -> Wallet:
    """One wallet. Raises Missing."""
    return access.get_visible(with_use(Wallet.objects.select_related("party")), actor, READ, pk=pk)


def keys(actor: Actor) -> QuerySet[Key]:
    """Keys that the actor may see, live ones first."""
    rows = access.visible(Key.objects.select_related("wallet__party", "made_by"), actor, READ)
    return rows.order_by(F("revoked_ms").asc(nulls_first=True), "-pk")


def key(actor: Actor, pk: int) -> Key:
    """One key. Raises Missing."""
    return access.get_visible(Key.objects.select_related("wallet__party", "made_by"), actor, READ, pk=pk)


def bills(actor: Actor) -> QuerySet[Settled]:
    """Bills of wallets that the actor may see, the newest first."""
    rows = Settled.objects.filter(wallet__in=_seen(actor)).select_related("wallet__party", "statement")
    return rows.order_by("-pk")


def bill(actor: Actor, pk: int) -> Settled:
    """One bill. Raises Missing."""
    found = bills(actor).filter(pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def calls(actor: Actor, narrowed: Mapping[str, Any] | None = None) -> QuerySet[Call]:
    """Calls of wallets that the actor may see, the newest first. `narrowed`: key, model, outcome, since, until."""
    rows = Call.objects.filter(wallet__in=_seen(actor)).select_related("key", "offer__upstream")
    return _narrowed(rows, narrowed or {}).order_by("-started_ms", "pk")


def upstreams(actor: Actor) -> QuerySet[Upstream]:
    """Upstreams that the actor provides; all for those who read everything."""
    rows = Upstream.objects.select_related("provider", "region", "endpoint").order_by("name")
    if access.EVERYWHERE in actor.scopes(READ):
        return rows
    return access.visible(rows, actor, PROVIDE)


def upstream(actor: Actor, pk: int) -> Upstream:
    """One upstream. Raises Missing."""
    reads_all = access.EVERYWHERE in actor.scopes(READ)
    rows = Upstream.objects.select_related("provider", "region", "endpoint")
    return access.get_visible(rows, actor, READ if reads_all else PROVIDE, pk=pk)


def free_endpoints(actor: Actor) -> QuerySet[Endpoint]:
    """Endpoints of the platform that the actor may let answer calls and that do not yet."""
    rows = Endpoint.objects.filter(upstream=None).exclude(state__in=(Endpoint.State.CLOSED, Endpoint.State.FAILED))
    return access.visible(rows, actor, PROVIDE).order_by("name")


def priced_models(actor: Actor) -> list[str]:
    """Models that ever had a price that the actor may see."""
    listed = Q(private=False, upstream__listed_at__isnull=False)
    own = Q(upstream__provider__in=parties_of(actor, READ).order_by())
    return sorted({*Offer.objects.filter(listed | own).values_list("model", flat=True)})


def _narrowed(rows: QuerySet[Call], given: Mapping[str, Any]) -> QuerySet[Call]:
    if given.get("wallet"):
        rows = rows.filter(wallet=given["wallet"])
    if given.get("key"):
        rows = rows.filter(key=given["key"])
    if given.get("model"):
        rows = rows.filter(model=given["model"])
    if given.get("outcome"):
        rows = rows.filter(outcome=given["outcome"])
    if given.get("since"):
        rows = rows.filter(started_ms__gte=day_start_ms(given["since"]))
    if given.get("until"):
        rows = rows.filter(started_ms__lt=day_start_ms(given["until"]) + DAY_MS)
    return rows


# --- usage and cost ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sums:
    """Calls, their tokens and what they cost."""

    calls: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_ufen: int


SUMS: Mapping[str, Any] = {
    "calls": Count("pk"), "failed": Count("pk", filter=~Q(outcome="ok")), "inputs": Sum("input_tokens"),
    "cached": Sum("cached_tokens"), "outputs": Sum("output_tokens"), "cost": Sum("cost_ufen"),
}  # fmt: skip


@dataclass(frozen=True)
class Usage:
    """Calls of one day, model and key."""

    day: date
    model: str
    key: int
    key_name: str
    calls: int
    failed: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_ufen: int


def usage(actor: Actor, narrowed: Mapping[str, Any]) -> list[Usage]:
    """Ended calls by local day, model and key, the newest first. Raises Refused(code="too_many_rows")."""
    found = _grouped(actor, narrowed, "day", "model", "key", "key__name").order_by("-day", "model", "key")
    rows = list(found[: USAGE_ROWS_MAX + 1])
    if len(rows) > USAGE_ROWS_MAX:
        told = _("More than %(max)s rows: choose fewer days or one key.") % {"max": USAGE_ROWS_MAX}
        raise Refused(told, code="too_many_rows")
    return [Usage(day_of(row["day"]), row["model"], row["key"], row["key__name"], *_sums(row)) for row in rows]


def usage_by(actor: Actor, narrowed: Mapping[str, Any], by: str) -> dict[Any, Sums]:
    """Ended calls by `day` (the newest first), `model` or `key` (the dearest first); at most GROUPS_MAX."""
    rows = _grouped(actor, narrowed, by).order_by("-day" if by == "day" else "-cost", by)[:GROUPS_MAX]
    return {day_of(row[by]) if by == "day" else row[by]: Sums(*_sums(row)) for row in rows}


def usage_total(actor: Actor, narrowed: Mapping[str, Any]) -> Sums:
    """All ended calls together."""
    return Sums(*_sums(_ended(actor, narrowed).aggregate(**SUMS)))


def key_names(found: Iterable[int]) -> dict[int, str]:
    """Names of keys; those of one name have their number with it."""
    names = dict(Key.objects.filter(pk__in=found).values_list("pk", "name"))
    often = Counter(names.values())
    return {pk: f"{name} (#{pk})" if often[name] > 1 else name for pk, name in names.items()}


def _ended(actor: Actor, narrowed: Mapping[str, Any]) -> QuerySet[Call]:
    return calls(actor, narrowed).exclude(state=Call.State.HELD).order_by()


def _grouped(actor: Actor, narrowed: Mapping[str, Any], *by: str) -> Any:
    return _ended(actor, narrowed).annotate(day=DAY).values(*by).annotate(**SUMS)


def _sums(row: Mapping[str, Any]) -> list[int]:
    """Sums of a row, in the order of the fields; of no calls all are 0."""
    return [row[name] or 0 for name in SUMS]


def free_ufen(found: Wallet) -> int:
    """What new calls may still hold."""
    return found.funded_ufen - found.held_ufen - found.spent_ufen


def is_low(found: Wallet) -> bool:
    """Whether little is left of a wallet (with its use), by the published rule."""
    return free_ufen(found) <= found.used_ufen  # type: ignore[attr-defined]


def unbilled_ufen(found: Wallet) -> int:
    """What was spent and is on no bill yet, remainders included."""
    return found.spent_ufen - found.billed_ufen


def key_state(found: Key, now: datetime | None = None) -> str:
    """live, soon (expires soon), expired or revoked."""
    moment = now or clock.now()
    if found.revoked_ms is not None:
        return "revoked"
    if found.expires_ms <= ms_of(moment):
        return "expired"
    return "soon" if found.expires_ms <= ms_of(moment + published.KEY_EXPIRES_SOON) else "live"


def expiring(actor: Actor) -> QuerySet[Key]:
    """Live keys that expire soon."""
    now = clock.now()
    return keys(actor).filter(
        revoked_ms=None, expires_ms__gt=ms_of(now), expires_ms__lte=ms_of(now + published.KEY_EXPIRES_SOON)
    )


def fen_of(ufen: int) -> int:
    """Whole fen of an amount, for pages."""
    return ufen // UFEN
