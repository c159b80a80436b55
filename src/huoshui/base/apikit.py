"""The REST API, built once: who asks, how errors look, how lists are cut, what OpenAPI says.

A module writes a router in its `api.py` and registers it:

    router = Router(tags=["book"])

    @router.get("/statements/", response=Page[StatementOut])
    def statements(request: HttpRequest, paging: Query[Paging]) -> Cut:
        return cut(queries.statements(actor(request)), paging)

    @router.post("/statements/{pk}/accept/", response=StatementOut)
    def accept(request: HttpRequest, pk: Id) -> Statement:
        return actions.accept(actor(request), key=key(request), statement=queries.statement(actor(request), pk))

    apikit.register("book", router)

A caller is a signed-in session (with CSRF token) or `Authorization: Bearer TOKEN`. What an action refuses comes back as
`{code, message, problems, params}` with the status of the error. Every request that changes something carries an
`Idempotency-Key`. The statuses that any operation may answer are added to the OpenAPI description here.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Generic, TypeVar, cast

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Router, Schema
from ninja.errors import AuthenticationError, HttpError, ValidationError
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser
from ninja.security import HttpBearer
from ninja.utils import check_csrf
from pydantic import Field

from huoshui.base.access import ANONYMOUS, Actor
from huoshui.base.act import KEY_LENGTH_MAX
from huoshui.base.canonical import plain
from huoshui.base.errors import Problem, Refused, invalid
from huoshui.base.requests import actor_of, bearer

PAGE_LIMIT_MAX = 200
ID_MAX = 2**63 - 1
NESTING_MAX = 50
WRITING = ("post", "put", "patch", "delete")
KEY_HEADER = "Idempotency-Key"
Id = Annotated[int, Field(ge=1, le=ID_MAX)]


class ProblemOut(Schema):
    """One thing wrong with the input. `row` counts as the file's reader sees it."""

    field: str
    value: str
    rule: str
    row: int | None = None


class RefusedOut(Schema):
    """Why nothing was done. `code` is stable; `message` is in the caller's language."""

    code: str
    message: str
    problems: list[ProblemOut] = []
    params: dict[str, Any] = {}


T = TypeVar("T")


class Page(Schema, Generic[T]):
    """A part of a list. `next` is the cursor of the following part, null at the end."""

    items: list[T]
    next: int | None = None


class Paging(Schema):
    """How much of a list, and after which cursor."""

    limit: int = Field(50, ge=1, le=PAGE_LIMIT_MAX)
    after: int | None = Field(None, ge=1, le=ID_MAX)


Cut = dict[str, Any]
M = TypeVar("M", bound=models.Model)


def cut(queryset: "models.QuerySet[M]", paging: Paging) -> Cut:
    """The part of a list that was asked for, newest first, by primary key (stable while rows are added)."""
    if paging.after is not None:
        queryset = queryset.filter(pk__lt=paging.after)
    rows = list(queryset.order_by("-pk")[: paging.limit + 1])
    items = rows[: paging.limit]
    return {"items": items, "next": items[-1].pk if len(rows) > paging.limit else None}


def actor(request: HttpRequest) -> Actor:
    """Who asks: the token's or the session's person; ANONYMOUS on public operations."""
    found = getattr(request, "auth", None)
    return found if isinstance(found, Actor) else ANONYMOUS


def key(request: HttpRequest) -> str:
    """The request's idempotency key. Raises Invalid when it is absent or too long."""
    found = request.headers.get(KEY_HEADER, "").strip()
    if not found or len(found) > KEY_LENGTH_MAX or not found.isprintable():
        raise invalid(KEY_HEADER, found, _("a header of 1 to %(max)s characters") % {"max": KEY_LENGTH_MAX})
    return found


class BearerToken(HttpBearer):
    """`Authorization: Bearer TOKEN`."""

    def authenticate(self, request: HttpRequest, token: str) -> Actor | None:
        return bearer(token)


class SignedIn:
    """The console's session. A request that changes something needs its CSRF token."""

    def __call__(self, request: HttpRequest) -> Actor | None:
        found = actor_of(request)
        if found is ANONYMOUS:
            return None
        if check_csrf(request):
            raise HttpError(403, _("The CSRF token is missing or wrong."))
        return found


class TextParser(Parser):
    """JSON and queries whose texts can be stored: no NUL, no half of a surrogate pair, no endless nesting."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        try:
            body = super().parse_body(request)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error
        _check_text(body)
        return body

    def parse_querydict(
        self, data: "MultiValueDict[str, Any]", list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        found = super().parse_querydict(data, list_fields, request)
        _check_text(found)
        return found


def _check_text(value: Any) -> None:
    if fault := text_fault(value):
        raise HttpError(400, fault)


def text_fault(value: Any, depth: int = 0) -> str:
    """Why what somebody sent cannot be stored; empty when it can."""
    if depth > NESTING_MAX:
        return _("The content is nested too deeply.")
    if isinstance(value, str) and ("\x00" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
        return _("A text contains a character that cannot be stored.")
    parts: Iterable[Any] = ()
    if isinstance(value, Mapping):
        parts = itertools.chain(value, value.values())
    elif isinstance(value, list | tuple):
        parts = value
    return next(filter(None, (text_fault(part, depth + 1) for part in parts)), "")


ANY_TIME = {400: "malformed", 404: "missing", 413: "too_large", 422: "invalid"}
WITH_SIGN_IN = {401: "sign_in", 403: "forbidden"}
WHEN_WRITING = {409: "conflict"}
CODES = ANY_TIME | WITH_SIGN_IN | WHEN_WRITING


class HuoshuiAPI(NinjaAPI):
    """Ninja with our errors, described in OpenAPI for every operation."""

    def create_temporal_response(self, request: HttpRequest) -> HttpResponse:
        _check_text(request.path)
        return super().create_temporal_response(request)

    def get_openapi_schema(self, **kwargs: Any) -> OpenAPISchema:
        found = super().get_openapi_schema(**kwargs)
        schemas = found["components"].setdefault("schemas", {})
        model = RefusedOut.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= model.pop("$defs", {}) | {"RefusedOut": model}
        for operations in found["paths"].values():
            for method, operation in operations.items():
                _describe(method, operation)
        return found


def _describe(method: str, operation: dict[str, Any]) -> None:
    statuses = ANY_TIME | (WITH_SIGN_IN if operation.get("security") else {})
    if method in WRITING:
        statuses = statuses | WHEN_WRITING
        schema = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX}
        operation["parameters"] = [
            {
                "in": "header", "name": KEY_HEADER, "required": True, "schema": schema,
                "description": "Repeating a request under its key repeats nothing and gives the first answer.",
            },
            *(known for known in operation["parameters"] if known["name"] != KEY_HEADER),
        ]
    body = {"application/json": {"schema": {"$ref": "#/components/schemas/RefusedOut"}}}
    for status, code in statuses.items():
        operation["responses"].setdefault(status, {"description": code, "content": body})


def _answer(api: NinjaAPI, request: HttpRequest, status: int, refused: Refused) -> HttpResponse:
    content = {
        "code": refused.code,
        "message": refused.message,
        "problems": [vars(problem) for problem in refused.problems],
        "params": plain(refused.params),
    }
    return api.create_response(request, content, status=status)


def _problems(errors: Iterable[dict[str, Any]]) -> tuple[Problem, ...]:
    return tuple(
        Problem(".".join(map(str, error["loc"][1:])) or str(error["loc"][0]), "", error["msg"]) for error in errors
    )


def _handle_errors(api: NinjaAPI) -> None:
    def refused(request: HttpRequest, error: Refused) -> HttpResponse:
        return _answer(api, request, error.status, error)

    def malformed(request: HttpRequest, error: ValidationError) -> HttpResponse:
        problems = _problems(error.errors)
        return _answer(api, request, 422, Refused("; ".join(map(str, problems)), code="invalid", problems=problems))

    def http(request: HttpRequest, error: HttpError) -> HttpResponse:
        code = CODES.get(error.status_code, "refused")
        return _answer(api, request, error.status_code, Refused(str(error), code=code))

    def unknown(request: HttpRequest, error: AuthenticationError) -> HttpResponse:
        message = _("Sign in, or send a valid API token.")
        response = _answer(api, request, 401, Refused(message, code="sign_in"))
        response["WWW-Authenticate"] = "Bearer"
        return response

    def too_large(request: HttpRequest, error: RequestDataTooBig) -> HttpResponse:
        message = _("The request is larger than %(max)s bytes.") % {"max": settings.DATA_UPLOAD_MAX_MEMORY_SIZE}
        return _answer(api, request, 413, Refused(message, code="too_large"))

    def missing(request: HttpRequest, error: Http404) -> HttpResponse:
        return _answer(api, request, 404, Refused(_("There is nothing here."), code="missing"))

    for kind, handler in (
        (Refused, refused), (ValidationError, malformed), (HttpError, http), (AuthenticationError, unknown),
        (RequestDataTooBig, too_large), (Http404, missing),
    ):
        api.add_exception_handler(kind, cast(Any, handler))


_routers: dict[str, Router] = {}


def register(prefix: str, router: Router) -> None:
    """Offer a module's operations under `/api/PREFIX/`."""
    _routers[prefix] = router


def build(**options: Any) -> NinjaAPI:
    """The API with every registered router."""
    api = HuoshuiAPI(auth=[BearerToken(), SignedIn()], parser=TextParser(), **options)
    _handle_errors(api)
    for prefix, router in sorted(_routers.items()):
        api.add_router(f"/{prefix}", router)
    return api
