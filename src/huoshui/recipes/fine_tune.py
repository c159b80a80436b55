"""Trains a small Llama model on a text, from the beginning or from an earlier model, and writes it as GGUF.

The batch of a step depends on the seed and the step alone, so a training that was interrupted and went on from its
checkpoint is the same, number by number, as one that was not. Files: inputs/text, inputs/model (optional);
checkpoint/state.npz; outputs/model.gguf, outputs/sample.txt. Metric: loss (nats a token), with the learning rate.
"""

import json
import time
from pathlib import Path
from typing import Any

from . import common

common.require("numpy", "jax", "gguf")

import numpy as np  # noqa: E402

from . import gguf_file, llama, tokens  # noqa: E402

STATE = "state.npz"
State = tuple[int, llama.Weights, llama.Weights, llama.Weights]
"""Steps done, weights, first moments, second moments."""


def main() -> None:
    asked, stop = common.parameters(), common.Stop()
    path = common.input_file("text") or common.fail("inputs/text is missing")
    text = common.text_of(path)
    shape, state, characters = begin(asked, text)
    data = np.array(characters.encode(text), np.int32)
    if len(data) <= shape.context:
        common.fail(f"The text has {len(data)} tokens; training needs more than the context of {shape.context}.")
    print(f"{len(data)} tokens, {sum(np.size(part) for part in state[1].values())} weights, {shape}", flush=True)
    state = train(asked, shape, state, characters, data, stop)
    finish(asked, shape, state[1], characters)


def begin(asked: common.Parameters, text: str) -> tuple[llama.Shape, State, tokens.Characters]:
    """Where training starts: at the checkpoint, at an earlier model, or from nothing."""
    saved = common.folder("checkpoint") / STATE
    if saved.exists():
        return load(saved)
    earlier = common.input_file("model")
    if earlier is not None:
        shape, weights, characters = gguf_file.read(earlier)
    else:
        characters = tokens.learn(text)
        shape = llama.Shape(len(characters), asked.context, asked.width, asked.layers)
        weights = llama.start(shape, asked.seed)
    nothing = {name: np.zeros_like(part) for name, part in weights.items()}
    return shape, (0, weights, nothing, dict(nothing)), characters


def train(
    asked: common.Parameters, shape: llama.Shape, state: State, characters: tokens.Characters, data: Any,
    stop: common.Stop,
) -> State:  # fmt: skip
    """Learn to the last step, saving on the way; ends the process after saving when it is asked to stop."""
    done, *held = state
    began, first = time.monotonic(), done
    for step in range(done, asked.steps):
        pace = llama.rate(step, asked.steps, asked.learning_rate_ppm / 1e6)
        *held, loss = llama.learn(shape, *held, batch(data, asked, shape.context, step), step + 1, pace)
        done = step + 1
        if done % common.METRICS_EVERY == 0 or done == asked.steps:
            common.metric(done, asked.steps, loss=float(loss), learning_rate=pace)
            print(f"step {done}/{asked.steps} loss {float(loss):.4f}", flush=True)
        if done % asked.checkpoint_steps == 0 or stop.asked or done == asked.steps:
            save(shape, (done, *held), characters)
        if stop.asked and done < asked.steps:
            print(f"asked to stop: saved at step {done}", flush=True)
            raise SystemExit(common.STOPPED)
    if done > first:
        print(f"{(done - first) / (time.monotonic() - began):.1f} steps a second", flush=True)
    return (done, *held)  # type: ignore[return-value]


def batch(data: Any, asked: common.Parameters, context: int, step: int) -> Any:
    """Sequences of a step, int32[batch, context + 1], each behind the beginning mark."""
    random = np.random.default_rng((asked.seed, step))
    places = random.integers(0, len(data) - context + 1, asked.batch)
    rows = np.stack([data[place : place + context] for place in places])
    return np.concatenate([np.full((asked.batch, 1), tokens.BEGIN, np.int32), rows], 1)


def save(shape: llama.Shape, state: State, characters: tokens.Characters) -> None:
    """The checkpoint: whole or the one before."""
    about = {"done": state[0], "shape": shape.as_dict(), "characters": characters.characters}
    arrays: dict[str, Any] = {
        f"{kind}/{name}": np.asarray(part)
        for kind, parts in zip(("weights", "first", "second"), state[1:], strict=True)
        for name, part in parts.items()
    }
    with common.whole(common.folder("checkpoint") / STATE) as out:
        np.savez(out, about=json.dumps(about), **arrays)


def load(path: Path) -> tuple[llama.Shape, State, tokens.Characters]:
    """What `save` wrote."""
    with np.load(path, allow_pickle=False) as held:
        about = json.loads(str(held["about"]))
        shape = llama.Shape(**about["shape"])
        kinds = [{name: held[f"{kind}/{name}"] for name in shape.parts()} for kind in ("weights", "first", "second")]
    print(f"goes on from step {about['done']}", flush=True)
    return shape, (about["done"], *kinds), tokens.Characters(about["characters"])


def finish(
    asked: common.Parameters, shape: llama.Shape, weights: llama.Weights, characters: tokens.Characters
) -> None:
    """Write the model, and what it says when it is asked to continue the sample."""
    prompt = [tokens.BEGIN, *characters.encode(asked.sample)][: shape.context - 1]
    said = characters.decode(llama.greedy(shape, weights, prompt, asked.sample_tokens, tokens.END))
    outputs = common.folder("outputs")
    with common.whole(outputs / "sample.txt") as out:
        out.write((asked.sample + said + "\n").encode())
    gguf_file.write(outputs / "model.gguf", "model", shape, weights, characters)
    print(f"{asked.sample}{said}", flush=True)


if __name__ == "__main__":
    main()
