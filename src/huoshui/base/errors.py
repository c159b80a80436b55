"""Errors that a person or a program can act on. Each carries a stable code; faces translate the sentence.

`Problem` is one thing wrong with an input: where (row, field), what (value) and why (rule).
"""

from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _


@dataclass(frozen=True)
class Problem:
    """One thing wrong. `row` counts from 1 as the file's reader sees it (the header is row 1); None outside files."""

    field: str
    value: str
    rule: str
    row: int | None = None

    def __str__(self) -> str:
        where = _("row %(row)s, ") % {"row": self.row} if self.row is not None else ""
        return _("%(where)sfield “%(field)s”, value “%(value)s”: %(rule)s") % {
            "where": where, "field": self.field, "value": self.value[:80], "rule": self.rule,
        }


class Refused(Exception):
    """An action was refused for a reason its caller can understand; nothing was written."""

    code = "refused"
    status = 409

    def __init__(self, message: str, *, code: str = "", problems: tuple[Problem, ...] = (), **params: Any) -> None:
        super().__init__(message)
        self.message, self.problems, self.params = message, problems, params
        if code:
            self.code = code


class Invalid(Refused):
    """The input breaks a rule; `problems` says which, field by field."""

    code = "invalid"
    status = 422

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(map(str, problems)), problems=problems)


class Forbidden(Refused):
    """The actor may not do this."""

    code = "forbidden"
    status = 403


class Missing(Refused):
    """No such object, or not for this actor: the two look the same from outside."""

    code = "missing"
    status = 404


class Conflict(Refused):
    """The same idempotency key came with another body, or the object has moved on."""

    code = "conflict"


def invalid(field: str, value: object, rule: str, row: int | None = None) -> Invalid:
    """Shorthand for a single problem."""
    return Invalid(Problem(field, "" if value is None else str(value), rule, row))
