"""From what stood idle to a deposit: read a site's profile, keep it, propose the hours that may be offered.

The profile comes from Slurm's accounting or from Prometheus; it says how many cards of a pool were in use in an
hour. A proposal looks at the same hour of the week in the weeks kept and offers what the site itself left idle in
nearly all of them (what guests ran here had been offered before), never more than is free of deposits and bookings.
The operator confirms it; the deposit is the bank's own.
"""

from math import ceil

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.errors import Refused, invalid
from huoshui.compute.actions.deposits import STRETCHES_MAX, Stretch
from huoshui.compute.allocate import stretches as by_cards
from huoshui.compute.models import Pool
from huoshui.engines import EngineError, profiles
from huoshui.engines.profiles import Profile, Run
from huoshui.jobs import connections
from huoshui.jobs.calendar import free_cards
from huoshui.jobs.models import Attempt, Connection, IdleProfile

WEEK_HOURS = 168
EXPORT_WEEKS = 6
AHEAD_HOURS = 12
"""A proposal begins so long after now, so that a round can still take it."""


def read_engine(connection: Connection, weeks: int) -> Profile:
    """The profile of past weeks out of the engine's accounting, by the engine's words.

    Raises Refused when the engine keeps no such accounting or does not answer.
    """
    now = clock.hour_of(clock.now())
    start = now - weeks * WEEK_HOURS
    try:
        engine = connections.open_engine(connection)
        history = getattr(engine, "history", None)
        if history is None:
            text = _("This kind of engine does not know what ran; upload what Prometheus kept.")
            raise Refused(text, code="no_history")
        runs = history(clock.instant_of(start), clock.instant_of(now))
    except EngineError as error:
        raise Refused(_("The engine said: %(text)s") % {"text": error.text}, code=f"engine_{error.code}") from error
    return profiles.from_runs(runs, set(words_of(connection).values()), start, now)


def read_prometheus(connection: Connection, text: str, metric: str, label: str) -> Profile:
    """The profile of the hours that Prometheus tells of, by the engine's words. Raises Invalid for what is none."""
    words: dict[str, str] = {}
    for pool, word in words_of(connection).items():
        words |= {word: word, pool.card_model.code: word, pool.card_model.name: word}
    try:
        return profiles.from_prometheus(text, words, metric=metric, label=label)
    except EngineError as error:
        scrape = _("its samples have no time, as a scrape of one moment; upload what the command above writes")
        raise invalid("file", "…", scrape if error.code == profiles.NO_TIME else error.text) from error


def export_command() -> str:
    """The command that asks Prometheus for the busiest moment of each hour of past weeks."""
    end = clock.hour_of(clock.now()) - 1
    first, last = (int(clock.instant_of(hour).timestamp()) for hour in (end - EXPORT_WEEKS * WEEK_HOURS, end))
    return (
        "curl -s http://localhost:9090/api/v1/query_range -o idle.json \\\n"
        f"  --data-urlencode 'query=max_over_time({profiles.DCGM_GAUGE}[1h] offset -1h)' \\\n"
        f"  -d start={first} -d end={last} -d step={profiles.HOUR_SECONDS}"
    )


def words_of(connection: Connection) -> dict[Pool, str]:
    """The engine's word for the card model of each pool of the site."""
    pools = connection.site.pools.select_related("card_model", "site").order_by("id")
    return {pool: connections.word(connection, pool.card_model.code) for pool in pools}


def propose(pool: Pool, quantile_bps: int) -> list[Stretch]:
    """Stretches of the coming week that may be deposited; empty when too little was observed or nothing is idle."""
    start = clock.hour_of(clock.now()) + AHEAD_HOURS
    used = _own_use(pool)
    idle = {
        hour: cards
        for first, last, cards in profiles.propose(used, pool.cards, start, WEEK_HOURS, quantile_bps)
        for hour in range(first, last)
    }
    free = free_cards([pool], start, start + WEEK_HOURS)[0]
    left = {hour: min(cards, int(free[hour - start])) for hour, cards in idle.items()}
    found = by_cards({hour: cards for hour, cards in left.items() if cards > 0})
    return [Stretch(first, last, cards) for first, last, cards in found][:STRETCHES_MAX]


def _own_use(pool: Pool) -> dict[int, int]:
    """The most cards that the site itself used at once in each hour kept: what was in use, less what our guests ran."""
    used = dict(pool.idle_profile.values_list("hour", "cards_used"))
    if not used:
        return {}
    first, last = min(used), max(used) + 1
    rows = Attempt.objects.filter(
        booking__pool=pool, started_at__lt=clock.instant_of(last), ended_at__gt=clock.instant_of(first)
    ).exclude(booking__party=pool.site.operator)
    runs = [
        Run("", cards, int(start.timestamp()), ceil(end.timestamp()))
        for cards, start, end in rows.values_list("cards", "started_at", "ended_at")
        if start is not None and end is not None
    ]
    guests = profiles.from_runs(runs, {""}, first, last)
    return {hour: max(0, cards - guests["", hour]) for hour, cards in used.items()}


def observed(pool: Pool) -> tuple[int, str]:
    """Hours kept of a pool's profile, and where the newest came from."""
    newest = IdleProfile.objects.filter(pool=pool).order_by("-hour").first()
    return pool.idle_profile.count(), newest.source if newest else ""
