"""What a round charges, keeps and returns can be read before signing and recomputed after."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui import publications, terms
from huoshui.terms import RoundTerms, TermError, Transfer

TEXT = publications.shipped("round_terms")["round_terms/demo-2026.yaml"]
TERMS: RoundTerms = terms.load(TEXT)[1]


def test_the_platform_charges_the_fee_less_its_concession() -> None:
    assert TERMS.charged_fee_bps == TERMS.fee_bps - TERMS.concession_bps == 100


@pytest.mark.parametrize(("hours", "bps"), [(500, 10_000), (48, 10_000), (47, 8_000), (6, 5_000), (5, 0), (-3, 0)])
def test_what_a_cancellation_returns_depends_on_the_notice(hours: int, bps: int) -> None:
    assert TERMS.cancellation_return_bps.bps(hours) == bps


@given(st.integers(-100, 1000), st.integers(0, 1000))
def test_more_notice_never_costs_the_recalling_side_more(hours: int, more: int) -> None:
    for steps in (TERMS.displacement_bps, TERMS.recall_difference_bps):
        assert steps.bps(hours + more) <= steps.bps(hours)


def test_transfers_are_free_within_a_region_and_absent_where_not_offered() -> None:
    assert TERMS.transfer("east", "east") == Transfer(0, 0)
    assert TERMS.transfer("east", "northwest") == Transfer(4, 6000)
    assert TERMS.transfer("east", "the moon") is None


def test_a_request_is_small_up_to_the_threshold() -> None:
    assert TERMS.is_small(64)
    assert not TERMS.is_small(65)


@pytest.mark.parametrize(
    ("old", "new", "field", "rule"),
    [
        ("concession_bps: 200", "concession_bps: 301", "body.concession_bps", "at_most"),
        ("fee_bps: 300", "fee_bps: 10001", "body.fee_bps", "integer"),
        ("  vat_bps: 600\n", "", "body.vat_bps", "required"),
        ("{notice_hours: 0, bps: 2000}", "{notice_hours: 1, bps: 2000}", "body.displacement_bps", "steps_reach_zero"),
        ("hours: 24, bps: 1000", "hours: 72, bps: 1", "body.displacement_bps[1].notice_hours", "decreasing"),
        ("rank: 1", "rank: 2", "body.priority_classes", "increasing"),
        ("index_rule: sold_weighted_mean", "index_rule: fixed", "body.conversion.fixed_index_price_fen", "required"),
        ("index_rule: sold_weighted_mean", "index_rule: guess", "body.conversion.index_rule", "choice"),
        ("from: east, to: south", "from: east, to: north", "body.transfers[1].from", "unique"),
        ("price_step: 1000", "price_step: 0", "body.price_step", "integer"),
        ("price_step: 1000", "price_step: 1000\n  bonus_bps: 1", "body.bonus_bps", "unknown_field"),
    ],
)
def test_wrong_terms_are_refused_by_field_and_rule(old: str, new: str, field: str, rule: str) -> None:
    assert old in TEXT
    with pytest.raises(TermError) as caught:
        terms.load(TEXT.replace(old, new, 1))
    assert (caught.value.field, caught.value.rule) == (field, rule)
