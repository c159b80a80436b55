"""Figures as accessible SVG with the same numbers as a table. Pure: no Django, no I/O; pages, reports and notebooks
call the same functions.

A figure must survive print and colour-blindness, so nothing rests on hue: the heat map's scale runs from light to dark,
each line has its own dash and marker, stacked parts have their own hatching and are named in a legend. Colours are CSS
variables with a fixed fallback: on a page they follow the theme, elsewhere they stand by themselves. A missing value is
drawn as a gap (hatched in maps) and printed as “—”, never as zero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10
from zlib import crc32

Number = int | float
Value = Number | None
Cell = str | Number | None

ROWS_MAX, COLUMNS_MAX, SERIES_MAX, NAME_COLUMNS_MAX = 200, 800, 6, 20
NOTHING = "—"
WIDTH, NARROW = 720, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 24, 30
_INK, _SOFT, _GRID, _PAPER = "var(--ink,#16242d)", "var(--ink-soft,#4a5b66)", "var(--line,#d5dee2)", "var(--paper,#fff)"
# Seven steps of one hue, evenly darker: readable in grey.
SCALE = ("#edf5f7", "#cfe5eb", "#a6d0db", "#74b4c5", "#43919f", "#1f6b7c", "#0a4353")
_SERIES = tuple(
    f"var(--series-{number},{fallback})"
    for number, fallback in enumerate(("#0c5a70", "#c4570a", "#6b4c9a", "#3a7d34", "#a3316b", "#55636d"), 1)
)
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "4 2", "1 2")
_MARKERS = (
    '<circle r="3.5" {at} {style}/>',
    '<rect x="-3.2" y="-3.2" width="6.4" height="6.4" {at} {style}/>',
    '<path d="M0-4.5 4 3H-4z" {at} {style}/>',
    '<path d="M0-4.8 4 0 0 4.8-4 0z" {at} {style}/>',
    '<path d="M0 4.5-4-3H4z" {at} {style}/>',
    '<path d="M-4 0h8M0-4v8" stroke-width="2.5" {at} {style}/>',
)


@dataclass(frozen=True)
class Figure:
    """A drawn figure: `svg` stands alone; `headings` and `rows` are the same numbers (None: no value)."""

    title: str
    svg: str
    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def text(self) -> str:
        """The table as plain text, for a terminal or a report."""
        table = [self.headings, *(tuple(_cell(cell) for cell in row) for row in self.rows)]
        widths = [max(_columns_wide(row[at]) for row in table) for at in range(len(self.headings))]
        lines = (
            "  ".join(
                " " * (width - _columns_wide(cell)) + cell if at else cell + " " * (width - _columns_wide(cell))
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        )
        return "\n".join([self.title, *lines])

    def _repr_html_(self) -> str:
        return self.svg


def _columns_wide(text: str) -> int:
    """Terminal columns: a Chinese character takes two."""
    return sum(2 if ord(letter) > 0x2E7F else 1 for letter in text)


def _cell(cell: Cell) -> str:
    if cell is None:
        return NOTHING
    return cell if isinstance(cell, str) else _figure(cell)


def _figure(value: Number) -> str:
    """A number for reading: thousands separators, at most two decimals."""
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}".replace("-", "−")
    return f"{value:,.2f}".rstrip("0").replace("-", "−")


def _with_unit(value: Value, unit: str) -> str:
    if value is None:
        return NOTHING
    return _figure(value) + (unit if unit in ("", "%") else f" {unit}")


# --- drawing ----------------------------------------------------------------


def _svg(title: str, description: str, width: float, height: float, body: Sequence[str], wide: bool = True) -> str:
    mark = _mark(title)
    return (
        f'<svg class="chart{" wide" if wide else ""}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'viewBox="0 0 {_n(width)} {_n(height)}" aria-labelledby="{mark}-t {mark}-d" font-size="12">'
        f'<title id="{mark}-t">{escape(title)}</title><desc id="{mark}-d">{escape(description)}</desc>'
        f"{''.join(body)}</svg>"
    )


def _mark(title: str) -> str:
    """An id for the parts of one figure: the same every time it is drawn."""
    return f"f{crc32(title.encode()):08x}"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = _SOFT, size: float = 12) -> str:
    return (
        f'<text x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}" fill="{colour}" font-size="{_n(size)}">'
        f"{escape(text)}</text>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = _GRID, more: str = "") -> str:
    return f'<line x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}" stroke="{colour}" {more}/>'


def _ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers that cover [low, high]."""
    if high - low < 1e-6:
        high = low + 1
    rough = (high - low) / wanted
    power = 10.0 ** floor(log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = floor(low / step), ceil(high / step)
    return [round(step * number, 10) for number in range(first, last + 1)]


def _check(*sizes: tuple[str, int, int]) -> None:
    for name, size, most in sizes:
        if not 0 < size <= most:
            raise ValueError(f"{name}: {size} given, 1 to {most} can be drawn")


def _legend(names: Sequence[str], y: float, keys: Sequence[str]) -> list[str]:
    """Names beside their keys, on one line from the left."""
    parts, x = [], float(_LEFT)
    for name, key in zip(names, keys, strict=True):
        parts.append(f'<g transform="translate({_n(x)} {_n(y)})">{key}</g>')
        parts.append(_text(x + 34, y + 4, name, colour=_INK))
        x += 50 + 6.6 * _columns_wide(name)
    return parts


def _axes(ticks: Sequence[float], columns: Sequence[str], height: float, unit: str, centred: bool) -> list[str]:
    """Grid lines with their numbers on the left, and as many column names as fit below."""
    low, high = ticks[0], ticks[-1]
    plot = WIDTH - _LEFT - _RIGHT
    parts = []
    for tick in ticks:
        y = _TOP + height - height * (tick - low) / (high - low)
        parts += [_line(_LEFT, y, WIDTH - _RIGHT, y), _text(_LEFT - 8, y + 4, _figure(tick), "end")]
    if unit:
        parts.append(_text(0, 9, unit, size=11))
    step = plot / (len(columns) if centred else max(len(columns) - 1, 1))
    longest = max(_columns_wide(name) for name in columns)
    every = max(1, ceil((longest * 6.4 + 14) / step))
    for at in range(0, len(columns), every):
        x = _LEFT + step * (at + (0.5 if centred else 0))
        parts.append(_text(x, _TOP + height + 18, columns[at], "start" if at == 0 and not centred else "middle"))
    return parts


# --- figures ----------------------------------------------------------------


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[Value]], unit: str = ""
) -> Figure:
    """`values[row][column]` as shades from light (least) to dark (most); a missing value is hatched.

    Up to 200 rows and 800 columns (a fortnight of hours). Raises ValueError beyond, or when shapes differ.
    """
    _check(("rows", len(rows), ROWS_MAX), ("columns", len(columns), COLUMNS_MAX))
    if len(values) != len(rows) or any(len(row) != len(columns) for row in values):
        raise ValueError(f"values must be {len(rows)} × {len(columns)}")
    left = min(240, 18 + 7.2 * max(_columns_wide(name) for name in rows))
    cell_width, cell_height = (WIDTH - left - _RIGHT) / len(columns), 22 if len(rows) <= 40 else 12
    present = [value for row in values for value in row if value is not None]
    low, high = (min(present), max(present)) if present else (0, 0)
    parts = [_hatching(title)]
    for at, (name, row) in enumerate(zip(rows, values, strict=True)):
        y = at * cell_height
        parts.append(_text(left - 8, y + cell_height * 0.5 + 4, name, "end", _INK))
        fills = [shade(value, low, high, _mark(title)) for value in row]
        parts += _runs(fills, left, y, cell_width, cell_height)
    base = len(rows) * cell_height
    every = max(1, ceil((max(map(_columns_wide, columns)) * 6.4 + 14) / cell_width))
    for at in range(0, len(columns), every):
        parts.append(_line(left + at * cell_width, base, left + at * cell_width, base + 4, _SOFT))
        parts.append(_text(left + at * cell_width, base + 18, columns[at], "start" if at == 0 else "middle"))
    parts += _scale_legend(left, base + 34, low, high, unit, _mark(title))
    said = f"{len(rows)} × {len(columns)}; {_figure(low)} – {_figure(high)} {unit}".strip()
    table = tuple((name, *row) for name, row in zip(rows, values, strict=True))
    return Figure(title, _svg(title, said, WIDTH, base + 60, parts), ("", *columns), table)


def _hatching(title: str) -> str:
    return (
        f'<defs><pattern id="{_mark(title)}-none" width="6" height="6" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="6" height="6" fill="{_PAPER}"/>'
        '<path d="M0 0v6" stroke="#9aa7ae" stroke-width="1.5"/></pattern></defs>'
    )


def shade(value: Value, low: Number, high: Number, mark: str) -> str:
    """Fill of a value on the scale from light to dark; the hatching of figure `mark` for no value."""
    if value is None:
        return f"url(#{mark}-none)"
    if high <= low:
        return SCALE[3]
    return SCALE[min(len(SCALE) - 1, int(len(SCALE) * (value - low) / (high - low)))]


def _runs(fills: Sequence[str], left: float, y: float, width: float, height: float) -> list[str]:
    """One rectangle for each run of equal shades: a week of hours stays small."""
    parts, start = [], 0
    for at in range(1, len(fills) + 1):
        if at == len(fills) or fills[at] != fills[start]:
            parts.append(
                f'<rect x="{left + start * width:.2f}" y="{_n(y)}" width="{(at - start) * width:.2f}" '
                f'height="{_n(height - 1)}" fill="{fills[start]}"/>'
            )
            start = at
    return parts


def _scale_legend(x: float, y: float, low: Number, high: Number, unit: str, mark: str) -> list[str]:
    parts = [_text(x, y + 11, _figure(low))]
    x += 12 + 7 * len(_figure(low))
    for step, colour in enumerate(SCALE):
        parts.append(
            f'<rect x="{_n(x + step * 24)}" y="{_n(y)}" width="24" height="14" fill="{colour}" stroke="{_GRID}"/>'
        )
    after = x + 24 * len(SCALE) + 8
    label = f"{_figure(high)} {unit}".strip()
    parts.append(_text(after, y + 11, label))
    after += 24 + 7 * _columns_wide(label)
    hatched = shade(None, low, high, mark)
    parts.append(f'<rect x="{_n(after)}" y="{_n(y)}" width="24" height="14" fill="{hatched}" stroke="{_GRID}"/>')
    parts.append(_text(after + 30, y + 11, NOTHING))
    return parts


def lines(
    title: str, columns: Sequence[str], series: Mapping[str, Sequence[Value]], unit: str = "", step: bool = False
) -> Figure:
    """Up to six curves over the same columns, each with its own dash and marker; `step` for values that hold an hour.

    The vertical axis begins at zero unless a value is negative. Raises ValueError when lengths differ.
    """
    _check(("columns", len(columns), COLUMNS_MAX), ("series", len(series), SERIES_MAX))
    _same_length(columns, series)
    present = [value for values in series.values() for value in values if value is not None]
    ticks = _ticks(min(0, *present), max(0, *present)) if present else [0.0, 1.0]
    height = 220.0
    slot = (WIDTH - _LEFT - _RIGHT) / (len(columns) if step else max(len(columns) - 1, 1))
    parts, keys = _axes(ticks, columns, height, unit, centred=step), []
    for at, values in enumerate(series.values()):
        points = _points(values, ticks, height, slot)
        dash = f'stroke="{_SERIES[at]}" fill="none" stroke-width="2" stroke-dasharray="{_DASHES[at]}"'
        solid = f'fill="{_SERIES[at]}" stroke="{_SERIES[at]}"'
        parts.append(f'<path d="{_path(points, slot if step else 0)}" {dash} stroke-linejoin="round"/>')
        every = max(1, len(columns) // 8)
        for point in points[at * every // SERIES_MAX :: every] if len(series) > 1 else []:
            if point:
                parts.append(_marker(at, point[0] + (slot / 2 if step else 0), point[1], solid))
        keys.append(f'<path d="M0 0h28" {dash}/>' + _marker(at, 14, 0, solid))
    total = _TOP + height + _BOTTOM
    if len(series) > 1:
        parts += _legend(list(series), total + 10, keys)
        total += 26
    said = "; ".join(f"{name}: {_span(values)} {unit}".strip() for name, values in series.items())
    table = tuple(zip(columns, *series.values(), strict=True))
    return Figure(title, _svg(title, said, WIDTH, total, parts), ("", *series), table)


def _same_length(columns: Sequence[str], series: Mapping[str, Sequence[Value]]) -> None:
    for name, values in series.items():
        if len(values) != len(columns):
            raise ValueError(f"{name} has {len(values)} values for {len(columns)} columns")


def _points(
    values: Sequence[Value], ticks: Sequence[float], height: float, slot: float
) -> list[tuple[float, float] | None]:
    low, high = ticks[0], ticks[-1]
    return [
        None if value is None else (_LEFT + at * slot, _TOP + height - height * (value - low) / (high - low))
        for at, value in enumerate(values)
    ]


def _path(points: Sequence[tuple[float, float] | None], hold: float) -> str:
    """A curve with gaps where points are missing; with `hold` each value stands for that width."""
    parts, pen_down = [], False
    for point in points:
        if point is None:
            pen_down = False
            continue
        x, y = point
        parts.append((f"V{y:.1f}" if hold else f"L{x:.1f} {y:.1f}") if pen_down else f"M{x:.1f} {y:.1f}")
        if hold:
            parts.append(f"H{x + hold:.1f}")
        pen_down = True
    return "".join(parts)


def _marker(at: int, x: float, y: float, style: str) -> str:
    return _MARKERS[at].format(at=f'transform="translate({x:.1f} {y:.1f})"', style=style)


def _span(values: Sequence[Value]) -> str:
    present = [value for value in values if value is not None]
    return f"{_figure(min(present))} – {_figure(max(present))}" if present else NOTHING


def bars(title: str, names: Sequence[str], values: Sequence[Value], unit: str = "") -> Figure:
    """Horizontal bars in the order given, each with its number. Values are not negative."""
    _check(("names", len(names), ROWS_MAX))
    _same_length(names, {title: values})
    if any(value is not None and value < 0 for value in values):
        raise ValueError("bars are drawn from zero to the right: a value is negative")
    left = _name_room(names)
    most = max((value for value in values if value is not None), default=0) or 1
    room = NARROW - left - 90
    parts = []
    for at, (name, value) in enumerate(zip(names, values, strict=True)):
        y = at * 30 + 4
        parts.append(_text(left - 8, y + 15, _short(name), "end", _INK))
        width = 0 if value is None else room * value / most
        parts.append(f'<rect x="{_n(left)}" y="{y}" width="{_n(width)}" height="21" rx="2" fill="{_SERIES[0]}"/>')
        parts.append(_text(left + width + 8, y + 15, _with_unit(value, unit), colour=_INK))
    table = tuple(zip(names, values, strict=True))
    said = "; ".join(f"{name} {_cell(value)}" for name, value in table[:12])
    heading = f"{title} ({unit})" if unit else title
    return Figure(title, _svg(title, said, NARROW, len(names) * 30 + 6, parts, wide=False), ("", heading), table)


def _short(name: str) -> str:
    """A name cut to what fits beside a bar; the table has it whole."""
    if _columns_wide(name) <= NAME_COLUMNS_MAX:
        return name
    while _columns_wide(name) > NAME_COLUMNS_MAX - 1:
        name = name[:-1]
    return name + "…"


def _name_room(names: Sequence[str]) -> float:
    return 16 + 6.6 * min(NAME_COLUMNS_MAX, max(map(_columns_wide, names)))


def before_after(
    title: str,
    names: Sequence[str],
    before: Sequence[Value],
    after: Sequence[Value],
    unit: str = "%",
    labels: tuple[str, str] = ("before", "after"),
) -> Figure:
    """Two bars for each name: hatched before, full after. Percentages are drawn on 0–100, others up to the largest."""
    _check(("names", len(names), ROWS_MAX))
    _same_length(names, {labels[0]: before, labels[1]: after})
    left = _name_room(names)
    present = [value for value in (*before, *after) if value is not None]
    most = 100 if unit == "%" else max(present, default=0) or 1
    room = NARROW - left - 60
    fills = (f"url(#{_mark(title)}-before)", _SERIES[0])
    parts = [_stripes(f"{_mark(title)}-before", _SERIES[5], 0)]
    for at, name in enumerate(names):
        y = at * 46 + 4
        parts.append(_text(left - 8, y + 22, _short(name), "end", _INK))
        for line, value in enumerate((before[at], after[at])):
            width = 0 if value is None else room * min(value, most) / most
            top = y + line * 18
            parts.append(
                f'<rect x="{_n(left)}" y="{top}" width="{_n(width)}" height="15" fill="{fills[line]}" '
                f'stroke="{_SERIES[5 if line == 0 else 0]}"/>'
            )
            parts.append(_text(left + width + 8, top + 12, _with_unit(value, unit), colour=_INK))
    base = len(names) * 46 + 16.0
    keys = [f'<rect y="-7" width="28" height="14" fill="{fill}" stroke="{_SERIES[5]}"/>' for fill in fills]
    parts += _legend(labels, base, keys)
    table = tuple(zip(names, before, after, strict=True))
    said = "; ".join(f"{name}: {_cell(was)} → {_cell(now)}" for name, was, now in table)
    return Figure(title, _svg(title, said, NARROW, base + 14, parts, wide=False), ("", *labels), table)


def _stripes(mark: str, colour: str, kind: int) -> str:
    """A pattern: stripes of different slope and width, so that parts differ without colour."""
    angle, gap = ((45, 5), (-45, 5), (0, 4), (90, 4), (45, 9), (-45, 9))[kind]
    return (
        f'<defs><pattern id="{mark}" width="{gap}" height="{gap}" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate({angle})"><rect width="{gap}" height="{gap}" fill="{_PAPER}"/>'
        f'<path d="M0 0v{gap}" stroke="{colour}" stroke-width="{_n(gap * 0.9)}"/></pattern></defs>'
    )


def stacked(
    title: str,
    columns: Sequence[str],
    parts: Mapping[str, Sequence[Number]],
    unit: str = "",
    capacity: Sequence[Value] | None = None,
    capacity_label: str = "capacity",
) -> Figure:
    """Parts one on another over the same columns (hours), with the capacity as a dashed line above them."""
    _check(("columns", len(columns), COLUMNS_MAX), ("parts", len(parts), SERIES_MAX))
    ceiling = {} if capacity is None else {capacity_label: capacity}
    _same_length(columns, {**parts, **ceiling})
    tops = [0.0] * len(columns)
    present = [value for value in capacity or () if value is not None]
    ticks = _ticks(0, max([sum(column) for column in zip(*parts.values(), strict=True)] + present))
    height, slot = 220.0, (WIDTH - _LEFT - _RIGHT) / len(columns)
    drawn, keys = _axes(ticks, columns, height, unit, centred=True), []
    for at, values in enumerate(parts.values()):
        mark = f"{_mark(title)}-{at}"
        fill = _SERIES[at] if at == 0 else f"url(#{mark})"
        drawn.append(_stripes(mark, _SERIES[at], at))
        lower, tops = tops, [top + value for top, value in zip(tops, values, strict=True)]
        edge = _outline(tops, ticks, height, slot) + _outline(lower, ticks, height, slot)[::-1]
        drawn.append(f'<polygon points="{" ".join(edge)}" fill="{fill}" stroke="{_SERIES[at]}" stroke-width=".6"/>')
        keys.append(f'<rect y="-7" width="28" height="14" fill="{fill}" stroke="{_SERIES[at]}"/>')
    if capacity is not None:
        style = f'fill="none" stroke="{_INK}" stroke-width="2" stroke-dasharray="7 3"'
        drawn.append(f'<path d="{_path(_points(capacity, ticks, height, slot), slot)}" {style}/>')
        keys.append(f'<path d="M0 0h28" {style}/>')
    total = _TOP + height + _BOTTOM
    drawn += _legend([*parts, *ceiling], total + 10, keys)
    said = "; ".join(f"{name}: {_span(values)} {unit}".strip() for name, values in {**parts, **ceiling}.items())
    table = tuple(zip(columns, *parts.values(), *ceiling.values(), strict=True))
    return Figure(title, _svg(title, said, WIDTH, total + 26, drawn), ("", *parts, *ceiling), table)


def _outline(values: Sequence[Number], ticks: Sequence[float], height: float, slot: float) -> list[str]:
    """Both upper corners of every column, from left to right."""
    corners = []
    for point in _points(values, ticks, height, slot):
        assert point is not None  # parts have no gaps
        corners += [f"{point[0]:.1f},{point[1]:.1f}", f"{point[0] + slot:.1f},{point[1]:.1f}"]
    return corners


def sparkline(title: str, values: Sequence[Value]) -> Figure:
    """A small curve without axes, the last value marked. For tables and tiles."""
    _check(("values", len(values), COLUMNS_MAX))
    present = [value for value in values if value is not None]
    low, high = (min(present), max(present)) if present else (0, 1)
    spread, slot = (high - low) or 1, 112 / max(len(values) - 1, 1)
    points = [
        None if value is None else (4 + at * slot, 26 - 22 * (value - low) / spread) for at, value in enumerate(values)
    ]
    parts = [f'<path d="{_path(points, 0)}" fill="none" stroke="{_SERIES[0]}" stroke-width="1.8"/>']
    last = next((point for point in reversed(points) if point), None)
    if last:
        parts.append(f'<circle cx="{last[0]:.1f}" cy="{last[1]:.1f}" r="2.8" fill="{_SERIES[0]}"/>')
    svg = _svg(title, _span(values), 120, 30, parts, wide=False).replace("<svg ", '<svg width="120" height="30" ', 1)
    return Figure(title, svg, ("", title), tuple((str(at + 1), value) for at, value in enumerate(values)))


@dataclass(frozen=True)
class Province:
    """A province of GB/T 2260 and its square (column, row) on the tile map."""

    short: str
    letters: str
    name: str
    column: int
    row: int


PROVINCES = {
    f"{row[0]}0000": Province(*row[1:])
    for row in (
        (11, "京", "BJ", "北京", 7, 2), (12, "津", "TJ", "天津", 8, 2), (13, "冀", "HE", "河北", 6, 2),
        (14, "晋", "SX", "山西", 5, 2), (15, "蒙", "NM", "内蒙古", 6, 1), (21, "辽", "LN", "辽宁", 8, 1),
        (22, "吉", "JL", "吉林", 9, 1), (23, "黑", "HL", "黑龙江", 9, 0), (31, "沪", "SH", "上海", 8, 3),
        (32, "苏", "JS", "江苏", 7, 3), (33, "浙", "ZJ", "浙江", 7, 4), (34, "皖", "AH", "安徽", 6, 4),
        (35, "闽", "FJ", "福建", 7, 5), (36, "赣", "JX", "江西", 6, 5), (37, "鲁", "SD", "山东", 6, 3),
        (41, "豫", "HA", "河南", 5, 3), (42, "鄂", "HB", "湖北", 5, 4), (43, "湘", "HN", "湖南", 5, 5),
        (44, "粤", "GD", "广东", 6, 6), (45, "桂", "GX", "广西", 5, 6), (46, "琼", "HI", "海南", 5, 7),
        (50, "渝", "CQ", "重庆", 4, 4), (51, "川", "SC", "四川", 3, 4), (52, "黔", "GZ", "贵州", 4, 5),
        (53, "滇", "YN", "云南", 3, 5), (54, "藏", "XZ", "西藏", 2, 4), (61, "陕", "SN", "陕西", 4, 3),
        (62, "甘", "GS", "甘肃", 3, 2), (63, "青", "QH", "青海", 2, 3), (64, "宁", "NX", "宁夏", 4, 2),
        (65, "新", "XJ", "新疆", 1, 2), (71, "台", "TW", "台湾", 8, 5), (81, "港", "HK", "香港", 7, 6),
        (82, "澳", "MO", "澳门", 6, 7),
    )
}  # fmt: skip


def tile_map(title: str, values: Mapping[str, Value], unit: str = "", letters: bool = False) -> Figure:
    """A square for each province, shaded by its value; `values` by division code (`330000`), absent or None is hatched.

    It is a diagram and no map: squares stand near their neighbours, nothing is measured from it. `letters` writes
    two-letter codes instead of Chinese names. Raises ValueError on an unknown code.
    """
    if unknown := [code for code in values if code not in PROVINCES]:
        raise ValueError(f"no such province: {', '.join(unknown)}")
    present = [value for value in values.values() if value is not None]
    low, high = (min(present), max(present)) if present else (0, 0)
    side, parts = 46, [_hatching(title)]
    for code, place in PROVINCES.items():
        value = values.get(code)
        fill = shade(value, low, high, _mark(title))
        x, y = (place.column - 1) * side, place.row * side
        ink = "#fff" if fill in SCALE[4:] else "#16242d" if fill in SCALE else _INK
        parts.append(
            f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" rx="4" fill="{fill}" '
            f'stroke="{_GRID}"><title>{place.name} {escape(_with_unit(value, unit))}</title></rect>'
        )
        offset = 20 if value is not None else 28
        if value is None:
            parts.append(f'<rect x="{x + 12}" y="{y + 13}" width="22" height="20" rx="3" fill="{_PAPER}"/>')
        parts.append(_text(x + side / 2, y + offset, place.letters if letters else place.short, "middle", ink, 14))
        if value is not None:
            parts.append(_text(x + side / 2, y + 37, _brief(value), "middle", ink, 11))
    parts += _scale_legend(4, 8 * side + 12, low, high, unit, _mark(title))
    rows = tuple(
        (place.letters if letters else place.name, values[code]) for code, place in PROVINCES.items() if code in values
    )
    svg = _svg(title, f"{_figure(low)} – {_figure(high)} {unit}".strip(), 9 * side, 8 * side + 34, parts, wide=False)
    return Figure(title, svg, ("", f"{title} ({unit})" if unit else title), rows)


def _brief(value: Number) -> str:
    """At most five characters: 950, 12.3k, 4M."""
    for size, letter in ((1_000_000, "M"), (10_000, "k")):
        if abs(value) >= size:
            return f"{value / (size if letter == 'M' else 1000):.3g}{letter}"
    return _figure(round(value, 1))
