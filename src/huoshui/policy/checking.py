"""What is to be said of a draft as it stands: does it load, what does the lint find, do its test cases come out.

The idea: the editor, the action that submits and the tests all ask the same function, so nothing is found later that
could have been seen while writing. A text that does not load is one error with its place; everything else needs a pack.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

from django.utils.translation import gettext as _

from huoshui import rules
from huoshui.base import clock
from huoshui.base.errors import Invalid, Problem
from huoshui.policy import clauses, pack_queries, pack_text, pack_words
from huoshui.policy.models import Notice
from huoshui.registry import view
from huoshui.registry.models import Party
from huoshui.rules import lint_words, words
from huoshui.rules.explain import CriterionResult
from huoshui.rules.fields import Field
from huoshui.rules.findings import ERROR, LEVELS, NOTE, WARNING, Finding
from huoshui.rules.lint import lint
from huoshui.rules.model import Criterion, Pack, Verdict, pack_reads
from huoshui.rules.table import column_of
from huoshui.rules.testing import VERDICTS as VERDICT_NAMES
from huoshui.rules.testing import Coverage, Mismatch, run_tests
from huoshui.terms import TermError
from huoshui.terms.publication import parse_yaml

BADGES: Final = {ERROR: "bad", WARNING: "watch", NOTE: "none"}
TESTS_FOLDER: Final = "rule_pack_tests"
WHOLE: Final = ("document_yaml", "mapping", "list")
"""Rules whose offending value is a whole text or a whole part of it: it would not help to show it."""
_CRITERION: Final = re.compile(r"body\.criteria\[(\d+)\]")


@dataclass(frozen=True)
class Found:
    """A finding with its sentence. `where` is the title of the criterion that it is about."""

    level: str
    sentence: str
    path: str
    where: str

    @property
    def badge(self) -> str:
        return BADGES[self.level]

    @property
    def level_word(self) -> str:
        return lint_words.level(self.level, pack_words.language())


@dataclass(frozen=True)
class Case:
    """A test case and what came out otherwise than it says."""

    name: str
    faults: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """A criterion as people read it."""

    criterion: Criterion
    text: str
    kind: str


@dataclass(frozen=True)
class Checked:
    """All that is to be said. `pack` is None when the text does not load."""

    pack: Pack | None
    findings: tuple[Found, ...]
    cases: tuple[Case, ...]
    uncovered: tuple[str, ...]

    def _at(self, level: str) -> tuple[Found, ...]:
        return tuple(each for each in self.findings if each.level == level)

    @property
    def errors(self) -> tuple[Found, ...]:
        return self._at(ERROR)

    @property
    def warnings(self) -> tuple[Found, ...]:
        return self._at(WARNING)

    @property
    def notes(self) -> tuple[Found, ...]:
        return self._at(NOTE)

    @property
    def rows(self) -> list[Row]:
        """The criteria in words."""
        pack, spoken = self.pack, pack_words.language()
        return [] if pack is None else [
            Row(each, words.criterion(each, pack, spoken), words.kind(each.kind, spoken))
            for each in pack.criteria
        ]

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What must be put right before it can be submitted."""
        failed = [Problem(_("test case"), case.name, "；".join(case.faults)) for case in self.cases if case.faults]
        return (*(Problem(each.path, each.where, each.sentence) for each in self.errors), *failed)

    @property
    def blocking(self) -> bool:
        return bool(self.problems)


def check(text: str, tests: str, notice: Notice | None) -> Checked:
    """Load, lint and test a draft."""
    try:
        pack = rules.load(text)
    except TermError as error:
        return Checked(None, (_unreadable(text, error),), (), ())
    said = "\n".join(notice.paragraphs) if notice else None
    known = pack_queries.known()
    found = lint(pack, on=clock.today(), known_packs=known, notice=said)
    sentences = [_found(each, pack, notice) for each in found]
    cases, uncovered, broken = _tests(pack, tests, known)
    ordered = sorted((*sentences, *broken), key=lambda each: LEVELS.index(each.level))
    return Checked(pack, tuple(ordered), cases, uncovered)


def _unreadable(text: str, error: TermError) -> Found:
    sentence = pack_words.of_error(error)
    shown = "" if error.value is None or error.rule in WHOLE else str(error.value)[:80]
    match = _CRITERION.match(error.field)
    listed = pack_text.criteria(text)
    where = str(listed[int(match[1])].get("title", "")) if match and int(match[1]) < len(listed) else ""
    return Found(ERROR, f"“{shown}” {sentence}" if shown else sentence, error.field, where)


def _found(each: Finding, pack: Pack, notice: Notice | None) -> Found:
    level = each.level
    if each.code == "quote_not_in_notice" and _in_another(str(each.params.get("text", "")), notice):
        level = WARNING  # a pack may cite two notices; a person says that this is one
    match = _CRITERION.match(each.path)
    where = pack.criteria[int(match[1])].title if match else ""
    return Found(level, lint_words.sentence(each, pack_words.language(), pack.fields), each.path, where)


def _in_another(quote: str, notice: Notice | None) -> bool:
    others = Notice.objects.exclude(pk=notice.pk) if notice else Notice.objects.none()
    return any(clauses.where(other.paragraphs, quote) for other in others.only("paragraphs"))


def _tests(
    pack: Pack, tests: str, known: Mapping[str, Pack]
) -> tuple[tuple[Case, ...], tuple[str, ...], tuple[Found, ...]]:
    """Cases, what none of them has seen, and what is wrong with the test text itself."""
    if not tests.strip():
        return (), (), (Found(WARNING, _("there is no test case: say which firm must come out how"), "", ""),)
    try:
        report = run_tests(pack, tests, known)
    except TermError as error:
        return (), (), (_unreadable_tests(error),)
    cases = tuple(
        Case(result.case.name, tuple(_mismatch(each, pack) for each in result.mismatches)) for result in report.results
    )
    return cases, tuple(_unseen(each, pack) for each in report.coverage if each.missing), ()


def _unreadable_tests(error: TermError) -> Found:
    shown = "" if error.value is None or error.rule in WHOLE else f"“{str(error.value)[:80]}” "
    return Found(ERROR, shown + pack_words.of_error(error), error.field, _("test cases"))


def _mismatch(found: Mismatch, pack: Pack) -> str:
    return _("%(what)s: expected %(expected)s, found %(found)s") % {
        "what": _title(found.what, pack), "expected": _spoken(found.expected), "found": _spoken(found.found),
    }  # fmt: skip


def _unseen(found: Coverage, pack: Pack) -> str:
    said = "、".join(words.verdict(verdict, pack_words.language()) for verdict in sorted(found.missing))
    return _("%(what)s: %(verdicts)s") % {"what": _title(found.criterion, pack), "verdicts": said}


def _title(name: str, pack: Pack) -> str:
    """A criterion by its title, another thing that a case expects by its word."""
    titles = {each.id: each.title for each in pack.criteria}
    expected = {
        "verdict": _("conclusion"), "amount": _("amount (fen)"), "score": _("score"), "blocker": _("what blocks"),
        "class": _("class"), "via": _("transition"), "variant": _("variant"),
    }  # fmt: skip
    return titles.get(name) or expected.get(name, name)


def _spoken(said: str) -> str:
    """A verdict in words, anything else as it stands."""
    return words.verdict(VERDICT_NAMES[said], pack_words.language()) if said in VERDICT_NAMES else said


# --- one firm -----------------------------------------------------------------------------------------------------

VERDICTS: Final = {
    Verdict.MET: "good", Verdict.UNMET: "bad", Verdict.UNKNOWN: "watch", Verdict.MANUAL: "info", Verdict.NA: "none",
}  # fmt: skip


@dataclass(frozen=True)
class TriedCriterion:
    """What one criterion says of a firm, and the facts that it read."""

    title: str
    clause: str
    verdict: Verdict
    values: tuple[tuple[str, str], ...]

    @property
    def word(self) -> str:
        return words.verdict(self.verdict, pack_words.language())

    @property
    def level(self) -> str:
        return VERDICTS[self.verdict]


@dataclass(frozen=True)
class Tried:
    """What a draft says of a firm; `problem` says why it could not be asked."""

    problem: str = ""
    verdict: Verdict = Verdict.NA
    amount_fen: int | None = None
    via: str = ""
    criteria: tuple[TriedCriterion, ...] = ()

    @property
    def verdict_word(self) -> str:
        return words.verdict(self.verdict, pack_words.language())

    @property
    def level(self) -> str:
        return VERDICTS[self.verdict]


def try_on(text: str, party: Party) -> Tried:
    """What the draft says of a firm today, with what the registry knows of it."""
    on = clock.today()
    try:
        pack = rules.load(text)
        library = rules.Library([pack, *(other for other in pack_queries.known().values() if other.id != pack.id)])
        known = {name: cell.value for name, cell in view.of_party(party, on).items() if cell.state == "known"}
        found = rules.explain(library, pack.id, known, on)
    except TermError as error:
        return Tried(problem=f"{error.field}: {pack_words.of_error(error)}")
    judged = found.judged_by
    criteria = tuple(
        TriedCriterion(each.criterion.title, each.criterion.clause, each.verdict, _values(each, judged))
        for each in found.criteria
    )
    via = pack.transitions[found.via].title if found.via >= 0 else ""
    return Tried("", found.verdict, found.amount_fen, via, criteria)


def _values(result: CriterionResult, pack: Pack) -> tuple[tuple[str, str], ...]:
    """The facts that a criterion read, each once, in words."""
    waiting = [result.tree] if result.tree else [step for way in result.ways for step in way.steps]
    read = dict(pair for way in result.ways for pair in way.values)
    while waiting:
        tree = waiting.pop(0)
        read |= dict(tree.values)
        waiting += tree.children
    spoken = pack_words.language()
    return tuple(
        (words.column(name, pack.fields, spoken), words.value(value, pack.fields[name.partition("@")[0]], spoken))
        for name, value in read.items()
    )


# --- one criterion ------------------------------------------------------------------------------------------------


def own_fields(text: str) -> dict[str, Field]:
    """The fields that a draft declares itself, as far as it can be read."""
    try:
        rows = parse_yaml(text).get("body", {}).get("fields") or []
        return {row["code"]: Field(row["code"], row["title"], row["kind"], row.get("unit") or "") for row in rows}
    except (TermError, AttributeError, KeyError, TypeError):
        return {}


FORM_FIELDS: Final = {"id": "id", "title": "title", "clause": "clause", "quote": "quote", "exempts": "exempts",
                      "kind": "kind", "stage": "stage"}  # fmt: skip


def try_criterion(text: str, criterion: Mapping[str, Any]) -> None:
    """Raises Invalid when the text with this criterion in it breaks a rule at this criterion.

    What is wrong elsewhere in the draft is no reason to refuse the criterion.
    """
    try:
        edited = pack_text.put(text, criterion)
        rules.load(edited)
    except pack_text.CannotEdit:
        return  # the action says so
    except TermError as error:
        match = _CRITERION.match(error.field)
        listed = pack_text.criteria(edited)
        if match and int(match[1]) < len(listed) and listed[int(match[1])].get("id") == criterion["id"]:
            name = error.field[match.end() + 1 :]
            field = FORM_FIELDS.get(name.partition("[")[0].partition(".")[0], name or "test")
            value = "" if error.value is None else str(error.value)
            raise Invalid(Problem(field, value[:80], pack_words.of_error(error))) from error


def first_case(text: str) -> str:
    """The beginning of a test file: a firm of which nothing is known, and the facts that the draft asks.

    Raises Invalid when the draft does not load: its criteria say what can be expected.
    """
    try:
        pack = rules.load(text)
    except TermError as error:
        raise Invalid(Problem(error.field, str(error.value)[:80], pack_words.of_error(error))) from error
    on = clock.today()
    spoken = pack_words.language()
    asked = sorted({column_of(term, on) for term in pack_reads(pack)})
    facts = "".join(
        f"  # {name}: unknown    # {words.column(name, pack.fields, spoken)}\n" for name in asked
    )
    return (
        f"pack: {pack.id}\non: {on.isoformat()}\nbase: {{}}\n{facts}cases:\n"
        f"  - name: 什么都不知道的企业\n    expect: {{verdict: unknown}}\n"
    )


def shipped_tests(identifier: str) -> str:
    """The test cases that come with a shipped pack; empty when there are none."""
    found = resources.files("huoshui.publications") / TESTS_FOLDER / f"{identifier}.yaml"
    return found.read_text("utf-8") if found.is_file() else ""
