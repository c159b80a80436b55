"""Wiring of `cases`."""

from django.apps import AppConfig


class CasesConfig(AppConfig):
    name = "huoshui.cases"
