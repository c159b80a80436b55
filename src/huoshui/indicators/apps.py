"""Wiring of `indicators`: permissions, built-in indicators, navigation, API, demo data."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IndicatorsConfig(AppConfig):
    name = "huoshui.indicators"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.indicators import api, built_in, catalogue, demo_data, tasks

        catalogue.grant()
        built_in.register_all()
        nav.register(nav.Entry(_("Services"), _("Indicators"), "indicators:index", catalogue.READ, 80))
        apikit.register("indicators", api.router)
        schedule.register(tasks.record, timedelta(minutes=15))
        demo.register(90, demo_data.load)
