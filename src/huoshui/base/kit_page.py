"""Sample content of the kit page: invented, seeded by arithmetic, the same each time."""

from datetime import UTC, datetime, timedelta
from math import sin
from types import SimpleNamespace
from typing import Any

from django import forms
from django.core.paginator import Paginator
from django.http import HttpRequest
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import figures
from huoshui.base.errors import Problem, invalid
from huoshui.base.views import show_refusal

WEEK = [f"{hour % 24:02d}:00" for hour in range(168)]
DAY = WEEK[:24]


class SampleForm(forms.Form):
    """One control of each kind."""

    name = forms.CharField(label=_l("Name"), help_text=_l("As on the business licence."))
    cards = forms.IntegerField(label=_l("Cards"), min_value=1)
    mode = forms.ChoiceField(label=_l("Mode"), choices=[("rigid", _l("one unbroken run")), ("pieces", _l("in pieces"))])
    earliest = forms.DateField(label=_l("Earliest start"), required=False)
    file = forms.FileField(label=_l("File"), required=False)
    remark = forms.CharField(label=_l("Remark"), required=False, widget=forms.Textarea({"rows": 3}))
    models = forms.MultipleChoiceField(
        label=_l("Acceptable models"),
        choices=[("a", "A-80"), ("b", "B-64"), ("c", "C-32")],
        widget=forms.CheckboxSelectMultiple,
        required=False,
    )
    agreed = forms.BooleanField(label=_l("I may act for this entity"), required=False)


def context(request: HttpRequest) -> dict[str, Any]:
    """Everything `base/kit.html` shows."""
    return {
        "form": SampleForm(initial={"name": _("Sample firm"), "cards": 8}),
        "wrong_form": _wrong_form(),
        "problems": (
            Problem("uscc", "9133010000000000X0", _("the check character does not fit"), 3),
            Problem("budget", "1200.555", _("at most two decimals"), 7),
            Problem("deadline", "", _("is missing"), 12),
        ),
        "events": [
            {"at": datetime(2026, 1, 5, 1, tzinfo=UTC), "title": _("Submitted"), "level": "good"},
            {
                "at": datetime(2026, 1, 6, 2, tzinfo=UTC),
                "title": _("Supervised"),
                "body": _("Answer by Friday."),
                "level": "watch",
            },
            {"at": datetime(2026, 1, 9, 3, tzinfo=UTC), "title": _("Overdue"), "level": "bad"},
        ],
        "rows": [
            {
                "number": f"R-{1001 + at}",
                "cards": 8 << (at % 3),
                "at": datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=7 * at),
                "fen": None if at == 2 else 1234567 + 76543 * at,
                "level": ("good", "watch", "none", "bad")[at],
                "word": (_("served"), _("waiting"), _("no data"), _("refused"))[at],
            }
            for at in range(4)
        ],
        "page": Paginator(range(1230), 50).get_page(request.GET.get("page")),
        "running": _task(phase=_("Improving the plan"), done=430, total=1000, figures={_("served"): 812}),
        "waiting": _task(),
        "ended": _task(finished_at=datetime(2026, 1, 5, tzinfo=UTC)),
        "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "figures": _figures(),
    }


def _wrong_form() -> SampleForm:
    form = SampleForm({"name": "", "cards": "0", "mode": "rigid"})
    form.is_valid()
    show_refusal(form, invalid("remark", "=1+1", _("begins with a formula sign")))
    return form


def _task(**changes: Any) -> SimpleNamespace:
    start: dict[str, Any] = {"task": "00000000-0000-0000-0000-000000000000", "phase": "", "done": 0, "total": 0,
                             "figures": {}, "stop_requested": False, "error": "", "finished_at": None}  # fmt: skip
    return SimpleNamespace(**start | changes)


def _figures() -> list[figures.Figure]:
    sites = [_("West"), _("North"), _("River"), _("Coast")]
    idle = [[round(50 + 40 * sin(at / 24 * 6.283 + row) + row * 5) for at in range(168)] for row in range(4)]
    with_gap: list[list[figures.Value]] = [list(row) for row in idle]
    with_gap[2][60:72] = [None] * 12
    price = [round(2.4 + 1.1 * sin((at - 9) / 24 * 6.283), 2) for at in range(24)]
    english = (get_language() or "").startswith("en")
    return [
        figures.heat_map(_("Idle cards by site and hour"), sites, WEEK, with_gap, _("cards")),
        figures.lines(
            _("Price by hour"), DAY,
            {_("West"): price, _("Coast"): [round(value * 1.3 + 0.4, 2) for value in price]},
            _("yuan per card-hour"), step=True,
        ),
        figures.stacked(
            _("Use of the pool"), DAY, {_("large"): idle[0][:24], _("small"): [value // 3 for value in idle[1][:24]]},
            _("cards"), capacity=[140] * 24, capacity_label=_("capacity"),
        ),
        figures.before_after(
            _("Utilisation"), sites, [31, 45, 22, None], [68, 83, 57, 74], labels=(_("before"), _("after"))
        ),
        figures.bars(
            _("Refused by reason"), [_("price"), _("no capacity in the window"), _("region")], [120, 64, None]
        ),
        figures.tile_map(
            _("Idle cards by province"), {"330000": 820, "150000": 2400, "520000": 1900, "440000": 300, "620000": 1500,
                                          "110000": 120, "310000": 90, "510000": 700}, _("cards"), letters=english,
        ),
    ]  # fmt: skip
