"""The kinds of case that the centre and its desks handle. A type is data; a desk registers its own in `apps.py`.

    types.register(CaseType("service.question", _l("question"), …))

What a type promises (days, who handles, call-back) is what the public reads on the page of a case, so it cites where
the promise comes from.
"""

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from huoshui.base.errors import Missing

DAYS_MAX = 365


@dataclass(frozen=True)
class CaseType:
    """One kind of case.

    `target_days` is what the centre promises, `legal_days` what the rule in `source` allows, `extension_days` the
    most that the one extension may add (0: none); all in working days, or calendar days with `working_days` False.
    `escalate_bps`: shares of the legal period after which the worker escalates. `soon_days`: how close to the target
    a case counts as soon due. `opened_by_hand` False: only the desk opens such cases, people are not offered it.
    """

    code: str
    title: str | Promise
    target_days: int
    legal_days: int
    extension_days: int = 0
    working_days: bool = True
    source: str | Promise = ""
    open_permission: str = "cases.open"
    handle_permission: str = "cases.handle"
    supervise_permission: str = "cases.supervise"
    call_back: bool = True
    soon_days: int = 1
    escalate_bps: tuple[int, ...] = (5000, 8000, 10_000)
    opened_by_hand: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.target_days <= self.legal_days <= DAYS_MAX or not 0 <= self.extension_days <= DAYS_MAX:
            raise ValueError(f"{self.code}: 1 ≤ target ≤ legal ≤ {DAYS_MAX} days, extension 0 to {DAYS_MAX}")
        if list(self.escalate_bps) != sorted(set(self.escalate_bps)):
            raise ValueError(f"{self.code}: escalation steps must increase")


_types: dict[str, CaseType] = {}


def register(case_type: CaseType) -> CaseType:
    """Add a type. Raises ValueError when another one has its code."""
    if _types.setdefault(case_type.code, case_type) != case_type:
        raise ValueError(f"case type {case_type.code} is registered twice")
    return case_type


def get(code: str) -> CaseType:
    """The type under a code. Raises Missing."""
    if code not in _types:
        raise Missing(_("There is no case type “%(code)s”.") % {"code": code})
    return _types[code]


def registered() -> list[CaseType]:
    """All types, by code."""
    return [_types[code] for code in sorted(_types)]
