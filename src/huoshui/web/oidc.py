"""OpenID Connect: sign-in through a city's or a park's unified identity platform (settings HUOSHUI_OIDC_*).

The issuer says who somebody is; what they may do stays in their assignments here. So a person must exist before: one
claim (HUOSHUI_OIDC_CLAIM, by default `preferred_username`) names them, nobody is created and no role is given.
"""

from typing import Any

from django.conf import settings
from django.core.exceptions import SuspiciousOperation
from django.db.models import QuerySet
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from huoshui.base.access import Actor
from huoshui.base.models import User
from huoshui.web import actions


class IssuerBackend(OIDCAuthenticationBackend):
    """Matches an existing, active person by one claim."""

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        """The library checks signature, dates and nonce; whom the token is from and for is checked here."""
        payload: dict[str, Any] = super().verify_token(token, **kwargs)
        audience = payload.get("aud", [])
        if settings.OIDC_RP_CLIENT_ID not in ([audience] if isinstance(audience, str) else audience):
            raise SuspiciousOperation("the identity token is for another audience")
        if payload.get("iss") != settings.OIDC_OP_ISSUER:
            raise SuspiciousOperation("the identity token is from another issuer")
        return payload

    def verify_claims(self, claims: dict[str, Any]) -> bool:
        return bool(claims.get(settings.OIDC_CLAIM))

    def filter_users_by_claims(self, claims: dict[str, Any]) -> "QuerySet[User]":
        return User.objects.filter(username=str(claims[settings.OIDC_CLAIM]), is_active=True)

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User | None:
        user: User | None = super().get_or_create_user(access_token, id_token, payload)
        return actions.record_sign_in(Actor(user), user=user) if user else None
