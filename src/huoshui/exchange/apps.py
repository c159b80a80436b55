"""Wiring of the exchange: roles, navigation, what happens when bookings end, demo data."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExchangeConfig(AppConfig):
    name = "huoshui.exchange"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.cases import todo
        from huoshui.exchange import api, indicators, panel, permissions, settle, tasks, words
        from huoshui.exchange import demo as exchange_demo
        from huoshui.jobs import services, sources
        from huoshui.registry import panels, roles

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        desk = _("Exchange")
        nav.register(
            nav.Entry(desk, _("Exchange board"), "exchange:board", permissions.READ, 34),
            nav.Entry(desk, _("Call auctions"), "exchange:auctions", permissions.READ, 35),
            nav.Entry(desk, _("Enquiries"), "exchange:enquiries", permissions.READ, 36),
            nav.Entry(desk, _("My orders"), "exchange:mine", permissions.TRADE, 37),
            nav.Entry(desk, _("Trades"), "exchange:trades", permissions.READ, 38),
            nav.Entry(desk, _("Monitoring"), "exchange:monitor", permissions.MONITOR, 39),
        )
        words.register()
        services.on_ended("exchange.trade", settle.trade_ended)
        services.on_ended("exchange.listing", settle.aside_ended)
        services.on_ended("exchange.order", settle.aside_ended)
        for kind, tell in panel.SOURCES.items():
            sources.register(kind, tell)
        panels.register(panels.Panel("exchange", desk, "exchange/_panel.html", panel.context, permissions.READ, 44))
        todo.register("exchange.auctions", panel.auctions_to_publish)
        todo.register("exchange.enquiries", panel.enquiries_to_decide)
        indicators.register_all()
        apikit.register("exchange", api.router)
        demo.register(66, exchange_demo.load)
        schedule.register(tasks.keep, timedelta(minutes=1))
