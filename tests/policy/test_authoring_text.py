"""From a sentence to a criterion: its clause number, what it seems to ask, and its place in the draft's text."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from huoshui import rules
from huoshui.policy import clauses, pack_text
from huoshui.policy import forms_authoring as forms
from huoshui.policy.suggestions import Asked, suggest
from huoshui.rules.model import Kind

NOTICE = (
    "示例办法",
    "第十一条 专精特新中小企业应当同时满足下列条件：",
    "（一）从事特定细分市场时间达到3年以上；",
    "（三）上年度营业收入总额不低于1,500万元，或近2年新增股权融资总额（合格机构投资者的实缴额）达到2000万元以上；",
    "（四）近2年研发费用总额均不低于100万元，且占营业收入总额比重均不低于3%。",
    "（五）上年末资产负债率不高于80%；（六）未被列入经营异常名录或严重失信主体名单。",
    "第十二条 本办法自2026年4月1日起施行。",
    "附件1",
    "一、创新能力指标",
    "（一）与企业主导产品相关的有效Ⅰ类知识产权数量1项以上",
)


# --- clauses ------------------------------------------------------------------------------------------------------


def test_every_sentence_knows_its_clause_and_its_words() -> None:
    found = {each.id: (each.clause, each.words) for each in clauses.sentences(NOTICE)}
    assert found["2.0"] == ("第十一条（一）", "从事特定细分市场时间达到3年以上")
    assert found["5.0"] == ("第十一条（五）", "上年末资产负债率不高于80%")
    assert found["5.1"] == ("第十一条（六）", "未被列入经营异常名录或严重失信主体名单")
    assert found["6.0"] == ("第十二条", "本办法自2026年4月1日起施行")
    assert found["9.0"][0] == "附件1一（一）"


def test_what_is_marked_is_quoted_word_for_word() -> None:
    one = clauses.marked(NOTICE, ["5.1"])
    assert one == clauses.Marked("第十一条（六）", "未被列入经营异常名录或严重失信主体名单")
    across = clauses.marked(NOTICE, ["4.0", "5.0"])
    assert across is not None
    assert across.quote == NOTICE[4].removeprefix("（四）") + "\n" + "（五）上年末资产负债率不高于80%"
    assert clauses.where(NOTICE, across.quote) == (4, 5)
    assert clauses.marked(NOTICE, ["99.0", "x"]) is None


@settings(deadline=None)
@given(st.lists(st.text("（一）二、第三条。；：附件1.2 文字"), max_size=8))
def test_sentences_lose_no_character_and_every_quote_is_found(paragraphs: list[str]) -> None:
    found = clauses.sentences(paragraphs)
    for number, paragraph in enumerate(paragraphs):
        assert "".join(paragraph[each.start : each.end] for each in found if each.paragraph == number) == paragraph
    for each in found:
        marked = clauses.marked(paragraphs, [each.id])
        assert marked is not None
        assert not marked.quote or clauses.where(paragraphs, marked.quote)


def test_a_changed_word_is_not_in_the_notice() -> None:
    assert clauses.where(NOTICE, "上年末 资产负债率不高于80%") == (5,)
    assert clauses.where(NOTICE, "上年末资产负债率不高于70%") == ()
    assert clauses.where(NOTICE, " ") == ()


# --- suggestions --------------------------------------------------------------------------------------------------


def test_the_example_of_the_rules_of_2026() -> None:
    words = next(each.words for each in clauses.sentences(NOTICE) if each.paragraph == 3)
    found = suggest(words)
    assert (found.kind, found.any_of) == (Kind.HARD, True)
    assert found.asked == (
        Asked("amount", "revenue", "", "ge", "1500", "万元", "last_year"),
        Asked("amount", "equity.new", "", "ge", "2000", "万元", "sum:2"),
    )


@pytest.mark.parametrize(("words", "asked"), [
    ("从事特定细分市场时间达到3年以上", Asked("age", "segment.since", "", "ge", "3", "年")),
    ("成立满一年以上", Asked("age", "founded", "", "ge", "1", "年")),
    ("上年末资产负债率不高于80%", Asked("ratio", "liabilities", "assets", "le", "80", "%", "last_year")),
    ("科技人员占职工总数的比例不低于10％", Asked("ratio", "staff.rd", "staff", "ge", "10", "%", "last_year")),
    ("近两年营业收入平均增长率不低于百分之五", Asked("growth", "revenue", "", "ge", "5", "%", "growth:2")),
    ("职工总数不超过500人", Asked("amount", "staff", "", "le", "500", "人", "last_year")),
    ("须为有效的高新技术企业", Asked("valid", "high-tech", "", "valid")),
])  # fmt: skip
def test_one_condition(words: str, asked: Asked) -> None:
    assert suggest(words).asked == (asked,)


def test_the_subject_of_a_second_condition_may_stand_in_the_first() -> None:
    first, second = suggest("近2年研发费用总额均不低于100万元，且占营业收入总额比重均不低于3%").asked
    assert first == Asked("amount", "rd", "", "ge", "100", "万元", "each:2")
    assert second == Asked("ratio", "rd", "revenue", "ge", "3", "%", "each:2")


def test_what_excludes_is_a_veto_and_what_no_fact_tells_is_a_question() -> None:
    veto = suggest("未被列入经营异常名录或严重失信主体名单")
    assert (veto.kind, veto.any_of, [each.field for each in veto.asked]) == (Kind.VETO, True, ["abnormal", "dishonest"])
    vague = suggest("主导产品在细分领域具有较强竞争力")
    assert (vague.kind, vague.asked) == (Kind.MANUAL, ())
    lead_in = suggest("专精特新中小企业应当同时满足下列条件")
    assert lead_in.asked == ()


@settings(deadline=None)
@given(st.text("近两年上度营业收入研发费用不低于超过高1500万元%占比重、，且或增长率第三条（）", max_size=60))
def test_any_sentence_gives_a_proposal_that_the_form_can_show(words: str) -> None:
    found = suggest(words)
    assert len(found.asked) <= 4
    for each in found.asked:
        assert forms.asked_of(forms.test_of(each)) is not None or not each.value


# --- the text of a draft ------------------------------------------------------------------------------------------

HEADER = {
    "identifier": "test-grant", "title": "补助: 试行 #1", "authority": "示例局", "document_number": "示〔2026〕2号",
    "source": "示例局网站",
}  # fmt: skip


def criterion(identifier: str = "revenue", value: object = 1500) -> dict[str, object]:
    test = {"op": "ge", "of": "revenue", "period": "last_year", "value": value, "unit": "万元"}
    return {
        "id": identifier, "title": "营业收入", "kind": "hard", "clause": "第十一条（三）",
        "quote": "上年度营业收入总额不低于1,500万元", "test": test, "evidence": ["审计报告"],
    }  # fmt: skip


def draft() -> str:
    return pack_text.put(pack_text.skeleton(HEADER, dt.date(2026, 4, 1)), criterion())


def test_a_skeleton_with_its_first_criterion_loads() -> None:
    pack = rules.load(draft())
    assert (pack.header.title, pack.criteria[0].clause) == ("补助: 试行 #1", "第十一条（三）")


def test_a_criterion_is_put_in_place_and_everything_around_it_stays() -> None:
    text = draft().replace("  criteria:", "  # what the office wrote\n  criteria:   # by clause\n")
    text = pack_text.put(text, criterion("second")) + "\n  # the end\n"
    changed = pack_text.put(text, criterion("revenue", 2000))
    assert changed == text.replace("value: 1500", "value: 2000", 1)
    assert [row["id"] for row in pack_text.criteria(changed)] == ["revenue", "second"]


def test_a_part_goes_to_the_end_of_the_body_once() -> None:
    text = pack_text.add_part(draft(), "windows:\n  - {from: 2026-05-01, to: 2026-05-31, text: 网上申报}")
    assert rules.load(text).windows[0].text == "网上申报"
    with pytest.raises(pack_text.CannotEdit, match="draft_has_part"):
        pack_text.add_part(text, "windows:\n  - {}")


@pytest.mark.parametrize("text", ["a: [", "a: &x 1\nb: *x", "body: !!python/object:os.system {}", "- 1", "\x00"])
def test_a_text_that_cannot_be_read_is_not_edited(text: str) -> None:
    with pytest.raises(pack_text.CannotEdit):
        pack_text.put(text, criterion())
    assert pack_text.criteria(text) == []


LINE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=60)


@settings(deadline=None)
@given(LINE, st.lists(LINE, min_size=1, max_size=3).map("\n".join))
def test_any_words_survive_the_way_through_the_text(title: str, quote: str) -> None:
    row = criterion() | {"title": title, "quote": quote}
    text = pack_text.put(draft(), row)
    stored = pack_text.criteria(text)[0]
    assert (stored["title"], stored["quote"]) == (title, quote)


def test_the_form_says_what_the_text_says() -> None:
    known = forms.shown(criterion())
    assert known is not None
    initial, asked = known
    assert initial["evidence"] == "审计报告"
    assert asked == [Asked("amount", "revenue", "", "ge", "1500", "万元", "last_year")]
    assert forms.test_of(asked[0]) == criterion()["test"]
    assert forms.shown(criterion() | {"applies_when": {}}) is None
    assert forms.shown(criterion() | {"test": {"op": "all_of", "tests": [{"op": "on_or_before"}]}}) is None
