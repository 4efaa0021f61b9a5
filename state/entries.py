"""Captured state on its way to disk.

In the synchronous part of a snapshot state is *captured*: what can still change is encoded at once,
what cannot (scalars and flat tuples) is only referenced. The rest of the work, most of it in Arrow
and without the GIL, happens on an I/O thread in :meth:`Captured.encode`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from decimal import Decimal
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_value, hash_values
from lesto.state import codec
from lesto.state.entry_keys import prefixed, prefixes, sized
from lesto.state.table_api import TableEntries
from lesto.state.timer_queue import Timer, encode_timer

_BINARY: Final = pa.large_binary()
_EMPTY: Final = pa.scalar(b"", _BINARY)
_ONE_BYTE: Final = pa.array([bytes([n]) for n in range(255)], _BINARY)
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
        keys: the keys.
        values: aligned with the keys; None deletes.
        max_parallelism: number of key groups.
    """

    def __init__(
        self,
        state_id: int,
        namespace: Hashable,
        keys: list[Any],
        values: list[Any],
        max_parallelism: int,
    ) -> None:
        self._state_id = state_id
        self._namespace = namespace
        self._keys = keys
        self._max_parallelism = max_parallelism
        self._encoded = not codec.is_immutable(values)
        self._values: list[Any] = (
            [None if value is None else codec.encode(value) for value in values]
            if self._encoded
            else values
        )

    def __len__(self) -> int:
        return len(self._keys)

    def encode(self) -> Entries:
        """The entries."""
        keys = cell_keys(self._state_id, self._namespace, self._keys, self._max_parallelism)
        values = self._values
        if not self._encoded:
            if None in values:
                values = [None if value is None else codec.encode(value) for value in values]
            else:
                values = codec.encode_all(values)
        return keys, pa.array(values, _BINARY)


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
        groups = key_groups_of([key for _, key, _ in timers], self._max_parallelism)
        heads = prefixes(self._max_parallelism, self._state_id)
        keys = [heads[g] + encode_timer(timer) for g, timer in zip(groups, timers, strict=True)]
        values = [b""] * len(self._added) + [None] * len(self._deleted)
        return pa.array(keys, _BINARY), pa.array(values, _BINARY)


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
    if len(keys) <= 32:
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
    encoded = encode_keys(keys)
    tail = namespace_part(namespace)
    groups = key_groups_of(keys, max_parallelism)
    if len(keys) <= 32 or max(map(len, encoded)) >= 255:
        heads = prefixes(max_parallelism, state_id)
        whole = [heads[g] + sized(e) + tail for g, e in zip(groups, encoded, strict=True)]
        return pa.array(whole, _BINARY)
    parts = pa.array(encoded, _BINARY)
    table = pa.array(prefixes(max_parallelism, state_id), _BINARY)
    return pc.binary_join_element_wise(
        table.take(pa.array(groups)),
        _ONE_BYTE.take(pc.binary_length(parts)),
        parts,
        pa.scalar(tail, _BINARY),
        _EMPTY,
    )


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
    order = pc.array_sort_indices(keys)  # stable
    keys = keys.take(order)
    values = values.take(order)
    if len(keys) > 1:
        repeated = pc.equal(keys[:-1], keys[1:])
        if pc.any(repeated).as_py():  # keys unequal in Python but equal as bytes: NaN
            last = np.append(~repeated.to_numpy(zero_copy_only=False), True)
            keys, values = keys.filter(pa.array(last)), values.filter(pa.array(last))
    if on_encoded is not None:
        on_encoded(int(keys.nbytes + values.nbytes))
    return keys, values
