"""Tables of the compute bank 算力银行.

The flow: a **deposit** offers idle cards of a **pool** for stretches of hours; a **request** asks for cards within a
window and a budget; a **round** clears both (the solver sees arrays only) and publishes **slot prices** and
**allocations**; **delivery reports** say what ran; `book` settles it. Hours are whole hours since the Unix epoch,
stretches are half-open [start_hour, end_hour). Money is fen, prices are fen per card-hour unless a name says
otherwise, card-time is milli-card-hours.
"""

from functools import reduce

from django.db import models
from django.db.models import F, Q, TextChoices
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base.models import AppendOnly, LogRecord
from huoshui.registry import scopes
from huoshui.registry.models import Party

HOURS_PER_ROUND_MAX = 672
STRETCH = Q(end_hour__gt=F("start_hour"))


class OfParty(models.Model):
    """Rows that belong to one party, named by `OWNER` (a field path to the party)."""

    OWNER = "party"

    class Meta:
        abstract = True

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, cls.OWNER)

    def access_scopes(self) -> set[str]:
        owner: Party = reduce(getattr, self.OWNER.split("__"), self)  # type: ignore[assignment]
        return owner.access_scopes()


class Region(models.Model):
    """Scheduling region 区域: data moves between regions with a lead time and at a cost (round terms)."""

    code = models.SlugField(max_length=30, unique=True)
    name = models.CharField(_("name"), max_length=50)

    class Meta:
        verbose_name = _("region")

    def __str__(self) -> str:
        return self.name


class CardModel(models.Model):
    """Accelerator 算力卡型号."""

    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=60)
    vendor = models.CharField(_("vendor"), max_length=60, blank=True)
    memory_gib = models.PositiveIntegerField(_("memory (GiB)"))
    fp16_tflops = models.PositiveIntegerField(_("FP16 throughput (TFLOPS, dense)"))
    domestic = models.BooleanField(_("domestic"))
    watts = models.PositiveIntegerField(_("power at full load (W)"))
    source = models.CharField(_("source of the figures"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("card model")

    def __str__(self) -> str:
        return self.name


class Site(OfParty):
    """Data centre 算力中心 of an operator."""

    OWNER = "operator"
    operator = models.ForeignKey(Party, models.PROTECT, related_name="sites", verbose_name=_("operator"))
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(_("name"), max_length=80)
    region = models.ForeignKey(Region, models.PROTECT, verbose_name=_("region"))
    division = models.CharField(_("division code"), max_length=6)
    tariff = models.CharField(_("tariff publication"), max_length=80)
    pue_bps = models.PositiveIntegerField(_("power usage effectiveness (1/10000)"), default=13000)

    class Meta:
        verbose_name = _("site")

    def __str__(self) -> str:
        return self.name


class Pool(OfParty):
    """One card model at one site 资源池."""

    OWNER = "site__operator"
    site = models.ForeignKey(Site, models.PROTECT, related_name="pools")
    card_model = models.ForeignKey(CardModel, models.PROTECT, related_name="pools")
    cards = models.PositiveIntegerField(_("cards installed"))
    list_price_fen = models.PositiveIntegerField(_("list price (fen per card-hour)"))

    class Meta:
        verbose_name = _("pool")
        constraints = [
            models.UniqueConstraint(fields=["site", "card_model"], name="pool_once"),
            models.CheckConstraint(condition=Q(cards__gt=0), name="pool_has_cards"),
        ]

    def __str__(self) -> str:
        return f"{self.site} · {self.card_model}"


class Deposit(OfParty):
    """Idle card-hours put in 算力存单, at a reserve price: base plus energy at the site's tariff when `energy`."""

    OWNER = "depositor"

    class SettleIn(models.TextChoices):
        MONEY = "money", _("money")
        ACCOUNT = "account", _("compute account")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        WITHDRAWN = "withdrawn", pgettext_lazy("compute", "withdrawn")

    depositor = models.ForeignKey(Party, models.PROTECT, related_name="deposits")
    pool = models.ForeignKey(Pool, models.PROTECT, related_name="deposits")
    base_price_fen = models.PositiveIntegerField(_("base price (fen per card-hour)"))
    energy = models.BooleanField(_("add energy at the tariff"), default=True)
    settle_in = models.CharField(_("paid in"), max_length=10, choices=SettleIn.choices)
    recall_notice_hours = models.PositiveIntegerField(_("recall notice (hours)"))
    resold_from = models.ForeignKey(
        "Allocation", models.PROTECT, null=True, blank=True, related_name="resales", verbose_name=_("resold from")
    )
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    submitted_at = models.DateTimeField()

    class Meta:
        verbose_name = _("deposit")
        indexes = [models.Index(fields=["depositor", "-id"]), models.Index(fields=["pool", "state"])]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"D{self.pk:06d}"


class DepositStretch(models.Model):
    """Cards offered over a stretch of hours. Stretches of one deposit do not overlap."""

    deposit = models.ForeignKey(Deposit, models.CASCADE, related_name="stretches")
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    cards = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["start_hour", "end_hour"])]
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="deposit_stretch_forward"),
            models.CheckConstraint(condition=Q(cards__gt=0), name="deposit_stretch_has_cards"),
        ]


class Recall(AppendOnly):
    """Cards of a deposit that are taken back (recall) or lost (failure) over a stretch of hours 撤回."""

    class Reason(models.TextChoices):
        RECALL = "recall", _("recalled")
        FAILURE = "failure", _("failed")

    deposit = models.ForeignKey(Deposit, models.PROTECT, related_name="recalls")
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    cards = models.PositiveIntegerField()
    reason = models.CharField(max_length=10, choices=Reason.choices)
    notice_hours = models.IntegerField()
    reported_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("recall")
        constraints = [models.CheckConstraint(condition=STRETCH, name="recall_forward")]


class Round(models.Model):
    """One clearing 集中撮合轮次. `digests` names the terms, problem, result and public statement.

    `secret` makes the salts of the request table's commitments; `record` is the log record of publishing.
    """

    class State(models.TextChoices):
        DRAFT = "draft", _("draft")
        CLEARED = "cleared", _("cleared")
        PUBLISHED = "published", _("published")
        SETTLED = "settled", pgettext_lazy("round", "settled")
        CANCELLED = "cancelled", _("cancelled")

    number = models.PositiveIntegerField(unique=True)
    title = models.CharField(_("title"), max_length=100)
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    terms_digest = models.CharField(max_length=64)
    options = models.JSONField(default=dict)
    task = models.UUIDField(null=True, blank=True)
    digests = models.JSONField(default=dict)
    secret = models.CharField(max_length=64, editable=False)
    record = models.ForeignKey(LogRecord, models.PROTECT, null=True, blank=True, related_name="+")
    figures = models.JSONField(default=dict)
    index_price_mfen = models.BigIntegerField(_("index price (1/1000 fen per card-hour)"), null=True)
    created_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("round")
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="round_forward"),
            models.CheckConstraint(
                condition=Q(end_hour__lte=F("start_hour") + HOURS_PER_ROUND_MAX), name="round_horizon"
            ),
        ]

    def __str__(self) -> str:
        return _("Round %(number)s") % {"number": self.number}

    @property
    def hours(self) -> int:
        return self.end_hour - self.start_hour


class RoundData(models.Model):
    """The problem and the result of a round, as bytes (numpy archive), bound by the digests in the log."""

    round = models.ForeignKey(Round, models.CASCADE, related_name="data")
    kind = models.CharField(max_length=10, choices=[("problem", "problem"), ("result", "result")])
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["round", "kind"], name="round_data_once")]


class Request(OfParty):
    """Cards wanted within a window and a budget 取用申请."""

    OWNER = "entity"

    class Mode(TextChoices):
        RIGID = "rigid", _("one unbroken run")
        PREEMPTIBLE = "preemptible", _("in pieces")

    class PayWith(TextChoices):
        MONEY = "money", _("money")
        ACCOUNT = "account", _("compute account")

    class State(TextChoices):
        OPEN = "open", _("waiting for a round")
        IN_ROUND = "in_round", _("in a round")
        SERVED = "served", _("served")
        REFUSED = "refused", _("refused")
        WITHDRAWN = "withdrawn", pgettext_lazy("compute", "withdrawn")
        DISPLACED = "displaced", _("displaced")
        COMPLETED = "completed", _("completed")

    entity = models.ForeignKey(Party, models.PROTECT, related_name="compute_requests")
    title = models.CharField(_("what it is for"), max_length=120)
    cards = models.PositiveIntegerField(_("cards together"))
    earliest_hour = models.IntegerField()
    deadline_hour = models.IntegerField()
    mode = models.CharField(_("mode"), max_length=12, choices=Mode.choices)
    min_piece_hours = models.PositiveIntegerField(default=0)
    budget_fen = models.BigIntegerField(_("budget"))
    pay_with = models.CharField(_("paid with"), max_length=10, choices=PayWith.choices, default=PayWith.MONEY)
    origin = models.ForeignKey(Region, models.PROTECT, related_name="+", verbose_name=_("where the data is"))
    regions = models.ManyToManyField(Region, related_name="+", verbose_name=_("acceptable regions"))
    priority = models.PositiveSmallIntegerField(default=1)
    carry_over = models.BooleanField(_("try again in the next round"), default=False)
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    round = models.ForeignKey(Round, models.PROTECT, null=True, blank=True, related_name="requests")
    refusal = models.JSONField(null=True, blank=True)
    estimate = models.JSONField(null=True, blank=True)
    submitted_at = models.DateTimeField()

    class Meta:
        verbose_name = _("request")
        indexes = [
            models.Index(fields=["entity", "-id"]),
            models.Index(fields=["state", "-id"]),
            models.Index(fields=["round", "state"]),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(deadline_hour__gt=F("earliest_hour")), name="request_window_forward"),
            models.CheckConstraint(condition=Q(cards__gt=0), name="request_has_cards"),
            models.CheckConstraint(condition=Q(budget_fen__gt=0), name="request_has_budget"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"R{self.pk:06d}"


class RequestModel(models.Model):
    """Hours that a request needs on an acceptable card model."""

    request = models.ForeignKey(Request, models.CASCADE, related_name="models")
    card_model = models.ForeignKey(CardModel, models.PROTECT)
    hours = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request", "card_model"], name="request_model_once"),
            models.CheckConstraint(condition=Q(hours__gt=0), name="request_model_hours"),
        ]


class SlotPrice(AppendOnly):
    """Published price of one pool and hour 分时价格, with what was offered and sold (1/1000 fen)."""

    round = models.ForeignKey(Round, models.PROTECT, related_name="slot_prices")
    pool = models.ForeignKey(Pool, models.PROTECT, related_name="slot_prices")
    hour = models.IntegerField()
    price_mfen = models.BigIntegerField()
    shadow_price_mfen = models.BigIntegerField()
    offered_cards = models.PositiveIntegerField()
    sold_cards = models.PositiveIntegerField()

    class Meta:
        verbose_name = _("slot price")
        constraints = [models.UniqueConstraint(fields=["round", "pool", "hour"], name="slot_price_once")]
        indexes = [models.Index(fields=["pool", "hour"])]


class Allocation(OfParty):
    """What a round gave a request: a pool, runs of hours (`Run`), the most it pays and the cards' depositors."""

    OWNER = "request__entity"

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        FINISHED = "finished", _("finished")
        DISPLACED = "displaced", _("displaced")
        CANCELLED = "cancelled", _("cancelled")

    request = models.ForeignKey(Request, models.PROTECT, related_name="allocations")
    round = models.ForeignKey(Round, models.PROTECT, related_name="allocations")
    pool = models.ForeignKey(Pool, models.PROTECT, related_name="allocations")
    payment_fen = models.BigIntegerField(_("pays at most"))
    transfer_fen = models.BigIntegerField(_("transfer"))
    concession_fen = models.BigIntegerField(_("concession"), default=0)
    version = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PLANNED)
    spending_cap_fen = models.BigIntegerField(_("spending cap"))
    finished_hour = models.IntegerField(null=True, blank=True)

    class Meta:
        verbose_name = _("allocation")
        indexes = [models.Index(fields=["round", "state"]), models.Index(fields=["pool", "state"])]
        constraints = [
            models.UniqueConstraint(fields=["request", "round"], name="allocation_once"),
            models.CheckConstraint(condition=Q(payment_fen__gte=0), name="allocation_payment"),
        ]


class Run(AppendOnly):
    """A stretch in which an allocation runs, under one version of its schedule; the newest version counts.

    `version` grows with each reschedule. A version that moves the pool says so in `pool`.
    """

    allocation = models.ForeignKey(Allocation, models.PROTECT, related_name="runs")
    version = models.PositiveIntegerField()
    pool = models.ForeignKey(Pool, models.PROTECT)
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        indexes = [models.Index(fields=["start_hour", "end_hour"])]
        constraints = [models.CheckConstraint(condition=STRETCH, name="run_forward")]


class Share(AppendOnly):
    """Which deposit serves how many cards of an allocation over a stretch of hours.

    The price is the pool's `SlotPrice`, unless a reschedule had to take a dearer deposit: then it is `price_mfen`.
    """

    allocation = models.ForeignKey(Allocation, models.PROTECT, related_name="shares")
    version = models.PositiveIntegerField()
    deposit = models.ForeignKey(Deposit, models.PROTECT, related_name="shares")
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    cards = models.PositiveIntegerField()
    price_mfen = models.BigIntegerField(_("price above the slot price (1/1000 fen per card-hour)"), null=True)

    class Meta:
        indexes = [models.Index(fields=["deposit", "start_hour"])]
        constraints = [models.CheckConstraint(condition=STRETCH, name="share_forward")]


class Delivery(AppendOnly):
    """Card-time that the operator reports as delivered to an allocation over a stretch of hours."""

    allocation = models.ForeignKey(Allocation, models.PROTECT, related_name="deliveries")
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    milli_card_hours = models.BigIntegerField()
    evidence = models.CharField(_("evidence (digest)"), max_length=64, blank=True)
    reported_at = models.DateTimeField()
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("delivery report")
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="delivery_forward"),
            models.CheckConstraint(condition=Q(milli_card_hours__gte=0), name="delivery_not_negative"),
            models.UniqueConstraint(fields=["allocation", "start_hour"], name="delivery_once"),
        ]


class Move(AppendOnly):
    """What a reschedule did to one allocation, because of which recall.

    `price_difference_fen` is what the allocation costs more than it pays (see `settle.Cap`), `compensation_fen` what
    the depositor who caused it owes the entity.
    """

    class Outcome(models.TextChoices):
        MOVED = "moved", _("moved")
        SUPPLIED = "supplied", _("same hours, other cards")
        DISPLACED = "displaced", _("displaced")

    allocation = models.ForeignKey(Allocation, models.PROTECT, related_name="moves")
    recall = models.ForeignKey(Recall, models.PROTECT, related_name="moves")
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    from_version = models.PositiveIntegerField()
    price_difference_fen = models.BigIntegerField(default=0)
    compensation_fen = models.BigIntegerField(default=0)
    record = models.ForeignKey(LogRecord, models.PROTECT)

    class Meta:
        verbose_name = _("reschedule")
