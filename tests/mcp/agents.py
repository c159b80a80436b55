"""Agents for tests: a person's token and the server that it talks to."""

from typing import Any

from asgiref.sync import async_to_sync
from tests.compute.world import NOON, World

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.actions import issue_token
from huoshui.compute.permissions import READ
from huoshui.mcp.permissions import DRAFT
from huoshui.mcp.server import HuoshuiServer
from mcp import Client

LIMIT_FEN = 300_000


def token(person: Actor, *permissions: str, limit_fen: int | None = LIMIT_FEN, days: int = 30) -> str:
    """The secret of a person's token for an agent that may read the bank and prepare drafts."""
    held = list(permissions or (READ, DRAFT))
    issued: dict[str, str] = issue_token(
        person, name="示例助手", permissions=held, days=days, spending_limit_fen=limit_fen
    )
    return issued["secret"]


def ask(secret: str, name: str, **arguments: Any) -> dict[str, Any]:
    """One call through the protocol; the structured answer."""

    async def talk() -> Any:
        async with Client(HuoshuiServer(secret)) as client:
            return await client.call_tool(name, arguments)

    result = async_to_sync(talk)()
    answer: dict[str, Any] = result.structured_content
    assert result.is_error == (not answer["ok"])
    return answer


def request(world: World, **changes: Any) -> dict[str, Any]:
    """Arguments of a draft of a request: a card for four hours, at most 1,000 yuan."""
    start = clock.local(clock.instant_of(world.start))
    values = {
        "entity": world.entity.pk, "title": "助手拟定", "cards": 1, "hours": {"test": 4}, "earliest": start.isoformat(),
        "deadline": clock.local(clock.instant_of(world.start + 24)).isoformat(), "budget_fen": 100_000,
        "data_region": "east",
    }  # fmt: skip
    return values | changes


def at_noon() -> Any:
    """The moment at which the world takes requests."""
    return clock.moved_to(NOON)
