"""`huoshui gateway` serves model calls; `huoshui gateway-check` compares wallets and keys with their calls.

The gateway is a program of its own (`python -m huoshui.gateway`): this starts one of it, or keeps several.
"""

import os
import sys
import tempfile
from typing import Annotated

import typer
from rich.console import Console

from huoshui.cli.supervisor import Child, Supervisor

PORT = 8001
Host = Annotated[str, typer.Option(envvar="HUOSHUI_GATEWAY_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="HUOSHUI_GATEWAY_PORT", min=1, max=65535, help="Port to listen on.")]
Processes = Annotated[int, typer.Option(min=1, max=64, help="Processes that share the port.")]
console = Console(highlight=False, soft_wrap=True)


def gateway(host: Host = "127.0.0.1", port: Port = PORT, processes: Processes = 1) -> None:
    """Serve model calls under OpenAI's paths, metered. Ends on Ctrl+C or SIGTERM."""
    console.print(f"Model calls go to http://{host}:{port}/v1 (Ctrl+C ends it)")
    if processes == 1:
        os.execv(sys.executable, command(host, port))  # noqa: S606 (no shell: our own interpreter and module)
    with tempfile.TemporaryDirectory() as figures:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = figures
        children = [Child(f"gateway {number + 1}", command(host, port, processes)) for number in range(processes)]
        Supervisor(children, console.print).run()


def command(host: str, port: int, share: int = 1) -> list[str]:
    """Command line of one process, of `share` that share the port."""
    serving = [sys.executable, "-m", "huoshui.gateway", "serve", "--host", host, "--port", str(port)]
    return [*serving, "--share", str(share)]


def check() -> None:
    """Compare wallets and keys with their calls, to the millionth of a fen."""
    os.execv(sys.executable, [sys.executable, "-m", "huoshui.gateway", "check"])  # noqa: S606
