"""Addresses of the desk, under /policy/."""

from huoshui.policy import urls_authoring, urls_funds, urls_match, urls_outreach

app_name = "policy"
urlpatterns = [
    *urls_authoring.urlpatterns,
    *urls_funds.urlpatterns,
    *urls_match.urlpatterns,
    *urls_outreach.urlpatterns,
]
