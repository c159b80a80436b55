"""Tables that every other module stands on: people and what they may do, the log, idempotency keys, task progress."""

from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.translation import gettext_lazy as _


class AppendOnly(models.Model):
    """Rows that are written once. The database refuses UPDATE and DELETE too (see `base.triggers`)."""

    class Meta:
        abstract = True


class UserManager(BaseUserManager["User"]):
    def create_user(self, username: str, password: str | None = None, **fields: Any) -> "User":
        user = self.model(username=username, **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user


class User(AbstractBaseUser):
    """A person who signs in. What they may do is in their assignments, never in a flag."""

    username = models.CharField(_("user name"), max_length=150, unique=True)
    name = models.CharField(_("name"), max_length=100)
    email = models.EmailField(_("e-mail"), blank=True)
    phone = models.CharField(_("phone"), max_length=30, blank=True)
    language = models.CharField(_("language"), max_length=10, blank=True)
    is_active = models.BooleanField(_("active"), default=True)
    salt = models.CharField(max_length=64, editable=False)

    USERNAME_FIELD = "username"
    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        verbose_name = _("user")

    def __str__(self) -> str:
        return self.name or self.username

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self.salt:
            import secrets

            self.salt = secrets.token_hex(16)
        super().save(*args, **kwargs)


class Role(models.Model):
    """A named set of permissions. Roles are data: a centre may add its own."""

    code = models.SlugField(max_length=50, unique=True)
    title = models.CharField(_("title"), max_length=100)
    permissions = models.JSONField(default=list)

    class Meta:
        verbose_name = _("role")

    def __str__(self) -> str:
        return self.title


class Assignment(models.Model):
    """A person holds a role within a scope: `*` for all, or `party:12` for one object of the layers above."""

    user = models.ForeignKey(User, models.CASCADE, related_name="assignments")
    role = models.ForeignKey(Role, models.PROTECT)
    scope = models.CharField(max_length=60)
    since = models.DateField()
    until = models.DateField(null=True, blank=True)

    class Meta:
        verbose_name = _("assignment")
        indexes = [models.Index(fields=["user", "scope"]), models.Index(fields=["scope"])]
        constraints = [
            models.UniqueConstraint(fields=["user", "role", "scope", "since"], name="assignment_once"),
            models.CheckConstraint(
                condition=models.Q(until__isnull=True) | models.Q(until__gte=models.F("since")),
                name="assignment_ends_after_start",
            ),
        ]


class Token(models.Model):
    """An API token: only its digest is kept. `permissions` narrows what its owner may do, `scope` where.

    `scope` names one object, such as `jobs.booking:12`; `spending_limit_fen` is the most that drafts made with the
    token may cost together (none: it may not spend).
    """

    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(_("name"), max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    permissions = models.JSONField(default=list)
    scope = models.CharField(max_length=60, blank=True)
    spending_limit_fen = models.BigIntegerField(_("spending limit"), null=True, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("API token")


class LogRecord(AppendOnly):
    """One action, as canonical text. `payload` never holds personal data, only salted digests of it."""

    version = models.PositiveSmallIntegerField(default=1)
    actor = models.CharField(max_length=80)
    action = models.CharField(max_length=80)
    subject = models.CharField(max_length=80)
    payload = models.TextField()
    payload_digest = models.CharField(max_length=64)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField()

    class Meta:
        verbose_name = _("log record")
        indexes = [
            models.Index(fields=["subject", "id"]),
            models.Index(fields=["actor", "id"]),
            models.Index(fields=["action", "id"]),
        ]


class LogLeaf(AppendOnly):
    """The record's place in the Merkle tree, given last in its transaction."""

    index = models.BigIntegerField(primary_key=True)
    record = models.OneToOneField(LogRecord, models.PROTECT, related_name="leaf")


class LogNode(AppendOnly):
    """Hash of a complete subtree: leaves [position·2^level, (position+1)·2^level)."""

    level = models.PositiveSmallIntegerField()
    position = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "position"], name="log_node_once")]


class LogHead(models.Model):
    """One row: how many leaves there are. Locking it orders the log."""

    size = models.BigIntegerField(default=0)


class IdempotencyKey(models.Model):
    """What an action answered under a key, so that asking again repeats nothing."""

    actor = models.CharField(max_length=80)
    action = models.CharField(max_length=80)
    key = models.CharField(max_length=200)
    request_digest = models.CharField(max_length=64)
    response = models.JSONField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["actor", "action", "key"], name="idempotency_key_once")]


class TaskProgress(models.Model):
    """How far a background task is. Written at most twice a second, outside business transactions."""

    task = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=80)
    subject = models.CharField(max_length=80, db_index=True)
    attempt = models.PositiveSmallIntegerField(default=1)
    heartbeat_at = models.DateTimeField()
    phase = models.CharField(max_length=60, blank=True)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    figures = models.JSONField(default=dict)
    stop_requested = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    finished_at = models.DateTimeField(null=True)


class Checkpoint(AppendOnly):
    """A root of the log that was shown to the public; later roots must be consistent with it."""

    size = models.BigIntegerField(unique=True)
    root = models.CharField(max_length=64)
    recorded_at = models.DateTimeField()
