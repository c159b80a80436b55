"""A match as its pages show it: codes and numbers of `rules` put into rows of words. Reads only what a match holds.

Five groups, in the order in which a firm cares: what it gets, what it nearly gets, what needs an answer, what needs a
person, what it does not get and why.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from huoshui.policy import needs, words
from huoshui.policy.forms_match import AnswerForm
from huoshui.policy.matching import Match, is_draft
from huoshui.policy.models import Application
from huoshui.registry.models import Decision, FactSource, Publication
from huoshui.registry.view import Cell
from huoshui.rules import KIND, CriterionResult, Explanation, Field, Pack, Question, TestResult, Verdict
from huoshui.rules import words as rule_words
from huoshui.rules.model import AllOf, AnyOf, Kind, Window

STEPS_MAX: Final = 3
QUESTIONS_MAX: Final = 18
"""So many are shown at a time; the others follow as these are answered."""
LEVELS: Final = {
    Verdict.MET: "good", Verdict.UNMET: "bad", Verdict.UNKNOWN: "watch", Verdict.MANUAL: "info", Verdict.NA: "none",
}  # fmt: skip


def language() -> str:
    """The reader's language."""
    return get_language() or "zh-hans"


# --- one pack in the list ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """One pack for one party. `why` says in a sentence what decides; `steps` what would change it, cheapest first."""

    pack: Pack
    explanation: Explanation
    on: date
    window: Window | None
    closed: bool
    why: str
    steps: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.pack.id

    @property
    def title(self) -> str:
        return self.pack.header.title

    @property
    def verdict(self) -> str:
        return rule_words.verdict(self.explanation.verdict, language())

    @property
    def level(self) -> str:
        return LEVELS[self.explanation.verdict]

    @property
    def draft(self) -> bool:
        return is_draft(self.pack)

    @property
    def benefit(self) -> str:
        return rule_words.pick(rule_words.BENEFITS[self.pack.benefit.kind], language()) if self.pack.benefit else ""

    @property
    def says(self) -> str:
        """What it brings, or the class that it gives."""
        return class_title(self.explanation) or (self.pack.benefit.text if self.pack.benefit else "")

    @property
    def amount(self) -> str:
        return words.amount(self.explanation)

    @property
    def deadline(self) -> date | None:
        """The last day of the window that is open or next."""
        return self.window.last if self.window else None

    @property
    def days_left(self) -> int | None:
        """Days until the window closes."""
        return (self.deadline - self.on).days if self.deadline else None

    @property
    def opens(self) -> date | None:
        """The first day of the window, when it lies ahead."""
        return self.window.first if self.window and self.closed else None

    @property
    def by_application(self) -> bool:
        """Whether an office gives it on application."""
        return needs.by_application(self.pack)

    @property
    def taken(self) -> str:
        """Where it is taken, when not by an application here."""
        ways = {"tax": _("in the tax return"), "credit": _("with the bank")}
        return ways.get(self.pack.benefit.kind, "—") if self.pack.benefit else "—"

    @property
    def can_apply(self) -> bool:
        """Whether an application would be taken today."""
        verdict = self.explanation.verdict
        by_itself = self.pack.no_application and verdict is Verdict.MET
        return verdict in (Verdict.MET, Verdict.MANUAL) and not (by_itself or self.draft or self.closed) \
            and self.by_application


def row(found: Match, explanation: Explanation) -> Row:
    """What one pack says, in a row."""
    pack = explanation.pack
    return Row(
        pack, explanation, found.on, needs.window_of(pack, found.on), needs.is_closed(pack, found.on),
        words.why(explanation), steps(explanation),
    )  # fmt: skip


def steps(explanation: Explanation) -> tuple[str, ...]:
    """What would change it, cheapest first; nothing where what stands against it says the same."""
    if explanation.blocking is not None and len(explanation.steps) == 1:
        return ()
    return tuple(words.plan(plan, explanation.judged_by) for plan in explanation.steps[:STEPS_MAX])


@dataclass(frozen=True)
class Groups:
    """The packs of a match by what they mean for the party."""

    get: list[Row] = field(default_factory=list)
    nearly: list[Row] = field(default_factory=list)
    waiting: list[Row] = field(default_factory=list)
    person: list[Row] = field(default_factory=list)
    others: list[Row] = field(default_factory=list)

    @property
    def amount_fen(self) -> int:
        """What is certain, in money."""
        return sum(one.explanation.amount_fen or 0 for one in self.get if not one.draft)

    @property
    def can_apply(self) -> bool:
        """Whether anything can be applied for today."""
        return any(one.can_apply for one in (*self.get, *self.person))

    @property
    def says_amount(self) -> str:
        """What is certain, in words."""
        return _("%(amount)s together") % {"amount": rule_words.money(self.amount_fen, language())} \
            if self.amount_fen else ""


def groups(found: Match) -> Groups:
    """All packs of a match, the largest amount first."""
    made = Groups()
    places = {
        Verdict.MET: made.get, Verdict.UNKNOWN: made.waiting, Verdict.MANUAL: made.person, Verdict.NA: made.others,
    }  # fmt: skip
    for explanation in sorted(found.explanations, key=lambda one: (-_most(one), one.pack.id)):
        place = made.nearly if is_near(explanation) else places.get(explanation.verdict, made.others)
        place.append(row(found, explanation))
    return made


def is_near(explanation: Explanation) -> bool:
    """Whether one thing alone stands against it, and it is one that can be changed."""
    return explanation.verdict is Verdict.UNMET and explanation.blocker >= 0 and bool(explanation.steps)


def _most(explanation: Explanation) -> int:
    """For the order only."""
    return explanation.amount_fen or explanation.amount_max_fen or 0


# --- questions --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """A missing fact as a question, or one in conflict with what the sources say."""

    column: str
    title: str
    form: AnswerForm
    decides: int
    concerns: tuple[str, ...]
    amount: str
    facts: "Fact | None"


def questions(found: Match, wrong: AnswerForm | None = None, most: int = QUESTIONS_MAX) -> list[Asked]:
    """The missing facts of all packs, those that decide most first; before them the one whose answer was wrong."""
    prefix = wrong.prefix if wrong is not None else ""
    asked = sorted(found.questions, key=lambda one: prefix_of(one.column) != prefix)
    return [_asked(found, question, wrong) for question in asked[:most]]


def questions_of(found: Match, explanation: Explanation) -> list[Asked]:
    """The missing facts of one pack."""
    return [_asked(found, question, None) for question in found.questions if question.column in explanation.unknown]


def prefix_of(column: str) -> str:
    """The prefix of the answer's form: several stand on one page."""
    return "q-" + column.replace("@", "-").replace(".", "-")


def _asked(found: Match, question: Question, wrong: AnswerForm | None) -> Asked:
    cell = found.known.cells.get(question.column)
    mine = wrong is not None and wrong.prefix == prefix_of(question.column)
    form = wrong if mine and wrong is not None else AnswerForm(
        question.column, question.field, prefix=prefix_of(question.column)
    )
    titles = tuple(found.shelf.pack(name).header.title for name in question.concerns)
    amount = rule_words.money(question.amount_max_fen, language()) if question.amount_max_fen else ""
    conflict = _fact(question.column, question.field, cell) if cell and cell.state == "conflict" else None
    return Asked(
        question.column, words.question(question.column, question.field), form, len(question.decides), titles, amount,
        conflict,
    )  # fmt: skip


# --- facts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What one source says."""

    value: str
    source: str
    observed_on: date | None
    chosen: bool


@dataclass(frozen=True)
class Fact:
    """One value that a criterion read, and who says so; all sources where they differ."""

    column: str
    title: str
    value: str
    state: str
    source: str
    observed_on: date | None
    said: tuple[Said, ...]


def _fact(column: str, known: Field, cell: Cell | None) -> Fact:
    title = rule_words.column(column, {known.code: known}, language())
    if cell is None:
        return Fact(column, title, _("not known"), "missing", "", None, ())
    value = rule_words.value(cell.value, known, language()) if cell.state == "known" else _state(cell.state)
    said = tuple(
        Said(rule_words.value(one.value, known, language()), source(one.source, one.source_name), one.observed_on,
             one.chosen)
        for one in cell.statements
    )  # fmt: skip
    differ = len({one.value for one in said}) > 1
    return Fact(column, title, value, cell.state, source(cell.source, cell.source_name), cell.observed_on,
                said if differ else ())  # fmt: skip


def _state(state: str) -> str:
    return _("the sources disagree") if state == "conflict" else _("not known")


def source(code: str, name: str = "") -> str:
    """Who says so, in words."""
    label = str(FactSource(code).label) if code in FactSource.values else code
    return f"{label}（{name}）" if name else label


def facts_read(found: Match, packs: Sequence[Pack]) -> list[Fact]:
    """The facts on record that packs read: what is filled in already."""
    fields = {term.field: pack.fields[term.field] for pack in packs for term in needs.reads(pack)}
    return [
        _fact(column, fields[code], cell)
        for column, cell in sorted(found.known.cells.items())
        if (code := column.partition("@")[0]) in fields and cell.state == "known"
    ]


# --- one pack in full -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One test of a criterion's tree, with those that it joins."""

    text: str
    verdict: str
    level: str
    margin: str
    children: tuple["Line", ...]


@dataclass(frozen=True)
class CriterionRow:
    """One criterion: what it asks, by which clause, what is known, what it comes to."""

    id: str
    title: str
    kind: str
    asks: str
    clause: str
    quote: str
    verdict: str
    level: str
    lines: tuple[Line, ...]
    margin: str
    facts: tuple[Fact, ...]
    points: str
    exempted_by: str
    decisive: bool


@dataclass(frozen=True)
class Criteria:
    """The criteria of a pack by what they say, so that what stands against it is read first."""

    against: tuple[CriterionRow, ...]
    missing: tuple[CriterionRow, ...]
    person: tuple[CriterionRow, ...]
    scores: tuple[CriterionRow, ...]
    exemptions: tuple[CriterionRow, ...]
    met: tuple[CriterionRow, ...]
    others: tuple[CriterionRow, ...]


def criteria(found: Match, explanation: Explanation) -> Criteria:
    """All criteria of a pack with their trees."""
    places: dict[str, list[CriterionRow]] = {name: [] for name in Criteria.__dataclass_fields__}
    by_verdict = {
        Verdict.UNMET: "against", Verdict.UNKNOWN: "missing", Verdict.MANUAL: "person", Verdict.MET: "met",
        Verdict.NA: "others",
    }  # fmt: skip
    by_kind = {Kind.SCORE: "scores", Kind.EXEMPTION: "exemptions"}
    for one in explanation.criteria:
        place = by_kind.get(one.criterion.kind, by_verdict[one.verdict])
        places[place].append(_criterion(found, explanation, one))
    return Criteria(**{name: tuple(rows) for name, rows in places.items()})


def _criterion(found: Match, explanation: Explanation, one: CriterionResult) -> CriterionRow:
    asked, tongue, pack = one.criterion, language(), explanation.judged_by
    lines = (_line(one.tree, pack, found.on),) if one.tree is not None and one.tree.children else ()
    margin = words.margin(one.margin, asked.test, pack) if one.own in (Verdict.MET, Verdict.UNMET) else ""
    return CriterionRow(
        asked.id, asked.title, rule_words.kind(asked.kind, tongue), rule_words.criterion(asked, pack, tongue, found.on),
        asked.clause, asked.quote, rule_words.verdict(one.verdict, tongue), LEVELS[one.verdict], lines,
        "" if lines or asked.kind is Kind.VETO else margin, _facts(found, pack, one), words.points(one),
        pack.criterion(one.exempted_by).title if one.exempted_by else "", explanation.blocking is asked,
    )  # fmt: skip


def _facts(found: Match, pack: Pack, one: CriterionResult) -> tuple[Fact, ...]:
    """The facts that a criterion read; a class that another pack worked out is told as such."""
    trees = [one.tree, one.applies, *(step for way in one.ways for step in way.steps)]
    values = {column: value for tree in trees for node in _nodes(tree) for column, value in node.values}
    values |= {column: value for way in one.ways for column, value in way.values}
    facts = []
    for column, value in values.items():
        known, cell = pack.fields[column.partition("@")[0]], found.known.cells.get(column)
        fact = _fact(column, known, cell)
        if value is not None and fact.state != "known":
            shown = rule_words.value(value, known, language())
            fact = Fact(column, fact.title, shown, "known", _("worked out by a rule in force"), None, fact.said)
        facts.append(fact)
    return tuple(facts)


def _nodes(tree: TestResult | None) -> Iterator[TestResult]:
    if tree is not None:
        yield tree
        for child in tree.children:
            yield from _nodes(child)


def _line(tree: TestResult, pack: Pack, on: date) -> Line:
    """A test and those under it; a join stands above what it joins."""
    joins = isinstance(tree.test, AllOf | AnyOf)
    text = words.joined(tree.test) if joins else rule_words.test(tree.test, pack, language(), on)
    shown = tree.verdict in (Verdict.MET, Verdict.UNMET) and not joins
    return Line(
        text, rule_words.verdict(tree.verdict, language()), LEVELS[tree.verdict],
        words.margin(tree.margin, tree.test, pack) if shown else "",
        tuple(_line(child, pack, on) for child in tree.children if joins),
    )  # fmt: skip


def about(found: Match, explanation: Explanation) -> dict[str, Any]:
    """What stands around the criteria: money, windows, documents, what ends when, the text itself."""
    pack, tongue = explanation.pack, language()
    benefit, window = pack.benefit, needs.window_of(pack, found.on)
    return {
        "header": pack.header, "publication": found.shelf.publications[pack.id],
        "formula": rule_words.formula(benefit.amount, explanation.judged_by, tongue, found.on)
        if benefit and benefit.amount else "",
        "cap": rule_words.money(benefit.cap_fen, tongue) if benefit and benefit.cap_fen else "",
        "needs": needs.of(found, [pack]), "listed": pack.id in found.shelf.listed,
        "via": explanation.judged_by.header.title if explanation.via >= 0 else "",
        "parameters": explanation.judged_by.variant if explanation.via < 0 else None,
        "transitions": [
            (one, rule_words.test(one.when, pack, tongue, found.on), found.shelf.pack(one.pack).header.title)
            for one in pack.transitions
        ],
        "scoring": words.scoring(explanation), "class_title": class_title(explanation),
        "window": window, "window_word": _window_word(pack, found.on, window),
        "window_note": _window_note(found.on, window), "in_force": _in_force(pack),
        "judgements": words.judgements(explanation),
    }  # fmt: skip


def class_title(explanation: Explanation) -> str:
    classes = explanation.judged_by.classes
    if classes is None or explanation.class_id is None:
        return ""
    return next(each.title for each in classes.classes if each.id == explanation.class_id)


def _window_word(pack: Pack, on: date, window: Window | None) -> str:
    if not pack.windows:
        return _("any time")
    if window is None:
        return _("closed")
    return _("open") if needs.is_open(window, on) else _("not open yet")


def _window_note(on: date, window: Window | None) -> str:
    if window is None:
        return ""
    if not needs.is_open(window, on):
        return _("opens %(day)s") % {"day": window.first}
    return _("until %(day)s") % {"day": window.last} if window.last else _("no end named")


def _in_force(pack: Pack) -> str:
    until = pack.header.effective_to
    return _("until %(day)s") % {"day": until} if until else _("since %(day)s") % {"day": pack.header.effective_from}


# --- decisions and events ---------------------------------------------------------------------------------------------


def stored_facts(decision: Decision) -> list[Fact]:
    """The facts that a decision read, as it stored them."""
    facts = []
    fields = {code: field for pack in _texts(decision) for code, field in pack.fields.items()}
    for column, told in decision.trace["facts"].items():
        field = fields[column.partition("@")[0]]
        value = date.fromisoformat(told["value"]) if field.kind == "date" and told["value"] else told["value"]
        shown = rule_words.value(value, field, language()) if told["state"] == "known" else _state(told["state"])
        observed = date.fromisoformat(told["observed_on"]) if told["observed_on"] else None
        facts.append(Fact(
            column, rule_words.column(column, fields, language()), shown, told["state"],
            source(told["source"], told["source_name"]), observed, (),
        ))  # fmt: skip
    return facts


@dataclass(frozen=True)
class StoredCriterion:
    """What a decision said of a criterion."""

    title: str
    clause: str
    verdict: str
    level: str


def stored_criteria(decision: Decision) -> list[StoredCriterion]:
    """The criteria of a decision with their verdicts."""
    packs = {pack.id: pack for pack in _texts(decision)}
    judged_by = packs[decision.trace["judged_by"]]
    rows = []
    for name, told in decision.trace["criteria"].items():
        criterion, verdict = judged_by.criterion(name), Verdict[told.upper()]
        rows.append(StoredCriterion(
            criterion.title, criterion.clause, rule_words.verdict(verdict, language()), LEVELS[verdict]
        ))
    return rows


def stored_verdict(decision: Decision) -> StoredCriterion:
    """What a decision said as a whole."""
    verdict = Verdict[decision.verdict.upper()]
    return StoredCriterion("", "", rule_words.verdict(verdict, language()), LEVELS[verdict])


def stored_packs(decision: Decision) -> list[tuple[str, int, str]]:
    """Title, key and digest of the texts that a decision used."""
    rows = Publication.objects.filter(kind=KIND, digest__in=decision.digests)
    return list(rows.order_by("identifier").values_list("title", "pk", "digest"))


def _texts(decision: Decision) -> list[Pack]:
    return [row.loaded() for row in Publication.objects.filter(kind=KIND, digest__in=decision.digests)]


def events(application: Application) -> list[dict[str, Any]]:
    """What happened to an application, newest first, as the kit's timeline shows it."""
    levels = {"approved": "good", "refused": "bad", "paid_out": "good", "withdrawn": "none"}
    rows = application.events.select_related("actor").order_by("-id")
    return [
        {
            "at": row.at, "title": f"{row.get_kind_display()} · {row.actor or _('the platform')}",
            "body": row.text, "level": levels.get(row.kind, ""),
        }
        for row in rows
    ]  # fmt: skip
