"""Whatever the order of steps: nothing below zero, all circles sum to zero, balances equal entries, money arrives."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.book import helpers
from tests.book.helpers import party, run

from huoshui.base.errors import Refused
from huoshui.book import services
from huoshui.book.models import Statement

AMOUNTS = st.integers(1, 500)
SUBJECTS = st.sampled_from(["test.request:1", "test.request:2"])


class Book(RuleBasedStateMachine):
    """One firm, two grantors, two payees; the model keeps four numbers and what each grantor stands for."""

    @initialize()
    def start(self):
        self.firm, self.bank, self.centre = party("firm"), party("bank"), party("centre")
        self.payees = [party("seller"), party("carrier")]
        self.held, self.committed, self.granted = {}, {}, {self.bank: 0, self.centre: 0}
        self.statements, self.paid_total = [], 0
        self.limit = 0

    def _reserved(self):
        payable = sum(sum(self._owed(s).values()) for s in self.statements if s.state == "accepted" and s.secured)
        return sum(self.held.values()) + sum(self.committed.values()) + payable

    def _owed(self, statement):
        label = f"book.statement:{statement.pk}"
        return {p: due for p in self.payees if (due := services.balance(p, "receivable", subject=label))}

    @rule(amount=st.integers(0, 1000), which=st.booleans())
    def grant(self, amount, which):
        grantor = self.bank if which else self.centre
        made = helpers.limit(self.firm, grantor, amount)
        change = max(amount - self.granted[grantor], -self.limit)
        self.limit += change
        self.granted[grantor] += change
        assert made.short == self.granted[grantor] - amount

    @rule(subject=SUBJECTS, amount=AMOUNTS)
    def hold(self, subject, amount):
        if amount > self.limit:
            with pytest.raises(Refused):
                helpers.hold(self.firm, subject, amount)
        else:
            helpers.hold(self.firm, subject, amount)
            self.limit -= amount
            self.held[subject] = self.held.get(subject, 0) + amount

    @rule(subject=SUBJECTS)
    def release_hold(self, subject):
        run(self.firm, lambda act, record: services.release_hold(act, record, self.firm, subject))
        self.limit += self.held.pop(subject, 0)

    @rule(subject=SUBJECTS, amount=AMOUNTS)
    def commit(self, subject, amount):
        if amount > self.held.get(subject, 0):
            with pytest.raises(Refused):
                helpers.commit(self.firm, subject, amount)
        else:
            helpers.commit(self.firm, subject, amount)
            self.limit += self.held.pop(subject) - amount
            self.committed[subject] = self.committed.get(subject, 0) + amount

    @rule(subject=SUBJECTS)
    def release_commitment(self, subject):
        run(self.firm, lambda act, record: services.release_commitment(act, record, self.firm, subject))
        self.limit += self.committed.pop(subject, 0)

    @rule(subject=SUBJECTS, shares=st.tuples(AMOUNTS, AMOUNTS), secured=st.booleans(), final=st.booleans())
    def settle(self, subject, shares, secured, final):
        options = {"secured": secured, "final": final}
        statement = helpers.issue(self.firm, subject, dict(zip(self.payees, shares, strict=True)), **options)
        total, there = sum(shares), self.committed.get(subject, 0)
        if secured and total > there:
            with pytest.raises(Refused):
                helpers.accept(statement)
            return
        self.statements.append(helpers.accept(statement))
        if secured:
            self.committed[subject] = there - total
            if final:
                self.limit += self.committed.pop(subject)

    @precondition(lambda self: any(s.state == "accepted" for s in self.statements))
    @rule(amount=AMOUNTS, data=st.data())
    def bank_pays(self, amount, data):
        chosen = data.draw(st.sampled_from([s.pk for s in self.statements if s.state == "accepted"]))
        statement = Statement.objects.get(pk=chosen)
        payee = data.draw(st.sampled_from([None, *self.payees]))
        owed = sum(self._owed(statement).values()) if payee is None else self._owed(statement).get(payee, 0)

        def step(act, record):
            settlement = services.Settlement(act, record, bank=self.bank, statements=[statement])
            used = settlement.pay(statement, amount, payee)
            settlement.write()
            return used

        used = run(self.bank, step)
        assert used == min(amount, owed)
        self.paid_total += used
        if statement.secured:
            first = min(used, self.granted[self.bank])
            self.granted[self.bank] -= first
            self.granted[self.centre] -= used - first
        self.statements = [Statement.objects.get(pk=s.pk) for s in self.statements]

    @invariant()
    def the_book_agrees_with_the_model(self):
        found = services.balances(self.firm)
        assert found["limit"] == self.limit >= 0
        assert found["held"] == sum(self.held.values())
        assert found["committed"] == sum(self.committed.values())
        assert found["limit"] + self._reserved() == sum(self.granted.values())
        assert -found["paid"] == self.paid_total == sum(services.balances(p)["paid"] for p in self.payees)
        assert found["receivable"] == -sum(services.balances(p)["receivable"] for p in self.payees)

    def teardown(self):
        assert services.check_zero() == []
        assert services.replay() == []


@pytest.mark.django_db
def test_every_order_of_steps_keeps_the_book_whole():
    quick = settings(max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Book, settings=quick)
