"""Demo data of the book: the bank reports a balance for each firm, the centre approves credit for some."""

import csv
import io
from collections.abc import Iterator

from django.utils.translation import gettext as _

from huoshui.base import clock
from huoshui.base.access import system
from huoshui.book import actions
from huoshui.book.banks import COLUMNS
from huoshui.registry.models import Party

BALANCE_STEP_YUAN = 10_000
CREDIT_FEN = 50_000_00
CREDIT_EVERY = 10


def load() -> Iterator[str]:
    """Report balances between 200,000 and 1,190,000 yuan. Repeating it adds nothing."""
    actor = system("demo")
    bank = Party.objects.filter(roles__kind="bank").order_by("pk").first()
    firms = list(Party.objects.filter(roles__kind="entity").exclude(uscc=None).distinct().order_by("pk"))
    if bank is None or not firms or bank.bank_files.exists():
        return
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(column.zh for column in COLUMNS)
    for number, firm in enumerate(firms, 1):
        yuan = BALANCE_STEP_YUAN * (20 + number * 37 % 100)
        table.writerow(["余额", f"DEMO-{number:06d}", clock.today().isoformat(), firm.uscc, f"{yuan:,}.00", "", ""])
    data = out.getvalue().encode("utf-8-sig")
    actions.import_bank_report(actor, key="demo/bank/1", bank=bank, name="demo-balances.csv", data=data)
    yield _("%(bank)s reported balances of %(count)s firms.") % {"bank": bank.name, "count": len(firms)}
    for firm in firms[::CREDIT_EVERY]:
        actions.grant_limit(
            actor, key=f"demo/credit/{firm.pk}", party=firm, amount=CREDIT_FEN, evidence="演示授信〔2026〕1号"
        )
    yield _("The centre approved credit for %(count)s of them.") % {"count": len(firms[::CREDIT_EVERY])}
