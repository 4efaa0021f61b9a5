"""Where event times come from: columns, whole batches; Flink's own generators."""

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.clock import VirtualClock
from lesto.common.elements import ColumnarBatch
from lesto.common.watermark_strategy import (
    AscendingTimestampsWatermarks,
    BoundedOutOfOrdernessWatermarks,
    NoWatermarksGenerator,
    WatermarkStrategy,
    WatermarksWithIdleness,
)
from lesto.taskmanager.operators.errors import (
    InvalidResultError,
    MissingTimestampError,
    UserFunctionError,
)
from lesto.taskmanager.operators.timestamps import TimestampsOperator

MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()
COLUMNS = ColumnarBatch(pa.record_batch({"at": [3, 4], "late": [1, None]}))


def assigned(harness, assigner):
    h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_assigner(assigner)))
    h.operator.process_batch(COLUMNS)
    return h.output


@pytest.mark.parametrize(
    "times",
    [
        lambda batch: batch.column("at"),
        lambda batch: np.array(batch.column("at")),
        lambda batch: pa.chunked_array([batch.column("at")]),
        lambda batch: batch.column("at").cast(pa.timestamp("ms")),
        lambda batch: batch.column("at").to_pylist(),
    ],
)
def test_a_function_of_batches_gives_all_times_at_once(harness, times):
    calls = []

    def assigner(batch: pa.RecordBatch):
        calls.append(batch.num_rows)
        return times(batch)

    output = assigned(harness, assigner)
    assert (output.timestamps, output.watermarks, calls) == ([3, 4], [3], [2])


def test_a_name_is_a_column(harness):
    assert assigned(harness, "at").timestamps == [3, 4]


def test_what_such_a_function_does_wrong_is_named(harness):
    def nulls(batch: pa.RecordBatch):
        return batch.column("late")

    def few(batch: pa.RecordBatch):
        return batch.column("at")[:1]

    def fails(batch: pa.RecordBatch):
        return batch.column("nowhere")

    with pytest.raises(InvalidResultError, match="1 nulls"):
        assigned(harness, nulls)
    with pytest.raises(InvalidResultError, match="1 event times for 2 records"):
        assigned(harness, few)
    with pytest.raises(UserFunctionError, match="nowhere"):
        assigned(harness, fails)
    h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_assigner(few)))
    with pytest.raises(MissingTimestampError, match="takes an Arrow batch"):
        h.feed([1])


def test_flinks_generators_do_as_the_built_in_strategies(harness):
    for generator, strategy in (
        (AscendingTimestampsWatermarks, MONOTONOUS),
        (
            lambda: BoundedOutOfOrdernessWatermarks("5ms"),
            WatermarkStrategy.for_bounded_out_of_orderness(5),
        ),
        (NoWatermarksGenerator, WatermarkStrategy.no_watermarks()),
    ):
        found = []
        for one in (WatermarkStrategy.for_generator(generator), strategy):
            h = harness(TimestampsOperator(one))
            for times in ([5, 9], [7], [20, 3]):
                h.feed(times, times)
            found.append(h.output.watermarks)
        assert found[0] == found[1]


def test_a_generator_with_idleness(harness):
    clock = VirtualClock(0)
    inner = AscendingTimestampsWatermarks
    strategy = WatermarkStrategy.for_generator(lambda: WatermarksWithIdleness(inner(), "1s", clock))
    h = harness(TimestampsOperator(strategy), clock=clock)
    h.feed(["a"], [5])
    h.advance(1_500)
    assert (h.output.watermarks, h.output.statuses) == ([4], [True])
    h.feed(["b"], [9])
    assert (h.output.watermarks, h.output.statuses) == ([4, 8], [True, False])
    with pytest.raises(ValueError, match="longer than zero"):
        WatermarksWithIdleness(inner(), 0)
