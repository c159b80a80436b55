"""Publications: dated, cited, hashed YAML documents, read from text and from nothing else.

The idea: a published rule is data that a court, an auditor or a firm can hold against us, so the same text must
always mean the same thing. The reader knows only four scalars (text, whole number, true/false, empty): no dates
or decimals guessed by YAML (16:30 stays text, 1.5 stays text and is refused where a whole number is due), no tags,
no anchors or aliases, no repeated keys, and bounds on bytes, depth and values. The digest is taken over a canonical
form of the content, so that comments and layout do not change it and every meaning does.

`Fields` reads one mapping strictly: each getter checks type and range, `done()` refuses what nobody asked for.
"""

import datetime as dt
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import yaml

from .errors import TermError

DOCUMENT_BYTES_MAX: Final = 512 * 1024
DOCUMENT_DEPTH_MAX: Final = 24
DOCUMENT_NODES_MAX: Final = 40_000
TEXT_CHARACTERS_MAX: Final = 4_000
LIST_ITEMS_MAX: Final = 5_000
INTEGER_MAX: Final = 10**15
PARSED_MAX: Final = 64
"""Documents kept as they were read, since each is asked for many times."""

STATUSES: Final = ("draft", "in_force")


class _Loader(yaml.SafeLoader):
    """SafeLoader that resolves whole numbers, true/false and null only; everything else is text."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])


def _line(mark: object) -> str:
    return f"line {mark.line + 1}" if isinstance(mark, yaml.Mark) else "document"


def _construct_mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        where = _line(key_node.start_mark)
        if type(key) not in (str, int):
            raise TermError(where, key, "identifier")
        if str(key) in mapping:
            raise TermError(where, key, "duplicate_key")
        mapping[str(key)] = loader.construct_object(value_node, deep=True)
    return mapping


def _construct_integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    if len(text) > len(str(INTEGER_MAX)) + 1:
        raise TermError(_line(node.start_mark), text, "integer", min=-INTEGER_MAX, max=INTEGER_MAX)
    return int(text)


def _construct_text(loader: _Loader, node: yaml.ScalarNode) -> str:
    """Text that every database and the canonical form can hold: no control characters, no half code points."""
    text = str(loader.construct_scalar(node))
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in text):
        raise TermError(_line(node.start_mark), text, "text_characters")
    return text


_Loader.add_constructor("tag:yaml.org,2002:str", _construct_text)
_Loader.add_constructor("tag:yaml.org,2002:map", _construct_mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_integer)


def _check_events(text: str) -> None:
    """Refuse what must not be built, before anything is built."""
    depth = nodes = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        where = _line(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            raise TermError(where, f"*{event.anchor}", "no_alias")
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise TermError(where, "---", "document_single")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            nodes += 1
            if event.anchor is not None:
                raise TermError(where, f"&{event.anchor}", "no_alias")
            if event.tag is not None:
                raise TermError(where, event.tag, "no_tag")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DOCUMENT_DEPTH_MAX:
            raise TermError(where, depth, "document_depth", max=DOCUMENT_DEPTH_MAX)
        if nodes > DOCUMENT_NODES_MAX:
            raise TermError(where, nodes, "document_nodes", max=DOCUMENT_NODES_MAX)
    if documents == 0:
        raise TermError("document", "", "document_single")


def parse_yaml(text: str) -> dict[str, Any]:
    """One YAML mapping of text, whole numbers, true/false, empty, lists and mappings with text keys.

    Raises TermError (never a yaml error), naming the line where one is known.
    """
    byte_count = len(text.encode("utf-8", "surrogatepass"))
    if byte_count > DOCUMENT_BYTES_MAX:
        raise TermError("document", byte_count, "document_bytes", max=DOCUMENT_BYTES_MAX)
    try:
        _check_events(text)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader with fewer types
    except TermError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML lets chr() fail on \UFFFFFFFF
        where = _line(getattr(error, "problem_mark", None))
        raise TermError(where, text[:40], "document_yaml", problem=str(getattr(error, "problem", error))) from error
    if not isinstance(content, dict):
        raise TermError("document", content, "mapping")
    return content


def canonical_bytes(content: Any) -> bytes:
    """JSON with sorted keys, no spaces, UTF-8: one byte string for one content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


class Fields:
    """Strict reader of one mapping. `where` is its path; every error names `where.key`, the value and the rule."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, Mapping):
            raise TermError(where or "document", content, "mapping")
        self._content, self._where, self._asked = content, where, set[str]()

    def path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return self._content.get(key) is not None

    def value(self, key: str) -> Any:
        """Whatever stands under `key`."""
        if key not in self:
            raise TermError(self.path(key), None, "required")
        return self._content[key]

    def text(self, key: str, *, max_characters: int = TEXT_CHARACTERS_MAX) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not value.strip() or len(value) > max_characters:
            raise TermError(self.path(key), value, "text", max=max_characters)
        return value.strip()

    def identifier(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,79}", value):
            raise TermError(self.path(key), value, "identifier")
        return value

    def choice(self, key: str, choices: Collection[str]) -> str:
        value = self.value(key)
        if not isinstance(value, str) or value not in choices:
            raise TermError(self.path(key), value, "choice", choices=", ".join(choices))
        return value

    def choice_of(self, *keys: str) -> str:
        """The one key of these that is there."""
        given = [key for key in keys if key in self]
        if len(given) != 1:
            raise TermError(self._where or "document", given, "one_key", keys=", ".join(keys))
        return given[0]

    def boolean(self, key: str) -> bool:
        value = self.value(key)
        if not isinstance(value, bool):
            raise TermError(self.path(key), value, "boolean")
        return value

    def integer(self, key: str, minimum: int = 0, maximum: int = INTEGER_MAX) -> int:
        return check_integer(self.value(key), self.path(key), minimum, maximum)

    def date(self, key: str) -> dt.date:
        return check_date(self.value(key), self.path(key))

    def items(self, key: str, *, minimum: int = 0, maximum: int = LIST_ITEMS_MAX) -> list[tuple[str, Any]]:
        """The list under `key` as (path, value) pairs."""
        value = self.value(key)
        if not isinstance(value, list) or not minimum <= len(value) <= maximum:
            raise TermError(self.path(key), value, "list", min=minimum, max=maximum)
        return [(f"{self.path(key)}[{index}]", item) for index, item in enumerate(value)]

    def rows(self, key: str, *, minimum: int = 0, maximum: int = LIST_ITEMS_MAX) -> Iterator["Fields"]:
        """The list of mappings under `key`, each read strictly and to its last field."""
        for where, item in self.items(key, minimum=minimum, maximum=maximum):
            row = Fields(item, where)
            yield row
            row.done()

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.value(key)
        if not isinstance(value, Mapping):
            raise TermError(self.path(key), value, "mapping")
        return value

    def fields(self, key: str) -> "Fields":
        return Fields(self.value(key), self.path(key))

    def names(self) -> list[str]:
        """All keys of the mapping, for mappings whose keys are data."""
        self._asked.update(self._content)
        return list(self._content)

    def done(self) -> None:
        for key in self._content:
            if key not in self._asked:
                known = ", ".join(sorted(self._asked))
                raise TermError(self.path(key), self._content[key], "unknown_field", known=known)


def check_integer(value: object, where: str, minimum: int, maximum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise TermError(where, value, "integer", min=minimum, max=maximum)
    return value


def check_date(value: object, where: str) -> dt.date:
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            pass
    raise TermError(where, value, "date")


@dataclass(frozen=True)
class Publication:
    """The header that every publication has, and its body as read.

    `status` is `draft` while a number is still to be checked against the cited document (`note` says which) and
    `in_force` after. `effective_to` is the last local date on which it applies, None while open. `demo` marks
    terms invented for a demonstration. `digest` is sha256 (hex) over the canonical bytes of the whole document.
    """

    kind: str
    id: str
    title: str
    authority: str
    document_number: str | None
    source: str
    status: str
    effective_from: dt.date
    effective_to: dt.date | None
    supersedes: str | None
    note: str | None
    demo: bool
    body: Mapping[str, Any]
    digest: str

    def in_effect(self, day: dt.date) -> bool:
        """Whether the dates of the document cover this local date (its status is another question)."""
        return self.effective_from <= day and (self.effective_to is None or day <= self.effective_to)

    def body_fields(self) -> Fields:
        return Fields(self.body, "body")


@lru_cache(maxsize=PARSED_MAX)
def parse(text: str) -> Publication:
    """Read the header of a publication of any kind; its body is checked by the loader of its kind.

    Who asks again for the same text is given the same object: nobody changes it. Raises TermError naming the field,
    the value and the rule.
    """
    content = parse_yaml(text)
    fields = Fields(content, "")
    effective_from = fields.date("effective_from")
    effective_to = fields.date("effective_to") if "effective_to" in fields else None
    if effective_to is not None and effective_to < effective_from:
        raise TermError("effective_to", effective_to.isoformat(), "order", other="effective_from")
    publication = Publication(
        kind=fields.identifier("kind"),
        id=fields.identifier("id"),
        title=fields.text("title", max_characters=200),
        authority=fields.text("authority", max_characters=200),
        document_number=fields.text("document_number", max_characters=100) if "document_number" in fields else None,
        source=fields.text("source", max_characters=1000),
        status=fields.choice("status", STATUSES),
        effective_from=effective_from,
        effective_to=effective_to,
        supersedes=fields.identifier("supersedes") if "supersedes" in fields else None,
        note=fields.text("note") if "note" in fields else None,
        demo=fields.boolean("demo") if "demo" in fields else False,
        body=MappingProxyType(fields.mapping("body")),
        digest=hashlib.sha256(canonical_bytes(content)).hexdigest(),
    )
    fields.done()
    return publication


def load(text: str, kinds: Mapping[str, Callable[[Publication], Any]]) -> tuple[Publication, Any]:
    """Read a publication and let the loader of its kind check and build the body. Raises TermError."""
    publication = parse(text)
    if publication.kind not in kinds:
        raise TermError("kind", publication.kind, "kind_unknown", known=", ".join(sorted(kinds)))
    return publication, kinds[publication.kind](publication)
