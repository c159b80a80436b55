"""Addresses of the match and of applications, under /policy/."""

from django.urls import path

from huoshui.policy.views import applications, match

urlpatterns = [
    path("match/", match.find, name="find"),
    path("match/<int:pk>/", match.show, name="match"),
    path("match/<int:pk>/answer/", match.answer, name="answer"),
    path("match/<int:pk>/apply/", applications.apply, name="apply"),
    path("match/<int:pk>/packs/<str:pack_id>/", match.pack, name="match_pack"),
    path("applications/", applications.listing, name="applications"),
    path("applications/<int:pk>/", applications.show, name="application"),
    path("applications/<int:pk>/check/", applications.check, name="application_check"),
    path("applications/<int:pk>/approve/", applications.approve, name="application_approve"),
    path("applications/<int:pk>/refuse/", applications.refuse, name="application_refuse"),
    path("applications/<int:pk>/withdraw/", applications.withdraw, name="application_withdraw"),
    path("applications/<int:pk>/account/", applications.account, name="application_account"),
    path("materials/<int:pk>/", applications.material, name="material"),
    path("decisions/<int:pk>/", applications.decision, name="decision"),
]
