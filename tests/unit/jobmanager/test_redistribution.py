import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobgraphs import edge, job, vertex

from lesto.jobmanager.core.redistribution import (
    check_restorable,
    coordinator_states,
    redistribute,
)
from lesto.jobmanager.errors import RestoreMismatchError
from lesto.kernels import keygroups
from lesto.proto import checkpoint_pb2 as cp

MAX = 16


def checkpoint(parallelism, *, uid="total", max_parallelism=MAX, items=2):
    operator = cp.OperatorState(
        uid=uid, name=uid, parallelism=parallelism, max_parallelism=max_parallelism
    )
    for subtask in range(parallelism):
        first, last = keygroups.key_group_range(max_parallelism, parallelism, subtask)
        part = operator.subtasks.add(subtask=subtask)
        part.keyed.add(key_group_start=first, key_group_end=last)
        part.lists.add(name="splits", items=[b"%d-%d" % (subtask, i) for i in range(items)])
        part.lists.add(name="all", items=[b"%d" % subtask], union=True)
    return cp.CheckpointMetadata(checkpoint_id=5, operators=[operator])


def graph(parallelism, max_parallelism=MAX):
    return job(
        [
            vertex("numbers", 1, source=b"x"),
            vertex("total", parallelism, max_parallelism=max_parallelism),
        ],
        [edge("numbers", "total")],
    )


@given(st.integers(1, MAX), st.integers(1, MAX))
def test_nothing_is_lost_or_doubled_at_any_parallelism(before, after):
    restores = redistribute(checkpoint(before), graph(after))
    parts = [restores["v-total", i][0] for i in range(after)]
    for index, part in enumerate(parts):
        first, last = keygroups.key_group_range(MAX, after, index)
        covered = {g for h in part.keyed for g in range(h.key_group_start, h.key_group_end + 1)}
        assert set(range(first, last + 1)) <= covered
        for handle in part.keyed:
            assert handle.key_group_start <= last
            assert handle.key_group_end >= first
    items = [i for p in parts for lst in p.lists if lst.name == "splits" for i in lst.items]
    assert sorted(items) == sorted(b"%d-%d" % (s, i) for s in range(before) for i in range(2))
    for part in parts:
        (union,) = [lst for lst in part.lists if lst.name == "all"]
        assert list(union.items) == [b"%d" % s for s in range(before)]


def test_with_the_same_parallelism_each_subtask_gets_its_own_lists_back():
    restores = redistribute(checkpoint(3), graph(3))
    (own,) = [lst for lst in restores["v-total", 1][0].lists if lst.name == "splits"]
    assert list(own.items) == [b"1-0", b"1-1"]


@given(st.integers(1, MAX), st.integers(1, MAX))
def test_state_that_is_the_same_everywhere_is_copied_whole_from_one_subtask(before, after):
    metadata = checkpoint(before)
    for subtask in metadata.operators[0].subtasks:
        items = [b"%d" % subtask.subtask, b"rules"]
        subtask.lists.add(name="broadcast", items=items, broadcast=True)
    restores = redistribute(metadata, graph(after))
    for index in range(after):
        (own,) = [lst for lst in restores["v-total", index][0].lists if lst.name == "broadcast"]
        assert list(own.items) == [b"%d" % (index % before), b"rules"]


def test_operators_without_state_are_listed_too():
    restores = redistribute(checkpoint(1), graph(2))
    (source,) = restores["v-numbers", 0]
    assert source.uid == "numbers"
    assert not source.keyed


def test_state_without_an_operator_is_refused_unless_it_may_be_dropped():
    metadata = checkpoint(1, uid="gone")
    with pytest.raises(RestoreMismatchError, match=r"\(gone\).*'numbers', 'total'"):
        check_restorable(metadata, graph(1), allow_non_restored_state=False)
    check_restorable(metadata, graph(1), allow_non_restored_state=True)


def test_an_operator_that_had_no_state_may_vanish():
    metadata = cp.CheckpointMetadata(operators=[cp.OperatorState(uid="gone", parallelism=1)])
    check_restorable(metadata, graph(1), allow_non_restored_state=False)


def test_another_number_of_key_groups_is_refused_with_the_remedy():
    with pytest.raises(RestoreMismatchError, match=r"set pipeline\.max-parallelism to 16"):
        check_restorable(checkpoint(2), graph(2, 32), allow_non_restored_state=True)


def test_enumerator_state_is_found_by_uid():
    metadata = checkpoint(1)
    metadata.operators[0].coordinator_state = b"left: 3"
    assert coordinator_states(metadata) == {"total": b"left: 3"}


def test_an_empty_enumerator_state_is_a_state_and_not_a_fresh_start():
    """A fresh enumerator would hand out every split again."""
    metadata = checkpoint(1)
    assert coordinator_states(metadata) == {}
    metadata.operators[0].coordinator_state = b""
    again = cp.CheckpointMetadata.FromString(metadata.SerializeToString())
    assert coordinator_states(again) == {"total": b""}
