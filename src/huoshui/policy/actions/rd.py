"""R&D costs: saved as they are filled in, then stated as facts of the year with the working behind them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Problem, Refused
from huoshui.policy import rd
from huoshui.policy.models import RdStatement, RdWorking
from huoshui.policy.rd_words import rule
from huoshui.registry import permissions as registry
from huoshui.registry.actions import state_fact
from huoshui.registry.models import FactSource, Party

FACTS = (
    ("rd", "spent_fen"), ("rd.domestic", "spent_at_home_fen"),
    ("rd.expensed", "expensed_fen"), ("rd.capitalised", "amortised_fen"),
)  # fmt: skip
"""Which fact each figure of the result becomes."""


def year_of(content: dict[str, Any], year: int) -> rd.Year:
    """The stored content as what it was computed from."""
    lines = (rd.Line(**line | {"category": rd.Category(line["category"])}) for line in content["lines"])
    return rd.Year(year, tuple(lines), tuple(rd.Asset(**asset) for asset in content["assets"]))


@action("policy.rd.save")
def save(act: Act, *, party: Party, year: int, lines: Sequence[rd.Line], assets: Sequence[rd.Asset]) -> RdWorking:
    """Keep a year's costs and what they come to. Nothing changed: the last working stays. Raises Invalid."""
    act.require(registry.DECLARE, party)
    filled = rd.Year(year, tuple(lines), tuple(assets))
    if year > clock.today().year:
        raise Invalid(Problem("year", str(year), _("lies in the future")))
    if faults := rd.faults(filled):
        raise Invalid(*(Problem(f"{f.part}.{f.field}", f.value, rule(f.rule), f.index + 1) for f in faults))
    content = canonical.plain({"lines": filled.lines, "assets": filled.assets})
    last = RdWorking.objects.filter(party=party, year=year).order_by("id").last()
    if last is not None and last.content == content:
        act.nothing_changed()
        return last
    result, salt = rd.collect(filled), secrets.token_hex(16)
    digest = canonical.digest({"year": year, "content": content, "result": asdict(result)})
    # Names of projects are the firm's own affair: the log knows the working by a salted digest.
    record = act.record(party, {
        "year": year, "lines": len(filled.lines), "assets": len(filled.assets),
        "working": canonical.salted(salt, digest),
    })  # fmt: skip
    return RdWorking.objects.create(
        party=party, year=year, content=content, result=asdict(result), digest=digest, salt=salt,
        saved_by=act.actor.principal, saved_at=act.at, record=record,
    )  # fmt: skip


@action("policy.rd.state")
def state(act: Act, *, working: RdWorking) -> RdStatement:
    """The figures of the last working become self-declared facts of the year. Raises Refused."""
    act.require(registry.DECLARE, working.party)
    if working.year >= clock.today().year:
        raise Refused(_("The year %(year)s is not over.") % {"year": working.year}, code="year_not_over")
    if RdWorking.objects.filter(party=working.party, year=working.year, pk__gt=working.pk).exists():
        raise Refused(_("There is a later version of these costs."), code="working_replaced")
    if RdStatement.objects.filter(working=working).exists():
        raise Refused(_("These figures have been stated already."), code="working_stated")
    facts = {code: _fact(act, working, code, working.result[figure]) for code, figure in FACTS}
    record = act.record(working, {"facts": facts, "working": canonical.salted(working.salt, working.digest)})
    return RdStatement.objects.create(
        party=working.party, working=working, facts=facts, stated_by=act.actor.principal, stated_at=act.at,
        record=record,
    )  # fmt: skip


def _fact(act: Act, working: RdWorking, code: str, fen: int) -> int:
    fact = state_fact(
        act.actor, party=working.party, code=code, value=fen, source=FactSource.SELF,
        period_start=date(working.year, 1, 1), period_end=date(working.year, 12, 31),
    )  # fmt: skip
    return fact.pk
