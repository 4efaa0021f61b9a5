"""Fetching on a thread of its own: messages become batches here, a partition's at a time.

Nothing is done once a record in Python bytecode: ``map`` over the messages' methods runs in C, and
the format parses all values of a run at once. What is fetched and not yet taken is bounded in
bytes.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np

from lesto.common.elements import Batch
from lesto.common.logs import get_logger
from lesto.connectors.errors import (
    ConnectorError,
    KafkaOffsetsLostError,
    KafkaUnavailableError,
)
from lesto.connectors.kafka.client import library, make_consumer, named
from lesto.connectors.kafka.splits import NO_STOP, PartitionSplit

logger = get_logger("lesto.connectors.kafka")

#: Batches fetched and not yet taken by the reader.
QUEUE_BYTES_MAX: Final = 16 << 20
#: One batch, about.
BATCH_BYTES: Final = 4 << 20
#: How long the thread sleeps in librdkafka when there is nothing.
IDLE_S: Final = 0.1
#: Brokers away for this long are a failure of the job; a restart is not quicker than waiting.
UNAVAILABLE_S_MAX: Final = 120.0
#: A broker is asked whether it is there this often when nothing arrives.
PROBE_EVERY_S: Final = 5.0
PROBE_S: Final = 2.0
#: How often the ends of partitions are noted, for metrics.
ENDS_EVERY_S: Final = 1.0
#: Longest wait for the thread at the end.
STOP_S_MAX: Final = 10.0

Key = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the thread hands over.

    Attributes:
        key: (topic, partition).
        next: offset behind the records (or behind what is invisible: markers of transactions).
        batch: records, or None for mere progress.
        finished: the stopping offset is reached.
        nbytes: size in the queue.
    """

    key: Key
    next: int
    batch: Batch | None
    finished: bool
    nbytes: int


class Decoder(Protocol):
    """Makes a batch of messages of one partition, with consecutive offsets ascending."""

    def __call__(self, key: Key, messages: Sequence[Any]) -> Batch | None:
        """The batch, or None when all were bad and skipped."""
        ...


class Fetcher:
    """Owns the consumer; all calls on it are made by its thread.

    Args:
        properties: of the consumer.
        decode: called on the thread.
        wakeup: something is in the queue.
        batch_rows: most records in a batch.
    """

    def __init__(
        self,
        properties: Mapping[str, Any],
        decode: Decoder,
        wakeup: Callable[[], None],
        batch_rows: int,
    ) -> None:
        self._properties = dict(properties)
        self._decode = decode
        self._wakeup = wakeup
        self._batch_rows = batch_rows
        self._lock = threading.Condition()
        self._queue: deque[Fetched] = deque()
        self._queued_bytes = 0
        self._commands: deque[Callable[[Any], None]] = deque()
        self._error: ConnectorError | None = None
        self._closing = False
        self._stops: dict[Key, int] = {}
        self._paused: frozenset[Key] = frozenset()
        self._record_bytes = 100.0
        self._heard_at = time.monotonic()
        self._thread: threading.Thread | None = None
        #: Offset behind the last record of each partition; replaced as a whole.
        self.ends: Mapping[Key, int] = {}
        self._ends_at = 0.0

    # ------------------------------------------------------------------------ any other thread

    def add(self, splits: Sequence[PartitionSplit]) -> None:
        """Read these too."""
        kafka = library()

        def assign(consumer: Any) -> None:
            for s in splits:
                self._stops[s.topic, s.partition] = s.stop
            parts = [kafka.TopicPartition(s.topic, s.partition, s.next) for s in splits]
            consumer.incremental_assign(parts)

        self._command(assign)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kafka-fetch", daemon=True)
            self._thread.start()

    def pause(self, keys: frozenset[Key]) -> None:
        """Fetch nothing of these partitions, and of all others again."""
        kafka = library()

        def switch(consumer: Any) -> None:
            there = self._stops.keys()
            wanted = keys & there
            for call, changed in (
                (consumer.pause, wanted - self._paused),
                (consumer.resume, (self._paused - wanted) & there),
            ):
                if changed:
                    call([kafka.TopicPartition(*key) for key in changed])
            self._paused = frozenset(wanted)

        self._command(switch)

    def commit(self, offsets: Mapping[Key, int]) -> None:
        """Commit offsets to the group, for monitoring: a failure is logged, and nothing else."""
        kafka = library()

        def send(consumer: Any) -> None:
            parts = [kafka.TopicPartition(t, p, offset) for (t, p), offset in offsets.items()]
            try:
                consumer.commit(offsets=parts, asynchronous=True)
            except kafka.KafkaException as error:
                logger.warning("kafka.offsets_not_committed", error=str(error))

        self._command(send)

    def take(self) -> Fetched | None:
        """The next batch, or None.

        Raises:
            ConnectorError: the thread has failed.
        """
        with self._lock:
            if self._queue:
                item = self._queue.popleft()
                self._queued_bytes -= item.nbytes
                self._lock.notify_all()
                return item
            if self._error is not None:
                raise self._error
            return None

    def close(self) -> None:
        """Stop the thread; the consumer is closed by it."""
        with self._lock:
            self._closing = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join(STOP_S_MAX)
            if self._thread.is_alive():
                logger.warning("kafka.fetcher_does_not_stop")

    def _command(self, command: Callable[[Any], None]) -> None:
        with self._lock:
            self._commands.append(command)
            self._lock.notify_all()

    # ------------------------------------------------------------------------------ the thread

    def _run(self) -> None:
        consumer = None
        try:
            consumer = make_consumer(self._properties)
            while self._ready(consumer):
                self._fetch(consumer)
                self._look_at_ends(consumer)
        except Exception as error:  # noqa: BLE001 - handed to the reader, which raises it
            if not isinstance(error, ConnectorError):
                kafka = library()
                known = isinstance(error, kafka.KafkaException)
                error = (
                    named(error, "reading from Kafka failed")
                    if known
                    else ConnectorError(f"reading from Kafka failed: {error!r}")
                )
            with self._lock:
                self._error = error
            self._wakeup()
        finally:
            if consumer is not None:
                consumer.close()

    def _ready(self, consumer: Any) -> bool:
        """Run commands; wait while the queue is full; False at the end."""
        while True:
            with self._lock:
                while self._queued_bytes >= QUEUE_BYTES_MAX and not (
                    self._closing or self._commands
                ):
                    self._lock.wait(IDLE_S)
                    # librdkafka counts the time between two calls (max.poll.interval.ms), but only
                    # of members of a group, which we are not: waiting is safe.
                    self._heard_at = time.monotonic()
                if self._closing:
                    return False
                if not self._commands:
                    return True
                command = self._commands.popleft()
            command(consumer)

    def _fetch(self, consumer: Any) -> None:
        messages = consumer.consume(1, IDLE_S)
        if not messages:
            self._check_alive(consumer)
            return
        self._heard_at = time.monotonic()
        rows = int(BATCH_BYTES / self._record_bytes)
        more = max(1, min(self._batch_rows, rows)) - 1
        if more:
            messages += consumer.consume(more, 0)
        self._split(consumer, messages)

    def _look_at_ends(self, consumer: Any) -> None:
        """Note, once in a while, what the last fetches said of the partitions' ends."""
        now = time.monotonic()
        if now - self._ends_at < ENDS_EVERY_S:
            return
        self._ends_at = now
        part = library().TopicPartition
        found: dict[Key, int] = {}
        for key in self._stops:
            # From librdkafka's memory: nobody is asked.
            known = consumer.get_watermark_offsets(part(*key), cached=True)
            if known is not None and known[1] >= 0:
                found[key] = known[1]
        self.ends = found

    def _check_alive(self, consumer: Any) -> None:
        """With nothing to read, see that a broker is there at all."""
        now = time.monotonic()
        if not self._stops or now - self._heard_at < PROBE_EVERY_S:
            return
        kafka = library()
        try:
            consumer.list_topics(next(iter(self._stops))[0], timeout=PROBE_S)
            self._heard_at = time.monotonic()
        except kafka.KafkaException as error:
            if now - self._heard_at > UNAVAILABLE_S_MAX:
                msg = f"no Kafka broker has answered for {UNAVAILABLE_S_MAX:g} s: {error}"
                raise KafkaUnavailableError(
                    msg, remedy="are the brokers of bootstrap.servers up and reachable?"
                ) from error

    def _split(self, consumer: Any, messages: list[Any]) -> None:
        """Runs of one partition without events in between."""
        message = library().Message
        ready: list[Fetched] = []
        if not any(map(message.error, messages)):
            self._on_records(messages, ready)
        else:
            records: list[Any] = []
            for m in messages:
                if m.error() is None:
                    records.append(m)
                    continue
                self._on_records(records, ready)
                records = []
                self._on_event(m, ready)
            self._on_records(records, ready)
        if not ready:
            return
        with self._lock:
            self._queue.extend(ready)
            self._queued_bytes += sum(item.nbytes for item in ready)
        self._wakeup()
        for item in ready:
            if item.finished and self._stops.pop(item.key, None) is not None:
                consumer.incremental_unassign([library().TopicPartition(*item.key)])

    def _on_records(self, messages: list[Any], ready: list[Fetched]) -> None:
        if not messages:
            return
        message = library().Message
        count = len(messages)
        numbers = np.fromiter(map(message.partition, messages), np.int32, count)
        changes = numbers[1:] != numbers[:-1]
        topics = list(map(message.topic, messages))
        if topics.count(topics[0]) != count:
            changes |= np.array([a != b for a, b in itertools.pairwise(topics)])
        bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), count]
        for lo, hi in itertools.pairwise(bounds):
            self._on_run((topics[lo], int(numbers[lo])), messages[lo:hi], ready)

    def _on_run(self, key: Key, run: list[Any], ready: list[Fetched]) -> None:
        stop = self._stops.get(key)
        if stop is None:
            return  # finished, and its last messages were already on the way
        finished = False
        following = run[-1].offset() + 1
        if stop != NO_STOP and following >= stop:
            run = [m for m in run if m.offset() < stop]
            following, finished = stop, True
        batch = self._decode(key, run) if run else None
        nbytes = 0
        if batch is not None:
            nbytes = sum(map(len, run))
            self._record_bytes += 0.2 * (max(1.0, nbytes / len(run)) - self._record_bytes)
        ready.append(Fetched(key, following, batch, finished, nbytes))

    def _on_event(self, message: Any, ready: list[Fetched]) -> None:
        kafka = library()
        error = message.error()
        code = error.code()
        key = (message.topic(), message.partition())
        if code == kafka.KafkaError._PARTITION_EOF:
            # All that may be read up to here is read; control records are jumped over.
            stop = self._stops.get(key)
            if stop is not None:
                finished = stop != NO_STOP and message.offset() >= stop
                following = stop if finished else message.offset()
                ready.append(Fetched(key, following, None, finished, 0))
            return
        if code in {kafka.KafkaError._AUTO_OFFSET_RESET, kafka.KafkaError.OFFSET_OUT_OF_RANGE}:
            msg = (
                f"partition {key[0]}-{key[1]} no longer has the records at the job's position: "
                f"{error.str()}"
            )
            raise KafkaOffsetsLostError(
                msg,
                remedy="retention has removed them or the topic was made anew: lengthen the"
                " retention; to go on without them set the property auto.offset.reset",
            )
        if error.retriable() or code in {
            kafka.KafkaError._ALL_BROKERS_DOWN,
            kafka.KafkaError._TRANSPORT,
            kafka.KafkaError._RESOLVE,
            kafka.KafkaError._TIMED_OUT,
        }:
            logger.warning("kafka.fetch", error=error.str())
            return
        raise named(error, f"partition {key[0]}-{key[1]} cannot be read")
