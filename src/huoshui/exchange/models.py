"""Tables of the exchange 撮合交易: three ways to trade card-hours, and what came of them.

A **contract** says what is traded: cards of one model at a site, or anywhere in a region, over a window of hours; a lot
is one card for the whole window. A **listing** 挂牌 offers lots (or a compute-account balance) at a fixed price and
others take part of it or all; an **auction** 集中竞价 takes sealed **orders** and finds one price for all; an
**enquiry** 询价 posts a need and takes sealed **offers**. Whatever trades becomes a **trade**: the buyer's booking and,
when that ends, a statement. Whoever sells has set the cards aside: every sell order stands on a booking (or on a
reserved balance), so no card is sold twice. An **alert** remembers what the rules against abuse refused or flagged.
Hours are whole hours since the Unix epoch, prices 1/1000 fen per card-hour, money fen.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from huoshui.base import clock
from huoshui.base.models import AppendOnly, LogRecord
from huoshui.book.models import Statement
from huoshui.compute.models import STRETCH, CardModel, OfParty, Pool, Region, Site
from huoshui.jobs.models import Booking
from huoshui.registry import scopes
from huoshui.registry.models import Party, Publication

if TYPE_CHECKING:
    from huoshui.terms import ExchangeTerms

MFEN = 1000
DIGEST_LENGTH = 64


class Side(models.TextChoices):
    """Which side of a trade."""

    BUY = "buy", _("buy")
    SELL = "sell", _("sell")


class Contract(models.Model):
    """What is traded. With a site the cards are there; without one they are anywhere in the region.

    `billing` says what the buyer's statement bills: the card-seconds of the engine's accounting, or all hours that the
    cards stood ready.
    """

    card_model = models.ForeignKey(CardModel, models.PROTECT, related_name="+", verbose_name=_("card model"))
    region = models.ForeignKey(Region, models.PROTECT, related_name="+", verbose_name=_("region"))
    site = models.ForeignKey(Site, models.PROTECT, null=True, blank=True, related_name="+", verbose_name=_("site"))
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    billing = models.CharField(_("billed"), max_length=10, choices=Booking.Billing.choices)

    class Meta:
        verbose_name = _("contract")
        indexes = [models.Index(fields=["card_model", "region", "start_hour"])]
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="contract_forward"),
            models.UniqueConstraint(
                fields=["card_model", "region", "site", "start_hour", "end_hour", "billing"],
                condition=Q(site__isnull=False), name="contract_at_site_once",
            ),
            models.UniqueConstraint(
                fields=["card_model", "region", "start_hour", "end_hour", "billing"],
                condition=Q(site__isnull=True), name="contract_in_region_once",
            ),
        ]  # fmt: skip

    def __str__(self) -> str:
        return f"{self.card_model} · {self.site or self.region} · {self.window}"

    @property
    def hours(self) -> int:
        return self.end_hour - self.start_hour

    @property
    def starts_at(self) -> datetime:
        return clock.instant_of(self.start_hour)

    @property
    def window(self) -> str:
        """The hours in local time."""
        start, end = (clock.local(clock.instant_of(hour)) for hour in (self.start_hour, self.end_hour))
        return f"{start:%m-%d %H:%M} – {end:%m-%d %H:%M}"

    def amount_fen(self, lots: int, price_mfen: int) -> int:
        """What so many lots cost, in fen."""
        return lots * self.hours * price_mfen // MFEN

    def fits(self, pool: Pool) -> bool:
        """Whether cards of a pool are what the contract means."""
        here = pool.site_id == self.site_id if self.site_id else pool.site.region_id == self.region_id
        return here and pool.card_model_id == self.card_model_id


class Governed(models.Model):
    """Rows that follow the terms under which they were made."""

    terms_digest = models.CharField(max_length=DIGEST_LENGTH)

    class Meta:
        abstract = True

    @property
    def terms(self) -> "ExchangeTerms":
        """The terms, as published."""
        loaded: ExchangeTerms = Publication.objects.filter(digest=self.terms_digest).latest("id").loaded()
        return loaded


class Listing(Governed, OfParty):
    """An offer at a fixed price 挂牌, open to everybody but its own group.

    A sell listing stands on `booking` (cards; `resold_from` is the seller's booking out of which they were taken, None:
    free cards of its own pool) or on a reserved balance. A buy listing stands on held money. Of a listing without
    contract a lot is one standard card-hour of the compute account.
    """

    OWNER = "party"

    class State(models.TextChoices):
        OPEN = "open", _("open")
        FILLED = "filled", _("taken up")
        WITHDRAWN = "withdrawn", pgettext_lazy("exchange", "withdrawn")
        EXPIRED = "expired", pgettext_lazy("exchange", "expired")

    party = models.ForeignKey(Party, models.PROTECT, related_name="listings", verbose_name=_("party"))
    contract = models.ForeignKey(Contract, models.PROTECT, null=True, blank=True, related_name="listings")
    side = models.CharField(_("side"), max_length=4, choices=Side.choices)
    price_mfen = models.BigIntegerField(_("price (1/1000 fen per card-hour)"))
    reference_mfen = models.BigIntegerField(_("reference price (1/1000 fen per card-hour)"))
    lots = models.PositiveIntegerField(_("lots"))
    left = models.PositiveIntegerField(_("lots left"))
    booking = models.ForeignKey(Booking, models.PROTECT, null=True, blank=True, related_name="+")
    resold_from = models.ForeignKey(Booking, models.PROTECT, null=True, blank=True, related_name="listings")
    expires_at = models.DateTimeField(_("open until"))
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    created_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("listing")
        indexes = [models.Index(fields=["state", "side", "price_mfen"]), models.Index(fields=["party", "-id"])]
        constraints = [
            models.CheckConstraint(condition=Q(lots__gt=0, left__lte=F("lots")), name="listing_left"),
            models.CheckConstraint(condition=Q(price_mfen__gt=0), name="listing_has_price"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"L{self.pk:06d}"

    @property
    def resold(self) -> bool:
        """Whether the cards are resold out of a booking."""
        return self.resold_from_id is not None

    @property
    def what(self) -> str:
        """What is traded, in words."""
        return str(self.contract) if self.contract else gettext("compute account, standard card-hours")

    def amount_fen(self, lots: int) -> int:
        """What so many lots cost, in fen."""
        return self.contract.amount_fen(lots, self.price_mfen) if self.contract else lots * self.price_mfen // MFEN


class Auction(Governed):
    """One call auction 集中竞价 of a contract. `low`, `high` and `reference` are prices in 1/1000 fen per card-hour.

    `opened_by` and `cleared_by` are who may not publish it. `digests` name the orders, the result and the statement;
    `figures` say what came of it.
    """

    class State(models.TextChoices):
        OPEN = "open", _("announced")
        FROZEN = "frozen", _("being cleared")
        CLEARED = "cleared", _("cleared")
        PUBLISHED = "published", _("published")
        CANCELLED = "cancelled", _("cancelled")

    number = models.PositiveIntegerField(unique=True)
    contract = models.ForeignKey(Contract, models.PROTECT, related_name="auctions")
    session = models.SlugField(_("session"), max_length=40)
    opens_at = models.DateTimeField(_("opens at"))
    closes_at = models.DateTimeField(_("closes at"))
    reference_mfen = models.BigIntegerField()
    low_mfen = models.BigIntegerField()
    high_mfen = models.BigIntegerField()
    price_mfen = models.BigIntegerField(_("price (1/1000 fen per card-hour)"), null=True)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    opened_by = models.CharField(max_length=60)
    cleared_by = models.CharField(max_length=60, blank=True)
    task = models.UUIDField(null=True, blank=True)
    digests = models.JSONField(default=dict)
    figures = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT, null=True, related_name="+")

    class Meta:
        verbose_name = _("call auction")
        indexes = [models.Index(fields=["state", "closes_at"])]
        constraints = [
            models.CheckConstraint(condition=Q(closes_at__gt=F("opens_at")), name="auction_forward"),
            models.UniqueConstraint(
                fields=["contract", "opens_at"], condition=~Q(state="cancelled"), name="auction_session_once"
            ),
        ]

    def __str__(self) -> str:
        return gettext("Auction %(number)s") % {"number": self.number}

    @property
    def takes_orders(self) -> bool:
        """Whether orders may be placed now."""
        return self.state == self.State.OPEN and self.opens_at <= clock.now() < self.closes_at

    @property
    def closed(self) -> bool:
        """Whether the session is over and the auction waits to be cleared."""
        return self.state == self.State.OPEN and clock.now() >= self.closes_at


class AuctionData(models.Model):
    """The orders and the result of an auction, as bytes (numpy archive), bound by the digests in the log."""

    auction = models.ForeignKey(Auction, models.CASCADE, related_name="data")
    kind = models.CharField(max_length=10, choices=[("problem", "problem"), ("result", "result")])
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["auction", "kind"], name="auction_data_once")]


class Order(OfParty):
    """A sealed order. Until the auction is published nobody but its party sees it (`queries.orders`); the log has
    `commitment` = SHA-256 of `salt` and the canonical row, so that nobody can change it either.

    `outcome` says why it got what it got: filled, part, price, queue, own_group, cancelled, cards_lost.
    """

    OWNER = "party"

    class State(models.TextChoices):
        OPEN = "open", _("sealed")
        WITHDRAWN = "withdrawn", pgettext_lazy("exchange", "withdrawn")
        DONE = "done", _("cleared")

    auction = models.ForeignKey(Auction, models.PROTECT, related_name="orders")
    party = models.ForeignKey(Party, models.PROTECT, related_name="exchange_orders", verbose_name=_("party"))
    side = models.CharField(_("side"), max_length=4, choices=Side.choices)
    price_mfen = models.BigIntegerField(_("limit (1/1000 fen per card-hour)"))
    lots = models.PositiveIntegerField(_("lots"))
    filled = models.PositiveIntegerField(_("lots traded"), default=0)
    booking = models.ForeignKey(Booking, models.PROTECT, null=True, blank=True, related_name="+")
    resold_from = models.ForeignKey(Booking, models.PROTECT, null=True, blank=True, related_name="exchange_orders")
    salt = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    commitment = models.CharField(max_length=DIGEST_LENGTH)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    outcome = models.SlugField(max_length=20, blank=True)
    submitted_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("sealed order")
        indexes = [models.Index(fields=["auction", "state"]), models.Index(fields=["party", "-id"])]
        constraints = [
            models.CheckConstraint(condition=Q(lots__gt=0, filled__lte=F("lots")), name="order_filled"),
            models.CheckConstraint(condition=Q(price_mfen__gt=0), name="order_has_price"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"A{self.pk:06d}"

    def amount_fen(self) -> int:
        """The most that the order costs."""
        return self.auction.contract.amount_fen(self.lots, self.price_mfen)


class Enquiry(Governed, OfParty):
    """A need posted for offers 询价. `weights`: basis points by criterion, summing to 10,000.

    The budget is held while it is open. Offers are opened, ranked and shown to its buyer when `closes_at` is past.
    """

    OWNER = "party"

    class State(models.TextChoices):
        OPEN = "open", _("open")
        AWARDED = "awarded", _("awarded")
        ENDED = "ended", _("ended without award")

    party = models.ForeignKey(Party, models.PROTECT, related_name="enquiries", verbose_name=_("buyer"))
    title = models.CharField(_("what it is for"), max_length=120)
    cards = models.PositiveIntegerField(_("cards"))
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    card_models = models.ManyToManyField(CardModel, related_name="+", verbose_name=_("acceptable card models"))
    regions = models.ManyToManyField(Region, related_name="+", verbose_name=_("acceptable regions"))
    billing = models.CharField(_("billed"), max_length=10, choices=Booking.Billing.choices)
    budget_fen = models.BigIntegerField(_("budget"))
    weights = models.JSONField(_("weights"))
    closes_at = models.DateTimeField(_("offers until"))
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    award = models.OneToOneField("Offer", models.PROTECT, null=True, blank=True, related_name="+")
    reason = models.CharField(_("reason"), max_length=500, blank=True)
    ranked_at = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("enquiry")
        indexes = [models.Index(fields=["state", "closes_at"]), models.Index(fields=["party", "-id"])]
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="enquiry_forward"),
            models.CheckConstraint(condition=Q(cards__gt=0, budget_fen__gt=0), name="enquiry_has_need"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"Q{self.pk:06d}"

    @property
    def hours(self) -> int:
        return self.end_hour - self.start_hour

    @property
    def price_mfen_max(self) -> int:
        """The most per card-hour that the budget pays."""
        return self.budget_fen * MFEN // (self.cards * self.hours)

    @property
    def closed(self) -> bool:
        """Whether the time for offers is over."""
        return clock.now() >= self.closes_at


class Offer(OfParty):
    """A sealed offer to an enquiry, for all its cards and hours. Only its own party sees it before the deadline.

    `scores` are what the published criteria give (basis points by code, `total`), `rank` its place, once opened.
    """

    OWNER = "party"

    class State(models.TextChoices):
        SEALED = "sealed", _("sealed")
        WITHDRAWN = "withdrawn", pgettext_lazy("exchange", "withdrawn")
        AWARDED = "awarded", _("awarded")
        UNSUCCESSFUL = "unsuccessful", _("unsuccessful")

    enquiry = models.ForeignKey(Enquiry, models.PROTECT, related_name="offers")
    party = models.ForeignKey(Party, models.PROTECT, related_name="offers", verbose_name=_("seller"))
    pool = models.ForeignKey(Pool, models.PROTECT, related_name="+")
    price_mfen = models.BigIntegerField(_("price (1/1000 fen per card-hour)"))
    recall_notice_hours = models.PositiveIntegerField(_("recall notice (hours)"), null=True, blank=True)
    booking = models.ForeignKey(Booking, models.PROTECT, null=True, related_name="+")
    salt = models.CharField(max_length=DIGEST_LENGTH, editable=False)
    commitment = models.CharField(max_length=DIGEST_LENGTH)
    state = models.CharField(max_length=14, choices=State.choices, default=State.SEALED)
    scores = models.JSONField(null=True)
    rank = models.PositiveSmallIntegerField(null=True)
    submitted_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("offer")
        constraints = [
            models.UniqueConstraint(
                fields=["enquiry", "party"], condition=~Q(state="withdrawn"), name="offer_once_per_party"
            ),
            models.CheckConstraint(condition=Q(price_mfen__gt=0), name="offer_has_price"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"F{self.pk:06d}"

    def amount_fen(self) -> int:
        """What it costs at most."""
        return self.enquiry.cards * self.enquiry.hours * self.price_mfen // MFEN


class Trade(Governed):
    """What was bought by whom from whom. `source` is the label of the listing, order or offer that was sold.

    `amount_fen` is what the buyer pays at most, committed under `exchange.trade:ID`; the statement comes when the
    booking ends, or at once for a balance. `resold_from` is the booking out of which the cards were resold.
    """

    class Way(models.TextChoices):
        LISTING = "listing", _("listing")
        AUCTION = "auction", _("call auction")
        ENQUIRY = "enquiry", _("enquiry")

    class State(models.TextChoices):
        OPEN = "open", _("to be delivered")
        BILLED = "billed", _("billed")
        VOID = "void", _("nothing delivered, nothing billed")

    way = models.CharField(_("way"), max_length=10, choices=Way.choices)
    contract = models.ForeignKey(Contract, models.PROTECT, null=True, blank=True, related_name="trades")
    auction = models.ForeignKey(Auction, models.PROTECT, null=True, blank=True, related_name="trades")
    source = models.CharField(max_length=60, db_index=True)
    seller = models.ForeignKey(Party, models.PROTECT, related_name="exchange_sales", verbose_name=_("seller"))
    buyer = models.ForeignKey(Party, models.PROTECT, related_name="exchange_purchases", verbose_name=_("buyer"))
    lots = models.PositiveIntegerField(_("lots"))
    price_mfen = models.BigIntegerField(_("price (1/1000 fen per card-hour)"))
    amount_fen = models.BigIntegerField(_("pays at most"))
    booking = models.OneToOneField(Booking, models.PROTECT, null=True, blank=True, related_name="trade")
    resold_from = models.ForeignKey(Booking, models.PROTECT, null=True, blank=True, related_name="resales")
    statement = models.OneToOneField(Statement, models.PROTECT, null=True, blank=True, related_name="+")
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    made_at = models.DateTimeField(_("made at"))
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("trade")
        indexes = [
            models.Index(fields=["made_at"]), models.Index(fields=["seller", "-id"]),
            models.Index(fields=["buyer", "-id"]),
        ]  # fmt: skip
        constraints = [
            models.CheckConstraint(condition=Q(lots__gt=0), name="trade_has_lots"),
            models.CheckConstraint(condition=~Q(seller=F("buyer")), name="trade_with_another"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"T{self.pk:06d}"

    @property
    def what(self) -> str:
        """What was traded, in words."""
        return str(self.contract) if self.contract else gettext("compute account, standard card-hours")

    @property
    def card_hours(self) -> int:
        """Card-hours (or standard card-hours) traded."""
        return self.lots * (self.contract.hours if self.contract else 1)

    def access_scopes(self) -> set[str]:
        """Both sides see a trade, and who runs the site where its cards are."""
        site = self.booking.pool.site.access_scopes() if self.booking else set()
        return self.seller.access_scopes() | self.buyer.access_scopes() | site

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        sides = scopes.to_party(held, "seller") | scopes.to_party(held, "buyer")
        return sides | scopes.to_party(held, "booking__pool__site__operator")


class Alert(AppendOnly):
    """Something that the rules against abuse refused or flagged. `detail` holds what the sentence needs."""

    class Code(models.TextChoices):
        SELF_TRADE = "self_trade", _("trade within one group")
        WASH_TRADE = "wash_trade", _("wash trade")
        PRICE_LIMIT = "price_limit", _("price outside the limits")
        ORDER_LIMIT = "order_limit", _("too many orders")

    code = models.CharField(_("rule"), max_length=20, choices=Code.choices)
    refused = models.BooleanField(_("refused"))
    party = models.ForeignKey(Party, models.PROTECT, related_name="exchange_alerts", verbose_name=_("party"))
    subject = models.CharField(max_length=60, blank=True)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("alert")
        indexes = [models.Index(fields=["party", "-id"])]

    def access_scopes(self) -> set[str]:
        return self.party.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "party")
