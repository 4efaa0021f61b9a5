"""The join of columns gives what two nested loops give, through restores and rescaling."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples
from operator_harness import Harness, owner

from lesto.common.elements import ColumnarBatch
from lesto.common.windowing import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from lesto.taskmanager.operators.columnar import window_join
from lesto.taskmanager.operators.columnar.errors import UnsupportedWindowError
from lesto.taskmanager.operators.columnar.window_join import WindowJoinOperator, join_output_schema
from lesto.taskmanager.operators.errors import MissingTimestampError

LEFT = pa.schema([("k", pa.string()), ("v", pa.int64())])
RIGHT = pa.schema([("k", pa.string()), ("v", pa.int64())])
ASSIGNERS = {
    "tumbling": (TumblingEventTimeWindows.of(10), (10, 10, 0)),
    "offset": (TumblingEventTimeWindows.of(10, -3), (10, 10, -3)),
    "sliding": (SlidingEventTimeWindows.of(10, 4, 1), (10, 4, 1)),
    "gaps": (SlidingEventTimeWindows.of(4, 10), (4, 10, 0)),
}
END = 2**63 - 1


def make(directory, assigner, *, keys=(("k", "k"),), schemas=(LEFT, RIGHT), **options):
    h = Harness(WindowJoinOperator(keys, assigner, "_right"), directory, open=False, **options)
    h.context.input_schemas = schemas
    h.operator.open()
    return h


def feed(h, side, records):
    """Records (key, value, time) of one side."""
    if not records:
        return
    schema = h.context.input_schemas[side]
    columns = [pa.array([r[i] for r in records], kind) for i, kind in enumerate(schema.types)]
    data = pa.RecordBatch.from_arrays(columns, schema=schema)
    h.operator.process_batch(ColumnarBatch(data, np.array([r[2] for r in records])), side)


def windows_of(shape, time):
    size, slide, offset = shape
    last = time - (time - offset) % slide
    return range(last, time - size, -slide)


class Model:
    def __init__(self, shape):
        self.shape, self.open, self.out, self.watermark = shape, {}, [], -(2**63)
        self.dropped = 0

    def record(self, side, key, value, time):
        size, taken = self.shape[0], False
        for start in windows_of(self.shape, time):
            if start + size - 1 > self.watermark:
                taken = True
                self.open.setdefault(start, ([], []))[side].append((key, value))
        self.dropped += not taken and time <= self.watermark

    def advance(self, watermark):
        self.watermark = watermark
        for start in sorted(self.open):
            end = start + self.shape[0]
            if end - 1 <= watermark:
                first, second = self.open.pop(start)
                self.out += [
                    (k, a, b, end - 1) for k, a in first for other, b in second if k == other
                ]


def results(h):
    return [(r["k"], r["v"], r["v_right"], t) for r, t in h.output.timed()]


sides = st.tuples(
    st.integers(0, 1),
    st.lists(
        st.tuples(st.sampled_from(["a", "b", "c", None]), st.integers(0, 9), st.integers(-25, 50)),
        max_size=8,
    ),
)
scripts = st.lists(st.one_of(sides, st.integers(-20, 60)), max_size=14)


@settings(max_examples=examples(30))
@given(script=scripts, data=st.data())
@pytest.mark.parametrize("name", ASSIGNERS)
def test_pairs_are_those_of_nested_loops(tmp_path_factory, name, script, data):
    """With two snapshots on the way; the second is restored at parallelism 2."""
    assigner, shape = ASSIGNERS[name]
    model = Model(shape)
    backend = data.draw(st.sampled_from(["hashmap"] * 4 + ["rocksdb"]))
    directory = tmp_path_factory.getbasetemp()
    first_at, at = sorted(data.draw(st.tuples(*[st.integers(0, len(script))] * 2)))
    made = [make(directory, assigner, backend=backend)]
    now, found = made, []
    try:
        for index, step in enumerate([*script, END]):
            if index == first_at:
                now[0].snapshot()
            if index == at:
                saved = now[0].snapshot()
                found += results(now[0])
                now = [
                    make(
                        directory, assigner, backend=backend, restore=[saved], parallelism=2,
                        subtask=i,
                    )
                    for i in range(2)
                ]  # fmt: skip
                made += now
                for h in now:  # what the source's event time in the checkpoint gives at once
                    if model.watermark > -(2**63):
                        h.watermark(model.watermark)
            if isinstance(step, int):
                if step > model.watermark:
                    model.advance(step)
                    for h in now:
                        h.watermark(step)
                continue
            side, records = step
            for record in records:
                model.record(side, *record)
            for i, h in enumerate(now):
                own = [r for r in records if len(now) == 1 or owner(r[0], 2) == i]
                feed(h, side, own)
        found += [row for h in now for row in results(h)]
        assert sorted(found, key=repr) == sorted(model.out, key=repr)
        assert sum(h.counter("num_late_records_dropped") for h in made) == model.dropped
        assert not any(h.operator._parts for h in now)
    finally:
        for h in made:
            h.close()


def test_large_results_come_in_bounded_batches_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(window_join, "RESULT_ROWS_MAX", 10)
    h = make(tmp_path, TumblingEventTimeWindows.of(10))
    feed(h, 0, [("a", i, 1) for i in range(7)] + [("b", 99, 1)])
    feed(h, 1, [("a", 100 + i, 2) for i in range(12)] + [("c", 1, 2)])
    h.watermark(9)
    assert max(len(b) for b in h.output.batches) <= 10
    assert results(h) == [("a", i, 100 + j, 9) for i in range(7) for j in range(12)]
    h.close()


def test_a_snapshot_between_two_steps_neither_loses_nor_repeats(tmp_path, monkeypatch):
    """Firing goes in steps of 20 ms; a barrier that overtakes may come between two of them."""
    monkeypatch.setattr(window_join, "RESULT_ROWS_MAX", 5)
    h = make(tmp_path, TumblingEventTimeWindows.of(10))
    real = h.clock.monotonic_ms
    monkeypatch.setattr(h.clock, "monotonic_ms", lambda: (h.clock.advance(30), real())[1])
    for start in (0, 10, 20):
        feed(h, 0, [("a", i, start) for i in range(4)])
        feed(h, 1, [("a", i, start) for i in range(4)])
    h.watermark(100)
    assert h.operator.in_flight()
    assert h.operator.room() == 0
    assert 0 < len(h.output.rows) < 16
    saved = h.snapshot()
    assert len(h.output.rows) == 16  # the window in hand is ended before the barrier
    assert h.output.watermarks == []
    back = make(tmp_path, TumblingEventTimeWindows.of(10), restore=[saved])
    back.watermark(100)
    assert len(back.output.rows) == 32
    while h.operator.in_flight():
        h.operator.poll()
    assert len(h.output.rows) == 48
    assert h.output.watermarks == [100]
    h.close()
    back.close()


def test_keys_of_several_columns_and_names_that_clash(tmp_path):
    first = pa.schema([("a", pa.int64()), ("b", pa.string()), ("x", pa.int64())])
    second = pa.schema([("x", pa.int64()), ("b", pa.string()), ("c", pa.int64())])
    keys = (("a", "c"), ("b", "b"))
    schema, _ = join_output_schema(first, second, keys, "_r")
    assert schema.names == ["a", "b", "x", "x_r", "c"]
    h = make(tmp_path, TumblingEventTimeWindows.of(10), keys=keys, schemas=(first, second))
    for side, rows in enumerate(([(1, "p", 10), (2, "p", 20)], [(7, "p", 1), (8, "q", 1)])):
        schema = (first, second)[side]
        columns = [pa.array([r[i] for r in rows], t) for i, t in enumerate(schema.types)]
        data = pa.RecordBatch.from_arrays(columns, schema=schema)
        h.operator.process_batch(ColumnarBatch(data, np.array([1, 2])), side)
    h.watermark(9)
    assert h.output.rows == [{"a": 1, "b": "p", "x": 10, "x_right": 7, "c": 1}]
    h.close()


def test_what_does_not_work_on_columns_is_named(tmp_path):
    with pytest.raises(UnsupportedWindowError, match="EventTimeSessionWindows") as caught:
        WindowJoinOperator((("k", "k"),), EventTimeSessionWindows.with_gap(5), "_r")
    assert "apply" in caught.value.remedy
    h = make(tmp_path, TumblingEventTimeWindows.of(10))
    data = pa.RecordBatch.from_arrays([pa.array(["a"]), pa.array([1])], schema=LEFT)
    with pytest.raises(MissingTimestampError, match="without event time"):
        h.operator.process_batch(ColumnarBatch(data, None), 0)
    h.close()


@pytest.mark.parametrize("first", [None, 15])
def test_subtasks_that_were_not_equally_far_lose_and_repeat_nothing(tmp_path, first):
    """One had joined up to 9 ms and the other up to 29 ms; both go on in one, twice."""
    assigner = SlidingEventTimeWindows.of(10, 5)
    keys = [next(k for k in map(str, range(99)) if owner(k, 2) == i) for i in range(2)]
    saved, found = [], []
    for subtask, (key, until) in enumerate(zip(keys, (9, 29), strict=True)):
        h = make(tmp_path, assigner, parallelism=2, subtask=subtask)
        for side in (0, 1):
            feed(h, side, [(key, 1, 2), (key, 1, 12), (key, 1, 27)])
        h.watermark(until)
        saved.append(h.snapshot())
        found += results(h)
        h.close()
    for late in (13, None):
        h = make(tmp_path, assigner, restore=saved)
        if late:  # of the second key that is too late
            feed(h, 0, [(key, 2, late) for key in keys])
            if first:
                h.watermark(first)
        else:
            h.watermark(100)
        saved = [h.snapshot()]
        found += results(h)
        h.close()
    ends = [4, 9, 14, 19, 29, 34]
    expected = [(key, 1, 1, end) for key in keys for end in ends]
    expected += [(keys[0], 2, 1, end) for end in (14, 19)]
    assert sorted(found) == sorted(expected)
