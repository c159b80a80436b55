"""Addresses of indicators, mounted under /indicators/."""

from django.urls import path

from huoshui.indicators import views

app_name = "indicators"
urlpatterns = [
    path("", views.index, name="index"),
    path("record/", views.record, name="record"),
    path("download.<str:kind>", views.download, name="download"),
    path("<str:code>/", views.detail, name="detail"),
]
