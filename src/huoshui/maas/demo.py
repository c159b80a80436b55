"""The demo's model service: two invented providers, firms with wallets and keys, a month of invented calls, bills.

The providers' addresses end in `.invalid`, so nothing can be called and nothing is measured there. The calls are drawn
from a fixed seed and written as the gateway would have left them; keys are shown to nobody.
"""

import random
from collections.abc import Iterator
from datetime import timedelta

from django.db.models import F
from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.act import Act, action
from huoshui.compute.demo import first_day, midday
from huoshui.compute.models import Region
from huoshui.maas.actions import bills, keys, upstreams, wallets
from huoshui.maas.instants import ms_of, period_start_ms
from huoshui.maas.models import UFEN, Call, Key, Offer, Wallet
from huoshui.maas.permissions import BILL
from huoshui.registry.models import Party, RoleKind

ACTOR = access.system("demo")
SEED = 20_261
DAYS = 40
BILLED_DAYS_AGO = 9
FUNDED_FEN = 800_00
PROVIDERS = (
    # name, address, region, ((model, input, output, cached, context), …) in fen per million tokens
    ("shili-dahai", "https://dahai.models.invalid", "east", (
        ("shili-chat-7b", 80, 200, 16, 32_768), ("shili-chat-72b", 400, 1_200, 80, 131_072),
        ("shili-embed", 50, 0, 50, 8_192),
    )),
    ("shili-gaoyuan", "https://gaoyuan.models.invalid", "southwest", (
        ("shili-chat-7b", 60, 180, 12, 32_768), ("shili-code-32b", 200, 600, 40, 65_536),
    )),
)  # fmt: skip
KEYS = (("客服系统", True), ("研发组", False), ("报表程序", True))
OUTCOMES = ("ok",) * 47 + ("aborted", "timeout", "upstream_error")


def load() -> Iterator[str]:
    """Providers, prices, wallets, keys, calls and one bill for each firm; repeatable."""
    providers = list(Party.objects.filter(roles__kind=RoleKind.OPERATOR).order_by("pk"))[-2:]
    firms = list(Party.objects.filter(name__startswith="示例", roles__kind=RoleKind.ENTITY).order_by("pk"))
    firms = [firm for firm in firms if not firm.has_role(RoleKind.OPERATOR)][:3]
    if len(providers) < 2 or not firms or not Region.objects.exists() or Offer.objects.exists():
        return
    start = midday(first_day() - timedelta(days=DAYS))
    with clock.moved_to(start):
        for party, (name, address, region, prices) in zip(providers, PROVIDERS, strict=True):
            _provider(party, name, address, region, prices)
        yield _("Model service: %(providers)s providers, %(offers)s prices") % {
            "providers": len(PROVIDERS), "offers": Offer.objects.count(),
        }  # fmt: skip
        made = [_firm(firm) for firm in firms]
    for number, wallet in enumerate(made):
        write_calls(ACTOR, key=f"demo/maas/calls/{number}", wallet=wallet, seed=SEED + number, start_ms=ms_of(start))
    with clock.moved_to(midday(first_day() - timedelta(days=BILLED_DAYS_AGO))):
        for wallet in made:
            bills.bill(ACTOR, key=f"demo/maas/bill/{wallet.pk}", wallet=wallet)
    yield _("%(count)s invented model calls of %(firms)s firms") % {
        "count": Call.objects.count(), "firms": len(firms),
    }  # fmt: skip


Price = tuple[str, int, int, int, int]


def _provider(party: Party, name: str, address: str, region: str, prices: tuple[Price, ...]) -> None:
    where = Region.objects.filter(code=region).first() or Region.objects.order_by("pk")[0]
    key = f"demo/maas/{name}"
    upstream = upstreams.register_upstream(
        ACTOR, key=key, provider=party, name=name, base_url=address, secret="", region=where
    )
    upstream = upstreams.approve_upstream(ACTOR, key=f"{key}/approve", upstream=upstream)
    for model, input_fen, output_fen, cached_fen, context in prices:
        upstreams.publish_offer(
            ACTOR, key=f"{key}/{model}", upstream=upstream, model=model, upstream_model=model, input_fen=input_fen,
            output_fen=output_fen, cached_fen=cached_fen, context_tokens=context, output_tokens_max=min(context, 8_192),
            kind=Offer.Kind.EMBEDDING if "embed" in model else Offer.Kind.CHAT,
        )  # fmt: skip


def _firm(firm: Party) -> Wallet:
    wallet = wallets.fund(ACTOR, key=f"demo/maas/fund/{firm.pk}", party=firm, amount_fen=FUNDED_FEN)
    for name, agent in KEYS:
        if not wallet.keys.filter(name=name).exists():
            keys.make_key(
                ACTOR, wallet=wallet, name=name, days=180, agent=agent,
                scope=keys.Scope(period=Key.Period.MONTH, budget_fen=400_00, calls_per_minute=600),
            )  # fmt: skip
    return wallet


@action("maas.demo.calls")
def write_calls(act: Act, *, wallet: Wallet, seed: int, start_ms: int) -> int:
    """Write invented calls of the days before today, as the gateway leaves them; returns how many."""
    act.require(BILL)
    dice = random.Random(seed)  # noqa: S311
    offers, held = list(Offer.objects.order_by("pk")), list(wallet.keys.order_by("pk"))
    rows = [
        _call(dice, dice.choice(held), dice.choice(offers), start_ms + 86_400_000 * day + 1_000 * second)
        for day in range(DAYS - 1)
        for second in sorted(dice.sample(range(30_000), dice.randint(4, 22)))
    ]
    Call.objects.bulk_create(rows)
    for key in held:
        period_ms = period_start_ms(key.period, clock.local(act.at).date())
        spent = sum(row.cost_ufen for row in rows if row.key_id == key.pk and row.started_ms >= period_ms)
        Key.objects.filter(pk=key.pk).update(spent_ufen=spent, period_start_ms=period_ms)
    total = sum(row.cost_ufen for row in rows)
    assert total < FUNDED_FEN * UFEN
    Wallet.objects.filter(pk=wallet.pk).update(spent_ufen=F("spent_ufen") + total)
    act.record(wallet, {"invented_calls": len(rows), "cost_ufen": total})
    return len(rows)


def _call(dice: random.Random, key: Key, offer: Offer, started_ms: int) -> Call:
    outcome = dice.choice(OUTCOMES)
    settled = outcome in ("ok", "aborted")
    input_tokens = dice.randint(2_000, 30_000) if settled else 0
    chat = offer.kind == Offer.Kind.CHAT
    output_tokens = dice.randint(50, 4_000) if settled and chat else 0
    cached = input_tokens * dice.choice((0, 0, 30, 60)) // 100
    most = 30_000 * offer.input_fen + 4_000 * offer.output_fen
    cost = (input_tokens - cached) * offer.input_fen + cached * offer.cached_fen + output_tokens * offer.output_fen
    first = dice.randint(180, 900)
    return Call(
        id=f"{dice.getrandbits(128):032x}", key=key, wallet_id=key.wallet_id, offer=offer,
        path="/v1/chat/completions" if chat else "/v1/embeddings", model=offer.model, stream=chat,
        state=Call.State.SETTLED if settled else Call.State.RELEASED,
        hold_ufen=most, cost_ufen=cost, input_tokens=input_tokens, cached_tokens=cached, output_tokens=output_tokens,
        counted="upstream" if settled else "", outcome=outcome, status=200 if settled else 502, tries=1,
        started_ms=started_ms, first_token_ms=started_ms + first if settled and chat else None,
        ended_ms=started_ms + first + output_tokens * 12, expires_ms=started_ms + 90_000,
    )  # fmt: skip
