"""Lists of officers in words: what stands in an entity's way, by how much, which fact is missing."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.policy import reach
from huoshui.policy.models import Push
from huoshui.policy.reach import Condition
from huoshui.rules import Pack
from huoshui.rules import words as rule_words
from huoshui.rules.model import Compare

SHOWS: dict[str, str | Promise] = {
    "unclaimed": _l("Qualifies, has not applied"),
    "one_step": _l("One condition short"),
    "missing": _l("One fact missing"),
    "manual": _l("Needs a person"),
    "unknown": _l("Unknown"),
    "applied": _l("Qualifies, has applied"),
    "met": _l("All that qualify"),
    "unmet": _l("Does not qualify"),
}
OUTCOMES: dict[str, tuple[str | Promise, str]] = {
    "applied": (_l("applied"), "good"),
    "answered": (_l("answered the fact"), "good"),
    "declined": (_l("declined"), "bad"),
    "seen": (_l("seen"), "info"),
    "nothing": (_l("no reaction"), "none"),
}


def language() -> str:
    """The reader's language."""
    return get_language() or "zh-hans"


def condition(of: Condition) -> str:
    """What stands in the way, in words."""
    title = of.title or _("the score")
    return f"{title} ({of.pack.header.title})" if of.via >= 0 else title


def margin(of: Condition, amount: int | None) -> str:
    """By how much an entity is short of a condition; empty when it is no number."""
    if amount is None:
        return ""
    if of.test is None:
        return _("%(points)s points") % {"points": abs(amount)}
    if not isinstance(of.test, Compare):
        return ""
    return rule_words.measured(abs(amount), of.test.measure, of.pack, language(), of.test.unit)


def fact(pack: Pack, column: str) -> str:
    """A missing fact in words."""
    return rule_words.column(column, pack.fields, language())


def benefit(kind: str) -> str:
    """A kind of benefit in words."""
    return rule_words.pick(rule_words.BENEFITS[kind], language()) if kind in rule_words.BENEFITS else ""


def sentence(push: Push) -> str:
    """What a push said."""
    pack: Pack = push.publication.loaded()
    return told(push, pack, reach.conditions(push.run, pack) if push.run else ())


def told(push: Push, pack: Pack, conditions: Sequence[Condition]) -> str:
    """What a push says, in a sentence to the entity."""
    title = pack.header.title
    if push.reason == Push.Reason.QUALIFIES:
        return _("You qualify for “%(title)s” and have not applied.") % {"title": title}
    if push.reason == Push.Reason.MISSING and push.detail:
        named = {"title": title, "fact": fact(pack, push.detail)}
        return _("One fact decides whether you get “%(title)s”: %(fact)s") % named
    if push.reason == Push.Reason.MISSING:
        return _("One fact decides whether you get “%(title)s”.") % {"title": title}
    for one in conditions:
        if one.key == push.detail:
            named = {"title": title, "condition": condition(one)}
            return _("You are one condition short of “%(title)s”: %(condition)s") % named
    return _("You are one condition short of “%(title)s”.") % {"title": title}
