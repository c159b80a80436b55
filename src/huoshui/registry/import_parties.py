"""The import of parties: a row is found again by its USCC, else by its name; what it leaves empty stays as it is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui.base import clock, intake
from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.clearing.tables import Rule, words
from huoshui.registry import permissions, sentences, uscc
from huoshui.registry.imports import CHUNK, Column, ImportKind, Row, register
from huoshui.registry.models import (
    Division,
    Group,
    Membership,
    Party,
    PartyRevision,
    PartyRole,
    RoleKind,
    RowChange,
    on_day,
)


def _uscc(text: str) -> str:
    code = uscc.normal(text)
    if fault := uscc.fault(code):
        raise Rule(fault)
    return code


def _name(text: str) -> str:
    return str(words(200)(" ".join(intake.normal(text).split())))


def _role_kinds(text: str) -> list[str]:
    names = {str(label): value for value, label in RoleKind.choices} | {value: value for value in RoleKind.values}
    names |= ROLE_WORDS
    found = [names.get(part) for part in intake.normal(text).replace(";", "、").replace(",", "、").split("、")]
    if None in found or RoleKind.CENTRE in found:
        raise Rule("role_kind", one_of="、".join(ROLE_WORDS))
    return sorted({name for name in found if name})


def _show_kinds(kinds: list[str]) -> str:
    return "、".join(str(RoleKind(kind).label) for kind in kinds)


ROLE_WORDS = {
    "经营主体": "entity", "企业": "entity", "机构": "institution", "算力运营方": "operator", "银行": "bank",
    "网络运营商": "carrier",
}
PARTY_COLUMNS = (
    Column("name", gettext_lazy("name"), _name, ("名称", "企业名称", "单位名称", "公司名称", "主体名称", "name")),
    Column("uscc", gettext_lazy("USCC"), _uscc, ("统一社会信用代码", "社会信用代码", "信用代码", "uscc")),
    Column("division", gettext_lazy("division"), words(60),
           ("行政区划", "行政区划代码", "所属区划", "区划", "所在地", "区县", "地区", "division")),
    Column("kinds", gettext_lazy("roles"), _role_kinds, ("角色", "主体类型", "类型", "roles"), _show_kinds),
    Column("group", gettext_lazy("cluster or park"), words(100), ("园区", "所属园区", "产业集群", "集群", "group")),
)


def _divisions() -> dict[str, str]:
    """Division code by code and by name; a name that several divisions bear is left out."""
    rows = list(Division.objects.values_list("code", "name"))
    names = Counter(name for _code, name in rows)
    return {code: code for code, _name in rows} | {name: code for code, name in rows if names[name] == 1}


def chunks(values: Iterable[Any]) -> Iterable[list[Any]]:
    listed = sorted(set(values))
    return (listed[start : start + CHUNK] for start in range(0, len(listed), CHUNK))


@dataclass(frozen=True)
class Known:
    """Parties that the rows may mean."""

    by_uscc: dict[str, Party]
    by_name: dict[str, list[Party]]

    @classmethod
    def of(cls, rows: Sequence[Row]) -> "Known":
        by_uscc: dict[str, Party] = {}
        by_name: dict[str, list[Party]] = defaultdict(list)
        for chunk in chunks(row.values["uscc"] for row in rows if "uscc" in row.values):
            by_uscc |= {party.uscc or "": party for party in Party.objects.filter(uscc__in=chunk)}
        for chunk in chunks(row.values["name"] for row in rows if "name" in row.values):
            for party in Party.objects.filter(name__in=chunk):
                by_name[party.name].append(party)
        return cls(by_uscc, by_name)

    def party(self, row: Row) -> Party | None:
        """The party that a row means: by USCC, else by name. A name shared by several is a fault of the row."""
        code, name = row.values.get("uscc"), row.values.get("name")
        if code in self.by_uscc:
            return self.by_uscc[code]
        named = [party for party in self.by_name.get(name or "", []) if code is None or party.uscc is None]
        if len(named) > 1:
            row.fault(PARTY_COLUMNS[0].title, name, _("several parties bear this name: give the USCC"))
        return named[0] if len(named) == 1 else None


def _compare_parties(rows: Sequence[Row]) -> None:
    known, divisions = Known.of(rows), _divisions()
    groups = {name: group.code for group in Group.objects.all() for name in (group.code, group.name)}
    today = clock.today()
    roles = _held(PartyRole.objects.filter(on_day(today)).values_list("party", "kind"))
    members = _held(Membership.objects.filter(on_day(today)).values_list("party", "group__code"))
    seen: dict[Any, int] = {}
    for row in rows:
        values = row.values
        _look_up(row, PARTY_COLUMNS[2], divisions, sentences.sentence("division"))
        _look_up(row, PARTY_COLUMNS[4], groups, _("no such cluster or park"))
        if row.change == RowChange.BAD:
            continue
        if "name" not in values:
            row.fault(PARTY_COLUMNS[0].title, "", sentences.sentence("required"))
            continue
        party = known.party(row)
        key = party.pk if party else values.get("uscc") or values["name"]
        if key in seen:
            row.fault(PARTY_COLUMNS[1].title, key, _("the same party stands in row %(row)s") % {"row": seen[key]})
        seen.setdefault(key, row.number)
        if row.change == RowChange.BAD:
            continue
        if party is None:
            row.change = RowChange.NEW
            continue
        there = {
            "name": party.name, "uscc": party.uscc, "division": party.division_id,
            "kinds": sorted(roles[party.pk] & set(values.get("kinds", ()))),
            "group": values.get("group") if values.get("group") in members[party.pk] else None,
        }
        row.before = {name: there[name] for name, value in values.items() if there[name] != value}
        row.change = RowChange.CHANGED if row.before else RowChange.SAME


def _look_up(row: Row, column: Column, table: Mapping[str, Any], rule: str) -> None:
    """Put the key of what a cell names in its place (a checked row holds the key already)."""
    if column.field not in row.values:
        return
    value = row.values[column.field]
    if value in table:
        row.values[column.field] = table[value]
    elif value not in table.values():
        row.fault(column.title, value, rule)


def _held(pairs: Iterable[tuple[int, Any]]) -> dict[int, set[Any]]:
    held: dict[int, set[Any]] = defaultdict(set)
    for party, what in pairs:
        held[party].add(what)
    return held


def _apply_parties(act: Act, record: LogRecord, rows: Sequence[Row]) -> None:
    known = Known.of(rows)
    today = clock.today()
    fresh, changed, all_parties = [], [], []
    for row in rows:
        values = row.values
        party = known.party(row)
        if party is None:
            party = Party(name=values["name"], created_at=act.at)
            fresh.append(party)
        else:
            act.require(permissions.EDIT, party)
            changed.append(party)
        party.name = values["name"]
        party.uscc, party.division_id = values.get("uscc", party.uscc), values.get("division", party.division_id)
        act.require(permissions.EDIT, party)
        all_parties.append((party, row))
    Party.objects.bulk_create(fresh, batch_size=CHUNK)
    Party.objects.bulk_update(changed, ["name", "uscc", "division"], batch_size=500)
    PartyRevision.objects.bulk_create(
        (
            PartyRevision(party=p, name=p.name, uscc=p.uscc, division_id=p.division_id, record=record)
            for p, _row in all_parties
        ),
        batch_size=CHUNK,
    )
    roles = _held(PartyRole.objects.filter(on_day(today)).values_list("party", "kind"))
    PartyRole.objects.bulk_create(
        (
            PartyRole(party=party, kind=kind, since=today)
            for party, row in all_parties
            for kind in row.values.get("kinds", () if roles[party.pk] else (RoleKind.ENTITY,))
            if kind not in roles[party.pk]
        ),
        batch_size=CHUNK,
    )
    members = _held(Membership.objects.filter(on_day(today)).values_list("party", "group__code"))
    groups = dict(Group.objects.values_list("code", "pk"))
    Membership.objects.bulk_create(
        (
            Membership(party=party, group_id=groups[row.values["group"]], since=today)
            for party, row in all_parties
            if "group" in row.values and row.values["group"] not in members[party.pk]
        ),
        batch_size=CHUNK,
    )


register(ImportKind(
    "parties", gettext_lazy("parties"), permissions.IMPORT, lambda: PARTY_COLUMNS, (("name",),),
    _compare_parties, _apply_parties,
))
