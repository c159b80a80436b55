"""Filters that put the codes of the book into words."""

from typing import Any

from django import template

from huoshui.book import words
from huoshui.book.ledger import show
from huoshui.book.models import Account, Entry, Statement, StatementLine
from huoshui.book.queries import vat_of

register = template.Library()


@register.filter
def amount_of(amount: int | None, asset: str) -> str:
    """An amount in the unit that people read: yuan, standard card-hours."""
    return "—" if amount is None else show(amount, asset)


@register.filter
def unit(asset: str) -> str:
    """The unit in which amounts of an asset are shown."""
    return words.unit(asset)


@register.filter
def about(account: Account) -> str:
    """What an account is about."""
    return words.subject(account.subject)


@register.filter
def named(label: str) -> str:
    """What a canonical label stands for; nothing for none."""
    return words.subject(label) if label else ""


@register.filter
def did(entry: Entry) -> str:
    """What an entry's posting did."""
    return words.posting(entry.posting.memo)


@register.filter
def said(line: StatementLine) -> str:
    """What a line is for."""
    return words.line(line.description, line.params)


@register.filter
def kind_of(line: StatementLine) -> str:
    """What kind of line it is."""
    return words.line_kind(line.kind)


@register.filter
def vat(line: StatementLine) -> int:
    """The VAT inside a line, in fen."""
    return vat_of(line.amount, line.vat_bps)


@register.filter
def level(statement: Statement) -> str:
    """The badge's level for a statement's state."""
    return words.level(statement)


@register.filter
def meaning(kind: Any) -> str:
    """What a kind of account counts."""
    return str(words.KINDS[kind])
