"""Filters of vouchers and redemptions: the badge of a state, the words for a service."""

from typing import Any

from django import template

from huoshui.policy import voucher_words
from huoshui.policy.forms_funds import SERVICES
from huoshui.policy.models import Redemption, Voucher

register = template.Library()
LEVELS = {
    "active": "info", "expired": "none", "cancelled": "none", "submitted": "info", "notice": "info",
    "objected": "watch", "ordered": "info", "paid": "good", "refused": "bad", "withdrawn": "none",
}  # fmt: skip


@register.filter
def level(row: Voucher | Redemption) -> str:
    """The badge's level for a state."""
    return LEVELS[row.state]


@register.filter
def why(part: dict[str, Any]) -> str:
    """Why a part of a claim counts nothing."""
    return voucher_words.sentence(part["code"], part["params"])


@register.filter
def service(code: str) -> str:
    """A kind of service in words."""
    return str(dict(SERVICES).get(code, code or "—"))
