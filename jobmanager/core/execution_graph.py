"""A job's vertices, their subtasks, and the one attempt of each that counts.

The subtasks of a region restart together. Every deployment raises the graph's attempt number and
gives it to the subtasks deployed: it is unique in the epoch, all of a region have the same, and
what an older attempt says is stale.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lesto.jobmanager.core import rescaling, wiring
from lesto.jobmanager.core import slots as slot_sharing
from lesto.jobmanager.core.graph_validation import validate_graph
from lesto.jobmanager.core.in_flight import InFlightOf
from lesto.jobmanager.core.redistribution import Restores
from lesto.jobmanager.core.regions import TaskKey, pipelined_regions
from lesto.jobmanager.core.slots import Slot
from lesto.jobmanager.core.states import (
    ATTEMPT_TRANSITIONS,
    VERTEX_TRANSITIONS,
    StateMachine,
    TaskState,
    aggregate_state,
)
from lesto.proto import job_pb2, runtime_pb2

__all__ = ["Attempt", "DeploymentContext", "ExecutionGraph", "ExecutionVertex", "TaskKey"]


@dataclass(slots=True)
class Attempt:
    """One deployment of a subtask.

    Attributes:
        number: the graph's attempt number when it was deployed.
        slot: where it runs.
        states: its state machine.
        start_ms: wall clock of its creation.
        end_ms: wall clock of its end; 0: not ended.
        end_of_data: whether it has processed all its input.
        report: its latest measurements.
    """

    number: int
    slot: Slot
    states: StateMachine[TaskState]
    start_ms: int
    end_ms: int = 0
    end_of_data: bool = False
    report: runtime_pb2.TaskReport | None = None

    @property
    def live(self) -> bool:
        """Whether something of it may still run."""
        return not self.states.state.terminal


@dataclass(slots=True)
class ExecutionVertex:
    """One subtask of a vertex over all its attempts."""

    vertex: job_pb2.JobVertex
    subtask: int
    states: StateMachine[TaskState]
    attempt: Attempt | None = None

    @property
    def key(self) -> TaskKey:
        """Vertex id and subtask."""
        return self.vertex.id, self.subtask

    @property
    def name(self) -> str:
        """``Map (2/4)``, as people count."""
        return f"{self.vertex.name} ({self.subtask + 1}/{self.vertex.parallelism})"

    def begin(self, number: int, slot: Slot, now_ms: int) -> None:
        """A new attempt in a slot.

        The attempt before must be over: two live ones would both count.
        """
        assert self.attempt is None or not self.attempt.live, f"{self.name} has a live attempt"
        if self.attempt is not None:
            self.states.advance(TaskState.CREATED, now_ms, f"attempt {number}")
        name = f"{self.name} attempt {number}"
        machine = StateMachine(name, ATTEMPT_TRANSITIONS, TaskState.CREATED, now_ms)
        self.attempt = Attempt(number, slot, machine, now_ms)

    def advance(self, finish: TaskState, now_ms: int, cause: str = "") -> None:
        """Move the current attempt, and the vertex with it.

        Raises:
            IllegalTransitionError: neither moves.
        """
        assert self.attempt is not None, f"{self.name} was never deployed"
        self.attempt.states.advance(finish, now_ms, cause)
        self.states.advance(finish, now_ms, cause)
        if finish.terminal:
            self.attempt.end_ms = now_ms


@dataclass(frozen=True, slots=True)
class DeploymentContext:
    """What all deployments of an attempt have in common.

    Attributes:
        checkpoint_root: URI of ``<checkpoint dir>/<job id>``.
        data_token: secret of the job's data channels.
        restores: state of each subtask; empty: none.
        in_flight: restored channels of each subtask; empty: none.
        restored_checkpoint_id: 0: none.
        restore_root: URI that relative paths in the restored state refer to.
    """

    checkpoint_root: str
    data_token: str
    restores: Restores = field(default_factory=dict)
    in_flight: InFlightOf = field(default_factory=dict)
    restored_checkpoint_id: int = 0
    restore_root: str = ""


class ExecutionGraph:
    """The job as it runs.

    Raises:
        InvalidJobGraphError: the graph contradicts itself.
    """

    def __init__(self, graph: job_pb2.JobGraph, epoch: int, now_ms: int) -> None:
        validate_graph(graph)
        self.graph = graph
        self.epoch = epoch
        self.attempt = 0
        self.subtasks: dict[TaskKey, ExecutionVertex] = {}
        for vertex in graph.vertices:
            self._make_subtasks(vertex, now_ms)
        self.slots_required = slot_sharing.slots_required(graph)
        self.regions = pipelined_regions(graph)
        self.assignment: dict[tuple[str, int], Slot] = {}
        self._forward = rescaling.forward_edges(graph)

    def _make_subtasks(self, vertex: job_pb2.JobVertex, now_ms: int) -> None:
        for index in range(vertex.parallelism):
            name = f"{vertex.name} ({index + 1}/{vertex.parallelism})"
            states = StateMachine(name, VERTEX_TRANSITIONS, TaskState.CREATED, now_ms)
            self.subtasks[vertex.id, index] = ExecutionVertex(vertex, index, states)

    def rescale(self, widths: Mapping[str, int], now_ms: int) -> None:
        """Change the graph's parallelism in place. Nothing may be live."""
        assert not self.live(), "rescaled under live tasks"
        before = rescaling.widths_of(self.graph)
        rescaling.set_parallelism(self.graph, widths, self._forward)
        validate_graph(self.graph)
        old, self.subtasks = self.subtasks, {}
        for vertex in self.graph.vertices:
            if vertex.parallelism != before[vertex.id]:
                self._make_subtasks(vertex, now_ms)
                continue
            for index in range(vertex.parallelism):
                self.subtasks[vertex.id, index] = old[vertex.id, index]
        self.slots_required = slot_sharing.slots_required(self.graph)
        self.regions = pipelined_regions(self.graph)

    def surplus(self, slots: Sequence[Slot]) -> list[Slot]:
        """Slots of the job that it does not need."""
        return slot_sharing.surplus_slots(self.graph, slots, self._previous())

    def _previous(self) -> dict[tuple[str, int], str]:
        return {place: slot.slot_id for place, slot in self.assignment.items()}

    def __iter__(self) -> Iterator[ExecutionVertex]:
        return iter(self.subtasks.values())

    def live(self, among: Collection[TaskKey] | None = None) -> list[ExecutionVertex]:
        """Subtasks whose attempt is not over; ``among``: only those of these."""
        return [
            v
            for v in self
            if v.attempt is not None and v.attempt.live and (among is None or v.key in among)
        ]

    def together_with(self, keys: Iterable[TaskKey]) -> set[TaskKey]:
        """The subtasks that restart when these do: their whole regions."""
        together: set[TaskKey] = set()
        for key in keys:
            together |= self.regions[key]
        return together

    def live_in(self, slot_id: str) -> list[ExecutionVertex]:
        """Those of them in one slot."""
        return [v for v in self.live() if v.attempt and v.attempt.slot.slot_id == slot_id]

    def all_in(self, *states: TaskState) -> bool:
        """Whether every subtask's attempt is in one of the states."""
        return all(v.attempt is not None and v.attempt.states.state in states for v in self)

    def all_ended_data(self) -> bool:
        """Whether every attempt has processed all its input."""
        return all(v.attempt is not None and v.attempt.end_of_data for v in self)

    def sources(self) -> list[ExecutionVertex]:
        """Subtasks whose chain starts with a source: where barriers start."""
        return [v for v in self if v.vertex.operators[0].kind == job_pb2.OPERATOR_KIND_SOURCE]

    def task_ref(self, subtask: ExecutionVertex) -> runtime_pb2.TaskRef:
        """The current attempt's name on the wire."""
        number = subtask.attempt.number if subtask.attempt else 0
        return runtime_pb2.TaskRef(
            job_id=self.graph.job_id,
            epoch=self.epoch,
            vertex_id=subtask.vertex.id,
            subtask=subtask.subtask,
            attempt=number,
        )

    def resolve(self, ref: runtime_pb2.TaskRef, slot_id: str) -> ExecutionVertex | None:
        """The subtask whose *current* attempt this is; None: the message is stale."""
        if ref.job_id != self.graph.job_id or ref.epoch != self.epoch:
            return None
        subtask = self.subtasks.get((ref.vertex_id, ref.subtask))
        if subtask is None or subtask.attempt is None or subtask.attempt.number != ref.attempt:
            return None
        return subtask if subtask.attempt.slot.slot_id == slot_id else None

    def vertex_state(self, vertex_id: str) -> TaskState:
        """State of a whole vertex."""
        return aggregate_state(v.states.state for v in self if v.vertex.id == vertex_id)

    def deploy(
        self,
        slots: Sequence[Slot],
        context: DeploymentContext,
        now_ms: int,
        keys: Collection[TaskKey] | None = None,
    ) -> dict[str, runtime_pb2.DeployTasks]:
        """Begin a new attempt of subtasks; the deployments by slot id.

        Args:
            slots: as many as ``slots_required``, those of the other subtasks among them.
            context: what the deployments have in common.
            now_ms: wall clock.
            keys: whole regions; None: all.
        """
        homes = {place: slot.taskmanager_id for place, slot in self.assignment.items()}
        self.assignment = slot_sharing.assign_slots(self.graph, slots, self._previous(), homes)
        self.attempt += 1
        fresh = [subtask for subtask in self if keys is None or subtask.key in keys]
        for subtask in fresh:
            slot = self.assignment[subtask.vertex.slot_sharing_group, subtask.subtask]
            subtask.begin(self.attempt, slot, now_ms)
            subtask.advance(TaskState.SCHEDULED, now_ms)
            subtask.advance(TaskState.DEPLOYING, now_ms)
        batches: dict[str, runtime_pb2.DeployTasks] = defaultdict(runtime_pb2.DeployTasks)
        for subtask in fresh:
            batches[self._slot_of(*subtask.key).slot_id].tasks.append(
                self._deployment(subtask, context)
            )
        return dict(batches)

    def by_slot(self, subtasks: Sequence[ExecutionVertex]) -> dict[str, list[runtime_pb2.TaskRef]]:
        """Task references grouped by the slot that runs them."""
        groups: dict[str, list[runtime_pb2.TaskRef]] = defaultdict(list)
        for subtask in subtasks:
            assert subtask.attempt is not None
            groups[subtask.attempt.slot.slot_id].append(self.task_ref(subtask))
        return dict(groups)

    def validate(self) -> None:
        """Check what must always hold."""
        for subtask in self:
            if subtask.attempt is not None:
                assert subtask.attempt.number <= self.attempt, subtask.name
                assert subtask.attempt.states.state == subtask.states.state, subtask.name
                place = self.assignment.get((subtask.vertex.slot_sharing_group, subtask.subtask))
                assert not subtask.attempt.live or subtask.attempt.slot == place, subtask.name
        for region in set(self.regions.values()):
            attempts = {a.number for key in region if (a := self.subtasks[key].attempt) and a.live}
            assert len(attempts) <= 1, f"a region of mixed attempts: {sorted(region)}"

    def _slot_of(self, vertex_id: str, index: int) -> Slot:
        return self.assignment[self.subtasks[vertex_id, index].vertex.slot_sharing_group, index]

    def _deployment(
        self, subtask: ExecutionVertex, context: DeploymentContext
    ) -> runtime_pb2.TaskDeployment:
        vertex, index = subtask.vertex, subtask.subtask
        return runtime_pb2.TaskDeployment(
            task=self.task_ref(subtask),
            job_name=self.graph.name,
            vertex=vertex,
            inputs=wiring.input_gates(self.graph, vertex, index, self._slot_of),
            outputs=wiring.output_edges(self.graph, vertex, index, self._slot_of),
            restore=context.restores.get(subtask.key, ()),
            in_flight=context.in_flight.get(subtask.key, ()),
            restored_checkpoint_id=context.restored_checkpoint_id,
            checkpoint_root=context.checkpoint_root,
            restore_root=context.restore_root,
            config=dict(self.graph.config),
            data_token=context.data_token,
            python_paths=self.graph.python_paths,
        )
