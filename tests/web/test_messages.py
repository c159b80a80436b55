"""The interface is Chinese first: nothing is left untranslated, and one word is one word."""

import re
from collections import Counter

from huoshui.base import messages


def test_everything_is_translated_and_nothing_in_two_ways() -> None:
    assert list(messages.faults()) == []


def test_translations_keep_their_parameters() -> None:
    """A lost %(name)s is a lost fact; an invented one breaks the page."""
    for module in messages.modules():
        for entry in messages.catalogue(module):
            if not entry.id:
                continue
            ids = [entry.id] if isinstance(entry.id, str) else list(entry.id)
            texts = [entry.string] if isinstance(entry.string, str) else list(entry.string)
            wanted = Counter(re.findall(r"%\(\w+\)[sd]", ids[-1]))
            for text in texts:
                assert Counter(re.findall(r"%\(\w+\)[sd]", text)) == wanted, (module, ids[0])
