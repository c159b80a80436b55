"""Trained models 已训练模型: an artefact under a name and a version, with what made it."""

import re
from contextlib import closing

from django.db.models import Max
from django.utils.translation import gettext as _

from huoshui.base.act import Act, action
from huoshui.base.errors import invalid
from huoshui.jobs import artefacts, lineage, store
from huoshui.jobs.models import Artefact, TrainedModel
from huoshui.jobs.permissions import SERVE
from huoshui.registry.models import Party

NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,59}")
MAGIC = b"GGUF"


def check_name(name: str) -> None:
    """Raises Invalid for a name that cannot stand in an address."""
    if not NAME.fullmatch(name):
        raise invalid("name", name, _("2 to 60 small letters, digits and hyphens"))


@action("jobs.model.register")
def register_model(act: Act, *, artefact: Artefact, name: str) -> TrainedModel:
    """Make a model file a trained model; the next version when the party has one of this name.

    Raises Invalid when the file is no model or the name cannot be; the same file under the same name stays what it is.
    """
    act.require(SERVE, artefact)
    check_name(name)
    party = Party.objects.select_for_update().get(pk=artefact.party_id)
    artefact = artefacts.lock(artefact.digest).select_related("made_by__booking__pool__site").get(pk=artefact.pk)
    earlier = TrainedModel.objects.filter(party=party, name=name)
    if same := earlier.filter(artefact__digest=artefact.digest).first():
        act.nothing_changed()
        return same
    _check_file(artefact)
    version = (earlier.aggregate(last=Max("version"))["last"] or 0) + 1
    made = TrainedModel.objects.create(
        party=party, name=name, version=version, artefact=artefact, lineage=lineage.describe(artefact),
        created_at=act.at,
    )  # fmt: skip
    act.record(made, {"party": party, "name": name, "version": version, "lineage": made.lineage})
    return made


def _check_file(artefact: Artefact) -> None:
    if artefact.kind != Artefact.Kind.MODEL or artefact.deleted_at is not None:
        raise invalid("artefact", artefact.name, _("is not a model file"))
    with closing(store.read(artefact.digest)) as content:
        if not next(content, b"").startswith(MAGIC):
            raise invalid("artefact", artefact.name, _("is not in the format GGUF"))
