"""Wiring of the supermarket: roles, navigation, hooks, demo data."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class MarketConfig(AppConfig):
    name = "huoshui.market"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.cases import todo
        from huoshui.compute import correcting, elsewhere
        from huoshui.jobs import services, sources
        from huoshui.market import api, book_words, browsing, indicators, panel, permissions, shelf, tasks, tools
        from huoshui.market import demo as market_demo
        from huoshui.market.actions import settlement
        from huoshui.registry import deadlines, panels, roles, timeline

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        desk = _("Compute supermarket")
        nav.register(
            nav.Entry(desk, _("Products"), "market:catalogue", permissions.READ, 30),
            nav.Entry(desk, _("Cart"), "market:cart", permissions.ORDER, 31),
            nav.Entry(desk, _("Orders"), "market:orders", permissions.READ, 32),
            nav.Entry(desk, _("My products"), "market:my_products", permissions.SELL, 33),
            nav.Entry(desk, _("Products to review"), "market:my_products", permissions.REVIEW, 34),
        )
        book_words.register()
        correcting.on_corrected(shelf.pools_corrected)
        elsewhere.register(_("Products that fit"), browsing.fitting)
        services.on_ended("market.order", settlement.on_ended)
        services.on_lost_elsewhere("market.order", settlement.lost_elsewhere)
        sources.register("market.order", panel.source)
        schedule.register(tasks.settle, timedelta(hours=1))
        demo.register(80, market_demo.load)
        panels.register(panels.Panel("market", desk, "market/_panel.html", panel.context, permissions.READ, 45))
        timeline.register("market", panel.timeline)
        deadlines.register("market", panel.deadlines)
        todo.register("market.orders", panel.orders_to_answer)
        todo.register("market.products", panel.products_to_review)
        indicators.register_all()
        apikit.register("market", api.router)
        tools.register()
