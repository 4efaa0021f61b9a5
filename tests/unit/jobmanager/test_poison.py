"""A record that makes the job fail again and again, told from bad luck."""

import pytest

from lesto.jobmanager.core.pending_checkpoint import CompletedCheckpoint
from lesto.jobmanager.core.poison import PoisonRecords, source_positions
from lesto.proto import checkpoint_pb2, runtime_pb2

A, B, C = b"a@1", b"b@1", b"c@1"


def failure(record="r", location="job.py:3", code="LESTO-6001"):
    return runtime_pb2.TaskFailure(
        code=code, location=location, record_digest=record, message="f failed", retryable=True
    )


def verdicts(*steps, limit=3):
    records = PoisonRecords(limit)
    return [records.failed(one, frozenset(at)) is not None for one, at in steps]


def test_the_third_failure_on_one_record_at_an_unmoved_split_is_the_last():
    steps = [(failure(), {A, B}), (failure(), {A, b"b@2"}), (failure(), {A, b"b@3"})]
    assert verdicts(*steps) == [False, False, True]


@pytest.mark.parametrize(
    "other",
    [
        (failure("s"), {A}),
        (failure(location="job.py:4"), {A}),
        (failure(code="LESTO-6005"), {A}),
        (failure(), {b"a@2"}),
    ],
    ids=["another record", "another line", "another error", "the source has moved on"],
)
def test_whatever_is_not_the_same_begins_anew(other):
    again = (failure(), {A})
    assert verdicts(again, again, other, again, again) == [False] * 5


def test_a_lost_process_in_between_changes_nothing():
    again, lost = (failure(), {A}), (failure(record="", code="LESTO-4105"), {A})
    assert verdicts(again, lost, again, lost, again) == [False, False, False, False, True]


def test_different_splits_that_stand_still_in_turn_are_no_place():
    steps = [(failure(), {A, B}), (failure(), {B, C}), (failure(), {C, A})]
    assert verdicts(*steps) == [False, False, False]


def test_without_a_limit_it_goes_on_for_ever():
    assert verdicts(*[(failure(), {A})] * 9, limit=0) == [False] * 9


def test_the_verdict_names_the_record_s_fault_and_what_to_do():
    records = PoisonRecords(1)
    error = records.failed(failure(), frozenset({A}))
    assert not error.retryable
    assert "1 times: f failed" in error.message
    assert "with_dead_letter" in error.remedy
    assert error.location == "job.py:3"


def test_positions_are_the_splits_of_sources_alone():
    metadata = checkpoint_pb2.CheckpointMetadata()
    source = metadata.operators.add(uid="s", coordinator_state=b"")
    source.subtasks.add().lists.add(name="splits", items=[A, B])
    source.subtasks.add().lists.add(name="event-time", items=[b"t"])
    metadata.operators.add(uid="o").subtasks.add().lists.add(name="splits", items=[C])
    assert source_positions(CompletedCheckpoint(metadata, "p", "r")) == {A, B}
    assert source_positions(None) == {b""}
