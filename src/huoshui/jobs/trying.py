"""Asking an endpoint one thing 试一试: bounded, metered as its job, and never written down.

`actions.endpoints.try_endpoint` comes first: it asks for the permission, counts, and keeps the endpoint awake.

The platform speaks to the replica over HTTP with the replica's key; neither prompt nor answer goes to the log, to the
database or into an error.
"""

import http.client
import json
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from huoshui.base.errors import Refused
from huoshui.jobs.models import Endpoint

SECONDS_MAX = 60
ANSWER_BYTES_MAX = 1 << 20


@dataclass(frozen=True)
class Answer:
    """What the model said, and how many tokens went in and came out."""

    text: str
    prompt_tokens: int
    answer_tokens: int


def ask(endpoint: Endpoint, prompt: str, tokens: int) -> Answer:
    """The greedy answer of a ready endpoint. Raises Refused when it is not ready or does not answer in time."""
    reply = b""
    with closing(_call(endpoint, prompt, tokens, stream=False)) as pieces:
        for piece in pieces:
            reply += piece
    try:
        told = json.loads(reply)
        usage = told["usage"]
        return Answer(
            str(told["choices"][0]["message"]["content"]), int(usage["prompt_tokens"]), int(usage["completion_tokens"])
        )
    except (ValueError, KeyError, TypeError, IndexError):
        raise _silent() from None


def stream(endpoint: Endpoint, prompt: str, tokens: int) -> Iterator[bytes]:
    """The same answer as server-sent events in the manner of OpenAI, as they come."""
    return _call(endpoint, prompt, tokens, stream=True)


def _call(endpoint: Endpoint, prompt: str, tokens: int, *, stream: bool) -> Generator[bytes, None, None]:
    """The bytes of the reply; the connection is made and the status is looked at before the first piece."""
    asked: dict[str, Any] = {
        "model": endpoint.name, "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens,
        "temperature": 0, "stream": stream,
    }  # fmt: skip
    place = urlsplit(endpoint.address)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=SECONDS_MAX)
    headers = {"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(asked), headers)
        reply = connection.getresponse()
    except (OSError, http.client.HTTPException):
        connection.close()
        raise _silent() from None
    if reply.status != 200:
        connection.close()
        raise Refused(
            _("The model refused the prompt (%(status)s); it may be longer than the context.")
            % {"status": reply.status},
            code="endpoint_refused",
        )
    return _pieces(connection, reply)


def _pieces(
    connection: http.client.HTTPConnection, reply: http.client.HTTPResponse
) -> Generator[bytes, None, None]:
    left = ANSWER_BYTES_MAX
    with closing(connection):
        try:
            while left > 0 and (piece := reply.read1(min(left, 8192))):
                left -= len(piece)
                yield piece
        except (OSError, http.client.HTTPException):
            return


def _silent() -> Refused:
    return Refused(_("The model did not answer."), code="endpoint_silent")
