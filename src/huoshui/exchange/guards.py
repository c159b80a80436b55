"""Rules against abuse: nobody trades with its own group, no trade leads back to where it began, no flood of orders.

* **Self-trade.** A party and everybody related to it (ownership of a quarter or more, control, over any number of
  steps) is one group; a trade within one is refused.
* **Wash trade.** A trade S → B is one when, within the window of the terms, cards of the same model and region and of
  hours that overlap went B → S, or B → X → S. Where the sides choose one another it is refused; in a call auction,
  where nobody chooses, it is flagged.
* **Limits.** Prices outside the limits and more orders than the terms allow are refused.

What is refused leaves nothing behind but an `Alert` with its stable code: `guarded` writes it after the refused action
was rolled back.
"""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import Refused
from huoshui.base.models import LogRecord
from huoshui.exchange.models import Alert, Auction, Contract, Trade
from huoshui.exchange.permissions import TRADE
from huoshui.registry.models import Party
from huoshui.registry.queries import related
from huoshui.terms import ExchangeTerms

P = ParamSpec("P")
R = TypeVar("R")
KEY_MAX = 190


def guarded(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator over an action: a refusal by a rule against abuse is remembered as an alert, then raised."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Refused as error:
            if error.code in Alert.Code.values:
                key = f"{kwargs.get('key', '')[:KEY_MAX]}/refused" if kwargs.get("key") else ""
                remember(args[0], key=key, code=error.code, params=error.params)
            raise

    return run


@action("exchange.alert.refused")
def remember(act: Act, *, code: str, params: dict[str, Any]) -> Alert:
    """Write down what was refused."""
    party = Party.objects.get(pk=params["party"])
    act.require(TRADE, party)
    detail = {name: value for name, value in params.items() if name not in ("party", "subject")}
    record = act.record(party, {"refused": code, "subject": params.get("subject", ""), "detail": detail})
    return raise_alert(act, record, code, party, params.get("subject", ""), detail, refused=True)


def raise_alert(
    act: Act, record: LogRecord, code: str, party: Party, subject: str, detail: dict[str, Any], *, refused: bool
) -> Alert:
    """Add an alert."""
    return Alert.objects.create(
        code=code, refused=refused, party=party, subject=subject, detail=detail, at=act.at, record=record
    )


def refuse_self_trade(party: Party, other: Party, subject: str) -> None:
    """Raises Refused(code="self_trade") when both are of one group."""
    if other == party or other.pk in related(party):
        raise Refused(
            _("%(other)s is of your own group: nobody trades with itself.") % {"other": other},
            code="self_trade", party=party.pk, subject=subject, other=other.name,
        )  # fmt: skip


def refuse_flood(party: Party, count: int, terms: ExchangeTerms, subject: str) -> None:
    """Raises Refused(code="order_limit") when so many are open already."""
    if count >= terms.orders_per_party_max:
        raise Refused(
            _("At most %(max)s may be open at once.") % {"max": terms.orders_per_party_max},
            code="order_limit", party=party.pk, subject=subject, max=terms.orders_per_party_max,
        )  # fmt: skip


def refuse_wash_trade(
    seller: Party, buyer: Party, acting: Party, contract: Contract | None, terms: ExchangeTerms, at: datetime,
    subject: str,
) -> None:  # fmt: skip
    """Raises Refused(code="wash_trade") when the trade would close a circle; `acting` is who asks for it."""
    if numbers := Circles(contract, terms, at).closed_by(seller, buyer):
        raise Refused(
            _("With trades %(trades)s this would lead back to where it began.") % {"trades": ", ".join(numbers)},
            code="wash_trade", party=acting.pk, subject=subject, trades=numbers,
        )  # fmt: skip


class Groups:
    """Which parties count as one: a party's group is named by its smallest key."""

    def __init__(self) -> None:
        self._label: dict[int, int] = {}

    def __getitem__(self, party: Party) -> int:
        if party.pk not in self._label:
            members = {party.pk} | related(party)
            self._label |= dict.fromkeys(members, min(members))
        return self._label[party.pk]


class Circles:
    """Recent trades of what a contract means, as a graph of groups."""

    def __init__(
        self, contract: Contract | None, terms: ExchangeTerms, at: datetime, without: Auction | None = None
    ) -> None:
        self.groups = Groups()
        self._sold_to: dict[int, dict[int, str]] = defaultdict(dict)
        recent = _alike(contract, at - timedelta(hours=terms.wash_window_hours))
        for trade in recent.exclude(auction=without) if without else recent:
            self._sold_to[self.groups[trade.seller]][self.groups[trade.buyer]] = trade.number

    def closed_by(self, seller: Party, buyer: Party) -> list[str]:
        """Numbers of the trades with which seller → buyer closes a circle of two or three; empty: none."""
        first, last = self.groups[buyer], self.groups[seller]
        onward = self._sold_to[first]
        if last in onward:
            return [onward[last]]
        between = next((group for group in sorted(onward) if last in self._sold_to[group]), None)
        return [] if between is None else [onward[between], self._sold_to[between][last]]


def _alike(contract: Contract | None, since: datetime) -> "QuerySet[Trade]":
    rows = Trade.objects.filter(made_at__gt=since).select_related("seller", "buyer").order_by("id")
    if contract is None:
        return rows.filter(contract=None)
    return rows.filter(
        Q(contract__start_hour__lt=contract.end_hour, contract__end_hour__gt=contract.start_hour),
        contract__card_model=contract.card_model_id, contract__region=contract.region_id,
    )  # fmt: skip
