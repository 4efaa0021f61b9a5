"""Sizes of batches, which flow control counts by."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch

VALUES = {
    pa.int64(): [1, 2, 3, 4, 5],
    pa.int8(): [1, 2, 3, 4, 5],
    pa.float32(): [1.0, 2.0, 3.0, 4.0, 5.0],
    pa.bool_(): [True, False, True, False, True],
    pa.string(): ["a", "", "ccc", "dd", "e"],
    pa.large_string(): ["a", "", "ccc", "dd", "e"],
    pa.binary(): [b"a", b"", b"ccc", b"dd", b"e"],
    pa.timestamp("ms", "UTC"): [dt.datetime(2026, 1, d, tzinfo=dt.UTC) for d in range(1, 6)],
    pa.decimal128(10, 2): [Decimal(i) for i in range(5)],
    pa.list_(pa.int64()): [[1], [], [2, 3], [4], [5]],
}


@pytest.mark.parametrize("type_", list(VALUES), ids=str)
@pytest.mark.parametrize(("offset", "length"), [(0, 5), (1, 3), (4, 1), (2, 0)])
def test_a_slice_counts_its_own_values_only(type_, offset, length):
    whole = pa.array(VALUES[type_], type_)
    part = pa.array(VALUES[type_][offset : offset + length], type_)
    batch = ColumnarBatch(pa.record_batch([whole.slice(offset, length)], names=["c"]))
    expected = part.nbytes if length else 0
    assert batch.nbytes == expected


def test_times_and_kinds_count_too():
    data = pa.record_batch({"c": pa.array([1, 2])})
    batch = ColumnarBatch(data, np.zeros(2, np.int64), np.zeros(2, np.int8))
    assert batch.nbytes == 16 + 16 + 2
