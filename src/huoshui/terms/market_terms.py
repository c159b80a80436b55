"""The terms of the compute supermarket: what the platform charges, how long an order waits, what a cancellation costs.

What a product promises (price, availability, compensation) stands on the product; what holds for every product stands
here. Shares are basis points, steps by hours of notice are those of `round_terms`.
"""

from dataclasses import dataclass
from typing import Final

from .errors import TermError
from .publication import Publication
from .round_terms import NoticeSteps, read_steps
from .rounding import BPS

ANSWER_HOURS_MAX: Final = 24 * 30


@dataclass(frozen=True)
class MarketTerms:
    """Published terms of the supermarket.

    fee_bps                  service fee, as a share of the card-hours' amount; comes out of the operator's revenue
    concession_bps           part of that same amount that the platform gives up: it charges fee - concession
    vat_bps                  VAT rate of the fee
    answer_hours             an order that its operator has not answered after so many hours lapses
    cancellation_return_bps  of an order paid as a whole: share returned on cancellation, by hours before its start
    contest_working_days     working days in which a buyer may contest a statement
    """

    id: str
    fee_bps: int
    concession_bps: int
    vat_bps: int
    answer_hours: int
    cancellation_return_bps: NoticeSteps
    contest_working_days: int


def from_publication(publication: Publication) -> MarketTerms:
    """Body: one field per field of MarketTerms, under the same name. Raises TermError."""
    fields = publication.body_fields()
    fee_bps = fields.integer("fee_bps", 0, BPS - 1)
    concession_bps = fields.integer("concession_bps", 0, BPS)
    if concession_bps > fee_bps:
        raise TermError("body.concession_bps", concession_bps, "at_most", other=f"fee_bps ({fee_bps})")
    terms = MarketTerms(
        id=publication.id,
        fee_bps=fee_bps,
        concession_bps=concession_bps,
        vat_bps=fields.integer("vat_bps", 0, BPS),
        answer_hours=fields.integer("answer_hours", 1, ANSWER_HOURS_MAX),
        cancellation_return_bps=read_steps(fields, "cancellation_return_bps", BPS),
        contest_working_days=fields.integer("contest_working_days", 0, 250),
    )
    fields.done()
    return terms
