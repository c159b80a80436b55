"""Pages on which an officer writes a pack: notices, drafts, the editor beside the notice.

The editor works without scripts: every button is a form. With htmx the draft is checked while it is written, and the
form of a criterion opens beside the notice; what stands in the text boxes then travels with it, so nothing is lost.
"""

from __future__ import annotations

import difflib
import hashlib
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from huoshui.base import clock
from huoshui.base.errors import Conflict, Missing, Refused
from huoshui.base.requests import actor_of
from huoshui.base.views import page, post_action, show_refusal
from huoshui.policy import checking, clauses, notices, pack_parts, pack_queries, pack_text, pack_words, suggestions
from huoshui.policy import forms_authoring as forms
from huoshui.policy.actions import authoring as actions
from huoshui.policy.models import Notice, PackDraft
from huoshui.policy.permissions import AUTHOR
from huoshui.policy.suggestions import CONDITIONS_MAX, Asked
from huoshui.registry import queries as registry
from huoshui.registry.models import Party, Publication, RoleKind
from huoshui.rules import KIND

ROWS_PER_PAGE = 25
FIRMS_OFFERED = 50
VERSIONS_SHOWN = 20

# --- notices ------------------------------------------------------------------------------------------------------


@require_GET
@page(AUTHOR)
def notice_list(request: HttpRequest) -> HttpResponse:
    """The notices at hand."""
    found = Notice.objects.defer("paragraphs").order_by("-pk")
    return render(request, "policy/notices.html", {
        "page_obj": Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    })  # fmt: skip


@page(AUTHOR)
def notice_new(request: HttpRequest) -> HttpResponse:
    """Bring in a notice from its file. The file is read before the database is touched: reading may take seconds."""
    form = forms.NoticeForm(request.POST or None, request.FILES or None)
    if form.is_valid():
        given = dict(form.cleaned_data)
        file = given.pop("file")
        data = file.read()
        try:
            paragraphs = notices.paragraphs(file.name, data)
        except notices.BadNotice as error:
            form.add_error("file", pack_words.sentence(error.code, error.params))
        else:
            made = post_action(
                request, actions.add_notice, form, _("The notice is in."), **given, filename=file.name,
                digest=hashlib.sha256(data).hexdigest(), paragraphs=list(paragraphs),
            )  # fmt: skip
            if made is not None:
                return redirect("policy:notice", made.pk)
    return render(request, "policy/notice_form.html", {"form": form})


@page(AUTHOR)
def notice_page(request: HttpRequest, pk: int) -> HttpResponse:
    """One notice, paragraph by paragraph, and the drafts taken from it."""
    found = pack_queries.notice(pk)
    form = forms.StartForm(request.POST or None, initial={"effective_from": clock.today()})
    if form.is_valid():
        header = {name: getattr(found, name) for name in ("title", "authority", "document_number", "source")}
        header["identifier"] = form.cleaned_data["identifier"]
        text = pack_text.skeleton(header, form.cleaned_data["effective_from"])
        draft = post_action(request, actions.start_draft, form, "", text=text, notice=found)
        if draft is not None:
            return redirect("policy:draft", draft.pk)
    drafts = pack_queries.drafts(actor_of(request)).filter(notice=found)
    return render(request, "policy/notice.html", {"notice": found, "form": form, "drafts": drafts})


# --- drafts -------------------------------------------------------------------------------------------------------


@require_GET
@page(AUTHOR)
def draft_list(request: HttpRequest) -> HttpResponse:
    """Drafts, last changed first."""
    found = pack_queries.drafts(actor_of(request))
    return render(request, "policy/drafts.html", {
        "page_obj": Paginator(found, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    })  # fmt: skip


@require_POST
@page(AUTHOR)
def draft_from(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin the successor of a published pack with its text and its last test cases."""
    found = Publication.objects.filter(kind=KIND, pk=pk).first()
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    earlier = found.drafts.order_by("-pk").first()
    tests = earlier.tests if earlier else checking.shipped_tests(found.identifier)
    draft = post_action(
        request, actions.start_draft, None, "", text=found.text, tests=tests, notice=earlier.notice if earlier else None
    )
    assert draft is not None, "without a form a refusal is raised"
    return redirect("policy:draft", draft.pk)


@require_GET
@page(AUTHOR)
def draft_page(request: HttpRequest, pk: int) -> HttpResponse:
    """The editor: notice on the left; criteria, checks, text and test cases on the right."""
    return _editor(request, pack_queries.draft(actor_of(request), pk))


def _editor(request: HttpRequest, draft: PackDraft, status: int = 200, **more: Any) -> HttpResponse:
    """The editor with the stored text, or with what `more` puts in its place."""
    form = more.get("form") or forms.TextForm(initial={
        "version": draft.version, "text": draft.text, "tests": draft.tests,
    })  # fmt: skip
    text, tests = _texts(draft, form)
    checked = checking.check(text, tests, draft.notice)
    versions = list(draft.versions.defer("text", "tests")[:VERSIONS_SHOWN])
    return render(request, "policy/draft.html", {
        "draft": draft, "form": form, "checked": checked, "notice": draft.notice,
        "paragraphs": _paragraphs(draft, text), "parts": pack_parts.PARTS, "versions": versions,
        "names": pack_queries.names(each.changed_by for each in versions),
        "submit_form": forms.SubmitForm(initial={"version": draft.version}),
        "firms": registry.parties(actor_of(request), role=RoleKind.ENTITY)[:FIRMS_OFFERED],
        "try_form": forms.TryForm(), **more,
    }, status=status)  # fmt: skip


def _texts(draft: PackDraft, form: forms.TextForm) -> tuple[str, str]:
    """What the two boxes hold."""
    if form.is_bound:
        return form.data.get("text", ""), form.data.get("tests", "")
    return draft.text, draft.tests


def _paragraphs(draft: PackDraft, text: str) -> list[dict[str, Any]]:
    """The notice for marking: each sentence, and the criteria that were made of it."""
    if draft.notice is None:
        return []
    said = draft.notice.paragraphs
    made = dict[int, list[str]]()
    for criterion in pack_text.criteria(text):
        for number in clauses.where(said, str(criterion.get("quote") or "")):
            made.setdefault(number, []).append(str(criterion.get("id")))
    shown = dict[int, list[tuple[clauses.Sentence, str]]]()
    for sentence in clauses.sentences(said):
        text = said[sentence.paragraph][sentence.start : sentence.end]
        shown.setdefault(sentence.paragraph, []).append((sentence, text))
    return [
        {"number": number + 1, "sentences": shown.get(number, []), "made": made.get(number, [])}
        for number in range(len(said))
    ]


def _party(request: HttpRequest, text: str) -> Party | None:
    """The firm on which a draft is tried: by its code, or by a part of its name."""
    return registry.parties(actor_of(request), text=text, role=RoleKind.ENTITY).first() if text else None


@require_POST
@page(AUTHOR)
def draft_save(request: HttpRequest, pk: int) -> HttpResponse:
    """Save both boxes. When somebody saved in between, both texts are shown and nothing is lost."""
    draft = pack_queries.draft(actor_of(request), pk)
    form = forms.TextForm(request.POST)
    if not form.is_valid():
        return _editor(request, draft, 422, form=form)
    try:
        post_action(request, actions.save_draft, None, _("Saved."), draft=draft, **form.cleaned_data)
    except Conflict as error:
        if error.code != "draft_moved_on":
            raise
        return _both(request, draft, form, error)
    return redirect("policy:draft", pk)


def _both(request: HttpRequest, draft: PackDraft, form: forms.TextForm, error: Refused) -> HttpResponse:
    """The writer's own text stays in the boxes, over the version that is there now; the difference stands above."""
    draft.refresh_from_db()
    theirs, mine = draft.text, form.cleaned_data["text"].replace("\r\n", "\n")
    lines = list(difflib.unified_diff(theirs.splitlines(), mine.splitlines(), _("saved"), _("yours"), lineterm="", n=2))
    values = {**form.cleaned_data, "version": draft.version}
    again = forms.TextForm(values)
    again.is_valid()
    return _editor(request, draft, 409, form=again, conflict=error.message, difference="\n".join(lines))


@require_POST
@page(AUTHOR)
def draft_check(request: HttpRequest, pk: int) -> HttpResponse:
    """What is to be said of the boxes as they stand, not saved: for htmx, while they are written."""
    draft = pack_queries.draft(actor_of(request), pk)
    checked = checking.check(request.POST.get("text", ""), request.POST.get("tests", ""), draft.notice)
    return render(request, "policy/_check.html", {"checked": checked, "draft": draft})


@page(AUTHOR)
def draft_criterion(request: HttpRequest, pk: int) -> HttpResponse:
    """Make a criterion of what was marked (`s`), or change one (`id`)."""
    draft = pack_queries.draft(actor_of(request), pk)
    text = request.POST.get("text", draft.text)
    choices = forms.field_choices(checking.own_fields(text))
    if request.method == "POST":
        form = forms.CriterionForm(request.POST)
        conditions = [forms.ConditionForm(choices, request.POST, prefix=f"c{n}") for n in range(CONDITIONS_MAX)]
        whole = [each.is_valid() for each in (form, *conditions)]
        if all(whole):
            tests = [each.test() for each in conditions if each.given]
            if not tests and not form.cleaned_data["question"]:
                form.add_error("question", _("a criterion needs a condition, or a question for a person"))
            elif _put(request, draft, form, form.content(tests)):
                return _go(request, reverse("policy:draft", args=[pk]))
    else:
        form, conditions = _blank_or_shown(request, draft, choices)
    context = {"draft": draft, "form": form, "conditions": conditions, "version": draft.version}
    name = "policy/_draft_criterion.html" if request.htmx else "policy/draft_criterion.html"  # type: ignore[attr-defined]
    return render(request, name, context)


def _put(request: HttpRequest, draft: PackDraft, form: forms.CriterionForm, criterion: dict[str, Any]) -> bool:
    """Write the criterion; with htmx the boxes came along. False when the form now says why not."""
    text = request.POST.get("text", draft.text)
    try:
        checking.try_criterion(text, criterion)
        post_action(
            request, actions.put_criterion, None, _("The criterion is in the draft."), draft=draft, criterion=criterion,
            version=int(request.POST.get("version") or 0), text=request.POST.get("text"),
            tests=request.POST.get("tests"),
        )  # fmt: skip
    except Refused as error:
        show_refusal(form, error)
        return False
    return True


def _blank_or_shown(
    request: HttpRequest, draft: PackDraft, choices: list[tuple[str, str]]
) -> tuple[forms.CriterionForm, list[forms.ConditionForm]]:
    asked: tuple[Asked, ...] | list[Asked] = ()
    initial: dict[str, Any] = {"kind": "hard"}
    if wanted := request.GET.get("id"):
        stands = next((row for row in pack_text.criteria(draft.text) if row.get("id") == wanted), None)
        known = forms.shown(stands) if stands else None
        if known is None:
            raise Refused(_("This criterion can only be changed in the text."), code="text_only")
        initial, asked = known
    elif draft.notice and (marked := clauses.marked(draft.notice.paragraphs, request.GET.getlist("s"))):
        proposal = suggestions.suggest(marked.quote)
        asked = proposal.asked
        wanted = asked[0].field.replace(".", "-") if asked and asked[0].field else "criterion"
        identifier = pack_text.free_identifier(draft.text, wanted)
        initial = forms.proposed(proposal, marked.clause, marked.quote, identifier)
    rows = [*asked, *[None] * (CONDITIONS_MAX - len(asked))]
    conditions = [
        forms.ConditionForm(choices, prefix=f"c{number}", initial=vars(each) if each else {})
        for number, each in enumerate(rows)
    ]
    return forms.CriterionForm(initial=initial), conditions


def _go(request: HttpRequest, url: str) -> HttpResponse:
    """To another page, for a browser as for htmx."""
    if request.htmx:  # type: ignore[attr-defined]
        answer = HttpResponse(status=204)
        answer["HX-Redirect"] = url
        return answer
    return redirect(url)


@require_POST
@page(AUTHOR)
def draft_part(request: HttpRequest, pk: int, part: str) -> HttpResponse:
    """Put the skeleton of a part into the text."""
    draft = pack_queries.draft(actor_of(request), pk)
    found = next((each for each in pack_parts.PARTS if each.id == part), None)
    if found is None:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    post_action(
        request, actions.add_part, None, _("The part is in the text: fill it in."), draft=draft, part=found.skeleton,
        version=int(request.POST.get("version") or draft.version), text=request.POST.get("text"),
        tests=request.POST.get("tests"),
    )  # fmt: skip
    return _go(request, reverse("policy:draft", args=[pk]))


@require_POST
@page(AUTHOR)
def draft_tests(request: HttpRequest, pk: int) -> HttpResponse:
    """Begin the test cases: one firm of which nothing is known."""
    draft = pack_queries.draft(actor_of(request), pk)
    text = request.POST.get("text", draft.text)
    post_action(
        request, actions.save_draft, None, _("The first test case is there: go on from it."), draft=draft, text=text,
        version=int(request.POST.get("version") or draft.version), tests=checking.first_case(text),
    )  # fmt: skip
    return _go(request, reverse("policy:draft", args=[pk]))


@require_POST
@page(AUTHOR)
def draft_try(request: HttpRequest, pk: int) -> HttpResponse:
    """What the draft as it stands says of one firm."""
    draft = pack_queries.draft(actor_of(request), pk)
    form = forms.TryForm(request.POST)
    party = _party(request, form.cleaned_data["firm"].strip()) if form.is_valid() else None
    text = request.POST.get("text") or draft.text
    tried = checking.try_on(text, party) if party else checking.Tried(problem=_("No firm with this name or code."))
    if request.htmx:  # type: ignore[attr-defined]
        return render(request, "policy/_draft_tried.html", {"tried": tried, "party": party})
    return _editor(request, draft, try_form=form, tried=tried, party=party)


@require_POST
@page(AUTHOR)
def draft_submit(request: HttpRequest, pk: int) -> HttpResponse:
    """Hand the draft to the second person."""
    draft = pack_queries.draft(actor_of(request), pk)
    form = forms.SubmitForm(request.POST)
    if form.is_valid():
        done = post_action(request, actions.submit_draft, form, "", draft=draft, **form.cleaned_data)
        if done is not None and done.publication is not None:
            messages.success(request, _("Submitted. Another person has to review it and put it in force."))
            return redirect("policy:pack_version", done.publication.identifier, done.publication_id)
    return _editor(request, draft, 422, submit_form=form)


@require_POST
@page(AUTHOR)
def draft_discard(request: HttpRequest, pk: int) -> HttpResponse:
    """Give the draft up."""
    draft = pack_queries.draft(actor_of(request), pk)
    post_action(request, actions.discard_draft, None, _("The draft was discarded."), draft=draft)
    return redirect("policy:drafts")


@require_GET
@page(AUTHOR)
def draft_version(request: HttpRequest, pk: int, number: int) -> HttpResponse:
    """What one saving changed."""
    draft = pack_queries.draft(actor_of(request), pk)
    saved = {each.number: each for each in draft.versions.filter(number__in=(number, number - 1))}
    if number not in saved:
        raise Missing(_("There is nothing here, or it is not yours to see."))
    now, before = saved[number], saved.get(number - 1)
    lines = [
        *_difference(before.text if before else "", now.text, "pack"),
        *_difference(before.tests if before else "", now.tests, "tests"),
    ]
    return render(request, "policy/draft_version.html", {
        "draft": draft, "version": now, "difference": "\n".join(lines),
        "names": pack_queries.names([now.changed_by]),
    })  # fmt: skip


def _difference(before: str, now: str, name: str) -> list[str]:
    return list(difflib.unified_diff(before.splitlines(), now.splitlines(), f"{name} −", f"{name} +", lineterm="", n=2))
