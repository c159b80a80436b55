"""A rule pack as data: who it is for, what it asks, by which clause, and what it pays.

The idea: a closed set of tests over fields. A **measure** is something that can be counted (an amount, a ratio, a
growth rate, an age), always exactly: a ratio stays numerator and denominator and is compared by cross-multiplication.
A **test** puts a measure, a list, a date or a certificate against a threshold, or joins tests. A **criterion** is a
test with its clause and its verbatim quote. A **pack** is criteria, scoring, benefit and dates.

All numbers are integers in the smallest unit: fen, basis points, months, hundredths of a point, or the unit of the
field. Nothing here evaluates: see `evaluate`. Nothing here reads text: see `reader`.
"""

import datetime as dt
import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from huoshui.terms.publication import Publication

from .fields import Field

BPS = 10_000
NATIONAL = "000000"


class Verdict(enum.IntEnum):
    """What a test, a criterion or a pack says. The order is that of all-of: the greatest wins, n/a members are ignored.

    any-of: MET > MANUAL > UNKNOWN > UNMET; all members n/a is n/a.
    """

    NA = 0
    MET = 1
    MANUAL = 2
    UNKNOWN = 3
    UNMET = 4


class Kind(enum.StrEnum):
    """What a criterion does: hard must be met, veto must not, score gives points, exemption stands in for others,
    manual is for a person."""

    HARD = "hard"
    VETO = "veto"
    SCORE = "score"
    EXEMPTION = "exemption"
    MANUAL = "manual"


class Stage(enum.StrEnum):
    """When a criterion is asked: of the entity, or of each claim."""

    ENTITLEMENT = "entitlement"
    CLAIM = "claim"


class Op(enum.StrEnum):
    """How a measure is compared."""

    GE = "ge"
    GT = "gt"
    LE = "le"
    LT = "lt"
    EQ = "eq"
    NE = "ne"


# --- measures ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Term:
    """`weight` times the value of a field. `year` is relative to the year of evaluation (-1: last year), None for a
    field that is not periodic."""

    field: str
    year: int | None = None
    weight: int = 1


@dataclass(frozen=True)
class Amount:
    """Sum of terms of one unit: a field, several fields, several years, or a difference. Unknown if a term is."""

    terms: tuple[Term, ...]


@dataclass(frozen=True)
class Ratio:
    """numerator / denominator, in basis points. A denominator that is not above zero makes the test MANUAL."""

    numerator: Amount
    denominator: Amount


@dataclass(frozen=True)
class Growth:
    """Compound yearly growth from `first` to `last` over `years` years, in basis points.

    At least g means last × 10000^years ≥ first × (10000 + g)^years. A `first` not above zero makes the test MANUAL.
    """

    last: Term
    first: Term
    years: int


@dataclass(frozen=True)
class Age:
    """Whole months from a date field to the day of evaluation, or to the end of last year.

    At least m months means: the date lies at least m months before that day (last day of a shorter month counts).
    """

    field: str
    at_year_end: bool = False


Measure = Amount | Ratio | Growth | Age


@dataclass(frozen=True)
class Threshold:
    """A number in the smallest unit of the measure. `parameter` names the pack's parameter that it came from."""

    value: int
    parameter: str | None = None


# --- tests ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Compare:
    """measure op threshold. `unit` is the unit that the text gives (for showing)."""

    measure: Measure
    op: Op
    threshold: Threshold
    unit: str


@dataclass(frozen=True)
class Member:
    """A text field is one of the values, or starts with one of them; `negated`: is not."""

    field: str
    values: tuple[str, ...]
    prefix: bool = False
    negated: bool = False


@dataclass(frozen=True)
class Flag:
    """A Boolean field has this value. `year` as in Term."""

    field: str
    value: bool
    year: int | None = None


@dataclass(frozen=True)
class Dated:
    """A date field lies on or before (`op` LE) or on or after (GE) a day; `day` None is the day of evaluation."""

    field: str
    op: Op
    day: dt.date | None


@dataclass(frozen=True)
class Certificate:
    """The entity holds a certificate that is valid on the day: `field` true and `field.until` not before it."""

    field: str

    @property
    def until(self) -> str:
        return f"{self.field}.until"


@dataclass(frozen=True)
class AllOf:
    tests: tuple["Test", ...]


@dataclass(frozen=True)
class AnyOf:
    tests: tuple["Test", ...]


@dataclass(frozen=True)
class Manual:
    """Only a person can say: always MANUAL."""

    question: str


Test = Compare | Member | Flag | Dated | Certificate | AllOf | AnyOf | Manual


# --- scoring ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """Points for a measure in [low, high), in the measure's smallest unit; None is unbounded."""

    low: int | None
    high: int | None
    points: int


@dataclass(frozen=True)
class Banded:
    """Points by bands of a measure. A measure that is not defined (denominator not above zero) is MANUAL."""

    measure: Measure
    unit: str
    bands: tuple[Band, ...]


@dataclass(frozen=True)
class Step:
    points: int
    test: Test


@dataclass(frozen=True)
class Stepped:
    """Points of the best step whose test is met, `otherwise` if none is. Steps fall in points."""

    steps: tuple[Step, ...]
    otherwise: int


@dataclass(frozen=True)
class Score:
    """Points of a criterion of kind score: the best of its alternatives. Unknown facts make it an interval."""

    alternatives: tuple[Banded | Stepped, ...]

    @property
    def points(self) -> tuple[int, ...]:
        """All points that it can give, lowest first."""
        given = set[int]()
        for way in self.alternatives:
            if isinstance(way, Banded):
                given.update(band.points for band in way.bands)
            else:
                given.update((way.otherwise, *(step.points for step in way.steps)))
        return tuple(sorted(given))


@dataclass(frozen=True)
class Part:
    """Criteria whose points count together, with the least that they must give."""

    id: str
    title: str
    minimum: int
    criteria: tuple[str, ...]


@dataclass(frozen=True)
class Scoring:
    """Total of the score criteria must reach `threshold`, and each part its minimum.

    With unknown facts the total is an interval: MET if its low end suffices, UNMET if its high end does not.
    """

    threshold: int
    parts: tuple[Part, ...]
    clause: str
    quote: str


# --- benefit ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fixed:
    fen: int


@dataclass(frozen=True)
class FromFacts:
    """An amount of money from fields; unknown if one is missing."""

    amount: Amount


@dataclass(frozen=True)
class Rate:
    """Basis points by case: those of the first test that is met, else `otherwise` (None: no other case, unknown).

    An earlier case that is unknown or manual makes the rate unknown.
    """

    cases: tuple[tuple[Test, int], ...]
    otherwise: int | None

    @property
    def highest(self) -> int:
        return max([bps for _, bps in self.cases] + ([] if self.otherwise is None else [self.otherwise]))


@dataclass(frozen=True)
class Share:
    """floor(of × rate / 10000), `of` below zero counting as zero."""

    of: "Money"
    rate: Rate


@dataclass(frozen=True)
class Least:
    """The smallest member; unknown if one is."""

    members: tuple["Money", ...]


@dataclass(frozen=True)
class Total:
    members: tuple["Money", ...]


@dataclass(frozen=True)
class Remainder:
    """`of` less `less`, never below zero (what is left of a cap); `less` below zero counts as zero."""

    of: "Money"
    less: "Money"


@dataclass(frozen=True)
class Either:
    """The first member whose test is met, else `otherwise`. An earlier case unknown or manual makes it unknown."""

    cases: tuple[tuple[Test, "Money"], ...]
    otherwise: "Money"


Money = Fixed | FromFacts | Share | Least | Total | Remainder | Either


@dataclass(frozen=True)
class Benefit:
    """What meeting the criteria brings. `kind`: certificate, grant, tax, voucher, credit. `amount` None: not money,
    or not computable; `cap_fen` the most that a firm can get in a year (None: no cap), to which the amount is cut;
    `text` says it in words."""

    kind: str
    text: str
    amount: Money | None
    cap_fen: int | None
    clause: str
    quote: str


# --- the pack ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Criterion:
    """One testable clause. `test` is None exactly for kind score, `score` otherwise.

    A veto's test describes what excludes. An exemption stands in for the criteria named in `exempts` (`score` is the
    scoring as a whole): such a criterion is met if it or one of its exemptions is. `applies_when` unmet: n/a.
    `effort` (1 light … 5 hard) orders what a firm could change.
    """

    id: str
    title: str
    kind: Kind
    stage: Stage
    clause: str
    quote: str
    test: Test | None
    score: Score | None
    applies_when: Test | None
    exempts: tuple[str, ...]
    evidence: tuple[str, ...]
    effort: int


@dataclass(frozen=True)
class ClassOf:
    """A class, given to the entities for which no earlier class's test is met; `test` None is the rest."""

    id: str
    title: str
    test: Test | None


@dataclass(frozen=True)
class Classes:
    """The pack says what an entity is: its first class fills `field` where no source states it."""

    field: str
    classes: tuple[ClassOf, ...]
    clause: str
    quote: str


@dataclass(frozen=True)
class Window:
    """Days on which an application is taken, both included; `last` None while open."""

    first: dt.date
    last: dt.date | None
    text: str


@dataclass(frozen=True)
class Transition:
    """Until `until`, entities for which `when` is met are judged by another pack (by its id)."""

    id: str
    title: str
    when: Test
    pack: str
    until: dt.date | None
    clause: str
    quote: str


@dataclass(frozen=True)
class Parameter:
    """A named threshold. `unit` as the text gives it."""

    id: str
    title: str
    value: int
    unit: str


@dataclass(frozen=True)
class Variant:
    """Other parameter values for entities of a division (prefix of its GB/T 2260 code)."""

    id: str
    title: str
    division: str
    values: Mapping[str, int]
    source: str
    clause: str
    quote: str


@dataclass(frozen=True)
class Material:
    """A document that an application needs. `facts` are the fields that it proves; `kept`: the centre has it."""

    id: str
    title: str
    facts: tuple[str, ...]
    kept: bool


@dataclass(frozen=True)
class Stacking:
    """Benefits of one group for one contract together reach at most `max_bps` of it."""

    group: str
    max_bps: int
    clause: str
    quote: str


@dataclass(frozen=True)
class Pack:
    """A policy as data, for one set of parameter values (`variants` make others: see `at`).

    `division` is where it applies (330100: Hangzhou and its districts); entities elsewhere are no audience of it.
    """

    header: Publication
    division: str
    audience_text: str
    audience: Test | None
    no_application: bool
    windows: tuple[Window, ...]
    fields: Mapping[str, Field]
    parameters: tuple[Parameter, ...]
    variants: tuple[Variant, ...]
    variant: Variant | None
    classes: Classes | None
    criteria: tuple[Criterion, ...]
    scoring: Scoring | None
    benefit: Benefit | None
    stacking: Stacking | None
    transitions: tuple[Transition, ...]
    materials: tuple[Material, ...]

    @property
    def id(self) -> str:
        return self.header.id

    @property
    def digest(self) -> str:
        return self.header.digest

    def criterion(self, identifier: str) -> Criterion:
        """Raises KeyError."""
        for criterion in self.criteria:
            if criterion.id == identifier:
                return criterion
        raise KeyError(identifier)

    def at_stage(self, stage: Stage) -> tuple[Criterion, ...]:
        """The criteria asked at a stage: a claim is asked everything."""
        return tuple(c for c in self.criteria if stage is Stage.CLAIM or c.stage is Stage.ENTITLEMENT)


# --- walking ----------------------------------------------------------------------------------------------------------


def tests_of(test: Test | None) -> Iterator[Test]:
    """A test and all tests within, outermost first."""
    if test is not None:
        yield test
        if isinstance(test, (AllOf, AnyOf)):
            for member in test.tests:
                yield from tests_of(member)


def terms_of_measure(measure: Measure) -> tuple[Term, ...]:
    """The field values that a measure reads."""
    if isinstance(measure, Amount):
        return measure.terms
    if isinstance(measure, Ratio):
        return measure.numerator.terms + measure.denominator.terms
    if isinstance(measure, Growth):
        return measure.last, measure.first
    return (Term(measure.field),)


def reads(test: Test | None) -> Iterator[Term]:
    """The field values that a test reads (weights as they stand)."""
    for part in tests_of(test):
        if isinstance(part, Compare):
            yield from terms_of_measure(part.measure)
        elif isinstance(part, Flag):
            yield Term(part.field, part.year)
        elif isinstance(part, Certificate):
            yield from (Term(part.field), Term(part.until))
        elif isinstance(part, (Member, Dated)):
            yield Term(part.field)


def score_tests(score: Score) -> Iterator[Test]:
    """The tests in the steps of a score."""
    for way in score.alternatives:
        if isinstance(way, Stepped):
            for step in way.steps:
                yield step.test


def criterion_reads(criterion: Criterion) -> Iterator[Term]:
    """The field values that a criterion reads, those of `applies_when` included."""
    yield from reads(criterion.applies_when)
    yield from reads(criterion.test)
    if criterion.score is not None:
        for way in criterion.score.alternatives:
            if isinstance(way, Banded):
                yield from terms_of_measure(way.measure)
        for test in score_tests(criterion.score):
            yield from reads(test)


def money_reads(money: Money | None) -> Iterator[Term]:
    """The field values that a benefit formula reads."""
    if isinstance(money, FromFacts):
        yield from money.amount.terms
    elif isinstance(money, Share):
        yield from money_reads(money.of)
        for test, _ in money.rate.cases:
            yield from reads(test)
    elif isinstance(money, (Least, Total)):
        for member in money.members:
            yield from money_reads(member)
    elif isinstance(money, Remainder):
        yield from money_reads(money.of)
        yield from money_reads(money.less)
    elif isinstance(money, Either):
        for test, member in money.cases:
            yield from reads(test)
            yield from money_reads(member)
        yield from money_reads(money.otherwise)


def pack_reads(pack: Pack, stage: Stage = Stage.CLAIM) -> Iterator[Term]:
    """Every field value that evaluating a pack at a stage may read."""
    yield from reads(pack.audience)
    for transition in pack.transitions:
        yield from reads(transition.when)
    if pack.classes is not None:
        for each in pack.classes.classes:
            yield from reads(each.test)
    for criterion in pack.at_stage(stage):
        yield from criterion_reads(criterion)
    if pack.benefit is not None:
        yield from money_reads(pack.benefit.amount)
