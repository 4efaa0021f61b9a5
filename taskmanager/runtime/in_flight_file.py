"""The file of a task's in-flight data: written at a checkpoint, read at a restore."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from lesto.common.elements import Barrier
from lesto.proto import checkpoint_pb2, runtime_pb2
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.runtime.capture import InFlightPart
from lesto.taskmanager.runtime.errors import InFlightFormatError
from lesto.taskmanager.runtime.exchange.in_flight import decode_part, encode_part
from lesto.taskmanager.runtime.exchange.wire import Element

SUFFIX = ".inflight"


def write_in_flight(
    parts: Sequence[InFlightPart],
    schemas: Mapping[str, pa.Schema | None],
    store: SnapshotStore,
    barrier: Barrier,
    into: runtime_pb2.CheckpointAck,
) -> None:
    """Write all parts into one file and name them in the acknowledgement; I/O thread.

    Raises:
        StorageError: the storage refused.
    """
    handles = []
    content: list[bytes] = []
    offset = 0
    for part in parts:
        data = encode_part(part.entries, schemas[part.edge_id])
        handle = checkpoint_pb2.InFlightHandle(
            edge_id=part.edge_id,
            producer_subtask=part.producer,
            consumer_subtask=part.consumer,
            at_producer=part.at_producer,
            offset_bytes=offset,
            length_bytes=len(data),
            elements=len(part.entries),
            watermark=part.watermark,
            idle=part.idle,
            age=part.age,
        )
        handles.append(handle)
        content.append(data)
        offset += len(data)
    if offset:
        file = store.write_exclusive(barrier.checkpoint_id, b"".join(content), suffix=SUFFIX)
        for handle in handles:
            if handle.elements:
                handle.file.CopyFrom(file)
    into.in_flight.extend(handles)
    into.in_flight_bytes = offset


class InFlightFiles:
    """Reads parts; each file once.

    Args:
        store: where the restored checkpoint's paths lead.
    """

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self._files: dict[str, bytes] = {}

    def read(
        self, handle: checkpoint_pb2.InFlightHandle, schema: pa.Schema | None, name: str
    ) -> list[Element]:
        """The elements of a part.

        Raises:
            MissingFileError, CorruptFileError: of the file.
            InFlightFormatError: the part is not what the handle says.
        """
        if not handle.elements:
            return []
        path = handle.file.path
        if path not in self._files:
            self._files[path] = self._store.read(handle.file)
        end = handle.offset_bytes + handle.length_bytes
        data = self._files[path][handle.offset_bytes : end]
        elements = decode_part(data, schema, name)
        if len(elements) != handle.elements:
            msg = (
                f"in-flight data of channel {name} has {len(elements)} elements, "
                f"should have {handle.elements}"
            )
            raise InFlightFormatError(msg)
        return elements
