"""What applying takes: the window, and the documents, each asked for once (最多报一次).

A document that several packs want is one need. Those that prove a claim on a voucher come with its redemption. It is
not asked for when the centre keeps it, when what it proves is on record from somebody other than the firm, or when the
firm handed it in within the last year.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from huoshui.base import clock
from huoshui.policy.matching import Match
from huoshui.policy.models import FiledMaterial
from huoshui.registry.models import FactSource
from huoshui.rules import Pack
from huoshui.rules.model import Material, Term, Window, pack_reads

FILED_DAYS_MAX: Final = 365
KEPT, KNOWN, FILED, ASKED = "kept", "known", "filed", "asked"


@dataclass(frozen=True)
class Need:
    """One document for all packs that want it. `state`: kept by the centre, known, filed before, or asked for."""

    key: str
    title: str
    packs: tuple[str, ...]
    state: str

    @property
    def asked(self) -> bool:
        """Whether it has to be handed in now."""
        return self.state == ASKED


def of(found: Match, packs: Sequence[Pack]) -> list[Need]:
    """The documents for applying to packs at once, those asked for first."""
    wanted: dict[str, list[tuple[Pack, Material]]] = {}
    for pack in packs:
        for material in pack.materials:
            if _is_of_claim(pack, material):
                continue
            wanted.setdefault(key_of(material), []).append((pack, material))
    filed = _filed(found, list(wanted))
    rows = [
        Need(key, pairs[0][1].title, tuple(pack.header.title for pack, _m in pairs), _state(found, key, pairs, filed))
        for key, pairs in wanted.items()
    ]
    return sorted(rows, key=lambda need: (not need.asked, need.title))


def _is_of_claim(pack: Pack, material: Material) -> bool:
    """Whether it proves a claim to come (a contract, an invoice): it is handed in with the redemption."""
    return bool(material.facts) and all(pack.fields[code].of_claim for code in material.facts)


def key_of(material: Material) -> str:
    """One name for the same document in all packs."""
    return "m" + hashlib.sha256("".join(material.title.split()).encode()).hexdigest()[:12]


def _state(found: Match, key: str, pairs: Sequence[tuple[Pack, Material]], filed: set[str]) -> str:
    if any(material.kept for _pack, material in pairs):
        return KEPT
    facts = {code for _pack, material in pairs for code in material.facts}
    if facts and all(_is_known(found, code) for code in facts):
        return KNOWN
    return FILED if key in filed else ASKED


def _is_known(found: Match, code: str) -> bool:
    """Whether somebody other than the party itself has said it, for the years that packs read."""
    cells = [cell for column, cell in found.known.cells.items() if column.partition("@")[0] == code]
    return bool(cells) and all(cell.state == "known" and cell.source != FactSource.SELF for cell in cells)


def _filed(found: Match, keys: Sequence[str]) -> set[str]:
    since = clock.day_start(found.on - timedelta(days=FILED_DAYS_MAX))
    rows = FiledMaterial.objects.filter(filing__party=found.party, filing__submitted_at__gte=since, material__in=keys)
    return set(rows.values_list("material", flat=True))


def reads(pack: Pack) -> Iterator[Term]:
    """The facts of the party that a pack reads (not those of a claim)."""
    return (term for term in pack_reads(pack) if not pack.fields[term.field].of_claim)


# --- windows ----------------------------------------------------------------------------------------------------------


def is_open(window: Window, on: date) -> bool:
    """Whether applications are taken on a day."""
    return window.first <= on and (window.last is None or on <= window.last)


def window_of(pack: Pack, on: date) -> Window | None:
    """The window that is open on a day, else the next one; None when there is none (or none is needed)."""
    ahead = [window for window in pack.windows if window.last is None or window.last >= on]
    return min(ahead, key=lambda window: window.first, default=None)


def is_closed(pack: Pack, on: date) -> bool:
    """Whether the pack has windows and none is open."""
    return bool(pack.windows) and not any(is_open(window, on) for window in pack.windows)


def by_application(pack: Pack) -> bool:
    """Whether an office gives it on application: a tax benefit is taken in the tax return, a credit at the bank, and
    a class (size of enterprise) is nothing to apply for."""
    return pack.benefit is not None and pack.benefit.kind not in ("tax", "credit") and pack.classes is None
