"""Window aggregates against a model that treats one record at a time, as Flink does."""

from collections import defaultdict

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.common.elements import MAX_TIMESTAMP, ColumnarBatch
from lesto.common.expressions import col, count, lit, window_end, window_start
from lesto.common.windowing import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
    TumblingProcessingTimeWindows,
)
from lesto.taskmanager.operators.columnar.errors import (
    UnsupportedAggregateError,
    UnsupportedWindowError,
)
from lesto.taskmanager.operators.columnar.sliced_windows import SlicedWindows
from lesto.taskmanager.operators.columnar.window import (
    WindowAggregateOperator,
    window_output_schema,
)
from lesto.taskmanager.operators.errors import MissingTimestampError

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64())])
KEYS = st.sampled_from(["a", "b", "", "a key longer than twelve bytes", None])
VALUES = st.one_of(st.none(), st.integers(-5, 5))
BATCHES = st.lists(
    st.tuples(
        st.lists(st.tuples(KEYS, VALUES, st.integers(-30, 60)), max_size=12),
        st.integers(-20, 70),  # watermark after the batch, made monotonous
        st.integers(0, 2),  # slicing
    ),
    max_size=8,
)
AGGREGATES = [
    count(),
    col("v").sum(),
    col("v").min(),
    col("v").mean(),
    (col("v").max() - lit(1)).alias("top"),
    window_start().cast(pa.int64()).alias("from"),
    window_end().cast(pa.int64()).alias("to"),
]
SHAPES = [
    TumblingEventTimeWindows(10),
    TumblingEventTimeWindows(10, 3),
    SlidingEventTimeWindows(10, 4, 1),
    SlidingEventTimeWindows(12, 3, -2),
    SlidingEventTimeWindows(5, 10),
]


def summary(values):
    """What AGGREGATES give but for the bounds."""
    some = [v for v in values if v is not None]
    if not some:
        return (len(values), None, None, None, None)
    return (len(values), sum(some), min(some), sum(some) / len(some), max(some) - 1)


class Model:
    """Windows of one record at a time: what has been given last for each key and window counts."""

    def __init__(self, assigner, lateness=0):
        self.assigner, self.lateness = assigner, lateness
        self.watermark = -(2**63)
        self.content = defaultdict(list)  # (key, start, end) -> values
        self.pending = set()
        self.late = 0

    def add(self, rows):
        """Gives what must be emitted at the end of the batch, by key and window."""
        refired = {}
        for key, value, time in rows:
            kept = 0
            for window in self.windows(key, time):
                end = window[2]
                if end - 1 + self.lateness <= self.watermark:
                    continue
                kept += 1
                self.content[window].append(value)
                if end - 1 <= self.watermark:
                    refired[window] = summary(self.content[window])
                else:
                    self.pending.add(window)
            self.late += not kept and time + self.lateness <= self.watermark
        return refired

    def windows(self, key, time):
        return [(key, w.start, w.end) for w in self.assigner.assign_windows(None, time, None)]

    def advance(self, watermark):
        self.watermark = watermark
        fired = {}
        for window in sorted(self.pending, key=lambda w: w[2]):
            if window[2] - 1 <= watermark:
                fired[window] = summary(self.content[window])
                self.pending.remove(window)
        for window in list(self.content):
            if window[2] - 1 + self.lateness <= watermark:
                del self.content[window]
        return fired


def emitted(rig):
    """Rows by key and window; each at most once a step."""
    rows = rig.out.take()
    found = {}
    for key, *values, start, end, time in rows:
        assert time == end - 1
        assert (key, start, end) not in found
        found[key, start, end] = tuple(values)
    return found


def play(rig, store, assigner, batches, model, restore_at):
    """Feed operator and model alike; at ``restore_at`` go on from a snapshot on three subtasks."""

    def make():
        return WindowAggregateOperator(["k"], assigner, AGGREGATES, model.lateness)

    disk = store()
    rigs = [rig(make(), SCHEMA)]
    watermark = -(10**6)
    dropped = 0
    for step, (rows, mark, pad) in enumerate([*batches, ([], MAX_TIMESTAMP, 0)]):
        if step == restore_at:
            for r in rigs:
                r.snapshot_into(disk)
            dropped = sum(r.counted("num_late_records_dropped") for r in rigs)
            rigs = [rig(make(), SCHEMA, disk, i, 3) for i in range(3)]
            if not isinstance(rigs[0].operator._windows, SlicedWindows):
                model.watermark = -(2**63)  # slices know until when windows have fired
        elif step % 2 and len(rigs) == 1:
            rigs[0].snapshot_into(disk)
        expected = model.add(rows)
        for r in rigs:
            mine = [row for row in rows if len(rigs) == 1 or owner(row[0]) == rigs.index(r)]
            if mine:
                r.send([m[:2] for m in mine], [m[2] for m in mine], pad=pad)
        assert {k: v for r in rigs for k, v in emitted(r).items()} == expected
        watermark = max(watermark, mark)
        expected = model.advance(watermark)
        for r in rigs:
            r.watermark(watermark)
        assert {k: v for r in rigs for k, v in emitted(r).items()} == expected
    assert all(len(r.operator.table) == 0 for r in rigs)
    assert dropped + sum(r.counted("num_late_records_dropped") for r in rigs) == model.late


def owner(key):
    from lesto.kernels.hashing import hash_value
    from lesto.kernels.keygroups import key_group_for_hash, operator_index

    return operator_index(key_group_for_hash(hash_value(key), 32), 32, 3)


@pytest.mark.parametrize("assigner", SHAPES, ids=repr)
@given(batches=BATCHES, lateness=st.sampled_from([0, 0, 7]), restore_at=st.integers(0, 9))
def test_results_equal_those_of_one_record_at_a_time(
    rig, store, assigner, batches, lateness, restore_at
):
    play(rig, store, assigner, batches, Model(assigner, lateness), restore_at)


class SessionModel(Model):
    """Sessions, a batch at a time: late records count if they join a live session."""

    def __init__(self, gap, lateness=0):
        super().__init__(None, lateness)
        self.gap = gap

    def add(self, rows):
        alive = [[k, s, e, list(vs), True] for (k, s, e), vs in self.content.items()]
        merged = []
        for item in sorted(
            alive + [[k, t, t + self.gap, [v], False] for k, v, t in rows],
            key=lambda i: (str(i[0]), i[0] is None, i[1], not i[4]),
        ):
            last = merged[-1] if merged else None
            if last and last[0] == item[0] and item[1] <= last[2]:
                last[2] = max(last[2], item[2])
                last[3] += item[3]
                last[4] |= item[4]
                last[5] += 1
            else:
                merged.append([*item, 1])
        before, refired = self.content, {}
        self.content = defaultdict(list)
        for k, s, e, vs, was_alive, _ in merged:
            if not was_alive and e - 1 + self.lateness <= self.watermark:
                self.late += len(vs)
                continue
            window = (k, s, e)
            self.content[window] = vs
            unchanged = window in before and before[window] == vs
            if not unchanged and e - 1 <= self.watermark:
                refired[window] = summary(vs)
            elif not unchanged:
                self.pending.add(window)
        self.pending &= set(self.content)
        return refired


# Close in time, so that sessions are extended, bridged and revived rather than always new.
SESSION_BATCHES = st.lists(
    st.tuples(
        st.lists(st.tuples(st.sampled_from(["a", None]), VALUES, st.integers(0, 30)), max_size=4),
        st.integers(-5, 35),
        st.integers(0, 2),
    ),
    max_size=10,
)


@settings(max_examples=examples(150))
@given(batches=SESSION_BATCHES, lateness=st.sampled_from([0, 7]), restore_at=st.integers(0, 11))
def test_sessions_merge_across_batches_and_survive_a_restore(
    rig, store, batches, lateness, restore_at
):
    model = SessionModel(5, lateness)
    play(rig, store, EventTimeSessionWindows(5), batches, model, restore_at)


def session_rig(rig, lateness=0):
    operator = WindowAggregateOperator(["k"], EventTimeSessionWindows(5), AGGREGATES, lateness)
    return rig(operator, SCHEMA)


def test_a_record_between_two_live_sessions_joins_them(rig):
    r = session_rig(rig)
    r.send([("a", 1), ("a", 2)], [0, 9])
    r.send([("b", 7)], [0])
    r.send([("a", 4)], [5])
    assert len(r.operator.table) == 2
    r.watermark(MAX_TIMESTAMP)
    assert emitted(r) == {("a", 0, 14): summary([1, 2, 4]), ("b", 0, 5): summary([7])}


def test_a_session_that_has_fired_and_is_then_extended_fires_again_at_its_new_end(rig):
    r = session_rig(rig, lateness=10)
    r.send([("a", 1)], [0])
    r.watermark(5)
    assert emitted(r) == {("a", 0, 5): summary([1])}
    r.send([("a", 2)], [4])  # late but allowed; the new end lies ahead of the watermark
    assert emitted(r) == {}
    r.watermark(7)
    assert emitted(r) == {}
    r.watermark(8)
    assert emitted(r) == {("a", 0, 9): summary([1, 2])}
    r.send([("a", 3)], [1])  # its end is unchanged and passed: updated at once
    assert emitted(r) == {("a", 0, 9): summary([1, 2, 3])}
    r.watermark(MAX_TIMESTAMP)
    assert emitted(r) == {}


def test_a_slot_used_again_does_not_inherit_when_it_was_due(rig):
    r = session_rig(rig)
    r.send([("a", 1), ("a", 2)], [0, 9])
    r.send([("a", 4)], [5])  # one of the two rows goes
    r.send([("b", 5)], [40])  # and is used for another session
    r.watermark(20)
    assert emitted(r) == {("a", 0, 14): summary([1, 2, 4])}
    r.send([("b", 5)], [46])
    r.watermark(44)
    assert emitted(r) == {("b", 40, 45): summary([5])}
    r.watermark(MAX_TIMESTAMP)
    assert emitted(r) == {("b", 46, 51): summary([5])}


def test_schema_names_and_types():
    schema = window_output_schema(
        SCHEMA, ["k"], TumblingEventTimeWindows(10), [count(), window_end()]
    )
    assert schema.names == ["k", "count", "window_end"]
    assert schema.types == [pa.string(), pa.int64(), pa.timestamp("ms", "UTC")]


def test_processing_time_windows_are_refused_when_the_graph_is_built():
    with pytest.raises(UnsupportedWindowError, match="TumblingProcessingTimeWindows"):
        window_output_schema(SCHEMA, ["k"], TumblingProcessingTimeWindows(10), [count()])


def test_a_column_that_is_neither_key_nor_aggregated_is_named():
    with pytest.raises(UnsupportedAggregateError, match="column 'v' of"):
        window_output_schema(SCHEMA, ["k"], TumblingEventTimeWindows(10), [count() + col("v")])


@pytest.mark.parametrize("times", [None, [5, -(2**63)]])
def test_records_without_event_time_are_refused(rig, times):
    r = rig(WindowAggregateOperator(["k"], TumblingEventTimeWindows(10), [count()]), SCHEMA)
    with pytest.raises(MissingTimestampError, match="without event time"):
        r.send([("a", 1), ("b", 1)], times)


def test_late_records_go_to_the_side_output_whole_and_in_order(rig):
    operator = WindowAggregateOperator(["k"], TumblingEventTimeWindows(10), [count()], 0, "late")
    r = rig(operator, SCHEMA)
    r.watermark(19)
    r.send([("a", 1), ("b", 2), ("c", None)], [19, 20, 3], pad=1)
    ((tag, batch),) = r.out.side
    assert tag == "late"
    assert batch.data.to_pylist() == [{"k": "a", "v": 1}, {"k": "c", "v": None}]
    assert batch.timestamps.tolist() == [19, 3]
    assert r.counted("num_late_records_dropped") == 0


def test_results_come_before_the_watermark_in_batches_of_bounded_size(rig):
    r = rig(WindowAggregateOperator(["v"], TumblingEventTimeWindows(10), [count()]), SCHEMA)
    n = 70_000
    r.send([("a", i) for i in range(n)], [3] * n)
    r.watermark(9)
    *batches, watermark = r.out.elements
    assert watermark == 9
    assert [len(b) for b in batches] == [65_536, n - 65_536]
    assert all(isinstance(b, ColumnarBatch) for b in batches)
