"""Serves a model over HTTP in the manner of OpenAI, until it is told to end (llama.cpp's own server).

Environment: HUOSHUI_ENDPOINT_KEY, the key that callers must show. The server listens on the node's own address
under Slurm, else on 127.0.0.1; once /health answers, outputs/endpoint.json says where:
{"address": "http://host:port"}.
"""

import json
import os
import socket
import time
import urllib.request

from . import common

common.require("xllamacpp")

import xllamacpp  # noqa: E402

from . import inference  # noqa: E402

START_SECONDS_MAX = 600
PORT_TRIES = 20


def main() -> None:
    asked, stop = common.parameters(), common.Stop()
    model = common.input_file("model") or common.fail("inputs/model is missing")
    key = os.environ.get("HUOSHUI_ENDPOINT_KEY") or common.fail("HUOSHUI_ENDPOINT_KEY is not set")
    host = own_address()
    wanted = inference.settings(model, asked.context * asked.parallel, asked.threads)
    wanted.n_parallel, wanted.n_threads_http = asked.parallel, max(4, asked.parallel + 2)
    wanted.api_keys, wanted.model_alias = [key], {asked.alias}
    wanted.hostnames, wanted.ui, wanted.endpoint_metrics = [host], False, True
    server, address = listen(wanted)
    wait(address)
    with common.whole(common.folder("outputs") / "endpoint.json") as out:
        out.write(json.dumps({"address": address}).encode())
    print(f"serves {asked.alias} at {address}", flush=True)
    while not stop.asked:
        time.sleep(0.2)
    del server
    os._exit(0)  # llama.cpp's threads need no farewell


def own_address() -> str:
    """Where others reach this node: by its name in Slurm or its host name; without Slurm, on this machine alone."""
    if node := os.environ.get("SLURMD_NODENAME"):
        for name in (node, socket.gethostname()):
            try:
                return socket.gethostbyname(name)
            except OSError:
                continue
    return "127.0.0.1"


def listen(wanted: "xllamacpp.CommonParams") -> tuple["xllamacpp.Server", str]:
    """A server on a free port. Between looking for the port and taking it another may take it: then the next one."""
    host = wanted.hostnames[0]
    for attempt in range(PORT_TRIES):
        with socket.socket() as probe:
            probe.bind((host, 0))
            wanted.port = probe.getsockname()[1]
        try:
            return xllamacpp.Server(wanted), f"http://{host}:{wanted.port}"
        except RuntimeError as error:
            if attempt == PORT_TRIES - 1:
                common.fail(f"The model cannot be served: {error}", 1)
    raise AssertionError("unreachable")


def wait(address: str) -> None:
    """Until /health answers."""
    end = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as reply:  # noqa: S310 - our own address
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    common.fail("The server did not answer.", 1)


if __name__ == "__main__":
    main()
