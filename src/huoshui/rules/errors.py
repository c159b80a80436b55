"""What was wrong with a pack, where and by which rule. Codes and parameters; faces make the sentences."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, Final

from huoshui.terms.errors import TermError

RULES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "field_unknown": "no field has this code; declare it under body.fields or choose one of the catalogue",
        "field_redefined": "this field is in the catalogue and cannot be declared anew",
        "field_kind": "this needs a field of kind %(kinds)s; %(code)s is %(kind)s",
        "unit_mismatch": "the unit must be %(expected)s",
        "threshold_places": "not a whole number of the smallest unit (%(places)s decimals at most)",
        "period_needed": "%(code)s has one value a year: say which period",
        "period_refused": "%(code)s has no periods",
        "units_differ": "members must have the same unit; found %(units)s",
        "places_differ": "members must have the same number of decimals; found %(found)s",
        "operator_unknown": "no such operator; known: %(known)s",
        "parameter_unknown": "no parameter has this name; known: %(known)s",
        "criterion_unknown": "no criterion has this id; known: %(known)s",
        "class_unknown": "no class has this id; known: %(known)s",
        "part_unknown": "no part of the scoring has this id; known: %(known)s",
        "bands_shape": "each band needs points, and from or to or both, from below to",
        "steps_fall": "steps must fall in points, and end above the rest",
        "test_or_score": "a criterion of kind score has a score and a part, every other kind has a test",
        "veto_exempt": "an exemption names criteria of kind hard or manual, or score",
        "class_last": "only the last class may leave out its test",
        "claim_stage": "a claim field (%(code)s) may only be read by a criterion of stage claim",
        "nested_each": "a period “each” cannot stand here",
        "else_last": "the case “otherwise” comes last and once",
        "cycle": "packs depend on one another in a circle: %(path)s",
        "pack_unknown": "no pack has this id",
    }
)


class RuleError(TermError):
    """A pack broke a rule. `field` is the path in the document, `rule` a key of `RULES`."""

    rules: ClassVar[Mapping[str, str]] = MappingProxyType({**TermError.rules, **RULES})
