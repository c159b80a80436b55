"""The published rules of the model service: how calls are billed and how quality is measured. Pages print them.

Thresholds and amounts here are this platform's own; no standard gives them.
"""

from datetime import timedelta

VAT_BPS = 600
"""Rate on statement lines: information services, 6 % (Value-Added Tax Law of 2026, article 10, item 3)."""
CONTEST_WORKING_DAYS = 5
BILL_AT_FEN = 500_00
"""Calls are billed when this much has gathered, and on the first of each month whatever has."""
LOW_WITHIN = timedelta(days=7)
"""Little is left of a wallet when what is free is no more than what its calls of this time cost."""
KEY_EXPIRES_SOON = timedelta(days=14)

SLO_TTFT_US = 1_000_000
SLO_TPOT_US = 50_000
"""A call counts as good output when its first token came within 1 s and each further token took at most 50 ms."""
INPUT_BUCKETS = (128, 1_024, 4_096)
"""Input lengths that are measured, in tokens as the probe estimates them."""
CONCURRENCIES = (1, 4)
PROBES_PER_CELL = 4
OUTPUT_TOKENS = 64
PROBE_EVERY = timedelta(hours=1)
PROBE_DAY_FEN = 500
"""The most that the centre spends on probes in a day, over all offers; until noon, half of it."""
PROBE_SECONDS_MAX = 60
WINDOW = timedelta(days=7)
"""The quality table looks back this far."""
LIVE_CALLS_MIN, LIVE_WALLETS_MIN = 20, 3
"""Figures of real calls are published from this many calls of this many firms on, so that none shows through."""
