"""The compute account 算力账户: standard card-hours that a depositor may use later, elsewhere, on another model.

Balances live in the book under the asset SCH (milli standard card-hours), one account for each expiry date, so that
the oldest are used first and expiry is one posting. Conversion, published in the round terms: standard card-hours =
card-hours × slot price / index price of the round; the index price is fixed before the round clears, so nobody's
balance depends on a result that it takes part in. The centre grants every balance (its own limit account goes below
zero) and pays depositors in money when the entity withdraws.
"""

from datetime import date, timedelta

from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import GRANT, Account, Kind
from huoshui.book.services import Leg
from huoshui.compute.models import Request
from huoshui.registry.models import Party
from huoshui.registry.queries import centre

ASSET = "SCH"
EXPIRES = "expires/"
MILLI = 1000


def standard_of_fen(amount_fen: int, index_price_mfen: int) -> int:
    """Milli standard card-hours that an amount stands for, rounded up: what a withdrawal costs."""
    return -(-amount_fen * MILLI * MILLI // index_price_mfen)


def standard_credit(milli_card_hours: int, price_mfen: int, index_price_mfen: int) -> int:
    """Milli standard card-hours credited for card-time at a slot price, rounded down."""
    return milli_card_hours * price_mfen // index_price_mfen


def balances(party: Party) -> dict[date, int]:
    """Milli standard card-hours by the day on which they expire, oldest first."""
    rows = Account.objects.filter(
        party=party, kind=Kind.LIMIT, asset=ASSET, subject__startswith=EXPIRES, balance__amount__gt=0
    ).values_list("subject", "balance__amount")
    return {day: amount for day, amount in sorted((expiry_of(subject), amount) for subject, amount in rows)}


def available(party: Party, on: date) -> int:
    """Milli standard card-hours that the party may use on a day."""
    return sum(amount for day, amount in balances(party).items() if day >= on)


def expiry_of(subject: str) -> date:
    """The expiry day in an account's subject."""
    return date.fromisoformat(subject.removeprefix(EXPIRES))
