"""The schedule of one request as a bar over its window: when it may run, when it runs, what was delivered.

Three lanes over one time axis with a mark at each local midnight; the same stretches stand in the table beneath.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import NamedTuple

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.figures import Figure

WIDTH, LEFT, RIGHT, LANE, TOP = 720, 84, 16, 34, 10
DAYS_LABELLED_MAX = 10
INK, SOFT, LINE = "var(--ink,#16242d)", "var(--ink-soft,#4a5b66)", "var(--line,#d5dee2)"
FILLS = {
    "window": f'fill="var(--sunken,#eaf0f2)" stroke="{SOFT}" stroke-dasharray="4 3"',
    "run": 'fill="var(--series-1,#0c5a70)"',
    "delivered": 'fill="var(--series-4,#3a7d34)"',
}


class Piece(NamedTuple):
    """Hours [start_hour, end_hour) of one lane, with what the table says of them."""

    lane: str
    start_hour: int
    end_hour: int
    note: str


def draw(pieces: Sequence[Piece], now_hour: int) -> Figure:
    """Lanes in the order in which they first appear. `now_hour` is marked when it lies between the ends."""
    names = {"window": _("may run"), "run": _("runs"), "delivered": _("delivered")}
    first, last = min(piece.start_hour for piece in pieces), max(piece.end_hour for piece in pieces)
    scale = (WIDTH - LEFT - RIGHT) / (last - first)
    lanes = list(dict.fromkeys(piece.lane for piece in pieces))
    height = TOP + LANE * len(lanes) + 26

    def x(hour: int) -> float:
        return round(LEFT + (hour - first) * scale, 1)

    body = list(_axis(first, last, x, height))
    for index, lane in enumerate(lanes):
        y = TOP + LANE * index
        body.append(f'<text x="{LEFT - 10}" y="{y + 19}" text-anchor="end" fill="{INK}">{escape(names[lane])}</text>')
        for piece in pieces:
            if piece.lane == lane:
                wide = max(round((piece.end_hour - piece.start_hour) * scale, 1), 1.5)
                body.append(
                    f'<rect x="{x(piece.start_hour)}" y="{y + 3}" width="{wide}" height="24" rx="3" {FILLS[lane]}/>'
                )
    if first < now_hour < last:
        body.append(
            f'<line x1="{x(now_hour)}" x2="{x(now_hour)}" y1="4" y2="{height - 24}" stroke="var(--bad,#9c2520)" '
            f'stroke-width="2"/><text x="{x(now_hour) + 4}" y="{height - 26}" fill="{INK}">{escape(_("now"))}</text>'
        )
    title = _("Schedule")
    rows = tuple(
        (names[lane], moment(start), moment(end), end - start, note)
        for lane, start, end, note in pieces
    )
    said = "; ".join(f"{row[0]} {row[1]} – {row[2]}" for row in rows[:12])
    svg = (
        f'<svg class="chart wide" xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'font-size="12" aria-labelledby="schedule-t schedule-d"><title id="schedule-t">{escape(title)}</title>'
        f'<desc id="schedule-d">{escape(said)}</desc>{"".join(body)}</svg>'
    )
    return Figure(title, svg, ("", _("from"), _("until"), _("hours"), _("where or how much")), rows)


def _axis(first: int, last: int, at: Callable[[int], float], height: int) -> Iterable[str]:
    """A line at each local midnight, the day beneath as often as there is room."""
    midnights = [hour for hour in range(first, last + 1) if clock.local(clock.instant_of(hour)).hour == 0]
    every = max(1, -(-len(midnights) // DAYS_LABELLED_MAX))
    for index, hour in enumerate(midnights):
        yield f'<line x1="{at(hour)}" x2="{at(hour)}" y1="6" y2="{height - 22}" stroke="{LINE}"/>'
        if index % every == 0:
            day = clock.local(clock.instant_of(hour)).strftime("%m-%d")
            yield f'<text x="{at(hour)}" y="{height - 6}" text-anchor="middle" fill="{SOFT}">{day}</text>'


def moment(hour: int) -> str:
    """An hour as local date and time."""
    return clock.local(clock.instant_of(hour)).strftime("%Y-%m-%d %H:%M")
