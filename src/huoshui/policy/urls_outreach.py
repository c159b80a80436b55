"""Addresses of lists, runs, batches, push lists and R&D costs."""

from django.urls import path

from huoshui.policy.views import batches, officer, pushes, rd

urlpatterns = [
    path("", officer.overview, name="overview"),
    path("who/<str:pack>/", officer.who, name="who"),
    path("who/<str:pack>/export.<str:kind>", officer.who_export, name="who_export"),
    path("who/<str:pack>/propose/", batches.propose, name="batch_propose"),
    path("who/<str:pack>/tell/", pushes.push_new, name="push_new"),
    path("runs/", officer.run_list, name="runs"),
    path("runs/start/", officer.run_start, name="run_start"),
    path("runs/<int:pk>/", officer.run_page, name="run"),
    path("runs/<int:pk>/stop/", officer.run_stop, name="run_stop"),
    path("batches/", batches.batch_list, name="batches"),
    path("batches/<int:pk>/", batches.batch_page, name="batch"),
    path("batches/<int:pk>/export.<str:kind>", batches.batch_export, name="batch_export"),
    path("batches/<int:pk>/confirm/", batches.confirm, name="batch_confirm"),
    path("batches/<int:pk>/discard/", batches.discard, name="batch_discard"),
    path("pushes/", pushes.push_list, name="pushes"),
    path("pushes/<int:pk>/", pushes.push_page, name="push"),
    path("pushes/<int:pk>/export.<str:kind>", pushes.push_export, name="push_export"),
    path("told/<int:pk>/", pushes.told, name="told"),
    path("rd/", rd.rd_list, name="rd"),
    path("rd/template.<str:kind>", rd.rd_template, name="rd_template"),
    path("rd/workings/<int:pk>/", rd.rd_working, name="rd_working"),
    path("rd/workings/<int:pk>/state/", rd.rd_state, name="rd_state"),
    path("rd/<int:party>/<int:year>/", rd.rd_year, name="rd_year"),
]
