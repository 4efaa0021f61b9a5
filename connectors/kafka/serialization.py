"""From batches to messages: topic, key, value, partition, headers and time of each record."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lesto.common.elements import NO_TIMESTAMP, Batch, ColumnarBatch, Form, RowBatch
from lesto.common.evaluator import resolve_column
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats import Payload, SerializationSchema, message_format

Headers = list[tuple[str, bytes | None]] | None


@dataclass(frozen=True, slots=True)
class Messages:
    """A batch as messages; lists are parallel to the values.

    Attributes:
        topic: of all of them, or one for each.
        values: None is a tombstone.
        keys: None: no message has a key.
        timestamps: ms; None: Kafka's client sets the time of writing.
        headers: None: no message has headers.
        partitions: None: by key.
    """

    topic: str | list[str]
    values: Sequence[Payload]
    keys: Sequence[Payload] | None = None
    timestamps: Sequence[int] | None = None
    headers: Sequence[Headers] | None = None
    partitions: Sequence[int] | None = None


class KafkaTopicSelector(ABC):
    """Chooses the topic of each record."""

    @abstractmethod
    def apply(self, data: Any) -> str:
        """The topic of a record."""


class KafkaRecordSerializationSchema:
    """Makes messages of records.

    Args:
        topic: a name, or a function from a record to a name (records are then Rows).
        value: format of the values.
        key: format of the keys, applied to the key columns; None: no keys.
        key_columns: columns that make the key; None: the whole record.
        value_columns: columns that make the value; None: all.
        partition: function from a record to the number of the partition; None: by key.
        headers: function from a record to (name, bytes) pairs.
    """

    def __init__(
        self,
        topic: str | Callable[[Any], str] | KafkaTopicSelector,
        value: SerializationSchema,
        *,
        key: SerializationSchema | None = None,
        key_columns: Sequence[str] | None = None,
        value_columns: Sequence[str] | None = None,
        partition: Callable[[Any], int] | None = None,
        headers: Callable[[Any], Headers] | None = None,
    ) -> None:
        self.topic = topic.apply if isinstance(topic, KafkaTopicSelector) else topic
        self.value = value
        self.key = key
        self.key_columns = None if key_columns is None else tuple(key_columns)
        self.value_columns = None if value_columns is None else tuple(value_columns)
        self.partition = partition
        self.headers = headers

    @staticmethod
    def builder() -> KafkaRecordSerializationSchemaBuilder:
        """Flink's builder."""
        return KafkaRecordSerializationSchemaBuilder()

    @property
    def input_form(self) -> Form:
        """Columns when they are named, else what the value's format takes."""
        if self.key_columns is not None or self.value_columns is not None:
            return Form.COLUMNAR
        return self.value.input_form

    def open(self) -> None:
        """Prepare on the worker."""
        subject = self.topic if isinstance(self.topic, str) else "lesto"
        self.value.open(f"{subject}-value")
        if self.key is not None:
            self.key.open(f"{subject}-key")

    def serialize(self, batch: Batch) -> Messages:
        """The messages of a batch."""
        keys = None
        if self.key is not None:
            keys = self.key.encode(_chosen(batch, self.key_columns))
        values = self.value.encode(_chosen(batch, self.value_columns))
        records = None
        if callable(self.topic) or self.partition is not None or self.headers is not None:
            records = _records(batch)
        topic: str | list[str] = self.topic if isinstance(self.topic, str) else ""
        if callable(self.topic):
            assert records is not None
            topic = [self.topic(r) for r in records]
        times = batch.timestamps
        if times is not None and (times < 0).any():  # NO_TIMESTAMP, or before 1970
            times = None if (times == NO_TIMESTAMP).all() else times.clip(min=0)
        return Messages(
            topic=topic,
            values=values,
            keys=keys,
            timestamps=None if times is None else times.tolist(),
            headers=None if self.headers is None else [self.headers(r) for r in records or ()],
            partitions=None
            if self.partition is None
            else [self.partition(r) for r in records or ()],
        )


def _chosen(batch: Batch, columns: tuple[str, ...] | None) -> Batch:
    if columns is None:
        return batch
    if isinstance(batch, RowBatch):
        msg = f"the columns {list(columns)} are to be written, but the stream has Python values"
        raise ConnectorConfigError(
            msg, remedy="give the stream a type, as in .map(f, output_type=Types.ROW_NAMED(...))"
        )
    names = [resolve_column(c, batch.data.schema) for c in columns]
    return ColumnarBatch(batch.data.select(names), batch.timestamps, batch.kinds)


def _records(batch: Batch) -> list[Any]:
    if isinstance(batch, RowBatch):
        return batch.values
    from lesto.common.convert import to_rows

    return to_rows(batch).values


class KafkaRecordSerializationSchemaBuilder:
    """Builds a ``KafkaRecordSerializationSchema``."""

    def __init__(self) -> None:
        self._topic: str | Callable[[Any], str] | KafkaTopicSelector | None = None
        self._value: SerializationSchema | None = None
        self._key: SerializationSchema | None = None

    def set_topic(self, topic: str) -> KafkaRecordSerializationSchemaBuilder:
        """One topic for all records."""
        self._topic = topic
        return self

    def set_topic_selector(
        self, topic_selector: KafkaTopicSelector | Callable[[Any], str]
    ) -> KafkaRecordSerializationSchemaBuilder:
        """A topic for each record."""
        self._topic = topic_selector
        return self

    def set_key_serialization_schema(
        self, key_serialization_schema: SerializationSchema
    ) -> KafkaRecordSerializationSchemaBuilder:
        """Format of the keys."""
        self._key = key_serialization_schema
        return self

    def set_value_serialization_schema(
        self, value_serialization_schema: SerializationSchema
    ) -> KafkaRecordSerializationSchemaBuilder:
        """Format of the values."""
        self._value = value_serialization_schema
        return self

    def build(self) -> KafkaRecordSerializationSchema:
        """The schema.

        Raises:
            ConnectorConfigError: topic or value format are missing.
        """
        if self._topic is None or self._value is None:
            msg = "a Kafka serializer needs a topic and a value serialization schema"
            raise ConnectorConfigError(
                msg, remedy="call set_topic(...) and set_value_serialization_schema(...)"
            )
        return KafkaRecordSerializationSchema(self._topic, self._value, key=self._key)


def key_format(columns: Sequence[str], schema: pa.Schema | None = None) -> SerializationSchema:
    """Format of a key: one column as text or bytes, several as a JSON object."""
    made: SerializationSchema = message_format("raw" if len(columns) == 1 else "json", schema)
    return made
