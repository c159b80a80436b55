"""Wallets: money set aside for calls. The book holds what a wallet has, the gateway spends within it.

    funded = free + held + spent            (µfen; free is what may be taken back)
    spent  = billed + carried + not billed yet
    the book's held under maas.wallet:ID = funded − billed

The gateway changes `held` and `spent` by itself, so every change here is one statement that adds or compares, never a
value that was read before. Whatever concerns one wallet locks its party first, so that two bills never carry the same
remainder; the gateway does not wait for that lock.
"""

from django.db.models import F
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.canonical import label
from huoshui.base.errors import Refused, invalid
from huoshui.book import services
from huoshui.book.ledger import AMOUNT_MAX
from huoshui.book.services import Hold
from huoshui.maas.models import UFEN, Wallet
from huoshui.maas.permissions import FREEZE, FUND
from huoshui.registry.models import Party

FUNDED_FEN_MAX = AMOUNT_MAX // 1_000
"""µfen of it must stay within int64."""


@action("maas.wallet.fund")
def fund(act: Act, *, party: Party, amount_fen: int) -> Wallet:
    """Set aside an amount of the party's limit; opens the wallet the first time. Raises Refused(code="over_limit")."""
    act.require(FUND, party)
    if not 0 < amount_fen <= FUNDED_FEN_MAX:
        raise invalid("amount_fen", amount_fen, _("must be above zero"))
    lock_party(party)
    wallet, _created = Wallet.objects.get_or_create(party=party, defaults={"opened_on": clock.local(act.at).date()})
    if wallet.funded_ufen // UFEN + amount_fen > FUNDED_FEN_MAX:
        raise invalid("amount_fen", amount_fen, _("more than a wallet may hold"))
    record = act.record(wallet, {"party": party, "amount_fen": amount_fen})
    services.hold(act, record, party, label(wallet), amount_fen)
    Wallet.objects.filter(pk=wallet.pk).update(funded_ufen=F("funded_ufen") + amount_fen * UFEN)
    wallet.refresh_from_db()
    return wallet


@action("maas.wallet.take_back")
def take_back(act: Act, *, wallet: Wallet, amount_fen: int) -> Wallet:
    """Give an amount that is neither held nor spent back to the limit. Raises Refused(code="over_wallet")."""
    act.require(FUND, wallet)
    if not 0 < amount_fen <= FUNDED_FEN_MAX:
        raise invalid("amount_fen", amount_fen, _("must be above zero"))
    lock_party(wallet.party)
    amount = amount_fen * UFEN
    free = Wallet.objects.filter(pk=wallet.pk, funded_ufen__gte=F("held_ufen") + F("spent_ufen") + amount)
    if not free.update(funded_ufen=F("funded_ufen") - amount):
        raise Refused(
            _("So much is not free: calls hold or have spent a part of it."), code="over_wallet", wallet=wallet.pk
        )
    record = act.record(wallet, {"amount_fen": -amount_fen})
    services.release_hold_many(act, record, [Hold(wallet.party, label(wallet), amount_fen)])
    wallet.refresh_from_db()
    return wallet


@action("maas.wallet.freeze")
def freeze(act: Act, *, wallet: Wallet, frozen: bool, reason: str) -> Wallet:
    """Let a wallet take no new calls, or let it again (officers)."""
    act.require(FREEZE)
    if not 0 < len(reason.strip()) <= 200:
        raise invalid("reason", reason[:80], _("say it in 1 to %(max)s characters") % {"max": 200})
    Wallet.objects.filter(pk=wallet.pk).update(frozen=frozen)
    act.record(wallet, {"frozen": frozen, "reason": reason.strip()})
    wallet.refresh_from_db()
    return wallet


def lock_party(party: Party) -> None:
    """Whatever concerns the party's wallet waits here (before balances and the log)."""
    Party.objects.select_for_update(no_key=True).get(pk=party.pk)
