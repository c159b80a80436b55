"""Sign-in, people, tokens, the log, and how refusals become pages."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django import forms
from django.contrib.messages import get_messages
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.urls import reverse

from huoshui.base import clock, merkle, nav
from huoshui.base.access import Actor
from huoshui.base.actions import MANAGE_PEOPLE, READ_LOG
from huoshui.base.errors import Conflict, Forbidden, Missing, Problem, Refused, invalid
from huoshui.base.errors import Invalid as InvalidInput
from huoshui.base.models import Assignment, LogRecord, Token, User
from huoshui.base.views import page_errors, post_action
from huoshui.web import actions
from huoshui.web.models import SignInFailure

PASSWORD = "eleven-geese"
ENGLISH = {"accept-language": "en"}


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("lin", PASSWORD, name="Lin")


def sign_in(client: Client, password: str, username: str = "lin") -> HttpResponse:
    return client.post("/sign-in/", {"username": username, "password": password}, headers=ENGLISH)


# --- sign-in ------------------------------------------------------------------


def test_the_right_password_opens_the_console_and_is_in_the_log(client: Client, person: User) -> None:
    assert sign_in(client, PASSWORD).status_code == 302
    assert client.get("/").status_code == 200
    assert LogRecord.objects.filter(action="web.signed_in", subject=f"base.user:{person.pk}").count() == 1


def test_passwords_are_kept_as_argon2(person: User) -> None:
    assert person.password.startswith("argon2$argon2id$")


def test_guessing_stops_after_five_failures_even_with_the_right_password(client: Client, person: User) -> None:
    for _attempt in range(actions.FAILURES_MAX):
        assert b"do not fit together" in sign_in(client, "wrong").content
    assert b"Too many wrong passwords" in sign_in(client, PASSWORD).content
    assert "_auth_user_id" not in client.session


def test_someone_else_may_still_sign_in_meanwhile(client: Client, person: User) -> None:
    User.objects.create_user("wu", PASSWORD, name="Wu")
    for _attempt in range(actions.FAILURES_MAX):
        sign_in(client, "wrong")
    assert sign_in(client, PASSWORD, "wu").status_code == 302


def test_after_the_window_one_may_try_again(client: Client, person: User) -> None:
    for _attempt in range(actions.FAILURES_MAX):
        sign_in(client, "wrong")
    SignInFailure.objects.update(at=clock.real_now() - actions.FAILURES_WINDOW - timedelta(seconds=1))
    assert sign_in(client, PASSWORD).status_code == 302
    assert not SignInFailure.objects.filter(at__gte=clock.real_now() - actions.FAILURES_WINDOW).exists()


def test_failures_keep_neither_name_nor_address(client: Client, person: User) -> None:
    sign_in(client, "wrong")
    assert re.fullmatch(r"[0-9a-f]{40,64}", SignInFailure.objects.get().who)


def test_who_is_kept_out_cannot_sign_in(client: Client, person: User) -> None:
    User.objects.update(is_active=False)
    assert b"do not fit together" in sign_in(client, PASSWORD).content


@pytest.mark.parametrize("path", ["/", "/people/", "/log/", "/my/tokens/", "/people/1/"])
def test_pages_want_a_signed_in_person(client: Client, db: None, path: str) -> None:
    assert client.get(path).headers["location"] == f"/sign-in/?next={path}"


# --- every registered page ----------------------------------------------------


def test_every_entry_of_the_navigation_has_an_address() -> None:
    for entry in nav._entries:
        assert reverse(entry.url_name).startswith("/")


def test_healthz_says_the_database_answers(client: Client, db: None) -> None:
    assert client.get("/healthz").json()["status"] == "ok"


# --- refusals -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Missing("gone"), 404),
        (Forbidden("no"), 403),
        (Conflict("again"), 409),
        (invalid("uscc", "x", "too short", 3), 422),
    ],
)
def test_a_refusal_is_a_page_or_a_fragment(error: Refused, status: int, person: User) -> None:
    @page_errors
    def view(request: object) -> HttpResponse:
        raise error

    request = RequestFactory().get("/")
    request.user, request.htmx = person, False  # type: ignore[attr-defined]
    whole = view(request)
    assert whole.status_code == status
    assert b"<html" in whole.content
    request.htmx = True  # type: ignore[attr-defined]
    fragment = view(request)
    assert fragment.status_code == status
    assert b"<html" not in fragment.content
    assert b"too short" in fragment.content or not error.problems


def test_an_unknown_address_and_a_stale_form_have_their_pages(db: None) -> None:
    client = Client(enforce_csrf_checks=True, headers=ENGLISH)
    assert b"There is nothing here" in client.get("/no/such/page/").content
    stale = client.post("/sign-in/", {"username": "x"})
    assert stale.status_code == 403
    assert b"open too long" in stale.content


class TwoFields(forms.Form):
    name = forms.CharField(required=False)
    cards = forms.IntegerField(required=False)


def _post(person: User, **data: str) -> object:
    request = RequestFactory().post("/", data)
    request.user, request.session = person, {}  # type: ignore[assignment]
    from django.contrib.messages.storage.fallback import FallbackStorage

    request._messages = FallbackStorage(request)  # type: ignore[attr-defined]
    return request


def test_post_action_hands_over_actor_key_and_fields(person: User) -> None:
    seen = {}

    def act(actor: Actor, *, key: str, name: str) -> str:
        seen.update(actor=actor, key=key, name=name)
        return "made"

    request = _post(person, idempotency_key="form/1")
    assert post_action(request, act, None, "Saved.", name="n") == "made"
    assert (seen["actor"].user, seen["key"], seen["name"]) == (person, "form/1", "n")
    assert [str(message) for message in get_messages(request)] == ["Saved."]


def test_problems_go_to_their_fields_and_rows_above_the_form(person: User) -> None:
    def act(actor: Actor, *, key: str) -> None:
        raise InvalidInput(Problem("cards", "0", "at least 1"), Problem("uscc", "x", "wrong check", 7))

    form = TwoFields({"name": "a"})
    assert form.is_valid()
    assert post_action(_post(person), act, form) is None
    assert form.errors["cards"] == ["at least 1"]
    assert [problem.row for problem in form.problems] == [7]  # type: ignore[attr-defined]


def test_what_no_form_can_mend_is_raised(person: User) -> None:
    def act(actor: Actor, *, key: str) -> None:
        raise Forbidden("no")

    form = TwoFields({})
    assert form.is_valid()
    with pytest.raises(Forbidden):
        post_action(_post(person), act, form)


# --- people, tokens, log ------------------------------------------------------


def test_the_administrator_creates_assigns_and_withdraws(client: Client, people: Callable[..., Actor]) -> None:
    client.force_login(people("administrator").user)
    made = client.post("/people/new/", {"username": "he", "name": "He", "password": PASSWORD, "idempotency_key": "k1"})
    user = User.objects.get(username="he")
    assert made.headers["location"] == f"/people/{user.pk}/"
    role = people("auditor").user.assignments.get().role
    form = {"role": role.pk, "where": "*", "since": "2026-01-01", "idempotency_key": "k2"}
    assert client.post(f"/people/{user.pk}/", form).status_code == 302
    held = user.assignments.get()
    assert (held.role, held.scope) == (role, "*")
    client.post(f"/assignments/{held.pk}/withdraw/", {})
    assert not Assignment.objects.filter(user=user, until=None).exists()
    client.post(f"/people/{user.pk}/active/", {"active": "0"})
    user.refresh_from_db()
    assert not user.is_active


def test_a_weak_password_is_refused_beside_its_field(client: Client, people: Callable[..., Actor]) -> None:
    client.force_login(people("administrator").user)
    page = client.post("/people/new/", {"username": "he", "name": "He", "password": "password12"})
    assert b'id="id_password_error"' in page.content
    assert not User.objects.filter(username="he").exists()


def test_no_digest_of_a_password_or_a_token_is_kept_under_a_key(client: Client, people: Callable[..., Actor]) -> None:
    from huoshui.base.models import IdempotencyKey

    client.force_login(people("administrator").user)
    client.post("/people/new/", {"username": "he", "name": "He", "password": PASSWORD, "idempotency_key": "k1"})
    client.post("/my/tokens/", {"name": "t", "days": 5, "permissions": [MANAGE_PEOPLE], "idempotency_key": "k2"})
    assert Token.objects.count() == 1
    assert not IdempotencyKey.objects.filter(key__in=["k1", "k2"]).exists()


@pytest.mark.parametrize("role", ["agent", "operator", "officer", "bank", "auditor"])
def test_only_the_administrator_sees_people(client: Client, people: Callable[..., Actor], role: str) -> None:
    client.force_login(people(role, "*").user)
    assert client.get("/people/").status_code == 403


@pytest.mark.parametrize(("role", "status"), [("auditor", 200), ("officer", 403), ("administrator", 403)])
def test_only_the_auditor_reads_the_log(client: Client, people: Callable[..., Actor], role: str, status: int) -> None:
    client.force_login(people(role).user)
    assert client.get("/log/").status_code == status


def test_a_receipt_from_the_log_page_proves_its_record(client: Client, people: Callable[..., Actor]) -> None:
    auditor = people("auditor")
    for _time in range(5):
        actions.record_sign_in(auditor, user=auditor.user)
    client.force_login(auditor.user)
    record = LogRecord.objects.order_by("id")[2]
    receipt = json.loads(client.get(f"/log/{record.pk}/receipt.json").content)
    path = [bytes.fromhex(step) for step in receipt["path"]]
    leaf = merkle.leaf_hash(receipt["leaf"].encode())
    assert merkle.check_inclusion(leaf, receipt["index"], receipt["size"], path, bytes.fromhex(receipt["root"]))
    assert client.get("/log/999999/").status_code == 404


def test_a_token_is_shown_once_and_can_be_revoked(client: Client, people: Callable[..., Actor]) -> None:
    owner = people("auditor")
    client.force_login(owner.user)
    page = client.post("/my/tokens/", {"name": "script", "days": 30, "permissions": [READ_LOG]})
    assert re.search(r"hs_[\w-]{20,}", page.content.decode())
    assert page.headers["cache-control"] == "no-store"
    assert b"hs_" not in client.get("/my/tokens/").content
    token = Token.objects.get()
    stranger = Client()
    stranger.force_login(people("auditor").user)
    assert stranger.post(f"/my/tokens/{token.pk}/revoke/").status_code == 404
    client.post(f"/my/tokens/{token.pk}/revoke/")
    token.refresh_from_db()
    assert token.revoked_at is not None


@pytest.mark.parametrize(("path", "most"), [("/people/", 14), ("/log/", 14), ("/my/tokens/", 8)])
def test_list_pages_need_few_queries(
    client: Client, people: Callable[..., Actor], django_assert_max_num_queries: Callable, path: str, most: int
) -> None:
    viewer = people("administrator" if path == "/people/" else "auditor")
    for number in range(60):
        user = User.objects.create(username=f"u{number}", name=f"U {number}")
        Assignment.objects.create(user=user, role=viewer.user.assignments.get().role, scope="*", since="2026-01-01")
        actions.record_sign_in(Actor(user), user=user)
    client.force_login(viewer.user)
    with django_assert_max_num_queries(most):
        assert client.get(path).status_code == 200
