"""Addresses of the registry, mounted under /registry/."""

from django.urls import path

from huoshui.registry import views

app_name = "registry"
urlpatterns = [
    path("parties/", views.parties, name="parties"),
    path("parties/export/<str:kind>/", views.parties_export, name="parties_export"),
    path("parties/new/", views.party_new, name="party_new"),
    path("parties/<int:pk>/", views.party, name="party"),
    path("parties/<int:pk>/edit/", views.party_edit, name="party_edit"),
    path("parties/<int:pk>/add/<str:what>/", views.party_add, name="party_add"),
    path("parties/<int:pk>/end/<str:what>/<int:row>/", views.party_end, name="party_end"),
    path("consents/<int:pk>/withdraw/", views.consent_withdraw, name="consent_withdraw"),
    path("groups/", views.groups, name="groups"),
    path("imports/", views.imports_list, name="imports"),
    path("imports/<int:pk>/", views.import_show, name="import"),
    path("imports/<int:pk>/problems/<str:kind>/", views.import_problems, name="import_problems"),
    path("imports/<int:pk>/activate/", views.import_activate, name="import_activate"),
    path("imports/<int:pk>/discard/", views.import_discard, name="import_discard"),
    path("publications/", views.publications, name="publications"),
    path("publications/new/", views.publication_new, name="publication_new"),
    path("publications/<int:pk>/", views.publication, name="publication"),
    path("publications/<int:pk>/text/", views.publication_text, name="publication_text"),
    path("publications/<int:pk>/<str:step>/", views.publication_step, name="publication_step"),
]
