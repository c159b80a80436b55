"""Steps of the book as a test takes them: each call is one action of the platform."""

import itertools
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from huoshui.base import access, clock
from huoshui.base.act import Act, action
from huoshui.base.models import LogRecord
from huoshui.book import services
from huoshui.book.models import Statement
from huoshui.book.services import LineDraft
from huoshui.registry.models import Party, PartyRole
from huoshui.registry.uscc import invented

SYSTEM = access.system("test")
numbers = itertools.count(1)


def party(name: str = "", kind: str = "entity") -> Party:
    """A party with a USCC and a role."""
    number = next(numbers)
    made = Party.objects.create(name=name or f"甲{number}", uscc=invented(90_000 + number % 10_000))
    PartyRole.objects.create(party=made, kind=kind, since=date(2020, 1, 1))
    return made


@action("test.book")
def _step(act: Act, *, subject: Party, number: int) -> None:
    act.checked = True
    record = act.record(subject, {"number": number})
    steps.pop(number)(act, record)


steps: dict[int, Callable[[Act, LogRecord], Any]] = {}


def run(subject: Party, step: Callable[[Act, LogRecord], Any]) -> Any:
    """Run a step inside an action about a party; returns what the step returned."""
    number, answers = next(numbers), []
    steps[number] = lambda act, record: answers.append(step(act, record))
    _step(SYSTEM, subject=subject, number=number)
    return answers[0]


def limit(firm: Party, bank: Party, amount: int) -> Any:
    """The bank reports a balance."""
    return run(firm, lambda act, record: services.set_limit(act, record, firm, bank, amount, "test"))


def hold(firm: Party, subject: str, amount: int) -> None:
    """Reserve."""
    run(firm, lambda act, record: services.hold(act, record, firm, subject, amount))


def commit(firm: Party, subject: str, amount: int) -> None:
    """Commit a part of the hold, give back the rest."""
    run(firm, lambda act, record: services.commit(act, record, firm, subject, amount))


def issue(firm: Party, subject: str, shares: dict[Party, int], **options: Any) -> Statement:
    """A statement with one line for each payee."""
    lines = [LineDraft(payee, "compute", 600, "test.line", amount=amount) for payee, amount in shares.items()]
    until = options.pop("contest_until", clock.today() + timedelta(days=5))
    return run(
        firm,
        lambda act, record: services.issue_statement(
            act, record, desk="test", subject=subject, payer=firm, lines=lines, contest_until=until, **options
        ),
    )


def accept(statement: Statement) -> Statement:
    """Accept a statement."""
    return run(statement.payer, lambda act, record: services.accept(act, record, statement))


def accepted(firm: Party, bank: Party, shares: dict[Party, int]) -> Statement:
    """A firm with just enough limit, and its accepted statement."""
    total, subject = sum(shares.values()), f"test.request:{next(numbers)}"
    limit(firm, bank, total)
    hold(firm, subject, total)
    commit(firm, subject, total)
    return accept(issue(firm, subject, shares))
