"""Wiring of `api`: its page and its words."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "huoshui.api"
