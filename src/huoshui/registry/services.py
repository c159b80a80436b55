"""What other modules write of the registry from inside their own actions."""

from typing import Any

from huoshui.base.act import Act
from huoshui.registry.models import Decision, Party


def decide(
    act: Act, *, party: Party, kind: str, subject: str, verdict: str, digests: list[str], trace: dict[str, Any]
) -> Decision:
    """Store a verdict about a party with the digests of the publications used and the trace of the rule.

    `subject` is the canonical label of what was decided on (`base.canonical.label`). The caller has checked its own
    permission; the decision gets a log record of its own.
    """
    content = {"kind": kind, "subject": subject, "verdict": verdict, "digests": digests, "trace": trace}
    record = act.record(party, content)
    return Decision.objects.create(party=party, decided_at=act.at, record=record, **content)
