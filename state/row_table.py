"""Rows kept by key: a bag of rows a key, in order of arrival, addressed by ids.

A row is a run of bytes (:mod:`lesto.kernels.rowcodec`) in a segment: the key's columns, then the
others. An index (:mod:`lesto.state.row_index`) leads from a key to the chain of its rows; another
one, made when it is first worth it, from a row's content to its id. All of it moves into files
beyond the memory that tables may take (:mod:`lesto.state.row_memory`). Nothing here loops over rows
in Python.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.clock import Clock, SystemClock
from lesto.kernels import arrow, hashing, keygroups
from lesto.kernels.jit import native
from lesto.kernels.partition import take_batch
from lesto.kernels.rowcodec import SPARE
from lesto.state.row_index import DIRTY, LIVE, STORED, Hashes, Ids, Int64s, RowIndex
from lesto.state.row_layout import (
    PreparedRows,
    RowLayout,
    RowTableDescriptor,
    binary,
    check_description,
    describe,
    in_order,
    sequence_keys,
    stored_rows,
)
from lesto.state.row_memory import GrowingArray, Segments, TableMemory
from lesto.state.table_api import TableChanges, TableEntries

__all__ = ["Hashes", "Ids", "RowTable", "RowTableDescriptor"]

#: With files: rows that are worked on between two looks at resident memory.
PIECE_ROWS: Final = 4_096
#: Changed rows of more bytes are handed to the backend between checkpoints.
FLUSHED_BYTES: Final = 16 << 20
#: What a changed row is taken for besides its bytes, roughly.
_CHANGE_BYTES: Final = 32
#: Sparse segments that one removal moves rows out of, at most.
COMPACTED_SEGMENTS: Final = 8
_COMPACTED_BYTES_MIN: Final = 4 << 20
_NEVER: Final = 2**63 - 1
_NO_FLAGS: Final = np.zeros(0, np.uint8)


class RowTable:
    """Rows by key; any backend can store it (see :mod:`lesto.state.table_api`).

    Args:
        descriptor: name and columns.
        max_parallelism: number of key groups.
        clock: for the time to live.
        memory: where it lies; by default within the budget of the process.

    Attributes:
        flush: called when more than ``FLUSHED_BYTES`` have changed since the last
            ``take_changes``, so that they do not pile up; None to let them.
        changed_bytes: roughly, of the rows that changed.
    """

    def __init__(
        self,
        descriptor: RowTableDescriptor,
        *,
        max_parallelism: int,
        clock: Clock | None = None,
        memory: TableMemory | None = None,
    ) -> None:
        self.descriptor = descriptor
        self.flush: Callable[[], None] | None = None
        self.changed_bytes = 0
        self._types = list(descriptor.schema.types)
        self._clock = clock or SystemClock()
        self._max_parallelism = max_parallelism
        self._layout = RowLayout(descriptor)
        memory = memory or TableMemory()
        self._budget = memory.budget
        self._segments = Segments(memory)
        self._index = RowIndex(memory, self._segments, descriptor.name)
        self._counters = {name: GrowingArray(memory, np.int64) for name in descriptor.counters}
        self._touched = GrowingArray(memory, np.int64)
        self._oldest = _NEVER  # no row was touched before
        self._gone: list[tuple[Hashes, Int64s]] = []
        self._probed: tuple[Hashes, list[tuple[int, Int64s, int]]] | None = None

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes held, in memory and in files."""
        return sum(a.array.nbytes for a in self._arrays()) + self._segments.total

    @property
    def held(self) -> int:
        """Bytes held in memory that are not in files."""
        return sum(a.held for a in self._arrays()) + self._segments.bytes_held

    def hashes(self, keys: Sequence[pa.Array]) -> Hashes:
        """The stable hashes of the keys, uint64[n]; they decide the key groups.

        Raises:
            ValueError: the table has one key for all rows: there are no key columns.
        """
        if not keys:
            msg = "a table with one key for all rows has no keys to hash"
            raise ValueError(msg)
        return hashing.hash_column(keys[0]) if len(keys) == 1 else hashing.hash_columns(keys)

    # -- rows come and go

    def add(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Keep rows.

        Args:
            rows: of the descriptor's types.
            hashes: what :meth:`hashes` gave for their keys, to save computing them again.

        Returns:
            Their ids, int64[n], in use until the rows are removed.

        Raises:
            StorageError: memory has run out, and the local disk is full or fails.
        """
        n = rows.num_rows
        hashes = self._hashes_of(rows, hashes)
        parts = []
        for piece in self._pieces(n):
            part = rows if len(piece) == n else rows.slice(piece.start, len(piece))
            parts.append(self._add(part, hashes[_of(piece)]))
            self._settle()
        if self.changed_bytes > FLUSHED_BYTES and self.flush is not None:
            self.flush()
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _add(self, rows: pa.RecordBatch, hashes: Hashes) -> Ids:
        prepared = self._layout.prepare(rows)
        offsets = self._segments.place(prepared.sizes)
        self._layout.write(prepared, self._segments.addresses(offsets))
        ids = self._new_ids(rows.num_rows)
        self._index.enter(hashes, ids, offsets, prepared.sizes, prepared.key_sizes, LIVE | DIRTY)
        if self.descriptor.ttl_ms:
            self._touch(ids)
        for counter in self._counters.values():
            counter.array[ids] = 0
        self.changed_bytes += int(prepared.sizes.sum()) + _CHANGE_BYTES * len(ids)
        return ids

    def _new_ids(self, n: int) -> Ids:
        self._probed = None
        ids = self._index.new_ids(n)
        bound = self._index.bound
        for counter in self._counters.values():
            counter.reserve(bound)
        if self.descriptor.ttl_ms:
            self._touched.reserve(bound)
        return ids

    def remove(self, ids: Ids) -> None:
        """Drop rows; each id at most once.

        Raises:
            KeyError: an id is not in use, or given twice; no row is dropped.
        """
        index = self._index
        self._probed = None
        ids = index.checked(ids)
        index.claim(ids)
        for piece in self._pieces(len(ids)):
            gone = index.remove(ids[_of(piece)])
            if len(gone[0]):
                self._gone.append(gone)
            self._budget.breathe()
        self._segments.release()
        self._compact()
        self._settle()

    def expire(self, now_ms: int) -> Ids:
        """Remove the rows that have been idle for the time to live.

        Args:
            now_ms: the time by the clock that the backend has.

        Returns:
            The ids that were in use.
        """
        ttl = self.descriptor.ttl_ms
        if not ttl or self._oldest > now_ms - ttl:
            return np.zeros(0, np.int64)
        flags = self._index.flags
        touched, alive = self._touched.array[: len(flags)], flags & LIVE != 0
        old = np.flatnonzero(alive & (touched <= now_ms - ttl))
        kept = touched[alive & (touched > now_ms - ttl)]
        self._oldest = int(kept.min()) if len(kept) else _NEVER
        self.remove(old)
        return old

    # -- looking rows up

    def matches(self, keys: Sequence[pa.Array], hashes: Hashes | None = None) -> tuple[Int64s, Ids]:
        """The rows of each key; NULL equals NULL here.

        Args:
            keys: the key columns, n values each. Of a table without key columns: none, and the
                length of ``hashes`` (or else 1) says for how many rows all rows are given.
            hashes: what :meth:`hashes` gave for these keys.

        Returns:
            Row numbers in ``keys`` and ids, int64[m] each, by row number, then order of arrival.
        """
        parts = []
        for start, slots, total in self._slots(keys, hashes):
            numbers, ids = self._index.rows_of(slots, total)
            parts.append((numbers + start if start else numbers, ids))
            self._budget.breathe()
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([part[0] for part in parts]), np.concatenate([p[1] for p in parts])

    def match_counts(self, keys: Sequence[pa.Array], hashes: Hashes | None = None) -> Int64s:
        """How many rows each key has, int64[n]; the arguments are those of :meth:`matches`.

        A call of that with the same array of hashes, before the table changes, finds them again.
        """
        if not keys:
            return np.full(1 if hashes is None else len(hashes), len(self), np.int64)
        found = list(self._slots(keys, hashes))
        if hashes is not None:
            self._probed = hashes, found
        return np.concatenate([self._index.counts(slots) for _, slots, _ in found])

    def _slots(
        self, keys: Sequence[pa.Array], hashes: Hashes | None
    ) -> Iterator[tuple[int, Int64s, int]]:
        """Piece by piece: the first row, key slots (-1 for none), how many rows they have."""
        if not keys:
            hashes = np.zeros(1 if hashes is None else len(hashes), np.uint64)
        elif hashes is None:
            hashes = self.hashes(keys)
        elif self._probed is not None and self._probed[0] is hashes:
            yield from self._probed[1]
            return
        codec = self._layout.key
        for piece in self._pieces(len(hashes)):
            part = [key.slice(piece.start, len(piece)) for key in keys]
            starts, data = codec.encode(part, len(piece))
            sizes = self._layout.key_sizes(np.diff(starts))
            places = starts[:-1] + data.ctypes.data
            yield piece.start, *self._index.probe(hashes[_of(piece)], places, sizes)

    def find(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Id of the oldest row equal in all columns, -1 where there is none; int64[n].

        Equal rows of one call get different ids. NULL equals NULL, NaN equals NaN.
        """
        n, index = rows.num_rows, self._index
        hashes = self._hashes_of(rows, hashes)
        found = np.empty(n, np.int64)
        index.begin_find()
        for piece in self._pieces(n):
            prepared, places, memory = self._scratch(rows.slice(piece.start, len(piece)))
            part = found[_of(piece)]
            if index.by_content:
                index.find_by_content(places, prepared.sizes, part)
            else:
                slots, _ = index.probe(hashes[_of(piece)], places, prepared.key_sizes)
                if not index.find_in_chains(slots, places, prepared.sizes, part):
                    self._begin_contents()
                    return self.find(rows, hashes)
            del memory
            self._budget.breathe()
        return found

    def _scratch(self, rows: pa.RecordBatch) -> tuple[PreparedRows, Int64s, Any]:
        """Rows in memory of their own: what they are, their addresses, the memory."""
        prepared = self._layout.prepare(rows)
        data = np.empty(int(prepared.sizes.sum()) + SPARE, np.uint8)
        places = np.cumsum(prepared.sizes) - prepared.sizes + data.ctypes.data
        self._layout.write(prepared, places)
        return prepared, places, data

    def _begin_contents(self) -> None:
        every = self.live()
        self._index.begin_contents()
        for piece in self._pieces(len(every)):
            self._index.enter_contents(every[_of(piece)])
            self._budget.breathe()

    def take(self, ids: Ids, columns: Sequence[int] | None = None) -> pa.RecordBatch:
        """Rows, or some of their columns, in the order of the ids.

        Raises:
            KeyError: an id is not in use.
        """
        index = self._index
        ids = index.checked(ids)
        if not self._budget.in_files or len(ids) == 0:
            return self._layout.read(index.located(ids), columns)
        parts = []
        for piece in self._pieces(len(ids)):
            part = ids[_of(piece)]
            order = np.argsort(index.words[part, 0])
            rows = self._layout.read(index.located(part[order]), columns)
            back = np.empty(len(order), np.int64)
            back[order] = np.arange(len(order))
            parts.append(take_batch(rows, back) if rows.num_columns else rows)
            self._budget.breathe()
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)

    def live(self) -> Ids:
        """All ids, in order of arrival."""
        return self._index.live()

    def counter(self, name: str) -> Int64s:
        """A counter of all rows, int64[m], indexed by id; a view, valid until the next add.

        Whoever writes to it marks the rows.
        """
        return self._counters[name].array

    def mark(self, ids: Ids) -> None:
        """Counters of these rows have changed, or the rows were touched."""
        ids = self._index.checked(ids)
        self._index.flags[ids] |= DIRTY
        if self.descriptor.ttl_ms:
            self._touch(ids)
        self.changed_bytes += 2 * _CHANGE_BYTES * len(ids)

    def _touch(self, ids: Ids) -> None:
        if len(ids):
            now = self._clock.now_ms()
            self._touched.array[ids] = now
            self._oldest = min(self._oldest, now)

    # -- what a backend asks for

    def take_changes(self, most_bytes: int | None = None) -> TableChanges:
        """Rows that are new or changed and those gone since the last call.

        Args:
            most_bytes: of rows; what is more stays for the next call. None for all.
        """
        flags = self._index.flags
        changed = np.flatnonzero(flags & (LIVE | DIRTY) == LIVE | DIRTY)
        self.changed_bytes = 0
        if most_bytes is not None:
            behind = np.cumsum(self._index.sizes(changed) + _CHANGE_BYTES)
            taken = max(1, int(np.searchsorted(behind, most_bytes, side="right")))
            if taken < len(changed):
                self.changed_bytes = int(behind[-1] - behind[taken - 1])
                changed = changed[:taken]
        upserts = self._entries(changed)
        flags[changed] = LIVE | STORED
        gone, self._gone = self._gone, []
        hashes = np.concatenate([part[0] for part in gone]) if gone else np.zeros(0, np.uint64)
        sequence = np.concatenate([part[1] for part in gone]) if gone else np.zeros(0, np.int64)
        groups = keygroups.key_groups(hashes, self._max_parallelism)
        return TableChanges(upserts, groups, sequence_keys(sequence))

    def all_entries(self) -> TableEntries:
        """Every row, in the order of what is stored."""
        return self._entries(self.live())

    def _entries(self, ids: Ids) -> TableEntries:
        if len(ids) == 0:
            return TableEntries.empty()
        head, index, loops = self._layout.head, self._index, native("rowbytes")
        groups = keygroups.key_groups(index.key_hashes(ids), self._max_parallelism)
        order = in_order(groups, index.words[ids, 3], self._max_parallelism)
        ids, groups = ids[order], groups[order]
        sizes = index.sizes(ids)
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(sizes + head, out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        targets = offsets[:-1] + (data.ctypes.data + head)
        for i, column in enumerate(self._head_columns()):
            words = column.array[ids].view(np.uint64)
            loops.write64(words, _NO_FLAGS, targets, 8 * i - head)
        for piece in self._pieces(len(ids)):
            places = index.located(ids[_of(piece)])
            loops.copy_rows(places, targets[_of(piece)], sizes[_of(piece)])
            self._budget.breathe()
        return TableEntries(groups, sequence_keys(index.words[ids, 3]), binary(offsets, data))

    def load_entries(self, entries: TableEntries) -> None:
        """Add restored rows; they count as stored and clean.

        Raises:
            CorruptFileError: a value is no row of these columns.
        """
        layout = self._layout
        found = stored_rows(entries, self.descriptor, layout)
        layout.may_have_nulls()
        for piece in self._pieces(len(found.sequence)):
            at = _of(piece)
            places = found.places[at]
            sizes = found.limits[at] - places
            keys = layout.key.read(places)
            hashes = self.hashes(keys) if keys else np.zeros(len(piece), np.uint64)
            offsets = self._segments.place(sizes)
            native("rowbytes").copy_rows(places, self._segments.addresses(offsets), sizes)
            ids = self._new_ids(len(piece))
            key_sizes = layout.key_sizes(layout.key.ends(places) - places)
            self._index.enter(
                hashes, ids, offsets, sizes, key_sizes, LIVE | STORED, found.sequence[at]
            )
            self._set_heads(ids, found.heads[at])
            self._settle()

    def add_stored(self, rows: pa.RecordBatch, start: int, heads: Int64s) -> Ids:
        """Add rows as if they had been restored.

        Args:
            rows: of the descriptor's types.
            start: sequence number of the first; they arrive in this order.
            heads: int64[n, k]: counters, then when touched.
        """
        self._index.next_sequence = start
        ids = self.add(rows)
        self._set_heads(ids, heads)
        return ids

    def _head_columns(self) -> list[GrowingArray]:
        """What stands in front of a stored row."""
        return [*self._counters.values(), *([self._touched] if self.descriptor.ttl_ms else [])]

    def _set_heads(self, ids: Ids, heads: Int64s) -> None:
        for i, column in enumerate(self._head_columns()):
            column.array[ids] = heads[:, i]
        if self.descriptor.ttl_ms and len(ids):
            self._oldest = min(self._oldest, int(heads[:, -1].min()))

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the table."""
        return describe(self.descriptor)

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Whether rows stored under another description fit.

        Raises:
            StateMismatchError: they do not; names the first difference.
        """
        check_description(self.descriptor, stored)

    # -- memory

    def spill(self, target: int) -> None:
        """Move rows, then indices, into files until ``target`` bytes are left in memory."""
        arrays = sorted(self._arrays(), key=lambda a: -a.held)
        self._segments.spill(max(0, target - sum(a.held for a in arrays)))
        over = self.held - target
        for array in arrays:
            if over <= 0:
                return
            over -= array.held
            array.to_file()

    def _arrays(self) -> Iterator[GrowingArray]:
        yield from self._index.arrays()
        yield self._touched
        yield from self._counters.values()

    def _settle(self) -> None:
        self._budget.settle(self, self.held)

    def _compact(self) -> None:
        """Move rows out of segments that are mostly dead, when more than half is."""
        segments = self._segments
        total = segments.total
        if total >= _COMPACTED_BYTES_MIN and 2 * segments.living <= total:
            for segment in segments.sparse(COMPACTED_SEGMENTS):
                self._index.move_out(segment)

    # -- internals

    def _pieces(self, n: int) -> list[range]:
        if n <= PIECE_ROWS or not self._budget.in_files:
            return [range(n)]
        return [range(at, min(n, at + PIECE_ROWS)) for at in range(0, n, PIECE_ROWS)]

    def _hashes_of(self, rows: pa.RecordBatch, hashes: Hashes | None) -> Hashes:
        if rows.schema.types != self._types:
            msg = f"the rows have columns {rows.schema.types}, not {self._types}"
            raise TypeError(msg)
        if not self.descriptor.key_columns:
            return np.zeros(rows.num_rows, np.uint64)
        if hashes is None:
            return self.hashes([rows.column(i) for i in self.descriptor.key_columns])
        if len(hashes) != rows.num_rows:
            msg = f"{len(hashes)} hashes for {rows.num_rows} rows"
            raise ValueError(msg)
        return arrow.loopable(hashes, np.uint64)


def _of(piece: range) -> slice:
    return slice(piece.start, piece.stop)
