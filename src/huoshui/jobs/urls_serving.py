"""Addresses of data, live parts of jobs, models and endpoints, under /jobs/."""

from django.urls import path

from huoshui.jobs.views import data, endpoints, live, models

urlpatterns = [
    path("data/", data.artefact_list, name="data"),
    path("data/new/", data.artefact_new, name="artefact_new"),
    path("data/<int:pk>/", data.artefact_page, name="artefact"),
    path("data/<int:pk>/file/", data.artefact_file, name="artefact_file"),
    path("data/<int:pk>/delete/", data.artefact_delete, name="artefact_delete"),
    path("data/<int:pk>/register/", models.model_new, name="model_new"),
    path("models/", models.model_list, name="models"),
    path("models/<int:pk>/", models.model_page, name="model"),
    path("models/<int:pk>/lineage/", models.model_lineage, name="model_lineage"),
    path("models/<int:pk>/serve/", endpoints.endpoint_new, name="endpoint_new"),
    path("endpoints/", endpoints.endpoint_list, name="endpoints"),
    path("endpoints/<int:pk>/", endpoints.endpoint_page, name="endpoint"),
    path("endpoints/<int:pk>/waking/", endpoints.endpoint_waking, name="endpoint_waking"),
    path("endpoints/<int:pk>/wake/", endpoints.endpoint_wake, name="endpoint_wake"),
    path("endpoints/<int:pk>/move/", endpoints.endpoint_move, name="endpoint_move"),
    path("endpoints/<int:pk>/close/", endpoints.endpoint_close, name="endpoint_close"),
    path("jobs/<int:pk>/log/<int:number>/", live.job_log, name="job_log"),
    path("jobs/<int:pk>/log/<int:number>/file/", live.job_log_file, name="job_log_file"),
    path("jobs/<int:pk>/progress/", live.job_progress, name="job_progress"),
]
