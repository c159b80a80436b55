"""Addresses of the packs and of writing them, under /policy/."""

from django.urls import path

from huoshui.policy.views import authoring, packs

urlpatterns = [
    path("packs/", packs.pack_list, name="packs"),
    path("packs/<str:identifier>/", packs.pack_page, name="pack"),
    path("packs/<str:identifier>/diff/", packs.pack_diff, name="pack_diff"),
    path("packs/<str:identifier>/<int:pk>/", packs.pack_page, name="pack_version"),
    path("packs/<str:identifier>/<int:pk>/text/", packs.pack_text, name="pack_text"),
    path("packs/<str:identifier>/<int:pk>/diff/", packs.pack_diff, name="pack_diff_version"),
    path("packs/<str:identifier>/<int:pk>/compare/", packs.pack_compare, name="pack_compare"),
    path("calendar/", packs.expiry, name="expiry"),
    path("notices/", authoring.notice_list, name="notices"),
    path("notices/new/", authoring.notice_new, name="notice_new"),
    path("notices/<int:pk>/", authoring.notice_page, name="notice"),
    path("drafts/", authoring.draft_list, name="drafts"),
    path("drafts/from/<int:pk>/", authoring.draft_from, name="draft_from"),
    path("drafts/<int:pk>/", authoring.draft_page, name="draft"),
    path("drafts/<int:pk>/save/", authoring.draft_save, name="draft_save"),
    path("drafts/<int:pk>/check/", authoring.draft_check, name="draft_check"),
    path("drafts/<int:pk>/criterion/", authoring.draft_criterion, name="draft_criterion"),
    path("drafts/<int:pk>/parts/<slug:part>/", authoring.draft_part, name="draft_part"),
    path("drafts/<int:pk>/tests/", authoring.draft_tests, name="draft_tests"),
    path("drafts/<int:pk>/try/", authoring.draft_try, name="draft_try"),
    path("drafts/<int:pk>/submit/", authoring.draft_submit, name="draft_submit"),
    path("drafts/<int:pk>/discard/", authoring.draft_discard, name="draft_discard"),
    path("drafts/<int:pk>/versions/<int:number>/", authoring.draft_version, name="draft_version"),
]
