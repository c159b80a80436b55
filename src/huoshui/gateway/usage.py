"""What an upstream says that it counted, whether that can be, and what the platform counts when it cannot.

An upstream's figures are taken when they are whole numbers, not negative, within the bound that was held, with no
more cached than read, and not zero where something was read or said. Otherwise the platform counts: one token for
each 4 bytes of UTF-8 of what was asked and of what was delivered, rounded up, never above the bound. So nonsense
never costs more than a sober count, and nothing ever costs more than was held. Who counted is kept with the call.
"""

from dataclasses import dataclass
from typing import Any

from huoshui.gateway.asks import BYTES_PER_TOKEN

UPSTREAM, PLATFORM = "upstream", "platform"


@dataclass(frozen=True)
class Count:
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    counted: str

    def as_usage(self) -> dict[str, Any]:
        """In OpenAI's form."""
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }


@dataclass(frozen=True)
class Bound:
    """The most tokens that were held for."""

    input_tokens: int
    output_tokens: int


def count(usage: Any, bound: Bound, asked_bytes: int, delivered_bytes: int) -> Count:
    """The tokens to bill: the upstream's when they can be, else the platform's."""
    told = _told(usage)
    if told is not None and _can_be(told, bound, delivered_bytes):
        return told
    return Count(
        min(bound.input_tokens, _tokens(asked_bytes)), 0, min(bound.output_tokens, _tokens(delivered_bytes)), PLATFORM
    )


def _told(usage: Any) -> Count | None:
    """None when a figure is missing or of another type. Embeddings have no output; cached is 0 when nobody says."""
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    if cached is None:
        cached = usage.get("prompt_cache_hit_tokens")
    read, said = usage.get("prompt_tokens"), usage.get("completion_tokens", 0)
    cached = 0 if cached is None else cached
    if type(read) is int and type(cached) is int and type(said) is int:
        return Count(read, cached, said, UPSTREAM)
    return None


def _can_be(told: Count, bound: Bound, delivered_bytes: int) -> bool:
    return (
        0 < told.input_tokens <= bound.input_tokens
        and 0 <= told.cached_tokens <= told.input_tokens
        and (1 if delivered_bytes else 0) <= told.output_tokens <= bound.output_tokens
    )


def _tokens(text_bytes: int) -> int:
    return -(-text_bytes // BYTES_PER_TOKEN)
