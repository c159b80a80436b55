"""From a task in words to cards and hours: arithmetic on published assumptions, the same for everyone."""

from dataclasses import dataclass, replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from huoshui.compute import needs
from huoshui.compute.needs import ASSUMPTIONS, CARDS_MAX, HOURS_MAX, Kind, Need, Task, estimate, from_words


@dataclass(frozen=True)
class Card:
    code: str
    memory_gib: int
    fp16_tflops: int


BIG = Card("big", 80, 312)
CARDS = st.builds(Card, st.just("c"), st.integers(8, 192), st.integers(20, 2_000))
MODELS = st.builds(
    Task, st.sampled_from(list(ASSUMPTIONS)), st.integers(1, 200_000), st.integers(1, 10_000_000), st.just(0)
)


def one(task: Task, card: Card = BIG, hours_wanted: int = 24) -> Need | None:
    return next(iter(estimate(task, [card], hours_wanted)), None)


@given(task=MODELS, card=CARDS, more=st.integers(0, 10_000_000))
def test_more_tokens_never_need_less(task: Task, card: Card, more: int) -> None:
    little, much = one(task, card), one(replace(task, tokens_thousand=task.tokens_thousand + more), card)
    if much is not None:
        assert little is not None
        assert little.cards <= much.cards
        assert little.cards * little.hours <= much.cards * much.hours


@given(task=MODELS, card=CARDS)
def test_the_cards_together_hold_the_task_and_do_its_work_in_the_hours(task: Task, card: Card) -> None:
    found = one(task, card)
    if found is None:
        return
    assumed = ASSUMPTIONS[task.kind]
    parameters = task.parameters_million * 10**6
    bytes_needed = Fraction(parameters * assumed.decibytes_per_parameter, 10)
    assert found.cards * card.memory_gib * 2**30 * Fraction(9, 10) >= bytes_needed
    assert found.memory_gib * 2**30 >= bytes_needed
    flop = assumed.flop_per_token * parameters * task.tokens_thousand * 1000
    per_hour = Fraction(card.fp16_tflops * 10**12 * 3600 * assumed.utilisation_bps, 10_000) * found.cards
    assert found.hours * per_hour >= flop
    assert found.hours == 1 or (found.hours - 1) * per_hour < flop
    assert 1 <= found.cards <= CARDS_MAX
    assert 1 <= found.hours <= HOURS_MAX


@given(hours=st.integers(1, 10_000), card=CARDS)
def test_rendering_scales_with_the_reference_card(hours: int, card: Card) -> None:
    found = one(Task(Kind.RENDERING, reference_hours=hours), card)
    if found is not None:
        assert found.cards * found.hours * card.fp16_tflops >= hours * needs.REFERENCE_TFLOPS


def test_the_published_formula_for_a_seven_billion_fine_tune() -> None:
    """16 bytes and a fifth for each of 7 billion parameters = 126 GiB: two cards of 80 GiB, 72 of which are used."""
    task = Task(Kind.FULL_TUNE, 7_000, 100_000)
    hours = Fraction(6 * 7 * 10**9 * 10**8, 312 * 10**12 * 3600 * 2) / Fraction(35, 100)
    assert estimate(task, [BIG]) == [Need("big", 2, -(-hours.numerator // hours.denominator), 126)]


def test_a_model_too_large_for_a_card_model_leaves_it_out() -> None:
    assert estimate(Task(Kind.FULL_TUNE, 500_000, 1_000), [Card("small", 24, 165)]) == []


def test_own_assumptions_take_the_place_of_the_published_ones() -> None:
    task = Task(Kind.LORA_TUNE, 7_000, 50_000)
    slower = replace(task, assumption=replace(ASSUMPTIONS[Kind.LORA_TUNE], utilisation_bps=300))
    usual, slow = one(task, hours_wanted=HOURS_MAX), one(slower, hours_wanted=HOURS_MAX)
    assert usual is not None
    assert slow is not None
    assert (usual.cards, slow.cards) == (1, 1)
    assert 10 * (usual.hours - 1) < slow.hours <= 10 * usual.hours


@pytest.mark.parametrize(
    ("task", "field"),
    [
        (Task(Kind.INFERENCE, 0, 5), "parameters_million"),
        (Task(Kind.INFERENCE, 7_000, 0), "tokens_thousand"),
        (Task(Kind.FULL_TUNE, 10**7, 5), "parameters_million"),
        (Task(Kind.RENDERING, reference_hours=0), "reference_hours"),
        (Task(Kind.SIMULATION, reference_hours=-3), "reference_hours"),
    ],
)
def test_a_task_out_of_range_is_refused_by_field(task: Task, field: str) -> None:
    assert list(needs.check(task)) == [field]
    with pytest.raises(ValueError, match=field):
        estimate(task, [BIG])


@pytest.mark.parametrize(
    ("words", "task"),
    [
        ("微调 14B 模型，2000 万 tokens", Task(Kind.LORA_TUNE, 14_000, 20_000)),
        ("LoRA 微调7b模型，1.5亿词元", Task(Kind.LORA_TUNE, 7_000, 150_000)),
        ("全参微调 72B，3 亿 token", Task(Kind.FULL_TUNE, 72_000, 300_000)),
        ("用 32B 模型批量推理 5000 万个 token", Task(Kind.INFERENCE, 32_000, 50_000)),
        ("产品渲染图 200 卡时", Task(Kind.RENDERING, reference_hours=200)),
        ("注塑仿真，约 80 小时", Task(Kind.SIMULATION, reference_hours=80)),
        ("fine-tune a 7B model on 20M tokens", Task(Kind.LORA_TUNE, 7_000, 20_000)),
        ("full fine-tune of a 0.5B model, 300k tokens", Task(Kind.FULL_TUNE, 500, 300)),
        ("batch inference with 14B, 2.5B tokens", Task(Kind.INFERENCE, 14_000, 2_500_000)),
        ("render 40 card-hours", Task(Kind.RENDERING, reference_hours=40)),
        ("CFD simulation", needs.DEFAULTS[Kind.SIMULATION]),
        ("训练一个 3B 模型", Task(Kind.FULL_TUNE, 3_000, 100_000)),
        ("7B 模型", needs.DEFAULTS[Kind.LORA_TUNE]),
        ("用 8 张卡微调 7B 模型", needs.DEFAULTS[Kind.LORA_TUNE]),
        ("渲染 20 张图", needs.DEFAULTS[Kind.RENDERING]),
    ],
)
def test_a_sentence_becomes_a_task_and_what_is_not_said_takes_the_default(words: str, task: Task) -> None:
    assert from_words(words) == task


@pytest.mark.parametrize(
    "words",
    [
        "", "帮我算一下", "10张4090卡跑三天", "用 8 张 A100 80G 卡训练 3天", "train on 4 cards for 2 days",
        "渲染，4 卡 20 小时",
    ],
)  # fmt: skip
def test_a_sentence_that_says_no_task_or_only_counts_cards_is_not_understood(words: str) -> None:
    assert from_words(words) is None


NEARLY = r"[微调训练渲染 ]{0,4}[0-9.]{1,12}[Bb亿万 ]{0,2}(tokens|卡时)?"


@given(st.text(max_size=80) | st.from_regex(NEARLY, fullmatch=True))
def test_no_sentence_breaks_it(words: str) -> None:
    task = from_words(words)
    if task is not None and not needs.check(task):
        estimate(task, [BIG])
