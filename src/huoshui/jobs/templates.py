"""Templates of jobs 作业模板: what a person may run without writing a program, and with one of their own.

A template says what it asks (`fields`, with bounds), which files it reads (`inputs`) and how it starts. Forms, the REST
API and checks come from this one definition. Most start a **recipe**: a stand-alone script of `huoshui.recipes` that
`jobs.folders` copies into the job's folder with its parameters, so that a node needs a Python and nothing of ours.
Parameters are whole numbers and texts, so that they have one canonical form in the log.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base.errors import Invalid, Problem
from huoshui.jobs.models import Artefact

Words = str | Promise
Parameter = int | str
RECIPES: Final = "recipes"
"""The folder beside a job's inputs into which its recipe is copied."""
DATA, SCRIPT, MODEL = (frozenset({kind}) for kind in ("data", "script", "model"))
FILES: Final = frozenset({"data", "output"})


@dataclass(frozen=True)
class Field:
    """One question. A number has bounds, a choice its values, a text its longest length (`maximum`).

    `more`: its default suits most, so a form shows it only when asked to.
    """

    name: str
    title: Words
    default: Parameter
    minimum: int = 0
    maximum: int = 0
    choices: tuple[tuple[str, Words], ...] = ()
    help: Words = ""
    required: bool = True
    more: bool = False

    @property
    def is_number(self) -> bool:
        return isinstance(self.default, int)

    def fault(self, value: object) -> str:
        """What is wrong with an answer; empty: nothing."""
        if self.is_number:
            if not isinstance(value, int) or isinstance(value, bool) or not self.minimum <= value <= self.maximum:
                return _("a whole number between %(min)s and %(max)s") % {"min": self.minimum, "max": self.maximum}
            return ""
        if not isinstance(value, str):
            return _("a text")
        if self.choices:
            known = [code for code, _title in self.choices]
            return "" if value in known else _("one of: %(all)s") % {"all": ", ".join(known)}
        if "\x00" in value or len(value) > self.maximum or (self.required and not value.strip()):
            return _("a text of at most %(max)s characters") % {"max": self.maximum}
        return ""

    def form_field(self) -> forms.Field:
        """The same question in a form."""
        common: dict[str, Any] = {"label": self.title, "help_text": self.help, "initial": self.default}
        if self.is_number:
            return forms.IntegerField(min_value=self.minimum, max_value=self.maximum, **common)
        if self.choices:
            return forms.ChoiceField(choices=self.choices, **common)
        return forms.CharField(max_length=self.maximum, required=self.required, **common)


@dataclass(frozen=True)
class Input:
    """A file that the job finds as `inputs/NAME`; `kinds` are the kinds of artefacts that may stand there."""

    name: str
    title: Words
    kinds: frozenset[str]
    required: bool = True
    help: Words = ""


@dataclass(frozen=True)
class Template:
    """A kind of job.

    `recipe` names a module of `huoshui.recipes`, empty for programs of the party's own. `checkpoints`: it starts again
    where it stopped. `keeps_outputs`: what it writes becomes artefacts. `free_inputs`: it reads any files beside
    `inputs`, under their own names. `several_nodes`: with more cards than a node has, it is started once on each node.
    """

    code: str
    title: Words
    summary: Words
    fields: tuple[Field, ...]
    inputs: tuple[Input, ...] = ()
    recipe: str = ""
    checkpoints: bool = False
    keeps_outputs: bool = True
    free_inputs: bool = False
    several_nodes: bool = False
    for_people: bool = True
    any_of: frozenset[str] = frozenset()

    def command(self, parameters: Mapping[str, Parameter], python: str) -> tuple[str, ...]:
        """What the engine runs, in the job's folder. `parameters` have been checked."""
        if self.recipe:
            return (python, "-m", f"{RECIPES}.{self.recipe}")
        line = tuple(shlex.split(str(parameters["arguments"])))
        if self.code == "command":
            return line
        interpreter = {"python": (python, "-u"), "sh": ("/bin/sh",)}[str(parameters["interpreter"])]
        return (*interpreter, "inputs/script", *line)

    def answers(self, parameters: Mapping[str, object]) -> list[tuple[Words, object]]:
        """Parameters under their titles, in the order in which they are asked."""
        return [(field.title, parameters[field.name]) for field in self.fields if field.name in parameters]

    def environment(self, parameters: Mapping[str, Parameter]) -> dict[str, str]:
        """Variables beside those of every job: numerical libraries keep to the threads they were given."""
        threads = str(parameters.get("threads", 1))
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        many = str(threads != "1").lower()
        more = {"XLA_FLAGS": f"--xla_cpu_multi_thread_eigen={many}", "PYTHONUNBUFFERED": "1"}
        return dict.fromkeys(names, threads) | more if self.recipe else {}


def _threads(default: int = 1) -> Field:
    return Field("threads", _l("Threads"), default, 1, 64, more=True)


_PREDICT = Field("tokens_max", _l("Longest answer (tokens)"), 64, 1, 4096)
_CONTEXT = Field("context", _l("Context (tokens)"), 512, 64, 131_072, more=True)
_ARGUMENTS = Field(
    "arguments", _l("Arguments"), "", maximum=2000, required=False,
    help=_l("Separated by spaces; quote what contains a space. No shell reads them."),
)  # fmt: skip
_ALL = (
    Template(
        "fine-tune", _l("Train or fine-tune a language model"),
        _l("Trains a small Llama model on a text, from the beginning or from a model trained here, and writes GGUF."),
        (
            Field("steps", _l("Steps"), 400, 1, 1_000_000),
            Field("batch", _l("Sequences in a step"), 16, 1, 1024, more=True),
            Field(
                "context", _l("Context (tokens)"), 64, 16, 4096, help=_l("Ignored when a model is given."), more=True
            ),
            Field(
                "width", _l("Width"), 128, 32, 4096, help=_l("A multiple of 32; ignored when a model is given."),
                more=True,
            ),
            Field("layers", _l("Layers"), 2, 1, 64, help=_l("Ignored when a model is given."), more=True),
            Field("learning_rate_ppm", _l("Learning rate (millionths)"), 3000, 1, 100_000, more=True),
            Field("checkpoint_steps", _l("Checkpoint every (steps)"), 50, 1, 100_000, more=True),
            Field("seed", _l("Seed"), 1, 0, 2**31 - 1, more=True),
            Field(
                "sample", _l("Opening of the sample"), "算力", maximum=200, more=True,
                help=_l("After training the model continues it, so that you see what was learned."),
            ),
            Field("sample_tokens", _l("Sample (tokens)"), 48, 1, 1024, more=True),
            _threads(),
        ),
        (
            Input("text", _l("Training text"), FILES, help=_l("UTF-8.")),
            Input("model", _l("Earlier model"), MODEL, required=False, help=_l("GGUF, trained here.")),
        ),
        recipe="fine_tune", checkpoints=True,
    ),
    Template(
        "batch", _l("Batch inference"),
        _l("Answers every line of a file of prompts with a model, and goes on where it stopped."),
        (_PREDICT, _CONTEXT, _threads()),
        (
            Input("model", _l("Model"), MODEL, help=_l("GGUF.")),
            Input("prompts", _l("Prompts"), FILES, help=_l("JSON lines: {\"prompt\": …} or {\"messages\": […]}.")),
        ),
        recipe="batch", checkpoints=True,
    ),
    Template(
        "evaluate", _l("Evaluate a model"),
        _l("Loss and perplexity on a text that training has not seen, and exact answers to questions."),
        (replace(_PREDICT, more=True), _CONTEXT, _threads()),
        (
            Input("model", _l("Model"), MODEL, help=_l("GGUF; loss needs one trained here.")),
            Input("text", _l("Text not seen in training"), FILES, required=False, help=_l("UTF-8.")),
            Input(
                "questions", _l("Questions"), FILES, required=False,
                help=_l("JSON lines: {\"prompt\": …, \"answer\": …}."),
            ),
        ),
        recipe="evaluate", any_of=frozenset({"text", "questions"}),
    ),
    Template(
        "serve", _l("Serve a model"), _l("An OpenAI-compatible server; endpoints run it."),
        (
            Field(
                "context", _l("Context (tokens)"), 2048, 64, 131_072, more=True,
                help=_l("Prompt and answer of one call together; more takes more memory."),
            ),
            Field("parallel", _l("Calls at once"), 2, 1, 64, more=True),
            Field("alias", _l("Name of the model"), "model", maximum=60),
            _threads(),
        ),
        (Input("model", _l("Model"), MODEL, help=_l("GGUF.")),),
        recipe="serve", keeps_outputs=False, for_people=False,
    ),
    Template(
        "script", _l("Your own script"), _l("Runs a script that you uploaded, with its arguments."),
        (
            Field("interpreter", _l("Interpreter"), "python", choices=(("python", "Python"), ("sh", "sh"))),
            _ARGUMENTS,
        ),
        (Input("script", _l("Script"), SCRIPT),),
        checkpoints=True, free_inputs=True, several_nodes=True,
    ),
    Template(
        "command", _l("Your own command"), _l("Runs a program that the site has installed."),
        (Field("arguments", _l("Command"), "", maximum=2000, help=_ARGUMENTS.help),),
        checkpoints=True, free_inputs=True, several_nodes=True,
    ),
)  # fmt: skip
TEMPLATES: Final[dict[str, Template]] = {template.code: template for template in _ALL}


def checked(template: Template, parameters: Mapping[str, object]) -> dict[str, Parameter]:
    """The parameters with defaults filled in. Raises Invalid naming each that is unknown, absent or out of bounds."""
    known = {field.name: field for field in template.fields}
    problems = [Problem(name, str(parameters[name]), _("is not asked")) for name in parameters.keys() - known.keys()]
    found: dict[str, Any] = {name: parameters.get(name, field.default) for name, field in known.items()}
    faults = ((name, field.fault(found[name])) for name, field in known.items())
    problems += [Problem(name, str(found[name]), rule) for name, rule in faults if rule]
    if not problems:
        problems = [Problem(*fault) for fault in _together(template, found)]
    if problems:
        raise Invalid(*problems)
    return found


def _together(template: Template, found: Mapping[str, Parameter]) -> list[tuple[str, str, str]]:
    """Faults that only the whole shows."""
    if template.code == "fine-tune" and int(found["width"]) % 32:
        return [("width", str(found["width"]), _("a multiple of 32"))]
    if "arguments" in found:
        try:
            shlex.split(str(found["arguments"]))
        except ValueError as error:
            return [("arguments", str(found["arguments"]), _("quotes do not match (%(why)s)") % {"why": error})]
    return []


def check_inputs(template: Template, inputs: Mapping[str, Artefact]) -> None:
    """Raises Invalid when a file is missing, of the wrong kind, or under a name that a job cannot have."""
    known = {wanted.name: wanted for wanted in template.inputs}
    problems = [
        Problem(name, "", _("is missing")) for name, wanted in known.items() if wanted.required and name not in inputs
    ]
    if template.any_of and not template.any_of & inputs.keys():
        problems.append(Problem(min(template.any_of), "", _("one of these files is needed: %(all)s") % {
            "all": ", ".join(sorted(template.any_of)),
        }))
    for name, artefact in inputs.items():
        wanted = known.get(name)
        if wanted is None and not template.free_inputs:
            problems.append(Problem(name, artefact.name, _("is not asked")))
        elif wanted is not None and artefact.kind not in wanted.kinds:
            problems.append(Problem(name, artefact.name, _("is of another kind")))
        elif artefact.deleted_at is not None:
            problems.append(Problem(name, artefact.name, _("was deleted")))
        elif wanted is None and not is_file_name(name):
            problems.append(Problem(name, artefact.name, _("is no name for a file")))
    if problems:
        raise Invalid(*problems)


NAME_BYTES_MAX = 200


def is_file_name(name: str) -> bool:
    """May a file of a job have this name? One part, printable, not hidden, no path."""
    return (
        bool(name) and len(name.encode(errors="replace")) <= NAME_BYTES_MAX and name.isprintable()
        and not name.startswith((".", "-")) and not set(name) & set('/\\:*?"<>|')
    )  # fmt: skip
