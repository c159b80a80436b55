"""The REST API: who may ask, how refusals look, what its description promises."""

import json
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client
from ninja import Query, Router

from huoshui.base import access, actions, apikit, log, merkle
from huoshui.base.apikit import Paging, cut
from huoshui.base.models import LogRecord, Role

pytestmark = pytest.mark.django_db


def token(actor: access.Actor, *permissions: str) -> dict[str, str]:
    secret = actions.issue_token(actor, name="t", permissions=list(permissions))["secret"]
    return {"Authorization": f"Bearer {secret}"}


def test_without_sign_in_the_answer_is_401_and_says_what_to_do(client: Client) -> None:
    response = client.get("/api/me")
    assert (response.status_code, response.json()["code"]) == (401, "sign_in")
    assert response["WWW-Authenticate"] == "Bearer"
    assert client.get("/api/me", headers={"Authorization": "Bearer hs_no"}).status_code == 401


def test_me_says_what_the_token_leaves_of_its_owners_permissions(client: Client, people: Any) -> None:
    person = people.holding("base.log.read", "base.people.manage", scope="party:7")
    client.force_login(person.user)
    assert set(client.get("/api/me").json()["permissions"]) == {"base.log.read", "base.people.manage"}
    client.logout()
    narrow = client.get("/api/me", headers=token(person, "base.log.read")).json()
    assert narrow["permissions"] == {"base.log.read": ["party:7"]}


def test_a_revoked_token_and_an_inactive_person_are_strangers(
    client: Client, people: Any, system_actor: access.Actor
) -> None:
    person = people.nobody()
    headers = token(person)
    assert client.get("/api/me", headers=headers).status_code == 200
    actions.set_active(system_actor, user=person.user, active=False)
    assert client.get("/api/me", headers=headers).status_code == 401
    actions.set_active(system_actor, user=person.user, active=True)
    actions.revoke_token(person, token=person.user.tokens.get())
    assert client.get("/api/me", headers=headers).status_code == 401


def test_anyone_can_check_the_log_grows_and_one_can_prove_ones_own_act(client: Client, people: Any) -> None:
    person, other = people.nobody(), people.nobody()
    headers = token(person)
    first = client.get("/api/log/checkpoint/").json()
    token(other)
    second = client.get("/api/log/checkpoint/").json()
    proof = client.get(f"/api/log/consistency/?old={first['size']}&new={second['size']}").json()
    assert (proof["old"]["root"], proof["new"]["root"]) == (first["root"], second["root"])
    assert merkle.check_consistency(
        first["size"], second["size"], bytes.fromhex(first["root"]), bytes.fromhex(second["root"]),
        [bytes.fromhex(step) for step in proof["path"]],
    )
    mine, theirs = LogRecord.objects.order_by("pk")
    receipt = client.get(f"/api/log/records/{mine.pk}/inclusion/", headers=headers).json()
    assert merkle.check_inclusion(
        merkle.leaf_hash(receipt["leaf"].encode()), receipt["index"], receipt["size"],
        [bytes.fromhex(step) for step in receipt["path"]], bytes.fromhex(second["root"]),
    )
    for hidden in (theirs.pk, 10**9):
        assert client.get(f"/api/log/records/{hidden}/inclusion/", headers=headers).status_code == 404


def test_proofs_for_sizes_the_log_does_not_have_are_refused(client: Client, people: Any) -> None:
    headers = token(people.nobody())
    record = LogRecord.objects.get()
    assert client.get("/api/log/consistency/?old=9&new=1").json()["problems"][0]["field"] == "old"
    assert client.get("/api/log/consistency/?old=1&new=9").json()["problems"][0]["field"] == "new"
    assert client.get("/api/log/consistency/?old=0").status_code == 422
    assert client.get(f"/api/log/records/{record.pk}/inclusion/?size=5", headers=headers).status_code == 422
    assert log.size() == 1


def test_a_list_is_cut_without_gaps_or_repeats() -> None:
    for number in range(7):
        Role.objects.create(code=f"r{number}", title="r")
    mine = Role.objects.filter(code__startswith="r", title="r")
    seen, after = [], None
    for _page in range(4):
        part = cut(mine, Paging(limit=3, after=after))
        seen += [row.code for row in part["items"]]
        after = part["next"]
        if after is None:
            break
    assert seen == [f"r{number}" for number in reversed(range(7))]


class TestErrors:
    """An API of its own, with operations that go wrong in every way."""

    @pytest.fixture
    def answer(self, rf: Any, people: Any) -> Any:
        router = Router()

        @router.post("/define/")
        def define(request: HttpRequest, permissions: list[str]) -> dict[str, int]:
            role = actions.define_role(
                apikit.actor(request), key=apikit.key(request), code="r", title="r", permissions=permissions
            )
            return {"id": role.pk}

        @router.get("/list/")
        def listed(request: HttpRequest, paging: Query[Paging]) -> dict[str, int]:
            return {"limit": paging.limit}

        apikit.register("wrong", router)
        built = apikit.build(urls_namespace="errors")
        apikit._routers.pop("wrong")
        views = {str(entry.pattern): entry.callback for entry in built.urls[0]}
        holder = people.holding("base.people.manage")

        def call(name: str, body: Any = None, sign_in: bool = True, **headers: str) -> Any:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            make = rf.get if body is None else rf.post
            extra = {} if body is None else {"data": raw, "content_type": "application/json"}
            credentials = token(holder, "base.people.manage") if sign_in else {}
            path, _, query = name.partition("?")
            request = make(f"/wrong/{name}", headers=credentials | headers, **extra)
            from django.contrib.auth.models import AnonymousUser

            request.user = AnonymousUser()
            response = views[f"wrong/{path}"](request)
            return response.status_code, json.loads(response.content)

        return call

    def test_an_action_under_a_key_acts_once(self, answer: Any) -> None:
        first = answer("define/", ["base.log.read"], **{"Idempotency-Key": "a"})
        again = answer("define/", ["base.log.read"], **{"Idempotency-Key": "a"})
        assert first == again
        assert LogRecord.objects.filter(action="base.role.define").count() == 1
        status, body = answer("define/", [], **{"Idempotency-Key": "a"})
        assert (status, body["code"]) == (409, "conflict")

    def test_a_change_without_a_key_is_refused(self, answer: Any) -> None:
        status, body = answer("define/", [])
        assert (status, body["problems"][0]["field"]) == (422, "Idempotency-Key")

    def test_a_refusal_names_field_value_and_rule(self, answer: Any) -> None:
        status, body = answer("define/", ["no.such"], **{"Idempotency-Key": "b"})
        assert (status, body["code"]) == (422, "invalid")
        [problem] = body["problems"]
        assert (problem["field"], problem["value"], problem["row"]) == ("permissions", "no.such", None)

    @pytest.mark.parametrize("body", [b"{", b'["\\ud800"]', b'["\\u0000"]', b"[" * 3000, b"\xff"])
    def test_what_is_not_storable_text_is_malformed(self, answer: Any, body: bytes) -> None:
        status, content = answer("define/", body, **{"Idempotency-Key": "c"})
        assert (status, content["code"]) == (400, "malformed")

    def test_a_page_has_a_limit(self, answer: Any) -> None:
        assert answer("list/?limit=200") == (200, {"limit": 200})
        status, content = answer("list/?limit=201")
        assert (status, content["problems"][0]["field"]) == (422, "limit")
        assert answer("list/?limit=%00")[0] == 400

    def test_nobody_gets_in_unasked(self, answer: Any) -> None:
        assert answer("list/", sign_in=False)[0] == 401


def test_a_session_changes_nothing_without_its_csrf_token(people: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(people.nobody().user)
    assert client.get("/api/me").status_code == 200
    signed = apikit.SignedIn()
    from django.test import RequestFactory

    request = RequestFactory(enforce_csrf_checks=True).post("/api/x")
    request.user = people.nobody().user
    request._dont_enforce_csrf_checks = False  # type: ignore[attr-defined]
    with pytest.raises(apikit.HttpError):
        signed(request)


def test_the_description_loads_nothing_from_elsewhere_and_needs_no_script(client: Client) -> None:
    page = client.get("/api/")
    assert page.status_code == 200
    text = page.content.decode()
    assert "/api/log/checkpoint/" in text
    assert "https://" not in text.replace("https://www.w3.org", "")
