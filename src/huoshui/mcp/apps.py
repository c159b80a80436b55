"""Wiring of the agents' door."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class McpConfig(AppConfig):
    name = "huoshui.mcp"

    def ready(self) -> None:
        from huoshui.base import apikit, demo, nav, tools
        from huoshui.cases import todo
        from huoshui.mcp import api, calling, permissions, todos
        from huoshui.mcp import demo as mcp_demo
        from huoshui.registry import roles

        for role, held in permissions.BY_ROLE.items():
            roles.grant(role, *held)
        nav.register(nav.Entry(_("Automation"), _("Drafts"), "mcp:drafts", permissions.DRAFT, 90))
        tools.register(calling.STATUS)
        todo.register("mcp.drafts", todos.waiting)
        apikit.register("agents", api.router)
        demo.register(95, mcp_demo.load)
