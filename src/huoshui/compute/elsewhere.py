"""Where else the cards of a needs estimate may be had: rooms above the bank register an address for them.

    elsewhere.register(_l("Products that fit"), lambda model, cards, hours: "/market/?…")     # from `AppConfig.ready`
"""

from collections.abc import Callable

from django.utils.functional import Promise

Address = Callable[[str, int, int], str]
"""(code of the card model, cards together, hours) → an address."""
_ways: list[tuple[str | Promise, Address]] = []


def register(title: str | Promise, address: Address) -> None:
    """Offer another way to the cards of an estimate."""
    _ways.append((title, address))


def ways(model: str, cards: int, hours: int) -> list[tuple[str, str]]:
    """Title and address of each way."""
    return [(str(title), address(model, cards, hours)) for title, address in _ways]
