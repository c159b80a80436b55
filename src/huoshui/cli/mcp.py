"""`huoshui mcp`: the door for agents, as a process of its own, since its standard output belongs to the protocol."""

import os
import sys
from typing import Annotated

import typer

Http = Annotated[int | None, typer.Option("--http", min=1, max=65535, help="Serve HTTP on this loopback port.")]


def command(http: int | None) -> list[str]:
    """What starts the server: on a loopback port, or on standard input."""
    return [sys.executable, "-m", "huoshui.mcp", *(["--http", str(http)] if http else [])]


def mcp(http: Http = None) -> None:
    """Offer tools to agents by the Model Context Protocol: stdio (token in HUOSHUI_TOKEN), or HTTP under /mcp."""
    os.execv(sys.executable, command(http))  # noqa: S606 (no shell: our own interpreter and module)
