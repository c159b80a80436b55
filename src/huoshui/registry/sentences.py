"""Sentences for the codes of the pure layers: faults of tables and broken terms, in the reader's language."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui.base.errors import Invalid, Problem
from huoshui.clearing.tables import BadTable, Rule
from huoshui.terms import TermError

RULES: Mapping[str, str | Promise] = {
    # tables
    "amount": gettext_lazy("must be an amount such as 12,345.67"),
    "at_least": gettext_lazy("must be at least %(minimum)s"),
    "bytes_at_most": gettext_lazy("the file may have at most %(maximum)s bytes; use the command line for larger ones"),
    "cells": gettext_lazy("the row has %(found)s cells where the header has %(expected)s"),
    "characters_at_most": gettext_lazy("may have at most %(maximum)s characters"),
    "columns_at_most": gettext_lazy("may have at most %(maximum)s columns"),
    "csv": gettext_lazy("not readable as CSV"),
    "date": gettext_lazy("must be a date such as 2026-01-31 or 2026年1月31日"),
    "decimals_at_most": gettext_lazy("may have at most %(maximum)s decimals"),
    "encoding": gettext_lazy("must be text in %(one_of)s"),
    "file_type": gettext_lazy("must be one of these kinds of file: %(one_of)s"),
    "known_column": gettext_lazy("no such column; known: %(known)s"),
    "local_time": gettext_lazy("must be a local time such as %(example)s"),
    "no_doctype": gettext_lazy("the workbook declares XML entities"),
    "number": gettext_lazy("must be a number"),
    "once": gettext_lazy("stands twice"),
    "one_of": gettext_lazy("must be one of: %(one_of)s"),
    "parquet": gettext_lazy("not readable as Parquet"),
    "period": gettext_lazy("must be a year, quarter or month such as 2025, 2025Q1 or 2025-06"),
    "printable": gettext_lazy("has characters that cannot be printed"),
    "required": gettext_lazy("must not be empty"),
    "rows_at_most": gettext_lazy("may have at most %(maximum)s rows; use the command line for larger files"),
    "unpacked_at_most": gettext_lazy("the workbook unpacks to far more than it weighs; the limit is %(maximum)s bytes"),
    "whole_hour": gettext_lazy("must be a whole hour"),
    "whole_number": gettext_lazy("must be a whole number"),
    "xlsx": gettext_lazy("not readable as an Excel workbook (.xlsx)"),
    "year_between": gettext_lazy("the year must lie between %(minimum)s and %(maximum)s"),
    # registry
    "industry": gettext_lazy("must be the digits of a code of GB/T 4754-2017, such as 65, 651 or 6510"),
    "in_future": gettext_lazy("lies in the future"),
    "division": gettext_lazy("no such division (GB/T 2260 code or name)"),
    "role_kind": gettext_lazy("must be one of: %(one_of)s"),
    "uscc_length": gettext_lazy("a USCC has 18 characters"),
    "uscc_characters": gettext_lazy("a USCC has digits and capitals without I, O, S, V, Z; places 3 to 8 are digits"),
    "uscc_check": gettext_lazy("the check character of the USCC does not fit: a character is wrong"),
    # terms: amounts
    "amount_format": gettext_lazy("must be an amount such as 12,345.67"),
    "amount_decimals": gettext_lazy("may have at most %(max)s decimals in this unit"),
    "amount_range": gettext_lazy("must be from %(min)s to %(max)s fen"),
    "amount_negative": gettext_lazy("must not be negative"),
    # terms: documents
    "document_bytes": gettext_lazy("the document may have at most %(max)s bytes"),
    "document_depth": gettext_lazy("values may be nested at most %(max)s deep"),
    "document_nodes": gettext_lazy("the document may have at most %(max)s values"),
    "document_yaml": gettext_lazy("not readable as YAML: %(problem)s"),
    "document_single": gettext_lazy("the text must hold exactly one document"),
    "no_alias": gettext_lazy("anchors and aliases are not allowed"),
    "no_tag": gettext_lazy("YAML tags are not allowed"),
    "duplicate_key": gettext_lazy("the same key is given twice"),
    "one_key": gettext_lazy("exactly one of these must be given: %(keys)s"),
    "text_characters": gettext_lazy("must not hold control characters"),
    "tiers": gettext_lazy("each must read from cards / from hours / yuan, such as 64 / 24 / 9.00"),
    "unknown_field": gettext_lazy("no such field here; known fields: %(known)s"),
    "kind_unknown": gettext_lazy("no such kind of publication; known kinds: %(known)s"),
    "mapping": gettext_lazy("must be a mapping"),
    "list": gettext_lazy("must be a list of at least %(min)s and at most %(max)s items"),
    "text": gettext_lazy("must be text of 1 to %(max)s characters"),
    "identifier": gettext_lazy("must be lower-case letters, digits, dots and hyphens, starting with a letter or digit"),
    "boolean": gettext_lazy("must be true or false"),
    "integer": gettext_lazy("must be a whole number from %(min)s to %(max)s"),
    "choice": gettext_lazy("must be one of: %(choices)s"),
    "order": gettext_lazy("must not be before %(other)s"),
    "unique": gettext_lazy("must not be given twice"),
    "at_most": gettext_lazy("must be at most %(maximum)s"),
    # terms: calendar, tariff, rates, steps, days
    "in_year": gettext_lazy("must lie in the year %(year)s"),
    "on_weekend": gettext_lazy("a make-up working day must fall on a weekend and outside the holidays"),
    "month_day": gettext_lazy("must be MM-DD/MM-DD, both days included"),
    "seasons_cover": gettext_lazy("every day of the year must belong to exactly one season"),
    "hours": gettext_lazy("must be H-H or H:30-H:30 within 0-24, the start before the end"),
    "hours_overlap": gettext_lazy("a half-hour belongs to one period only"),
    "multiplier_missing": gettext_lazy("the period has hours but no multiplier"),
    "calendar_needed": gettext_lazy("this tariff has holiday prices: a working-day calendar is needed"),
    "increasing": gettext_lazy("must increase from one item to the next"),
    "decreasing": gettext_lazy("must decrease from one item to the next"),
    "steps_reach_zero": gettext_lazy("the last step must start at 0 hours"),
    "before_first": gettext_lazy("the series starts on %(first)s: no value is known before"),
    "weights_zero": gettext_lazy("a total above zero needs at least one weight above zero"),
    "same_length": gettext_lazy("must have as many items as %(other)s"),
    "working_days_range": gettext_lazy("must be from 0 to %(max)s working days"),
    "positive": gettext_lazy("must be greater than zero"),
    # rule packs
    "field_unknown": gettext_lazy(
        "no field has this code; declare it under body.fields or choose one of the catalogue"
    ),
    "field_redefined": gettext_lazy("this field is in the catalogue and cannot be declared anew"),
    "field_kind": gettext_lazy("this needs a field of kind %(kinds)s; %(code)s is %(kind)s"),
    "unit_mismatch": gettext_lazy("the unit must be %(expected)s"),
    "threshold_places": gettext_lazy("not a whole number of the smallest unit (%(places)s decimals at most)"),
    "period_needed": gettext_lazy("%(code)s has one value a year: say which period"),
    "period_refused": gettext_lazy("%(code)s has no periods"),
    "places_differ": gettext_lazy("members must have the same number of decimals; found %(found)s"),
    "units_differ": gettext_lazy("members must have the same unit; found %(units)s"),
    "operator_unknown": gettext_lazy("no such operator; known: %(known)s"),
    "parameter_unknown": gettext_lazy("no parameter has this name; known: %(known)s"),
    "criterion_unknown": gettext_lazy("no criterion has this id; known: %(known)s"),
    "class_unknown": gettext_lazy("no class has this id; known: %(known)s"),
    "part_unknown": gettext_lazy("no part of the scoring has this id; known: %(known)s"),
    "bands_shape": gettext_lazy("each band needs points, and from or to or both, from below to"),
    "steps_fall": gettext_lazy("steps must fall in points, and end above the rest"),
    "test_or_score": gettext_lazy("a criterion of kind score has a score and a part, every other kind has a test"),
    "veto_exempt": gettext_lazy("an exemption names criteria of kind hard or manual, or score"),
    "class_last": gettext_lazy("only the last class may leave out its test"),
    "claim_stage": gettext_lazy("a claim field (%(code)s) may only be read by a criterion of stage claim"),
    "nested_each": gettext_lazy("a period “each” cannot stand here"),
    "else_last": gettext_lazy("the case “otherwise” comes last and once"),
    "cycle": gettext_lazy("packs depend on one another in a circle: %(path)s"),
    "pack_unknown": gettext_lazy("no pack has this id"),
}
FIELDS: Mapping[str, str | Promise] = {
    "file": gettext_lazy("file"),
    "header": gettext_lazy("header"),
    "row": gettext_lazy("row"),
    "rows": gettext_lazy("rows"),
}


def sentence(code: str, params: Mapping[str, Any] | None = None) -> str:
    """The sentence of a rule code; the code itself when nobody has written one."""
    text = str(RULES.get(code, code))
    values = dict(params or {})
    values.setdefault("maximum", values.get("other", ""))
    return text % values


def of_rule(rule: Rule) -> str:
    """The sentence of a rule that a cell broke."""
    return sentence(rule.code, rule.params)


def of_table(error: BadTable) -> Invalid:
    """Everything wrong with a table, as an error that a face can show."""
    problems = [
        Problem(str(FIELDS.get(fault.field, fault.field)), fault.value, sentence(fault.rule, fault.params), fault.row)
        for fault in error.faults
    ]
    if error.total > len(problems):
        more = _("and %(count)s more") % {"count": error.total - len(problems)}
        problems.append(Problem(str(FIELDS["rows"]), "…", more))
    return Invalid(*problems)


def of_term(error: TermError) -> Invalid:
    """A broken term, as an error that a face can show."""
    return Invalid(Problem(error.field, str(error.value)[:200], sentence(error.rule, error.params)))
