"""From what an order was given to the lines of its statement.

The rules, in order:

* **Use.** What is billed by use is one line: the card-seconds that the engine counted and the cap covers, at the
  order's price, floored once. What is paid as a whole is one line for each period.
* **Losses.** Card-time of a whole order that was lost is credited at its price in the statement of its period. What a
  contest gave back of card-time counts as credited. What the last statement cannot bear comes back the way it was paid:
  the operator owes its part, the centre the rest of the fee, each in a statement that is not secured.
* **Fee.** One floored share of the rest, out of the operator's revenue; the concession, another, comes off the
  platform's part. Each statement is floored on its own, as the order's total was (`prices.total_of`).
* **Compensation.** Where less was available than promised, the operator gives back the published share of the price of
  what is missing below the promise, off its part of the final statement; what that cannot bear, it owes beside it, and
  so what follows from losses that become known after that statement.
* **VAT.** Each payee invoices the buyer for its own part (docs/book.md): what comes off the operator's part carries the
  product's rate, the platform's part the rate of the terms.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from huoshui.book.services import MFEN_SECONDS, LineDraft
from huoshui.jobs.services import Used
from huoshui.market.models import Order
from huoshui.market.prices import gross_of
from huoshui.registry.models import Party
from huoshui.terms.market_terms import MarketTerms
from huoshui.terms.rounding import BPS, floor_share

CARD_TIME, FEE, CONCESSION, LOST, COMPENSATION, CANCELLATION = (
    "card_time", "fee", "concession", "lost", "compensation", "cancellation",
)  # fmt: skip


@dataclass(frozen=True)
class Bill:
    """Lines of the buyer's statement, and what is owed to the buyer beside it, by who owes it."""

    lines: list[LineDraft]
    owed: dict[Party, list[LineDraft]]


def use_lines(order: Order, used: Used) -> list[LineDraft]:
    """The card-time that the engine counted; nothing when nothing ran."""
    if not used.card_seconds:
        return []
    told = {"product": order.product.title, "attempts": used.attempts, "ran": used.card_seconds}
    return [
        LineDraft(
            order.product.operator, CARD_TIME, order.vat_bps, "market.card_time", card_seconds=used.billed_seconds,
            price_mfen=order.price_mfen, params=told, evidence=used.evidence,
        )
    ]  # fmt: skip


def period_lines(order: Order, periods: Sequence[tuple[int, int]]) -> list[LineDraft]:
    """Periods of an order that is paid as a whole."""
    return [
        _amount(
            order.product.operator, CARD_TIME, "market.period",
            gross_of(order.cards, last - first, order.price_fen, order.unit_hours), order.vat_bps,
            {"product": order.product.title, "cards": order.cards, "hours": last - first},
        )
        for first, last in periods
    ]  # fmt: skip


def with_fee(order: Order, lines: Sequence[LineDraft], terms: MarketTerms, centre: Party) -> list[LineDraft]:
    """The lines, and the platform's part of them."""
    operator, gross = order.product.operator, sum(line.total for line in lines)
    made = list(lines)
    if fee := floor_share(gross, terms.fee_bps):
        made.append(_amount(operator, FEE, "market.fee_deducted", -fee, order.vat_bps))
        made.append(_amount(centre, FEE, "market.fee", fee, terms.vat_bps))
    if concession := floor_share(gross, terms.concession_bps):
        made.append(_amount(centre, CONCESSION, "market.concession", -concession, terms.vat_bps))
    return made


def lost_fen(order: Order, lost_seconds: int) -> int:
    """The price of lost card-time that was paid for as a whole; what is billed by use was not paid for."""
    return lost_seconds * order.price_fen // (3600 * order.unit_hours) if order.whole else 0


def compensation_fen(order: Order, sold_seconds: int, lost_seconds: int) -> int:
    """The published share of the price of what is missing below the promised availability."""
    if order.sla_bps is None:
        return 0
    missing = max(0, lost_seconds - sold_seconds * (BPS - order.sla_bps) // BPS)
    return missing * order.price_mfen * order.sla_compensation_bps // (MFEN_SECONDS * BPS)


def period_bill(
    order: Order, period: tuple[int, int], lost_fen: int, terms: MarketTerms, centre: Party
) -> list[LineDraft]:
    """The statement of a period: what it costs, less what was lost and is not credited yet, as far as it bears that."""
    lines, _later = _less(order, period_lines(order, [period]), LOST, lost_fen)
    return with_fee(order, lines, terms, centre)


def final_bill(
    order: Order, lines: Sequence[LineDraft], lost_fen: int, compensation_fen: int, terms: MarketTerms, centre: Party
) -> Bill:
    """The last statement: what is billed, less what was lost and is not credited yet, with the fee on the rest, less
    the compensation."""
    paid, unpaid = _less(order, lines, LOST, lost_fen)
    made, short = _less(order, with_fee(order, paid, terms, centre), COMPENSATION, compensation_fen)
    return Bill(made, owed_back(order, unpaid, short, terms, centre))


def owed_back(
    order: Order, lost_fen: int, compensation_fen: int, terms: MarketTerms, centre: Party
) -> dict[Party, list[LineDraft]]:
    """What of lost card-time comes back the way it was paid, and the operator's compensation, by who owes it."""
    given = with_fee(order, _credit(order, LOST, -lost_fen), terms, centre)
    owed = defaultdict(list)
    for line in (*given, *_credit(order, COMPENSATION, -compensation_fen)):
        owed[line.payee].append(replace(line, payee=order.buyer))
    return {payer: due for payer, due in owed.items() if sum(line.total for line in due)}


def _less(
    order: Order, lines: Iterable[LineDraft], kind: str, amount: int
) -> tuple[list[LineDraft], int]:
    """The lines less what the operator gives back, and how much its part cannot bear."""
    made, operator = list(lines), order.product.operator
    own = min(amount, sum(line.total for line in made if line.payee == operator))
    return made + _credit(order, kind, own), amount - own


def _credit(order: Order, kind: str, amount: int) -> list[LineDraft]:
    """An amount off the operator's part."""
    operator = order.product.operator
    return [_amount(operator, kind, f"market.{kind}", -amount, order.vat_bps)] if amount else []


def cancellation_lines(order: Order, kept_fen: int) -> list[LineDraft]:
    """What a cancelled order still pays, all of it to the operator."""
    if not kept_fen:
        return []
    return [_amount(order.product.operator, CANCELLATION, "market.cancellation", kept_fen, order.vat_bps)]


def _amount(
    payee: Party, kind: str, description: str, amount: int, vat_bps: int, params: dict[str, Any] | None = None
) -> LineDraft:
    return LineDraft(payee, kind, vat_bps, description, amount=amount, params=params or {})
