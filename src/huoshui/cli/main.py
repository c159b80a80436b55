"""The `huoshui` command. Server commands are looked up only when asked for, so the others start without Django."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from huoshui.cli import capacity, gateway, mcp, registry, rules

SERVER = "huoshui.cli.server"
"""Module with a Typer `app` whose commands need Django."""


class Commands(TyperGroup):
    """Commands of this process, and behind them those of the server."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *self._server().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or self._server().get_command(ctx, cmd_name)

    def _server(self) -> Any:
        return typer.main.get_group(import_module(SERVER).app)


app = typer.Typer(cls=Commands, no_args_is_help=True, help="Huoshui 活水: a clearing house for small business.")
app.add_typer(capacity.clear_app, name="clear")
app.add_typer(capacity.formats_app, name="formats")
app.add_typer(registry.app, name="registry")
app.add_typer(rules.rules_app, name="rules")
app.command()(capacity.verify)
app.command()(mcp.mcp)
app.command()(gateway.gateway)
app.command(name="gateway-check")(gateway.check)

if __name__ == "__main__":
    app()
