"""Sentences of the match: why a pack says what it says, how far it is, what would change it, what is asked.

`rules.words` names tests, fields and amounts; here is what a page says of one party around them.
"""

from types import SimpleNamespace
from typing import Final

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from huoshui.rules import CriterionResult, Explanation, Field, Pack, TestResult, Verdict
from huoshui.rules import words as rule_words
from huoshui.rules.model import (
    Age,
    AllOf,
    Amount,
    AnyOf,
    Certificate,
    Compare,
    Dated,
    Flag,
    Kind,
    Manual,
    Op,
    Test,
    tests_of,
)
from huoshui.rules.steps import Change, Plan

NAMED_MAX: Final = 3
"""So many conditions or facts are named in a sentence; the others are counted."""
RISING: Final = (Op.GE, Op.GT, Op.EQ, Op.NE)


def language() -> str:
    """The reader's language."""
    return get_language() or "zh-hans"


def is_chinese() -> bool:
    return rule_words.is_chinese(language())


def listed(names: list[str]) -> str:
    """Names in a sentence, the first few and how many more."""
    shown = ("、" if is_chinese() else "; ").join(names[:NAMED_MAX])
    more = len(names) - NAMED_MAX
    return shown if more <= 0 else shown + ngettext(" and %(n)s more", " and %(n)s more", more) % {"n": more}


def coded(code: str, field: Field) -> str:
    """A code of a text field in words."""
    return rule_words.coded(code, field.code, language())


def question(column: str, field: Field) -> str:
    """The question about a fact."""
    title = rule_words.column(column, {field.code: field}, language())
    return _("Is it so: %(fact)s?") % {"fact": title} if field.kind == "boolean" else title


def amount(one: Explanation) -> str:
    """What it comes to: the amount, else the most it could be, else nothing."""
    pack = one.pack
    if one.amount_fen is not None:
        return rule_words.money(one.amount_fen, language())
    most = one.amount_max_fen if one.amount_max_fen is not None else pack.benefit and pack.benefit.cap_fen
    return _("up to %(amount)s") % {"amount": rule_words.money(most, language())} if most else "—"


# --- why --------------------------------------------------------------------------------------------------------------


def why(one: Explanation) -> str:
    """In a sentence what decides."""
    pack = one.judged_by
    if one.verdict is Verdict.MET:
        return _("Every condition is met.")
    if one.verdict is Verdict.NA:
        return _("For others: %(audience)s") % {"audience": pack.audience_text}
    if one.verdict is Verdict.UNKNOWN:
        fields = [rule_words.column(name, pack.fields, language()) for name in one.unknown]
        return _("Not known yet: %(facts)s") % {"facts": listed(fields)}
    return why_not(one)


def why_not(one: Explanation) -> str:
    """What stands against it, with the clause; or which facts and judgements are missing."""
    if one.verdict is Verdict.UNMET and one.blocker >= 0:
        return sole(one)
    named = [each for each in one.criteria if each.verdict is one.verdict and each.criterion.kind is not Kind.SCORE]
    titles = [f"{each.criterion.title}（{each.criterion.clause}）" for each in named]
    if one.scoring is not None and one.scoring.verdict is one.verdict:
        titles.append(_("the score"))
    sentences = {
        Verdict.UNMET: _("Not met: %(conditions)s"), Verdict.MANUAL: _("A person judges: %(conditions)s"),
        Verdict.UNKNOWN: _("Facts are missing for: %(conditions)s"),
    }  # fmt: skip
    return sentences.get(one.verdict, _("Does not apply: %(conditions)s")) % {"conditions": listed(titles)}


def sole(one: Explanation) -> str:
    """The one thing that stands against it: what it comes to now, what it must be, how far that is."""
    pack, criterion = one.judged_by, one.blocking
    if criterion is None:
        assert pack.scoring is not None, "the blocker that is no criterion is the scoring"
        short = -(one.margin or 0)
        return ngettext(
            "The score falls short by %(n)s point (%(clause)s).", "The score falls short by %(n)s points (%(clause)s).",
            short,
        ) % {"n": short, "clause": pack.scoring.clause}
    judged = next(each for each in one.criteria if each.criterion is criterion)
    if judged.tree is None or criterion.kind is Kind.VETO:
        return _("%(title)s (%(clause)s).") % {"title": criterion.title, "clause": criterion.clause}
    told = [_leaf(leaf, pack) for leaf in against(judged.tree)[:NAMED_MAX]]
    return _("%(title)s: %(told)s (%(clause)s).") % {
        "title": criterion.title, "clause": criterion.clause, "told": ("；" if is_chinese() else "; ").join(told),
    }  # fmt: skip


def against(tree: TestResult) -> list[TestResult]:
    """The single tests by which a test is unmet; of an any-of, those of the member with the fewest."""
    if not isinstance(tree.test, AllOf | AnyOf):
        return [tree]
    inner = [against(child) for child in tree.children if child.verdict is Verdict.UNMET]
    if isinstance(tree.test, AllOf):
        return [leaf for leaves in inner for leaf in leaves]
    return min(inner, key=len, default=[])


def _leaf(leaf: TestResult, pack: Pack) -> str:
    """A single test, what it comes to and how far that is."""
    asks = rule_words.test(leaf.test, pack, language())
    if leaf.measured is None or not isinstance(leaf.test, Compare):
        return asks
    now = rule_words.measured(leaf.measured, leaf.test.measure, pack, language(), leaf.test.unit)
    return _("%(asks)s, now %(now)s. %(distance)s") % {
        "asks": asks, "now": now, "distance": margin(leaf.margin, leaf.test, pack)
    }


def margin(distance: int | None, test: Test | None, pack: Pack) -> str:
    """A signed distance in words: how much is missing, or how much there is to spare."""
    compared = next((each for each in tests_of(test) if isinstance(each, Compare)), None)
    if distance is None or not distance and compared is None:
        return ""
    if compared is None:
        return _days(distance, test)
    size = rule_words.measured(abs(distance), compared.measure, pack, language(), compared.unit)
    rising = compared.op in RISING
    if distance < 0:
        return (_("Short by %(size)s.") if rising else _("Over by %(size)s.")) % {"size": size}
    return (_("%(size)s above.") if rising else _("%(size)s to spare.")) % {"size": size}


def _days(distance: int, test: Test | None) -> str:
    if not any(isinstance(each, Dated) for each in tests_of(test)) or distance >= 0:
        return ""
    return ngettext("Off by %(n)s day.", "Off by %(n)s days.", -distance) % {"n": -distance}


def joined(test: Test) -> str:
    """What a join asks of what stands beneath it."""
    return _("all of these") if isinstance(test, AllOf) else _("any of these")


def judgements(one: Explanation) -> list[str]:
    """The questions that only a person can answer."""
    return [
        test.question
        for each in one.criteria if each.verdict is Verdict.MANUAL
        for test in tests_of(each.criterion.test) if isinstance(test, Manual)
    ]  # fmt: skip


# --- scores and plans -------------------------------------------------------------------------------------------------


def plan(found: Plan, pack: Pack) -> str:
    """Changes that together suffice, with the points that they bring."""
    told = ("；" if is_chinese() else "; ").join(_change(each, pack) for each in found.changes)
    if found.points is None:
        return told
    return _("%(changes)s; %(total)s points in all") % {"changes": told, "total": found.points}


def _change(each: Change, pack: Pack) -> str:
    told = _what(each, pack)
    if each.points_to is None:
        return told
    return _("%(change)s gives %(points)s points") % {"change": told, "points": each.points_to}


def _what(each: Change, pack: Pack) -> str:
    """One change as something to do, or a day to wait for."""
    of = each.measure
    if isinstance(of, Certificate):
        return _("obtain a valid certificate: %(title)s") % {
            "title": rule_words.field(of.field, pack.fields, language())
        }
    if isinstance(of, Flag):
        title = rule_words.field(of.field, pack.fields, language())
        return (_("make it so: %(title)s") if each.needed else _("clear away: %(title)s")) % {"title": title}
    sizes = {
        name: rule_words.measured(int(size), of, pack, language(), each.unit)
        for name, size in (("now", each.now or 0), ("needed", each.needed), ("delta", abs(each.delta or 0)))
    }
    if isinstance(of, Age) and each.day is not None:
        return _("wait until %(day)s") % {"day": each.day}
    title = rule_words.measure(of, pack, language())
    rises = (each.delta or 0) > 0
    if rises and isinstance(of, Amount) and pack.fields[of.terms[0].field].kind == "integer":
        return _("%(delta)s more: %(title)s") % ({"title": title} | sizes)
    up, down = _("raise %(title)s from %(now)s to %(needed)s"), _("lower %(title)s from %(now)s to %(needed)s")
    return (up if rises else down) % ({"title": title} | sizes)


def points(one: CriterionResult) -> str:
    """The points of a criterion, an interval where facts are missing."""
    if one.points_low is None or one.points_high is None:
        return ""
    return _("%(points)s points") % {"points": _span(one.points_low, one.points_high)}


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def scoring(one: Explanation) -> SimpleNamespace | None:
    """The total beside what it must reach."""
    if one.scoring is None:
        return None
    total = _span(one.scoring.points_low, one.scoring.points_high)
    return SimpleNamespace(total=total, needed=_("at least %(n)s are needed") % {"n": one.scoring.threshold})
