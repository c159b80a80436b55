"""Keep how many cards stood in use, hour by hour."""

from collections.abc import Mapping

from django.utils.translation import gettext as _

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import invalid
from huoshui.jobs.models import Connection, IdleProfile
from huoshui.jobs.permissions import CONNECT
from huoshui.jobs.proposals import words_of

HOURS_MAX = 24 * 7 * 26


@action("jobs.profile.record")
def record_profile(act: Act, *, connection: Connection, source: str, profile: Mapping[tuple[str, int], int]) -> int:
    """Keep a profile (engine's word, hour → cards in use) for the site's pools; newer words replace older ones.

    Hours that are not over and cards of other models are left out. Returns how many hours were kept. Raises Invalid
    when nothing of it is about the site's cards.
    """
    act.require(CONNECT, connection)
    now = clock.hour_of(act.at)
    rows = [
        IdleProfile(pool=pool, hour=hour, cards_used=max(0, min(used, pool.cards)), source=source[:20])
        for pool, word in words_of(connection).items()
        for (card, hour), used in profile.items()
        if card == word and now - HOURS_MAX <= hour < now
    ]
    if not rows:
        raise invalid("profile", len(profile), _("nothing in it is about cards of this site in past hours"))
    IdleProfile.objects.bulk_create(
        rows, batch_size=500, update_conflicts=True, unique_fields=["pool", "hour"],
        update_fields=["cards_used", "source"],
    )  # fmt: skip
    digest = canonical.digest(sorted([row.pool_id, row.hour, row.cards_used] for row in rows))
    act.record(connection, {"source": source, "hours": len(rows), "digest": digest})
    return len(rows)
