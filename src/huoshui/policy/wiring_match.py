"""What the match and applications register: called once, from apps.py."""

from django.utils.translation import gettext_lazy as _


def register() -> None:
    """Navigation, the case type, the entity page, to-dos, the API, what vouchers would reimburse, demo data."""
    from huoshui.base import apikit, demo, nav
    from huoshui.book import subsidies
    from huoshui.cases import todo, types
    from huoshui.policy import api, matching, panel
    from huoshui.policy.actions import applications
    from huoshui.policy.demo import facts
    from huoshui.policy.permissions import APPLY, OVERSEE, READ, REVIEW
    from huoshui.registry import deadlines, panels, timeline

    desk = _("Policies")
    nav.register(
        nav.Entry(desk, _("Policy match"), "policy:find", READ, 71),
        nav.Entry(desk, _("Applications"), "policy:applications", READ, 72),
    )
    types.register(types.CaseType(
        applications.CASE, _("Application for a benefit"), target_days=5, legal_days=20, extension_days=10,
        source=_("service promise of the centre"), open_permission=APPLY, handle_permission=REVIEW,
        supervise_permission=OVERSEE, call_back=False, opened_by_hand=False,
    ))  # fmt: skip
    panels.register(panels.Panel("policy", _("Policy match"), "policy/_match_panel.html", panel.context, READ, 30))
    timeline.register("policy", panel.timeline)
    deadlines.register("policy", panel.deadlines)
    todo.register("policy.applications", panel.applications_to_review)
    todo.register("policy.accounts", panel.accounts_to_confirm)
    subsidies.on_subsidy(matching.expected_subsidy)
    apikit.register("policy", api.router)
    demo.register(70, facts.load)
