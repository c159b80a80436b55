"""From a stored publication to the object of `huoshui.terms` that computes with it."""

from functools import lru_cache
from typing import Any

from huoshui import terms

LOADED_MAX = 256


@lru_cache(maxsize=LOADED_MAX)
def load(digest: str, text: str) -> Any:
    """The checked value of a publication. `digest` names the content, so one content is read once."""
    header, value = terms.load(text)
    if header.digest != digest:
        raise ValueError(f"publication {header.kind}/{header.id}: the text does not match its digest {digest}")
    return value
