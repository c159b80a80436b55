"""Answers every line of a file of prompts with a model; goes on where it stopped.

Files: inputs/model, inputs/prompts (JSON lines); checkpoint/answers.jsonl grows line by line and becomes
outputs/answers.jsonl: {"line", "text", "tokens"} or {"line", "error"}. Metric: tokens (all so far).
"""

import json
import shutil
from pathlib import Path

from . import common

common.require("xllamacpp")

from . import inference  # noqa: E402


def main() -> None:
    asked, stop = common.parameters(), common.Stop()
    model = common.input_file("model") or common.fail("inputs/model is missing")
    rows = common.json_lines(common.input_file("prompts") or common.fail("inputs/prompts is missing"))
    answers = common.folder("checkpoint") / "answers.jsonl"
    done, tokens = resume(answers)
    if done:
        print(f"goes on after line {done}", flush=True)
    answering = inference.Model(model, asked.context, asked.threads)
    with open(answers, "a", encoding="utf-8") as out:
        for line, row in enumerate(rows[done:], done + 1):
            reply = answering.answer(row, asked.tokens_max)
            tokens += reply.get("tokens", 0)
            out.write(json.dumps({"line": line, **reply}, ensure_ascii=False) + "\n")
            out.flush()
            if line % common.METRICS_EVERY == 0 or line == len(rows):
                common.metric(line, len(rows), tokens=tokens)
            if stop.asked and line < len(rows):
                raise SystemExit(common.STOPPED)
    with common.whole(common.folder("outputs") / "answers.jsonl") as whole, open(answers, "rb") as made:
        shutil.copyfileobj(made, whole)
    print(f"{len(rows)} lines, {tokens} tokens", flush=True)


def resume(answers: Path) -> tuple[int, int]:
    """(lines answered, tokens) of an earlier attempt; half a line that it left is cut off."""
    if not answers.exists():
        return 0, 0
    data = answers.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        with open(answers, "r+b") as file:
            file.truncate(len(whole))
    rows = [json.loads(line) for line in whole.splitlines()]
    return len(rows), sum(row.get("tokens", 0) for row in rows)


if __name__ == "__main__":
    main()
