"""Addresses of `base`: the kit page, progress bars, the language switch, the health check."""

from django.urls import path
from django.views.i18n import set_language

from huoshui.base import views

app_name = "base"
urlpatterns = [
    path("kit/", views.kit, name="kit"),
    path("progress/<uuid:task>/", views.progress, name="progress"),
    path("language/", set_language, name="language"),
    path("healthz", views.healthz, name="healthz"),
]
