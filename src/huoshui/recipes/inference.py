"""llama.cpp in this process (package xllamacpp): a model that answers, greedily, one prompt after another."""

from pathlib import Path
from typing import Any

import xllamacpp

from .common import fail

Row = dict[str, Any]


def settings(model: Path, context: int, threads: int) -> Any:
    """What llama.cpp needs to know of a model."""
    asked = xllamacpp.CommonParams()
    asked.model.path = str(model)
    asked.n_ctx, asked.cpuparams.n_threads, asked.verbosity = context, threads, 0
    asked.cpuparams_batch.n_threads = threads
    asked.sampling.seed = 1
    return asked


class Model:
    """A loaded model."""

    def __init__(self, path: Path, context: int, threads: int) -> None:
        asked = settings(path, context, threads)
        asked.n_parallel = 1
        try:
            self._server = xllamacpp.Server(asked)
        except RuntimeError as error:
            fail(f"inputs/{path.name} cannot be loaded: {error}")

    def answer(self, row: Row, tokens_max: int) -> Row:
        """The reply to {"prompt": …} or {"messages": […]}: {"text", "tokens"} or {"error"}."""
        asked = {"max_tokens": tokens_max, "temperature": 0}
        try:
            if isinstance(row.get("messages"), list):
                told = self._server.handle_chat_completions(asked | {"messages": row["messages"]})
            elif isinstance(row.get("prompt"), str):
                told = self._server.handle_completions(asked | {"prompt": row["prompt"]})
            else:
                return {"error": "neither a prompt nor messages"}
        except (RuntimeError, ValueError) as error:
            return {"error": str(error)[:500]}
        if "choices" not in told:
            return {"error": str(told.get("error", {}).get("message", told.get("message", "no answer")))[:500]}
        choice = told["choices"][0]
        text = choice["message"]["content"] if "message" in choice else choice["text"]
        return {"text": text, "tokens": told["usage"]["completion_tokens"]}
