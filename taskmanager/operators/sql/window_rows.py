"""Rows that wait for the end of their windows, by slice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.elements import Timestamps
from lesto.kernels import hashing
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_batch
from lesto.state.backend import KeyedStateBackend
from lesto.state.row_table import Ids, RowTable, RowTableDescriptor
from lesto.state.table import Hashes
from lesto.taskmanager.operators.columnar.time_windows import Lists


@dataclass(frozen=True, slots=True)
class Kept:
    """Some of the rows.

    Attributes:
        ids: int64[n].
        slices: int64[n].
        keys: the key columns.
        columns: those behind them.
    """

    ids: Ids
    slices: Timestamps
    keys: list[pa.Array]
    columns: list[pa.Array]


class KeyedRows:
    """Rows kept by key, with a time each.

    Args:
        backend: keeps them.
        name: of the state.
        key_types: Arrow types of the key columns, which decide where rows belong.
        types: of the columns behind them.
    """

    def __init__(
        self,
        backend: KeyedStateBackend,
        name: str,
        key_types: Sequence[pa.DataType],
        types: Sequence[pa.DataType],
    ) -> None:
        fields = [pa.field("slice", pa.int64())]
        fields += [pa.field(f"k{i}", kind) for i, kind in enumerate(key_types)]
        fields += [pa.field(f"v{i}", kind) for i, kind in enumerate(types)]
        self._schema = pa.schema(fields)
        self._keys = len(key_types)
        self.table: RowTable = backend.row_table(
            RowTableDescriptor(name, self._schema, tuple(range(1, 1 + self._keys)))
        )

    def add(
        self,
        times: Timestamps,
        keys: Sequence[pa.Array],
        columns: Sequence[pa.Array],
        hashes: Hashes | None,
        rows: Ids | None = None,
    ) -> Ids:
        """Keep rows, or some of them by number; gives their ids."""
        data = pa.RecordBatch.from_arrays([pa.array(times), *keys, *columns], schema=self._schema)
        if rows is not None:
            data = take_batch(data, rows)
            hashes = None if hashes is None else hashes[rows]
        return self.table.add(data, hashes)

    def taken(self, ids: Ids) -> Kept:
        """Rows by their ids."""
        data = self.table.take(ids)
        at = 1 + self._keys
        times = data.column(0).to_numpy()
        return Kept(ids, times, list(data.columns[1:at]), list(data.columns[at:]))

    def within(
        self, keys: Sequence[pa.Array], starts: Timestamps, ends: Timestamps
    ) -> tuple[Ids, Kept]:
        """Rows of keys with times in [start, end): which key each is of, and the rows."""
        numbers, ids = self.table.matches(keys)
        times = self.table.take(ids, [0]).column(0).to_numpy()
        mine = np.flatnonzero((times >= starts[numbers]) & (times < ends[numbers]))
        return numbers[mine], self.taken(ids[mine])


class SlicedRows(KeyedRows):
    """Rows kept by key, listed by slice, which is their time.

    Args:
        backend: keeps them.
        name: of the state.
        key_types: Arrow types of the key columns, which decide where rows belong.
        types: of the columns behind them.
        once: whether of equal rows only the first is kept.
    """

    def __init__(
        self,
        backend: KeyedStateBackend,
        name: str,
        key_types: Sequence[pa.DataType],
        types: Sequence[pa.DataType],
        *,
        once: bool = False,
    ) -> None:
        super().__init__(backend, name, key_types, types)
        self._once = once and not any(map(pat.is_nested, self._schema.types))
        self._lists = Lists()
        live = self.table.live()
        if len(live):
            slices = self.table.take(live, [0]).column(0).to_numpy()
            self._lists.add(slices, live)

    @property
    def slices(self) -> list[int]:
        """Those with rows, ascending."""
        return self._lists.starts

    def add(
        self,
        times: Timestamps,
        keys: Sequence[pa.Array],
        columns: Sequence[pa.Array],
        hashes: Hashes | None,
        rows: Ids | None = None,
    ) -> Ids:
        """Keep rows, or some of them by number; gives their ids."""
        if self._once:
            rows = self._new(times, keys, columns, hashes, rows)
        ids = super().add(times, keys, columns, hashes, rows)
        if len(ids):
            self._lists.add(times if rows is None else times[rows], ids)
        return ids

    def _new(
        self,
        times: Timestamps,
        keys: Sequence[pa.Array],
        columns: Sequence[pa.Array],
        hashes: Hashes | None,
        rows: Ids | None,
    ) -> Ids:
        """Those rows that are equal to none before them."""
        data = pa.RecordBatch.from_arrays([pa.array(times), *keys, *columns], schema=self._schema)
        if rows is not None:
            data = take_batch(data, rows)
        index = HashIndex(self._schema.types)
        index.lookup_or_insert(data.columns, hashing.hash_columns(data.columns))
        first = index.new_rows
        chosen = first if rows is None else rows[first]
        found = self.table.find(take_batch(data, first), None if hashes is None else hashes[chosen])
        return np.asarray(chosen[found < 0])

    def ids(self, slices: Iterable[int]) -> Ids:
        """Ids of the rows of slices, slice by slice in order of arrival."""
        parts = [self._lists.slots(s) for s in slices if s in self._lists]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def of(self, slices: Iterable[int]) -> Kept:
        """The rows of slices, slice by slice in order of arrival."""
        return self.taken(self.ids(slices))

    def drop(self, slices: Iterable[int]) -> None:
        """Forget slices."""
        parts = [self._lists.pop(s) for s in slices if s in self._lists]
        if parts:
            self.table.remove(np.concatenate(parts))
