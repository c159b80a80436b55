"""What calls cost, offer by offer: pure arithmetic on counts.

An offer is one provider's price for one model, so it is one line of a bill. The line's amount is floored once; the µfen
that did not make a whole fen wait for the next bill of the same offer. What never makes a whole fen is never asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from huoshui.maas.models import UFEN


@dataclass(frozen=True)
class Used:
    """Calls of one offer since the last bill. `own`: the payer provides it itself, so it is nobody's claim."""

    offer: int
    calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_ufen: int
    own: bool
    evidence: str


@dataclass(frozen=True)
class Line:
    """One offer on a bill: cost + before = fen × UFEN + carried, with carried below one fen."""

    used: Used
    before_ufen: int
    fen: int
    carried_ufen: int

    def plain(self) -> dict[str, Any]:
        """As it is stored with the bill."""
        return {
            **asdict(self.used), "before_ufen": self.before_ufen, "fen": self.fen, "carried_ufen": self.carried_ufen,
        }  # fmt: skip


@dataclass(frozen=True)
class Bill:
    """All lines, and what is carried after them by offer (also of offers without a line)."""

    lines: tuple[Line, ...]
    carried: Mapping[int, int]

    @property
    def fen(self) -> int:
        """What others are owed."""
        return sum(line.fen for line in self.lines if not line.used.own)

    @property
    def own_fen(self) -> int:
        """What goes back to the payer's limit."""
        return sum(line.fen for line in self.lines if line.used.own)

    @property
    def cost_ufen(self) -> int:
        return sum(line.used.cost_ufen for line in self.lines)


def bill(used: Sequence[Used], carried: Mapping[int, int]) -> Bill:
    """The bill of what was used, given what the bill before carried (µfen by offer)."""
    lines = []
    after = dict(carried)
    for row in sorted(used, key=lambda row: row.offer):
        before = carried.get(row.offer, 0)
        assert row.cost_ufen >= 0, row
        assert 0 <= before < UFEN, (row, before)
        fen, rest = divmod(row.cost_ufen + before, UFEN)
        lines.append(Line(row, before, fen, rest))
        after[row.offer] = rest
    return Bill(tuple(lines), {offer: ufen for offer, ufen in after.items() if ufen})
