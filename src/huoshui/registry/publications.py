"""From a stored publication to the object of `huoshui.terms` that computes with it."""

from functools import lru_cache
from typing import Any

from huoshui import rules, terms
from huoshui.terms import publication

LOADED_MAX = 256
KINDS = {**terms.KINDS, rules.KIND: rules.from_publication}
"""Every kind of publication that the registry stores, with the loader that checks its body."""


def read(text: str) -> tuple[terms.Publication, Any]:
    """Header and checked value of a publication of any kind. Raises TermError (RuleError for packs)."""
    return publication.load(text, KINDS)


@lru_cache(maxsize=LOADED_MAX)
def load(digest: str, text: str) -> Any:
    """The checked value of a publication. `digest` names the content, so one content is read once."""
    header, value = read(text)
    if header.digest != digest:
        raise ValueError(f"publication {header.kind}/{header.id}: the text does not match its digest {digest}")
    return value
