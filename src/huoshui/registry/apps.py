"""Wiring of `registry`."""

from django.apps import AppConfig


class RegistryConfig(AppConfig):
    name = "huoshui.registry"
