"""The published terms of the supermarket: those in force today, and those under which an order was placed."""

from django.utils.translation import gettext as _

from huoshui.base.errors import Refused
from huoshui.market.models import Order
from huoshui.registry.models import Publication
from huoshui.registry.queries import publications_in_force
from huoshui.terms.market_terms import MarketTerms

KIND = "market_terms"


def document() -> Publication:
    """The document in force today. Raises Refused(code="no_terms") before any is published."""
    found = publications_in_force(KIND).last()
    if found is None:
        raise Refused(_("No terms of the supermarket are in force."), code="no_terms")
    return found


def terms() -> MarketTerms:
    """The terms in force today. Raises Refused(code="no_terms")."""
    found: MarketTerms = document().loaded()
    return found


def concession_bps() -> int:
    """What the platform gives up today; nothing where no terms are in force."""
    found = publications_in_force(KIND).last()
    return found.loaded().concession_bps if found else 0


def terms_of(order: Order) -> MarketTerms:
    """The terms under which an order was placed, by digest."""
    found: MarketTerms = Publication.objects.get(kind=KIND, digest=order.terms_digest).loaded()
    return found
