"""Accumulators merge over subtasks, and refuse what cannot be told."""

import pytest

from lesto.common.accumulators import (
    AccumulatorError,
    AverageAccumulator,
    DoubleCounter,
    Histogram,
    ListAccumulator,
    LongCounter,
    LongMaximum,
    LongMinimum,
    encoded,
    merged,
)
from lesto.jobmanager.server.rest import shapes
from lesto.proto import client_pb2


@pytest.mark.parametrize(
    ("kind", "values", "local", "total"),
    [
        (LongCounter, [1, 2, 3], 3, 6),
        (DoubleCounter, [0.5, 1.0, 1.0], 1.5, 2.5),
        (LongMaximum, [4, -1, 9], 4, 9),
        (LongMinimum, [4, -1, 9], -1, -1),
        (AverageAccumulator, [1, 2, 6], 1.5, 3.0),
        (Histogram, [1, 1, 2], {1: 2}, {1: 2, 2: 1}),
        (ListAccumulator, ["a", 2, "c"], ["a", 2], ["a", 2, "c"]),
    ],
)
def test_each_kind(kind, values, local, total):
    first, second, empty = kind(), kind(), kind()
    for value in values[:2]:
        first.add(value)
    second.add(values[2])
    assert first.get_local_value() == local
    parts = [("n", kind.kind, encoded("n", part)) for part in (first, second, empty)]
    assert merged(parts) == {"n": total}
    first.reset_local()
    assert first.get_local_value() == empty.get_local_value()


def test_only_a_little_and_only_plain_values():
    values = ListAccumulator()
    values.add("x" * 300_000)
    with pytest.raises(AccumulatorError, match=r"300,0.. bytes, more than"):
        encoded("names", values)
    values.reset_local()
    values.add(object())
    with pytest.raises(AccumulatorError, match="'names' takes numbers and texts"):
        encoded("names", values)


def test_over_rest():
    job = client_pb2.JobDetails()
    for count in (2, 3):
        report = job.vertices.add().subtasks.add().report
        counter = LongCounter(count)
        report.accumulators["n"].kind = counter.kind
        report.accumulators["n"].value = encoded("n", counter)
    told = shapes.accumulators(job)
    assert told["user-task-accumulators"] == [{"name": "n", "type": "int", "value": "5"}]
