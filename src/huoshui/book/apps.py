"""Wiring of `book`."""

from django.apps import AppConfig


class BookConfig(AppConfig):
    name = "huoshui.book"
