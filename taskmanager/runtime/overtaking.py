"""What a task does about barriers that overtake: outputs, timers, and what was in flight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from lesto.common.elements import Barrier
from lesto.taskmanager.runtime.capture import InFlightPart, InputCapture, OvertakingSettings
from lesto.taskmanager.runtime.environment import SlotEnvironment
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter


@dataclass(slots=True)
class InFlight:
    """In-flight data of one checkpoint of the task, complete once nothing is waited for.

    Attributes:
        barrier: the checkpoint's.
        parts: what was captured so far.
        inputs: whether barriers of inputs are still to come.
        edges: outputs that hold the barrier behind data; the timer lets it overtake.
        overtook: whether the barrier overtakes by now.
        limited: it does not everywhere, for too many bytes would be in flight.
    """

    barrier: Barrier
    inputs: bool
    parts: list[InFlightPart] = field(default_factory=list)
    edges: list[EdgeWriter] = field(default_factory=list)
    overtook: bool = False
    limited: bool = False
    taken: bool = False


class Overtaking:
    """Gathers the in-flight data of a task's checkpoints; mailbox thread only.

    Args:
        environment: the slot's.
        settings: when barriers overtake.
        edges: the task's outputs.
        subtask: the task's.
        complete: called with the in-flight data of a checkpoint once it is complete.
        guarded: runs a piece of the task's work; what it raises fails the task.
    """

    def __init__(
        self,
        environment: SlotEnvironment,
        settings: OvertakingSettings,
        edges: Sequence[EdgeWriter],
        subtask: int,
        *,
        complete: Callable[[InFlight], None],
        guarded: Callable[[Callable[[], None]], None],
    ) -> None:
        self._environment = environment
        self._settings = settings
        self._edges = tuple(edges)
        self._subtask = subtask
        self._complete = complete
        self._guarded = guarded
        self._open: dict[int, InFlight] = {}
        self._timers: dict[int, list[Callable[[], None]]] = {}
        self.waiting = False  # some output holds a barrier

    def at_source(self, barrier: Barrier) -> Barrier:
        """A barrier that a source task is asked for, as it sets out."""
        if self._settings.of(barrier) and self._settings.timeout_ms == 0:
            return replace(barrier, unaligned=True)
        return barrier

    def expects(self, barrier: Barrier) -> bool:
        """Whether a checkpoint may have in-flight data here."""
        if not self._settings.of(barrier):
            return False
        return barrier.unaligned or any(edge.overtakable for edge in self._edges)

    def pass_on(self, barrier: Barrier, *, inputs: bool, limited: bool) -> None:
        """Send the barrier to all outputs.

        Args:
            barrier: the barrier.
            inputs: ``captured`` or ``drop`` will follow for this checkpoint.
            limited: the task waited for alignment because of the limit.
        """
        if not self.expects(barrier):
            for edge in self._edges:
                edge.control(barrier)
            return
        state = InFlight(barrier, inputs, overtook=barrier.unaligned, limited=limited)
        self._open[barrier.checkpoint_id] = state
        for edge in self._edges:
            if barrier.unaligned and edge.overtakable:
                edge.flush()
                if self._fits(state, edge):
                    self._add(state, edge, edge.overtake(barrier))
                    continue
            edge.control(barrier)
            if not barrier.unaligned and edge.overtakable and edge.holds(barrier.checkpoint_id):
                state.edges.append(edge)
        if state.edges:
            self.waiting = True
            self.arm(barrier, lambda: self._timeout(barrier.checkpoint_id))

    def taken(self, barrier: Barrier) -> None:
        """The synchronous part of the snapshot is done."""
        state = self._open.get(barrier.checkpoint_id)
        if state is not None:
            state.taken = True
            self._settle(state)

    def captured(self, capture: InputCapture) -> None:
        """In-flight data of the inputs is complete."""
        state = self._open.get(capture.checkpoint_id)
        if state is not None:
            state.parts += capture.parts
            state.limited = state.limited or capture.limited
            state.inputs = False
            self._settle(state)

    def drop(self, checkpoint_id: int) -> None:
        """The checkpoint is given up."""
        self._open.pop(checkpoint_id, None)
        for cancel in self._timers.pop(checkpoint_id, ()):
            cancel()

    def close(self) -> None:
        """Forget everything."""
        for checkpoint_id in {*self._open, *self._timers}:
            self.drop(checkpoint_id)

    def poll(self) -> None:
        """See whether barriers have left."""
        for state in list(self._open.values()):
            if state.edges:
                checkpoint_id = state.barrier.checkpoint_id
                state.edges = [edge for edge in state.edges if edge.holds(checkpoint_id)]
                self._settle(state)
        self.waiting = any(state.edges for state in self._open.values())

    def arm(self, barrier: Barrier, work: Callable[[], None]) -> None:
        """Run ``work`` when the checkpoint is as old as alignment may take.

        Age counts from the coordinator's clock, so that barriers switch everywhere at about the
        same time; a clock that is wrong costs at most one timeout.
        """
        timeout_ms = self._settings.timeout_ms
        age_ms = self._environment.clock.now_ms() - barrier.timestamp_ms
        delay_ms = min(max(timeout_ms - age_ms, 0), timeout_ms)
        at_ms = self._environment.clock.monotonic_ms() + delay_ms
        cancel = self._environment.mailbox.mono.add(at_ms, lambda _due: self._guarded(work))
        for older in [i for i in self._timers if i < barrier.checkpoint_id and i not in self._open]:
            self.drop(older)
        self._timers.setdefault(barrier.checkpoint_id, []).append(cancel)

    def _timeout(self, checkpoint_id: int) -> None:
        """Barriers that still wait in outputs overtake now."""
        state = self._open.get(checkpoint_id)
        if state is None:
            return
        barrier = replace(state.barrier, unaligned=True)
        for edge in state.edges:
            if self._fits(state, edge):
                state.overtook = True
                self._add(state, edge, edge.let_overtake(barrier))
        state.edges = []
        self._settle(state)

    def _fits(self, state: InFlight, edge: EdgeWriter) -> bool:
        captured = sum(nbytes for part in state.parts for _, nbytes in part.entries)
        if captured + edge.held_bytes <= self._settings.max_bytes:
            return True
        state.limited = True
        return False

    def _add(
        self, state: InFlight, edge: EdgeWriter, found: list[tuple[int, list[tuple[object, int]]]]
    ) -> None:
        for consumer, entries in found:
            state.parts.append(InFlightPart(edge.edge_id, self._subtask, consumer, True, entries))

    def _settle(self, state: InFlight) -> None:
        if state.taken and not state.inputs and not state.edges:
            self._open.pop(state.barrier.checkpoint_id, None)
            for cancel in self._timers.pop(state.barrier.checkpoint_id, ()):
                cancel()
            self._complete(state)
