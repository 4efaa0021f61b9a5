"""One librdkafka producer: batches in, failures out as errors of ours."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from lesto.common.logs import get_logger
from lesto.connectors.errors import (
    ConnectorError,
    KafkaDeliveryError,
    KafkaUnavailableError,
    ProducerFencedError,
)
from lesto.connectors.kafka.client import library, make_producer, named
from lesto.connectors.kafka.serialization import Messages

logger = get_logger("lesto.connectors.kafka")

#: Messages and bytes that wait in the producer before ``send`` waits.
QUEUE_MESSAGES: Final = 500_000
QUEUE_KBYTES: Final = 65_536
#: How long ``send`` and ``flush`` wait at the most without any progress.
STALLED_S: Final = 130.0
#: A message that is not acknowledged for this long has failed (librdkafka's delivery.timeout.ms).
DELIVERY_MS: Final = 120_000
_STEP_S: Final = 0.05

DEFAULTS: Final[dict[str, Any]] = {
    "linger.ms": 5,
    "partitioner": "murmur2_random",  # Java's: the same key goes to the same partition
    "queue.buffering.max.messages": QUEUE_MESSAGES,
    "queue.buffering.max.kbytes": QUEUE_KBYTES,
    "topic.metadata.propagation.max.ms": 10_000,  # a topic that is not there by then is an error
    "delivery.report.only.error": True,
    "enable.idempotence": True,
    "compression.type": "lz4",
}


class MessageProducer:
    """Sends messages; the first failure is kept and raised by the next call.

    Args:
        properties: of librdkafka.

    Raises (each method):
        KafkaDeliveryError: messages were not written.
        ProducerFencedError: another producer has taken the transactional id.
    """

    def __init__(self, properties: Mapping[str, Any]) -> None:
        self._failure: ConnectorError | None = None
        report = {"on_delivery": self._on_delivery}
        limit_ms = int(properties.get("transaction.timeout.ms", DELIVERY_MS))
        # librdkafka wants no message to outlive its transaction.
        lives = {"delivery.timeout.ms": min(DELIVERY_MS, limit_ms)}
        self._producer = make_producer({**DEFAULTS, **lives, **properties, **report})

    @property
    def handle(self) -> Any:
        """The producer of confluent_kafka."""
        return self._producer

    def _on_delivery(self, error: Any, message: Any) -> None:
        if error is not None and self._failure is None:
            self._failure = self._named(error, f"a message to '{message.topic()}' was not written")

    @staticmethod
    def _named(error: Any, what: str) -> ConnectorError:
        kafka = library()
        fenced = {
            kafka.KafkaError._FENCED,
            kafka.KafkaError.INVALID_PRODUCER_EPOCH,
            kafka.KafkaError.PRODUCER_FENCED,
        }
        if isinstance(error, kafka.KafkaException):
            error = error.args[0]
        if error.code() in fenced:
            msg = f"{what}: {error.str()}: another producer has taken the transactional id"
            return ProducerFencedError(
                msg, remedy="each sink of each running job needs a prefix of its own"
            )
        made = named(error, what)
        if not made.retryable:
            return made
        return KafkaDeliveryError(f"{what}: {error.str()}", remedy=made.remedy)

    def check(self) -> None:
        """Raise the first failure."""
        if self._failure is not None:
            raise self._failure

    def send(self, messages: Messages) -> None:
        """Queue messages; waits while the queue is full."""
        values = messages.values
        blank = itertools.repeat(None, len(values))
        keys = messages.keys or blank
        fixed = isinstance(messages.topic, str)
        if fixed and messages.headers is None and messages.partitions is None:
            self._send_plain(str(messages.topic), values, keys, messages.timestamps)
        else:
            self._send_each(messages, keys)
        self._called("writing to Kafka", self._producer.poll, 0)
        self.check()

    def _send_plain(self, topic: str, values: Any, keys: Any, timestamps: Any) -> None:
        produce = self._producer.produce
        if timestamps is None:
            for value, key in zip(values, keys, strict=True):
                try:
                    produce(topic, value, key)
                except BufferError:
                    self._again(topic, value=value, key=key)
                except library().KafkaException as error:
                    raise self._named(error, f"no message to '{topic}' can be written") from error
            return
        for value, key, timestamp in zip(values, keys, timestamps, strict=True):
            try:
                produce(topic, value, key, timestamp=timestamp)
            except BufferError:
                self._again(topic, value=value, key=key, timestamp=timestamp)
            except library().KafkaException as error:
                raise self._named(error, f"no message to '{topic}' can be written") from error

    def _send_each(self, messages: Messages, keys: Any) -> None:
        count = len(messages.values)
        topics = (
            itertools.repeat(messages.topic, count)
            if isinstance(messages.topic, str)
            else messages.topic
        )
        columns = {
            "timestamp": messages.timestamps,
            "headers": messages.headers,
            "partition": messages.partitions,
        }
        given = {name: column for name, column in columns.items() if column is not None}
        rows = zip(topics, messages.values, keys, *given.values(), strict=True)
        for topic, value, key, *rest in rows:
            more = dict(zip(given, rest, strict=True))
            try:
                self._producer.produce(topic, value, key, **more)
            except BufferError:
                self._again(topic, value=value, key=key, **more)
            except library().KafkaException as error:
                raise self._named(error, f"no message to '{topic}' can be written") from error

    def _again(self, topic: str, **arguments: Any) -> None:
        """The queue is full: wait until there is room."""
        deadline = time.monotonic() + STALLED_S
        while True:
            self._called("writing to Kafka", self._producer.poll, _STEP_S)
            self.check()
            try:
                self._producer.produce(topic, **arguments)
            except BufferError:
                if time.monotonic() > deadline:
                    msg = f"Kafka took no message for {STALLED_S:g} s"
                    raise KafkaUnavailableError(msg, remedy="are the brokers up?") from None
            else:
                return

    def _called(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """A call of librdkafka: after a fatal error each one fails with it."""
        kafka = library()
        try:
            return call(*arguments)
        except kafka.KafkaException as error:
            raise self._named(error, f"{what} failed") from error
        except SystemError as error:
            # The client raises a fatal error and goes on to call back in the same poll; what
            # Python then complains of is that a callback ran with that exception set.
            if not isinstance(error.__cause__, kafka.KafkaException):
                raise
            raise self._named(error.__cause__, f"{what} failed") from error

    def begin(self) -> None:
        """Begin a transaction."""
        self._called("beginning a Kafka transaction", self._producer.begin_transaction)

    def flush(self) -> None:
        """Until every message is acknowledged."""
        deadline = time.monotonic() + STALLED_S
        left = len(self._producer)
        while left:
            remaining = self._called("flushing to Kafka", self._producer.flush, 1.0)
            self.check()
            if remaining < left:
                deadline = time.monotonic() + STALLED_S
            elif time.monotonic() > deadline:
                msg = f"{remaining} messages were not acknowledged in {STALLED_S:g} s"
                raise KafkaDeliveryError(msg, remedy="are the brokers up?")
            left = remaining
        self._called("flushing to Kafka", self._producer.poll, 0)
        self.check()

    def close(self) -> None:
        """Drop what is not sent, and let the client go."""
        try:
            self._called("closing", self._producer.purge)
            self._called("closing", self._producer.poll, 0)
        except ConnectorError as error:
            logger.info("kafka.producer_closed", error=error.message)  # it has failed already
        self._producer = None
