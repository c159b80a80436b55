"""The engine of a site, opened from what its operator said, and what a check of it found.

A site's operator is a stranger on the platform's own machine. The kind of engine must be one that the installation
allows (`settings.ENGINE_KINDS`), a directory for jobs lies in HUOSHUI_HOME/jobs or where it allows
(`settings.ENGINE_PATHS`). What the platform runs or loads (Python, Slurm's programs and their configuration) or lets
all jobs read lies where it allows too, and never in a directory for jobs of any site, since whatever lies there a job
may have written. An address is one of `settings.ENGINE_ADDRESSES`. All this is asked when settings are written, and
again whenever an engine is opened. A secret is never stored: the setting holds the name of a variable of the runner.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypedDict

from django.conf import settings as installation
from django.utils.translation import gettext as _

from huoshui import engines
from huoshui.base import clock
from huoshui.base.errors import Invalid, Problem, Refused, invalid
from huoshui.compute.models import Pool, Site
from huoshui.engines import Engine, EngineError, Finding, Setting
from huoshui.engines.base import SETTINGS
from huoshui.jobs.models import Connection
from huoshui.jobs.templates import Template

VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
VALUE_LENGTH_MAX = 500
FINDINGS_MAX = 50
NUMBER_MAX = 100_000
MIB = 1 << 20
VISITED = (Connection.State.UP, Connection.State.DOWN, Connection.State.FAULTY)
"""Sites that the runner looks after."""
DOWN_AFTER = timedelta(minutes=5)
"""An engine that has not worked for so long is down: its operator must look, and its next hours are not sold."""
UID_BASE_MIN = 100_000
"""Users under whose numbers jobs may run on this machine."""


def checked(kind: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The settings of a kind of engine without what was left empty. Raises Invalid naming each that is wrong."""
    if kind not in engines.KINDS or kind not in installation.ENGINE_KINDS:
        raise invalid("kind", kind, _("one of: %(all)s") % {"all": ", ".join(installation.ENGINE_KINDS)})
    known = {setting.name: setting for setting in engines.KINDS[kind].settings}
    given = {name: value.strip() for name, value in settings.items() if value.strip()}
    problems = [Problem(name, given[name], _("is not asked")) for name in given.keys() - known.keys()]
    problems += _faults(kind, given)
    if problems:
        raise Invalid(*problems)
    return given


def _faults(kind: str, given: Mapping[str, str]) -> list[Problem]:
    """What is wrong with the settings of an engine that is known, beside those of all others."""
    everyone = [given, *Connection.objects.values_list("settings", flat=True)]
    workdirs = [installation.HOME / "jobs", *(Path(one["workdir"]) for one in everyone if one.get("workdir"))]
    asked = engines.KINDS[kind].settings
    found = [Problem(one.name, value, rule) for one in asked if (rule := _fault(one, value := given.get(one.name, "")))]
    wrong = {problem.field for problem in found}
    for setting in asked:
        value = given.get(setting.name, "")
        there = _installed({setting.name: value}) if value and setting.name not in wrong else []
        if any(_meet(path, workdir) for path in there for workdir in workdirs):
            found.append(Problem(setting.name, value, _("must not lie where jobs write, nor around it")))
    workdir, theirs = given.get("workdir", ""), [path for one in everyone[1:] for path in _installed(one)]
    if workdir and "workdir" not in wrong and any(_meet(path, Path(workdir)) for path in theirs):
        found.append(Problem("workdir", workdir, _("must not lie around what an engine runs or reads, nor in it")))
    return found


def _installed(settings: Mapping[str, str]) -> list[Path]:
    """What an engine runs, loads or lets jobs read. The platform's own Python lies where the installation put it."""
    names = {one.name for kind in engines.KINDS.values() for one in kind.settings if one.kind == "installed"}
    values = [settings[name] for name in names if settings.get(name, sys.executable) != sys.executable]
    return [Path(path) for value in values for path in value.split(":") if path]


def _meet(path: Path, workdir: Path) -> bool:
    """Whether a path, or a link on the way to it, lies in a directory for jobs, or around it."""
    jobs = workdir.resolve()
    steps = (step.resolve() for step in (path, *path.parents))
    return any(step.is_relative_to(jobs) for step in steps) or jobs.is_relative_to(path.resolve())


def _fault(setting: Setting, value: str) -> str:
    """What is wrong with a value; empty: nothing."""
    if not value:
        return _("must be given") if setting.required else ""
    if len(value) > VALUE_LENGTH_MAX or not value.isprintable():
        return _("at most %(max)s characters, on one line") % {"max": VALUE_LENGTH_MAX}
    if setting.kind == "secret" and not VARIABLE.fullmatch(value):
        return _("the name of an environment variable, such as RAY_TOKEN; never the secret itself")
    if setting.name == "uid_base" and not (value.isdecimal() and int(value) >= UID_BASE_MIN):
        return _("a number from %(min)s on: lower ones are people's") % {"min": UID_BASE_MIN}
    if setting.kind == "number" and setting.name != "uid_base" and not _counts(value):
        return _("a whole number from 1 to %(max)s") % {"max": NUMBER_MAX}
    if setting.kind == "address" and value.rstrip("/") not in installation.ENGINE_ADDRESSES:
        return _("must be one of: %(all)s") % {"all": ", ".join(installation.ENGINE_ADDRESSES) or "–"}
    roots = {"path": [installation.HOME / "jobs", *installation.ENGINE_PATHS], "installed": installation.ENGINE_PATHS}
    allowed = roots.get(setting.kind)
    ours = setting.name == "python" and value == sys.executable
    if allowed is not None and not ours and not all(_allowed(Path(path), allowed) for path in value.split(":")):
        return _("must lie in one of: %(all)s") % {"all": ", ".join(map(str, allowed)) or "–"}
    return ""


def _counts(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 10 and 1 <= int(value) <= NUMBER_MAX


def _allowed(path: Path, roots: Sequence[Path]) -> bool:
    real = path.resolve()
    return path.is_absolute() and any(real.is_relative_to(root.resolve()) for root in roots)


def open_engine(connection: Connection) -> Engine:
    """The engine behind a connection, secrets read from the environment. Raises EngineError(SETTINGS)."""
    kind = engines.KINDS.get(connection.kind)
    if kind is None or connection.kind not in installation.ENGINE_KINDS:
        raise EngineError(SETTINGS, f"kind {connection.kind!r}")
    values = dict(connection.settings)
    for problem in _faults(connection.kind, values):
        raise EngineError(SETTINGS, f"{problem.field}: {problem.value} {problem.rule}")
    for setting in kind.settings:
        if setting.kind == "secret" and setting.name in values:
            if values[setting.name] not in os.environ:
                raise EngineError(SETTINGS, f"{setting.name}: no variable {values[setting.name]}")
            values[setting.name] = os.environ[values[setting.name]]
    return engines.open_engine(connection.kind, values)


def workdir(connection: Connection) -> Path:
    """The directory for jobs, shared with the nodes."""
    return Path(connection.settings["workdir"])


def python(connection: Connection) -> str:
    """Python on the nodes; without the setting that of the platform on this machine, elsewhere what the path finds."""
    return connection.settings.get("python") or (sys.executable if connection.kind == "local" else "python3")


class Bounds(TypedDict):
    """What a job may use, as `JobSpec` takes it."""

    memory_mib: int
    disk_mib: int
    processes_max: int
    cpus: int


def bounds(connection: Connection, cards: int, nodes: int, input_bytes: int) -> Bounds:
    """The bounds of a job with so many cards over so many nodes: the site's for each card, its inputs on top."""
    defaults = {setting.name: setting.default for setting in engines.KINDS[connection.kind].settings}
    memory_gib, disk_gib, processes, cpus = (
        int(connection.settings.get(name) or defaults.get(name) or 0)
        for name in ("memory_gib", "disk_gib", "processes", "cpus")
    )
    on_each = cards // nodes
    return {
        "memory_mib": memory_gib * on_each << 10, "disk_mib": (disk_gib * cards << 10) + (input_bytes + MIB - 1) // MIB,
        "processes_max": processes * on_each, "cpus": cpus * on_each,
    }  # fmt: skip


def word(connection: Connection, code: str) -> str:
    """The engine's word for a card model: what the setting `cards` says after `=`, unless that is a number of cards."""
    parts = (part.partition("=") for part in connection.settings.get("cards", "").split(","))
    words = {name.strip(): said.strip() for name, _equals, said in parts}
    said = words.get(code, "")
    return said if said and not said.isdecimal() else code


def is_down(connection: Connection) -> bool:
    """Whether an engine has not worked for DOWN_AFTER."""
    return connection.failing_since is not None and clock.now() - connection.failing_since >= DOWN_AFTER


def of(pool: Pool) -> Connection | None:
    """The engine of a pool's site."""
    return Connection.objects.filter(site=pool.site_id).first()


def looked_after(site: Site) -> bool:
    """Whether the runner looks after an engine of a site."""
    return Connection.objects.filter(site=site, state__in=VISITED).exists()


def require_engine(site: Site) -> None:
    """Raises Refused(code="no_engine") where nothing would count what runs: it could be neither billed nor rated."""
    if not looked_after(site):
        text = _("%(site)s has no engine in use, so nothing would count what runs there. Its cards are not on sale.")
        raise Refused(text % {"site": site.name}, code="no_engine")


def node_sizes(connection: Connection | None, pool: Pool) -> list[int]:
    """Cards of each node of a pool that a job may use together; empty: nobody has looked."""
    found: list[int] = connection.nodes.get(word(connection, pool.card_model.code), []) if connection else []
    return found


def spread(sizes: Sequence[int], cards: int) -> int:
    """The fewest nodes of these sizes that take a job with equally many cards on each; 0: they cannot."""
    counts = (count for count in range(1, min(len(sizes), cards) + 1) if cards % count == 0)
    return next((count for count in counts if sum(size >= cards // count for size in sizes) >= count), 0)


def nodes_for(connection: Connection | None, pool: Pool, template: Template, cards: int) -> int | None:
    """Over how many nodes a job spreads; 0 where it cannot run, None where nobody has looked and it matters."""
    sizes = sorted(node_sizes(connection, pool), reverse=True)
    if not sizes:
        return 1 if cards == 1 else None
    return spread(sizes if template.several_nodes else sizes[:1], cards)


def require_nodes(pool: Pool, template: Template, cards: int) -> int:
    """Over how many nodes of a pool a job would spread now, 1 where nobody has looked. Raises Invalid where it cannot.
    """
    connection = of(pool)
    nodes = nodes_for(connection, pool, template, cards)
    if nodes is None:
        return 1
    if not nodes:
        sizes = node_sizes(connection, pool)
        rule = _("runs on one node, which has at most %(max)s cards here")
        if template.several_nodes and len(sizes) > 1:
            rule = _("cannot be spread over the site's nodes, of at most %(max)s cards, with equally many on each")
        raise invalid("cards", cards, rule % {"max": max(sizes)})
    return nodes


class Checked(TypedDict):
    """What a check found, as `record_check` takes it: worst first; `nodes` is None when the engine did not say."""

    findings: list[Finding]
    nodes: dict[str, list[int]] | None


def check(connection: Connection) -> Checked:
    """The engine's own findings, whether it has the cards of the site's pools, and how they lie in nodes."""
    try:
        engine = open_engine(connection)
    except EngineError as error:
        return {"findings": [Finding("fault", f"engine_{error.code}", error.text)], "nodes": None}
    findings, nodes = engine.check(), None
    if not any(finding.level == "fault" for finding in findings):
        try:
            there, nodes = engine.cards(), engine.nodes()
        except EngineError as error:
            findings.append(Finding("fault", f"engine_{error.code}", error.text))
        else:
            pools = connection.site.pools.select_related("card_model")
            words = [(pool, word(connection, pool.card_model.code)) for pool in pools]
            findings += [_of_pool(pool, there.get(said), nodes.get(said, [])) for pool, said in words]
    order = ("fault", "warning", "ok")
    findings.sort(key=lambda finding: order.index(finding.level))
    return {"findings": findings[:FINDINGS_MAX], "nodes": nodes}


def _of_pool(pool: Pool, there: int | None, sizes: Sequence[int]) -> Finding:
    """Whether the engine has a pool's cards, and in which nodes when there are several."""
    text = f"{pool.card_model.code}: {there or 0}/{pool.cards}"
    if len(sizes) > 1:
        text += " (" + " + ".join(f"{count} × {size}" for size, count in sorted(Counter(sizes).items())) + ")"
    if there is None:
        return Finding("fault", "pool_cards_missing", text)
    if there < pool.cards:
        return Finding("warning", "pool_cards_fewer", text)
    return Finding("ok", "pool_cards", text)
