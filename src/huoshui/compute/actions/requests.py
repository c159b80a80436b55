"""Asking for cards 取用申请: submitting holds the whole budget; what is not needed comes back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Invalid, Problem, Refused
from huoshui.compute.actions.deposits import hour_text
from huoshui.compute.budgets import hold_budget, release_budgets
from huoshui.compute.models import HOURS_PER_ROUND_MAX, CardModel, Region, Request, RequestModel
from huoshui.compute.permissions import REQUEST, SETTLE
from huoshui.registry.models import Party

CARDS_MAX = 10_000
AHEAD_HOURS_MAX = 24 * 90
BUDGET_FEN_MAX = 10**12
PASSED_PER_RUN_MAX = 5_000
TITLE_LENGTH_MAX = 120
PRIORITY_DISPLACED, PRIORITY_NORMAL = 0, 1


@action("compute.request.submit")
def submit_request(
    act: Act, *, entity: Party, title: str, cards: int, hours: Mapping[CardModel, int], earliest_hour: int,
    deadline_hour: int, budget_fen: int, origin: Region, regions: Sequence[Region], mode: str = Request.Mode.RIGID,
    min_piece_hours: int = 0, pay_with: str = Request.PayWith.MONEY, carry_over: bool = False,
    estimate: dict[str, Any] | None = None,
) -> Request:  # fmt: skip
    """Ask for `cards` cards together, for `hours[model]` hours on any one of the models, within the window.

    The budget (fen, VAT and transfer included, before subsidy) is the most that is ever paid. With money it is held on
    the entity's limit; with the compute account the standard card-hours it stands for are held instead, and the centre
    pays. Raises Invalid for every field that breaks a rule, Refused when the limit or the account does not cover it.
    """
    act.require(REQUEST, entity)
    check_request(
        act.at, title=title, cards=cards, hours=hours, earliest_hour=earliest_hour, deadline_hour=deadline_hour,
        budget_fen=budget_fen, regions=regions, mode=mode, min_piece_hours=min_piece_hours, pay_with=pay_with,
    )  # fmt: skip
    request = Request.objects.create(
        entity=entity, title=title.strip(), cards=cards, earliest_hour=earliest_hour, deadline_hour=deadline_hour,
        mode=mode, min_piece_hours=min_piece_hours if mode == Request.Mode.PREEMPTIBLE else 0, budget_fen=budget_fen,
        pay_with=pay_with, origin=origin, carry_over=carry_over, estimate=estimate,
        priority=_priority(entity), submitted_at=act.at,
    )  # fmt: skip
    RequestModel.objects.bulk_create(RequestModel(request=request, card_model=m, hours=h) for m, h in hours.items())
    request.regions.set(regions)
    record = act.record(
        request,
        {
            "entity": entity, "cards": cards, "hours": {model.code: h for model, h in hours.items()},
            "window": [earliest_hour, deadline_hour], "budget_fen": budget_fen, "mode": mode,
            "min_piece_hours": request.min_piece_hours, "pay_with": pay_with, "origin": origin.code,
            "regions": sorted(region.code for region in regions),
        },
    )  # fmt: skip
    hold_budget(act, record, request)
    return request


@action("compute.request.close_passed")
def close_passed(act: Act) -> int:
    """Refuse open requests whose window has passed without a round, and give their holds back; returns how many."""
    act.require(SETTLE)
    now = clock.hour_of(act.at)
    passed = list(
        Request.objects.select_for_update()
        .filter(state=Request.State.OPEN, deadline_hour__lte=now)
        .order_by("id")[:PASSED_PER_RUN_MAX]
    )
    if not passed:
        act.nothing_changed()
        return 0
    record = act.record("compute.request", {"window_passed": [request.pk for request in passed]})
    for request in passed:
        request.state, request.refusal = Request.State.REFUSED, {"code": "window_passed", "params": [], "round": 0}
    Request.objects.bulk_update(passed, ["state", "refusal"], batch_size=500)
    release_budgets(act, record, passed)
    return len(passed)


@action("compute.request.withdraw")
def withdraw_request(act: Act, *, request: Request) -> Request:
    """Withdraw a request that no round has taken yet: the whole hold comes back."""
    request = Request.objects.select_for_update().get(pk=request.pk)
    act.require(REQUEST, request)
    if request.state == Request.State.WITHDRAWN:
        act.nothing_changed()
        return request
    if request.state != Request.State.OPEN:
        raise Refused(
            _("Request %(number)s is %(state)s: it can no longer be withdrawn.")
            % {"number": request.number, "state": request.get_state_display()},
            code="request_not_open",
        )
    request.state = Request.State.WITHDRAWN
    request.save(update_fields=["state"])
    record = act.record(request, {"withdrawn": True})
    release_budgets(act, record, [request])
    return request


def _priority(entity: Party) -> int:
    """Who was displaced and not served since goes first once."""
    displaced = Request.objects.filter(entity=entity, state=Request.State.DISPLACED).count()
    used = Request.objects.filter(entity=entity, priority=PRIORITY_DISPLACED).exclude(
        state__in=[Request.State.WITHDRAWN, Request.State.REFUSED]
    )
    return PRIORITY_DISPLACED if displaced > used.count() else PRIORITY_NORMAL


def check_request(
    at: datetime, *, title: str, cards: int, hours: Mapping[CardModel, int], earliest_hour: int, deadline_hour: int,
    budget_fen: int, regions: Sequence[Region], mode: str, min_piece_hours: int, pay_with: str,
) -> None:  # fmt: skip
    """What a request must be when it is submitted at an instant. Raises Invalid with every fault."""
    problems: list[Problem] = []

    def need(holds: bool, field: str, value: object, rule: str) -> None:
        if not holds:
            problems.append(Problem(field, str(value), rule))

    now, window = clock.hour_of(at), deadline_hour - earliest_hour
    need(bool(title.strip()), "title", title, _("say what it is for"))
    rule = _("at most %(max)s characters") % {"max": TITLE_LENGTH_MAX}
    need(len(title.strip()) <= TITLE_LENGTH_MAX, "title", title, rule)
    need(0 < cards <= CARDS_MAX, "cards", cards, _("between 1 and %(max)s") % {"max": CARDS_MAX})
    need(bool(hours), "models", "", _("name at least one card model"))
    need(bool(regions), "regions", "", _("name at least one region"))
    need(window > 0, "deadline", hour_text(deadline_hour), _("must be after the earliest start"))
    need(earliest_hour >= now, "earliest", hour_text(earliest_hour), _("lies in the past"))
    need(deadline_hour <= now + AHEAD_HOURS_MAX, "deadline", hour_text(deadline_hour), _("is more than 90 days ahead"))
    rule = _("above zero and at most %(max)s yuan") % {"max": BUDGET_FEN_MAX // 100}
    need(0 < budget_fen <= BUDGET_FEN_MAX, "budget", budget_fen, rule)
    need(mode in Request.Mode.values, "mode", mode, _("one of: %(all)s") % {"all": ", ".join(Request.Mode.values)})
    payable = Request.PayWith.values
    need(pay_with in payable, "pay_with", pay_with, _("one of: %(all)s") % {"all": ", ".join(payable)})
    for model, needed in hours.items():
        need(needed > 0, "hours", f"{model}: {needed}", _("must be above zero"))
        rule = _("does not fit into the window of %(hours)s hours") % {"hours": max(window, 0)}
        need(needed <= window, "hours", f"{model}: {needed}", rule)
    if mode == Request.Mode.PREEMPTIBLE:
        rule = _("between 1 and %(max)s") % {"max": HOURS_PER_ROUND_MAX}
        need(1 <= min_piece_hours <= HOURS_PER_ROUND_MAX, "min_piece_hours", min_piece_hours, rule)
    if problems:
        raise Invalid(*problems)
