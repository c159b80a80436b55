"""Codes that a result carries instead of sentences; faces translate them."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class Refusal(IntEnum):
    """Why a request was not served. The first four are facts of the request, the last three of the round.

    MODEL        no pool has an acceptable card model
    REGION       such pools exist, but in no acceptable region
    NO_CAPACITY  no acceptable pool offers the cards for the hours needed inside the window
    BUDGET       the budget is below the cheapest reserve cost (plus transfer) of any placement on an empty grid
    PRICE        the budget does not exceed the cheapest placement at slot prices
    KEPT_FOR_SMALL  it does, but in that pool, on a day of its window, it could lift others over their part
    MISSED       it does: the slot prices would have admitted it, but its cards together did not fit; listed with amount
    """

    SERVED = 0
    MODEL = 1
    REGION = 2
    NO_CAPACITY = 3
    BUDGET = 4
    PRICE = 5
    KEPT_FOR_SMALL = 6
    MISSED = 7


class Breach(StrEnum):
    """What `verify` found to be false."""

    SHAPE = "shape"
    DIGEST = "digest"
    RUNS = "runs"
    WINDOW = "window"
    PIECES = "pieces"
    POOL = "pool"
    CAPACITY = "capacity"
    SOLD = "sold"
    FLOOR = "floor"
    PRICE_RANGE = "price_range"
    PAYMENT = "payment"
    OVER_BUDGET = "over_budget"
    CONSERVATION = "conservation"
    OBJECTIVE = "objective"
    BOUND = "bound"
    GAP = "gap"
    REFUSAL = "refusal"
    REFUSAL_PARAMS = "refusal_params"
    TOTALS = "totals"
    RULE_COST = "rule_cost"
    MOVED = "moved"
    DISPLACED = "displaced"


class Phase(StrEnum):
    """What `progress` is told is being worked on."""

    BOUND = "bound"
    PLACE = "place"
    PRICES = "prices"
