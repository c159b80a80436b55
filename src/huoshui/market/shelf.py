"""What is on sale, as columns in memory: search, facets and sorting over the whole catalogue in one pass.

A catalogue is read far more often than it changes, and a search page wants every count at once. So each process keeps
the listed products as numpy columns (about 300 bytes a product) and works on masks; measured against indexed SQL in
docs/desks/supermarket.md. `ShelfState.version` says whether the columns are current: whatever changes a listed product,
what it shows of its pool, or a delivery record calls `changed` in its transaction, which locks the state row, so
versions appear in the order in which they are committed. A process that is behind reads only the products that changed
since.

Text is matched by words and by pairs of Chinese characters (bigrams): a product fits when it has every word and at
least half of the pairs, and those with more pairs come first. What operators are called is asked anew, as the registry
renames parties without asking a desk.
"""

import re
import threading
import unicodedata
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from django.db.models import QuerySet

from huoshui.compute.models import Pool
from huoshui.jobs.services import free_cards
from huoshui.market.models import Billing, DeliveryRecord, Product, ShelfState
from huoshui.market.prices import MONTH_HOURS
from huoshui.registry.models import Party

Mask = npt.NDArray[np.bool_]
Int16 = npt.NDArray[np.int16]
Int64 = npt.NDArray[np.int64]
PAGE_ROWS = 24
TERMS_MAX = 12
"""Words and pairs of a query that are looked for."""
WINDOW_HOURS_MAX = 24 * 31
SCORES_KEPT_MAX = 50
UNKNOWN = -1
"""In a column of measured or promised shares: nothing is known."""
SORTS = ("price", "pflops", "memory", "rating", "newest")
FACETS = ("kind", "billing", "model", "region", "domestic", "operator")
SLA_STEPS_BPS = (9000, 9500, 9900, 9990)

_FIELDS = {
    "id": "id", "revision": "revision", "pool": "pool", "kind": "kind", "billing": "billing",
    "model": "pool__card_model__code", "region": "pool__site__region__code", "division": "pool__site__division",
    "operator": "pool__site__operator", "domestic": "pool__card_model__domestic",
    "pool_cards": "pool__cards", "memory": "pool__card_model__memory_gib", "tflops": "pool__card_model__fp16_tflops",
    "unit_cards": "cards_per_unit", "hours_min": "hours_min", "hours_max": "hours_max", "price_fen": "price_fen",
    "sla": "sla_bps", "listed_at": "listed_at", "state": "state",
    # what a text search reads
    "title": "title", "about": "about", "frameworks": "frameworks", "model_name": "pool__card_model__name",
    "vendor": "pool__card_model__vendor", "site_name": "pool__site__name",
}  # fmt: skip
_TEXTS = ("title", "model_name", "vendor", "site_name", "frameworks", "about")
_SCHEMA: dict[str, Any] = {
    "id": pl.Int64, "pool": pl.Int64, "kind": pl.String, "billing": pl.String, "model": pl.String, "region": pl.String,
    "division": pl.String, "operator": pl.Int64, "domestic": pl.Boolean, "memory": pl.Int64, "tflops": pl.Int64,
    "unit_cards": pl.Int64, "pool_cards": pl.Int64, "hours_min": pl.Int64, "hours_max": pl.Int64,
    "price_mfen": pl.Int64, "sla": pl.Int64, "listed_at": pl.Int64, "text": pl.String,
}  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What a search asks for; empty means any. Prices are fen per card-hour. `cards` are those of whole units in one
    pool; `start_hour` begins a window of `hours` in which they must be free."""

    text: str = ""
    facets: Mapping[str, Sequence[str]] = field(default_factory=dict)
    division: str = ""
    memory_gib: int | None = None
    tflops: int | None = None
    price_from_fen: int | None = None
    price_to_fen: int | None = None
    sla_bps: int | None = None
    delivered_bps: int | None = None
    cards: int | None = None
    start_hour: int | None = None
    hours: int | None = None
    sort: str = "price"
    first: int = 0
    rows: int = PAGE_ROWS


@dataclass(frozen=True)
class Found:
    """Products of the page asked for (by key, in order), how many fit in all, and for each value of each facet how
    many would fit if only this facet were chosen anew."""

    keys: list[int]
    total: int
    facets: dict[str, dict[str, int]]


class Shelf:
    """One version of the catalogue. Columns are aligned; `rating` is by pool (basis points, UNKNOWN: not measured)."""

    def __init__(self, version: int, stamp: str, frame: pl.DataFrame) -> None:
        self.version, self.stamp, self.frame = version, stamp, frame
        self._columns = {name: frame[name].to_numpy() for name in _SCHEMA if _SCHEMA[name] == pl.Int64}
        self._codes = {name: _encoded(frame[name].cast(pl.String)) for name in FACETS}
        self._pools, self._pool_of = np.unique(self._columns["pool"], return_inverse=True)
        self._operators, self._operator_of = np.unique(self._columns["operator"], return_inverse=True)
        self.rating = np.full(len(self._pools), UNKNOWN, np.int64)
        self._orders: dict[str, Int64] = {}
        self._scores: dict[tuple[str, ...], Int16] = {}
        places = {int(pool): place for place, pool in enumerate(self._pools)}
        for record in DeliveryRecord.objects.all():
            if record.pool_id in places and record.delivered_bps is not None:
                self.rating[places[record.pool_id]] = record.delivered_bps

    def __len__(self) -> int:
        return self.frame.height

    def search(self, wanted: Wanted) -> Found:
        """Everything that fits, counted and cut."""
        score = self._score(wanted.text)
        common = self._common(wanted)
        if score is not None:
            common &= score > 0
        chosen = {name: self._chosen(name, wanted.facets.get(name, ())) for name in FACETS}
        mask = common.copy()
        for one in chosen.values():
            if one is not None:
                mask &= one
        facets = {name: self._counts(name, _without(common, chosen, name, mask)) for name in FACETS}
        order = self._order(wanted.sort)
        rows = order[mask[order]]
        if score is not None:
            rows = rows[np.argsort(-score[rows], kind="stable")]
        page = rows[wanted.first : wanted.first + wanted.rows]
        return Found(self._columns["id"][page].tolist(), len(rows), facets)

    def _common(self, wanted: Wanted) -> Mask:
        """Which products meet everything but text and facets."""
        column, mask = self._columns, np.ones(len(self), np.bool_)
        least = {
            "memory": wanted.memory_gib, "tflops": wanted.tflops, "sla": wanted.sla_bps,
            "price_mfen": wanted.price_from_fen and wanted.price_from_fen * 1000,
        }  # fmt: skip
        for name, value in least.items():
            if value:
                mask &= column[name] >= value
        if wanted.price_to_fen is not None:
            mask &= column["price_mfen"] <= wanted.price_to_fen * 1000
        if wanted.delivered_bps:
            mask &= self.rating[self._pool_of] >= wanted.delivered_bps
        if wanted.division:
            mask &= self.frame["division"].str.starts_with(wanted.division).to_numpy()
        if wanted.hours:
            mask &= (column["hours_min"] <= wanted.hours) & (column["hours_max"] >= wanted.hours)
        if wanted.cards or wanted.start_hour is not None:
            unit = column["unit_cards"]
            together = -(-(wanted.cards or 1) // unit) * unit
            there = column["pool_cards"] if wanted.start_hour is None else self._free(wanted)[self._pool_of]
            mask &= together <= there
            if wanted.cards:
                mask &= unit <= wanted.cards
        return mask

    def _free(self, wanted: Wanted) -> Int64:
        """Cards free throughout the window, by pool."""
        assert wanted.start_hour is not None
        hours = min(wanted.hours or 1, WINDOW_HOURS_MAX)
        known = Pool.objects.only("cards").in_bulk(self._pools.tolist())
        pools = [known[int(key)] for key in self._pools]
        return free_cards(pools, wanted.start_hour, wanted.start_hour + hours).min(axis=1, initial=2**31)

    def _score(self, text: str) -> Int16 | None:
        """How well each product fits the words of a query (0: not at all); None without words. Kept for a while, as
        people narrow down and turn pages."""
        words, pairs = terms_of(text)
        if not words and not pairs:
            return None
        names = self._called()
        key = (" ".join(words + pairs), *names)
        found = self._scores.get(key)
        if found is None:
            if len(self._scores) >= SCORES_KEPT_MAX:
                self._scores.clear()
            found = self._scores[key] = self._matched(words, pairs, names)
        return found

    def _called(self) -> list[str]:
        """What each operator is called now."""
        known = dict(Party.objects.filter(pk__in=self._operators.tolist()).values_list("pk", "name"))
        return [normal(known[int(key)]) for key in self._operators]

    def _matched(self, words: Sequence[str], pairs: Sequence[str], names: Sequence[str]) -> Int16:
        rows, column = np.arange(len(self)), self.frame["text"]

        def there(part: str) -> Mask:
            """Whether it is in the text of each row that is left, or in what its operator is called."""
            named = np.array([part in name for name in names], np.bool_)
            found: Mask = column.str.contains(part, literal=True).to_numpy() | named[self._operator_of[rows]]
            return found

        for word in words:
            has = there(word)
            rows, column = rows[has], column.filter(pl.Series(has))
        hits = np.zeros(len(rows), np.int16)
        for pair in pairs:
            hits += there(pair)
        score = np.zeros(len(self), np.int16)
        score[rows] = np.where(2 * hits >= len(pairs), hits + 1, 0)
        return score

    def _chosen(self, name: str, values: Sequence[str]) -> Mask | None:
        """Products with one of the values; None where nothing was chosen."""
        if not values:
            return None
        names, codes = self._codes[name]
        return np.isin(codes, [place for place, known in enumerate(names) if known in values])

    def _counts(self, name: str, mask: Mask) -> dict[str, int]:
        names, codes = self._codes[name]
        counts = np.bincount(codes[mask], minlength=len(names))
        return {known: int(count) for known, count in zip(names, counts, strict=True) if count}

    def _order(self, sort: str) -> Int64:
        """All rows in an order: the cheaper, then the older product first among equals."""
        if sort not in self._orders:
            column = self._columns
            price = column["price_mfen"]
            by = {
                "price": lambda: price,
                "pflops": lambda: price / column["tflops"],
                "memory": lambda: price / column["memory"],
                "rating": lambda: -self.rating[self._pool_of],
                "newest": lambda: -column["listed_at"],
            }[sort]()
            self._orders[sort] = np.lexsort((column["id"], price, by))
        return self._orders[sort]


def _without(common: Mask, chosen: Mapping[str, Mask | None], name: str, mask: Mask) -> Mask:
    """What fits everything but one facet."""
    if chosen[name] is None:
        return mask
    rest = common.copy()
    for other, one in chosen.items():
        if other != name and one is not None:
            rest &= one
    return rest


def _encoded(column: pl.Series) -> tuple[list[str], Int64]:
    """Distinct values, and the place of each row's value among them."""
    names = column.unique().sort().to_list()
    places = {name: place for place, name in enumerate(names)}
    codes = column.replace_strict(places, return_dtype=pl.Int64).to_numpy() if places else ()
    return names, np.asarray(codes, np.int64)


def normal(text: str) -> str:
    """Text as it is matched: one width, lower case."""
    return unicodedata.normalize("NFKC", text).lower()


def terms_of(text: str) -> tuple[list[str], list[str]]:
    """Words (Latin letters and digits, single characters) and pairs of neighbouring Chinese characters of a query."""
    words, pairs = list[str](), list[str]()
    for run in re.findall(r"[\u4e00-\u9fff]+|[a-z0-9.+\-]+", normal(text)):
        if "\u4e00" <= run[0] <= "\u9fff" and len(run) > 1:
            pairs += [run[at : at + 2] for at in range(len(run) - 1)]
        else:
            words.append(run)
    return list(dict.fromkeys(words))[:TERMS_MAX], list(dict.fromkeys(pairs))[:TERMS_MAX]


# --- keeping it current -----------------------------------------------------------------------------------------------

_lock = threading.Lock()
_current: Shelf | None = None


def changed() -> int:
    """Say, inside an action, that the shelf changes; returns the version that changed products must carry."""
    state = ShelfState.objects.select_for_update().first() or ShelfState.objects.create(stamp=uuid.uuid4())
    state.version += 1
    state.save(update_fields=["version"])
    return state.version


def pools_corrected(pools: QuerySet[Pool]) -> None:
    """What products show of their pool, its site, region or card model is different now."""
    concerned = Product.objects.filter(pool__in=pools, state=Product.State.LISTED)
    if concerned.exists():
        concerned.update(revision=changed())


def current() -> Shelf:
    """The shelf as it stands in the database."""
    global _current  # noqa: PLW0603  (one shelf for all threads of the process)
    row = ShelfState.objects.values_list("version", "stamp").first()
    version, stamp = (row[0], str(row[1])) if row else (0, "")
    with _lock:
        if _current is None or _current.stamp != stamp or _current.version > version:
            _current = Shelf(version, stamp, _listed(_read(0)))
        elif _current.version < version:
            changes = _read(_current.version)
            kept = _current.frame.filter(~pl.col("id").is_in(changes["id"].to_list()))
            _current = Shelf(version, stamp, pl.concat([kept, _listed(changes)]))
        return _current


def _read(since: int) -> pl.DataFrame:
    """Products that changed after a version, whatever their state now."""
    rows = Product.objects.filter(revision__gt=since).order_by("id").values_list(*_FIELDS.values())
    return pl.DataFrame(list(rows), dict.fromkeys(_FIELDS), orient="row", infer_schema_length=None)


def _listed(rows: pl.DataFrame) -> pl.DataFrame:
    """The columns of those on sale."""
    on_sale = rows.filter(pl.col("state") == Product.State.LISTED) if rows.height else rows
    hours = pl.when(pl.col("billing") == Billing.MONTHLY).then(MONTH_HOURS).otherwise(1)
    text = on_sale.select(pl.concat_str([pl.col(name).cast(pl.String) for name in _TEXTS], separator=" ")).to_series()
    return on_sale.with_columns(
        price_mfen=pl.col("price_fen").cast(pl.Int64) * 1000 // hours,
        sla=pl.col("sla").cast(pl.Int64).fill_null(UNKNOWN),
        listed_at=pl.col("listed_at").cast(pl.Datetime("us", "UTC")).dt.epoch("s"),
        text=pl.Series([normal(words) for words in text], dtype=pl.String),
    ).select(pl.col(name).cast(kind) for name, kind in _SCHEMA.items())
