"""Columnar state tables: a hash index from key to slot, accumulators in arrays beside it.

A table belongs to one vectorised operator. The operator looks a batch of keys up, gets a slot for
each row, and lets kernels fold values into the accumulators' arrays. Nothing here loops over rows
in Python.

On disk a row is two byte strings. The key: the key columns (and the namespace as an int64 column
after them) as ``kernels.keycodec.encode_rows`` writes them. The value: the accumulators in order,
packed; a count as 8 bytes little-endian, any other as 8 bytes and one byte that says whether it has
had a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow, hashing, keycodec, keygroups
from lesto.kernels.index import HashIndex
from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.table_api import TableChanges, TableEntries

Slots = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Flags = npt.NDArray[np.uint8]

AccumulatorKind = Literal["count", "sum", "min", "max", "first", "last"]
AccumulatorType = Literal["int64", "float64"]

_FORMAT: Final = 1
_INITIAL_SLOTS: Final = 1024


@dataclass(frozen=True, slots=True)
class AccumulatorSpec:
    """One accumulator of a table.

    Attributes:
        name: unique in the table; restored state is matched by it.
        kind: how values are folded; a count has no null, all others start as null.
        dtype: what is kept; a count is int64.
    """

    name: str
    kind: AccumulatorKind
    dtype: AccumulatorType = "int64"


@dataclass(frozen=True, slots=True)
class TableDescriptor:
    """Name and columns of a state table.

    Attributes:
        name: unique among the operator's states.
        key_schema: the key columns.
        accumulators: what is kept a key.
        namespaced: whether a row belongs to a key and an int64 namespace (a window's start).
        window_ms: size of the windows when all have one; only told to who reads snapshots.
    """

    name: str
    key_schema: pa.Schema
    accumulators: tuple[AccumulatorSpec, ...]
    namespaced: bool = False
    window_ms: int | None = None

    def __post_init__(self) -> None:
        names = [a.name for a in self.accumulators]
        if len(set(names)) < len(names) or not self.key_schema.names:
            msg = f"table '{self.name}' needs a key and distinct accumulators, not {names}"
            raise ValueError(msg)


class Accumulator:
    """The arrays of one accumulator, replaced when the table grows: read them anew each batch.

    Attributes:
        spec: name, kind and dtype.
        values: int64[m] or float64[m], by slot.
        seen: uint8[m], 0 while a slot has had no value; not used by counts.
    """

    __slots__ = ("seen", "spec", "values")

    def __init__(self, spec: AccumulatorSpec, size: int) -> None:
        self.spec = spec
        self.values: npt.NDArray[Any] = np.zeros(size, spec.dtype)
        self.seen: Flags = np.zeros(0 if spec.kind == "count" else size, np.uint8)


class StateTable:
    """A table in memory that any backend can store (see :mod:`lesto.state.table_api`).

    Attributes:
        descriptor: name and columns.
        dirty: uint8[m], 1 where a slot has changed since the last ``take_changes``. Whoever writes
            to an accumulator sets it. Replaced when the table grows, like the accumulators' arrays.
    """

    def __init__(self, descriptor: TableDescriptor, *, max_parallelism: int) -> None:
        self.descriptor = descriptor
        self._max_parallelism = max_parallelism
        self._types = list(descriptor.key_schema.types)
        self._index = HashIndex(
            self._types, namespaced=descriptor.namespaced, capacity=_INITIAL_SLOTS
        )
        self._accumulators = {
            spec.name: Accumulator(spec, _INITIAL_SLOTS) for spec in descriptor.accumulators
        }
        self.dirty: Flags = np.zeros(_INITIAL_SLOTS, np.uint8)
        # 1 where a backend has the row, so that its removal must be told.
        self._stored: Flags = np.zeros(_INITIAL_SLOTS, np.uint8)
        self._deleted: list[_Keys] = []
        self._row = np.dtype(row_fields(descriptor.accumulators))

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        arrays = [self.dirty, self._stored]
        for acc in self._accumulators.values():
            arrays += [acc.values, acc.seen]
        return self._index.nbytes + sum(a.nbytes for a in arrays)

    def accumulator(self, name: str) -> Accumulator:
        """The accumulator of that name; the object stays the same as the table grows."""
        return self._accumulators[name]

    def hashes(self, keys: Sequence[pa.Array]) -> Hashes:
        """The stable hashes of the keys, uint64[n]; they decide the key groups."""
        return hashing.hash_column(keys[0]) if len(keys) == 1 else hashing.hash_columns(keys)

    def upsert(
        self,
        keys: Sequence[pa.Array],
        namespaces: Slots | None = None,
        hashes: Hashes | None = None,
    ) -> tuple[Slots, Slots]:
        """Slots of the keys, with new, empty rows where a key was not there.

        Args:
            keys: the key columns, n rows each, of the descriptor's types.
            namespaces: int64[n] if the table is namespaced.
            hashes: what :meth:`hashes` gave for these keys, to save computing them again.

        Returns:
            ``(slots, new_rows)``: int64[n], and the row numbers that added a slot, ascending.
        """
        if hashes is None:
            hashes = self.hashes(keys)
        slots, n_new = self._index.lookup_or_insert(keys, hashes, namespaces)
        new_rows = self._index.new_rows
        if n_new:
            self._reset(slots[new_rows])
        return slots, new_rows

    def keys(self, slots: Slots) -> list[pa.Array]:
        """The key columns of some slots in use."""
        return self._index.keys(slots)

    def namespaces(self, slots: Slots) -> Slots:
        """The namespaces of some slots in use, int64[n]."""
        return self._index.namespaces(slots)

    def live_slots(self) -> Slots:
        """All slots in use, ascending."""
        return self._index.live_slots()

    def remove(self, slots: Slots) -> None:
        """Drop rows; each slot at most once. Their slots will be used again."""
        stored = slots[self._stored[slots] != 0]
        if len(stored):
            self._deleted.append(self._keys_of(stored))
            self._stored[stored] = 0
        self.dirty[slots] = 0
        self._index.remove(slots)

    # what a backend asks for ---------------------------------------------------------------------

    def take_changes(self) -> TableChanges:
        """Rows that are new or changed and keys that are gone since the last call."""
        slots = np.flatnonzero(self.dirty)
        upserts = self._entries(slots)
        self.dirty[slots] = 0
        self._stored[slots] = 1
        gone, self._deleted = self._deleted, []
        if not gone:
            none = TableEntries.empty()
            return TableChanges(upserts, none.key_groups, none.keys)
        keys = _Keys.concat(gone)
        # A key that has come back is among the upserts: telling it gone would lose it.
        absent = np.flatnonzero(self._index.lookup(keys.columns, keys.hashes, keys.namespaces) < 0)
        keys = keys.take(absent)
        return TableChanges(upserts, self._groups(keys.hashes), keys.encode())

    def all_entries(self) -> TableEntries:
        """Every row."""
        return self._entries(self.live_slots())

    def load_entries(self, entries: TableEntries) -> None:
        """Add restored rows; they count as stored and clean.

        Raises:
            CorruptFileError: the values do not have the width of a row.
        """
        if len(entries) == 0:
            return
        offsets, data = arrow.offsets_and_data(arrow.one_chunk(entries.values))
        width = self._row.itemsize
        if not (np.diff(offsets) == width).all():
            msg = f"rows of state table '{self.descriptor.name}' are not {width} bytes each"
            raise CorruptFileError(msg, remedy="restore from another checkpoint")
        packed = data[int(offsets[0]) : int(offsets[-1])].copy().view(self._row)
        columns, namespaces = self._decode(entries.keys)
        slots, _ = self.upsert(columns, namespaces)
        for i, acc in enumerate(self._accumulators.values()):
            acc.values[slots] = packed[f"v{i}"]
            if len(acc.seen):
                acc.seen[slots] = packed[f"s{i}"]
        self.dirty[slots] = 0
        self._stored[slots] = 1

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the table."""
        d = self.descriptor
        return {
            "format": _FORMAT,
            "key_schema": d.key_schema.remove_metadata().serialize().to_pybytes(),
            "accumulators": [[a.name, a.kind, a.dtype] for a in d.accumulators],
            "namespaced": d.namespaced,
            "window_ms": d.window_ms,
        }

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Whether rows stored under another description fit.

        Raises:
            StateMismatchError: they do not; names the first difference.
        """
        d = self.descriptor
        then = pa.ipc.read_schema(pa.py_buffer(stored["key_schema"]))
        columns = tuple([(f.name, str(f.type)) for f in schema] for schema in (then, d.key_schema))
        own = self.meta()
        kept = [list(a) for a in stored["accumulators"]], own["accumulators"]
        for what, (before, now) in {
            "format": (stored["format"], _FORMAT),
            "key columns": columns,
            "aggregates": kept,
            "windowing": (bool(stored["namespaced"]), d.namespaced),
        }.items():
            if before != now:
                msg = f"the {what} of state '{d.name}' were {before} and are now {now}"
                raise StateMismatchError(
                    msg, remedy="restore with the job that wrote it, or change the operator's uid"
                )

    # internals -----------------------------------------------------------------------------------

    def _reset(self, slots: Slots) -> None:
        """Make new slots empty rows: a slot may have served another key before."""
        bound = self._index.slot_bound
        if bound > len(self.dirty):
            size = max(bound, 2 * len(self.dirty))
            self.dirty = _longer(self.dirty, size)
            self._stored = _longer(self._stored, size)
            for acc in self._accumulators.values():
                acc.values = _longer(acc.values, size)
                if acc.spec.kind != "count":
                    acc.seen = _longer(acc.seen, size)
        for acc in self._accumulators.values():
            acc.values[slots] = 0
            if len(acc.seen):
                acc.seen[slots] = 0
        self.dirty[slots] = 1

    def _keys_of(self, slots: Slots) -> _Keys:
        spaces = self._index.namespaces(slots) if self.descriptor.namespaced else None
        return _Keys(self._index.keys(slots), self._index.hash_of(slots), spaces)

    def _groups(self, hashes: Hashes) -> npt.NDArray[np.uint16]:
        return keygroups.key_groups(hashes, self._max_parallelism)

    def _entries(self, slots: Slots) -> TableEntries:
        if len(slots) == 0:
            return TableEntries.empty()
        keys = self._keys_of(slots)
        packed = np.zeros(len(slots), self._row)
        for i, acc in enumerate(self._accumulators.values()):
            packed[f"v{i}"] = acc.values[slots]
            if len(acc.seen):
                packed[f"s{i}"] = acc.seen[slots]
        offsets = np.arange(len(slots) + 1, dtype=np.int64) * self._row.itemsize
        return TableEntries(
            self._groups(keys.hashes), keys.encode(), _binary(offsets, packed.view(np.uint8))
        )

    def _decode(self, keys: pa.Array) -> tuple[list[pa.Array], Slots | None]:
        offsets, data = arrow.offsets_and_data(arrow.one_chunk(keys))
        spaced = self.descriptor.namespaced
        types = [*self._types, pa.int64()] if spaced else self._types
        columns = keycodec.decode_rows(arrow.loopable(offsets, np.int64), data, types)
        if not spaced:
            return columns, None
        *columns, last = columns
        return columns, arrow.view(last.buffers()[1], np.int64, last.offset, len(last))


@dataclass(slots=True)
class _Keys:
    """Keys taken out of a table: columns, hashes (without the namespace) and namespaces."""

    columns: list[pa.Array]
    hashes: Hashes
    namespaces: Slots | None

    @staticmethod
    def concat(parts: Sequence[_Keys]) -> _Keys:
        if len(parts) == 1:
            return parts[0]
        columns = [
            pa.concat_arrays([p.columns[i] for p in parts]) for i in range(len(parts[0].columns))
        ]
        spaces = [p.namespaces for p in parts if p.namespaces is not None]
        hashes = np.concatenate([p.hashes for p in parts])
        return _Keys(columns, hashes, np.concatenate(spaces) if spaces else None)

    def take(self, rows: Slots) -> _Keys:
        if len(rows) == len(self.hashes):
            return self
        indices = pa.array(rows)
        spaces = None if self.namespaces is None else self.namespaces[rows]
        return _Keys([c.take(indices) for c in self.columns], self.hashes[rows], spaces)

    def encode(self) -> pa.Array:
        columns = self.columns
        if self.namespaces is not None:
            columns = [*columns, pa.array(self.namespaces)]
        return _binary(*keycodec.encode_rows(columns))


def row_fields(accumulators: Sequence[AccumulatorSpec]) -> list[tuple[str, str]]:
    """The numpy fields of a stored row: ``v<i>`` and, but for counts, ``s<i>`` (has a value)."""
    fields = []
    for i, spec in enumerate(accumulators):
        fields.append((f"v{i}", "<i8" if spec.dtype == "int64" else "<f8"))
        if spec.kind != "count":
            fields.append((f"s{i}", "u1"))
    return fields


def _binary(offsets: npt.NDArray[np.int64], data: Flags) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, 0)


def _longer(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    out = np.zeros(size, array.dtype)
    out[: len(array)] = array
    return out
