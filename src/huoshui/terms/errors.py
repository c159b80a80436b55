"""What was wrong, where, and by which rule: one exception for every pure term.

A pure layer returns codes and parameters and leaves sentences to the faces. `TermError` therefore carries
the field, the value and a rule code; `str()` renders the English template, which is also the gettext msgid.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        # documents
        "document_bytes": "the document may have at most %(max)s bytes",
        "document_depth": "values may be nested at most %(max)s deep",
        "document_nodes": "the document may have at most %(max)s values",
        "document_yaml": "not readable as YAML: %(problem)s",
        "document_single": "the text must hold exactly one document",
        "no_alias": "anchors and aliases are not allowed",
        "no_tag": "YAML tags are not allowed",
        "duplicate_key": "the same key is given twice",
        "required": "the field is required",
        "one_key": "exactly one of these must be given: %(keys)s",
        "unknown_field": "no such field here; known fields: %(known)s",
        "kind_unknown": "no such kind of publication; known kinds: %(known)s",
        # values
        "mapping": "must be a mapping",
        "list": "must be a list of at least %(min)s and at most %(max)s items",
        "text": "must be text of 1 to %(max)s characters",
        "text_characters": "must not hold control characters",
        "identifier": "must be lower-case letters, digits, dots and hyphens, starting with a letter or digit",
        "boolean": "must be true or false",
        "integer": "must be a whole number from %(min)s to %(max)s",
        "date": "must be a date written as YYYY-MM-DD",
        "choice": "must be one of: %(choices)s",
        "order": "must not be before %(other)s",
        "unique": "must not be given twice",
        "at_most": "must be at most %(other)s",
        # calendar
        "in_year": "must lie in the year %(year)s",
        "on_weekend": "a make-up working day must fall on a weekend and outside the holidays",
        # tariff
        "month_day": "must be MM-DD/MM-DD, both days included",
        "seasons_cover": "every day of the year must belong to exactly one season",
        "hours": "must be H-H or H:30-H:30 within 0-24, the start before the end",
        "hours_overlap": "a half-hour belongs to one period only",
        "multiplier_missing": "the period has hours but no multiplier",
        "calendar_needed": "this tariff has holiday prices: a working-day calendar is needed",
        # rates, steps
        "increasing": "must increase from one item to the next",
        "decreasing": "must decrease from one item to the next",
        "steps_reach_zero": "the last step must start at 0 hours",
        "before_first": "the series starts on %(first)s: no value is known before",
        # amounts
        "amount_format": "must be an amount such as 12,345.67",
        "amount_decimals": "may have at most %(max)s decimals in this unit",
        "amount_range": "must be from %(min)s to %(max)s fen",
        "amount_negative": "must not be negative",
        "weights_zero": "a total above zero needs at least one weight above zero",
        "same_length": "must have as many items as %(other)s",
        # days
        "working_days_range": "must be from 0 to %(max)s working days",
        "positive": "must be greater than zero",
    }
)


class TermError(ValueError):
    """A value broke a rule. `field` says where (`body.seasons[2].peak`), `rule` is a key of `RULES`."""

    rules: ClassVar[Mapping[str, str]] = RULES

    def __init__(self, field: str, value: object, rule: str, **params: Any) -> None:
        self.field, self.value, self.rule, self.params = field, value, rule, params
        super().__init__(field, value, rule, params)

    def __str__(self) -> str:
        shown = repr(self.value)
        if len(shown) > 80:
            shown = shown[:77] + "..."
        return f"{self.field}: {shown}: {self.rules[self.rule] % self.params}"
