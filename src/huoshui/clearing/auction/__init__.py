"""Call auction at one price for everybody 集中竞价; see docs/algorithms/auction.md.

from huoshui.clearing import auction
result = auction.clear(problem)
assert auction.verify(problem, result) == ()
"""

from huoshui.clearing.auction.clear import clear
from huoshui.clearing.auction.problem import NO_PRICE, Problem, Result
from huoshui.clearing.auction.verify import Breach, Violation, verify

__all__ = ["NO_PRICE", "Breach", "Problem", "Result", "Violation", "clear", "verify"]
