"""Rescaling in place: the same job, epoch and slots, another parallelism.

``TASKS`` (all have to run first) -> ``SLOTS`` (the job runs; slots that are missing come, or not)
-> ``CHECKPOINT`` (it runs; one more checkpoint, so that little is read twice) -> ``STOPPING``
(RESTARTING: all tasks end) -> ``RECORDING`` (a later leader must know) -> ``STARTING`` (all tasks
start from the newest checkpoint, their state dealt out anew) -> done when all run.

Until ``STOPPING`` a refusal or failure leaves the job as it is.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from lesto.common.errors import LestoError
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.in_flight import check_widths
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import RESCALE_PREFIX, JobBase
from lesto.jobmanager.core.pending_checkpoint import CheckpointRequest
from lesto.jobmanager.core.rescaling import (
    Bounds,
    Widths,
    bounds_of,
    fit,
    slots_for,
    told,
    widths_of,
)
from lesto.jobmanager.core.states import JobState
from lesto.jobmanager.errors import JobStateError, RescaleRefusedError
from lesto.proto import client_pb2

#: Request id of a rescale that nobody asked for.
AUTOMATIC = "adaptive"
#: How long a rescale waits for slots that it lacks while the job runs on.
RESCALE_SLOT_WAIT_MS = 10_000


class RescalePhase(enum.Enum):
    """How far it is."""

    TASKS = "waiting for all tasks to run"
    SLOTS = "waiting for slots"
    CHECKPOINT = "taking a checkpoint"
    STOPPING = "stopping the tasks"
    RECORDING = "recording the parallelism"
    STARTING = "starting the tasks"


#: The job runs as it was.
_HARMLESS = (RescalePhase.TASKS, RescalePhase.SLOTS, RescalePhase.CHECKPOINT)


@dataclass(slots=True)
class Rescale:
    """A change of parallelism under way.

    Attributes:
        request_id: whom to answer.
        bounds: what was asked for, by vertex id.
        widths: what it will be.
        previous: what it was.
        phase: how far.
        stopped_ms: monotonic ms at which the tasks were stopped.
        problem: why it went back to ``previous``; None: it did not.
    """

    request_id: str
    bounds: Mapping[str, Bounds]
    widths: Widths
    previous: Widths
    phase: RescalePhase = RescalePhase.TASKS
    stopped_ms: int = 0
    problem: LestoError | None = None

    @property
    def wants_slots(self) -> bool:
        """Whether it waits for slots while the job runs."""
        return self.phase is RescalePhase.SLOTS

    @property
    def gathers(self) -> bool:
        """Whether the job keeps slots that it does not need yet."""
        return self.phase is not RescalePhase.STARTING

    @property
    def checkpoint_request(self) -> str:
        """Id of its request for a checkpoint."""
        return RESCALE_PREFIX + self.request_id


class Rescaling(JobBase):
    """Changes the parallelism of the running job."""

    def _on_rescale(self, event: ev.RescaleRequested, now: Moment) -> list[Instruction]:
        problem = self._rescale_objection()
        if problem:
            return [do.RequestFailed(event.request_id, JobStateError(problem))]
        if self.settings.adaptive is not None and self.settings.adaptive.reactive:
            msg = "in reactive mode the job takes all slots there are"
            remedy = "add or remove TaskManagers, or run it without scheduler-mode: reactive"
            return [do.RequestFailed(event.request_id, RescaleRefusedError(msg, remedy=remedy))]
        try:
            bounds = bounds_of(self.graph, event.parallelism, event.vertices)
        except LestoError as error:
            return [do.RequestFailed(event.request_id, error)]
        return self._begin_rescale(event.request_id, bounds, now)

    def _rescale_objection(self) -> str:
        if self._rescale is not None:
            return f"the job is being rescaled already: {self._rescale.phase.value}"
        if self.state is not JobState.RUNNING:
            return f"rescaling needs a job that is RUNNING; it is {self.state.name}"
        if self.coordinator.ends_the_job:
            return "the job is finishing"
        return ""

    def _begin_rescale(
        self, request_id: str, bounds: Mapping[str, Bounds], now: Moment
    ) -> list[Instruction]:
        previous = widths_of(self.graph)
        widths = {key: b.upper for key, b in bounds.items()}
        if widths == previous:
            return [do.Rescaled(request_id, previous, 0)]
        self._rescale = Rescale(request_id, bounds, widths, previous)
        self._tell_rescale(self._rescale, now)
        return self._rescale_slots(now) if self.coordinator.running else []

    def _tell_rescale(self, rescale: Rescale, now: Moment) -> None:
        vertices = [
            client_pb2.VertexRescale(
                vertex_id=vertex.id,
                name=vertex.name,
                slot_sharing_group=vertex.slot_sharing_group,
                before=rescale.previous[vertex.id],
                after=rescale.widths[vertex.id],
                lower=rescale.bounds[vertex.id].lower,
                upper=rescale.bounds[vertex.id].upper,
            )
            for vertex in self.graph.vertices
        ]
        automatic = rescale.request_id == AUTOMATIC
        self.journal.rescale_began(now.wall_ms, vertices, automatic=automatic)

    def _rescale_slots(self, now: Moment) -> list[Instruction]:
        """Have the slots before anything stops."""
        rescale = self._rescale
        assert rescale is not None, "no rescale under way"
        rescale.phase = RescalePhase.SLOTS
        missing = slots_for(self.graph, rescale.widths) - len(self.slots)
        if missing <= 0:
            return self._rescale_checkpoint(now)
        if self._slots_requested:
            return []
        self._slots_requested = missing
        wait_ms = min(RESCALE_SLOT_WAIT_MS, self.settings.slot_timeout_ms)
        return [do.RequestSlots(missing, wait_ms)]

    def _rescale_refused(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction]:
        """Not all slots came: less will do, or nothing changes."""
        rescale = self._rescale
        assert rescale is not None, "no rescale under way"
        fitting = fit(self.graph, rescale.bounds, len(self.slots) + event.available)
        if fitting is not None and fitting not in (rescale.widths, rescale.previous):
            rescale.widths = fitting
            return self._rescale_slots(now)
        error = RescaleRefusedError(
            f"{event.error.message}; the job goes on as it was", remedy=event.error.remedy
        )
        return self._drop_rescale(error, now)

    def _rescale_checkpoint(self, now: Moment) -> list[Instruction]:
        rescale = self._rescale
        assert rescale is not None, "no rescale under way"
        rescale.phase = RescalePhase.CHECKPOINT
        request = CheckpointRequest(rescale.checkpoint_request, full=False)
        return self._expand(self.coordinator.request_checkpoint(request, now), now)

    def _rescale_checkpointed(self, error: LestoError | None, now: Moment) -> list[Instruction]:
        """The checkpoint is complete, or it is not, and the newest one has to do."""
        rescale = self._rescale
        if rescale is None or rescale.phase is not RescalePhase.CHECKPOINT:
            return []
        if self.state is not JobState.RUNNING or self.coordinator.ends_the_job:
            msg = "the job failed or ended before it was rescaled"
            return self._drop_rescale(JobStateError(msg, remedy="ask again once it runs"), now)
        if self.coordinator.latest is None:
            msg = f"there is no complete checkpoint to go on from: {error}"
            remedy = "mend the cause; ask again"
            return self._drop_rescale(RescaleRefusedError(msg, remedy=remedy), now)
        try:
            check_widths(self.coordinator.latest.metadata, self.graph, rescale.widths)
        except LestoError as mismatch:
            refused = RescaleRefusedError(mismatch.message, remedy=mismatch.remedy or "")
            return self._drop_rescale(refused, now)
        rescale.phase, rescale.stopped_ms = RescalePhase.STOPPING, now.mono_ms
        self._scope = set(self.execution.subtasks)
        self._restart_at_ms = now.mono_ms
        cause = f"rescaled: {told(self.graph, rescale.previous, rescale.widths)}"
        return self._go(JobState.RESTARTING, cause, now)

    # ------------------------------------------------------------------------ while nothing runs

    def _rescale_record(self) -> list[Instruction] | None:
        """What comes before the slots and the deployment; None: nothing more."""
        rescale = self._rescale
        if rescale is None or rescale.phase is RescalePhase.STARTING:
            return None
        if rescale.phase is RescalePhase.RECORDING:
            return []
        assert rescale.phase is RescalePhase.STOPPING, "deployed in the middle of a rescale"
        rescale.phase = RescalePhase.RECORDING
        return [do.RecordParallelism(dict(rescale.widths))]

    def _on_recorded(self, _event: ev.ParallelismRecorded, now: Moment) -> list[Instruction]:
        rescale = self._rescale
        if rescale is None or rescale.phase is not RescalePhase.RECORDING:
            return []
        self.execution.rescale(rescale.widths, now.wall_ms)
        self._scope = set(self.execution.subtasks)
        rescale.phase = RescalePhase.STARTING
        self._changed_ms = now.mono_ms
        return self._acquire(now)

    def _on_not_recorded(self, event: ev.ParallelismNotRecorded, now: Moment) -> list[Instruction]:
        rescale = self._rescale
        if rescale is None or rescale.phase is not RescalePhase.RECORDING:
            return []
        return self._drop_rescale(event.error, now) + self._acquire(now)

    def _rescale_back(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction] | None:
        """Slots were lost while nothing ran: go on as before, if that fits. None: it does not."""
        rescale = self._rescale
        if rescale is None or rescale.phase is not RescalePhase.STARTING:
            return None
        fits = slots_for(self.graph, rescale.previous) <= len(self.slots) + event.available
        if rescale.problem is not None or not fits:
            return None
        rescale.problem = RescaleRefusedError(
            f"{event.error.message}; the job goes on as it was", remedy=event.error.remedy
        )
        rescale.widths, rescale.phase = rescale.previous, RescalePhase.STOPPING
        return self._acquire(now)

    # ---------------------------------------------------------------------------------- the end

    def _rescale_done(self, now: Moment) -> list[Instruction]:
        """All tasks run."""
        rescale = self._rescale
        if rescale is not None and rescale.phase is RescalePhase.TASKS:
            return self._rescale_slots(now)
        if rescale is None or rescale.phase is not RescalePhase.STARTING:
            return []
        self._rescale = None
        if rescale.problem is not None:
            self.journal.rescale_ended(now.wall_ms, reason=rescale.problem.message)
            return [do.RequestFailed(rescale.request_id, rescale.problem)]
        self.rescales += 1
        if self.settings.adaptive is not None and rescale.request_id != AUTOMATIC:
            self._bounds = {key: Bounds(1, b.upper) for key, b in rescale.bounds.items()}
        pause_ms = now.mono_ms - rescale.stopped_ms
        self.journal.rescale_ended(now.wall_ms, widths=rescale.widths, pause_ms=pause_ms)
        return [do.Rescaled(rescale.request_id, rescale.widths, pause_ms)]

    def _rescale_interrupted(self, now: Moment) -> list[Instruction]:
        """Tasks are stopped for another reason."""
        rescale = self._rescale
        if rescale is None:
            return []
        if self.state is JobState.RESTARTING and rescale.phase not in _HARMLESS:
            return []
        msg = f"the job is {self.state.name}: it was not rescaled"
        return self._drop_rescale(JobStateError(msg, remedy="ask again once it runs"), now)

    def _drop_rescale(self, error: LestoError, now: Moment) -> list[Instruction]:
        rescale, self._rescale = self._rescale, None
        assert rescale is not None, "no rescale under way"
        self.journal.rescale_ended(now.wall_ms, reason=error.message)
        out: list[Instruction] = [do.RequestFailed(rescale.request_id, error)]
        if rescale.phase is RescalePhase.SLOTS and self._slots_requested:
            self._slots_requested = 0
            out.append(do.WithdrawRequest())
        return out + self._release_surplus()
