"""One job's state machine: events in, instructions out.

``CREATED`` (restore point, slots) -> ``RUNNING`` -> ``FINISHED``. A failure makes it
``RESTARTING``: all tasks are cancelled, the restart strategy's delay passes, and everything is
deployed anew from the latest complete checkpoint. ``FAILING`` and ``CANCELLING`` wind it down to
``FAILED`` and ``CANCELED``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_adaptive import Adapting
from lesto.jobmanager.core.job_base import KILL_GRACE_MS, JobSettings
from lesto.jobmanager.core.job_checkpoints import Checkpoints
from lesto.jobmanager.core.job_deployment import Deployment
from lesto.jobmanager.core.job_failover import Failover
from lesto.jobmanager.core.job_rescale import Rescaling
from lesto.jobmanager.core.job_tasks import TaskMessages
from lesto.jobmanager.core.journal import Kind, Severity
from lesto.jobmanager.core.rescaling import slots_for
from lesto.jobmanager.core.states import JobState
from lesto.jobmanager.errors import JobStateError

__all__ = ["KILL_GRACE_MS", "JobMaster", "JobSettings"]


class JobMaster(Deployment, TaskMessages, Checkpoints, Rescaling, Adapting, Failover):
    """Decides everything about one job; does nothing itself.

    Args:
        graph: the job.
        epoch: fencing number of this JobMaster.
        settings: how to run it.
        checkpoint_root: URI of ``<checkpoint dir>/<job id>``.
        data_token: secret of its data channels.
        version: Lesto's version, for the metadata.
        jitter: draws uniformly from -1..1.
        now: the time of its birth.

    Raises:
        InvalidJobGraphError: the graph contradicts itself.
    """

    def handle(self, event: ev.Event, now: Moment) -> list[Instruction]:
        """Take one event; what is to be done about it, in order.

        Raises:
            IllegalTransitionError: the engine contradicts itself.
        """
        if self.state.terminal:
            return self._after_the_end(event)
        return self._HANDLERS[type(event)](self, event, now)

    def next_deadline_ms(self) -> int | None:
        """Monotonic ms at which a Tick is wanted; None: no need."""
        deadlines: list[int | None] = []
        if self.state is JobState.RUNNING:
            deadlines.append(self.coordinator.next_deadline_ms())
            deadlines.append(self._grow_at_ms)
        if self._ending():
            deadlines += [self._cancel_deadline_ms, self._kill_deadline_ms]
        elif self.state is JobState.RESTARTING and not self._acquiring:
            deadlines.append(self._restart_at_ms)
        return min((d for d in deadlines if d is not None), default=None)

    def validate(self) -> None:
        """Check what must always hold."""
        self.execution.validate()
        self.coordinator.validate()
        live = self.execution.live()
        held = self.slots.keys()
        assert all(v.attempt and v.attempt.slot.slot_id in held for v in live), (
            "runs in no slot of ours"
        )
        needed = self.execution.slots_required
        if self._rescale is not None:
            needed = max(needed, slots_for(self.graph, self._rescale.widths))
        assert len(held) <= needed, "more slots than the job needs"
        if self.coordinator.running:
            assert self.state is JobState.RUNNING, "checkpoints without a running job"
        if self.state.terminal:
            assert not live, "an ended job has live tasks"
            assert not held, "an ended job has slots"
        if self.state is JobState.CREATED:
            assert not live, "tasks before the start"

    def _go(self, finish: JobState, cause: str, now: Moment) -> list[Instruction]:
        start = self.state
        self.states.advance(finish, now.wall_ms, cause)
        bad = finish in {JobState.FAILING, JobState.FAILED}
        worth = Severity.WARNING if self._failed and not finish.terminal else Severity.INFO
        self.journal.record(
            now.wall_ms, Kind.STATE, finish.name, cause, Severity.ERROR if bad else worth
        )
        return self._ON_TRANSITION[start, finish](self, cause, now)

    def _after_the_end(self, event: ev.Event) -> list[Instruction]:
        asked = ev.SavepointRequested | ev.CheckpointRequested | ev.RescaleRequested
        if isinstance(event, asked):
            error = JobStateError(f"the job is {self.state.name}")
            return [do.RequestFailed(event.request_id, error)]
        return []

    _ON_TRANSITION: ClassVar[
        dict[tuple[JobState, JobState], Callable[[JobMaster, str, Moment], list[Instruction]]]
    ] = {
        (JobState.CREATED, JobState.RUNNING): Failover._enter_running,
        (JobState.RESTARTING, JobState.RUNNING): Failover._enter_running,
        (JobState.RUNNING, JobState.RESTARTING): Failover._wind_down,
        (JobState.CREATED, JobState.FAILING): Failover._wind_down,
        (JobState.RUNNING, JobState.FAILING): Failover._wind_down,
        (JobState.RESTARTING, JobState.FAILING): Failover._wind_down,
        (JobState.CREATED, JobState.CANCELLING): Failover._wind_down,
        (JobState.RUNNING, JobState.CANCELLING): Failover._wind_down,
        (JobState.RESTARTING, JobState.CANCELLING): Failover._wind_down,
        (JobState.RUNNING, JobState.FINISHED): Failover._end,
        (JobState.CANCELLING, JobState.CANCELED): Failover._end,
        (JobState.FAILING, JobState.FAILED): Failover._end,
    }

    _HANDLERS: ClassVar[dict[type, Callable[[JobMaster, Any, Moment], list[Instruction]]]] = {
        ev.JobStarted: Deployment._on_started,
        ev.Tick: Failover._on_tick,
        ev.CheckpointLoaded: Deployment._on_loaded,
        ev.CheckpointLoadFailed: Deployment._on_load_failed,
        ev.SlotsAllocated: Deployment._on_allocated,
        ev.SlotsRefused: Deployment._on_refused,
        ev.SlotLost: Deployment._on_slot_lost,
        ev.TaskReported: TaskMessages._on_task,
        ev.SplitsAssigned: Checkpoints._on_splits,
        ev.EnumeratorsSnapshotted: Checkpoints._on_snapshotted,
        ev.EnumeratorFailed: Checkpoints._on_enumerator_failed,
        ev.MetadataWritten: Checkpoints._on_written,
        ev.MetadataWriteFailed: Checkpoints._on_write_failed,
        ev.CancelRequested: Failover._on_cancel,
        ev.SavepointRequested: Checkpoints._on_savepoint,
        ev.CheckpointRequested: Checkpoints._on_checkpoint,
        ev.RescaleRequested: Rescaling._on_rescale,
        ev.SlotsFree: Adapting._on_slots_free,
        ev.ParallelismRecorded: Rescaling._on_recorded,
        ev.ParallelismNotRecorded: Rescaling._on_not_recorded,
        ev.InternalFailed: Failover._on_internal,
    }
