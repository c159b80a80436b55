"""Demo of running: sites are joined to this machine's engine, and one operator tries it from booking to accounting."""

import time
from collections.abc import Iterator

from django.conf import settings
from django.utils.translation import gettext as _

from huoshui.base import access
from huoshui.base.demo import Step
from huoshui.base.errors import Refused
from huoshui.compute.models import Pool, Site
from huoshui.jobs import connections, copies, runner
from huoshui.jobs.actions import connections as actions
from huoshui.jobs.actions.bookings import book_own
from huoshui.jobs.actions.jobs import submit_job
from huoshui.jobs.models import Connection, Job

ACTOR = access.system("demo")
SITE, MODEL = "hupan", "l20-48g"
SECONDS_MAX = 5.0
COUNTING = """/bin/sh -c 'echo 示例作业: $HUOSHUI_CARDS 张卡; for n in 1 2 3 4 5 6; do
echo "{\\"step\\": $n, \\"total\\": 6, \\"loss\\": $((9 - n)).5}" >> $HUOSHUI_METRICS; sleep 0.4; done;
echo 完成 > $HUOSHUI_OUTPUTS/result.txt'"""


def load() -> Iterator[Step]:
    """Connect, check, keep a card for the operator itself, run one job as far as it gets in a few seconds."""
    sites = Site.objects.filter(pools__isnull=False).distinct().order_by("id")
    joined = {site.code: _connected(site) for site in sites}
    connection = joined.get(SITE)
    if connection is None:
        return
    yield _("The engine of %(site)s is this machine: %(state)s") % {
        "site": connection.site.name, "state": connection.get_state_display(),
    }  # fmt: skip
    try:
        job = _job(connection.site)
    except Refused:  # the demo is loaded again on another day, and the cards are sold by now
        return
    deadline = time.monotonic() + SECONDS_MAX
    while job.collected_at is None and time.monotonic() < deadline:
        runner.visit(access.system("runner"), connection)
        copies.turn(copies.at_once)
        time.sleep(0.1)
        job.refresh_from_db()
    yield _("Job %(number)s on it: %(state)s") % {"number": job.number, "state": job.get_state_display()}


def _connected(site: Site) -> Connection:
    pools = site.pools.select_related("card_model").order_by("id")
    cards = ",".join(f"{pool.card_model.code}={pool.cards}" for pool in pools)
    made = actions.connect(
        ACTOR, key=f"demo/engine/{site.code}", site=site, kind="local",
        settings={"workdir": str(settings.HOME / "jobs"), "cards": cards},
    )  # fmt: skip
    if made.state == Connection.State.UNCHECKED:
        made = actions.record_check(ACTOR, connection=made, **connections.check(made))
    return made


def _job(site: Site) -> Job:
    """Submitted once; loading again finds it."""
    pool = Pool.objects.get(site=site, card_model__code=MODEL)
    booking = book_own(ACTOR, key=f"demo/own/{site.code}", pool=pool, cards=1, hours=3)
    return submit_job(
        ACTOR, key=f"demo/job/{site.code}", booking=booking, title="示例作业：从预订到计量", template="command",
        parameters={"arguments": COUNTING}, seconds_max=60,
    )  # fmt: skip
