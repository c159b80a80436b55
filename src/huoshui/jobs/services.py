"""What sellers of cards call, always inside an action of theirs: book, pass on, cancel, take back, and what was used.

A booking is the only bridge between what is sold and what runs. The seller (bank, supermarket, exchange) holds the
buyer's money, makes the booking here and registers what happens when it ends:

    services.on_ended("market.order", settle)          # once, from `AppConfig.ready`
    booking = services.book(act, record, BookingDraft(…, source=canonical.label(order)))

The runner reserves, runs and accounts for it and knows no order and no trade. When the last hour is over (or nothing
is left of the booking) and every attempt is accounted for, the booking closes and the hook is called with `Used`.

Card-time is card-seconds by the engine's accounting. `Used.billed_seconds` are those that the spending cap pays for, so
that a statement line of `billed_seconds` at the booking's price never exceeds the cap.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
from django.db.models import Max, Min, Q
from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act
from huoshui.base.errors import Refused, invalid
from huoshui.base.models import LogRecord
from huoshui.compute.actions.allocations import notice_hours
from huoshui.compute.actions.deposits import hour_text
from huoshui.compute.allocate import stretches as by_cards
from huoshui.compute.models import Pool
from huoshui.jobs.calendar import LIVE, booked_cards, by_hour, free_cards, joined, taken_cards
from huoshui.jobs.models import Attempt, BookedStretch, Booking, Connection
from huoshui.registry.models import Party

__all__ = [
    "Absence", "BookingDraft", "Used", "absences", "book", "booked_cards", "cancel", "free_cards", "give_up",
    "hand_over", "live", "lost_with_engine", "on_ended", "on_lost_elsewhere", "recall", "seconds_within",
    "stood_seconds", "taken_cards", "tell_lost", "used",
]  # fmt: skip

LOSE = "jobs.booking.lose"
"""The action by which a booking is lost with its engine; its record says how many card-hours were."""
CONNECTED = "jobs.connection.set"
"""The action by which a site's engine is connected."""
RESERVED_WITHIN = timedelta(minutes=2)
"""The platform's own time to ask an engine for a reservation."""
MFEN_SECONDS = 3_600_000
"""Card-seconds × price (1/1000 fen per card-hour) over this is fen."""
STRETCHES_MAX = 2_000
AHEAD_HOURS_MAX = 24 * 366


@dataclass(frozen=True)
class BookingDraft:
    """A booking to be: `cards` of a pool over stretches [start, end) of hours since the epoch.

    `source` is the canonical label of what was sold; `billing` a `Booking.Billing`; `price_mfen` 1/1000 fen per
    card-hour. `from_deposits`: the cards come out of deposits of the bank, so the pool's calendar is not asked.
    """

    party: Party
    pool: Pool
    cards: int
    stretches: Sequence[tuple[int, int]]
    source: str
    price_mfen: int
    cap_fen: int
    billing: str
    recall_notice_hours: int | None = None
    from_deposits: bool = False


@dataclass(frozen=True)
class Used:
    """What ran in a booking, by the engine's accounting.

    `evidence` is the SHA-256 over the attempts' evidences; `first` and `last` are when work began and ended (None:
    nothing ran). `cost_fen` = floor(billed_seconds × price / 3,600,000), never above the cap.
    """

    card_seconds: int
    billed_seconds: int
    attempts: int
    evidence: str
    first: datetime | None
    last: datetime | None
    cost_fen: int


Part = tuple[int, int, int]
"""(start hour, end hour, cards)"""
Ended = Callable[[Act, LogRecord, Booking, Used], None]
LostElsewhere = Callable[[Act, LogRecord, Booking, int], None]
_ended: dict[str, Ended] = {}
_lost: dict[str, LostElsewhere] = {}


def on_ended(source_kind: str, hook: Ended) -> None:
    """Say what a seller does when a booking of its closes, in the same transaction. `source_kind`: `market.order`."""
    _ended[source_kind] = hook


def on_lost_elsewhere(source_kind: str, hook: LostElsewhere) -> None:
    """Say what a seller does when card-seconds that its buyer had passed on were lost in other hands."""
    _lost[source_kind] = hook


def tell_lost(act: Act, record: LogRecord, booking: Booking, card_seconds: int) -> None:
    """Call the hook of the source of a booking out of which hours were passed on that are lost now."""
    if hook := _lost.get(booking.source.partition(":")[0]):
        hook(act, record, booking, card_seconds)


def tell_source(act: Act, record: LogRecord, booking: Booking) -> None:
    """Call the hook of the booking's source (the runner's action does, once)."""
    if hook := _ended.get(booking.source.partition(":")[0]):
        hook(act, record, booking, used(booking))


# --- making and changing bookings -------------------------------------------------------------------------------------


def book(act: Act, record: LogRecord, draft: BookingDraft) -> Booking:
    """Make a booking; locks the pool's row.

    Raises Invalid for hours in the past, empty or overlapping stretches; Refused(code="no_cards", hour, free) when the
    pool has not enough free cards in an hour.
    """
    stretches = _checked(act, draft)
    pool = Pool.objects.select_for_update().get(pk=draft.pool.pk)
    if not draft.from_deposits:
        _require_free(pool, draft.cards, stretches)
    booking = Booking.objects.create(
        party=draft.party, pool=pool, cards=draft.cards, start_hour=stretches[0][0], end_hour=stretches[-1][1],
        source=draft.source, billing=draft.billing, price_mfen=draft.price_mfen, cap_fen=draft.cap_fen,
        recall_notice_hours=draft.recall_notice_hours, from_deposits=draft.from_deposits, created_at=act.at,
        record=record,
    )  # fmt: skip
    _write(booking, [(start, end, draft.cards) for start, end in stretches])
    return booking


def hand_over(
    act: Act, record: LogRecord, booking: Booking, *, cards: int, from_hour: int, to_hour: int, draft: BookingDraft
) -> Booking:
    """Pass `cards` of the booking's hours within [from_hour, to_hour) to another party; returns the new booking.

    The new one has the draft's party, price, cap and source, and the old one's pool, hours and place in the calendar.
    Jobs that no longer fit are ended by the runner when the hours begin. Raises Invalid for hours that are not wholly
    ahead, Refused(code="not_held") when the booking has fewer cards in one of them.
    """
    booking = live(booking)
    if from_hour <= clock.hour_of(act.at):
        raise invalid("from", hour_text(from_hour), _("must lie ahead"))
    hours = {hour: left for hour, left in by_hour(booking.stretches.all()).items() if from_hour <= hour < to_hour}
    short = next((hour for hour in sorted(hours) if hours[hour] < cards), None)
    if not hours or cards <= 0 or short is not None:
        raise Refused(
            _("%(booking)s has not %(cards)s cards in all these hours.") % {"booking": booking.number, "cards": cards},
            code="not_held", hour=short,
        )  # fmt: skip
    _take(booking, set(hours), cards)
    given = [(start, end) for start, end, _cards in by_cards(dict.fromkeys(hours, cards))]
    made = Booking.objects.create(
        party=draft.party, pool=booking.pool, cards=cards, start_hour=given[0][0], end_hour=given[-1][1],
        source=draft.source, billing=draft.billing, price_mfen=draft.price_mfen, cap_fen=draft.cap_fen,
        recall_notice_hours=booking.recall_notice_hours, from_deposits=booking.from_deposits, created_at=act.at,
        record=record,
    )  # fmt: skip
    _write(made, [(start, end, cards) for start, end in given])
    return made


def cancel(act: Act, record: LogRecord, booking: Booking, reason: str) -> Booking:
    """Give up what is left of a booking from the next hour on. The runner ends its jobs, accounts and closes it.

    `reason` is a code for the people who look at the booking (`withdrawn`, `order_cancelled`).
    """
    return give_up(act, live(booking), Booking.State.CANCELLED, reason)


def recall(
    act: Act, record: LogRecord, booking: Booking, *, from_hour: int, until_hour: int | None = None, cards: int,
    reason: str,
) -> Booking:
    """Take `cards` back from `from_hour` on (before `until_hour`): `recall` (a recallable booking, with its notice) or
    `failure` (any).

    Jobs that no longer fit end and start again elsewhere or later, if attempts are left. A booking of which nothing is
    left is cancelled, after a failure lost. Raises Invalid for the hour or the number of cards,
    Refused(code="recall_notice") when the notice is not kept or the booking is not recallable.
    """
    booking = live(booking)
    if reason not in ("recall", "failure"):
        raise invalid("reason", reason, _("one of: %(all)s") % {"all": "recall, failure"})
    if from_hour < clock.hour_of(act.at):
        raise invalid("from", hour_text(from_hour), _("lies in the past"))
    if not 0 < cards <= booking.cards:
        raise invalid("cards", cards, _("between 1 and %(max)s") % {"max": booking.cards})
    notice = booking.recall_notice_hours
    if reason == "recall" and (notice is None or notice_hours(act, from_hour) < notice):
        raise Refused(_("%(booking)s cannot be recalled so soon.") % {"booking": booking.number}, code="recall_notice")
    left = by_hour(booking.stretches.all())
    _take(booking, {hour for hour in left if from_hour <= hour < (until_hour or booking.end_hour)}, cards)
    if not booking.stretches.filter(end_hour__gt=clock.hour_of(act.at)).exists():
        state = Booking.State.LOST if reason == "failure" else Booking.State.CANCELLED
        return give_up(act, booking, state, reason)
    return booking


def live(booking: Booking) -> Booking:
    """The booking, locked, while it can still be used; Refused(code="booking_state") otherwise."""
    found = Booking.objects.select_for_update(of=("self",)).select_related("pool", "party").get(pk=booking.pk)
    if found.state not in LIVE:
        raise Refused(
            _("Booking %(number)s is %(state)s.") % {"number": found.number, "state": found.get_state_display()},
            code="booking_state", state=found.state,
        )  # fmt: skip
    return found


def reshape(booking: Booking, cards_by_hour: Mapping[int, int]) -> bool:
    """Make the stretches say just these cards from their first hour on; stretches that stay keep their reservation.

    Of one that is cut at the present hour the part that runs keeps it, so that jobs which still fit go on. Returns
    whether anything changed.
    """
    now = clock.hour_of(clock.now())
    wanted = {(start, end, cards) for start, end, cards in by_cards({h: c for h, c in cards_by_hour.items() if c})}
    there = {(s.start_hour, s.end_hour, s.cards): s for s in booking.stretches.all()}
    gone, new = there.keys() - wanted, wanted - there.keys()
    changed = bool(gone or new)
    for old in sorted(gone):
        stretch, heir = there[old], _heir(old, new, now)
        if heir is None:
            stretch.delete()
            continue
        stretch.start_hour, stretch.end_hour, stretch.cards = heir
        stretch.save(update_fields=["start_hour", "end_hour", "cards"])
        new.discard(heir)
        over = {one for one in new if old[0] <= one[0] and one[1] <= now < old[1]}
        _write(booking, sorted(over), stretch.reserved_at)
        new -= over
    _write(booking, sorted(new))
    if wanted:
        booking.start_hour = min(booking.start_hour, *(start for start, _end, _cards in wanted))
        booking.end_hour = max(end for _start, end, _cards in wanted)
        booking.save(update_fields=["start_hour", "end_hour"])
    return changed


def _heir(old: Part, new: Iterable[Part], now: int) -> Part | None:
    """Which part takes over from a stretch: the one that runs now in its hours, else the one that begins where it did.
    """
    within = [one for one in sorted(new) if old[0] <= one[0] < old[1]]
    runs = (one for one in within if one[0] <= now < min(one[1], old[1]))
    return next(runs, None) or next((one for one in within if one[0] == old[0]), None)


def _write(booking: Booking, parts: Iterable[Part], reserved_at: datetime | None = None) -> None:
    BookedStretch.objects.bulk_create(
        BookedStretch(booking=booking, start_hour=start, end_hour=end, cards=cards, reserved_at=reserved_at)
        for start, end, cards in parts
    )


def _take(booking: Booking, hours: set[int], cards: int) -> None:
    """Take cards off the booking in some hours."""
    left = by_hour(booking.stretches.all())
    reshape(booking, {hour: max(count - cards, 0) if hour in hours else count for hour, count in left.items()})


def give_up(act: Act, booking: Booking, state: str, reason: str) -> Booking:
    """End a live, locked booking in a state, with a reason: hours not begun are free again."""
    now = clock.hour_of(act.at)
    left = by_hour(booking.stretches.all())
    reshape(booking, {hour: count for hour, count in left.items() if hour <= now})
    booking.state, booking.fault = state, reason
    booking.save(update_fields=["state", "fault"])
    return booking


def _checked(act: Act, draft: BookingDraft) -> list[tuple[int, int]]:
    """The draft's stretches in order, those that touch made one."""
    if draft.cards <= 0:
        raise invalid("cards", draft.cards, _("must be above zero"))
    if not 0 < len(draft.stretches) <= STRETCHES_MAX:
        raise invalid("stretches", len(draft.stretches), _("between 1 and %(max)s stretches") % {"max": STRETCHES_MAX})
    if draft.price_mfen < 0 or draft.cap_fen < 0:
        raise invalid("price", min(draft.price_mfen, draft.cap_fen), _("must not be negative"))
    if draft.billing not in Booking.Billing.values:
        raise invalid("billing", draft.billing, _("one of: %(all)s") % {"all": ", ".join(Booking.Billing.values)})
    now, reached = clock.hour_of(act.at), None
    for start, end in sorted(draft.stretches):
        if end <= start:
            raise invalid("end", hour_text(end), _("must be after the start"))
        if start < now:
            raise invalid("start", hour_text(start), _("lies in the past"))
        if end > now + AHEAD_HOURS_MAX:
            raise invalid("end", hour_text(end), _("is more than a year ahead"))
        if reached is not None and start < reached:
            raise invalid("start", hour_text(start), _("overlaps another stretch"))
        reached = end
    return joined(draft.stretches)


def _require_free(pool: Pool, cards: int, stretches: Sequence[tuple[int, int]]) -> None:
    first, last = stretches[0][0], stretches[-1][1]
    free = free_cards([pool], first, last)[0]
    asked = np.zeros(last - first, np.bool_)
    for start, end in stretches:
        asked[start - first : end - first] = True
    short = np.flatnonzero(asked & (free < cards))
    if short.size:
        hour, left = first + int(short[0]), int(free[short[0]])
        raise Refused(
            _("%(pool)s has %(free)s free cards at %(hour)s, not %(cards)s.")
            % {"pool": pool, "free": left, "hour": hour_text(hour), "cards": cards},
            code="no_cards", hour=hour, day=hour_text(hour)[:10], free=left,
        )  # fmt: skip


# --- what was lost ----------------------------------------------------------------------------------------------------


def card_hours_from(booking: Booking, hour: int, cards: int | None = None, until: int | None = None) -> int:
    """Card-hours of a booking from an hour on (before another): of all its cards, or of so many."""
    last = booking.end_hour if until is None else until
    left = (count for at, count in by_hour(booking.stretches.all()).items() if hour <= at < last)
    return sum(count if cards is None else min(count, cards) for count in left)


def lost_with_engine(booking: Booking) -> int:
    """Card-hours that a booking lost with its engine: what it held then, so not what it had passed on before."""
    records = LogRecord.objects.filter(subject=canonical.label(booking), action=LOSE)
    return sum(int(json.loads(record.payload)["lost"]) for record in records)


class Absence(NamedTuple):
    """Cards of a booking that no working engine kept, from one instant to another."""

    cards: int
    since: datetime
    until: datetime

    @property
    def seconds(self) -> int:
        """Card-seconds."""
        return self.cards * int((self.until - self.since).total_seconds())


def absences(booking: Booking, first_hour: int | None = None, until_hour: int | None = None) -> list[Absence]:
    """When no working engine kept cards that a booking still holds: until they were reserved, and while the engine was
    silent; of hours within [first_hour, until_hour). None where no engine is connected, nor before it was.

    A reservation may come RESERVED_WITHIN after it could be asked for. Cards that a changed booking takes over from the
    stretch before were kept all along.
    """
    connection = Connection.objects.filter(site=booking.pool.site_id).exclude(state=Connection.State.OFF).first()
    if connection is None:
        return []
    found, before, connected = list[Absence](), None, _connected_at(connection)
    for stretch in booking.stretches.order_by("start_hour"):
        start = max(clock.instant_of(stretch.start_hour), connected)
        end = clock.instant_of(stretch.end_hour)
        patience = RESERVED_WITHIN + (timedelta(hours=1) if _takes_over(stretch, before) else timedelta())
        kept = stretch.reserved_at or end
        if kept <= max(start, booking.created_at) + patience:
            kept = start
        out = [(start, kept), *((max(kept, since), until) for since, until in outages(connection, start, end))]
        first, last = _instant(first_hour, start), _instant(until_hour, end)
        spans = [(max(since, first), min(until, last, end)) for since, until in out]
        found += [Absence(stretch.cards, since, until) for since, until in spans if since < until]
        before = stretch
    return found


def stood_seconds(booking: Booking, first_hour: int | None = None, until_hour: int | None = None) -> int:
    """Card-seconds that a working engine kept for a booking, of hours within [first_hour, until_hour)."""
    first = booking.start_hour if first_hour is None else first_hour
    last = booking.end_hour if until_hour is None else until_hour
    held = sum(
        stretch.cards * max(min(stretch.end_hour, last) - max(stretch.start_hour, first), 0)
        for stretch in booking.stretches.all()
    )
    return held * 3600 - sum(absence.seconds for absence in absences(booking, first, last))


def outages(connection: Connection, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """When an engine was silent between two instants; they do not overlap."""
    rows = connection.outages.filter(Q(until=None) | Q(until__gt=since), since__lt=until).order_by("since")
    return [(row.since, row.until or clock.now()) for row in rows]


def _takes_over(stretch: BookedStretch, before: BookedStretch | None) -> bool:
    if before is None or before.reserved_at is None:
        return False
    return before.end_hour == stretch.start_hour and before.cards >= stretch.cards


def _connected_at(connection: Connection) -> datetime:
    first = LogRecord.objects.filter(subject=canonical.label(connection), action=CONNECTED).order_by("id").first()
    return first.effective_at if first else datetime.min.replace(tzinfo=UTC)


def _instant(hour: int | None, else_: datetime) -> datetime:
    return else_ if hour is None else clock.instant_of(hour)


# --- what was used ----------------------------------------------------------------------------------------------------


def seconds_within(fen: int, price_mfen: int) -> int | None:
    """The most card-seconds that cost at most `fen` at a price; None: any number, as they cost nothing."""
    return ((fen + 1) * MFEN_SECONDS - 1) // price_mfen if price_mfen else None


def used(booking: Booking) -> Used:
    """What ran in a booking, as far as it is accounted for."""
    attempts = booking.attempts.filter(state=Attempt.State.ENDED, card_seconds__isnull=False).order_by("id")
    rows = list(attempts.values_list("name", "card_seconds", "evidence"))
    times = attempts.filter(started_at__isnull=False).aggregate(first=Min("started_at"), last=Max("ended_at"))
    seconds = sum(count or 0 for _name, count, _evidence in rows)
    most = seconds_within(booking.cap_fen, booking.price_mfen)
    billed = seconds if most is None else min(seconds, most)
    evidence = canonical.digest([[name, proof] for name, _count, proof in rows]) if rows else ""
    cost = billed * booking.price_mfen // MFEN_SECONDS
    return Used(seconds, billed, len(rows), evidence, times["first"], times["last"], cost)
