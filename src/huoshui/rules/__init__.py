"""Rules as data: who is entitled to what, by which clause. Pure Python and Polars; no Django, no I/O, no clock.

    from huoshui import rules
    pack = rules.load(text)                                        # a publication of kind rule_pack
    library = rules.Library([pack])
    library.columns(on, rules.Stage.ENTITLEMENT)                   # the facts that it may read
    rules.evaluate(library, frame, on)[pack.id]                    # a verdict, with reasons, for each row
    rules.explain(library, pack.id, row, on)                       # the whole tree, for one
"""

from .errors import RULES, RuleError
from .evaluate import RESULT, evaluate
from .explain import (
    CriterionResult,
    Explanation,
    PartResult,
    ScoringResult,
    TestResult,
    WayResult,
    explain,
    explain_all,
)
from .fields import FIELDS, Field
from .library import Library
from .model import Pack, Stage, Verdict
from .questions import Question, deciding, questions
from .reader import KIND, at, from_publication, load
from .steps import Change, Plan
from .table import column_name, column_of, dtype_of

__all__ = [
    "FIELDS", "KIND", "RESULT", "RULES", "Change", "CriterionResult", "Explanation", "Field", "Library", "Pack",
    "PartResult", "Plan", "Question", "RuleError", "ScoringResult", "Stage", "TestResult", "Verdict", "WayResult", "at",
    "column_name", "column_of", "deciding", "dtype_of", "evaluate", "explain", "explain_all", "from_publication",
    "load", "questions",
]  # fmt: skip
