"""Writers of the three guarantees."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

from lesto.common.elements import Batch
from lesto.common.logs import get_logger
from lesto.common.sink import SinkWriter, WriterContext
from lesto.connectors.errors import ProducerFencedError, TransactionTimedOutError
from lesto.connectors.kafka.committing import WRITERS, Committable, LiveWriter, encode
from lesto.connectors.kafka.ids import Owner
from lesto.connectors.kafka.producing import MessageProducer
from lesto.connectors.kafka.serialization import KafkaRecordSerializationSchema
from lesto.connectors.kafka.transactional import TransactionalProducers, abort
from lesto.connectors.kafka.transactions import TransactionClient

logger = get_logger("lesto.connectors.kafka")


def _check_interval(interval_ms: int | None, timeout_ms: int) -> None:
    """Say so when transactions cannot live until their checkpoint, or have none."""
    if interval_ms is None:
        logger.warning(
            "kafka.no_checkpoints",
            message="an exactly-once Kafka sink publishes at checkpoints, and there are none",
        )
    elif timeout_ms <= interval_ms:
        logger.warning(
            "kafka.transaction_timeout_too_short",
            message="Kafka aborts transactions before their checkpoint",
            transaction_timeout_ms=timeout_ms,
            checkpoint_interval_ms=interval_ms,
        )


class PlainWriter(SinkWriter):
    """At least once: a barrier waits for all acknowledgements; or none: it does not.

    Args:
        serializer: makes messages.
        properties: of librdkafka.
        waits: whether a barrier waits.
    """

    def __init__(
        self,
        serializer: KafkaRecordSerializationSchema,
        properties: Mapping[str, Any],
        *,
        waits: bool,
    ) -> None:
        serializer.open()
        self._serializer = serializer
        self._producer = MessageProducer(properties)
        self._waits = waits

    def write(self, batch: Batch) -> None:
        """Queue the batch's messages."""
        if len(batch):
            self._producer.send(self._serializer.serialize(batch))

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Wait for the acknowledgements; nothing to commit."""
        if self._waits:
            self._producer.flush()
        else:
            self._producer.check()
        return ()

    def close(self) -> None:
        """Let the producer go."""
        self._producer.close()


class TransactionalWriter(SinkWriter):
    """Exactly once: what is written between two barriers is one transaction.

    Args:
        context: of the operator.
        serializer: makes messages.
        properties: of librdkafka, with ``transaction.timeout.ms``.
        prefix: of the transactional ids.
        foreign_jobs: whether to clear up after other jobs with this prefix.
        client: asks the coordinators.
    """

    def __init__(
        self,
        context: WriterContext,
        serializer: KafkaRecordSerializationSchema,
        properties: Mapping[str, Any],
        *,
        prefix: str,
        foreign_jobs: bool,
        client: TransactionClient,
    ) -> None:
        serializer.open()
        self._serializer = serializer
        self._timeout_ms = int(properties["transaction.timeout.ms"])
        self._client = client
        _check_interval(context.checkpoint_interval_ms, self._timeout_ms)
        owner = Owner.of(
            prefix, context.job_id, context.operator_uid, context.attempt, context.subtask
        )
        self._live = LiveWriter(
            secrets.token_hex(8), owner, context.parallelism, foreign_jobs=foreign_jobs
        )
        WRITERS.add(self._live)
        self._producers = TransactionalProducers(owner, self._live.slots, properties)
        self._producers.prepare()
        self._current: tuple[str, int, MessageProducer] | None = None

    def write(self, batch: Batch) -> None:
        """Queue the batch's messages; the first ones behind a barrier begin a transaction."""
        if not len(batch):
            return
        if self._current is None:
            self._current = self._producers.begin()
        self._current[2].send(self._serializer.serialize(batch))

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Flush; the transaction stays open, and is committed when the checkpoint is complete."""
        prepare = self._live.slots.prepared()
        if self._current is None:
            # Until the first commit something must say that a checkpoint is complete.
            return () if self._live.cleared else [self._none(checkpoint_id, prepare)]
        transactional_id, slot, producer = self._current
        producer.flush()
        found = self._client.describe(transactional_id)
        if found is None or found.state != "Ongoing":
            state = "unknown" if found is None else found.state
            msg = (
                f"Kafka transaction '{transactional_id}' is {state} at checkpoint "
                f"{checkpoint_id}, not open"
            )
            if state == "Empty":
                msg = f"{msg}: another producer has taken its id"
                raise ProducerFencedError(
                    msg,
                    remedy="each sink of each running job needs a prefix of its own",
                )
            raise TransactionTimedOutError(
                msg,
                remedy=f"transaction.timeout.ms is {self._timeout_ms}: set it well above the"
                " checkpoint interval",
            )
        self._current = None
        self._producers.release(producer)
        committable = Committable(
            transactional_id=transactional_id,
            producer_id=found.producer_id,
            epoch=found.epoch,
            checkpoint_id=checkpoint_id,
            prepared_at_ms=int(time.time() * 1000),
            timeout_ms=self._timeout_ms,
            writer=self._live.name,
            slot=slot,
            prepare=prepare,
        )
        return [encode(committable)]

    def _none(self, checkpoint_id: int, prepare: int) -> bytes:
        now_ms = int(time.time() * 1000)
        return encode(
            Committable("", -1, -1, checkpoint_id, now_ms, 0, self._live.name, -1, prepare)
        )

    def close(self) -> None:
        """Abort what no checkpoint knows."""
        WRITERS.remove(self._live.name)
        try:
            if self._current is not None:
                abort(self._current[2])
                self._current = None
        finally:
            self._producers.close()
            self._client.close()
