"""What everyone may check of a published round, and what a firm may check of its own row, without the platform."""

import hashlib
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.compute import market
from tests.compute.market import ask
from tests.compute.world import NOON, World

from huoshui.base import clock
from huoshui.base.errors import Missing, Refused
from huoshui.clearing.capacity import public_verify
from huoshui.compute import public
from huoshui.compute.actions import rounds
from huoshui.compute.models import Request, Round, RoundData

pytestmark = pytest.mark.django_db
VERIFIER = Path(public_verify.__file__)
DELAY = timedelta(hours=168)


@pytest.fixture
def round_(world: World) -> Round:
    world.offer(2, base=500)
    for budget in (60_000, 40_000, 20_000, 10_000, 5_000):
        ask(world, 2, 12, budget)
    made = market.published(world)
    rounds.checkpoint_log()
    return made


def checked(document: dict[str, Any], folder: Path) -> tuple[int, str]:
    """What bare Python says of a document: exit status and output."""
    copied, file = folder / "public_verify.py", folder / "public.json"
    copied.write_bytes(VERIFIER.read_bytes())
    file.write_text(json.dumps(document), "utf-8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(copied), str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


def downloaded(client: Any, round_: Round) -> dict[str, Any]:
    """The document as anybody gets it, without signing in."""
    response = client.get(f"/api/compute/rounds/{round_.number}/public")
    assert response.status_code == 200
    return json.loads(response.content)


def test_anyone_checks_the_document_before_and_after_the_table_opens(
    client: Any, round_: Round, tmp_path: Path
) -> None:
    with clock.moved_to(NOON + DELAY - timedelta(minutes=1)):
        early = downloaded(client, round_)
    with clock.moved_to(NOON + DELAY + timedelta(minutes=1)):
        late = downloaded(client, round_)
    assert "table" not in early
    assert len(late["table"]) == 5
    assert early["statement"] == late["statement"]
    status, said = checked(early, tmp_path)
    assert status == 0, said
    assert said.count("absent") >= 2
    status, said = checked(late, tmp_path)
    assert status == 0, said
    assert f"statement {round_.digests['statement']}" in said
    assert early["log"]["payload"]["digests"]["statement"] == round_.digests["statement"]


def test_requests_are_bound_in_the_log_before_the_outcome(client: Any, round_: Round, tmp_path: Path) -> None:
    document = downloaded(client, round_)
    frozen = document["log"]["frozen"]
    assert frozen["index"] < document["log"]["index"]
    assert frozen["payload"]["commitments_root"] == document["statement"]["commitments_root"]
    status, said = checked(document, tmp_path)
    assert (status, "ok      清算前已承诺" in said) == (0, True), said
    ways = ((("index",), 0), (("payload", "problem"), "0" * 64), (("record", "action"), "compute.round.publish"))
    for way, value in ways:
        changed = json.loads(json.dumps(document))
        place = changed["log"]["frozen"]
        for step in way[:-1]:
            place = place[step]
        place[way[-1]] = value
        assert checked(changed, tmp_path)[0] == 1, way
    published = {name: document["log"][name] for name in ("record", "payload", "index", "path")}
    assert checked(document | {"log": document["log"] | {"frozen": published}}, tmp_path)[0] == 1


@pytest.mark.parametrize("path", ["slot_price/0/0", "totals/payment", "sold/0/3", "refused/PRICE", "totals/bound"])
def test_a_changed_number_is_noticed(client: Any, round_: Round, tmp_path: Path, path: str) -> None:
    document = downloaded(client, round_)
    place: Any = document["statement"]
    *way, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    for step in way:
        place = place[step]
    place[last] += 1000
    status, said = checked(document, tmp_path)
    assert status == 1, said


def test_a_reworded_request_is_noticed_once_the_table_is_open(client: Any, round_: Round, tmp_path: Path) -> None:
    with clock.moved_to(NOON + DELAY + timedelta(minutes=1)):
        document = downloaded(client, round_)
    document["table"][2]["request"]["budget"] += 1
    status, said = checked(document, tmp_path)
    assert status == 1
    assert "FAILED" in said


def test_a_firm_proves_that_its_row_entered_as_submitted(round_: Round) -> None:
    root = public.document(round_)["statement"]["commitments_root"]
    assert root == round_.digests["commitments_root"], "the root that was logged before the round was cleared"
    for request in Request.objects.all():
        row = public.own_row(round_, request)
        assert row["request"]["budget"] == request.budget_fen * 1000
        assert row["commitments_root"] == root
        assert climbed(row) == root
        row["request"]["budget"] += 1
        assert public_verify.commitment(bytes.fromhex(row["salt"]), row["request"]).hex() != row["commitment"]


def climbed(row: dict[str, Any]) -> str:
    """RFC 9162, 2.1.3.2: the root that a leaf, its index, the size and the path lead to."""
    committed = public_verify.commitment(bytes.fromhex(row["salt"]), row["request"])
    assert committed.hex() == row["commitment"]
    found, index, last = hashlib.sha256(b"\0" + committed).digest(), row["index"], row["size"] - 1
    for step in map(bytes.fromhex, row["path"]):
        if index % 2 or index == last:
            found = hashlib.sha256(b"\1" + step + found).digest()
            while not index % 2 and index:
                index, last = index // 2, last // 2
        else:
            found = hashlib.sha256(b"\1" + found + step).digest()
        index, last = index // 2, last // 2
    return found.hex()


def test_nobody_reads_the_table_out_of_the_early_document(round_: Round) -> None:
    with clock.moved_to(NOON + timedelta(hours=1)):
        document = public.document(round_)
    text = json.dumps(document)
    assert all(request.number not in text for request in Request.objects.all())
    assert round_.secret not in text


def test_an_unpublished_round_has_no_document_and_a_draft_no_result(world: World) -> None:
    world.offer(1)
    draft = market.opened(world)
    with pytest.raises(Missing):
        public.document(draft)
    with pytest.raises(Missing):
        public.verify(draft)


def test_a_stored_round_that_was_changed_is_refused(round_: Round) -> None:
    data = RoundData.objects.get(round=round_, kind="result")
    other, _figures = market.solved(round_, lambda *_a, **_f: False)
    RoundData.objects.filter(pk=data.pk).update(content=other)
    round_.digests["result"] = "0" * 64
    with pytest.raises(Refused) as refused:
        public.document(round_)
    assert refused.value.code == "round_tampered"
