"""The check of GB 32100-2015 lets no slip of the pen through."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from huoshui.registry import uscc

REAL = "91110000600037341L"
characters = st.sampled_from(uscc.ALPHABET)


@st.composite
def codes(draw: st.DrawFn) -> str:
    region = "".join(draw(st.lists(st.sampled_from("0123456789"), min_size=6, max_size=6)))
    rest = "".join(draw(st.lists(characters, min_size=9, max_size=9)))
    first17 = draw(characters) + draw(characters) + region + rest
    return first17 + uscc.check_character(first17)


def test_a_known_code_passes() -> None:
    assert uscc.fault(REAL) == ""
    assert uscc.organisation_code("60003734") == "600037341"


@pytest.mark.parametrize("first", "ANY")
def test_the_registrar_may_be_a_letter(first: str) -> None:
    first17 = first + REAL[1:17]
    assert uscc.fault(first17 + uscc.check_character(first17)) == ""


@given(codes(), st.integers(0, 17), characters)
def test_every_single_substitution_is_caught(code: str, place: int, other: str) -> None:
    assume(code[place] != other)
    assert uscc.fault(code) == ""
    assert uscc.fault(code[:place] + other + code[place + 1 :]) != ""


@given(codes(), st.integers(0, 16))
def test_every_exchange_of_neighbours_is_caught(code: str, place: int) -> None:
    assume(code[place] != code[place + 1])
    assert uscc.fault(code[:place] + code[place + 1] + code[place] + code[place + 2 :]) != ""


@pytest.mark.parametrize(
    ("code", "fault"),
    [("", "uscc_length"), (REAL[:17], "uscc_length"), ("9111000060003734IL", "uscc_characters"),
     ("91110000600037342L", "uscc_check"), ("911A0000600037341L", "uscc_characters")],
)
def test_the_fault_is_named(code: str, fault: str) -> None:
    assert uscc.fault(code) == fault


def test_codes_are_read_as_people_write_them() -> None:
    assert uscc.normal(" ９１１１００００ 600037341l ") == REAL


@given(st.integers(0, uscc.INVENTED_MAX))
def test_invented_codes_pass_and_show_that_they_are_invented(serial: int) -> None:
    code = uscc.invented(serial)
    assert uscc.fault(code) == ""
    assert code[2:8] == "990000"
    assert code[8:11] == "DEM"
    assert uscc.organisation_code(code[8:16]) == code[8:17]
