"""The demo's parties and people: a centre, a bank, carriers, operators, sixty firms. All visibly invented.

Every name begins with 示例 (example), every USCC has the region 990000 that no division has. Divisions, tariffs and
calendars are real. The clock is moved to the start of 2025 while parties enter, so that the demo has a past.
"""

import csv
import io
import random
from collections.abc import Iterator
from datetime import date, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from django.utils.translation import gettext as _

from huoshui import publications, terms
from huoshui.base import access, clock
from huoshui.base import actions as base_actions
from huoshui.base.access import Actor
from huoshui.base.demo import DEMO_PASSWORD
from huoshui.base.models import Role, User
from huoshui.registry import actions, uscc
from huoshui.registry.models import Group, Party, Publication

SYSTEM = access.system("demo")
BEGINNING = datetime(2025, 1, 6, 9, tzinfo=clock.LOCAL)
FACTS_OF_2024 = datetime(2025, 4, 15, 9, tzinfo=clock.LOCAL)
SEED = 20250106
FIRMS = 60
AGENTS = 6

OFFICES = (
    # serial, name, division, kinds
    (1, "示例市企业综合服务中心", "330100", ("centre", "institution")),
    (2, "示例银行", "330100", ("bank", "institution")),
    (3, "示例甲网络公司", "330100", ("carrier",)),
    (4, "示例乙网络公司", "340100", ("carrier",)),
    (11, "示例东湖算力公司", "330100", ("operator", "entity")),
    (12, "示例江畔算力公司", "320500", ("operator",)),
    (13, "示例皖江算力公司", "340200", ("operator",)),
    (14, "示例云上算力公司", "530100", ("operator",)),
    (15, "示例北原算力公司", "140200", ("operator",)),
    (16, "示例戈壁算力公司", "640500", ("operator",)),
)
GROUPS = (
    ("lakeside-park", "示例湖畔科技园", "park", "330106"),
    ("riverside-park", "示例江岸软件园", "park", "330108"),
    ("harbour-park", "示例海港产业园", "park", "330200"),
    ("digital-content", "示例数字内容产业集群", "cluster", "330100"),
    ("smart-parts", "示例智能零部件产业集群", "cluster", "330200"),
)
DIVISIONS = ("330106", "330108", "330110", "330109", "330200", "330400", "330600", "330700", "331000", "330500")
WORDS = (
    "青禾", "白鹭", "砚池", "松果", "云杉", "麦浪", "晨钟", "石榴", "海棠", "墨竹",
    "雨燕", "灯塔", "橘洲", "溪桥", "竹笛", "银杏", "芦苇", "桑田", "雪松", "枫桥",
)
TRADES = (("软件", "6510"), ("影像渲染", "8760"), ("智能装备", "3490"), ("生物数据", "7340"), ("仿真设计", "7484"))
PEOPLE = (
    # sign-in, name, role, serial of the party (None: everywhere)
    ("officer", "示例专员甲", "officer", None),
    ("officer2", "示例专员乙", "officer", None),
    ("auditor", "示例审计员", "auditor", None),
    ("admin", "示例管理员", "administrator", None),
    ("bank", "示例银行专员", "bank", 2),
    *((f"operator{number}", f"示例运营方{number}号", "operator", 10 + number) for number in range(1, 7)),
    *((f"agent{number}", f"示例经办人{number}号", "agent", 100 + number) for number in range(1, AGENTS + 1)),
)


def load() -> Iterator[str]:
    """Everything of the registry's demo; repeatable."""
    with clock.moved_to(BEGINNING):
        _offices()
        _firms()
        _people()
    yield _("Demo: %(firms)s firms, %(others)s offices, carriers and operators") % {
        "firms": FIRMS, "others": len(OFFICES)
    }
    yield _("Demo: %(count)s people, all with the password %(password)s: %(names)s") % {
        "count": len(PEOPLE), "password": DEMO_PASSWORD, "names": ", ".join(row[0] for row in PEOPLE)
    }
    with clock.moved_to(FACTS_OF_2024):
        _facts()
        _relations()
    count = sum(_publish(path) for path in _shipped())
    yield _("Demo: %(count)s publications in force") % {"count": count}


def _offices() -> None:
    for serial, name, division, kinds in OFFICES:
        actions.create_party(
            SYSTEM, key=f"demo/party/{serial}", name=name, uscc=uscc.invented(serial), division=division, kinds=kinds
        )
    for code, name, kind, division in GROUPS:
        actions.create_group(SYSTEM, key=f"demo/group/{code}", code=code, name=name, kind=kind, division=division)


def _firm_rows() -> list[dict[str, str]]:
    """The firms as a file of the centre would list them."""
    dice = random.Random(SEED)  # noqa: S311  (the same firms on every machine)
    rows = []
    for index in range(FIRMS):
        word, (trade, code) = WORDS[index % len(WORDS)], TRADES[(index + index // len(WORDS)) % len(TRADES)]
        rows.append({
            "企业名称": f"示例{word}{trade}公司", "统一社会信用代码": uscc.invented(101 + index),
            "行政区划": dice.choice(DIVISIONS), "园区": dice.choice(("", *(group[1] for group in GROUPS))),
            "行业": code, "人员": str(dice.choice((4, 8, 15, 26, 42, 75, 130))),
            "收入": str(dice.randint(60, 9_000)), "成立": f"{dice.randint(2008, 2023)}-{dice.randint(1, 12):02d}-01",
        })
    return rows


def _import(kind: str, rows: list[dict[str, str]], mapping: dict[str, str]) -> None:
    """Through the door that everyone uses: staged, checked, activated."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(mapping), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    key = f"demo/import/{kind}"
    batch = actions.stage_import(SYSTEM, key=key, kind=kind, filename="demo.csv", data=out.getvalue().encode())
    actions.check_import(SYSTEM, key=f"{key}/check", batch=batch, mapping=mapping)
    actions.activate_import(SYSTEM, key=f"{key}/activate", batch=batch)


def _firms() -> None:
    mapping = {"企业名称": "name", "统一社会信用代码": "uscc", "行政区划": "division", "园区": "group"}
    _import("parties", _firm_rows(), mapping)


def _facts() -> None:
    mapping = {
        "统一社会信用代码": "uscc", "期间": "period", "来源": "source", "行业": "fact.industry", "人员": "fact.staff",
        "收入": "fact.revenue/wan_yuan", "成立": "fact.founded",
    }
    _import("facts", [row | {"期间": "2024", "来源": "税务"} for row in _firm_rows()], mapping)
    for number in (1, 2, 3):
        party = _party(100 + number)
        span: dict[str, Any] = {"period_start": date(2024, 1, 1), "period_end": date(2024, 12, 31)}
        actions.state_fact(
            SYSTEM, key=f"demo/fact/{number}", party=party, code="staff", value=10 * number, source="self", **span
        )


def _relations() -> None:
    for number, (holder, held, share) in enumerate(((103, 104, 6_000), (104, 105, 5_100), (110, 111, None))):
        actions.relate(
            SYSTEM, key=f"demo/relation/{number}", holder=_party(holder), held=_party(held),
            kind="ownership" if share else "control", share_bps=share, source="示例章程",
        )
    actions.join_group(SYSTEM, key="demo/join", group=Group.objects.get(code="smart-parts"), party=_party(11))


def _party(serial: int) -> Party:
    return Party.objects.get(uscc=uscc.invented(serial))


def _people() -> None:
    for username, name, role, serial in PEOPLE:
        key = f"demo/person/{username}"
        user = base_actions.create_user(SYSTEM, key=key, username=username, name=name, password=DEMO_PASSWORD)
        if serial is None:
            base_actions.assign(
                SYSTEM, key=f"{key}/role", user=user, role=Role.objects.get(code=role), scope=access.EVERYWHERE
            )
        else:
            actions.assign_person(SYSTEM, key=f"{key}/role", party=_party(serial), user=user, role=role)


def _shipped() -> Iterator[Traversable]:
    """The publications that come with the product."""
    for kind in sorted(resources.files("huoshui.publications").iterdir(), key=lambda path: path.name):
        if kind.is_dir() and kind.name != publications.TESTS:
            yield from (path for path in sorted(kind.iterdir(), key=lambda p: p.name) if path.name.endswith(".yaml"))


def _publish(path: Traversable) -> int:
    """One document through both officers' hands. A text that is stored already stays as it is."""
    text = path.read_text(encoding="utf-8")
    header = terms.parse(text)
    same = Publication.objects.filter(kind=header.kind, identifier=header.id)
    if same.filter(digest=header.digest, activated_at__isnull=False).exists():
        return 1
    first, second = (Actor(User.objects.get(username=username)) for username in ("officer", "officer2"))
    key = f"demo/publication/{header.digest[:16]}"
    publication = actions.submit_publication(first, key=key, text=text)
    actions.review_publication(second, key=f"{key}/review", publication=publication)
    actions.activate_publication(second, key=f"{key}/activate", publication=publication)
    return 1
