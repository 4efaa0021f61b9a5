"""The Kafka sink."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.common.sink import Committer, Sink, SinkWriter, WriterContext
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.formats import SerializationSchema, message_format
from lesto.connectors.kafka.client import library, security, transaction_client
from lesto.connectors.kafka.committing import KafkaCommitter, unknown_is_ignored
from lesto.connectors.kafka.serialization import (
    KafkaRecordSerializationSchema,
    KafkaTopicSelector,
    key_format,
)
from lesto.connectors.kafka.transactions import DEADLINE_S

#: The largest that brokers take unless configured: a longer outage loses a prepared transaction.
TRANSACTION_TIMEOUT_MS: Final = 900_000
#: Prefix of transactional ids when the user gives none.
DEFAULT_PREFIX: Final = "lesto"
#: Questions asked on the mailbox thread wait for less than a slot's heartbeat.
PREPARE_DEADLINE_S: Final = 15.0


class DeliveryGuarantee(enum.Enum):
    """What a sink promises."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"
    NONE = "none"


class KafkaSink(Sink):
    """Writes messages to Kafka, exactly once unless told otherwise.

    Args:
        topic: a name, or a function from a record to a name.
        bootstrap_servers: ``host:port,...``.
        format: of the values: ``json``, ``csv``, ``raw``, ``string``, ``bytes``, or a serialization
            schema.
        schema: columns, for ``csv``.
        key: column (its text or bytes are the key) or several columns (a JSON object).
        value_columns: columns that make the value; None: all.
        delivery_guarantee: of ``DeliveryGuarantee`` or its value.
        transactional_id_prefix: of the transactional ids. With a prefix of the user's, transactions
            that other jobs left open under it are aborted, so no two running sinks may share it.
        serializer: in place of topic, format, key and value_columns.
        partition: function from a record to the number of a partition; None: by key, as Java does.
        headers: function from a record to a list of (name, bytes).
        properties: of librdkafka. ``transaction.timeout.ms`` is 15 minutes unless set: Kafka aborts
            a transaction that is not committed by then, and a job that was down for longer fails
            with LESTO-3024 instead of going on without the data.

    Consumers see the messages when the checkpoint is complete, if they read with
    ``isolation.level=read_committed``.

    Raises:
        ConnectorConfigError: options that do not go together.
        MissingExtraError: confluent-kafka is not installed.
    """

    def __init__(
        self,
        topic: str | Callable[[Any], str] | KafkaTopicSelector | None = None,
        bootstrap_servers: str = "",
        *,
        format: SerializationSchema | str = "json",
        schema: pa.Schema | None = None,
        key: str | Sequence[str] | None = None,
        value_columns: Sequence[str] | None = None,
        delivery_guarantee: DeliveryGuarantee | str = DeliveryGuarantee.EXACTLY_ONCE,
        transactional_id_prefix: str | None = None,
        serializer: KafkaRecordSerializationSchema | None = None,
        partition: Callable[[Any], int] | None = None,
        headers: Callable[[Any], Any] | None = None,
        properties: Mapping[str, Any] | None = None,
    ) -> None:
        library()  # a package that is missing is named where the job is built
        given = {str(k): v for k, v in (properties or {}).items()}
        servers = bootstrap_servers or str(given.get("bootstrap.servers", ""))
        if not servers:
            msg = "a Kafka sink needs bootstrap_servers"
            raise ConnectorConfigError(msg, remedy="bootstrap_servers='host:9092'")
        self.guarantee = _guarantee(delivery_guarantee)
        if "transactional.id" in given:
            msg = "the property transactional.id is the sink's own"
            raise ConnectorConfigError(msg, remedy="give transactional_id_prefix instead")
        if (topic is None) == (serializer is None):
            msg = "a Kafka sink needs a topic, or a serializer that has one"
            raise ConnectorConfigError(msg, remedy="give one of topic=..., serializer=...")
        if serializer is None:
            assert topic is not None
            keys = (key,) if isinstance(key, str) else None if key is None else tuple(key)
            serializer = KafkaRecordSerializationSchema(
                topic,
                _format(format, schema),
                key=None if keys is None else key_format(keys),
                key_columns=keys,
                value_columns=value_columns,
                partition=partition,
                headers=headers,
            )
        self.serializer = serializer
        self.input_form = serializer.input_form
        try:
            self.ignore_unknown = unknown_is_ignored(given)
        except ValueError as error:
            raise ConnectorConfigError(str(error)) from error
        self.foreign_jobs = transactional_id_prefix is not None
        self.prefix = transactional_id_prefix or DEFAULT_PREFIX
        self.properties = {**given, "bootstrap.servers": servers}
        if self.guarantee is DeliveryGuarantee.EXACTLY_ONCE:
            self.properties = {
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                **self.properties,
            }
            security(self.properties)  # what it does not speak is said here, not at run time

    @staticmethod
    def builder() -> Any:
        """Flink's builder."""
        from lesto.connectors.kafka.builders import KafkaSinkBuilder

        return KafkaSinkBuilder()

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer of the chosen guarantee."""
        from lesto.connectors.kafka.writer import PlainWriter, TransactionalWriter

        if self.guarantee is not DeliveryGuarantee.EXACTLY_ONCE:
            waits = self.guarantee is DeliveryGuarantee.AT_LEAST_ONCE
            return PlainWriter(self.serializer, self.properties, waits=waits)
        return TransactionalWriter(
            context,
            self.serializer,
            self.properties,
            prefix=self.prefix,
            foreign_jobs=self.foreign_jobs,
            client=transaction_client(self.properties, PREPARE_DEADLINE_S),
        )

    def create_committer(self) -> Committer | None:
        """Ends transactions."""
        if self.guarantee is not DeliveryGuarantee.EXACTLY_ONCE:
            return None
        properties = self.properties
        return KafkaCommitter(
            lambda: transaction_client(properties, DEADLINE_S), ignore_unknown=self.ignore_unknown
        )


def _guarantee(given: DeliveryGuarantee | str) -> DeliveryGuarantee:
    try:
        return DeliveryGuarantee(given)
    except ValueError:
        choices = ", ".join(repr(g.value) for g in DeliveryGuarantee)
        msg = f"delivery_guarantee={given!r} is not known"
        raise ConnectorConfigError(msg, remedy=f"use one of {choices}") from None


def _format(given: Any, schema: pa.Schema | None) -> SerializationSchema:
    if isinstance(given, str):
        made: SerializationSchema = message_format(given, schema)
        return made
    if not isinstance(given, SerializationSchema):
        msg = f"format is a name or a SerializationSchema, not a {type(given).__name__}"
        raise ConnectorConfigError(msg)
    return given
