"""Splits given since a checkpoint, against a model that keeps the whole history."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.jobmanager.core import split_assignments
from lesto.jobmanager.core.split_assignments import SplitAssignments
from lesto.jobmanager.errors import SourceCoordinatorError

STEPS = st.one_of(
    st.tuples(st.just("assign"), st.integers(0, 2)),
    st.tuples(st.just("cut"), st.just(0)),
    st.tuples(st.just("complete"), st.integers(0, 3)),
    st.tuples(st.just("restart"), st.integers(0, 2)),
)


@given(st.lists(STEPS, max_size=60))
def test_a_restarted_reader_gives_back_exactly_what_its_checkpoint_lacks(steps):
    tracked = SplitAssignments()
    history = []  # (subtask, split, position); cuts are (None, id, position)
    given_back, cut, complete, number = set(), 0, 0, 0
    for step, argument in steps:
        if step == "assign":
            number += 1
            split = b"%d" % number
            tracked.assigned(argument, split)
            history.append((argument, split))
        elif step == "cut":
            cut += 1
            tracked.cut(cut)
            history.append((None, cut))
        elif step == "complete":
            complete = min(max(complete, cut - argument), cut)
            tracked.completed(complete)
        else:
            expected, behind = [], complete == 0
            for subtask, what in history:
                if subtask is None:
                    behind = behind or what == complete
                elif behind and subtask == argument and what not in given_back:
                    expected.append(what)
            assert tracked.take_back(argument, complete) == expected
            given_back |= set(expected)


def test_going_back_behind_what_is_known_is_refused_not_guessed():
    tracked = SplitAssignments()
    tracked.assigned(0, b"a")
    tracked.cut(1)
    tracked.completed(1)
    with pytest.raises(SourceCoordinatorError, match="goes back to checkpoint 0"):
        tracked.take_back(0, 0)


def test_more_splits_than_are_tracked_are_refused_until_a_later_checkpoint(monkeypatch):
    monkeypatch.setattr(split_assignments, "SPLITS_TRACKED_MAX", 3)
    tracked = SplitAssignments()
    for number in range(5):
        tracked.assigned(0, b"%d" % number)
    with pytest.raises(SourceCoordinatorError, match="more than 3 splits"):
        tracked.take_back(0, 0)
    tracked.cut(1)
    tracked.assigned(0, b"later")
    tracked.completed(1)
    assert tracked.take_back(0, 1) == [b"later"]
    for number in range(4):
        tracked.assigned(0, b"%d" % number)
    tracked.cut(2)
    with pytest.raises(SourceCoordinatorError, match="more than 3 splits"):
        tracked.take_back(0, 1)
