"""What a row table keeps, and its rows as bytes: in segments and on disk.

On disk a row is two byte strings. The key: its sequence number, 8 bytes big-endian, which is unique
within a key group (whose rows one subtask has at a time) and ascends by arrival. The value: its
counters and, with a time to live, when it was last touched (8 bytes each, little-endian), then the
row's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow
from lesto.kernels.jit import native
from lesto.kernels.partition import partition
from lesto.kernels.rowcodec import SPARE, Prepared, RowCodec
from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.table_api import TableEntries

Int64s = npt.NDArray[np.int64]

_FORMAT: Final = 1
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

    def prepare(self, rows: pa.RecordBatch) -> PreparedRows:
        """Look at rows, so that the room they need is known."""
        n = rows.num_rows
        key = self.key.prepare([rows.column(i) for i in self.key_columns], n)
        rest = self.rest.prepare([rows.column(i) for i in self.rest_columns], n)
        return PreparedRows(key, rest, key.sizes + rest.sizes, self.key_sizes(key.sizes))

    def key_sizes(self, sizes: Int64s) -> Int64s:
        """Bytes of each row's key, or one number if all keys have as many."""
        return sizes if self.key.texts else np.array([self.key.fixed], np.int64)

    def write(self, rows: PreparedRows, places: Int64s) -> None:
        """Write rows at addresses."""
        self.key.write(rows.key, places)
        self.rest.write(rows.rest, places + rows.key_sizes)

    def read(self, rows: Int64s, columns: Sequence[int] | None) -> pa.RecordBatch:
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

    def may_have_nulls(self) -> None:
        """Rows that this layout did not write will be read."""
        self.key.may_have_nulls()
        self.rest.may_have_nulls()


@dataclass(slots=True)
class PreparedRows:
    """Rows about to be written.

    Attributes:
        key: their keys.
        rest: the rest.
        sizes: bytes of each, int64[n].
        key_sizes: bytes of each one's key, or one number.
    """

    key: Prepared
    rest: Prepared
    sizes: Int64s
    key_sizes: Int64s


def describe(d: RowTableDescriptor) -> dict[str, Any]:
    """What snapshots say of a table."""
    return {
        "format": _FORMAT,
        "row_table_schema": d.schema.remove_metadata().serialize().to_pybytes(),
        "key_positions": list(d.key_columns),
        "counters": list(d.counters),
        "expiring": bool(d.ttl_ms),
    }


def check_description(d: RowTableDescriptor, stored: Mapping[str, Any]) -> None:
    """Whether rows stored under another description fit.

    Raises:
        StateMismatchError: they do not; names the first difference.
    """
    name, own = d.name, describe(d)
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

    sequence: Int64s
    places: Int64s
    limits: Int64s
    heads: Int64s
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


def in_order(groups: npt.NDArray[np.uint16], sequence: Int64s, max_parallelism: int) -> Any:
    """Numbers of rows by key group, then sequence number, as they are stored.

    Args:
        groups: key group of each row.
        sequence: int64[n]; mostly ascends already.
        max_parallelism: number of key groups.
    """
    if len(sequence) > 1 and (sequence[1:] < sequence[:-1]).any():
        return np.lexsort((sequence, groups))
    return partition(groups.astype(np.int32), max_parallelism)[0]


def sequence_keys(sequence: Int64s) -> pa.Array:
    """The stored keys of rows."""
    data = sequence.astype(">i8").view(np.uint8)
    return binary(np.arange(len(sequence) + 1, dtype=np.int64) * 8, data)


def binary(offsets: Int64s, data: npt.NDArray[np.uint8]) -> pa.Array:
    """An array of the bytes between offsets."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, 0)
