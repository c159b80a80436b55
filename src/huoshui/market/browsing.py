"""The catalogue as an address: a query becomes a search, and every filter a link that sets or takes it away.

The whole state of the page is its address, so that it can be sent to a colleague, goes back with the browser's button
and works without a script. Products that are compared stand in it too (`c`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict
from django.urls import reverse

from huoshui.market import shelf
from huoshui.market.forms import FACET_TITLES, SORTS, SearchForm, facet_words
from huoshui.market.queries import COMPARED_MAX
from huoshui.registry.scopes import division_prefix

COMPARED, PAGE = "c", "page"
VALUES_SHOWN_MAX = 12
KEY_DIGITS_MAX = 18
FIRST_MAX = 10_000_000


@dataclass(frozen=True)
class Choice:
    """A value of a facet: its word, how many products, the address that chooses or drops it."""

    word: str
    count: int
    url: str
    chosen: bool


@dataclass(frozen=True)
class Chip:
    """A condition that is set, and the address without it."""

    title: str
    word: str
    url: str


class Browsing:
    """One address of the catalogue."""

    def __init__(self, query: QueryDict) -> None:
        self.query = query
        self.form = SearchForm(query)
        self.form.is_valid()
        self.words = facet_words()
        self.facets = {name: query.getlist(name) for name in shelf.FACETS if query.getlist(name)}

    @property
    def page(self) -> int:
        """The page asked for, from 1."""
        text = self.query.get(PAGE, "")
        return max(1, min(int(text), FIRST_MAX)) if text.isascii() and text.isdecimal() and len(text) < 9 else 1

    @property
    def compared(self) -> list[int]:
        """Keys of the products that are compared."""
        return keys_of(self.query)

    def wanted(self, page: int) -> shelf.Wanted:
        """The search of this address; what was not understood is left out, and the form says so."""
        given: dict[str, Any] = getattr(self.form, "cleaned_data", {})
        return shelf.Wanted(
            text=given.get("text") or "", facets=self.facets, division=_prefix(given.get("division") or ""),
            memory_gib=given.get("memory"), price_from_fen=given.get("price_from"), price_to_fen=given.get("price_to"),
            sla_bps=int(given.get("sla") or 0) or None, delivered_bps=int(given.get("delivered") or 0) or None,
            cards=given.get("cards"), start_hour=given.get("start"), hours=given.get("hours"),
            sort=given.get("sort") or "price", first=(page - 1) * shelf.PAGE_ROWS,
        )  # fmt: skip

    def choices(self, found: shelf.Found) -> list[tuple[str, list[Choice]]]:
        """Each facet with its values, the most frequent first; chosen values always stand there."""
        return [(str(FACET_TITLES[name]), list(self._facet(name, found.facets[name]))) for name in shelf.FACETS]

    def _facet(self, name: str, counts: dict[str, int]) -> Iterator[Choice]:
        chosen = self.facets.get(name, [])
        for value in sorted({*counts, *chosen}, key=lambda value: (value not in chosen, -counts.get(value, 0), value))[
            : VALUES_SHOWN_MAX + len(chosen)
        ]:
            rest = [other for other in chosen if other != value]
            url = self.url({name: rest if value in chosen else [*chosen, value]})
            yield Choice(self._word(name, value), counts.get(value, 0), url, value in chosen)

    def _word(self, name: str, value: str) -> str:
        return str(self.words[name].get(value, value))

    def chips(self) -> list[Chip]:
        """Everything that is set, each with the address without it."""
        found = []
        for name, values in self.facets.items():
            for value in values:
                rest = [other for other in values if other != value]
                found.append(Chip(str(FACET_TITLES[name]), self._word(name, value), self.url({name: rest})))
        for bound in self.form:
            value = self.query.get(bound.name, "").strip()
            if value and bound.name != "sort":
                choices = dict(getattr(bound.field, "choices", ()))
                found.append(Chip(str(bound.label), str(choices.get(value, value)), self.url({bound.name: []})))
        return found

    def hidden(self) -> list[tuple[str, str]]:
        """What the search form carries along: facets and compared products."""
        names = (*shelf.FACETS, COMPARED)
        return [(name, value) for name in names for value in self.query.getlist(name)]

    def sorts(self) -> list[tuple[str, str, bool]]:
        """Word, address and whether it is the present one, for each order."""
        present = self.query.get("sort") or "price"
        return [(str(word), self.url({"sort": [code]}), code == present) for code, word in SORTS]

    def compare_url(self, key: int) -> str | None:
        """The address with a product added to or taken from the comparison; None when it is full."""
        chosen = self.compared
        if key not in chosen and len(chosen) >= COMPARED_MAX:
            return None
        keys = [other for other in chosen if other != key] if key in chosen else [*chosen, key]
        return self.url({COMPARED: [str(one) for one in keys]}, keep_page=True)

    def url(self, changes: Mapping[str, list[str]], *, keep_page: bool = False) -> str:
        """This address with some values replaced, from its first page on."""
        query = self.query.copy()
        if not keep_page:
            query.pop(PAGE, None)
        for name, values in changes.items():
            query.setlist(name, values)
        for name in [name for name in query if not any(query.getlist(name))]:
            del query[name]
        return f"?{query.urlencode()}"


def _is_key(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= KEY_DIGITS_MAX


def _prefix(code: str) -> str:
    return division_prefix(code) if code else ""


def fitting(model: str, cards: int, hours: int) -> str:
    """The address of products of a card model that are sold for so many hours, the cheapest first."""
    query = urlencode({"model": model, "cards": cards, "hours": hours, "sort": "price"})
    return f"{reverse('market:catalogue')}?{query}"


def keys_of(query: QueryDict) -> list[int]:
    """Keys of the products that an address compares."""
    return list(dict.fromkeys(int(key) for key in query.getlist(COMPARED) if _is_key(key)))[:COMPARED_MAX]
