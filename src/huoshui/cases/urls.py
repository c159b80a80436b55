"""Addresses of cases, mounted under /cases/."""

from django.urls import path

from huoshui.cases import views

app_name = "cases"
urlpatterns = [
    path("", views.case_list, name="list"),
    path("to-do/", views.my_todo, name="todo"),
    path("new/<str:kind>/", views.open_case, name="open"),
    path("files/<int:pk>/", views.attachment, name="attachment"),
    path("<int:pk>/", views.case_page, name="case"),
    path("<int:pk>/<str:kind>/", views.event_form, name="event"),
]
