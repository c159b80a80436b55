"""Wiring of energy."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EnergyConfig(AppConfig):
    name = "huoshui.energy"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav
        from huoshui.compute import energy_prices
        from huoshui.energy import api, indicators, permissions, prices
        from huoshui.energy import demo as energy_demo
        from huoshui.registry import roles

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        nav.register(nav.Entry(_("Compute bank"), _("Energy"), "energy:overview", permissions.READ, 28))
        demo.register(66, energy_demo.load)
        indicators.register_all()
        apikit.register("energy", api.router)
        energy_prices.on_energy(prices.marginal)
