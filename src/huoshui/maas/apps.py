"""Wiring of the desk: roles, navigation, billing, probes."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MaasConfig(AppConfig):
    name = "huoshui.maas"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.book import services
        from huoshui.cases import todo
        from huoshui.jobs.actions import endpoints
        from huoshui.maas import api, indicators, panel, permissions, published, tasks, tools, words
        from huoshui.maas import demo as maas_demo
        from huoshui.maas.actions import bills, upstreams
        from huoshui.registry import panels, roles

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        desk = _("Model service")
        nav.register(
            nav.Entry(desk, _("Models and prices"), "maas:models", "", 60),
            nav.Entry(desk, _("Quality table"), "maas:quality", "", 61),
            nav.Entry(desk, _("Wallets"), "maas:wallets", permissions.READ, 62),
            nav.Entry(desk, _("Keys"), "maas:keys", permissions.READ, 63),
            nav.Entry(desk, _("Usage and cost"), "maas:usage", permissions.READ, 64),
            nav.Entry(desk, _("Calls"), "maas:calls", permissions.READ, 65),
            nav.Entry(desk, _("Bills"), "maas:bills", permissions.READ, 66),
            nav.Entry(desk, _("Upstreams"), "maas:upstreams", permissions.READ, 67),
        )
        panels.register(panels.Panel("maas", desk, "maas/_panel.html", panel.context, permissions.READ, 46))
        todo.register("maas.wallets", panel.low_wallets)
        todo.register("maas.keys", panel.expiring_keys)
        todo.register("maas.upstreams", panel.upstreams_to_approve)
        words.register()
        services.on_accepted(bills.DESK, bills.on_accepted)
        endpoints.on_moved(upstreams.follow_endpoint)
        indicators.register_all()
        apikit.register("models", api.router)
        tools.register()
        demo.register(90, maas_demo.load)
        schedule.register(tasks.bill, timedelta(hours=6))
        schedule.register(tasks.expire, timedelta(minutes=5))
        schedule.register(tasks.probe, published.PROBE_EVERY)
