"""Vouchers: reserve a part of the fund for a firm; give back what nobody redeemed.

Issuing holds the amount on the fund's limit in the book, so the last yuan is reserved once. A voucher ends on its last
day: what it still holds returns to the fund, except while one of its redemptions is in review.
"""

from datetime import date

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Refused
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import Kind
from huoshui.book.services import Hold
from huoshui.policy import claims, matching, voucher_words
from huoshui.policy.actions.funds import current
from huoshui.policy.models import Application, Fund, Redemption, Voucher
from huoshui.policy.permissions import FUND
from huoshui.policy.redeeming import Reason, judged_on
from huoshui.registry.models import Party

EXPIRED_PER_RUN_MAX = 2_000
State = Voucher.State


def issue_for(act: Act, application: Application) -> Voucher:
    """Issue the voucher of an approved application, inside the action that approves it. Asked again, the same one.

    It reserves no more than the firm may still get this year. Raises Refused: no fund, the fund is exhausted, the
    amount is not known, nothing is left for the firm. Each names its clause.
    """
    fund = fund_for(application)
    if found := Voucher.objects.filter(application=application).first():
        return found
    if not application.amount_fen:
        raise refusal(fund, "no_amount")
    if not fund.open:
        raise refusal(fund, "fund_closed")
    Party.objects.select_for_update(no_key=True).get(pk=application.party_id)
    amount = min([application.amount_fen, *_rooms(fund, application.party)])
    voucher = Voucher.objects.create(
        fund=fund, party=application.party, application=application, amount_fen=amount,
        issued_at=act.at, redeem_until=fund.redeem_until, record=application.record,
    )  # fmt: skip
    record = act.record(voucher, {"fund": fund, "application": application, "amount_fen": voucher.amount_fen})
    voucher.record = record
    voucher.save(update_fields=["record"])
    reserve(act, voucher.fund, hold_of(voucher, voucher.amount_fen), record)
    return voucher


def fund_for(application: Application) -> Fund:
    """The fund that pays for an application, locked. Raises Refused."""
    found = current(application.pack)
    if found is None:
        params: dict[str, str | int | date] = {"pack": application.publication.title, "year": clock.today().year}
        raise Reason("no_fund", voucher_words.rule(9), "", params).refused()
    return Fund.objects.select_related("authority", "publication").select_for_update(of=("self",)).get(pk=found.pk)


def _rooms(fund: Fund, firm: Party) -> list[int]:
    """What pack and fund leave a firm this year, beside what its vouchers reserve already. Raises Refused."""
    benefit = matching.shelf(judged_on(fund)).pack(fund.pack).benefit
    caps = [(fund.firm_cap_fen, Fund.objects.filter(pk=fund.pk), fund.basis, "")]
    if benefit is not None:
        of_pack = Fund.objects.filter(pack=fund.pack, year=fund.year)
        caps.append((benefit.cap_fen, of_pack, benefit.clause, benefit.quote))
    rooms = []
    for cap, funds, clause, quote in caps:
        if cap is not None:
            rooms.append(cap - claims.taken_from(funds, firm))
            if rooms[-1] <= 0:
                raise Reason("firm_cap", clause, quote, {"cap": cap}).refused()
    return rooms


def hold_of(voucher: Voucher, amount_fen: int | None = None) -> Hold:
    """The voucher's place in the book."""
    return Hold(voucher.fund.authority, voucher.label, amount_fen, earmark=voucher.fund.earmark)


def reserve(act: Act, fund: Fund, item: Hold, record: LogRecord) -> None:
    """limit → held on the fund. Raises Refused(code="fund_exhausted") with the fund's clause."""
    try:
        services.hold_many(act, record, [item])
    except Refused as refused:
        if refused.code != "over_limit":
            raise
        left = services.balance(fund.authority, Kind.LIMIT, subject=fund.earmark)
        raise refusal(fund, "fund_exhausted", left=left, needs=item.amount or 0) from None


def refusal(fund: Fund, code: str, **params: int) -> Refused:
    """A refusal that the fund's own terms give."""
    return Reason(code, fund.basis, "", params).refused()


@action("policy.voucher.take_back")
def take_back(act: Act, *, voucher: Voucher, reason: str) -> Voucher:
    """The authority takes a voucher back; what it holds returns to the fund."""
    act.require(FUND)
    voucher = lock(voucher)
    if voucher.state != State.ACTIVE:
        raise Conflict(_("The voucher is already: %(state)s") % {"state": voucher.get_state_display()})
    if _in_review(voucher):
        raise Conflict(_("A redemption of this voucher is in review."), code="in_review")
    return _end(act, voucher, State.CANCELLED, {"reason_given": bool(reason.strip())})


@action("policy.voucher.expire")
def expire(act: Act, *, voucher: Voucher) -> Voucher:
    """The voucher's last day is over: what it still holds returns to the fund."""
    act.require(FUND)
    voucher = lock(voucher)
    if voucher.state != State.ACTIVE or clock.today() <= voucher.redeem_until or _in_review(voucher):
        act.nothing_changed()
        return voucher
    return _end(act, voucher, State.EXPIRED, {})


def expire_due(actor: Actor) -> int:
    """Let every voucher expire whose last day is over; returns how many. Safe to repeat."""
    due = Voucher.objects.filter(state=State.ACTIVE, redeem_until__lt=clock.today())
    waiting = due.exclude(redemptions__state__in=(Redemption.State.SUBMITTED,))
    vouchers = waiting.order_by("redeem_until", "id").distinct()[:EXPIRED_PER_RUN_MAX]
    return sum(expire(actor, voucher=voucher).state == State.EXPIRED for voucher in vouchers)


def lock(voucher: Voucher) -> Voucher:
    """The voucher, its fund and its firm locked first (lock order: fund, firm, balances, log).

    The firm, because caps of a year and stacking count what its other vouchers get, also of other funds.
    """
    Fund.objects.select_for_update().get(pk=voucher.fund_id)
    Party.objects.select_for_update(no_key=True).get(pk=voucher.party_id)
    return Voucher.objects.select_related("fund__authority", "fund__publication", "party").get(pk=voucher.pk)


def _in_review(voucher: Voucher) -> bool:
    return voucher.redemptions.filter(state=Redemption.State.SUBMITTED).exists()


def _end(act: Act, voucher: Voucher, state: str, told: dict[str, object]) -> Voucher:
    left = services.balance(voucher.fund.authority, Kind.HELD, subject=voucher.label)
    record = act.record(voucher, {"state": state, "left_fen": left, **told})
    voucher.state = state
    voucher.save(update_fields=["state"])
    services.release_hold_many(act, record, [hold_of(voucher)])
    return voucher
