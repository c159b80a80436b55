"""Money in integers: shares, amounts, exact splits, and yuan as people write it.

Three rules make every statement add up: a share is floored and the entity pays the remainder; an amount is floored
once per line; a total is split by largest remainder with ties by id. Amounts are fen; yuan exist only in text.
"""

import enum
import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from .errors import TermError

BPS: Final = 10_000
MILLI: Final = 1_000
AMOUNT_FEN_MAX: Final = 10**15  # ten trillion yuan: far above any fund, far below int64


class Rounding(enum.Enum):
    """How a fraction of a fen is settled. Named at every call that can leave one."""

    FLOOR = "floor"
    HALF_UP = "half_up"
    CEILING = "ceiling"

    def divide(self, numerator: int, denominator: int) -> int:
        """numerator / denominator as an integer; both non-negative, denominator above zero."""
        if numerator < 0 or denominator <= 0:
            raise TermError("numerator/denominator", f"{numerator}/{denominator}", "amount_negative")
        if self is Rounding.HALF_UP:
            return (2 * numerator + denominator) // (2 * denominator)
        if self is Rounding.CEILING:
            return -(-numerator // denominator)
        return numerator // denominator


class MoneyUnit(enum.Enum):
    """A unit in which people write amounts; the value is (fen in one unit, decimals down to the fen)."""

    FEN = (1, 0)
    YUAN = (100, 2)
    WAN_YUAN = (1_000_000, 6)


_UNIT_SUFFIXES: Final = {"万元": MoneyUnit.WAN_YUAN, "元": MoneyUnit.YUAN, "分": MoneyUnit.FEN}
_AMOUNT: Final = re.compile(r"(-?)(\d+|\d{1,3}(?:,\d{3})+)(?:\.(\d+))?", re.ASCII)


def _check_not_negative(field: str, value: int) -> None:
    if value < 0:
        raise TermError(field, value, "amount_negative")


def floor_share(amount_fen: int, bps: int) -> int:
    """The share `bps` (basis points) of a non-negative amount, floored to the fen."""
    _check_not_negative("amount_fen", amount_fen)
    _check_not_negative("bps", bps)
    return amount_fen * bps // BPS


def amount_fen(milli_card_hours: int, price_fen_per_card_hour: int) -> int:
    """What milli-card-hours cost at a price per card-hour, floored to the fen. Call it once per statement line."""
    _check_not_negative("milli_card_hours", milli_card_hours)
    _check_not_negative("price_fen_per_card_hour", price_fen_per_card_hour)
    return milli_card_hours * price_fen_per_card_hour // MILLI


def split_largest_remainder(total: int, weights: Sequence[int], ids: Sequence[str]) -> list[int]:
    """Split a non-negative integer in proportion to non-negative integer weights; the parts sum to `total`.

    Each part is the floor or the ceiling of its exact share: the largest remainders get the units left over, ties
    going to the smaller id. The result is in input order and depends on ids and weights only, not on that order.
    """
    _check_not_negative("total", total)
    if len(ids) != len(weights):
        raise TermError("ids", len(ids), "same_length", other="weights")
    if len(set(ids)) != len(ids):
        raise TermError("ids", sorted(ids), "unique")
    for index, weight in enumerate(weights):
        _check_not_negative(f"weights[{index}]", weight)
    weight_sum = sum(weights)
    if weight_sum == 0:
        if total:
            raise TermError("weights", list(weights), "weights_zero")
        return [0] * len(weights)
    parts = [total * weight // weight_sum for weight in weights]
    left = total - sum(parts)
    order = sorted(range(len(ids)), key=lambda i: (-(total * weights[i] % weight_sum), ids[i]))
    for index in order[:left]:
        parts[index] += 1
    return parts


def parse_money(text: str, unit: MoneyUnit = MoneyUnit.YUAN, *, field: str = "amount", signed: bool = False) -> int:
    """Fen from an amount as people write it: `12,345.67`, `¥12,345.67`, `１２３４５.６７元`, `1.5万元`.

    `unit` is the unit of the column; a unit written in the cell itself wins. Full-width characters are read as their
    ordinary twins. Never rounds: yuan take at most 2 decimals, ten thousand yuan (万元) at most 6, fen none.
    Raises TermError: amount_format, amount_decimals, amount_negative, amount_range.
    """
    written = "".join(unicodedata.normalize("NFKC", text).split())
    for suffix, suffix_unit in _UNIT_SUFFIXES.items():
        if written.endswith(suffix):
            written, unit = written.removesuffix(suffix), suffix_unit
            break
    match = _AMOUNT.fullmatch(written.removeprefix("¥"))
    if match is None or len(written) > 40:
        raise TermError(field, text, "amount_format")
    sign, whole, fraction = match.group(1), match.group(2).replace(",", ""), match.group(3) or ""
    fen_in_unit, decimals_max = unit.value
    if len(fraction) > decimals_max:
        raise TermError(field, text, "amount_decimals", max=decimals_max)
    if sign and not signed:
        raise TermError(field, text, "amount_negative")
    amount = int(Decimal(f"{whole}.{fraction or '0'}") * fen_in_unit)
    if amount > AMOUNT_FEN_MAX:
        raise TermError(field, text, "amount_range", min=-AMOUNT_FEN_MAX if signed else 0, max=AMOUNT_FEN_MAX)
    return -amount if sign else amount


def parse_yuan(text: str, *, field: str = "amount") -> int:
    """Fen from a non-negative amount in yuan; see `parse_money`."""
    return parse_money(text, MoneyUnit.YUAN, field=field)


def format_yuan(fen: int, *, grouping: bool = True) -> str:
    """Yuan with two decimals, grouped by thousands: 1234567 -> `12,345.67`. No unit: the header names it."""
    yuan, cents = divmod(abs(fen), 100)
    return f"{'-' if fen < 0 else ''}{yuan:{',' if grouping else ''}d}.{cents:02d}"
