"""Random packs over a small vocabulary, and random entities whose facts lie on and beside every threshold."""

import datetime as dt
import json
import random

from hypothesis import strategies as st

from huoshui import rules

ON = dt.date(2024, 3, 31)
COUNTS = {"staff": "人", "ip.class1": "项", "staff.rd": "人"}
MONEY = ("revenue", "rd", "claim.claimed")
PERIODIC = {"staff", "staff.rd", "revenue", "rd"}
SHARES = ["0", "50", "100", "33.33", "66.67", "12.5", "-50", "0.01", "300"]
TEXTS = {"industry": ["C35", "C351", "I65", "F51"], "division": ["330100", "330106", "330200", "310000"],
         "sme.size": ["small", "micro", "large"]}  # fmt: skip
FLAGS = ("abnormal", "high-tech", "resident")
DAYS = [
    dt.date(2023, 3, 31),
    dt.date(2023, 4, 1),
    dt.date(2024, 2, 29),
    dt.date(2023, 12, 31),
    dt.date(2021, 1, 31),
    ON,
]
HEADER = {
    "kind": "rule_pack",
    "title": "示例政策",
    "authority": "示例部门",
    "source": "示例",
    "status": "in_force",
    "effective_from": "2020-01-01",
}
CITED = {"clause": "第一条", "quote": "原文"}


def _of(code, period):
    return {"of": code, **({"period": period} if code in PERIODIC else {})}


@st.composite
def comparisons(draw, claims):
    op = draw(st.sampled_from(["ge", "gt", "le", "lt", "eq", "ne"]))
    years = draw(st.sampled_from(["this_year", "last_year"]))
    kind = draw(st.sampled_from(["count", "money", "sum", "each", "ratio", "growth", "age"]))
    money = [code for code in MONEY if claims or not code.startswith("claim.")]
    if kind == "count":
        code = draw(st.sampled_from(sorted(COUNTS)))
        return {"op": op, **_of(code, years), "value": draw(st.integers(-1, 4)), "unit": COUNTS[code]}
    if kind == "age":
        unit, most = draw(st.sampled_from([("月", 40), ("年", 3)]))
        age = {"age": "founded", **({"at": "year_end"} if draw(st.booleans()) else {})}
        return {"op": op, "of": age, "value": draw(st.integers(0, most)), "unit": unit}
    if kind in ("ratio", "growth"):
        share = {"op": op, "value": draw(st.sampled_from(SHARES)), "unit": "%"}
        if kind == "growth":
            return share | {"of": {"growth": "revenue"}, "period": {"growth": draw(st.integers(2, 4))}}
        over = draw(st.sampled_from(["rd", {"sum": ["rd", "revenue"]}, {"difference": ["revenue", "rd"]}]))
        return share | {"of": {"ratio": [over, "revenue"]}, "period": draw(st.sampled_from([years, {"sum": 2}]))}
    value = {"op": op, "value": f"{draw(st.integers(-2, 5)) / 100:.2f}", "unit": "元"}
    if kind == "money":
        return value | _of(draw(st.sampled_from(money)), years)
    if kind == "sum":
        return value | {"of": {"sum": ["rd", "revenue"]}, "period": draw(st.sampled_from([years, {"sum": 2}]))}
    return value | {"of": "rd", "period": {"each": 2}}


@st.composite
def conditions(draw, depth=2, claims=True):
    kind = draw(
        st.sampled_from(["compare"] * 5 + ["member", "flag", "day", "valid", "manual"] + ["join"] * (2 * depth))
    )
    if kind == "compare":
        return draw(comparisons(claims))
    if kind == "member":
        field = draw(st.sampled_from(sorted(TEXTS)))
        op = draw(st.sampled_from(["in", "not_in", "starts_with", "not_starts_with"]))
        values = draw(
            st.lists(st.sampled_from([*TEXTS[field], "C", "33", "3301"]), min_size=1, max_size=3, unique=True)
        )
        return {"op": op, "of": field, "values": values}
    if kind == "flag":
        return {"op": "is", "of": draw(st.sampled_from(FLAGS)), "value": draw(st.booleans())}
    if kind == "day":
        day = draw(st.sampled_from(["today", *(day.isoformat() for day in DAYS)]))
        return {"op": draw(st.sampled_from(["on_or_before", "on_or_after"])), "of": "founded", "value": day}
    if kind == "valid":
        return {"op": "valid", "of": "high-tech"}
    if kind == "manual":
        return {"op": "manual", "question": "属于重点领域吗"}
    inner = draw(st.lists(conditions(depth=depth - 1, claims=claims), min_size=1, max_size=3))
    return {"op": draw(st.sampled_from(["all_of", "any_of"])), "tests": inner}


@st.composite
def ways(draw, claims):
    if draw(st.booleans()):
        points = sorted(draw(st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True)), reverse=True)
        steps = [{"points": value, "test": draw(conditions(depth=1, claims=claims))} for value in points[:-1]]
        return {"steps": steps, "otherwise": points[-1]}
    measure = draw(comparisons(claims).filter(lambda test: test.get("period") != {"each": 2}))
    ends = sorted(draw(st.lists(st.integers(-3, 8), min_size=1, max_size=3, unique=True)))
    scale = (lambda end: f"{end / 100:.2f}") if measure["unit"] == "元" else (lambda end: end)
    if measure["unit"] == "%":
        scale = {end: SHARES[index % 4] for index, end in enumerate(ends)}.get
        ends = sorted(ends, key=lambda end: float(scale(end)))
        ends = [end for i, end in enumerate(ends) if i == 0 or float(scale(end)) > float(scale(ends[i - 1]))]
    bands = [
        {"to": scale(ends[0])},
        *({"from": scale(a), "to": scale(b)} for a, b in zip(ends, ends[1:], strict=False)),
    ]
    bands.append({"from": scale(ends[-1])})
    kept = draw(st.lists(st.sampled_from(range(len(bands))), min_size=1, max_size=len(bands), unique=True))
    bands = [bands[index] | {"points": draw(st.integers(0, 9))} for index in sorted(kept)]
    return {key: value for key, value in measure.items() if key not in ("op", "value")} | {"bands": bands}


@st.composite
def rates(draw):
    percent = st.sampled_from([0, 10, "12.5", 30, 50, 100, 150])
    cases = [{"when": draw(conditions(depth=0)), "then": draw(percent)} for _ in range(draw(st.integers(0, 2)))]
    rate = {"cases": cases} if cases else {}
    return rate if cases and draw(st.booleans()) else rate | {"otherwise": draw(percent)}


@st.composite
def formulas(draw, depth=2):
    kind = draw(
        st.sampled_from(["fixed", "of", "of"] + ["share", "least", "total", "remainder", "cases"] * (depth > 0))
    )
    if kind == "fixed":
        return {"fixed": f"{draw(st.integers(0, 9)) / 100:.2f}", "unit": "元"}
    if kind == "of":
        return _of(draw(st.sampled_from(MONEY)), draw(st.sampled_from(["this_year", {"sum": 2}])))
    inner = formulas(depth=depth - 1)
    if kind == "share":
        return {"share": draw(inner), "rate": draw(rates())}
    if kind == "remainder":
        return {"remainder": draw(inner), "less": draw(inner)}
    if kind == "cases":
        case = {"when": draw(conditions(depth=1)), "then": draw(inner)}
        return {"cases": [case], "otherwise": draw(inner)}
    return {kind: [draw(inner), draw(inner)]}


@st.composite
def packs(draw, identifier="example"):
    """The text of a pack as a mapping; `text_of` writes it."""
    criteria = []
    for index in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from(["hard"] * 4 + ["veto", "manual", "score", "score", "exemption"]))
        claims = draw(st.booleans())
        entry = {"id": f"c{index}", "title": "条件", "kind": kind, **CITED, "effort": draw(st.integers(1, 5))}
        if claims:
            entry["stage"] = "claim"
        if kind == "score":
            entry["score"] = (
                draw(ways(claims)) if draw(st.booleans()) else {"best_of": [draw(ways(claims)), draw(ways(claims))]}
            )
        else:
            entry["test"] = draw(conditions(claims=claims))
        if draw(st.integers(0, 3)) == 0:
            entry["applies_when"] = draw(conditions(depth=1, claims=claims))
        criteria.append(entry)
    scores = [entry["id"] for entry in criteria if entry["kind"] == "score"]
    hard = [entry["id"] for entry in criteria if entry["kind"] in ("hard", "manual")]
    for entry in criteria:
        if entry["kind"] == "exemption":
            names = [*hard, *(["score"] if scores else [])]
            if names:
                entry["exempts"] = draw(st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True))
            else:
                entry["kind"] = "hard"
    body = {"audience": {"text": "企业"}, "criteria": criteria}
    if draw(st.integers(0, 2)) == 0:
        body["audience"]["test"] = draw(conditions(depth=1, claims=False))
    if draw(st.integers(0, 3)) == 0:
        body["division"] = "330100"
    if scores:
        cut = draw(st.integers(0, len(scores) - 1))
        groups = [group for group in (scores[:cut], scores[cut:]) if group]
        parts = [{"id": f"p{i}", "title": "部分", "criteria": group, "minimum": draw(st.integers(0, 6))}
                 for i, group in enumerate(groups)]  # fmt: skip
        body["scoring"] = {"threshold": draw(st.integers(1, 15)), "parts": parts, **CITED}
    if draw(st.integers(0, 4)) > 0:
        benefit = {"kind": "grant", "text": "补助", **CITED}
        if draw(st.booleans()):
            benefit["cap"] = {"value": f"{draw(st.integers(0, 6)) / 100:.2f}", "unit": "元"}
        if draw(st.integers(0, 3)) > 0:
            benefit["amount"] = draw(formulas())
        body["benefit"] = benefit
    return {**HEADER, "id": identifier, "body": body}


@st.composite
def libraries(draw):
    """A pack with what other packs do to it: parameters by division, a transition, a class that fills a field."""
    main, others = draw(packs()), []
    if draw(st.booleans()):
        main["body"]["parameters"] = [{"id": "floor", "title": "下限", "value": 2, "unit": "人"}]
        main["body"]["variants"] = [
            {
                "id": division,
                "title": "参数",
                "division": division,
                "parameters": {"floor": value},
                "source": "示例",
                **CITED,
            }
            for division, value in (("330000", 3), ("330100", 1))
        ]
        main["body"]["criteria"].append({
            "id": "floor", "title": "人数", "kind": "hard", **CITED,
            "test": {"op": "ge", "of": "staff", "period": "this_year", "parameter": "floor", "unit": "人"},
        })  # fmt: skip
    if draw(st.booleans()):
        main["body"]["transitions"] = [{
            "id": "old", "title": "过渡", "when": draw(conditions(depth=1, claims=False)), "pack": "older", **CITED,
            **({"until": draw(st.sampled_from(["2024-03-30", "2024-03-31"]))} if draw(st.booleans()) else {}),
        }]  # fmt: skip
        others.append(draw(packs("older")))
    if draw(st.booleans()):
        sizes = draw(packs("sizes"))
        number = comparisons(False).filter(lambda test: "growth" not in str(test))
        classes = [{"id": name, "title": name, "test": draw(number)} for name in ("micro", "small")]
        if draw(st.booleans()):
            classes.append({"id": "large", "title": "large"})
        sizes["body"]["classes"] = {"field": "sme.size", "of": classes, **CITED}
        others.append(sizes)
    return rules.Library([rules.load(text_of(each)) for each in (main, *others)])


def text_of(content):
    return json.dumps(content, ensure_ascii=False)


def rows(library, count, seed, on=ON, largest=6):
    """Entities whose facts are small numbers, days around thresholds, and unknown one time in five."""
    chance = random.Random(seed)  # noqa: S311
    columns = library.columns(on, rules.Stage.CLAIM)

    def value(field):
        if chance.random() < 0.2:
            return None
        if field.kind == "text":
            return chance.choice([*TEXTS.get(field.code, []), "X"])
        if field.kind == "date":
            return chance.choice(DAYS) + dt.timedelta(days=chance.choice([-1, 0, 0, 1]))
        if field.kind == "boolean":
            return chance.random() < 0.5
        return chance.randint(-1, largest) if chance.random() < 0.9 else chance.choice([-(10**15), 10**15, 10**15 - 1])

    return [{name: value(field) for name, (field, _) in columns.items()} for _ in range(count)]


def frame_of(library, entities, on=ON):
    import polars as pl

    columns = library.columns(on, rules.Stage.CLAIM)
    schema = {name: rules.dtype_of(field) for name, (field, _) in columns.items()}
    return pl.DataFrame(entities, schema=schema)
