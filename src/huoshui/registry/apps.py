"""Wiring of `registry`: permissions and roles, reference data after migration, pages, API, demo data."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


def _after_migrate(using: str = "default", **_kwargs: Any) -> None:
    from huoshui.registry import reference, roles

    roles.sync(using)
    reference.install(using)


class RegistryConfig(AppConfig):
    name = "huoshui.registry"

    def ready(self) -> None:
        from huoshui.base import demo, nav
        from huoshui.registry import (  # noqa: F401  (imports register themselves)
            consent_panel,
            history,
            import_facts,
            import_parties,
            panels,
            permissions,
            timeline,
        )
        from huoshui.registry import demo as registry_demo

        permissions.grant()
        group = _("Registry")
        nav.register(
            nav.Entry(group, _("Parties"), "registry:parties", permissions.READ, 800),
            nav.Entry(group, _("Clusters and parks"), "registry:groups", permissions.EDIT, 810),
            nav.Entry(group, _("Imports"), "registry:imports", permissions.IMPORT, 820),
            nav.Entry(group, _("Publications"), "registry:publications", permissions.READ, 830),
        )
        panels.register(panels.Panel(
            "registry.consents", _("Consents"), "registry/_consents.html", consent_panel.context, permissions.READ, 900
        ))
        timeline.register("registry", history.events)
        demo.register(10, registry_demo.load)
        post_migrate.connect(_after_migrate, sender=self, dispatch_uid="huoshui.registry")
