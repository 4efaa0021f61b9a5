"""The sink operator: a writer in the pipeline, and commits after complete checkpoints.

A committable lives in operator list state ``committables`` from the barrier at which the writer
prepared it until it has been committed. Order of events for checkpoint n: prepare (before the
barrier is passed on), snapshot with all uncommitted committables, checkpoint complete, commit on an
I/O thread, forget. After a restore everything restored is committed again first, which the
committer takes as idempotent.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

import msgspec
import pyarrow as pa

from lesto.common import options
from lesto.common.clock import Clock
from lesto.common.elements import Batch, Form
from lesto.common.errors import LestoError
from lesto.common.sink import Committer, EndedWriter, Sink, SinkWriter
from lesto.state.errors import StateError
from lesto.taskmanager.operators.base import Operator, OperatorContext, OperatorSnapshot
from lesto.taskmanager.operators.commit_metrics import CommitMetrics
from lesto.taskmanager.operators.errors import CommitFailedError

_MILLISECOND: Final = timedelta(milliseconds=1)
COMMITTABLES_STATE: Final = "committables"
#: List state of the writer's own.
WRITER_STATE: Final = "writer"
#: Attempts to commit before the task fails; the restart then commits again.
COMMIT_ATTEMPTS_MAX: Final = 5
COMMIT_BACKOFF_FIRST_MS: Final = 100
COMMIT_BACKOFF_MAX_MS: Final = 2_000

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, bytes]).decode


class OperatorWriterContext:
    """What the writer sees of its operator."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    @property
    def job_id(self) -> str:
        """Hex id of the job."""
        return self._context.job_id

    @property
    def operator_uid(self) -> str:
        """Stable id of the sink."""
        return self._context.operator_uid

    @property
    def subtask(self) -> int:
        """Index of this writer."""
        return self._context.subtask

    @property
    def parallelism(self) -> int:
        """Number of writers."""
        return self._context.parallelism

    @property
    def attempt(self) -> str:
        """Unique in the job's life."""
        return self._context.attempt

    @property
    def checkpoint_root(self) -> str:
        """URI of the job's directory in checkpoint storage."""
        return self._context.checkpoint_root

    @property
    def input_schema(self) -> pa.Schema | None:
        """Columns of the stream, or None for rows."""
        schemas = self._context.input_schemas
        return schemas[0] if schemas else None

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        return self._context.clock

    def wake(self) -> None:
        """Poll the writer soon; thread-safe."""
        self._context.wake()

    @property
    def checkpoint_interval_ms(self) -> int | None:
        """From one checkpoint to the next at the least."""
        config = self._context.config
        interval = config.get(options.CHECKPOINTING_INTERVAL)
        if not interval:
            return None
        pause = config.get(options.MIN_PAUSE_BETWEEN_CHECKPOINTS)
        return max(interval, pause) // _MILLISECOND


class SinkOperator(Operator):
    """Writes to a sink, exactly once if the sink has a committer, else at least once.

    Args:
        sink: the sink.
        pause: sleeps for ms between two attempts to commit; on the I/O thread.
    """

    _writer: SinkWriter

    def __init__(self, sink: Sink, pause: Callable[[int], None] | None = None) -> None:
        self._sink = sink
        self.input_form = sink.input_form
        self.concurrent = sink.concurrent
        self.steady = sink.input_form is not Form.ROWS
        self._pause = pause or _sleep_ms
        self._committer: Committer | None = None
        #: Uncommitted, ascending by checkpoint id; those being committed stay here until they are.
        self._pending: list[tuple[int, bytes]] = []
        self._commits_running = 0
        self._metrics: CommitMetrics | None = None
        self._committing_id = 0  # commits up to this checkpoint are under way or done
        self._opened = False

    def open(self) -> None:
        """Commit what the restored checkpoint holds, then make the writer."""
        self._committer = self._sink.create_committer()
        if self._committer is not None:
            self._metrics = CommitMetrics(self.context.metrics, lambda: len(self._pending))
        restored = [_decode(item) for item in self.context.restored_list(COMMITTABLES_STATE)]
        if restored:
            if self._committer is None:
                msg = (
                    f"{len(restored)} committables were restored for sink "
                    f"{self.context.operator_name!r}, which has no committer"
                )
                raise StateError(msg, remedy="restore with the sink the checkpoint was taken with")
            self._pending = sorted(restored, key=lambda item: item[0])
            # Nothing else may happen before: readers of the sink must see the order of the
            # checkpoints.
            self._commit(self._committer, [c for _, c in self._pending])
            self._pending = []
        self._writer = self._sink.create_writer(OperatorWriterContext(self.context))
        self._opened = True
        own = self.context.restored_list(WRITER_STATE)
        if own:
            self._writer.restore_state(own)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Hand the batch to the writer."""
        self._writer.write(batch)

    def poll(self) -> bool:
        """What the writer has under way."""
        return self._writer.poll()

    def room(self) -> int:
        """What the writer would take."""
        return self._writer.room()

    def in_flight(self) -> bool:
        """Whether the writer has something under way."""
        return self._writer.in_flight()

    def process_watermark(self, timestamp: int) -> None:
        """Tell the writer."""
        self._writer.process_watermark(timestamp)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """Make all that was written durable and keep what is to be committed."""
        committables = self._writer.prepare_commit(checkpoint_id)
        if committables and self._committer is None:
            msg = f"sink {self.context.operator_name!r} gave committables but has no committer"
            raise StateError(msg)
        self._pending.extend((checkpoint_id, committable) for committable in committables)
        if self._metrics is not None:
            self._metrics.prepared.inc(len(committables))

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """All committables not known to be committed, and the writer's own state."""
        lists = {COMMITTABLES_STATE: [_encode(item) for item in self._pending]}
        own = list(self._writer.snapshot_state(checkpoint_id))
        return OperatorSnapshot(lists=lists | ({WRITER_STATE: own} if own else {}))

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Commit everything up to this checkpoint on the I/O thread."""
        committer = self._committer
        due = [item for item in self._pending if self._committing_id < item[0] <= checkpoint_id]
        if committer is None or not due:
            return
        self._commits_running += 1
        self._committing_id = checkpoint_id
        work = [committable for _, committable in due]
        self.context.run_blocking(
            lambda: self._commit(committer, work),
            lambda _result, error: self._committed(checkpoint_id, error),
        )

    def _commit(self, committer: Committer, committables: Sequence[bytes]) -> None:
        commit_with_retries(committer, committables, self._pause, self._metrics)

    def _committed(self, checkpoint_id: int, error: BaseException | None) -> None:
        self._commits_running -= 1
        if error is not None:
            self.context.fail(error)
            return
        self._pending = [item for item in self._pending if item[0] > checkpoint_id]

    def finish(self) -> None:
        """Behind the last commit, let the committer clean up after earlier attempts."""
        committer = self._committer
        if committer is None:
            return
        context = self.context
        ended = EndedWriter(
            context.job_id,
            context.operator_uid,
            context.subtask,
            context.parallelism,
            context.attempt,
        )
        self._commits_running += 1
        self.context.run_blocking(
            lambda: committer.finish(ended), lambda _result, error: self._cleaned(error)
        )

    def _cleaned(self, error: BaseException | None) -> None:
        self._commits_running -= 1
        if error is not None:
            self.context.fail(error)

    def pending_work(self) -> bool:
        """Whether a commit runs."""
        return self._commits_running > 0

    def idle(self) -> None:
        """Pass on what the writer buffers."""
        if self._opened:
            self._writer.flush()

    def end_input(self, input_index: int = 0) -> None:
        """Pass on what the writer buffers; the final checkpoint publishes the rest."""
        self._writer.flush()

    def close(self) -> None:
        """Close writer and committer."""
        try:
            if self._opened:
                self._opened = False
                self._writer.close()
        finally:
            committer, self._committer = self._committer, None
            if committer is not None:
                committer.close()


def commit_with_retries(
    committer: Committer,
    committables: Sequence[bytes],
    pause: Callable[[int], None],
    metrics: CommitMetrics | None = None,
) -> None:
    """Commit, again after a growing pause when it fails; blocking, for an I/O thread or ``open``.

    An error that says it is not retryable is raised at once.

    Raises:
        CommitFailedError: after COMMIT_ATTEMPTS_MAX attempts; the last failure is its cause.
    """
    if metrics is None:
        _commit_with_retries(committer, committables, pause, lambda: None)
        return
    with metrics.commit(len(committables)) as retried:
        _commit_with_retries(committer, committables, pause, retried)


def _commit_with_retries(
    committer: Committer,
    committables: Sequence[bytes],
    pause: Callable[[int], None],
    retried: Callable[[], None],
) -> None:
    backoff_ms = COMMIT_BACKOFF_FIRST_MS
    for attempt in range(1, COMMIT_ATTEMPTS_MAX + 1):
        try:
            committer.commit(committables)
        except Exception as error:
            if isinstance(error, LestoError) and not error.retryable:
                raise
            if attempt == COMMIT_ATTEMPTS_MAX:
                why = error.message if isinstance(error, LestoError) else str(error)
                msg = (
                    f"commit of {len(committables)} committables failed {attempt} times, "
                    f"last with {type(error).__name__}: {why}"
                )
                raise CommitFailedError(
                    msg, remedy="mend the external system; the restarted job commits them again"
                ) from error
            retried()
            pause(backoff_ms)
            backoff_ms = min(2 * backoff_ms, COMMIT_BACKOFF_MAX_MS)
        else:
            return


def _sleep_ms(ms: int) -> None:
    time.sleep(ms / 1000)
