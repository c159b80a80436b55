"""Sentences for the codes of `policy.rd`, in the reader's language."""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.policy import rd
from huoshui.policy.rd import Category

CATEGORIES: Mapping[Category, str | Promise] = {
    Category.PERSONNEL: _l("personnel"),
    Category.DIRECT: _l("direct inputs"),
    Category.DEPRECIATION: _l("depreciation"),
    Category.AMORTISATION: _l("amortisation of intangibles used"),
    Category.DESIGN: _l("design, trials and tests"),
    Category.OTHER: _l("other related costs"),
    Category.ENTRUSTED: _l("entrusted, at home"),
    Category.ABROAD: _l("entrusted, abroad"),
}
SPELLINGS: Mapping[Category, tuple[str, ...]] = {
    Category.PERSONNEL: ("人员人工费用", "人员人工", "personnel"),
    Category.DIRECT: ("直接投入费用", "直接投入", "direct"),
    Category.DEPRECIATION: ("折旧费用", "折旧", "depreciation"),
    Category.AMORTISATION: ("无形资产摊销", "无形资产摊销费用", "amortisation"),
    Category.DESIGN: ("新产品设计费等", "新产品设计费", "design"),
    Category.OTHER: ("其他相关费用", "其他费用", "other"),
    Category.ENTRUSTED: ("委托研发（境内）", "委托研发", "委托境内研发", "entrusted"),
    Category.ABROAD: ("委托研发（境外）", "委托境外研发", "abroad"),
}
"""How files write a category; the first is what the empty file shows."""


def rule(code: str) -> str:
    """Why an input cannot be right."""
    return {
        "needed": _("must not be empty"),
        "amount": _("must be above zero and at most %(max)s yuan") % {"max": f"{rd.AMOUNT_FEN_MAX // 100:,}"},
        "months": _("must be from %(min)s to %(max)s months") % {"min": rd.MONTHS_MIN, "max": rd.MONTHS_MAX},
        "first": _("must be a month of this year or earlier"),
        "last": _("must be a month not before the first one"),
        "year": _("must be from %(min)s to %(max)s") % {"min": rd.YEAR_MIN, "max": rd.YEAR_MAX},
        "lines_max": _("at most %(max)s rows") % {"max": rd.LINES_MAX},
        "assets_max": _("at most %(max)s rows") % {"max": rd.ASSETS_MAX},
    }[code]
