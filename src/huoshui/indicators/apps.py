"""Wiring of `indicators`: permissions, built-in indicators, navigation, API, demo data."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IndicatorsConfig(AppConfig):
    name = "huoshui.indicators"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav
        from huoshui.indicators import api, built_in, catalogue, demo_data

        catalogue.grant()
        built_in.register_all()
        nav.register(nav.Entry(_("Services"), _("Indicators"), "indicators:index", catalogue.READ, 80))
        apikit.register("indicators", api.router)
        demo.register(90, demo_data.load)
