"""What the packs and writing them register: called once, from apps.py."""

from django.utils.translation import gettext_lazy as _


def register() -> None:
    """Navigation, what ends soon as a to-do, demo data."""
    from huoshui.base import demo, nav
    from huoshui.cases import todo
    from huoshui.policy import pack_queries
    from huoshui.policy.demo import authoring as demo_authoring
    from huoshui.policy.permissions import AUTHOR, READ

    desk = _("Policies")
    nav.register(
        nav.Entry(desk, _("Packs"), "policy:packs", READ, 74),
        nav.Entry(desk, _("Policy calendar"), "policy:expiry", READ, 75),
        nav.Entry(desk, _("Write packs"), "policy:drafts", AUTHOR, 76),
    )
    todo.register("policy.successors", pack_queries.successors_due)
    demo.register(74, demo_authoring.load)
