"""Tables of the compute supermarket 算力超市.

The flow: an operator puts up a **product** of one of its pools; a second person looks at its public text; a buyer
collects products in a **cart** and places **orders**, whose most is held in the book; the operator (or the product's
setting) confirms, which makes a booking of `jobs`; what its engine counted is billed. What was delivered of what was
sold adds up in the pool's **delivery record**, which is the rating.

Hours are whole hours since the Unix epoch, [start, end). Prices are fen per card and `unit_hours` (an hour, or a month
of 30 days for monthly products), VAT included; amounts are fen, shares basis points.
"""

from django.core.validators import MaxValueValidator
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base.models import AppendOnly, LogRecord, User
from huoshui.compute.models import STRETCH, OfParty, Pool
from huoshui.jobs.models import Booking
from huoshui.market.prices import MONTH_HOURS, Tier
from huoshui.registry import scopes
from huoshui.registry.models import Party
from huoshui.terms.rounding import BPS


class Kind(models.TextChoices):
    """What one unit of a product is."""

    CARDS = "cards", _("bare cards")
    NODE = "node", _("node")
    CLUSTER = "cluster", _("cluster")


class Billing(models.TextChoices):
    """How a product is billed: by what ran (hourly, spot), or as a whole, used or not (monthly, reserved)."""

    HOURLY = "hourly", _("by the hour")
    MONTHLY = "monthly", _("by the month")
    RESERVED = "reserved", _("reserved for a term")
    SPOT = "spot", _("spot, may be recalled")


WHOLE = (Billing.MONTHLY, Billing.RESERVED)


class Interconnect(models.TextChoices):
    """What joins the cards of a unit."""

    NONE = "none", _("none")
    PCIE = "pcie", "PCIe"
    NVLINK = "nvlink", "NVLink"
    HCCS = "hccs", "HCCS"
    MLU_LINK = "mlu-link", "MLU-Link"
    ROCE = "roce", "RoCE"
    INFINIBAND = "infiniband", "InfiniBand"


def _share(title: object, **more: object) -> "models.PositiveIntegerField[int, int]":
    return models.PositiveIntegerField(title, validators=[MaxValueValidator(BPS)], **more)  # type: ignore[arg-type]


class Product(OfParty):
    """A catalogue item of an operator 算力产品. What is not said is None, never zero.

    A unit is `cards_per_unit` cards with their share of cores, memory, disk and network. `revision` is the version of
    the shelf at which it last changed (`market.shelf`).
    """

    OWNER = "pool__site__operator"

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        SUBMITTED = "submitted", _("waits for a second look")
        LISTED = "listed", _("on sale")
        PAUSED = "paused", pgettext_lazy("on sale", "paused")
        ENDED = "ended", pgettext_lazy("product", "ended")

    pool = models.ForeignKey(Pool, models.PROTECT, related_name="products", verbose_name=_("pool"))
    code = models.SlugField(_("code"), max_length=40)
    title = models.CharField(_("title"), max_length=80)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    billing = models.CharField(_("billing"), max_length=10, choices=Billing.choices)
    cards_per_unit = models.PositiveIntegerField(_("cards per unit"), default=1)
    cpu_cores = models.PositiveIntegerField(_("CPU cores"), null=True, blank=True)
    ram_gib = models.PositiveIntegerField(_("main memory (GiB)"), null=True, blank=True)
    disk_gib = models.PositiveIntegerField(_("local disk (GiB)"), null=True, blank=True)
    disk_mb_s = models.PositiveIntegerField(_("disk bandwidth (MB/s)"), null=True, blank=True)
    storage_gib = models.PositiveIntegerField(_("shared storage (GiB)"), null=True, blank=True)
    network_mbit_s = models.PositiveIntegerField(_("public network (Mbit/s)"), null=True, blank=True)
    interconnect = models.CharField(
        _("interconnect"), max_length=12, choices=Interconnect.choices, default=Interconnect.NONE
    )
    interconnect_gbit_s = models.PositiveIntegerField(_("interconnect bandwidth (Gbit/s)"), null=True, blank=True)
    driver = models.CharField(_("driver"), max_length=60, blank=True)
    frameworks = models.CharField(_("frameworks"), max_length=200, blank=True)
    images = models.CharField(_("images"), max_length=300, blank=True)
    label = models.CharField(_("compute label"), max_length=60, blank=True)
    hours_min = models.PositiveIntegerField(_("shortest term (hours)"), default=1)
    hours_max = models.PositiveIntegerField(_("longest term (hours)"), default=MONTH_HOURS)
    price_fen = models.PositiveBigIntegerField(_("price"))
    vat_bps = _share(_("VAT rate"), default=600)
    sla_bps = _share(_("promised availability"), null=True, blank=True)
    sla_compensation_bps = models.PositiveIntegerField(_("compensation"), default=0)
    recall_notice_hours = models.PositiveIntegerField(_("recall notice (hours)"), null=True, blank=True)
    auto_accept = models.BooleanField(_("confirm orders at once"), default=False)
    about = models.CharField(_("description"), max_length=500, blank=True)
    conditions = models.CharField(_("conditions"), max_length=500, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.DRAFT)
    note = models.CharField(max_length=200, blank=True)
    revision = models.BigIntegerField(default=0, db_index=True)
    submitted_by = models.ForeignKey(User, models.PROTECT, null=True, blank=True, related_name="+")
    listed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("product")
        indexes = [models.Index(fields=["state", "-id"]), models.Index(fields=["pool", "state"])]
        constraints = [
            models.UniqueConstraint(fields=["pool", "code"], name="product_once"),
            models.CheckConstraint(condition=Q(cards_per_unit__gt=0, price_fen__gt=0), name="product_has_price"),
            models.CheckConstraint(
                condition=Q(hours_min__gt=0, hours_max__gte=F("hours_min")), name="product_term_forward"
            ),
            models.CheckConstraint(
                condition=Q(billing=Billing.SPOT, recall_notice_hours__isnull=False)
                | (~Q(billing=Billing.SPOT) & Q(recall_notice_hours__isnull=True)),
                name="product_spot_has_notice",
            ),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def operator(self) -> Party:
        return self.pool.site.operator

    @property
    def whole(self) -> bool:
        """Whether it is paid for as a whole, used or not."""
        return self.billing in WHOLE

    @property
    def unit_hours(self) -> int:
        """Hours to which the price refers."""
        return MONTH_HOURS if self.billing == Billing.MONTHLY else 1

    @property
    def price_mfen(self) -> int:
        """1/1000 fen per card-hour, rounded down: for comparing, not for billing."""
        return self.price_fen * 1000 // self.unit_hours

    @property
    def pflops_hour_fen(self) -> int:
        """Fen for 10¹⁵ FP16 operations a second over an hour."""
        return self.price_mfen // self.pool.card_model.fp16_tflops

    @property
    def memory_hour_mfen(self) -> int:
        """1/1000 fen for a GiB of card memory over an hour."""
        return self.price_mfen // self.pool.card_model.memory_gib


class ProductTier(models.Model):
    """A lower price from so many cards and so many hours on."""

    product = models.ForeignKey(Product, models.CASCADE, related_name="tiers")
    cards_from = models.PositiveIntegerField()
    hours_from = models.PositiveIntegerField()
    price_fen = models.PositiveBigIntegerField()

    class Meta:
        ordering = ["cards_from", "hours_from"]
        constraints = [
            models.UniqueConstraint(fields=["product", "cards_from", "hours_from"], name="product_tier_once")
        ]

    @property
    def tier(self) -> Tier:
        return Tier(self.cards_from, self.hours_from, self.price_fen)


class ShelfState(models.Model):
    """The version of what is on sale: one row, locked by whatever changes a listed product or a rating.

    `stamp` tells one database from another, so that no process takes a shelf of another database for its own.
    """

    version = models.BigIntegerField(default=0)
    stamp = models.UUIDField()


class CartItem(models.Model):
    """A product that a person put aside, with the price seen then and, if they say so, a cap. It reserves nothing."""

    user = models.ForeignKey(User, models.CASCADE, related_name="+")
    product = models.ForeignKey(Product, models.PROTECT, related_name="+")
    units = models.PositiveIntegerField()
    start_hour = models.IntegerField()
    hours = models.PositiveIntegerField()
    cap_fen = models.PositiveBigIntegerField(null=True)
    seen_fen = models.PositiveBigIntegerField()
    added_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["user", "id"])]
        constraints = [models.CheckConstraint(condition=Q(units__gt=0, hours__gt=0), name="cart_item_has_units")]


class Order(models.Model):
    """Units of a product bought over a term 订单, on the conditions that the product published then.

    `cap_fen` is the most at the product's price; `total_fen`, the most that is paid, is that less the platform's
    concession, and what the book holds under `market.order:ID`. `failed` is what the operator reported as failed:
    [start_hour, end_hour, cards]; `lost_elsewhere` counts the card-seconds of hours that the buyer resold and that were
    lost in other hands; `billed_hour` is the end of what statements have billed of a whole order.
    """

    class State(models.TextChoices):
        PLACED = "placed", _("waits for the operator")
        CONFIRMED = "confirmed", pgettext_lazy("order", "confirmed")
        SETTLED = "settled", pgettext_lazy("order", "settled")
        REFUSED = "refused", pgettext_lazy("order", "refused")
        LAPSED = "lapsed", _("not answered in time")
        CANCELLED = "cancelled", _("cancelled")

    buyer = models.ForeignKey(Party, models.PROTECT, related_name="market_orders", verbose_name=_("buyer"))
    product = models.ForeignKey(Product, models.PROTECT, related_name="orders", verbose_name=_("product"))
    purpose = models.CharField(_("what it is for"), max_length=120)
    contract = models.CharField(_("contract"), max_length=100, blank=True)
    units = models.PositiveIntegerField(_("units"))
    cards = models.PositiveIntegerField(_("cards"))
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    billing = models.CharField(max_length=10, choices=Billing.choices)
    price_fen = models.PositiveBigIntegerField()
    unit_hours = models.PositiveIntegerField()
    vat_bps = models.PositiveIntegerField()
    sla_bps = models.PositiveIntegerField(null=True)
    sla_compensation_bps = models.PositiveIntegerField(default=0)
    recall_notice_hours = models.PositiveIntegerField(null=True)
    cap_fen = models.BigIntegerField(_("spending cap"))
    total_fen = models.BigIntegerField(_("pays at most"))
    terms_digest = models.CharField(max_length=64)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLACED)
    follows = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="extensions")
    booking = models.OneToOneField(Booking, models.PROTECT, null=True, blank=True, related_name="+")
    failed = models.JSONField(default=list)
    lost_elsewhere = models.BigIntegerField(default=0)
    billed_hour = models.IntegerField()
    note = models.CharField(max_length=200, blank=True)
    placed_at = models.DateTimeField()
    answer_until = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("order")
        indexes = [
            models.Index(fields=["buyer", "-id"]), models.Index(fields=["product", "state"]),
            models.Index(fields=["state", "billing", "billed_hour"]),
        ]  # fmt: skip
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="order_forward"),
            models.CheckConstraint(condition=Q(cards__gt=0, total_fen__gt=0), name="order_has_amount"),
            models.CheckConstraint(condition=Q(cap_fen__gte=F("total_fen")), name="order_cap_covers_total"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"S{self.pk:06d}"

    @property
    def hours(self) -> int:
        return self.end_hour - self.start_hour

    @property
    def whole(self) -> bool:
        """Whether it is paid for as a whole, used or not."""
        return self.billing in WHOLE

    @property
    def price_mfen(self) -> int:
        """1/1000 fen per card-hour: exact for what is billed by use."""
        return self.price_fen * 1000 // self.unit_hours

    @property
    def card_seconds(self) -> int:
        """Card-time bought."""
        return self.cards * self.hours * 3600

    def failed_seconds(self, until_hour: int) -> int:
        """Card-time before an hour that the operator reported as failed."""
        return 3600 * sum(cards * max(min(end, until_hour) - start, 0) for start, end, cards in self.failed)

    def access_scopes(self) -> set[str]:
        return self.buyer.access_scopes() | self.product.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "buyer") | scopes.to_party(held, "product__pool__site__operator")


class DeliveryRecord(models.Model):
    """What a pool's orders came to, of buyers not related to its operator: the rating is measured, not voted.

    Card-seconds sold and lost (not delivered by the operator's fault), attempts and those that failed by its fault,
    orders that waited for an answer and the seconds they waited.
    """

    pool = models.OneToOneField(Pool, models.PROTECT, related_name="delivery_record")
    orders = models.PositiveIntegerField(default=0)
    sold_seconds = models.BigIntegerField(default=0)
    lost_seconds = models.BigIntegerField(default=0)
    attempts = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    answers = models.PositiveIntegerField(default=0)
    answer_seconds = models.BigIntegerField(default=0)

    @property
    def delivered_bps(self) -> int | None:
        """Card-time that was not lost over card-time sold; None before anything was sold."""
        return (self.sold_seconds - self.lost_seconds) * BPS // self.sold_seconds if self.sold_seconds else None

    @property
    def failed_bps(self) -> int | None:
        """Attempts that failed by the operator's fault over all attempts."""
        return self.failed * BPS // self.attempts if self.attempts else None

    @property
    def answer_minutes(self) -> int | None:
        """Mean time to an answer, rounded up."""
        return -(-self.answer_seconds // (60 * self.answers)) if self.answers else None


class Comment(AppendOnly, OfParty):
    """One sentence of a buyer after a settled order. The page shows it without the buyer's name."""

    OWNER = "order__buyer"

    order = models.OneToOneField(Order, models.PROTECT, related_name="comment")
    text = models.CharField(_("comment"), max_length=120)
    at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("comment")
