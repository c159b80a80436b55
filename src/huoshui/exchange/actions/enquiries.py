"""Enquiries 询价: a need is posted with its criteria, offers come in sealed, are opened together, ranked, awarded.

Before the deadline nobody but its seller sees an offer, no officer either (`queries.offers`); the log has a salted
commitment to each. At the deadline all are opened at once and ranked by the published arithmetic (`ranking`). The buyer
awards one, and says why when it is not the first; everybody else is told by which points.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from django.db.models import Count, Q
from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.book import services as book
from huoshui.compute.models import CardModel, Pool, Region
from huoshui.exchange import problems, ranking, trading
from huoshui.exchange.actions.auctions import SALT_BYTES
from huoshui.exchange.actions.contracts import contract_of
from huoshui.exchange.backing import Cards
from huoshui.exchange.guards import guarded, refuse_flood, refuse_self_trade, refuse_wash_trade
from huoshui.exchange.models import MFEN, Contract, Enquiry, Offer, Trade
from huoshui.exchange.permissions import KEEP, TRADE
from huoshui.exchange.prices import all_limits, check_lead, check_price, limits_at, shown, terms_in_force
from huoshui.exchange.trading import Deal, Held
from huoshui.jobs import services
from huoshui.jobs.connections import require_engine
from huoshui.jobs.models import Booking
from huoshui.jobs.services import BookingDraft
from huoshui.registry.models import Party
from huoshui.terms import ExchangeTerms
from huoshui.terms.rounding import BPS, format_yuan

TITLE_MAX, REASON_MAX = 120, 500
RECALL_NOTICE_HOURS_MAX = 24 * 30
RECORD_DAYS = 180
"""A site's record is that of its bookings that ended within so many days."""


@guarded
@action("exchange.enquiry.post")
def post_enquiry(
    act: Act, *, party: Party, title: str, cards: int, card_models: Sequence[CardModel], regions: Sequence[Region],
    start_hour: int, end_hour: int, budget_fen: int, weights: Mapping[str, int], closes_at: datetime,
    billing: str = Booking.Billing.USED,
) -> Enquiry:  # fmt: skip
    """Post a need and hold its budget. Raises Invalid for weights that the terms do not allow, a deadline that leaves
    too little time for offers or too little before the cards begin, a budget that pays for no price allowed;
    Refused(code="over_limit", "order_limit")."""
    act.require(TRADE, party)
    publication = terms_in_force()
    terms: ExchangeTerms = publication.loaded()
    refuse_flood(party, Enquiry.objects.filter(party=party, state=Enquiry.State.OPEN).count(), terms, "enquiry")
    title = title.strip()
    if not 0 < len(title) <= TITLE_MAX:
        raise invalid("title", title, _("1 to %(max)s characters") % {"max": TITLE_MAX})
    if not 0 < cards <= terms.lots_per_order_max:
        raise invalid("cards", cards, _("between 1 and %(max)s") % {"max": terms.lots_per_order_max})
    for field, chosen in (("card_models", card_models), ("regions", regions)):
        if not chosen:
            raise invalid(field, "", _("choose at least one"))
    contract = _contract(act, card_models[0], regions[0], start_hour, end_hour, billing)
    check_lead(contract, terms, act.at)
    least, last = act.at + timedelta(hours=terms.enquiry_hours_min), contract.starts_at
    if not least <= closes_at <= last - timedelta(hours=terms.lead_hours):
        rule = _("at least %(least)s hours from now, and %(lead)s before the cards begin")
        raise invalid(
            "closes_at", f"{clock.local(closes_at):%Y-%m-%d %H:%M}",
            rule % {"least": terms.enquiry_hours_min, "lead": terms.lead_hours},
        )  # fmt: skip
    if budget_fen <= 0:
        raise invalid("budget_fen", budget_fen, _("must be above zero"))
    limits = all_limits(terms, act.at)
    lows = [found.low for model in card_models for region in regions if (found := limits.get((model.pk, region.pk)))]
    if lows and budget_fen * MFEN < min(lows) * cards * contract.hours:
        rule = _("pays less than the lowest price allowed, %(low)s yuan per card-hour") % {"low": shown(min(lows))}
        raise invalid("budget_fen", format_yuan(budget_fen), rule)
    _check_weights(weights, terms)
    record = act.record(
        party,
        {
            "party": party, "title": title, "cards": cards, "card_models": list(card_models),
            "regions": list(regions), "hours": [start_hour, end_hour], "budget_fen": budget_fen,
            "weights": dict(weights), "closes_at": closes_at, "billing": str(billing), "terms": publication.digest,
        },
    )  # fmt: skip
    enquiry = Enquiry.objects.create(
        party=party, title=title, cards=cards, start_hour=start_hour, end_hour=end_hour, budget_fen=budget_fen,
        weights=dict(weights), closes_at=closes_at, billing=billing, terms_digest=publication.digest,
        created_at=act.at, record=record,
    )  # fmt: skip
    enquiry.card_models.set(card_models)
    enquiry.regions.set(regions)
    book.hold(act, record, party, canonical.label(enquiry), budget_fen)
    return enquiry


def _check_weights(weights: Mapping[str, int], terms: ExchangeTerms) -> None:
    known = {criterion.code: criterion for criterion in terms.criteria}
    for code in weights.keys() - known.keys():
        raise invalid("weights", code, _("one of: %(all)s") % {"all": ", ".join(known)})
    for code, criterion in known.items():
        if not criterion.weight_min_bps <= weights.get(code, 0) <= criterion.weight_max_bps:
            rule = _("the weight of “%(title)s” lies between %(min)s and %(max)s percent")
            least, most = criterion.weight_min_bps // 100, criterion.weight_max_bps // 100
            raise invalid(
                "weights", weights.get(code, 0) / 100, rule % {"title": criterion.title, "min": least, "max": most}
            )
    if sum(weights.values()) != BPS:
        raise invalid("weights", sum(weights.values()) / 100, _("the weights sum to 100 percent"))


@guarded
@action("exchange.offer.submit")
def submit_offer(
    act: Act, *, enquiry: Enquiry, party: Party, pool: Pool, price_mfen: int, recall_notice_hours: int | None = None
) -> Offer:  # fmt: skip
    """Offer all cards and hours of an enquiry out of a pool of one's own, sealed; the cards are set aside.

    Raises Invalid for a price off the tick or above the budget, a pool that was not asked for;
    Refused(code="enquiry_closed", "offered_already", "self_trade", "price_limit", "no_cards", "no_engine").
    """
    act.require(TRADE, party)
    enquiry = _locked(enquiry)
    if enquiry.closed:
        raise Refused(_("Offers to %(number)s are closed.") % {"number": enquiry.number}, code="enquiry_closed")
    if enquiry.offers.filter(party=party).exclude(state=Offer.State.WITHDRAWN).exists():
        raise Refused(_("You have an offer already; withdraw it to make another."), code="offered_already")
    refuse_self_trade(party, enquiry.party, canonical.label(enquiry))
    _check_offer(act, enquiry, party, pool, price_mfen, recall_notice_hours)
    salt = secrets.token_hex(SALT_BYTES)
    sealed = problems.commitment(salt, offer_row(pool, price_mfen, recall_notice_hours))
    record = act.record(enquiry, {"party": party, "commitment": sealed})
    offer = Offer.objects.create(
        enquiry=enquiry, party=party, pool=pool, price_mfen=price_mfen, recall_notice_hours=recall_notice_hours,
        salt=salt, commitment=sealed, submitted_at=act.at, record=record,
    )  # fmt: skip
    draft = BookingDraft(
        party=party, pool=pool, cards=enquiry.cards, stretches=[(enquiry.start_hour, enquiry.end_hour)],
        source=canonical.label(offer), price_mfen=0, cap_fen=0, billing=Booking.Billing.WHOLE,
        recall_notice_hours=recall_notice_hours,
    )  # fmt: skip
    offer.booking = services.book(act, record, draft)
    offer.save(update_fields=["booking"])
    return offer


def offer_row(pool: Pool, price_mfen: int, recall_notice_hours: int | None) -> dict[str, int | None]:
    """An offer as it is committed to."""
    return {"pool": pool.pk, "price": price_mfen, "recall_notice_hours": recall_notice_hours}


def _check_offer(
    act: Act, enquiry: Enquiry, party: Party, pool: Pool, price_mfen: int, recall_notice_hours: int | None
) -> None:
    if recall_notice_hours is not None and not 0 < recall_notice_hours <= RECALL_NOTICE_HOURS_MAX:
        rule = _("between 1 and %(max)s, or empty: not recallable") % {"max": RECALL_NOTICE_HOURS_MAX}
        raise invalid("recall_notice_hours", recall_notice_hours, rule)
    if pool.site.operator_id != party.pk:
        raise invalid("pool", pool, _("is not a pool of yours"))
    require_engine(pool.site)
    if pool.card_model not in enquiry.card_models.all() or pool.site.region not in enquiry.regions.all():
        raise invalid("pool", pool, _("is not what was asked for"))
    terms = enquiry.terms
    limits = limits_at(pool.card_model, pool.site.region, terms, act.at)
    check_price(price_mfen, limits, terms, party, canonical.label(enquiry))
    if price_mfen > enquiry.price_mfen_max:
        raise invalid("price", shown(price_mfen), _("is above the buyer's budget"))


@action("exchange.offer.withdraw")
def withdraw_offer(act: Act, *, offer: Offer) -> Offer:
    """Take a sealed offer back before the deadline."""
    act.require(TRADE, offer)
    enquiry = _locked(offer.enquiry)
    offer = Offer.objects.select_for_update(of=("self",)).select_related("booking").get(pk=offer.pk)
    if enquiry.closed or offer.state != Offer.State.SEALED:
        raise Refused(_("Offers stand once they are opened."), code="enquiry_closed")
    record = act.record(offer, {"withdrawn": True})
    _give_back(act, record, offer, Offer.State.WITHDRAWN)
    return offer


@action("exchange.enquiry.open_offers")
def open_offers(act: Act, *, enquiry: Enquiry) -> Enquiry:
    """Open and rank all offers, once, when the deadline is past (periodic, key `enquiry/ID/open`)."""
    act.require(KEEP)
    enquiry = _locked(enquiry)
    if not enquiry.closed or enquiry.ranked_at is not None:
        raise Refused(_("The offers to %(number)s are not to be opened.") % {"number": enquiry.number}, code="sealed")
    offers = list(
        enquiry.offers.select_for_update(of=("self",)).filter(state=Offer.State.SEALED)
        .select_related("pool__card_model", "pool__site", "party").order_by("pk")
    )  # fmt: skip
    bids = [_bid(act, offer) for offer in offers]
    by_key = {offer.pk: offer for offer in offers}
    for place, scored in enumerate(ranking.rank(bids, enquiry.weights, enquiry.terms.unknown_score_bps), 1):
        by_key[scored.key].rank = place
        by_key[scored.key].scores = scored.points | {"total": scored.total}
    Offer.objects.bulk_update(offers, ["rank", "scores"])
    enquiry.ranked_at = act.at
    enquiry.save(update_fields=["ranked_at"])
    opened = [
        {"offer": offer, "party": offer.party, "salt": offer.salt, "rank": offer.rank, "scores": offer.scores}
        | offer_row(offer.pool, offer.price_mfen, offer.recall_notice_hours)
        for offer in offers
    ]
    act.record(enquiry, {"opened": opened})
    return enquiry


def _bid(act: Act, offer: Offer) -> ranking.Bid:
    model = offer.pool.card_model
    return ranking.Bid(
        offer.pk, offer.price_mfen, model.fp16_tflops, model.memory_gib, offer.recall_notice_hours, _record(act, offer)
    )


def _record(act: Act, offer: Offer) -> int | None:
    """Share of the site's bookings of others that ended lately and were not lost, basis points."""
    since = clock.hour_of(act.at) - RECORD_DAYS * 24
    done = [Booking.State.ENDED, Booking.State.SETTLED, Booking.State.LOST]
    rows = Booking.objects.filter(
        pool__site=offer.pool.site, state__in=done, end_hour__gte=since, end_hour__lte=clock.hour_of(act.at)
    ).exclude(party=offer.party)
    found = rows.aggregate(all=Count("pk"), lost=Count("pk", filter=Q(state=Booking.State.LOST)))
    return (found["all"] - found["lost"]) * BPS // found["all"] if found["all"] else None


@guarded
@action("exchange.enquiry.award")
def award(act: Act, *, enquiry: Enquiry, offer: Offer, reason: str = "") -> Trade:
    """Award an opened offer. Raises Invalid without a reason when it is not the first; Refused(code="too_late",
    "wash_trade", "not_held")."""
    act.require(TRADE, enquiry)
    enquiry = _locked(enquiry)
    offers = list(
        enquiry.offers.select_for_update(of=("self",)).filter(state=Offer.State.SEALED, rank__isnull=False)
        .select_related("party", "booking__pool", "pool__card_model", "pool__site__region").order_by("rank")
    )  # fmt: skip
    chosen = next((row for row in offers if row.pk == offer.pk), None)
    if chosen is None:
        raise Refused(_("Offers are awarded once they are opened."), code="sealed")
    reason = reason.strip()
    if len(reason) > REASON_MAX or (not reason and chosen.rank != 1):
        rule = _("say why it is not the first, in at most %(max)s characters") % {"max": REASON_MAX}
        raise invalid("reason", reason[:80], rule)
    region = chosen.pool.site.region
    contract = _contract(
        act, chosen.pool.card_model, region, enquiry.start_hour, enquiry.end_hour, enquiry.billing, chosen.pool
    )
    refuse_self_trade(enquiry.party, chosen.party, canonical.label(enquiry))
    refuse_wash_trade(
        chosen.party, enquiry.party, enquiry.party, contract, enquiry.terms, act.at, canonical.label(enquiry)
    )
    assert chosen.booking is not None, "an offer has its cards"
    record = act.record(enquiry, {"award": chosen, "rank": chosen.rank, "reason": reason})
    deal = Deal(
        Trade.Way.ENQUIRY, canonical.label(chosen), chosen.party, enquiry.party, contract, enquiry.cards,
        chosen.price_mfen, Cards(chosen.booking.pool, chosen.booking),
        held=Held(canonical.label(enquiry), enquiry.budget_fen),
    )  # fmt: skip
    (trade,) = trading.make(act, record, [deal], enquiry.terms_digest)
    for row in offers:
        _give_back(act, record, row, Offer.State.AWARDED if row == chosen else Offer.State.UNSUCCESSFUL)
    enquiry.state, enquiry.award, enquiry.reason, enquiry.decided_at = Enquiry.State.AWARDED, chosen, reason, act.at
    enquiry.save(update_fields=["state", "award", "reason", "decided_at"])
    return trade


@action("exchange.enquiry.end")
def end_enquiry(act: Act, *, enquiry: Enquiry, reason: str) -> Enquiry:
    """End an enquiry without award, with a reason that everybody who offered is told."""
    act.require(TRADE, enquiry)
    enquiry = _locked(enquiry)
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_MAX:
        raise invalid("reason", reason[:80], _("say it in 1 to %(max)s characters") % {"max": REASON_MAX})
    return _end(act, enquiry, reason)


@action("exchange.enquiry.lapse")
def lapse_enquiry(act: Act, *, enquiry: Enquiry) -> Enquiry:
    """End an enquiry that nobody decided before its cards would begin (periodic)."""
    act.require(KEEP)
    enquiry = _locked(enquiry)
    if enquiry.start_hour > clock.hour_of(act.at) + 1:
        raise Refused(_("%(number)s can still be decided.") % {"number": enquiry.number}, code="enquiry_open")
    return _end(act, enquiry, "")


def _end(act: Act, enquiry: Enquiry, reason: str) -> Enquiry:
    record = act.record(enquiry, {"ended": reason})
    for offer in enquiry.offers.filter(state=Offer.State.SEALED).select_related("booking"):
        _give_back(act, record, offer, Offer.State.UNSUCCESSFUL)
    book.release_hold(act, record, enquiry.party, canonical.label(enquiry))
    enquiry.state, enquiry.reason, enquiry.decided_at = Enquiry.State.ENDED, reason, act.at
    enquiry.save(update_fields=["state", "reason", "decided_at"])
    return enquiry


def _give_back(act: Act, record: LogRecord, offer: Offer, state: str) -> None:
    """Cards that were set aside go back to the pool; of an awarded offer nothing is left of them."""
    assert offer.booking is not None, "an offer has its cards"
    offer.booking.refresh_from_db()
    if offer.booking.state in services.LIVE:
        services.cancel(act, record, offer.booking, "withdrawn")
    offer.state = state
    offer.save(update_fields=["state"])


def _contract(
    act: Act, card_model: CardModel, region: Region, start_hour: int, end_hour: int, billing: str,
    pool: Pool | None = None,
) -> Contract:  # fmt: skip
    return contract_of(
        card_model=card_model, region=region, site=pool.site if pool else None, start_hour=start_hour,
        end_hour=end_hour, billing=billing, now_hour=clock.hour_of(act.at),
    )  # fmt: skip


def _locked(enquiry: Enquiry) -> Enquiry:
    """The enquiry, locked, while it is open; Refused otherwise."""
    found = Enquiry.objects.select_for_update(of=("self",)).select_related("party").get(pk=enquiry.pk)
    if found.state != Enquiry.State.OPEN:
        raise Refused(
            _("Enquiry %(number)s is %(state)s.") % {"number": found.number, "state": found.get_state_display()},
            code="enquiry_state", state=found.state,
        )  # fmt: skip
    return found
