"""Running recipes as the engine does: in a folder of their own, as a process, with the variables of a job."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huoshui.jobs.folders import _copy_recipes
from huoshui.jobs.templates import TEMPLATES, checked

TRAIN = {
    "steps": 120, "batch": 8, "context": 32, "width": 64, "layers": 1, "learning_rate_ppm": 10_000,
    "checkpoint_steps": 20, "sample": "算力", "sample_tokens": 24,
}  # fmt: skip
SECONDS_MAX = 120
COMPILED = TemporaryDirectory(prefix="huoshui-jax-")
"""JAX compiles the small model once for all runs of a test process."""


@dataclass(frozen=True)
class Folder:
    """A job's folder, without a job."""

    path: Path
    template: str
    parameters: Mapping[str, Any]
    environment: Mapping[str, str]

    def start(self, **more: str) -> "subprocess.Popen[str]":
        template = TEMPLATES[self.template]
        answers = checked(template, self.parameters)
        recipes = self.path / "recipes"
        recipes.mkdir(exist_ok=True)
        _copy_recipes(recipes)
        (recipes / "parameters.json").write_text(json.dumps(answers))
        own = {f"HUOSHUI_{name.upper()}": str(self.path / name) for name in ("inputs", "outputs", "checkpoint")}
        own |= {"JAX_COMPILATION_CACHE_DIR": COMPILED.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        own["HUOSHUI_METRICS"] = str(self.path / "metrics.jsonl")
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return subprocess.Popen(
            template.command(answers, sys.executable), cwd=self.path, text=True,
            env=inherited | own | template.environment(answers) | dict(self.environment) | more,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, code: int = 0, **more: str) -> str:
        """Run to the end; returns what it said."""
        process = self.start(**more)
        said, _none = process.communicate(timeout=SECONDS_MAX)
        assert process.returncode == code, said
        return said

    def metrics(self) -> list[dict[str, Any]]:
        file = self.path / "metrics.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def output(self, name: str) -> Path:
        return self.path / "outputs" / name


def folder(
    path: Path, template: str, parameters: Mapping[str, Any], inputs: Mapping[str, bytes], **environment: str
) -> Folder:
    for name in ("inputs", "outputs", "checkpoint"):
        (path / name).mkdir(parents=True)
    for name, content in inputs.items():
        (path / "inputs" / name).write_bytes(content)
    return Folder(path, template, parameters, environment)


@contextmanager
def serving(made: Folder) -> Iterator[str]:
    """The address of a served model; told to end, it must end well."""
    process = made.start()
    try:
        end = time.monotonic() + SECONDS_MAX
        while not made.output("endpoint.json").exists():
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.02)
        yield json.loads(made.output("endpoint.json").read_text())["address"]
        process.terminate()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
