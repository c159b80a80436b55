"""Wiring of `registry`: permissions and roles, reference data after migration, pages, API, demo data."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate


def _after_migrate(using: str = "default", **_kwargs: Any) -> None:
    from huoshui.registry import reference, roles

    roles.sync(using)
    reference.install(using)


class RegistryConfig(AppConfig):
    name = "huoshui.registry"

    def ready(self) -> None:
        from huoshui.base import demo
        from huoshui.registry import demo as registry_demo
        from huoshui.registry import import_facts, import_parties, permissions  # noqa: F401  (register themselves)

        permissions.grant()
        demo.register(10, registry_demo.load)
        post_migrate.connect(_after_migrate, sender=self, dispatch_uid="huoshui.registry")
