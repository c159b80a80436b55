"""Who may see what of a round: the public document, a party's own row with its proof, the whole for an auditor.

The statement (prices, totals, bound, refusals, digests) is public once the round is published; the request table is
bound by salted commitments in it and opened after the delay that the round terms name. Anyone checks the document with
the one-file verifier `huoshui/clearing/capacity/public_verify.py`.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock, log
from huoshui.base.errors import Missing, Refused
from huoshui.base.merkle import inclusion_proof
from huoshui.base.models import Checkpoint, LogRecord
from huoshui.clearing import capacity
from huoshui.clearing.capacity import archive, public_verify
from huoshui.clearing.capacity import public as capacity_public
from huoshui.compute.models import Request, Round
from huoshui.compute.problems import terms_of


def stored(round_: Round) -> tuple[capacity.Problem, capacity.Result]:
    """The stored problem and result. Raises Missing before the round is cleared, Refused when they do not match the
    digests in the log."""
    data = {row.kind: bytes(row.content) for row in round_.data.all()}
    if "result" not in data:
        raise Missing(_("The round is not cleared."))
    problem = archive.unpack(capacity.Problem, data["problem"])
    result = archive.unpack(capacity.Result, data["result"])
    if problem.digest() != round_.digests["problem"] or result.digest() != round_.digests["result"]:
        raise Refused(_("The stored round does not match its digests in the log."), code="round_tampered")
    return problem, result


def verify(round_: Round) -> list[str]:
    """What `capacity.verify` finds false in the stored result; empty when every statement holds."""
    return [str(violation) for violation in capacity.verify(*stored(round_))]


def opens_at(round_: Round) -> datetime | None:
    """When the request table becomes public; None before publishing."""
    if round_.published_at is None:
        return None
    return round_.published_at + timedelta(hours=terms_of(round_).request_table_delay_hours)


def commitments_root(round_: Round, problem: capacity.Problem) -> str:
    """Root over the salted commitments to every request as submitted: logged before the round is cleared."""
    salts = capacity_public.salts_of(bytes.fromhex(round_.secret), problem)
    rows = capacity_public.request_rows(problem)
    return capacity_public.root([capacity_public.commitment(s, row) for s, row in zip(salts, rows, strict=True)])


def statement_digest(round_: Round, problem: capacity.Problem, result: capacity.Result) -> str:
    """Digest of the public statement, commitments included."""
    return capacity_public.statement_digest(_unlogged(round_, problem, result, opened=False))


def document(round_: Round) -> dict[str, Any]:
    """The public document of a published round as of now. Raises Missing before it is published."""
    opening = opens_at(round_)
    if opening is None or round_.record is None:
        raise Missing(_("The round is not published."))
    found = _unlogged(round_, *stored(round_), opened=clock.now() >= opening)
    return found | {"log": _log_part(round_)}


def own_row(round_: Round, request: Request) -> dict[str, Any]:
    """A party's own row as it entered the round, its salt and its place under the statement's commitments root."""
    problem, result = stored(round_)
    rows = _unlogged(round_, problem, result, opened=True)
    position = problem.request_id.index(request.number)
    leaves = [public_verify.leaf_hash(bytes.fromhex(item)) for item in rows["commitments"]]

    def subtree(level: int, place: int) -> bytes:
        if level == 0:
            return leaves[place]
        return public_verify.node_hash(subtree(level - 1, 2 * place), subtree(level - 1, 2 * place + 1))

    return rows["table"][position] | {
        "commitment": rows["commitments"][position],
        "index": position,
        "size": len(leaves),
        "path": [step.hex() for step in inclusion_proof(subtree, position, len(leaves))],
        "commitments_root": rows["statement"]["commitments_root"],
        "statement_digest": round_.digests["statement"],
    }


def _unlogged(
    round_: Round, problem: capacity.Problem, result: capacity.Result, opened: bool
) -> dict[str, Any]:
    salts = capacity_public.salts_of(bytes.fromhex(round_.secret), problem)
    return capacity_public.public_document(problem, result, salts=salts, opened=opened)


def _log_part(round_: Round) -> dict[str, Any]:
    """The records of publishing and of taking the requests in, their places in the log, and how earlier published roots
    grew into this one."""
    record = round_.record
    assert record is not None, "a published round has its record"
    receipt = log.inclusion(record)
    frozen = LogRecord.objects.get(subject=canonical.label(round_), action=public_verify.FREEZE)
    earlier = Checkpoint.objects.filter(size__lt=receipt["size"], size__gt=0).order_by("-size")[:20]
    return _entry(record, receipt) | {
        "size": receipt["size"],
        "root": receipt["root"],
        "frozen": _entry(frozen, log.inclusion(frozen, receipt["size"])),
        "consistency": {str(point.size): log.consistency(point.size, receipt["size"])["path"] for point in earlier},
    }


def _entry(record: LogRecord, receipt: dict[str, Any]) -> dict[str, Any]:
    """A record, its payload and its place in the log."""
    return {
        "record": json.loads(receipt["leaf"]),
        "payload": json.loads(record.payload),
        "index": receipt["index"],
        "path": receipt["path"],
    }
