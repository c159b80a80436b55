"""Addresses of bookings, jobs and engines, under /jobs/."""

from django.urls import path

from huoshui.jobs import urls_serving
from huoshui.jobs.views import bookings, connections, jobs, proposals, use

app_name = "jobs"
urlpatterns = [
    path("bookings/", bookings.booking_list, name="bookings"),
    path("bookings/<int:pk>/", bookings.booking_page, name="booking"),
    path("bookings/<int:pk>/token/", bookings.booking_token, name="booking_token"),
    path("bookings/<int:pk>/new/", jobs.job_new, name="job_new"),
    path("jobs/", jobs.job_list, name="jobs"),
    path("jobs/new/", jobs.job_choose, name="job_choose"),
    path("jobs/<int:pk>/", jobs.job_page, name="job"),
    path("jobs/<int:pk>/cancel/", jobs.job_cancel, name="job_cancel"),
    path("engines/", connections.connection_list, name="connections"),
    path("engines/<int:pk>/", connections.connection_page, name="connection"),
    path("engines/<int:pk>/edit/", connections.connection_edit, name="connection_edit"),
    path("engines/<int:pk>/check/", connections.connection_check, name="connection_check"),
    path("engines/<int:pk>/off/", connections.connection_off, name="connection_off"),
    path("engines/<int:pk>/own/", connections.connection_own, name="connection_own"),
    path("engines/<int:pk>/idle/", proposals.proposal_list, name="proposals"),
    path("pools/<int:pk>/proposal/", proposals.proposal, name="proposal"),
    path("use/", use.by_site, name="use"),
    *urls_serving.urlpatterns,
]
