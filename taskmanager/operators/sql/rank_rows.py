"""Rows kept by key, for operators that look at all rows of a batch's keys at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from lesto.common.elements import RowKind, RowKinds
from lesto.kernels import hashing, jit
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array, take_batch
from lesto.state.row_table import RowTable, RowTableDescriptor

if TYPE_CHECKING:
    from lesto.common.clock import Clock
    from lesto.state.backend import KeyedStateBackend

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.bool_]

I, UB, UA, D = (int(k) for k in RowKind)  # noqa: E741 - as the plan calls them
#: Rows of a batch of results at most.
RESULT_ROWS_MAX: Final = 65_536
#: Groups of kernels that tables of rows and numbers of keys run on.
_KERNELS: Final = (
    "hashing",
    "hashindex",
    "textindex",
    "rowkeys",
    "rows",
    "rowbytes",
    "rowindex",
)
#: Idle rows are looked for this often at least, as a share of their time-to-live.
_LOOKS_A_TTL: Final = 10


@dataclass(slots=True)
class Numbered:
    """The distinct keys of a batch, numbered by their first rows.

    Attributes:
        numbers: int64[n], a row's key.
        first: int64[k], the first row of each key.
        keys: the k distinct keys' columns.
        hashes: uint64[k].
        row_hashes: uint64[n].
    """

    numbers: Ids
    first: Ids
    keys: list[pa.Array]
    hashes: Hashes
    row_hashes: Hashes

    def __len__(self) -> int:
        return len(self.first)


class KeyedRows:
    """A row table, and the keys of a batch in it.

    Args:
        backend: of the operator.
        name: of the table.
        schema: of its rows.
        keys: positions of the key's columns in it; none: all rows have one key.
        counters: int64 beside each row.
        ttl_ms: after which idle rows are gone, 0 for never.
    """

    def __init__(
        self,
        backend: KeyedStateBackend,
        name: str,
        schema: pa.Schema,
        keys: Sequence[int],
        counters: Sequence[str] = (),
        ttl_ms: int = 0,
    ) -> None:
        jit.warm(_KERNELS)
        self.keys = tuple(keys)
        self.schema = schema
        self.ttl_ms = ttl_ms
        self._types = [schema.field(i).type for i in self.keys]
        self._looked = 0
        self.table: RowTable = backend.row_table(
            RowTableDescriptor(name, schema, self.keys, tuple(counters), ttl_ms)
        )

    def numbered(self, columns: Sequence[pa.Array], rows: int) -> Numbered:
        """The distinct keys of a batch.

        Args:
            columns: the key's columns, in the order of ``keys``.
            rows: how many there are.
        """
        if not self.keys:
            none = np.zeros(0, np.uint64)
            first = np.zeros(min(rows, 1), np.int64)
            return Numbered(np.zeros(rows, np.int64), first, [], none, none)
        hashes = self.table.hashes(columns)
        index = HashIndex(self._types, capacity=max(64, min(rows, 4096)))
        numbers, _ = index.lookup_or_insert(columns, hashes)
        first = index.new_rows
        if len(first) == rows:
            return Numbered(numbers, first, list(columns), hashes, hashes)
        distinct = [take_array(c, first) for c in columns]
        return Numbered(numbers, first, distinct, hashes[first], hashes)

    def stored(self, found: Numbered) -> tuple[Ids, Ids]:
        """Numbers of keys and ids of their rows, by key, in the order of arrival."""
        if not self.keys:
            ids = self.table.live() if len(found) else np.zeros(0, np.int64)
            return np.zeros(len(ids), np.int64), ids
        return self.table.matches(found.keys, found.hashes)

    def add(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Keep rows; gives their ids."""
        if not rows.num_rows:
            return np.zeros(0, np.int64)
        return self.table.add(rows, hashes if self.keys else None)

    def find(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Ids of rows equal to these, -1 where there is none."""
        if not rows.num_rows:
            return np.zeros(0, np.int64)
        return self.table.find(rows, hashes if self.keys else None)

    def remove(self, ids: Ids) -> None:
        """Forget rows."""
        if len(ids):
            self.table.remove(ids)

    def expire(self, clock: Clock) -> bool:
        """Now and then, forget idle rows; whether any was forgotten."""
        return self.ttl_ms > 0 and len(self.expired(clock)) > 0

    def expired(self, clock: Clock) -> Ids:
        """Now and then, forget idle rows; their ids."""
        now = clock.now_ms()
        if not self.ttl_ms or now - self._looked < self.ttl_ms // _LOOKS_A_TTL:
            return np.zeros(0, np.int64)
        self._looked = now
        return self.table.expire(now)


def key_hashes(columns: Sequence[pa.Array]) -> Hashes:
    """Hashes of keys, as the exchange has them."""
    return hashing.hash_column(columns[0]) if len(columns) == 1 else hashing.hash_columns(columns)


def joined(parts: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """Batches of one schema as one."""
    given = [p for p in parts if p.num_rows]
    if len(given) == 1:
        return given[0]
    if not given:
        return _empty(schema)
    columns = [pa.concat_arrays([p.column(i) for p in given]) for i in range(len(schema))]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


def equal_rows(a: pa.RecordBatch, b: pa.RecordBatch) -> Flags:
    """bool[n]: where rows of the same number are equal; NULL equals NULL, NaN equals NaN."""
    same = np.ones(a.num_rows, np.bool_)
    for x, y in zip(a.columns, b.columns, strict=True):
        if not same.any():
            break
        same &= _equal(x, y)
    return same


def _equal(x: pa.Array, y: pa.Array) -> Flags:
    if pat.is_nested(x.type):
        pairs = zip(x.to_pylist(), y.to_pylist(), strict=True)
        return np.fromiter((p == q for p, q in pairs), np.bool_, len(x))
    equal = pc.equal(x, y)
    if pat.is_floating(x.type):
        equal = pc.or_(equal, pc.and_(pc.is_nan(x), pc.is_nan(y)))
    if x.null_count or y.null_count:
        equal = pc.or_(pc.fill_null(equal, False), pc.and_(pc.is_null(x), pc.is_null(y)))
    return np.asarray(equal.to_numpy(zero_copy_only=False), np.bool_)


@dataclass(slots=True)
class Replaced:
    """The row of each of k keys before and after a batch.

    Attributes:
        before: rows; None if what was is not kept.
        before_at: int64[k], a key's row in ``before``, -1 if it had none.
        after: rows.
        after_at: int64[k], a key's row in ``after``, -1 if it has none.
    """

    before: pa.RecordBatch | None
    before_at: Ids
    after: pa.RecordBatch
    after_at: Ids

    def changes(
        self, *, give_before: bool, keep_equal: bool = False
    ) -> tuple[pa.RecordBatch, RowKinds | None]:
        """The fewest changes: of each key none, I, D, UA, or UB and UA.

        Args:
            give_before: whether updates come with UB.
            keep_equal: whether a key whose row is as it was is given too, as an update.
        """
        had, has = self.before_at >= 0, self.after_at >= 0
        both = had & has
        before = self.before
        if before is not None and not keep_equal and both.any():
            rows = np.flatnonzero(both)
            old = take_batch(before, self.before_at[rows])
            new = take_batch(self.after, self.after_at[rows])
            same = rows[equal_rows(old, new)]
            had, has, both = had.copy(), has.copy(), both.copy()
            had[same] = has[same] = both[same] = False
        gone = had & ~has
        first = gone | both if give_before else gone
        if before is None:
            rows = np.flatnonzero(has)
            kinds = np.where(both[rows], UA, I).astype(np.int8)
            return take_batch(self.after, self.after_at[rows]), _kinds(kinds)
        chosen = np.stack([first, has], 1)
        source = np.stack([self.before_at, self.after_at + before.num_rows], 1)[chosen]
        kinds = np.stack([np.where(gone, D, UB), np.where(both, UA, I)], 1)[chosen]
        whole = joined([before, self.after], self.after.schema)
        return take_batch(whole, source), _kinds(kinds.astype(np.int8))


def _kinds(kinds: RowKinds) -> RowKinds | None:
    return kinds if kinds.any() else None


def last_rows(numbers: Ids, rows: Ids, keys: int) -> Ids:
    """int64[keys]: of each key the last of the rows, -1 where there is none."""
    found = np.full(keys, -1, np.int64)
    found[numbers] = rows  # of equal places the last one stays
    return found
