"""Messages as rows of a table: keys, values and metadata as columns, null values as deletes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import Batch, ColumnarBatch, Form, RowKind
from lesto.common.source import ReaderContext, SourceReader
from lesto.connectors.errors import MalformedRecordError
from lesto.connectors.files.malformed import MalformedPolicy
from lesto.connectors.formats.base import (
    BadMessage,
    DeserializationSchema,
    Payload,
    SerializationSchema,
)
from lesto.connectors.kafka.client import library
from lesto.connectors.kafka.records import RecordDecoder, metadata_column, timestamps_of
from lesto.connectors.kafka.serialization import KafkaRecordSerializationSchema, Messages
from lesto.connectors.kafka.source import KafkaSource

Part = Literal["value", "key", "metadata"]

#: Metadata of messages that tables can have, and their types.
TABLE_METADATA: Final[dict[str, pa.DataType]] = {
    "topic": pa.string(),
    "partition": pa.int32(),
    "offset": pa.int64(),
    "timestamp": pa.timestamp("ms", "UTC"),
    "timestamp-type": pa.string(),
    "leader-epoch": pa.int32(),
    "headers": pa.map_(pa.string(), pa.binary()),
}
#: Those that can be written.
WRITTEN_METADATA: Final = ("timestamp", "headers")
_TIMESTAMP_TYPES: Final = ("NoTimestampType", "CreateTime", "LogAppendTime")


@dataclass(frozen=True, slots=True)
class MessageColumn:
    """A column of the rows.

    Attributes:
        name: of it.
        type: of it.
        part: where it comes from.
        field: its position in the columns of the key's or value's format.
        metadata: what it is, of metadata.
    """

    name: str
    type: pa.DataType
    part: Part
    field: int = -1
    metadata: str = ""


@dataclass(frozen=True, slots=True)
class MessageLayout:
    """How rows are made of messages.

    Attributes:
        columns: of the rows.
        value: format of the values.
        key: format of the keys, if they are read.
        upsert: a row updates the one with its key; a message without a value deletes it.
    """

    columns: tuple[MessageColumn, ...]
    value: DeserializationSchema
    key: DeserializationSchema | None = None
    upsert: bool = False

    @property
    def schema(self) -> pa.Schema:
        """Schema of the rows."""
        return pa.schema([(c.name, c.type) for c in self.columns])


class TableKafkaSource(KafkaSource):
    """Reads topics as the rows of a table.

    Args:
        layout: how rows are made.
        how: of :class:`KafkaSource`.
    """

    def __init__(self, layout: MessageLayout, **how: Any) -> None:
        super().__init__(format=layout.value, **how)
        self.layout = layout
        self.schema = layout.schema

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """Reads partitions."""
        from lesto.connectors.kafka.fetcher import Fetcher
        from lesto.connectors.kafka.reader import KafkaReader

        decoder = TableDecoder(self.layout, self.policy, context.count_error)
        fetcher = Fetcher(self.properties, decoder, context.wakeup, context.batch_rows)
        return KafkaReader(context, fetcher, commits=self.commits)


class TableDecoder(RecordDecoder):
    """Decodes runs of messages of one partition.

    Args:
        layout: how rows are made.
        policy: what to do with messages that cannot be read.
        count_errors: called with the number of them that were left out.
    """

    def __init__(
        self,
        layout: MessageLayout,
        policy: MalformedPolicy,
        count_errors: Callable[[int], None],
    ) -> None:
        super().__init__(layout.value, {}, policy, count_errors)
        self._layout = layout

    def __call__(self, key: tuple[str, int], messages: Sequence[Any]) -> Batch | None:
        """The rows, or None when there are none.

        Raises:
            MalformedRecordError: a message is bad and the choice is to fail.
        """
        message = library().Message
        values = list(map(message.value, messages))
        numbers, data, kinds = self._values(key, messages, values)
        if not len(numbers):
            return None
        chosen = messages if len(numbers) == len(messages) else [messages[i] for i in numbers]
        keys = None
        if self._layout.key is not None:
            keys = self._keys(key, chosen, list(map(message.key, chosen)))
        columns = [self._column(c, key, chosen, data, keys) for c in self._layout.columns]
        batch = pa.RecordBatch.from_arrays(columns, schema=self._layout.schema)
        return ColumnarBatch(batch, None, kinds)

    def _values(
        self, key: tuple[str, int], messages: Sequence[Any], values: Sequence[Payload]
    ) -> tuple[npt.NDArray[np.int64], pa.RecordBatch, Any]:
        """For each row the number of its message; the values' columns; the kinds."""
        places = np.arange(len(values))
        there: Sequence[Payload] = values
        if None in values:
            places = np.array([i for i, v in enumerate(values) if v is not None], np.int64)
            there = [v for v in values if v is not None]
        decoded = self._format.decode(there)
        if decoded.bad:
            bad = [BadMessage(int(places[b.index]), b.why) for b in decoded.bad]
            self._handle(key, messages, values, bad)
            places = np.delete(places, [b.index for b in decoded.bad])
        assert isinstance(decoded.batch, ColumnarBatch)
        data, kinds = decoded.batch.data, decoded.batch.kinds
        numbers = places if decoded.origins is None else places[decoded.origins]
        if not self._layout.upsert:
            return numbers, data, kinds
        gone = np.array([i for i, v in enumerate(values) if v is None], np.int64)
        kinds = np.full(len(numbers) + len(gone), RowKind.UPDATE_AFTER, np.int8)
        if len(gone):
            kinds[len(numbers) :] = RowKind.DELETE
            order = np.argsort(np.concatenate([numbers, gone]), kind="stable")
            both = [pa.concat_arrays([c, pa.nulls(len(gone), c.type)]) for c in data.columns]
            taken = [c.take(pa.array(order)) for c in both]
            data = pa.RecordBatch.from_arrays(taken, schema=data.schema)
            numbers, kinds = np.concatenate([numbers, gone])[order], kinds[order]
        return numbers, data, kinds

    def _keys(
        self, key: tuple[str, int], messages: Sequence[Any], keys: Sequence[Payload]
    ) -> pa.RecordBatch:
        """The keys' columns; NULL where a message has no key."""
        format_ = self._layout.key
        assert format_ is not None
        assert format_.schema is not None
        there = [k for k in keys if k is not None]
        decoded = format_.decode(there)
        if decoded.bad:
            places = [i for i, k in enumerate(keys) if k is not None]
            first = decoded.bad[0]
            at = messages[places[first.index]]
            shown = (there[first.index] or b"").decode("utf-8", "replace")
            msg = f"malformed key: {first.why}: {shown!r:.200}"
            raise MalformedRecordError(
                msg,
                location=f"{key[0]}-{key[1]}@{at.offset()}",
                remedy="read it with the format raw, or start behind it",
            )
        assert isinstance(decoded.batch, ColumnarBatch)
        if len(there) == len(keys):
            return decoded.batch.data
        found = iter(range(len(there)))
        rows = pa.array([None if k is None else next(found) for k in keys], pa.int64())
        return decoded.batch.data.take(rows)

    def _column(
        self,
        column: MessageColumn,
        key: tuple[str, int],
        messages: Sequence[Any],
        data: pa.RecordBatch,
        keys: pa.RecordBatch | None,
    ) -> pa.Array:
        if column.part == "value":
            return data.column(column.field)
        if column.part == "key":
            assert keys is not None
            return keys.column(column.field)
        return _metadata(column.metadata, key, messages).cast(column.type)


def _metadata(what: str, key: tuple[str, int], messages: Sequence[Any]) -> pa.Array:
    message = library().Message
    match what:
        case "headers":
            values = [list(dict(h or ()).items()) for h in map(message.headers, messages)]
            return pa.array(values, TABLE_METADATA["headers"])
        case "timestamp-type":
            kinds = [_TIMESTAMP_TYPES[t[0]] for t in map(message.timestamp, messages)]
            return pa.array(kinds, pa.string())
        case "leader-epoch":
            return pa.array([m.leader_epoch() for m in messages], pa.int32())
    return metadata_column(what, key, messages, timestamps_of(messages))


class TableSerializer(KafkaRecordSerializationSchema):
    """Makes messages of the rows of a table.

    Args:
        topic: that is written.
        value: format of the values.
        value_columns: position and name of their columns.
        key: format of the keys; None: messages have none.
        key_columns: position and name of their columns.
        metadata: position of the columns with ``timestamp`` and ``headers``.
        upsert: rows that are deleted become messages without a value.
    """

    def __init__(
        self,
        topic: str,
        value: SerializationSchema,
        value_columns: Sequence[tuple[int, str]],
        key: SerializationSchema | None = None,
        key_columns: Sequence[tuple[int, str]] = (),
        metadata: Mapping[str, int] | None = None,
        *,
        upsert: bool = False,
    ) -> None:
        super().__init__(topic, value, key=key)
        self._values = tuple(value_columns)
        self._keys = tuple(key_columns)
        self._metadata = dict(metadata or {})
        self._upsert = upsert

    @property
    def input_form(self) -> Form:
        """Columns."""
        return Form.COLUMNAR

    def serialize(self, batch: Batch) -> Messages:
        """The messages of a batch."""
        assert isinstance(batch, ColumnarBatch)
        assert isinstance(self.topic, str)
        keys = None
        if self.key is not None:
            keys = self.key.encode(ColumnarBatch(_picked(batch.data, self._keys)))
        return Messages(
            self.topic,
            self._encoded(batch),
            keys,
            timestamps=self._timestamps(batch.data),
            headers=self._headers(batch.data),
        )

    def _encoded(self, batch: ColumnarBatch) -> list[Payload]:
        data = _picked(batch.data, self._values)
        if not self._upsert or batch.kinds is None:
            return self.value.encode(ColumnarBatch(data, None, batch.kinds))
        stays = (batch.kinds == RowKind.INSERT) | (batch.kinds == RowKind.UPDATE_AFTER)
        if stays.all():
            return self.value.encode(ColumnarBatch(data))
        found: list[Payload] = [None] * len(batch)
        rows = np.flatnonzero(stays)
        encoded = self.value.encode(ColumnarBatch(data.take(pa.array(rows))))
        for row, text in zip(rows.tolist(), encoded, strict=True):
            found[row] = text
        return found

    def _timestamps(self, data: pa.RecordBatch) -> list[int] | None:
        at = self._metadata.get("timestamp")
        if at is None:
            return None
        times = data.column(at).cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64())
        # Kafka's client takes 0 as its own time; there are no times before 1970.
        found: list[int] = pc.fill_null(pc.max_element_wise(times, 0), 0).to_pylist()
        return found

    def _headers(self, data: pa.RecordBatch) -> list[Any] | None:
        at = self._metadata.get("headers")
        return None if at is None else data.column(at).to_pylist()


def _picked(data: pa.RecordBatch, columns: Sequence[tuple[int, str]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [data.column(i) for i, _ in columns], names=[n for _, n in columns]
    )
