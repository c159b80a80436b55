"""Writing packs: keep a notice, write a draft, submit it; ask what a publication changes and store the answer.

A draft is saved over the version that its writer has read: whoever saved in between is never overwritten unseen. What
is submitted becomes a publication of the registry, so review by a second person and activation are the registry's.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from huoshui.base import canonical
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Refused, invalid
from huoshui.policy import checking, pack_text, pack_words
from huoshui.policy.models import ComparisonRow, DraftVersion, Notice, PackComparison, PackDraft
from huoshui.policy.permissions import AUTHOR
from huoshui.registry.actions import submit_publication
from huoshui.registry.models import Publication
from huoshui.rules import KIND
from huoshui.terms.publication import DOCUMENT_BYTES_MAX

WORD_CHARACTERS_MAX: Final = 2_000


@action("policy.notice.add")
def add_notice(
    act: Act, *, title: str, authority: str, document_number: str, source: str, filename: str, digest: str,
    paragraphs: list[str],
) -> Notice:  # fmt: skip
    """Keep the text of a notice. `digest` is that of its file. Raises Conflict when this file is kept already."""
    act.require(AUTHOR)
    for name, said in (("title", title), ("authority", authority), ("source", source)):
        if not said.strip():
            raise invalid(name, said, _("must not be empty"))
    if Notice.objects.filter(digest=digest).exists():
        raise Conflict(_("This very file is among the notices already."), code="notice_known")
    content = {"file": digest, "paragraphs": canonical.digest(paragraphs), "document_number": document_number.strip()}
    record = act.record(f"policy.notice/{digest[:16]}", content)
    return Notice.objects.create(
        title=title.strip(), authority=authority.strip(), document_number=document_number.strip(),
        source=source.strip(), filename=filename[-200:], digest=digest, paragraphs=paragraphs,
        added_by=act.actor.principal, added_at=act.at, record=record,
    )


# --- drafts -------------------------------------------------------------------------------------------------------


@action("policy.draft.start")
def start_draft(act: Act, *, text: str, tests: str = "", notice: Notice | None = None) -> PackDraft:
    """Begin a draft, from a notice's skeleton or from the text of another pack."""
    act.require(AUTHOR)
    _check_size(text, tests)
    draft = PackDraft.objects.create(
        notice=notice, title=pack_text.title(text), text=text, tests=tests, created_by=act.actor.principal,
        changed_by=act.actor.principal, changed_at=act.at,
    )
    _keep(act, draft)
    return draft


@action("policy.draft.save")
def save_draft(act: Act, *, draft: PackDraft, version: int, text: str, tests: str) -> PackDraft:
    """Save over the version that was read. Raises Conflict when somebody saved a later one."""
    draft = _opened(act, draft, version)
    return _changed(act, draft, text, tests)


@action("policy.draft.criterion")
def put_criterion(
    act: Act, *, draft: PackDraft, version: int, criterion: Mapping[str, Any], text: str | None = None,
    tests: str | None = None,
) -> PackDraft:  # fmt: skip
    """Write a criterion into the draft's text (or into `text`, which its writer has not saved yet)."""
    draft = _opened(act, draft, version)
    return _edited(act, draft, draft.text if text is None else text, tests, criterion=criterion)


@action("policy.draft.part")
def add_part(
    act: Act, *, draft: PackDraft, version: int, part: str, text: str | None = None, tests: str | None = None
) -> PackDraft:
    """Write the skeleton of a part (benefit, windows, …) at the end of the body."""
    draft = _opened(act, draft, version)
    return _edited(act, draft, draft.text if text is None else text, tests, part=part)


def _edited(act: Act, draft: PackDraft, text: str, tests: str | None, *, criterion: Mapping[str, Any] | None = None,
            part: str = "") -> PackDraft:  # fmt: skip
    try:
        edited = pack_text.put(text, criterion) if criterion else pack_text.add_part(text, part)
    except pack_text.CannotEdit as error:
        raise Refused(pack_words.sentence(error.code), code=error.code) from error
    return _changed(act, draft, edited, draft.tests if tests is None else tests)


@action("policy.draft.discard")
def discard_draft(act: Act, *, draft: PackDraft) -> PackDraft:
    """Give up a draft; its versions stay."""
    draft = _opened(act, draft, draft.version)
    draft.discarded_at = act.at
    draft.save(update_fields=["discarded_at"])
    act.record(draft, {"version": draft.version})
    return draft


@action("policy.draft.submit")
def submit_draft(act: Act, *, draft: PackDraft, version: int, word: str = "") -> PackDraft:
    """Hand a draft to the second person as a publication of the registry.

    Raises Refused while the lint finds an error or a test case fails; warnings need a word.
    """
    draft = _opened(act, draft, version)
    checked = checking.check(draft.text, draft.tests, draft.notice)
    if checked.blocking:
        raise Refused(_("The draft has errors: put them right first."), code="draft_errors", problems=checked.problems)
    if checked.warnings and not word.strip():
        raise invalid("word", "", _("say why these warnings may stand"))
    if len(word) > WORD_CHARACTERS_MAX:
        raise invalid("word", word[:40], _("may have at most %(max)s characters") % {"max": WORD_CHARACTERS_MAX})
    draft.publication = submit_publication(act.actor, text=draft.text)
    draft.word = word.strip()
    draft.save(update_fields=["publication", "word"])
    salt = act.actor.user.salt if act.actor.user else ""
    act.record(draft, {
        "version": draft.version, "digest": draft.publication.digest, "warnings": len(checked.warnings),
        "word": canonical.salted(salt, draft.word),
    })  # fmt: skip
    return draft


def _opened(act: Act, draft: PackDraft, version: int) -> PackDraft:
    """The draft, locked, as its writer has read it."""
    act.require(AUTHOR)
    fresh = PackDraft.objects.select_for_update(of=("self",)).select_related("publication", "notice").get(pk=draft.pk)
    if not fresh.is_open:
        raise Conflict(_("The draft is closed: it was submitted or discarded."), code="draft_closed")
    if fresh.version != version:
        raise Conflict(_("Somebody saved this draft after you opened it."), code="draft_moved_on")
    return fresh


def _changed(act: Act, draft: PackDraft, text: str, tests: str) -> PackDraft:
    text, tests = text.replace("\r\n", "\n"), tests.replace("\r\n", "\n")
    _check_size(text, tests)
    if (text, tests) == (draft.text, draft.tests):
        act.nothing_changed()
        return draft
    draft.text, draft.tests, draft.title = text, tests, pack_text.title(text) or draft.title
    draft.version += 1
    draft.changed_by, draft.changed_at = act.actor.principal, act.at
    draft.save()
    _keep(act, draft)
    return draft


def _check_size(text: str, tests: str) -> None:
    for name, content in (("text", text), ("tests", tests)):
        if len(content.encode()) > DOCUMENT_BYTES_MAX:
            raise invalid(name, len(content), _("may have at most %(max)s bytes") % {"max": DOCUMENT_BYTES_MAX})


def _keep(act: Act, draft: PackDraft) -> None:
    """Store the version just made; the log holds its digests."""
    digests = {"text": canonical.digest(draft.text), "tests": canonical.digest(draft.tests)}
    DraftVersion.objects.create(
        draft=draft, number=draft.version, text=draft.text, tests=draft.tests, changed_by=draft.changed_by,
        changed_at=act.at, record=act.record(draft, {"version": draft.version} | digests),
    )


# --- what a publication changes -----------------------------------------------------------------------------------


@action("policy.comparison.ask")
def ask_comparison(act: Act, *, old: Publication, new: Publication, on: dt.date) -> PackComparison:
    """Ask what `new` changes against `old` for the entities of the registry; the caller queues the calculation."""
    act.require(AUTHOR)
    if old.kind != KIND or new.kind != KIND or old.pk == new.pk:
        raise invalid("old", old.identifier, _("two different rule packs are needed"))
    found = PackComparison.objects.filter(old=old, new=new, on=on).first()
    if found is not None:
        act.nothing_changed()
        return found
    try:
        with transaction.atomic():
            comparison = PackComparison.objects.create(
                old=old, new=new, on=on, asked_by=act.actor.principal, asked_at=act.at
            )
    except IntegrityError as error:
        raise Conflict(_("This comparison has just been asked for.")) from error
    act.record(comparison, {"old": old.digest, "new": new.digest, "on": on})
    return comparison


@action("policy.comparison.store")
def store_comparison(
    act: Act, *, comparison: PackComparison, totals: Mapping[str, Any], facts_digest: str, rows: Iterable[ComparisonRow]
) -> PackComparison:
    """Keep the answer: totals, the digest of what was read, and a row for each entity that is touched."""
    act.require(AUTHOR)
    comparison = PackComparison.objects.select_for_update().get(pk=comparison.pk)
    if comparison.finished_at is not None:
        act.nothing_changed()
        return comparison
    comparison.totals, comparison.facts_digest, comparison.finished_at = dict(totals), facts_digest, act.at
    comparison.save()
    ComparisonRow.objects.bulk_create(rows, batch_size=2_000)
    act.record(comparison, {"totals": canonical.digest(comparison.totals), "facts": facts_digest})
    return comparison
