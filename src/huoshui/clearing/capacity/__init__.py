"""Clearing of idle cards over sites, models and hours; see docs/algorithms/capacity.md."""

from huoshui.clearing.capacity.codes import Breach, Phase, Refusal
from huoshui.clearing.capacity.options import Options, Progress
from huoshui.clearing.capacity.problem import Problem, ProblemError
from huoshui.clearing.capacity.result import Result
from huoshui.clearing.capacity.solve import clear

__all__ = ["Breach", "Options", "Phase", "Problem", "ProblemError", "Progress", "Refusal", "Result", "clear"]
