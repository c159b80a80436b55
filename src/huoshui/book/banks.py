"""How banks tell us balances and payments: adapters, the first of which reads files.

The platform never holds money and never asks a bank to pay. An adapter only reads. Each is a plugin with a
configuration check that an operator can run from the page of bank reports. Columns of a file:

| column | 列 | meaning |
|---|---|---|
| kind | 类型 | balance 余额, or payment 付款 |
| reference | 银行流水号 | the bank's own reference: never used twice by one bank |
| date | 日期 | the day of the balance or of the payment |
| uscc | 统一社会信用代码 | whose account it is |
| amount_yuan | 金额（元） | the balance, or what was paid |
| statement | 结算单号 | of a payment: which statement it pays |
| payee_uscc | 收款方统一社会信用代码 | of a payment: whom (left out: all payees of the statement, in proportion) |
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from huoshui.base import intake
from huoshui.book.models import Content
from huoshui.clearing.tables import BadTable, Column, Rule, choice, parse, words
from huoshui.registry import sentences, uscc
from huoshui.registry.models import Party

WAITING_MAX = 1_000
FOLDER = "bank"


@dataclass(frozen=True)
class Row:
    """One report of a bank: `amount` in fen, `line` the row of the file."""

    line: int
    kind: str
    reference: str
    on: date
    uscc: str
    amount: int
    statement_number: str
    payee_uscc: str

    @property
    def content(self) -> Content:
        """What a repeated reference must repeat."""
        return self.kind, self.on, self.uscc, self.amount, self.statement_number, self.payee_uscc


class BankAdapter(Protocol):
    """A way in which banks report."""

    title: str | Promise

    def check(self, bank: Party) -> list[str]:
        """What is not in order with the configuration, in sentences (empty: ready)."""
        ...

    def waiting(self, bank: Party) -> Iterator[tuple[str, bytes]]:
        """Documents that the bank has sent: name and content. Those taken in before may come again."""
        ...

    def read(self, name: str, data: bytes) -> list[Row]:
        """The reports in a document. Raises Invalid with every fault by row, field, value and rule."""
        ...


def _code(text: str) -> str:
    found = uscc.normal(text)
    if fault := uscc.fault(found):
        raise Rule(fault)
    return found


def _yuan(text: str) -> int:
    amount = intake.money(text, "yuan")
    if amount < 0:
        raise Rule("amount_negative")
    return amount


_word: Callable[[str], str] = words(80)
COLUMNS: Sequence[Column] = (
    Column("kind", "类型", choice(balance="balance 余额", payment="payment 付款"), "余额, 付款"),
    Column("reference", "银行流水号", _word, "B20260301-0001"),
    Column("date", "日期", intake.day, "2026-03-01"),
    Column("uscc", "统一社会信用代码", _code, "…"),
    Column("amount_yuan", "金额（元）", _yuan, "12,345.67"),
    Column("statement", "结算单号", words(30), "JS202603-000012", required=False, default=""),
    Column("payee_uscc", "收款方统一社会信用代码", _code, "…", required=False, default=""),
)


class Files:
    """CSV and XLSX files, uploaded or laid into HUOSHUI_HOME/bank/USCC-OF-THE-BANK/."""

    title: str | Promise = gettext_lazy("files (CSV, XLSX)")

    def folder(self, bank: Party) -> Path:
        """Where a bank's files are laid."""
        return Path(settings.HOME) / FOLDER / (bank.uscc or str(bank.pk))

    def check(self, bank: Party) -> list[str]:
        folder = self.folder(bank)
        faults = [] if bank.uscc else [_("The bank has no USCC.")]
        if not folder.is_dir():
            said = _("The folder %(folder)s is not there; files can still be uploaded.")
            faults.append(said % {"folder": f"{FOLDER}/{folder.name}"})
        return faults

    def waiting(self, bank: Party) -> Iterator[tuple[str, bytes]]:
        folder = self.folder(bank)
        files = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".csv", ".xlsx"))
        for path in files[:WAITING_MAX]:
            with path.open("rb") as stream:
                yield path.name, stream.read(intake.UPLOAD_BYTES_MAX + 1)

    def read(self, name: str, data: bytes) -> list[Row]:
        try:
            parsed = parse(intake.read(name, data), COLUMNS)
        except BadTable as error:
            raise sentences.of_table(error) from None
        cells = zip(*(parsed.values[column.name] for column in COLUMNS), strict=True)
        return [
            Row(line, kind, reference, on, code, amount, statement.strip(), payee)
            for line, (kind, reference, on, code, amount, statement, payee) in zip(parsed.numbers, cells, strict=True)
        ]


adapters: dict[str, BankAdapter] = {"files": Files()}


def register(code: str, adapter: BankAdapter) -> None:
    """Add an adapter (called from an app's `ready`)."""
    adapters[code] = adapter
