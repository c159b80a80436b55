"""One process of the gateway (`python -m huoshui.gateway serve`), and the check of its books (`… check`).

The command `huoshui gateway` starts these; it knows no more of the gateway than their names.
"""

import argparse
import asyncio
import logging
import signal
import sys
from contextlib import suppress

import uvloop

from huoshui.gateway.check import drifts
from huoshui.gateway.database import Database, NoDatabase
from huoshui.gateway.meter import Unavailable
from huoshui.gateway.server import serve


class Discreet(logging.Filter):
    """Libraries log what they could not read: bytes of prompts and keys. Of theirs only who and what kind is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("huoshui."):
            kind = record.exc_info[0] if record.exc_info else None
            record.msg, record.args = f"{record.name}: {kind.__name__ if kind else record.levelname}", ()
            record.exc_info = record.exc_text = record.stack_info = None
        return True


def log_discreetly() -> None:
    """Warnings go to the standard error, without what was said."""
    handler = logging.StreamHandler()
    handler.addFilter(Discreet())
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)


def main() -> str | None:
    """What went wrong; None when nothing did."""
    parser = argparse.ArgumentParser(prog="python -m huoshui.gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    serving = commands.add_parser("serve", help="serve until SIGTERM")
    serving.add_argument("--host", required=True)
    serving.add_argument("--port", type=int, required=True)
    serving.add_argument("--share", type=int, default=1, help="processes that share the port")
    commands.add_parser("check", help="compare wallets and keys with their calls")
    asked = parser.parse_args()
    try:
        if asked.command == "check":
            return _check()
        uvloop.run(_serve(asked.host, asked.port, asked.share))
    except (NoDatabase, Unavailable) as error:
        return f"The gateway finds no database ({error}). Prepare it: huoshui migrate"
    except OSError as error:
        return f"Cannot listen on {asked.host}:{asked.port} ({error.strerror})."
    return None


async def _serve(host: str, port: int, share: int) -> None:
    log_discreetly()
    running = asyncio.ensure_future(serve(host, port, share))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def _check() -> str | None:
    found = drifts(Database.from_environment())
    for drift in found:
        print(drift)
    if found:
        return f"{len(found)} differences"
    print("Wallets and keys agree with their calls.")
    return None


if __name__ == "__main__":
    sys.exit(main())
