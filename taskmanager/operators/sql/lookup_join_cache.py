"""What look-ups brought, kept for a while: rows by key, and keys that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.option_types import parse_duration
from lesto.kernels.partition import take_array
from lesto.state.row_table import RowTable, RowTableDescriptor

Numbers = npt.NDArray[np.int64]

#: Keys of a cache without ``lookup.partial-cache.max-rows``.
KEYS_MAX: Final = 1_000_000
_WRITTEN, _USED = "written", "used"
_MILLISECOND: Final = timedelta(milliseconds=1)
#: So many more keys than wanted go at once: each time costs a look at all of them.
_SLACK: Final = 8


@dataclass(frozen=True, slots=True)
class LookupOptions:
    """Flink's ``lookup.*`` options and LOOKUP hints.

    Attributes:
        cached: whether results are kept.
        rows_max: keys that are kept at most.
        after_write_ms: how long a result is true; 0 for good.
        after_access_ms: how long a result is kept that nobody asks for; 0 for good.
        missing: whether keys without rows are kept too.
        reload_ms: how often a table that lies in memory is read anew; 0 never.
        attempts: look-ups of a key when they fail.
        miss_attempts: look-ups of a key that has no row.
        miss_delay_ms: time between those.
    """

    cached: bool = False
    rows_max: int = KEYS_MAX
    after_write_ms: int = 0
    after_access_ms: int = 0
    missing: bool = True
    reload_ms: int = 0
    attempts: int = 4
    miss_attempts: int = 1
    miss_delay_ms: int = 0

    @staticmethod
    def of(options: Mapping[str, Any], hints: Mapping[str, str]) -> LookupOptions:
        """Read options and hints.

        Raises:
            ValueError: a value has no meaning; the text says which.

        >>> LookupOptions.of({"lookup.cache": "PARTIAL"}, {}).cached
        True
        """
        kind = str(options.get("lookup.cache", "NONE")).upper()
        if kind not in {"NONE", "PARTIAL", "FULL"}:
            msg = f"'lookup.cache' is NONE, PARTIAL or FULL, not {kind}"
            raise ValueError(msg)
        partial, full = "lookup.partial-cache.", "lookup.full-cache."
        every_miss = hints.get("retry-predicate") == "lookup_miss"
        given = options.get(f"{partial}max-rows")
        return LookupOptions(
            cached=kind != "NONE",
            rows_max=int(given) if given is not None and kind == "PARTIAL" else KEYS_MAX,
            after_write_ms=_ms(options, f"{partial}expire-after-write"),
            after_access_ms=_ms(options, f"{partial}expire-after-access"),
            missing=str(options.get(f"{partial}cache-missing-key", "true")).lower() == "true",
            reload_ms=_ms(options, f"{full}periodic-reload.interval"),
            attempts=1 + int(options.get("lookup.max-retries", 3)),
            miss_attempts=int(hints.get("max-attempts", 3)) if every_miss else 1,
            miss_delay_ms=_ms(hints, "fixed-delay") if every_miss else 0,
        )


def _ms(options: Mapping[str, Any], key: str) -> int:
    value = options.get(key)
    return 0 if value is None else int(parse_duration(value) // _MILLISECOND)


class LookupCache:
    """Rows by key, of limited number and age.

    Args:
        keys: schema of the keys.
        rows: schema of the rows.
        options: limits.
    """

    def __init__(self, keys: pa.Schema, rows: pa.Schema, options: LookupOptions) -> None:
        self._options = options
        self._key_schema = pa.schema([pa.field(f"k{i}", f.type) for i, f in enumerate(keys)])
        self._row_schema = rows
        kept = [pa.field(f"v{i}", f.type) for i, f in enumerate(rows)]
        self._kept_schema = pa.schema([*self._key_schema, *kept])
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        places = tuple(range(len(self._key_schema)))
        self._known = RowTable(
            RowTableDescriptor("known", self._key_schema, places, (_WRITTEN, _USED)),
            max_parallelism=1,
        )
        self._rows = RowTable(
            RowTableDescriptor("rows", self._kept_schema, places), max_parallelism=1
        )

    def __len__(self) -> int:
        return len(self._known)

    def known(self, keys: Sequence[pa.Array], now_ms: int) -> npt.NDArray[np.bool_]:
        """bool[n]: distinct keys whose rows are here and still true."""
        at, ids = self._known.matches(keys)
        written, used = self._known.counter(_WRITTEN), self._known.counter(_USED)
        fresh = np.ones(len(ids), np.bool_)
        options = self._options
        if options.after_write_ms:
            fresh &= written[ids] > now_ms - options.after_write_ms
        if options.after_access_ms:
            fresh &= used[ids] > now_ms - options.after_access_ms
        used[ids[fresh]] = now_ms
        found: npt.NDArray[np.bool_] = np.zeros(len(keys[0]), np.bool_)
        found[at[fresh]] = True
        return found

    def rows(self, keys: Sequence[pa.Array]) -> tuple[Numbers, pa.RecordBatch]:
        """The rows of keys: (number of the key, row)."""
        at, ids = self._rows.matches(keys)
        width = len(self._key_schema)
        taken = self._rows.take(ids, range(width, len(self._kept_schema)))
        return at, pa.RecordBatch.from_arrays(taken.columns, schema=self._row_schema)

    def put(
        self, keys: Sequence[pa.Array], numbers: Numbers, rows: pa.RecordBatch, now_ms: int
    ) -> None:
        """Keep what a look-up of distinct keys brought.

        Args:
            keys: n keys.
            numbers: int64[m], of the key of each row.
            rows: m rows.
            now_ms: when.
        """
        self._drop(keys)
        if not self._options.missing:
            some = np.unique(numbers)
            places = np.full(len(keys[0]), -1)
            places[some] = np.arange(len(some))
            keys, numbers = [take_array(key, some) for key in keys], places[numbers]
        if not len(keys[0]):
            return
        ids = self._known.add(pa.RecordBatch.from_arrays(list(keys), schema=self._key_schema))
        self._known.counter(_WRITTEN)[ids] = now_ms
        self._known.counter(_USED)[ids] = now_ms
        if len(numbers):
            columns = [*(take_array(key, numbers) for key in keys), *rows.columns]
            self._rows.add(pa.RecordBatch.from_arrays(columns, schema=self._kept_schema))
        self._shrink()

    def _drop(self, keys: Sequence[pa.Array]) -> None:
        for table in (self._known, self._rows):
            _, ids = table.matches(keys)
            if len(ids):
                table.remove(ids)

    def _shrink(self) -> None:
        """Forget the keys that were not asked for the longest."""
        most = self._options.rows_max
        if len(self._known) <= most:
            return
        ids = self._known.live()
        count = min(len(ids), len(ids) - most + most // _SLACK)
        used = self._known.counter(_USED)[ids]
        oldest = ids[np.argsort(used, kind="stable")[:count]]
        self._drop(self._known.take(oldest).columns)
