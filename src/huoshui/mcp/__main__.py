"""`python -m huoshui.mcp [--http PORT]`: what `huoshui mcp` starts. Without a port it speaks stdio."""

import argparse
import os
import sys

import django

LOOPBACK = "127.0.0.1"
TOKEN = "HUOSHUI_TOKEN"  # noqa: S105 (the name of a variable)


def main() -> int:
    """Serve until the client leaves (stdio) or the process is ended (HTTP)."""
    parser = argparse.ArgumentParser(prog="huoshui mcp")
    parser.add_argument("--http", type=int, metavar="PORT", default=0)
    port = parser.parse_args().http
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "huoshui.settings")
    django.setup()
    from huoshui.mcp.server import HuoshuiServer, http_app

    if port:
        import uvicorn

        app = http_app([f"{LOOPBACK}:{port}", f"localhost:{port}"])
        uvicorn.run(app, host=LOOPBACK, port=port, log_level="warning")
        return 0
    secret = os.environ.get(TOKEN, "")
    if not secret:
        print(f"Set {TOKEN} to an API token (its owner makes one under “My tokens”).", file=sys.stderr)
        return 2
    HuoshuiServer(secret).run("stdio")
    return 0


if __name__ == "__main__":
    sys.exit(main())
