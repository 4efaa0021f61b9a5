"""Which channel a record goes to: one partitioner per kind of edge.

A partitioner splits a batch into (channel, piece) pairs and keeps the order of records within a
piece.
"""

from __future__ import annotations

import itertools
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from operator import index
from typing import Any

import cloudpickle
import numpy as np
import numpy.typing as npt

from lesto.common.convert import to_rows
from lesto.common.elements import Batch, ColumnarBatch, RowBatch
from lesto.common.keys import KeySpec
from lesto.kernels import hashing, keygroups, partition
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.operators.errors import InvalidPartitionError
from lesto.taskmanager.operators.field_access import unusable_key
from lesto.taskmanager.operators.user_functions import function_name, user_errors
from lesto.taskmanager.runtime.errors import DeploymentError

Pieces = Iterable[tuple[int, Batch]]
Channels = npt.NDArray[np.int32]


class Partitioner(ABC):
    """Splits batches over ``n`` channels."""

    def __init__(self, n: int) -> None:
        self.n = n

    @abstractmethod
    def split(self, batch: Batch) -> Pieces:
        """Non-empty pieces with their channels."""


class ToOne(Partitioner):
    """Everything to channel 0: forward, global, and every kind with one channel."""

    def split(self, batch: Batch) -> Pieces:
        """The batch itself."""
        return ((0, batch),)


class Broadcast(Partitioner):
    """Everything to every channel, by reference."""

    def split(self, batch: Batch) -> Pieces:
        """The batch, once a channel."""
        return [(i, batch) for i in range(self.n)]


class RoundRobin(Partitioner):
    """Evenly: a contiguous part of each batch to each channel, going on where the last ended."""

    def __init__(self, n: int, start: int) -> None:
        super().__init__(n)
        self._next = start % n

    def split(self, batch: Batch) -> Pieces:
        """Up to n slices."""
        rows = len(batch)
        parts = min(self.n, rows)
        out = []
        for i in range(parts):
            begin, end = i * rows // parts, (i + 1) * rows // parts
            out.append((self._next, batch.slice(begin, end - begin)))
            self._next = (self._next + 1) % self.n
        return out


class ByChannel(Partitioner):
    """Base of partitioners that compute a channel for each record."""

    @abstractmethod
    def channels(self, batch: Batch) -> Channels:
        """int32[rows] channel of each record."""

    def split(self, batch: Batch) -> Pieces:
        """One gather for the batch; the pieces are slices of it."""
        order, offsets = partition.partition(self.channels(batch), self.n)
        bounds = offsets.tolist()
        sorted_batch = _take(batch, order)
        return [
            (i, sorted_batch.slice(begin, end - begin))
            for i, (begin, end) in enumerate(itertools.pairwise(bounds))
            if end > begin
        ]


class Shuffle(ByChannel):
    """At random."""

    def __init__(self, n: int) -> None:
        super().__init__(n)
        self._random = np.random.default_rng(random.getrandbits(64))

    def channels(self, batch: Batch) -> Channels:
        """Uniform."""
        return self._random.integers(0, self.n, len(batch), dtype=np.int32)


class HashColumns(ByChannel):
    """By the key group of key columns."""

    def __init__(self, n: int, max_parallelism: int, columns: Sequence[str]) -> None:
        super().__init__(n)
        self._max_parallelism = max_parallelism
        self._columns = tuple(columns)

    def channels(self, batch: Batch) -> Channels:
        """Owner of each key."""
        assert isinstance(batch, ColumnarBatch), "key columns on a stream of rows"
        arrays = [batch.data.column(name) for name in self._columns]
        hashes = (
            hashing.hash_column(arrays[0]) if len(arrays) == 1 else hashing.hash_columns(arrays)
        )
        return keygroups.channels(hashes, self._max_parallelism, self.n)


class HashRows(ByChannel):
    """By the key group of a key function's value."""

    def __init__(self, n: int, max_parallelism: int, key_of: Callable[[Any], Any]) -> None:
        super().__init__(n)
        self._max_parallelism = max_parallelism
        self._key_of = key_of

    def channels(self, batch: Batch) -> Channels:
        """Owner of each key."""
        keys = list(map(self._key_of, _values(batch)))
        try:
            hashes = hashing.hash_values(keys)
        except TypeError:
            for key in keys:
                if error := unusable_key(key):
                    raise error from None
            raise
        return keygroups.channels(hashes, self._max_parallelism, self.n)


class Custom(ByChannel):
    """By a user's function (key, number of channels) -> channel."""

    def __init__(
        self, n: int, partitioner: Callable[[Any, int], int], key_of: Callable[[Any], Any] | None
    ) -> None:
        super().__init__(n)
        self._partitioner = partitioner
        self._key_of = key_of

    def channels(self, batch: Batch) -> Channels:
        """What the function says; it must be in 0..n-1."""
        values = _values(batch)
        n, choose = self.n, self._partitioner
        name = function_name(choose)
        with user_errors("partition_custom", name):
            keys = values if self._key_of is None else [*map(self._key_of, values)]
            given = [choose(key, n) for key in keys]
        try:
            out = np.fromiter(map(index, given), np.int64, len(given))
        except (TypeError, OverflowError):
            out = None
        if out is None or (len(out) and not (int(out.min()) >= 0 and int(out.max()) < n)):
            raise _wrong_channel(name, n, keys, given)
        return out.astype(np.int32)


def _wrong_channel(name: str, n: int, keys: Sequence[Any], given: Sequence[Any]) -> Exception:
    """Names the first key that goes nowhere."""
    key, channel = next(
        (key, channel)
        for key, channel in zip(keys, given, strict=True)
        if not hasattr(channel, "__index__") or not 0 <= index(channel) < n
    )
    msg = (
        f"partition_custom: {name} gave {channel!r:.80} for the key {key!r:.80}, not a number from"
        f" 0 to {n - 1}"
    )
    return InvalidPartitionError(
        msg, remedy="return a subtask below num_partitions, for instance key % num_partitions"
    )


def create_partitioner(edge: runtime_pb2.OutputEdge, producer: int) -> Partitioner:
    """The partitioner of an output edge of producer subtask ``producer``."""
    n = len(edge.consumers)
    spec = edge.edge.partitioner
    kind = spec.kind
    if kind in {job_pb2.PARTITION_KIND_FORWARD, job_pb2.PARTITION_KIND_GLOBAL}:
        return ToOne(n)
    if kind == job_pb2.PARTITION_KIND_CUSTOM:
        key_of = None
        if spec.key_columns:
            key_of = KeySpec(columns=tuple(spec.key_columns)).row_function()
        elif spec.key_selector_pickle:
            key_of = cloudpickle.loads(spec.key_selector_pickle)
        return Custom(n, cloudpickle.loads(spec.partitioner_pickle), key_of)
    if n == 1:
        return ToOne(n)
    match kind:
        case job_pb2.PARTITION_KIND_HASH:
            return _hash(edge, n)
        case job_pb2.PARTITION_KIND_REBALANCE | job_pb2.PARTITION_KIND_RESCALE:
            return RoundRobin(n, start=producer)
        case job_pb2.PARTITION_KIND_BROADCAST:
            return Broadcast(n)
        case job_pb2.PARTITION_KIND_SHUFFLE:
            return Shuffle(n)
    msg = f"edge {edge.edge.id}: unknown partitioner {kind}"
    raise DeploymentError(msg)


def _hash(edge: runtime_pb2.OutputEdge, n: int) -> Partitioner:
    if [c.subtask for c in edge.consumers] != list(range(edge.consumer_parallelism)):
        msg = f"edge {edge.edge.id}: a hash edge needs every consumer, in order"
        raise DeploymentError(msg)
    return hash_partitioner(edge.edge, n, edge.consumer_max_parallelism)


def hash_partitioner(edge: job_pb2.JobEdge, n: int, max_parallelism: int) -> Partitioner:
    """The partitioner of a hash edge to ``n`` consumers.

    Raises:
        DeploymentError: the edge has no key.
    """
    spec = edge.partitioner
    if spec.key_columns and edge.schema:
        return HashColumns(n, max_parallelism, spec.key_columns)
    if spec.key_columns:
        key_of = KeySpec(columns=tuple(spec.key_columns)).row_function()
    elif spec.key_selector_pickle:
        key_of = cloudpickle.loads(spec.key_selector_pickle)
    else:
        msg = f"edge {edge.id}: a hash edge without a key"
        raise DeploymentError(msg)
    return HashRows(n, max_parallelism, key_of)


def _values(batch: Batch) -> list[Any]:
    return batch.values if isinstance(batch, RowBatch) else to_rows(batch).values


def _take(batch: Batch, order: npt.NDArray[np.int32]) -> Batch:
    ts = None if batch.timestamps is None else batch.timestamps[order]
    kinds = None if batch.kinds is None else batch.kinds[order]
    if isinstance(batch, ColumnarBatch):
        return ColumnarBatch(partition.take_batch(batch.data, order), ts, kinds)
    values = batch.values
    return RowBatch([values[i] for i in order.tolist()], ts, kinds)
