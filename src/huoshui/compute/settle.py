"""What an allocation costs once it ran: from its schedule and the delivery reports to the lines of a statement.

Pure arithmetic on rows that `actions.delivery` reads. The rules, in order (docs/desks/compute-settlement.md):

* **Cells.** An hour of a share is a cell: so many cards of one deposit at the pool's slot price.
* **Delivery.** Reported card-time spreads evenly over the hours of its stretch, and within an hour over the deposits in
  proportion to their cards (largest remainder, ties by id). Cards that the entity resold count as delivered to it.
* **Cap.** Work stops before the first hour whose full price no longer fits under the spending cap, given what was
  billed before: from there nothing is billed and nothing is missing.
* **Lines.** One line for each deposit and price, floored once; the fee is one floored share, split over the sellers;
  the concession comes off the centre's part; the carrier is paid when anything ran; card-time that was missing is not
  billed, and its seller gives a compensation.
* **Difference.** A reschedule never makes the buyer pay more: what the new schedule costs above the agreed payment is
  borne by whoever recalled, by length of notice, and by the centre.

Every amount is integer fen; card-time is milli-card-hours; prices are 1/1000 fen per card-hour.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from huoshui.book.services import LineDraft
from huoshui.compute.models import Deposit
from huoshui.registry.models import Party
from huoshui.terms.round_terms import RoundTerms
from huoshui.terms.rounding import MILLI, floor_share, split_largest_remainder

REPORT_GRACE_HOURS = 72
"""Hours after the last run within which operators report; what is not reported then was not delivered."""
MICRO = MILLI * MILLI
"""Card-time × price counts millionths of a fen."""
CARD_HOURS, BANK, FEE, CONCESSION, TRANSFER = "card_hours", "bank", "fee", "concession", "transfer"
SHORTFALL, CANCELLATION, DISPLACEMENT, DIFFERENCE = "shortfall", "cancellation", "displacement", "difference"


class Cell(NamedTuple):
    """An hour of a share."""

    hour: int
    deposit: int
    cards: int
    price_mfen: int


class Report(NamedTuple):
    """Card-time delivered over [start_hour, end_hour)."""

    start_hour: int
    end_hour: int
    milli_card_hours: int


class Rate(NamedTuple):
    """What a line is made of: card-time of one deposit at one price."""

    deposit: int
    price_mfen: int


@dataclass(frozen=True)
class Cap:
    """The most that may be billed: card-hours less the concession, and the transfer once anything ran.

    After a reschedule the schedule may cost `excess_fen` more than the `payment_fen` that was agreed. Of whatever is
    delivered the buyer then pays payment / (payment + excess), rounded down; the rest is borne by others.
    """

    cap_fen: int
    transfer_fen: int
    concession_bps: int
    payment_fen: int = 0
    excess_fen: int = 0

    def covers(self, gross_micro: int) -> bool:
        """Whether card-time worth that many millionths of a fen fits."""
        return gross_micro == 0 or self.bill(gross_micro // MICRO) <= self.cap_fen

    def cost(self, gross_fen: int) -> int:
        """What card-hours of this gross amount cost, the transfer included, whoever pays."""
        return gross_fen - floor_share(gross_fen, self.concession_bps) + self.transfer_fen

    def borne(self, cost_fen: int) -> int:
        """The part of a cost that others than the buyer bear."""
        return -(-cost_fen * self.excess_fen // (self.payment_fen + self.excess_fen)) if self.excess_fen else 0

    def bill(self, gross_fen: int) -> int:
        """What the buyer pays for card-hours of this gross amount, the transfer included."""
        cost = self.cost(gross_fen)
        return cost - self.borne(cost)


class Bearer(NamedTuple):
    """Who made a schedule dearer by `weight` fen, and its share of the difference; the centre bears the rest."""

    party: Party
    weight: int
    bps: int


@dataclass(frozen=True)
class Usage:
    """Milli-card-hours that are billed and that were missing, by deposit and price; where the cap stopped the work."""

    used: dict[Rate, int]
    missing: dict[Rate, int]
    stopped_at: int | None


def by_hour(cells: Iterable[Cell]) -> dict[int, list[Cell]]:
    """Cells of each hour, hours in order, deposits in order within an hour."""
    found: dict[int, list[Cell]] = defaultdict(list)
    for cell in sorted(cells):
        found[cell.hour].append(cell)
    return found


def spread_over_hours(reports: Iterable[Report]) -> dict[int, int]:
    """Milli-card-hours delivered in each reported hour; a stretch's remainder goes to its earliest hours."""
    hourly: dict[int, int] = defaultdict(int)
    for report in reports:
        even, rest = divmod(report.milli_card_hours, report.end_hour - report.start_hour)
        for index, hour in enumerate(range(report.start_hour, report.end_hour)):
            hourly[hour] += even + (index < rest)
    return hourly


def spread_over_deposits(cells: Sequence[Cell], milli_card_hours: int) -> list[int]:
    """Card-time of one hour over its cells, in proportion to their cards; never more than a cell has."""
    return split_largest_remainder(
        milli_card_hours, [cell.cards for cell in cells], [f"{cell.deposit:020d}" for cell in cells]
    )


def meter(cells: Iterable[Cell], delivered: Mapping[int, int], cap: Cap) -> Usage:
    """What is billed and what is missing. `delivered`: milli-card-hours by hour, resold cards included."""
    used: dict[Rate, int] = defaultdict(int)
    missing: dict[Rate, int] = defaultdict(int)
    gross = 0
    for hour, row in by_hour(cells).items():
        full = sum(cell.cards * MILLI * cell.price_mfen for cell in row)
        if not cap.covers(gross + full):
            return Usage(dict(used), dict(missing), hour)
        planned = sum(cell.cards for cell in row) * MILLI
        ran = spread_over_deposits(row, min(delivered.get(hour, 0), planned))
        for cell, milli in zip(row, ran, strict=True):
            rate = Rate(cell.deposit, cell.price_mfen)
            gross += milli * cell.price_mfen
            if milli:
                used[rate] += milli
            if milli < cell.cards * MILLI:
                missing[rate] += cell.cards * MILLI - milli
    return Usage(dict(used), dict(missing), None)


def gross_micro(cells: Iterable[Cell]) -> int:
    """Price of cells in full, in millionths of a fen."""
    return sum(cell.cards * MILLI * cell.price_mfen for cell in cells)


# --- lines ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parties:
    """Who stands behind a statement. `credited`: deposits whose depositor gets account credit instead of money."""

    deposits: Mapping[int, Deposit]
    credited: frozenset[int]
    centre: Party
    carrier: Party
    index_price_mfen: int
    expiry_days: int

    def payee(self, deposit: int) -> Party:
        """Who is paid for a deposit's card-hours."""
        return self.centre if deposit in self.credited else self.deposits[deposit].depositor

    def kind(self, deposit: int) -> str:
        """Kind of a line for a deposit's card-hours."""
        return BANK if deposit in self.credited else CARD_HOURS

    def params(self, deposit: int) -> dict[str, Any]:
        """What the line says of the deposit, and for account credit how it converts."""
        of_bank = {"index_price_mfen": self.index_price_mfen, "expiry_days": self.expiry_days}
        return {"deposit": self.deposits[deposit].number} | (of_bank if deposit in self.credited else {})


@dataclass
class Bill:
    """Lines of the buyer's statement, and what is owed beside it: compensations (payer → fen, to the entity) and
    what others advance for the buyer (payer → payee → fen)."""

    lines: list[LineDraft] = field(default_factory=list)
    compensations: dict[Party, int] = field(default_factory=dict)
    advances: dict[Party, dict[Party, int]] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """What the buyer pays, in fen."""
        return sum(line.total for line in self.lines)

    def nets(self) -> dict[Party, int]:
        """What each payee gets."""
        found: dict[Party, int] = defaultdict(int)
        for line in self.lines:
            found[line.payee] += line.total
        return found


def bill(
    usage: Usage, parties: Parties, terms: RoundTerms, cap: Cap, evidence: str, bearers: Sequence[Bearer] = ()
) -> Bill:
    """The lines of what was used and of what was missing."""
    made = Bill(list(_usage_lines(usage, parties, terms, evidence)))
    gross = made.total
    sellers = {line.payee for line in made.lines if line.kind == CARD_HOURS}
    owed = {payee: net for payee, net in made.nets().items() if payee in sellers}
    for seller, fee in _fees(owed, terms.fee_bps).items():
        made.lines += _pair(seller, parties.centre, FEE, "compute.fee", fee, terms)
    if concession := floor_share(gross, terms.concession_bps):
        made.lines.append(_amount(parties.centre, CONCESSION, "compute.concession", -concession, terms))
    if usage.used and cap.transfer_fen:
        made.lines.append(_amount(parties.carrier, TRANSFER, "compute.transfer", cap.transfer_fen, terms))
    for payer, amount in _borne_by(cap.borne(made.total), bearers, parties.centre).items():
        _bear(made, payer, amount, terms)
    nets = made.nets()
    for seller, amount in _compensation(usage, parties, terms).items():
        if amount <= nets.get(seller, 0):
            made.lines.append(_amount(seller, SHORTFALL, "compute.shortfall", -amount, terms))
        else:
            made.compensations[seller] = amount
    return made


def _borne_by(amount: int, bearers: Sequence[Bearer], centre: Party) -> dict[Party, int]:
    """Who bears how much of what the buyer does not pay."""
    found: dict[Party, int] = defaultdict(int)
    parts = split_largest_remainder(amount, [b.weight for b in bearers], [f"{i:06d}" for i in range(len(bearers))])
    for bearer, part in zip(bearers, parts, strict=True):
        own = min(part, floor_share(part, bearer.bps))
        found[bearer.party] += own
        found[centre] += part - own
    return {payer: part for payer, part in found.items() if part}


def _bear(made: Bill, payer: Party, amount: int, terms: RoundTerms) -> None:
    """Take an amount off the bill: off what the payer itself gets, and what that does not cover off the other payees,
    to whom the payer then owes it."""
    nets = made.nets()
    own = min(amount, nets.get(payer, 0))
    if own:
        made.lines.append(_amount(payer, DIFFERENCE, "compute.difference", -own, terms))
    others = {payee: net for payee, net in nets.items() if payee != payer and net > 0}
    parts = split_largest_remainder(amount - own, list(others.values()), [f"{payee.pk:020d}" for payee in others])
    advanced = {payee: part for payee, part in zip(others, parts, strict=True) if part}
    for payee, part in advanced.items():
        made.lines.append(_amount(payee, DIFFERENCE, "compute.difference_elsewhere", -part, terms))
    if advanced:
        made.advances[payer] = advanced


def kept_lines(amount_fen: int, cells: Sequence[Cell], parties: Parties, terms: RoundTerms) -> list[LineDraft]:
    """Lines that split an amount which a cancelled allocation still pays, by what each deposit would have earned."""
    worth: dict[int, int] = defaultdict(int)
    for cell in cells:
        worth[cell.deposit] += cell.cards * cell.price_mfen
    parts = split_largest_remainder(amount_fen, list(worth.values()), [f"{deposit:020d}" for deposit in worth])
    return [
        _amount(
            parties.payee(deposit), BANK if deposit in parties.credited else CANCELLATION, "compute.cancellation", part,
            terms, parties.params(deposit),
        )
        for deposit, part in sorted(zip(worth, parts, strict=True))
        if part
    ]  # fmt: skip


def compensation_line(payee: Party, kind: str, amount_fen: int, terms: RoundTerms) -> LineDraft:
    """The only line of a statement that a depositor owes beside the buyer's statement."""
    return _amount(payee, kind, f"compute.{kind}", amount_fen, terms)


def _usage_lines(usage: Usage, parties: Parties, terms: RoundTerms, evidence: str) -> Iterator[LineDraft]:
    for rate, milli in sorted(usage.used.items()):
        yield LineDraft(
            parties.payee(rate.deposit), parties.kind(rate.deposit), terms.vat_bps, "compute.card_hours",
            quantity_mch=milli, price_mfen=rate.price_mfen, params=parties.params(rate.deposit), evidence=evidence,
        )  # fmt: skip


def _fees(owed: Mapping[Party, int], fee_bps: int) -> dict[Party, int]:
    """The fee of each seller: one floored share of all, split over them."""
    total = floor_share(sum(owed.values()), fee_bps)
    parts = split_largest_remainder(total, list(owed.values()), [f"{seller.pk:020d}" for seller in owed])
    return {seller: part for seller, part in zip(owed, parts, strict=True) if part}


def _compensation(usage: Usage, parties: Parties, terms: RoundTerms) -> dict[Party, int]:
    """What each depositor owes for card-time that was missing."""
    worth: dict[Party, int] = defaultdict(int)
    for rate, milli in usage.missing.items():
        worth[parties.deposits[rate.deposit].depositor] += milli * rate.price_mfen
    found = {seller: floor_share(micro // MICRO, terms.shortfall_bps) for seller, micro in worth.items()}
    return {seller: amount for seller, amount in sorted(found.items(), key=lambda pair: pair[0].pk) if amount}


def _amount(
    payee: Party, kind: str, description: str, amount: int, terms: RoundTerms, params: dict[str, Any] | None = None
) -> LineDraft:
    return LineDraft(payee, kind, terms.vat_bps, description, amount=amount, params=params or {})


def _pair(
    payer: Party, payee: Party, kind: str, description: str, amount: int, terms: RoundTerms
) -> Iterator[LineDraft]:
    """An amount that passes from one payee of the statement to another; the buyer pays no more for it."""
    yield _amount(payer, kind, f"{description}_deducted", -amount, terms)
    yield _amount(payee, kind, description, amount, terms)
