"""Batches of messages: values in a format, metadata columns, Kafka's time as event time."""

from __future__ import annotations

import operator
import posixpath
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from lesto.common.elements import NO_TIMESTAMP, Batch, ColumnarBatch, Timestamps
from lesto.connectors.errors import ConnectorConfigError, MalformedRecordError
from lesto.connectors.files.listing import resolve
from lesto.connectors.files.malformed import SHOWN_CHARACTERS_MAX, MalformedPolicy, OnError
from lesto.connectors.formats.base import BadMessage, DeserializationSchema
from lesto.connectors.kafka.client import library

_HEADERS: Final = pa.list_(
    pa.struct([pa.field("key", pa.string()), pa.field("value", pa.binary())])
)
#: Metadata that can be asked for, and its type.
METADATA: Final[dict[str, pa.DataType]] = {
    "topic": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp": pa.timestamp("ms", "UTC"),
    "key": pa.binary(),
    "headers": _HEADERS,
}


class RecordDecoder:
    """Decodes runs of messages of one partition.

    Args:
        format: of the values.
        metadata: column name to what it holds (a key of ``METADATA``).
        policy: what to do with messages that cannot be read.
        count_errors: called with the number of them that were left out.
    """

    def __init__(
        self,
        format: DeserializationSchema,
        metadata: dict[str, str],
        policy: MalformedPolicy,
        count_errors: Callable[[int], None],
    ) -> None:
        self._format = format
        self._metadata = metadata
        self._policy = policy
        self._count_errors = count_errors

    def __call__(self, key: tuple[str, int], messages: Sequence[Any]) -> Batch | None:
        """The batch, or None when all messages were bad.

        Raises:
            MalformedRecordError: a message is bad and the choice is to fail.
        """
        values = list(map(library().Message.value, messages))
        decoded = self._format.decode(values)
        if decoded.bad:
            self._handle(key, messages, values, decoded.bad)
            left_out = {b.index for b in decoded.bad}
            messages = [m for i, m in enumerate(messages) if i not in left_out]
            if not messages:
                return None
        batch = decoded.batch
        assert len(batch) == len(messages), "a format gave a batch of another length"
        batch.timestamps = timestamps_of(messages)
        if self._metadata:
            assert isinstance(batch, ColumnarBatch)
            batch = self._with_metadata(batch, key, messages)
        return batch

    def _with_metadata(
        self, batch: ColumnarBatch, key: tuple[str, int], messages: Sequence[Any]
    ) -> ColumnarBatch:
        columns, fields = list(batch.data.columns), list(batch.data.schema)
        for name, what in self._metadata.items():
            fields.append(pa.field(name, METADATA[what]))
            columns.append(metadata_column(what, key, messages, batch.timestamps))
        data = pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))
        return ColumnarBatch(data, batch.timestamps)

    def _handle(
        self,
        key: tuple[str, int],
        messages: Sequence[Any],
        values: Sequence[bytes | None],
        bad: Sequence[BadMessage],
    ) -> None:
        skips = self._format.skips_bad_messages or self._policy.on_error is OnError.SKIP
        if not skips and self._policy.on_error is OnError.FAIL:
            first = bad[0]
            text = (values[first.index] or b"").decode("utf-8", "replace")
            shown = text[:SHOWN_CHARACTERS_MAX] + (
                "..." if len(text) > SHOWN_CHARACTERS_MAX else ""
            )
            msg = f"malformed message: {first.why}: {shown!r}"
            raise MalformedRecordError(
                msg,
                location=f"{key[0]}-{key[1]}@{messages[first.index].offset()}",
                remedy="read with on_error='skip' or on_error='dead-letter', or start behind it",
            )
        self._count_errors(len(bad))
        if not skips:
            self._write_dead_letters(key, messages, values, bad)

    def _write_dead_letters(
        self,
        key: tuple[str, int],
        messages: Sequence[Any],
        values: Sequence[bytes | None],
        bad: Sequence[BadMessage],
    ) -> None:
        # A file for each message, named by its place: batches have other bounds in a replay after
        # a failure, and each file is then written again with the same content.
        assert self._policy.dead_letter_uri is not None
        system, root = resolve(self._policy.dead_letter_uri)
        system.create_dir(root, recursive=True)
        for b in bad:
            offset = messages[b.index].offset()
            line = {
                "topic": key[0],
                "partition": key[1],
                "offset": offset,
                "error": b.why,
                "raw": (values[b.index] or b"").decode("utf-8", "replace"),
            }
            name = f"{key[0]}-{key[1]}-{offset:020d}.jsonl"
            with system.open_output_stream(posixpath.join(root, name)) as out:
                out.write(msgspec.json.encode(line) + b"\n")


def timestamps_of(messages: Sequence[Any]) -> Timestamps:
    """Kafka's timestamps in ms; messages without one get ``NO_TIMESTAMP``."""
    stamps = list(map(library().Message.timestamp, messages))
    kinds = np.fromiter(map(operator.itemgetter(0), stamps), np.int8, len(stamps))
    times = np.fromiter(map(operator.itemgetter(1), stamps), np.int64, len(stamps))
    if not kinds.all():
        times[kinds == 0] = NO_TIMESTAMP
    return times


def metadata_column(
    what: str, key: tuple[str, int], messages: Sequence[Any], timestamps: Timestamps | None
) -> pa.Array:
    """The metadata of messages as a column of the type in ``METADATA``."""
    count = len(messages)
    message = library().Message
    match what:
        case "topic":
            return pa.repeat(pa.scalar(key[0], pa.string()), count)
        case "partition":
            return pa.repeat(pa.scalar(key[1], pa.int32()), count)
        case "offset":
            return pa.array(np.fromiter(map(message.offset, messages), np.int64, count))
        case "timestamp":
            assert timestamps is not None
            return pa.array(timestamps, pa.int64(), mask=timestamps == NO_TIMESTAMP).cast(
                METADATA["timestamp"]
            )
        case "key":
            return pa.array(map(message.key, messages), pa.binary(), size=count)
    headers = [
        None if h is None else [{"key": k, "value": v} for k, v in h]
        for h in map(message.headers, messages)
    ]
    return pa.array(headers, _HEADERS)


def with_metadata(
    schema: pa.Schema | None, metadata: dict[str, str], format_name: str
) -> pa.Schema | None:
    """The schema of the batches.

    Raises:
        ConnectorConfigError: unknown metadata, a name taken twice, or rows without columns.
    """
    unknown = sorted(set(metadata.values()) - set(METADATA))
    if unknown:
        msg = f"Kafka messages have no metadata {unknown}"
        raise ConnectorConfigError(msg, remedy=f"there are: {', '.join(METADATA)}")
    if not metadata:
        return schema
    if schema is None:
        msg = f"metadata are columns, and {format_name} gives Python values"
        raise ConnectorConfigError(msg, remedy="give a schema, or use format='raw'")
    taken = sorted(set(metadata) & set(schema.names))
    if taken:
        msg = f"the columns {taken} are in the schema and in the metadata"
        raise ConnectorConfigError(
            msg, remedy="name the metadata: metadata={'kafka_offset': 'offset'}"
        )
    return pa.schema([*schema, *(pa.field(n, METADATA[w]) for n, w in metadata.items())])
