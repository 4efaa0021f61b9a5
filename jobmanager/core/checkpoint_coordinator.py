"""When to take a checkpoint, when it is complete, and what to do when it is not.

A checkpoint goes through three phases: the enumerators are snapshotted, the barriers are sent and
acknowledged, the metadata is written. Only after the write has succeeded is it complete. Several
may be under way; barriers go out in the order of their ids, and one metadata is written at a time.
A completed checkpoint ends older ones that are still under way: nobody needs them any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lesto.common.errors import LestoError
from lesto.jobmanager.core.checkpoint_failures import FailureCounter
from lesto.jobmanager.core.checkpoint_requests import WAITING_REQUESTS_MAX, RequestQueue
from lesto.jobmanager.core.checkpoint_schedule import FINAL_RETRY_PAUSE_MS, CheckpointSchedule
from lesto.jobmanager.core.checkpoint_settings import CheckpointSettings, ClaimMode
from lesto.jobmanager.core.checkpoint_stats import CheckpointStatistics
from lesto.jobmanager.core.checkpoint_story import tell_completed, tell_failed
from lesto.jobmanager.core.completed_checkpoints import CompletedCheckpoints
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import TaskKey
from lesto.jobmanager.core.instructions import (
    CoordinatorInstruction,
    FailJob,
    NotifyCheckpoint,
    RequestFailed,
    RequestSucceeded,
    SnapshotEnumerators,
    TriggerBarriers,
    WriteMetadata,
)
from lesto.jobmanager.core.journal import Journal
from lesto.jobmanager.core.pending_checkpoint import (
    CheckpointRequest,
    CompletedCheckpoint,
    PendingCheckpoint,
    Phase,
    Request,
    SavepointRequest,
)
from lesto.jobmanager.errors import CheckpointFailedError, JobStateError
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2

__all__ = [
    "FINAL_RETRY_PAUSE_MS",
    "WAITING_REQUESTS_MAX",
    "CheckpointCoordinator",
    "CheckpointSettings",
    "ClaimMode",
]

_CHECKPOINT = checkpoint_pb2.CHECKPOINT_TYPE_CHECKPOINT
_SAVEPOINT = checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT
_FINAL = checkpoint_pb2.CHECKPOINT_TYPE_FINAL


class CheckpointCoordinator:
    """Decides for one job; lives as long as its job master.

    Attributes:
        under_way: checkpoints by id, oldest first.
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
        journal: Journal | None = None,
    ) -> None:
        self.settings = settings
        self.statistics = CheckpointStatistics()
        self._journal = journal if journal is not None else Journal()
        self.completed = CompletedCheckpoints(settings.retained, checkpoint_root, epoch)
        self.under_way: dict[int, PendingCheckpoint] = {}
        self.running = False
        self.finishing = False
        self.stale_messages = 0
        self._graph = graph
        self._epoch = epoch
        self._root = checkpoint_root
        self._version = version
        self._next_id = 1
        self._attempt = 0
        self._schedule = CheckpointSchedule(settings)
        self._failures = FailureCounter(settings.tolerable_failures)
        self._requests = RequestQueue()
        self._stopped_with: tuple[str, str] | None = None
        self._final_wanted = False
        self._full_wanted = False
        #: Aborted while their metadata was written: the write may yet succeed.
        self._abandoned: dict[int, PendingCheckpoint] = {}

    @property
    def latest(self) -> CompletedCheckpoint | None:
        """The completed checkpoint or savepoint a restart goes on from."""
        return self.completed.latest

    @property
    def retained(self) -> Iterable[CompletedCheckpoint]:
        """Checkpoints kept, oldest first."""
        return self.completed.retained

    # ------------------------------------------------------------------------- life of an attempt

    def restore(self, checkpoint: CompletedCheckpoint) -> None:
        """The job starts from a snapshot of another one, claimed or not (``settings.claim_mode``).

        When it is not claimed, its owner may delete it at any time: the first checkpoint is full.
        """
        claim = self.settings.claim_mode is ClaimMode.CLAIM
        self.completed.restore(checkpoint, claim=claim)
        self._full_wanted = not claim
        self._next_id = max(self._next_id, checkpoint.checkpoint_id + 1)

    def recover(self, checkpoints: Iterable[CompletedCheckpoint], first_id: int = 1) -> None:
        """This job's own completed checkpoints, of earlier epochs.

        Args:
            checkpoints: all that are kept; a restart goes on from the newest.
            first_id: smallest id that nobody has used.
        """
        claims = self.settings.claim_mode is ClaimMode.CLAIM
        self.completed.recover(checkpoints, self._graph.restore_path if claims else "")
        newest = self.latest.checkpoint_id if self.latest else 0
        self._next_id = max(first_id, newest + 1)

    def start(self, attempt: int, now: Moment) -> list[CoordinatorInstruction]:
        """All tasks of an attempt are RUNNING."""
        assert not self.running, "started twice"
        self.running, self._attempt = True, attempt
        self._failures.reset()
        self._schedule.start(now.mono_ms)
        return self._trigger_next(now)

    @property
    def ends_the_job(self) -> bool:
        """Whether tasks are told to finish, or may have been by a checkpoint under way.

        A final checkpoint does not count: until it is complete, its tasks stay as they are.
        """
        stopping = any(p.stops and p.kind != _FINAL for p in self.under_way.values())
        return self.finishing or stopping

    def stop(
        self, reason: str, now: Moment, *, tasks_stay: bool = False
    ) -> list[CoordinatorInstruction]:
        """The attempt is over. A write under way may still succeed, until ``abandon_write``.

        Args:
            reason: one line, shown to people.
            now: when.
            tasks_stay: some of the tasks run on, and are told of what is aborted.
        """
        self.running = tasks_stay
        self.finishing = self._final_wanted = False
        self.completed.attempt_ended()
        out: list[CoordinatorInstruction] = []
        for pending in list(self.under_way.values()):
            if pending.phase is not Phase.WRITING:
                out += self._abort(pending, reason, now, counts=False)
        self.running = False
        out += self._requests.refuse(CheckpointFailedError(reason))
        if self._stopped_with is not None:
            out.append(_stop_failed(*self._stopped_with))
            self._stopped_with = None
        return out

    def abandon_write(self, now: Moment) -> list[CoordinatorInstruction]:
        """A new attempt begins: a write still under way no longer counts, even if it succeeds."""
        reason = "the job was restarted while its metadata was written"
        out: list[CoordinatorInstruction] = []
        for pending in list(self.under_way.values()):
            out += self._abort(pending, reason, now, counts=False)
        return out

    def close(
        self, *, discard_retained: bool, now: Moment | None = None
    ) -> list[CoordinatorInstruction]:
        """The job has ended: answer who stopped it, and delete what nobody needs any more."""
        self.running = False
        out: list[CoordinatorInstruction] = []
        if self._stopped_with is not None:
            out.append(RequestSucceeded(*self._stopped_with))
            self._stopped_with = None
        if discard_retained:
            return out + self.completed.close(discard=True)
        out += self.completed.release(())
        # A write that is still under way may complete its checkpoint: nothing of it may go.
        written = [*self.under_way, *self._abandoned]
        return out + self.completed.sweep(written, self._next_id, now.mono_ms if now else 0)

    # ------------------------------------------------------------------------------------ requests

    def request_savepoint(
        self, request: SavepointRequest, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A client wants a savepoint: it starts although others are under way."""
        return self._request(request, "a savepoint", now)

    def request_checkpoint(
        self, request: CheckpointRequest, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A client wants a checkpoint: it starts when there is room for it."""
        return self._request(request, "a checkpoint", now)

    def request_final(self, now: Moment) -> list[CoordinatorInstruction]:
        """All data is processed: one last checkpoint, then the job finishes."""
        assert self.running, "a final checkpoint of an attempt that does not run"
        if self._final_wanted or self.finishing:
            return []
        self._final_wanted = True
        return self._trigger_next(now)

    def data_ended(self) -> None:
        """A source has read everything; others may go on."""
        if not self.settings.after_tasks_finish:
            self._schedule.pause()

    def _request(self, request: Request, what: str, now: Moment) -> list[CoordinatorInstruction]:
        problem = self._objection(what)
        if problem:
            return [RequestFailed(request.request_id, JobStateError(problem))]
        self._requests.add(request)
        return self._trigger_next(now)

    def _objection(self, what: str) -> str:
        if not self.running:
            return f"{what} needs all tasks RUNNING, and they are not"
        if self.finishing or self._stopping() or self._requests.stops:
            return "the job is finishing already"
        asked = sum(pending.request is not None for pending in self.under_way.values())
        if asked + len(self._requests) > WAITING_REQUESTS_MAX:
            return f"{WAITING_REQUESTS_MAX} requests wait already"
        return ""

    def _stopping(self) -> bool:
        return any(pending.stops for pending in self.under_way.values())

    # ---------------------------------------------------------------------------------------- time

    def next_deadline_ms(self) -> int | None:
        """Monotonic ms at which ``tick`` has something to do; None: nothing to wait for."""
        timeout_ms = self.settings.timeout_ms
        expiries = [pending.triggered_ms + timeout_ms for pending in self.under_way.values()]
        start_ms = self._next_start_ms()
        return min([*expiries, *([] if start_ms is None else [start_ms])], default=None)

    def _next_start_ms(self) -> int | None:
        """When a timed checkpoint may start; None: none will, as things are."""
        if not self._may_trigger():
            return None
        if self._final_wanted:
            return None if self.under_way else self._schedule.final_ms
        return self._schedule.next_periodic_ms() if self._has_room() else None

    def tick(self, now: Moment) -> list[CoordinatorInstruction]:
        """Expire checkpoints under way, or trigger one that is due."""
        out: list[CoordinatorInstruction] = []
        for pending in list(self.under_way.values()):
            if now.mono_ms >= pending.triggered_ms + self.settings.timeout_ms:
                out += self._abort(pending, self._expired(pending), now, counts=True)
        return out + self._go_on(now)

    def _expired(self, pending: PendingCheckpoint) -> str:
        missing = ", ".join(f"{v}[{i}]" for v, i in sorted(pending.missing)[:5])
        waits = f"; still missing: {missing}" if missing else ""
        return (
            f"checkpoint {pending.checkpoint_id} expired after "
            f"{self.settings.timeout_ms / 1000:g} s while {pending.phase.value}{waits}"
        )

    def _may_trigger(self) -> bool:
        """One starts at a time: barriers leave in the order of their ids."""
        starting = Phase.SNAPSHOTTING_ENUMERATORS
        busy = any(pending.phase is starting for pending in self.under_way.values())
        return self.running and not self.finishing and not busy and not self._stopping()

    def _has_room(self) -> bool:
        return len(self.under_way) < self.settings.concurrency

    def _trigger_next(self, now: Moment) -> list[CoordinatorInstruction]:
        if not self._may_trigger():
            return []
        request = self._requests.next(
            savepoints=self.settings.overlapping or not self.under_way,
            checkpoints=self._has_room(),
        )
        if request is not None:
            saves = isinstance(request, SavepointRequest)
            return self._trigger(_SAVEPOINT if saves else _CHECKPOINT, request, now)
        start_ms = self._next_start_ms()
        if start_ms is None or now.mono_ms < start_ms:
            return []
        if self._final_wanted:
            return self._trigger(_FINAL, None, now)
        self._schedule.triggered(now.mono_ms)
        return self._trigger(_CHECKPOINT, None, now)

    def _trigger(
        self, kind: checkpoint_pb2.CheckpointType.ValueType, request: Request | None, now: Moment
    ) -> list[CoordinatorInstruction]:
        asked_full = isinstance(request, CheckpointRequest) and request.full
        expected = frozenset(
            (vertex.id, index)
            for vertex in self._graph.vertices
            for index in range(vertex.parallelism)
        )
        pending = PendingCheckpoint(
            checkpoint_id=self._next_id,
            kind=kind,
            attempt=self._attempt,
            triggered_ms=now.mono_ms,
            timestamp_ms=now.wall_ms,
            expected=expected,
            request=request,
            full=kind != _SAVEPOINT and (asked_full or self._full_wanted),
        )
        self.under_way[pending.checkpoint_id] = pending
        self._next_id += 1
        self.statistics.triggered(pending)
        return [SnapshotEnumerators(self._attempt, pending.checkpoint_id)]

    # ------------------------------------------------------------------------------------- answers

    def enumerators_snapshotted(
        self,
        attempt: int,
        checkpoint_id: int,
        states: Mapping[str, bytes],
        now: Moment | None = None,
    ) -> list[CoordinatorInstruction]:
        """Now the barriers may go: what was assigned before is before them."""
        pending = self._current(checkpoint_id, Phase.SNAPSHOTTING_ENUMERATORS)
        if pending is None or pending.attempt != attempt:
            return []
        pending.enumerators, pending.phase = states, Phase.COLLECTING_ACKS
        request = pending.request
        saves = isinstance(request, SavepointRequest)
        barriers = TriggerBarriers(
            checkpoint_id=checkpoint_id,
            timestamp_ms=pending.timestamp_ms,
            kind=pending.kind,
            stop=isinstance(request, SavepointRequest) and request.stop,
            drain=isinstance(request, SavepointRequest) and request.drain,
            target=pending.target if saves else "",
            full=pending.full,
        )
        return [barriers, *(self._trigger_next(now) if now is not None else [])]

    def acknowledged(
        self, task: TaskKey, ack: runtime_pb2.CheckpointAck, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A task's part is durable."""
        pending = self._current(ack.checkpoint_id, Phase.COLLECTING_ACKS)
        if pending is None or task in pending.acks or task not in pending.expected:
            self.stale_messages += 1
            return []
        given, owned = {op.uid for op in ack.operators}, self._uids(task[0])
        if given != owned:
            wrong = sorted(given ^ owned)
            reason = f"{task[0]}[{task[1]}] acknowledged {sorted(given)}: {wrong} make it wrong"
            return self._abort(pending, reason, now, counts=True) + self._go_on(now)
        pending.acks[task] = ack
        self.statistics.acknowledged(pending, task, ack, now.wall_ms)
        if len(pending.acks) < len(pending.expected):
            return []
        problem = self._unusable(pending)
        if problem:
            return self._abort(pending, problem, now, counts=False) + self._go_on(now)
        pending.phase = Phase.ACKNOWLEDGED
        return self._go_on(now)

    def _uids(self, vertex_id: str) -> set[str]:
        return {op.uid for v in self._graph.vertices if v.id == vertex_id for op in v.operators}

    def _unusable(self, pending: PendingCheckpoint) -> str:
        """Why a checkpoint that all tasks have acknowledged must not be completed.

        A task builds on the newest checkpoint it has been told of. The news travels beside the
        data, so a barrier may overtake it; then the task's base may have been given up meanwhile.
        """
        built_on = pending.built_on()
        if pending.full and built_on:
            return f"it should be full, but builds on {min(built_on)}"
        gone = built_on - self.completed.files_kept() if built_on else None
        if gone:
            return f"it builds on files of a checkpoint that is not kept any more: {min(gone)}"
        return ""

    def declined(
        self, task_name: str, decline: runtime_pb2.CheckpointDecline, now: Moment
    ) -> list[CoordinatorInstruction]:
        """A task cannot take part."""
        pending = self._current(decline.checkpoint_id, Phase.COLLECTING_ACKS)
        if pending is None:
            self.stale_messages += 1
            return []
        reason = f"declined by {task_name}: {decline.reason}"
        return self._abort(pending, reason, now, counts=True) + self._go_on(now)

    def _go_on(self, now: Moment) -> list[CoordinatorInstruction]:
        """Write what is acknowledged, one at a time, oldest first; trigger what is due.

        Also behind an abandoned write: completions become durable in the order of their ids.
        """
        phases = [pending.phase for pending in self.under_way.values()]
        out: list[CoordinatorInstruction] = []
        if Phase.WRITING not in phases and not self._abandoned:
            ready = [p for p in self.under_way.values() if p.phase is Phase.ACKNOWLEDGED]
            for pending in ready[:1]:
                pending.phase = Phase.WRITING
                pending.content = pending.metadata(self._graph, self._epoch, self._version)
                out.append(WriteMetadata(pending.content, pending.target))
        return out + self._trigger_next(now)

    def metadata_written(
        self, checkpoint_id: int, path: str, now: Moment
    ) -> list[CoordinatorInstruction]:
        """The checkpoint is complete."""
        if self._write_was_abandoned(checkpoint_id):
            return self._go_on(now)
        pending = self._current(checkpoint_id, Phase.WRITING)
        assert pending is not None, f"metadata of checkpoint {checkpoint_id} was not asked for"
        assert pending.content is not None, "written without content"
        del self.under_way[checkpoint_id]
        self._failures.succeeded(checkpoint_id)
        root = path if pending.target else self._root
        done = CompletedCheckpoint(pending.content, path, root)
        out = self._subsume(pending, now)
        self.completed.completed(done, savepoint=pending.is_savepoint, under_way=self.under_way)
        if not pending.is_savepoint:
            self._full_wanted = False
        self.statistics.done(pending, now.mono_ms, path)
        tell_completed(self._journal, pending, path, now)
        self._schedule.ended(now.mono_ms)
        told = self._tell(pending, done)
        out = [*told, *out, *self.completed.release(self.under_way)]
        if self.running:
            out += self.completed.sweep(self.under_way, self._next_id, now.mono_ms)
        return out + self._go_on(now)

    def _tell(
        self, pending: PendingCheckpoint, done: CompletedCheckpoint
    ) -> list[CoordinatorInstruction]:
        out: list[CoordinatorInstruction] = []
        if self.running:
            self.finishing = self.finishing or pending.stops
            out.append(NotifyCheckpoint(pending.checkpoint_id, complete=True, finish=pending.stops))
        request = pending.request
        if request is None:
            return out
        if not pending.stops:
            out.append(RequestSucceeded(request.request_id, done.path))
        elif self.running:
            self._stopped_with = (request.request_id, done.path)
        else:
            out.append(_stop_failed(request.request_id, done.path))
        return out

    def _subsume(self, done: PendingCheckpoint, now: Moment) -> list[CoordinatorInstruction]:
        """End what a complete checkpoint makes needless. A savepoint is wanted for itself."""
        if done.is_savepoint and not done.stops:
            return []
        out: list[CoordinatorInstruction] = []
        for pending in list(self.under_way.values()):
            older = pending.checkpoint_id < done.checkpoint_id
            if older and (done.stops or not pending.is_savepoint):
                reason = f"subsumed by checkpoint {done.checkpoint_id}"
                out += self._abort(pending, reason, now, counts=False)
        return out

    def metadata_failed(
        self, checkpoint_id: int, error: LestoError, now: Moment
    ) -> list[CoordinatorInstruction]:
        """It could not be written; there is no such checkpoint."""
        if self._write_was_abandoned(checkpoint_id):
            return self._go_on(now)
        pending = self._current(checkpoint_id, Phase.WRITING)
        if pending is None:
            return []
        reason = f"its metadata could not be written: {error}"
        out = self._abort(pending, reason, now, counts=True)
        self._write_was_abandoned(checkpoint_id)  # no other answer will come
        return out + self._go_on(now)

    def _write_was_abandoned(self, checkpoint_id: int) -> bool:
        """The write of an aborted checkpoint is over: what it left may be deleted."""
        pending = self._abandoned.pop(checkpoint_id, None)
        if pending is None:
            return False
        self.completed.aborted(pending)
        return True

    def _current(self, checkpoint_id: int, phase: Phase) -> PendingCheckpoint | None:
        pending = self.under_way.get(checkpoint_id)
        return pending if pending is not None and pending.phase is phase else None

    # ------------------------------------------------------------------------------------ failures

    def _abort(
        self, pending: PendingCheckpoint, reason: str, now: Moment, *, counts: bool
    ) -> list[CoordinatorInstruction]:
        """End a checkpoint under way without completing it.

        Args:
            pending: which.
            reason: one line, shown to people.
            now: when.
            counts: whether it counts towards the tolerable failures.
        """
        del self.under_way[pending.checkpoint_id]
        self.statistics.aborted(pending, now.mono_ms, reason)
        tell_failed(self._journal, pending, reason, now, counts=counts)
        if pending.phase is Phase.WRITING:
            self._abandoned[pending.checkpoint_id] = pending
        else:
            self.completed.aborted(pending)
        self._schedule.ended(now.mono_ms)
        out: list[CoordinatorInstruction] = []
        started = pending.phase is not Phase.SNAPSHOTTING_ENUMERATORS
        if self.running and started:
            out.append(NotifyCheckpoint(pending.checkpoint_id, complete=False))
        error = CheckpointFailedError(f"checkpoint {pending.checkpoint_id} failed: {reason}")
        if pending.request is not None:
            out.append(RequestFailed(pending.request.request_id, error))
        if pending.is_savepoint:
            if pending.stops and started and self.running:
                # Its sources have stopped reading: only a restart brings them back.
                out.append(FailJob(error))
            return out
        if pending.kind == _FINAL:
            self._schedule.final_failed(now.mono_ms)
        if counts and self.running:
            too_many = self._failures.failed(pending.checkpoint_id, reason)
            out += [FailJob(too_many)] if too_many else []
        return out

    # ---------------------------------------------------------------------------------- invariants

    def validate(self) -> None:
        """Check what must always hold."""
        self.completed.validate()
        ids = list(self.under_way)
        assert ids == sorted(ids), "checkpoints under way are not in order"
        if self.latest is not None:
            assert self.latest.checkpoint_id < self._next_id, "an id would be used again"
        phases = [pending.phase for pending in self.under_way.values()]
        assert phases.count(Phase.SNAPSHOTTING_ENUMERATORS) <= 1, "two start at a time"
        assert phases.count(Phase.WRITING) <= 1, "two are written at a time"
        periodic = [p for p in self.under_way.values() if not p.is_savepoint]
        assert len(periodic) <= self.settings.concurrency, "more at once than allowed"
        for pending in self.under_way.values():
            assert pending.acks.keys() <= pending.expected, "an acknowledgement of a stranger"
            whole = pending.phase in {Phase.ACKNOWLEDGED, Phase.WRITING}
            assert whole == (not pending.missing), "written too early"
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
