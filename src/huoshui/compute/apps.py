"""Wiring of `compute`."""

from django.apps import AppConfig


class ComputeConfig(AppConfig):
    name = "huoshui.compute"
