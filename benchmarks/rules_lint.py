"""How many errors of a clause does `huoshui rules lint` find, and does it complain of packs that are right?

    python -m benchmarks.rules_lint [--errors 200] [--seed 1] [--missed]

Takes the packs that ship and makes one seeded error in one clause at a time, of the kinds that a person makes who types
a notice off: a digit, a unit, a direction, a year, an edge of a band, points, a similar field, a lost quote, the quote
of the neighbour, a condition left out … An error is found only if lint says something **new** (error or warning, not a
note) **at the changed place**: the criterion, the scoring, the benefit, the dates. Kinds take turns; packs and places
are drawn at random. The packs as they ship must give no error at all.

Each error is looked at twice: with the pack alone, and with the notice beside it, as an officer works (`--text` on the
command line, the text pane in the browser). For want of the notices' full texts the notice is the pack's own true
quotes, one on a line.
"""

import argparse
import copy
import datetime as dt
import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from huoshui.publications import shipped
from huoshui.rules import FIELDS, load
from huoshui.rules.lint import Finding, lint
from huoshui.terms.publication import parse_yaml

ON = dt.date(2026, 6, 1)
TRIES_MAX = 400
Document = dict[str, Any]
Change = Callable[[random.Random, Document], str | None]
"""Changes a document in place and returns the changed place (its path with ids for indices), or None. A criterion that
is gone has no place: then it is what it stood in for, or (` =…`) a finding that names its quote or a field that it
read."""


# --- walking ----------------------------------------------------------------------------------------------------------


def criteria(document: Document) -> list[Document]:
    return document["body"]["criteria"]


def place(row: Document) -> str:
    return f"body.criteria.{row['id']}"


def nodes(content: Any) -> Iterator[Document]:
    """All mappings within, outermost first."""
    if isinstance(content, dict):
        yield content
        for value in content.values():
            yield from nodes(value)
    elif isinstance(content, list):
        for value in content:
            yield from nodes(value)


def comparisons(row: Document) -> list[Document]:
    """Comparisons with a number in the test of a criterion."""
    return [node for node in nodes(row.get("test")) if node.get("op") in ("ge", "gt", "le", "lt") and "value" in node]


def draw(rng: random.Random, items: list[Any]) -> Any:
    return rng.choice(items) if items else None


def with_comparison(rng: random.Random, document: Document) -> tuple[Document, Document] | None:
    return draw(rng, [(row, node) for row in criteria(document) for node in comparisons(row)])


def other_digit(rng: random.Random, number: Any) -> Any:
    """The number with one digit typed wrong."""
    text = str(number)
    spot = rng.choice([index for index, character in enumerate(text) if character.isdigit()])
    wrong = rng.choice([digit for digit in "123456789" if digit != text[spot]])
    changed = text[:spot] + wrong + text[spot + 1 :]
    return int(changed) if isinstance(number, int) else changed


# --- kinds of errors --------------------------------------------------------------------------------------------------


def digit(rng: random.Random, document: Document) -> str | None:
    found = with_comparison(rng, document)
    if found is None or found[1]["value"] in (0, "0"):
        return None
    found[1]["value"] = other_digit(rng, found[1]["value"])
    return place(found[0])


def zero_lost_or_added(rng: random.Random, document: Document) -> str | None:
    found = with_comparison(rng, document)
    if found is None or found[1]["value"] in (0, "0"):
        return None
    value = str(found[1]["value"])
    changed = value[:-1] if value.endswith("0") and len(value) > 1 and rng.random() < 0.5 else f"{value}0"
    found[1]["value"] = int(changed) if isinstance(found[1]["value"], int) else changed
    return place(found[0])


def unit(rng: random.Random, document: Document) -> str | None:
    other = {"万元": ["元", "亿元"], "亿元": ["万元", "元"], "元": ["万元"], "年": ["月"], "月": ["年"]}
    places = [(row, node) for row in criteria(document) for node in comparisons(row) if node.get("unit") in other]
    found = draw(rng, [(row, node) for row, node in places if node["value"] not in (0, "0")])
    if found is None:
        return None
    found[1]["unit"] = rng.choice(other[found[1]["unit"]])
    return place(found[0])


def direction(rng: random.Random, document: Document) -> str | None:
    found = with_comparison(rng, document)
    if found is None:
        return None
    found[1]["op"] = {"ge": "le", "le": "ge", "gt": "lt", "lt": "gt"}[found[1]["op"]]
    return place(found[0])


def strictness(rng: random.Random, document: Document) -> str | None:
    found = with_comparison(rng, document)
    if found is None:
        return None
    found[1]["op"] = {"ge": "gt", "le": "lt", "gt": "ge", "lt": "le"}[found[1]["op"]]
    return place(found[0])


def period(rng: random.Random, document: Document) -> str | None:
    places = [
        (row, node) for row in criteria(document) for node in nodes([row.get("test"), row.get("score")])
        if "period" in node
    ]  # fmt: skip
    found = draw(rng, places)
    if found is None:
        return None
    node, now = found[1], found[1]["period"]
    if isinstance(now, str):
        node["period"] = rng.choice([each for each in ("this_year", "last_year", "year_before_last") if each != now])
    else:
        key, count = next(iter(now.items()))
        other = {"sum": "each", "each": "sum"}.get(key, key)
        node["period"] = rng.choice([{key: count + 1}, {other: count}] if other != key else [{key: count + 1}])
    return place(found[0])


def scored_bands(document: Document) -> list[tuple[Document, list[Document]]]:
    return [(row, node["bands"]) for row in criteria(document) for node in nodes(row.get("score")) if "bands" in node]


def band_gap(rng: random.Random, document: Document) -> str | None:
    """One side of an edge moves: a gap or an overlap."""
    found = draw(rng, scored_bands(document))
    if found is None:
        return None
    band = rng.choice(found[1])
    key = rng.choice([key for key in ("from", "to") if key in band])
    band[key] = other_digit(rng, band[key])
    return place(found[0])


def band_edge(rng: random.Random, document: Document) -> str | None:
    """An edge moves on both sides: no gap, another law."""
    found = draw(rng, scored_bands(document))
    if found is None:
        return None
    edge = rng.choice([band["from"] for band in found[1] if "from" in band])
    changed = other_digit(rng, edge)
    for band in found[1]:
        for key in ("from", "to"):
            if band.get(key) == edge:
                band[key] = changed
    return place(found[0])


def points(rng: random.Random, document: Document) -> str | None:
    spots = [(row, node) for row in criteria(document) for node in nodes(row.get("score")) if "points" in node]
    found = draw(rng, spots)
    if found is None:
        return None
    found[1]["points"] = max(0, found[1]["points"] + rng.choice([-5, -2, -1, 1, 2, 5, 10]))
    return place(found[0])


def points_swapped(rng: random.Random, document: Document) -> str | None:
    found = draw(rng, scored_bands(document))
    if found is None or len(found[1]) < 2:
        return None
    at = rng.randrange(len(found[1]) - 1)
    a, b = found[1][at], found[1][at + 1]
    a["points"], b["points"] = b["points"], a["points"]
    return place(found[0])


def similar(code: str) -> list[str]:
    """Fields that are easily taken for this one: same kind, unit and periods, and of the same family or alphabet."""
    field = FIELDS.get(code)
    if field is None:
        return []
    like = [
        other.code for other in FIELDS.values()
        if other.code != code and (other.kind, other.unit, other.periodic, other.of_claim)
        == (field.kind, field.unit, field.periodic, field.of_claim)
    ]  # fmt: skip
    family = [other for other in like if other.split(".")[0] == code.split(".")[0]]
    return family or (like if field.is_money else [])


def field(rng: random.Random, document: Document) -> str | None:
    """A similar field is read."""
    spots = list[tuple[Document, Any, Any]]()
    for row in criteria(document):
        for node in nodes([row.get("test"), row.get("score")]):
            of = node.get("of")
            if isinstance(of, str) and similar(of):
                spots.append((row, node, "of"))
            elif isinstance(of, dict):
                for key, inner in of.items():
                    if isinstance(inner, str) and similar(inner):
                        spots.append((row, of, key))
                    elif isinstance(inner, list):
                        codes = [(at, code) for at, code in enumerate(inner) if isinstance(code, str)]
                        spots += [(row, inner, at) for at, code in codes if similar(code)]
    found = draw(rng, spots)
    if found is None:
        return None
    row, holder, key = found
    holder[key] = rng.choice(similar(holder[key]))
    return place(row)


def ratio_inverted(rng: random.Random, document: Document) -> str | None:
    spots = [(row, node) for row in criteria(document) for node in nodes([row.get("test"), row.get("score")])
             if isinstance(node.get("ratio"), list)]  # fmt: skip
    found = draw(rng, spots)
    if found is None:
        return None
    found[1]["ratio"].reverse()
    return place(found[0])


def lost(key: str) -> Change:
    def change(rng: random.Random, document: Document) -> str | None:
        row = rng.choice(criteria(document))
        how = rng.choice(["", "TODO", "待补", None])
        if how is None:
            del row[key]
        else:
            row[key] = how
        return place(row)

    return change


def quote_of_neighbour(rng: random.Random, document: Document) -> str | None:
    rows = criteria(document)
    at = rng.randrange(len(rows))
    near = [rows[index] for index in (at - 1, at + 1) if 0 <= index < len(rows)]
    other = draw(rng, [row for row in near if row["quote"] != rows[at]["quote"]])
    if other is None:
        return None
    rows[at]["quote"] = other["quote"]
    return place(rows[at])


def quote_digit(rng: random.Random, document: Document) -> str | None:
    """The quote itself is typed off wrong."""
    rows = [row for row in criteria(document) if comparisons(row) and any(c.isdigit() for c in row["quote"])]
    row = draw(rng, rows)
    if row is None:
        return None
    values = {str(node["value"]) for node in comparisons(row)}
    spots = [value for value in values if value in row["quote"] and value != "0"]
    value = draw(rng, sorted(spots))
    if value is None:
        return None
    row["quote"] = row["quote"].replace(value, other_digit(rng, value), 1)
    return place(row)


def kind(rng: random.Random, document: Document) -> str | None:
    row = draw(rng, [row for row in criteria(document) if row["kind"] in ("hard", "veto")])
    if row is None:
        return None
    row["kind"] = "veto" if row["kind"] == "hard" else "hard"
    return place(row)


def flag(rng: random.Random, document: Document) -> str | None:
    spots = [(row, node) for row in criteria(document) for node in nodes(row.get("test")) if node.get("op") == "is"]
    found = draw(rng, spots)
    if found is None:
        return None
    found[1]["value"] = not found[1]["value"]
    return place(found[0])


def condition_lost(rng: random.Random, document: Document) -> str | None:
    """One member of an all_of or any_of is left out."""
    spots = [(row, node["tests"]) for row in criteria(document) for node in nodes(row.get("test"))
             if isinstance(node.get("tests"), list) and len(node["tests"]) > 1]  # fmt: skip
    found = draw(rng, spots)
    if found is None:
        return None
    found[1].pop(rng.randrange(len(found[1])))
    return place(found[0])


def and_for_or(rng: random.Random, document: Document) -> str | None:
    spots = [(row, node) for row in criteria(document) for node in nodes(row.get("test"))
             if isinstance(node.get("tests"), list) and len(node["tests"]) > 1]  # fmt: skip
    found = draw(rng, spots)
    if found is None:
        return None
    found[1]["op"] = {"all_of": "any_of", "any_of": "all_of"}[found[1]["op"]]
    return place(found[0])


def rate(rng: random.Random, document: Document) -> str | None:
    amount = document["body"].get("benefit", {}).get("amount")
    spots = [(case, "then") for node in nodes(amount) if "rate" in node for case in node["rate"].get("cases", [])]
    spots += [(node["rate"], "otherwise") for node in nodes(amount) if "otherwise" in node.get("rate", {})]
    found = draw(rng, [(holder, key) for holder, key in spots if holder[key] not in (0, "0")])
    if found is None:
        return None
    found[0][found[1]] = other_digit(rng, found[0][found[1]])
    return "body.benefit"


def cap(rng: random.Random, document: Document) -> str | None:
    limit = document["body"].get("benefit", {}).get("cap")
    if limit is None:
        return None
    if rng.random() < 0.5:
        limit["value"] = other_digit(rng, limit["value"])
    else:
        limit["unit"] = {"万元": "元", "亿元": "万元", "元": "万元"}[limit["unit"]]
    return "body.benefit"


def dates(rng: random.Random, document: Document) -> str | None:
    """Begin and end change places, or a year of a date is wrong."""
    spots = list[tuple[str, Document, str, str]]()
    if "effective_to" in document:
        spots.append(("effective_", document, "effective_from", "effective_to"))
    for window in document["body"].get("windows", []):
        if "to" in window:
            spots.append(("body.windows", window, "from", "to"))
    found = draw(rng, spots)
    if found is None:
        return None
    where, holder, first, last = found
    holder[first], holder[last] = holder[last], holder[first]
    return where


def day_year(rng: random.Random, document: Document) -> str | None:
    """A date of a criterion has a wrong year."""
    spots = [(row, node) for row in criteria(document) for node in nodes(row.get("test"))
             if node.get("op") in ("on_or_before", "on_or_after") and node.get("value") != "today"]  # fmt: skip
    found = draw(rng, spots)
    if found is None:
        return None
    year, rest = found[1]["value"].split("-", 1)
    found[1]["value"] = f"{int(year) + rng.choice([-1, 1])}-{rest}"
    return place(found[0])


def part_minimum(rng: random.Random, document: Document) -> str | None:
    parts = [part for part in document["body"].get("scoring", {}).get("parts", []) if part.get("minimum")]
    part = draw(rng, parts)
    if part is None:
        return None
    if rng.random() < 0.3:
        del part["minimum"]
    else:
        part["minimum"] = max(1, part["minimum"] + rng.choice([-5, -3, 3, 5]))
    return "body.scoring"


def threshold_of_score(rng: random.Random, document: Document) -> str | None:
    scoring = document["body"].get("scoring")
    if scoring is None:
        return None
    scoring["threshold"] = other_digit(rng, scoring["threshold"])
    return "body.scoring"


def exemption_lost(rng: random.Random, document: Document) -> str | None:
    row = draw(rng, [row for row in criteria(document) if row["kind"] == "exemption"])
    if row is None:
        return None
    criteria(document).remove(row)
    read = {node["of"] for node in nodes(row["test"]) if isinstance(node.get("of"), str)}
    where = "body.scoring" if row["exempts"] == ["score"] else f"body.criteria.{row['exempts'][0]}"
    return " =".join([where, *sorted(read), row["quote"]])


def sizes(rng: random.Random, document: Document) -> str | None:
    spots = [(row, node) for row in criteria(document) for node in nodes(row.get("test"))
             if node.get("of") == "sme.size" and node.get("op") == "in"]  # fmt: skip
    found = draw(rng, spots)
    if found is None:
        return None
    values = found[1]["values"]
    absent = [each for each in ("large", "medium", "small", "micro") if each not in values]
    if len(values) > 1 and rng.random() < 0.5:
        values.pop(rng.randrange(len(values)))
    else:
        values.append(rng.choice(absent))
    return place(found[0])


def division(rng: random.Random, document: Document) -> str | None:
    if "division" not in document["body"]:
        return None
    document["body"]["division"] = other_digit(rng, document["body"]["division"][:4]) + "00"
    return "body.audience"


KINDS: dict[str, Change] = {
    "digit of a threshold": digit, "zero lost or added": zero_lost_or_added, "unit": unit, "direction": direction,
    "strictness (≥ for >)": strictness, "period": period, "band: gap or overlap": band_gap,
    "band: edge moved": band_edge,
    "points": points, "points swapped": points_swapped, "similar field": field, "ratio inverted": ratio_inverted,
    "quote lost": lost("quote"), "clause lost": lost("clause"), "quote of the neighbour": quote_of_neighbour,
    "digit of the quote": quote_digit, "veto for hard": kind, "yes for no": flag, "condition left out": condition_lost,
    "and for or": and_for_or, "rate": rate, "cap": cap, "dates swapped": dates, "year of a date": day_year,
    "minimum of a part": part_minimum, "threshold of the score": threshold_of_score,
    "exemption left out": exemption_lost,
    "size of enterprise": sizes, "division": division,
}  # fmt: skip


# --- measuring --------------------------------------------------------------------------------------------------------


def located(found: Finding, document: Document) -> str:
    """The path of a finding with ids for indices of criteria."""
    head, _, rest = found.path.partition("criteria[")
    if not rest:
        return found.path
    index, _, tail = rest.partition("]")
    rows = criteria(document)
    name = rows[int(index)].get("id", index) if int(index) < len(rows) else index
    return f"{head}criteria.{name}{tail}"


def said(text: str, document: Document, known: dict[str, Any], notice: str | None = None) -> set[tuple[str, str]]:
    """(code, place) of errors and warnings. The place of a fact that nothing reads is its code, that of a sentence of
    the notice that nothing quotes the sentence."""
    named = {"fact_unread": "field", "notice_unquoted": "text"}
    return {
        (each.code, f"={each.params[named[each.code]]}" if each.code in named else located(each, document))
        for each in lint(text, on=ON, known_packs=known, notice=notice)
        if each.level != "note"
    }


def notice_of(document: Document) -> str:
    """The true sentences of a pack, one on a line."""
    return "\n".join(dict.fromkeys(node["quote"].strip() for node in nodes(document["body"]) if "quote" in node))


def within(path: str, places: str) -> bool:
    where, *others = places.split(" =")
    if path.startswith("=") and any(path[1:] == other or other.startswith(path[1:]) for other in others):
        return True
    return path == where or path.startswith((f"{where}.", f"{where}[", where if where.endswith("_") else f"{where}."))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--errors", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--missed", action="store_true", help="print what was not found")
    chosen = arguments.parse_args()
    texts = list(shipped("rule_pack").values())
    documents = [parse_yaml(text) for text in texts]
    known = {pack.id: pack for pack in map(load, texts)}
    notices = [notice_of(document) for document in documents]
    alone = [said(text, document, known) for text, document in zip(texts, documents, strict=True)]
    beside = [said(*each, known, notice) for *each, notice in zip(texts, documents, notices, strict=True)]
    levels = Counter(each.level for text in texts for each in lint(text, on=ON, known_packs=known))
    rng = random.Random(chosen.seed)
    made, found, found_beside, missed = Counter[str](), Counter[str](), Counter[str](), list[str]()
    names = list(KINDS)
    for number in range(chosen.errors):
        name = names[number % len(names)]
        for _ in range(TRIES_MAX):
            at = rng.randrange(len(documents))
            document = copy.deepcopy(documents[at])
            where = KINDS[name](rng, document)
            if where is not None and document != documents[at]:
                break
        else:
            raise SystemExit(f"no pack can hold the error “{name}”")
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        made[name] += 1
        new = said(text, document, known) - alone[at]
        if any(within(path, where) for _, path in new):
            found[name] += 1
        new |= said(text, document, known, notices[at]) - beside[at]
        if any(within(path, where) for _, path in new):
            found_beside[name] += 1
        else:
            missed.append(f"{name}: {document['id']} {where} (elsewhere: {sorted(new) or 'nothing'})")
    print(f"{'':26} {'made':>5} {'alone':>6} {'with notice':>12}")
    for name in names:
        print(f"{name:26} {made[name]:5} {found[name]:6} {found_beside[name]:12}")
    total, hit, both = sum(made.values()), sum(found.values()), sum(found_beside.values())
    print(f"{'all':26} {total:5} {hit:6} {both:12}   {hit / total:.1%}, {both / total:.1%} (seed {chosen.seed})")
    shown = ", ".join(f"{levels[level]} {level}s" for level in ("error", "warning", "note"))
    print(f"{len(texts)} packs as they ship: {shown}")
    if chosen.missed:
        print("\n".join(["", "not found even with the notice:", *missed]))


if __name__ == "__main__":
    main()
