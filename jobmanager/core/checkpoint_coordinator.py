"""When to take a checkpoint, when it is complete, and what to do when it is not.

One checkpoint is under way at a time. It goes through three phases: the enumerators are
snapshotted, the barriers are sent and acknowledged, the metadata is written. Only after the write
has succeeded is it complete. An acknowledgement of any other checkpoint is stale and ignored.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from lesto.common.errors import LestoError
from lesto.jobmanager.core.checkpoint_stats import CheckpointStatistics
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import TaskKey
from lesto.jobmanager.core.instructions import (
    CoordinatorInstruction,
    DiscardAll,
    DiscardCheckpoint,
    FailJob,
    NotifyCheckpoint,
    RequestFailed,
    RequestSucceeded,
    SnapshotEnumerators,
    TriggerBarriers,
    WriteMetadata,
)
from lesto.jobmanager.core.pending_checkpoint import (
    CompletedCheckpoint,
    PendingCheckpoint,
    Phase,
    SavepointRequest,
    shared_files,
)
from lesto.jobmanager.errors import (
    CheckpointFailedError,
    JobStateError,
    TooManyCheckpointFailuresError,
)
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2

#: Savepoint requests that may wait for their turn.
WAITING_REQUESTS_MAX = 16
#: Pause before a failed final checkpoint is tried again, when no min-pause asks for more.
FINAL_RETRY_PAUSE_MS = 1_000


@dataclass(frozen=True, slots=True)
class CheckpointSettings:
    """Flink's ``execution.checkpointing.*``.

    Attributes:
        interval_ms: None: no periodic checkpoints.
        timeout_ms: a checkpoint older than this is aborted.
        min_pause_ms: from the end of one to the start of the next.
        tolerable_failures: consecutive failed checkpoints a job survives.
        retained: completed checkpoints kept.
    """

    interval_ms: int | None = 10_000
    timeout_ms: int = 600_000
    min_pause_ms: int = 0
    tolerable_failures: int = 3
    retained: int = 3


class CheckpointCoordinator:
    """Decides for one job; lives as long as its job master.

    Attributes:
        latest: the completed checkpoint or savepoint a restart goes on from.
        finishing: the job's last checkpoint is complete; tasks finish.
        stale_messages: acknowledgements and declines that came too late.
    """

    def __init__(
        self,
        graph: job_pb2.JobGraph,
        epoch: int,
        settings: CheckpointSettings,
        checkpoint_root: str,
        version: str,
    ) -> None:
        self.settings = settings
        self.statistics = CheckpointStatistics()
        self.latest: CompletedCheckpoint | None = None
        self.retained: deque[CompletedCheckpoint] = deque()
        self.pending: PendingCheckpoint | None = None
        self.running = False
        self.finishing = False
        self.stale_messages = 0
        self._graph = graph
        self._epoch = epoch
        self._root = checkpoint_root
        self._version = version
        self._tasks = frozenset(
            (vertex.id, index) for vertex in graph.vertices for index in range(vertex.parallelism)
        )
        self._uids = {v.id: frozenset(op.uid for op in v.operators) for v in graph.vertices}
        self._next_id = 1
        self._attempt = 0
        self._requests: deque[SavepointRequest] = deque()
        self._stopped_with: tuple[str, str] | None = None
        self._final_wanted = False
        self._final_not_before_ms = 0
        self._next_periodic_ms = 0
        self._consecutive_failures = 0
        self._abandoned: set[int] = set()
        self._leftovers: list[int] = []

    # ------------------------------------------------------------------------- life of an attempt

    def restore(self, checkpoint: CompletedCheckpoint) -> None:
        """The job starts from this one, which belongs to someone else and is never deleted."""
        assert self.latest is None, "restored twice"
        self.latest = checkpoint
        self._next_id = checkpoint.checkpoint_id + 1

    def start(self, attempt: int, now: Moment) -> list[CoordinatorInstruction]:
        """All tasks of an attempt are RUNNING."""
        assert not self.running, "started twice"
        self.running, self._attempt = True, attempt
        self._consecutive_failures = 0
        self._final_not_before_ms = 0
        self._next_periodic_ms = now.mono_ms + (self.settings.interval_ms or 0)
        return self._trigger_next(now)

    def stop(self, reason: str, now: Moment) -> list[CoordinatorInstruction]:
        """The attempt is over. A write under way may still succeed, until ``abandon_write``."""
        self.running = self.finishing = self._final_wanted = False
        out: list[CoordinatorInstruction] = []
        if self.pending is not None and self.pending.phase is not Phase.WRITING:
            out += self._abort(reason, now, counts=False)
        while self._requests:
            request = self._requests.popleft()
            out.append(RequestFailed(request.request_id, CheckpointFailedError(reason)))
        if self._stopped_with is not None:
            out.append(_stop_failed(*self._stopped_with))
            self._stopped_with = None
        return out

    def abandon_write(self, now: Moment) -> list[CoordinatorInstruction]:
        """A new attempt begins: a write still under way no longer counts, even if it succeeds."""
        if self.pending is None:
            return []
        return self._abort(
            "the job was restarted while its metadata was written", now, counts=False
        )

    def close(self, *, discard_retained: bool) -> list[CoordinatorInstruction]:
        """The job has ended: answer who stopped it, and delete what nobody needs any more."""
        self.running = False
        out: list[CoordinatorInstruction] = []
        if self._stopped_with is not None:
            out.append(RequestSucceeded(*self._stopped_with))
            self._stopped_with = None
        if discard_retained:
            self.retained.clear()
            self._leftovers.clear()
            return [*out, DiscardAll()]
        return out + self._discard_leftovers()

    # ------------------------------------------------------------------------------------ requests

    def request_savepoint(
        self, request: SavepointRequest, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A client wants a savepoint; it waits for a checkpoint under way."""
        problem = self._objection()
        if problem:
            return [RequestFailed(request.request_id, JobStateError(problem))]
        self._requests.append(request)
        return self._trigger_next(now)

    def request_final(self, now: Moment) -> list[CoordinatorInstruction]:
        """All data is processed: one last checkpoint, then the job finishes."""
        assert self.running, "a final checkpoint of an attempt that does not run"
        if self._final_wanted or self.finishing:
            return []
        self._final_wanted = True
        return self._trigger_next(now)

    def _objection(self) -> str:
        if not self.running:
            return "a savepoint needs all tasks RUNNING, and they are not"
        stopping = self.pending is not None and self.pending.stops
        if self.finishing or stopping or any(request.stop for request in self._requests):
            return "the job is finishing already"
        if len(self._requests) >= WAITING_REQUESTS_MAX:
            return f"{WAITING_REQUESTS_MAX} savepoint requests wait already"
        return ""

    # ---------------------------------------------------------------------------------------- time

    def next_deadline_ms(self) -> int | None:
        """Monotonic ms at which ``tick`` has something to do; None: nothing to wait for."""
        if self.pending is not None:
            return self.pending.triggered_ms + self.settings.timeout_ms
        if not self.running or self.finishing:
            return None
        if self._final_wanted:
            return self._final_not_before_ms
        return self._next_periodic_ms if self.settings.interval_ms is not None else None

    def tick(self, now: Moment) -> list[CoordinatorInstruction]:
        """Expire the checkpoint under way, or trigger one that is due."""
        out: list[CoordinatorInstruction] = []
        pending = self.pending
        if pending and now.mono_ms >= pending.triggered_ms + self.settings.timeout_ms:
            missing = ", ".join(f"{v}[{i}]" for v, i in sorted(pending.missing)[:5])
            waits = f"; still missing: {missing}" if missing else ""
            reason = (
                f"checkpoint {pending.checkpoint_id} expired after "
                f"{self.settings.timeout_ms / 1000:g} s while {pending.phase.value}{waits}"
            )
            out += self._abort(reason, now, counts=True)
        return out + self._trigger_next(now)

    def _trigger_next(self, now: Moment) -> list[CoordinatorInstruction]:
        if not self.running or self.finishing or self.pending is not None:
            return []
        if self._requests:
            kind, request = checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT, self._requests.popleft()
            return self._trigger(kind, request, now)
        if self._final_wanted:
            if now.mono_ms < self._final_not_before_ms:
                return []
            return self._trigger(checkpoint_pb2.CHECKPOINT_TYPE_FINAL, None, now)
        interval_ms = self.settings.interval_ms
        if interval_ms is None or now.mono_ms < self._next_periodic_ms:
            return []
        self._next_periodic_ms = now.mono_ms + interval_ms
        return self._trigger(checkpoint_pb2.CHECKPOINT_TYPE_CHECKPOINT, None, now)

    def _trigger(
        self,
        kind: checkpoint_pb2.CheckpointType.ValueType,
        request: SavepointRequest | None,
        now: Moment,
    ) -> list[CoordinatorInstruction]:
        self.pending = PendingCheckpoint(
            checkpoint_id=self._next_id,
            kind=kind,
            attempt=self._attempt,
            triggered_ms=now.mono_ms,
            timestamp_ms=now.wall_ms,
            expected=self._tasks,
            request=request,
        )
        self._next_id += 1
        self.statistics.triggered(self.pending)
        return [SnapshotEnumerators(self._attempt, self.pending.checkpoint_id)]

    # ------------------------------------------------------------------------------------- answers

    def enumerators_snapshotted(
        self, attempt: int, checkpoint_id: int, states: Mapping[str, bytes]
    ) -> list[CoordinatorInstruction]:
        """Now the barriers may go: what was assigned before is before them."""
        pending = self._current(checkpoint_id, Phase.SNAPSHOTTING_ENUMERATORS)
        if pending is None or pending.attempt != attempt:
            return []
        pending.enumerators, pending.phase = states, Phase.COLLECTING_ACKS
        request = pending.request
        return [
            TriggerBarriers(
                checkpoint_id=checkpoint_id,
                timestamp_ms=pending.timestamp_ms,
                kind=pending.kind,
                stop=request is not None and request.stop,
                drain=request is not None and request.drain,
                target=request.target if request else "",
            )
        ]

    def acknowledged(
        self, task: TaskKey, ack: runtime_pb2.CheckpointAck, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A task's part is durable."""
        pending = self._current(ack.checkpoint_id, Phase.COLLECTING_ACKS)
        if pending is None or task in pending.acks:
            self.stale_messages += 1
            return []
        given = {op.uid for op in ack.operators}
        if given != self._uids[task[0]]:
            wrong = sorted(given ^ self._uids[task[0]])
            reason = f"{task[0]}[{task[1]}] acknowledged {sorted(given)}: {wrong} make it wrong"
            return self._abort(reason, now, counts=True) + self._trigger_next(now)
        pending.acks[task] = ack
        self.statistics.acknowledged(pending)
        if pending.missing:
            return []
        gone = pending.built_on() - self._kept_files()
        if gone:
            reason = f"it builds on files of a checkpoint that is not kept any more: {min(gone)}"
            return self._abort(reason, now, counts=False) + self._trigger_next(now)
        pending.phase = Phase.WRITING
        metadata = pending.metadata(self._graph, self._epoch, self._version)
        return [WriteMetadata(metadata, pending.request.target if pending.request else "")]

    def _kept_files(self) -> set[str]:
        """Files of earlier checkpoints that will not be deleted before the one under way is done.

        A task builds on the newest checkpoint it has been told of. The news travels beside the
        data, so a barrier may overtake it; then the task's base may have been given up meanwhile.
        """
        kept = [checkpoint.metadata for checkpoint in self.retained]
        if self.latest is not None:
            kept.append(self.latest.metadata)
        return set().union(*map(shared_files, kept))

    def declined(
        self, task_name: str, decline: runtime_pb2.CheckpointDecline, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A task cannot take part."""
        if self._current(decline.checkpoint_id, Phase.COLLECTING_ACKS) is None:
            self.stale_messages += 1
            return []
        reason = f"declined by {task_name}: {decline.reason}"
        return self._abort(reason, now, counts=True) + self._trigger_next(now)

    def metadata_written(
        self, checkpoint_id: int, path: str, now: Moment
    ) -> list[CoordinatorInstruction]:
        """The checkpoint is complete."""
        if checkpoint_id in self._abandoned:
            self._abandoned.remove(checkpoint_id)
            self._leftovers.append(checkpoint_id)
            return []
        pending = self._current(checkpoint_id, Phase.WRITING)
        assert pending is not None, f"metadata of checkpoint {checkpoint_id} was not asked for"
        self.pending = None
        self._consecutive_failures = 0
        metadata = pending.metadata(self._graph, self._epoch, self._version)
        target = pending.request.target if pending.request else ""
        completed = CompletedCheckpoint(metadata, path, path if target else self._root)
        self.latest = completed
        self.statistics.done(pending, now.mono_ms, path)
        pause_ends_ms = now.mono_ms + self.settings.min_pause_ms
        self._next_periodic_ms = max(self._next_periodic_ms, pause_ends_ms)
        return self._completed(pending, completed, now)

    def _completed(
        self, pending: PendingCheckpoint, completed: CompletedCheckpoint, now: Moment
    ) -> list[CoordinatorInstruction]:
        out: list[CoordinatorInstruction] = []
        if self.running:
            self.finishing = pending.stops
            out.append(NotifyCheckpoint(pending.checkpoint_id, complete=True, finish=pending.stops))
        request = pending.request
        if request is not None and not request.stop:
            out.append(RequestSucceeded(request.request_id, completed.path))
        elif request is not None and self.running:
            self._stopped_with = (request.request_id, completed.path)
        elif request is not None:
            out.append(_stop_failed(request.request_id, completed.path))
        if request is None:
            self.retained.append(completed)
            while len(self.retained) > self.settings.retained:
                out.append(self._discard(self.retained.popleft()))
        return out + self._discard_leftovers() + self._trigger_next(now)

    def metadata_failed(
        self, checkpoint_id: int, error: LestoError, now: Moment
    ) -> list[CoordinatorInstruction]:
        """It could not be written; there is no such checkpoint."""
        if checkpoint_id in self._abandoned:
            self._abandoned.remove(checkpoint_id)
            self._leftovers.append(checkpoint_id)
            return []
        pending = self._current(checkpoint_id, Phase.WRITING)
        if pending is None:
            return []
        reason = f"its metadata could not be written: {error}"
        out = self._abort(reason, now, counts=True)
        # The write is over; no other answer will come.
        self._abandoned.remove(checkpoint_id)
        self._leftovers.append(checkpoint_id)
        return out + self._trigger_next(now)

    def _current(self, checkpoint_id: int, phase: Phase) -> PendingCheckpoint | None:
        pending = self.pending
        if pending is None or pending.checkpoint_id != checkpoint_id or pending.phase is not phase:
            return None
        return pending

    # ------------------------------------------------------------------------------------ failures

    def _abort(self, reason: str, now: Moment, *, counts: bool) -> list[CoordinatorInstruction]:
        """End the checkpoint under way without completing it.

        Args:
            reason: one line, shown to people.
            now: when.
            counts: whether it counts towards the tolerable failures.
        """
        pending = self.pending
        assert pending is not None, "no checkpoint to abort"
        self.pending = None
        self.statistics.aborted(pending, now.mono_ms, reason)
        if pending.phase is Phase.WRITING:
            self._abandoned.add(pending.checkpoint_id)
        else:
            self._leftovers.append(pending.checkpoint_id)
        self._next_periodic_ms = max(
            self._next_periodic_ms, now.mono_ms + self.settings.min_pause_ms
        )
        out: list[CoordinatorInstruction] = []
        started = pending.phase is not Phase.SNAPSHOTTING_ENUMERATORS
        if self.running and started:
            out.append(NotifyCheckpoint(pending.checkpoint_id, complete=False))
        error = CheckpointFailedError(f"checkpoint {pending.checkpoint_id} failed: {reason}")
        request = pending.request
        if request is not None:
            out.append(RequestFailed(request.request_id, error))
            if request.stop and started and self.running:
                # Its sources have stopped reading: only a restart brings them back.
                out.append(FailJob(error))
            return out
        if pending.kind == checkpoint_pb2.CHECKPOINT_TYPE_FINAL:
            pause_ms = max(self.settings.min_pause_ms, FINAL_RETRY_PAUSE_MS)
            self._final_not_before_ms = now.mono_ms + pause_ms
        return out + (self._count_failure(reason) if counts and self.running else [])

    def _count_failure(self, reason: str) -> list[CoordinatorInstruction]:
        self._consecutive_failures += 1
        tolerable = self.settings.tolerable_failures
        if self._consecutive_failures <= tolerable:
            return []
        error = TooManyCheckpointFailuresError(
            f"{self._consecutive_failures} checkpoints failed one after another, {tolerable} are "
            f"tolerated; the last because {reason}",
            remedy="mend the cause, or raise execution.checkpointing.tolerable-failed-checkpoints",
        )
        return [FailJob(error)]

    # ------------------------------------------------------------------------------------ deletion

    def _discard(self, checkpoint: CompletedCheckpoint) -> CoordinatorInstruction:
        stay = tuple(kept.metadata for kept in self.retained)
        return DiscardCheckpoint(checkpoint.checkpoint_id, checkpoint.metadata, stay)

    def _discard_leftovers(self) -> list[CoordinatorInstruction]:
        """Delete what aborted checkpoints left.

        Only now that a later one is complete or the job over: tasks may have been uploading still.
        """
        stay = tuple(kept.metadata for kept in self.retained)
        out = [DiscardCheckpoint(left, None, stay) for left in self._leftovers]
        self._leftovers.clear()
        return list(out)

    # ---------------------------------------------------------------------------------- invariants

    def validate(self) -> None:
        """Check what must always hold."""
        ids = [checkpoint.checkpoint_id for checkpoint in self.retained]
        assert ids == sorted(set(ids)), "retained checkpoints are not in order"
        assert len(ids) <= self.settings.retained, "more checkpoints retained than allowed"
        if ids:
            assert self.latest is not None
            assert self.latest.checkpoint_id >= ids[-1], "the latest is not the latest"
        if self.latest is not None:
            assert self.latest.checkpoint_id < self._next_id, "an id would be used again"
        if (pending := self.pending) is not None:
            assert pending.acks.keys() <= pending.expected, "an acknowledgement of a stranger"
            assert (pending.phase is Phase.WRITING) == (not pending.missing), "written too early"
            assert pending.checkpoint_id not in self._abandoned
            assert self.running or pending.phase is Phase.WRITING, "pending without an attempt"


def _stop_failed(request_id: str, path: str) -> RequestFailed:
    return RequestFailed(
        request_id,
        CheckpointFailedError(
            f"the savepoint {path} is complete, but the job failed before it had finished",
            remedy="the job goes on from the savepoint; stop it again",
        ),
    )
