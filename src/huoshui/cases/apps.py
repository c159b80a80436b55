"""Wiring of `cases`: permissions, the built-in type, to-do sources, entity page, navigation, API, demo data."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CasesConfig(AppConfig):
    name = "huoshui.cases"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.cases import api, demo_data, panel, permissions, tasks, todo, types
        from huoshui.registry import deadlines, panels, timeline

        permissions.grant()
        types.register(
            types.CaseType(
                code="service.question",
                title=_("question to the centre"),
                target_days=3,
                legal_days=5,
                extension_days=5,
                source=_("service promise of the centre; days counted as in articles 201 and 203 of the Civil Code"),
            )
        )
        for source in (todo.cases_to_handle, todo.questions_to_answer, todo.call_backs, todo.publications_to_review):
            todo.register(f"cases.{source.__name__}", source)
        panels.register(panels.Panel("cases", _("Cases"), "cases/_panel.html", panel.context, permissions.READ, 60))
        timeline.register("cases", panel.timeline)
        deadlines.register("cases", panel.deadlines)
        group = _("Services")
        nav.register(
            nav.Entry(group, _("My to-do"), "cases:todo", "", 10),
            nav.Entry(group, _("Cases"), "cases:list", permissions.READ, 11),
        )
        apikit.register("cases", api.router)
        schedule.register(tasks.watch, timedelta(minutes=30))
        demo.register(40, demo_data.load)
