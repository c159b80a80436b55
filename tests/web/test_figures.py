"""Figures: well-formed, accessible, complete in their tables, and honest about missing values."""

import subprocess
import sys
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.base import figures

SVG = "{http://www.w3.org/2000/svg}"
VALUE = st.none() | st.integers(0, 10**9) | st.floats(0, 1e9, allow_nan=False)
SIGNED = st.none() | st.floats(-1e6, 1e6, allow_nan=False)


def read(drawn: figures.Figure) -> ElementTree.Element:
    """The figure as XML: it has a role, a title and a description that label it."""
    root = ElementTree.fromstring(drawn.svg)
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == drawn.title
    ids = {root.find(f"{SVG}title").get("id"), root.find(f"{SVG}desc").get("id")}
    assert set(root.get("aria-labelledby").split()) == ids
    assert "nan" not in drawn.svg
    return root


@given(st.lists(st.lists(VALUE, min_size=5, max_size=5), min_size=1, max_size=6))
def test_heat_map_draws_whole_rows_and_tables_every_value(values: list[list[figures.Value]]) -> None:
    rows = [f"site {at}" for at in range(len(values))]
    drawn = figures.heat_map("<idle> & free", rows, list("abcde"), values)
    cells = [rect for rect in read(drawn).findall(f"{SVG}rect") if rect.get("height") == "21"]
    widths = {
        y: sum(float(cell.get("width")) for cell in cells if cell.get("y") == y) for y in {c.get("y") for c in cells}
    }
    assert len(widths) == len(values)
    assert max(widths.values()) - min(widths.values()) < 0.1
    assert drawn.rows == tuple((name, *row) for name, row in zip(rows, values, strict=True))


@given(st.lists(st.tuples(SIGNED, SIGNED), min_size=1, max_size=60), st.booleans())
def test_lines_leave_a_gap_where_a_value_is_missing(
    points: list[tuple[figures.Value, figures.Value]], step: bool
) -> None:
    first, second = [point[0] for point in points], [point[1] for point in points]
    drawn = figures.lines("price", [str(at) for at in range(len(points))], {"a": first, "b": second}, step=step)
    paths = [path.get("d") for path in read(drawn).findall(f"{SVG}path") if path.get("stroke-linejoin")]
    for path, values in zip(paths, (first, second), strict=True):
        runs = sum(value is not None and (at == 0 or values[at - 1] is None) for at, value in enumerate(values))
        assert path.count("M") == runs


def test_a_missing_bar_has_no_length_and_says_so() -> None:
    drawn = figures.bars("refused", ["price", "region"], [3, None])
    bars = read(drawn).findall(f"{SVG}rect")
    assert [float(bar.get("width")) > 0 for bar in bars] == [True, False]
    assert "—" in drawn.svg
    assert drawn.rows == (("price", 3), ("region", None))
    assert "—" in drawn.text()


def test_darker_always_means_more() -> None:
    shades = [figures.SCALE.index(figures.shade(value, 0, 100, "f")) for value in range(101)]
    assert shades == sorted(shades)
    light = [sum(int(colour[at : at + 2], 16) for at in (1, 3, 5)) for colour in figures.SCALE]
    assert light == sorted(light, reverse=True)


def test_every_province_has_its_own_square() -> None:
    assert len(figures.PROVINCES) == 34
    assert len({(place.column, place.row) for place in figures.PROVINCES.values()}) == 34
    read(figures.tile_map("idle", {"330000": 5, "150000": None}))
    with pytest.raises(ValueError, match="no such province: 990000"):
        figures.tile_map("idle", {"990000": 1})


def test_the_other_figures_draw_and_table() -> None:
    stacked = figures.stacked("use", ["0", "1"], {"large": [1, 2], "small": [3, 4]}, capacity=[9, None])
    assert read(stacked) is not None
    assert stacked.rows == (("0", 1, 3, 9), ("1", 2, 4, None))
    both = figures.before_after("utilisation", ["west"], [31], [None], labels=("then", "now"))
    read(both)
    assert both.headings == ("", "then", "now")
    read(figures.sparkline("trend", [1, None, 3]))


@pytest.mark.parametrize(
    "call",
    [
        lambda: figures.heat_map("t", ["a"], ["b"], [[1, 2]]),
        lambda: figures.lines("t", ["a"], {"s": [1, 2]}),
        lambda: figures.lines("t", ["a"], {str(at): [1] for at in range(figures.SERIES_MAX + 1)}),
        lambda: figures.bars("t", ["a"], [-1]),
        lambda: figures.heat_map("t", ["a"], ["c"] * (figures.COLUMNS_MAX + 1), [[1] * (figures.COLUMNS_MAX + 1)]),
    ],
)
def test_what_cannot_be_drawn_is_refused(call: object) -> None:
    with pytest.raises(ValueError, match=r"\d|negative"):
        call()  # type: ignore[operator]


def test_figures_need_no_django() -> None:
    code = "import sys, huoshui.base.figures; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": "src"}).returncode == 0
