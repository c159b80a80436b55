"""What funds, vouchers and payouts register: called once, from apps.py."""

from datetime import timedelta

from django.utils.translation import gettext_lazy as _


def register() -> None:
    """Navigation, cases, to-dos, words and hooks of the book, the hourly task, indicators, demo data."""
    from huoshui.base import demo, nav, schedule
    from huoshui.book import services, subsidies
    from huoshui.cases import todo, types
    from huoshui.policy import api, api_funds, indicators_money, money_panel, tasks_funds, voucher_words
    from huoshui.policy.actions import payouts, redemptions
    from huoshui.policy.demo import funds as demo_funds
    from huoshui.policy.permissions import OVERSEE, READ, REDEEM, REVIEW
    from huoshui.registry import deadlines

    desk = _("Policies")
    nav.register(
        nav.Entry(desk, _("Vouchers"), "policy:vouchers", READ, 74),
        nav.Entry(desk, _("Redemptions"), "policy:redemptions", REVIEW, 75),
        nav.Entry(desk, _("Payouts"), "policy:payouts", READ, 76),
        nav.Entry(desk, _("Funds"), "policy:funds", "", 77),
    )
    types.register(types.CaseType(
        redemptions.CASE, _("Redemption of a voucher"), target_days=5, legal_days=10, extension_days=5,
        source=_("redemption rules, published with every fund"), open_permission=REDEEM, handle_permission=REVIEW,
        supervise_permission=REVIEW, call_back=False, opened_by_hand=False,
    ))  # fmt: skip
    types.register(types.CaseType(
        redemptions.OBJECTION, _("Objection to a public notice"), target_days=3, legal_days=5,
        source=_("redemption rules, rule 11"), open_permission=READ, handle_permission=REVIEW,
        supervise_permission=OVERSEE, call_back=False, opened_by_hand=False,
    ))  # fmt: skip
    todo.register("policy.redemptions", money_panel.to_review)
    todo.register("policy.payouts", money_panel.to_order)
    todo.register("policy.vouchers", money_panel.to_redeem)
    deadlines.register("policy.vouchers", money_panel.deadlines)
    voucher_words.register()
    subsidies.on_statement(money_panel.on_statement)
    services.on_paid(payouts.DESK, payouts.on_paid)
    schedule.register(tasks_funds.expire, timedelta(hours=12))
    indicators_money.register_money()
    api.router.add_router("", api_funds.router)
    demo.register(72, demo_funds.load)
