"""The JSON Schema says what the reader says, wherever a schema can tell."""

import copy
import json
import random
from importlib import resources
from typing import Any

import jsonschema_rs
import pytest
from tests.rules.packs import dump

from huoshui.publications import shipped
from huoshui.rules import load
from huoshui.terms.errors import TermError
from huoshui.terms.publication import parse_yaml

SHIPPED = shipped("rule_pack")
SCHEMA = json.loads((resources.files("huoshui.rules") / "pack.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA)
MUTATIONS = 30
MEANING = frozenset({
    "field_unknown", "field_redefined", "field_kind", "unit_mismatch", "threshold_places", "period_needed",
    "units_differ", "parameter_unknown", "criterion_unknown", "bands_shape", "steps_fall", "veto_exempt", "class_last",
    "claim_stage", "nested_each", "unique", "order", "document_depth", "date",
})  # fmt: skip
"""Rules of the reader that a schema cannot know: what names mean, and how values hang together."""


def spots(content: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of every value within."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = []
    for key, value in pairs:
        found += [(content, key), *spots(value)]
    return found


def mutated(content: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """The document with one value lost, foreign, of another type or out of range."""
    content = copy.deepcopy(content)
    holder, key = rng.choice(spots(content))
    change = rng.choice(["lost", "foreign", "number", "text", "flag", "empty", "list", "mapping", "great"])
    if change == "lost" and isinstance(holder, dict):
        del holder[key]
    elif change == "foreign":
        (holder if isinstance(holder, dict) else content)["foreign"] = 1
    else:
        holder[key] = {"number": -7, "text": "foreign text", "flag": True, "empty": "", "list": [], "mapping": {},
                       "great": 10**16}.get(change, 0)  # fmt: skip
    return content


def refused(content: dict[str, Any]) -> str | None:
    """The rule by which the reader refuses a document."""
    try:
        load(dump(content))
    except TermError as error:
        return error.rule
    return None


@pytest.mark.parametrize("name", SHIPPED)
def test_packs_that_ship_fit_the_schema(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(parse_yaml(SHIPPED[name]))] == []


@pytest.mark.parametrize("name", [name for name in SHIPPED if len(SHIPPED[name]) < 9_000])
def test_reader_and_schema_agree_on_mutations(name: str) -> None:
    rng = random.Random(name)
    content = parse_yaml(SHIPPED[name])
    for _ in range(MUTATIONS):
        changed = mutated(content, rng)
        rule, fits = refused(changed), VALIDATOR.is_valid(changed)
        if rule is None:
            assert fits, list(VALIDATOR.iter_errors(changed))[0].message
        elif rule not in MEANING:
            assert not fits, rule
