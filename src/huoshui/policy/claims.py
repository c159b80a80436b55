"""What a redemption stands on: the facts of one claim, read from the book, and the rules that hold for every claim.

A claim is about one payer, one contract and one stretch of use. Its sellers may run facilities of different types, to
which a pack may give different shares: so the claim falls into **parts**, one for each type of facility, and the pack
is asked about each part. The platform's concession, its fee and what the firm claims less than it paid are spread over
the parts by largest remainder, so that the parts sum to the claim to the fen. Subsidies are floored once per part.

The **rules** hold whatever a pack says (docs/desks/vouchers.md publishes them by number); a pack's own criterion on the
same matter is asked first and then cited. `cost_sharing` says who bore what (政府补一点，平台让一点，企业出一点).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from django.db.models import Q, QuerySet, Sum

from huoshui.base import canonical, clock
from huoshui.book.models import Account, Kind, State, Statement, StatementLine
from huoshui.policy.models import ClaimedInvoice, Fund, Payout, Redemption, Supplier, Voucher
from huoshui.registry.models import Party, on_day
from huoshui.registry.queries import related
from huoshui.registry.view import Cell
from huoshui.rules import Pack
from huoshui.rules.model import BPS, money_reads
from huoshui.terms.rounding import split_largest_remainder

Value = int | str | bool | date
PLATFORM: Final = ("fee", "concession")
"""Kinds of line by which the platform, not a supplier, earns or gives up something."""
SPLIT_DAYS: Final = 30
"""Contracts with one supplier signed within so many days of each other count as one transaction that was split."""
DECLARED: Final = ("claim.model-filed",)
"""Facts of a claim that only the firm can tell."""


# --- who sold what ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seller:
    """A payee of the statement that supplied something, and what of the statement is its, before the concession."""

    party: Party | None
    name: str
    fen: int


@dataclass(frozen=True)
class Shares:
    """Who bears and who gets what of a statement, in fen; `check` says that nothing is lost.

    paid by the firm + subsidy + concession = provider + fee.
    """

    enterprise_fen: int
    subsidy_fen: int
    concession_fen: int
    provider_fen: int
    fee_fen: int

    def check(self) -> "Shares":
        borne = self.enterprise_fen + self.subsidy_fen + self.concession_fen
        assert borne == self.provider_fen + self.fee_fen, f"cost sharing is off: {self}"
        return self


def _net_of_credits(lines: Iterable[StatementLine]) -> list[tuple[StatementLine, int]]:
    """The lines with what later credits gave back on each; lines that the payer would pay itself are left out."""
    listed = [line for line in lines if line.payee_id != line.statement.payer_id]
    back: dict[int, int] = defaultdict(int)
    for line in listed:
        if line.kind == "credit":
            back[line.params["line"]] += line.amount
    return [(line, line.amount + back[line.position]) for line in listed if line.kind != "credit"]


def lines_of(statement: Statement) -> list[tuple[StatementLine, int]]:
    """A statement's lines with their amounts after credits."""
    return _net_of_credits(statement.lines.select_related("payee", "statement").order_by("position"))


def sellers_of(statement: Statement) -> list[Seller]:
    """Who supplied something, by party; sums to the statement before the concession."""
    sums: dict[Party, int] = defaultdict(int)
    for line, amount in lines_of(statement):
        if line.kind not in PLATFORM:
            sums[line.payee] += amount
    return [Seller(party, party.name, fen) for party, fen in sums.items() if fen > 0]


def cost_sharing(statement: Statement, subsidy_fen: int) -> Shares:
    """How a statement is shared, given what public money bears of it."""
    fee = concession = provider = 0
    for line, amount in lines_of(statement):
        if line.kind == "concession":
            concession -= amount
        elif line.kind == "fee":
            fee += max(amount, 0)
            provider += min(amount, 0)
        else:
            provider += amount
    total = provider + fee - concession
    return Shares(total - subsidy_fen, subsidy_fen, concession, provider, fee).check()


# --- a claim ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Claim:
    """What is asked for, before any rule is applied. `statement` None: a contract outside the platform."""

    voucher: Voucher
    statement: Statement | None
    sellers: tuple[Seller, ...]
    service: str
    contract: str
    signed_on: date | None
    used_from: date | None
    used_to: date | None
    contract_fen: int | None
    settled_fen: int
    paid_fen: int
    claimed_fen: int
    invoices: tuple[str, ...]
    digests: tuple[str, ...] = ()
    declared: Mapping[str, bool] = field(default_factory=dict)
    own: int | None = None
    """Key of the redemption that makes this claim, once it is stored: it is not compared with itself."""
    found_unrelated: bool = False
    """Whether an officer found that suppliers which are not in the registry are not related to the firm."""

    @property
    def fund(self) -> Fund:
        return self.voucher.fund

    @property
    def firm(self) -> Party:
        return self.voucher.party

    @property
    def on_platform(self) -> bool:
        return self.statement is not None

    @property
    def seller_name(self) -> str:
        return "、".join(seller.name for seller in self.sellers)

    @property
    def seller_uscc(self) -> str:
        """USCC of the only seller; empty when there are several."""
        only = self.sellers[0].party if len(self.sellers) == 1 else None
        return (only.uscc or "") if only else ""


@dataclass(frozen=True)
class Part:
    """What of a claim falls on one type of facility. `facility` empty: on no list."""

    facility: str
    service: str
    listed: bool
    sellers: tuple[Seller, ...]
    settled_fen: int
    paid_fen: int
    claimed_fen: int


def paid_on(statement: Statement) -> int:
    """What banks have reported as paid by the payer of a statement, in fen (from the book)."""
    label = canonical.label(statement)
    rows = Account.objects.filter(party=statement.payer, kind=Kind.PAID, asset=statement.asset, subject=label)
    return -(rows.values_list("balance__amount", flat=True).first() or 0)


def of_statement(
    voucher: Voucher, statement: Statement, *, claimed_fen: int | None = None, invoices: Sequence[str] = (),
    digests: Sequence[str] = (), declared: Mapping[str, bool] | None = None, own: int | None = None,
) -> Claim:  # fmt: skip
    """A claim about a statement of the book; all that was paid, unless told less."""
    settled = sum(amount for _line, amount in lines_of(statement))
    paid = min(paid_on(statement), settled)
    return Claim(
        voucher, statement, tuple(sellers_of(statement)), _service(voucher.fund, statement),
        statement.contract or str(statement), statement.signed_on, statement.used_from, statement.used_to, settled,
        settled, paid, paid if claimed_fen is None else claimed_fen, tuple(invoices), tuple(digests), declared or {},
        own,
    )  # fmt: skip


def of_redemption(redemption: Redemption) -> Claim:
    """The claim of a stored redemption as the book tells it now."""
    invoices = list(redemption.invoices.select_related("invoice"))
    numbers, digests = [row.number for row in invoices], [row.digest for row in invoices if row.digest]
    if redemption.statement is not None:
        return of_statement(
            redemption.voucher, redemption.statement, claimed_fen=redemption.claimed_fen, invoices=numbers,
            digests=digests, declared=redemption.declared, own=redemption.pk,
        )  # fmt: skip
    party = Party.objects.filter(uscc=redemption.seller_uscc).first() if redemption.seller_uscc else None
    seller = Seller(party, redemption.seller, redemption.settled_fen)
    return Claim(
        redemption.voucher, None, (seller,), redemption.service, redemption.contract, redemption.signed_on,
        redemption.used_from, redemption.used_to, redemption.contract_fen, redemption.settled_fen,
        redemption.paid_fen, redemption.claimed_fen, tuple(numbers), tuple(digests), redemption.declared,
        redemption.pk,
    )  # fmt: skip


def _service(fund: Fund, statement: Statement) -> str:
    """What kind of service it was: what the list says of its suppliers, else the desk that issued the statement."""
    listed = Supplier.objects.filter(fund=fund, party__statement_lines__statement=statement).exclude(service="")
    return listed.values_list("service", flat=True).first() or statement.desk


def listed_as(fund: Fund, seller: Seller, on: date | None) -> Supplier | None:
    """The entry of a seller on the fund's list on a day."""
    if seller.party is None:
        return None
    return fund.suppliers.filter(on_day(on or clock.today()), party=seller.party).last()


def parts_of(claim: Claim) -> list[Part]:
    """The claim by type of facility, those on the list first; settled, paid and claimed amounts sum to the claim's."""
    groups: dict[tuple[bool, str, str], list[Seller]] = defaultdict(list)
    for seller in claim.sellers:
        entry = listed_as(claim.fund, seller, claim.used_from)
        key = (entry is None, entry.facility if entry else "", (entry.service if entry else "") or claim.service)
        groups[key].append(seller)
    keys = sorted(groups)
    weights, ids = [sum(seller.fen for seller in groups[key]) for key in keys], [str(key) for key in keys]
    settled, paid, claimed = (
        split_largest_remainder(max(total, 0), weights, ids) if weights else []
        for total in (claim.settled_fen, claim.paid_fen, claim.claimed_fen)
    )
    return [
        Part(facility, service, not unlisted, tuple(groups[unlisted, facility, service]), *amounts)
        for (unlisted, facility, service), *amounts in zip(keys, settled, paid, claimed, strict=True)
    ]


# --- what the pack reads ----------------------------------------------------------------------------------------------


def facts_of(
    claim: Claim, part: Part, pack: Pack, got_fen: int, known: Mapping[str, Cell]
) -> dict[str, Value | None]:  # fmt: skip
    """The facts of a part as columns; `got_fen` is the subsidy that earlier parts of this claim came to, `known` what
    the registry tells of the firm."""
    other = others_on_contract(claim, pack)
    share = other * part.settled_fen // claim.settled_fen if claim.settled_fen else 0
    row: dict[str, Value | None] = {
        "claim.contract-amount": claim.contract_fen, "claim.settled": part.settled_fen, "claim.paid": part.paid_fen,
        "claim.claimed": part.claimed_fen, "claim.other-vouchers": share,
        "claim.other-rate": -(-other * BPS // claim.settled_fen) if claim.settled_fen else None,
        "claim.service": part.service, "claim.facility": part.facility or None,
        "claim.contract-signed": claim.signed_on, "claim.used-from": claim.used_from, "claim.used-to": claim.used_to,
        "claim.related-party": is_related(claim, part), "claim.supplier-listed": part.listed,
        "claim.on-platform": claim.on_platform, "claim.invoice-used": bool(invoices_used(claim, pack)),
        "claim.contract-used": contract_used(claim, pack), "claim.split": is_split(claim),
        **{name: claim.declared.get(name) for name in DECLARED},
    }  # fmt: skip
    for name in subsidy_fields(pack):
        column = f"{name}@{claim.fund.year}"
        elsewhere = got_elsewhere(known.get(column), claim.fund)
        here = got_in_year(claim.firm, claim.fund.year, name, claim.own) + got_fen
        row[column] = None if elsewhere is None else elsewhere + here
    return row


def got_elsewhere(cell: Cell | None, fund: Fund) -> int | None:
    """What the registry tells that a firm got outside the platform; None where sources disagree.

    What nobody speaks of adds nothing, and what the fund's own authority states is in the platform's sum already.
    """
    if cell is None or cell.state == "missing":
        return 0
    if cell.state != "known" or not isinstance(cell.value, int):
        return None
    return 0 if cell.source_name == fund.authority.name else cell.value


def is_related(claim: Claim, part: Part) -> bool | None:
    """Whether a seller of the part is the firm itself or related to it on the day of the contract; None: unknown.

    The registry knows nothing of a seller that is not in it: that it is not related is for an officer to find.
    """
    tied = related(claim.firm, claim.signed_on) | related(claim.firm) | {claim.firm.pk}
    if any(seller.party is not None and seller.party.pk in tied for seller in part.sellers):
        return True
    return None if any(seller.party is None for seller in part.sellers) and not claim.found_unrelated else False


def _live(claim: Claim) -> Q:
    return Q(live=True) & ~Q(pk=claim.own)


def _same_contract(claim: Claim) -> Q:
    """Redemptions about the same contract: the same statement, or the same contract number with the same supplier."""
    about = Q(contract=claim.contract, seller_uscc=claim.seller_uscc, seller=claim.seller_name)
    return about | Q(statement=claim.statement) if claim.statement is not None else about


def _may_stack(pack: Pack, voucher: Voucher) -> bool:
    """Whether a voucher of another pack may stand on the same contract: both name the same stacking group."""
    other = voucher.fund.publication.loaded()
    return bool(pack.stacking and other.stacking and pack.stacking.group == other.stacking.group)


def others_on_contract(claim: Claim, pack: Pack) -> int:
    """What vouchers of other packs give for the same contract, in fen."""
    rows = Redemption.objects.filter(_live(claim), _same_contract(claim), party=claim.firm).exclude(pack=pack.id)
    return rows.aggregate(total=Sum("amount_fen"))["total"] or 0


def contract_used(claim: Claim, pack: Pack) -> bool:
    """Whether the contract is supported already: by a pack that does not stack with this one, or by this one for the
    same statement or for days of use that overlap."""
    rows = Redemption.objects.filter(_live(claim), _same_contract(claim)).select_related("voucher__fund__publication")
    return any(
        _same_use(claim, row) if row.pack == pack.id else not _may_stack(pack, row.voucher) for row in rows
    )


def _same_use(claim: Claim, row: Redemption) -> bool:
    if claim.statement is not None and row.statement_id is not None:
        return claim.statement.pk == row.statement_id
    days = (claim.used_from, claim.used_to, row.used_from, row.used_to)
    return None in days or (claim.used_from <= row.used_to and row.used_from <= claim.used_to)  # type: ignore[operator]


def invoices_used(claim: Claim, pack: Pack) -> list[str]:
    """Numbers of the claim's invoices that count elsewhere, anywhere, unless the two packs may stack."""
    same = Q(invoice__number__in=claim.invoices) | Q(digest__in=[digest for digest in claim.digests if digest])
    rows = ClaimedInvoice.objects.filter(same, live=True).exclude(redemption=claim.own)
    return sorted(
        row.number
        for row in rows.select_related("invoice", "redemption__voucher__fund__publication")
        if row.pack == pack.id or row.redemption.party_id != claim.firm.pk
        or not _may_stack(pack, row.redemption.voucher)
    )


def is_split(claim: Claim) -> bool:
    """Whether another contract with the same supplier, signed within 30 days, is claimed as well.

    Contracts that the platform's rounds made are not: each request is cleared whole at one published price.
    """
    if claim.on_platform or claim.signed_on is None:
        return False
    window = timedelta(days=SPLIT_DAYS)
    rows = Redemption.objects.filter(
        _live(claim), party=claim.firm, statement=None, signed_on__gte=claim.signed_on - window,
        signed_on__lte=claim.signed_on + window,
    ).exclude(contract=claim.contract)  # fmt: skip
    names = {seller.name for seller in claim.sellers}
    codes = {seller.party.uscc for seller in claim.sellers if seller.party and seller.party.uscc}
    return rows.filter(Q(seller__in=names) | Q(seller_uscc__in=codes)).exists()


def subsidy_fields(pack: Pack) -> list[str]:
    """The fields of this year's subsidies that a pack's formula subtracts from its cap."""
    reads = money_reads(pack.benefit.amount) if pack.benefit else ()
    return sorted({term.field for term in reads if term.field.startswith("subsidy.")})


def got_in_year(firm: Party, year: int, name: str, own: int | None = None) -> int:
    """What funds of a year gave or promised a firm by packs that count towards one field, in fen."""
    rows = Redemption.objects.filter(party=firm, live=True, voucher__fund__year=year).exclude(pk=own or 0)
    packs = {row.pack: row.voucher.fund.publication for row in rows.select_related("voucher__fund__publication")}
    counted = [pack for pack, publication in packs.items() if name in subsidy_fields(publication.loaded())]
    return rows.filter(pack__in=counted).aggregate(total=Sum("amount_fen"))["total"] or 0


def got_from_fund(fund: Fund, firm: Party, own: int | None = None) -> int:
    """What a fund gave or promised a firm: redemptions that stand and grants."""
    return _got_from(Fund.objects.filter(pk=fund.pk), firm, own)


def got_by_pack(fund: Fund, firm: Party, own: int | None = None) -> int:
    """What all funds of the year, of whatever authority, gave or promised a firm by the fund's pack."""
    return _got_from(Fund.objects.filter(pack=fund.pack, year=fund.year), firm, own)


def _got_from(funds: QuerySet[Fund], firm: Party, own: int | None) -> int:
    redeemed = Redemption.objects.filter(voucher__fund__in=funds, party=firm, live=True).exclude(pk=own or 0)
    granted = Payout.objects.filter(fund__in=funds, party=firm, redemption=None)
    return sum(rows.aggregate(total=Sum("amount_fen"))["total"] or 0 for rows in (redeemed, granted))


def taken_from(funds: QuerySet[Fund], firm: Party) -> int:
    """What a firm took of funds: approved redemptions and grants, and what its vouchers still reserve (what is in
    review is a part of that)."""
    rows = Redemption.objects.filter(voucher__fund__in=funds, party=firm, live=True)
    approved = rows.exclude(state=Redemption.State.SUBMITTED).aggregate(total=Sum("amount_fen"))["total"] or 0
    granted = Payout.objects.filter(fund__in=funds, party=firm, redemption=None).aggregate(total=Sum("amount_fen"))
    vouchers = Voucher.objects.filter(fund__in=funds, party=firm, state=Voucher.State.ACTIVE)
    held = Account.objects.filter(kind=Kind.HELD, subject__in=[voucher.label for voucher in vouchers])
    return approved + (granted["total"] or 0) + sum(held.values_list("balance__amount", flat=True))


# --- rules that hold for every claim ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Breach:
    """A rule that a claim breaks. `rule` is its number in docs/desks/vouchers.md; faces put `code` into words."""

    code: str
    rule: int
    params: Mapping[str, str | int | date] = field(default_factory=dict)


def breaches(claim: Claim, pack: Pack, on: date) -> Iterator[Breach]:
    """Every rule that a claim breaks on a day, in the order of the rules."""
    voucher, fund = claim.voucher, claim.fund
    late = claim.own is None and on > voucher.redeem_until  # what was asked for in time is reviewed after it
    if voucher.state != Voucher.State.ACTIVE or late:
        yield Breach("voucher_expired", 1, {"until": voucher.redeem_until})
    if claim.statement is not None:
        yield from _statement_breaches(claim, claim.statement)
    if claim.paid_fen <= 0:
        yield Breach("not_paid", 3)
    elif not 0 < claim.claimed_fen <= claim.paid_fen:
        yield Breach("paid_less", 3, {"paid": claim.paid_fen, "claimed": claim.claimed_fen})
    if claim.used_from is None or claim.used_to is None:
        yield Breach("use_unknown", 4)
    elif not fund.used_from <= claim.used_from <= claim.used_to <= fund.used_until:
        yield Breach("outside_window", 4, {"from": fund.used_from, "until": fund.used_until})
    if not claim.invoices:
        yield Breach("no_invoice", 5)
    if used := invoices_used(claim, pack):
        yield Breach("invoice_used", 5, {"number": used[0]})
    if contract_used(claim, pack):
        yield Breach("contract_used", 6, {"contract": claim.contract})
    if is_split(claim):
        yield Breach("split", 7, {"days": SPLIT_DAYS})


def _statement_breaches(claim: Claim, statement: Statement) -> Iterator[Breach]:
    if statement.payer_id != claim.firm.pk:
        yield Breach("not_yours", 2)
    if statement.state not in (State.ACCEPTED, State.PAID) or statement.asset != "CNY" or not statement.secured:
        yield Breach("not_accepted", 2, {"number": str(statement)})
