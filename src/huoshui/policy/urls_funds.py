"""Addresses of funds, vouchers, redemptions and payouts, under /policy/."""

from django.urls import path

from huoshui.policy.views import funds, vouchers

urlpatterns = [
    path("funds/", funds.fund_list, name="funds"),
    path("funds/new/", funds.fund_new, name="fund_new"),
    path("funds/<int:pk>/", funds.fund, name="fund"),
    path("funds/<int:pk>/amount/", funds.fund_amount, name="fund_amount"),
    path("funds/<int:pk>/issuing/", funds.fund_issuing, name="fund_issuing"),
    path("funds/<int:pk>/suppliers/new/", funds.supplier_new, name="supplier_new"),
    path("funds/suppliers/<int:pk>/strike/", funds.supplier_strike, name="supplier_strike"),
    path("public-notice/", funds.public_notice, name="public_notice"),
    path("vouchers/", vouchers.voucher_list, name="vouchers"),
    path("vouchers/<int:pk>/", vouchers.voucher, name="voucher"),
    path("vouchers/<int:pk>/redeem/", vouchers.redeem, name="redeem"),
    path("vouchers/<int:pk>/redeem/outside/", vouchers.redeem_outside, name="redeem_outside"),
    path("vouchers/<int:pk>/redeem/<int:statement>/", vouchers.redeem_statement, name="redeem_statement"),
    path("vouchers/<int:pk>/redeem/<int:statement>/amount/", vouchers.redeem_amount, name="redeem_amount"),
    path("redemptions/", vouchers.redemption_list, name="redemptions"),
    path("redemptions/<int:pk>/", vouchers.redemption, name="redemption"),
    path("redemptions/<int:pk>/approve/", vouchers.redemption_approve, name="redemption_approve"),
    path("redemptions/<int:pk>/refuse/", vouchers.redemption_refuse, name="redemption_refuse"),
    path("redemptions/<int:pk>/withdraw/", vouchers.redemption_withdraw, name="redemption_withdraw"),
    path("redemptions/<int:pk>/object/", vouchers.redemption_object, name="redemption_object"),
    path("redemptions/<int:pk>/answer/", vouchers.redemption_answer, name="redemption_answer"),
    path("redemptions/<int:pk>/order/", vouchers.redemption_order, name="redemption_order"),
    path("payouts/", funds.payout_list, name="payouts"),
    path("payouts/order/", funds.payout_order, name="payout_order"),
    path("payouts/file.<str:kind>", funds.payout_file, name="payout_file"),
    path("payouts/<int:pk>/", funds.payout, name="payout"),
    path("payouts/<int:pk>/stop/", funds.payout_stop, name="payout_stop"),
    path("payouts/<int:pk>/claw-back/", funds.payout_claw_back, name="payout_claw_back"),
]
