"""What the reader refuses, beyond what tests of packs and lint see."""

import pytest

from huoshui import rules
from huoshui.rules import RuleError

PACK = """
kind: rule_pack
id: example
title: 示例
authority: 示例市
source: 示例
status: draft
effective_from: 2026-01-01
note: 示例
body:
  audience: {{text: 全部}}
  fields:
    - {{code: own.cut, title: 裁员人数, kind: integer, unit: 人, periodic: true}}
    - {{code: own.insured, title: 平均参保人数, kind: decimal, places: {places}, unit: 人, periodic: true}}
  criteria:
    - id: cut
      title: 裁员率
      kind: hard
      clause: 一
      quote: 不高于5.5%
      test: {{op: le, of: {measure}, period: last_year, value: "5.5", unit: "{unit}"}}
"""


@pytest.mark.parametrize(
    ("measure", "unit"),
    [("{ratio: [own.cut, own.insured]}", "%"), ("{ratio: [own.insured, own.cut]}", "%"),
     ("{sum: [own.cut, own.insured]}", "人")],
)  # fmt: skip
def test_numbers_with_other_decimals_are_neither_added_nor_divided(measure: str, unit: str) -> None:
    with pytest.raises(RuleError, match="number of decimals") as refused:
        rules.load(PACK.format(places=2, measure=measure, unit=unit))
    assert refused.value.rule == "places_differ"
    assert "own.insured 2" in str(refused.value)


def test_a_ratio_of_the_same_decimals_is_read() -> None:
    assert rules.load(PACK.format(places=0, measure="{ratio: [own.cut, own.insured]}", unit="%").replace(
        "kind: decimal, places: 0", "kind: integer"))  # fmt: skip
