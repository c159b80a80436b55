"""Skeletons of the parts of a pack that are written in the text, each with a line of help."""

from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True)
class Part:
    """One part: its key in the body, what it is for, and what it looks like."""

    id: str
    title: str | Promise
    help: str | Promise
    skeleton: str


PARTS: Final = (
    Part("benefit", _("benefit"), _("What meeting the criteria brings: its kind, its amount, its cap."), """\
benefit:
  kind: grant                 # certificate, grant, tax, voucher, credit
  text: 按上年研发费用的10%给予补助，每家企业每年最高100万元
  clause: 第 条
  quote: 待粘贴
  cap: {value: 100, unit: 万元}
  amount:
    least:
      - share: {of: rd, period: last_year}
        rate: {otherwise: 10}
      - {fixed: 100, unit: 万元}"""),
    Part("windows", _("windows"), _("Days on which applications are taken, both included."), """\
windows:
  - {from: 2026-04-25, to: 2026-05-25, text: 网上申报}"""),
    Part("scoring", _("scoring"), _("Score criteria by parts, with the total and the least of each part."), """\
scoring:
  threshold: 60
  parts:
    - {id: innovation, title: 创新能力, minimum: 20, criteria: [rd-ratio]}
  clause: 附件1
  quote: 待粘贴"""),
    Part("materials", _("materials"), _("Documents of an application, and the facts that each proves."), """\
materials:
  - {id: licence, title: 营业执照, facts: [founded, division], kept: true}"""),
    Part("parameters", _("parameters"), _("Named thresholds that a region may set for itself."), """\
parameters:
  - {id: months, title: 最短经营时间, value: 12, unit: 月}"""),
    Part("fields", _("fields"), _("What this pack asks and the catalogue does not have."), """\
fields:
  - {code: own.field, title: 自定义事实, kind: integer, unit: 项, periodic: false}"""),
    Part("stacking", _("stacking"), _("How much benefits of one group may reach together for one contract."), """\
stacking: {group: compute, max: 60, clause: 第 条, quote: 待粘贴}"""),
    Part("transitions", _("transitions"), _("Who is judged by another pack, and until when."), """\
transitions:
  - id: re-review
    title: 复核
    when: {op: valid, of: srdi}
    pack: other-pack
    until: 2026-12-31
    clause: 第 条
    quote: 待粘贴"""),
)  # fmt: skip
"""The parts that the editor can put into a text, in the order in which people need them."""
