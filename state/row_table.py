"""Rows kept by key: a bag of rows a key, in order of arrival, addressed by ids.

On disk a row is two byte strings: the key is its sequence number (8 bytes, big-endian; unique within
a key group, ascending by arrival), the value its counters and times and then its columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.clock import Clock, SystemClock
from lesto.kernels import hashing, keygroups
from lesto.state.errors import StateMismatchError
from lesto.state.table_api import TableChanges, TableEntries

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class RowTableDescriptor:
    """Name and columns of a row table.

    Attributes:
        name: unique among the operator's states.
        schema: of the rows kept; without dictionaries.
        key_columns: positions in the schema; () makes one key of all rows.
        counters: names of int64 values kept beside each row, writable, 0 at first.
        ttl_ms: a row that was neither added nor marked for so long is gone; 0 keeps it for good.
    """

    name: str
    schema: pa.Schema
    key_columns: tuple[int, ...]
    counters: tuple[str, ...] = ()
    ttl_ms: int = 0


class RowTable:
    """Rows by key; any backend can store it (see :mod:`lesto.state.table_api`)."""

    def __init__(
        self, descriptor: RowTableDescriptor, *, max_parallelism: int, clock: Clock | None = None
    ) -> None:
        self.descriptor = descriptor
        self._clock = clock or SystemClock()
        self._max_parallelism = max_parallelism
        self._data = descriptor.schema.empty_table()
        self._chains: dict[str, list[int]] = {}
        self._row_keys: list[str] = []
        self._rows: list[str] = []
        self._hash: list[int] = []
        self._seq: list[int] = []
        self._next = 0
        self._counters = {name: np.zeros(0, np.int64) for name in descriptor.counters}
        self._touched = np.zeros(0, np.int64)
        self._live = np.zeros(0, np.bool_)
        self._dirty: set[int] = set()
        self._stored: set[int] = set()
        self._gone: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return int(self._live.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return int(self._data.nbytes) + 32 * len(self._live)

    def hashes(self, keys: Sequence[pa.Array]) -> Hashes:
        """The stable hashes of the keys, uint64[n]; they decide the key groups."""
        if not keys:
            msg = "a table with one key for all rows has no hashes to compute"
            raise ValueError(msg)
        return hashing.hash_column(keys[0]) if len(keys) == 1 else hashing.hash_columns(keys)

    def add(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Keep rows.

        Returns:
            Their ids, int64[n].
        """
        start = len(self._live)
        n = rows.num_rows
        keys = [rows.column(i) for i in self.descriptor.key_columns]
        if hashes is None:
            hashes = self.hashes(keys) if keys else np.zeros(n, np.uint64)
        ids = np.arange(start, start + n)
        rows = pa.RecordBatch.from_arrays(rows.columns, schema=self.descriptor.schema)
        self._data = pa.concat_tables([self._data, pa.Table.from_batches([rows])])
        for i, (key, row) in enumerate(zip(_texts(keys, n), _texts(rows.columns, n), strict=True)):
            self._chains.setdefault(key, []).append(start + i)
            self._row_keys.append(key)
            self._rows.append(row)
        self._hash += hashes.tolist()
        self._seq += range(self._next, self._next + n)
        self._next += n
        self._live = np.append(self._live, np.ones(n, np.bool_))
        self._touched = np.append(self._touched, np.full(n, self._clock.now_ms()))
        for name, values in self._counters.items():
            self._counters[name] = np.append(values, np.zeros(n, np.int64))
        self._dirty.update(ids.tolist())
        return ids

    def matches(
        self, keys: Sequence[pa.Array], hashes: Hashes | None = None
    ) -> tuple[npt.NDArray[np.int64], Ids]:
        """The rows of each key: (row number in ``keys``, id), by row number, then arrival."""
        n = len(keys[0]) if keys else (len(hashes) if hashes is not None else 1)
        numbers: list[int] = []
        found: list[int] = []
        for i, key in enumerate(_texts(keys, n)):
            chain = self._chains.get(key, ())
            numbers += [i] * len(chain)
            found += chain
        return np.array(numbers, np.int64), np.array(found, np.int64)

    def match_counts(
        self, keys: Sequence[pa.Array], hashes: Hashes | None = None
    ) -> npt.NDArray[np.int64]:
        """How many rows each key has, int64[n]: what ``matches`` would give, without giving it."""
        n = len(keys[0]) if keys else (len(hashes) if hashes is not None else 1)
        counts = (len(self._chains.get(key, ())) for key in _texts(keys, n))
        return np.fromiter(counts, np.int64, n)

    def find(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Id of the oldest row equal in all columns, -1 where there is none; int64[n].

        Equal rows of one call get different ids.
        """
        n = rows.num_rows
        keys = [rows.column(i) for i in self.descriptor.key_columns]
        used: set[int] = set()
        out = np.full(n, -1, np.int64)
        pairs = zip(_texts(keys, n), _texts(rows.columns, n), strict=True)
        for i, (key, row) in enumerate(pairs):
            for candidate in self._chains.get(key, ()):
                if self._rows[candidate] == row and candidate not in used:
                    used.add(candidate)
                    out[i] = candidate
                    break
        return out

    def remove(self, ids: Ids) -> None:
        """Drop rows; each id at most once."""
        for i in np.asarray(ids).tolist():
            if not self._live[i]:
                msg = f"row {i} is not in use"
                raise KeyError(msg)
            self._live[i] = False
            key = self._row_keys[i]
            self._chains[key].remove(i)
            if not self._chains[key]:
                del self._chains[key]
            self._dirty.discard(i)
            if i in self._stored:
                self._stored.discard(i)
                self._gone.append((self._hash[i], self._seq[i]))

    def take(self, ids: Ids, columns: Sequence[int] | None = None) -> pa.RecordBatch:
        """Rows, or some of their columns, in the order of the ids."""
        data = self._data if columns is None else self._data.select(list(columns))
        taken = data.take(pa.array(ids)).combine_chunks()
        parts = taken.to_batches()
        if parts:
            return parts[0]
        return pa.RecordBatch.from_arrays(
            [pa.array([], f.type) for f in data.schema], schema=data.schema
        )

    def counter(self, name: str) -> Ids:
        """A counter of all rows, int64[m], by id; valid until the next add; mark what changed."""
        return self._counters[name]

    def mark(self, ids: Ids) -> None:
        """Counters of these rows changed, or the rows were touched."""
        self._dirty.update(np.asarray(ids).tolist())
        self._touched[ids] = self._clock.now_ms()

    def live(self) -> Ids:
        """All ids, in order of arrival."""
        return np.flatnonzero(self._live)

    def expire(self, now_ms: int) -> Ids:
        """Remove what was idle for the time to live; the ids removed."""
        if not self.descriptor.ttl_ms:
            return np.zeros(0, np.int64)
        old = np.flatnonzero(self._live & (self._touched + self.descriptor.ttl_ms <= now_ms))
        self.remove(old)
        return old

    # what a backend asks for ---------------------------------------------------------------------

    def take_changes(self) -> TableChanges:
        """Rows that are new or changed and those gone since the last call."""
        upserts = self._entries(sorted(self._dirty))
        self._stored |= self._dirty
        self._dirty.clear()
        gone, self._gone = self._gone, []
        hashes = np.array([h for h, _ in gone], np.uint64)
        keys = pa.array([seq.to_bytes(8, "big") for _, seq in gone], pa.large_binary())
        return TableChanges(upserts, keygroups.key_groups(hashes, self._max_parallelism), keys)

    def all_entries(self) -> TableEntries:
        """Every row."""
        return self._entries(self.live().tolist())

    def _entries(self, ids: list[int]) -> TableEntries:
        hashes = np.array([self._hash[i] for i in ids], np.uint64)
        values = []
        for i in ids:
            head = np.array([self._touched[i], *(c[i] for c in self._counters.values())], "<i8")
            row = self._data.slice(i, 1).combine_chunks().to_batches()[0]
            values.append(head.tobytes() + row.serialize().to_pybytes())
        return TableEntries(
            keygroups.key_groups(hashes, self._max_parallelism),
            pa.array([self._seq[i].to_bytes(8, "big") for i in ids], pa.large_binary()),
            pa.array(values, pa.large_binary()),
        )

    def load_entries(self, entries: TableEntries) -> None:
        """Add restored rows, as clean ones."""
        schema = self.descriptor.schema
        width = 8 * (1 + len(self._counters))
        pairs = sorted(zip(entries.keys.to_pylist(), entries.values.to_pylist(), strict=True))
        for key, value in pairs:
            batch = pa.ipc.read_record_batch(pa.py_buffer(value[width:]), schema)
            (i,) = self.add(batch).tolist()
            head = np.frombuffer(value[:width], "<i8")
            self._touched[i] = head[0]
            for counter, v in zip(self._counters.values(), head[1:], strict=True):
                counter[i] = v
            self._seq[i] = int.from_bytes(key, "big")
            self._next = max(self._next, self._seq[i] + 1)
            self._dirty.discard(i)
            self._stored.add(i)

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the table."""
        d = self.descriptor
        return {
            "format": _FORMAT,
            "row_table_schema": d.schema.remove_metadata().serialize().to_pybytes(),
            "key_positions": list(d.key_columns),
            "counters": list(d.counters),
        }

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Whether rows stored under another description fit.

        Raises:
            StateMismatchError: they do not.
        """
        if dict(stored) != dict(self.meta()):
            msg = f"the rows of state '{self.descriptor.name}' had another form"
            raise StateMismatchError(
                msg, remedy="restore with the job that wrote it, or change the operator's uid"
            )


def _texts(columns: Sequence[pa.Array], n: int) -> list[str]:
    if not columns:
        return [""] * n
    return [repr(row) for row in zip(*(c.to_pylist() for c in columns), strict=True)]
