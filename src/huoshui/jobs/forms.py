"""Forms of bookings, jobs and engines. A job's questions come from its template, an engine's from its kind."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _l

from huoshui.base.actions import TOKEN_DAYS_MAX
from huoshui.base.forms import MoreForm
from huoshui.compute.models import Pool, Site
from huoshui.engines.base import Kind
from huoshui.engines.profiles import DCGM_GAUGE, DCGM_LABEL
from huoshui.jobs import connections
from huoshui.jobs.actions.jobs import ATTEMPTS_MAX, ATTEMPTS_WITH_CHECKPOINT, SECONDS_MAX, TITLE_LENGTH_MAX
from huoshui.jobs.models import Artefact, Booking, Job
from huoshui.jobs.templates import Template

MINUTES_MAX = SECONDS_MAX // 60
ANSWER, FILE = "answer_", "file_"
PROMETHEUS_BYTES_MAX = 8 << 20


class TemplateForm(MoreForm):
    """A form that asks what a template asks."""

    def ask(self, template: Template) -> None:
        """Add the template's questions, under names that begin with ANSWER."""
        for field in template.fields:
            self.fields[ANSWER + field.name] = field.form_field()
        self.folded |= {ANSWER + field.name for field in template.fields if field.more}

    def answers(self) -> dict[str, Any]:
        """What was answered, by the template's names."""
        return {name.removeprefix(ANSWER): v for name, v in self.cleaned_data.items() if name.startswith(ANSWER)}


class BookingFilter(forms.Form):
    """Narrow the list of bookings."""

    state = forms.ChoiceField(label=_l("State"), required=False, choices=[("", _l("all")), *Booking.State.choices])


class JobFilter(forms.Form):
    """Narrow the list of jobs."""

    state = forms.ChoiceField(label=_l("State"), required=False, choices=[("", _l("all")), *Job.State.choices])


class TokenForm(forms.Form):
    """For how long a token holds."""

    days = forms.IntegerField(label=_l("Holds for (days)"), min_value=1, max_value=TOKEN_DAYS_MAX, initial=7)


class JobForm(TemplateForm):
    """A job of one template in one booking."""

    folded = frozenset({"attempts_max"})
    title = forms.CharField(label=_l("Title"), max_length=TITLE_LENGTH_MAX)
    cards = forms.IntegerField(label=_l("Cards"), min_value=1, initial=1)
    minutes = forms.IntegerField(
        label=_l("Longest run (minutes)"), min_value=1, max_value=MINUTES_MAX, initial=60,
        help_text=_l("It is ended then, or when the booked hours or the spending cap end."),
    )  # fmt: skip
    attempts_max = forms.IntegerField(
        label=_l("Attempts"), min_value=1, max_value=ATTEMPTS_MAX,
        help_text=_l("How often it may start when its cards are taken back or a node is lost."),
    )  # fmt: skip

    def __init__(self, booking: Booking, template: Template, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.template = template
        self.fields["title"].initial = str(template.title)
        self.fields["cards"].widget.attrs["max"] = booking.cards
        largest = max(connections.node_sizes(connections.of(booking.pool), booking.pool), default=booking.cards)
        if largest < booking.cards:
            several = _l("A node has at most %(max)s; more are spread over several nodes, equally many on each.")
            one = _l("A node has at most %(max)s; this template runs on one node.")
            self.fields["cards"].help_text = (several if template.several_nodes else one) % {"max": largest}
        self.fields["attempts_max"].initial = ATTEMPTS_WITH_CHECKPOINT if template.checkpoints else 1
        self.ask(template)
        files = Artefact.objects.filter(party=booking.party, deleted_at=None).order_by("-id")
        for wanted in template.inputs:
            self.fields[FILE + wanted.name] = forms.ModelChoiceField(
                files.filter(kind__in=wanted.kinds), label=str(wanted.title), required=wanted.required,
                help_text=str(wanted.help),
            )  # fmt: skip
        if template.free_inputs:
            self.fields["files"] = forms.ModelMultipleChoiceField(
                files, label=_l("Files that it reads"), required=False,
                help_text=_l("It finds them in the folder “inputs”, under their names."),
            )  # fmt: skip

    @property
    def inputs(self) -> list[forms.BoundField]:
        """What it reads."""
        return [field for field in self if field.name.startswith(FILE) or field.name == "files"]

    @property
    def questions(self) -> list[forms.BoundField]:
        """What the template asks of everybody."""
        return [field for field in self.plain if field.name.startswith(ANSWER)]

    @property
    def frame(self) -> list[forms.BoundField]:
        """What every job is asked."""
        return [self[name] for name in ("title", "cards", "minutes")]

    def named(self) -> dict[str, Any]:
        """The arguments of `submit_job`."""
        data = self.cleaned_data
        inputs = {name.removeprefix(FILE): row for name, row in data.items() if name.startswith(FILE) and row}
        inputs |= {artefact.name: artefact for artefact in data.get("files") or ()}
        return {
            "title": data["title"], "cards": data["cards"], "seconds_max": data["minutes"] * 60,
            "attempts_max": data["attempts_max"], "template": self.template.code, "inputs": inputs,
            "parameters": self.answers(),
        }  # fmt: skip


class ConnectionForm(MoreForm):
    """The settings of one kind of engine; what need not be set and is not is folded away."""

    def __init__(self, kind: Kind, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for setting in kind.settings:
            secret = _l("The name of an environment variable of the runner, never the secret itself.")
            self.fields[setting.name] = forms.CharField(
                label=SETTINGS.get(setting.name, setting.title), max_length=500, required=setting.required,
                initial=setting.default, help_text=secret if setting.kind == "secret" else "",
            )  # fmt: skip
        self.folded = frozenset(one.name for one in kind.settings if not (one.required or self.initial.get(one.name)))


SETTINGS = {
    "workdir": _l("Directory for jobs, shared with the nodes"),
    "cards": _l("Cards: card model of the pool = number, or the engine's own word (Slurm), separated by commas"),
    "python": _l("Python on the nodes, for job templates"),
    "conf": _l("slurm.conf"),
    "bin": _l("Directory of sbatch and scontrol"),
    "partition": _l("Partition"),
    "account": _l("Slurm account"),
    "address": _l("Address of the Jobs API"),
    "readable": _l("What jobs may read besides, such as /software:/data"),
    "uid_base": _l("First user number of tenants (when run by root)"),
    "users": _l("User of a tenant's jobs on the nodes, such as tenant%d (when run by root)"),
    "memory_gib": _l("Memory for each card (GiB)"),
    "disk_gib": _l("Disk for each card, inputs not counted (GiB)"),
    "processes": _l("Processes for each card"),
    "cpus": _l("Processors for each card"),
    "shared_user": _l("yes: jobs of all tenants may run as one user"),
    "enclose": _l("no: run jobs also on nodes that cannot enclose them"),
}
"""Settings of the engines that we ship, in words; a plugin brings its own titles."""


class OwnForm(forms.Form):
    """Cards that an operator keeps for itself."""

    pool = forms.ModelChoiceField(label=_l("Pool"), queryset=Pool.objects.none(), empty_label=None)
    cards = forms.IntegerField(label=_l("Cards"), min_value=1, initial=1)
    hours = forms.IntegerField(label=_l("Hours, the present one included"), min_value=1, max_value=168, initial=2)

    def __init__(self, site: Site, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        pools = Pool.objects.filter(site=site).select_related("site", "card_model")
        self.fields["pool"].queryset = pools  # type: ignore[attr-defined]


class HistoryForm(forms.Form):
    """Read the engine's own accounting."""

    weeks = forms.IntegerField(label=_l("Weeks to look back"), min_value=2, max_value=26, initial=6)


class PrometheusForm(forms.Form):
    """What Prometheus kept of a gauge: its answer to a query, or a text."""

    file = forms.FileField(label=_l("File"), max_length=200)
    metric = forms.RegexField(r"^[a-zA-Z_:][a-zA-Z0-9_:]*$", label=_l("Gauge"), max_length=100, initial=DCGM_GAUGE)
    label = forms.RegexField(
        r"^[a-zA-Z_][a-zA-Z0-9_]*$", label=_l("Label that names the card model"), max_length=100, initial=DCGM_LABEL
    )

    def clean_file(self) -> str:
        file = self.cleaned_data["file"]
        if file.size > PROMETHEUS_BYTES_MAX:
            raise forms.ValidationError(_("at most %(max)s bytes") % {"max": f"{PROMETHEUS_BYTES_MAX:,}"})
        try:
            text: str = file.read().decode()
        except UnicodeDecodeError as error:
            raise forms.ValidationError(_("is no UTF-8 text")) from error
        return text


class QuantileForm(forms.Form):
    """How sure a proposal is to be."""

    quantile = forms.IntegerField(
        label=_l("Idle in at least (percent of the weeks)"), min_value=50, max_value=100, initial=90, required=False,
    )
