"""Server-sent events of an upstream: cut apart, looked at, and passed on as they came.

Only three things are changed: the model's name (the client's name for it), the upstream's usage (left out unless the
client asked), and `[DONE]`, which is kept back until the call is settled.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from huoshui.gateway.asks import message_texts, text_size

EVENT_BYTES_MAX = 1024 * 1024
DONE = b"[DONE]"


class Malformed(Exception):
    """This is no stream of completions."""


@dataclass(frozen=True)
class Event:
    """What to pass on (empty: nothing), bytes of text in it, the answers it is of and those it finished (by their
    numbers), and what it told about usage."""

    raw: bytes
    text_bytes: int = 0
    answers: tuple[int, ...] = ()
    finished: tuple[int, ...] = ()
    usage: Any = None
    done: bool = False


@dataclass
class Reader:
    """Cuts bytes into events. `upstream_model` becomes `model`; usage stays only when it is wanted (as its own event).

    Raises Malformed on events that are too long or not JSON objects, and on an upstream's `error`.
    """

    path: str
    model: str
    upstream_model: str
    _rest: bytes = b""
    _names: "Names" = field(init=False, default=())

    def __post_init__(self) -> None:
        self._names = names(self.model, self.upstream_model)

    def feed(self, data: bytes) -> Iterator[Event]:
        *whole, self._rest = (self._rest + data).replace(b"\r\n", b"\n").split(b"\n\n")
        if len(self._rest) > EVENT_BYTES_MAX:
            raise Malformed
        for raw in whole:
            yield from self._event(raw)

    def end(self) -> Iterator[Event]:
        """What is left when the upstream closed: an event without the empty line after it."""
        rest, self._rest = self._rest, b""
        if rest.strip():
            yield from self._event(rest)

    def _event(self, raw: bytes) -> Iterator[Event]:
        data = b"\n".join(line[5:].strip() for line in raw.split(b"\n") if line.startswith(b"data:"))
        if not data:
            return  # a comment that keeps the connection awake
        if data == DONE:
            yield Event(b"", done=True)
            return
        piece = _object(data)
        choices = piece.get("choices")
        if not isinstance(choices, list) or not all(isinstance(choice, dict) for choice in choices):
            raise Malformed
        usage = piece.get("usage")
        if usage is not None:
            del piece["usage"]
            data = dump(piece)
        text_bytes = sum(text_size(text) for choice in choices for text in choice_texts(self.path, choice))
        answers = tuple(map(_number, choices))
        finished = tuple(
            number for number, choice in zip(answers, choices, strict=True) if choice.get("finish_reason") is not None
        )
        out = b"data: " + renamed(data, self._names) + b"\n\n" if choices or usage is None else b""
        yield Event(out, text_bytes, answers, finished, usage)


Names = tuple[tuple[bytes, bytes], ...]


def names(model: str, upstream_model: str) -> Names:
    """What stands for the upstream's name of a model in JSON, and for ours."""
    if model == upstream_model:
        return ()
    plain = [json.dumps(name, ensure_ascii=False).encode() for name in (upstream_model, model)]
    escaped = [json.dumps(name).encode() for name in (upstream_model, model)]
    return ((plain[0], plain[1]), (escaped[0], escaped[1]))


def renamed(data: bytes, known: Names) -> bytes:
    """JSON with the client's name of the model. Quotes inside a JSON text are escaped, so no text is hit."""
    for theirs, ours in known:
        for colon in (b'"model":', b'"model": '):
            data = data.replace(colon + theirs, colon + ours)
    return data


def choice_texts(path: str, choice: dict[str, Any]) -> Iterator[str]:
    """What a choice says, whole or as a piece of a stream."""
    if path == "/v1/completions":
        if isinstance(choice.get("text"), str):
            yield choice["text"]
        return
    for name in ("delta", "message"):
        if isinstance(choice.get(name), dict):
            yield from message_texts(choice[name])


def usage_event(model: str, path: str, call: str, created: int, usage: dict[str, Any]) -> bytes:
    """The last event before `[DONE]` for a client that asked for usage."""
    kind = "text_completion" if path == "/v1/completions" else "chat.completion.chunk"
    piece = {"id": call, "object": kind, "created": created, "model": model, "choices": [], "usage": usage}
    return b"data: " + dump(piece) + b"\n\n"


def dump(value: Any) -> bytes:
    """In ASCII: an upstream may send half of a surrogate pair, which has no UTF-8."""
    return json.dumps(value, separators=(",", ":")).encode()


def dump_giving_way(told: dict[str, Any]) -> bytes:
    """The same for a large answer: written row by row, so that a thread that does it gives way to others."""
    parts = (
        dump(name) + b":" + (b"[" + b",".join(map(dump, value)) + b"]" if isinstance(value, list) else dump(value))
        for name, value in told.items()
    )
    return b"{" + b",".join(parts) + b"}"


def _number(choice: dict[str, Any]) -> int:
    number = choice.get("index")
    return number if type(number) is int else 0


def _object(data: bytes) -> dict[str, Any]:
    try:
        piece = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed from None
    if not isinstance(piece, dict):
        raise Malformed
    return piece
