"""From the restore point over the slots to the deployment."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.common.errors import LestoError
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import DeploymentContext, ExecutionVertex
from lesto.jobmanager.core.failures import failure_of
from lesto.jobmanager.core.in_flight import redistribute_in_flight
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.job_base import JobBase
from lesto.jobmanager.core.journal import Kind, Severity
from lesto.jobmanager.core.journal_words import counted, names, seconds
from lesto.jobmanager.core.pending_checkpoint import CompletedCheckpoint
from lesto.jobmanager.core.poison import source_positions
from lesto.jobmanager.core.redistribution import (
    check_restorable,
    coordinator_states,
    redistribute,
)
from lesto.jobmanager.core.regions import TaskKey
from lesto.jobmanager.core.states import JobState, TaskState
from lesto.jobmanager.errors import SlotLostError
from lesto.proto import checkpoint_pb2, runtime_pb2


def _ran(victims: Sequence[ExecutionVertex]) -> str:
    """What a lost slot was doing, for people."""
    if not victims:
        return "nothing ran there"
    return f"{names([victim.name for victim in victims])} ran there"


class Deployment(JobBase):
    """Restore point, slots, deployment."""

    def _on_started(self, event: ev.JobStarted, now: Moment) -> list[Instruction]:
        if event.recovered is not None:
            return self._recover(event.recovered, now)
        origin = f"submitted, to go on from {self.graph.restore_path}"
        text = origin if self.graph.restore_path else "submitted"
        self.journal.record(now.wall_ms, Kind.STATE, self.state.name, text)
        return self._begin(now)

    def _begin(self, now: Moment) -> list[Instruction]:
        if self.graph.restore_path:
            return [do.LoadCheckpoint(self.graph.restore_path)]
        return self._acquire(now)

    def _recover(self, found: ev.Recovered, now: Moment) -> list[Instruction]:
        """Go on where the job was under another leader."""
        self.restarts, self.start_ms = found.restarts, found.start_ms
        self._tell_recovery(found, now)
        if found.failure is not None:
            return self._fail(failure_of(found.failure), "recovery", "", now)
        given = [CompletedCheckpoint(c.metadata, c.path, c.root) for c in found.checkpoints]
        self.coordinator.recover(given, found.first_id)
        return self._acquire(now) if given else self._begin(now)

    def _tell_recovery(self, found: ev.Recovered, now: Moment) -> None:
        self.journal.record(found.start_ms, Kind.STATE, self.state.name, "submitted")
        text = "another JobManager ran the job until now; what it went through there is in its log"
        if found.checkpoints:
            newest = found.checkpoints[-1].metadata
            age = seconds(now.wall_ms - newest.timestamp_ms)
            text += f"; it goes on from checkpoint {newest.checkpoint_id} ({age} old)"
        self.journal.record(
            now.wall_ms,
            Kind.LEADER_CHANGED,
            f"epoch {self.execution.epoch}",
            text,
            Severity.WARNING,
        )

    def _on_loaded(self, event: ev.CheckpointLoaded, now: Moment) -> list[Instruction]:
        if self.state is not JobState.CREATED:
            return []
        try:
            check_restorable(
                event.metadata,
                self.graph,
                allow_non_restored_state=self.graph.allow_non_restored_state,
            )
        except LestoError as error:
            return self._fail(failure_of(error), "restore", "", now)
        self.coordinator.restore(CompletedCheckpoint(event.metadata, event.path, event.root))
        return self._acquire(now)

    def _on_load_failed(self, event: ev.CheckpointLoadFailed, now: Moment) -> list[Instruction]:
        if self.state is not JobState.CREATED:
            return []
        return self._fail(failure_of(event.error), "restore", "", now)

    # --------------------------------------------------------------------------------------- slots

    def _acquire(self, now: Moment) -> list[Instruction]:
        """Get the slots that are missing, then deploy."""
        self._acquiring = True
        self._first_widths(now)
        before = self._rescale_record()
        if before is not None:
            return before
        missing = self.execution.slots_required - len(self.slots)
        if missing <= 0:
            return self._release_surplus() + self._deploy(now)
        if self._slots_requested:
            return []
        self._slots_requested = missing
        adaptive = self.settings.adaptive
        wait_ms = adaptive.wait_ms if adaptive else 0
        self.journal.record(
            now.wall_ms,
            Kind.SLOTS_WANTED,
            counted(missing, "slot"),
            f"the job needs {counted(self.execution.slots_required, 'slot')} and has "
            f"{len(self.slots)}; it waits for at most "
            f"{seconds(wait_ms or self.settings.slot_timeout_ms)}",
        )
        return [do.RequestSlots(missing, wait_ms)]

    def _release_surplus(self) -> list[Instruction]:
        """Give back slots that are not needed."""
        if self._rescale is not None and self._rescale.gathers:
            return []
        used = {v.attempt.slot.slot_id for v in self.execution.live() if v.attempt}
        out: list[Instruction] = []
        for slot in self.execution.surplus(list(self.slots.values())):
            if slot.slot_id not in used:
                del self.slots[slot.slot_id]
                out.append(do.ReleaseSlot(slot.slot_id))
        return out

    def _on_allocated(self, event: ev.SlotsAllocated, now: Moment) -> list[Instruction]:
        self._slots_requested = 0
        self._waited_for_any = False
        self.slots.update((slot.slot_id, slot) for slot in event.slots)
        if self._acquiring:
            return self._acquire(now)
        if self._rescale is not None and self._rescale.wants_slots:
            return self._rescale_slots(now)
        return self._release_surplus()

    def _on_refused(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction]:
        self._slots_requested = 0
        if not self._acquiring:
            asked = self._rescale is not None and self._rescale.wants_slots
            return self._rescale_refused(event, now) if asked else []
        other = self._shrink(event, now)
        if other is None:
            other = self._rescale_back(event, now)
        if other is not None:
            return other
        self._acquiring = False
        return self._fail(failure_of(event.error), "slots", "", now)

    def _on_slot_lost(self, event: ev.SlotLost, now: Moment) -> list[Instruction]:
        slot = self.slots.pop(event.slot_id, None)
        if slot is None:
            return []
        victims = self.execution.live_in(event.slot_id)
        killed = event.slot_id in self._killed
        self.journal.record(
            now.wall_ms,
            Kind.SLOT_LOST,
            f"slot {event.slot_id} of TaskManager {slot.taskmanager_id}",
            f"{event.reason}; {_ran(victims)}",
            Severity.INFO if killed else Severity.WARNING,
        )
        for victim in victims:
            victim.advance(TaskState.FAILED, now.wall_ms, event.reason)
        if not victims:
            return self._acquire(now) if self._acquiring else []
        if killed:
            out: list[Instruction] = []
            if self.state is JobState.RESTARTING:  # others there were not meant, but are gone too
                out += self._include([v.key for v in victims], event.reason, now)
            return out + self._task_ended(now)
        error = SlotLostError(
            f"slot {event.slot_id} of TaskManager {slot.taskmanager_id} is lost: {event.reason}",
            remedy="the job restarts by itself; if it goes on, look for crashes there",
        )
        names = ", ".join(victim.name for victim in victims)
        keys = [victim.key for victim in victims]
        return self._fail(failure_of(error), names, event.slot_id, now, keys)

    # ---------------------------------------------------------------------------------- deployment

    def _deploy(self, now: Moment) -> list[Instruction]:
        self._acquiring = False
        out = self._expand(self.coordinator.abandon_write(now), now)
        latest = self.coordinator.latest
        context = DeploymentContext(self._root, self._token)
        states = {}
        if latest is not None:
            context = DeploymentContext(
                self._root,
                self._token,
                restores=redistribute(latest.metadata, self.graph),
                in_flight=redistribute_in_flight(latest.metadata, self.graph),
                restored_checkpoint_id=latest.checkpoint_id,
                restore_root=latest.root,
            )
            states = dict(coordinator_states(latest.metadata))
            self.coordinator.statistics.restored_from(
                latest.checkpoint_id, latest.path, now.wall_ms, latest.metadata.type
            )
            self._tell_restore(latest, now)
        self._positions = source_positions(latest)
        whole = not self._scope or len(self._scope) == len(self.execution.subtasks)
        keys = set(self.execution.subtasks) if whole else set(self._scope)
        batches = self.execution.deploy(list(self.slots.values()), context, now.wall_ms, keys)
        if self.state is JobState.RESTARTING and self._failed:
            self.restarts += 1
        self._failed = False
        cause = f"attempt {self.execution.attempt}"
        if latest is not None:
            cause += f" from checkpoint {latest.checkpoint_id}"
        out += self._go(JobState.RUNNING, cause, now)
        if whole:
            self._enumerators = self.execution.attempt
            out.append(do.StartEnumerators(self.execution.attempt, states))
        else:
            out.append(self._reset_readers(keys, context.restored_checkpoint_id))
        for slot_id, batch in batches.items():
            out.append(do.SendCommand(slot_id, runtime_pb2.TaskCommand(deploy=batch)))
        return out

    def _tell_restore(self, latest: CompletedCheckpoint, now: Moment) -> None:
        savepoint = latest.metadata.type == checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT
        count = len(self._scope or self.execution.subtasks)
        age = seconds(now.wall_ms - latest.metadata.timestamp_ms)
        self.journal.record(
            now.wall_ms,
            Kind.RESTORED,
            f"{'savepoint' if savepoint else 'checkpoint'} {latest.checkpoint_id}",
            f"{counted(count, 'task')} go back to it: {age} old, {latest.path}",
        )

    def _reset_readers(self, keys: set[TaskKey], restored_id: int) -> do.ResetReaders:
        readers = tuple(
            (source.vertex.operators[0].uid, source.subtask)
            for source in self.execution.sources()
            if source.key in keys
        )
        return do.ResetReaders(self._enumerators, self.execution.attempt, restored_id, readers)
