"""BATCH mode on columns: the last result of each key, with its event time."""

import pyarrow as pa
import pytest

from lesto.common.elements import MAX_TIMESTAMP
from lesto.common.expressions import col
from lesto.common.keys import KeySpec
from lesto.taskmanager.operators.batch import LastOfKeysOperator
from lesto.taskmanager.operators.columnar.running import RunningAggregateOperator

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64())])


@pytest.mark.parametrize("timed", [True, False])
def test_the_last_results_keep_their_event_time(rig, timed):
    total = RunningAggregateOperator(["k"], [col("v").sum().alias("s")])
    one = rig(LastOfKeysOperator(total, KeySpec(columns=("k",))), SCHEMA)
    one.send([("a", 1), ("b", 2), (None, 3)], [5, 6, 7] if timed else None)
    one.send([("a", 10)], [9] if timed else None)
    assert one.out.take() == []
    one.watermark(MAX_TIMESTAMP)
    times = {"b": 6, None: 7, "a": 9}
    expected = [("b", 2), (None, 3), ("a", 11)]
    assert one.out.take() == [(k, s, times[k] if timed else None) for k, s in expected]
