"""Demo cases: questions of the demo firms in every state, told with the whole clock moved to the past."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.access import Actor
from huoshui.base.models import User
from huoshui.cases import actions
from huoshui.cases.machine import Kind
from huoshui.cases.permissions import OPEN
from huoshui.registry.models import Party


@dataclass(frozen=True)
class Step:
    """After `days` from the opening, `who` (a sign-in) does `event`."""

    days: int
    who: str
    event: Kind
    fields: dict[str, Any] = field(default_factory=dict)


def _says(days: int, who: str, event: Kind, text: str = "", /, **fields: Any) -> Step:
    return Step(days, who, event, {"text": text, **fields})


STORIES: tuple[tuple[str, int, str, str, tuple[Step, ...]], ...] = (
    ("agent1", 40, "首次使用算力银行需要准备哪些材料", "我司第一次取用算力，想了解账户开通和额度申请的流程。", (
        _says(0, "officer", Kind.ACCEPTED),
        _says(1, "officer", Kind.REPLIED, "请先由合作银行报送监管账户余额，额度次日生效。"),
        _says(2, "officer", Kind.RESOLVED, "已电话说明流程并发送操作指引。"),
        _says(3, "officer2", Kind.CALLED_BACK, "企业表示清楚。", satisfied=True),
    )),
    ("agent2", 30, "结算单的开票信息如何修改", "公司名称变更后，结算单抬头仍是旧名称。", (
        _says(0, "officer2", Kind.ACCEPTED),
        _says(1, "officer2", Kind.RESOLVED, "名称以登记信息为准，已通知更新。"),
        _says(3, "officer", Kind.CALLED_BACK, "企业反映新结算单抬头仍未更新。", satisfied=False),
        _says(4, "officer2", Kind.REPLIED, "登记信息已更新，新结算单将使用新名称。"),
        _says(5, "officer2", Kind.RESOLVED, "已核对最新结算单抬头。"),
        _says(7, "officer", Kind.CALLED_BACK, "企业确认无误。", satisfied=True),
    )),
    ("agent3", 14, "渲染作业能否安排在夜间低谷时段", "希望使用夜间价格较低的时段，作业可以中断。", (
        _says(0, "officer", Kind.ACCEPTED),
        _says(1, "officer", Kind.PAUSED, "请补充作业可中断的最短时长，以及最晚完成时间。"),
    )),
    ("agent4", 12, "对集中撮合的未成交原因有疑问", "申请的预算高于公布的分时价格，为何未成交？", (
        _says(0, "officer", Kind.ACCEPTED),
        _says(2, "officer", Kind.COMMENTED, "需算力专区核对容量后答复。", shared=False),
        _says(3, "officer2", Kind.EXTENDED, "需等待下一轮撮合结果核对。", days=3),
        _says(8, "officer2", Kind.SUPERVISED, "已临近法定期限，请今日内答复企业。"),
    )),
    ("agent5", 4, "园区企业能否集中申请额度", "园区内三家企业希望一起咨询额度政策。", (
        _says(0, "officer2", Kind.ACCEPTED),
        _says(1, "officer2", Kind.RESOLVED, "额度按企业分别核定，已逐一说明。"),
    )),
    ("agent6", 1, "推理服务的结算周期是多久", "请问按日结算还是按轮次结算？", ()),
)


def load() -> Iterator[str]:
    """Open the demo cases and let their events happen; nothing when the demo people are missing."""
    people = {user.username: Actor(user) for user in User.objects.filter(is_active=True)}
    now, opened = clock.now(), 0
    for number, (agent, days_ago, title, body, steps) in enumerate(STORIES, 1):
        party = _party_of(people.get(agent))
        if party is None or not {"officer", "officer2"} <= people.keys():
            continue
        start = now - timedelta(days=days_ago)
        with clock.moved_to(start):
            case = actions.open_case(
                people[agent], key=f"demo/case/{number}", kind="service.question", party=party, title=title, body=body
            )
        for index, step in enumerate(steps):
            with clock.moved_to(start + timedelta(days=step.days, hours=index + 1)):
                actions.add_event(
                    people[step.who], key=f"demo/case/{number}/{index}", case=case, event=step.event, **step.fields
                )
        opened += 1
    if opened:
        yield _("%(count)s demo cases in every state") % {"count": opened}


def _party_of(agent: Actor | None) -> Party | None:
    """The first party for which the agent may open cases."""
    own = sorted(access.ids(agent.scopes(OPEN), "party")) if agent else []
    return Party.objects.filter(pk__in=own[:1]).first()
