"""States of jobs, vertices and attempts, and the only transitions they may make.

Names are Flink's; the numbers are those of ``client.proto`` and ``runtime.proto``. A table lists
``(start, finish)`` pairs; whatever is absent raises :class:`IllegalTransitionError` with the
entity's whole story.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lesto.common.errors import IllegalTransitionError
from lesto.proto import client_pb2, runtime_pb2


class JobState(enum.IntEnum):
    """State of a job."""

    CREATED = client_pb2.JOB_STATE_CREATED
    RUNNING = client_pb2.JOB_STATE_RUNNING
    FAILING = client_pb2.JOB_STATE_FAILING
    FAILED = client_pb2.JOB_STATE_FAILED
    CANCELLING = client_pb2.JOB_STATE_CANCELLING
    CANCELED = client_pb2.JOB_STATE_CANCELED
    FINISHED = client_pb2.JOB_STATE_FINISHED
    RESTARTING = client_pb2.JOB_STATE_RESTARTING

    @property
    def terminal(self) -> bool:
        """Whether nothing follows."""
        return self in JOB_TERMINAL


class TaskState(enum.IntEnum):
    """State of a task: of one attempt, and of the vertex's subtask whose attempt it is."""

    CREATED = runtime_pb2.TASK_STATE_CREATED
    SCHEDULED = runtime_pb2.TASK_STATE_SCHEDULED
    DEPLOYING = runtime_pb2.TASK_STATE_DEPLOYING
    INITIALIZING = runtime_pb2.TASK_STATE_INITIALIZING
    RUNNING = runtime_pb2.TASK_STATE_RUNNING
    FINISHED = runtime_pb2.TASK_STATE_FINISHED
    CANCELING = runtime_pb2.TASK_STATE_CANCELING
    CANCELED = runtime_pb2.TASK_STATE_CANCELED
    FAILED = runtime_pb2.TASK_STATE_FAILED

    @property
    def terminal(self) -> bool:
        """Whether the attempt is over."""
        return self in TASK_TERMINAL


JOB_TERMINAL = frozenset({JobState.FAILED, JobState.CANCELED, JobState.FINISHED})
TASK_TERMINAL = frozenset({TaskState.FINISHED, TaskState.CANCELED, TaskState.FAILED})

#: CREATED waits for its restore point and slots; RESTARTING for cancellations, its delay and slots.
JOB_TRANSITIONS: frozenset[tuple[JobState, JobState]] = frozenset(
    {
        (JobState.CREATED, JobState.RUNNING),
        (JobState.CREATED, JobState.FAILING),
        (JobState.CREATED, JobState.CANCELLING),
        (JobState.RUNNING, JobState.RESTARTING),
        (JobState.RUNNING, JobState.FAILING),
        (JobState.RUNNING, JobState.CANCELLING),
        (JobState.RUNNING, JobState.FINISHED),
        (JobState.RESTARTING, JobState.RUNNING),
        (JobState.RESTARTING, JobState.FAILING),
        (JobState.RESTARTING, JobState.CANCELLING),
        (JobState.CANCELLING, JobState.CANCELED),
        (JobState.FAILING, JobState.FAILED),
    }
)

ATTEMPT_TRANSITIONS: frozenset[tuple[TaskState, TaskState]] = frozenset(
    {
        (TaskState.CREATED, TaskState.SCHEDULED),
        (TaskState.SCHEDULED, TaskState.DEPLOYING),
        (TaskState.DEPLOYING, TaskState.INITIALIZING),
        (TaskState.INITIALIZING, TaskState.RUNNING),
        (TaskState.DEPLOYING, TaskState.RUNNING),  # a task without state may skip INITIALIZING
        (TaskState.RUNNING, TaskState.FINISHED),
        (TaskState.CREATED, TaskState.CANCELED),
        (TaskState.SCHEDULED, TaskState.CANCELED),
        (TaskState.DEPLOYING, TaskState.CANCELING),
        (TaskState.INITIALIZING, TaskState.CANCELING),
        (TaskState.RUNNING, TaskState.CANCELING),
        (TaskState.CANCELING, TaskState.CANCELED),
        (TaskState.CANCELING, TaskState.FINISHED),  # it finished before the request reached it
        (TaskState.CANCELING, TaskState.FAILED),
        (TaskState.DEPLOYING, TaskState.FAILED),
        (TaskState.INITIALIZING, TaskState.FAILED),
        (TaskState.RUNNING, TaskState.FAILED),
    }
)

#: A vertex's subtask goes through its attempts' states and starts again with the next attempt.
VERTEX_TRANSITIONS: frozenset[tuple[TaskState, TaskState]] = ATTEMPT_TRANSITIONS | {
    (state, TaskState.CREATED) for state in TASK_TERMINAL
}

S = TypeVar("S", bound=enum.IntEnum)

#: Entries kept of an entity's story.
STORY_LENGTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Transition(Generic[S]):
    """One step of an entity's story.

    Attributes:
        at_ms: wall clock, ms.
        state: the state entered.
        cause: why, one line.
    """

    at_ms: int
    state: S
    cause: str


class StateMachine(Generic[S]):
    """A state that moves only along its table and remembers how it got there."""

    __slots__ = ("_table", "name", "state", "story")

    def __init__(
        self, name: str, table: Collection[tuple[S, S]], start: S, at_ms: int, cause: str = ""
    ) -> None:
        self.name = name
        self.state = start
        self._table = table
        self.story: deque[Transition[S]] = deque(
            [Transition(at_ms, start, cause)], maxlen=STORY_LENGTH_MAX
        )

    def allows(self, finish: S) -> bool:
        """Whether the table has the step from here to ``finish``."""
        return (self.state, finish) in self._table

    def advance(self, finish: S, at_ms: int, cause: str = "") -> None:
        """Go to ``finish``.

        Raises:
            IllegalTransitionError: the table does not have the step.
        """
        if not self.allows(finish):
            msg = (
                f"{self.name}: {self.state.name} -> {finish.name} ({cause or 'no cause given'}) "
                f"is not a legal transition; its story: {self.tell()}"
            )
            raise IllegalTransitionError(msg)
        self.state = finish
        self.story.append(Transition(at_ms, finish, cause))

    def tell(self) -> str:
        """The story in one line."""
        steps = (
            f"{t.at_ms} {t.state.name}{f' ({t.cause})' if t.cause else ''}" for t in self.story
        )
        return "; ".join(steps)


def aggregate_state(states: Iterable[TaskState]) -> TaskState:
    """State of a whole vertex from those of its subtasks, by Flink's order of precedence.

    >>> aggregate_state([TaskState.RUNNING, TaskState.FAILED]).name
    'FAILED'
    >>> aggregate_state([TaskState.RUNNING, TaskState.FINISHED]).name
    'RUNNING'
    >>> aggregate_state([TaskState.RUNNING, TaskState.INITIALIZING]).name
    'INITIALIZING'
    """
    present = set(states)
    if present == {TaskState.FINISHED}:
        return TaskState.FINISHED
    order = (
        TaskState.FAILED,
        TaskState.CANCELING,
        TaskState.CANCELED,
        TaskState.CREATED,
        TaskState.SCHEDULED,
        TaskState.DEPLOYING,
        TaskState.INITIALIZING,
        TaskState.RUNNING,
    )
    return next((state for state in order if state in present), TaskState.CREATED)
