"""Columns as msgpack and the order of byte strings, against msgspec and sorted()."""

import math

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels import packing
from lesto.kernels.packing import SORTED_BYTES_MAX, columns_of, pack, pack_entry_keys, sort_indices

#: Around every change of the header.
INTS = [
    sign * (edge + near)
    for edge in (0, 32, 1 << 7, 1 << 8, 1 << 15, 1 << 16, 1 << 31, 1 << 32, 1 << 62)
    for near in (-1, 0, 1)
    for sign in (1, -1)
] + [(1 << 63) - 1, -(1 << 63)]
TEXTS = ["", "a", "x" * 31, "y" * 32, "z" * 255, "w" * 256, "\u00e9" * 20, "q" * 65535, "p" * 65536]
FLOATS = [0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324]


@pytest.mark.parametrize(
    "values",
    [
        INTS,
        TEXTS,
        [text.encode() for text in TEXTS],
        FLOATS,
        list(zip(INTS, TEXTS * 7, FLOATS * 9, strict=False)),
    ],
    ids=["int", "str", "bytes", "float", "tuple"],
)
def test_values_are_packed_as_msgspec_does(values):
    columns = columns_of(values)
    assert columns is not None
    assert pack(columns, len(values)).to_pylist() == [msgspec.msgpack.encode(v) for v in values]


def test_none_is_null_where_it_may_be():
    values = [None, 3, None, 300]
    columns = columns_of(values, nullable=True)
    assert columns is not None
    packed = pack(columns, 4)
    packed.validate(full=True)
    assert packed.to_pylist() == [None, b"\x03", None, b"\xcd\x01\x2c"]


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        [1, True],
        [True],
        [1, None],
        [None, None],
        [],
        [(1,), (1, 2)],
        [()],
        [(1,), (None,)],
        [tuple(range(16))],
        [1 << 63],
        ["\ud800"],
        [[1]],
    ],
)
def test_what_has_no_one_shape_is_left_to_others(values):
    assert columns_of(values) is None


@given(
    st.lists(st.text(max_size=300), min_size=1, max_size=20),
    st.integers(0, 65535),
    st.booleans(),
    st.booleans(),
)
def test_entry_keys(keys, state_id, timed, constant):
    count = len(keys)
    groups = np.arange(count, dtype=np.uint16) * 3000
    times = np.arange(count, dtype=np.uint64) << np.uint64(40)
    namespaces = [(n, -n) for n in range(count)]
    columns, tails = columns_of(keys), columns_of(namespaces)
    assert columns is not None
    assert tails is not None
    found = pack_entry_keys(
        columns,
        groups,
        state_id,
        b"\x01\xc0" if constant else tails,
        times=times if timed else times[:0],
    )
    found.validate(full=True)
    expected = []
    for n, key in enumerate(keys):
        packed = msgspec.msgpack.encode(key)
        size = len(packed)
        expected.append(
            (3000 * n).to_bytes(2, "big")
            + state_id.to_bytes(2, "big")
            + ((n << 40).to_bytes(8, "big") if timed else b"")
            + (bytes([size]) if size < 255 else b"\xff" + size.to_bytes(4, "big"))
            + packed
            + (b"\x01\xc0" if constant else msgspec.msgpack.encode(namespaces[n]))
        )
    assert found.to_pylist() == expected


@given(
    st.lists(st.lists(st.sampled_from([0, 1, 7, 255]), max_size=SORTED_BYTES_MAX + 2).map(bytes)),
    st.integers(0, 3),
)
def test_order_is_that_of_bytes_and_stable(keys, cut):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "SORTED_ROWS_MIN", 0)
        found = sort_indices(pa.array(keys, pa.large_binary()).slice(cut))
    keys = keys[cut:]
    assert found.to_pylist() == sorted(range(len(keys)), key=keys.__getitem__)
