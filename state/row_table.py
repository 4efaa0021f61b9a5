"""Rows kept by key: a bag of rows a key, in order of arrival, addressed by ids.

A row is a run of bytes (:mod:`lesto.kernels.rowcodec`) in a segment: the key's columns, then the
others. An index leads from a key to the chain of its rows; another one, made when it is first
worth it, from a row's content to its id. All of it moves into files beyond the memory that tables
may take (:mod:`lesto.state.row_memory`). Nothing here loops over rows in Python.

On disk a row is two byte strings. The key: its sequence number, 8 bytes big-endian, which is unique
within a key group (whose rows one subtask has at a time) and ascends by arrival. The value: its
counters and, with a time to live, when it was last touched (8 bytes each, little-endian), then the
row's bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.clock import Clock, SystemClock
from lesto.kernels import arrow, hashing, keygroups
from lesto.kernels.jit import native
from lesto.kernels.partition import take_batch
from lesto.kernels.rowcodec import SPARE, Prepared, RowCodec
from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.row_memory import GrowingArray, Segments, TableMemory
from lesto.state.table_api import TableChanges, TableEntries

Ids = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

#: A key's rows are looked through one by one while they are no more.
CHAIN_MAX: Final = 16
#: With files: rows that are worked on between two looks at resident memory.
PIECE_ROWS: Final = 8_192
#: Changed rows of more bytes are handed to the backend between checkpoints.
FLUSHED_BYTES: Final = 32 << 20
#: Sparse segments that one removal moves rows out of, at most.
COMPACTED_SEGMENTS: Final = 8
_COMPACTED_BYTES_MIN: Final = 4 << 20
_ROWS_MAX: Final = (1 << 31) - 8
_FORMAT: Final = 1
_LIVE, _DIRTY, _STORED = 1, 2, 4
_IDS, _FREE_IDS, _SLOTS, _FREE_SLOTS, _KEYS, _SEQ = range(6)
_NO_SEQUENCE: Final = np.zeros(0, np.int64)
_REMEDY: Final = "restore with the job that wrote it, or change the operator's uid"


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


class RowLayout:
    """Rows of a descriptor as bytes: the key, then the columns that are not wholly in it.

    Attributes:
        key: the key's columns, in which -0.0 is 0.0.
        rest: the others, and key columns that have floating point.
        head: bytes in front of a stored row.
    """

    def __init__(self, descriptor: RowTableDescriptor) -> None:
        types = list(descriptor.schema.types)
        keys = descriptor.key_columns
        self.key_columns = list(keys)
        self.rest_columns = [
            i for i, kind in enumerate(types) if i not in keys or has_floating(kind)
        ]
        self.key = RowCodec([types[i] for i in keys], merged_zeros=True)
        self.rest = RowCodec([types[i] for i in self.rest_columns])
        self.head = 8 * (len(descriptor.counters) + bool(descriptor.ttl_ms))
        self._schema = descriptor.schema

    def read(self, rows: npt.NDArray[np.int64], columns: Sequence[int] | None) -> pa.RecordBatch:
        """Columns of the rows at addresses."""
        chosen = list(range(len(self._schema))) if columns is None else list(columns)
        in_key = [i for i in chosen if i not in self.rest_columns]
        in_rest = [i for i in chosen if i in self.rest_columns]
        found: dict[int, pa.Array] = {}
        if in_key:
            places = [self.key_columns.index(i) for i in in_key]
            found |= zip(in_key, self.key.read(rows, places), strict=True)
        if in_rest:
            places = [self.rest_columns.index(i) for i in in_rest]
            parts = self.rest.read(self.key.ends(rows), places)
            found |= zip(in_rest, parts, strict=True)
        schema = pa.schema([self._schema.field(i) for i in chosen])
        return pa.RecordBatch.from_arrays([found[i] for i in chosen], schema=schema)


@dataclass(slots=True)
class _Batch:
    """Rows about to be written: bytes of each, and of its key (one number if all are equal)."""

    key: Prepared
    rest: Prepared
    sizes: npt.NDArray[np.int64]
    key_sizes: npt.NDArray[np.int64]


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
        self._clock = clock or SystemClock()
        self._max_parallelism = max_parallelism
        self._layout = RowLayout(descriptor)
        self._memory = memory or TableMemory()
        self._budget = self._memory.budget
        self._segments = Segments(self._memory)
        self._state = np.zeros(6, np.int64)
        new = self._memory
        self._rows = GrowingArray(new, np.int64)  # 4 words a row
        self._flags = GrowingArray(new, np.uint8)
        self._free_ids = GrowingArray(new, np.int32)
        self._table = GrowingArray(new, np.uint64, 16)
        self._keys = GrowingArray(new, np.int64)  # 5 words a key
        self._free_slots = GrowingArray(new, np.int32)
        self._counters = {name: GrowingArray(new, np.int64) for name in descriptor.counters}
        self._touched = GrowingArray(new, np.int64)
        self._oldest = 2**63 - 1  # no row was touched before
        # Rows by content, once they are needed.
        self._contents: GrowingArray | None = None
        self._content_count = 0
        self._twins = GrowingArray(new, np.int32)  # 2 numbers a row
        self._stamps = GrowingArray(new, np.int32)  # 2 numbers a row
        self._stamp = 0
        self._gone: list[tuple[Hashes, Ids]] = []
        self.changed_bytes = 0

    def __len__(self) -> int:
        return int(self._state[_IDS] - self._state[_FREE_IDS])

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

    # -- rows

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
        ids = np.empty(n, np.int64)
        hashes = self._hashes_of(rows, hashes)
        for piece in self._pieces(n):
            self._add(rows.slice(piece.start, len(piece)), hashes[_of(piece)], ids[_of(piece)])
            self._settle()
        if self.changed_bytes > FLUSHED_BYTES and self.flush is not None:
            self.flush()
        return ids

    def _add(self, rows: pa.RecordBatch, hashes: Hashes, ids: Ids) -> None:
        batch = self._prepare(rows)
        offsets = self._segments.place(batch.sizes)
        self._write(batch, self._segments.addresses(offsets))
        self._enter(
            hashes, ids, offsets, batch.sizes, batch.key_sizes, _NO_SEQUENCE, _LIVE | _DIRTY
        )
        if self.descriptor.ttl_ms:
            self._touch(ids)
        for counter in self._counters.values():
            counter.array[ids] = 0
        self.changed_bytes += int(batch.sizes.sum()) + 32 * len(ids)

    def matches(
        self, keys: Sequence[pa.Array], hashes: Hashes | None = None
    ) -> tuple[npt.NDArray[np.int64], Ids]:
        """The rows of each key; NULL equals NULL here.

        Args:
            keys: the key columns, n values each. Of a table without key columns: none, and the
                length of ``hashes`` (or else 1) says for how many rows all rows are given.
            hashes: what :meth:`hashes` gave for these keys.

        Returns:
            Row numbers in ``keys`` and ids, int64[m] each, by row number, then order of arrival.
        """
        if not keys:
            n = 1 if hashes is None else len(hashes)
            hashes = np.zeros(n, np.uint64)
        elif hashes is None:
            hashes = self.hashes(keys)
        n = len(hashes)
        parts = []
        for piece in self._pieces(n):
            part = [key.slice(piece.start, len(piece)) for key in keys]
            numbers, ids = self._matches(part, hashes[_of(piece)])
            parts.append((numbers + piece.start if piece.start else numbers, ids))
        if len(parts) == 1:
            return parts[0]
        return (
            np.concatenate([numbers for numbers, _ in parts]),
            np.concatenate([ids for _, ids in parts]),
        )

    def match_counts(
        self, keys: Sequence[pa.Array], hashes: Hashes | None = None
    ) -> npt.NDArray[np.int64]:
        """How many rows each key has, int64[n]; the arguments are those of :meth:`matches`."""
        if not keys:
            return np.full(1 if hashes is None else len(hashes), len(self), np.int64)
        if hashes is None:
            hashes = self.hashes(keys)
        counts = np.zeros(len(hashes), np.int64)
        held = self._keys.array.view(np.int32)
        for piece in self._pieces(len(hashes)):
            part = [key.slice(piece.start, len(piece)) for key in keys]
            slots, _ = self._slots_of(part, hashes[_of(piece)])
            there = np.flatnonzero(slots >= 0)
            counts[piece.start + there] = held[slots[there] * 10 + 4]
            self._budget.breathe()
        return counts

    def _slots_of(self, keys: list[pa.Array], hashes: Hashes) -> tuple[npt.NDArray[np.int64], int]:
        starts, data = self._layout.key.encode(keys, len(hashes))
        places = starts[:-1] + data.ctypes.data
        return self._probe(hashes, places, self._key_sizes(np.diff(starts)))

    def _matches(self, keys: list[pa.Array], hashes: Hashes) -> tuple[npt.NDArray[np.int64], Ids]:
        slots, total = self._slots_of(keys, hashes)
        numbers, ids = np.empty(total, np.int64), np.empty(total, np.int64)
        native("rowindex").walk(slots, self._keys.address, self._rows.address, numbers, ids)
        self._budget.breathe()
        return numbers, ids

    def find(self, rows: pa.RecordBatch, hashes: Hashes | None = None) -> Ids:
        """Id of the oldest row equal in all columns, -1 where there is none; int64[n].

        Equal rows of one call get different ids. NULL equals NULL, NaN equals NaN.
        """
        n = rows.num_rows
        hashes = self._hashes_of(rows, hashes)
        found = np.empty(n, np.int64)
        self._stamps.reserve(2 * int(self._state[_IDS]))
        self._stamp += 1
        if self._stamp == 1 << 30:
            self._stamps.array[:] = 0
            self._stamp = 1
        by_content = self._contents is not None
        for piece in self._pieces(n):
            part = rows.slice(piece.start, len(piece))
            given = found[_of(piece)]
            if not by_content and not self._find_in_chains(part, hashes[_of(piece)], given):
                self._enter_contents(self.live())
                return self.find(rows, hashes)
            if by_content:
                self._find_by_content(part, given)
            self._budget.breathe()
        return found

    def remove(self, ids: Ids) -> None:
        """Drop rows; each id at most once.

        Raises:
            KeyError: an id is not in use, or given twice; no row is dropped.
        """
        ids = self._checked(ids)
        wrong = native("rowindex").claim(ids, self._flags.array)
        if wrong >= 0:
            msg = f"row {int(ids[wrong])} is not in use"
            raise KeyError(msg)
        for piece in self._pieces(len(ids)):
            self._remove(ids[_of(piece)])
            self._budget.breathe()
        self._segments.release()
        self._compact()
        self._settle()

    def _remove(self, ids: Ids) -> None:
        loops = native("rowindex")
        bases = self._segments.bases.ctypes.data
        if self._contents is not None:
            self._content_count -= loops.leave_content(
                ids, self._contents.address, len(self._contents.array) - 1,
                self._twins.address, self._rows.address, bases,
            )  # fmt: skip
        self._free_ids.reserve(int(self._state[_FREE_IDS]) + len(ids))
        self._free_slots.reserve(int(self._state[_FREE_SLOTS]) + len(ids))
        stored = np.zeros(1, np.int64)
        hashes, sequence = np.empty(len(ids), np.uint64), np.empty(len(ids), np.int64)
        loops.unlink(
            ids, self._table.address, len(self._table.array) - 1, self._keys.address,
            self._free_slots.address, self._rows.address, self._free_ids.address,
            self._flags.array, self._segments.held, self._state, stored, hashes, sequence,
        )  # fmt: skip
        count = int(stored[0])
        if count:
            self._gone.append((hashes[:count].copy(), sequence[:count].copy()))

    def take(self, ids: Ids, columns: Sequence[int] | None = None) -> pa.RecordBatch:
        """Rows, or some of their columns, in the order of the ids.

        Raises:
            KeyError: an id is not in use.
        """
        ids = self._checked(ids)
        if not self._budget.in_files or len(ids) == 0:
            return self._layout.read(self._located(ids), columns)
        parts = []
        for piece in self._pieces(len(ids)):
            part = ids[_of(piece)]
            order = np.argsort(self._words()[part, 0])
            rows = self._layout.read(self._located(part[order]), columns)
            back = np.empty(len(order), np.int64)
            back[order] = np.arange(len(order))
            parts.append(take_batch(rows, back) if rows.num_columns else rows)
            self._budget.breathe()
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)

    def counter(self, name: str) -> Ids:
        """A counter of all rows, int64[m], indexed by id; a view, valid until the next add.

        Whoever writes to it marks the rows.
        """
        return self._counters[name].array

    def mark(self, ids: Ids) -> None:
        """Counters of these rows have changed, or the rows were touched."""
        ids = self._checked(ids)
        self._flags.array[ids] |= _DIRTY
        if self.descriptor.ttl_ms:
            self._touch(ids)
        self.changed_bytes += 64 * len(ids)

    def live(self) -> Ids:
        """All ids, in order of arrival."""
        used = int(self._state[_IDS])
        ids = np.flatnonzero(self._flags.array[:used] & _LIVE)
        sequence = self._words()[ids, 3]
        if len(ids) > 1 and (sequence[1:] < sequence[:-1]).any():
            ids = ids[np.argsort(sequence, kind="stable")]
        return ids

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
        used = int(self._state[_IDS])
        touched, alive = self._touched.array[:used], self._flags.array[:used] & _LIVE != 0
        old = np.flatnonzero(alive & (touched <= now_ms - ttl))
        kept = touched[alive & (touched > now_ms - ttl)]
        self._oldest = int(kept.min()) if len(kept) else 2**63 - 1
        self.remove(old)
        return old

    # -- what a backend asks for

    def take_changes(self, most_bytes: int | None = None) -> TableChanges:
        """Rows that are new or changed and those gone since the last call.

        Args:
            most_bytes: of rows; what is more stays for the next call. None for all.
        """
        used = int(self._state[_IDS])
        flags = self._flags.array[:used]
        changed = np.flatnonzero(flags & (_LIVE | _DIRTY) == _LIVE | _DIRTY)
        self.changed_bytes = 0
        if most_bytes is not None:
            behind = np.cumsum((self._words()[changed, 2] >> 32) + 32)
            taken = int(np.searchsorted(behind, most_bytes, side="right"))
            if taken < len(changed):
                self.changed_bytes = int(behind[-1] - behind[taken])
                changed = changed[: max(taken, 1)]
        upserts = self._entries(changed)
        flags[changed] = _LIVE | _STORED
        gone, self._gone = self._gone, []
        hashes = np.concatenate([h for h, _ in gone]) if gone else np.zeros(0, np.uint64)
        sequence = np.concatenate([s for _, s in gone]) if gone else _NO_SEQUENCE
        groups = keygroups.key_groups(hashes, self._max_parallelism)
        return TableChanges(upserts, groups, _sequence_keys(sequence))

    def all_entries(self) -> TableEntries:
        """Every row."""
        return self._entries(self.live())

    def _entries(self, ids: Ids) -> TableEntries:
        if len(ids) == 0:
            return TableEntries.empty()
        head = self._layout.head
        words = self._words()[ids]
        sizes = words[:, 2] >> 32
        offsets = np.zeros(len(ids) + 1, np.int64)
        np.cumsum(sizes + head, out=offsets[1:])
        data = np.empty(int(offsets[-1]), np.uint8)
        targets = offsets[:-1] + (data.ctypes.data + head)
        columns = [c.array for c in self._counters.values()]
        columns += [self._touched.array] if self.descriptor.ttl_ms else []
        loops = native("rowbytes")
        for i, column in enumerate(columns):
            loops.write64(column[ids].view(np.uint64), _NO_FLAGS, targets, 8 * i - head)
        for piece in self._pieces(len(ids)):
            part = ids[_of(piece)]
            loops.copy_rows(self._located(part), targets[_of(piece)], sizes[_of(piece)])
            self._budget.breathe()
        hashes = np.empty(len(ids), np.uint64)
        native("rowindex").key_hashes(ids, self._rows.address, self._keys.address, hashes)
        return TableEntries(
            keygroups.key_groups(hashes, self._max_parallelism),
            _sequence_keys(words[:, 3]),
            _binary(offsets, data),
        )

    def load_entries(self, entries: TableEntries) -> None:
        """Add restored rows; they count as stored and clean.

        Raises:
            CorruptFileError: a value is no row of these columns.
        """
        found = stored_rows(entries, self.descriptor, self._layout)
        for codec in (self._layout.key, self._layout.rest):
            codec.may_have_nulls()
        for piece in self._pieces(len(found.sequence)):
            at = _of(piece)
            places = found.places[at]
            keys = self._layout.key.read(places)
            hashes = self.hashes(keys) if keys else np.zeros(len(piece), np.uint64)
            sizes = found.limits[at] - places
            offsets = self._segments.place(sizes)
            native("rowbytes").copy_rows(places, self._segments.addresses(offsets), sizes)
            ids = np.empty(len(piece), np.int64)
            key_sizes = self._key_sizes(self._layout.key.ends(places) - places)
            self._enter(hashes, ids, offsets, sizes, key_sizes, found.sequence[at], _LIVE | _STORED)
            for i, counter in enumerate(self._counters.values()):
                counter.array[ids] = found.heads[at, i]
            if self.descriptor.ttl_ms:
                touched = found.heads[at, len(self._counters)]
                self._touched.array[ids] = touched
                self._oldest = min(self._oldest, int(touched.min()))
            self._settle()

    def add_stored(self, rows: pa.RecordBatch, start: int, heads: npt.NDArray[np.int64]) -> Ids:
        """Add rows as if they had been restored.

        Args:
            rows: of the descriptor's types.
            start: sequence number of the first; they arrive in this order.
            heads: int64[n, k]: counters, then when touched.
        """
        self._state[_SEQ] = start
        ids = self.add(rows)
        for i, counter in enumerate(self._counters.values()):
            counter.array[ids] = heads[:, i]
        if self.descriptor.ttl_ms:
            self._touched.array[ids] = heads[:, len(self._counters)]
        return ids

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the table."""
        d = self.descriptor
        return {
            "format": _FORMAT,
            "row_table_schema": d.schema.remove_metadata().serialize().to_pybytes(),
            "key_positions": list(d.key_columns),
            "counters": list(d.counters),
            "expiring": bool(d.ttl_ms),
        }

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Whether rows stored under another description fit.

        Raises:
            StateMismatchError: they do not; names the first difference.
        """
        name, own = self.descriptor.name, self.meta()
        schemas = []
        for description in (stored, own):
            data = description.get("row_table_schema")
            if data is None:
                msg = f"state '{name}' held no table of rows"
                raise StateMismatchError(msg, remedy=_REMEDY)
            schemas.append([(f.name, str(f.type)) for f in pa.ipc.read_schema(pa.py_buffer(data))])
        # Names do not matter: columns are addressed by position.
        types = [[kind for _, kind in columns] for columns in schemas]
        for what, before, now in (
            ("format", stored["format"], own["format"]),
            ("columns", *(schemas if types[0] != types[1] else (0, 0))),
            ("key columns", list(stored["key_positions"]), own["key_positions"]),
            ("counters", list(stored["counters"]), own["counters"]),
            ("expiry", bool(stored["expiring"]), own["expiring"]),
        ):
            if before != now:
                msg = f"the {what} of state '{name}' were {before} and are now {now}"
                raise StateMismatchError(msg, remedy=_REMEDY)

    # -- memory

    def spill(self, target: int) -> None:
        """Move rows, then indices, into files until ``target`` bytes are left in memory."""
        arrays = sorted(self._arrays(), key=lambda a: -a.held)
        index_bytes = sum(a.held for a in arrays)
        self._segments.spill(max(0, target - index_bytes))
        over = self.held - target
        for array in arrays:
            if over <= 0:
                return
            over -= array.held
            array.to_file()

    def _arrays(self) -> Iterator[GrowingArray]:
        yield from (self._rows, self._flags, self._free_ids, self._table, self._keys)
        yield from (self._free_slots, self._touched, self._twins, self._stamps)
        yield from self._counters.values()
        if self._contents is not None:
            yield self._contents

    def _settle(self) -> None:
        self._budget.settle(self, self.held)

    def _compact(self) -> None:
        """Move rows out of segments that are mostly dead, when more than half is."""
        segments = self._segments
        total = segments.total
        if total < _COMPACTED_BYTES_MIN or 2 * segments.living > total:
            return
        loops = native("rowindex")
        for segment in segments.sparse(COMPACTED_SEGMENTS):
            used = int(segments.filled[segment])
            ids, sizes = np.empty(used // 8, np.int64), np.empty(used // 8, np.int64)
            count = loops.living(
                int(segments.bases[segment]), used, segment, self._rows.address,
                self._flags.array, ids, sizes,
            )  # fmt: skip
            ids, sizes = ids[:count], sizes[:count]
            offsets = segments.place(sizes)
            old = segments.addresses(self._words()[ids, 0]) - 8
            native("rowbytes").copy_rows(old, segments.addresses(offsets) - 8, sizes + 8)
            self._words()[ids, 0] = offsets
            segments.held[segment] = 0
            segments.release()

    # -- internals

    def _pieces(self, n: int) -> list[range]:
        if n <= PIECE_ROWS or not self._budget.in_files:
            return [range(n)]
        return [range(at, min(n, at + PIECE_ROWS)) for at in range(0, n, PIECE_ROWS)]

    def _words(self) -> npt.NDArray[np.int64]:
        words: npt.NDArray[np.int64] = self._rows.array[: len(self._rows.array) & ~3].reshape(-1, 4)
        return words

    def _hashes_of(self, rows: pa.RecordBatch, hashes: Hashes | None) -> Hashes:
        if [f.type for f in rows.schema] != list(self.descriptor.schema.types):
            msg = f"the rows have columns {rows.schema.types}, not {self.descriptor.schema.types}"
            raise TypeError(msg)
        if not self.descriptor.key_columns:
            return np.zeros(rows.num_rows, np.uint64)
        if hashes is None:
            return self.hashes([rows.column(i) for i in self.descriptor.key_columns])
        if len(hashes) != rows.num_rows:
            msg = f"{len(hashes)} hashes for {rows.num_rows} rows"
            raise ValueError(msg)
        return arrow.loopable(hashes, np.uint64)

    def _key_sizes(self, sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return sizes if self._layout.key.texts else np.array([self._layout.key.fixed], np.int64)

    def _prepare(self, rows: pa.RecordBatch) -> _Batch:
        layout, n = self._layout, rows.num_rows
        key = layout.key.prepare([rows.column(i) for i in layout.key_columns], n)
        rest = layout.rest.prepare([rows.column(i) for i in layout.rest_columns], n)
        return _Batch(key, rest, key.sizes + rest.sizes, self._key_sizes(key.sizes))

    def _write(self, batch: _Batch, places: npt.NDArray[np.int64]) -> None:
        self._layout.key.write(batch.key, places)
        self._layout.rest.write(batch.rest, places + batch.key_sizes)

    def _enter(
        self,
        hashes: Hashes,
        ids: Ids,
        offsets: npt.NDArray[np.int64],
        sizes: npt.NDArray[np.int64],
        key_sizes: npt.NDArray[np.int64],
        sequence: Ids,
        flag: int,
    ) -> None:
        """Give rows, whose bytes are written, ids and places in the indices."""
        n, state = len(ids), self._state
        loops = native("rowindex")
        fresh = max(0, n - int(state[_FREE_IDS]))
        bound = int(state[_IDS]) + fresh
        if bound > _ROWS_MAX:
            msg = f"more than {_ROWS_MAX} rows in state '{self.descriptor.name}' of one subtask"
            raise MemoryError(msg)
        loops.take_ids(self._free_ids.address, 0, ids, state)
        self._rows.reserve(4 * bound)
        self._flags.reserve(bound)
        for counter in self._counters.values():
            counter.reserve(bound)
        if self.descriptor.ttl_ms:
            self._touched.reserve(bound)
        self._keys.reserve(5 * (int(state[_SLOTS]) + n))
        self._table = self._with_room(self._table, int(state[_KEYS]) + n)
        loops.link(
            hashes, ids, offsets, sizes, key_sizes, sequence, self._table.address,
            len(self._table.array) - 1, self._keys.address, self._free_slots.address,
            self._rows.address, self._segments.bases.ctypes.data, self._flags.array, flag, state,
        )  # fmt: skip
        if self._contents is not None:
            self._enter_contents(ids)

    def _with_room(self, table: GrowingArray, count: int) -> GrowingArray:
        """The table, or a larger one with its entries, no more than 3/4 full with ``count``."""
        size = len(table.array)
        while count * 4 > size * 3:
            size *= 2
        if size == len(table.array):
            return table
        larger = table.successor(size)
        native("hashindex").rehash(table.array, larger.array)
        return larger

    def _probe(
        self, hashes: Hashes, places: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], int]:
        slots = np.empty(len(hashes), np.int64)
        total = native("rowindex").probe(
            arrow.loopable(hashes, np.uint64), places, sizes, self._table.address,
            len(self._table.array) - 1, self._keys.address, self._rows.address,
            self._segments.bases.ctypes.data, slots,
        )  # fmt: skip
        return slots, total

    def _scratch(self, rows: pa.RecordBatch) -> tuple[_Batch, npt.NDArray[np.int64], Any]:
        """Rows in memory of their own: what they are, their addresses, the memory."""
        batch = self._prepare(rows)
        starts = np.cumsum(batch.sizes) - batch.sizes
        data = np.empty(int(batch.sizes.sum()) + SPARE, np.uint8)
        places = starts + data.ctypes.data
        self._write(batch, places)
        return batch, places, data

    def _find_in_chains(self, rows: pa.RecordBatch, hashes: Hashes, found: Ids) -> bool:
        """Fill ``found``; False when a key has too many rows."""
        batch, places, memory = self._scratch(rows)
        slots, _ = self._probe(hashes, places, batch.key_sizes)
        at = native("rowindex").find_in_chains(
            slots, places, batch.sizes, self._keys.address, self._rows.address,
            self._segments.bases.ctypes.data, self._stamps.address, self._stamp, CHAIN_MAX, found,
        )  # fmt: skip
        del memory
        return bool(at < 0)

    def _find_by_content(self, rows: pa.RecordBatch, found: Ids) -> None:
        batch, places, memory = self._scratch(rows)
        assert self._contents is not None
        native("rowindex").find_by_content(
            places, batch.sizes, self._contents.address, len(self._contents.array) - 1,
            self._twins.address, self._rows.address, self._segments.bases.ctypes.data,
            self._stamps.address, self._stamp, found,
        )  # fmt: skip
        del memory

    def _enter_contents(self, ids: Ids) -> None:
        if self._contents is None:
            self._contents = GrowingArray(self._memory, np.uint64, 16)
            self._stamps.array[:] = 0  # they have had another meaning
        self._twins.reserve(2 * int(self._state[_IDS]))
        for piece in self._pieces(len(ids)):
            part = ids[_of(piece)]
            self._contents = self._with_room(self._contents, self._content_count + len(part))
            self._content_count += native("rowindex").enter_content(
                part, self._contents.address, len(self._contents.array) - 1,
                self._twins.address, self._rows.address, self._segments.bases.ctypes.data,
            )  # fmt: skip
            self._budget.breathe()

    def _touch(self, ids: Ids) -> None:
        now = self._clock.now_ms()
        self._touched.array[ids] = now
        if len(ids):
            self._oldest = min(self._oldest, now)

    def _checked(self, ids: Ids) -> Ids:
        ids = arrow.loopable(np.asarray(ids), np.int64)
        if len(ids) and not (ids.min() >= 0 and ids.max() < self._state[_IDS]):
            msg = "a row's id is out of bounds"
            raise KeyError(msg)
        return ids

    def _located(self, ids: Ids) -> npt.NDArray[np.int64]:
        places = np.empty(len(ids), np.int64)
        wrong = native("rowindex").locate_rows(
            ids, self._rows.address, self._segments.bases.ctypes.data, self._flags.array, places
        )
        if wrong >= 0:
            msg = f"row {int(ids[wrong])} is not in use"
            raise KeyError(msg)
        return places


_NO_FLAGS: Final = np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Stored rows by sequence number.

    Attributes:
        sequence: their numbers, int64[n].
        places: addresses of the rows' bytes.
        limits: addresses behind them.
        heads: the numbers in front of them, int64[n, k]: counters, then when touched.
        memory: keeps the bytes.
    """

    sequence: Ids
    places: npt.NDArray[np.int64]
    limits: npt.NDArray[np.int64]
    heads: npt.NDArray[np.int64]
    memory: npt.NDArray[np.uint8]


def stored_rows(
    entries: TableEntries, descriptor: RowTableDescriptor, layout: RowLayout
) -> StoredRows:
    """Rows as a backend has stored them.

    Raises:
        CorruptFileError: a value is no row of these columns.
    """
    keys, values = arrow.one_chunk(entries.keys), arrow.one_chunk(entries.values)
    n, head = len(keys), layout.head
    offsets, data = arrow.offsets_and_data(values)
    bounds = offsets.astype(np.int64)
    memory = np.empty(int(bounds[-1] - bounds[0]) + SPARE if n else SPARE, np.uint8)
    memory[: len(memory) - SPARE] = data[bounds[0] : bounds[-1]] if n else 0
    bounds -= bounds[0] if n else 0
    key_offsets, key_data = arrow.offsets_and_data(keys)
    whole = bool((np.diff(key_offsets) == 8).all() and (np.diff(bounds) >= head).all())
    rows = bounds[:-1] + (memory.ctypes.data + head)
    limits = bounds[1:] + memory.ctypes.data
    if whole:
        middle = layout.key.checked_ends(rows, limits)
        ends = None if middle is None else layout.rest.checked_ends(middle, limits)
        whole = ends is not None and bool((ends == limits).all())
    if not whole:
        msg = f"rows of state '{descriptor.name}' are damaged"
        raise CorruptFileError(msg, remedy="restore from another checkpoint")
    at = int(key_offsets[0]) if n else 0
    sequence = key_data[at : at + 8 * n].copy().view(">i8").astype(np.int64)
    order = np.argsort(sequence, kind="stable")
    heads = np.empty((n, head // 8), np.int64)
    for i in range(head // 8):
        column = np.empty(n, np.uint64)
        native("rowbytes").read64(rows, 8 * i - head, column)
        heads[:, i] = column.view(np.int64)
    return StoredRows(sequence[order], rows[order], limits[order], heads[order], memory)


def stored_descriptor(name: str, meta: Mapping[str, Any]) -> RowTableDescriptor:
    """The table that a snapshot's description tells of."""
    return RowTableDescriptor(
        name,
        pa.ipc.read_schema(pa.py_buffer(meta["row_table_schema"])),
        tuple(meta["key_positions"]),
        tuple(meta["counters"]),
        1 if meta["expiring"] else 0,
    )


def has_floating(kind: pa.DataType) -> bool:
    """Whether values of a type have parts in floating point."""
    if pa.types.is_nested(kind):
        return any(has_floating(kind.field(i).type) for i in range(kind.num_fields))
    return bool(pa.types.is_floating(kind))


def _of(piece: range) -> slice:
    return slice(piece.start, piece.stop)


def _sequence_keys(sequence: Ids) -> pa.Array:
    data = sequence.astype(">i8").view(np.uint8)
    return _binary(np.arange(len(sequence) + 1, dtype=np.int64) * 8, data)


def _binary(offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, 0)
