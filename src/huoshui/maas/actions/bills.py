"""Billing: calls that are settled become a statement; holds whose gateway died are given back.

A bill takes up a set of calls (each is marked with it), commits what they cost to others out of what the book holds
for the wallet, and issues a statement. What calls to the party's own upstreams cost is nobody's claim: it goes back to
the party's limit. Nothing here waits for the gateway or makes it wait, except for the one update of the wallet's sum.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date, timedelta

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from huoshui.base import canonical, clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import OPEN, Kind, Statement
from huoshui.book.services import Hold, LineDraft
from huoshui.maas import billing, published
from huoshui.maas.actions.wallets import lock_party
from huoshui.maas.instants import at, day_start_ms, ms_of
from huoshui.maas.models import UFEN, Call, Key, Offer, Probe, Settled, Wallet
from huoshui.maas.permissions import BILL, FUND
from huoshui.registry.queries import centre

DESK, PROBES = "maas", "maas-probe"
CALLS_PER_BILL_MAX = 50_000
ROWS_PER_STATEMENT = 500
EXPIRED_PER_RUN_MAX = 10_000
WALLETS_PER_RUN_MAX = 2_000
TOKENS = "maas.tokens"
Row = tuple[str, int, int, int, int, int, int]


@action("maas.wallet.bill")
def bill(act: Act, *, wallet: Wallet) -> Settled | None:
    """Bill the calls that are settled and on no bill, at most CALLS_PER_BILL_MAX, the oldest first; None: there are
    none. Officers and the platform bill any wallet, a party its own."""
    act.require(BILL if act.actor.can(BILL) else FUND, wallet)
    lock_party(wallet.party)
    rows = _unbilled(wallet, ms_of(act.at))
    if not rows:
        act.nothing_changed()
        return None
    before = wallet.bills.order_by("-pk").first()
    carried = {int(offer): ufen for offer, ufen in before.carried.items()} if before else {}
    made = billing.bill(_used(wallet, rows), carried)
    record = act.record(wallet, {
        "calls": len(rows), "cost_ufen": made.cost_ufen, "fen": made.fen, "own_fen": made.own_fen,
        "lines": [line.plain() for line in made.lines],
    })  # fmt: skip
    statement = _issue(act, record, wallet, made, rows) if made.fen else None
    if made.own_fen:
        services.release_hold_many(act, record, [Hold(wallet.party, canonical.label(wallet), made.own_fen)])
    settled = Settled.objects.create(
        wallet=wallet, until_ms=rows[-1][1], calls_count=len(rows), cost_ufen=made.cost_ufen, billed_fen=made.fen,
        own_fen=made.own_fen, carried_ufen=sum(made.carried.values()), carried=dict(made.carried),
        lines=[line.plain() for line in made.lines], statement=statement, record=record,
    )  # fmt: skip
    for start in range(0, len(rows), ROWS_PER_STATEMENT):
        keys = [row[0] for row in rows[start : start + ROWS_PER_STATEMENT]]
        Call.objects.filter(pk__in=keys).update(billed=settled)
    taken = (made.fen + made.own_fen) * UFEN
    Wallet.objects.filter(pk=wallet.pk).update(billed_ufen=F("billed_ufen") + taken)
    return settled


def _unbilled(wallet: Wallet, until_ms: int) -> list[Row]:
    """Settled calls on no bill that have ended: id, end, offer, input, cached, output tokens, cost."""
    rows = Call.objects.filter(
        wallet=wallet, state=Call.State.SETTLED, billed=None, offer__isnull=False, ended_ms__lte=until_ms
    )
    columns = ("pk", "ended_ms", "offer", "input_tokens", "cached_tokens", "output_tokens", "cost_ufen")
    return list(rows.order_by("ended_ms", "pk").values_list(*columns)[:CALLS_PER_BILL_MAX])


def _used(wallet: Wallet, rows: Sequence[Row]) -> list[billing.Used]:
    by_offer: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        by_offer[row[2]].append(row)
    owners = dict(Offer.objects.filter(pk__in=by_offer).values_list("pk", "upstream__provider"))
    return [
        billing.Used(
            offer=offer, calls=len(found), input_tokens=sum(row[3] for row in found),
            cached_tokens=sum(row[4] for row in found), output_tokens=sum(row[5] for row in found),
            cost_ufen=sum(row[6] for row in found), own=owners[offer] == wallet.party_id,
            evidence=canonical.digest(found),
        )
        for offer, found in by_offer.items()
    ]  # fmt: skip


def _issue(act: Act, record: LogRecord, wallet: Wallet, made: billing.Bill, rows: Sequence[Row]) -> Statement:
    """Commit what others are owed and tell the payer."""
    subject, today = canonical.label(wallet), clock.local(act.at).date()
    services.commit_part(act, record, Hold(wallet.party, subject, made.fen))
    offers = Offer.objects.select_related("upstream__provider").in_bulk([line.used.offer for line in made.lines])
    first, last = (clock.local(at(rows[place][1]) or act.at).date() for place in (0, -1))
    return services.issue_statement(
        act, record, desk=DESK, subject=subject, payer=wallet.party, final=False, signed_on=wallet.opened_on,
        contest_until=services.contest_deadline(today, published.CONTEST_WORKING_DAYS), used=(first, last),
        lines=[_draft(line, offers[line.used.offer]) for line in made.lines if line.fen and not line.used.own],
    )  # fmt: skip


def _draft(line: billing.Line, offer: Offer) -> LineDraft:
    params = {
        "offer": offer.pk, "model": offer.model, "calls": line.used.calls, "input": line.used.input_tokens,
        "cached": line.used.cached_tokens, "output": line.used.output_tokens, "input_fen": offer.input_fen,
        "output_fen": offer.output_fen, "cached_fen": offer.cached_fen, "carried_ufen": line.carried_ufen,
        "before_ufen": line.before_ufen,
    }  # fmt: skip
    return LineDraft(
        offer.upstream.provider, "tokens", published.VAT_BPS, TOKENS, amount=line.fen, params=params,
        evidence=line.used.evidence,
    )  # fmt: skip


def bill_due(actor: Actor) -> int:
    """Bill every wallet that is due by the published rule; returns how many bills were made. Safe to repeat."""
    made = 0
    for wallet in _due()[:WALLETS_PER_RUN_MAX]:
        while (settled := bill(actor, wallet=wallet)) is not None:
            made += 1
            if settled.calls_count < CALLS_PER_BILL_MAX:
                break
    return made


def _due() -> "QuerySet[Wallet]":
    """Wallets with calls of a month that is over, or with more than BILL_AT_FEN on no bill."""
    month_ms = day_start_ms(clock.today().replace(day=1))
    unbilled = Call.objects.filter(wallet=OuterRef("pk"), state=Call.State.SETTLED, billed=None)
    old = Q(Exists(unbilled.filter(ended_ms__lt=month_ms)))
    much = Q(Exists(unbilled), spent_ufen__gte=F("billed_ufen") + published.BILL_AT_FEN * UFEN)
    return Wallet.objects.select_related("party").filter(old | much, spent_ufen__gt=F("billed_ufen")).order_by("pk")


@action("maas.probe.bill")
def bill_probes(act: Act, *, month: date) -> Statement | None:
    """What the probes of a month cost, owed by the centre to the providers, one floored line for each offer.

    `month` is its first day. None: nothing is owed, the month is not over, or it was billed before.
    """
    act.require(BILL)
    payer, subject = centre(), f"maas.probe:{month:%Y-%m}"
    lock_party(payer)
    until = (month + timedelta(days=31)).replace(day=1)
    costs = Probe.objects.filter(at__gte=clock.day_start(month), at__lt=clock.day_start(until)).values("offer")
    owed = costs.annotate(ufen=Sum("cost_ufen"), calls=Count("pk")).filter(ufen__gte=UFEN).order_by("offer")
    rows = {row["offer"]: row for row in owed.exclude(offer__upstream__provider=payer)}
    billed = Statement.objects.filter(desk=PROBES, subject=subject).exists()
    if not rows or billed or clock.local(act.at).date() < until:
        act.nothing_changed()
        return None
    offers = Offer.objects.select_related("upstream__provider").in_bulk(rows)
    record = act.record(subject, {"rows": list(rows.values())})
    return services.issue_statement(
        act, record, desk=PROBES, subject=subject, payer=payer, secured=False, used=(month, until - timedelta(days=1)),
        contest_until=services.contest_deadline(clock.local(act.at).date(), published.CONTEST_WORKING_DAYS),
        lines=[
            LineDraft(
                offers[pk].upstream.provider, "tokens", published.VAT_BPS, "maas.probes", amount=row["ufen"] // UFEN,
                params={"model": offers[pk].model, "calls": row["calls"], "offer": pk},
            )
            for pk, row in rows.items()
        ],
    )  # fmt: skip


def on_accepted(act: Act, record: LogRecord, statements: Sequence[Statement]) -> None:
    """What was credited on an accepted statement is committed no more: it returns to the limit."""
    for subject, party in {(row.subject, row.payer) for row in statements}:
        waiting = Statement.objects.filter(desk=DESK, subject=subject, state__in=OPEN)
        owed = sum(services.statement_total(row) for row in waiting)
        rest = services.balance(party, Kind.COMMITTED, subject=subject) - owed
        if rest > 0:
            services.release_commitment_many(act, record, [Hold(party, subject, rest)])


@action("maas.call.expire")
def expire_holds(act: Act) -> int:
    """Give back the holds of calls whose gateway died (`expires_ms` has passed), as a gateway would; how many."""
    act.require(BILL)
    now = ms_of(act.at)
    late = Call.objects.filter(state=Call.State.HELD, expires_ms__lte=now).order_by("pk")
    named = list(late.values_list("pk", "wallet", "key")[:EXPIRED_PER_RUN_MAX])
    for table, place in ((Wallet, 1), (Key, 2)):  # wallets, keys, calls: the order in which the gateway locks
        list(table._default_manager.select_for_update().filter(pk__in={row[place] for row in named}).order_by("pk"))
    rows = _held(named)  # only now: meanwhile the gateway may have moved a hold to a dearer offer
    lost = [row for row in rows if _expire(row[0], now)]
    for table, place in ((Wallet, 1), (Key, 2)):
        for pk, hold in _sums(lost, place).items():
            table._default_manager.filter(pk=pk).update(held_ufen=F("held_ufen") - hold)
    if lost:
        act.record("maas.call", {"expired": len(lost), "ufen": sum(row[3] for row in lost)})
    else:
        act.nothing_changed()
    return len(lost)


def _held(named: Sequence[tuple[str, int, int]]) -> list[tuple[str, int, int, int]]:
    """Calls with what they hold, read and locked after their wallets and keys."""
    found: list[tuple[str, int, int, int]] = []
    for start in range(0, len(named), ROWS_PER_STATEMENT):
        some = Call.objects.filter(pk__in=[row[0] for row in named[start : start + ROWS_PER_STATEMENT]])
        found += some.select_for_update().order_by("pk").values_list("pk", "wallet", "key", "hold_ufen")
    return found


def _expire(call: str, now_ms: int) -> bool:
    """Whether the call was held still: the gateway may have settled it meanwhile."""
    ended = {
        "state": Call.State.EXPIRED, "outcome": "lost", "ended_ms": now_ms, "input_tokens": 0, "output_tokens": 0,
    }  # fmt: skip
    return Call.objects.filter(pk=call, state=Call.State.HELD, expires_ms__lte=now_ms).update(**ended) == 1


def _sums(rows: Sequence[tuple[str, int, int, int]], place: int) -> dict[int, int]:
    """What the rows hold, by the key in a place."""
    found: dict[int, int] = defaultdict(int)
    for row in rows:
        found[int(row[place])] += row[3]
    return found
