"""The folder of a job, shared with the nodes: made before a run, read while it runs, collected at its end.

    J000012/inputs/NAME      what it reads, checked by digest
            recipes/         the script of its template with its parameters (none for programs of the party's own)
            outputs/         what it writes here becomes artefacts
            checkpoint/      survives from one attempt to the next, at another site through the store
            log.1            output of the first attempt
            metrics.jsonl    {"step": 10, "total": 400, "loss": 2.31}, one object a line

`prepare` runs when nothing of the job runs; what an earlier attempt left is not trusted. Everything else reads by
`jobs.beneath`. The runner calls `environment` and `read_metrics`, its copies (`jobs.copies`) `prepare` and `collect`;
nobody calls them in a transaction, since they move files.
"""

import json
import logging
import math
import os
import re
import shutil
import subprocess
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import system
from huoshui.base.errors import Refused
from huoshui.jobs import beneath, checkpoints, store
from huoshui.jobs.actions.artefacts import Output, collect_outputs
from huoshui.jobs.artefacts import let_database_go, room_of
from huoshui.jobs.bookings import OPEN
from huoshui.jobs.models import Artefact, Attempt, Endpoint, Job, JobInput, Metric
from huoshui.jobs.templates import RECIPES, TEMPLATES, is_file_name

log = logging.getLogger(__name__)
OUTPUTS_MAX = 200
OUTPUT_BYTES_MAX = 20 << 30
NOTE_EVERY = store.FRESH / 2
"""What was kept longer ago is noted before more is copied."""
METRICS_BYTES_MAX = 16 << 20
"""At once."""
METRICS_LINE_MAX = 64 << 10
"""What has no end after so many bytes is no line."""
METRIC_NAMES_MAX = 12
METRIC_POINTS_MAX = 5_000
"""Of one curve."""
STEP_MAX = 2**31 - 1
NUMBER = re.compile(r"J(\d{6,18})")
METRIC_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
CLEARED_AT_ONCE = 500
NOT_KEPT = "not-kept.txt"
MODEL_SUFFIX = ".gguf"


def folder_of(job: Job, workdir: str | Path) -> Path:
    """Where a job's files lie."""
    return Path(workdir) / job.number


def log_of(attempt: Attempt, workdir: str | Path) -> Path:
    """Where an attempt's output goes."""
    return folder_of(attempt.job, workdir) / f"log.{attempt.number}"


def prepare(job: Job, attempt: Attempt, workdir: str | Path) -> Path:
    """Make the folder ready for an attempt and return it.

    Inputs and recipe are written anew; a checkpoint in the store is put where no newer one lies. Raises Refused when
    the store does not answer or has lost an input, and store.Damaged when an input is not what was put in.
    """
    folder = folder_of(job, workdir)
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for name in ("inputs", RECIPES):
        _fresh(folder / name)
    for name in ("outputs", "checkpoint"):
        if (folder / name).is_symlink() or not (folder / name).is_dir():
            _fresh(folder / name)
    checkpoints.restore(attempt, folder)
    inputs = list(JobInput.objects.filter(job=job).select_related("artefact"))
    let_database_go()
    for wanted in inputs:
        store.fetch(wanted.artefact.digest, folder / "inputs" / wanted.name)
    if TEMPLATES[job.template].recipe:
        _copy_recipes(folder / RECIPES)
        (folder / RECIPES / "parameters.json").write_text(json.dumps(job.parameters, ensure_ascii=False))
    return folder


def _fresh(folder: Path) -> None:
    """An empty folder where anything may have been left, a link above all."""
    if folder.is_symlink() or folder.exists():
        _delete(folder)
    folder.mkdir()


def _copy_recipes(folder: Path) -> None:
    for source in resources.files("huoshui.recipes").iterdir():
        if source.name.endswith(".py"):
            (folder / source.name).write_bytes(source.read_bytes())


def environment(job: Job, workdir: str | Path, seconds: int) -> dict[str, str]:
    """Variables of a job that may run `seconds`; a replica of an endpoint learns its key so."""
    folder = folder_of(job, workdir)
    key = Endpoint.objects.filter(job=job).values_list("key", flat=True).first()
    return {
        "HUOSHUI_JOB": job.number,
        "HUOSHUI_INPUTS": str(folder / "inputs"),
        "HUOSHUI_OUTPUTS": str(folder / "outputs"),
        "HUOSHUI_CHECKPOINT": str(folder / "checkpoint"),
        "HUOSHUI_METRICS": str(folder / "metrics.jsonl"),
        "HUOSHUI_CARDS": str(job.cards),
        "HUOSHUI_SECONDS": str(seconds),
        **TEMPLATES[job.template].environment(job.parameters),
        **({"HUOSHUI_ENDPOINT_KEY": key} if key else {}),
    }


# --- while it runs ------------------------------------------------------------------------------------------------


def read_log(attempt: Attempt, workdir: str | Path, offset: int, limit: int) -> tuple[bytes, int]:
    """Output of an attempt from a byte on, and how long the log is; a negative offset counts from the end."""
    with beneath.opened(folder_of(attempt.job, workdir), f"log.{attempt.number}") as file:
        if file is None:
            return b"", 0
        size = beneath.size_of(file)
        file.seek(max(0, size + offset if offset < 0 else min(offset, size)))
        return file.read(limit), size


def read_metrics(attempt: Attempt, workdir: str | Path) -> None:
    """Take up the job's progress and the points of its curves that were written since the last look.

    What is not a number at a step is passed over; of a flood only its end is read.
    """
    job = attempt.job
    with beneath.opened(folder_of(job, workdir), "metrics.jsonl") as file:
        size = beneath.size_of(file) if file is not None else 0
        known = attempt.metrics_read if attempt.metrics_read <= size else 0  # else it was written anew
        begin = max(known, size - METRICS_BYTES_MAX)
        if file is None or begin == size:
            return
        file.seek(begin)
        data = file.read(METRICS_BYTES_MAX)
    _take_up(job, data)
    whole = data.rfind(b"\n") + 1
    attempt.metrics_read = begin + (whole if len(data) - whole <= METRICS_LINE_MAX else len(data))
    Attempt.objects.filter(pk=attempt.pk).update(metrics_read=attempt.metrics_read)


def _take_up(job: Job, data: bytes) -> None:
    last = dict(Metric.objects.filter(job=job).values_list("name").annotate(Max("step")))
    points: dict[str, dict[int, float]] = {}
    done, total = job.done, job.total
    for line in _objects(data):
        step = line.get("step")
        if type(step) is not int or not 0 <= step <= STEP_MAX:
            continue
        done = max(done, step)
        said = line.get("total")
        total = said if type(said) is int and 0 < said <= STEP_MAX else total
        for name, value in _numbers(line):
            if step > last.get(name, -1) and (name in last or len(last) < METRIC_NAMES_MAX):
                points.setdefault(name, {})[step] = value
                last.setdefault(name, -1)
    for name, new in points.items():
        _save(job, name, new)
    if (done, total) != (job.done, job.total):
        # progress is no business of the log, and writing it again changes nothing
        Job.objects.filter(pk=job.pk).update(done=done, total=total)
        job.done, job.total = done, total


def _objects(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            value = json.loads(line)
            if isinstance(value, dict):
                yield value


def _numbers(line: dict[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in line.items():
        if name in ("step", "total") or not METRIC_NAME.fullmatch(name) or isinstance(value, bool):
            continue
        if isinstance(value, int | float) and abs(value) < 1e300 and math.isfinite(value):
            yield name, float(value)


def _save(job: Job, name: str, new: dict[int, float]) -> None:
    """Add points, behind those that are there, to a curve; a full one is thinned to half, over all of its steps."""
    there = Metric.objects.filter(job=job, name=name)
    with transaction.atomic():
        if there.count() + len(new) > METRIC_POINTS_MAX:
            steps = sorted({*there.values_list("step", flat=True), *new})
            kept = {steps[at] for at in evenly(steps, METRIC_POINTS_MAX // 2)}
            there.exclude(step__in=kept).delete()
            new = {step: value for step, value in new.items() if step in kept}
        rows = [Metric(job=job, name=name, step=step, value=value) for step, value in sorted(new.items())]
        Metric.objects.bulk_create(rows, ignore_conflicts=True, batch_size=500)


def evenly(steps: Sequence[int], most: int) -> list[int]:
    """Positions of at most `most` steps, evenly over all of them, the first and the last among them."""
    if len(steps) <= most:
        return list(range(len(steps)))
    first, length = steps[0], steps[-1] - steps[0]
    return sorted({bisect_left(steps, first + length * at // (most - 1)) for at in range(most)})


# --- at its end ---------------------------------------------------------------------------------------------------


def collect(job: Job, workdir: str | Path) -> list[Artefact]:
    """Put what the job wrote into the store and make it artefacts; repeating it changes nothing.

    What may not be kept (links, names that cannot be, more than OUTPUTS_MAX files, bytes beyond the party's room) is
    left out and named in `not-kept.txt`.
    """
    if not TEMPLATES[job.template].keeps_outputs:
        return []
    folder = folder_of(job, workdir)
    left = min(OUTPUT_BYTES_MAX, room_of(job.booking.party))
    let_database_go()
    outputs: list[Output] = []
    faults: list[str] = []
    noted_at = clock.real_now()
    for found in beneath.walk(folder, "outputs"):
        name = "/".join(found.parts)
        if not found.ordinary or not all(map(is_file_name, found.parts)) or len(name) > 200:
            faults.append(_("%(name)s: not an ordinary file, or a name that cannot be") % {"name": repr(name)[:200]})
        elif len(outputs) >= OUTPUTS_MAX:
            faults.append(_("%(name)s: more than %(max)s files") % {"name": name, "max": OUTPUTS_MAX})
        else:
            output = _keep(folder, found.parts, left, faults)
            if output is not None:
                outputs.append(output)
                left -= output.bytes
        if outputs and clock.real_now() - noted_at > NOTE_EVERY:
            _note(job, outputs)
            noted_at = clock.real_now()
    if faults:
        text = "\n".join(faults[:1000]).encode()
        with store.staged([text], OUTPUT_BYTES_MAX) as content:
            store.keep(content)
            outputs.append(Output(NOT_KEPT, content.digest, content.bytes, Artefact.Kind.OUTPUT))
    return _note(job, outputs) if outputs else []


def _note(job: Job, outputs: list[Output]) -> list[Artefact]:
    """Make files artefacts whose content is in the store. Raises Refused(code="try_again") when it is not any more."""
    if any(store.put_at(output.digest) is None for output in outputs):
        raise Refused(_("The content was cleared away meanwhile. Send it again."), code="try_again")
    return list(collect_outputs(system("runner"), job=job, outputs=outputs))


def _keep(folder: Path, parts: tuple[str, ...], left: int, faults: list[str]) -> Output | None:
    name = "/".join(parts)
    with beneath.opened(folder, "outputs", *parts) as file:
        if file is None:
            return None
        too_large = _("%(name)s: no room for %(bytes)s bytes") % {"name": name, "bytes": f"{beneath.size_of(file):,}"}
        if beneath.size_of(file) > left:
            faults.append(too_large)
            return None
        try:
            with store.staged(store.chunks_of(file), left) as content:
                store.keep(content)
        except Refused as error:
            if error.code != "invalid":
                raise
            faults.append(too_large)
            return None
    kind = Artefact.Kind.MODEL if name.endswith(MODEL_SUFFIX) else Artefact.Kind.OUTPUT
    return Output(name, content.digest, content.bytes, kind)


def remove(job: Job, workdir: str | Path) -> bool:
    """Clear away what lies in the folder of a job that is over and collected; the logs of its attempts stay.

    False when it was clear already.
    """
    folder = folder_of(job, workdir)
    logs = {log_of(attempt, workdir).name for attempt in job.attempts.all()}
    checkpoints.clear(folder)
    gone = [path for path in folder.iterdir() if path.name not in logs or path.is_symlink() or not path.is_file()]
    for path in gone:
        _delete(path)
    return bool(gone)


def _delete(path: Path) -> None:
    """Whatever lies there. A hostile tree may be deeper than Python recurses, or locked: `rm` and `chmod` follow no
    links and mind neither."""
    if path.is_symlink() or not path.is_dir():
        path.unlink()
        return
    with suppress(OSError, RecursionError):
        shutil.rmtree(path)
        return
    for command in (["rm", "-rf"], ["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
        subprocess.run([*command, "--", path], check=False, stderr=subprocess.DEVNULL)  # noqa: S603
        if not path.exists():
            return
    raise OSError(f"{path} cannot be deleted")


def clear(workdir: str | Path, before: datetime) -> int:
    """Clear the folders of jobs that were collected before an instant; returns how many there were."""
    numbers = []
    with suppress(OSError), os.scandir(workdir) as entries:
        for entry in entries:
            if (match := NUMBER.fullmatch(entry.name)) and entry.is_dir(follow_symlinks=False):
                numbers.append(int(match[1]))
    cleared = 0
    for at in range(0, len(numbers), CLEARED_AT_ONCE):
        old = Job.objects.filter(pk__in=numbers[at : at + CLEARED_AT_ONCE], collected_at__lt=before)
        for job in old.exclude(attempts__in=Attempt.objects.filter(OPEN)).prefetch_related("attempts"):
            try:
                cleared += remove(job, workdir)
            except OSError as error:
                log.warning("folder of %s: %s", job.number, error)
    return cleared
