"""Addresses of the desk, under /policy/."""

from django.urls import path

from huoshui.policy.views import rd

app_name = "policy"
urlpatterns = [
    path("rd/", rd.rd_list, name="rd"),
    path("rd/template.<str:kind>", rd.rd_template, name="rd_template"),
    path("rd/workings/<int:pk>/", rd.rd_working, name="rd_working"),
    path("rd/workings/<int:pk>/state/", rd.rd_state, name="rd_state"),
    path("rd/<int:party>/<int:year>/", rd.rd_year, name="rd_year"),
]
