"""Clearing of idle cards over sites, models and hours; see docs/algorithms/capacity.md."""

from huoshui.clearing.capacity.problem import Problem, ProblemError

__all__ = ["Problem", "ProblemError"]
