"""The terms of the exchange are read strictly: what is wrong is named."""

import pytest

from huoshui import publications, terms
from huoshui.terms import ExchangeTerms, TermError

TEXT = publications.shipped("exchange_terms")["exchange_terms/demo-2026.yaml"]
TERMS: ExchangeTerms = terms.load(TEXT)[1]


def test_sessions_and_criteria_are_found_by_their_code() -> None:
    found = TERMS.session("afternoon")
    assert found is not None
    assert (found.opens_hour, found.closes_hour) == (14, 16)
    assert TERMS.session("night") is None
    assert [criterion.code for criterion in TERMS.criteria][0] == "price"


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("tick_fen: 5", "tick_fen: 0", "body.tick_fen", "integer"),
        ("price_limit_bps: 3000", "price_limit_bps: 10000", "body.price_limit_bps", "integer"),
        ("closes_hour: 11", "closes_hour: 9", "body.sessions[0].closes_hour", "integer"),
        ("code: afternoon", "code: morning", "body.sessions", "unique"),
        ("code: memory", "code: luck", "body.criteria[2].code", "choice"),
        ("code: price, title", "code: memory, title", "body.criteria", "unique"),
        ("weight_max_bps: 10000", "weight_max_bps: 3999", "body.criteria[0].weight_max_bps", "integer"),
        ("  lead_hours: 2\n", "", "body.lead_hours", "required"),
        ("  fee_bps: 100\n", "  fee_bps: 100\n  other: 1\n", "body.other", "unknown_field"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, field: str, rule: str) -> None:
    assert old in TEXT
    with pytest.raises(TermError) as error:
        terms.load(TEXT.replace(old, new, 1))
    assert (error.value.field, error.value.rule) == (field, rule)
