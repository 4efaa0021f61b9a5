"""Columnar state tables: a hash index from key to slot, accumulators in arrays beside it.

A table belongs to one vectorised operator. The operator looks a batch of keys up, gets a slot for
each row, and lets kernels fold values into the accumulators' arrays. Nothing here loops over rows
in Python.

On disk a row is two byte strings. The key: the key columns (and the namespace as an int64 column
after them) as ``kernels.keycodec.encode_rows`` writes them. The value: the accumulators, see
:mod:`lesto.state.accumulators`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow, hashing, keycodec, keygroups
from lesto.kernels.index import HashIndex
from lesto.state.accumulators import (
    Accumulator,
    AccumulatorKind,
    AccumulatorSpec,
    AccumulatorType,
    Flags,
    RowCodec,
    Slots,
    accumulator,
    binary,
    row_fields,
)
from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.table_api import TableChanges, TableEntries

__all__ = [
    "Accumulator",
    "AccumulatorKind",
    "AccumulatorSpec",
    "AccumulatorType",
    "Flags",
    "Hashes",
    "Slots",
    "StateTable",
    "TableDescriptor",
    "row_fields",
]

Hashes = npt.NDArray[np.uint64]

_FORMAT: Final = 1
_INITIAL_SLOTS: Final = 1024


@dataclass(frozen=True, slots=True)
class TableDescriptor:
    """Name and columns of a state table.

    Attributes:
        name: unique among the operator's states.
        key_schema: the key columns.
        accumulators: what is kept a key.
        namespaced: whether a row belongs to a key and an int64 namespace (a window's start).
        window_ms: size of the windows when all have one; only told to who reads snapshots.
        parent: of a table whose rows belong to rows of another one, by values of their own (see
            :mod:`lesto.state.child_table`); ``key_schema`` has the columns of those values.
    """

    name: str
    key_schema: pa.Schema
    accumulators: tuple[AccumulatorSpec, ...]
    namespaced: bool = False
    window_ms: int | None = None
    parent: TableDescriptor | None = None

    def __post_init__(self) -> None:
        names = [a.name for a in self.accumulators]
        if len(set(names)) < len(names) or not self.key_schema.names:
            msg = f"table '{self.name}' needs a key and distinct accumulators, not {names}"
            raise ValueError(msg)


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
            self._types,
            namespaced=descriptor.namespaced or descriptor.parent is not None,
            capacity=_INITIAL_SLOTS,
        )
        self._accumulators = {
            spec.name: accumulator(spec, _INITIAL_SLOTS) for spec in descriptor.accumulators
        }
        self.dirty: Flags = np.zeros(_INITIAL_SLOTS, np.uint8)
        # 1 where a backend has the row, so that its removal must be told.
        self._stored: Flags = np.zeros(_INITIAL_SLOTS, np.uint8)
        self._deleted: list[TableKeys] = []
        self._rows = RowCodec(descriptor.accumulators)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        held = sum(acc.nbytes for acc in self._accumulators.values())
        return held + int(self._index.nbytes + self.dirty.nbytes + self._stored.nbytes)

    @property
    def slot_bound(self) -> int:
        """Above every slot handed out so far."""
        return self._index.slot_bound

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

    def lookup(self, keys: Sequence[pa.Array], hashes: Hashes | None = None) -> Slots:
        """Slots of the keys (of a table without namespaces), int64[n]; -1 for those not there."""
        return self._index.lookup(keys, self.hashes(keys) if hashes is None else hashes)

    def hash_of(self, slots: Slots) -> Hashes:
        """The stable hashes of the keys of some slots in use, uint64[n]."""
        return self._index.hash_of(slots)

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
        keys = TableKeys.concat(gone)
        # A key that has come back is among the upserts: telling it gone would lose it.
        keys = keys.take(np.flatnonzero(self._lookup(keys) < 0))
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
        columns, namespaces = self._decode(entries.keys)
        slots = self._restored(columns, namespaces)
        try:
            self._rows.load(list(self._accumulators.values()), slots, entries.values)
        except ValueError as error:
            msg = f"state table '{self.descriptor.name}' is damaged: {error}"
            raise CorruptFileError(msg, remedy="restore from another checkpoint") from error
        self.dirty[slots] = 0
        self._stored[slots] = 1

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the table."""
        d = self.descriptor
        return {
            "format": _FORMAT,
            "key_schema": d.key_schema.remove_metadata().serialize().to_pybytes(),
            "accumulators": [_described(a) for a in d.accumulators],
            "namespaced": d.namespaced,
            "window_ms": d.window_ms,
            **_types_of(d.accumulators),
        }

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Whether rows stored under another description fit.

        Raises:
            StateMismatchError: they do not; names the first difference.
        """
        d = self.descriptor
        then = pa.ipc.read_schema(pa.py_buffer(stored["key_schema"]))
        own = self.meta()
        now = pa.ipc.read_schema(pa.py_buffer(own["key_schema"]))
        columns = tuple([(f.name, str(f.type)) for f in schema] for schema in (then, now))
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
                acc.resize(size)
        for acc in self._accumulators.values():
            acc.reset(slots)
        self.dirty[slots] = 1

    def _lookup(self, keys: TableKeys) -> Slots:
        return self._index.lookup(keys.columns, keys.hashes, keys.namespaces)

    def _restored(self, columns: list[pa.Array], namespaces: Slots | None) -> Slots:
        return self.upsert(columns, namespaces)[0]

    def _keys_of(self, slots: Slots) -> TableKeys:
        spaces = self._index.namespaces(slots) if self.descriptor.namespaced else None
        return TableKeys(self._index.keys(slots), self._index.hash_of(slots), spaces)

    def _groups(self, hashes: Hashes) -> npt.NDArray[np.uint16]:
        return keygroups.key_groups(hashes, self._max_parallelism)

    def _entries(self, slots: Slots) -> TableEntries:
        if len(slots) == 0:
            return TableEntries.empty()
        keys = self._keys_of(slots)
        values = self._rows.encode(list(self._accumulators.values()), slots)
        return TableEntries(self._groups(keys.hashes), keys.encode(), values)

    def _decode_types(self) -> list[pa.DataType]:
        return self._types

    def _decode(self, keys: pa.Array) -> tuple[list[pa.Array], Slots | None]:
        offsets, data = arrow.offsets_and_data(arrow.one_chunk(keys))
        spaced = self.descriptor.namespaced
        types = [*self._decode_types(), pa.int64()] if spaced else self._decode_types()
        columns = keycodec.decode_rows(arrow.loopable(offsets, np.int64), data, types)
        if not spaced:
            return columns, None
        *columns, last = columns
        return columns, arrow.view(last.buffers()[1], np.int64, last.offset, len(last))


@dataclass(slots=True)
class TableKeys:
    """Keys taken out of a table: columns, hashes (without the namespace) and namespaces."""

    columns: list[pa.Array]
    hashes: Hashes
    namespaces: Slots | None

    @staticmethod
    def concat(parts: Sequence[TableKeys]) -> TableKeys:
        if len(parts) == 1:
            return parts[0]
        columns = [
            pa.concat_arrays([p.columns[i] for p in parts]) for i in range(len(parts[0].columns))
        ]
        spaces = [p.namespaces for p in parts if p.namespaces is not None]
        hashes = np.concatenate([p.hashes for p in parts])
        return TableKeys(columns, hashes, np.concatenate(spaces) if spaces else None)

    def take(self, rows: Slots) -> TableKeys:
        if len(rows) == len(self.hashes):
            return self
        indices = pa.array(rows)
        spaces = None if self.namespaces is None else self.namespaces[rows]
        return TableKeys([c.take(indices) for c in self.columns], self.hashes[rows], spaces)

    def encode(self) -> pa.Array:
        columns = self.columns
        if self.namespaces is not None:
            columns = [*columns, pa.array(self.namespaces)]
        return binary(*keycodec.encode_rows(columns))


def _described(a: AccumulatorSpec) -> list[Any]:
    return [a.name, a.kind, a.dtype, *([a.width] if a.width > 1 else [])]


def _types_of(accumulators: Sequence[AccumulatorSpec]) -> dict[str, Any]:
    """Arrow types of the accumulators for who reads snapshots, if any is not that of its dtype."""
    if all(a.type is None for a in accumulators):
        return {}
    schema = pa.schema([pa.field(a.name, a.type or pa.null()) for a in accumulators])
    return {"types": schema.serialize().to_pybytes()}


def _longer(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    out = np.zeros(size, array.dtype)
    out[: len(array)] = array
    return out
