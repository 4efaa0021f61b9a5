"""The life of a task."""

import itertools

import pytest

from lesto.common.errors import IllegalTransitionError
from lesto.proto import runtime_pb2
from lesto.taskmanager.core.task_states import TERMINAL, TRANSITIONS, TaskState, TaskStateMachine


def test_numbers_are_those_on_the_wire():
    assert {s.name: s.value for s in TaskState} == {
        s.name: runtime_pb2.TaskState.Value(f"TASK_STATE_{s.name}") for s in TaskState
    }


def test_the_straight_path_and_its_story():
    machine = TaskStateMachine("map (1/2)")
    for state in (TaskState.INITIALIZING, TaskState.RUNNING, TaskState.FINISHED):
        machine.to(state)
    assert machine.terminal
    assert [s.name for s in machine.story] == ["DEPLOYING", "INITIALIZING", "RUNNING", "FINISHED"]


def paths_to():
    """A shortest path to each state."""
    found = {TaskState.DEPLOYING: []}
    todo = [TaskState.DEPLOYING]
    for state in todo:
        for target in sorted(TRANSITIONS[state]):
            if target not in found:
                found[target] = [*found[state], target]
                todo.append(target)
    return found


@pytest.mark.parametrize(
    ("start", "target"), list(itertools.product(TaskState, TaskState)), ids=lambda s: s.name
)
def test_only_listed_transitions_are_taken(start, target):
    machine = TaskStateMachine("map (1/2)")
    for state in paths_to()[start]:
        machine.to(state)
    if target in TRANSITIONS[start]:
        machine.to(target)
        assert machine.state is target
    else:
        with pytest.raises(IllegalTransitionError, match=f"{start.name} -> {target.name}"):
            machine.to(target)
        assert machine.state is start


def test_terminal_states():
    assert {s.name for s in TERMINAL} == {"FINISHED", "CANCELED", "FAILED"}
