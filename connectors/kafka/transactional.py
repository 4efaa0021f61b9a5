"""Producers with a transaction each: made in the background, one ahead of its use.

A transaction has a producer, and so an epoch, of its own. The producer is made and registered with
the coordinator (which fences whoever had the id and aborts what it left open) before it is needed,
because that takes up to half a second. At a barrier the producer is flushed, its id and epoch are
read from the coordinator, and it is let go: the transaction stays open at the brokers until the
committer ends it, from whatever process.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Final

from lesto.common.logs import get_logger
from lesto.connectors.errors import ConnectorError
from lesto.connectors.kafka.client import library
from lesto.connectors.kafka.ids import Owner
from lesto.connectors.kafka.producing import MessageProducer

logger = get_logger("lesto.connectors.kafka")

#: Producers made ahead.
STANDBY: Final = 1
#: Uncommitted transactions of one writer: checkpoints whose commit is still to come.
SLOTS_MAX: Final = 1_000
INIT_S_MAX: Final = 30.0
ABORT_S: Final = 2.0
CLOSE_S: Final = 2.0


class Slots:
    """Numbers of a writer's transactional ids: taken by the writer, given back by the committer.

    A number is free again when its transaction is committed *and* a checkpoint is complete that was
    begun well behind the commit: then no recovery can ask whether that transaction was committed,
    a question the coordinator cannot answer once the id has a new epoch.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._next = 0
        self._prepares = 0
        #: slot -> number of prepares when it was committed.
        self._committed: dict[int, int] = {}

    def take(self) -> int:
        """A free number."""
        with self._lock:
            if self._free:
                return self._free.pop(0)
            self._next += 1
            if self._next > SLOTS_MAX:
                msg = f"{SLOTS_MAX} transactions of a Kafka sink are waiting for their commit"
                raise ConnectorError(msg, remedy="why do checkpoints not complete?")
            return self._next - 1

    def prepared(self) -> int:
        """A barrier has passed; its number."""
        with self._lock:
            self._prepares += 1
            return self._prepares

    def committed(self, slot: int) -> None:
        """The transaction of a slot is committed."""
        with self._lock:
            self._committed.setdefault(slot, self._prepares)

    def completed(self, prepare: int) -> None:
        """The checkpoint of a barrier is complete."""
        with self._lock:
            # One barrier more than needed: the operator forgets a committable by mail.
            for slot, at in sorted(self._committed.items()):
                if prepare >= at + 2:
                    del self._committed[slot]
                    self._free.append(slot)


class TransactionalProducers:
    """A writer's producers.

    Args:
        owner: of the transactional ids.
        slots: their numbers.
        properties: of librdkafka, with ``transaction.timeout.ms``.
        make: for tests.
    """

    def __init__(
        self,
        owner: Owner,
        slots: Slots,
        properties: Mapping[str, Any],
        make: Callable[[Mapping[str, Any]], MessageProducer] = MessageProducer,
    ) -> None:
        self._owner = owner
        self._slots = slots
        self._properties = dict(properties)
        self._make = make
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="kafka-producers")
        self._ahead: list[Future[tuple[str, int, MessageProducer]]] = []
        self._closed = False

    def prepare(self) -> None:
        """Begin to make producers ahead."""
        while len(self._ahead) < STANDBY:
            self._ahead.append(self._pool.submit(self._open))

    def _open(self) -> tuple[str, int, MessageProducer]:
        slot = self._slots.take()
        transactional_id = self._owner.transactional_id(slot)
        producer = self._make({**self._properties, "transactional.id": transactional_id})
        try:
            _initialise(producer.handle, INIT_S_MAX)
        except library().KafkaException as error:
            what = f"the transactional id '{transactional_id}' cannot be used"
            raise producer._named(error, what) from error
        return transactional_id, slot, producer

    def begin(self) -> tuple[str, int, MessageProducer]:
        """(transactional id, slot, producer) with a transaction begun.

        Raises:
            ConnectorError: Kafka refuses or does not answer.
        """
        self.prepare()
        transactional_id, slot, producer = self._ahead.pop(0).result()
        producer.begin()
        self.prepare()
        return transactional_id, slot, producer

    def release(self, producer: MessageProducer) -> None:
        """Let a flushed producer go; closing takes some milliseconds."""
        self._pool.submit(producer.close)

    def close(self) -> None:
        """Let those made ahead go too."""
        if self._closed:
            return
        self._closed = True
        running = [future for future in self._ahead if not future.cancel()]
        for future in running:
            future.add_done_callback(_close_made)
        self._ahead.clear()
        # A coordinator that does not answer is not waited for.
        idle = self._pool.submit(lambda: None)
        wait(running, CLOSE_S)
        wait([idle], CLOSE_S)
        self._pool.shutdown(wait=False)


def _close_made(future: Future[tuple[str, int, MessageProducer]]) -> None:
    if future.exception() is None:
        future.result()[2].close()


def _initialise(handle: Any, seconds: float) -> None:
    """Register with the coordinator, again while it is not ready."""
    kafka = library()
    deadline = time.monotonic() + seconds
    while True:
        try:
            handle.init_transactions(max(0.1, deadline - time.monotonic()))
        except kafka.KafkaException as error:
            if not error.args[0].retriable() or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def abort(producer: MessageProducer) -> None:
    """Abort the open transaction; what is not aborted in time is by the next attempt."""
    kafka = library()
    try:
        producer.handle.abort_transaction(ABORT_S)
    except kafka.KafkaException as error:
        logger.warning("kafka.transaction_not_aborted", error=str(error))
    producer.close()
