"""The core of the book: lock the balances that a transaction moves, once, in the order of their ids; move; write.

`Working` is the set of balances that one transaction works on. Amounts move in memory, so that a batch of a thousand
postings reads and writes each balance once; `write` inserts postings and entries and stores the balances. A balance
that would get the wrong sign refuses the whole transaction.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple, TypeVar

from django.db.models import Model, Sum
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act
from huoshui.base.errors import Refused
from huoshui.base.models import LogRecord
from huoshui.book import words
from huoshui.book.models import AUTHORITY, INT64_MAX, Account, Balance, Entry, Kind, Posting, sign_of
from huoshui.registry.models import Party

CNY = "CNY"
SCH = "SCH"
ASSETS: dict[str, int] = {CNY: 2, SCH: 3}
AMOUNT_MAX = 10**15
"""Largest amount that people may name; balances may grow to int64."""
LEGS_MAX = 2_000
POSTINGS_MAX = 200_000
LOOKUP = 400
"""Rows named in one query."""
T = TypeVar("T")


def register_asset(code: str, places: int) -> None:
    """Declare an asset: its book unit is 10^-places of the unit that people read."""
    ASSETS[code] = places


class Key(NamedTuple):
    """Names an account without asking the database."""

    party: int
    kind: str
    asset: str
    subject: str


@dataclass(frozen=True)
class Leg:
    """One side of a posting: `amount` is added to the account (below zero: taken from it)."""

    party: Party | int
    kind: str
    asset: str
    subject: str
    amount: int

    @property
    def key(self) -> Key:
        party = self.party.pk if isinstance(self.party, Model) else self.party
        return Key(party, str(self.kind), self.asset, self.subject)


def _circle(kind: str) -> str:
    return "authority" if kind in AUTHORITY else str(kind)


def _check_legs(legs: Sequence[Leg]) -> None:
    """A posting moves something, within int64, between accounts of one circle. A breach is a programming error."""
    assert 0 < len(legs) <= LEGS_MAX, f"a posting of {len(legs)} legs"
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for leg in legs:
        assert leg.asset in ASSETS, f"asset {leg.asset} is not registered"
        assert leg.kind in Kind.values, f"no kind of account {leg.kind}"
        assert type(leg.amount) is int, f"{leg.key}: amount {leg.amount!r} is no integer"
        assert 0 < abs(leg.amount) <= INT64_MAX, f"{leg.key}: amount {leg.amount} is nothing or beyond int64"
        sums[leg.asset, _circle(leg.kind)] += leg.amount
    off = {name: total for name, total in sums.items() if total}
    assert not off, f"legs do not sum to zero: {off}"


def _parts(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in order, at most LOOKUP at a time."""
    rest = list(items)
    for start in range(0, len(rest), LOOKUP):
        yield rest[start : start + LOOKUP]


def _accounts(keys: Iterable[Key]) -> dict[Key, int]:
    """Ids of the accounts that exist."""
    wanted = set(keys)
    found: dict[Key, int] = {}
    by_form: dict[tuple[str, str], list[Key]] = defaultdict(list)
    for key in sorted(wanted):
        by_form[key.kind, key.asset].append(key)
    for (kind, asset), group in by_form.items():
        for part in _parts(group):
            rows = Account.objects.filter(
                kind=kind, asset=asset, party__in={key.party for key in part}, subject__in={key.subject for key in part}
            )
            for pk, party, subject in rows.values_list("pk", "party_id", "subject"):
                if (key := Key(party, kind, asset, subject)) in wanted:
                    found[key] = pk
    return found


def _ensure(keys: Iterable[Key]) -> dict[Key, int]:
    """Ids of the accounts, made where missing. In sorted order, so that two transactions cannot wait for each other."""
    wanted = set(keys)
    found = _accounts(wanted)
    if missing := sorted(wanted - found.keys()):
        Account.objects.bulk_create(
            [Account(party_id=k.party, kind=k.kind, asset=k.asset, subject=k.subject) for k in missing],
            ignore_conflicts=True,
        )
        made = _accounts(missing)
        Balance.objects.bulk_create(
            [Balance(account_id=pk, sign=sign_of(k.kind, k.subject)) for k, pk in sorted(made.items())],
            ignore_conflicts=True,
        )
        found |= made
    return found


@dataclass
class _Draft:
    memo: str
    effective_on: date
    legs: list[Leg] = field(default_factory=list)


class Working:
    """The locked balances of one transaction: name all keys at once, `post` what moves, `write` once."""

    def __init__(self, act: Act, record: LogRecord, keys: Iterable[Key]) -> None:
        self.act, self.record = act, record
        self._ids = _ensure(keys)
        self._drafts: list[_Draft] = []
        self._moved: set[Key] = set()
        amounts: dict[int, int] = {}
        for part in _parts(sorted(self._ids.values())):
            rows = Balance.objects.select_for_update().filter(account__in=part).order_by("account")
            amounts.update(rows.values_list("account_id", "amount"))
        self._amounts = {key: amounts[pk] for key, pk in self._ids.items()}

    def __getitem__(self, key: Key) -> int:
        """The amount as it stands now, moves of this transaction included."""
        return self._amounts[key]

    def post(self, legs: Sequence[Leg], memo: str, effective_on: date | None = None) -> None:
        """Move amounts. Raises Refused(code="over_limit") when a balance would get the wrong sign."""
        legs = [leg for leg in legs if leg.amount]
        _check_legs(legs)
        assert len(self._drafts) < POSTINGS_MAX, f"more than {POSTINGS_MAX} postings in one transaction"
        after = dict.fromkeys((leg.key for leg in legs), 0)
        for leg in legs:
            after[leg.key] += leg.amount
        for key, change in after.items():
            after[key] = self._amounts[key] + change
            if after[key] * sign_of(key.kind, key.subject) < 0:
                raise _over_limit(key, self._amounts[key], -change)
            assert abs(after[key]) <= INT64_MAX, f"{key}: {after[key]} is beyond int64"
        self._amounts |= after
        self._moved |= after.keys()
        self._drafts.append(_Draft(memo, effective_on or clock.local(self.act.at).date(), legs))

    def write(self) -> list[Posting]:
        """Insert what was posted and store the balances."""
        now = clock.real_now()
        postings = Posting.objects.bulk_create(
            Posting(record=self.record, memo=draft.memo, effective_on=draft.effective_on, recorded_at=now)
            for draft in self._drafts
        )
        Entry.objects.bulk_create(
            [
                Entry(posting=posting, account_id=self._ids[leg.key], amount=leg.amount)
                for posting, draft in zip(postings, self._drafts, strict=True)
                for leg in draft.legs
            ],
            batch_size=5_000,
        )
        Balance.objects.bulk_update(
            [Balance(account_id=self._ids[key], amount=self._amounts[key]) for key in self._moved],
            ["amount"],
            batch_size=LOOKUP,
        )
        self._drafts, self._moved = [], set()
        return postings


def _over_limit(key: Key, has: int, needs: int) -> Refused:
    return Refused(
        _("%(party)s has %(has)s %(asset)s in “%(kind)s” and needs %(needs)s.")
        % {
            "party": Party.objects.filter(pk=key.party).values_list("name", flat=True).first() or key.party,
            "kind": Kind(key.kind).label,
            "asset": words.unit(key.asset),
            "has": show(abs(has), key.asset),
            "needs": show(abs(needs), key.asset),
        },
        code="over_limit",
        party=key.party,
        kind=key.kind,
        asset=key.asset,
        subject=key.subject,
        has=has,
        needs=needs,
    )


def show(amount: int, asset: str) -> str:
    """An amount in the unit that people read: 123456 fen is 1,234.56, 1500 milli-card-hours are 1.500."""
    places = ASSETS[asset]
    whole, part = divmod(abs(amount), 10**places)
    return f"{'-' if amount < 0 else ''}{whole:,}.{part:0{places}d}"


def check_zero() -> list[str]:
    """Sums of all entries per asset and circle that are not zero (empty: the book is whole)."""
    sums: dict[tuple[str, str], int] = defaultdict(int)
    rows = Entry.objects.values_list("account__asset", "account__kind").annotate(total=Sum("amount")).order_by()
    for asset, kind, total in rows:
        sums[asset, _circle(kind)] += total
    return [f"{asset} {circle}: all entries sum to {total}" for (asset, circle), total in sums.items() if total]


def replay() -> list[str]:
    """Rebuild every balance from entries and compare; returns what does not agree (empty: the book is whole)."""
    faults = check_zero()
    for posting, asset, total in (
        Entry.objects.values_list("posting", "account__asset").annotate(total=Sum("amount")).order_by().exclude(total=0)
    ):
        faults.append(f"posting {posting}: {asset} sums to {total}")
    balances = Account.objects.annotate(total=Sum("entries__amount")).values_list(
        "pk", "kind", "subject", "total", "balance__amount", "balance__sign"
    )
    for pk, kind, subject, total, amount, sign in balances.iterator(5_000):
        if amount != (total or 0):
            faults.append(f"account {pk}: balance {amount}, entries sum to {total or 0}")
        if sign != sign_of(kind, subject) or (total or 0) * sign_of(kind, subject) < 0:
            faults.append(f"account {pk}: {total or 0} has the wrong sign")
    return faults


def rebuild() -> int:
    """Set every balance to the sum of its entries; returns how many differed. For repair, after `replay`."""
    wrong = 0
    totals = dict(Entry.objects.values_list("account").annotate(total=Sum("amount")).order_by())
    for balance in Balance.objects.select_for_update().order_by("account"):
        if balance.amount != totals.get(balance.account_id, 0):
            balance.amount = totals.get(balance.account_id, 0)
            balance.save(update_fields=["amount"])
            wrong += 1
    return wrong
