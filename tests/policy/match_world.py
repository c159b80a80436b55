"""A small world for matches and applications: a firm, who acts for it, two officers, and packs of every kind.

The packs are written here, so that a test can see what they say. Everything goes through the product's own functions.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.registry import actions as registry
from huoshui.registry.models import Party, Publication
from huoshui.registry.uscc import invented

SYSTEM = access.system("test")
NOON = datetime(2026, 6, 1, 12, tzinfo=clock.LOCAL)
TODAY = date(2026, 6, 1)

HEAD = """
kind: rule_pack
id: {id}
title: {title}
authority: 示例市经济和信息化局
source: 测试
status: {status}
effective_from: {since}
{more}body:
  audience: {{text: {audience}, test: {{op: is, of: resident, value: true}}}}
{body}
"""
LICENCE = "    - {id: licence, title: 营业执照, facts: [resident], kept: true}\n"
REPORT = "    - {id: report, title: 审计报告, facts: [], kept: false}\n"

GRANT = """
  criteria:
    - {id: rd, title: 研发投入占比, kind: hard, clause: 第三条, quote: 研发费用占营业收入不低于3%, effort: 3,
       test: {op: ge, of: {ratio: [rd, revenue]}, period: last_year, value: 3, unit: "%"}}
    - {id: clean, title: 未列入经营异常名录, kind: veto, clause: 第四条, quote: 列入经营异常名录的不予支持,
       test: {op: is, of: abnormal, value: true}}
    - {id: field, title: 属于重点领域, kind: manual, clause: 第五条, quote: 属于本市重点发展领域,
       test: {op: manual, question: 产品是否属于重点领域？}}
  benefit: {kind: grant, text: 按研发费用的10%补助, clause: 第六条, quote: 补助10%, cap: {value: 50, unit: 万元},
    amount: {share: {of: rd, period: last_year}, rate: {otherwise: 10}}}
  materials:
""" + LICENCE + REPORT
SCORED = """
  criteria:
    - {id: ip, title: 知识产权, kind: score, clause: 第二条, quote: 每类计分, effort: 2,
       score: {steps: [{points: 24, test: {op: ge, of: ip.class2, value: 4, unit: 项}},
                       {points: 18, test: {op: ge, of: ip.class2, value: 3, unit: 项}}], otherwise: 0}}
    - {id: people, title: 人员, kind: score, clause: 第二条, quote: 科技人员占比, effort: 4,
       score: {of: {ratio: [staff.rd, staff]}, period: last_year, unit: "%",
               bands: [{from: 30, points: 40}, {from: 10, to: 30, points: 30}, {to: 10, points: 0}]}}
  scoring: {threshold: 54, clause: 第一条, quote: 总分不低于54分,
    parts: [{id: all, title: 全部, minimum: 0, criteria: [ip, people]}]}
  benefit: {kind: certificate, text: 认定为示例企业, clause: 第三条, quote: 予以认定}
  materials:
""" + LICENCE + REPORT
VOUCHER = """
  criteria:
    - {id: clean, title: 未列入严重失信主体名单, kind: veto, clause: 第二条, quote: 严重失信主体不予支持,
       test: {op: is, of: dishonest, value: true}}
    - {id: listed, title: 供应方在名录内, kind: hard, stage: claim, clause: 第三条, quote: 向名录内供应方采购,
       test: {op: is, of: claim.supplier-listed, value: true}}
  benefit: {kind: voucher, text: 不超过合同金额的30%, clause: 第四条, quote: 补贴30%, cap: {value: 10, unit: 万元},
    amount: {share: {of: claim.settled}, rate: {otherwise: 30}}}
  materials:
    - {id: contract, title: 服务合同, facts: [claim.settled], kept: false}
"""
OPEN = """
  criteria:
    - {id: premises, title: 有固定经营场所, kind: hard, clause: 第一条, quote: 有固定经营场所,
       test: {op: is, of: premises.fixed, value: true}}
  benefit: {kind: certificate, text: 予以备案, clause: 第二条, quote: 予以备案}
"""


def text(identifier: str, body: str, *, status: str = "in_force", since: str = "2026-01-01", more: str = "") -> str:
    """A pack as YAML."""
    return HEAD.format(
        id=identifier, title=f"示例{identifier}", status=status, since=since, more=more, audience="企业", body=body
    )


def publish(content: str) -> Publication:
    """Put a publication in force, by two persons."""
    made = registry.submit_publication(access.system("first"), text=content)
    registry.review_publication(access.system("second"), publication=made)
    return registry.activate_publication(access.system("second"), publication=made)


def say(party: Party, code: str, value: Any, year: int | None = None, source: str = "official", **named: Any) -> None:
    """A source states a fact."""
    span = {} if year is None else {"period_start": date(year, 1, 1), "period_end": date(year, 12, 31)}
    registry.state_fact(SYSTEM, party=party, code=code, value=value, source=source, **span, **named)


@dataclass(frozen=True)
class World:
    """`firm` meets the grant but for a person's judgement, is one item short of the scored certificate, meets the
    voucher, and nobody knows whether it has premises. `other` is a firm of somebody else."""

    firm: Party
    other: Party
    centre: Party
    agent: Actor
    stranger: Actor
    officer: Actor
    second: Actor


def build(people: Any) -> World:
    """Call it with the clock at NOON."""
    centre = registry.create_party(SYSTEM, name="示例中心", uscc=invented(1), kinds=("centre", "institution"))
    firm = registry.create_party(SYSTEM, name="示例企业", uscc=invented(2), division="330106", kinds=("entity",))
    other = registry.create_party(SYSTEM, name="示例他企", uscc=invented(3), division="330200", kinds=("entity",))
    for party in (firm, other):
        say(party, "resident", True)
    say(firm, "rd", 4_000_000, 2025, "tax")
    say(firm, "revenue", 100_000_000, 2025, "tax")
    say(firm, "staff", 20, 2025)
    say(firm, "staff.rd", 4, 2025)
    say(firm, "ip.class2", 3)
    say(firm, "abnormal", False)
    say(firm, "dishonest", False)
    for name, body in (("grant", GRANT), ("scored", SCORED), ("voucher", VOUCHER), ("open", OPEN)):
        publish(text(name, body))
    publish(text("draft", OPEN, status="draft"))
    return World(
        firm, other, centre, people("agent", f"party:{firm.pk}"), people("agent", f"party:{other.pk}"),
        people("officer"), people("officer"),
    )  # fmt: skip
