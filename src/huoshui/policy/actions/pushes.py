"""Telling entities what they could have (政策找企): who was told what, when and how, and nobody the same too often.

A push goes only to those of whom its reason is true in the run it came from. What a firm then does, it does elsewhere;
here it only looks and, if it wants to, declines with a reason. What people write is not in the log.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.canonical import salted
from huoshui.base.errors import Refused, invalid
from huoshui.policy import matching, reach
from huoshui.policy.models import MatchRun, Push, Telling
from huoshui.policy.permissions import APPLY, OUTREACH, READ
from huoshui.registry.models import Publication
from huoshui.rules import Pack

PUSH_PARTIES_MAX = 5_000
TEXT_MAX, REASON_MAX = 1_000, 500
TOLD_AGAIN_AFTER_DAYS = 30
"""Nobody is told of the same pack for the same reason again before so many days have passed."""
Reason = Push.Reason
SHOWS = {Reason.QUALIFIES: "unclaimed", Reason.ONE_STEP: "one_step", Reason.MISSING: "missing"}


@action("policy.push.send")
def push(
    act: Act, *, run: MatchRun, pack: str, reason: str, detail: str = "", parties: Sequence[int],
    channel: str = Push.Channel.PLATFORM, text: str = "",
) -> Push:  # fmt: skip
    """Tell entities of a pack. Those of whom the reason is not true, or who were told lately, are left out.

    `detail`: the condition (`reach.Condition.key`) that they are short of, or the column that is missing. Raises
    Refused when nobody remains, Invalid.
    """
    act.require(OUTREACH)
    if not 1 <= len(parties) <= PUSH_PARTIES_MAX:
        raise invalid("parties", len(parties), _("between 1 and %(max)s") % {"max": PUSH_PARTIES_MAX})
    if channel not in Push.Channel.values or reason not in Reason.values:
        raise invalid("channel", f"{channel} {reason}", _("no such way of telling"))
    text = text.strip()
    if len(text) > TEXT_MAX:
        raise invalid("text", text[:20], _("at most %(max)s characters") % {"max": TEXT_MAX})
    content, publication = reach.pack_of(run, pack)
    if matching.is_draft(content):
        raise Refused(_("“%(title)s” is a draft: nobody can apply for it yet.") % {"title": publication.title})
    Publication.objects.select_for_update().get(pk=publication.pk)  # two who tell at once tell nobody twice
    wanted = wanted_of(run, content, reason, detail, tuple(parties))
    true_of = reach.chosen(run, pack, wanted).select("party").collect()["party"].to_list()
    told = sorted(set(true_of) - told_lately(act, pack, reason))
    if not told:
        raise Refused(
            _("Nobody is left to tell: they were told within %(days)s days, or the reason is not true of them.")
            % {"days": TOLD_AGAIN_AFTER_DAYS}, code="told_lately",
        )  # fmt: skip
    return _told(act, run, publication, reason, detail, told, channel, text)


def wanted_of(run: MatchRun, pack: Pack, reason: str, detail: str, parties: tuple[int, ...]) -> reach.Wanted:
    """The list of those of whom a reason is true. Raises Invalid for a condition that stands in nobody's way."""
    condition = None
    if reason == Reason.ONE_STEP and detail:
        known = {one.key: (one.via, one.index) for one in reach.conditions(run, pack)}
        if detail not in known:
            raise invalid("detail", detail, _("no such condition"))
        condition = known[detail]
    fact = detail if reason == Reason.MISSING else ""
    return reach.Wanted(SHOWS[Reason(reason)], condition=condition, fact=fact, parties=parties)


def told_lately(act: Act, pack: str, reason: str) -> set[int]:
    """Keys of those who were told the same within TOLD_AGAIN_AFTER_DAYS."""
    since = act.at - timedelta(days=TOLD_AGAIN_AFTER_DAYS)
    lately = Telling.objects.filter(pack=pack, reason=reason, told_at__gt=since)
    return set(lately.values_list("party", flat=True))


def _told(
    act: Act, run: MatchRun, publication: Publication, reason: str, detail: str, told: list[int], channel: str,
    text: str,
) -> Push:  # fmt: skip
    salt = secrets.token_hex(16)
    record = act.record(publication, {
        "run": run, "reason": reason, "detail": detail, "channel": channel, "parties": told,
        "text": salted(salt, text) if text else "",
    })  # fmt: skip
    made = Push.objects.create(
        run=run, publication=publication, pack=publication.identifier, reason=reason, detail=detail, channel=channel,
        text=text, salt=salt, told_by=act.actor.principal, told_at=act.at, record=record,
    )  # fmt: skip
    fact = detail.partition("@")[0] if reason == Reason.MISSING else ""
    Telling.objects.bulk_create(
        Telling(push=made, party_id=party, pack=made.pack, reason=reason, fact=fact, told_at=act.at) for party in told
    )
    return made


@action("policy.push.see")
def see(act: Act, *, telling: Telling) -> Telling:
    """Somebody who acts for the entity has opened what it was told. An officer who looks leaves no trace."""
    act.require(READ, telling)
    telling = Telling.objects.select_for_update().get(pk=telling.pk)
    if telling.seen_at is not None or not _acts_for(act, telling):
        act.nothing_changed()
        return telling
    telling.seen_at = act.at
    telling.save(update_fields=["seen_at"])
    act.record(telling, {"seen": True})
    return telling


def _acts_for(act: Act, telling: Telling) -> bool:
    return bool(act.actor.system) or f"party:{telling.party_id}" in act.actor.scopes(READ)


@action("policy.push.decline")
def decline(act: Act, *, telling: Telling, reason: str) -> Telling:
    """The entity does not want what it was told of, and says why. Raises Invalid, Refused when it said so before."""
    act.require(APPLY, telling)
    reason = reason.strip()
    if not 0 < len(reason) <= REASON_MAX:
        raise invalid("reason", reason[:20], _("between 1 and %(max)s characters") % {"max": REASON_MAX})
    telling = Telling.objects.select_for_update(of=("self",)).select_related("push").get(pk=telling.pk)
    if telling.declined_at is not None:
        raise Refused(_("This was declined already."), code="declined")
    telling.seen_at, telling.declined_at, telling.decline_reason = telling.seen_at or act.at, act.at, reason
    telling.save(update_fields=["seen_at", "declined_at", "decline_reason"])
    act.record(telling, {"declined": salted(telling.push.salt, reason)})
    return telling
