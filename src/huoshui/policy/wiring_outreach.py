"""What lists, batches, runs and R&D costs register: called once, from apps.py."""

from datetime import timedelta

from django.utils.translation import gettext_lazy as _


def register() -> None:
    """Navigation, to-dos, the nightly run, indicators, demo data."""
    from huoshui.base import demo, nav, schedule
    from huoshui.cases import todo
    from huoshui.policy import indicators, outreach_panel, tasks
    from huoshui.policy.demo import outreach as demo_outreach
    from huoshui.policy.permissions import OVERSEE, READ

    desk = _("Policies")
    nav.register(
        nav.Entry(desk, _("Who qualifies"), "policy:overview", OVERSEE, 70),
        nav.Entry(desk, _("Paid without application"), "policy:batches", OVERSEE, 78),
        nav.Entry(desk, _("Push lists"), "policy:pushes", OVERSEE, 79),
        nav.Entry(desk, _("R&D costs"), "policy:rd", READ, 79),
    )
    todo.register("policy.batches", outreach_panel.batches_to_confirm)
    todo.register("policy.messages", outreach_panel.messages_to_read)
    schedule.register(tasks.nightly, timedelta(hours=24))
    indicators.register_outreach()
    demo.register(73, demo_outreach.load)
