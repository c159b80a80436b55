"""Consent: a party agrees that facts of it are shared, with whom, for what, which and how long; it may withdraw.

A purpose is registered with the facts that it names, so that a consent given for "financing" says which facts these
are. A desk that shares facts asks `queries.consented` first; one whose page asks for the consent calls `give`.

    consents.register(Purpose("credit.visit", _("visits of banks"), ("revenue", "tax.grade")))

That free text was agreed to stands in the log as a salted digest only.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui.base import canonical, clock
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, invalid
from huoshui.registry import permissions, sentences
from huoshui.registry.models import Consent, FactType, Party
from huoshui.rules.fields import FIELDS

TEXT_CHARACTERS_MAX = 500
NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True)
class Purpose:
    """What facts are shared for, and the facts that this needs (none named: all facts)."""

    code: str
    title: str | Promise
    codes: tuple[str, ...] = ()


purposes: dict[str, Purpose] = {}


def register(*fresh: Purpose) -> None:
    """Add purposes (called once, from apps.py)."""
    purposes.update({purpose.code: purpose for purpose in fresh})


def title(code: str) -> str:
    """A purpose in words; its code when nobody registered it."""
    return str(purposes[code].title) if code in purposes else code


def named_by(consent: Consent) -> set[str] | None:
    """The facts that a consent covers; None: all."""
    purpose = purposes.get(consent.purpose)
    return set(consent.codes) or (set(purpose.codes) if purpose else set()) or None


register(
    Purpose("review", gettext_lazy("review of applications")),
    Purpose("finance", gettext_lazy("offers of banks and guarantors"), (
        "industry", "founded", "staff", "revenue", "assets", "liabilities", "tax.grade", "abnormal", "dishonest",
        "premises.fixed", "operating", "credit.need", "credit.good", "credit.use-lawful",
    )),
    Purpose("statistics", gettext_lazy("statistics without names")),
)


@action("registry.consent.give")
def give(
    act: Act, *, party: Party, purpose: str, recipient: Party | None = None, recipient_name: str = "",
    codes: Sequence[str] = (), text: str = "", since: date | None = None, until: date | None = None,
) -> Consent:
    """The party's consent, from `since` (default: today). `recipient` None: `recipient_name` says in words with whom.

    `codes` empty: the facts that the purpose names. Raises Invalid.
    """
    act.require(permissions.CONSENT, party)
    since, name, text = since or clock.today(), recipient_name.strip(), text.strip()
    if purpose not in purposes and not codes:
        raise invalid("purpose", purpose, sentences.sentence("one_of", {"one_of": ", ".join(purposes)}))
    if (recipient is None) == (not name):
        raise invalid("recipient", name, _("name a party, or others in words, and not both"))
    for value, characters in ((name, NAME_CHARACTERS_MAX), (text, TEXT_CHARACTERS_MAX)):
        if len(value) > characters:
            raise invalid("text", value, sentences.sentence("characters_at_most", {"maximum": characters}))
    if unknown := _unknown(codes):
        raise invalid("codes", ", ".join(sorted(unknown)), _("no such kind of fact"))
    if until is not None and until < since:
        raise invalid("until", until, _("ends before it starts"))
    salt = secrets.token_hex(16)
    content = {"purpose": purpose, "codes": sorted(set(codes)), "since": since, "until": until}
    words = {"recipient_name": canonical.salted(salt, name), "text": canonical.salted(salt, text)}
    record = act.record(party, content | words | {"recipient": recipient})
    return Consent.objects.create(
        party=party, recipient=recipient, recipient_name=name, text=text, salt=salt, record=record, **content
    )


def _unknown(codes: Sequence[str]) -> set[str]:
    wanted = set(codes) - set(FIELDS)
    return wanted - set(FactType.objects.filter(code__in=wanted).values_list("code", flat=True))


@action("registry.consent.withdraw")
def withdraw(act: Act, *, consent: Consent) -> Consent:
    """From now on nothing more is shared under this consent; what was shared stays on record."""
    act.require(permissions.CONSENT, consent.party)
    fresh = Consent.objects.select_for_update().get(pk=consent.pk)
    if fresh.withdrawn_at is not None:
        raise Conflict(_("This consent is withdrawn already."), code="consent_withdrawn")
    fresh.withdrawn_at = act.at
    fresh.save(update_fields=["withdrawn_at"])
    act.record(fresh.party, {"consent": fresh, "purpose": fresh.purpose, "recipient": fresh.recipient})
    return fresh
