"""Writes of `base`: people, roles, assignments, tokens."""

from datetime import date, timedelta

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base import access, clock
from huoshui.base.act import Act, action
from huoshui.base.canonical import salted
from huoshui.base.errors import invalid
from huoshui.base.models import Assignment, Role, Token, User
from huoshui.base.secrets import new_token, token_digest

MANAGE_PEOPLE = access.register("base.people.manage", _l("manage people and their roles"))
READ_LOG = access.register("base.log.read", _l("read the whole log"))
DEMO = "base.demo:1"
TOKEN_DAYS_MAX = 366
TOKENS_PER_USER_MAX = 20


@action("base.user.create", secret=frozenset({"password"}))
def create_user(
    act: Act, *, username: str, name: str, password: str, email: str = "", phone: str = "", language: str = ""
) -> User:
    """Create a person who may sign in. Raises Invalid on a weak password or a name already taken."""
    act.require(MANAGE_PEOPLE)
    if User.objects.filter(username=username).exists():
        raise invalid("username", username, _("this user name is taken"))
    user = User(username=username, name=name, email=email, phone=phone, language=language)
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise invalid("password", "…", " ".join(error.messages)) from error
    user.set_password(password)
    user.save()
    act.record(user, {"person": salted(user.salt, f"{username}|{name}|{email}|{phone}")})
    return user


@action("base.user.set_active")
def set_active(act: Act, *, user: User, active: bool) -> User:
    """Let a person in or keep them out."""
    act.require(MANAGE_PEOPLE, access.WHOLE)
    user.is_active = active
    user.save(update_fields=["is_active"])
    act.record(user, {"active": active})
    return user


@action("base.role.define")
def define_role(act: Act, *, code: str, title: str, permissions: list[str]) -> Role:
    """Create a role or change what it holds. Raises Invalid on an unknown permission."""
    act.require(MANAGE_PEOPLE, access.WHOLE)
    for permission in permissions:
        if permission not in access.permissions:
            raise invalid("permissions", permission, _("no such permission"))
    role, created = Role.objects.get_or_create(code=code, defaults={"title": title, "permissions": permissions})
    if not created and (role.title, role.permissions) == (title, permissions):
        act.nothing_changed()
        return role
    role.title, role.permissions = title, permissions
    role.save()
    act.record(role, {"code": code, "title": title, "permissions": permissions})
    return role


@action("base.role.assign")
def assign(
    act: Act, *, user: User, role: Role, scope: str, since: date | None = None, until: date | None = None
) -> Assignment:
    """Give a person a role within a scope. Who manages people in a part only gives what they hold there themselves."""
    act.require(MANAGE_PEOPLE, access.InScope(scope))
    if not act.actor.can(MANAGE_PEOPLE, access.WHOLE):
        for permission in role.permissions:
            act.require(permission, access.InScope(scope))
    since = since or clock.today()
    if until and until < since:
        raise invalid("until", until, _("ends before it starts"))
    assignment, created = Assignment.objects.get_or_create(
        user=user, role=role, scope=scope, since=since, defaults={"until": until}
    )
    if not created and assignment.until == until:
        act.nothing_changed()
        return assignment
    assignment.until = until
    assignment.save()
    act.record(user, {"role": role.code, "scope": scope, "since": since, "until": until})
    return assignment


@action("base.role.withdraw")
def withdraw(act: Act, *, assignment: Assignment) -> Assignment:
    """End an assignment as of yesterday: it holds no more from today."""
    act.require(MANAGE_PEOPLE, access.InScope(assignment.scope))
    yesterday = clock.today() - timedelta(days=1)
    if assignment.since > yesterday:
        act.record(assignment.user, {"role": assignment.role.code, "scope": assignment.scope, "withdrawn": True})
        assignment.delete()
        return assignment
    assignment.until = yesterday
    assignment.save(update_fields=["until"])
    act.record(assignment.user, {"role": assignment.role.code, "scope": assignment.scope, "until": yesterday})
    return assignment


@action("base.token.issue")
def issue_token(
    act: Act, *, name: str, permissions: list[str], days: int = 90, within: access.Scoped | None = None,
    scope: str = "", spending_limit_fen: int | None = None,
) -> dict[str, str]:
    """Issue an API token for oneself, with a part of one's own permissions.

    `within` and its scope `scope`: the one object to which the token is limited, such as a booking of cards.
    Returns {"id", "secret"}; the secret is shown this once (so the call takes no idempotency key).
    """
    user = act.actor.user
    if user is None or act.actor.token is not None or act.key:
        raise invalid("actor", act.actor.label, _("a signed-in person issues their own tokens"))
    act.checked = True
    if not 1 <= days <= TOKEN_DAYS_MAX:
        raise invalid("days", days, _("between 1 and %(max)s") % {"max": TOKEN_DAYS_MAX})
    if user.tokens.filter(revoked_at=None, expires_at__gt=act.at).count() >= TOKENS_PER_USER_MAX:
        raise invalid("name", name, _("at most %(max)s tokens at a time") % {"max": TOKENS_PER_USER_MAX})
    for permission in permissions:
        if permission not in access.permissions or not act.actor.can(permission, within):
            raise invalid("permissions", permission, _("not one of your permissions"))
    if (within is not None) != (scope != "") or (within is not None and scope not in within.access_scopes()):
        raise AssertionError("a token is limited to a scope of the object it is within")
    if spending_limit_fen is not None and spending_limit_fen <= 0:
        raise invalid("spending_limit", spending_limit_fen, _("must be greater than zero"))
    secret = new_token()
    token = Token.objects.create(
        user=user, name=name, digest=token_digest(secret), permissions=permissions, scope=scope,
        spending_limit_fen=spending_limit_fen, created_at=act.at, expires_at=act.at + timedelta(days=days),
    )
    facts = {"owner": user, "permissions": permissions, "expires_at": token.expires_at}
    act.record(token, facts | {"scope": scope, "spending_limit_fen": spending_limit_fen})
    return {"id": str(token.pk), "secret": secret}


@action("base.token.revoke")
def revoke_token(act: Act, *, token: Token) -> Token:
    """Revoke one's own token, or any as the manager of people."""
    if act.actor.user is not None and token.user_id == act.actor.user.pk:
        act.checked = True
    else:
        act.require(MANAGE_PEOPLE, access.WHOLE)
    token.revoked_at = act.at
    token.save(update_fields=["revoked_at"])
    act.record(token, {"revoked": True})
    return token


@action("base.demo.load")
def keep_demo_story(act: Act, *, told: list[str]) -> None:
    """Record that the demo was loaded whole, and what was said of it."""
    act.require(MANAGE_PEOPLE)
    act.record(DEMO, {"told": told})
