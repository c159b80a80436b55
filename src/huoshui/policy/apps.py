"""Wiring of the desk: roles, navigation, demo data."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PolicyConfig(AppConfig):
    name = "huoshui.policy"
    verbose_name = _("Policies")

    def ready(self) -> None:
        from huoshui.policy import permissions, wiring_authoring, wiring_funds, wiring_match, wiring_outreach
        from huoshui.registry import roles

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        wiring_authoring.register()
        wiring_match.register()
        wiring_outreach.register()
        wiring_funds.register()
