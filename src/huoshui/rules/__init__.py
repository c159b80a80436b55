"""Rules as data: who is entitled to what, by which clause. Pure Python and Polars; no Django, no I/O, no clock.

    from huoshui import rules
    pack = rules.load(text)                    # a publication of kind rule_pack
"""

from .errors import RULES, RuleError
from .fields import FIELDS, Field
from .model import Pack, Stage, Verdict
from .reader import KIND, at, from_publication, load

__all__ = [
    "FIELDS", "KIND", "RULES", "Field", "Pack", "RuleError", "Stage", "Verdict", "at", "from_publication", "load",
]  # fmt: skip
