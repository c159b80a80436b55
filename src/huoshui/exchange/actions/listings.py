"""Listings 挂牌: an offer at a fixed price, taken up by others in part or whole 摘牌, withdrawn or expired."""

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.compute.models import CardModel, Pool, Region, Site
from huoshui.exchange import backing, settle, trading
from huoshui.exchange.actions.contracts import contract_of
from huoshui.exchange.backing import Cards
from huoshui.exchange.guards import guarded, refuse_flood, refuse_self_trade, refuse_wash_trade
from huoshui.exchange.models import Contract, Listing, Side, Trade
from huoshui.exchange.permissions import KEEP, TRADE
from huoshui.exchange.prices import check_lead, check_price, limits_of, terms_in_force
from huoshui.exchange.trading import Deal, Held
from huoshui.jobs.models import Booking
from huoshui.registry.models import Party, RoleKind
from huoshui.terms import ExchangeTerms


@guarded
@action("exchange.listing.sell")
def sell_cards(
    act: Act, *, party: Party, pool: Pool, start_hour: int, end_hour: int, lots: int, price_mfen: int,
    expires_at: datetime, billing: str = Booking.Billing.WHOLE, resold_from: Booking | None = None,
) -> Listing:  # fmt: skip
    """Offer cards of a pool of one's own, or hours of a booking that one holds, at a fixed price.

    The cards are set aside at once. Raises Invalid, Refused(code="no_cards", "not_held", "price_limit", "order_limit",
    "too_late", "of_the_bank", "by_use", "no_engine").
    """
    act.require(TRADE, party)
    contract = contract_of(
        card_model=pool.card_model, region=pool.site.region, site=pool.site, start_hour=start_hour,
        end_hour=end_hour, billing=billing, now_hour=clock.hour_of(act.at),
    )  # fmt: skip
    cards = Cards(pool, resold_from)
    backing.check(party, cards, contract)
    listing, record = _post(act, party, contract, Side.SELL, lots, price_mfen, expires_at, resold_from)
    listing.booking = backing.set_aside(act, record, party, cards, contract, lots, listing)
    listing.save(update_fields=["booking"])
    return listing


@guarded
@action("exchange.listing.buy")
def seek_cards(
    act: Act, *, party: Party, card_model: CardModel, region: Region, start_hour: int, end_hour: int, lots: int,
    price_mfen: int, expires_at: datetime, site: Site | None = None, billing: str = Booking.Billing.WHOLE,
) -> Listing:  # fmt: skip
    """Offer to buy cards at a fixed price; what they cost is held. Raises Refused(code="over_limit") and as above."""
    act.require(TRADE, party)
    contract = contract_of(
        card_model=card_model, region=region, site=site, start_hour=start_hour, end_hour=end_hour, billing=billing,
        now_hour=clock.hour_of(act.at),
    )  # fmt: skip
    listing, record = _post(act, party, contract, Side.BUY, lots, price_mfen, expires_at)
    book.hold(act, record, party, canonical.label(listing), listing.amount_fen(lots))
    return listing


@guarded
@action("exchange.listing.sell_balance")
def sell_balance(act: Act, *, party: Party, lots: int, price_mfen: int, expires_at: datetime) -> Listing:
    """Offer standard card-hours of one's compute account; they are reserved and keep their expiry dates."""
    act.require(TRADE, party)
    listing, record = _post(act, party, None, Side.SELL, lots, price_mfen, expires_at)
    backing.reserve(act, record, party, listing, lots)
    return listing


def _post(
    act: Act, party: Party, contract: Contract | None, side: str, lots: int, price_mfen: int, expires_at: datetime,
    resold_from: Booking | None = None,
) -> tuple[Listing, LogRecord]:  # fmt: skip
    """Check what every listing must keep to, and write it."""
    publication = terms_in_force()
    terms: ExchangeTerms = publication.loaded()
    subject = canonical.label(contract) if contract else "compute.account"
    open_now = Listing.objects.filter(party=party, state=Listing.State.OPEN).count()
    refuse_flood(party, open_now, terms, subject)
    if not 0 < lots <= terms.lots_per_order_max:
        raise invalid("lots", lots, _("between 1 and %(max)s") % {"max": terms.lots_per_order_max})
    limits = limits_of(contract, terms, act.at)
    check_price(price_mfen, limits, terms, party, subject)
    if contract is not None:
        check_lead(contract, terms, act.at)
    last = act.at + timedelta(days=terms.listing_days_max)
    if contract is not None:
        last = min(last, contract.starts_at - timedelta(hours=terms.lead_hours))
    if not act.at < expires_at <= last:
        rule = _("must lie ahead, at the latest %(last)s") % {"last": f"{clock.local(last):%Y-%m-%d %H:%M}"}
        raise invalid("expires_at", f"{clock.local(expires_at):%Y-%m-%d %H:%M}", rule)
    record = act.record(
        party,
        {
            "party": party, "contract": contract, "side": str(side), "lots": lots, "price_mfen": price_mfen,
            "expires_at": expires_at, "terms": publication.digest, "reference_mfen": limits.reference,
            "resold_from": resold_from,
        },
    )  # fmt: skip
    listing = Listing.objects.create(
        party=party, contract=contract, side=side, price_mfen=price_mfen, reference_mfen=limits.reference, lots=lots,
        left=lots, expires_at=expires_at, resold_from=resold_from, terms_digest=publication.digest, created_at=act.at,
        record=record,
    )  # fmt: skip
    return listing, record


@guarded
@action("exchange.listing.take")
def take(
    act: Act, *, listing: Listing, party: Party, lots: int, pool: Pool | None = None, resold_from: Booking | None = None
) -> Trade:  # fmt: skip
    """Take up lots of a listing. Who takes a buy listing says where the cards come from.

    Raises Refused(code="listing_state", "lots_left", "self_trade", "wash_trade", "over_limit", "no_cards", "not_held",
    "recallable", "no_engine").
    """
    act.require(TRADE, party)
    listing = _locked(listing)
    if act.at >= listing.expires_at:
        raise Refused(_("Listing %(number)s has expired.") % {"number": listing.number}, code="listing_state")
    if not 0 < lots <= listing.left:
        raise Refused(_("%(left)s lots are left.") % {"left": listing.left}, code="lots_left", left=listing.left)
    subject = canonical.label(listing)
    refuse_self_trade(party, listing.party, subject)
    sells = listing.side == Side.SELL
    seller, buyer = (listing.party, party) if sells else (party, listing.party)
    if listing.contract is None and not party.has_role(RoleKind.ENTITY):
        raise invalid("party", party, _("is not an entity"))
    refuse_wash_trade(seller, buyer, party, listing.contract, listing.terms, act.at, subject)
    record = act.record(listing, {"taken_by": party, "lots": lots, "price_mfen": listing.price_mfen})
    listing.left -= lots
    deal = _deal(listing, seller, buyer, lots, pool, resold_from)
    (trade,) = trading.make(act, record, [deal], listing.terms_digest)
    if listing.contract is None:
        backing.pass_on(act, record, seller, buyer, listing, lots, listing.left)
        settle.balance_passed_on(act, record, trade)
    if listing.left == 0:
        listing.state = Listing.State.FILLED
    listing.save(update_fields=["left", "state"])
    return trade


def _deal(
    listing: Listing, seller: Party, buyer: Party, lots: int, pool: Pool | None, resold_from: Booking | None
) -> Deal:
    """The trade; `listing.left` is what will be left after it."""
    contract, label = listing.contract, canonical.label(listing)
    cards: Cards | None = None
    held: Held | None = None
    if listing.side == Side.SELL:
        resold_from = listing.resold_from
        if listing.booking is not None:
            cards = Cards(listing.booking.pool, listing.booking)
    else:
        assert contract is not None, "only cards are sought"
        if pool is None:
            raise invalid("pool", pool, _("say which cards you sell"))
        cards = Cards(pool, resold_from)
        backing.refuse_recallable(cards)
        backing.check(seller, cards, contract)
        held = Held(label, listing.amount_fen(listing.left + lots) - listing.amount_fen(listing.left))
    return Deal(
        Trade.Way.LISTING, label, seller, buyer, contract, lots, listing.price_mfen, cards, resold_from, held
    )


@action("exchange.listing.withdraw")
def withdraw(act: Act, *, listing: Listing) -> Listing:
    """Take back what is left; what was taken up stays traded."""
    act.require(TRADE, listing)
    listing = _locked(listing)
    record = act.record(listing, {"withdrawn": listing.left})
    return _close(act, record, listing, Listing.State.WITHDRAWN)


@action("exchange.listing.expire")
def expire(act: Act, *, listing: Listing) -> Listing:
    """Close a listing whose time is over (periodic)."""
    act.require(KEEP)
    listing = _locked(listing)
    if act.at < listing.expires_at:
        raise Refused(_("Listing %(number)s is still open.") % {"number": listing.number}, code="listing_state")
    record = act.record(listing, {"expired": listing.left})
    return _close(act, record, listing, Listing.State.EXPIRED)


def _close(act: Act, record: LogRecord, listing: Listing, state: str) -> Listing:
    """What was kept for the rest becomes free again."""
    if listing.side == Side.BUY:
        book.release_hold(act, record, listing.party, canonical.label(listing))
    elif listing.contract is None:
        backing.unreserve(act, record, listing.party, listing)
    else:
        backing.give_back(act, record, listing.booking, listing.resold_from is not None, "withdrawn")
    listing.state = state
    listing.save(update_fields=["state"])
    return listing


def _locked(listing: Listing) -> Listing:
    """The listing, locked, while it is open; Refused otherwise."""
    found = (
        Listing.objects.select_for_update(of=("self",))
        .select_related("party", "contract__card_model", "contract__region", "contract__site", "booking__pool")
        .get(pk=listing.pk)
    )
    if found.state != Listing.State.OPEN:
        raise Refused(
            _("Listing %(number)s is %(state)s.") % {"number": found.number, "state": found.get_state_display()},
            code="listing_state", state=found.state,
        )  # fmt: skip
    return found
