"""Captured state on its way to disk.

In the synchronous part of a snapshot state is *captured*: what can still change is encoded at once,
what cannot (scalars and flat tuples) is only referenced. The rest of the work, most of it in Arrow
and without the GIL, happens on an I/O thread in :meth:`Captured.encode`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.kernels import arrow, keygroups, packing
from lesto.kernels.hashing import hash_column, hash_columns, hash_value, hash_values
from lesto.kernels.partition import take_array
from lesto.state import codec
from lesto.state.entry_keys import prefixed, prefixes, sized
from lesto.state.table_api import TableEntries
from lesto.state.timer_queue import Timer, encode_timer

_BINARY: Final = pa.large_binary()
_ROW_KEY_BYTES: Final = 12
#: So few go without the compiled loops, which a process may not have loaded yet.
FEW: Final = 32
#: Types of keys with one form only.
_SETTLED: Final = frozenset({str, int, bytes, type(None)})

#: Entry keys and values, aligned; a null value deletes the key.
Entries = tuple[pa.Array, pa.Array]


class Captured(Protocol):
    """A part of a snapshot that later changes of state do not affect."""

    def encode(self) -> Entries:
        """The entries, in no order; called once, on any thread."""
        ...


class CapturedCells:
    """Cells of one state in one namespace, one entry each.

    Args:
        state_id: number of the state.
        namespace: the namespace.
        keys: the keys, in a collection that nobody changes later (views of a dict will do).
        values: aligned with the keys; None deletes.
        max_parallelism: number of key groups.

    Attributes:
        deletes: whether a value is None.
    """

    def __init__(
        self,
        state_id: int,
        namespace: Hashable,
        keys: Collection[Any],
        values: Collection[Any],
        max_parallelism: int,
    ) -> None:
        self._state_id = state_id
        self._namespace = namespace
        self._keys = keys
        self._max_parallelism = max_parallelism
        kinds = set(map(type, values))
        self.deletes = type(None) in kinds
        self._encoded = not kinds <= codec.SCALARS and not codec.is_immutable(values)
        self._values: Collection[Any] = (
            [None if value is None else codec.encode(value) for value in values]
            if self._encoded
            else values
        )

    def __len__(self) -> int:
        return len(self._keys)

    def encode(self) -> Entries:
        """The entries."""
        keys = cell_keys(self._state_id, self._namespace, list(self._keys), self._max_parallelism)
        values = list(self._values)
        if self._encoded:
            return keys, pa.array(values, _BINARY)
        return keys, encoded_values(values)


class CapturedBytes:
    """Entries whose keys and values are bytes already; a None value deletes."""

    def __init__(self, keys: list[bytes], values: Sequence[bytes | None]) -> None:
        self._keys = keys
        self._values = values

    def __len__(self) -> int:
        return len(self._keys)

    def encode(self) -> Entries:
        """The entries."""
        return pa.array(self._keys, _BINARY), pa.array(self._values, _BINARY)


class CapturedTimers:
    """Timers added and deleted."""

    def __init__(
        self, state_id: int, added: list[Timer], deleted: list[Timer], max_parallelism: int
    ) -> None:
        self._state_id = state_id
        self._added = added
        self._deleted = deleted
        self._max_parallelism = max_parallelism

    def __len__(self) -> int:
        return len(self._added) + len(self._deleted)

    def encode(self) -> Entries:
        """The entries."""
        timers = self._added + self._deleted
        values = [b""] * len(self._added) + [None] * len(self._deleted)
        return self._keys(timers), pa.array(values, _BINARY)

    def _keys(self, timers: list[Timer]) -> pa.Array:
        if len(timers) > FEW:
            times, keys, namespaces = map(list, zip(*timers, strict=True))
            columns = _key_columns(keys)
            tails = namespace_tails(namespaces)
            if columns is not None and tails is not None:
                groups = _groups_of_columns(columns, self._max_parallelism)
                sortable = np.array(times, np.int64).view(np.uint64) ^ np.uint64(1 << 63)
                return packing.pack_entry_keys(
                    columns, groups, self._state_id, tails, times=sortable
                )
        groups = key_groups_of([key for _, key, _ in timers], self._max_parallelism)
        heads = prefixes(self._max_parallelism, self._state_id)
        whole = [heads[g] + encode_timer(timer) for g, timer in zip(groups, timers, strict=True)]
        return pa.array(whole, _BINARY)


class CapturedTable:
    """Rows of a state table, and keys deleted from it."""

    def __init__(
        self,
        state_id: int,
        upserts: TableEntries,
        deleted_key_groups: Any,
        deleted_keys: pa.Array,
        max_parallelism: int,
    ) -> None:
        self._state_id = state_id
        self._upserts = upserts
        self._deleted_key_groups = deleted_key_groups
        self._deleted_keys = deleted_keys
        self._max_parallelism = max_parallelism

    def __len__(self) -> int:
        return len(self._upserts) + len(self._deleted_keys)

    def encode(self) -> Entries:
        """The entries."""
        rows = self._upserts
        keys = prefixed(rows.key_groups, self._state_id, self._max_parallelism, rows.keys)
        values = rows.values
        values = values if pa.types.is_large_binary(values.type) else values.cast(_BINARY)
        if len(self._deleted_keys):
            gone = prefixed(
                self._deleted_key_groups, self._state_id, self._max_parallelism, self._deleted_keys
            )
            keys = pa.concat_arrays([keys, gone])
            values = pa.concat_arrays([values, pa.nulls(len(gone), _BINARY)])
        return keys, values


def key_groups_of(keys: Sequence[Any], max_parallelism: int) -> Any:
    """Key group of each key, a sequence of ints."""
    if len(keys) <= FEW:
        return [keygroups.key_group_for_hash(hash_value(key), max_parallelism) for key in keys]
    return keygroups.key_groups(hash_values(keys), max_parallelism)


def canonical_key(key: Any) -> Any:
    """The one form of keys that are equal in Python: True, 1 and 1.0 address the same cell."""
    kind = type(key)
    if kind in _SETTLED:
        return key
    if kind is bool:
        return int(key)
    if kind is float:
        return int(key) if key.is_integer() else key
    if kind is tuple:
        return tuple(map(canonical_key, key))
    if isinstance(key, np.generic):
        return canonical_key(key.item())
    if kind is Decimal and key.is_finite():
        return int(key) if key == key.to_integral_value() else key.normalize()
    return key


def encode_keys(keys: Sequence[Any]) -> list[bytes]:
    """Bytes of keys in canonical form."""
    if _SETTLED.issuperset(map(type, keys)):
        return codec.encode_all(keys)
    return [codec.encode_key(canonical_key(key)) for key in keys]


def cell_tail(key: Any, namespace: Hashable) -> bytes:
    """What follows the prefix in the entry key of a cell."""
    return sized(codec.encode_key(canonical_key(key))) + namespace_part(namespace)


def namespace_part(namespace: Hashable) -> bytes:
    """A namespace as it stands in entry keys."""
    return sized(codec.encode_key(canonical_key(namespace)))


def cell_keys(
    state_id: int, namespace: Hashable, keys: list[Any], max_parallelism: int
) -> pa.Array:
    """Entry keys of many cells of one namespace."""
    tail = namespace_part(namespace)
    columns = _key_columns(keys) if len(keys) > FEW else None
    if columns is not None:
        groups = _groups_of_columns(columns, max_parallelism)
        return packing.pack_entry_keys(columns, groups, state_id, tail)
    encoded = encode_keys(keys)
    heads = prefixes(max_parallelism, state_id)
    groups = key_groups_of(keys, max_parallelism)
    whole = [heads[g] + sized(e) + tail for g, e in zip(groups, encoded, strict=True)]
    return pa.array(whole, _BINARY)


def encoded_values(values: list[Any]) -> pa.Array:
    """Bytes of immutable values; null for None."""
    columns = packing.columns_of(values, nullable=True) if len(values) > FEW else None
    if columns is not None:
        return packing.pack(columns, len(values))
    if None in values:
        return pa.array([None if v is None else codec.encode(v) for v in values], _BINARY)
    return pa.array(codec.encode_all(values), _BINARY)


def namespace_tails(namespaces: Sequence[Any]) -> bytes | packing.Columns | None:
    """Namespaces behind the keys of timers, for one packing of all; None: one by one."""
    if all(namespace is None for namespace in namespaces):
        return codec.encode_key(None)
    return packing.columns_of(namespaces)


def _key_columns(keys: Sequence[Any]) -> packing.Columns | None:
    """Keys as columns where their bytes do not depend on what they are equal to (1.0 is 1)."""
    columns = packing.columns_of(keys)
    if columns is None or any(pa.types.is_floating(field.type) for field in columns.fields):
        return None
    return columns


def _groups_of_columns(columns: packing.Columns, max_parallelism: int) -> Any:
    if columns.is_tuple:
        hashes = hash_columns(columns.fields)
    else:
        hashes = hash_column(columns.fields[0])
    return keygroups.key_groups(hashes, max_parallelism)


def sorted_entries(
    parts: Iterable[Captured], *, on_encoded: Callable[[int], None] | None = None
) -> Entries:
    """All parts' entries in one sorted run with unique keys (of equal keys the last stays).

    Args:
        parts: what was captured.
        on_encoded: told the bytes of keys and values.
    """
    encoded = [part.encode() for part in parts]
    if not encoded:
        return pa.array([], _BINARY), pa.array([], _BINARY)
    keys = pa.concat_arrays([keys for keys, _ in encoded])
    values = pa.concat_arrays([values for _, values in encoded])
    del encoded
    if not _ascend(keys):
        keys, values = _sorted(keys, values)
    if on_encoded is not None:
        on_encoded(int(keys.nbytes + values.nbytes))
    return keys, values


def _ascend(keys: pa.Array) -> bool:
    """Whether keys of twelve bytes, as those of row tables, are in order, each of them once."""
    n = len(keys)
    offsets, data = arrow.offsets_and_data(keys)
    if n < FEW or keys.null_count or not (np.diff(offsets) == _ROW_KEY_BYTES).all():
        return False
    rows = data[int(offsets[0]) : int(offsets[-1])].reshape(n, _ROW_KEY_BYTES)
    head = np.ascontiguousarray(rows[:, :4]).view(">u4").ravel()
    tail = np.ascontiguousarray(rows[:, 4:]).view(">u8").ravel()
    same = head[1:] == head[:-1]
    return bool(((head[1:] > head[:-1]) | (same & (tail[1:] > tail[:-1]))).all())


def _sorted(keys: pa.Array, values: pa.Array) -> Entries:
    """In the order of the keys; of equal keys the last stays."""
    order = packing.sort_indices(keys)  # stable
    if len(keys) <= FEW:
        keys, values = keys.take(order), values.take(order)
    else:
        rows = order.to_numpy()
        keys, values = take_array(keys, rows), take_array(values, rows)
    if len(keys) > 1:
        repeated = pc.equal(keys[:-1], keys[1:])
        if pc.any(repeated).as_py():  # keys unequal in Python but equal as bytes: NaN
            last = np.append(~repeated.to_numpy(zero_copy_only=False), True)
            keys, values = keys.filter(pa.array(last)), values.filter(pa.array(last))
    return keys, values
