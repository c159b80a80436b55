"""The terms of the exchange 撮合交易规则: what may be traded at what price, when, at which fee, and what is abuse.

Everything that the exchange decides and that is not somebody's bid stands here, so that a firm can read it before it
trades and an auditor can recompute it after. Money is whole fen, shares are basis points, hours of sessions are local.
"""

from dataclasses import dataclass
from typing import Final

from .errors import TermError
from .publication import Fields, Publication
from .rounding import BPS

SESSIONS_MAX: Final = 12
TICK_FEN_MAX: Final = 100_000
HOURS_MAX: Final = 24 * 366
CRITERIA: Final = ("price", "throughput", "memory", "firmness", "record")
"""What offers may be ranked by; `huoshui.exchange.ranking` says how each is scored."""


@dataclass(frozen=True)
class Session:
    """When orders of a call auction are taken in: local hours [opens_hour, closes_hour) of a working day."""

    code: str
    title: str
    opens_hour: int
    closes_hour: int


@dataclass(frozen=True)
class Criterion:
    """What offers are ranked by, and the least and most weight that a buyer may give it."""

    code: str
    title: str
    weight_min_bps: int
    weight_max_bps: int


@dataclass(frozen=True)
class ExchangeTerms:
    """Published terms of the exchange.

    tick_fen                prices are whole multiples of it (fen per card-hour)
    price_limit_bps         prices lie within this share of the reference price, up or down
    reference_days          the last auction price within so many days is the reference price of the next
    fee_bps, vat_bps        service fee out of the seller's revenue; VAT rate on statement lines
    contest_working_days    working days in which a buyer may contest a statement
    lead_hours              whole hours between a trade and the first hour of its cards
    sessions                call sessions of a working day
    withdraw_minutes        sealed orders may be withdrawn until so many minutes before the session closes
    orders_per_party_max    open listings of a party, and orders of a party in one auction
    lots_per_order_max      lots of one listing or order
    listing_days_max        longest life of a listing
    wash_window_hours       trades within it that lead back to where they began are wash trades
    table_delay_hours       delay after publishing before the orders of an auction are made public
    enquiry_hours_min       offers to an enquiry are taken in for at least so long
    unknown_score_bps       score of an offer by a criterion of which nothing is known
    criteria                what offers may be ranked by; price always counts
    """

    id: str
    tick_fen: int
    price_limit_bps: int
    reference_days: int
    fee_bps: int
    vat_bps: int
    contest_working_days: int
    lead_hours: int
    sessions: tuple[Session, ...]
    withdraw_minutes: int
    orders_per_party_max: int
    lots_per_order_max: int
    listing_days_max: int
    wash_window_hours: int
    table_delay_hours: int
    enquiry_hours_min: int
    unknown_score_bps: int
    criteria: tuple[Criterion, ...]

    def session(self, code: str) -> Session | None:
        """The session with a code."""
        return next((session for session in self.sessions if session.code == code), None)


def _read_sessions(fields: Fields) -> tuple[Session, ...]:
    sessions = []
    for row in fields.rows("sessions", minimum=1, maximum=SESSIONS_MAX):
        opens = row.integer("opens_hour", 0, 23)
        closes = row.integer("closes_hour", 1, 24)
        if closes <= opens:
            raise TermError(row.path("closes_hour"), closes, "integer", min=opens + 1, max=24)
        sessions.append(Session(row.identifier("code"), row.text("title"), opens, closes))
        row.done()
    _once(fields, "sessions", [session.code for session in sessions])
    return tuple(sessions)


def _read_criteria(fields: Fields) -> tuple[Criterion, ...]:
    criteria = []
    for row in fields.rows("criteria", minimum=1, maximum=len(CRITERIA)):
        code, least = row.choice("code", CRITERIA), row.integer("weight_min_bps", 0, BPS)
        most = row.integer("weight_max_bps", least, BPS)
        criteria.append(Criterion(code, row.text("title"), least, most))
        row.done()
    _once(fields, "criteria", [criterion.code for criterion in criteria])
    if criteria[0].code != "price":
        raise TermError(fields.path("criteria[0].code"), criteria[0].code, "choice", choices="price")
    if not sum(c.weight_min_bps for c in criteria) <= BPS <= sum(c.weight_max_bps for c in criteria):
        raise TermError(fields.path("criteria"), [c.code for c in criteria], "integer", min=BPS, max=BPS)
    return tuple(criteria)


def _once(fields: Fields, key: str, codes: list[str]) -> None:
    if len(set(codes)) != len(codes):
        raise TermError(fields.path(key), codes, "unique")


def from_publication(publication: Publication) -> ExchangeTerms:
    """Body: one field per field of ExchangeTerms, under the same name. Raises TermError."""
    fields = publication.body_fields()
    terms = ExchangeTerms(
        id=publication.id,
        tick_fen=fields.integer("tick_fen", 1, TICK_FEN_MAX),
        price_limit_bps=fields.integer("price_limit_bps", 1, BPS - 1),
        reference_days=fields.integer("reference_days", 1, 366),
        fee_bps=fields.integer("fee_bps", 0, BPS - 1),
        vat_bps=fields.integer("vat_bps", 0, BPS),
        contest_working_days=fields.integer("contest_working_days", 0, 250),
        lead_hours=fields.integer("lead_hours", 1, HOURS_MAX),
        sessions=_read_sessions(fields),
        withdraw_minutes=fields.integer("withdraw_minutes", 0, 24 * 60),
        orders_per_party_max=fields.integer("orders_per_party_max", 1, 100_000),
        lots_per_order_max=fields.integer("lots_per_order_max", 1, 1_000_000),
        listing_days_max=fields.integer("listing_days_max", 1, 366),
        wash_window_hours=fields.integer("wash_window_hours", 0, HOURS_MAX),
        table_delay_hours=fields.integer("table_delay_hours", 0, HOURS_MAX),
        enquiry_hours_min=fields.integer("enquiry_hours_min", 1, HOURS_MAX),
        unknown_score_bps=fields.integer("unknown_score_bps", 0, BPS),
        criteria=_read_criteria(fields),
    )
    fields.done()
    return terms
