"""REST operations of data, models and endpoints, under /api/jobs/. Sizes in bytes, card-time in card-seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Path, Query, Router, Schema

from huoshui.base import access
from huoshui.base.apikit import Cut, Id, Page, Paging, actor, cut, key
from huoshui.jobs import artefacts, lineage, serving, store, trying
from huoshui.jobs.actions import artefacts as data_actions
from huoshui.jobs.actions import endpoints as endpoint_actions
from huoshui.jobs.actions.endpoints import try_endpoint
from huoshui.jobs.actions.models import register_model
from huoshui.jobs.forms_serving import ANSWER_TOKENS_MAX, PROMPT_LENGTH_MAX
from huoshui.jobs.models import Artefact, Endpoint, TrainedModel
from huoshui.jobs.permissions import STORE
from huoshui.jobs.views.data import file_answer
from huoshui.registry.models import Party

router = Router(tags=["jobs"])


class ArtefactOut(Schema):
    id: int
    party: int = Field(alias="party_id")
    name: str
    kind: str
    digest: str
    bytes: int
    made_by: int | None = Field(alias="made_by_id")
    created_at: datetime
    deleted_at: datetime | None


class ModelIn(Schema):
    """A name for a model file; a name that the party has already gets its next version."""

    name: str = Field(min_length=2, max_length=60)


class ModelOut(Schema):
    id: int
    party: int = Field(alias="party_id")
    name: str
    version: int
    artefact: int = Field(alias="artefact_id")
    lineage: dict[str, Any]
    created_at: datetime


class EndpointIn(Schema):
    """`parameters`: context, parallel, threads of the server."""

    booking: Id
    name: str = Field(min_length=2, max_length=60)
    cards: int = Field(1, ge=1, le=100_000)
    idle_seconds: int = Field(
        300, ge=endpoint_actions.IDLE_SECONDS_MIN, le=endpoint_actions.IDLE_SECONDS_MAX
    )
    parameters: dict[str, int] = Field(default={}, max_length=10)


class PlaceIn(Schema):
    """A booking of the party that has the endpoint."""

    booking: Id


class EndpointOut(Schema):
    """`state`: asleep, starting, ready, failed, closed. Its address and key are the gateway's business."""

    id: int
    party: int = Field(alias="party_id")
    name: str
    model: int = Field(alias="model_id")
    booking: int = Field(alias="booking_id")
    cards: int
    idle_seconds: int
    parameters: dict[str, Any]
    state: str
    job: int | None = Field(alias="job_id")
    wanted_until: datetime | None
    fault: str
    created_at: datetime


class TryIn(Schema):
    """One prompt. With `stream` the answer comes as server-sent events in the manner of OpenAI."""

    prompt: str = Field(min_length=1, max_length=PROMPT_LENGTH_MAX)
    tokens: int = Field(64, ge=1, le=ANSWER_TOKENS_MAX)
    stream: bool = False


class TryOut(Schema):
    text: str
    prompt_tokens: int
    answer_tokens: int


# --- data


@router.get("/data/", response=Page[ArtefactOut])
def data(request: HttpRequest, paging: Query[Paging], kind: str = "") -> Cut:
    """Files of the caller's parties that are not deleted."""
    return cut(artefacts.artefacts(actor(request), kind=kind), paging)


@router.put("/parties/{party}/data/{name}", response=ArtefactOut)
def put_data(
    request: HttpRequest, party: Id, name: Path[str], kind: Literal["data", "script", "model"] = "data"
) -> Artefact:
    """Put a file in the store; the body is its content, of any length up to 20 GiB, and is streamed."""
    owner = access.get_visible(Party.objects.all(), actor(request), STORE, pk=party)
    return data_actions.upload(
        actor(request), key=key(request), party=owner, name=name, kind=kind, chunks=_body(request)
    )


def _body(request: HttpRequest) -> Iterator[bytes]:
    while piece := request.read(store.CHUNK_BYTES):
        yield piece


@router.get("/data/{pk}/", response=ArtefactOut)
def artefact(request: HttpRequest, pk: Id) -> Artefact:
    """One file."""
    return artefacts.artefact(actor(request), pk)


@router.get("/data/{pk}/content/", response={200: None})
def content(request: HttpRequest, pk: Id) -> Any:
    """The content of a file, streamed. It breaks off when it is not what was put in."""
    return file_answer(artefacts.content_of(actor(request), pk))


@router.delete("/data/{pk}/", response=ArtefactOut)
def delete_data(request: HttpRequest, pk: Id) -> Artefact:
    """Take a file out."""
    row = artefacts.artefact(actor(request), pk)
    return data_actions.delete_artefact(actor(request), key=key(request), artefact=row)


# --- models


@router.get("/models/", response=Page[ModelOut])
def models(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Trained models of the caller's parties."""
    return cut(serving.models(actor(request)), paging)


@router.post("/data/{pk}/register/", response=ModelOut)
def register(request: HttpRequest, pk: Id, body: ModelIn) -> TrainedModel:
    """Make a model file a trained model, with what made it."""
    row = artefacts.artefact(actor(request), pk)
    return register_model(actor(request), key=key(request), artefact=row, name=body.name)


@router.get("/models/{pk}/lineage/", response=dict[str, Any])
def model_lineage(request: HttpRequest, pk: Id) -> dict[str, Any]:
    """The lineage of a model and of those that it came from."""
    return lineage.document(serving.model(actor(request), pk))


# --- endpoints


@router.get("/endpoints/", response=Page[EndpointOut])
def endpoints(request: HttpRequest, paging: Query[Paging]) -> Cut:
    """Endpoints of the caller's parties."""
    return cut(serving.endpoints(actor(request)), paging)


@router.get("/endpoints/{pk}/", response=EndpointOut)
def endpoint(request: HttpRequest, pk: Id) -> Endpoint:
    """One endpoint."""
    return serving.endpoint(actor(request), pk)


@router.post("/models/{pk}/serve/", response=EndpointOut)
def serve(request: HttpRequest, pk: Id, body: EndpointIn) -> Endpoint:
    """Serve a model in a booking of its party."""
    model = serving.model(actor(request), pk)
    booking = serving.place(actor(request), model.party, body.booking)
    return endpoint_actions.open_endpoint(
        actor(request), key=key(request), model=model, booking=booking, name=body.name, cards=body.cards,
        idle_seconds=body.idle_seconds, parameters=body.parameters,
    )  # fmt: skip


@router.post("/endpoints/{pk}/wake/", response=EndpointOut)
def wake(request: HttpRequest, pk: Id) -> Endpoint:
    """Ask for an endpoint; it is ready when its state says so."""
    row = serving.endpoint(actor(request), pk)
    return endpoint_actions.wake_endpoint(actor(request), key=key(request), endpoint=row)


@router.post("/endpoints/{pk}/move/", response=EndpointOut)
def move(request: HttpRequest, pk: Id, body: PlaceIn) -> Endpoint:
    """Serve from another booking on."""
    row = serving.endpoint(actor(request), pk)
    booking = serving.place(actor(request), row.party, body.booking)
    return endpoint_actions.move_endpoint(actor(request), key=key(request), endpoint=row, booking=booking)


@router.post("/endpoints/{pk}/close/", response=EndpointOut)
def close(request: HttpRequest, pk: Id) -> Endpoint:
    """End an endpoint for good."""
    row = serving.endpoint(actor(request), pk)
    return endpoint_actions.close_endpoint(actor(request), key=key(request), endpoint=row)


@router.post("/endpoints/{pk}/try/", response=TryOut)
def try_it(request: HttpRequest, pk: Id, body: TryIn) -> Any:
    """Ask a ready endpoint one thing. Neither prompt nor answer is kept, so a repeated request asks again."""
    row = serving.endpoint(actor(request), pk)
    try_endpoint(actor(request), endpoint=row, prompt_characters=len(body.prompt), tokens_max=body.tokens)
    if body.stream:
        pieces = trying.stream(row, body.prompt, body.tokens)
        return StreamingHttpResponse(pieces, content_type="text/event-stream")
    return trying.ask(row, body.prompt, body.tokens)
