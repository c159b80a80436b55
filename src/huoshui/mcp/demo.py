"""The demo's agent: one token of a firm's agent, and a draft of it that waits."""

from collections.abc import Iterator
from datetime import timedelta

from django.utils.translation import gettext as _

from huoshui.base import access, clock
from huoshui.base.actions import issue_token
from huoshui.base.demo import Step
from huoshui.base.models import Assignment, Token
from huoshui.compute.models import CardModel, Region
from huoshui.compute.permissions import READ, REQUEST
from huoshui.mcp.actions import prepare
from huoshui.mcp.models import Draft
from huoshui.mcp.permissions import DRAFT

NAME = "示例采购助手"
LIMIT_FEN = 500_000


def load() -> Iterator[Step]:
    """A draft of a request for tomorrow's cards, laid before the first agent of an entity."""
    if Draft.objects.filter(token__name=NAME).exists() or not CardModel.objects.exists():
        return
    held = Assignment.objects.filter(role__code="agent", scope__startswith="party:").select_related("user").first()
    if held is None or not access.Actor(held.user).scopes(REQUEST):
        return
    person = access.Actor(held.user)
    issued = issue_token(person, name=NAME, permissions=[READ, DRAFT], days=30, spending_limit_fen=LIMIT_FEN)
    agent = access.Actor(held.user, Token.objects.get(pk=issued["id"]))
    start = clock.local(clock.day_start(clock.today() + timedelta(days=9)))
    regions = list(Region.objects.order_by("code").values_list("code", flat=True))
    draft = prepare(agent, key="demo/draft", tool="draft_request", arguments={
        "entity": access.ids({held.scope}, "party")[0], "title": "客服问答模型微调（助手拟定）", "cards": 4,
        "hours": {CardModel.objects.order_by("code")[0].code: 6}, "earliest": start.isoformat(),
        "deadline": (start + timedelta(days=3)).isoformat(), "budget_fen": 80_000, "data_region": regions[0],
        "regions": regions[:3],
    })  # fmt: skip
    yield _("Draft %(number)s of an agent waits for %(name)s") % {"number": draft.number, "name": held.user.username}
