"""Wiring of `indicators`."""

from django.apps import AppConfig


class IndicatorsConfig(AppConfig):
    name = "huoshui.indicators"
