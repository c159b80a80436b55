"""Addresses of the REST API: every app's `api.py` is read, and what it registered is mounted.

`/api/` is a page that lists the operations, `/api/openapi.json` the description for programs. The page needs no
JavaScript and loads nothing from elsewhere.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.utils.module_loading import autodiscover_modules
from ninja import NinjaAPI
from ninja.openapi.docs import DocsBase

from huoshui.base import apikit


class Operations(DocsBase):
    """The page that lists the operations."""

    def render_page(self, request: HttpRequest, api: NinjaAPI, **kwargs: Any) -> HttpResponse:
        groups: dict[str, list[dict[str, Any]]] = {}
        for address, operations in api.get_openapi_schema()["paths"].items():
            for method, operation in operations.items():
                known = {"method": method.upper(), "path": address, **operation}
                groups.setdefault(operation.get("tags", [""])[0], []).append(known)
        return render(request, "api/operations.html", {"groups": sorted(groups.items())})


autodiscover_modules("api")
api = apikit.build(
    title="Huoshui 活水",
    version="1.0.0",
    description="A clearing house for small business. Money is in fen, rates in basis points, instants in UTC.",
    docs=Operations(),
    docs_url="/",
    urls_namespace="api",
)
urlpatterns = [path("", api.urls)]
