"""Changing the text of a draft without touching what people wrote around it.

The idea: the YAML is the draft, its comments and order included. A form never writes it anew: the YAML parser says at
which line the list of criteria (or one criterion) begins and ends, and only these lines change. No Django.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

import yaml

from huoshui.terms import TermError
from huoshui.terms.publication import parse_yaml

WIDTH: Final = 100
INDENT: Final = 4
"""Columns before the dash of a criterion that is the first of its list."""


class CannotEdit(ValueError):
    """The text has no place for the change; `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Inline(dict[str, Any]):
    """A mapping written in one line, as people write tests."""


class _Dumper(yaml.SafeDumper):
    pass


_Dumper.add_representer(
    _Inline, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)
)


def skeleton(header: Mapping[str, str], on: dt.date) -> str:
    """The first text of a draft, with what the notice already says; criteria come with the first clause marked."""
    number = f"document_number: {scalar(header['document_number'])}\n" if header.get("document_number") else ""
    return (
        f"kind: rule_pack\nid: {scalar(header['identifier'])}\ntitle: {scalar(header['title'])}\n"
        f"authority: {scalar(header['authority'])}\n{number}source: {scalar(header['source'])}\n"
        f"status: in_force\neffective_from: {on.isoformat()}\nbody:\n  audience:\n    text: 全国企业\n  criteria: []\n"
    )


def scalar(text: str) -> str:
    """One line of text as YAML, quoted where it must be."""
    return yaml.safe_dump(text.strip(), allow_unicode=True, width=100_000).removesuffix("...\n").strip()


def block(content: Mapping[str, Any], indent: int) -> str:
    """A criterion as an item of a list whose dashes stand in column `indent`."""
    inline = {key: _Inline(value) if isinstance(value, Mapping) else value for key, value in content.items()}
    dumped = yaml.dump(
        [inline], Dumper=_Dumper, allow_unicode=True, sort_keys=False, default_flow_style=None, width=WIDTH
    )
    return "".join(f"{' ' * indent}{line}\n" for line in dumped.splitlines())


def _node(text: str, *path: str) -> yaml.Node | None:
    """The node under a path of keys. The text has been checked by `parse_yaml`: no tags, no aliases, bounded."""
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    for key in path:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node


def _checked(text: str) -> None:
    try:
        parse_yaml(text)
    except TermError:
        raise CannotEdit("draft_unreadable") from None


def title(text: str) -> str:
    """The title that the text gives its pack, as far as it can be read."""
    try:
        found = parse_yaml(text).get("title")
    except TermError:
        return ""
    return found.strip()[:200] if isinstance(found, str) else ""


def criteria(text: str) -> list[dict[str, Any]]:
    """The criteria as plain values, as far as the text can be read; empty when it cannot."""
    try:
        body = parse_yaml(text).get("body")
    except TermError:
        return []
    rows = body.get("criteria") if isinstance(body, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def put(text: str, content: Mapping[str, Any]) -> str:
    """The text with a criterion: in the place of the one with its id, else after the last. Raises CannotEdit."""
    _checked(text)
    found = _node(text, "body", "criteria")
    lines = text.splitlines(keepends=True)
    if isinstance(found, yaml.SequenceNode) and found.value and not found.flow_style:
        for item in found.value:
            if _identifier(item) == content["id"]:
                first, last = item.start_mark.line, _last_line(lines, item)
                return "".join(lines[:first]) + block(content, found.start_mark.column) + "".join(lines[last:])
        last = _last_line(lines, found.value[-1])
        return _ended(lines[:last]) + block(content, found.start_mark.column) + "".join(lines[last:])
    if isinstance(found, yaml.SequenceNode) and not found.value:
        first = found.start_mark.line
        head = lines[first][: found.start_mark.column].rstrip()
        return "".join(lines[:first]) + head + "\n" + block(content, INDENT) + "".join(lines[found.end_mark.line + 1 :])
    body = _node(text, "body")
    if found is None and isinstance(body, yaml.MappingNode) and not body.flow_style:
        last = _last_line(lines, body)
        column = body.start_mark.column
        return _ended(lines[:last]) + f"{' ' * column}criteria:\n" + block(content, column + 2) + "".join(lines[last:])
    raise CannotEdit("draft_shape")


def add_part(text: str, part: str) -> str:
    """The text with a part (such as `benefit:`) at the end of its body. `part` is indented by nothing."""
    _checked(text)
    body = _node(text, "body")
    if not isinstance(body, yaml.MappingNode) or body.flow_style:
        raise CannotEdit("draft_shape")
    name = part.partition(":")[0]
    if _node(text, "body", name) is not None:
        raise CannotEdit("draft_has_part")
    lines = text.splitlines(keepends=True)
    last, column = _last_line(lines, body), body.start_mark.column
    added = "".join(f"{' ' * column}{line}\n" for line in part.splitlines())
    return _ended(lines[:last]) + added + "".join(lines[last:])


def _ended(lines: list[str]) -> str:
    text = "".join(lines)
    return text if not text or text.endswith("\n") else text + "\n"


def _last_line(lines: list[str], node: yaml.Node) -> int:
    """The line after the last one of a node: that of its last leaf, since a block ends only where the next begins."""
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    last = min(node.end_mark.line + (1 if node.end_mark.column else 0), len(lines))
    while last > node.start_mark.line + 1 and not lines[last - 1].strip():
        last -= 1
    return last


def _identifier(item: yaml.Node) -> str | None:
    if isinstance(item, yaml.MappingNode):
        return next((value.value for name, value in item.value if name.value == "id"), None)
    return None


def free_identifier(text: str, wanted: str) -> str:
    """`wanted`, or with a number behind it that no criterion has yet."""
    taken = {str(row.get("id")) for row in criteria(text)}
    names = [wanted, *(f"{wanted}-{number}" for number in range(2, 300))]
    return next(name for name in names if name not in taken)
