"""The tables of the desk, one room for each part of it."""

from huoshui.policy.models.applications import Application, ApplicationEvent, FiledMaterial, Filing
from huoshui.policy.models.authoring import ComparisonRow, DraftVersion, Notice, PackComparison, PackDraft
from huoshui.policy.models.outreach import Batch, BatchRow, MatchRun, Push, RdStatement, RdWorking, Telling

__all__ = [
    "Application",
    "ApplicationEvent",
    "Batch",
    "BatchRow",
    "ComparisonRow",
    "DraftVersion",
    "FiledMaterial",
    "Filing",
    "MatchRun",
    "Notice",
    "PackComparison",
    "PackDraft",
    "Push",
    "RdStatement",
    "RdWorking",
    "Telling",
]
