"""The page kit: what its parts promise to whoever builds a page on them."""

import re
from pathlib import Path

import pytest
from django.template import engines
from django.template.exceptions import TemplateSyntaxError
from django.test import Client, RequestFactory

from huoshui.base.errors import Problem
from huoshui.base.templatetags import kit

CSS = (Path(kit.__file__).parent.parent / "static" / "base" / "kit.css").read_text()


def render(source: str, **context: object) -> str:
    return engines["django"].from_string(source).render(context)


@pytest.mark.parametrize(
    ("filtered", "text"),
    [
        (kit.yuan(123456), "1,234.56"),
        (kit.yuan(-5), "−0.05"),
        (kit.yuan(0), "0.00"),
        (kit.yuan(None), "—"),
        (kit.unit_price(254300), "2.5430"),
        (kit.unit_price(254301234), "2,543.0123"),
        (kit.unit_price(None), "—"),
        (kit.hours(1234500), "1,234.5"),
        (kit.hours(2000), "2"),
        (kit.hours(0), "0"),
        (kit.hours(None), "—"),
        (kit.bps(1550), "15.5%"),
        (kit.bps(-1), "−0.01%"),
        (kit.bps(None), "—"),
        (kit.number(1234567), "1,234,567"),
        (kit.number(None), "—"),
        (kit.local(None), "—"),
        (kit.digest(None), "—"),
    ],
)
def test_numbers_for_people(filtered: str, text: str) -> None:
    """Zero is a number; a missing value never is."""
    assert filtered == text


def test_a_table_carries_its_headings_to_the_cells() -> None:
    html = render(
        '{% table "T" stack=True %}<thead><tr><th>Name</th><th class="num">Cards</th></tr></thead>'
        '<tbody><tr><th scope="row">a</th><td>1</td></tr><tr><td colspan="2">none</td></tr></tbody>{% endtable %}'
    )
    assert '<td class="num" data-label="Cards">1</td>' in html
    assert html.count('scope="col"') == 2
    assert "<caption>T</caption>" in html


def test_what_people_typed_is_escaped_everywhere() -> None:
    bad = "<script>alert(1)</script>"
    html = render(
        '{% panel bad note=bad %}{% tile bad bad note=bad %}{% badge bad "good" %}{% say bad title=bad %}'
        "{% empty bad bad %}"
        '{% pairs bad bad %}{% breadcrumbs bad "" %}{% problems problems %}{% timeline events %}'
        "{% table bad %}<thead><tr><th>{{ bad }}</th></tr></thead>"
        "<tbody><tr><td>{{ bad }}</td></tr></tbody>{% endtable %}"
        "{% endpanel %}",
        bad=bad,
        problems=[Problem(bad, bad, bad, 2)],
        events=[{"at": None, "title": bad, "body": bad}],
    )
    assert "<script" not in html
    assert html.count("&lt;script") >= 14


def test_an_unknown_level_is_a_mistake_of_the_page() -> None:
    with pytest.raises(TemplateSyntaxError, match="good, watch, bad"):
        kit.badge("late", "red")


def test_pairs_need_an_even_number() -> None:
    with pytest.raises(TemplateSyntaxError, match="3 given"):
        render('{% pairs "a" 1 "b" %}')


def test_tabs_mark_the_most_precise_address() -> None:
    request = RequestFactory().get("/cases/", {"state": "open", "page": "2"})
    html = render('{% tabs "All" "?" "Open" "?state=open" "Shut" "?state=shut" %}', request=request)
    assert re.findall(r'href="([^"]+)" aria-current', html) == ["?state=open"]


def test_a_button_that_asks_first_posts_with_a_key() -> None:
    request = RequestFactory().get("/")
    html = render('{% post_button "Go" "/go/" question="Sure?" pk=3 %}', request=request)
    assert "Sure?" in html
    assert 'name="csrfmiddlewaretoken"' in html
    assert 'name="idempotency_key"' in html
    assert 'name="pk" value="3"' in html


def test_the_kit_page_shows_every_part(client: Client, db: None) -> None:
    html = client.get("/kit/", headers={"accept-language": "zh-hans"}).content.decode()
    for part in (
        "tile",
        "badge",
        "message",
        "table-scroll",
        "empty",
        "basis",
        "figure",
        "timeline",
        "pairs",
        "crumbs",
        "pages",
        "tabs",
        "confirm",
        "progress",
        "field invalid",
    ):
        assert f'class="{part}' in html, part
    assert "<script>" not in html


# --- colours: WCAG AA for text (4.5), in light and dark ------------------------


def _palette(source: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{3,6})", source))


LIGHT = _palette(CSS[: CSS.index("/* --- ground")])
DARK = LIGHT | _palette(CSS[CSS.index("/* --- dark") : CSS.index("/* --- print")])
PAIRS = [
    ("ink", "ground"),
    ("ink", "paper"),
    ("ink", "sunken"),
    ("ink-soft", "ground"),
    ("ink-soft", "paper"),
    ("ink-soft", "sunken"),
    ("ink-faint", "paper"),
    ("ink-faint", "ground"),
    ("brand", "paper"),
    ("brand", "ground"),
    ("brand-strong", "brand-soft"),
    ("on-brand", "brand"),
    ("on-brand", "brand-strong"),
    ("bad", "paper"),
    ("on-brand", "bad"),
    *((level, f"{level}-soft") for level in kit.LEVELS),
    *(("ink", f"{level}-soft") for level in kit.LEVELS),
]


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(letter * 2 for letter in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), PAIRS)
def test_text_can_be_read(theme: dict[str, str], text: str, ground: str) -> None:
    assert contrast(theme[text], theme[ground]) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_edges_and_curves_can_be_seen(theme: dict[str, str]) -> None:
    """WCAG 1.4.11: 3:1 for controls and graphics."""
    for name in ("line-strong", "focus", *(f"series-{at}" for at in range(1, 7))):
        assert contrast(theme[name], theme["paper"]) >= 3, name
