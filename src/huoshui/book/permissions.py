"""The permissions of the book and which built-in role holds them."""

from django.utils.translation import gettext_lazy as _

from huoshui.base import access
from huoshui.registry import roles

READ = access.register("book.read", _("see accounts and statements"))
GRANT = access.register("book.limit.grant", _("approve credit limits"))
REPORT = access.register("book.bank.report", _("report balances and payments"))
CONTEST = access.register("book.statement.contest", _("contest statements"))
ACCEPT = access.register("book.statement.accept", _("accept statements"))
ANSWER = access.register("book.statement.answer", _("answer contested statements"))
INVOICE = access.register("book.statement.invoice", _("give invoice numbers"))
RESOLVE = access.register("book.exception.resolve", _("settle exceptions of bank reports"))


def grant() -> None:
    """Give the built-in roles what they need."""
    roles.grant("agent", READ, CONTEST, ACCEPT, INVOICE)
    roles.grant("operator", READ, CONTEST, ACCEPT, INVOICE)
    roles.grant("bank", READ, REPORT)
    roles.grant("officer", READ, GRANT, ANSWER, INVOICE, RESOLVE)
    roles.grant("auditor", READ)
