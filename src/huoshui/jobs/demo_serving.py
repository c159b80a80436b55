"""Demo data of training: an invented text in the store of a firm that has a booking, and a training that waits."""

from collections.abc import Iterator
from datetime import timedelta
from importlib import resources

from django.utils.translation import gettext as _

from huoshui.base import access
from huoshui.base.demo import Step
from huoshui.compute.demo import first_day, hour_at
from huoshui.jobs.actions.artefacts import upload
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Artefact, Booking

ACTOR = access.system("demo")
FILE = "算力券问答.txt"


def load() -> Iterator[Step]:
    """Upload the text for the firm of a booking that lies ahead, and queue a training in it; once."""
    if Artefact.objects.filter(name=FILE, used_by__isnull=False).exists():
        return
    ahead = Booking.objects.filter(state__in=LIVE, start_hour__gte=hour_at(first_day() + timedelta(days=1)))
    booking = ahead.select_related("party").order_by("pk").first()
    if booking is None:
        return
    text = upload(
        ACTOR, key=f"demo/jobs/text/{booking.pk}", party=booking.party, name=FILE, kind=Artefact.Kind.DATA,
        chunks=[resources.files("huoshui.jobs").joinpath("demo_text.txt").read_bytes()],
    )  # fmt: skip
    job = submit_job(
        ACTOR, key=f"demo/jobs/train/{booking.pk}", booking=booking, template="fine-tune", parameters={},
        title="用问答文本训练一个小模型", inputs={"text": text}, seconds_max=1800,
    )  # fmt: skip
    yield _("Training: the text %(file)s lies ready for %(firm)s, and job %(job)s waits in booking %(booking)s.") % {
        "file": text, "firm": booking.party.name, "job": job.number, "booking": booking.number,
    }  # fmt: skip
