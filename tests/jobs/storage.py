"""What tests of data, training and serving need to be there: a booking that runs now, files, jobs and their folders."""

import itertools
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.compute.world import SYSTEM, World, run

from huoshui.base import clock
from huoshui.jobs import services
from huoshui.jobs.actions.artefacts import upload
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.models import Artefact, Attempt, Booking, Connection, Job
from huoshui.jobs.services import BookingDraft
from huoshui.registry.models import Party

numbers = itertools.count(1)
TEXT = (
    "算力券是政府为中小企业发放的补贴凭证。企业购买算力服务后，凭结算单和发票申请兑付，专项资金按公布的比例报销实际支付的金额。\n"
    "算力银行把闲置的卡时存入，企业按需要取用。集中撮合轮次公布分时价格，每一笔成交都有依据，每一分钱都能说清。\n"
)


def booked(world: World, party: Party | None = None, cards: int = 4, hours: int = 24) -> Booking:
    """A booking over the hours from now on, reserved."""
    made: list[Booking] = []
    now = clock.hour_of(clock.now())

    def step(act: Any, record: Any) -> None:
        draft = BookingDraft(
            party=party or world.entity, pool=world.pool, cards=cards, stretches=[(now, now + hours)],
            source=f"test.sale:{next(numbers)}", price_mfen=100_000, cap_fen=100_000, billing=Booking.Billing.USED,
        )  # fmt: skip
        made.append(services.book(act, record, draft))

    run(step)
    Booking.objects.filter(pk=made[0].pk).update(state=Booking.State.RESERVED)
    return Booking.objects.select_related("party", "pool__site").get(pk=made[0].pk)


def put(party: Party, name: str = "text.txt", content: bytes = b"content", kind: str = "data") -> Artefact:
    """A file in the store."""
    return upload(SYSTEM, key=f"put/{next(numbers)}", party=party, name=name, kind=kind, chunks=[content])


def command(booking: Booking, line: str = "true", **more: Any) -> Job:
    """A queued job that runs a command."""
    return submit_job(
        SYSTEM, booking=booking, title="作业", template="command", parameters={"arguments": line}, **more
    )


def attempt_of(job: Job, workdir: Path, **values: Any) -> Attempt:
    """An attempt of a job on an engine whose jobs lie under `workdir`."""
    connection, _new = Connection.objects.update_or_create(
        site=job.booking.pool.site,
        defaults={"kind": "local", "settings": {"workdir": str(workdir)}, "state": Connection.State.UP},
    )
    now, number = clock.now(), job.attempts.count() + 1
    given = {"state": Attempt.State.RUNNING, "started_at": now, "sent_at": now, "until": now + timedelta(hours=1)}
    return Attempt.objects.create(
        job=job, number=number, name=f"{job.number}-{number}", connection=connection, booking=job.booking, cards=1,
        seconds_max=3600, submitted_at=now, **given | values,
    )  # fmt: skip
