# ruff: noqa: DTZ001 - naive datetimes are the point
"""The counting sort and the gather, against numpy and pyarrow."""

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels.partition import partition, split_batch, take_array, take_batch


@given(st.lists(st.integers(-1, 6), max_size=200))
def test_partition_is_a_stable_sort(channels: list[int]) -> None:
    indices, offsets = partition(np.array(channels, np.int32), 7)
    for k in range(7):
        expected = [i for i, c in enumerate(channels) if c == k]
        assert indices[offsets[k] : offsets[k + 1]].tolist() == expected


def test_partition_rejects_unknown_channel() -> None:
    with pytest.raises(ValueError, match="does not exist"):
        partition(np.array([0, 3], np.int32), 3)


COLUMNS = {
    "string": pa.array(["", "a", None, "x" * 40, "twelve bytes", "y" * 32, "z" * 33, None]),
    "large_string": pa.array(["a", None, "b" * 20] * 3, pa.large_string()),
    "string_view": pa.array(["a", None, "b" * 20], pa.string_view()),
    "binary": pa.array([b"\x00", b"", None, b"abc"]),
    "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
    "int8": pa.array([1, None, -3], pa.int8()),
    "int16": pa.array([1, None, -3], pa.int16()),
    "float32": pa.array([1.5, None, -0.0], pa.float32()),
    "int64": pa.array(range(50)),
    "bool": pa.array([True, None, False] * 7),
    "bool_full": pa.array([True, False] * 7),
    "timestamp": pa.array([dt.datetime(2020, 1, 1), None], pa.timestamp("ns", "UTC")),
    "decimal": pa.array([Decimal("1.50"), None, Decimal("-2")], pa.decimal128(20, 2)),
    "decimal256": pa.array([Decimal("1.50"), None, Decimal("-2")], pa.decimal256(50, 2)),
    "dictionary": pa.array(["a", None, "b", "a"]).dictionary_encode(),
    "null": pa.nulls(4),
    "list": pa.array([[1], None, [2, 3]]),
    "struct": pa.array([{"a": 1}, None, {"a": None}]),
}


@pytest.mark.parametrize("name", COLUMNS)
@given(data=st.data(), cut=st.integers(0, 1))
def test_take_agrees_with_pyarrow(name: str, data: st.DataObject, cut: int) -> None:
    arr = COLUMNS[name][cut:]
    rows = data.draw(st.lists(st.integers(0, len(arr) - 1), max_size=40))
    indices = np.array(rows, np.int64)
    found = take_array(arr, indices)
    found.validate(full=True)
    assert found.type == arr.type
    values = arr.to_pylist()  # not pyarrow's take: it has none for views
    assert found.to_pylist() == [values[i] for i in rows]


def test_take_batch_edges() -> None:
    batch = pa.record_batch({"a": ["x", None], "b": [1, 2]})
    assert take_batch(batch, np.zeros(0, np.int32)).num_rows == 0
    assert take_batch(batch.slice(0, 0), np.zeros(0, np.int32)).schema == batch.schema
    with pytest.raises(IndexError):
        take_batch(batch, np.array([2]))
    with pytest.raises(IndexError):
        take_batch(batch, np.array([-1]))


def test_split_batch() -> None:
    batch = pa.record_batch({"a": ["x", "y", None, "w"], "b": [1, 2, 3, 4]})
    parts = split_batch(batch, np.array([1, 0, 1, 3], np.int32), 4)
    assert [None if p is None else p["b"].to_pylist() for p in parts] == [[2], [1, 3], None, [4]]


def test_buffers_that_are_not_aligned() -> None:
    """As they come cut out of a network message."""
    raw = b"\x00" + np.arange(5, dtype=np.int64).tobytes()
    buffer = pa.py_buffer(raw).slice(1)
    arr = pa.Array.from_buffers(pa.int64(), 5, [None, buffer])
    assert take_array(arr, np.array([4, 0])).to_pylist() == [4, 0]
