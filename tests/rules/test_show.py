"""The page of a pack says everything that the pack says, and is safe to print."""

import pytest
from tests.rules.packs import pack_with

from huoshui.publications import shipped
from huoshui.rules import load, show_words
from huoshui.rules.show import show

PACKS = {name: load(text) for name, text in shipped("rule_pack").items()}


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("language", ["zh-hans", "en"])
def test_every_clause_quote_and_title_stands_on_the_page(name: str, language: str) -> None:
    pack = PACKS[name]
    lines = [line for block in show_words.page(pack, language) for line in block.lines]
    cited = {(line.clause, line.quote) for line in lines if line.clause}
    assert {(each.clause, each.quote) for each in pack.criteria} <= cited
    assert {each.title for each in (*pack.criteria, *pack.materials)} <= {line.label for line in lines}
    assert all(line.text or line.clause or line.label for line in lines)


def test_sections_without_rows_are_left_out() -> None:
    assert [section.code for section in show(pack_with())] == ["about", "audience", "criteria.entitlement.hard"]


def test_html_is_whole_and_what_a_pack_says_is_never_markup() -> None:
    page = show_words.html(pack_with(title="<script>alert(1)</script>", quote="具有“独立”法人 & 资格"), "zh")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("https://", "http").replace("示例市科技局网站", "")
    assert page.count("<table>") == page.count("</table>") == 3


def test_a_draft_says_so() -> None:
    draft = next(pack for pack in PACKS.values() if pack.header.status == "draft")
    text = " ".join(line.text for block in show_words.page(draft, "zh") for line in block.lines)
    assert "草稿" in text
    assert draft.header.note is not None
    assert draft.header.note in text
