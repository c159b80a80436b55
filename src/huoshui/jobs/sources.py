"""What a booking came from, in words and with its page: whoever sells registers how to tell it.

    sources.register("market.order", lambda booking: (_("Order %(number)s") % …, reverse("market:order", …)))
"""

from collections.abc import Callable

from django.urls import reverse
from django.utils.translation import gettext as _

from huoshui.compute.models import Allocation
from huoshui.jobs.models import Booking

Tell = Callable[[Booking], tuple[str, str]]
_known: dict[str, Tell] = {}


def register(kind: str, tell: Tell) -> None:
    """Say how bookings of a kind of source are told: (title, address), the address empty when there is none."""
    _known[kind] = tell


def tell(booking: Booking) -> tuple[str, str]:
    """Title and address of what a booking came from; its canonical label when nobody knows the kind."""
    known = _known.get(booking.source.partition(":")[0])
    return known(booking) if known else (booking.source, "")


def key_of(booking: Booking) -> int:
    """The primary key in a source such as `compute.allocation:12@2`."""
    return int(booking.source.partition(":")[2].partition("@")[0])


def of_own(booking: Booking) -> tuple[str, str]:
    """Cards that an operator keeps for itself."""
    return _("The operator's own use"), ""


def of_allocation(booking: Booking) -> tuple[str, str]:
    """The request that the bank served."""
    found = Allocation.objects.select_related("request").filter(pk=key_of(booking)).first()
    if found is None:
        return booking.source, ""
    title = _("Compute bank, request %(number)s") % {"number": found.request.number}
    return title, reverse("compute:request", args=[found.request_id])
