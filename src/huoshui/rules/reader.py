"""From the text of a pack to the pack, strictly: every field, unit and name is checked while it is read.

The header is that of every publication (`terms.publication`). The body is described for policy officers in
docs/rules/format.md and for machines in `pack.schema.json`. Numbers are written as the notice writes them, with their
unit; here they become integers of the smallest unit (fen, basis points, months) or an error.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

from huoshui.terms import publication
from huoshui.terms.publication import TEXT_CHARACTERS_MAX, Fields, Publication

from .errors import RuleError
from .fields import AGE, FIELDS, KINDS, MONEY, SHARE, Field
from .model import (
    NATIONAL,
    Age,
    AllOf,
    Amount,
    AnyOf,
    Band,
    Banded,
    Benefit,
    Certificate,
    Classes,
    ClassOf,
    Compare,
    Criterion,
    Dated,
    Either,
    Fixed,
    Flag,
    FromFacts,
    Growth,
    Kind,
    Least,
    Manual,
    Material,
    Measure,
    Member,
    Money,
    Op,
    Pack,
    Parameter,
    Part,
    Rate,
    Ratio,
    Remainder,
    Score,
    Scoring,
    Share,
    Stacking,
    Stage,
    Step,
    Stepped,
    Term,
    Test,
    Threshold,
    Total,
    Transition,
    Variant,
    Window,
)

KIND: Final = "rule_pack"
CRITERIA_MAX: Final = 200
TESTS_MAX: Final = 100
BANDS_MAX: Final = 30
YEARS_MAX: Final = 10
POINTS_MAX: Final = 1_000
EFFORT_MAX: Final = 5
EFFORT_USUAL: Final = 3
NUMBER_MAX: Final = 10**15
BENEFITS: Final = ("certificate", "grant", "tax", "voucher", "credit")
YEARS: Final = MappingProxyType({"this_year": 0, "last_year": -1, "year_before_last": -2})
COMPARISONS: Final = tuple(op.value for op in Op)
MEMBERSHIPS: Final = ("in", "not_in", "starts_with", "not_starts_with")
DATES: Final = MappingProxyType({"on_or_before": Op.LE, "on_or_after": Op.GE})
OPERATORS: Final = (*COMPARISONS, *MEMBERSHIPS, *DATES, "is", "valid", "all_of", "any_of", "manual")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def load(text: str) -> Pack:
    """Read a pack. Raises RuleError or TermError naming the path, the value and the rule."""
    return publication.load(text, {KIND: from_publication})[1]


def from_publication(header: Publication) -> Pack:
    """The pack of a publication of kind `rule_pack`. Raises RuleError, TermError."""
    return _Reader(header).pack()


def at(pack: Pack, variant: str) -> Pack:
    """The pack with the parameter values of one of its variants. Raises KeyError."""
    return _Reader(pack.header, variant).pack()


def number(value: object, where: str, factor: int) -> int:
    """`value` × `factor` as a whole number; `value` is a whole number or decimal text such as "2.5"."""
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not _NUMBER.fullmatch(text):
        raise RuleError(where, value, "integer", min=-NUMBER_MAX, max=NUMBER_MAX)
    try:
        scaled = Decimal(text) * factor
    except InvalidOperation as error:  # pragma: no cover - the pattern admits only numbers
        raise RuleError(where, value, "integer", min=-NUMBER_MAX, max=NUMBER_MAX) from error
    if scaled != scaled.to_integral_value():
        raise RuleError(where, value, "threshold_places", places=len(str(factor)) - 1)
    if abs(scaled) > NUMBER_MAX:
        raise RuleError(where, value, "integer", min=-NUMBER_MAX, max=NUMBER_MAX)
    return int(scaled)


class _Reader:
    """Reads one document once; holds what names refer to."""

    def __init__(self, header: Publication, variant: str | None = None) -> None:
        self.header, self.body = header, header.body_fields()
        self.fields: dict[str, Field] = dict(FIELDS)
        self.parameters: dict[str, Parameter] = {}
        self.variant_id = variant
        self.claims_allowed = True

    def pack(self) -> Pack:
        body = self.body
        self._read_fields()
        parameters = self._parameters()
        variants = self._variants()
        variant = None
        if self.variant_id is not None:
            variant = {each.id: each for each in variants}[self.variant_id]
            for name, value in variant.values.items():
                self.parameters[name] = replace(self.parameters[name], value=value)
        audience = body.fields("audience")
        classes = self._classes()
        criteria = self._criteria()
        pack = Pack(
            header=self.header,
            division=self._division(body, "division") if "division" in body else NATIONAL,
            audience_text=audience.text("text", max_characters=500),
            audience=self._test_at(audience, "test") if "test" in audience else None,
            no_application=body.boolean("no_application") if "no_application" in body else False,
            windows=self._windows(),
            fields=MappingProxyType(self.fields),
            parameters=tuple(self.parameters[each.id] for each in parameters),
            variants=variants,
            variant=variant,
            classes=classes,
            criteria=criteria,
            scoring=self._scoring(criteria),
            benefit=self._benefit(),
            stacking=self._stacking(),
            transitions=self._transitions(),
            materials=self._materials(),
        )
        audience.done()
        body.done()
        return pack

    # --- vocabulary -----------------------------------------------------------------------------------------------

    def _read_fields(self) -> None:
        for row in self._rows("fields", CRITERIA_MAX):
            code = row.identifier("code")
            kind = row.choice("kind", KINDS)
            unit = row.text("unit", max_characters=20) if "unit" in row else ""
            places = row.integer("places", 0, 6) if "places" in row else 0
            periodic = row.boolean("periodic") if "periodic" in row else False
            field = Field(code, row.text("title", max_characters=200), kind, unit, places, periodic)
            if FIELDS.get(code, field) != field:
                raise RuleError(row.path("code"), code, "field_redefined")
            self.fields[code] = field

    def _field(self, code: object, where: str, *kinds: str) -> Field:
        if not isinstance(code, str) or code not in self.fields:
            raise RuleError(where, code, "field_unknown")
        field = self.fields[code]
        if kinds and field.kind not in kinds:
            raise RuleError(where, code, "field_kind", kinds="/".join(kinds), code=code, kind=field.kind)
        if field.of_claim and not self.claims_allowed:
            raise RuleError(where, code, "claim_stage", code=code)
        return field

    def _parameters(self) -> list[Parameter]:
        for row in self._rows("parameters", CRITERIA_MAX):
            name, unit = row.identifier("id"), row.text("unit", max_characters=20)
            if name in self.parameters:
                raise RuleError(row.path("id"), name, "unique")
            value = number(row.value("value"), row.path("value"), self._factor_of_unit(unit))
            self.parameters[name] = Parameter(name, row.text("title", max_characters=200), value, unit)
        return list(self.parameters.values())

    @staticmethod
    def _factor_of_unit(unit: str) -> int:
        """Smallest units in one unit, for units that say it by themselves."""
        return {SHARE: 100, **MONEY, **AGE}.get(unit, 1)

    def _variants(self) -> tuple[Variant, ...]:
        variants = []
        for row in self._rows("variants", CRITERIA_MAX):
            values = {}
            given = row.fields("parameters")
            for name in given.names():
                parameter = self._parameter(name, given.path(name))
                values[name] = number(given.value(name), given.path(name), self._factor_of_unit(parameter.unit))
            variants.append(Variant(
                row.identifier("id"), row.text("title", max_characters=200), self._division(row, "division"),
                MappingProxyType(values), row.text("source", max_characters=1000), *self._cited(row),
            ))  # fmt: skip
        self._unique([each.id for each in variants], "body.variants")
        return tuple(variants)

    def _parameter(self, name: object, where: str) -> Parameter:
        if not isinstance(name, str) or name not in self.parameters:
            raise RuleError(where, name, "parameter_unknown", known=", ".join(self.parameters))
        return self.parameters[name]

    # --- measures -------------------------------------------------------------------------------------------------

    def _terms(self, code: object, where: str, years: tuple[int, ...] | None, weight: int = 1) -> tuple[Term, ...]:
        field = self._field(code, where, "integer", "decimal")
        if field.periodic and years is None:
            raise RuleError(where, code, "period_needed", code=field.code)
        if not field.periodic:
            return (Term(field.code, None, weight),)
        return tuple(Term(field.code, year, weight) for year in years or ())

    def _amount(self, value: object, where: str, years: tuple[int, ...] | None) -> tuple[Amount, Field]:
        """A field, or {sum: […]}, or {difference: [a, b]}."""
        if isinstance(value, str):
            return Amount(self._terms(value, where, years)), self._field(value, where)
        fields = Fields(value, where)
        key = fields.choice_of("sum", "difference")
        items = fields.items(key, minimum=2, maximum=20 if key == "sum" else 2)
        signs = [1] * len(items) if key == "sum" else [1, -1]
        fields.done()
        signed = zip(items, signs, strict=True)
        terms = [term for (path, code), sign in signed for term in self._terms(code, path, years, sign)]
        members = [self._field(code, path) for path, code in items]
        units = sorted({member.unit for member in members})
        if len(units) > 1:
            raise RuleError(where, [code for _, code in items], "units_differ", units=", ".join(units))
        self._same_places(where, *members)
        return Amount(tuple(terms)), members[0]

    @staticmethod
    def _same_places(where: str, *fields: Field) -> None:
        """Values are integers of the smallest unit: what is added or divided must have one."""
        if len({field.places for field in fields}) > 1:
            found = ", ".join(f"{field.code} {field.places}" for field in fields)
            raise RuleError(where, [field.code for field in fields], "places_differ", found=found)

    def _measure(self, value: object, where: str, years: tuple[int, ...] | None) -> tuple[Measure, Field | None, str]:
        """A measure, the field that gives its unit (amounts only), and the dimension: amount, share or age."""
        if isinstance(value, Mapping) and not {"sum", "difference"} & set(value):
            fields = Fields(value, where)
            key = fields.choice_of("ratio", "growth", "age")
            if key == "ratio":
                (over, a), (under, b) = fields.items(key, minimum=2, maximum=2)
                fields.done()
                (numerator, above), (denominator, below) = self._amount(a, over, years), self._amount(b, under, years)
                self._same_places(where, above, below)
                return Ratio(numerator, denominator), None, "share"
            if key == "growth":
                field = self._field(fields.text(key), fields.path(key), "integer", "decimal")
                fields.done()
                if not field.periodic or years is None or len(years) < 2:
                    raise RuleError(fields.path(key), field.code, "period_needed", code=field.code)
                first, last = min(years), max(years)
                return Growth(Term(field.code, last), Term(field.code, first), last - first), None, "share"
            field = self._field(fields.text(key), fields.path(key), "date")
            at_year_end = fields.choice("at", ("today", "year_end")) == "year_end" if "at" in fields else False
            fields.done()
            return Age(field.code, at_year_end), None, "age"
        amount, field = self._amount(value, where, years)
        return amount, field, "amount"

    def _years(self, fields: Fields) -> tuple[tuple[int, ...] | None, bool]:
        """The years that `period` names, and whether each of them is asked by itself."""
        if "period" not in fields:
            return None, False
        value = fields.value("period")
        if isinstance(value, str):
            return (YEARS[fields.choice("period", tuple(YEARS))],), False
        inner = fields.fields("period")
        key = inner.choice_of("sum", "each", "growth")
        count = inner.integer(key, 1 if key != "growth" else 2, YEARS_MAX)
        inner.done()
        years = tuple(range(-count, 0))
        return years, key == "each"

    def _factor(self, fields: Fields, dimension: str, field: Field | None) -> tuple[int, str]:
        """Smallest units in one unit of the text, and that unit."""
        unit = fields.text("unit", max_characters=20) if "unit" in fields else ""
        if dimension == "share":
            allowed: Mapping[str, int] = {SHARE: 100}
        elif dimension == "age":
            allowed = AGE
        else:
            assert field is not None, "an amount has a field"
            allowed = MONEY if field.is_money else {field.unit: 10**field.places}
        if unit not in allowed:
            raise RuleError(fields.path("unit"), unit or None, "unit_mismatch", expected="/".join(allowed) or "none")
        return allowed[unit], unit

    # --- tests ----------------------------------------------------------------------------------------------------

    def _test_at(self, fields: Fields, key: str) -> Test:
        inner = fields.fields(key)
        test = self._test(inner)
        inner.done()
        return test

    def _tests(self, fields: Fields, key: str) -> tuple[Test, ...]:
        return tuple(self._test(row) for row in fields.rows(key, minimum=1, maximum=TESTS_MAX))

    def _test(self, fields: Fields) -> Test:
        op = fields.text("op")
        if op in COMPARISONS:
            return self._compare(fields, Op(op))
        if op in MEMBERSHIPS:
            field = self._field(fields.value("of"), fields.path("of"), "text")
            items = fields.items("values", minimum=1, maximum=2_000)
            for path, item in items:
                if not isinstance(item, str):
                    raise RuleError(path, item, "text", max=200)
            values = tuple(str(item) for _, item in items)
            return Member(field.code, values, prefix="starts" in op, negated=op.startswith("not_"))
        if op in DATES:
            field = self._field(fields.value("of"), fields.path("of"), "date")
            day = None if fields.value("value") == "today" else fields.date("value")
            return Dated(field.code, DATES[op], day)
        if op == "is":
            field = self._field(fields.value("of"), fields.path("of"), "boolean")
            years, each = self._years(fields)
            if field.periodic and years is None:
                raise RuleError(fields.path("of"), field.code, "period_needed", code=field.code)
            flags = tuple(Flag(field.code, fields.boolean("value"), year) for year in (years or (None,)))
            return flags[0] if len(flags) == 1 else AllOf(flags)
        if op == "valid":
            field = self._field(fields.value("of"), fields.path("of"), "boolean")
            self._field(f"{field.code}.until", fields.path("of"), "date")
            return Certificate(field.code)
        if op in ("all_of", "any_of"):
            tests = self._tests(fields, "tests")
            return AllOf(tests) if op == "all_of" else AnyOf(tests)
        if op == "manual":
            return Manual(fields.text("question", max_characters=500))
        raise RuleError(fields.path("op"), op, "operator_unknown", known=", ".join(OPERATORS))

    def _compare(self, fields: Fields, op: Op) -> Test:
        years, each = self._years(fields)
        of, where = fields.value("of"), fields.path("of")
        spans = [(year,) for year in years or ()] if each else [years]
        tests = []
        for span in spans:
            measure, field, dimension = self._measure(of, where, span)
            factor, unit = self._factor(fields, dimension, field)
            tests.append(Compare(measure, op, self._threshold(fields, factor), unit))
        return tests[0] if len(tests) == 1 else AllOf(tuple(tests))

    def _threshold(self, fields: Fields, factor: int) -> Threshold:
        if "parameter" not in fields:
            return Threshold(number(fields.value("value"), fields.path("value"), factor))
        parameter = self._parameter(fields.value("parameter"), fields.path("parameter"))
        if self._factor_of_unit(parameter.unit) != factor:
            raise RuleError(fields.path("parameter"), parameter.unit, "unit_mismatch", expected=fields.text("unit"))
        return Threshold(parameter.value, parameter.id)

    # --- criteria -------------------------------------------------------------------------------------------------

    @staticmethod
    def _cited(fields: Fields) -> tuple[str, str]:
        return fields.text("clause", max_characters=200), fields.text("quote", max_characters=2_000)

    def _criteria(self) -> tuple[Criterion, ...]:
        rows = self.body.rows("criteria", minimum=1, maximum=CRITERIA_MAX)
        criteria = tuple(self._criterion(row) for row in rows)
        known = {criterion.id: criterion.kind for criterion in criteria}
        self._unique([criterion.id for criterion in criteria], "body.criteria")
        for criterion in criteria:
            for name in criterion.exempts:
                if name == "score":
                    continue
                where = f"body.criteria.{criterion.id}.exempts"
                if name not in known:
                    raise RuleError(where, name, "criterion_unknown", known=", ".join(known))
                if known[name] not in (Kind.HARD, Kind.MANUAL):
                    raise RuleError(where, name, "veto_exempt")
        return criteria

    def _criterion(self, row: Fields) -> Criterion:
        kind = Kind(row.choice("kind", tuple(Kind)))
        stage = Stage(row.choice("stage", tuple(Stage))) if "stage" in row else Stage.ENTITLEMENT
        self.claims_allowed = stage is Stage.CLAIM
        if ("score" in row, "test" in row) != (kind is Kind.SCORE, kind is not Kind.SCORE):
            raise RuleError(row.path("test"), kind.value, "test_or_score")
        clause, quote = self._cited(row)
        criterion = Criterion(
            id=row.identifier("id"),
            title=row.text("title", max_characters=200),
            kind=kind,
            stage=stage,
            clause=clause,
            quote=quote,
            test=self._test_at(row, "test") if "test" in row else None,
            score=self._score(row.fields("score")) if "score" in row else None,
            applies_when=self._test_at(row, "applies_when") if "applies_when" in row else None,
            exempts=self._names(row, "exempts"),
            evidence=self._texts(row, "evidence", 0, 20),
            effort=row.integer("effort", 1, EFFORT_MAX) if "effort" in row else EFFORT_USUAL,
        )
        self.claims_allowed = True
        if (kind is Kind.EXEMPTION) != bool(criterion.exempts):
            raise RuleError(row.path("exempts"), list(criterion.exempts), "veto_exempt")
        return criterion

    @staticmethod
    def _names(row: Fields, key: str) -> tuple[str, ...]:
        return _Reader._texts(row, key, 1, CRITERIA_MAX)

    @staticmethod
    def _texts(row: Fields, key: str, minimum: int, maximum: int) -> tuple[str, ...]:
        """A list of texts, empty where it is left out."""
        items = row.items(key, minimum=minimum, maximum=maximum) if key in row else []
        for path, item in items:
            if not isinstance(item, str) or not item.strip():
                raise RuleError(path, item, "text", max=TEXT_CHARACTERS_MAX)
        return tuple(str(item) for _, item in items)

    def _score(self, fields: Fields) -> Score:
        if "best_of" in fields:
            ways = tuple(self._way(row) for row in fields.rows("best_of", minimum=1, maximum=5))
        else:
            ways = (self._way(fields),)
        fields.done()
        return Score(ways)

    def _way(self, fields: Fields) -> Banded | Stepped:
        if "steps" in fields:
            steps = tuple(
                Step(row.integer("points", 0, POINTS_MAX), self._test_at(row, "test"))
                for row in fields.rows("steps", minimum=1, maximum=BANDS_MAX)
            )
            otherwise = fields.integer("otherwise", 0, POINTS_MAX)
            points = [*(step.points for step in steps), otherwise]
            if any(a <= b for a, b in zip(points, points[1:], strict=False)):
                raise RuleError(fields.path("steps"), points, "steps_fall")
            return Stepped(steps, otherwise)
        years, each = self._years(fields)
        if each:
            raise RuleError(fields.path("period"), "each", "nested_each")
        measure, field, dimension = self._measure(fields.value("of"), fields.path("of"), years)
        factor, unit = self._factor(fields, dimension, field)
        bands = []
        for row in fields.rows("bands", minimum=1, maximum=BANDS_MAX):
            low, high = (
                number(row.value(key), row.path(key), factor) if key in row else None for key in ("from", "to")
            )
            if (low is None and high is None) or (low is not None and high is not None and low >= high):
                raise RuleError(row.path("from"), [low, high], "bands_shape")
            bands.append(Band(low, high, row.integer("points", 0, POINTS_MAX)))
        return Banded(measure, unit, tuple(bands))

    def _scoring(self, criteria: tuple[Criterion, ...]) -> Scoring | None:
        scored = {criterion.id for criterion in criteria if criterion.kind is Kind.SCORE}
        if "scoring" not in self.body:
            if scored:
                raise RuleError("body.scoring", None, "required")
            return None
        fields = self.body.fields("scoring")
        parts, placed = [], list[str]()
        for row in fields.rows("parts", minimum=1, maximum=20):
            names = self._names(row, "criteria")
            for name in names:
                if name not in scored:
                    raise RuleError(row.path("criteria"), name, "criterion_unknown", known=", ".join(sorted(scored)))
            placed += names
            minimum = row.integer("minimum", 0, POINTS_MAX) if "minimum" in row else 0
            parts.append(Part(row.identifier("id"), row.text("title", max_characters=200), minimum, names))
        if sorted(placed) != sorted(scored):
            raise RuleError("body.scoring.parts", sorted(placed), "criterion_unknown", known=", ".join(sorted(scored)))
        scoring = Scoring(fields.integer("threshold", 1, 100_000), tuple(parts), *self._cited(fields))
        fields.done()
        return scoring

    def _classes(self) -> Classes | None:
        if "classes" not in self.body:
            return None
        fields = self.body.fields("classes")
        field = self._field(fields.value("field"), fields.path("field"), "text")
        classes = list[ClassOf]()
        for row in fields.rows("of", minimum=2, maximum=20):
            if classes and classes[-1].test is None:
                raise RuleError(row.path("test"), None, "class_last")
            test = self._test_at(row, "test") if "test" in row else None
            classes.append(ClassOf(row.identifier("id"), row.text("title", max_characters=100), test))
        result = Classes(field.code, tuple(classes), *self._cited(fields))
        fields.done()
        return result

    # --- benefit --------------------------------------------------------------------------------------------------

    def _benefit(self) -> Benefit | None:
        if "benefit" not in self.body:
            return None
        fields = self.body.fields("benefit")
        cap = None
        if "cap" in fields:
            inner = fields.fields("cap")
            cap = number(inner.value("value"), inner.path("value"), self._money_factor(inner))
            inner.done()
        benefit = Benefit(
            fields.choice("kind", BENEFITS),
            fields.text("text", max_characters=1_000),
            self._money(fields.fields("amount")) if "amount" in fields else None,
            cap,
            *self._cited(fields),
        )
        fields.done()
        return benefit

    def _money_factor(self, fields: Fields) -> int:
        return MONEY[fields.choice("unit", tuple(MONEY))]

    def _money(self, fields: Fields) -> Money:
        key = fields.choice_of("fixed", "of", "share", "least", "total", "remainder", "cases")
        money = self._money_by_key(fields, key)
        fields.done()
        return money

    def _money_by_key(self, fields: Fields, key: str) -> Money:
        if key == "fixed":
            return Fixed(number(fields.value(key), fields.path(key), self._money_factor(fields)))
        if key == "of":
            amount, field = self._amount(fields.value(key), fields.path(key), self._years(fields)[0])
            if not field.is_money:
                raise RuleError(fields.path(key), field.code, "unit_mismatch", expected="/".join(MONEY))
            return FromFacts(amount)
        if key == "share":
            return Share(self._money(fields.fields("share")), self._rate(fields.fields("rate")))
        if key in ("least", "total"):
            members = tuple(self._money(row) for row in fields.rows(key, minimum=2, maximum=20))
            return Least(members) if key == "least" else Total(members)
        if key == "remainder":
            return Remainder(self._money(fields.fields("remainder")), self._money(fields.fields("less")))
        cases = tuple(
            (self._test_at(row, "when"), self._money(row.fields("then")))
            for row in fields.rows("cases", minimum=1, maximum=BANDS_MAX)
        )
        return Either(cases, self._money(fields.fields("otherwise")))

    def _rate(self, fields: Fields) -> Rate:
        cases = tuple(
            (self._test_at(row, "when"), self._percent(row, "then"))
            for row in (fields.rows("cases", minimum=1, maximum=BANDS_MAX) if "cases" in fields else ())
        )
        otherwise = self._percent(fields, "otherwise") if "otherwise" in fields or not cases else None
        fields.done()
        return Rate(cases, otherwise)

    @staticmethod
    def _percent(fields: Fields, key: str) -> int:
        """Basis points of a percentage such as 30 or "12.5"; at most 1000 %."""
        bps = number(fields.value(key), fields.path(key), 100)
        if not 0 <= bps <= 100_000:
            raise RuleError(fields.path(key), bps, "integer", min=0, max=1_000)
        return bps

    # --- the rest -------------------------------------------------------------------------------------------------

    def _stacking(self) -> Stacking | None:
        if "stacking" not in self.body:
            return None
        fields = self.body.fields("stacking")
        stacking = Stacking(fields.identifier("group"), self._percent(fields, "max"), *self._cited(fields))
        fields.done()
        return stacking

    def _windows(self) -> tuple[Window, ...]:
        return tuple(
            Window(row.date("from"), row.date("to") if "to" in row else None, row.text("text", max_characters=500))
            for row in self._rows("windows", 50)
        )

    def _transitions(self) -> tuple[Transition, ...]:
        return tuple(
            Transition(
                row.identifier("id"), row.text("title", max_characters=200), self._test_at(row, "when"),
                row.identifier("pack"), row.date("until") if "until" in row else None, *self._cited(row),
            )
            for row in self._rows("transitions", 20)
        )  # fmt: skip

    def _materials(self) -> tuple[Material, ...]:
        return tuple(
            Material(
                row.identifier("id"), row.text("title", max_characters=200),
                tuple(self._field(code, path).code for path, code in row.items("facts", maximum=50))
                if "facts" in row else (),
                row.boolean("kept") if "kept" in row else False,
            )
            for row in self._rows("materials", 50)
        )  # fmt: skip

    def _rows(self, key: str, maximum: int) -> Any:
        return self.body.rows(key, maximum=maximum) if key in self.body else ()

    @staticmethod
    def _division(fields: Fields, key: str) -> str:
        code = fields.text(key)
        if not re.fullmatch(r"\d{6}", code, re.ASCII):
            raise RuleError(fields.path(key), code, "text", max=6)
        return code

    @staticmethod
    def _unique(names: list[str], where: str) -> None:
        for name in names:
            if names.count(name) > 1:
                raise RuleError(where, name, "unique")


