"""Clearing of idle cards over sites, models and hours; see docs/algorithms/capacity.md."""

from huoshui.clearing.capacity.codes import Breach, Phase, Refusal
from huoshui.clearing.capacity.options import Options, Progress
from huoshui.clearing.capacity.problem import Problem, ProblemError
from huoshui.clearing.capacity.quote import Ask, Market, Quote, quote
from huoshui.clearing.capacity.reschedule import Reschedule, reschedule, verify_reschedule
from huoshui.clearing.capacity.result import Result
from huoshui.clearing.capacity.solve import clear
from huoshui.clearing.capacity.verify import Violation, verify

__all__ = [
    "Ask",
    "Breach",
    "Market",
    "Options",
    "Phase",
    "Problem",
    "ProblemError",
    "Progress",
    "Quote",
    "Refusal",
    "Reschedule",
    "Result",
    "Violation",
    "clear",
    "quote",
    "reschedule",
    "verify",
    "verify_reschedule",
]
