"""The committer: ends transactions of complete checkpoints, from whatever process.

A committable names a transaction by its id, producer id and epoch. ``EndTxn`` is asked of the
coordinator until it has answered; as the epoch belongs to this one transaction, asking again, and
a request that arrives late, do no harm.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from lesto.common.logs import get_logger
from lesto.common.sink import Committer
from lesto.connectors.errors import PublishError, TransactionLostError
from lesto.connectors.kafka.ids import Owner, is_left_over, parse
from lesto.connectors.kafka.transactional import Slots
from lesto.connectors.kafka.transactions import NothingToEndError, TransactionClient

logger = get_logger("lesto.connectors.kafka")

#: Property of the sink: go on when a restored transaction is not open and its outcome is unknown.
UNKNOWN_PROPERTY: Final = "lesto.restored.transactions.unknown"


class Committable(msgspec.Struct, frozen=True, array_like=True):
    """A flushed, open transaction; or none, to say that the writer's first checkpoint is complete.

    Attributes:
        transactional_id: its id; empty: no transaction.
        producer_id: of the producer that wrote it.
        epoch: of that producer: no other transaction has it.
        checkpoint_id: the checkpoint it belongs to.
        prepared_at_ms: wall clock.
        timeout_ms: after which the broker aborts it.
        writer: names the writer among those of this process.
        slot: number of the id in the writer's pool.
        prepare: number of the barrier in the writer's life.
    """

    transactional_id: str
    producer_id: int
    epoch: int
    checkpoint_id: int
    prepared_at_ms: int
    timeout_ms: int
    writer: str
    slot: int
    prepare: int


class Writers:
    """The live writers of this process: what a committer has to tell them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writers: dict[str, LiveWriter] = {}

    def add(self, writer: LiveWriter) -> None:
        """A writer was made."""
        with self._lock:
            self._writers[writer.name] = writer

    def remove(self, name: str) -> None:
        """A writer is closed: committables of it are restored ones from now on."""
        with self._lock:
            self._writers.pop(name, None)

    def find(self, name: str) -> LiveWriter | None:
        """The writer that made a committable, if it lives in this process."""
        with self._lock:
            return self._writers.get(name)


class LiveWriter:
    """What is known of a writer while it lives.

    Attributes:
        name: unique in time and space.
        owner: of its transactional ids.
        parallelism: writers of the sink.
        foreign_jobs: whether it clears up after other jobs with its prefix.
        slots: of its ids.
        cleared: whether what earlier attempts left open was aborted.
    """

    def __init__(self, name: str, owner: Owner, parallelism: int, *, foreign_jobs: bool) -> None:
        self.name = name
        self.owner = owner
        self.parallelism = parallelism
        self.foreign_jobs = foreign_jobs
        self.slots = Slots()
        self.cleared = False


WRITERS: Final = Writers()


class KafkaCommitter(Committer):
    """Commits by ``EndTxn``.

    Args:
        connect: makes the client, on first use.
        ignore_unknown: see ``UNKNOWN_PROPERTY``.
    """

    def __init__(
        self, connect: Callable[[], TransactionClient], *, ignore_unknown: bool = False
    ) -> None:
        self._connect = connect
        self._ignore_unknown = ignore_unknown
        self._client: TransactionClient | None = None

    def _connected(self) -> TransactionClient:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def commit(self, committables: Sequence[bytes]) -> None:
        """Commit in order; then abort what earlier attempts of live writers left open."""
        decoded = [decode(c) for c in committables]
        for c in decoded:
            if c.transactional_id:
                self._commit(c)
        for c in decoded:
            writer = WRITERS.find(c.writer)
            if writer is None:
                continue
            if c.transactional_id:
                writer.slots.committed(c.slot)
            writer.slots.completed(c.prepare)
            if not writer.cleared:
                self._clear_up(writer)
                writer.cleared = True

    def _commit(self, c: Committable) -> None:
        try:
            self._connected().commit(c.transactional_id, c.producer_id, c.epoch)
        except NothingToEndError as error:
            self._lost(c, error)

    def _lost(self, c: Committable, error: NothingToEndError) -> None:
        now = self._connected().describe(c.transactional_id)
        found = (
            "its id is not known any more"
            if now is None
            else (f"its id is now in state {now.state} with epoch {now.epoch}")
        )
        age_s = (time.time() * 1000 - c.prepared_at_ms) / 1000
        msg = (
            f"the data of checkpoint {c.checkpoint_id} in Kafka transaction "
            f"'{c.transactional_id}' (producer {c.producer_id}, epoch {c.epoch}) is lost: Kafka "
            f"aborted it before the commit; it was prepared {age_s:.0f} s ago with a "
            f"transaction.timeout.ms of {c.timeout_ms}, and {found} (Kafka error {error})"
        )
        if self._ignore_unknown and WRITERS.find(c.writer) is None:
            logger.warning("kafka.transaction_unknown", message=msg)
            return
        raise TransactionLostError(
            msg,
            remedy="restore from an earlier checkpoint, and set transaction.timeout.ms above the"
            " longest outage; if you restored an old checkpoint or savepoint whose transactions"
            f" were committed long ago, set the sink's property {UNKNOWN_PROPERTY}=ignore",
        )

    def _clear_up(self, writer: LiveWriter) -> None:
        """Abort what earlier attempts left open: it would hold back read_committed consumers.

        Only now: a checkpoint of this attempt is complete, so every subtask has committed what it
        restored, and what is open with an older attempt in its name belongs to no checkpoint.
        """
        client = self._connected()
        for transactional_id in client.open_transactions():
            found = parse(transactional_id, writer.owner.prefix)
            if found is not None and is_left_over(
                found, writer.owner, writer.parallelism, foreign_jobs=writer.foreign_jobs
            ):
                logger.info("kafka.transaction_aborted", transactional_id=transactional_id)
                client.fence(transactional_id)

    def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None


def encode(committable: Committable) -> bytes:
    """As msgpack."""
    return msgspec.msgpack.encode(committable)


def decode(data: bytes) -> Committable:
    """Inverse of ``encode``.

    Raises:
        PublishError: not a committable of this sink.
    """
    try:
        return msgspec.msgpack.decode(data, type=Committable)
    except msgspec.DecodeError as error:
        msg = f"the restored state of a Kafka sink cannot be read: {error}"
        raise PublishError(msg, remedy="restore with the sink it was taken with") from error


def unknown_is_ignored(properties: dict[str, Any]) -> bool:
    """Take the property out.

    Raises:
        ValueError: neither ``fail`` nor ``ignore``.
    """
    given = str(properties.pop(UNKNOWN_PROPERTY, "fail"))
    if given not in {"fail", "ignore"}:
        msg = f"{UNKNOWN_PROPERTY} is 'fail' or 'ignore', not {given!r}"
        raise ValueError(msg)
    return given == "ignore"
