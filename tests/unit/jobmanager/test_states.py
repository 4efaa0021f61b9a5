import pytest

from lesto.common.errors import IllegalTransitionError
from lesto.jobmanager.core.job_master import JobMaster
from lesto.jobmanager.core.states import (
    ATTEMPT_TRANSITIONS,
    JOB_TERMINAL,
    JOB_TRANSITIONS,
    TASK_TERMINAL,
    VERTEX_TRANSITIONS,
    JobState,
    StateMachine,
    TaskState,
    aggregate_state,
)
from lesto.proto import client_pb2, runtime_pb2


@pytest.mark.parametrize(
    ("table", "states", "terminal"),
    [
        (JOB_TRANSITIONS, JobState, JOB_TERMINAL),
        (ATTEMPT_TRANSITIONS, TaskState, TASK_TERMINAL),
    ],
)
def test_every_state_is_reached_and_only_terminal_ones_are_left_by_nobody(table, states, terminal):
    reached = {finish for _, finish in table} | {states.CREATED}
    assert reached == set(states)
    assert set(states) - {start for start, _ in table} == terminal


def test_numbers_are_those_of_the_wire():
    for state in JobState:
        assert client_pb2.JobState.Name(state) == f"JOB_STATE_{state.name}"
    for state in TaskState:
        assert runtime_pb2.TaskState.Name(state) == f"TASK_STATE_{state.name}"


def test_the_job_master_has_a_handler_for_each_listed_transition_and_no_other():
    assert set(JobMaster._ON_TRANSITION) == JOB_TRANSITIONS


def test_a_vertex_begins_again_after_its_attempt_has_ended():
    assert {
        (TaskState.FINISHED, TaskState.CREATED),
        (TaskState.CANCELED, TaskState.CREATED),
        (TaskState.FAILED, TaskState.CREATED),
    } == VERTEX_TRANSITIONS - ATTEMPT_TRANSITIONS


def test_an_illegal_transition_tells_the_whole_story():
    machine = StateMachine("Map (1/2)", ATTEMPT_TRANSITIONS, TaskState.CREATED, 1)
    machine.advance(TaskState.SCHEDULED, 2, "slot s-1")
    with pytest.raises(IllegalTransitionError) as caught:
        machine.advance(TaskState.RUNNING, 3, "reported")
    text = str(caught.value)
    assert "Map (1/2): SCHEDULED -> RUNNING (reported)" in text
    assert "1 CREATED; 2 SCHEDULED (slot s-1)" in text
    assert machine.state is TaskState.SCHEDULED


def test_a_vertex_is_running_only_when_all_its_subtasks_are():
    running, deploying = TaskState.RUNNING, TaskState.DEPLOYING
    assert aggregate_state([running, running]) is running
    assert aggregate_state([running, deploying]) is deploying
    assert aggregate_state([running, TaskState.FINISHED]) is running
    assert aggregate_state([TaskState.FINISHED] * 2) is TaskState.FINISHED
    assert aggregate_state([TaskState.CANCELED, TaskState.FAILED]) is TaskState.FAILED
