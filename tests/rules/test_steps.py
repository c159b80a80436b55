"""The cheapest steps are the cheapest: brute force finds no better, and taking them does what they say."""

import datetime as dt
from itertools import combinations, product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.rules.test_evaluate import pack_of
from tests.rules.worlds import CITED, ON

from huoshui import rules
from huoshui.rules import Library, Verdict
from huoshui.rules.model import Part, Scoring
from huoshui.rules.steps import Change, Gain, Plan, search


@st.composite
def searches(draw: st.DrawFn) -> tuple[Scoring, dict[str, int], dict[str, list[Gain]], dict[str, int]]:
    names = [f"c{index}" for index in range(draw(st.integers(1, 6)))]
    standing = {name: draw(st.integers(0, 6)) for name in names}
    gains = {
        name: [
            Gain(points, (change(name, points),))
            for points in sorted(draw(st.sets(st.integers(standing[name] + 1, 12), max_size=3)))
        ]
        for name in names
    }
    cut = draw(st.integers(0, len(names)))
    order = draw(st.permutations(names))
    parts = [
        Part(f"p{i}", "部分", draw(st.integers(0, 15)), tuple(g)) for i, g in enumerate((order[:cut], order[cut:])) if g
    ]
    efforts = {name: draw(st.integers(1, 5)) for name in names}
    return Scoring(draw(st.integers(1, 45)), tuple(parts), "第一条", "原文"), standing, gains, efforts


def change(name: str, points: int) -> Change:
    return Change(name, 0, points, None, "", (), None, True, None)  # type: ignore[arg-type]


def by_force(rule: Scoring, standing: dict[str, int], gains: dict[str, list[Gain]], efforts: dict[str, int]) -> Any:
    """(effort, points, picks) of the best of every choice there is."""
    best = None
    names = list(standing)
    for choice in product(*(range(-1, len(gains[name])) for name in names)):
        points = {
            name: standing[name] if which < 0 else gains[name][which].points
            for name, which in zip(names, choice, strict=True)
        }
        total = sum(points.values())
        if total < rule.threshold or any(sum(points[n] for n in part.criteria) < part.minimum for part in rule.parts):
            continue
        picks = tuple((index, which) for index, which in enumerate(choice) if which >= 0)
        found = (sum(efforts[names[index]] for index, _ in picks), total, picks)
        best = found if best is None else min(best, found)
    return best


@given(searches())
@settings(max_examples=50, deadline=None)
def test_no_choice_is_better_than_the_plan(problem: Any) -> None:
    rule, standing, gains, efforts = problem
    plan, best = search(rule, standing, gains, efforts), by_force(*problem)
    if best is None:
        assert plan is None
        return
    effort, total, picks = best
    names = list(standing)
    changes = tuple(each for index, which in picks for each in gains[names[index]][which].changes)
    assert plan == Plan(effort, total, changes)


# --- a scored pack ----------------------------------------------------------------------------------------------------


def band(points: int, low: Any = None, high: Any = None) -> dict[str, Any]:
    ends = {"from": low, "to": high}
    return {"points": points, **{key: value for key, value in ends.items() if value is not None}}


def scored(identifier: str, effort: int, score: dict[str, Any]) -> dict[str, Any]:
    return {"id": identifier, "kind": "score", "effort": effort, "score": score}


INDICATORS = [
    scored("ip", 2, {"best_of": [
        {"of": "ip.class2", "unit": "项", "bands": [band(0, None, 1), band(6, 1, 2), band(12, 2)]},
        {"of": "ip.class1", "unit": "项", "bands": [band(0, None, 1), band(30, 1)]},
    ]}),
    scored("rd", 4, {"of": {"ratio": ["rd", "revenue"]}, "period": "last_year", "unit": "%",
                     "bands": [band(0, None, 3), band(20, 3, 5), band(50, 5)]}),
    scored("field", 5, {"steps": [{"points": 10, "test": {"op": "is", "of": "product.strategic", "value": True}}],
                        "otherwise": 5}),
]  # fmt: skip
SCORING = {
    "threshold": 60, **CITED,
    "parts": [{"id": "a", "title": "创新", "minimum": 20, "criteria": ["ip", "rd"]},
              {"id": "b", "title": "专业", "minimum": 5, "criteria": ["field"]}],
}  # fmt: skip
ENTITY = {"ip.class1": 0, "ip.class2": 0, "rd@2023": 500, "revenue@2023": 10_000, "product.strategic": False}


def explained(row: dict[str, Any], criteria: list[dict[str, Any]] | None = None, **body: Any) -> rules.Explanation:
    pack = pack_of(criteria or INDICATORS, **({"scoring": SCORING} if criteria is None else body))
    return rules.explain(Library([pack]), "example", row, ON)


def test_one_more_patent_gives_six_points_and_reaches_the_threshold() -> None:
    found = explained(ENTITY)
    assert found.verdict is Verdict.UNMET
    assert found.scoring is not None
    assert (found.scoring.points_low, found.margin, found.blocker) == (55, -5, 3)
    plan = found.steps[0]
    assert (plan.effort, plan.points) == (2, 61)
    (step,) = plan.changes
    assert (step.criterion, step.points_from, step.points_to, step.columns) == ("ip", 0, 6, ("ip.class2",))
    assert (step.now, step.needed, step.delta, step.unit) == (0, 1, 1, "项")
    assert found.steps[1].criteria == ("field",)
    assert explained({**ENTITY, "ip.class2": 1}).verdict is Verdict.MET


def test_the_first_plan_does_what_it_says() -> None:
    """Every way the indicators can stand: changing the facts as the plan says makes the pack met."""
    seen = 0
    for class1, class2, rd, strategic in product((0, 1), (0, 1, 2), (0, 299, 300, 499, 500), (False, True)):
        row = {**ENTITY, "ip.class1": class1, "ip.class2": class2, "rd@2023": rd, "product.strategic": strategic}
        found = explained(row)
        for plan in found.steps:
            changed = dict(row)
            for step in plan.changes:
                if step.columns == ("rd@2023", "revenue@2023"):
                    changed["rd@2023"] = row["revenue@2023"] * step.needed // 10_000
                else:
                    changed[step.columns[0]] = step.needed
            after = explained(changed)
            assert after.verdict is Verdict.MET
            assert after.scoring is not None
            assert after.scoring.points_low == plan.points
            seen += 1
        assert bool(found.steps) is (found.verdict is Verdict.UNMET)
    assert seen > 40


def test_hard_criteria_say_how_far_and_from_when() -> None:
    criteria = [
        {"op": "ge", "of": "staff", "period": "last_year", "value": 10, "unit": "人"},
        {"op": "ge", "of": {"age": "founded"}, "value": 1, "unit": "年"},
        {"kind": "veto", "test": {"op": "gt", "of": "rd", "period": "last_year", "value": "0.05", "unit": "元"}},
    ]
    row = {"staff@2023": 7, "founded": dt.date(2023, 5, 31), "rd@2023": 9}
    (plan,) = explained(row, criteria).steps
    staff, age, veto = plan.changes
    assert (staff.now, staff.needed, staff.delta) == (7, 10, 3)
    assert (age.now, age.needed, age.delta, age.day) == (10, 12, 2, dt.date(2024, 5, 31))
    assert (veto.now, veto.needed, veto.delta) == (9, 5, -4)
    found = explained({"staff@2023": 10, "founded": dt.date(2023, 5, 31), "rd@2023": 5}, criteria)
    assert (found.blocking and found.blocking.id, found.margin) == ("c1", -2)


def test_what_cannot_be_changed_has_no_plan() -> None:
    industry = {"op": "starts_with", "of": "industry", "values": ["C"]}
    young = {"op": "le", "of": {"age": "founded"}, "value": 5, "unit": "年"}
    assert explained({"industry": "I65"}, [industry]).steps == ()
    assert explained({"founded": dt.date(2000, 1, 1)}, [young]).steps == ()
    either = {"op": "any_of", "tests": [industry, {"op": "is", "of": "resident", "value": True}]}
    (plan,) = explained({"industry": "I65", "resident": False}, [either]).steps
    assert [(step.columns, step.now, step.needed) for step in plan.changes] == [(("resident",), False, True)]


def test_an_exemption_is_a_way_too() -> None:
    criteria = [
        {"kind": "hard", "effort": 4, "test": {"op": "ge", "of": "ip.class1", "value": 3, "unit": "项"}},
        {"kind": "exemption", "effort": 1, "exempts": ["c0"], "test": {"op": "valid", "of": "high-tech"}},
    ]
    row = {"ip.class1": 0, "high-tech": False, "high-tech.until": None}
    assert [(plan.effort, plan.criteria) for plan in explained(row, criteria).steps] == [(1, ("c1",)), (4, ("c0",))]


def test_the_search_is_bounded() -> None:
    count = 40
    names = [f"c{index}" for index in range(count)]
    gains = {name: [Gain(2**index, (change(name, 1),))] for index, name in enumerate(names)}
    rule = Scoring(2**count - 1, (Part("p", "部分", 0, tuple(names)),), "第一条", "原文")
    assert search(rule, dict.fromkeys(names, 0), gains, dict.fromkeys(names, 1)) is None


def test_combinations_are_really_tried() -> None:
    """Two light changes beat one hard one; the sum of efforts decides, not their number."""
    gains = {name: [Gain(points, (change(name, points),))] for name, points in (("a", 3), ("b", 3), ("c", 6))}
    rule = Scoring(6, (Part("p", "部分", 0, ("a", "b", "c")),), "第一条", "原文")
    plan = search(rule, {"a": 0, "b": 0, "c": 0}, gains, {"a": 1, "b": 1, "c": 3})
    assert plan is not None
    assert plan.criteria == ("a", "b")
    assert all(search(rule, {"a": 0, "b": 0, "c": 0}, {n: gains[n] for n in pair}, {"a": 1, "b": 1, "c": 3})
               for pair in combinations("abc", 2))  # fmt: skip
