"""Many at once: the last fen is held once, and two transactions never wait for each other."""

import threading

import pytest
from django.db import connections
from tests.book import helpers
from tests.book.helpers import party

from huoshui.base.errors import Refused
from huoshui.book import services

THREADS = 50


def at_once(steps):
    """Run the steps in a thread each; returns what each raised or None."""
    start, answers = threading.Barrier(len(steps)), [None] * len(steps)

    def run(number, step):
        try:
            start.wait(30)
            step()
        except Exception as error:
            answers[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(steps)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return answers


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_fifty_at_once_hold_exactly_what_the_limit_pays_for():
    firm, bank = party(), party()
    helpers.limit(firm, bank, 20 * 7 + 6)
    answers = at_once([lambda n=n: helpers.hold(firm, f"test.request:{n}", 7) for n in range(THREADS)])
    assert sum(answer is None for answer in answers) == 20
    assert all(isinstance(answer, Refused) and answer.code == "over_limit" for answer in answers if answer)
    assert services.balances(firm)["limit"] == 6
    assert services.replay() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_batches_in_opposite_order_do_not_deadlock():
    bank, firms = party(), [party() for _ in range(6)]
    for firm in firms:
        helpers.limit(firm, bank, 1000)

    def batch(order, number):
        items = [services.Hold(firm, f"test.request:{number}", 1) for firm in order]
        helpers.run(bank, lambda act, record: services.hold_many(act, record, items))

    orders = [firms, firms[::-1]] * 10
    answers = at_once([lambda o=o, n=n: batch(o, n) for n, o in enumerate(orders)])
    assert answers == [None] * len(orders)
    assert services.replay() == []
