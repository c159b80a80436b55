"""How notices name what can be known: the words by which lint recognises a field in a quote.

The idea: 主营业务收入 in the quote and `revenue` in the test are a clause error. Words are found longest first, so
that a longer name hides the shorter ones within it. A field without words of its own here is known by its title. Also
here: which yes/no fields say something bad, so that requiring one, or excluding for a good one, is seen to be the wrong
way round.
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from .fields import Field
from .quotes import narrow

WORDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "revenue": ("营业收入", "销售收入", "营业额", "营收"),
    "revenue.main": ("主营业务收入", "主营收入", "主营业务"),
    "revenue.high-tech": ("高新技术产品(服务)收入", "高新技术产品"),
    "income.total": ("同期总收入", "企业总收入", "总收入", "收入总额"),
    "cost.total": ("成本费用支出总额", "成本费用"),
    "profit.net": ("净利润",),
    "assets": ("资产总额", "总资产", "资产总计", "资产负债率"),
    "assets.net": ("净资产",),
    "liabilities": ("负债总额", "总负债", "资产负债率"),
    "taxable-income": ("应纳税所得额",),
    "vat.input": ("进项税额",),
    "rd": ("研发费用", "研究开发费用", "研发投入", "研发经费", "研发支出", "研究开发费", "研究开发投入"),
    "rd.domestic": ("境内发生的研究开发费用", "境内发生的研发费用", "中国境内发生"),
    "rd.expensed": ("计入当期损益",),
    "rd.capitalised": ("形成无形资产", "无形资产成本"),
    "equity.new": ("股权融资",),
    "staff": ("职工总数", "从业人员", "从业人数", "职工", "员工", "参保人数"),
    "staff.rd": ("科技人员", "研发人员", "研究人员"),
    "founded": ("注册成立", "成立时间", "成立年限", "成立", "经营时间", "经营满", "注册满", "注册时间"),
    "segment.since": ("特定细分市场", "细分市场", "细分领域"),
    "segment.share": ("市场占有率", "市场份额"),
    "segment.rank": ("国内排名", "市场排名", "市场名列"),
    "srdi.score": ("评价得分", "发展评价", "评价指标"),
    "ip.class1": ("Ⅰ类知识产权", "I类知识产权", "发明专利", "Ⅰ类"),
    "ip.class1.high-value": ("Ⅰ类高价值", "高价值知识产权", "高价值发明"),
    "ip.class1.own": ("自主研发的Ⅰ类", "自主研发Ⅰ类"),
    "ip.class1.main": ("主导产品相关",),
    "ip.class2": ("Ⅱ类知识产权", "II类知识产权", "Ⅱ类", "实用新型"),
    "ip.core.count": ("核心自主知识产权", "自主知识产权"),
    "ip.core.granted": ("已授权",),
    "pct": ("PCT",),
    "award.national": ("国家级科技奖", "国家科技奖", "国家科学技术奖"),
    "award.national.five": ("国家级科技奖", "国家科技奖", "国家科学技术奖"),
    "award.national.top-five": ("国家级科技奖", "国家科技奖", "国家科学技术奖"),
    "award.provincial": ("省部级及以上科技奖", "省部级以上科技奖", "省部级科技奖", "省级科技奖"),
    **dict.fromkeys(("incident.three", "incident.year", "incident.two"), ("重大安全", "重大质量", "重大事故", "事故")),
    "award.any": ("国家级、省级科技奖", "国家级或省级科技奖"),
    "rd-body": ("研发机构",),
    "rd-body.level": ("研发机构",),
    "rd-body.provincial": ("省部级及以上研发机构", "省部级以上研发机构", "省部级研发机构", "研发机构"),
    "standard.led": ("主导制定", "标准制定"),
    "talent.d": ("D类", "人才", "省级科技奖"),
    "abnormal": ("经营异常名录", "经营异常"),
    "dishonest": ("严重失信主体", "失信主体", "违法失信"),
    "restricted": ("禁止、限制", "限制类", "淘汰类", "禁止类"),
    "data-fraud": ("造假", "弄虚作假", "虚假"),
    "sme.size": ("中小微", "中小企业", "小微企业", "小型微利", "中型", "大型", "小型", "微型"),
    "tax.grade": ("纳税信用", "纳税缴费信用"),
    "legal-entity": ("独立法人", "法人资格"),
    "high-tech": ("高新技术企业",),
    "tech-sme": ("科技型中小企业",),
    "innovative-sme": ("创新型中小企业",),
    "srdi": ("专精特新中小企业",),
    "little-giant": ("小巨人",),
    "single-champion": ("单项冠军",),
    "innovation-demo": ("技术创新示范企业",),
    "ip-demo": ("知识产权优势", "知识产权示范"),
    "compute.contracts": ("合同总额", "申报智算合同", "申报算力合同"),
    "subsidy.compute": ("已获算力券", "算力券金额", "申领金额", "申领杭州算力券"),
    "subsidy.model": ("已获模型券", "模型券金额"),
    "loan.due": ("到期",),
    "claim.contract-amount": ("合同金额",),
    "claim.settled": ("实际发生金额", "实际发生额", "结算金额"),
    "claim.paid": ("实际支付", "已付款", "支付金额", "付款"),
    "claim.claimed": ("申请金额", "申请额", "兑付"),
    "claim.contract-signed": ("合同签订", "签订"),
    "claim.related-party": ("关联关系", "关联方", "关联企业"),
    "claim.supplier-listed": ("服务名录", "供应方", "供应商"),
    "claim.on-platform": ("平台",),
    "claim.split": ("拆分",),
    "claim.other-rate": ("叠加", "累计补助比例"),
})  # fmt: skip

BAD: Final = frozenset({
    "abnormal", "dishonest", "incident.three", "incident.year", "incident.two", "restricted", "data-fraud",
    "loan.misused", "claim.related-party", "claim.invoice-used", "claim.contract-used", "claim.split",
})  # fmt: skip
"""Yes/no fields of the catalogue that speak against an entity or a claim."""

NEUTRAL: Final = frozenset({"little-giant", "little-giant.group", "single-champion", "foundation-model"})
"""Yes/no fields that packs ask either way."""

NEGATIVE: Final = re.compile(
    r"不重复|不得(?!低于|少于|超过|高于)|未(?!达|满|来|经|列明)|不予|不再|不支持|不存在|不属于|不在|不受理|不适用|不享受|不含|不包括|不符合|不参与"
    r"|无(?!形|还本|偿)|没有|非(?!遗|营利|法人|公有)|除外|以外|禁止|取消|负面|排除|剔除|撤销|停止"
)
"""Words by which a sentence excludes."""

SIZES: Final[Mapping[str, frozenset[str]]] = MappingProxyType({
    "中小微": frozenset(("medium", "small", "micro")), "中小": frozenset(("medium", "small", "micro")),
    "小微": frozenset(("small", "micro")), "大型": frozenset(("large",)), "中型": frozenset(("medium",)),
    "小型": frozenset(("small",)), "微型": frozenset(("micro",)),
})  # fmt: skip
"""Sizes of enterprises as notices name them."""


def words_of(field: Field) -> tuple[str, ...]:
    """The words that name a field: its own, else its title up to the first bracket or colon."""
    return WORDS.get(field.code) or (re.split(r"[（(：:，]", field.title)[0],)


def mentions(text: str, fields: Iterable[Field]) -> dict[str, int]:
    """Fields that a text names, with the first place."""
    found = dict[str, int]()
    for start, codes in named_at(text, fields):
        for code in codes:
            found.setdefault(code, start)
    return found


def named_at(text: str, fields: Iterable[Field]) -> list[tuple[int, tuple[str, ...]]]:
    """(place, the fields that the word there may mean) in order; a longer word hides the shorter ones within it."""
    named = dict[str, list[str]]()
    for field in fields:
        for word in words_of(field):
            named.setdefault(narrow(word), []).append(field.code)
    if not named:
        return []
    pattern = re.compile("|".join(re.escape(word) for word in sorted(named, key=len, reverse=True)))
    return [(match.start(), tuple(named[match.group()])) for match in pattern.finditer(narrow(text))]


def sizes(text: str) -> frozenset[str]:
    """Sizes that a text names; empty where it names none."""
    found = frozenset[str]()
    for word in sorted(SIZES, key=len, reverse=True):
        if word in text:
            found |= SIZES[word]
            text = text.replace(word, " ")
    return found
