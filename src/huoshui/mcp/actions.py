"""Writes about drafts. An agent prepares; only its person confirms, and then the desk's own action runs as that person.

A draft is checked twice by the same `prepare`: when it is made, and again when it is confirmed, since limits, prices
and the clock move on. The token's row is locked while its spending is counted, so drafts made at once cannot pass the
limit together.
"""

from datetime import timedelta
from typing import Any

from django.db.models import Q, Sum
from django.utils.translation import gettext as _

from huoshui.base import canonical, tools
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Forbidden, Missing, Refused
from huoshui.base.models import Token
from huoshui.mcp.models import Draft
from huoshui.mcp.permissions import DRAFT

OPEN_FOR = timedelta(hours=72)
OPEN_DRAFTS_MAX = 50


@action("mcp.draft.prepare")
def prepare(act: Act, *, tool: str, arguments: dict[str, Any]) -> Draft:
    """Lay a draft before the person whose token asks. Raises Refused (also what the action itself would refuse)."""
    token, person = act.actor.token, act.actor.user
    if token is None or person is None:
        raise Refused(_("Drafts are made with an API token."), code="token_needed")
    if not act.actor.scopes(DRAFT):  # before the tool looks: what it refuses says what there is
        raise Forbidden(_("This token may not prepare drafts."))
    found = tools.draft_tool(tool)
    told = tools.validated(found.arguments, arguments)
    prepared = found.prepare(Actor(person), told)
    act.require(DRAFT, prepared.subject)
    token = Token.objects.select_for_update().get(pk=token.pk)
    _check_limits(act, token, prepared.cost_fen)
    content = told.model_dump(mode="json", exclude={"language", "key"})
    digest = canonical.digest({"tool": tool, "arguments": content, "cost_fen": prepared.cost_fen})
    record = act.record(token, {"tool": tool, "draft": digest, "cost_fen": prepared.cost_fen})
    return Draft.objects.create(
        user=person, token=token, tool=tool, arguments=content, digest=digest, cost_fen=prepared.cost_fen,
        created_at=act.at, expires_at=act.at + OPEN_FOR, record=record,
    )  # fmt: skip


def spent_fen(token: Token, at: Any) -> int:
    """What a token's drafts cost at most together: confirmed ones, and open ones that have not expired."""
    counted = Q(state=Draft.State.CONFIRMED) | Q(state=Draft.State.OPEN, expires_at__gt=at)
    return Draft.objects.filter(counted, token=token).aggregate(all=Sum("cost_fen"))["all"] or 0


def _check_limits(act: Act, token: Token, cost_fen: int) -> None:
    if Draft.objects.filter(token=token, state=Draft.State.OPEN, expires_at__gt=act.at).count() >= OPEN_DRAFTS_MAX:
        message = _("At most %(max)s drafts of a token may wait at a time.") % {"max": OPEN_DRAFTS_MAX}
        raise Refused(message, code="too_many_drafts", max=OPEN_DRAFTS_MAX)
    limit, spent = token.spending_limit_fen, spent_fen(token, act.at)
    if cost_fen and limit is None:
        raise Refused(_("This token has no spending limit, so it may not spend."), code="no_spending_limit")
    if limit is not None and spent + cost_fen > limit:
        message = _("The drafts of this token may cost %(limit)s yuan together; %(left)s yuan are left.")
        words = {"limit": tools.yuan(limit), "left": tools.yuan(max(limit - spent, 0))}
        raise Refused(message % words, code="spending_limit", limit_fen=limit, spent_fen=spent, cost_fen=cost_fen)


@action("mcp.draft.confirm")
def confirm(act: Act, *, draft: Draft) -> Draft:
    """Do what a draft says, as the person to whom it was laid. Raises Refused; then nothing was done."""
    draft = _mine(act, draft)
    if draft.state == Draft.State.CONFIRMED:
        act.nothing_changed()
        act.checked = True
        return draft
    _require_open(act, draft)
    found = tools.draft_tool(draft.tool)
    told = tools.validated(found.arguments, draft.arguments)
    prepared = found.prepare(act.actor, told)
    act.require(DRAFT, prepared.subject)
    if prepared.cost_fen > draft.cost_fen:
        message = _("This now costs up to %(now)s yuan, more than the %(then)s yuan of the draft.")
        words = {"now": tools.yuan(prepared.cost_fen), "then": tools.yuan(draft.cost_fen)}
        raise Refused(message % words, code="draft_changed", cost_fen=prepared.cost_fen)
    made = found.perform(act.actor, f"draft/{draft.pk}", told)
    draft.state, draft.decided_at, draft.result = Draft.State.CONFIRMED, act.at, canonical.label(made)
    draft.said = prepared.lines
    draft.save(update_fields=["state", "decided_at", "result", "said"])
    act.record(draft, {"confirmed": draft.digest, "result": made})
    return draft


@action("mcp.draft.reject")
def reject(act: Act, *, draft: Draft) -> Draft:
    """Put a draft away: nothing is done, and its cost counts no more."""
    draft = _mine(act, draft)
    act.checked = True
    if draft.state == Draft.State.REJECTED:
        act.nothing_changed()
        return draft
    if draft.state != Draft.State.OPEN:
        raise Refused(_("Draft %(number)s was confirmed already.") % {"number": draft.number}, code="draft_decided")
    draft.state, draft.decided_at = Draft.State.REJECTED, act.at
    draft.save(update_fields=["state", "decided_at"])
    act.record(draft, {"rejected": draft.digest})
    return draft


def _mine(act: Act, draft: Draft) -> Draft:
    """The draft, locked, when the actor is its person and not a token. Raises Refused, Missing."""
    if act.actor.token is not None:
        raise Refused(_("A person decides about drafts, not a token."), code="person_needed")
    found = Draft.objects.select_for_update().filter(pk=draft.pk, user=act.actor.user).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    return found


def _require_open(act: Act, draft: Draft) -> None:
    if draft.state != Draft.State.OPEN:
        raise Refused(_("Draft %(number)s was rejected.") % {"number": draft.number}, code="draft_decided")
    if draft.expires_at <= act.at:
        raise Refused(_("Draft %(number)s has expired.") % {"number": draft.number}, code="draft_expired")
