"""Snapshots of one task: the synchronous part at the barrier, the upload behind it, the
acknowledgement.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from lesto.common.elements import Barrier, CheckpointKind
from lesto.proto import checkpoint_pb2, runtime_pb2
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.runtime.capture import InFlightPart
from lesto.taskmanager.runtime.chain import ChainedOperator
from lesto.taskmanager.runtime.environment import SerialWorker, SlotEnvironment
from lesto.taskmanager.runtime.in_flight_file import write_in_flight
from lesto.taskmanager.runtime.overtaking import InFlight

if TYPE_CHECKING:
    from lesto.taskmanager.runtime.counting_store import CountingStore


@dataclass(slots=True)
class _Upload:
    """A snapshot on its way to storage."""

    barrier: Barrier
    parts: list[tuple[ChainedOperator, OperatorSnapshot]]
    cancelled: bool = False
    works: int = 1  # on the I/O threads: state, and in-flight data
    expects: bool = False  # in-flight data is still to come
    async_us: int = 0
    error: BaseException | None = None
    acks: list[runtime_pb2.OperatorAck] = field(default_factory=list)
    #: Times, and what is to be said of in-flight data.
    measured: runtime_pb2.CheckpointAck = field(default_factory=runtime_pb2.CheckpointAck)


class TaskSnapshots:
    """Takes a task's snapshots and acknowledges them.

    Taken on the mailbox thread. The acknowledgement leaves on the I/O thread that has finished the
    upload: it must not wait for a step of a task.

    Args:
        environment: the slot's.
        deployment: the task's.
        operators: the task's operators.
        schemas: columns of the task's edges, in and out, by edge id; None for rows.
    """

    def __init__(
        self,
        environment: SlotEnvironment,
        deployment: runtime_pb2.TaskDeployment,
        operators: Sequence[ChainedOperator],
        schemas: Mapping[str, pa.Schema | None] | None = None,
    ) -> None:
        self._schemas = dict(schemas or {})
        self._environment = environment
        self._deployment = deployment
        self._operators = tuple(operators)
        self._lock = threading.Lock()  # of the uploads, of what both threads do with them
        self._uploads: dict[int, _Upload] = {}
        # In order: an incremental snapshot builds on the one before.
        self._worker = SerialWorker(environment.io)
        self._when_idle: Callable[[], None] | None = None
        self.last_duration_us = 0
        self.last_bytes = 0
        self.last_sync_us = self.last_start_delay_us = self.last_alignment_us = 0
        self.completed = 0

    @property
    def running(self) -> bool:
        """Whether an upload is under way."""
        return bool(self._uploads)

    def take(
        self,
        barrier: Barrier,
        pass_on: Callable[[], None],
        *,
        alignment_us: int,
        start_delay_us: int,
        in_flight: bool = False,
    ) -> None:
        """The synchronous part (mailbox thread); ``pass_on`` sends the barrier to the outputs.

        With ``in_flight`` the snapshot is complete only behind a call of ``add_in_flight``.

        Raises:
            Exception: what an operator raised; the task has failed then.
        """
        begin = time.monotonic_ns()
        checkpoint_id = barrier.checkpoint_id
        for chained in self._operators:
            chained.call("prepare_snapshot", checkpoint_id)
        # The barrier leaves before the state is copied: those behind can begin to align.
        pass_on()
        canonical = barrier.kind is CheckpointKind.SAVEPOINT
        upload = _Upload(barrier, [], expects=in_flight)
        try:
            for chained in self._operators:
                snapshot = chained.snapshot(checkpoint_id, canonical)
                if barrier.full and snapshot.keyed is not None:
                    snapshot.keyed.build_on_nothing()
                upload.parts.append((chained, snapshot))
        except BaseException:
            _discard(upload)
            raise
        upload.measured.alignment_us = alignment_us
        upload.measured.start_delay_us = max(0, start_delay_us)
        upload.measured.sync_us = (time.monotonic_ns() - begin) // 1000
        self._uploads[checkpoint_id] = upload
        self._worker.submit(lambda: self._finish(upload))

    def add_in_flight(self, found: InFlight) -> None:
        """What was in flight at the snapshot (mailbox thread)."""
        with self._lock:
            upload = self._uploads.get(found.barrier.checkpoint_id)
            if upload is None:
                return
            upload.expects = False
            upload.works += 1
            upload.measured.unaligned = found.overtook
            upload.measured.in_flight_limited = found.limited
        self._worker.submit(lambda: self._finish_in_flight(upload, found.parts))

    def abort(self, checkpoint_id: int) -> None:
        """The checkpoint will never complete: its upload is not acknowledged."""
        with self._lock:
            upload = self._uploads.get(checkpoint_id)
            if upload is not None:
                self._cancel(upload)

    def _cancel(self, upload: _Upload) -> None:
        upload.cancelled = True
        if not upload.works:  # only in-flight data was missing
            self._uploads.pop(upload.barrier.checkpoint_id, None)

    def close(self, when_idle: Callable[[], None]) -> None:
        """Acknowledge nothing more; call back (mailbox thread) when no upload uses state any
        longer.
        """
        with self._lock:
            for upload in list(self._uploads.values()):
                self._cancel(upload)
            self._when_idle = when_idle
            idle = not self._uploads
        if idle:
            when_idle()

    # --------------------------------------------------------------------------------- I/O thread

    def _finish(self, upload: _Upload) -> None:
        error: BaseException | None = None
        acks: list[runtime_pb2.OperatorAck] = []
        begin = time.monotonic_ns()
        try:
            if upload.cancelled:
                _discard(upload)
            else:
                acks = self._write(upload)
        except BaseException as caught:  # noqa: BLE001 - declined with the reason
            error = caught
            _discard(upload)
        async_us = (time.monotonic_ns() - begin) // 1000
        self._finished(upload, acks, error, async_us)

    def _finish_in_flight(self, upload: _Upload, parts: Sequence[InFlightPart]) -> None:
        error: BaseException | None = None
        begin = time.monotonic_ns()
        try:
            if not upload.cancelled:
                store = self._store(upload)
                write_in_flight(parts, self._schemas, store, upload.barrier, upload.measured)
        except BaseException as caught:  # noqa: BLE001 - declined with the reason
            error = caught
        async_us = (time.monotonic_ns() - begin) // 1000
        self._finished(upload, None, error, async_us)

    def _store(self, upload: _Upload) -> CountingStore:
        from lesto.taskmanager.runtime.counting_store import CountingStore

        task = self._deployment.task
        root = upload.barrier.target or self._deployment.checkpoint_root
        return CountingStore(root, epoch=task.epoch, attempt=str(task.attempt))

    def _write(self, upload: _Upload) -> list[runtime_pb2.OperatorAck]:
        task = self._deployment.task
        store: CountingStore | None = None
        acks = []
        for chained, snapshot in upload.parts:
            state = checkpoint_pb2.OperatorSubtaskState(subtask=task.subtask)
            if snapshot.keyed is not None:
                if store is None:
                    store = self._store(upload)
                written_before = store.written_bytes
                # A savepoint goes to another machine as likely as not.
                store.backup = None if upload.barrier.target else chained.context.backup
                handle = snapshot.keyed.finish(store)
                if store.backup is not None:
                    store.backup.record(upload.barrier.checkpoint_id, handle)
                state.keyed.append(handle)
                state.state_bytes += sum(f.file.length_bytes for f in handle.files)
                state.uploaded_bytes += store.written_bytes - written_before
            for union, lists in ((False, snapshot.lists), (True, snapshot.union_lists)):
                for name, items in lists.items():
                    state.lists.add(name=name, items=items, union=union)
                    size = sum(map(len, items))
                    state.state_bytes += size
                    state.uploaded_bytes += size
            for name, items in snapshot.broadcast_lists.items():
                state.lists.add(name=name, items=items, broadcast=True)
                size = sum(map(len, items))
                state.state_bytes += size
                state.uploaded_bytes += size
            acks.append(runtime_pb2.OperatorAck(uid=chained.node.uid, state=state))
        return acks

    def _finished(
        self,
        upload: _Upload,
        acks: list[runtime_pb2.OperatorAck] | None,
        error: BaseException | None,
        async_us: int,
    ) -> None:
        """A piece of work is done; with the last one the checkpoint is answered."""
        with self._lock:
            upload.works -= 1
            upload.async_us = max(upload.async_us, async_us)
            upload.error = upload.error or error
            if acks is not None:
                upload.acks = acks
            done = not upload.expects or upload.cancelled or upload.error is not None
            if upload.works or not done:
                return
            checkpoint_id = upload.barrier.checkpoint_id
            if not upload.cancelled:
                self._answer(checkpoint_id, upload)
            # Only now: a task that has nothing under way may say that it has finished.
            self._uploads.pop(checkpoint_id, None)
            when_idle = None if self._uploads else self._when_idle
        if when_idle is not None:
            self._environment.mailbox.post(when_idle)
        else:
            self._environment.mailbox.wake()  # the task may have waited to finish

    def _answer(self, checkpoint_id: int, upload: _Upload) -> None:
        if upload.error is not None:
            reason = f"{type(upload.error).__name__}: {upload.error}"
            self.decline(checkpoint_id, reason)
            return
        self.completed += 1
        self.last_duration_us = upload.measured.sync_us + upload.async_us
        self.last_bytes = sum(a.state.uploaded_bytes for a in upload.acks)
        self.last_bytes += upload.measured.in_flight_bytes
        self.last_sync_us = upload.measured.sync_us
        self.last_start_delay_us = upload.measured.start_delay_us
        self.last_alignment_us = upload.measured.alignment_us
        ack = runtime_pb2.CheckpointAck(
            task=self._deployment.task,
            checkpoint_id=checkpoint_id,
            operators=upload.acks,
            async_us=upload.async_us,
            ended_at_ms=self._environment.clock.now_ms(),
        )
        ack.MergeFrom(upload.measured)
        self._environment.send(runtime_pb2.TaskEvent(ack=ack))

    def decline(self, checkpoint_id: int, reason: str) -> None:
        """Tell the coordinator that the checkpoint fails here."""
        message = runtime_pb2.CheckpointDecline(
            task=self._deployment.task, checkpoint_id=checkpoint_id, reason=reason
        )
        self._environment.send(runtime_pb2.TaskEvent(decline=message))


def _discard(upload: _Upload) -> None:
    for _, snapshot in upload.parts:
        if snapshot.keyed is not None:
            snapshot.keyed.discard()
