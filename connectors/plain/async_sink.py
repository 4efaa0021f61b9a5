"""A sink for services: records go out in batches, several at a time, again when refused.

At least once: what has not been acknowledged is in the checkpoint and goes out again behind a
failure. Write by a key that the destination knows, and the result is exact.
"""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Final

from lesto.common.elements import Batch, Form, RowBatch
from lesto.common.sink import Sink, SinkWriter, WriterContext
from lesto.connectors.errors import AsyncSinkError
from lesto.state import codec

MILLISECONDS: Final = 1000
BACKOFF_FIRST_SECONDS: Final = 0.1
BACKOFF_MAX_SECONDS: Final = 10.0
#: ``open`` may take so long.
OPEN_SECONDS_MAX: Final = 30.0
#: ``close`` may, and what is cancelled.
CLOSE_SECONDS_MAX: Final = 5.0


class AsyncSink(Sink):
    """Send batches by ``async def submit(batch)``; the rest is done here.

    Attributes:
        max_batch_size: records of a batch.
        max_in_flight: batches under way at one time, in a subtask.
        max_buffered: records that wait; beyond, the sink exerts backpressure.
        max_time_in_buffer_ms: a record waits so long for its batch to fill.
        records_per_second: limit of a subtask's rate; 0: none.
        max_attempts: of a record, before the job fails.
    """

    input_form = Form.ROWS
    concurrent: bool = True
    max_batch_size: int = 500
    max_in_flight: int = 50
    max_buffered: int = 10_000
    max_time_in_buffer_ms: int = 1_000
    records_per_second: float = 0
    max_attempts: int = 5

    @abstractmethod
    async def submit(self, batch: list[Any]) -> Sequence[Any] | None:
        """Send a batch; give the records that were refused and are to be sent again, if any.

        An exception means that the whole batch is to be sent again.
        """

    async def open(self) -> None:
        """Called once in each subtask, first: connect here."""

    async def close(self) -> None:
        """Called once in each subtask, last."""

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """Buffers and sends."""
        return _Writer(self, context)


class _Writer(SinkWriter):
    """Mailbox thread: buffer and bookkeeping. The loop's thread: ``_send``."""

    def __init__(self, sink: AsyncSink, context: WriterContext) -> None:
        self._sink = sink
        self._context = context
        self._buffer: deque[Any] = deque()
        self._oldest_ms = 0
        self._under_way: dict[int, list[Any]] = {}
        self._next_id = 0
        self._done: deque[tuple[int, BaseException | None]] = deque()
        self._not_before = 0.0  # of the loop's clock: the rate's limit
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="async sink", daemon=True)
        self._thread.start()
        try:
            self._call(sink.open()).result(OPEN_SECONDS_MAX)
        except BaseException:
            self._stop()
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self._loop.run_until_complete(asyncio.wait(tasks, timeout=1))
            self._loop.close()

    def _call(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    # --------------------------------------------------------------------------------------- input

    def write(self, batch: Batch) -> None:
        """Buffer, and send what makes full batches."""
        assert isinstance(batch, RowBatch)
        self._add(batch.values)
        self._send_ready(force=False)

    def _add(self, values: Sequence[Any]) -> None:
        if not self._buffer and values:
            self._oldest_ms = self._context.clock.monotonic_ms()
            delay = self._sink.max_time_in_buffer_ms / MILLISECONDS
            later = self._loop.call_later
            self._loop.call_soon_threadsafe(later, delay, self._context.wake)
        self._buffer.extend(values)

    def _send_ready(self, *, force: bool) -> None:
        sink, buffer = self._sink, self._buffer
        while buffer and len(self._under_way) < sink.max_in_flight:
            if len(buffer) < sink.max_batch_size and not force:
                break
            size = min(len(buffer), sink.max_batch_size)
            batch = [buffer.popleft() for _ in range(size)]
            number = self._next_id
            self._next_id += 1
            self._under_way[number] = batch
            self._call(self._send(number, list(batch)))

    def room(self) -> int:
        """Records that may still wait."""
        return max(0, self._sink.max_buffered - len(self._buffer))

    def in_flight(self) -> bool:
        """Whether anything is not acknowledged."""
        return bool(self._buffer or self._under_way)

    def poll(self) -> bool:
        """Take note of what was acknowledged, and send on."""
        worked = False
        while self._done:
            number, error = self._done.popleft()
            if error is not None:
                raise error
            self._under_way.pop(number, None)
            worked = True
        waited_ms = self._context.clock.monotonic_ms() - self._oldest_ms
        due = bool(self._buffer) and waited_ms >= self._sink.max_time_in_buffer_ms
        before = self._next_id
        self._send_ready(force=due)
        return worked or self._next_id > before

    def flush(self) -> None:
        """The input is idle, or has ended: nothing is gained by waiting."""
        self._send_ready(force=not self._under_way)

    # ------------------------------------------------------------------------------------- sending

    async def _send(self, number: int, batch: list[Any]) -> None:
        error: BaseException | None = None
        try:
            await self._send_all(batch)
        except Exception as raised:  # noqa: BLE001 - raised again on the mailbox thread
            error = raised
        self._done.append((number, error))
        self._context.wake()

    async def _send_all(self, batch: list[Any]) -> None:
        sink = self._sink
        backoff = BACKOFF_FIRST_SECONDS
        for attempt in range(1, sink.max_attempts + 1):
            await self._keep_rate(len(batch))
            cause: Exception | None = None
            refused: Sequence[Any] | None = batch
            try:
                refused = await sink.submit(list(batch))
            except Exception as error:  # noqa: BLE001 - any failure is tried again
                cause = error
            if not refused:
                return
            batch = list(refused)
            if attempt == sink.max_attempts:
                why = "refused them" if cause is None else f"{type(cause).__name__}: {cause}"
                msg = f"{len(batch)} records could not be sent in {attempt} attempts: {why}"
                raise AsyncSinkError(
                    msg, remedy="mend the destination; the restarted job sends them again"
                ) from cause
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, BACKOFF_MAX_SECONDS)

    async def _keep_rate(self, records: int) -> None:
        rate = self._sink.records_per_second
        if rate <= 0:
            return
        now = self._loop.time()
        begin = max(now, self._not_before)
        self._not_before = begin + records / rate
        if begin > now:
            await asyncio.sleep(begin - now)

    # --------------------------------------------------------------------------------------- state

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """There are no transactions."""
        return ()

    def snapshot_state(self, checkpoint_id: int) -> Sequence[bytes]:
        """What was not acknowledged, oldest first."""
        waiting = [value for batch in self._under_way.values() for value in batch]
        return codec.encode_all([*waiting, *self._buffer])

    def restore_state(self, items: Sequence[bytes]) -> None:
        """Send it again."""
        self._add([codec.decode(item) for item in items])

    def close(self) -> None:
        """Close the sink's connections."""
        try:
            self._call(self._sink.close()).result(CLOSE_SECONDS_MAX)
        finally:
            self._stop()

    def _stop(self) -> None:
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CLOSE_SECONDS_MAX)
