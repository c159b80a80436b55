"""Addresses of the desk, under /maas/."""

from django.urls import path

from huoshui.maas.views import keys, provide, public, usage, wallets

app_name = "maas"
urlpatterns = [
    path("", public.model_list, name="models"),
    path("by-name/<path:name>/", public.model, name="model"),
    path("quality/", public.quality, name="quality"),
    path("quality/method/", public.method, name="method"),
    path("quality/file/<slug:kind>/", public.quality_file, name="quality_file"),
    path("wallets/", wallets.wallet_list, name="wallets"),
    path("wallets/fund/", wallets.fund, name="fund"),
    path("wallets/<int:pk>/", wallets.wallet, name="wallet"),
    path("wallets/<int:pk>/take-back/", wallets.take_back, name="take_back"),
    path("wallets/<int:pk>/freeze/", wallets.freeze, name="freeze"),
    path("wallets/<int:pk>/bill/", wallets.bill_now, name="bill_now"),
    path("bills/", wallets.bill_list, name="bills"),
    path("bills/<int:pk>/", wallets.bill, name="bill"),
    path("keys/", keys.key_list, name="keys"),
    path("keys/new/", keys.key_new, name="key_new"),
    path("keys/<int:pk>/", keys.key, name="key"),
    path("keys/<int:pk>/change/", keys.key_change, name="key_change"),
    path("keys/<int:pk>/rotate/", keys.key_rotate, name="key_rotate"),
    path("keys/<int:pk>/revoke/", keys.key_revoke, name="key_revoke"),
    path("usage/", usage.usage, name="usage"),
    path("usage/file/<slug:kind>/", usage.usage_file, name="usage_file"),
    path("calls/", usage.call_list, name="calls"),
    path("calls/file/<slug:kind>/", usage.call_file, name="call_file"),
    path("upstreams/", provide.upstream_list, name="upstreams"),
    path("upstreams/new/", provide.upstream_new, name="upstream_new"),
    path("upstreams/endpoint/", provide.endpoint_new, name="endpoint_new"),
    path("upstreams/<int:pk>/", provide.upstream, name="upstream"),
    path("upstreams/<int:pk>/approve/", provide.upstream_approve, name="upstream_approve"),
    path("upstreams/<int:pk>/switch/", provide.upstream_switch, name="upstream_switch"),
    path("upstreams/<int:pk>/offer/", provide.offer_new, name="offer_new"),
    path("offers/<int:pk>/end/", provide.offer_end, name="offer_end"),
]
