"""Judges a model: loss and perplexity on a text that training has not seen, exact answers to questions.

Loss is the mean cross-entropy in nats a token over windows of the model's context, each behind the beginning mark; it
is counted by our own forward pass and so needs a model that was trained here. An answer is exact when the greedy
continuation begins with it, white space at the ends aside. Files: inputs/model, inputs/text, inputs/questions;
outputs/report.json. Metrics: loss, perplexity, exact_match (0 to 1).
"""

import json
import math
from pathlib import Path
from typing import Any

from . import common

common.require("numpy", "jax", "gguf", "xllamacpp")

import numpy as np  # noqa: E402

from . import gguf_file, inference, llama, tokens  # noqa: E402

WINDOWS_AT_ONCE = 8


def main() -> None:
    asked = common.parameters()
    model = common.input_file("model") or common.fail("inputs/model is missing")
    text, questions = common.input_file("text"), common.input_file("questions")
    report: dict[str, Any] = {}
    if text is not None:
        report |= judge_text(model, common.text_of(text))
    if questions is not None:
        report |= judge_answers(asked, model, common.json_lines(questions))
    with common.whole(common.folder("outputs") / "report.json") as out:
        out.write(json.dumps(report, ensure_ascii=False, indent=1).encode())
    common.metric(1, 1, **{name: report[name] for name in ("loss", "perplexity", "exact_match") if name in report})
    print(json.dumps({name: value for name, value in report.items() if name != "answers"}), flush=True)


def judge_text(model: Path, text: str) -> dict[str, Any]:
    """{"loss", "perplexity", "tokens"} of a text."""
    shape, weights, characters = gguf_file.read(model)
    ids = characters.encode(text)
    if not ids:
        common.fail("inputs/text is empty")
    total = 0.0
    for windows in batches([ids[at : at + shape.context] for at in range(0, len(ids), shape.context)]):
        rows = np.full((len(windows), shape.context + 1), tokens.BEGIN, np.int32)
        counts = np.zeros((len(windows), shape.context))
        for row, window in enumerate(windows):
            rows[row, 1 : len(window) + 1] = window
            counts[row, : len(window)] = 1
        total += float((np.asarray(llama.losses(shape, weights, rows)) * counts).sum())
    loss = total / len(ids)
    return {"loss": loss, "perplexity": math.exp(loss), "tokens": len(ids)}


def batches(windows: list[list[int]]) -> list[list[list[int]]]:
    return [windows[at : at + WINDOWS_AT_ONCE] for at in range(0, len(windows), WINDOWS_AT_ONCE)]


def judge_answers(asked: common.Parameters, model: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """{"exact_match", "questions", "answers"} of questions."""
    for number, row in enumerate(rows, 1):
        if not isinstance(row.get("prompt"), str) or not isinstance(row.get("answer"), str):
            common.fail(f"inputs/questions, line {number}: needs the texts prompt and answer")
    if not rows:
        common.fail("inputs/questions is empty")
    answering = inference.Model(model, asked.context, asked.threads)
    answers = []
    for row in rows:
        said = answering.answer({"prompt": row["prompt"]}, asked.tokens_max).get("text", "")
        exact = bool(row["answer"].strip()) and said.strip().startswith(row["answer"].strip())
        answers.append({"prompt": row["prompt"], "expected": row["answer"], "said": said, "exact": exact})
    right = sum(answer["exact"] for answer in answers)
    return {"exact_match": right / len(rows), "questions": len(rows), "answers": answers}


if __name__ == "__main__":
    main()
