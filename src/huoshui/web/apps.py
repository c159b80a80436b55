"""Wiring of `web`."""

from django.apps import AppConfig


class WebConfig(AppConfig):
    name = "huoshui.web"
