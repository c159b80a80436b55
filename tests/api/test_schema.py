"""The REST API answers as its description says, whatever is sent (Schemathesis draws the requests)."""

from collections.abc import Iterator

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from huoshui.base import actions
from huoshui.base.access import EVERYWHERE, permissions
from huoshui.base.models import Assignment, Role, User
from huoshui.web.wsgi import application

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
)
schema = schemathesis.openapi.from_wsgi("/api/openapi.json", application)
schema.config.phases.coverage.unexpected_methods = set()  # the router answers those, not we


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """A request does not close the connection that holds the test's transaction (Django's own client does the same)."""
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


@pytest.fixture
def headers(people: object) -> dict[str, str]:
    """A token of a person who may do everything: so that requests come past the door."""
    everything = sorted(permissions)
    role = Role.objects.create(code="all", title="all", permissions=everything)
    user = User.objects.create(username="all", name="all")
    Assignment.objects.create(user=user, role=role, scope=EVERYWHERE, since="2020-01-01")
    secret = actions.issue_token(actions.access.Actor(user), name="t", permissions=everything)["secret"]
    return {"Authorization": f"Bearer {secret}"}


@pytest.mark.django_db
@schema.parametrize()
@settings(
    max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_operation_keeps_its_promises(case: schemathesis.Case, headers: dict[str, str]) -> None:
    case.call_and_validate(headers=headers, checks=CHECKS)


@pytest.mark.django_db
@schema.parametrize()
@settings(max_examples=1, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_no_operation_lets_a_stranger_write(case: schemathesis.Case) -> None:
    response = case.call(headers={"Authorization": "Bearer hs_nobody"})
    if case.operation.method.upper() not in ("GET", "HEAD"):
        assert response.status_code in (400, 401, 413)
