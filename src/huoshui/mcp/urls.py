"""Addresses of drafts, under /agents/."""

from django.urls import path

from huoshui.mcp import views

app_name = "mcp"
urlpatterns = [
    path("drafts/", views.draft_list, name="drafts"),
    path("drafts/<int:pk>/", views.draft_page, name="draft"),
    path("drafts/<int:pk>/confirm/", views.draft_confirm, name="draft_confirm"),
    path("drafts/<int:pk>/reject/", views.draft_reject, name="draft_reject"),
]
