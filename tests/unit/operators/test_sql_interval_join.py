"""Interval joins in SQL against all pairs that are near."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.common.clock import VirtualClock
from lesto.common.elements import MAX_TIMESTAMP
from lesto.sql import types as t
from lesto.sql.builder import call
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql import interval_join, join_steps, outer_interval_join
from lesto.taskmanager.operators.sql.interval_join import Band, IntervalJoinOperator
from lesto.taskmanager.operators.sql.join_sides import JoinSide
from lesto.taskmanager.operators.sql.outer_interval_join import OuterIntervalJoinOperator
from tests.unit.operators.sql_join_model import INSERT, Subtasks, joined

KINDS = ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]
LEFT = pa.schema([("k", pa.string()), ("v", pa.int32()), ("t", pa.timestamp("ms"))])
RIGHT = pa.schema([("u", pa.timestamp("ms")), ("w", pa.int32()), ("k2", pa.string())])
BOTH = pa.schema([*LEFT, *RIGHT])
LESS = call("<", [InputRef(1, t.INT()), InputRef(4, t.INT())])
BANDS = [(-5, 5), (0, 0), (-30, -10), (4, 20), (0, 7)]


def operator(kind, bounds, keyed=True, condition=None, event_time=True):
    left = JoinSide((0,) if keyed else (), 3, outer=kind in {"LEFT", "FULL", "ANTI"})
    right = JoinSide((2,) if keyed else (), 3, outer=kind in {"RIGHT", "FULL"})
    band = Band((2, 0) if event_time else None, *bounds)
    schema = LEFT if kind in {"SEMI", "ANTI"} else BOTH
    args = (SqlSettings(), left, right, band, condition, schema)
    if kind == "INNER":
        return IntervalJoinOperator(*args)
    return OuterIntervalJoinOperator(*args, {"SEMI": "semi", "ANTI": "anti"}.get(kind, "pairs"))


key = st.sampled_from(["a", "b", None])
row = st.tuples(key, st.integers(0, 3), st.integers(-3, 12))
batch = st.tuples(st.integers(0, 1), st.lists(row, min_size=1, max_size=6))
step = st.one_of(batch, st.integers(1, 15).map(float), st.sampled_from([1, 2, 3]))


def as_rows(side, drawn, now):
    """(row with times as the number of ms, time)."""
    return [(k, v, now + t) if not side else (now + t, v, k) for k, v, t in drawn]


def plain(row):
    """Times as ms."""
    return tuple(
        round((x - EPOCH).total_seconds() * 1000) if hasattr(x, "year") else x for x in row
    )


EPOCH = pa.scalar(0, pa.timestamp("ms")).as_py()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(25))
@given(
    steps=st.lists(step, min_size=2, max_size=10),
    bounds=st.sampled_from(BANDS),
    keyed=st.booleans(),
    tested=st.booleans(),
    hurried=st.booleans(),
)
def test_rows_that_come_in_time_meet_all_that_are_near(
    tmp_path_factory, kind, steps, bounds, keyed, tested, hurried
):
    condition = LESS if tested else None
    lower, upper = bounds

    def matches(a, b):
        near = lower <= a[2] - b[0] <= upper
        same = not keyed or (a[0] is not None and a[0] == b[2])
        return near and same and (not tested or a[1] < b[1])

    with pytest.MonkeyPatch.context() as patch:
        if hurried:
            for module in (interval_join, outer_interval_join):
                patch.setattr(module, "PAIRS_MAX", 2)
                patch.setattr(module, "RESULT_ROWS_MAX", 2)
            patch.setattr(join_steps, "STEP_MS", 0)
        under_test = Subtasks(
            lambda: operator(kind, bounds, keyed, condition),
            (LEFT, RIGHT),
            tmp_path_factory.mktemp("join"),
            ((0,), (2,)) if keyed else ((), ()),
        )
        bags = (Counter(), Counter())
        result: Counter = Counter()
        now, told = 0, -100
        for what in steps:
            if isinstance(what, float):
                now += int(what)
                under_test.watermark(now)
                took(under_test, result, told)
                told = max(told, *(h.output.watermarks[-1] for h in under_test.harnesses))
            elif isinstance(what, int):
                took(under_test, result, told)
                under_test = under_test.restored(what if keyed else 1)
            else:
                side, drawn = what
                # No row is late.
                rows = as_rows(side, [(k, v, max(t, 1)) for k, v, t in drawn], now)
                bags[side].update(rows)
                under_test.feed(side, [(INSERT, r) for r in rows])
        under_test.watermark(MAX_TIMESTAMP)
        took(under_test, result, told)
        assert result == joined(kind, *bags, matches, (3, 3))
        assert all(h.output.watermarks[-1] == MAX_TIMESTAMP for h in under_test.harnesses)
        under_test.close()


def took(under_test, result, told):
    """Results, of which none is behind the watermark that was told."""
    for change, found in under_test.take():
        assert change == INSERT
        row = plain(found)
        times = [row[2], *([row[3]] if len(row) > 3 else [])]
        assert all(time is None or time > told for time in times)
        result[row] += 1


def test_state_goes_with_time(tmp_path):
    join = Subtasks(lambda: operator("FULL", (-5, 5)), (LEFT, RIGHT), tmp_path, ((0,), (2,)))
    join.feed(0, [(INSERT, ("a", i, 10 * i)) for i in range(1, 9)])
    join.feed(1, [(INSERT, (12, 1, "a"))])
    join.watermark(52)
    tables = join.harnesses[0].operator._tables
    assert [len(table) for table in tables] == [4, 0]
    found = [plain(row) for _, row in join.take()]
    assert found[0] == ("a", 1, 10, 12, 1, "a")
    assert [row[2] for row in found[1:]] == [20, 30, 40]
    assert join.harnesses[0].output.watermarks == [47]


def test_a_late_row_meets_who_is_still_there(tmp_path):
    join = Subtasks(lambda: operator("LEFT", (-5, 5)), (LEFT, RIGHT), tmp_path, ((0,), (2,)))
    join.feed(1, [(INSERT, (100, 1, "a"))])
    join.watermark(101)
    join.feed(0, [(INSERT, ("a", 1, 96)), (INSERT, ("a", 2, 5))])
    found = [plain(row) for _, row in join.take()]
    assert found == [("a", 1, 96, 100, 1, "a"), ("a", 2, 5, None, None, None)]


@pytest.mark.parametrize("kind", KINDS)
def test_times_of_arrival(tmp_path, kind):
    clock = VirtualClock(1_000_000)
    schemas = (LEFT.remove(2), RIGHT.remove(0))
    out = schemas[0] if kind in {"SEMI", "ANTI"} else pa.schema([*schemas[0], *schemas[1]])

    def make():
        left = JoinSide((0,), 2, outer=kind in {"LEFT", "FULL", "ANTI"})
        right = JoinSide((1,), 2, outer=kind in {"RIGHT", "FULL"})
        args = (SqlSettings(), left, right, Band(None, -1_000, 1_000), None, out)
        if kind == "INNER":
            return IntervalJoinOperator(*args)
        return OuterIntervalJoinOperator(*args, {"SEMI": "semi", "ANTI": "anti"}.get(kind, "pairs"))

    join = Subtasks(make, schemas, tmp_path, ((0,), (1,)), clock=clock)
    harness = join.harnesses[0]
    join.feed(0, [(INSERT, ("a", 1))])
    harness.advance(600)
    join.feed(1, [(INSERT, (2, "a"))])
    harness.advance(600)
    join.feed(0, [(INSERT, ("a", 3)), (INSERT, ("b", 4))])
    harness.advance(600)
    join.feed(1, [(INSERT, (5, "a"))])
    harness.advance(5_000)
    bags = Counter([("a", 1), ("a", 3), ("b", 4)]), Counter([(2, "a"), (5, "a")])
    pairs = {(1, 2), (3, 2), (3, 5)}
    want = joined(kind, *bags, lambda a, b: (a[1], b[0]) in pairs, (2, 2))
    assert Counter(row for _, row in join.take()) == want
    assert all(len(table) == 0 for table in harness.operator._tables)


def test_a_row_without_time_is_refused(tmp_path):
    join = Subtasks(lambda: operator("INNER", (-5, 5)), (LEFT, RIGHT), tmp_path, ((0,), (2,)))
    with pytest.raises(MissingTimestampError, match="its 't' is NULL"):
        join.feed(0, [(INSERT, ("a", 1, None))])
