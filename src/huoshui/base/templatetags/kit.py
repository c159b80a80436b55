"""Template tags and filters of the page kit. They are built in: templates need no `{% load %}`.

docs/page-kit.md lists each with one line of usage; the page /kit/ shows them all. A tag that holds content is a block
tag (`{% panel "Title" %}…{% endpanel %}`). Tags that take pairs read their arguments two by two:
`{% pairs "Name" party.name "USCC" party.uscc %}`. A missing value prints as “—”, never as zero.
"""

import re
import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from django import template
from django.conf import settings
from django.core.paginator import Page
from django.forms import (
    BoundField,
    CheckboxInput,
    CheckboxSelectMultiple,
    DateInput,
    DateTimeInput,
    RadioSelect,
    SelectMultiple,
)
from django.forms import Form as DjangoForm
from django.http import QueryDict
from django.template import Context
from django.template.loader import render_to_string
from django.urls import NoReverseMatch
from django.utils.formats import date_format
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Problem

register = template.Library()
NAVIGATION_OPEN_MAX = 16

NOTHING = "—"
LEVELS = ("good", "watch", "bad", "none", "info")
# Shapes differ in outline, not only in colour: disc, triangle, octagon, dashed ring, square.
_SOLID = 'fill="currentColor"'
_CUT = 'fill="none" stroke="var(--paper,#fff)" stroke-width="1.8"'
_LINE = 'fill="none" stroke="currentColor"'
_ICONS = {
    "good": f'<circle cx="8" cy="8" r="7" {_SOLID}/><path d="m5 8.5 2 2 4.2-4.6" {_CUT}/>',
    "watch": f'<path d="M8 1 15.5 14.5H.5z" {_SOLID}/><path d="M8 5.8v4.4M8 11.5V13" {_CUT}/>',
    "bad": f'<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" {_SOLID}/><path d="m5.3 5.3 5.4 5.4m0-5.4-5.4 5.4" {_CUT}/>',
    "none": f'<circle cx="8" cy="8" r="6" {_LINE} stroke-width="1.6" stroke-dasharray="2.6 2"/>',
    "info": f'<rect x="1" y="1" width="14" height="14" rx="2" {_SOLID}/><path d="M8 7v5M8 3.8v1.8" {_CUT}/>',
    "person": f'<circle cx="8" cy="5" r="3" {_SOLID}/><path d="M2 15c0-4 2.5-6 6-6s6 2 6 6z" {_SOLID}/>',
    "menu": f'<path d="M1 3h14M1 8h14M1 13h14" {_LINE} stroke-width="1.8"/>',
    "tray": f'<path d="M1.5 9.5v4h13v-4h-4a2.5 2.5 0 0 1-5 0zL4 2.5h8l2.5 7" {_LINE} stroke-width=".9"/>',
}


# --- filters ----------------------------------------------------------------


@register.filter
def yuan(fen: int | None) -> str:
    """Fen as yuan: 1234567 → 12,345.67; None → —."""
    if fen is None or fen == "":
        return NOTHING
    whole, rest = divmod(abs(int(fen)), 100)
    return f"{'−' if int(fen) < 0 else ''}{whole:,}.{rest:02d}"


@register.filter
def unit_price(milli_fen: int | None) -> str:
    """1/1000 fen per card-hour as yuan, to 1/100 fen: 254300 → 2.5430."""
    if milli_fen is None or milli_fen == "":
        return NOTHING
    tenths = (abs(int(milli_fen)) + 5) // 10
    return f"{'−' if int(milli_fen) < 0 else ''}{tenths // 10000:,}.{tenths % 10000:04d}"


@register.filter
def hours(milli: int | None) -> str:
    """Milli-card-hours as card-hours: 1234500 → 1,234.5; trailing zeros go."""
    if milli is None or milli == "":
        return NOTHING
    whole, rest = divmod(abs(int(milli)), 1000)
    tail = f".{rest:03d}".rstrip("0") if rest else ""
    return f"{'−' if int(milli) < 0 else ''}{whole:,}{tail}"


@register.filter
def card_time(seconds: int | None) -> str:
    """Card-seconds as hours, minutes and seconds of one card: 7265 → 2:01:05."""
    if seconds is None or seconds == "":
        return NOTHING
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:,}:{minutes % 60:02d}:{rest:02d}"


@register.filter
def bps(value: int | None) -> str:
    """Basis points as a percentage: 1550 → 15.5%."""
    if value is None or value == "":
        return NOTHING
    whole, rest = divmod(abs(int(value)), 100)
    tail = f".{rest:02d}".rstrip("0") if rest else ""
    return f"{'−' if int(value) < 0 else ''}{whole:,}{tail}%"


@register.filter
def number(value: int | float | None) -> str:
    """Thousands separators: 1234567 → 1,234,567."""
    return NOTHING if value is None or value == "" else f"{value:,}".replace("-", "−")


@register.filter
def local(value: datetime | date | None, style: str = "minute") -> str:
    """An instant or a date in Asia/Shanghai: 2026-01-02 15:04. Styles: `minute`, `second`, `date`, `hour`, `short`."""
    if value is None or value == "":
        return NOTHING
    if not isinstance(value, datetime):
        return value.isoformat()
    moment = clock.local(value)
    patterns = {"minute": "%Y-%m-%d %H:%M", "second": "%Y-%m-%d %H:%M:%S", "date": "%Y-%m-%d", "hour": "%m-%d %H:00"}
    return date_format(moment, "SHORT_DATE_FORMAT") if style == "short" else moment.strftime(patterns[style])


@register.filter
def digest(value: str | None, length: int = 12) -> str:
    """A digest short enough to read, whole in the title."""
    if not value:
        return NOTHING
    return format_html('<code title="{}">{}…</code>', value, value[: int(length)])


@register.filter
def value(anything: Any) -> Any:
    """None and the empty string become “—”; yes and no become words."""
    if anything is None or anything == "":
        return NOTHING
    if isinstance(anything, bool):
        return _("yes") if anything else _("no")
    return anything


@register.simple_tag
def name_of(names: dict[str, str], key: str) -> str:
    """`{% name_of names key %}`: the name of a key, or the key itself."""
    return names.get(key, key)


@register.filter
def message_level(tag: str) -> str:
    """Django's message tag as a level of the kit."""
    return {"success": "good", "warning": "watch", "error": "bad"}.get(tag, "info")


# --- small parts ------------------------------------------------------------


@register.simple_tag
def icon(name: str) -> SafeString:
    """`{% icon "good" %}`: one of the kit's shapes, hidden from screen readers."""
    return mark_safe(f'<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">{_ICONS[name]}</svg>')  # noqa: S308


@register.simple_tag
def mark() -> SafeString:
    """The platform's mark: two currents."""
    return mark_safe(  # noqa: S308
        '<svg viewBox="0 0 32 32" aria-hidden="true"><g fill="none" stroke="currentColor" stroke-width="2.8" '
        'stroke-linecap="round"><path d="M4 12c4-4.5 8-4.5 12 0s8 4.5 12 0"/>'
        '<path d="M4 21c4-4.5 8-4.5 12 0s8 4.5 12 0" opacity=".65"/></g></svg>'
    )


@register.simple_tag
def badge(text: Any, level: str = "none") -> SafeString:
    """`{% badge "overdue" level="bad" %}`: a word with the shape and colour of its level."""
    return format_html('<span class="badge {}">{}{}</span>', _known(level), icon(level), text)


@register.simple_tag
def say(text: Any, level: str = "info", title: Any = "") -> SafeString:
    """`{% say "Saved." level="good" %}`: a message on the page."""
    heading = format_html("<strong>{}</strong>", title) if title else ""
    return format_html('<div class="message {}">{}<div>{}{}</div></div>', _known(level), icon(level), heading, text)


@register.simple_tag
def tile(
    label: Any, value: Any, unit: Any = "", note: Any = "", level: str = "", word: Any = "", href: str = ""
) -> SafeString:
    """`{% tile "Idle" 1200|number unit="card-hours" note="next 7 days" level="good" word="enough" %}`: one figure."""
    shown = NOTHING if value is None or value == "" else value
    small = format_html("<small>{}</small>", unit) if unit and str(shown) != NOTHING else ""
    parts = [
        format_html('<span class="tile-label">{}</span>', label),
        format_html('<span class="tile-value">{}{}</span>', shown, small),
    ]
    if level:
        parts.append(format_html("<span>{}</span>", badge(word or level, level)))
    if note:
        parts.append(format_html('<span class="tile-note">{}</span>', note))
    body = format_html_join("", "{}", ((part,) for part in parts))
    if href:
        return format_html('<a class="tile" href="{}">{}</a>', href, body)
    return format_html('<div class="tile">{}</div>', body)


@register.simple_tag
def empty(title: Any, text: Any = "", action: Any = "", href: str = "") -> SafeString:
    """`{% empty "No deposits yet" "Put in idle card-hours…" action="Deposit" href=url %}`: nothing here, what to do."""
    return format_html(
        '<div class="empty">{}<strong>{}</strong>{}{}</div>',
        mark_safe(f'<svg viewBox="0 0 16 16" aria-hidden="true">{_ICONS["tray"]}</svg>'),  # noqa: S308
        title,
        format_html("<p>{}</p>", text) if text else "",
        format_html('<a class="button primary" href="{}">{}</a>', href, action) if href else "",
    )


@register.simple_tag
def pairs(*arguments: Any) -> SafeString:
    """`{% pairs "Name" party.name "USCC" party.uscc %}`: a list of names and values."""
    rows = ((key, value(shown)) for key, shown in _two_by_two(arguments))
    return format_html('<dl class="pairs">{}</dl>', format_html_join("", "<dt>{}</dt><dd>{}</dd>", rows))


@register.simple_tag
def timeline(events: Iterable[Any]) -> SafeString:
    """`{% timeline events %}`: objects or dicts with `at`, `title` and, when they have them, `body`, `url`, `level`."""
    return mark_safe(render_to_string("base/_timeline.html", {"events": [_event(event) for event in events]}))  # noqa: S308


def _event(event: Any) -> dict[str, Any]:
    get = event.get if isinstance(event, dict) else lambda name: getattr(event, name, None)
    return {name: get(name) for name in ("at", "title", "body", "url", "level")}


@register.simple_tag
def problems(found: Iterable[Problem], caption: Any = "") -> SafeString:
    """`{% problems error.problems %}`: row, field, value and rule of everything wrong with an input."""
    rows = list(found)
    context = {"problems": rows, "caption": caption, "with_rows": any(row.row is not None for row in rows)}
    return mark_safe(render_to_string("base/_problems.html", context)) if rows else SafeString("")  # noqa: S308


# --- parts that hold content ------------------------------------------------


@register.simple_block_tag
def panel(content: str, title: Any = "", note: Any = "", href: str = "", link: Any = "", id: str = "") -> SafeString:  # noqa: A002
    """`{% panel "Title" note="…" href=url link="All" %}…{% endpanel %}`: a section of the page."""
    head = format_html("<h2>{}</h2>", title) if title else SafeString("")
    if href:
        head += format_html('<a href="{}">{}</a>', href, link or _("Show all"))
    if note:
        head += format_html('<p class="note">{}</p>', note)
    head = format_html('<div class="panel-head">{}</div>', head) if head else SafeString("")
    named = format_html(' id="{}"', id) if id else ""
    return format_html('<section class="panel"{}>{}<div class="panel-body">{}</div></section>', named, head, content)


@register.simple_block_tag
def card(content: str, title: Any = "", href: str = "") -> SafeString:
    """`{% card "Title" href=url %}…{% endcard %}`: a box in a `<div class="grid">`; a link when it has an address."""
    head = format_html("<h3>{}</h3>", title) if title else ""
    if href:
        return format_html('<a class="card" href="{}">{}{}</a>', href, head, content)
    return format_html('<div class="card">{}{}</div>', head, content)


@register.simple_block_tag
def basis(content: str, title: Any = "") -> SafeString:
    """`{% basis %}…{% endbasis %}`: 查看依据, what a figure or a decision rests on; closed until asked for."""
    return format_html(
        '<details class="basis"><summary>{}</summary><div class="basis-body">{}</div></details>',
        title or _("Show the basis"),
        content,
    )


@register.simple_block_tag
def table(content: str, caption: Any = "", stack: bool = False) -> SafeString:
    """`{% table "Caption" stack=True %}<thead>…</thead><tbody>…</tbody>{% endtable %}`.

    `class="num"` on a column's heading aligns the whole column; it need not be repeated. The table scrolls inside its
    frame on a narrow screen; with `stack` each row becomes a card there, its cells named by the headings.
    """
    shown = format_html("<caption>{}</caption>", caption) if caption else ""
    return format_html(
        '<div class="table-scroll" tabindex="0" role="region" aria-label="{}"><table{}>{}{}</table></div>',
        caption or _("Table"),
        mark_safe(' class="stack"') if stack else "",  # noqa: S308
        shown,
        mark_safe(_label_cells(content, stack)),  # noqa: S308
    )


_CELL = re.compile(r"<(tr|t[dh])\b([^>]*)>(?=(.*?)(?=</?t[dhr]\b|</t))", re.S)


def _label_cells(html: str, stack: bool) -> str:
    """Carry the headings of the first `<thead>` row over to the cells: `num` always, `data-label` for stacking."""
    headings: list[tuple[str, bool]] = []
    column = rows = 0

    def visit(match: re.Match[str]) -> str:
        nonlocal column, rows
        tag, attributes, text = match.groups()
        if tag == "tr":
            column, rows = 0, rows + 1
            return match[0]
        span = re.search(r'colspan="?(\d+)', attributes)
        at, column = column, column + (int(span[1]) if span else 1)
        if rows == 1 and tag == "th" and "<thead" in html[: match.start()]:
            headings.extend([(re.sub(r"<[^>]+>", "", text).strip(), '"num' in attributes)] * (column - at))
            return match[0] if "scope=" in attributes else f'<{tag} scope="col"{attributes}>'
        if at >= len(headings):
            return match[0]
        label, numeric = headings[at]
        if numeric and "class=" not in attributes and not span:
            attributes += ' class="num"'
        elif numeric and not span and '"num' not in attributes:
            attributes = attributes.replace('class="', 'class="num ', 1)
        if stack and label:
            attributes += f' data-label="{label}"'
        return f"<{tag}{attributes}>"

    return _CELL.sub(visit, html)


@register.simple_tag
def figure(drawn: Any, caption: bool = True) -> SafeString:
    """`{% figure drawn %}`: a `base.figures.Figure` with its table beneath."""
    return mark_safe(render_to_string("base/_figure.html", {"figure": drawn, "caption": caption}))  # noqa: S308


# --- forms ------------------------------------------------------------------


@register.simple_tag
def idempotency_key() -> SafeString:
    """`{% idempotency_key %}` inside a form: sending the same page twice changes things once."""
    return format_html('<input type="hidden" name="idempotency_key" value="form/{}">', uuid.uuid4().hex)


@register.simple_tag
def field(bound: BoundField) -> SafeString:
    """`{% field form.name %}`: label, control, help and errors, tied together for screen readers."""
    if bound.is_hidden:
        return SafeString(bound)
    widget = bound.field.widget
    if isinstance(widget, DateInput | DateTimeInput):
        # The browser's own picker; it takes and gives ISO dates, whatever the language.
        day = isinstance(widget, DateInput)
        widget.input_type, widget.format = ("date", "%Y-%m-%d") if day else ("datetime-local", "%Y-%m-%dT%H:%M")
    kind = "field"
    if isinstance(widget, CheckboxInput):
        kind = "check"
    elif isinstance(widget, CheckboxSelectMultiple | RadioSelect):
        kind = "choices"
    name = bound.auto_id
    described = " ".join(
        part for part in (f"{name}_error" if bound.errors else "", f"{name}_help" if bound.help_text else "") if part
    )
    attributes: dict[str, Any] = {"aria-describedby": described} if described else {}
    if bound.errors:
        attributes["aria-invalid"] = "true"
    context = {
        "bound": bound,
        "kind": kind,
        "control": bound.as_widget(attrs=attributes),
        "id": name,
        "optional": not bound.field.required and kind != "check" and not isinstance(widget, SelectMultiple),
    }
    return mark_safe(render_to_string("base/_field.html", context))  # noqa: S308


@register.simple_tag(takes_context=True)
def form(
    context: Context,
    form: DjangoForm,
    submit: Any = "",
    action: str = "",
    cancel: str = "",
    columns: bool = False,
    danger: bool = False,
) -> SafeString:
    """`{% form form submit="Save" cancel=url %}`: a whole POST form: fields, problems, csrf, key, buttons."""
    return mark_safe(  # noqa: S308
        render_to_string(
            "base/_form.html",
            {
                "form": form,
                "submit": submit or _("Save"),
                "action": action,
                "cancel": cancel,
                "columns": columns,
                "danger": danger,
            },
            request=context.get("request"),
        )
    )


@register.simple_tag
def form_fields(form: DjangoForm) -> SafeString:
    """`{% form_fields form %}` inside a form of one's own: what is wrong with it, then every field."""
    return mark_safe(render_to_string("base/_form_fields.html", {"form": form}))  # noqa: S308


@register.simple_tag(takes_context=True)
def filters(context: Context, form: DjangoForm, submit: Any = "") -> SafeString:
    """`{% filters form %}`: a GET form that narrows a list."""
    return mark_safe(render_to_string("base/_filters.html", {"form": form, "submit": submit or _("Filter")}))  # noqa: S308


@register.simple_tag(takes_context=True)
def post_button(
    context: Context,
    label: Any,
    url: str,
    question: Any = "",
    danger: bool = False,
    primary: bool = False,
    small: bool = False,
    **hidden: Any,
) -> SafeString:
    """`{% post_button "Publish" url question="Publish round 7?" primary=True state="x" %}`.

    A button that changes something: POST with csrf and idempotency key. With a question it asks first, without
    JavaScript. Other named arguments become hidden fields.
    """
    classes = " ".join(word for word, wanted in (("primary", primary), ("danger", danger), ("small", small)) if wanted)
    return mark_safe(  # noqa: S308
        render_to_string(
            "base/_post_button.html",
            {"label": label, "url": url, "question": question, "classes": classes, "danger": danger, "hidden": hidden},
            request=context.get("request"),
        )
    )


# --- finding one's way ------------------------------------------------------


@register.inclusion_tag("base/_navigation.html", takes_context=True)
def navigation_list(context: Context) -> dict[str, Any]:
    """The navigation that the person may use, the current page marked (longest address that fits).

    An entry whose desk is not mounted is left out. Beyond NAVIGATION_OPEN_MAX entries only the first group and the
    present one are unfolded.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for group, entries in context["navigation"].items():
        for entry in entries:
            try:
                shown = {"title": entry.title, "url": entry.url, "current": False}
            except NoReverseMatch:
                continue
            groups.setdefault(group, []).append(shown)
    path = context["request"].path if "request" in context else ""
    fitting = [entry for entries in groups.values() for entry in entries if _within(path, entry["url"])]
    if fitting:
        max(fitting, key=lambda entry: len(entry["url"]))["current"] = True
    few = sum(map(len, groups.values())) <= NAVIGATION_OPEN_MAX
    unfolded = {
        group
        for place, (group, entries) in enumerate(groups.items())
        if few or place == 0 or any(entry["current"] for entry in entries)
    }
    return {"groups": groups, "unfolded": unfolded}


@register.inclusion_tag("base/_services.html", takes_context=True)
def service_cards(context: Context) -> dict[str, Any]:
    """`{% service_cards %}`: the navigation as a card for each group."""
    return navigation_list(context)


def _within(path: str, url: str) -> bool:
    return path == url or (url != "/" and path.startswith(url))


@register.inclusion_tag("base/_language.html", takes_context=True)
def language_switch(context: Context) -> dict[str, Any]:
    """Buttons for the other languages; comes back to this page."""
    request = context.get("request")
    return {
        "next": request.get_full_path() if request else "/",
        "csrf_token": context.get("csrf_token"),
        "languages": settings.LANGUAGES,
    }


@register.simple_tag
def breadcrumbs(*arguments: Any) -> SafeString:
    """`{% breadcrumbs "Parties" url party.name "" %}`: the way here; the last has no address."""
    items = [
        format_html('<li><a href="{}">{}</a></li>', url, title)
        if url
        else format_html('<li aria-current="page">{}</li>', title)
        for title, url in _two_by_two(arguments)
    ]
    listed = format_html_join("", "{}", ((item,) for item in items))
    return format_html('<nav class="crumbs" aria-label="{}"><ol>{}</ol></nav>', _("Breadcrumbs"), listed)


@register.simple_tag(takes_context=True)
def tabs(context: Context, *arguments: Any) -> SafeString:
    """`{% tabs "Facts" url1 "Accounts" url2 %}` or `{% tabs pairs %}`: views of one thing; the present one marked."""
    chosen = arguments[0] if len(arguments) == 1 else list(_two_by_two(arguments))
    request = context["request"]
    fitting = [
        (len(parse_qsl(urlsplit(url).query)), url) for _title, url in chosen if _is_here(url, request.path, request.GET)
    ]
    here = max(fitting)[1] if fitting else None
    items = format_html_join(
        "",
        '<a href="{}"{}>{}</a>',
        ((url, mark_safe(' aria-current="page"') if url == here else "", title) for title, url in chosen),  # noqa: S308
    )
    return format_html('<nav class="tabs" aria-label="{}">{}</nav>', _("Views"), items)


def _is_here(url: str, path: str, query: QueryDict) -> bool:
    parts = urlsplit(url)
    return (not parts.path or parts.path == path) and all(query.get(key) == val for key, val in parse_qsl(parts.query))


@register.inclusion_tag("base/_pagination.html", takes_context=True)
def pagination(context: Context, page: Page[Any], name: str = "page") -> dict[str, Any]:
    """`{% pagination page %}` for a Paginator's page; keeps the rest of the query."""
    query = context["request"].GET.copy()
    query.pop(name, None)
    prefix = f"{query.urlencode()}&" if query else ""
    numbers = page.paginator.get_elided_page_range(page.number, on_each_side=1, on_ends=1)
    return {"page": page, "numbers": list(numbers), "prefix": f"?{prefix}{name}=", "gap": page.paginator.ELLIPSIS}


@register.inclusion_tag("base/_progress.html")
def progress(task: Any, refresh: bool = True, title: Any = "") -> dict[str, Any]:
    """`{% progress task_progress %}`: how far a TaskProgress is; polled each second; the page reloads at its end."""
    return progress_context(task, refresh, title)


def progress_context(task: Any, refresh: bool, title: Any = "") -> dict[str, Any]:
    """What `base/_progress.html` shows."""
    percent = 100 * task.done // task.total if task.total else None
    return {"task": task, "refresh": refresh, "percent": percent, "title": title}


def _two_by_two(arguments: Sequence[Any]) -> Iterable[tuple[Any, Any]]:
    if len(arguments) % 2:
        raise template.TemplateSyntaxError(f"arguments come in pairs, {len(arguments)} given")
    return zip(arguments[::2], arguments[1::2], strict=True)


def _known(level: str) -> str:
    if level not in LEVELS:
        raise template.TemplateSyntaxError(f"level {conditional_escape(level)} is none of {', '.join(LEVELS)}")
    return level
