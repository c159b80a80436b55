"""When and what the probe measures: what was measured longest ago first, as far as the day's budget reaches.

A cell is an offer, an input length and a number of calls at once. The budget grows with the day, so that every hour is
measured, and all providers have equal shares of it: a cell waits until what it can cost at most fits into what its
provider was allowed so far and did not spend. No cell of that provider overtakes it; those of others go on. Providers
take turns, so that one whose calls hang keeps nobody waiting for all of its cells. What can cost more than the share of
a whole day is not measured. A sleeping endpoint is not woken. Private offers are not measured, nor inputs longer than
an offer's context, nor addresses under `.invalid`, which never exist (RFC 6761): the demo's providers have them.
"""

import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from django.db.models import Max, Q, Sum

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import invalid
from huoshui.jobs.models import Endpoint
from huoshui.maas import probing, published
from huoshui.maas.instants import ms_of
from huoshui.maas.models import UFEN, Offer, Probe, Upstream
from huoshui.maas.permissions import PROBE

TURN_SECONDS_MAX = 600
"""A turn ends after this; what is left is measured in the next."""
CELLS_MAX = 5_000
DAY_SECONDS = 86_400


class Cell(NamedTuple):
    """What is measured at once."""

    offer: Offer
    bucket: int
    concurrency: int

    @property
    def provider(self) -> int:
        """Whose offer it is of."""
        return self.offer.upstream.provider_id


def active_offers() -> Q:
    """Offers that take calls now."""
    now = ms_of(clock.now())
    begun = Q(since_ms__lte=now) & (Q(until_ms=None) | Q(until_ms__gt=now))
    return begun & Q(upstream__state=Upstream.State.ACTIVE)


def measure(actor: Actor) -> int:
    """One turn of the probe; returns how many calls were made."""
    began, calls, batch = time.monotonic(), 0, uuid.uuid4().hex
    found = cells()
    left, left_of = left_today_ufen({cell.provider for cell in found})
    share = published.PROBE_DAY_FEN * UFEN // max(len(left_of), 1)
    waiting: set[int] = set()
    for cell in found:
        most = cost_max_ufen(cell)
        if most > share or cell.provider in waiting:
            continue
        if most > min(left, left_of[cell.provider]):
            waiting.add(cell.provider)
            continue
        if time.monotonic() - began > TURN_SECONDS_MAX:
            break
        rows = probing.measure(target(cell.offer), _prompts(cell), published.OUTPUT_TOKENS, cell.concurrency)
        cost = sum(row.cost_ufen for row in record_probes(actor, cell=cell, batch=batch, rows=rows))
        left -= cost
        left_of[cell.provider] -= cost
        calls += len(rows)
    return calls


@action("maas.probe.record")
def record_probes(act: Act, *, cell: Cell, batch: str, rows: Sequence[probing.Measured]) -> list[Probe]:
    """Keep what a cell's calls were like. Raises Invalid on an outcome that is none."""
    act.require(PROBE)
    for row in rows:
        if row.outcome not in probing.OUTCOMES:
            raise invalid("outcome", row.outcome, ", ".join(probing.OUTCOMES))
    offer = cell.offer
    act.record(offer, {"batch": batch, "bucket": cell.bucket, "concurrency": cell.concurrency, "rows": list(rows)})
    return Probe.objects.bulk_create(
        Probe(
            offer=offer, batch=batch, at=act.at, input_bucket=cell.bucket, concurrency=cell.concurrency,
            outcome=row.outcome, status=row.status, ttft_us=row.ttft_us, e2e_us=row.e2e_us,
            input_tokens=row.input_tokens, output_tokens=row.output_tokens, cost_ufen=_cost_ufen(offer, row),
        )
        for row in rows
    )  # fmt: skip


def cells() -> list[Cell]:
    """Everything that can be measured now, what was measured longest ago first; providers take turns."""
    offers = Offer.objects.filter(active_offers(), private=False).select_related("upstream__endpoint")
    last = Probe.objects.filter(offer__in=offers).values_list("offer", "input_bucket", "concurrency")
    measured: dict[tuple[int, int, int], datetime] = {
        (offer, bucket, at_once): at for offer, bucket, at_once, at in last.annotate(at=Max("at")).order_by()
    }
    found = [
        Cell(offer, bucket, at_once)
        for offer in offers.order_by("pk")
        if _awake(offer.upstream) and not (urlsplit(offer.upstream.base_url).hostname or "").endswith(".invalid")
        for bucket in published.INPUT_BUCKETS
        if bucket * probing.TOKENS_PER_WORD_MAX + published.OUTPUT_TOKENS <= offer.context_tokens
        for at_once in published.CONCURRENCIES
    ]  # fmt: skip
    never = clock.EPOCH
    found.sort(key=lambda cell: measured.get((cell.offer.pk, cell.bucket, cell.concurrency), never))
    turns: Counter[int] = Counter()
    ordered = []
    for cell in found:
        ordered.append((turns[cell.provider], cell))
        turns[cell.provider] += 1
    ordered.sort(key=lambda row: row[0])
    return [cell for _turn, cell in ordered[:CELLS_MAX]]


def target(offer: Offer) -> probing.Target:
    """Where and how an offer is called."""
    upstream = offer.upstream
    endpoint = upstream.endpoint
    return probing.Target(
        url=endpoint.address if endpoint else upstream.base_url,
        key=endpoint.key if endpoint else os.environ.get(upstream.secret, "") if upstream.secret else "",
        model=offer.upstream_model, connect_seconds=upstream.connect_seconds,
        first_token_seconds=min(upstream.first_token_seconds, published.PROBE_SECONDS_MAX),
        seconds_max=published.PROBE_SECONDS_MAX, embeds=offer.kind == Offer.Kind.EMBEDDING,
    )  # fmt: skip


def allowed_today_ufen() -> int:
    """The day's budget times the share of the day that is over."""
    elapsed = clock.now() - clock.day_start(clock.today())
    return published.PROBE_DAY_FEN * UFEN * int(elapsed.total_seconds()) // DAY_SECONDS


def spent_today_ufen() -> int:
    """What today's probes cost at the offers' prices."""
    return sum(_spent_today().values())


def left_today_ufen(providers: set[int]) -> tuple[int, dict[int, int]]:
    """What the day has allowed so far and was not spent: in all, and of each provider's equal share."""
    allowed, spent = allowed_today_ufen(), _spent_today()
    of_each = {provider: allowed // len(providers) - spent.get(provider, 0) for provider in providers}
    return allowed - sum(spent.values()), of_each


def _spent_today() -> dict[int, int]:
    """What today's probes cost, by provider."""
    today = Probe.objects.filter(at__gte=clock.day_start(clock.today()))
    costs = today.values("offer__upstream__provider").annotate(total=Sum("cost_ufen")).order_by()
    return dict(costs.values_list("offer__upstream__provider", "total"))


def cost_max_ufen(cell: Cell) -> int:
    """The most that the calls of a cell can cost."""
    inputs = cell.bucket * probing.TOKENS_PER_WORD_MAX * cell.offer.input_fen
    said = 0 if cell.offer.kind == Offer.Kind.EMBEDDING else published.OUTPUT_TOKENS
    return published.PROBES_PER_CELL * (inputs + said * cell.offer.output_fen)


def _cost_ufen(offer: Offer, row: probing.Measured) -> int:
    """What the call cost; nothing is known of the input of one that did not answer."""
    return (row.input_tokens or 0) * offer.input_fen + (row.output_tokens or 0) * offer.output_fen


def _awake(upstream: Upstream) -> bool:
    return upstream.endpoint is None or upstream.endpoint.state == Endpoint.State.READY


def _prompts(cell: Cell) -> list[str]:
    dice = random.SystemRandom()
    return [probing.prompt(cell.bucket, dice.randrange(10**9)) for _call in range(published.PROBES_PER_CELL)]
