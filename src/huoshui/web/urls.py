"""All addresses of the console: what every app brings, mounted; sign-in, home, people, tokens and the log."""

from importlib.util import find_spec

from django.conf import settings
from django.urls import URLPattern, URLResolver, include, path

from huoshui.web import views

DESKS = {
    "registry/": "huoshui.registry.urls",
    "book/": "huoshui.book.urls",
    "cases/": "huoshui.cases.urls",
    "indicators/": "huoshui.indicators.urls",
    "compute/": "huoshui.compute.urls",
    "policy/": "huoshui.policy.urls",
    "jobs/": "huoshui.jobs.urls",
    "market/": "huoshui.market.urls",
    "exchange/": "huoshui.exchange.urls",
    "models/": "huoshui.maas.urls",
    "energy/": "huoshui.energy.urls",
    "agents/": "huoshui.mcp.urls",
    "api/": "huoshui.api.urls",
}

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("my/tokens/", views.my_tokens, name="my_tokens"),
    path("my/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
    path("people/", views.people, name="people"),
    path("people/new/", views.person_new, name="person_new"),
    path("people/<int:pk>/", views.person, name="person"),
    path("people/<int:pk>/active/", views.person_active, name="person_active"),
    path("assignments/<int:pk>/withdraw/", views.withdraw, name="withdraw"),
    path("log/", views.log_list, name="log"),
    path("log/<int:pk>/", views.log_record, name="log_record"),
    path("log/<int:pk>/receipt.json", views.log_receipt, name="log_receipt"),
    path("", include("huoshui.base.urls")),
    *([path("oidc/", include("mozilla_django_oidc.urls"))] if settings.OIDC_RP_CLIENT_ID else []),
    *(path(prefix, include(module)) for prefix, module in DESKS.items() if find_spec(module)),
]

handler400 = "huoshui.base.views.bad_request"
handler403 = "huoshui.base.views.forbidden"
handler404 = "huoshui.base.views.not_found"
handler500 = "huoshui.base.views.server_error"
