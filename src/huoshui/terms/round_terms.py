"""The terms of compute rounds: what a round charges, keeps, compensates and returns.

Everything that a round decides and that is not a bid stands here, so that a firm can read before signing what it may
lose, and an auditor can recompute it after. Shares are basis points, money is fen, notice is whole hours.
Steps by length of notice are tables that end at zero hours: with `h` hours of notice, the first step whose
`notice_hours` is at most `h` holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from .errors import TermError
from .publication import Fields, Publication
from .rounding import BPS

NOTICE_HOURS_MAX: Final = 24 * 366
STEPS_MAX: Final = 24
TRANSFERS_MAX: Final = 2_000
CLASSES_MAX: Final = 16
INDEX_RULES: Final = ("sold_weighted_mean", "offered_weighted_mean", "fixed")


@dataclass(frozen=True)
class NoticeSteps:
    """Basis points by length of notice: `hours` strictly decreasing to 0, one value each."""

    hours: tuple[int, ...]
    values_bps: tuple[int, ...]

    def bps(self, notice_hours: int) -> int:
        """The value for this many whole hours of notice; notice given late (negative) counts as none."""
        steps = zip(self.hours, self.values_bps, strict=True)
        return next(value for hours, value in steps if hours <= max(notice_hours, 0))


@dataclass(frozen=True)
class PriorityClass:
    """Class of a request; rank 0 goes first."""

    rank: int
    code: str
    title: str


@dataclass(frozen=True)
class Transfer:
    """Moving a request's data between regions: hours before it can start, and what the carrier is paid."""

    lead_hours: int
    cost_fen: int


@dataclass(frozen=True)
class Conversion:
    """Standard card-hours of a deposit = card-hours x slot price / index price of the round.

    `index_rule`: mean slot price weighted by sold or by offered card-hours, or a fixed price in fen per card-hour.
    """

    index_rule: str
    fixed_index_price_fen: int | None


@dataclass(frozen=True)
class RoundTerms:
    """Published terms of compute rounds.

    fee_bps                     service fee, as a share of the card-hours' amount; comes out of the depositor's revenue
    concession_bps              part of that same amount that the platform gives up: it charges fee - concession
    vat_bps                     VAT rate on statement lines
    reserved_share_bps          share of each pool's day kept for small requests
    small_request_card_hours    a request of at most this many card-hours is small
    displacement_bps            compensation to a displaced request, share of its price, by length of notice
    recall_difference_bps       share of the price difference that a recalling depositor pays, by length of notice
    shortfall_bps               compensation for card-hours paid for and not delivered, share of their price
    cancellation_return_bps     share of the price returned on cancellation, by length of notice
    early_finish_notice_hours   whole hours after this notice are freed and returned
    contest_working_days        working days in which an entity may contest delivered card-time
    account_expiry_days         life of a compute account's credit
    reserve_ratio_floor_bps     firm future capacity over balances; below it no new credit
    request_table_delay_hours   delay after publishing before the request table is made public
    price_step                  slot prices are multiples of it, in 1/1000 fen per card-hour
    """

    id: str
    fee_bps: int
    concession_bps: int
    vat_bps: int
    reserved_share_bps: int
    small_request_card_hours: int
    priority_classes: tuple[PriorityClass, ...]
    displacement_bps: NoticeSteps
    recall_difference_bps: NoticeSteps
    shortfall_bps: int
    cancellation_return_bps: NoticeSteps
    early_finish_notice_hours: int
    contest_working_days: int
    account_expiry_days: int
    conversion: Conversion
    reserve_ratio_floor_bps: int
    request_table_delay_hours: int
    price_step: int
    transfers: Mapping[tuple[str, str], Transfer]

    @property
    def charged_fee_bps(self) -> int:
        return self.fee_bps - self.concession_bps

    def is_small(self, card_hours: int) -> bool:
        return card_hours <= self.small_request_card_hours

    def transfer(self, from_region: str, to_region: str) -> Transfer | None:
        """Transfer between regions; free within one unless listed, None where none is offered."""
        listed = self.transfers.get((from_region, to_region))
        return Transfer(0, 0) if listed is None and from_region == to_region else listed


def read_steps(fields: Fields, key: str, value_max: int = 10 * BPS) -> NoticeSteps:
    """The table of steps under `key`. Raises TermError."""
    hours, values = list[int](), list[int]()
    for row in fields.rows(key, minimum=1, maximum=STEPS_MAX):
        notice_hours = row.integer("notice_hours", 0, NOTICE_HOURS_MAX)
        if hours and notice_hours >= hours[-1]:
            raise TermError(row.path("notice_hours"), notice_hours, "decreasing")
        hours.append(notice_hours)
        values.append(row.integer("bps", 0, value_max))
    if hours[-1] != 0:
        raise TermError(fields.path(key), hours[-1], "steps_reach_zero")
    return NoticeSteps(tuple(hours), tuple(values))


def _read_classes(fields: Fields) -> tuple[PriorityClass, ...]:
    classes = tuple(
        PriorityClass(row.integer("rank", 0, CLASSES_MAX - 1), row.identifier("code"), row.text("title"))
        for row in fields.rows("priority_classes", minimum=1, maximum=CLASSES_MAX)
    )
    if [c.rank for c in classes] != list(range(len(classes))):
        raise TermError(fields.path("priority_classes"), [c.rank for c in classes], "increasing")
    if len({c.code for c in classes}) != len(classes):
        raise TermError(fields.path("priority_classes"), [c.code for c in classes], "unique")
    return classes


def _read_conversion(fields: Fields) -> Conversion:
    index_rule = fields.choice("index_rule", INDEX_RULES)
    fixed = fields.integer("fixed_index_price_fen", 1) if index_rule == "fixed" else None
    fields.done()
    return Conversion(index_rule, fixed)


def _read_transfers(fields: Fields) -> Mapping[tuple[str, str], Transfer]:
    transfers: dict[tuple[str, str], Transfer] = {}
    for row in fields.rows("transfers", maximum=TRANSFERS_MAX):
        pair = row.text("from"), row.text("to")
        if pair in transfers:
            raise TermError(row.path("from"), pair, "unique")
        transfers[pair] = Transfer(row.integer("lead_hours", 0, NOTICE_HOURS_MAX), row.integer("cost_fen"))
    return MappingProxyType(transfers)


def from_publication(publication: Publication) -> RoundTerms:
    """Body: one field per field of RoundTerms, under the same name. Raises TermError."""
    fields = publication.body_fields()
    fee_bps = fields.integer("fee_bps", 0, BPS - 1)
    concession_bps = fields.integer("concession_bps", 0, BPS)
    if concession_bps > fee_bps:
        raise TermError("body.concession_bps", concession_bps, "at_most", other=f"fee_bps ({fee_bps})")
    terms = RoundTerms(
        id=publication.id,
        fee_bps=fee_bps,
        concession_bps=concession_bps,
        vat_bps=fields.integer("vat_bps", 0, BPS),
        reserved_share_bps=fields.integer("reserved_share_bps", 0, BPS),
        small_request_card_hours=fields.integer("small_request_card_hours"),
        priority_classes=_read_classes(fields),
        displacement_bps=read_steps(fields, "displacement_bps"),
        recall_difference_bps=read_steps(fields, "recall_difference_bps"),
        shortfall_bps=fields.integer("shortfall_bps", 0, 10 * BPS),
        cancellation_return_bps=read_steps(fields, "cancellation_return_bps", BPS),
        early_finish_notice_hours=fields.integer("early_finish_notice_hours", 0, NOTICE_HOURS_MAX),
        contest_working_days=fields.integer("contest_working_days", 0, 250),
        account_expiry_days=fields.integer("account_expiry_days", 1, 3660),
        conversion=_read_conversion(fields.fields("conversion")),
        reserve_ratio_floor_bps=fields.integer("reserve_ratio_floor_bps", 0, 100 * BPS),
        request_table_delay_hours=fields.integer("request_table_delay_hours", 0, NOTICE_HOURS_MAX),
        price_step=fields.integer("price_step", 1, 1_000_000),
        transfers=_read_transfers(fields),
    )
    fields.done()
    return terms
