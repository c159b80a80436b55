"""Wiring of the desk: roles, navigation, demo data."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ComputeConfig(AppConfig):
    name = "huoshui.compute"

    def ready(self) -> None:
        from huoshui.base import demo, nav
        from huoshui.book import services
        from huoshui.compute import demo as compute_demo
        from huoshui.compute import indicators, permissions
        from huoshui.compute.actions import accounts
        from huoshui.registry import roles

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        desk = _("Compute bank")
        nav.register(
            nav.Entry(desk, _("Overview"), "compute:overview", permissions.READ, 20),
            nav.Entry(desk, _("Deposits"), "compute:deposits", permissions.READ, 21),
            nav.Entry(desk, _("Requests"), "compute:requests", permissions.READ, 22),
            nav.Entry(desk, _("Delivery"), "compute:deliveries", permissions.DELIVER, 23),
            nav.Entry(desk, _("Compute accounts"), "compute:accounts", permissions.ACCOUNT, 24),
            nav.Entry(desk, _("Rounds"), "compute:rounds", permissions.RUN_ROUND, 25),
        )
        demo.register(60, compute_demo.load)
        services.on_accepted("compute", accounts.on_accepted)
        indicators.register_all()
