"""Wiring of `web`: the navigation entries that belong to no desk."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WebConfig(AppConfig):
    name = "huoshui.web"

    def ready(self) -> None:
        from huoshui.base import nav
        from huoshui.base.actions import MANAGE_PEOPLE, READ_LOG
        from huoshui.web import measures

        nav.register(
            nav.Entry(_("Services"), _("Overview"), "home", order=0),
            nav.Entry(_("Administration"), _("People and roles"), "people", MANAGE_PEOPLE, order=900),
            nav.Entry(_("Administration"), _("Log"), "log", READ_LOG, order=910),
        )
        measures.register_all()
