"""What made a trained model 模型谱系: the job, its parameters, what it read by digest, what the engine accounted.

A model's own part is written down when it is registered and never changes; the tree is followed from there, input by
input, to uploads that nobody's job made.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from django.db.models import OuterRef, Subquery

from huoshui.jobs.models import Artefact, Job, JobInput, Metric, TrainedModel

DEPTH_MAX = 12
Json = dict[str, Any]


def describe(artefact: Artefact) -> Json:
    """What is known of an artefact's making, as JSON without floats (a figure is text)."""
    told: Json = {"platform": f"huoshui {version('huoshui')}", "digest": artefact.digest, "bytes": artefact.bytes}
    if artefact.made_by is None:
        return told | {"uploaded_as": artefact.name}
    job = artefact.made_by
    attempts = job.attempts.select_related("connection").order_by("number")
    return told | {
        "job": job.number,
        "template": job.template,
        "parameters": job.parameters,
        "inputs": [
            {"name": row.name, "file": row.artefact.name, "digest": row.artefact.digest} for row in inputs_of(job)
        ],
        "site": job.booking.pool.site.code,
        "card_model": job.booking.pool.card_model.code,
        "attempts": [
            {
                "number": attempt.number, "engine": attempt.connection.kind, "card_seconds": attempt.card_seconds,
                "account": attempt.account_source, "evidence": attempt.evidence,
            }
            for attempt in attempts
        ],
        "metrics": {name: f"{value:.6g}" for name, value in last_metrics(job).items()},
    }  # fmt: skip


def inputs_of(job: Job) -> list[JobInput]:
    """What a job reads, by name."""
    return list(JobInput.objects.filter(job=job).select_related("artefact__made_by").order_by("name"))


def last_metrics(job: Job) -> dict[str, float]:
    """The last value of each curve of a job."""
    latest = Metric.objects.filter(job=job, name=OuterRef("name")).order_by("-step").values("pk")[:1]
    rows = Metric.objects.filter(job=job, pk=Subquery(latest))
    return dict(rows.order_by("name").values_list("name", "value"))


@dataclass(frozen=True)
class Origin:
    """A file in the tree: the models made of it, the job that wrote it, what that job read."""

    name: str
    artefact: Artefact
    models: list[TrainedModel]
    job: Job | None
    inputs: list[Origin] = field(default_factory=list)
    cut: bool = False


def tree(artefact: Artefact, name: str = "", depth: int = 0) -> Origin:
    """The tree above an artefact, at most DEPTH_MAX jobs deep."""
    models = list(artefact.models.order_by("pk"))
    job, cut = artefact.made_by, depth >= DEPTH_MAX
    rows = inputs_of(job) if job is not None and not cut else []
    above = [tree(row.artefact, row.name, depth + 1) for row in rows]
    return Origin(name or artefact.name, artefact, models, job, above, cut and job is not None)


def document(model: TrainedModel) -> Json:
    """The lineage of a model and of every model that it came from, to be handed on."""
    return {"model": str(model), "holder": model.party.uscc or model.party.name, **_with_parents(model, 0)}


def _with_parents(model: TrainedModel, depth: int) -> Json:
    digests = [row["digest"] for row in model.lineage.get("inputs", [])]
    parents = TrainedModel.objects.filter(party=model.party, artefact__digest__in=digests).order_by("pk")
    told: Json = dict(model.lineage)
    if depth < DEPTH_MAX and (found := [parent for parent in parents if parent.pk < model.pk]):
        told["parents"] = [{"model": str(parent), **_with_parents(parent, depth + 1)} for parent in found]
    return told
