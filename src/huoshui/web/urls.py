"""All addresses of the console: what every app brings, mounted; sign-in, home, people, tokens and the log."""

from importlib.util import find_spec

from django.urls import URLPattern, URLResolver, include, path

from huoshui.web import views

DESKS = {
    "registry/": "huoshui.registry.urls",
    "book/": "huoshui.book.urls",
    "cases/": "huoshui.cases.urls",
    "indicators/": "huoshui.indicators.urls",
    "compute/": "huoshui.compute.urls",
    "api/": "huoshui.api.urls",
}

urlpatterns: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("sign-in/", views.SignIn.as_view(), name="sign_in"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("my/tokens/", views.my_tokens, name="my_tokens"),
    path("", include("huoshui.base.urls")),
    *(path(prefix, include(module)) for prefix, module in DESKS.items() if find_spec(module)),
]

handler400 = "huoshui.base.views.bad_request"
handler403 = "huoshui.base.views.forbidden"
handler404 = "huoshui.base.views.not_found"
handler500 = "huoshui.base.views.server_error"
