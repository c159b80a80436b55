"""What is known of parties, in columns as rules read them: one value for each fact and calendar year.

Statements lie in two places: single ones in the table of facts, those of whole files in Parquet snapshots. Both are
one: `of_party` weighs everything said of one party, with all sources side by side; `frame` gives the values of any
number of parties. Both answer as of a day (`as_of`: what was observed by then) and as of what was on record
(`known_at`: a moment of recording; None: now), so that an old decision can be computed again.

The trick of `frame`: files are wide already, so where nothing is on record but files, the value of a column is a
coalesce over whole columns. Only the few (party, fact) pairs with single statements are weighed one against another,
still as columns, and then put in their places.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import reduce
from operator import or_
from typing import Any

import polars as pl
from django.db.models import Max, Q, QuerySet

from huoshui.registry import snapshots
from huoshui.registry.models import Fact, FactFile, FactType, Party, PartyRevision, ValueKind
from huoshui.registry.precedence import RANK, Statement, Value, weigh
from huoshui.registry.reference import KINDS
from huoshui.rules.fields import FIELDS

DIVISION = "division"
PARTIES_LISTED_MAX = 2_000
"""Up to so many parties are named in the query; for more, all facts are read and the parties picked out of them."""
DTYPES: Mapping[str, Any] = {
    ValueKind.INTEGER: pl.Int64, ValueKind.DECIMAL: pl.Int64, ValueKind.TEXT: pl.String, ValueKind.DATE: pl.Date,
    ValueKind.BOOLEAN: pl.Boolean,
}
Said = dict[tuple[str, date | None, date | None], list[Statement]]


def column_of(code: str, start: date | None, end: date | None) -> str | None:
    """The column of a fact: its code, or code@year for a whole calendar year; None for any other period."""
    if start is None or end is None:
        return code
    whole = (start.month, start.day, end.month, end.day, end.year) == (1, 1, 12, 31, start.year)
    return f"{code}@{start.year}" if whole else None


# --- one party ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cell:
    """What is known of one thing. `state`: known, conflict (equal rank, other value) or missing (all withdrawn).

    `value` is None unless known; `source`, `source_name`, `observed_on` and `recorded_at` are those of the first
    statement whose value counts. `facts` and `files` are the rows that it rests on; `statements` all that stand.
    """

    value: Value | None
    state: str
    source: str
    source_name: str
    observed_on: date | None
    recorded_at: datetime | None
    facts: tuple[int, ...]
    files: tuple[int, ...]
    statements: tuple[Statement, ...]


def of_party(party: Party, as_of: date, known_at: datetime | None = None) -> dict[str, Cell]:
    """Everything that was ever said of a party by column ("revenue@2025", "founded"); of a column that is not there
    nobody ever spoke. Facts for other periods than calendar years have no column. `division` is the registry's."""
    found = {}
    for (code, start, end), said in statements(party, as_of, known_at).items():
        if column := column_of(code, start, end):
            found[column] = _cell(said)
    if division := _division(party, known_at):
        found[DIVISION] = Cell(division, "known", "official", "", None, None, (), (), ())
    return found


def _cell(said: Iterable[Statement]) -> Cell:
    weighed = weigh(said)
    chosen = weighed.chosen
    first = chosen[0] if chosen else None
    return Cell(
        weighed.value, weighed.state, first.source if first else "", first.source_name if first else "",
        first.observed_on if first else None, first.recorded_at if first else None,
        tuple(one.fact for one in chosen if one.fact is not None),
        tuple(one.file for one in chosen if one.file is not None), weighed.statements,
    )  # fmt: skip


def statements(party: Party, as_of: date, known_at: datetime | None = None) -> Said:
    """All that was said of a party, by fact and period."""
    said: Said = defaultdict(list)
    rows = _stated(as_of, known_at).filter(party=party).values_list(
        "pk", "type__code", "type__kind", "number", "text", "period_start", "period_end", "source", "source_name",
        "observed_on", "recorded_at",
    )
    for pk, code, kind, number, text, start, end, source, name, observed_on, recorded_at in rows:
        value = value_of(kind, number, text)
        said[code, start, end].append(Statement(pk, None, value, source, name, observed_on, recorded_at))
    files = list(_files(as_of, known_at))
    if files:
        _add_files(said, files, party)
    return said


def _add_files(said: Said, files: Sequence[FactFile], party: Party) -> None:
    rows = snapshots.of_party([file.digest for file in files], party.pk)
    periodic = set(FactType.objects.filter(periodic=True).values_list("code", flat=True))
    for file in files:
        for code, value in rows.get(file.digest, {}).items():
            if value is not None and code != snapshots.PARTY:
                span = (file.period_start, file.period_end) if code in periodic else (None, None)
                said[code, *span].append(Statement(
                    None, file.pk, value, file.source, file.source_name, file.observed_on, file.recorded_at
                ))


def value_of(kind: str, number: int | None, text: str | None) -> Value | None:
    """A stored value in its own type."""
    if kind == ValueKind.BOOLEAN:
        return None if number is None else bool(number)
    if kind == ValueKind.DATE:
        return None if text is None else date.fromisoformat(text)
    return text if kind == ValueKind.TEXT else number


def _on_record(as_of: date, known_at: datetime | None) -> Q:
    return Q(observed_on__lte=as_of) & (Q() if known_at is None else Q(recorded_at__lte=known_at))


def _stated(as_of: date, known_at: datetime | None) -> QuerySet[Fact]:
    return Fact.objects.filter(_on_record(as_of, known_at))


def _files(as_of: date, known_at: datetime | None) -> QuerySet[FactFile]:
    return FactFile.objects.filter(_on_record(as_of, known_at)).order_by("observed_on", "recorded_at", "pk")


def _division(party: Party, known_at: datetime | None) -> str | None:
    if known_at is None:
        return party.division_id
    known = party.revisions.filter(record__recorded_at__lte=known_at).order_by("-pk")
    return known.values_list("division", flat=True).first()


# --- any number of parties ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """A column that is asked for, of what kind its values are, and which files speak of it."""

    name: str
    code: str
    year: int | None
    kind: str
    files: tuple[FactFile, ...]


def frame(
    parties: Iterable[int] | None, columns: Iterable[str], as_of: date, known_at: datetime | None = None
) -> pl.DataFrame:
    """`party` (Int64) and the wanted columns, a row for each of `parties` in their order (None: all, by key).

    Null is unknown: nobody says, all withdrew, or a conflict. A column whose fact nobody can state (no such kind of
    fact) is left out.
    """
    keys = None if parties is None else list(parties)
    base = _parties(keys, known_at)
    wanted = _wanted(columns, list(_files(as_of, known_at)))
    spoken = _read_files(wanted, base[snapshots.PARTY])
    single = _last_words(keys, wanted, as_of, known_at)
    made = [_column(one, spoken, single.get(one.name), base) for one in wanted]
    asked = [snapshots.PARTY, *([DIVISION] if DIVISION in set(columns) else [])]
    return base.select(asked).with_columns(made)


def _parties(keys: list[int] | None, known_at: datetime | None) -> pl.DataFrame:
    """party, division."""
    schema: Any = {snapshots.PARTY: pl.Int64, DIVISION: pl.String}
    few = None if keys is None or len(keys) > PARTIES_LISTED_MAX else keys
    pairs: Iterable[tuple[int, str | None]]
    if known_at is None:
        parties = Party.objects.all() if few is None else Party.objects.filter(pk__in=few)
        pairs = parties.order_by("pk").values_list("pk", "division")
    else:
        known = PartyRevision.objects.filter(record__recorded_at__lte=known_at)
        latest = (known if few is None else known.filter(party__in=few)).values("party").annotate(last=Max("pk"))
        revisions = PartyRevision.objects.filter(pk__in=latest.values("last"))
        pairs = revisions.order_by("party").values_list("party", "division")
    found = pl.DataFrame(list(pairs), schema, orient="row")
    if keys is None:
        return found
    asked = pl.DataFrame({snapshots.PARTY: keys}, {snapshots.PARTY: pl.Int64})
    return asked.join(found, on=snapshots.PARTY, how="left", maintain_order="left")


def _wanted(columns: Iterable[str], files: Sequence[FactFile]) -> list[_Wanted]:
    kinds = dict(FactType.objects.values_list("code", "kind"))
    kinds |= {code: KINDS[field.kind] for code, field in FIELDS.items() if code not in kinds}
    found = []
    for name in columns:
        code, _at, year = name.partition("@")
        if code in kinds and code != DIVISION:
            spoken = tuple(
                file for file in files
                if code in file.codes and (not year or column_of(code, file.period_start, file.period_end) == name)
            )
            found.append(_Wanted(name, code, int(year) if year else None, kinds[code], spoken))
    return found


def _at(file: FactFile, code: str) -> str:
    return f"{file.pk}:{code}"


def _read_files(wanted: Sequence[_Wanted], parties: pl.Series) -> pl.DataFrame:
    """One column for each (file, fact) that is wanted, aligned with the parties."""
    codes: dict[FactFile, list[str]] = defaultdict(list)
    for one in wanted:
        for file in one.files:
            codes[file].append(one.code)
    read = [
        snapshots.of_parties(file.digest, listed, parties).rename({code: _at(file, code) for code in listed})
        for file, listed in codes.items()
    ]
    return pl.concat(read, how="horizontal") if read else pl.DataFrame()


def _last_words(
    keys: list[int] | None, wanted: Sequence[_Wanted], as_of: date, known_at: datetime | None
) -> dict[str, pl.DataFrame]:
    """Column → the last single statement of each party and source: party, source, number, text, observed, recorded."""
    spans = {(one.code, one.year): one.name for one in wanted}
    rows = _stated(as_of, known_at).filter(type__code__in={one.code for one in wanted})
    if keys is not None and len(keys) <= PARTIES_LISTED_MAX:
        rows = rows.filter(party__in=keys)
    fields = (
        "party", "type__code", "period_start", "period_end", "source", "source_name", "number", "text", "observed_on",
        "recorded_at",
    )
    schema: Any = {
        snapshots.PARTY: pl.Int64, "name": pl.String, "source": pl.Int8, "source_name": pl.String, "number": pl.Int64,
        "text": pl.String, "observed": pl.Date, "recorded": pl.Datetime("us", "UTC"),
    }
    kept = []
    for party, code, start, end, source, *rest in rows.order_by("pk").values_list(*fields).iterator(10_000):
        name = column_of(code, start, end) and spans.get((code, start.year if start else None))
        if name:
            kept.append((party, name, RANK[source], *rest))
    said = pl.DataFrame(kept, schema, orient="row").sort("observed", "recorded", maintain_order=True)
    last = said.unique(["party", "name", "source", "source_name"], keep="last", maintain_order=True)
    return {str(name): part for (name,), part in last.partition_by("name", as_dict=True, include_key=False).items()}


def _typed(kind: str) -> pl.Expr:
    """The value of a single statement out of its columns `number` and `text`."""
    if kind == ValueKind.BOOLEAN:
        return pl.col("number") != 0
    if kind == ValueKind.DATE:
        return pl.col("text").str.to_date("%Y-%m-%d")
    return pl.col("text" if kind == ValueKind.TEXT else "number")


def _column(one: _Wanted, spoken: pl.DataFrame, single: pl.DataFrame | None, base: pl.DataFrame) -> pl.Series:
    """The values of a column for all parties: from files alone, then anew where there are single statements."""
    dtype = DTYPES[one.kind]
    layers = spoken.select(_at(file, one.code) for file in one.files)
    if layers.width:
        column = layers.select(_weighed(one, {}).cast(dtype).alias(one.name)).to_series()
    else:
        column = pl.Series(one.name, [None], dtype=dtype).new_from_index(0, len(base))
    if single is None or not len(base):
        return column
    touched = base.select(snapshots.PARTY).with_row_index("row").join(
        single.select(snapshots.PARTY).unique(), on=snapshots.PARTY, how="semi", maintain_order="left"
    )
    sources = {}
    rows = touched.hstack(layers[touched["row"]]) if layers.width else touched
    for number, (key, said) in enumerate(single.partition_by("source", "source_name", as_dict=True).items()):
        sources[int(key[0]), str(key[1])] = number
        told = said.select(
            snapshots.PARTY, _typed(one.kind).alias(f"value{number}"), pl.col("observed").alias(f"observed{number}"),
            pl.col("recorded").alias(f"recorded{number}"),
        )
        rows = rows.join(told, on=snapshots.PARTY, how="left", maintain_order="left")
    anew = rows.select("row", _weighed(one, sources).cast(dtype).alias("anew"))
    whole = column.to_frame().with_row_index("row").join(anew, on="row", how="left", maintain_order="left")
    is_anew = pl.col("row").is_in(anew["row"].implode())
    return whole.select(pl.when(is_anew).then("anew").otherwise(one.name).alias(one.name)).to_series()


def _weighed(one: _Wanted, singles: Mapping[tuple[int, str], int]) -> pl.Expr:
    """`precedence.weigh` as an expression. Columns: one for each file; value, observed and recorded for each source
    with single statements, by its number."""
    by_source: dict[tuple[int, str], list[FactFile]] = defaultdict(list)
    for file in one.files:
        by_source[RANK[file.source], file.source_name].append(file)
    words = {
        source: _last_word(one.code, by_source.get(source, []), singles.get(source))
        for source in sorted({*by_source, *singles})
    }
    value: pl.Expr = pl.lit(None)
    for rank in sorted({rank for rank, _name in words}, reverse=True):
        said = [word for source, word in words.items() if source[0] == rank]
        first = pl.coalesce(said)
        differs = reduce(or_, [(word != first).fill_null(False) for word in said])
        value = pl.when(first.is_null()).then(value).when(~differs).then(first)
    return value


def _last_word(code: str, files: Sequence[FactFile], number: int | None) -> pl.Expr:
    """What one source said last: the newest file that says anything, unless a single statement is newer."""
    if number is None:
        return pl.coalesce(pl.col(_at(file, code)) for file in reversed(files))
    observed, recorded = pl.col(f"observed{number}"), pl.col(f"recorded{number}")
    word: Any = pl
    for file in reversed(files):
        older = (observed < file.observed_on) | ((observed == file.observed_on) & (recorded < file.recorded_at))
        spoken = pl.col(_at(file, code))
        word = word.when(spoken.is_not_null() & (observed.is_null() | older)).then(spoken)
    return word.otherwise(pl.col(f"value{number}")) if files else pl.col(f"value{number}")
