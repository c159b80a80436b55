"""The tables of the desk, one room for each part of it."""

from huoshui.policy.models.applications import Application, ApplicationEvent, FiledMaterial, Filing

__all__ = ["Application", "ApplicationEvent", "FiledMaterial", "Filing"]
