"""Facts of the demo firms that make their matches interesting, and applications in several states.

Everything is invented by arithmetic from the firms of the registry's demo, the same on every machine. Six kinds of firm
take turns, so that the six agents see six different matches: strong, one step short, little known, sources in conflict,
small and plain, mixed. Figures are those of the last three calendar years; the clock is moved to the spring in which
tax offices have last year's.
"""

import csv
import io
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.models import Assignment, User
from huoshui.cases.files import Upload
from huoshui.policy import matching, needs
from huoshui.policy.actions import applications
from huoshui.policy.actions.applications import Handed, Wish
from huoshui.policy.models import Application
from huoshui.registry import actions as registry
from huoshui.registry import uscc
from huoshui.registry.models import Party
from huoshui.rules import Verdict

SYSTEM = access.system("demo")
SEED = 20260420
FIRST_SERIAL = 101
FIRMS = 60
SPRING = (4, 20)
STRONG, NEAR, UNKNOWN, CONFLICT, PLAIN, MIXED = range(6)
YEARS = 3
TAX, OFFICIAL = "税务", "官方"
NO_FOR_MOST = (
    "abnormal", "dishonest", "incident.three", "incident.year", "incident.two", "restricted", "data-fraud",
    "single-champion", "little-giant.group", "award.any", "award.national", "award.national.five",
    "award.national.top-five", "award.provincial", "standard.led", "rd-body.provincial", "innovation-demo", "ip-demo",
)  # fmt: skip
YES, NO = "是", "否"
CONTRACTS_FEN = (18_000_000, 90_000_000, 42_500_000, 260_000_000, 30_000_000)


def load() -> Iterator[str]:
    """Facts of last year's spring, then applications; repeatable. Nothing when the demo firms are missing."""
    firms = list(_firms())
    if not firms:
        return
    today = clock.today()
    spring = datetime(today.year, *SPRING, 9, tzinfo=clock.LOCAL)
    with clock.moved_to(min(spring, clock.now() - timedelta(days=1))):
        _tax_files(firms, today.year)
        _registers(firms, today.year)
        _conflicts(firms)
        _contracts(firms, today.year)
    yield _("Demo: facts of %(count)s firms for %(first)s to %(last)s") % {
        "count": len(firms), "first": today.year - YEARS, "last": today.year - 1
    }
    made = sum(_story(number, *story) for number, story in enumerate(STORIES, 1))
    if made:
        yield _("Demo: %(count)s applications in review, approved and refused") % {"count": made}


# --- facts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Firm:
    """A demo firm and the figures from which its facts follow; money in 万元."""

    party: Party
    kind: int
    revenue: tuple[int, ...]
    rd_bps: tuple[int, ...]
    staff: int

    @property
    def uscc(self) -> str:
        assert self.party.uscc is not None, "every demo firm has a code"
        return self.party.uscc


def _firms() -> Iterator[Firm]:
    """The firms in order of their serials. `revenue` and `rd_bps`: last year, the year before, the one before that."""
    serials = {uscc.invented(FIRST_SERIAL + index): index for index in range(FIRMS)}
    found = {serials[party.uscc]: party for party in Party.objects.filter(uscc__in=serials) if party.uscc}
    for index, party in sorted(found.items()):
        dice = random.Random(SEED + index)  # noqa: S311  (the same figures on every machine)
        kind = index % 6
        last = dice.randint(2_000, 9_500) if kind in (STRONG, NEAR, MIXED) else dice.randint(80, 1_900)
        growth = 10_000 + dice.choice((600, 900, 1_400, 1_900)) if kind != PLAIN else 9_700
        revenue = (last, last * 10_000 // growth, last * 10_000 // growth * 10_000 // growth)
        yield Firm(party, kind, revenue, _rd(kind, dice), dice.choice((12, 18, 26, 42, 75, 130)))


def _rd(kind: int, dice: random.Random) -> tuple[int, ...]:
    """R&D in basis points of revenue, by year."""
    usual = {STRONG: 680, NEAR: 320, UNKNOWN: 420, CONFLICT: 560, PLAIN: 90, MIXED: 470}[kind]
    return tuple(usual + dice.randint(-20, 60) for _year in range(YEARS))


def _tax_files(firms: Sequence[Firm], this_year: int) -> None:
    """What the tax office knows of each year."""
    for back in range(YEARS):
        rows = [_tax_row(firm, back) for firm in firms if not (firm.kind == UNKNOWN and back)]
        _import(f"{this_year}/tax/{back}", rows, TAX, str(this_year - 1 - back))


def _tax_row(firm: Firm, back: int) -> dict[str, str]:
    """One firm's year. Of firms of whom little is known, only revenue and staff."""
    revenue = firm.revenue[back]
    row = {"revenue/wan_yuan": revenue, "staff": firm.staff}
    if firm.kind != UNKNOWN:
        rd = revenue * firm.rd_bps[back] // 10_000
        assets = revenue * 11 // 10
        debt = {NEAR: 52, PLAIN: 64}.get(firm.kind, 41)
        row |= {
            "revenue.main/wan_yuan": revenue * (93 if firm.kind in (STRONG, NEAR) else 81) // 100,
            "rd/wan_yuan": rd, "rd.domestic/wan_yuan": rd, "rd.expensed/wan_yuan": rd, "rd.capitalised/wan_yuan": 0,
            "assets/wan_yuan": assets, "liabilities/wan_yuan": assets * debt // 100,
            "cost.total/wan_yuan": revenue * 91 // 100, "income.total/wan_yuan": revenue,
            "taxable-income/wan_yuan": revenue * 6 // 100, "profit.net/wan_yuan": revenue * 5 // 100,
            "equity.new/wan_yuan": 0,
        }  # fmt: skip
    if firm.kind in (STRONG, NEAR):
        row |= {"staff.rd": firm.staff * 3 // 10, "revenue.high-tech/wan_yuan": revenue * 72 // 100,
                "vat.input/wan_yuan": revenue * 4 // 100, "srdi.score": 61}  # fmt: skip
    if firm.kind in (CONFLICT, MIXED):
        row["staff.rd"] = firm.staff // 5
    return {"uscc": firm.uscc} | {name: str(value) for name, value in row.items()}


def _registers(firms: Sequence[Firm], this_year: int) -> None:
    """What public registers say: standing, conduct, property, certificates."""
    for kind in range(6):  # firms of one kind have the same columns
        rows = [{"uscc": firm.uscc} | _register_row(firm, this_year) for firm in firms if firm.kind == kind]
        _import(f"{this_year}/registers/{kind}", rows, OFFICIAL)


def _register_row(firm: Firm, this_year: int) -> dict[str, str]:
    if firm.kind == UNKNOWN:
        return {"resident": YES, "abnormal": NO, "restricted": NO}
    row = {"resident": YES, "legal-entity": YES, "vat.general": YES, "tax.books": YES, "ip.class1": "0"}
    row |= {name: NO for name in NO_FOR_MOST if firm.kind != CONFLICT or name != "abnormal"}
    until = f"{this_year + 1}-11-30"
    if firm.kind == STRONG:
        row |= {
            "ip.class1": "4", "ip.class1.own": "3", "ip.class1.main": "2", "ip.class2": "9", "ip.core": YES,
            "high-tech": YES, "high-tech.until": until, "tech-sme": YES, "tech-sme.until": f"{this_year + 1}-12-31",
            "innovative-sme": YES, "innovative-sme.until": until, "segment.since": f"{this_year - 7}-03-01",
            "tax.grade": "A", "premises.fixed": YES, "operating": YES, "credit.good": YES, "credit.use-lawful": YES,
            "little-giant": NO, "srdi": NO,
        }  # fmt: skip
    elif firm.kind == NEAR:
        row |= {"ip.class2": "3", "ip.core": YES, "tech-sme": NO, "innovative-sme": NO, "high-tech": NO,
                "premises.fixed": YES, "operating": YES, "credit.good": YES, "tax.grade": "B",
                "segment.since": f"{this_year - 5}-06-01", "product.strategic": NO}  # fmt: skip
    elif firm.kind == CONFLICT:
        row |= {"ip.class2": "5", "premises.fixed": YES, "tax.grade": "B"}
    elif firm.kind == MIXED:
        row |= {"ip.class1": "1", "ip.class2": "2", "tech-sme": YES, "tech-sme.until": f"{this_year + 1}-12-31"}
    return row


def _import(key: str, rows: Sequence[dict[str, str]], source: str, period: str = "") -> None:
    """Through the door that everyone uses: staged, checked, activated."""
    if not rows:
        return
    codes = list(dict.fromkeys(code for row in rows for code in row if code != "uscc"))
    told = {"source": source} | ({"period": period} if period else {})
    mapping = {name: name for name in ("uscc", *told)} | {code: f"fact.{code}" for code in codes}
    out = io.StringIO()
    writer = csv.DictWriter(out, list(mapping), restval="")
    writer.writeheader()
    writer.writerows(told | row for row in rows)
    name = f"demo/facts/{key}"
    batch = registry.stage_import(SYSTEM, key=name, kind="facts", filename="demo.csv", data=out.getvalue().encode())
    registry.check_import(SYSTEM, key=f"{name}/check", batch=batch, mapping=mapping)
    registry.activate_import(SYSTEM, key=f"{name}/activate", batch=batch)


def _conflicts(firms: Sequence[Firm]) -> None:
    """Two registers of one rank that disagree: nothing is assumed until one gives way."""
    for firm in firms:
        if firm.kind == CONFLICT:
            for name, says in (("示例市市场监管局", True), ("示例市信用平台", False)):
                registry.state_fact(
                    SYSTEM, key=f"demo/conflict/{firm.party.pk}/{name}", party=firm.party, code="abnormal", value=says,
                    source="official", source_name=name,
                )  # fmt: skip


def _contracts(firms: Sequence[Firm], year: int) -> None:
    """What firms that buy compute declare for the year: small contracts and large ones, nothing received so far."""
    first, last = date(year, 1, 1), date(year, 12, 31)
    for firm in firms:
        if firm.kind not in (STRONG, NEAR, MIXED):
            continue
        told = {"compute.contracts": CONTRACTS_FEN[firm.party.pk % len(CONTRACTS_FEN)], "subsidy.compute": 0}
        for code, value in told.items():
            registry.state_fact(
                SYSTEM, key=f"demo/contracts/{year}/{firm.party.pk}/{code}", party=firm.party, code=code, value=value,
                source="self", period_start=first, period_end=last,
            )  # fmt: skip


# --- applications -----------------------------------------------------------------------------------------------------

Story = tuple[int, str, int, str]
STORIES: tuple[Story, ...] = (
    # serial of the firm, pack, days ago, how far it goes
    (101, "innovative-sme", 40, "approved"),
    (101, "srdi-2026", 6, "submitted"),
    (107, "srdi-2026", 9, "checked"),
    (113, "high-tech", 20, "refused"),
)
REFUSAL = ("field", "产品说明未能对应《国家重点支持的高新技术领域》的任何一项，请补充后再申请。")


def _story(number: int, serial: int, pack_id: str, days_ago: int, goes: str) -> bool:
    """One application, told with the clock moved; nothing where people, firm or verdict are missing."""
    people = {user.username: Actor(user) for user in User.objects.filter(username__in=("officer", "officer2"))}
    party = Party.objects.filter(uscc=uscc.invented(serial)).first()
    if party is None or len(people) < 2:
        return False
    start, key = clock.now() - timedelta(days=days_ago), f"demo/application/{number}"
    with clock.moved_to(start):
        application = applied(party, pack_id, key)
    if application is None:
        return False
    _review(application, people, start, goes, key)
    return True


def applied(party: Party, pack_id: str, key: str) -> Application | None:
    """The application of a story; None where the pack does not admit it."""
    found = Application.objects.filter(party=party, pack=pack_id).first()
    if found is not None:
        return found
    match = matching.match(party, clock.today())
    if pack_id not in match.shelf.listed or match.of(pack_id).verdict not in (Verdict.MET, Verdict.MANUAL):
        return None
    wanted = needs.of(match, [match.shelf.pack(pack_id)])
    handed = tuple(
        Handed(need.key, Upload(f"{need.title[:40]}.txt", f"演示材料：{need.title}".encode()))
        for need in wanted if need.asked
    )  # fmt: skip
    filing = applications.apply(
        _agent_of(party), key=key, party=party, wishes=(Wish(pack_id),), handed=handed, consent=True
    )
    return filing.applications.get()


def _agent_of(party: Party) -> Actor:
    """Who acts for the firm; the platform itself for a firm without a demo agent."""
    held = Assignment.objects.filter(scope=f"party:{party.pk}", role__code="agent").select_related("user").first()
    return Actor(held.user) if held else SYSTEM


def _review(
    application: Application, people: Mapping[str, Actor], start: datetime, goes: str, key: str
) -> None:
    """What the officers do, a day at a time; steps that were taken already are left out."""
    fresh = Application.objects.get(pk=application.pk)
    if fresh.state != Application.State.SUBMITTED or goes == "submitted":
        return
    if goes == "refused":
        criterion, text = REFUSAL
        with clock.moved_to(start + timedelta(days=3)):
            applications.refuse(
                people["officer"], key=f"{key}/refuse", application=fresh, criterion=criterion, text=text
            )
        return
    if not fresh.checked_by:
        _pack, explanation = applications.judged(fresh)
        waiting = [one.criterion.id for one in explanation.criteria if one.verdict is Verdict.MANUAL]
        with clock.moved_to(start + timedelta(days=1)):
            fresh = applications.check(
                people["officer"], key=f"{key}/check", application=fresh, findings=dict.fromkeys(waiting, True)
            )
    if goes == "approved":
        with clock.moved_to(start + timedelta(days=2)):
            applications.approve(people["officer2"], key=f"{key}/approve", application=fresh)
