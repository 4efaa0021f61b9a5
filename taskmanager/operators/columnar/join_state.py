"""Records of a window join in keyed state: one value for each key group, slice, side and snapshot.

Nothing is stored record by record. At a snapshot the records that have come since the one before
are cut by key group, and each cut is one Arrow message, stored under one of its keys: so it goes
where its records belong when the job is rescaled, and each snapshot writes only what is new.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from lesto.kernels import hashing
from lesto.kernels.keygroups import key_group_for_hash
from lesto.kernels.keygroups import key_groups as key_groups_of
from lesto.kernels.partition import split_batch
from lesto.kernels.scalar import hash_value
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.base import OperatorContext
from lesto.taskmanager.operators.columnar.fired import FiredRange

RECORDS_STATE: Final = "_join_records"
#: Union list state: the namespaces in use, and until when a subtask's windows had fired.
JOINS_STATE: Final = "joins"

#: Slice, side, number of the snapshot in this attempt.
Namespace = tuple[int, int, int]


class _Stored(msgspec.Struct, array_like=True):
    """What a subtask had at a snapshot.

    Attributes:
        first, last: its key groups.
        fired_until: ms until which windows had fired.
        namespaces: of its records.
    """

    first: int
    last: int
    fired_until: int
    namespaces: list[Namespace]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Stored).decode


class JoinState:
    """The stored records of one operator.

    Args:
        context: of the operator.
        schemas: of both sides.
    """

    def __init__(self, context: OperatorContext, schemas: Sequence[pa.Schema]) -> None:
        self._context = context
        self._schemas = schemas
        self._backend = context.keyed_backend()
        self._state: Any = self._backend.get_state(ValueStateDescriptor(RECORDS_STATE))
        #: By slice and side: batches that no snapshot has, with their key columns.
        self._new: dict[tuple[int, int], list[tuple[pa.RecordBatch, list[pa.Array]]]] = {}
        #: By slice and side: where the stored records lie.
        self._stored: dict[tuple[int, int], list[tuple[Namespace, Any]]] = {}
        self._number = 0

    def add(self, slice_start: int, side: int, data: pa.RecordBatch, keys: list[pa.Array]) -> None:
        """Records have come."""
        self._new.setdefault((slice_start, side), []).append((data, keys))

    def drop(self, slice_start: int, side: int) -> None:
        """A slice is over."""
        self._new.pop((slice_start, side), None)
        backend = self._backend
        for namespace, key in self._stored.pop((slice_start, side), ()):
            self._state.set_namespace(namespace)
            backend.current_key = key
            self._state.clear()

    def fired(self) -> list[FiredRange]:
        """Until when windows had fired in the snapshot this started from."""
        saved = map(_decode, self._context.restored_list(JOINS_STATE))
        return [(item.first, item.last, item.fired_until) for item in saved]

    def save(self, fired: Sequence[FiredRange]) -> dict[str, list[bytes]]:
        """Write what is new; gives the union list state."""
        self._number += 1
        for (slice_start, side), batches in self._new.items():
            self._write((slice_start, side, self._number), batches)
        self._new.clear()
        spaces = {namespace: None for found in self._stored.values() for namespace, _ in found}
        named = [list(spaces), *([] for _ in fired[1:])]
        stored = [_Stored(*part, spaces) for part, spaces in zip(fired, named, strict=True)]
        return {JOINS_STATE: [_encode(item) for item in stored]}

    def _write(
        self, namespace: Namespace, batches: list[tuple[pa.RecordBatch, list[pa.Array]]]
    ) -> None:
        whole = pa.Table.from_batches([data for data, _ in batches]).combine_chunks()
        data = whole.to_batches()[0]
        keys = [pa.concat_arrays(list(column)) for column in zip(*(k for _, k in batches))]  # noqa: B905
        hashes = hashing.hash_column(keys[0]) if len(keys) == 1 else hashing.hash_columns(keys)
        backend = self._backend
        groups = key_groups_of(hashes, backend.max_parallelism).astype(np.int64)
        first = backend.key_group_start
        channels = (groups - first).astype(np.int32)
        count = backend.key_group_end - first + 1
        a_row = np.zeros(count, np.int64)
        a_row[channels] = np.arange(len(channels))
        self._state.set_namespace(namespace)
        stored = self._stored.setdefault(namespace[:2], [])
        for group, part in enumerate(split_batch(data, channels, count)):
            if part is None:
                continue
            key = _key_at(keys, int(a_row[group]))
            backend.current_key = key
            # A slice of a gathered batch: serialising it writes its rows alone.
            self._state.update(part.serialize().to_pybytes())
            stored.append((namespace, key))

    def restored(self) -> Iterator[tuple[int, int, pa.RecordBatch, int]]:
        """Slice, side, records, and the ms until which windows had fired for them."""
        saved = [_decode(item) for item in self._context.restored_list(JOINS_STATE)]
        backend, state = self._backend, self._state
        spaces = {namespace: None for item in saved for namespace in item.namespaces}
        for namespace in sorted(spaces):
            self._number = max(self._number, namespace[2])
            slice_start, side, _ = namespace
            state.set_namespace(namespace)
            keys = list(backend.keys(RECORDS_STATE, namespace))
            for backend.current_key in keys:
                key = backend.current_key
                data = pa.ipc.read_record_batch(pa.py_buffer(state.value()), self._schemas[side])
                self._stored.setdefault((slice_start, side), []).append((namespace, key))
                group = key_group_for_hash(hash_value(key), backend.max_parallelism)
                until = max(s.fired_until for s in saved if s.first <= group <= s.last)
                yield slice_start, side, data, until


def _key_at(keys: Sequence[pa.Array], row: int) -> Any:
    values = tuple(column[row].as_py() for column in keys)
    return values[0] if len(values) == 1 else values
