"""LiteLLM's proxy before the mock upstream, one worker, no database: it forwards and keeps no money.

    LITELLM_MASTER_KEY=sk-… python litellm_peer.py PORT UPSTREAM_URL

With a database it would also keep keys and spending, and be slower; this is its best case.
"""

import json
import os
import sys
import tempfile


def main(port: str, upstream: str) -> None:
    model = {
        "model_name": "mock",
        "litellm_params": {"model": "openai/mock", "api_base": f"{upstream}/v1", "api_key": "none"},
    }
    config = {"model_list": [model], "litellm_settings": {"telemetry": False, "num_retries": 0}}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
        json.dump(config, file)
    os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
    sys.argv = ["litellm", "--config", file.name, "--host", "127.0.0.1", "--port", port, "--num_workers", "1"]
    from litellm import run_server

    run_server()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
