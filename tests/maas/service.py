"""A small model service for tests: providers, offers, a wallet, and calls as the gateway writes them.

`Gateway` does by plain updates what `huoshui.gateway` does by SQL: hold, settle, release. Everything else goes through
the product's own actions.
"""

import itertools
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db.models import F
from tests.compute.world import NOON, party, publish, run

from huoshui.base import access, clock
from huoshui.book import services
from huoshui.compute.models import Region
from huoshui.maas.actions import keys, upstreams, wallets
from huoshui.maas.instants import ms_of
from huoshui.maas.models import Call, Key, Offer, Upstream, Wallet
from huoshui.registry.models import Party

SYSTEM = access.system("test")
LIMIT_FEN = 10**9
numbers = itertools.count(1)


@dataclass
class Service:
    """What there is."""

    bank: Party
    provider: Party
    firm: Party
    region: Region
    upstream: Upstream
    offer: Offer
    wallet: Wallet
    key: Key
    more: dict[str, Any] = field(default_factory=dict)

    def upstream_of(self, provider: Party, name: str = "", base_url: str = "http://127.0.0.1:9") -> Upstream:
        """An approved upstream of a provider."""
        made = upstreams.register_upstream(
            SYSTEM, key=f"u/{next(numbers)}", provider=provider, name=name or f"up-{next(numbers)}",
            base_url=base_url, secret="", region=self.region,
        )  # fmt: skip
        return upstreams.approve_upstream(SYSTEM, upstream=made)

    def offer_of(
        self, upstream: Upstream, model: str, input_fen: int, output_fen: int, cached_fen: int = 0,
        context_tokens: int = 32_768,
    ) -> Offer:  # fmt: skip
        """A price from now on."""
        return upstreams.publish_offer(
            SYSTEM, upstream=upstream, model=model, upstream_model=model, input_fen=input_fen, output_fen=output_fen,
            cached_fen=cached_fen, context_tokens=context_tokens, output_tokens_max=context_tokens,
        )  # fmt: skip

    def make_key(self, **named: Any) -> Key:
        """Another key of the wallet."""
        return keys.make_key(SYSTEM, wallet=self.wallet, name=f"钥匙{next(numbers)}", days=30, **named).key


def limit(bank: Party, firm: Party, amount_fen: int = LIMIT_FEN) -> None:
    """The bank says what a firm has."""
    run(lambda act, record: services.set_limit(act, record, firm, bank, amount_fen, "test"))


def build(funded_fen: int = 1_000_00) -> Service:
    """One provider, one offer (input 200, output 800, cached 20 fen per million), one funded wallet with a key."""
    party("示例中心", "centre")
    bank, provider, firm = party("示例银行", "bank"), party("示例模型", "operator"), party("示例企业", "entity")
    with clock.moved_to(NOON):
        publish("calendar", "cn-2026")
        publish("calendar", "cn-2027")
    region = Region.objects.create(code="east", name="东部")
    limit(bank, firm)
    wallet = wallets.fund(SYSTEM, key=f"fund/{next(numbers)}", party=firm, amount_fen=funded_fen)
    made = Service(bank, provider, firm, region, None, None, wallet, None)  # type: ignore[arg-type]
    made.upstream = made.upstream_of(provider, "example-one")
    made.offer = made.offer_of(made.upstream, "example-chat", 200, 800, 20)
    made.key = made.make_key()
    return made


class Gateway:
    """Calls as the gateway leaves them in the tables."""

    @staticmethod
    def hold(key: Key, offer: Offer, hold_ufen: int, started_ms: int | None = None, seconds: int = 90) -> Call:
        """A call under way. The caller sees to it that there is room."""
        started = ms_of(clock.now()) - 2_000 if started_ms is None else started_ms
        Wallet.objects.filter(pk=key.wallet_id).update(held_ufen=F("held_ufen") + hold_ufen)
        Key.objects.filter(pk=key.pk).update(held_ufen=F("held_ufen") + hold_ufen)
        return Call.objects.create(
            id=f"{next(numbers):032x}", key=key, wallet_id=key.wallet_id, offer=offer, path="/v1/chat/completions",
            model=offer.model, stream=True, state=Call.State.HELD, hold_ufen=hold_ufen, started_ms=started,
            expires_ms=started + seconds * 1000,
        )  # fmt: skip

    @staticmethod
    def settle(call: Call, input_tokens: int, output_tokens: int, cached_tokens: int = 0, ended_ms: int = 0) -> int:
        """What it did cost, at the offer's price; returns µfen."""
        offer = call.offer
        assert offer is not None
        cost = (
            (input_tokens - cached_tokens) * offer.input_fen + cached_tokens * offer.cached_fen
            + output_tokens * offer.output_fen
        )  # fmt: skip
        for table, pk in ((Wallet, call.wallet_id), (Key, call.key_id)):
            table.objects.filter(pk=pk).update(
                held_ufen=F("held_ufen") - call.hold_ufen, spent_ufen=F("spent_ufen") + cost
            )
        Call.objects.filter(pk=call.pk).update(
            state=Call.State.SETTLED, cost_ufen=cost, input_tokens=input_tokens, output_tokens=output_tokens,
            cached_tokens=cached_tokens, counted="upstream", outcome="ok", status=200, tries=1,
            first_token_ms=call.started_ms + 100, ended_ms=ended_ms or call.started_ms + 1_000,
        )  # fmt: skip
        return cost

    @staticmethod
    def release(call: Call) -> None:
        """Nothing is owed."""
        for table, pk in ((Wallet, call.wallet_id), (Key, call.key_id)):
            table.objects.filter(pk=pk).update(held_ufen=F("held_ufen") - call.hold_ufen)
        Call.objects.filter(pk=call.pk).update(
            state=Call.State.RELEASED, outcome="upstream_error", status=502, ended_ms=call.started_ms + 500
        )

    @classmethod
    def call(
        cls, key: Key, offer: Offer, input_tokens: int, output_tokens: int, cached_tokens: int = 0,
        started_ms: int | None = None,
    ) -> int:  # fmt: skip
        """A whole call; returns its cost."""
        most = input_tokens * offer.input_fen + output_tokens * offer.output_fen
        return cls.settle(cls.hold(key, offer, most, started_ms), input_tokens, output_tokens, cached_tokens)


def day(year: int, month: int, number: int) -> int:
    """Milliseconds of a local day's noon."""
    return ms_of(clock.day_start(date(year, month, number))) + 12 * 3_600_000
