"""Ready commands: what a firm pastes to make its first call with a key."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

VARIABLE, PORT_VARIABLE, PORT = "HUOSHUI_GATEWAY_URL", "HUOSHUI_GATEWAY_PORT", "8001"
"""The public address of the gateway, without /v1; unless it is set, the gateway is on this machine."""
KEY_SHOWN = "$HUOSHUI_KEY"


@dataclass(frozen=True)
class Commands:
    """A key's first call, twice. The key itself stands in a variable, so that it lands in no shell history twice."""

    base_url: str
    curl: str
    python: str


def gateway_url() -> str:
    """Where clients reach the gateway."""
    here = f"http://127.0.0.1:{os.environ.get(PORT_VARIABLE, PORT)}"
    return os.environ.get(VARIABLE, here).rstrip("/")


def commands(model: str) -> Commands:
    """Commands that call a model."""
    base = f"{gateway_url()}/v1"
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "你好"}]}, ensure_ascii=False)
    curl = (
        f"curl {base}/chat/completions \\\n"
        f'  -H "Authorization: Bearer {KEY_SHOWN}" \\\n'
        f"  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )
    python = (
        "import os\nfrom openai import OpenAI\n\n"
        f'client = OpenAI(base_url="{base}", api_key=os.environ["HUOSHUI_KEY"])\n'
        "answer = client.chat.completions.create(\n"
        f'    model="{model}", messages=[{{"role": "user", "content": "你好"}}]\n)\n'
        "print(answer.choices[0].message.content)"
    )
    return Commands(base, curl, python)
