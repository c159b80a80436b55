"""What vouchers and payouts tell elsewhere: on a statement of the book, in to-dos, in an entity's deadlines."""

from collections.abc import Iterable, Iterator
from datetime import datetime, time, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import Actor
from huoshui.book.models import Statement
from huoshui.book.subsidies import Reimbursed
from huoshui.cases.todo import Todo
from huoshui.policy import fund_queries
from huoshui.policy.models import Redemption, Voucher
from huoshui.policy.permissions import PAY_OUT, READ, REDEEM, REVIEW
from huoshui.policy.templatetags.vouchers import LEVELS
from huoshui.registry.deadlines import Deadline
from huoshui.registry.models import Party

ROWS_MAX = 20
SOON_DAYS = 30


def on_statement(actor: Actor, statement: Statement) -> Iterable[Reimbursed]:
    """Redemptions of a statement, and what a payout's own statement pays for."""
    if not actor.can(READ):
        return
    rows = list(fund_queries.subsidies_on(actor, statement))
    if statement.desk == "policy":
        rows += list(fund_queries.redemptions(actor).filter(payout__statement=statement))
    for row in rows:
        title = _("Redemption %(number)s") % {"number": row.number}
        url = reverse("policy:redemption", args=[row.pk])
        yield Reimbursed(title, row.get_state_display(), LEVELS[row.state], row.amount_fen, url)
    for payout in fund_queries.payouts(actor).filter(statement=statement):
        title = _("Payout %(number)s") % {"number": str(payout)}
        state, level = (_("paid"), "good") if payout.paid_at else (_("ordered"), "info")
        yield Reimbursed(title, state, level, payout.amount_fen, reverse("policy:payout", args=[payout.pk]))


def to_review(actor: Actor) -> Iterator[Todo]:
    """Redemptions that wait for an officer."""
    if not actor.can(REVIEW):
        return
    waiting = (Redemption.State.SUBMITTED, Redemption.State.OBJECTED)
    rows = fund_queries.redemptions(actor).filter(state__in=waiting).select_related("case").order_by("id")
    for row in rows[:ROWS_MAX]:
        title = _("Redemption %(number)s of %(firm)s: %(state)s") % {
            "number": row.number, "firm": row.party.name, "state": row.get_state_display(),
        }  # fmt: skip
        due = row.case.target_due if row.case else None
        yield Todo(title, reverse("policy:redemption", args=[row.pk]), due, 3, "policy.redemption")


def to_order(actor: Actor) -> Iterator[Todo]:
    """Payouts that can be ordered."""
    if actor.can(PAY_OUT) and (count := fund_queries.due()):
        title = _("%(count)s payouts can be ordered: their public notice is over") % {"count": count}
        yield Todo(title, reverse("policy:payouts"), clock.today(), 2, "policy.payout")
    if actor.can(PAY_OUT) and (count := fund_queries.waiting_grants().count()):
        title = _("%(count)s approved grants wait for a fund that can pay them") % {"count": count}
        yield Todo(title, reverse("policy:payouts"), None, 2, "policy.payout")


def to_redeem(actor: Actor) -> Iterator[Todo]:
    """Vouchers of the actor's own firms that end soon."""
    if not actor.can(REDEEM) or actor.can(REVIEW):
        return
    soon = clock.today() + timedelta(days=SOON_DAYS)
    rows = fund_queries.vouchers(actor).filter(
        state=Voucher.State.ACTIVE, redeem_until__lte=soon, redeem_until__gte=clock.today()
    )
    left = fund_queries.left_of(rows[:ROWS_MAX])
    for row in rows[:ROWS_MAX]:
        if left[row.pk]:
            title = _("Voucher %(number)s can be redeemed for a short time only") % {"number": row.number}
            yield Todo(title, reverse("policy:voucher", args=[row.pk]), row.redeem_until, 2, "policy.voucher")


def deadlines(actor: Actor, party: Party) -> Iterable[Deadline]:
    """The last days of a firm's vouchers."""
    rows = fund_queries.vouchers(actor).filter(party=party, state=Voucher.State.ACTIVE)
    for row in rows.filter(redeem_until__gte=clock.today())[:ROWS_MAX]:
        title = _("Voucher %(number)s can be redeemed until then") % {"number": row.number}
        due = datetime.combine(row.redeem_until + timedelta(days=1), time(), clock.LOCAL)
        yield Deadline(due, title, reverse("policy:voucher", args=[row.pk]), "policy.voucher")
