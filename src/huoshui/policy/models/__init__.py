"""The tables of the desk, one room for each part of it."""

from huoshui.policy.models.applications import Application, ApplicationEvent, FiledMaterial, Filing
from huoshui.policy.models.authoring import ComparisonRow, DraftVersion, Notice, PackComparison, PackDraft
from huoshui.policy.models.funds import (
    ClaimedInvoice,
    ClawBack,
    Fund,
    InvoiceNumber,
    Payout,
    Redemption,
    RedemptionEvent,
    StoppedPayout,
    Supplier,
    Voucher,
)
from huoshui.policy.models.outreach import Batch, BatchRow, MatchRun, Push, RdStatement, RdWorking, Telling

__all__ = [
    "Application",
    "ApplicationEvent",
    "Batch",
    "BatchRow",
    "ClaimedInvoice",
    "ClawBack",
    "ComparisonRow",
    "DraftVersion",
    "FiledMaterial",
    "Filing",
    "Fund",
    "InvoiceNumber",
    "MatchRun",
    "Notice",
    "PackComparison",
    "PackDraft",
    "Payout",
    "Push",
    "RdStatement",
    "RdWorking",
    "Redemption",
    "RedemptionEvent",
    "StoppedPayout",
    "Supplier",
    "Telling",
    "Voucher",
]
