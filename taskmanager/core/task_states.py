"""The life of a task on a slot: its states and the legal transitions, listed."""

from __future__ import annotations

import enum
from typing import Final

from lesto.common.errors import IllegalTransitionError


class TaskState(enum.IntEnum):
    """States of a task; numbers are those of ``lesto.v1.TaskState``."""

    DEPLOYING = 3
    INITIALIZING = 4
    RUNNING = 5
    FINISHED = 6
    CANCELING = 7
    CANCELED = 8
    FAILED = 9


_S = TaskState

#: Every legal transition. CREATED and SCHEDULED are the JobManager's: a slot first hears of a task
#: when it is deployed. FAILED -> CANCELED does not exist: a cancellation of a failed task is
#: answered with FAILED.
TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    _S.DEPLOYING: frozenset({_S.INITIALIZING, _S.CANCELING, _S.FAILED}),
    _S.INITIALIZING: frozenset({_S.RUNNING, _S.CANCELING, _S.FAILED}),
    _S.RUNNING: frozenset({_S.FINISHED, _S.CANCELING, _S.FAILED}),
    _S.CANCELING: frozenset({_S.CANCELED, _S.FAILED}),
    _S.FINISHED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.FAILED: frozenset(),
}

TERMINAL: Final = frozenset(state for state, targets in TRANSITIONS.items() if not targets)


class TaskStateMachine:
    """The state of one task and how it got there."""

    __slots__ = ("_name", "_state", "_story")

    def __init__(self, name: str) -> None:
        self._name = name
        self._state = TaskState.DEPLOYING
        self._story = [TaskState.DEPLOYING]

    @property
    def state(self) -> TaskState:
        """Where the task is."""
        return self._state

    @property
    def story(self) -> tuple[TaskState, ...]:
        """Every state so far, in order."""
        return tuple(self._story)

    @property
    def terminal(self) -> bool:
        """Whether the task has ended."""
        return self._state in TERMINAL

    def to(self, target: TaskState) -> None:
        """Go to ``target``.

        Raises:
            IllegalTransitionError: when that is not in the table; names the whole story.
        """
        if target not in TRANSITIONS[self._state]:
            path = " -> ".join(s.name for s in self._story)
            step = f"{self._state.name} -> {target.name}"
            msg = f"task {self._name}: {step} is not allowed; so far: {path}"
            raise IllegalTransitionError(msg)
        self._state = target
        self._story.append(target)
