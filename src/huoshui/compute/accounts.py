"""The compute account 算力账户: standard card-hours that a depositor may use later, elsewhere, on another model.

Balances live in the book under the asset SCH (milli standard card-hours), one account for each expiry date, so that
the oldest are used first and expiry is one posting. Conversion, published in the round terms: standard card-hours =
card-hours × slot price / index price of the round; the index price is fixed before the round clears, so nobody's
balance depends on a result that it takes part in. The centre grants every balance (its own limit account goes below
zero) and pays depositors in money when the entity withdraws.

A balance goes limit → held (request submitted) → committed (round published) → back to the centre (statement accepted),
always under its expiry date: `expires/2027-03-01` as a limit, `compute.request:12@2027-03-01` when reserved. What is
given back keeps its date. The functions run inside an action and take its `Act` and the log record they cite.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act
from huoshui.base.errors import Refused
from huoshui.base.models import LogRecord
from huoshui.book.ledger import Key, Leg, Working, show
from huoshui.book.models import GRANT, Account, Kind
from huoshui.book.services import SCH, grant_subject
from huoshui.compute.models import Allocation, Request, Round
from huoshui.registry.models import Party
from huoshui.registry.queries import centre

EXPIRES = "expires/"
MILLI = 1000
INDEX_PRICE_FIRST_MFEN = 800_000
"""Index price before any price was published: 8 yuan per card-hour."""


# --- conversion and reading -------------------------------------------------------------------------------------------


def standard_of_fen(amount_fen: int, index_price_mfen: int) -> int:
    """Milli standard card-hours that an amount stands for, rounded up: what a withdrawal costs."""
    return -(-amount_fen * MILLI * MILLI // index_price_mfen)


def standard_credit(amount_fen: int, index_price_mfen: int) -> int:
    """Milli standard card-hours credited for card-hours worth an amount at slot prices, rounded down."""
    return amount_fen * MILLI * MILLI // index_price_mfen


def index_price() -> int:
    """Index price of the newest round (1/1000 fen per card-hour): what a request submitted now is measured by."""
    rounds = Round.objects.exclude(state=Round.State.CANCELLED).exclude(index_price_mfen=None).order_by("-number")
    return rounds.values_list("index_price_mfen", flat=True).first() or INDEX_PRICE_FIRST_MFEN


def balances(party: Party) -> dict[date, int]:
    """Milli standard card-hours by the day on which they expire, oldest first."""
    rows = Account.objects.filter(
        party=party, kind=Kind.LIMIT, asset=SCH, subject__startswith=EXPIRES, balance__amount__gt=0
    ).values_list("subject", "balance__amount")
    return dict(sorted((expiry_of(subject), amount) for subject, amount in rows))


def available(party: Party, on: date) -> int:
    """Milli standard card-hours that the party may use on a day."""
    return sum(amount for day, amount in balances(party).items() if day >= on)


def outstanding() -> int:
    """Milli standard card-hours that the centre owes: free, held and committed balances of everybody."""
    grants = Account.objects.filter(asset=SCH, kind=Kind.LIMIT, subject__startswith=GRANT)
    return -sum(grants.values_list("balance__amount", flat=True))


def expiry_of(subject: str) -> date:
    """The expiry day in an account's subject: `expires/DAY`, or `compute.request:ID@DAY` when reserved."""
    return date.fromisoformat(subject.removeprefix(EXPIRES).rpartition("@")[2])


# --- postings ---------------------------------------------------------------------------------------------------------


def credit_many(act: Act, record: LogRecord, credits: Sequence[tuple[Party, int, date]]) -> None:
    """The centre grants balances: (party, milli standard card-hours, day on which they expire) for each."""
    if not credits:
        return
    bank = centre()
    ways = [(_grant(bank, party), _limit(party, day), milli) for party, milli, day in credits]
    working = Working(act, record, [key for grant, limit, _milli in ways for key in (grant, limit)])
    for grant, limit, milli in ways:
        _move(working, grant, limit, milli, "compute.account.credit")
    working.write()


def hold(act: Act, record: LogRecord, request: Request) -> None:
    """limit → held of what the budget stands for at the newest index price, oldest expiry first.

    Raises Refused(code="over_limit") when the balances that have not expired do not cover it.
    """
    needed = standard_of_fen(request.budget_fen, index_price())
    days = [day for day in balances(request.entity) if day >= clock.local(act.at).date()]
    limits = {day: _limit(request.entity, day) for day in days}
    targets = {day: _reserved(request, Kind.HELD, day) for day in days}
    working = Working(act, record, [*limits.values(), *targets.values()])
    has = sum(working[key] for key in limits.values())
    if has < needed:
        raise _short(request.entity, has, needed)
    for day in days:
        part = min(needed, working[limits[day]])
        _move(working, limits[day], targets[day], part, "compute.account.hold")
        needed -= part
    working.write()


def release_many(act: Act, record: LogRecord, requests: Sequence[Request]) -> None:
    """held → limit of the whole hold of each request that draws on the account."""
    _turn(act, record, requests, Kind.HELD, {})


def commit_many(act: Act, record: LogRecord, allocations: Sequence[Allocation], round_: Round) -> None:
    """held → committed of what each payment stands for at the round's index price; the rest goes back to limit.

    When the index price fell since the request was submitted, the hold may be less than that: then all of it is kept
    and the centre bears the difference, so a published allocation never asks for more than was held.
    """
    index = round_.index_price_mfen or index_price()
    kept = {row.request_id: standard_of_fen(row.payment_fen, index) for row in allocations}
    _turn(act, record, [row.request for row in allocations], Kind.HELD, kept, Kind.COMMITTED)


def consume_many(act: Act, record: LogRecord, used: Mapping[Request, int]) -> None:
    """committed → the centre's grant of what each request used (never more than committed); the rest → limit."""
    _turn(act, record, list(used), Kind.COMMITTED, {request.pk: milli for request, milli in used.items()})


def transfer(act: Act, record: LogRecord, giver: Party, taker: Party, milli: int) -> dict[date, int]:
    """Pass a balance on, oldest first; every part keeps its expiry date. Returns what moved, by date.

    Raises Refused(code="over_limit") when the giver has less that has not expired.
    """
    today = clock.local(act.at).date()
    days = [day for day in balances(giver) if day >= today]
    keys = [_limit(party, day) for day in days for party in (giver, taker)]
    bank = centre()
    given, taken = _grant(bank, giver), _grant(bank, taker)
    working = Working(act, record, [*keys, given, taken])
    moved: dict[date, int] = {}
    for day in days:
        part = min(milli - sum(moved.values()), working[_limit(giver, day)])
        if part:
            legs = [_leg(_limit(giver, day), -part), _leg(_limit(taker, day), part)]
            working.post([*legs, _leg(given, part), _leg(taken, -part)], "compute.account.transfer")
            moved[day] = part
    if (has := sum(moved.values())) < milli:
        raise _short(giver, has, milli)
    working.write()
    return moved


def expired(on: date) -> dict[Key, int]:
    """Limit accounts whose day has passed and that still hold something."""
    rows = Account.objects.filter(
        kind=Kind.LIMIT, asset=SCH, subject__startswith=EXPIRES, subject__lt=EXPIRES + on.isoformat(),
        balance__amount__gt=0,
    )  # fmt: skip
    return {
        Key(party, Kind.LIMIT, SCH, subject): amount
        for party, subject, amount in rows.order_by("id").values_list("party_id", "subject", "balance__amount")
    }


def expire(act: Act, record: LogRecord, keys: Iterable[Key]) -> int:
    """Expired balances go back to the centre. Returns the milli standard card-hours that expired."""
    owners = Party.objects.in_bulk({key.party for key in keys})
    bank = centre()
    grants = {key: _grant(bank, owners[key.party]) for key in keys}
    working = Working(act, record, [*grants, *grants.values()])
    total = 0
    for key, grant in grants.items():
        total += working[key]
        _move(working, key, grant, working[key], "compute.account.expire")
    working.write()
    return total


# --- keys and moves ---------------------------------------------------------------------------------------------------


class _Part(NamedTuple):
    """A reserved balance of one request and expiry day."""

    day: date
    key: Key


def _grant(bank: Party, party: Party) -> Key:
    return Key(bank.pk, Kind.LIMIT, SCH, grant_subject(party))


def _limit(party: Party, day: date) -> Key:
    return Key(party.pk, Kind.LIMIT, SCH, f"{EXPIRES}{day}")


def _reserved(request: Request, kind: Kind, day: date) -> Key:
    return Key(request.entity_id, kind, SCH, f"compute.request:{request.pk}@{day}")


def _leg(key: Key, amount: int) -> Leg:
    return Leg(key.party, key.kind, key.asset, key.subject, amount)


def _move(working: Working, source: Key, target: Key, amount: int, memo: str) -> None:
    if amount:
        working.post([_leg(source, -amount), _leg(target, amount)], memo)


def _short(party: Party, has: int, needs: int) -> Refused:
    return Refused(
        _("%(party)s has %(has)s standard card-hours to use and needs %(needs)s.")
        % {"party": party, "has": show(has, SCH), "needs": show(needs, SCH)},
        code="over_limit", has=has, needs=needs,
    )  # fmt: skip


def _reserved_parts(requests: Sequence[Request], kind: Kind) -> dict[int, list[_Part]]:
    """The reserved balances of each request, oldest expiry first, by the request's key."""
    wanted = {request.pk for request in requests}
    rows = Account.objects.filter(
        party__in={request.entity_id for request in requests}, kind=kind, asset=SCH, balance__amount__gt=0,
        subject__startswith="compute.request:",
    )  # fmt: skip
    parts: dict[int, list[_Part]] = defaultdict(list)
    for party, subject in rows.values_list("party_id", "subject"):
        pk = int(subject.partition(":")[2].partition("@")[0])
        if pk in wanted:
            parts[pk].append(_Part(expiry_of(subject), Key(party, kind, SCH, subject)))
    return {pk: sorted(found) for pk, found in parts.items()}


def _turn(
    act: Act, record: LogRecord, requests: Sequence[Request], source: Kind, kept: Mapping[int, int],
    onward: Kind | None = None,
) -> None:  # fmt: skip
    """Of each request's reserved balance pass `kept` on (to `onward`, or to the centre); the rest goes to limit."""
    parts = _reserved_parts(requests, source)
    if not parts:
        return
    bank = centre()
    ways: list[tuple[Request, _Part, Key, Key]] = []
    for request in requests:
        for part in parts.get(request.pk, []):
            target = _reserved(request, onward, part.day) if onward else _grant(bank, request.entity)
            ways.append((request, part, target, _limit(request.entity, part.day)))
    if not ways:
        return
    working = Working(act, record, [key for _request, part, target, back in ways for key in (part.key, target, back)])
    left = dict(kept)
    for request, part, target, back in ways:
        passed = min(left.get(request.pk, 0), working[part.key])
        left[request.pk] = left.get(request.pk, 0) - passed
        _move(working, part.key, target, passed, "compute.account.commit" if onward else "compute.account.use")
        _move(working, part.key, back, working[part.key], "compute.account.release")
    working.write()
