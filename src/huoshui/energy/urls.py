"""Addresses of energy, under /energy/."""

from django.urls import path

from huoshui.energy import views

app_name = "energy"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("sites/<int:pk>/", views.site, name="site"),
    path("sites/<int:pk>/installation/", views.describe, name="describe"),
    path("sites/<int:pk>/curves/new/", views.curve_new, name="curve_new"),
    path("curves/example/<slug:kind>/", views.curve_template, name="curve_template"),
    path("curves/<int:pk>/plan/", views.plan_make, name="plan_make"),
    path("plans/<int:pk>/", views.plan, name="plan"),
    path("plans/<int:pk>/document/", views.plan_document, name="plan_document"),
    path("plans/<int:pk>/document.docx", views.plan_docx, name="plan_docx"),
    path("plans/<int:pk>/approve/", views.plan_approve, name="plan_approve"),
    path("plans/<int:pk>/withdraw/", views.plan_withdraw, name="plan_withdraw"),
]
