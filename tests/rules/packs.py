"""Small packs for the tests of lint, show, diff and words: a valid document, to be changed."""

import json
from typing import Any

import yaml

from huoshui.rules import Pack, load
from huoshui.rules.model import Test

HEADER = """\
kind: rule_pack
id: example
title: 示例补助
authority: 示例市科技局
source: 示例市科技局网站
status: in_force
effective_from: 2026-01-01
"""


class _Text(yaml.SafeLoader):
    """As `terms.publication` reads: dates stay text."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if "timestamp" not in tag]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def document(text: str) -> dict[str, Any]:
    """A YAML text as plain data."""
    return yaml.load(text, Loader=_Text)


def dump(content: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(content))  # nothing shared, so no anchors
    return yaml.safe_dump(plain, allow_unicode=True, sort_keys=False)


def pack_with(body: str = "", test: str = "{op: is, of: legal-entity, value: true}", **criterion: Any) -> Pack:
    """A pack of one hard criterion (its keys overridden), with more of a body."""
    return load(text_with(body, test, **criterion))


def text_with(body: str = "", test: str = "{op: is, of: legal-entity, value: true}", **criterion: Any) -> str:
    content = document(HEADER)
    row: dict[str, Any] = {
        "id": "only", "title": "唯一条件", "kind": "hard", "clause": "第三条", "quote": "具有独立法人资格",
        "test": document(test), "evidence": ["营业执照"],
    }  # fmt: skip
    row |= criterion
    content["body"] = {
        "audience": {"text": "示例市中小企业"},
        "criteria": [{key: value for key, value in row.items() if value is not None}],
        **(document(body) or {}),
    }
    return dump(content)


def test_of(text: str) -> tuple[Test, Pack]:
    """The test of a text such as `{op: ge, of: …}`, and the pack that it stands in."""
    pack = pack_with(test=text)
    test = pack.criteria[0].test
    assert test is not None
    return test, pack


test_of.__test__ = False  # type: ignore[attr-defined]
