"""What a client asked for, checked, and the most tokens that it can cost.

**The bound on input.** A tokeniser makes at most one token of a byte, and JSON is never shorter than the text in it;
so the request's own bytes, plus what chat templates add, bound its input tokens, and so does the model's context.
Images, sound and files are bounded by the context alone. **The bound on output** is `max_tokens` (or
`max_completion_tokens`, the greater) and never more than the offer's longest answer, times the answers asked for. The
upstream is told it, so that it says no more than is held for.

Only fields named here are passed on: a field that the gateway does not know could change what a call costs.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from huoshui.gateway.ledger import Refused

TEMPLATE_TOKENS, MESSAGE_TOKENS = 256, 16
"""What a chat template may add: once, and for each message."""
ITEMS_MAX = 2048
ANSWERS_MAX = 8
MODEL_LENGTH_MAX = 80
TOKENS_MAX = 10_000_000
BOUND_MAX = 2**31 - 1
"""The most tokens that a row of a call can hold."""
PROMPT_TOKENS = 16
"""What `/v1/completions` answers at most when the client names no bound: OpenAI's default."""
BYTES_PER_TOKEN = 4
"""The platform's own count, where an upstream's cannot be used: one token for each 4 bytes of UTF-8, rounded up."""

_SAMPLING = {
    "temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "frequency_penalty", "stop",
    "seed", "logit_bias", "logprobs", "user",
}  # fmt: skip
_ANSWERED = {"model", "stream", "stream_options", "max_tokens", "n"} | _SAMPLING
FIELDS: Mapping[str, frozenset[str]] = {
    "/v1/chat/completions": frozenset(_ANSWERED | {
        "messages", "max_completion_tokens", "top_logprobs", "response_format", "tools", "tool_choice",
        "parallel_tool_calls", "reasoning_effort", "thinking", "enable_thinking", "thinking_budget",
        "chat_template_kwargs",
    }),
    "/v1/completions": frozenset(_ANSWERED | {"prompt", "suffix", "best_of"}),
    "/v1/embeddings": frozenset({"model", "input", "encoding_format", "dimensions", "user"}),
}  # fmt: skip
CONTENT = {"/v1/chat/completions": "messages", "/v1/completions": "prompt", "/v1/embeddings": "input"}


@dataclass(frozen=True)
class Ask:
    """A checked request. `items` are the texts it holds, `answers` how many answers it asks for of each.

    `text_bytes` are UTF-8 bytes of the text in it, without the JSON around: what the platform counts by.
    """

    path: str
    model: str
    stream: bool
    usage_wanted: bool
    body: dict[str, Any]
    size: int
    items: int
    opaque: bool
    text_bytes: int
    answers: int
    output_wanted: int | None

    @property
    def kind(self) -> str:
        return "embedding" if self.path == "/v1/embeddings" else "chat"

    @property
    def texts(self) -> int:
        """How many separate texts it holds: a chat is one, a list of prompts is many."""
        return 1 if self.path == "/v1/chat/completions" else self.items

    def most(self, context_tokens: int, output_tokens_max: int) -> tuple[int, int]:
        """The most input and output tokens that it can cost at an offer.

        Raises Refused: more than the books can write down.
        """
        read, said = self.bound(context_tokens, output_tokens_max)
        rule = f"so few texts and answers that {BOUND_MAX} tokens are not exceeded"
        _rule(CONTENT[self.path], max(read, said) <= BOUND_MAX, rule)
        return read, said

    def bound(self, context_tokens: int, output_tokens_max: int) -> tuple[int, int]:
        """The same, whether or not the books can write it down."""
        context = context_tokens * self.texts
        read = context if self.opaque else min(self._read_max, context)
        wanted = output_tokens_max if self.output_wanted is None else min(self.output_wanted, output_tokens_max)
        return read, 0 if self.kind == "embedding" else wanted * self.answers * self.texts

    def fits(self, context_tokens: int, output_tokens: int) -> bool:
        """Whether one text and so long an answer certainly fit into a context."""
        return not self.opaque and self._read_max + output_tokens <= context_tokens

    @property
    def _read_max(self) -> int:
        return self.size + TEMPLATE_TOKENS + MESSAGE_TOKENS * self.items

    def forward(self, upstream_model: str, context_tokens: int, output_tokens_max: int) -> bytes:
        """The request as the upstream gets it.

        A chat without a bound gets the offer's, unless prompt and answer might not fit together: many upstreams refuse
        that, and then the context ends the answer.
        """
        sent = self.body | {"model": upstream_model}
        for name in ("max_tokens", "max_completion_tokens"):
            if name in sent:
                sent[name] = min(sent[name], output_tokens_max)
        if self.path == "/v1/completions":
            sent.setdefault("max_tokens", min(PROMPT_TOKENS, output_tokens_max))
        elif self.output_wanted is None and self.kind == "chat" and self.fits(context_tokens, output_tokens_max):
            sent["max_tokens"] = output_tokens_max
        if self.stream:
            sent["stream_options"] = {"include_usage": True}
        return _dump(sent)


def message_texts(message: dict[str, Any]) -> Iterator[str]:
    """What a message (or a piece of one in a stream) says: text, thoughts, refusal, calls of tools."""
    for name in ("content", "reasoning_content", "reasoning", "refusal"):
        said = message.get(name)
        if isinstance(said, str):
            yield said
        for part in said if isinstance(said, list) else ():
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
    tools = message.get("tool_calls")
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        for name in ("name", "arguments"):
            if isinstance(function, dict) and isinstance(function.get(name), str):
                yield function[name]


def read(path: str, raw: bytes) -> Ask:
    """Check a request's body. Raises Refused: invalid_json, missing_field, unknown_field, invalid_field."""
    body = _object(raw)
    if unknown := next((name for name in body if name not in FIELDS[path]), None):
        raise Refused("unknown_field", param=unknown[:MODEL_LENGTH_MAX])
    model = body.get("model")
    if model is None:
        raise Refused("missing_field", param="model")
    _rule("model", isinstance(model, str) and 0 < len(model) <= MODEL_LENGTH_MAX, f"1 to {MODEL_LENGTH_MAX} characters")
    stream = body.get("stream") or False
    _rule("stream", isinstance(stream, bool), "true or false")
    items, opaque = _content(path, body)
    _check_tools(body)
    return Ask(
        path, model, stream, _usage_wanted(body, stream), body, len(raw), items, opaque,
        _text_bytes(path, body), _answers(body), _output_wanted(path, body),
    )  # fmt: skip


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode(), parse_constant=_no_constant)  # of bytes, json would guess UTF-16 and UTF-32
        _dump(body)  # half of a surrogate pair is no character, 1e999 no number: what is checked can be sent
    except (ValueError, RecursionError) as error:
        raise Refused("invalid_json", rule=_fault(error)) from None
    if not isinstance(body, dict):
        raise Refused("invalid_json", rule="it is of another type")
    return body


def _fault(error: Exception) -> str:
    return f"{error.msg} at byte {error.pos}" if isinstance(error, json.JSONDecodeError) else "it cannot be read"


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _content(path: str, body: dict[str, Any]) -> tuple[int, bool]:
    """How many messages or texts it holds, and whether some of it is no text."""
    name = CONTENT[path]
    content = body.get(name)
    if content is None:
        raise Refused("missing_field", param=name)
    if path != "/v1/chat/completions":
        return _text_items(name, content), False
    _rule(name, isinstance(content, list) and 0 < len(content) <= ITEMS_MAX, f"a list of 1 to {ITEMS_MAX} messages")
    opaque = False
    for number, message in enumerate(content):
        place = f"{name}[{number}]"
        _rule(place, isinstance(message, dict) and isinstance(message.get("role"), str), "an object with a role")
        said = message.get("content")
        _rule(f"{place}.content", said is None or isinstance(said, str | list), "text or a list of parts")
        _rule(f"{place}.tool_calls", isinstance(message.get("tool_calls"), list | None), "a list")
        for part in said if isinstance(said, list) else ():
            _rule(f"{place}.content", isinstance(part, dict), "a list of objects")
            opaque |= part.get("type") not in ("text", "refusal")
        opaque |= "audio" in message
    return len(content), opaque


def _text_items(name: str, content: Any) -> int:
    """A text, a list of tokens, a list of texts, or a list of lists of tokens: how many texts that is."""
    if isinstance(content, str):
        return 1
    rule = f"text, tokens, or a list of at most {ITEMS_MAX} of them"
    _rule(name, isinstance(content, list) and len(content) > 0, rule)
    if all(type(item) is int for item in content):
        return 1
    _rule(name, len(content) <= ITEMS_MAX, rule)
    for item in content:
        tokens = isinstance(item, list) and all(type(token) is int for token in item)
        _rule(name, isinstance(item, str) or tokens, rule)
    return len(content)


def _check_tools(body: dict[str, Any]) -> None:
    """Tools that the upstream would run itself (search, code) read and cost what nobody can bound."""
    tools = body.get("tools")
    if tools is not None:
        functions = isinstance(tools, list) and all(
            isinstance(tool, dict) and tool.get("type") == "function" for tool in tools
        )
        _rule("tools", functions, "a list of tools of type function")


def _usage_wanted(body: dict[str, Any], stream: bool) -> bool:
    options = body.get("stream_options")
    if options is None:
        return False
    _rule("stream_options", stream, "sent with stream only")
    rule = "an object with include_usage true or false"
    _rule("stream_options", isinstance(options, dict) and set(options) <= {"include_usage"}, rule)
    wanted = options.get("include_usage", False)
    _rule("stream_options", isinstance(wanted, bool), rule)
    return bool(wanted)


def _answers(body: dict[str, Any]) -> int:
    return max(_number(body, name, ANSWERS_MAX) or 1 for name in ("n", "best_of"))


def _output_wanted(path: str, body: dict[str, Any]) -> int | None:
    wanted = [_number(body, name, TOKENS_MAX) for name in ("max_tokens", "max_completion_tokens")]
    default = PROMPT_TOKENS if path == "/v1/completions" else None
    return max((number for number in wanted if number is not None), default=default)


def _number(body: dict[str, Any], name: str, most: int) -> int | None:
    """A whole number from 1; a null is as good as a field that is not there, and is taken out."""
    if body.get(name) is None:
        body.pop(name, None)
        return None
    value = body[name]
    _rule(name, type(value) is int and 1 <= value <= most, f"a whole number from 1 to {most}")
    return int(value)


def _rule(param: str, kept: bool, rule: str) -> None:
    if not kept:
        raise Refused("invalid_field", param=param, rule=rule)


def _text_bytes(path: str, body: dict[str, Any]) -> int:
    texts: Iterator[str]
    if path == "/v1/chat/completions":
        texts = (text for message in body["messages"] for text in message_texts(message))
    else:
        texts = _plain_texts(body[CONTENT[path]])
    tools = len(_dump(body["tools"])) if "tools" in body else 0
    return tools + sum(map(text_size, texts))


def text_size(text: str) -> int:
    """Bytes of UTF-8; half of a surrogate pair, which an upstream may send, counts as one."""
    return len(text.encode("utf-8", "replace"))


def _plain_texts(content: Any) -> Iterator[str]:
    """Texts of a prompt or an input; a token that came as a number counts as one token, which is BYTES_PER_TOKEN."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for item in content:
            yield from _plain_texts(item)
    else:
        yield " " * BYTES_PER_TOKEN


def _dump(value: Any) -> bytes:
    """Raises ValueError: infinite numbers, half surrogate pairs; RecursionError."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
