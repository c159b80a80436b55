"""Needs estimate 算力需求测算: from a task in words to cards, memory and hours on each card model.

Everything is integer arithmetic on published assumptions, which the page shows beside the result and lets the user
edit. Sources: training costs about 6 FLOP per parameter and token, a forward pass 2 (Kaplan et al., "Scaling Laws for
Neural Language Models", arXiv:2001.08361, section 2.1); mixed-precision Adam keeps 16 bytes per parameter (Rajbhandari
et al., "ZeRO", arXiv:1910.02054, section 3.1); low-rank adaptation trains few parameters beside frozen 16-bit weights
(Hu et al., "LoRA", arXiv:2106.09685). The utilisation shares are assumptions of this page, not measurements.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

CARDS_MAX = 64
HOURS_MAX = 672
PARAMETERS_MILLION_MAX = 2_000_000
TOKENS_THOUSAND_MAX = 10**10
REFERENCE_TFLOPS = 100
"""Rendering and simulation are told in card-hours of a reference card of 100 TFLOPS FP16."""


class Kind(StrEnum):
    """Kinds of task."""

    FULL_TUNE = "full_tune"
    LORA_TUNE = "lora_tune"
    INFERENCE = "inference"
    RENDERING = "rendering"
    SIMULATION = "simulation"


@dataclass(frozen=True)
class Assumption:
    """FLOP per parameter and token, bytes per parameter ×10, share of peak throughput reached (basis points)."""

    flop_per_token: int
    decibytes_per_parameter: int
    utilisation_bps: int
    shard: bool


ASSUMPTIONS = {
    Kind.FULL_TUNE: Assumption(6, 192, 3500, shard=True),
    Kind.LORA_TUNE: Assumption(4, 30, 3000, shard=True),
    Kind.INFERENCE: Assumption(2, 26, 1500, shard=True),
}
"""16 bytes + 20 % activations; 2 bytes + 50 %; 2 bytes + 30 % key-value cache."""
MEMORY_USABLE_BPS = 9000


@dataclass(frozen=True)
class Task:
    """What is to be done. Models: parameters (millions) and tokens (thousands, all epochs or all calls together).
    Rendering and simulation: hours on one reference card. `assumption`: instead of the published one."""

    kind: Kind
    parameters_million: int = 0
    tokens_thousand: int = 0
    reference_hours: int = 0
    assumption: Assumption | None = None

    @property
    def assumed(self) -> Assumption:
        """The task's own assumption, else the published one of its kind."""
        return self.assumption or ASSUMPTIONS[self.kind]


class Card(Protocol):
    code: str
    memory_gib: int
    fp16_tflops: int


@dataclass(frozen=True)
class Need:
    """On one card model: cards together, hours of them, memory of all (GiB)."""

    model: str
    cards: int
    hours: int
    memory_gib: int


def check(task: Task) -> dict[str, tuple[int, int]]:
    """Fields out of range, with the range that holds."""
    if task.kind in ASSUMPTIONS:
        ranges = {"parameters_million": (1, PARAMETERS_MILLION_MAX), "tokens_thousand": (1, TOKENS_THOUSAND_MAX)}
    else:
        ranges = {"reference_hours": (1, CARDS_MAX * HOURS_MAX)}
    return {name: (low, high) for name, (low, high) in ranges.items() if not low <= getattr(task, name) <= high}


def estimate(task: Task, cards: Iterable[Card], hours_wanted: int = 24) -> list[Need]:
    """Needs on each model that can do the task within CARDS_MAX cards and HOURS_MAX hours.

    Cards are at least what memory needs and double until the task ends within `hours_wanted` (or CARDS_MAX).
    Raises ValueError when `check` finds a field out of range.
    """
    if faults := check(task):
        raise ValueError(f"out of range: {faults}")
    needs = []
    for card in cards:
        count = cards_for_memory(task, card)
        if count > CARDS_MAX:
            continue
        while hours_on(task, card, count) > hours_wanted and count * 2 <= CARDS_MAX:
            count *= 2
        hours = hours_on(task, card, count)
        if hours <= HOURS_MAX:
            needs.append(Need(card.code, count, hours, memory_gib(task)))
    return needs


def memory_gib(task: Task) -> int:
    """Memory of all cards together (GiB, rounded up); 1 when the task is not told in parameters."""
    if task.kind not in ASSUMPTIONS:
        return 1
    decibytes = task.parameters_million * 10**6 * task.assumed.decibytes_per_parameter
    return -(-decibytes // (10 * 2**30))


def cards_for_memory(task: Task, card: Card) -> int:
    """Fewest cards whose usable memory holds the task, as a power of two."""
    need = -(-memory_gib(task) * 10_000 // (card.memory_gib * MEMORY_USABLE_BPS))
    return 1 << (need - 1).bit_length()


def hours_on(task: Task, card: Card, cards: int) -> int:
    """Whole hours on that many cards, rounded up, at least one."""
    if task.kind not in ASSUMPTIONS:
        return max(1, -(-task.reference_hours * REFERENCE_TFLOPS // (card.fp16_tflops * cards)))
    assumption = task.assumed
    flop = assumption.flop_per_token * task.parameters_million * 10**6 * task.tokens_thousand * 10**3
    per_hour = card.fp16_tflops * 10**12 * 3600 * assumption.utilisation_bps // 10_000 * cards
    return max(1, -(-flop // per_hour))


WORDS = (
    (Kind.RENDERING, ("渲染", "render")),
    (Kind.SIMULATION, ("仿真", "模拟", "simulat", "cfd")),
    (Kind.INFERENCE, ("推理", "批量", "问答", "inference", "batch")),
    (Kind.LORA_TUNE, ("lora", "低秩", "微调", "fine-tun", "finetun")),
    (Kind.FULL_TUNE, ("全参", "预训练", "训练", "full", "train")),
)
SCALES = {"亿": 10**8, "万": 10**4, "b": 10**9, "m": 10**6, "k": 10**3, "": 1}
DEFAULTS = {
    Kind.FULL_TUNE: Task(Kind.FULL_TUNE, 7_000, 100_000),
    Kind.LORA_TUNE: Task(Kind.LORA_TUNE, 7_000, 50_000),
    Kind.INFERENCE: Task(Kind.INFERENCE, 7_000, 1_000_000),
    Kind.RENDERING: Task(Kind.RENDERING, reference_hours=100),
    Kind.SIMULATION: Task(Kind.SIMULATION, reference_hours=200),
}
_TOKENS = re.compile(r"([\d.]+)\s*(亿|万|[bmk])?\s*(?:个)?\s*(?:tokens?|词元)", re.IGNORECASE)
_PARAMETERS = re.compile(r"([\d.]+)\s*b(?![a-z])", re.IGNORECASE)
_CARDS = re.compile(r"(?:[张块片]\s*[a-z0-9 ]*卡|\d\s*(?:卡|gpus?|cards?))(?!时|[-\s]*hour)", re.IGNORECASE)
_HOURS = re.compile(r"([\d.]+)\s*(?:卡时|小时|card-?hours?|hours?)", re.IGNORECASE)


def from_words(text: str) -> Task | None:
    """A first guess from a sentence such as “微调 14B 模型，2000 万 tokens”; what is not said takes the default.

    None: not understood. Either it names no kind of task, no parameters and no tokens, or it counts cards (“用 10 张
    4090 卡训练三天”) without saying how much is to be done: that is a matter for a quote, not for a guess.
    """
    lower = text.lower()
    sized = _TOKENS.search(lower) or _PARAMETERS.search(lower)
    named = any(word in lower for _kind, words in WORDS for word in words)
    if not sized and (not named or (_CARDS.search(lower) and "卡时" not in lower)):
        return None
    kind = next((kind for kind, words in WORDS if any(word in lower for word in words)), Kind.LORA_TUNE)
    if any(word in lower for word in ("全参", "full")):
        kind = Kind.FULL_TUNE
    task = DEFAULTS[kind]
    if kind not in ASSUMPTIONS:
        found = _HOURS.search(lower)
        return replace(task, reference_hours=max(1, _scaled(found.group(1), 1))) if found else task
    if tokens := _TOKENS.search(lower):
        amount = _scaled(tokens.group(1), SCALES[tokens.group(2) or ""])
        task = replace(task, tokens_thousand=max(1, amount // 1000))
        lower = lower.replace(tokens.group(0), " ")
    if parameters := _PARAMETERS.search(lower):
        task = replace(task, parameters_million=max(1, _scaled(parameters.group(1), 1000)))
    return task


def _scaled(number: str, scale: int) -> int:
    """Decimal text times a scale, as an integer, without floating point."""
    whole, _dot, part = number.partition(".")
    part = re.sub(r"\D", "", part)[:6]
    return int(whole or 0) * scale + (int(part) * scale // 10 ** len(part) if part else 0)
