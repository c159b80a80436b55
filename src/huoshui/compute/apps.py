"""Wiring of the desk: roles, navigation, demo data."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ComputeConfig(AppConfig):
    name = "huoshui.compute"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.book import services
        from huoshui.cases import todo
        from huoshui.compute import api, book_words, indicators, panel, permissions, tasks, tools
        from huoshui.compute import demo as compute_demo
        from huoshui.compute.actions import accounts
        from huoshui.registry import deadlines, panels, roles, timeline

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        desk = _("Compute bank")
        nav.register(
            nav.Entry(desk, _("Overview"), "compute:overview", permissions.READ, 20),
            nav.Entry(desk, _("Deposits"), "compute:deposits", permissions.READ, 21),
            nav.Entry(desk, _("Requests"), "compute:requests", permissions.READ, 22),
            nav.Entry(desk, _("Delivery"), "compute:deliveries", permissions.DELIVER, 23),
            nav.Entry(desk, _("Compute accounts"), "compute:accounts", permissions.READ, 24),
            nav.Entry(desk, _("Rounds"), "compute:rounds", permissions.VERIFY, 25),
            nav.Entry(desk, _("Sites and cards"), "compute:sites", permissions.MANAGE_SITES, 26),
        )
        demo.register(60, compute_demo.load)
        panels.register(panels.Panel("compute", desk, "compute/_panel.html", panel.context, permissions.READ, 40))
        timeline.register("compute", panel.timeline)
        deadlines.register("compute", panel.deadlines)
        todo.register("compute.reports", panel.reports_due)
        todo.register("compute.rounds", panel.rounds_to_publish)
        book_words.register()
        services.on_accepted("compute", accounts.on_accepted)
        indicators.register_all()
        apikit.register("compute", api.router)
        tools.register()
        schedule.register(tasks.settle, timedelta(hours=1))
        schedule.register(tasks.expire, timedelta(hours=12))
