"""Lint: what looks wrong with a pack, where, and how bad. Codes and parameters; `words.finding` makes the sentence.

The idea: most errors of a clause are a difference between two things that the pack states itself, so every check
compares: the test with its quote (`lint_quotes`), tests with one another and with what their unit allows
(`lint_logic`), formula, cap, dates and names of the pack with each other (here). An error cannot be right, a warning
should be looked at, a note is worth knowing.

    for found in lint(text, on=today, known_packs={pack.id: pack}, notice=text_of_the_notice): …
"""

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from huoshui.terms.errors import TermError

from . import lint_logic, lint_quotes, quotes
from .findings import ERROR, LEVELS, NOTE, WARNING, Finding, finding
from .lexicon import NEGATIVE
from .lint_places import Place, places
from .model import (
    BPS,
    NATIONAL,
    Compare,
    Dated,
    Either,
    Fixed,
    Kind,
    Least,
    Manual,
    Member,
    Money,
    Pack,
    Rate,
    Remainder,
    Share,
    Stage,
    Total,
    criterion_reads,
    pack_reads,
    tests_of,
)
from .reader import load

ENDS_WITHIN_MONTHS: Final = 12
CYCLE_STEPS_MAX: Final = 100
SENTENCE_MIN: Final = 6
_UNTIL: Final = re.compile(r"(?:至|截止|截至|到)\s*(\d{4})\s*[年./-]\s*(\d{1,2})\s*[月./-]\s*(\d{1,2})")
_DAY: Final = r"(\d{4})\s*[年./-]\s*(\d{1,2})\s*[月./-]\s*(\d{1,2})\s*日?"
_FROM: Final = re.compile(rf"{_DAY}起(?:施行|实施|执行|生效)")
_YEAR_OF_DOCUMENT: Final = re.compile(r"[〔\[](\d{4})[〕\]]")
_ITEM: Final = re.compile(r"^(.*?)[（(]([一二三四五六七八九十]+)[）)]\s*\d*$")

__all__ = ["Finding", "lint"]


def lint(
    pack: Pack | str,
    *,
    on: dt.date | None = None,
    known_packs: Mapping[str, Pack] | None = None,
    notice: str | None = None,
) -> list[Finding]:
    """Findings of a pack or of its text, worst first, then in the order of the document.

    `on`: a day, for what ends or has ended. `known_packs`: packs by id, for what this one names. `notice`: the text
    of the notice, in which every quote must stand. A text that does not load is one error, and nothing more is looked
    at.
    """
    if isinstance(pack, str):
        try:
            pack = load(pack)
        except TermError as error:
            return [Finding(error.rule, error.field, ERROR, dict(error.params) | {"value": str(error.value)[:200]})]
    cited = places(pack)
    found = [
        *lint_quotes.check(pack, cited),
        *lint_logic.check(pack),
        *_scoring(pack),
        *_benefit(pack),
        *_dates(pack, cited),
        *_names(pack, known_packs),
        *_completeness(pack),
        *_clauses(cited),
    ]
    if on is not None:
        found += _ends(pack, on)
    if notice is not None:
        found += [*_in_notice(cited, notice), *_unquoted(cited, notice)]
    unique = list({(each.code, each.path, repr(sorted(each.params.items()))): each for each in found}.values())
    return sorted(unique, key=lambda each: (LEVELS.index(each.level), _order(each.path)))


def _order(path: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.\[\]]+", path) if part)


# --- scoring and money ------------------------------------------------------------------------------------------------


def _scoring(pack: Pack) -> Iterator[Finding]:
    if pack.scoring is None:
        return
    highest = {c.id: c.score.points[-1] for c in pack.criteria if c.score is not None}
    lowest = {c.id: c.score.points[0] for c in pack.criteria if c.score is not None}
    for index, part in enumerate(pack.scoring.parts):
        most = sum(highest[name] for name in part.criteria)
        path = f"body.scoring.parts[{index}]"
        if part.minimum > most:
            yield finding("part_unreachable", path, ERROR, minimum=part.minimum, most=most)
        elif part.minimum and part.minimum <= sum(lowest[name] for name in part.criteria):
            yield finding("part_always", path, WARNING, minimum=part.minimum)
        if not part.minimum and part.title in pack.scoring.quote:
            yield finding("part_without_minimum", path, WARNING, title=part.title)
        said = _minimum_said(part.title, pack.scoring.quote)
        if part.minimum and said and said != part.minimum:
            yield finding("part_minimum_differs", f"{path}.minimum", ERROR, minimum=part.minimum, stated=said)
        stated = [s.value for s in quotes.read(part.title).of(quotes.POINTS)]
        if stated and most not in stated:
            yield finding("part_total_differs", path, WARNING, most=most, stated=int(stated[0]))
    total = sum(highest.values())
    if pack.scoring.threshold > total:
        yield finding("score_unreachable", "body.scoring.threshold", ERROR, most=total)
    if pack.scoring.threshold <= sum(lowest.values()):
        yield finding("score_always", "body.scoring.threshold", ERROR, least=sum(lowest.values()))
    if total != 100:
        yield finding("score_total", "body.scoring", WARNING, most=total)
    if sum(part.minimum for part in pack.scoring.parts) > pack.scoring.threshold:
        yield finding("parts_over_threshold", "body.scoring.threshold", WARNING)


def _minimum_said(title: str, quote: str) -> int | None:
    """The first points that the quote of a scoring states after it names a part."""
    at = quote.find(title)
    after = [stated for stated in quotes.read(quote).of(quotes.POINTS) if stated.start > at >= 0]
    return int(after[0].value) if after else None


def most_fen(money: Money) -> int | None:
    """The most that a formula can give; None where facts set no bound."""
    if isinstance(money, Fixed):
        return money.fen
    if isinstance(money, Least):
        bounds = [bound for bound in map(most_fen, money.members) if bound is not None]
        return min(bounds) if bounds else None
    if isinstance(money, (Total, Either)):
        members = money.members if isinstance(money, Total) else (*(then for _, then in money.cases), money.otherwise)
        every = [most_fen(member) for member in members]
        known = [bound for bound in every if bound is not None]
        return (sum(known) if isinstance(money, Total) else max(known)) if len(known) == len(every) else None
    if isinstance(money, Remainder):
        return most_fen(money.of)
    if isinstance(money, Share):
        base = most_fen(money.of)
        return None if base is None else base * money.rate.highest // BPS
    return None


def _parts(money: Money, path: str) -> Iterator[tuple[Money, str]]:
    """A formula and all formulas within, each with its path."""
    yield money, path
    if isinstance(money, Share):
        yield from _parts(money.of, f"{path}.share")
    elif isinstance(money, (Least, Total)):
        for index, member in enumerate(money.members):
            yield from _parts(member, f"{path}.{'least' if isinstance(money, Least) else 'total'}[{index}]")
    elif isinstance(money, Remainder):
        yield from _parts(money.of, f"{path}.remainder")
        yield from _parts(money.less, f"{path}.less")
    elif isinstance(money, Either):
        for index, (_, then) in enumerate(money.cases):
            yield from _parts(then, f"{path}.cases[{index}].then")
        yield from _parts(money.otherwise, f"{path}.otherwise")


def _benefit(pack: Pack) -> Iterator[Finding]:
    benefit = pack.benefit
    if benefit is None:
        if pack.classes is None:
            yield finding("benefit_missing", "body.benefit", NOTE)
        return
    if benefit.amount is None:
        return
    spends = benefit.kind in ("grant", "voucher", "credit")
    most = most_fen(benefit.amount)
    for part, path in _parts(benefit.amount, "body.benefit.amount"):
        if isinstance(part, Share):
            yield from _rate(part.rate, f"{path}.rate", spends)
        if isinstance(part, Fixed) and benefit.cap_fen is not None and part.fen > benefit.cap_fen:
            yield finding("amount_over_cap", "body.benefit.cap", ERROR, amount_fen=part.fen, cap_fen=benefit.cap_fen)
        if isinstance(part, Fixed) and part.fen <= 0:
            yield finding("amount_zero", path, WARNING)
    if benefit.cap_fen is not None and benefit.cap_fen <= 0:
        yield finding("cap_zero", "body.benefit.cap", ERROR)
    if most is None and benefit.cap_fen is None and spends:
        yield finding("uncapped", "body.benefit", WARNING)
    if most is not None and benefit.cap_fen is not None and most < benefit.cap_fen:
        yield finding("cap_unreachable", "body.benefit.cap", WARNING, amount_fen=most, cap_fen=benefit.cap_fen)


def _rate(rate: Rate, path: str, spends: bool) -> Iterator[Finding]:
    shares = [(bps, f"{path}.cases[{index}].then") for index, (_, bps) in enumerate(rate.cases)]
    if rate.otherwise is not None:
        shares.append((rate.otherwise, f"{path}.otherwise"))
    for bps, where in shares:
        if bps > BPS and spends:
            yield finding("share_over_whole", where, ERROR)
        elif bps == 0:
            yield finding("share_zero", where, NOTE)
    for index, (when, _) in enumerate(rate.cases):
        own = lint_logic.limit(when)
        for earlier, _ in rate.cases[:index]:
            other = lint_logic.limit(earlier)
            if when == earlier or (own and other and own.key == other.key and own.within(other)):
                yield finding("case_unreachable", f"{path}.cases[{index}]", ERROR)
                break


# --- dates ------------------------------------------------------------------------------------------------------------


def _months_later(day: dt.date, months: int) -> dt.date:
    years, month = divmod(day.month - 1 + months, 12)
    return dt.date(day.year + years, month + 1, min(day.day, 28))


def _ends(pack: Pack, on: dt.date) -> Iterator[Finding]:
    header = pack.header
    if header.effective_to is not None:
        if header.effective_to < on:
            yield finding("ended", "effective_to", WARNING, day=header.effective_to.isoformat())
        elif header.effective_to <= _months_later(on, ENDS_WITHIN_MONTHS):
            yield finding("ends_soon", "effective_to", WARNING, day=header.effective_to.isoformat())
    if header.effective_from > on:
        yield finding("not_yet", "effective_from", NOTE, day=header.effective_from.isoformat())
    ends = [window.last for window in pack.windows if window.last is not None]
    if ends and len(ends) == len(pack.windows) and max(ends) < on:
        yield finding("window_ended", f"body.windows[{len(pack.windows) - 1}]", NOTE, day=max(ends).isoformat())


def _dates(pack: Pack, cited: Sequence[Place]) -> Iterator[Finding]:
    header = pack.header
    for index, window in enumerate(pack.windows):
        path = f"body.windows[{index}]"
        if window.last is not None and window.last < window.first:
            yield finding("window_order", path, ERROR)
        late = header.effective_to is not None and (window.last or window.first) > header.effective_to
        if window.first < header.effective_from or late:
            yield finding("window_outside", path, WARNING)
        elif window.last is not None and (window.last - window.first).days > 366:
            yield finding("window_long", path, NOTE)
        stated = re.search(r"(\d{4})年", quotes.narrow(window.text))
        if stated and int(stated.group(1)) not in (window.first.year, (window.last or window.first).year):
            yield finding("window_year_differs", path, WARNING, stated=int(stated.group(1)))
    for index, transition in enumerate(pack.transitions):
        path = f"body.transitions[{index}].until"
        if transition.until is not None and transition.until < header.effective_from:
            yield finding("transition_over", path, ERROR)
        elif transition.until is not None and header.effective_to and transition.until > header.effective_to:
            yield finding("transition_outlasts", path, WARNING)
        days = [test.day for test in tests_of(transition.when) if isinstance(test, Dated) and test.day is not None]
        said = quotes.read(f"{transition.quote}{transition.title}")
        if transition.until is not None and said.dates and transition.until not in said.dates:
            yield finding("date_differs", path, ERROR, day=transition.until.isoformat(), stated=str(said.dates[0]))
        elif transition.until is not None and days and transition.until < max(days):
            yield finding("transition_short", path, WARNING, day=max(days).isoformat())
    yield from _stated_dates(pack, cited)


def _stated_dates(pack: Pack, cited: Sequence[Place]) -> Iterator[Finding]:
    """What the quotes and the header say about beginning and end, against the dates of the header."""
    header = pack.header
    texts = [place.text for place in cited if not place.path.startswith("body.transitions")]
    own = "\n".join([*texts, header.note or "", header.source])
    ends, starts = set(_found(_UNTIL, own)), set(_found(_FROM, own))
    if ends and header.effective_to is None:
        yield finding("end_missing", "effective_from", WARNING, stated=min(ends).isoformat())
    elif ends and header.effective_to not in ends:
        yield finding("end_differs", "effective_to", WARNING, stated=min(ends).isoformat())
    if starts and header.effective_from not in starts:
        yield finding("start_differs", "effective_from", WARNING, stated=min(starts).isoformat())
    years = [int(year) for year in _YEAR_OF_DOCUMENT.findall(header.document_number or "")]
    if years and header.effective_from.year < min(years):
        yield finding("before_document", "effective_from", WARNING, year=min(years))
    elif years and header.effective_from.year > max(years) + 1:
        yield finding("after_document", "effective_from", WARNING, year=max(years))


def _found(pattern: re.Pattern[str], text: str) -> Iterator[dt.date]:
    for match in pattern.finditer(quotes.narrow(text)):
        try:
            yield dt.date(*(int(group) for group in match.groups()))
        except ValueError:
            continue


# --- names ------------------------------------------------------------------------------------------------------------


def _names(pack: Pack, known: Mapping[str, Pack] | None) -> Iterator[Finding]:
    supersedes = pack.header.supersedes
    if supersedes == pack.id:
        yield finding("supersedes_itself", "supersedes", ERROR)
    for index, transition in enumerate(pack.transitions):
        path = f"body.transitions[{index}].pack"
        if transition.pack == pack.id:
            yield finding("cycle", path, ERROR, way=pack.id)
        elif known is not None and transition.pack not in known:
            yield finding("pack_unknown", path, ERROR, pack=transition.pack)
        elif known is not None and (circle := _circle(pack, transition.pack, known)):
            yield finding("cycle", path, ERROR, way=" → ".join(circle))
    if known is not None and supersedes is not None and supersedes != pack.id:
        old = known.get(supersedes)
        if old is None:
            yield finding("supersedes_unknown", "supersedes", WARNING, pack=supersedes)
        elif old.header.effective_from > pack.header.effective_from:
            yield finding("supersedes_newer", "supersedes", ERROR, pack=supersedes)
        elif old.header.effective_to is not None and old.header.effective_to >= pack.header.effective_from:
            yield finding("supersedes_overlap", "supersedes", NOTE, day=old.header.effective_to.isoformat())
    yield from _unused(pack)
    yield from _variants(pack)


def _circle(pack: Pack, start: str, known: Mapping[str, Pack]) -> list[str] | None:
    """The way from `start` back to this pack over transitions, if there is one."""
    waiting, seen = [[pack.id, start]], set[str]()
    for _ in range(CYCLE_STEPS_MAX):
        if not waiting:
            return None
        way = waiting.pop()
        if way[-1] == pack.id:
            return way
        if way[-1] in seen or way[-1] not in known:
            continue
        seen.add(way[-1])
        waiting += [[*way, step.pack] for step in known[way[-1]].transitions]
    return None


def _unused(pack: Pack) -> Iterator[Finding]:
    asked = {c.threshold.parameter for place in places(pack) for leaf in place.leaves for c in leaf.parts
             if isinstance(c, Compare)}  # fmt: skip
    for index, parameter in enumerate(pack.parameters):
        if parameter.id not in asked:
            yield finding("parameter_unused", f"body.parameters[{index}]", WARNING, name=parameter.id)
    read = {term.field for term in pack_reads(pack, Stage.CLAIM)}
    for index, row in enumerate(pack.header.body.get("fields") or ()):
        if row["code"] not in read:
            yield finding("field_unused", f"body.fields[{index}]", WARNING, field=row["code"])
    for index, material in enumerate(pack.materials):
        if material.facts and not read & set(material.facts):
            yield finding("material_unread", f"body.materials[{index}]", WARNING)
        elif not material.kept:
            for code in sorted(set(material.facts) - read):
                yield finding("fact_unread", f"body.materials[{index}]", WARNING, field=code)


def _prefix(division: str) -> str:
    """A division code without its zeros of higher levels: 330000 is 33."""
    return division[:2] if division[2:] == "0000" else division[:4] if division[4:] == "00" else division


def _variants(pack: Pack) -> Iterator[Finding]:
    for index, variant in enumerate(pack.variants):
        path = f"body.variants[{index}]"
        own = _prefix(variant.division)
        if pack.division != NATIONAL and not own.startswith(_prefix(pack.division)):
            yield finding("variant_outside", f"{path}.division", ERROR, division=variant.division)
        for other in pack.variants[:index]:
            if own == _prefix(other.division):
                yield finding("variants_overlap", path, ERROR, other=other.id)
            elif own.startswith(_prefix(other.division)) or _prefix(other.division).startswith(own):
                yield finding("variants_overlap", path, WARNING, other=other.id)
        if all(each.value == variant.values.get(each.id, each.value) for each in pack.parameters):
            yield finding("variant_same", path, WARNING)
    if pack.division == NATIONAL:
        return
    inside = _prefix(pack.division)
    for test in tests_of(pack.audience):
        if isinstance(test, Member) and test.field == "division" and not test.negated:
            outside = [v for v in test.values if not v.startswith(inside) and not inside.startswith(v)]
            if outside:
                yield finding("division_differs", "body.audience.test", ERROR, value=outside[0], division=pack.division)


# --- what is missing --------------------------------------------------------------------------------------------------


def _completeness(pack: Pack) -> Iterator[Finding]:
    header = pack.header
    if header.status == "draft":
        yield finding("draft", "status", NOTE, note=header.note or "")
        if header.note is None:
            yield finding("draft_without_note", "status", WARNING)
    manual = False
    for index, criterion in enumerate(pack.criteria):
        path = f"body.criteria[{index}]"
        manual |= any(isinstance(test, Manual) for test in tests_of(criterion.test))
        reads_facts = any(True for _ in criterion_reads(criterion))
        if criterion.kind in (Kind.HARD, Kind.SCORE) and reads_facts and not criterion.evidence:
            yield finding("evidence_missing", path, NOTE)
        if len(set(criterion.exempts)) < len(criterion.exempts):
            yield finding("exempts_repeated", f"{path}.exempts", WARNING)
        if "score" in criterion.exempts and pack.scoring is None:
            yield finding("exempts_nothing", f"{path}.exempts", ERROR)
        for name in criterion.exempts:
            if name != "score" and pack.criterion(name).stage is not criterion.stage:
                yield finding("exempts_other_stage", f"{path}.exempts", WARNING, name=name)
    if manual and pack.no_application:
        yield finding("no_application_manual", "body.no_application", WARNING)
    if pack.audience is None:
        yield finding("audience_untested", "body.audience", NOTE)


def _clauses(cited: Sequence[Place]) -> Iterator[Finding]:
    """Items of one article that are counted through but for one: （二）, （四）, and no （三）."""
    items = dict[str, dict[int, str]]()
    for place in cited:
        match = _ITEM.match(place.clause.strip())
        if match:
            number = int(quotes.numeral(match.group(2)))
            items.setdefault(match.group(1), {}).setdefault(number, place.path)
    for article, numbers in items.items():
        for before, after in pairwise(sorted(numbers)):
            for missing in range(before + 1, after):
                yield finding("clause_gap", f"{numbers[after]}.clause", NOTE, article=article, missing=missing)


def _in_notice(cited: Collection[Place], notice: str) -> Iterator[Finding]:
    """Quotes that the notice does not contain; spaces and the width of signs do not matter, … stands for a gap."""
    text = _squeezed(notice)
    for place in cited:
        at = 0
        for piece in re.split(r"…+|\.{3,}|……", place.quote):
            wanted = _squeezed(piece)
            at = text.find(wanted, at)
            if wanted and at < 0:
                yield finding("quote_not_in_notice", f"{place.path}.quote", ERROR, text=piece.strip()[:80])
                break


def _unquoted(cited: Collection[Place], notice: str) -> Iterator[Finding]:
    """Sentences of the notice that nothing quotes: one between two that are quoted was passed over, one elsewhere is
    worth a look if it states a quantity or excludes."""
    quoted = [_squeezed(place.text) for place in cited]
    lines = notice.splitlines()
    sentences = [(number, each) for number, line in enumerate(lines, 1) for each in re.split(r"[。；;]", line) if each]
    known = [any(_squeezed(each) in text or text in _squeezed(each) for text in quoted) for _, each in sentences]
    for index, (number, sentence) in enumerate(sentences):
        if known[index] or len(_squeezed(sentence)) <= SENTENCE_MIN:
            continue
        between = 0 < index < len(known) - 1 and known[index - 1] and known[index + 1]
        if between or quotes.read(sentence).stated or NEGATIVE.search(sentence):
            level = WARNING if between else NOTE
            yield finding("notice_unquoted", f"notice[{number}]", level, text=sentence.strip()[:80])


def _squeezed(text: str) -> str:
    return re.sub(r"[\s​]+", "", quotes.narrow(text)).replace("“", '"').replace("”", '"')
