"""A source whose chained functions are slow emits its batches in pieces; none is lost or doubled by
a checkpoint between two of them.
"""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import CollectedOutput, Harness

from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.common.source import EndOfSplits, Source, SourceBatch, SourceReader, SplitFinished
from lesto.common.watermarks import WatermarkStrategy
from lesto.taskmanager.core.pacing import FIRST_ROWS, STEP_NS
from lesto.taskmanager.operators.source import SourceOperator
from lesto.taskmanager.operators.source_api import PollStatus

ROWS = 1_000
SLOW_MS = 2


class Split:
    def __init__(self, split_id, at, end):
        self.split_id, self.at, self.end = split_id, at, end


class NumbersReader(SourceReader):
    """Splits of numbers, ``batch`` at a time."""

    def __init__(self, batch, make):
        self.splits, self.finished, self.batch, self.make = [], [], batch, make

    def poll(self):
        if self.finished:
            return SplitFinished(self.finished.pop())
        if not self.splits:
            return EndOfSplits.END
        split = self.splits[0]
        start, split.at = split.at, min(split.at + self.batch, split.end)
        if split.at == split.end:
            self.finished.append(self.splits.pop(0).split_id)
        return SourceBatch(self.make(start, split.at), split.split_id)

    def add_splits(self, splits):
        self.splits += splits

    def notify_no_more_splits(self):
        pass

    def snapshot_state(self, checkpoint_id):
        return list(self.splits)


class Numbers(Source):
    def __init__(self, batch, make):
        self.batch, self.make = batch, make

    def create_enumerator(self, context, checkpoint):
        raise NotImplementedError

    def create_reader(self, context):
        return NumbersReader(self.batch, self.make)

    def serialize_split(self, split):
        return f"{split.split_id}:{split.at}:{split.end}".encode()

    def deserialize_split(self, data):
        name, at, end = data.decode().split(":")
        return Split(name, int(at), int(end))


def row_batch(start, end):
    return RowBatch(list(range(start, end)), np.arange(start, end))


def columns(start, end):
    data = pa.RecordBatch.from_pydict({"n": list(range(start, end))})
    return ColumnarBatch(data, np.arange(start, end))


class SlowOutput(CollectedOutput):
    """What is chained behind takes its time for each record."""

    def __init__(self, clock, ms):
        super().__init__()
        self.clock, self.ms = clock, ms

    def emit(self, batch):
        super().emit(batch)
        self.clock.advance(self.ms * len(batch))


def slow(harness, ms=SLOW_MS):
    harness.output = harness.operator.output = SlowOutput(harness.clock, ms)
    return harness


def source(make=row_batch, batch=ROWS):
    return SourceOperator(Numbers(batch, make), WatermarkStrategy.for_monotonous_timestamps())


def test_steps_of_a_slow_chain_are_short(harness):
    h = slow(harness(source()))
    h.operator.add_splits([f"a:0:{ROWS}".encode()])
    h.operator.poll()
    assert h.output.rows == list(range(FIRST_ROWS))
    before = h.clock.monotonic_ms()
    h.operator.poll()
    assert (h.clock.monotonic_ms() - before) * 1_000_000 <= STEP_NS
    while h.operator.poll().status is not PollStatus.END:
        pass
    assert h.output.rows == list(range(ROWS))
    assert h.output.watermarks[-1] == ROWS - 2


def test_a_quick_chain_gets_whole_batches(harness):
    h = slow(harness(source()), ms=0)
    h.operator.add_splits([f"a:0:{3 * ROWS}".encode()])
    for _ in range(4):
        h.operator.poll()
    assert [len(b) for b in h.output.batches] == [FIRST_ROWS, ROWS - FIRST_ROWS, ROWS, ROWS]


@pytest.mark.parametrize("make", [row_batch, columns])
def test_what_is_unread_goes_with_its_split(harness, make):
    h = slow(harness(source(make)))
    h.operator.add_splits([f"a:0:{2 * ROWS}".encode(), b"b:0:5"])
    h.operator.poll()
    saved = h.snapshot()
    assert saved.lists["splits"] == [b"b:0:5"]  # a travels with its rest
    assert len(saved.lists["unread"]) == 1
    again = slow(harness(source(make), restore=[saved]))
    while again.operator.poll().status is not PollStatus.END:
        pass
    seen = h.output.rows[:FIRST_ROWS] + again.output.rows
    numbers = [row["n"] if make is columns else row for row in seen]
    assert sorted(numbers) == sorted([*range(2 * ROWS), *range(5)])
    assert again.output.timestamps[: ROWS - FIRST_ROWS] == list(range(FIRST_ROWS, ROWS))


def test_the_rest_of_a_finished_split_ends_it_and_event_time_goes_on(harness):
    h = slow(harness(source()))
    h.operator.add_splits([f"a:0:{ROWS}".encode()])
    h.operator.poll()
    again = slow(harness(source(), restore=[h.snapshot()]))
    again.operator.add_splits([b"b:5000:5010"])
    while again.operator.poll().status is not PollStatus.END:
        pass
    assert again.output.watermarks[-1] == 5008  # a, which is over, does not hold it back


def test_a_drain_emits_what_is_unread(harness):
    h = slow(harness(source()))
    h.operator.add_splits([f"a:0:{2 * ROWS}".encode()])
    h.operator.poll()
    h.operator.drain()
    assert h.output.rows == list(range(ROWS))
    assert "unread" not in h.snapshot().lists


@given(data=st.data())
def test_every_record_comes_once_wherever_checkpoints_cut(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("unread")
    batch = data.draw(st.integers(1, 400), label="batch")
    ends = data.draw(st.lists(st.integers(1, 700), min_size=1, max_size=3), label="ends")
    splits = [f"s{i}:0:{end}".encode() for i, end in enumerate(ends)]
    seen, saved = [], None
    for life in range(data.draw(st.integers(1, 4), label="lives")):
        restore = [saved] if saved is not None else None
        h = slow(Harness(source(batch=batch), directory, restore=restore))
        if life == 0:
            h.operator.add_splits(splits)
        for _ in range(data.draw(st.integers(0, 12), label="polls")):
            h.operator.poll()
        seen += h.output.rows
        saved = h.snapshot()
        h.close()
    h = slow(Harness(source(batch=batch), directory, restore=[saved]))
    while h.operator.poll().status is not PollStatus.END:
        pass
    seen += h.output.rows
    h.close()
    assert sorted(seen) == sorted(n for end in ends for n in range(end))
