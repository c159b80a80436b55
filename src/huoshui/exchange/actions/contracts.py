"""A contract is made when it is first traded, and found when it is traded again."""

from django.utils.translation import gettext as _

from huoshui.base.errors import invalid
from huoshui.compute.models import CardModel, Region, Site
from huoshui.exchange.models import Contract
from huoshui.jobs.models import Booking
from huoshui.jobs.services import AHEAD_HOURS_MAX

HOURS_MAX = 24 * 92
"""Longest window of a contract."""


def contract_of(
    *, card_model: CardModel, region: Region, site: Site | None, start_hour: int, end_hour: int, billing: str,
    now_hour: int,
) -> Contract:  # fmt: skip
    """The contract with these terms. Raises Invalid for a window that is empty, past, too long or too far ahead, a
    site in another region, an unknown way of billing."""
    if not 0 < end_hour - start_hour <= HOURS_MAX:
        raise invalid("end_hour", end_hour, _("between 1 and %(max)s hours after the start") % {"max": HOURS_MAX})
    if not now_hour < start_hour <= now_hour + AHEAD_HOURS_MAX:
        raise invalid("start_hour", start_hour, _("must lie ahead, by at most a year"))
    if site is not None and site.region_id != region.pk:
        raise invalid("site", site, _("is not in this region"))
    if billing not in Booking.Billing.values:
        raise invalid("billing", billing, _("one of: %(all)s") % {"all": ", ".join(Booking.Billing.values)})
    return Contract.objects.get_or_create(
        card_model=card_model, region=region, site=site, start_hour=start_hour, end_hour=end_hour, billing=billing
    )[0]
