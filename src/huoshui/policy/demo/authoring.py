"""Demo of writing packs: an invented notice with a draft half done, and changes of law counted over the demo firms."""

import hashlib
from collections.abc import Iterator
from datetime import date

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.models import User
from huoshui.policy import comparing, pack_text
from huoshui.policy.actions import authoring as actions
from huoshui.policy.models import Notice, PackComparison, PackDraft
from huoshui.registry.models import Publication
from huoshui.rules import KIND

NOTICE = """\
示例市支持中小企业使用公共算力实施细则
示经信〔2026〕18号
第一条 为降低中小企业使用算力的成本，结合本市实际，制定本细则。
第二条 本细则适用于在本市登记注册、依法纳税的中小企业。
第三条 申请企业应当同时满足下列条件：
（一）成立满一年以上；
（二）上年度营业收入总额不低于500万元；
（三）近2年研发费用总额占营业收入总额比重均不低于3%；
（四）上年末资产负债率不高于80%；
（五）未被列入经营异常名录或严重失信主体名单。
第四条 符合条件的企业，按上年度研发费用的10%给予补助，每家企业每年最高50万元。
第五条 申请企业应当提供营业执照、上年度审计报告和研发费用辅助账。
第六条 具有较强行业影响力、带动上下游使用国产算力的企业，经专家评审可优先支持。
第七条 本细则自2027年1月1日起施行，有效期至2027年12月31日。
"""
HEADER = {
    "identifier": "demo-public-compute-2027", "title": "示例市公共算力补助（2027年）",
    "authority": "示例市经济和信息化局", "document_number": "示经信〔2026〕18号", "source": "示例文件，为演示而编写",
}  # fmt: skip
FIRST_YEAR = date(2027, 1, 1)
CRITERIA = (
    {
        "id": "founded", "title": "成立年限", "kind": "hard", "clause": "第三条（一）", "quote": "成立满一年以上",
        "test": {"op": "ge", "of": {"age": "founded"}, "value": 1, "unit": "年"}, "evidence": ["营业执照"],
    },
    {
        "id": "revenue", "title": "上年营业收入", "kind": "hard", "clause": "第三条（二）",
        "quote": "上年度营业收入总额不低于500万元",
        "test": {"op": "ge", "of": "revenue", "period": "last_year", "value": 500, "unit": "万元"},
        "evidence": ["上年度审计报告"],
    },
    {
        "id": "abnormal", "title": "未列入经营异常名录", "kind": "veto", "clause": "第三条（五）",
        "quote": "未被列入经营异常名录或严重失信主体名单",
        "test": {"op": "any_of", "tests": [
            {"op": "is", "of": "abnormal", "value": True}, {"op": "is", "of": "dishonest", "value": True},
        ]},
    },
)  # fmt: skip
CHANGES_OF_LAW = (
    ("hangzhou-compute-voucher-2023", "hangzhou-compute-voucher-2025"),
    ("hangzhou-compute-voucher-2024", "hangzhou-compute-voucher-2025"),
    ("srdi-2022", "srdi-2026"),
    ("little-giant-2022", "little-giant-2026"),
)


def load() -> Iterator[str]:
    """A notice, a draft beside it, and four changes of law."""
    officer = Actor(User.objects.get(username="officer"))
    _draft(officer)
    yield _("Demo: a pack being written beside its notice")
    counted = sum(_compared(officer, old, new) for old, new in CHANGES_OF_LAW)
    yield _("Demo: %(count)s changes of law counted over the firms") % {"count": counted}


def _draft(officer: Actor) -> None:
    paragraphs = NOTICE.splitlines()
    digest = hashlib.sha256(NOTICE.encode()).hexdigest()
    about = {name: HEADER[name] for name in ("title", "authority", "document_number", "source")}
    notice: Notice = actions.add_notice(
        officer, key="demo/notice", **about, filename="示例实施细则.txt", digest=digest, paragraphs=paragraphs
    )
    text = pack_text.skeleton(HEADER, FIRST_YEAR).replace("body:\n", "effective_to: 2027-12-31\ndemo: true\nbody:\n")
    draft: PackDraft = actions.start_draft(officer, key="demo/draft", text=text, notice=notice)
    for number, criterion in enumerate(CRITERIA, 1):
        key = f"demo/draft/{criterion['id']}"
        draft = actions.put_criterion(officer, key=key, draft=draft, version=number, criterion=criterion)


def _compared(officer: Actor, old: str, new: str) -> bool:
    """Count one change of law, once; False when a demo has other packs."""
    texts = {row.identifier: row for row in Publication.objects.filter(kind=KIND, identifier__in=(old, new))}
    if len(texts) < 2 or PackComparison.objects.filter(old=texts[old], new=texts[new]).exists():
        return False
    asked = actions.ask_comparison(officer, old=texts[old], new=texts[new], on=clock.today())
    comparing.count_here(asked)
    return True
