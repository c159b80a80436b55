"""Files of a million rows: a whole register, a whole tax file.

The idea is that of `imports` (stage, check, activate), with columns instead of rows. `read` takes the file, `check`
reads every cell and compares the rows with the registry, so that all faults and all differences are known before
anything happens. `activate` is one transaction: parties go into their tables, facts into one Parquet snapshot that
counts from the moment its row is committed. What dies on the way leaves nothing: a snapshot without its row is never
read. The same file again adds nothing.

Two kinds. A **register** (`parties`) says who there is: name, USCC, division, and facts such as the day of foundation.
A **facts** file says one thing or many about parties that exist. All facts of one file come from one source, were
observed on one day and, where they are told for a period, for one period.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from huoshui.base import clock, intake
from huoshui.base.access import EVERYWHERE, WHOLE, Actor
from huoshui.base.act import Act, action
from huoshui.base.errors import Conflict, Invalid, Problem, Refused, invalid
from huoshui.clearing import tables
from huoshui.registry import cells, imports, permissions, plausible, rows, sentences, snapshots, view
from huoshui.registry.import_facts import value_columns
from huoshui.registry.import_parties import PARTY_COLUMNS
from huoshui.registry.imports import Column, ImportKind
from huoshui.registry.models import (
    BatchState,
    Division,
    FactFile,
    FactSource,
    FactType,
    ImportBatch,
    ImportMapping,
    Party,
    PartyRevision,
    RowChange,
)

BYTES_MAX = 4 << 30
ROWS_MAX = 5_000_000
COLUMNS_MAX = 300
PARTIES, FACTS = "parties", "facts"
NUMBER, PARTY, CHANGE, FAULT = "#row", "#party", "#change", "#fault"
"""Columns of the checked rows that are not the file's: no field begins with #."""
PERMISSIONS = {
    FactSource.OFFICIAL: permissions.OFFICIAL_FACT, FactSource.TAX: permissions.OFFICIAL_FACT,
    FactSource.OFFICER: permissions.RECORD_FACT,
}
Report = Callable[[str, int, int], None]
"""report(phase, done, total): how far the work is."""


@dataclass(frozen=True)
class Told:
    """Who says what a file says, seen when, for which period."""

    source: str
    observed_on: date
    source_name: str = ""
    period: intake.Span | None = None

    @property
    def start(self) -> date | None:
        return self.period.first if self.period else None

    @property
    def end(self) -> date | None:
        return self.period.last if self.period else None


@dataclass(frozen=True)
class Source:
    """A file as it was read: texts only, null for an empty cell. `digest` is of its bytes."""

    filename: str
    digest: str
    texts: pl.DataFrame


@dataclass(frozen=True)
class Checked:
    """A file whose every cell was read and compared. `good` holds the rows that can be taken, `bad` the faults of the
    others (row, field, value, rule); `differences` says of each fact how many values are new, changed or the same.

    `seen` is the newest revision of a party at that time: when another is there, the comparison is out of date.
    """

    kind: str
    source: Source
    told: Told
    mapping: Mapping[str, str]
    left_out: tuple[str, ...]
    good: pl.DataFrame
    codes: tuple[str, ...]
    bad: pl.DataFrame
    differences: Mapping[str, Mapping[str, int]]
    seen: int

    @property
    def bad_rows(self) -> int:
        return self.bad["row"].n_unique()

    @property
    def counts(self) -> dict[str, int]:
        """Rows, and how many are new, changed, the same and bad."""
        changes = dict(self.good[CHANGE].value_counts().iter_rows())
        found = {str(change): int(count) for change, count in changes.items()}
        return {"rows": self.source.texts.height, **found} | ({"bad": self.bad_rows} if self.bad_rows else {})


def silent(phase: str, done: int, total: int) -> None:
    """Reports to nobody."""


# --- reading ------------------------------------------------------------------------------------------------------


def read(path: Path) -> Source:
    """The texts of a CSV (UTF-8 or GB 18030) or Parquet file. Raises Invalid."""
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise invalid("file", path.name, sentences.sentence("file_type", {"one_of": ".csv, .parquet"}))
    if path.stat().st_size > BYTES_MAX:
        raise invalid("file", path.stat().st_size, sentences.sentence("bytes_at_most", {"maximum": BYTES_MAX}))
    data = path.read_bytes()
    frame = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(data)
    if frame.height > ROWS_MAX:
        raise invalid("rows", frame.height, sentences.sentence("rows_at_most", {"maximum": ROWS_MAX}))
    if frame.width > COLUMNS_MAX:
        raise invalid("header", frame.width, sentences.sentence("columns_at_most", {"maximum": COLUMNS_MAX}))
    stripped = pl.all().str.strip_chars()
    texts = frame.select(pl.when(stripped.str.len_bytes() > 0).then(stripped).name.keep())
    return Source(path.name, hashlib.sha256(data).hexdigest(), texts)


def _csv(data: bytes) -> pl.DataFrame:
    if b"\0" in data:
        raise invalid("file", "NUL", sentences.sentence("encoding", {"one_of": "UTF-8, GB 18030"}))
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        try:
            data = data.decode("gb18030").encode()
        except UnicodeDecodeError:
            raise invalid("file", "bytes", sentences.sentence("encoding", {"one_of": "UTF-8, GB 18030"})) from None
    header = next(iter(data.removeprefix(b"\xef\xbb\xbf").splitlines()), b"").decode()
    names = [name.strip().strip('"') for name in header.split(",")]
    if twice := [name for name in names if names.count(name) > 1]:
        raise invalid("header", twice[0], sentences.sentence("once"))
    try:
        return pl.read_csv(data, infer_schema=False)
    except pl.exceptions.PolarsError as error:
        raise invalid("file", str(error).partition("\n")[0][:200], sentences.sentence("csv")) from None


def _parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path).select(pl.all().cast(pl.String))
    except pl.exceptions.PolarsError as error:
        raise invalid("file", str(error).partition("\n")[0][:200], sentences.sentence("parquet")) from None


# --- columns ------------------------------------------------------------------------------------------------------


def _kind(kind: str) -> ImportKind:
    """The kind of the small files with the columns of the large ones."""
    found = imports.kind_of(kind)
    if kind == PARTIES:
        return replace(found, columns=lambda: (*PARTY_COLUMNS[:3], *value_columns()))
    skipped = {"source", "source_name", "observed_on"}  # one for the whole file: they are given beside it
    return replace(found, columns=lambda: tuple(c for c in imports.kind_of(FACTS).columns() if c.code not in skipped))


def map_columns(kind: str, headers: Sequence[str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Header → column code: what is chosen here, what the office chose before, what titles say. Raises Invalid for an
    amount without its unit: 元 or 万元 must be said."""
    found = _kind(kind)
    remembered = ImportMapping.objects.filter(office=EVERYWHERE, kind=kind).values_list("headers", flat=True).first()
    known = {imports.header_key(header): code for header, code in chosen.items()}
    mapping = imports.guess(found, headers, (remembered or {}) | known) | dict(chosen)
    imports.check_mapping(found, headers, mapping)
    money = {
        imports.header_key(name)
        for row in FactType.objects.filter(unit="元")
        for name in (row.code, row.title, row.title.partition("（")[0])
    }
    unclear = [header for header in headers if header not in mapping and imports.header_key(header) in money]
    if unclear:
        rule = _("an amount needs its unit in the header: （元） or （万元）")
        raise Invalid(*(Problem(header, "", rule) for header in unclear))
    return mapping


def columns(kind: str) -> Sequence[Column]:
    """The columns that a file may have."""
    return _kind(kind).columns()


def _dtype(column: Column, types: Mapping[str, FactType]) -> tuple[Any, cells.Fast | None]:
    """What a column holds, and its fast path."""
    if column.field == "period":
        return pl.List(pl.String), None
    if not column.field.startswith("fact."):
        return pl.String, {"name": cells.names, "uscc": cells.codes}.get(column.field)
    kind = types[column.field.removeprefix("fact.")]
    dtype = view.DTYPES[kind.kind]
    if dtype != pl.Int64:
        return dtype, None
    low, high = plausible.bounds(kind)
    places = 6 if column.code.endswith("/wan_yuan") else kind.places
    return dtype, cells.numbers(places, low, high)


# --- checking -----------------------------------------------------------------------------------------------------


def check(
    kind: str, source: Source, told: Told, chosen: Mapping[str, str] | None = None, report: Report = silent
) -> Checked:
    """Read every cell, compare every row. `chosen` maps headers by hand. Raises Invalid for what is wrong with the
    file as a whole; faults of rows are in the answer."""
    _check_told(kind, told)
    seen = _newest_revision()
    mapping = map_columns(kind, source.texts.columns, chosen or {})
    columns = {column.code: column for column in _kind(kind).columns()}
    types = {row.code: row for row in FactType.objects.all()}
    frame = pl.DataFrame({NUMBER: pl.int_range(2, source.texts.height + 2, eager=True)})
    bad: list[pl.DataFrame] = []
    for done, (header, code) in enumerate(mapping.items()):
        report(_("cells"), done, len(mapping))
        dtype, fast = _dtype(columns[code], types)
        read_cells = cells.parse(columns[code], source.texts[header], dtype, fast)
        frame = frame.with_columns(read_cells.values.alias(columns[code].field))
        bad.append(_faults(frame[NUMBER], header, source.texts[header], read_cells.faults))
    report(_("cells"), len(mapping), len(mapping))
    report(_("comparison"), 0, 1)
    codes = tuple(name.removeprefix("fact.") for name in frame.columns if name.startswith("fact."))
    _check_period(told, codes, types)
    frame, found = _compare_parties(frame) if kind == PARTIES else _compare_facts(frame, told)
    bad += found
    clean = _without(frame, pl.concat(bad))
    bad += [_twice(clean), *([_empty(clean)] if kind == FACTS else [])]
    faulty = pl.concat(bad).sort("row", maintain_order=True)
    good = _without(frame, faulty)
    differences = _differences(good, codes, told)
    report(_("comparison"), 1, 1)
    left_out = tuple(header for header in source.texts.columns if header not in mapping)
    return Checked(kind, source, told, mapping, left_out, good, codes, faulty, differences, seen)


def _check_told(kind: str, told: Told) -> None:
    if told.source not in PERMISSIONS:
        raise invalid("source", told.source, sentences.sentence("one_of", {"one_of": ", ".join(PERMISSIONS)}))
    if told.observed_on > clock.today():
        raise invalid("observed_on", told.observed_on, _("lies in the future"))


def _check_period(told: Told, codes: Sequence[str], types: Mapping[str, FactType]) -> None:
    periodic = [types[code].title for code in codes if types[code].periodic]
    if periodic and told.period is None:
        raise invalid("period", "、".join(periodic), _("these facts are told for a period: say which"))


def _newest_revision() -> int:
    return PartyRevision.objects.order_by("-pk").values_list("pk", flat=True).first() or 0


def _faults(numbers: pl.Series, field: str, values: pl.Series | None, faults: pl.Series) -> pl.DataFrame:
    """Faults as rows of the bad-rows file."""
    shown = pl.Series([""]).new_from_index(0, len(faults)) if values is None else values.fill_null("").str.slice(0, 80)
    frame = pl.DataFrame({"row": numbers, "field": pl.repeat(field, len(faults), eager=True), "value": shown,
                          "rule": faults})
    return frame.filter(pl.col("rule").is_not_null())


def _fault_where(frame: pl.DataFrame, condition: pl.Expr, field: object, value: str | None, rule: Any) -> pl.DataFrame:
    """A fault for every row that meets a condition; `rule` is a sentence or an expression of sentences."""
    hit = frame.filter(condition)
    sentence = pl.repeat(rule, hit.height, eager=True) if isinstance(rule, str) else hit.select(rule).to_series()
    return _faults(hit[NUMBER], str(field), hit[value] if value else None, sentence)


def _with(frame: pl.DataFrame, *names: str) -> pl.DataFrame:
    """The frame with these text columns, null where the file has none."""
    missing = [pl.lit(None, pl.String).alias(name) for name in names if name not in frame.columns]
    return frame.with_columns(missing)


def _registered() -> pl.DataFrame:
    """All parties: #party, name, uscc, division, as the registry has them."""
    found = Party.objects.order_by("pk").values_list("pk", "name", "uscc", "division")
    schema: Any = {PARTY: pl.Int64, "name": pl.String, "uscc": pl.String, "division": pl.String}
    return pl.DataFrame(list(found.iterator(50_000)), schema, orient="row")


def _find(frame: pl.DataFrame, registered: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """The rows with `#party`, found by USCC and else by name, as `import_parties.Known` does it; and their faults."""
    by_code = registered.filter(pl.col("uscc").is_not_null()).select("uscc", PARTY)
    frame = frame.join(by_code, on="uscc", how="left", maintain_order="left")
    names = registered.select("name", pl.col(PARTY).alias("#named"), pl.col("uscc").is_null().alias("#bare"))
    open_rows = frame.filter(pl.col(PARTY).is_null() & pl.col("name").is_not_null()).select(NUMBER, "name", "uscc")
    pairs = open_rows.join(names, on="name").filter(pl.col("uscc").is_null() | pl.col("#bare"))
    means = pairs.group_by(NUMBER).agg(pl.col("#named").first(), pl.len().alias("#bearers"))
    frame = frame.join(means, on=NUMBER, how="left", maintain_order="left")
    rule = _("several parties bear this name: give the USCC")
    several = _fault_where(frame, pl.col("#bearers") > 1, PARTY_COLUMNS[0].title, "name", rule)
    return frame.with_columns(pl.coalesce(PARTY, "#named")).drop("#named", "#bearers"), [several]


def _without(frame: pl.DataFrame, bad: pl.DataFrame) -> pl.DataFrame:
    return frame.join(bad.select(pl.col("row").alias(NUMBER)).unique(), on=NUMBER, how="anti", maintain_order="left")


def _twice(frame: pl.DataFrame) -> pl.DataFrame:
    """Faults of rows whose party stood in an earlier row that can be taken."""
    key = pl.coalesce(pl.col(PARTY).cast(pl.String), "uscc", "name")
    frame = frame.with_columns(key.alias("#key"), pl.coalesce("uscc", "name").alias("#who"))
    frame = frame.with_columns(pl.col(NUMBER).first().over("#key").alias("#first"))
    before, after = (_("the same party stands in row %(row)s") % {"row": "\0"}).split("\0")
    rule = pl.concat_str(pl.lit(before), pl.col("#first").cast(pl.String), pl.lit(after))
    return _fault_where(frame, pl.col("#first") != pl.col(NUMBER), PARTY_COLUMNS[1].title, "#who", rule)


def _empty(frame: pl.DataFrame) -> pl.DataFrame:
    """Faults of rows that say nothing."""
    said = [name for name in frame.columns if name.startswith("fact.")]
    nothing = pl.all_horizontal(pl.lit(True), *(pl.col(name).is_null() for name in said))
    return _fault_where(frame, nothing, _("facts"), None, sentences.sentence("required"))


def _compare_parties(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Each row with #party (null: a new one), its change, and what the party is called afterwards."""
    frame = _with(frame, "name", "uscc", "division")
    registered = _registered()
    frame, bad = _find(frame, registered)
    bad.append(_fault_where(
        frame, pl.col("name").is_null(), PARTY_COLUMNS[0].title, None, sentences.sentence("required")
    ))
    frame, unknown = _divisions(frame)
    bad.append(unknown)
    there = registered.rename({name: f"#{name}" for name in ("name", "uscc", "division")})
    frame = frame.join(there, on=PARTY, how="left", maintain_order="left")
    frame = frame.with_columns(pl.coalesce("uscc", "#uscc"), pl.coalesce("division", "#division"))
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(f"#{name}")) for name in ("name", "uscc", "division"))
    change = (
        pl.when(pl.col(PARTY).is_null()).then(pl.lit(RowChange.NEW.value))
        .when(same).then(pl.lit(RowChange.SAME.value)).otherwise(pl.lit(RowChange.CHANGED.value))
    )
    return frame.with_columns(change.alias(CHANGE)).drop("#name", "#uscc", "#division"), bad


def _divisions(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Codes in the place of names of divisions; faults where there is no such division."""
    listed = list(Division.objects.values_list("code", "name"))
    names = [name for _code, name in listed]
    known = {name: code for code, name in listed if names.count(name) == 1} | {code: code for code, _name in listed}
    code = pl.col("division").replace_strict(known, default=None, return_dtype=pl.String)
    missing = pl.col("division").is_not_null() & code.is_null()
    bad = _fault_where(frame, missing, PARTY_COLUMNS[2].title, "division", sentences.sentence("division"))
    return frame.with_columns(code), bad


def _compare_facts(frame: pl.DataFrame, told: Told) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Each row with #party."""
    frame = _with(frame, "name", "uscc")
    frame, bad = _find(frame, _registered())
    who = pl.coalesce("uscc", "name")
    frame = frame.with_columns(who.alias("#who"))
    named = pl.col(PARTY).is_null() & pl.col("#who").is_not_null()
    nobody = sentences.sentence("required")
    bad += [
        _fault_where(frame, named, PARTY_COLUMNS[1].title, "#who", _("no such party in the registry")),
        _fault_where(frame, pl.col("#who").is_null(), PARTY_COLUMNS[1].title, None, nobody),
    ]
    if "period" in frame.columns and told.period is not None:
        whole = [told.period.first.isoformat(), told.period.last.isoformat()]
        other = pl.col("period").is_not_null() & (pl.col("period").list.join("/") != "/".join(whole))
        rule = _("is not the period of this import")
        bad.append(_fault_where(frame.with_columns(pl.col("period").list.join(" – ").alias("#p")), other, _("period"),
                                "#p", rule))
    return frame.with_columns(pl.lit(RowChange.NEW.value).alias(CHANGE)).drop("#who"), bad


def _differences(good: pl.DataFrame, codes: Sequence[str], told: Told) -> dict[str, dict[str, int]]:
    """Of each fact: how many values nobody said before, how many differ from what counts now, how many agree."""
    known = good.filter(pl.col(PARTY).is_not_null())
    names = dict(FactType.objects.filter(code__in=codes).values_list("code", "periodic"))
    columns = {
        code: view.column_of(code, told.start if periodic else None, told.end if periodic else None)
        for code, periodic in names.items()
    }
    before = view.frame(known[PARTY].to_list(), [name for name in columns.values() if name], told.observed_on)
    found = {}
    for code, column in columns.items():
        said = int(good[f"fact.{code}"].is_not_null().sum())
        counts = {"said": said}
        if column and column in before.columns:
            pair = pl.DataFrame({"now": known[f"fact.{code}"], "before": before[column]})
            both = pair.filter(pl.col("now").is_not_null() & pl.col("before").is_not_null())
            agree = both.filter(pl.col("now") == pl.col("before")).height
            counts |= {"new": said - both.height, "changed": both.height - agree, "same": agree}
        found[code] = counts
    return found


def bad_file(checked: Checked) -> bytes:
    """The faults as CSV for people: row, field, value, rule."""
    titles = (_("row"), _("field"), _("value"), _("rule"))
    return tables.to_csv(checked.bad.rename(dict(zip(checked.bad.columns, titles, strict=True))))


# --- activation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What an import did: the batch that it left, the new file of facts (None: no facts, or the same file again)."""

    batch: ImportBatch | None
    facts: FactFile | None
    counts: Mapping[str, int]


def take(actor: Actor, checked: Checked, *, skip_bad: bool, report: Report = silent) -> Outcome:
    """Make a checked file real. Raises Refused while rows are bad, unless they are to be left out; Conflict when the
    registry has moved since the check (check again)."""
    if checked.bad_rows and not skip_bad:
        raise Refused(
            _("%(count)s rows cannot be taken: put them right first.") % {"count": checked.bad_rows}, code="bad_rows"
        )
    good = checked.good
    if checked.kind == PARTIES:
        new = good[PARTY].is_null()
        keys = rows.reserve(Party, int(new.sum()))
        place = new.cast(pl.Int64).cum_sum() - 1
        fresh = pl.Series(keys, dtype=pl.Int64).gather(place.clip(0)) if keys else good[PARTY]
        good = good.with_columns(fresh.zip_with(new, good[PARTY]).alias(PARTY))
    report(_("snapshot"), 0, 1)
    digest = _snapshot(good, checked.codes)
    report(_("snapshot"), 1, 1)
    batch, file = activate(actor, checked=checked, good=good, digest=digest, report=report)
    return Outcome(batch, file, checked.counts)


def _snapshot(good: pl.DataFrame, codes: Sequence[str]) -> str:
    """The facts of all rows as a snapshot; '' when there are none."""
    if not codes:
        return ""
    said = good.select(pl.col(PARTY).alias(snapshots.PARTY), *(pl.col(f"fact.{code}").alias(code) for code in codes))
    said = said.filter(pl.any_horizontal(pl.col(code).is_not_null() for code in codes)).sort(snapshots.PARTY)
    return snapshots.write(said) if said.height else ""


@action("registry.import.bulk")
def activate(
    act: Act, *, checked: Checked, good: pl.DataFrame, digest: str, report: Report
) -> tuple[ImportBatch | None, FactFile | None]:
    """All rows of a checked file in one transaction. Call `take`, which writes the snapshot of the facts first."""
    act.require(permissions.IMPORT, WHOLE)
    if checked.kind == PARTIES:
        act.require(permissions.EDIT, WHOLE)
    if digest:
        act.require(PERMISSIONS[FactSource(checked.told.source)], WHOLE)
    changes = good.filter(pl.col(CHANGE) != RowChange.SAME.value) if checked.kind == PARTIES else good.clear()
    again = _same_file(checked, digest)
    if changes.is_empty() and (again or not digest):
        act.nothing_changed()
        return None, None
    if _newest_revision() != checked.seen:
        raise Conflict(_("The registry has changed since this file was checked: check it again."), code="moved_on")
    batch = _batch(act, checked)
    record = act.record(batch, {
        "kind": checked.kind, "file": checked.source.digest, "counts": checked.counts, "snapshot": digest,
        "source": checked.told.source, "observed_on": checked.told.observed_on,
        "parties": _digest(changes.select(PARTY, "name", "uscc", "division")) if len(changes) else "",
    })
    if len(changes):
        try:
            with transaction.atomic():
                rows.write_parties(act, record, changes, CHANGE, PARTY, report)
        except IntegrityError as error:
            raise Conflict(_("The registry has changed since this file was checked: check it again.")) from error
    file = None
    if digest and not again:
        told = checked.told
        file = FactFile.objects.create(
            digest=digest, origin=checked.source.digest, filename=checked.source.filename[-200:],
            codes=list(checked.codes), rows=good.height, source=told.source, source_name=told.source_name,
            period_start=told.start, period_end=told.end, observed_on=told.observed_on,
            recorded_at=record.recorded_at, record=record,
        )
    return batch, file


def _same_file(checked: Checked, digest: str) -> bool:
    """Whether these very facts are on record already, from this source and day, for this period."""
    told = checked.told
    return bool(digest) and FactFile.objects.filter(
        digest=digest, source=told.source, source_name=told.source_name, observed_on=told.observed_on,
        period_start=told.start, period_end=told.end,
    ).exists()


def _batch(act: Act, checked: Checked) -> ImportBatch:
    """The import, as the list of imports shows it; its rows are not kept."""
    return ImportBatch.objects.create(
        kind=checked.kind, office=EVERYWHERE, filename=checked.source.filename[-200:], digest=checked.source.digest,
        header=list(checked.source.texts.columns), mapping=dict(checked.mapping), state=BatchState.ACTIVATED,
        counts=checked.counts, created_by=act.actor.principal, created_at=act.at, activated_at=act.at,
    )


def _digest(frame: pl.DataFrame) -> str:
    return hashlib.sha256(frame.write_csv().encode()).hexdigest()
