"""A site's engine: connect it, write down what a check found, notice that it does not answer, switch it off."""

import secrets
from collections.abc import Mapping, Sequence

from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import Refused
from huoshui.compute.models import Site
from huoshui.engines import Finding
from huoshui.engines.base import UNREACHABLE
from huoshui.jobs import connections, copies
from huoshui.jobs.calendar import LIVE
from huoshui.jobs.models import Attempt, Booking, Connection, Outage, Shortage
from huoshui.jobs.permissions import CONNECT, RUNNER

TEXT_LENGTH_MAX = 300
SILENT = {UNREACHABLE, f"engine_{UNREACHABLE}"}
"""Findings that say only that the engine does not answer now."""


@action("jobs.connection.set")
def connect(act: Act, *, site: Site, kind: str, settings: Mapping[str, str]) -> Connection:
    """Connect a site's engine or change its settings; a check must follow.

    Raises Invalid for settings, Refused for another engine or directory while jobs run (code="attempts_open") or
    outputs lie in the directory (code="outputs_there").
    """
    act.require(CONNECT, site)
    settings = connections.checked(kind, settings)
    found = Connection.objects.select_for_update().filter(site=site).first()
    if found is None:
        found = Connection(site=site, tag=secrets.token_hex(4))
    elif (found.kind, found.settings) == (kind, settings) and found.state != Connection.State.OFF:
        act.nothing_changed()
        return found
    elif (found.kind, found.settings.get("workdir")) != (kind, settings.get("workdir")):
        if _open(found):
            raise Refused(_("Jobs run on this engine; change it when they have ended."), code="attempts_open")
        _require_collected(act, found)
    if (found.kind, _of_cards(found.settings)) != (kind, _of_cards(settings)):
        found.nodes = {}
    found.kind, found.settings, found.state = kind, settings, Connection.State.UNCHECKED
    found.findings = []
    found.save()
    found.shortages.all().delete()  # what these settings name is counted anew
    act.record(found, {"site": site, "kind": kind, "settings": settings})
    return found


def _of_cards(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings on which it depends what cards an engine has."""
    return {name: value for name, value in settings.items() if name not in ("workdir", "python")}


def _open(connection: Connection) -> bool:
    return connection.attempts.exclude(state=Attempt.State.ENDED).exists()


def _require_collected(act: Act, connection: Connection) -> None:
    """Raises Refused while outputs of ended jobs still lie at the site; those are not looked for for ever."""
    later = Attempt.objects.filter(job=OuterRef("job"), number__gt=OuterRef("number"), started_at__isnull=False)
    ended = Q(job__collected_at=None, job__ended_at__gt=act.at - copies.GONE_AFTER, sent_at__isnull=False)
    jobs = connection.attempts.filter(ended, ~Exists(later)).values("job").distinct().count()
    if jobs:
        text = _(
            "The files of %(count)s ended jobs have not been fetched from this site yet. Try again in some minutes; if"
            " the site cannot be read any more, %(days)s days after they ended."
        )
        raise Refused(text % {"count": jobs, "days": copies.GONE_AFTER.days}, code="outputs_there")


@action("jobs.connection.check")
def record_check(
    act: Act, *, connection: Connection, findings: Sequence[Finding], nodes: Mapping[str, Sequence[int]] | None = None
) -> Connection:
    """Write down what a check found. With a fault nothing new is reserved or started until a check passes.

    `nodes`: the cards of each node, as `Connection.nodes`; None: the engine did not say, and what was known stays.
    """
    act.require(CONNECT, connection)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    faults = {finding.code for finding in findings if finding.level == "fault"}
    connection.findings = [
        {"level": one.level, "code": one.code, "text": one.text[:TEXT_LENGTH_MAX]} for one in findings
    ]
    connection.checked_at = act.at
    connection.nodes = connection.nodes if nodes is None else {word: list(cards) for word, cards in nodes.items()}
    connection.save(update_fields=["findings", "checked_at", "nodes"])
    act.record(connection, {"findings": connection.findings, "nodes": connection.nodes})
    if faults and faults <= SILENT:
        _fails(act, connection, silent=True)
    else:
        _answers(act, connection, Connection.State.FAULTY if faults else Connection.State.UP)
    return connection


@action("jobs.connection.nodes")
def note_nodes(act: Act, *, connection: Connection, nodes: Mapping[str, Sequence[int]]) -> Connection:
    """How cards lie in nodes, as the engine told the runner when no check could say."""
    act.require(RUNNER)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    found = {word: list(cards) for word, cards in nodes.items()}
    if found == connection.nodes:
        act.nothing_changed()
        return connection
    connection.nodes = found
    connection.save(update_fields=["nodes"])
    act.record(connection, {"nodes": found})
    return connection


@action("jobs.connection.short")
def note_short(act: Act, *, connection: Connection, short: Mapping[str, tuple[int, int]]) -> Connection:
    """Of which card models fewer work than there should be, (working, wanted) by the engine's word; empty: enough."""
    act.require(RUNNER)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    before = {one.word: one for one in connection.shortages.all()}
    found = {word: (int(working), int(wanted)) for word, (working, wanted) in short.items()}
    if found == {word: (one.working, one.wanted) for word, one in before.items()}:
        act.nothing_changed()
        return connection
    connection.shortages.all().delete()
    Shortage.objects.bulk_create(
        Shortage(
            connection=connection, word=word, working=working, wanted=wanted,
            since=before[word].since if word in before and working >= before[word].working else act.at,
        )
        for word, (working, wanted) in found.items()
    )  # fmt: skip
    act.record(connection, {"short": {word: list(counts) for word, counts in found.items()}})
    return connection


@action("jobs.connection.fail")
def note_failure(act: Act, *, connection: Connection, code: str, text: str) -> Connection:
    """The engine did not do what the runner asked. Said once, until it answers again; only silence is an outage."""
    act.require(RUNNER)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    finding = {"level": "fault", "code": f"engine_{code}", "text": text[:TEXT_LENGTH_MAX]}
    if connection.failing_since is not None and connection.findings == [finding]:
        act.nothing_changed()
        return connection
    connection.findings = [finding]
    connection.save(update_fields=["findings"])
    act.record(connection, {"findings": connection.findings})
    _fails(act, connection, silent=code == UNREACHABLE)
    return connection


@action("jobs.connection.answer")
def note_answer(act: Act, *, connection: Connection) -> Connection:
    """The engine answers the runner again."""
    act.require(RUNNER)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    if connection.failing_since is None and connection.state != Connection.State.DOWN:
        act.nothing_changed()
        return connection
    act.record(connection, {"answers": True})
    connection.findings = [one for one in connection.findings if not one["code"].startswith("engine_")]
    connection.save(update_fields=["findings"])
    faulty = connection.state == Connection.State.FAULTY
    _answers(act, connection, Connection.State.FAULTY if faulty else Connection.State.UP)
    return connection


def _fails(act: Act, connection: Connection, *, silent: bool) -> None:
    """A time of failure begins, when the engine is silent an outage too; DOWN is said by `note_down` once it lasts."""
    connection.failing_since = connection.failing_since or act.at
    if silent and not connection.outages.filter(until=None).exists():
        Outage.objects.create(connection=connection, since=act.at)
    if connection.state == Connection.State.UNCHECKED:
        connection.state = Connection.State.DOWN
    connection.save(update_fields=["failing_since", "state"])


def _answers(act: Act, connection: Connection, state: str) -> None:
    connection.outages.filter(until=None).update(until=act.at)
    connection.failing_since, connection.state = None, state
    connection.save(update_fields=["failing_since", "state"])


@action("jobs.connection.down")
def note_down(act: Act, *, connection: Connection) -> Connection:
    """The engine has not answered for so long that its operator must look."""
    act.require(RUNNER)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    if connection.state != Connection.State.UP:
        act.nothing_changed()
        return connection
    connection.state = Connection.State.DOWN
    connection.save(update_fields=["state"])
    act.record(connection, {"state": connection.state, "since": connection.failing_since})
    return connection


@action("jobs.connection.switch_off")
def switch_off(act: Act, *, connection: Connection) -> Connection:
    """Stop using an engine.

    Raises Refused while bookings of the site have hours ahead (code="bookings_live") or outputs are not fetched yet
    (code="outputs_there").
    """
    act.require(CONNECT, connection)
    connection = Connection.objects.select_for_update().get(pk=connection.pk)
    if Booking.objects.filter(pool__site=connection.site_id, state__in=LIVE).exists() or _open(connection):
        raise Refused(_("Bookings of this site have not ended."), code="bookings_live")
    _require_collected(act, connection)
    connection.state = Connection.State.OFF
    connection.save(update_fields=["state"])
    connection.shortages.all().delete()
    act.record(connection, {"state": connection.state})
    return connection
