"""Scopes that follow from parties: `party:ID` and `division:CODE` (GB/T 2260), for every model that belongs to a party.

A division's code holds its ancestors: 330106 lies in 330100, which lies in 330000. So an officer of a city sees the
parties of its districts without a tree in the query.
"""

from typing import TYPE_CHECKING

from django.db.models import Q

from huoshui.base import access

if TYPE_CHECKING:
    from huoshui.registry.models import Party


def division_prefix(code: str) -> str:
    """The part of a six-digit code that all divisions below it share: 330100 → 3301."""
    while len(code) > 2 and code.endswith("00"):
        code = code[:-2]
    return code


def of_party(party: "Party") -> set[str]:
    """Scopes in which a party lies: itself, its division and the divisions above."""
    scopes = {f"party:{party.pk}"}
    if party.division_id:
        code = party.division_id
        scopes |= {f"division:{code[:size].ljust(6, '0')}" for size in (2, 4, 6)}
    return scopes


def to_party(scopes: set[str], field: str = "party") -> Q:
    """Filter for a model whose `field` leads to a Party (empty: the Party itself)."""
    start = f"{field}__" if field else ""
    condition = Q(**{f"{start}pk__in": access.ids(scopes, "party")})
    for scope in scopes:
        kind, _colon, code = scope.partition(":")
        if kind == "division":
            condition |= Q(**{f"{start}division__code__startswith": division_prefix(code)})
    return condition
