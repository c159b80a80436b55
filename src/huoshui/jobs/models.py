"""Tables of jobs and endpoints 作业与推理服务: what was bought runs here, and what runs settles.

The flow: a **connection** joins a site to its engine. A **booking** is the right of a party to a number of cards of a
pool over stretches of hours; it comes from an allocation of the bank, an order of the supermarket or a trade of the
exchange (`source`), and the runner reserves it on the engine. A **job** runs in a booking, in **attempts**; the
engine's account of each attempt is what the booking's statement bills. **Artefacts** are what goes in and comes out; a
**trained model** knows what made it; an **endpoint** serves it. Hours are whole hours since the Unix epoch, prices are
1/1000 fen per card-hour, card-time is card-seconds, money is fen.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from huoshui.base.models import LogRecord, User
from huoshui.compute.models import STRETCH, OfParty, Pool, Site
from huoshui.registry import scopes
from huoshui.registry.models import Party

DIGEST_LENGTH = 64


class Connection(OfParty):
    """A site's engine. `settings` holds what `engines.KINDS[kind].settings` names; secrets are names of variables.

    `findings` is what the last check said, `nodes` the cards of each node that a job may use together, by the engine's
    word for the card model (empty: nobody has looked), `failing_since` when the engine stopped answering, `asked_at`
    when it was asked in vain the last time, `counted_at` when it was asked how many cards work (`Shortage`). Names on
    the engine begin with `tag`, so that two installations may share a cluster.
    """

    OWNER = "site__operator"

    class State(models.TextChoices):
        UNCHECKED = "unchecked", pgettext_lazy("engine", "to be checked")
        UP = "up", _("in order")
        FAULTY = "faulty", _("does not pass the check")
        DOWN = "down", _("does not answer")
        OFF = "off", _("switched off")

    site = models.OneToOneField(Site, models.PROTECT, related_name="connection", verbose_name=_("site"))
    kind = models.SlugField(_("engine"), max_length=20)
    settings = models.JSONField(default=dict)
    tag = models.CharField(max_length=12, unique=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.UNCHECKED)
    findings = models.JSONField(default=list)
    nodes = models.JSONField(default=dict)
    checked_at = models.DateTimeField(null=True)
    failing_since = models.DateTimeField(null=True)
    asked_at = models.DateTimeField(null=True)
    counted_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("engine of a site")

    def __str__(self) -> str:
        return f"{self.site} · {self.kind}"


class Outage(models.Model):
    """A time in which a site's engine did not answer; open while `until` is empty."""

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="outages")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["connection", "-since"])]


class Shortage(models.Model):
    """Cards of a model, by the engine's word, of which fewer work than the site's pools have or have promised.

    It goes when enough work. `since`: since when at least so few do; a further card that fails begins it anew.
    """

    connection = models.ForeignKey(Connection, models.CASCADE, related_name="shortages")
    word = models.CharField(max_length=60)
    working = models.PositiveIntegerField()
    wanted = models.PositiveIntegerField()
    since = models.DateTimeField()

    class Meta:
        ordering = ["word"]
        constraints = [models.UniqueConstraint(fields=["connection", "word"], name="shortage_once")]


class IdleProfile(models.Model):
    """How many cards of a pool stood idle in an hour, as the engine or its metrics tell."""

    pool = models.ForeignKey(Pool, models.CASCADE, related_name="idle_profile")
    hour = models.IntegerField()
    cards_used = models.PositiveIntegerField()
    source = models.CharField(max_length=20)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pool", "hour"], name="idle_profile_once")]


class Booking(OfParty):
    """The right to run on cards of a pool 预订.

    `billing`: USED bills the card-seconds of the engine's accounting, at most `cap_fen`; WHOLE is paid for by its
    source whether used or not. `source` is the canonical label of what it came from and its part (`market.order:3`,
    `compute.allocation:12@2` for version 2). A recallable booking may be taken back with `recall_notice_hours` notice.
    Cards `from_deposits` lie in the bank and are not taken from the pool a second time. `closed_at` is when all that
    ran was accounted for and the source was told.
    """

    OWNER = "party"

    class Billing(models.TextChoices):
        USED = "used", _("by use")
        WHOLE = "whole", _("as a whole")

    class State(models.TextChoices):
        PLANNED = "planned", _("to be reserved")
        RESERVED = "reserved", _("reserved")
        ENDED = "ended", pgettext_lazy("booking", "ended")
        SETTLED = "settled", pgettext_lazy("booking", "settled")
        CANCELLED = "cancelled", _("cancelled")
        LOST = "lost", _("lost")

    party = models.ForeignKey(Party, models.PROTECT, related_name="bookings", verbose_name=_("holder"))
    pool = models.ForeignKey(Pool, models.PROTECT, related_name="bookings")
    cards = models.PositiveIntegerField(_("cards"))
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    source = models.CharField(max_length=80, unique=True)
    billing = models.CharField(max_length=10, choices=Billing.choices)
    price_mfen = models.BigIntegerField(_("price (1/1000 fen per card-hour)"))
    cap_fen = models.BigIntegerField(_("spending cap"))
    recall_notice_hours = models.PositiveIntegerField(null=True, blank=True)
    from_deposits = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    fault = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    record = models.ForeignKey(LogRecord, models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("booking")
        indexes = [
            models.Index(fields=["party", "-id"]),
            models.Index(fields=["pool", "state", "end_hour"]),
            models.Index(fields=["closed_at", "end_hour"]),
        ]
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="booking_forward"),
            models.CheckConstraint(condition=Q(cards__gt=0), name="booking_has_cards"),
            models.CheckConstraint(condition=Q(price_mfen__gte=0, cap_fen__gte=0), name="booking_not_negative"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"B{self.pk:06d}"

    def access_scopes(self) -> set[str]:
        return self.party.access_scopes() | {f"jobs.booking:{self.pk}"}

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held) | _in_bookings(held, "pk")


def _in_bookings(held: set[str], field: str) -> Q:
    """Rows of the bookings named in scopes such as `jobs.booking:12`."""
    keys = [int(scope.partition(":")[2]) for scope in held if scope.startswith("jobs.booking:")]
    return Q(**{f"{field}__in": keys})


class BookedStretch(models.Model):
    """Cards of a booking over a stretch of hours, kept on the engine as one reservation since `reserved_at`.

    Stretches of one booking do not overlap. Fewer than the booking's cards are left where some were passed on or taken
    back.
    """

    booking = models.ForeignKey(Booking, models.CASCADE, related_name="stretches")
    start_hour = models.IntegerField()
    end_hour = models.IntegerField()
    cards = models.PositiveIntegerField()
    reserved_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["start_hour", "end_hour"])]
        constraints = [
            models.CheckConstraint(condition=STRETCH, name="booked_stretch_forward"),
            models.CheckConstraint(condition=Q(cards__gt=0), name="booked_stretch_has_cards"),
        ]


class Artefact(OfParty):
    """A file in the store 数据与产物: content under its digest. `made_by` is the job that wrote it."""

    OWNER = "party"

    class Kind(models.TextChoices):
        DATA = "data", _("data")
        SCRIPT = "script", _("script")
        MODEL = "model", _("model")
        OUTPUT = "output", _("output")

    party = models.ForeignKey(Party, models.PROTECT, related_name="artefacts")
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=10, choices=Kind.choices)
    digest = models.CharField(max_length=DIGEST_LENGTH)
    bytes = models.BigIntegerField(_("size"))
    made_by = models.ForeignKey("Job", models.PROTECT, null=True, blank=True, related_name="artefacts")
    created_at = models.DateTimeField()
    deleted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("artefact")
        indexes = [models.Index(fields=["party", "-id"]), models.Index(fields=["digest"])]

    def __str__(self) -> str:
        return self.name

    def access_scopes(self) -> set[str]:
        made_in = {f"jobs.booking:{self.made_by.booking_id}"} if self.made_by else set()
        return self.party.access_scopes() | made_in

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held) | _in_bookings(held, "made_by__booking")


class Job(OfParty):
    """One piece of work 作业. `template` names one of `jobs.templates`; `parameters` are its answers.

    A job that keeps checkpoints starts again where it stopped when its cards are taken back or lost. `checkpoint_at`
    is when its folder was as the store has it (`checkpoint_files`), `checkpoint_attempt` which attempt wrote it,
    `checkpoint_fault` why no newer one could be kept.
    """

    OWNER = "booking__party"

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        RUNNING = "running", _("running")
        SUCCEEDED = "succeeded", _("succeeded")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")
        CAPPED = "capped", _("stopped at the spending cap")

    booking = models.ForeignKey(Booking, models.PROTECT, related_name="jobs")
    title = models.CharField(_("title"), max_length=120)
    template = models.SlugField(max_length=40)
    parameters = models.JSONField(default=dict)
    cards = models.PositiveIntegerField(_("cards"))
    seconds_max = models.PositiveIntegerField(_("longest run (seconds)"))
    attempts_max = models.PositiveSmallIntegerField(_("attempts"), default=1)
    inputs = models.ManyToManyField(Artefact, through="JobInput", related_name="used_by")
    state = models.CharField(max_length=12, choices=State.choices, default=State.QUEUED)
    cancel_asked = models.BooleanField(default=False)
    reason = models.CharField(max_length=40, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    submitted_by = models.ForeignKey(User, models.PROTECT, null=True, related_name="+")
    submitted_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    collected_at = models.DateTimeField(null=True)
    checkpoint_at = models.DateTimeField(null=True)
    checkpoint_attempt = models.PositiveSmallIntegerField(null=True)
    checkpoint_fault = models.CharField(max_length=40, blank=True)

    class Meta:
        verbose_name = _("job")
        indexes = [models.Index(fields=["booking", "-id"]), models.Index(fields=["state", "id"])]
        constraints = [models.CheckConstraint(condition=Q(cards__gt=0), name="job_has_cards")]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"J{self.pk:06d}"

    def access_scopes(self) -> set[str]:
        return self.booking.access_scopes()

    @classmethod
    def scope_filter(cls, held: set[str]) -> Q:
        return scopes.to_party(held, "booking__party") | _in_bookings(held, "booking")


class JobInput(models.Model):
    """An artefact that a job reads, under the name by which the job knows it."""

    job = models.ForeignKey(Job, models.CASCADE)
    artefact = models.ForeignKey(Artefact, models.PROTECT)
    name = models.CharField(max_length=200)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="job_input_once")]


class CheckpointFile(models.Model):
    """A file of the checkpoint of a job that has not ended, its content in the store (`jobs.checkpoints`)."""

    job = models.ForeignKey(Job, models.CASCADE, related_name="checkpoint_files")
    name = models.CharField(max_length=200)
    digest = models.CharField(max_length=DIGEST_LENGTH)
    bytes = models.BigIntegerField()
    modified_ns = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["digest"])]
        constraints = [models.UniqueConstraint(fields=["job", "name"], name="checkpoint_file_once")]


class Attempt(models.Model):
    """One run of a job on an engine, under the engine-wide name `name`.

    The row is there before the engine is asked; `prepared_at` says that its folder was ready, `sent_at` that the engine
    took it, `until` when it must be over, `seen_at` when it was last seen running, `metrics_read` up to which byte its
    metrics were taken up, `kept_at` when its checkpoint was last brought into the store, or could not be; until
    `keep_until` the job does not start at another site, since that is still to be done once more. `reason` is why it
    ended, or why the platform asked it to end.
    `card_seconds`, `started_at`, `ended_at`, `account` come from the engine's accounting; `evidence` is the SHA-256 of
    `account`. `disputed` keeps what the engine said that cannot be true (docs/desks/jobs.md); `fault` why it refused.
    """

    class State(models.TextChoices):
        SUBMITTED = "submitted", _("submitted")
        RUNNING = "running", _("running")
        ENDED = "ended", pgettext_lazy("attempt", "ended")

    job = models.ForeignKey(Job, models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    name = models.CharField(max_length=60, unique=True)
    connection = models.ForeignKey(Connection, models.PROTECT, related_name="attempts")
    booking = models.ForeignKey(Booking, models.PROTECT, related_name="attempts")
    state = models.CharField(max_length=12, choices=State.choices, default=State.SUBMITTED)
    node = models.CharField(max_length=80, blank=True)
    exit_code = models.IntegerField(null=True)
    reason = models.CharField(max_length=40, blank=True)
    fault = models.CharField(max_length=300, blank=True)
    cards = models.PositiveIntegerField()
    seconds_max = models.PositiveIntegerField()
    until = models.DateTimeField()
    card_seconds = models.BigIntegerField(null=True)
    started_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    account = models.TextField(blank=True)
    account_source = models.CharField(max_length=20, blank=True)
    evidence = models.CharField(max_length=DIGEST_LENGTH, blank=True)
    disputed = models.CharField(max_length=300, blank=True)
    submitted_at = models.DateTimeField()
    prepared_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    seen_at = models.DateTimeField(null=True)
    metrics_read = models.BigIntegerField(default=0)
    kept_at = models.DateTimeField(null=True)
    keep_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("attempt")
        ordering = ["job", "number"]
        constraints = [models.UniqueConstraint(fields=["job", "number"], name="attempt_once")]


class TrainedModel(OfParty):
    """A model that can be served 已训练模型: an artefact with its lineage (job, parameters, inputs by digest)."""

    OWNER = "party"

    party = models.ForeignKey(Party, models.PROTECT, related_name="trained_models")
    name = models.SlugField(_("name"), max_length=60)
    version = models.PositiveIntegerField(default=1)
    artefact = models.ForeignKey(Artefact, models.PROTECT, related_name="models")
    lineage = models.JSONField(default=dict)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("trained model")
        constraints = [models.UniqueConstraint(fields=["party", "name", "version"], name="trained_model_once")]

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


class Endpoint(OfParty):
    """A served model 推理服务: runs as a job of template `serve` in a booking while it is wanted, else scales to zero.

    `wanted_until` is pushed forward by whoever calls it (the gateway writes it); the runner starts the job while it
    lies ahead and ends it `idle_seconds` after. `parameters` are the answers of template `serve`. `address`
    (`http://host:port`) and `key` are the running replica's; `crashes` counts replicas that ended by themselves soon
    after one another.
    """

    OWNER = "party"

    class State(models.TextChoices):
        ASLEEP = "asleep", _("asleep")
        STARTING = "starting", _("starting")
        READY = "ready", _("ready")
        FAILED = "failed", _("failed")
        CLOSED = "closed", _("closed")

    party = models.ForeignKey(Party, models.PROTECT, related_name="endpoints")
    name = models.SlugField(_("name"), max_length=60, unique=True)
    model = models.ForeignKey(TrainedModel, models.PROTECT, related_name="endpoints")
    booking = models.ForeignKey(Booking, models.PROTECT, related_name="endpoints")
    cards = models.PositiveIntegerField(_("cards"), default=1)
    parameters = models.JSONField(default=dict)
    idle_seconds = models.PositiveIntegerField(_("sleeps after (seconds without a call)"), default=300)
    state = models.CharField(max_length=10, choices=State.choices, default=State.ASLEEP)
    job = models.ForeignKey(Job, models.PROTECT, null=True, blank=True, related_name="+")
    address = models.CharField(max_length=200, blank=True)
    key = models.CharField(max_length=64, blank=True)
    wanted_until = models.DateTimeField(null=True)
    fault = models.CharField(max_length=300, blank=True)
    crashes = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name = _("endpoint")
        constraints = [models.CheckConstraint(condition=Q(cards__gt=0), name="endpoint_has_cards")]

    def __str__(self) -> str:
        return self.name


class Metric(models.Model):
    """A point of a job's curve: what `metrics.jsonl` said at a step. A long curve is thinned."""

    job = models.ForeignKey(Job, models.PROTECT, related_name="metrics")
    name = models.SlugField(max_length=40)
    step = models.PositiveIntegerField()
    value = models.FloatField()

    class Meta:
        indexes = [models.Index(fields=["job", "name", "step"])]
        constraints = [models.UniqueConstraint(fields=["job", "name", "step"], name="metric_once")]
