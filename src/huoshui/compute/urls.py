"""Addresses of the desk, under /compute/."""

from django.urls import path

from huoshui.compute.views import delivery, deposits, overview, rounds

app_name = "compute"
urlpatterns = [
    path("", overview.overview, name="overview"),
    path("deposits/", deposits.deposit_list, name="deposits"),
    path("deposits/new/", deposits.deposit_new, name="deposit_new"),
    path("deposits/upload/", deposits.deposit_upload, name="deposit_upload"),
    path("deposits/upload/<slug:kind>/", deposits.deposit_template, name="deposit_template"),
    path("deposits/resell/<int:pk>/", deposits.deposit_resell, name="deposit_resell"),
    path("deposits/<int:pk>/", deposits.deposit_page, name="deposit"),
    path("deposits/<int:pk>/recall/", deposits.deposit_recall, name="deposit_recall"),
    path("deposits/<int:pk>/withdraw/", deposits.deposit_withdraw, name="deposit_withdraw"),
    path("deliveries/", delivery.delivery_list, name="deliveries"),
    path("deliveries/upload/", delivery.delivery_upload, name="delivery_upload"),
    path("deliveries/upload/<slug:kind>/", delivery.delivery_template, name="delivery_template"),
    path("deliveries/schedule/<slug:kind>/", delivery.schedule_file, name="schedule_file"),
    path("deliveries/<int:pk>/", delivery.delivery_page, name="delivery"),
    path("rounds/", rounds.round_list, name="rounds"),
    path("rounds/new/", rounds.round_new, name="round_new"),
    path("rounds/<int:number>/", rounds.round_page, name="round"),
    path("rounds/<int:number>/clear/", rounds.round_clear, name="round_clear"),
    path("rounds/<int:number>/stop/", rounds.round_stop, name="round_stop"),
    path("rounds/<int:number>/cancel/", rounds.round_reopen, name="round_reopen"),
    path("rounds/<int:number>/publish/", rounds.round_publish, name="round_publish"),
    path("rounds/<int:number>/settle/", rounds.round_settle, name="round_settle"),
    path("rounds/<int:number>/verify/", rounds.round_verify, name="round_verify"),
    path("rounds/<int:number>/data/<slug:kind>/", rounds.round_data, name="round_data"),
    path("public/", rounds.public_list, name="public"),
    path("public/<int:number>/", rounds.public_round, name="public_round"),
    path("public/<int:number>/document/", rounds.public_document, name="public_document"),
    path("public/verifier/", rounds.public_verifier, name="public_verifier"),
]
