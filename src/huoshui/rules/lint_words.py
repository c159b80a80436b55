"""What lint found, as sentences in Chinese and English; and what was wrong with a text that does not load.

Codes are those of `findings`, `lint*` and of `RuleError.rules`; a code without a Chinese sentence falls back to the
English template of its rule. Templates name what is compared, so that the reader sees both sides.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from .errors import RuleError
from .fields import FIELDS, Field
from .findings import Finding
from .model import Op
from .words import COMPARED, field, is_chinese, money, pick

LEVELS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"error": ("错误", "error"), "warning": ("警告", "warning"), "note": ("提示", "note")}
)

SENTENCES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        # a clause against its quote
        "citation_placeholder": ("引用还是占位文字：{text}", "the citation is still a placeholder: {text}"),
        "quote_short": ("引文过短，无法核对：{text}", "the quote is too short to be checked: {text}"),
        "quote_repeated": ("{count} 个条件用同一段引文", "{count} criteria share one quote"),
        "quote_not_in_notice": ("通知原文中找不到这段引文：{text}", "the notice does not contain this quote: {text}"),
        "number_differs": (
            "规则写 {number} {unit}，引文写的是 {stated}",
            "the rule says {number} {unit}, the quote says {stated}",
        ),
        "unit_differs": (
            "规则写 {number} {unit}，引文同一数字的单位是 {stated}",
            "the rule says {number} {unit}, the quote gives this number in {stated}",
        ),
        "number_not_quoted": ("引文中没有 {number} {unit}", "the quote does not say {number} {unit}"),
        "number_not_asked": (
            "引文中的 {number} {unit} 没有任何检验用到",
            "nothing asks for the {number} {unit} of the quote",
        ),
        "direction_differs": (
            "规则写“{op} {number} {unit}”，与引文的方向相反",
            "the rule says “{op} {number} {unit}”, the quote says the opposite",
        ),
        "strictness_differs": (
            "规则写“{op} {number} {unit}”，引文是否含本数与此不同",
            "the rule says “{op} {number} {unit}”; the quote differs on whether the number itself is included",
        ),
        "band_differs": (
            "{points} 分这一档的界限与引文不同",
            "the edges of the band of {points} points are not those of the quote",
        ),
        "field_differs": (
            "规则读取“{field}”，引文说的是“{named}”",
            "the rule reads “{field}”, the quote speaks of “{named}”",
        ),
        "ratio_inverted": ("分子分母与引文相反", "numerator and denominator are the other way round in the quote"),
        "period_differs": (
            "规则读取的年份（{years}）与引文的期间不符",
            "the years that the rule reads ({years}) are not those of the quote",
        ),
        "period_sum": ("引文说合计，规则逐年检验", "the quote speaks of years together, the rule asks each"),
        "period_each": ("引文说每年，规则按合计检验", "the quote speaks of each year, the rule asks their sum"),
        "period_unfinished": (
            "“{field}”当年尚未结束：引文没有说当年",
            "the year of “{field}” is not over, and the quote does not say this year",
        ),
        "period_not_current": ("“{field}”是当年的数", "“{field}” is a figure of the current year"),
        "period_old": ("读取较早的年份，引文没有说明", "asks an older year; the quote does not say so"),
        "growth_differs": (
            "引文与规则一方说增长、一方不是",
            "one of quote and rule speaks of growth, the other does not",
        ),
        "field_period_differs": (
            "“{field}”自带的期间与引文不同",
            "the period within “{field}” is not that of the quote",
        ),
        "date_differs": ("规则写 {day}，引文写 {stated}", "the rule says {day}, the quote says {stated}"),
        "requires_bad": ("要求具有不利情形“{field}”：方向写反了", "requires “{field}”, which speaks against a firm"),
        "excludes_good": ("因有利情形“{field}”而排除：方向写反了", "excludes for “{field}”, which speaks for a firm"),
        "excludes_members": (
            "不许属于这些值，引文没有排除的意思",
            "asks for none of these values, but the quote excludes nothing",
        ),
        "requires_members": ("要求属于这些值，引文却是排除", "asks for one of these values, but the quote excludes"),
        "values_differ": ("取值与引文所说的 {stated} 不同", "the values are not those of the quote: {stated}"),
        "manual_computable": ("类型为人工审核，检验却可以计算", "kind manual, but its test can be computed"),
        "hard_manual": ("只有人工问题，类型应为 manual", "asks only a person: its kind should be manual"),
        "veto_not_negative": ("类型为排除情形，引文没有排除的意思", "kind veto, but its quote excludes nothing"),
        "quote_two_clauses": ("同一段引文注明了不同条款", "one quote, cited from different clauses"),
        "quote_of_other": (
            "引文与标题毫无关系，却与另一条件相同",
            "the quote of another criterion, and foreign to this title",
        ),
        "ratio_itself": ("分子分母相同", "numerator and denominator are the same"),
        "field_not_asked": ("引文提到“{field}”，规则没有检验", "the quote names “{field}”, which nothing here asks"),
        "joint_any": ("满足其一即可，引文没有“或”", "any of these is enough, but the quote knows no “or”"),
        "joint_all": ("须全部满足，引文只说“或”", "all of these are asked, but the quote says “or”"),
        "part_without_minimum": (
            "评分引文提到“{title}”，没有设最低分",
            "the quote of the scoring names “{title}”, which has no minimum",
        ),
        # tests against one another
        "never_met": ("永远不可能符合", "can never be met"),
        "always_met": ("总是符合", "is always met"),
        "implausible": ("数值不合常理，请核对单位", "an implausible number: check its unit"),
        "share_over_whole": ("比例超过 100%", "a share above 100 %"),
        "share_zero": ("比例为 0", "a share of zero"),
        "value_unknown": ("没有取值“{value}”；已知：{known}", "there is no value “{value}”; known: {known}"),
        "value_repeated": ("取值“{value}”重复", "the value “{value}” is given twice"),
        "certificate_by_flag": (
            "只看是否持有“{field}”，不看是否在有效期内",
            "asks for “{field}” without asking whether it is still valid",
        ),
        "single_member": ("只有一个成员", "has one member only"),
        "test_repeated": ("同一检验写了两次", "the same test twice"),
        "nested_alike": ("与外层同为“且”或同为“或”，是否写错", "joins as the list around it does: the other way?"),
        "odd_one": ("与其他各项的“且/或”不同", "joins its members otherwise than all others here"),
        "fact_unread": ("材料证明“{field}”，规则没有读取", "proves “{field}”, which nothing reads"),
        "notice_unquoted": ("通知中的这句话没有被引用：{text}", "nothing quotes this sentence of the notice: {text}"),
        "field_not_quoted": ("引文和标题都没有提到“{field}”", "neither quote nor title names “{field}”"),
        "contradiction": ("与 {other} 矛盾，不可能同时符合", "contradicts {other}: both can never be met"),
        "redundant": ("与 {other} 一宽一严，只有一个起作用", "one of this and {other} contains the other"),
        "criterion_repeated": ("与 {other} 完全相同", "is the same as {other}"),
        "title_repeated": ("标题与 {other} 相同", "has the title of {other}"),
        "bands_open_low": ("最低一档没有向下覆盖", "the lowest band leaves smaller values without points"),
        "bands_open_high": ("最高一档没有向上覆盖", "the highest band leaves greater values without points"),
        "band_unreachable": ("这一档不可能达到", "no value lies in this band"),
        "band_gap": ("与第 {other} 档之间有空隙", "there is a gap between this band and band {other}"),
        "band_overlap": ("与第 {other} 档重叠", "overlaps band {other}"),
        "points_not_monotone": ("分值时升时降", "points rise and fall"),
        "points_repeated": ("相邻两档分值相同", "two neighbouring bands give the same points"),
        "points_constant": ("总是 {points} 分", "always gives {points} points"),
        "step_unreachable": (
            "已被 {points} 分的一步包含，永远轮不到",
            "never reached: the step of {points} points contains it",
        ),
        # the pack against itself
        "part_unreachable": (
            "最低分 {minimum} 超过可得的最高分 {most}",
            "the minimum of {minimum} is above the most, {most}",
        ),
        "part_always": ("最低分 {minimum} 总能达到", "the minimum of {minimum} is always reached"),
        "excludes_without": (
            "因没有“{field}”而排除，引文没有这个意思",
            "excludes whoever is not “{field}”; the quote does not say so",
        ),
        "title_denies": ("标题说没有，规则却要求“{field}”", "the title denies it, the rule asks for “{field}”"),
        "part_minimum_differs": (
            "最低分 {minimum}，引文写 {stated}",
            "its minimum is {minimum}, the quote says {stated}",
        ),
        "part_total_differs": (
            "指标满分合计 {most}，标题写 {stated}",
            "its criteria give {most} at most, its title says {stated}",
        ),
        "score_unreachable": ("满分只有 {most}，达不到及格线", "the threshold cannot be reached: the most is {most}"),
        "score_always": ("最低也有 {least} 分，及格线不起作用", "always reached: the least is {least}"),
        "score_total": ("满分合计 {most}，不是 100", "the points add up to {most}, not to 100"),
        "parts_over_threshold": (
            "各部分最低分之和高于及格线",
            "the minimums of the parts add up to more than the threshold",
        ),
        "benefit_missing": ("没有写明支持内容", "says nothing of what it brings"),
        "amount_over_cap": (
            "金额 {amount_fen} 高于上限 {cap_fen}",
            "the amount of {amount_fen} is above the cap of {cap_fen}",
        ),
        "amount_zero": ("金额为零", "an amount of zero"),
        "cap_zero": ("上限为零", "a cap of zero"),
        "cap_unreachable": (
            "按公式最多 {amount_fen}，达不到上限 {cap_fen}",
            "the formula gives {amount_fen} at most, the cap is {cap_fen}",
        ),
        "uncapped": ("按比例支付而没有上限", "pays a share without a cap"),
        "case_unreachable": ("前面的情形已经包含，永远轮不到", "never reached: an earlier case contains it"),
        "ended": ("已于 {day} 失效", "ended on {day}"),
        "ends_soon": ("将于 {day} 失效，不足十二个月", "ends on {day}, within twelve months"),
        "not_yet": ("{day} 起才施行", "takes effect on {day}"),
        "window_ended": ("申报已于 {day} 截止", "applications ended on {day}"),
        "window_order": ("截止日早于开始日", "ends before it begins"),
        "window_outside": ("申报时间超出有效期", "lies outside the effective dates"),
        "window_long": ("申报时间超过一年", "is longer than a year"),
        "window_year_differs": ("说明写 {stated} 年，日期不是", "its text says {stated}, its dates do not"),
        "transition_over": ("过渡期在施行前已结束", "is over before the pack takes effect"),
        "transition_outlasts": ("过渡期晚于规则失效日", "lasts longer than the pack"),
        "transition_short": ("检验的日期到 {day}，过渡期更早结束", "asks for dates up to {day} but ends before"),
        "end_missing": ("引文写明至 {stated}，规则没有失效日", "the quotes name an end, {stated}; the pack has none"),
        "end_differs": ("失效日与引文的 {stated} 不同", "the end is not that of the quotes, {stated}"),
        "start_differs": ("施行日与文中的 {stated} 不同", "the beginning is not that of the texts, {stated}"),
        "before_document": ("施行日早于文号年份 {year}", "takes effect before the year of its document, {year}"),
        "after_document": (
            "施行日比文号年份 {year} 晚一年以上",
            "takes effect more than a year after its document, {year}",
        ),
        "supersedes_itself": ("取代了自己", "supersedes itself"),
        "supersedes_unknown": ("不知道被取代的规则 {pack}", "supersedes a pack that is not known: {pack}"),
        "supersedes_newer": ("被取代的规则 {pack} 施行更晚", "supersedes a pack that took effect later: {pack}"),
        "supersedes_overlap": ("被取代的规则到 {day} 才失效", "the pack that it supersedes ends on {day}"),
        "pack_unknown": ("不知道规则 {pack}", "there is no pack {pack}"),
        "cycle": ("规则互相引用成环：{way}", "packs refer to one another in a circle: {way}"),
        "parameter_unused": ("参数 {name} 没有用到", "nothing uses the parameter {name}"),
        "field_unused": ("声明的字段“{field}”没有用到", "nothing reads the declared field “{field}”"),
        "material_unread": ("材料证明的事实都没有用到", "proves no fact that the pack reads"),
        "variant_outside": ("地区 {division} 不在规则的地区内", "{division} lies outside the division of the pack"),
        "variants_overlap": ("地区与 {other} 重叠", "its division overlaps that of {other}"),
        "variant_same": ("参数值与基准相同", "has the values of the pack itself"),
        "division_differs": (
            "对象检验 {value}，规则的地区是 {division}",
            "the audience asks for {value}, the division is {division}",
        ),
        "draft": ("草稿：{note}", "draft: {note}"),
        "draft_without_note": ("草稿没有说明待核对什么", "a draft that does not say what is to be checked"),
        "evidence_missing": ("没有写明佐证材料", "names no evidence"),
        "exempts_repeated": ("替代的条件写了两次", "names a criterion twice"),
        "exempts_nothing": ("没有可替代的评分", "there is no scoring to stand in for"),
        "exempts_other_stage": ("替代另一阶段的条件 {name}", "stands in for a criterion of another stage: {name}"),
        "no_application_manual": ("免申即享却需要人工审核", "paid without an application, yet a person has to decide"),
        "audience_untested": ("没有检验适用对象", "does not test its audience"),
        "clause_gap": ("{article}没有第（{missing}）项", "{article} has no item ({missing})"),
    }
)

RULES_ZH: Final[Mapping[str, str]] = MappingProxyType(
    {
        "required": "必须填写",
        "unknown_field": "没有这个字段；可用：%(known)s",
        "one_key": "必须且只能写其中一个：%(keys)s",
        "mapping": "应为键值对",
        "list": "应为 %(min)s 至 %(max)s 项的列表",
        "text": "应为 1 至 %(max)s 个字符的文字",
        "identifier": "应为小写字母、数字、点和连字符",
        "boolean": "应为 true 或 false",
        "integer": "应为 %(min)s 至 %(max)s 之间的整数",
        "date": "应为日期 YYYY-MM-DD",
        "choice": "应为其中之一：%(choices)s",
        "order": "不得早于 %(other)s",
        "unique": "不得重复",
        "duplicate_key": "同一个键写了两次",
        "document_yaml": "无法按 YAML 读取：%(problem)s",
        "document_bytes": "文件最多 %(max)s 字节",
        "no_alias": "不允许锚点和别名",
        "no_tag": "不允许 YAML 标签",
        "kind_unknown": "没有这种公开文件；已知：%(known)s",
        "field_unknown": "没有这个字段代码；请在 body.fields 声明，或从目录中选用",
        "field_redefined": "目录中已有此字段，不能重新声明",
        "field_kind": "这里需要 %(kinds)s 类型的字段；%(code)s 是 %(kind)s",
        "unit_mismatch": "单位应为 %(expected)s",
        "threshold_places": "小数位数过多（最多 %(places)s 位）",
        "period_needed": "%(code)s 每年一个值：请写明期间",
        "places_differ": "各项的小数位数必须相同；发现 %(found)s",
        "units_differ": "各项单位必须相同；发现 %(units)s",
        "operator_unknown": "没有这种检验；已知：%(known)s",
        "parameter_unknown": "没有这个参数；已知：%(known)s",
        "criterion_unknown": "没有这个条件；已知：%(known)s",
        "bands_shape": "每一档须有分值，并有 from、to 之一，且 from 小于 to",
        "steps_fall": "各步分值须由高到低，其他情形最低",
        "test_or_score": "评分指标写 score，其他类型写 test",
        "veto_exempt": "替代条件须写明替代哪些必备或人工条件，或 score",
        "class_last": "只有最后一类可以没有检验",
        "claim_stage": "兑付字段（%(code)s）只能用于兑付阶段的条件",
        "nested_each": "这里不能逐年检验",
        "cycle": "规则互相引用成环：%(path)s",
    }
)


def sentence(found: Finding, language: str, fields: Mapping[str, Field] = FIELDS) -> str:
    """A finding as one sentence without a full stop."""
    known = SENTENCES.get(found.code)
    if known is None:
        template = RuleError.rules.get(found.code, found.code)
        template = RULES_ZH.get(found.code, template) if is_chinese(language) else template
        text = template % dict(found.params) if "%(" in template else template
        given = found.params.get("value", "None")
        return text if given == "None" else f"{text}（{given}）" if is_chinese(language) else f"{text} ({given})"
    shown = {name: _shown(name, value, language, fields) for name, value in found.params.items()}
    return " ".join(pick(known, language).format(**shown).split())


def _shown(name: str, value: Any, language: str, fields: Mapping[str, Field]) -> str:
    if name in ("field", "named"):
        return field(str(value), fields, language)
    if name == "op":
        return pick(COMPARED[Op(value)], language)
    if name.endswith("_fen"):
        return money(value, language)
    if isinstance(value, list):
        return "、".join(map(str, value)) if is_chinese(language) else ", ".join(map(str, value))
    return str(value)


def level(of: str, language: str) -> str:
    return pick(LEVELS[of], language)
