"""Wiring of jobs: roles, navigation, demo data, and the hooks of the compute bank."""

from datetime import timedelta

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "huoshui.jobs"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, schedule
        from huoshui.cases import todo, types
        from huoshui.compute import allocating, depositing
        from huoshui.jobs import (
            allocated,
            api,
            calendar,
            demo_serving,
            indicators,
            panel,
            permissions,
            sources,
            tasks,
            tools,
        )
        from huoshui.jobs import demo as jobs_demo
        from huoshui.jobs.actions import attempts
        from huoshui.jobs.actions.bookings import OWN
        from huoshui.registry import deadlines, panels, roles, timeline

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        depositing.on_taken(calendar.taken_cards)
        allocating.on_allocated(allocated.follow)
        sources.register("compute.allocation", sources.of_allocation)
        sources.register(OWN, sources.of_own)
        desk = _("Train and serve")
        nav.register(
            nav.Entry(desk, _("Bookings"), "jobs:bookings", permissions.READ, 40),
            nav.Entry(desk, _("Jobs"), "jobs:jobs", permissions.READ, 41),
            nav.Entry(desk, _("Data and artefacts"), "jobs:data", permissions.READ, 42),
            nav.Entry(desk, _("Models"), "jobs:models", permissions.READ, 43),
            nav.Entry(desk, _("Endpoints"), "jobs:endpoints", permissions.READ, 44),
            nav.Entry(desk, _("Engines"), "jobs:connections", permissions.CONNECT, 45),
            nav.Entry(desk, _("Use of the sites"), "jobs:use", permissions.READ, 46),
        )
        panels.register(panels.Panel("jobs", desk, "jobs/_panel.html", panel.context, permissions.READ, 45))
        timeline.register("jobs", panel.timeline)
        deadlines.register("jobs", panel.deadlines)
        todo.register("jobs.engines", panel.engines_down)
        todo.register("jobs.bookings", panel.bookings_refused)
        todo.register("jobs.endpoints", panel.endpoints_waiting)
        apikit.register("jobs", api.router)
        indicators.register_all()
        demo.register(62, jobs_demo.load)
        demo.register(63, demo_serving.load)
        tools.register()
        schedule.register(tasks.clear_store, timedelta(hours=1))
        schedule.register(tasks.clear_folders, timedelta(days=1))
        types.register(
            types.CaseType(
                attempts.ACCOUNT_CASE, _("Account of an engine that cannot be true"), target_days=3, legal_days=5,
                call_back=False, opened_by_hand=False,
            )
        )
