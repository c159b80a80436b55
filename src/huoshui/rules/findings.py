"""What lint found: a code, where, how bad, and the parameters of its sentence (`words.finding`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

ERROR: Final = "error"
WARNING: Final = "warning"
NOTE: Final = "note"
LEVELS: Final = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Finding:
    """`path` is that of the document (`body.criteria[3].test`), `code` a key of `words.FINDINGS` or of
    `errors.RuleError.rules`."""

    code: str
    path: str
    level: str
    params: Mapping[str, Any] = field(default_factory=dict)


def finding(code: str, path: str, level: str, /, **params: Any) -> Finding:
    return Finding(code, path, level, MappingProxyType(params))
