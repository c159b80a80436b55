"""Recipes as processes: train, stop, go on, serve with llama.cpp's own server, answer, judge."""

import hashlib
import json
import signal
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.jobs.recipe_runs import TRAIN, Folder, folder, serving
from tests.jobs.storage import TEXT

from huoshui.recipes import tokens

for package in ("jax", "gguf", "xllamacpp"):
    pytest.importorskip(package)
KEY = "a-key-of-the-replica"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A training that nobody interrupted."""
    made = folder(tmp_path_factory.mktemp("trained"), "fine-tune", TRAIN, {"text": TEXT.encode()})
    made.run()
    return made


@pytest.fixture(scope="module")
def model(trained: Folder) -> bytes:
    return trained.output("model.gguf").read_bytes()


def ask(address: str, path: str, body: dict[str, Any], key: str = KEY) -> Any:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    request = urllib.request.Request(address + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


# --- the tokenizer ------------------------------------------------------------------------------------------------


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_comes_back_from_its_tokens(learned: str, said: str) -> None:
    characters = tokens.learn(learned)
    assert characters.decode(characters.encode(said)) == said
    assert tokens.from_pieces(characters.pieces()).characters == characters.characters


def test_another_vocabulary_is_not_taken_for_ours() -> None:
    with pytest.raises(ValueError, match="characters and bytes"):
        tokens.from_pieces(["<unk>", "<s>", "</s>", "hello"])


# --- training -----------------------------------------------------------------------------------------------------


def test_training_learns_and_says_how_far_it_is(trained: Folder) -> None:
    points = trained.metrics()
    assert [point["step"] for point in points] == list(range(10, 121, 10))
    assert all(point["total"] == 120 for point in points)
    assert points[-1]["loss"] < 0.5 < points[0]["loss"]
    assert trained.output("sample.txt").read_text().startswith("算力")


def test_llama_cpp_serves_the_same_text_that_the_trainer_says(trained: Folder, model: bytes, tmp_path: Path) -> None:
    expected = trained.output("sample.txt").read_text().rstrip("\n")
    made = folder(tmp_path, "serve", {"context": 128, "alias": "m"}, {"model": model}, HUOSHUI_ENDPOINT_KEY=KEY)
    greedy = {"max_tokens": TRAIN["sample_tokens"], "temperature": 0}
    with serving(made) as address:
        said = ask(address, "/v1/completions", {"prompt": "算力", **greedy})["choices"][0]["text"]
        assert "算力" + said == expected
        messages = [{"role": "user", "content": "算力"}]
        chat = ask(address, "/v1/chat/completions", {"messages": messages, **greedy})
        assert chat["choices"][0]["message"]["content"] == said
        assert chat["usage"]["completion_tokens"] == TRAIN["sample_tokens"]
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, "/v1/completions", {"prompt": "算力"}, key="another")
        assert refused.value.code == 401


def test_a_replica_listens_on_its_node_and_on_one_that_has_no_name_of_its_own(model: bytes, tmp_path: Path) -> None:
    for number, node in enumerate(("localhost", "node-without-a-name.invalid")):
        named = {"HUOSHUI_ENDPOINT_KEY": KEY, "SLURMD_NODENAME": node}
        with serving(folder(tmp_path / str(number), "serve", {"alias": "m"}, {"model": model}, **named)) as address:
            said = ask(address, "/v1/completions", {"prompt": "算力", "max_tokens": 1})
            assert said["usage"]["completion_tokens"] == 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_that_is_stopped_goes_on_and_ends_the_same(
    how: signal.Signals, trained: Folder, model: bytes, tmp_path: Path
) -> None:
    made = folder(tmp_path, "fine-tune", TRAIN, {"text": TEXT.encode()})
    process = made.start()
    while not any(point["step"] >= 50 for point in made.metrics()):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)
    process.send_signal(how)
    said, _none = process.communicate(timeout=60)
    before = len(made.metrics())
    assert process.returncode == (143 if how == signal.SIGTERM else -signal.SIGKILL), said
    assert not made.output("model.gguf").exists()
    assert "goes on from step" in made.run()
    went_on = made.metrics()[before:]
    assert went_on[0]["step"] > 20
    assert went_on[-1]["step"] == 120
    if how == signal.SIGTERM:  # it saved where it stood
        assert went_on[0]["step"] > 50
    by_step = {point["step"]: point for point in trained.metrics()}
    assert all(point == by_step[point["step"]] for point in made.metrics())
    digest = hashlib.sha256(made.output("model.gguf").read_bytes()).hexdigest()
    assert digest == hashlib.sha256(model).hexdigest()


def test_training_goes_on_from_an_earlier_model(trained: Folder, model: bytes, tmp_path: Path) -> None:
    made = folder(tmp_path, "fine-tune", TRAIN | {"steps": 10}, {"text": TEXT.encode(), "model": model})
    made.run()
    assert made.metrics()[0]["loss"] < trained.metrics()[0]["loss"] / 2


@pytest.mark.parametrize(
    ("inputs", "why"),
    [
        ({}, "inputs/text is missing"),
        ({"text": b"\xff\xfe"}, "inputs/text is not UTF-8: byte 0"),
        ({"text": "短".encode()}, "The text has 1 tokens; training needs more than the context of 32."),
        ({"text": TEXT.encode(), "model": b"GGUFgarbage" * 99}, "inputs/model is not a model that was trained here"),
    ],
)
def test_training_says_plainly_what_is_wrong_with_its_files(
    inputs: dict[str, bytes], why: str, tmp_path: Path
) -> None:
    assert why in folder(tmp_path, "fine-tune", TRAIN, inputs).run(code=2)


@pytest.mark.parametrize(("template", "package"), [("fine-tune", "jax"), ("serve", "xllamacpp")])
def test_a_python_without_the_packages_says_what_it_needs(template: str, package: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / f"{package}.py").write_text("raise ImportError")
    made = folder(tmp_path / "job", template, {}, {}, PYTHONPATH=str(tmp_path / "empty"))
    said = made.run(code=2)
    assert f"has no {package}: it needs the extra `models`" in said
    assert "Traceback" not in said


# --- answering and judging ----------------------------------------------------------------------------------------

PROMPTS: list[dict[str, Any]] = [
    {"prompt": "算力"}, {"messages": [{"role": "user", "content": "专项"}]}, {"neither": 1}, {"prompt": "卡" * 999},
]  # fmt: skip


def lines(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode()


def test_a_batch_answers_each_line_and_goes_on_where_it_stopped(model: bytes, tmp_path: Path) -> None:
    def answers(name: str, left: bytes) -> list[dict[str, Any]]:
        inputs = {"model": model, "prompts": lines(PROMPTS)}
        made = folder(tmp_path / name, "batch", {"tokens_max": 8}, inputs)
        (made.path / "checkpoint/answers.jsonl").write_bytes(left)
        made.run()
        assert made.metrics()[-1]["step"] == made.metrics()[-1]["total"] == 4
        return [json.loads(line) for line in made.output("answers.jsonl").read_text().splitlines()]

    whole = answers("whole", b"")
    assert [row["line"] for row in whole] == [1, 2, 3, 4]
    assert len(whole[0]["text"]) == 8
    assert whole[0]["tokens"] == 8
    assert whole[2]["error"] == "neither a prompt nor messages"
    assert "context" in whole[3]["error"]
    first = json.dumps(whole[0] | {"text": "answered before"}, ensure_ascii=False).encode()
    resumed = answers("resumed", first + b"\n" + b'{"line": 2, "te')
    assert resumed == [whole[0] | {"text": "answered before"}, *whole[1:]]


def test_a_line_of_prompts_that_is_no_json_is_named(model: bytes, tmp_path: Path) -> None:
    made = folder(tmp_path, "batch", {}, {"model": model, "prompts": b'{"prompt": "a"}\n{oops\n'})
    assert "inputs/prompts, line 2" in made.run(code=2)


def test_a_model_that_cannot_be_loaded_is_said_plainly(tmp_path: Path) -> None:
    made = folder(tmp_path, "batch", {}, {"model": b"garbage", "prompts": b'{"prompt": "a"}'})
    assert "inputs/model cannot be loaded" in made.run(code=2)


def test_an_evaluation_reports_loss_and_exact_answers(trained: Folder, model: bytes, tmp_path: Path) -> None:
    said = trained.output("sample.txt").read_text()
    questions = lines([{"prompt": "算力", "answer": said[2:6]}, {"prompt": "算力", "answer": "不会"}])
    made = folder(tmp_path, "evaluate", {"tokens_max": 8}, {
        "model": model, "text": TEXT.encode(), "questions": questions,
    })  # fmt: skip
    made.run()
    report = json.loads(made.output("report.json").read_text())
    assert report["exact_match"] == 0.5
    assert [row["exact"] for row in report["answers"]] == [True, False]
    assert 0 < report["loss"] < 4
    assert report["tokens"] == len(TEXT)
    assert report["perplexity"] == pytest.approx(2.718281828 ** report["loss"])
    assert made.metrics()[0]["loss"] == pytest.approx(report["loss"], abs=1e-6)
