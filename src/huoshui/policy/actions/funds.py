"""Writes of funds: open one for a pack and a year, change its amount, stop it, keep its list of suppliers."""

from datetime import date

from django.utils.translation import gettext as _

from huoshui import rules
from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, invalid
from huoshui.book import services
from huoshui.book.ledger import AMOUNT_MAX
from huoshui.book.models import Kind
from huoshui.policy.models import Fund, Supplier
from huoshui.policy.permissions import FUND
from huoshui.registry.models import Party, Publication
from huoshui.registry.queries import centre

NOTICE_DAYS_MAX = 60
PAYS = ("voucher", "grant")


@action("policy.fund.open")
def open_fund(
    act: Act, *, authority: Party, publication: Publication, year: int, title: str, basis: str, yearly_fen: int,
    used_from: date, used_until: date, redeem_until: date, notice_days: int, firm_cap_fen: int | None = None,
) -> Fund:  # fmt: skip
    """Say what an authority may spend on a pack in a year. The centre stands for the amount in the book."""
    act.require(FUND)
    _check_pack(publication)
    _check_text("title", title, 100)
    _check_text("basis", basis, 200)
    _check_amount("yearly_fen", yearly_fen)
    if firm_cap_fen is not None and not 0 < firm_cap_fen <= AMOUNT_MAX:
        raise invalid("firm_cap_fen", firm_cap_fen, _("above zero"))
    if not 0 <= notice_days <= NOTICE_DAYS_MAX:
        raise invalid("notice_days", notice_days, _("between 0 and %(max)s") % {"max": NOTICE_DAYS_MAX})
    if not used_from <= used_until <= redeem_until:
        raise invalid("redeem_until", redeem_until, _("the last day of use lies between the other two days"))
    if used_from.year != year:
        raise invalid("used_from", used_from, _("lies in the fund's year"))
    if Fund.objects.filter(authority=authority, pack=publication.identifier, year=year).exists():
        raise Conflict(_("This authority has a fund for this pack and year already."), code="fund_exists")
    record = act.record(
        authority,
        {"pack": publication.identifier, "digest": publication.digest, "year": year, "yearly_fen": yearly_fen,
         "firm_cap_fen": firm_cap_fen, "used": [used_from, used_until], "redeem_until": redeem_until,
         "notice_days": notice_days, "basis": basis.strip()},
    )  # fmt: skip
    fund = Fund.objects.create(
        authority=authority, publication=publication, pack=publication.identifier, year=year, title=title.strip(),
        basis=basis.strip(), yearly_fen=yearly_fen, firm_cap_fen=firm_cap_fen, used_from=used_from,
        used_until=used_until, redeem_until=redeem_until, notice_days=notice_days, created_at=act.at, record=record,
    )  # fmt: skip
    services.set_limit(act, record, authority, centre(), yearly_fen, fund.basis, earmark=fund.earmark)
    return fund


@action("policy.fund.amount")
def change_amount(act: Act, *, fund: Fund, yearly_fen: int, basis: str) -> Fund:
    """Change the yearly amount. What is reserved, committed or paid is never taken away."""
    act.require(FUND)
    _check_amount("yearly_fen", yearly_fen)
    _check_text("basis", basis, 200)
    fund = Fund.objects.select_for_update().get(pk=fund.pk)
    used = fund.yearly_fen - services.balance(fund.authority, Kind.LIMIT, subject=fund.earmark)
    if yearly_fen < used:
        raise invalid("yearly_fen", services.show(yearly_fen, services.CNY),
                      _("at least what is reserved, approved and paid: %(used)s") % {
                          "used": services.show(used, services.CNY)})  # fmt: skip
    record = act.record(fund, {"yearly_fen": yearly_fen, "before_fen": fund.yearly_fen, "basis": basis.strip()})
    change, limit = yearly_fen - fund.yearly_fen, (fund.authority, centre(), fund.earmark)
    fund.yearly_fen = yearly_fen
    fund.save(update_fields=["yearly_fen"])
    # Banks report payouts without asking the fund: what the grant stands for is read while it is locked.
    settlement = services.Settlement(act, record, limits=[limit])
    settlement.set_limit(fund.authority, centre(), settlement.stands_for(*limit) + change, basis.strip(), fund.earmark)
    settlement.write()
    return fund


@action("policy.fund.issuing")
def set_issuing(act: Act, *, fund: Fund, issues: bool) -> Fund:
    """Stop issuing vouchers of a fund, or begin again. Vouchers that were issued stay as they are."""
    act.require(FUND)
    fund = Fund.objects.select_for_update().get(pk=fund.pk)
    if fund.open == issues:
        act.nothing_changed()
        return fund
    act.record(fund, {"issues": issues})
    fund.open = issues
    fund.save(update_fields=["open"])
    return fund


@action("policy.supplier.list")
def list_supplier(
    act: Act, *, fund: Fund, party: Party, facility: str = "", service: str = "", source: str, since: date,
) -> Supplier:  # fmt: skip
    """Put a party on the list of those whose services the fund reimburses, from a day on."""
    act.require(FUND)
    _check_text("source", source, 200)
    if fund.suppliers.filter(party=party, until=None).exists():
        raise Conflict(_("%(name)s is on the list already.") % {"name": party.name}, code="listed")
    record = act.record(
        fund, {"supplier": party, "facility": facility, "service": service, "since": since, "source": source.strip()}
    )
    return Supplier.objects.create(
        fund=fund, party=party, facility=facility.strip(), service=service.strip(), source=source.strip(),
        since=since, record=record,
    )  # fmt: skip


@action("policy.supplier.strike")
def strike_supplier(act: Act, *, supplier: Supplier, until: date) -> Supplier:
    """Say the last day on which a party is on the list. What was used until then still counts."""
    act.require(FUND)
    supplier = Supplier.objects.select_for_update().get(pk=supplier.pk)
    if until < supplier.since:
        raise invalid("until", until, _("not before the first day"))
    act.record(supplier.fund, {"supplier": supplier.party, "until": until})
    supplier.until = until
    supplier.save(update_fields=["until"])
    return supplier


def _check_pack(publication: Publication) -> None:
    if publication.kind != rules.KIND or publication.activated_at is None:
        raise invalid("publication", publication.identifier, _("a rule pack in force"))
    benefit = publication.loaded().benefit
    if benefit is None or benefit.kind not in PAYS:
        raise invalid("publication", publication.identifier, _("this pack pays no money"))


def _check_text(name: str, text: str, most: int) -> None:
    if not 1 <= len(text.strip()) <= most:
        raise invalid(name, text[:40], _("between 1 and %(max)s characters") % {"max": most})


def _check_amount(name: str, fen: int) -> None:
    if not 0 <= fen <= AMOUNT_MAX:
        raise invalid(name, fen, _("between 0 and %(max)s fen") % {"max": AMOUNT_MAX})


def current(pack: str, on: date | None = None) -> Fund | None:
    """The fund that pays for a pack in the year of a day (default: today), the oldest that still issues first."""
    day = on or clock.today()
    return Fund.objects.filter(pack=pack, year=day.year).order_by("-open", "id").select_related("authority").first()
