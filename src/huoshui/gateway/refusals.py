"""Every way in which the gateway says no: one table of stable reasons, told in the shape that OpenAI's clients read.

    {"error": {"message": …, "type": …, "code": …, "reason": …, "param": …, "call": …}}

`code` is what clients of that interface expect, `reason` is Huoshui's and finer. Sentences hold figures and names of
fields, never content.
"""

from dataclasses import dataclass
from typing import Any

from aiohttp import web

from huoshui.gateway.ledger import Refused


@dataclass(frozen=True)
class Kind:
    status: int
    type: str
    code: str
    sentence: str


BAD, AUTH, QUOTA, RATE, API = (
    "invalid_request_error", "authentication_error", "insufficient_quota", "rate_limit_error", "api_error",
)  # fmt: skip
KINDS = {
    "no_key": Kind(401, AUTH, "invalid_api_key", "Send a key: Authorization: Bearer …"),
    "unknown_key": Kind(401, AUTH, "invalid_api_key", "This key is not known."),
    "key_revoked": Kind(401, AUTH, "invalid_api_key", "This key was revoked."),
    "key_expired": Kind(401, AUTH, "invalid_api_key", "This key has expired."),
    "wallet_frozen": Kind(403, "permission_error", "wallet_frozen", "The wallet of this key is frozen."),
    "model_not_found": Kind(404, BAD, "model_not_found", "This key can call no such model here: {model}."),
    "model_not_allowed": Kind(404, BAD, "model_not_found", "This key can call no such model here: {model}."),
    "region_not_allowed": Kind(403, "permission_error", "region_not_allowed", "This key may not call region {region}."),
    "unknown_path": Kind(404, BAD, "unknown_path", "The gateway has no {method} {path}."),
    "too_large": Kind(413, BAD, "request_too_large", "A request has at most {bytes_max} bytes."),
    "too_slow": Kind(408, BAD, "request_timeout", "The request did not arrive within {seconds_max} seconds."),
    "invalid_json": Kind(400, BAD, "invalid_json", "The request is not a JSON object: {rule}."),
    "missing_field": Kind(400, BAD, "missing_required_parameter", "The field {param} is missing."),
    "unknown_field": Kind(400, BAD, "unknown_parameter", "The gateway does not pass on the field {param}."),
    "invalid_field": Kind(400, BAD, "invalid_value", "The field {param} must be {rule}."),
    "duplicate_call": Kind(409, BAD, "duplicate_call", "A call of this Idempotency-Key is {state} already."),
    "wallet_empty": Kind(
        402, QUOTA, "insufficient_quota",
        "The call may cost {needed_fen} fen; the wallet has {free_fen} fen free. Set max_tokens lower or fund it.",
    ),
    "budget_spent": Kind(
        402, QUOTA, "insufficient_quota",
        "The call may cost {needed_fen} fen; the key's budget has {free_fen} fen left. Set max_tokens lower.",
    ),
    "calls_per_minute": Kind(429, RATE, "rate_limit_exceeded", "The key may make {limit} calls a minute."),
    "tokens_per_minute": Kind(
        429, RATE, "rate_limit_exceeded",
        "The key may use {limit} tokens a minute; it counts {counted}, this call may use {most}.",
    ),
    "too_many_calls": Kind(503, API, "overloaded", "The gateway has as many calls as it takes. Try again."),
    "no_upstream": Kind(503, API, "overloaded", "No upstream of this model takes calls at the moment. Try again."),
    "offer_ended": Kind(503, API, "overloaded", "The price of this model has just changed. Try again."),
    "hold_lost": Kind(503, API, "overloaded", "The call took too long to begin. Try again."),
    "unavailable": Kind(503, API, "overloaded", "The books do not answer; nothing was charged. Try again."),
    "timeout": Kind(504, API, "upstream_timeout", "The upstream did not answer in time; nothing was charged."),
    "unreachable": Kind(502, API, "upstream_unreachable", "No upstream could be reached; nothing was charged."),
    "upstream_error": Kind(502, API, "upstream_error", "The upstream failed; nothing was charged."),
    "bad_answer": Kind(502, API, "upstream_error", "The upstream's answer cannot be read; nothing was charged."),
    "rate_limited": Kind(429, RATE, "rate_limit_exceeded", "The upstream is at its limit; nothing was charged."),
    "upstream_refused": Kind(400, BAD, "upstream_refused", "The upstream refused the request: {message}"),
    "truncated": Kind(502, API, "upstream_error", "The upstream broke off. What was delivered is charged."),
    "internal": Kind(500, API, "internal_error", "The gateway failed; nothing more is charged than was delivered."),
}  # fmt: skip


def fen(ufen: int) -> str:
    """µfen as fen, exactly: 1500000 → "1.5"."""
    whole, rest = divmod(ufen, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0").rstrip(".")


def body(refused: Refused, call: str = "") -> dict[str, Any]:
    """The error object."""
    kind = KINDS[refused.code]
    figures = {
        name.replace("_ufen", "_fen"): fen(int(value)) if name.endswith("_ufen") else value
        for name, value in refused.figures.items()
    }
    error = {
        "message": kind.sentence.format_map(figures), "type": kind.type, "code": kind.code, "reason": refused.code,
        "param": figures.get("param"),
    }  # fmt: skip
    if number := call or figures.get("call"):
        error["call"] = number
    return {"error": error}


def response(refused: Refused, call: str = "", headers: dict[str, str] | None = None) -> web.Response:
    """The refusal as an HTTP answer."""
    sent = dict(headers or {})
    number = call or str(refused.figures.get("call", ""))
    if number:
        sent["x-huoshui-call"] = number
    if wait := refused.figures.get("wait_seconds"):
        sent["Retry-After"] = str(wait)
    status = int(refused.figures.get("status", KINDS[refused.code].status))
    return web.json_response(body(refused, call), status=status, headers=sent)
