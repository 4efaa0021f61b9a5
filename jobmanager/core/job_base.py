"""What a job master knows, and what its parts ask of each other.

The parts are one idea each: restore point and slots (:mod:`.job_deployment`), messages of tasks
(:mod:`.job_tasks`), sources and checkpoints (:mod:`.job_checkpoints`), failures and the end
(:mod:`.job_failover`). :class:`~lesto.jobmanager.core.job_master.JobMaster` puts them together.
"""

from __future__ import annotations

import abc
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lesto.common.errors import LestoError
from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.checkpoint_coordinator import CheckpointCoordinator, CheckpointSettings
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.execution_graph import ExecutionGraph, ExecutionVertex
from lesto.jobmanager.core.failures import FAILURES_MAX
from lesto.jobmanager.core.instructions import Instruction
from lesto.jobmanager.core.journal import Journal
from lesto.jobmanager.core.poison import PoisonRecords
from lesto.jobmanager.core.regions import TaskKey
from lesto.jobmanager.core.rescaling import Bounds
from lesto.jobmanager.core.restart_strategy import RestartStrategy
from lesto.jobmanager.core.slots import Slot
from lesto.jobmanager.core.states import JOB_TRANSITIONS, JobState, StateMachine, TaskState
from lesto.jobmanager.core.watermark_alignment import AlignmentGroups
from lesto.proto import client_pb2, job_pb2, runtime_pb2

if TYPE_CHECKING:
    from lesto.jobmanager.core.job_rescale import Rescale

#: After KillSlot: how long to wait for the report that the process is gone.
KILL_GRACE_MS = 10_000

#: A rescale's own request for a checkpoint; clients' ids are hexadecimal.
RESCALE_PREFIX = "rescale-"

#: States of a task that a slot has been told of.
DEPLOYED = (TaskState.DEPLOYING, TaskState.INITIALIZING, TaskState.RUNNING)


@dataclass(frozen=True, slots=True)
class AdaptiveSettings:
    """Flink's ``jobmanager.adaptive-scheduler.*``.

    Attributes:
        reactive: use all slots, whatever parallelism the job declares.
        wait_ms: for slots that a job lacks, before it goes on with fewer.
        stabilization_ms: without change of the slots, before it is scaled up.
        cooldown_ms: from one change of the parallelism to the next.
    """

    reactive: bool = False
    wait_ms: int = 1_000
    stabilization_ms: int = 5_000
    cooldown_ms: int = 10_000


@dataclass(slots=True)
class JobSettings:
    """How a job is run.

    Attributes:
        restart: its restart strategy, with its memory.
        checkpoints: when to checkpoint.
        cancel_timeout_ms: a task that takes longer to cancel has its process killed; 0: never.
        retain_on_cancel: whether its checkpoints stay when it is cancelled.
        retain_on_failure: whether its checkpoints stay when it fails.
        restart_on_user_errors: whether an exception of the user's code is tried again.
        regional: whether a failure restarts its region alone, not the whole job.
        slot_timeout_ms: the job fails when it waits longer for slots.
        adaptive: take the parallelism that the cluster has; None: what the job declares.
        max_failures_per_record: failures by one record after which the job fails; 0: no limit.
    """

    restart: RestartStrategy
    checkpoints: CheckpointSettings = field(default_factory=CheckpointSettings)
    cancel_timeout_ms: int = 30_000
    retain_on_cancel: bool = True
    retain_on_failure: bool = True
    restart_on_user_errors: bool = True
    regional: bool = True
    slot_timeout_ms: int = 300_000
    max_failures_per_record: int = 3
    adaptive: AdaptiveSettings | None = None


def adaptive_bounds(graph: job_pb2.JobGraph, settings: AdaptiveSettings) -> dict[str, Bounds]:
    """What each vertex may have: 1 to what it declares, or, in reactive mode, to its key groups."""
    return {
        v.id: Bounds(1, v.max_parallelism if settings.reactive else v.parallelism)
        for v in graph.vertices
    }


class JobBase(abc.ABC):
    """Everything one job master knows.

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

    def __init__(
        self,
        graph: job_pb2.JobGraph,
        *,
        epoch: int,
        settings: JobSettings,
        checkpoint_root: str,
        data_token: str,
        version: str,
        jitter: Callable[[], float],
        now: Moment,
    ) -> None:
        self.graph = graph
        self.settings = settings
        self.execution = ExecutionGraph(graph, epoch, now.wall_ms)
        self.journal = Journal()
        self.coordinator = CheckpointCoordinator(
            graph, epoch, settings.checkpoints, checkpoint_root, version, self.journal
        )
        self.states = StateMachine(
            f"job {graph.name} ({graph.job_id})", JOB_TRANSITIONS, JobState.CREATED, now.wall_ms
        )
        self.slots: dict[str, Slot] = {}
        self.failures: deque[client_pb2.FailureInfo] = deque(maxlen=FAILURES_MAX)
        self.restarts = 0
        self.rescales = 0
        self.stale_events = 0
        self.start_ms = now.wall_ms
        self.end_ms = 0
        self._root = checkpoint_root
        self._token = data_token
        self._jitter = jitter
        self._slots_requested = 0
        self._acquiring = False
        #: Attempt with which the enumerators were made; 0: there are none.
        self._enumerators = 0
        self._alignment = AlignmentGroups()
        self._rescale: Rescale | None = None
        #: For the adaptive scheduler: what each vertex may have, and slots that nobody has.
        self._bounds: dict[str, Bounds] = {}
        if settings.adaptive is not None:
            self._bounds = adaptive_bounds(graph, settings.adaptive)
        self._free = 0
        self._grow_at_ms: int | None = None
        self._changed_ms: int | None = None
        self._waited_for_any = False
        #: The restart under way is because of a failure.
        self._failed = False
        #: What was told of it, when it was a channel that broke: a lost process explains that.
        self._unexplained: client_pb2.JobEvent | None = None
        #: Monotonic ms from which on not all tasks have run; None: all run.
        self._down_since_ms: int | None = now.mono_ms
        self._poison = PoisonRecords(settings.max_failures_per_record)
        #: Of the checkpoint that the newest deployment started from.
        self._positions: frozenset[bytes] = frozenset()
        #: While RESTARTING: the subtasks that stop and start again. The others run on.
        self._scope: set[TaskKey] = set()
        self._restart_at_ms: int | None = None
        self._cancel_deadline_ms: int | None = None
        self._kill_deadline_ms: int | None = None
        self._killed: set[str] = set()

    @property
    def state(self) -> JobState:
        """State of the job."""
        state: JobState = self.states.state
        return state

    def _ending(self) -> list[ExecutionVertex]:
        """Live subtasks that have to end before the job goes on."""
        return self.execution.live(self._scope if self.state is JobState.RESTARTING else None)

    # ------------------------------------------------------- what the parts ask of each other

    @abc.abstractmethod
    def _go(self, finish: JobState, cause: str, now: Moment) -> list[Instruction]:
        """Move the job, and do what the transition asks for."""

    @abc.abstractmethod
    def _acquire(self, now: Moment) -> list[Instruction]:
        """Get the slots that are missing, then deploy."""

    @abc.abstractmethod
    def _fail(
        self,
        failure: runtime_pb2.TaskFailure,
        task_name: str,
        slot: str,
        now: Moment,
        tasks: Iterable[TaskKey] | None = None,
    ) -> list[Instruction]:
        """A failure has happened; what it means depends on the state.

        Args:
            failure: what.
            task_name: of whom, for people.
            slot: where.
            now: when.
            tasks: whose regions are to restart; None: the failure is the whole job's.
        """

    @abc.abstractmethod
    def _release_surplus(self) -> list[Instruction]:
        """Give back slots that are not needed."""

    @abc.abstractmethod
    def _plan_growth(self, now: Moment) -> None:
        """Start the wait for a larger parallelism, or give it up."""

    @abc.abstractmethod
    def _grow(self, now: Moment) -> list[Instruction]:
        """Take a larger parallelism if the wait for it is over."""

    @abc.abstractmethod
    def _first_widths(self, now: Moment) -> None:
        """Before the first deployment: what the cluster has, if that decides."""

    @abc.abstractmethod
    def _shrink(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction] | None:
        """Slots that the job lacks did not come; None: it cannot go on with fewer."""

    @abc.abstractmethod
    def _rescale_objection(self) -> str:
        """Why the job cannot be rescaled now; empty: it can."""

    @abc.abstractmethod
    def _begin_rescale(
        self, request_id: str, bounds: Mapping[str, Bounds], now: Moment
    ) -> list[Instruction]:
        """Change the parallelism."""

    @abc.abstractmethod
    def _tell_rescale(self, rescale: Rescale, now: Moment) -> None:
        """Note in the journal that a rescale begins."""

    @abc.abstractmethod
    def _rescale_slots(self, now: Moment) -> list[Instruction]:
        """Have the slots for a rescale before anything stops."""

    @abc.abstractmethod
    def _rescale_refused(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction]:
        """Not all slots for a rescale came."""

    @abc.abstractmethod
    def _rescale_back(self, event: ev.SlotsRefused, now: Moment) -> list[Instruction] | None:
        """Slots were lost in the middle of a rescale; None: it cannot go on as before either."""

    @abc.abstractmethod
    def _rescale_record(self) -> list[Instruction] | None:
        """What a rescale does before the deployment; None: nothing more."""

    @abc.abstractmethod
    def _rescale_checkpointed(self, error: LestoError | None, now: Moment) -> list[Instruction]:
        """The checkpoint of a rescale is complete, or failed."""

    @abc.abstractmethod
    def _rescale_done(self, now: Moment) -> list[Instruction]:
        """All tasks run: answer who asked."""

    @abc.abstractmethod
    def _rescale_interrupted(self, now: Moment) -> list[Instruction]:
        """Tasks are stopped for another reason than a rescale."""

    @abc.abstractmethod
    def _include(
        self, tasks: Iterable[TaskKey] | None, cause: str, now: Moment
    ) -> list[Instruction]:
        """While RESTARTING: these have to stop and start again too; None: all."""

    @abc.abstractmethod
    def _task_ended(self, now: Moment) -> list[Instruction]:
        """A task is gone: was it the last one?"""

    @abc.abstractmethod
    def _expand(
        self, decided: Sequence[do.CoordinatorInstruction], now: Moment
    ) -> list[Instruction]:
        """The coordinator's instructions as those of the shell."""

    @abc.abstractmethod
    def _maybe_start_checkpoints(self, now: Moment) -> list[Instruction]:
        """Once all tasks run."""

    @abc.abstractmethod
    def _maybe_finish(self, now: Moment) -> list[Instruction]:
        """Everything is processed: the final checkpoint makes it visible."""
