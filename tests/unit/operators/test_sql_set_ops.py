"""Set operations in SQL against counting."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.common.clock import VirtualClock
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.set_ops import SetOperator
from tests.unit.operators.sql_join_model import DELETE, INSERT, Subtasks, applied

SCHEMA = pa.schema([("k", pa.int64()), ("s", pa.string())])
RESULT = pa.schema([("a", pa.int64()), ("b", pa.string())])
KINDS = [
    ("UNION", False),
    ("INTERSECT", False),
    ("INTERSECT", True),
    ("EXCEPT", False),
    ("EXCEPT", True),
]


def wanted(kind, every, bags):
    if not every:
        bags = [Counter(dict.fromkeys(bag, 1)) for bag in bags]
    first, *others = bags
    for bag in others:
        match kind:
            case "UNION":
                first = first | bag
            case "INTERSECT":
                first = first & bag
            case _:
                first = first - bag
    return first


def subtasks(folder, kind, every, inputs, final=False):
    return Subtasks(
        lambda: SetOperator(SqlSettings(), kind, every, inputs, RESULT, final, 0),
        (SCHEMA,) * inputs,
        folder,
        ((0, 1),) * inputs,
    )


row = st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from(["", None]))
batch = st.tuples(st.integers(0, 2), st.lists(st.tuples(st.booleans(), row), max_size=8))


@pytest.mark.parametrize(("kind", "every"), KINDS)
@settings(max_examples=examples(25))
@given(
    steps=st.lists(st.one_of(batch, st.sampled_from([1, 2])), max_size=8), inputs=st.integers(2, 3)
)
def test_changes_bring_the_operation_on_what_remains(tmp_path_factory, kind, every, steps, inputs):
    under_test = subtasks(tmp_path_factory.mktemp("sets"), kind, every, inputs)
    bags = [Counter() for _ in range(inputs)]
    result = Counter()
    for step in steps:
        if isinstance(step, int):
            under_test = under_test.restored(step)
            continue
        side, drawn = step[0] % inputs, step[1]
        changes = []
        for goes, what in drawn:
            if goes and bags[side][what]:
                changes.append((DELETE, what))
                bags[side][what] -= 1
            elif not goes:
                changes.append((INSERT, what))
                bags[side][what] += 1
        under_test.feed(side, changes)
        given_back = under_test.take()
        applied(result, given_back)
        assert result == wanted(kind, every, [+bag for bag in bags])
        # A batch brings net changes.
        assert not {r for c, r in given_back if c} & {r for c, r in given_back if not c}
    under_test.close()


@pytest.mark.parametrize(("kind", "every"), KINDS)
def test_batches_give_final_rows_alone(tmp_path, kind, every):
    under_test = subtasks(tmp_path, kind, every, 2, final=True)
    bags = Counter({(1, "x"): 3, (2, "y"): 1, (3, None): 2}), Counter({(1, "x"): 1, (2, "y"): 2})
    for side in (0, 1):
        under_test.feed(side, [(INSERT, r) for r in bags[side].elements()])
    under_test.end()
    found = under_test.take()
    assert {change for change, _ in found} == {INSERT}
    assert Counter(r for _, r in found) == wanted(kind, every, bags)
    under_test = under_test.restored(2)
    under_test.end()
    assert under_test.take() == []


def test_what_goes_before_it_has_come_is_made_up_for(tmp_path):
    under_test = subtasks(tmp_path, "UNION", False, 2)
    under_test.feed(0, [(DELETE, (1, "x"))])
    under_test.feed(0, [(INSERT, (1, "x"))])
    assert under_test.take() == []
    under_test.feed(1, [(INSERT, (1, "x"))])
    assert under_test.take() == [(INSERT, (1, "x"))]


def test_idle_rows_are_forgotten(tmp_path):
    clock = VirtualClock(1_000_000)
    under_test = Subtasks(
        lambda: SetOperator(SqlSettings(), "UNION", False, 2, RESULT, False, 10_000),
        (SCHEMA, SCHEMA),
        tmp_path,
        ((0, 1), (0, 1)),
        clock=clock,
    )
    under_test.feed(0, [(INSERT, (1, "x")), (INSERT, (2, "y"))])
    clock.advance(9_000)
    under_test.feed(1, [(INSERT, (1, "x"))])
    assert len(under_test.take()) == 2
    under_test = under_test.restored(1)
    clock.advance(2_000)
    under_test.feed(1, [(INSERT, (1, "x")), (INSERT, (2, "y"))])
    assert under_test.take() == [(INSERT, (2, "y"))]
