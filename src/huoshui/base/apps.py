"""Wiring of `base`: triggers after migration, their system check, the first row of the log."""

from typing import Any

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate


def _after_migrate(using: str = "default", **kwargs: Any) -> None:
    from huoshui.base import triggers
    from huoshui.base.models import LogHead

    LogHead.objects.using(using).get_or_create(pk=1)
    triggers.install(using)


class BaseConfig(AppConfig):
    name = "huoshui.base"

    def ready(self) -> None:
        from huoshui.base import actions, triggers  # noqa: F401  (registers permissions)

        post_migrate.connect(_after_migrate, dispatch_uid="huoshui.base")
        checks.register(triggers.check, checks.Tags.database)
