"""What a program that acts for a person may call: reads, and drafts that the person confirms.

    tools.register(tools.Tool("quote", _l("Quote"), _l("Price range …"), permissions.READ, QuoteArguments, quote))
    tools.register_draft(tools.DraftTool("draft_request", …, RequestArguments, prepare, perform))
    tools.on_status("requests", requests_of)

A module registers its tools from `apps.py` and knows nothing of who offers them (the MCP server does). A tool gets the
actor and its validated arguments, and returns plain data: text that people wrote stays a value in it and is never
part of a description. A draft tool never writes: `prepare` says what would be done and what it costs at most, and
`perform` calls the one action when a person has confirmed it. Both raise `Refused` with stable codes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, TypeVar

from django.db.models import Model
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from huoshui.base import clock
from huoshui.base.access import Actor, Scoped
from huoshui.base.apikit import text_fault
from huoshui.base.errors import Invalid, Missing, Problem, invalid

TEXT_LENGTH_MAX = 2_000
LIST_LENGTH_MAX = 50
Text = str | Promise
A = TypeVar("A", bound="Arguments")
Plain = dict[str, Any]


class Arguments(BaseModel):
    """What a tool takes. `language` is that of sentences and reasons; codes are the same in each."""

    model_config = ConfigDict(extra="forbid", str_max_length=TEXT_LENGTH_MAX, str_strip_whitespace=True)
    language: Literal["zh-hans", "en"] = Field("zh-hans", description="Language of sentences in the answer.")


class DraftArguments(Arguments):
    """What a draft tool takes. The same `key` with the same arguments gives the draft that was made first."""

    key: str = Field("", max_length=100, description="Repeating a call under its key makes no second draft.")


@dataclass(frozen=True)
class Tool:
    """A read: `run(actor, arguments)` returns plain data. `permission`: what a caller must hold; empty: nothing."""

    name: str
    title: Text
    description: Text
    permission: str
    arguments: type[Arguments]
    run: Callable[[Actor, Any], Plain]


@dataclass(frozen=True)
class Prepared:
    """What a draft would do: for whom, what it costs at most (fen), and what a person reads before confirming."""

    subject: Scoped
    cost_fen: int
    lines: list[tuple[str, str]]


@dataclass(frozen=True)
class DraftTool:
    """A write that waits for a person: `perform(actor, key, arguments)` calls the action named `action`."""

    name: str
    title: Text
    description: Text
    action: str
    arguments: type[DraftArguments]
    prepare: Callable[[Actor, Any], Prepared]
    perform: Callable[[Actor, str, Any], Model]


Part = Callable[[Actor, int], Iterable[Plain]]
tools: dict[str, Tool] = {}
drafts: dict[str, DraftTool] = {}
_status: dict[str, Part] = {}


def register(*found: Tool) -> None:
    """Offer reads (called once, from apps.py)."""
    tools.update({tool.name: tool for tool in found})


def register_draft(*found: DraftTool) -> None:
    """Offer writes that a person confirms (called once, from apps.py)."""
    drafts.update({tool.name: tool for tool in found})


def on_status(name: str, part: Part) -> None:
    """Add a list to the tool `status`: `part(actor, limit)` gives the newest rows that the actor may see."""
    _status[name] = part


def status(actor: Actor, limit: int) -> dict[str, list[Plain]]:
    """The newest rows of every list."""
    return {name: list(part(actor, limit)) for name, part in sorted(_status.items())}


def status_parts() -> list[str]:
    """The names of the lists."""
    return sorted(_status)


def draft_tool(name: str) -> DraftTool:
    """The draft tool of a name. Raises Missing."""
    if name not in drafts:
        raise Missing(_("There is no tool “%(name)s”.") % {"name": name})
    return drafts[name]


def validated(kind: type[A], given: Mapping[str, Any]) -> A:
    """The arguments of a call. Raises Invalid, field by field."""
    if fault := text_fault(given):
        raise invalid("arguments", "", fault)
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        problems = (
            Problem(".".join(map(str, one["loc"])) or "arguments", str(one.get("input", ""))[:80], one["msg"])
            for one in error.errors(include_url=False, include_context=False)
        )
        raise Invalid(*problems) from None


# --- what several tools say and take ----------------------------------------------------------------------------------


def whole_hour(field: str, at: datetime) -> int:
    """The hour since the epoch of an instant that begins one; without an offset it is local. Raises Invalid."""
    at = at if at.tzinfo else at.replace(tzinfo=clock.LOCAL)
    hour = clock.hour_of(at)
    if clock.instant_of(hour) != at:
        raise invalid(field, at.isoformat(), _("must be a whole hour"))
    return hour


def hour_words(hour: int) -> str:
    """An hour since the epoch as people read it."""
    return clock.local(clock.instant_of(hour)).strftime("%Y-%m-%d %H:%M")


def yuan(fen: int) -> str:
    """An amount as people read it; the unit stands beside it."""
    return f"{'−' if fen < 0 else ''}{abs(fen) // 100:,}.{abs(fen) % 100:02d}"


def yuan_range(low: int | None, high: int | None) -> str:
    """Two amounts; — when one is not known."""
    return "—" if low is None or high is None else f"{yuan(low)} – {yuan(high)}"
