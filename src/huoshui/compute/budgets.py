"""What a request holds in the book: money of whoever pays and, when the compute account is used, card-hours too."""

from collections.abc import Sequence

from huoshui.base.act import Act
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.services import Hold
from huoshui.compute import accounts
from huoshui.compute.models import Request
from huoshui.registry.models import Party
from huoshui.registry.queries import centre


def payer_of(request: Request) -> Party:
    """Who pays the depositors: the entity, or the centre when the entity draws on its compute account."""
    return centre() if request.pay_with == Request.PayWith.ACCOUNT else request.entity


def subject_of(request: Request) -> str:
    """Name of the request in the book."""
    return f"compute.request:{request.pk}"


def hold_budget(act: Act, record: LogRecord, request: Request) -> None:
    """Hold the whole budget of the payer and, for the account, the standard card-hours of the entity."""
    services.hold(act, record, payer_of(request), subject_of(request), request.budget_fen)
    if request.pay_with == Request.PayWith.ACCOUNT:
        accounts.hold(act, record, request)


def release_budgets(act: Act, record: LogRecord, requests: Sequence[Request]) -> None:
    """Give the whole holds back."""
    services.release_hold_many(act, record, [Hold(payer_of(request), subject_of(request)) for request in requests])
    accounts.release_many(act, record, [row for row in requests if row.pay_with == Request.PayWith.ACCOUNT])
