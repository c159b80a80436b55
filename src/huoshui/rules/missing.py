"""Which missing facts matter: those by which a verdict, or an amount, is still open.

A fact that nobody states matters only where its test is unknown and, all the way up, what holds the test is unknown
too: one member of an any-of that is met silences the others, one unmet criterion silences the pack. Works on one row
and in bulk alike: for each column, the rows in which it matters.
"""

from collections.abc import Callable, Iterable

from .algebra import Bits, Number, both, either, known, no, yes
from .evaluate import by_branch
from .judging import Columns, Judging, Outcome, audience_tests, judging_on, members, truth, value_of
from .library import Branch, Library
from .model import (
    Banded,
    Either,
    FromFacts,
    Kind,
    Least,
    Money,
    Pack,
    Remainder,
    Share,
    Stage,
    Term,
    Test,
    Total,
    reads,
    score_tests,
    terms_of_measure,
)
from .table import Table, column_of

_Whole = Callable[[Library, Pack, Table, Stage], Columns]


class _Search:
    """Collects, for each column, the rows in which it is missing and matters."""

    def __init__(self, table: Table) -> None:
        self.table, self.found = table, dict[str, Bits]()

    def terms(self, terms: Iterable[Term], rows: Bits) -> None:
        for term in terms:
            name = column_of(term, self.table.on)
            missing = both(rows, no(self.table.known(name)))
            if missing is not False and not self._classes(name, missing):
                self.found[name] = either(self.found.get(name, False), missing)

    def _classes(self, name: str, rows: Bits) -> bool:
        """Whether packs fill the field: then what they lack is missing instead."""
        for pack in self.table.classes.get(name, []):
            left = rows
            for each in pack.classes.classes if pack.classes is not None else ():
                self.test(each.test, left)
                left = left if each.test is None else both(left, no(truth(each.test, self.table).sure))
        return name in self.table.classes

    def test(self, test: Test | None, rows: Bits) -> None:
        if test is None:
            return
        rows = both(rows, truth(test, self.table).unknown)
        if rows is False:
            return
        inner = members(test)
        for each in inner:
            self.test(each, rows)
        if not inner:
            self.terms(reads(test), rows)

    def outcome(self, outcome: Outcome, rows: Bits, others: Iterable[Outcome]) -> None:
        """A criterion whose verdict, exemptions included, is unknown."""
        criterion = outcome.criterion
        self.test(criterion.applies_when, rows)
        self.test(criterion.test, rows)
        if outcome.points is not None and criterion.score is not None:
            rows = both(rows, _above(outcome.points.may, outcome.points.sure))
            for way in criterion.score.alternatives:
                if isinstance(way, Banded):
                    self.terms(terms_of_measure(way.measure), rows)
            for test in score_tests(criterion.score):
                self.test(test, rows)
        for other in others:
            if criterion.id in other.criterion.exempts:
                self.test(other.criterion.applies_when, rows)
                self.test(other.criterion.test, rows)

    def pack(self, judging: Judging) -> None:
        rows: Bits = both(judging.applies, judging.audience.may)
        for _, unmet in judging.unmet:
            rows = both(rows, no(unmet))
        for test in audience_tests(judging.pack):
            self.test(test, rows)
        others = [each for each in judging.outcomes.values() if each.criterion.kind is Kind.EXEMPTION]
        for outcome in judging.outcomes.values():
            if outcome.criterion.kind not in (Kind.SCORE, Kind.EXEMPTION):
                self.outcome(outcome, both(rows, outcome.truth.unknown), others)
        if judging.rule is not None:
            rows = both(rows, judging.scoring.unknown)
            for outcome in judging.outcomes.values():
                if outcome.criterion.kind is Kind.SCORE:
                    self.outcome(outcome, rows, ())
                elif "score" in outcome.criterion.exempts:
                    self.test(outcome.criterion.applies_when, rows)
                    self.test(outcome.criterion.test, rows)

    def money(self, money: Money, rows: Bits) -> None:
        rows = both(rows, no(known(value_of(money, self.table))))
        if rows is False:
            return
        if isinstance(money, FromFacts):
            self.terms(money.amount.terms, rows)
        elif isinstance(money, Share):
            self.money(money.of, rows)
            for test, _ in money.rate.cases:
                self.test(test, rows)
        elif isinstance(money, (Least, Total)):
            for member in money.members:
                self.money(member, rows)
        elif isinstance(money, Remainder):
            self.money(money.of, rows)
            self.money(money.less, rows)
        elif isinstance(money, Either):
            for test, member in money.cases:
                self.test(test, rows)
                self.money(member, both(rows, truth(test, self.table).may))
                rows = both(rows, no(truth(test, self.table).sure))
            self.money(money.otherwise, rows)


def _above(a: Number, b: Number) -> Bits:
    assert a is not None, "points are known at each level"
    assert b is not None, "points are known at each level"
    return yes(a > b)


def bits(rows: Number) -> Bits:
    """Yes and no again, where the parts of a table were put together as numbers."""
    return yes(rows != 0) if rows is not None and not isinstance(rows, bool) else bool(rows)


def undecided(library: Library, pack: Pack, table: Table, stage: Stage) -> Columns:
    """For each column, the rows (as yes and no) in which it keeps the pack's verdict unknown."""

    def look(which: Pack, part: Table) -> Columns:
        search = _Search(part)
        search.pack(judging_on(which, part, stage))
        return dict(search.found)

    return _by_branch(library, pack, table, stage, look, undecided)


def unpriced(library: Library, pack: Pack, table: Table, stage: Stage) -> Columns:
    """For each column, the rows in which it keeps the amount unknown."""

    def look(which: Pack, part: Table) -> Columns:
        search = _Search(part)
        if which.benefit is not None and which.benefit.amount is not None:
            search.money(which.benefit.amount, True)
        return dict(search.found)

    return _by_branch(library, pack, table, stage, look, unpriced)


def _by_branch(
    library: Library, pack: Pack, table: Table, stage: Stage, look: Callable[[Pack, Table], Columns], whole: _Whole
) -> Columns:
    def agree(when: Test, part: Table, yes: Columns, otherwise: Columns) -> Columns:
        search = _Search(part)
        search.test(when, True)
        found = dict[str, Bits](search.found)
        for name, rows in (*yes.items(), *otherwise.items()):
            found[name] = either(found.get(name, False), bits(rows))
        return dict(found)

    def other(branch: Branch, part: Table) -> Columns:
        return look(branch.pack, part) if branch.via is None else whole(library, branch.pack, part, stage)

    return by_branch(table, library.branches(pack, table.on), other, lambda part: look(pack, part), agree)
