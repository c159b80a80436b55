"""Wiring of `book`: permissions, navigation, entity page, API, hourly lapse of contest periods, demo data."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BookConfig(AppConfig):
    name = "huoshui.book"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.book import api, panel, permissions, tasks
        from huoshui.book import demo as book_demo
        from huoshui.registry import deadlines, panels, timeline

        permissions.grant()
        group = _("Book")
        nav.register(
            nav.Entry(group, _("Accounts"), "book:accounts", permissions.READ, 81),
            nav.Entry(group, _("Statements"), "book:statements", permissions.READ, 82),
            nav.Entry(group, _("Bank reports"), "book:bank", permissions.READ, 83),
            nav.Entry(group, _("Proofs"), "book:proofs", "", 84),
        )
        panels.register(
            panels.Panel("book.accounts", _("Accounts"), "book/_panel.html", panel.context, permissions.READ, 30)
        )
        timeline.register("book", panel.timeline)
        deadlines.register("book", panel.deadlines)
        apikit.register("book", api.router)
        schedule.register(tasks.lapse, timedelta(hours=1))
        demo.register(20, book_demo.load)
