"""What can be known of an entity, or of a claim: the vocabulary in which packs ask.

A field is a code, a title, a unit and a kind of value. Values are what `registry` stores: a decimal is an integer
times 10^-places (an amount in 元 with two places is fen, a share in % with two places is basis points), a date is a
local date, a Boolean is known true, known false or unknown. A periodic field has one value for each calendar year. A
certificate is a Boolean (`high-tech`: does the entity hold it?) with a date beside it (`high-tech.until`: valid
through that day). Fields that begin with `claim.` belong to one claim on a fund and not to the entity.

A pack may declare fields of its own; one that exists here it may only use.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

KINDS: Final = ("integer", "decimal", "text", "date", "boolean")
CLAIM: Final = "claim."
MONEY: Final[Mapping[str, int]] = MappingProxyType({"元": 100, "万元": 1_000_000, "亿元": 10_000_000_000})
"""Fen in one unit of money."""
AGE: Final[Mapping[str, int]] = MappingProxyType({"年": 12, "月": 1})
"""Months in one unit of age."""
SHARE: Final = "%"


@dataclass(frozen=True)
class Field:
    """One thing that can be known. `kind` is one of KINDS; `places` only with kind decimal."""

    code: str
    title: str
    kind: str
    unit: str = ""
    places: int = 0
    periodic: bool = False

    @property
    def is_money(self) -> bool:
        return self.unit == "元" and self.places == 2

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "decimal")

    @property
    def of_claim(self) -> bool:
        """Whether a claim states it, and not the entity."""
        return self.code.startswith(CLAIM)


def _money(code: str, title: str, periodic: bool = True) -> Field:
    return Field(code, title, "decimal", "元", 2, periodic)


def _count(code: str, title: str, unit: str, periodic: bool = False) -> Field:
    return Field(code, title, "integer", unit, 0, periodic)


def _share(code: str, title: str, periodic: bool = True) -> Field:
    return Field(code, title, "decimal", SHARE, 2, periodic)


def _points(code: str, title: str) -> Field:
    return Field(code, title, "decimal", "分", 2, True)


def _yes_no(code: str, title: str, periodic: bool = False) -> Field:
    return Field(code, title, "boolean", periodic=periodic)


def _certificate(code: str, title: str) -> Iterator[Field]:
    yield _yes_no(code, title)
    yield Field(f"{code}.until", f"{title}：有效期至", "date")


FIELDS: Final[Mapping[str, Field]] = MappingProxyType({
    field.code: field
    for field in (
        # who it is
        Field("industry", "行业代码（GB/T 4754-2017，只写数字）", "text"),
        Field("division", "登记地行政区划代码", "text"),
        Field("founded", "成立日期", "date"),
        _yes_no("resident", "在中国境内注册的居民企业"),
        _yes_no("legal-entity", "具有独立法人资格"),
        Field("sme.size", "企业规模（large、medium、small、micro）", "text"),
        # size and money, by calendar year
        _count("staff", "从业人员（职工总数）", "人", periodic=True),
        _count("staff.rd", "科技人员（研发人员）", "人", periodic=True),
        _money("revenue", "营业收入"),
        _money("revenue.main", "主营业务收入"),
        _money("revenue.high-tech", "高新技术产品（服务）收入"),
        _money("income.total", "企业总收入"),
        _money("cost.total", "成本费用支出总额"),
        _money("assets", "资产总额"),
        _money("assets.net", "净资产"),
        _money("liabilities", "负债总额"),
        _money("profit.net", "净利润"),
        _money("taxable-income", "应纳税所得额"),
        _money("vat.input", "当期可抵扣进项税额"),
        _money("rd", "研发费用"),
        _money("rd.domestic", "在中国境内发生的研发费用"),
        _money("rd.expensed", "计入当期损益、可加计扣除的研发费用"),
        _money("rd.capitalised", "形成无形资产的研发支出：当年摊销额（可加计部分）"),
        _money("equity.new", "合格机构投资者新增股权融资（实缴）"),
        # intellectual property and standing
        _count("ip.class1", "Ⅰ类知识产权", "项"),
        _count("ip.class1.high-value", "Ⅰ类高价值知识产权", "项"),
        _count("ip.class1.own", "自主研发的Ⅰ类知识产权", "项"),
        _count("ip.class1.main", "与主导产品相关且已应用的Ⅰ类知识产权", "项"),
        _count("ip.class2", "Ⅱ类知识产权", "项"),
        _yes_no("ip.core", "拥有对主要产品（服务）起核心支持作用的知识产权"),
        Field("segment.since", "开始从事特定细分市场的日期", "date"),
        _share("segment.share", "主导产品国内市场占有率"),
        _count("segment.rank", "主导产品国内市场排名", "位"),
        _yes_no("product.strategic", "主导产品属于战略性新兴产业"),
        _points("srdi.score", "专精特新发展评价得分"),
        _yes_no("award.any", "近三年获国家级或省级科技奖励（不限排名）"),
        _yes_no("award.national", "近三年获国家级科技奖励并排名前三"),
        _yes_no("award.national.top-five", "近三年获国家级科技奖励并排名前五"),
        _yes_no("award.national.five", "近五年获国家级科技奖励并排名前三"),
        _yes_no("award.provincial", "近三年获省部级及以上科技奖励并排名前三"),
        _yes_no("rd-body.provincial", "拥有经认定的省部级及以上研发机构"),
        Field("rd-body.level", "研发机构级别（national、provincial、city、below、none）", "text"),
        _yes_no("rd-body", "自建或与高等院校、科研机构联合建立研发机构"),
        _yes_no("maker-china.top-500", "近三年进入“创客中国”大赛全国500强企业组名单"),
        _yes_no("maker-china.top-50", "近三年进入“创客中国”大赛全国50强企业组名单"),
        _count("digital.level", "数字化水平等级（评测结果）", "级"),
        _count("quality.items", "质量管理水平满足的项数（63号附件2）", "项"),
        _count("local-feature.points", "地方特色指标得分（省级主管部门设定）", "分"),
        Field("product.field", "主导产品领域（gap-filling 补短板锻长板填空白、six-bases 六基等、other）", "text"),
        _yes_no("management.certified", "取得管理体系认证，或产品通过发达国家和地区产品认证"),
        _yes_no("business.digitised", "至少一项核心业务采用信息系统支撑"),
        _yes_no("brand.own", "拥有直接面向市场并具有竞争优势的自主品牌"),
        _count("pct", "PCT专利申请", "件"),
        _count("ip.core.count", "核心自主知识产权", "项"),
        _count("ip.core.granted", "已授权的核心自主知识产权", "项"),
        _yes_no("talent.d", "有D类及以上人才，或获省级科技奖励二等奖以上"),
        _yes_no("standard.led", "近五年主导制定国际、国家或行业标准（排名前五）"),
        *_certificate("high-tech", "高新技术企业"),
        *_certificate("tech-sme", "科技型中小企业"),
        *_certificate("innovative-sme", "创新型中小企业"),
        *_certificate("srdi", "专精特新中小企业"),
        *_certificate("little-giant", "专精特新“小巨人”企业"),
        *_certificate("innovation-demo", "国家技术创新示范企业"),
        *_certificate("ip-demo", "知识产权优势或示范企业"),
        _yes_no("single-champion", "制造业单项冠军企业"),
        _yes_no("little-giant.group", "受已认定“小巨人”企业控股，或与其同属一集团且产品相同"),
        # conduct
        _yes_no("abnormal", "列入经营异常名录"),
        _yes_no("dishonest", "列入严重失信主体名单"),
        _yes_no("incident.three", "近三年发生重大安全、质量、环境等事故或违法"),
        _yes_no("incident.year", "申请前一年内发生重大安全、质量事故或严重环境违法"),
        _yes_no("incident.two", "上一年及当年发生重大安全、质量事故或严重环境违法、科研严重失信"),
        _yes_no("restricted", "产品或服务属于禁止、限制或淘汰类"),
        _yes_no("data-fraud", "近三年申报数据造假被查实"),
        # tax and banking
        _yes_no("vat.general", "增值税一般纳税人"),
        _yes_no("vat.advanced-list", "列入先进制造业企业名单"),
        _yes_no("tax.books", "会计核算健全、查账征收并能准确归集研发费用"),
        _yes_no("tax.ic-machine-list", "列入集成电路企业或工业母机企业清单"),
        Field("tax.grade", "纳税信用等级（A、B、M、C、D）", "text"),
        _yes_no("premises.fixed", "有固定经营场所"),
        _yes_no("operating", "依法合规持续经营"),
        _yes_no("credit.need", "有真实融资需求"),
        _yes_no("credit.good", "信用状况良好"),
        _yes_no("credit.use-lawful", "贷款用途依法合规"),
        _yes_no("credit.short-of-cash", "贷款到期后仍有融资需求，又临时存在资金困难"),
        _money("guarantee.wanted", "拟申请担保的贷款金额", periodic=False),
        Field("loan.due", "流动资金贷款到期日", "date"),
        _yes_no("loan.normal", "原贷款为正常类且符合发放条件"),
        _yes_no("loan.misused", "有挪用贷款、欠息或逃废债行为"),
        # compute
        _money("compute.contracts", "当年申报的算力合同总额"),
        _yes_no("foundation-model", "开展基础大模型研发"),
        _money("subsidy.compute", "当年已获算力券补助"),
        _money("subsidy.model", "当年已获模型券补助"),
        _yes_no("key-industry", "属于所在城市公布的重点产业体系企业"),
        # one claim on a fund
        _money("claim.contract-amount", "合同金额", periodic=False),
        _money("claim.settled", "合同实际发生金额", periodic=False),
        _money("claim.paid", "已实际支付金额", periodic=False),
        _money("claim.claimed", "申请兑付对应的金额", periodic=False),
        _money("claim.other-vouchers", "其他政策券对同一合同的补助", periodic=False),
        _share("claim.other-rate", "其他政策券对同一合同的补助比例", periodic=False),
        Field("claim.service", "服务类型（compute、model、maas、agent、corpus）", "text"),
        Field("claim.facility", "算力设施类型（a 或 b，对应关系由资金主管部门公布）", "text"),
        _yes_no("claim.model-filed", "所依托的大模型已完成备案"),
        Field("claim.contract-signed", "合同签订日期", "date"),
        Field("claim.used-from", "使用开始日期", "date"),
        Field("claim.used-to", "使用结束日期", "date"),
        _yes_no("claim.related-party", "买卖双方存在关联关系"),
        _yes_no("claim.supplier-listed", "供应方在公布的名录内"),
        _yes_no("claim.on-platform", "通过本平台采购"),
        _yes_no("claim.invoice-used", "发票已用于其他兑付"),
        _yes_no("claim.contract-used", "合同已获同一城市其他补助"),
        _yes_no("claim.split", "同一交易拆分为多份合同"),
    )
})
