# ruff: noqa: DTZ001 - naive datetimes are the point
"""The column hash against the pure-Python hash, and both against Python's equality."""

import datetime as dt
import math
import subprocess
import sys
import uuid
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.kernels import constants, scalar
from lesto.kernels.hashing import hash_column, hash_columns, hash_value, hash_values

INT64 = st.integers(-(2**63), 2**63 - 1)
DATETIMES = st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1))
TYPES = {
    "string": (pa.string(), st.text(max_size=40)),
    "large_string": (pa.large_string(), st.text(max_size=40)),
    "string_view": (pa.string_view(), st.text(max_size=40)),
    "binary": (pa.binary(), st.binary(max_size=70)),
    "large_binary": (pa.large_binary(), st.binary(max_size=20)),
    "fixed_binary": (pa.binary(5), st.binary(min_size=5, max_size=5)),
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int16": (pa.int16(), st.integers(-(2**15), 2**15 - 1)),
    "int32": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "int64": (pa.int64(), INT64),
    "uint8": (pa.uint8(), st.integers(0, 255)),
    "uint32": (pa.uint32(), st.integers(0, 2**32 - 1)),
    "uint64": (pa.uint64(), st.integers(0, 2**64 - 1)),
    "float32": (pa.float32(), st.floats(width=32)),
    "float64": (pa.float64(), st.floats() | INT64.map(float)),
    "bool": (pa.bool_(), st.booleans()),
    "date32": (pa.date32(), st.dates()),
    "date64": (pa.date64(), st.dates()),
    "timestamp_s": (pa.timestamp("s"), DATETIMES.map(lambda v: v.replace(microsecond=0))),
    "timestamp_us": (pa.timestamp("us"), DATETIMES),
    "timestamp_ns": (pa.timestamp("ns"), DATETIMES),
    "timestamp_utc": (pa.timestamp("us", "UTC"), DATETIMES.map(lambda v: v.replace(tzinfo=dt.UTC))),
    "time64": (pa.time64("us"), st.times()),
    "time64_ns": (pa.time64("ns"), st.times()),
    "duration": (
        pa.duration("us"),
        st.timedeltas(dt.timedelta(-(10**6)), dt.timedelta(10**6)),
    ),
    "decimal_short": (
        pa.decimal128(18, 6),
        st.integers(-(10**18) + 1, 10**18 - 1).map(lambda v: Decimal(v).scaleb(-6)),
    ),
    "decimal_long": (
        pa.decimal128(30, 4),
        st.integers(-(10**27), 10**27).map(lambda v: Decimal(f"{v}e-4")),
    ),
    "list": (pa.list_(pa.int64()), st.lists(INT64, max_size=3)),
}


@pytest.mark.parametrize("name", TYPES)
@given(data=st.data(), cut=st.integers(0, 9))
def test_column_agrees_with_values(name: str, data: st.DataObject, cut: int) -> None:
    kind, values = TYPES[name]
    arr = pa.array(data.draw(st.lists(st.none() | values, max_size=25)), kind)
    part = arr[cut:]
    expected = [hash_value(v) for v in part.to_pylist()]
    assert hash_column(part).tolist() == expected
    chunked = pa.chunked_array([part, arr[:2]], kind)
    assert hash_column(chunked).tolist() == expected + [hash_value(v) for v in arr[:2].to_pylist()]


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals(allow_nan=False)
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.dates()
    | st.integers(-(2**70), 2**70).map(float)
)


@given(st.lists(SCALARS, min_size=2, max_size=12))
def test_equal_values_hash_alike(values: list[object]) -> None:
    for a in values:
        for b in values:
            if a == b:
                assert hash_value(a) == hash_value(b), (a, b)


@pytest.mark.parametrize("v", [0, 1, -1, 2**53, 2**62, -(2**63), 2**63, 2**64, 2**100, -(2**80)])
def test_numbers_of_all_types_agree(v: int) -> None:
    assert hash_value(v) == hash_value(float(v)) == hash_value(Decimal(v))
    if abs(v) < 2**90:  # beyond, the division rounds to 28 digits
        assert hash_value(Decimal(v) / 4) == hash_value(v / 4)


def test_edges() -> None:
    assert hash_value(-0.0) == hash_value(0) == hash_value(False)
    assert hash_value(float("nan")) == hash_value(-float("nan")) == hash_value(Decimal("NaN"))
    assert hash_value("a") != hash_value(b"a")
    assert hash_value(None) == constants.NULL
    assert hash_value((1,)) != hash_value(1)
    assert hash_value((1, 2)) != hash_value((2, 1))
    assert hash_value(np.int32(7)) == hash_value(7)
    assert hash_value(uuid.UUID(int=5)) == hash_value(uuid.UUID(int=5).bytes)
    assert hash_value(2**200 + 1) != hash_value(-(2**200) - 1)
    assert hash_value("\ud800") == hash_value("\ud800")
    assert hash_value(Decimal("1E+999999")) == hash_value(Decimal("1E+999999"))
    assert len(hash_column(pa.chunked_array([], pa.string()))) == 0
    assert hash_column(pa.nulls(2)).tolist() == [constants.NULL] * 2
    for bad in (object(), {1}, {"a": 1}, Fraction(1, 3)):
        with pytest.raises(TypeError, match="cannot hash"):
            hash_value(bad)
    with pytest.raises(TypeError, match="cannot be a key"):
        hash_column(pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())))


@given(st.lists(st.none() | st.text(max_size=6), max_size=30), st.integers(0, 5))
def test_dictionary(values: list[str | None], cut: int) -> None:
    arr = pa.array(values, pa.string()).dictionary_encode()
    expected = [hash_value(v) for v in values[cut:]]
    assert hash_column(arr[cut:]).tolist() == expected


def test_dictionary_with_null_entry() -> None:
    arr = pa.DictionaryArray.from_arrays(pa.array([0, 1, None]), pa.array(["a", None]))
    assert hash_column(arr).tolist() == [hash_value("a"), constants.NULL, constants.NULL]


@given(st.lists(st.tuples(st.text(max_size=3), st.none() | INT64), min_size=1, max_size=50))
def test_columns_agree_with_tuples(rows: list[tuple[str, int | None]]) -> None:
    columns = [pa.array([r[0] for r in rows]), pa.array([r[1] for r in rows], pa.int64())]
    expected = [hash_value(r) for r in rows]
    assert hash_columns(columns).tolist() == expected
    assert hash_values(rows).tolist() == expected
    struct = pa.StructArray.from_arrays(columns, ["a", "b"])
    assert hash_column(struct[1:]).tolist() == expected[1:]


@given(st.lists(st.integers(), min_size=40, max_size=50) | st.lists(SCALARS, max_size=50))
def test_hash_values(values: list[object]) -> None:
    assert hash_values(values).tolist() == [hash_value(v) for v in values]


@pytest.mark.parametrize(
    "values",
    [
        ["x", None] * 40,
        ["\ud800"] * 40,
        [1.5, float("nan")] * 40,
        [2**70] * 40,
        [True] * 40,
        [(1, "a"), (2, "b", 3)] * 20,
        [None] * 40,
        [()] * 40,
    ],
)
def test_hash_values_paths(values: list[object]) -> None:
    assert hash_values(values).tolist() == [hash_value(v) for v in values]


def test_large_column_against_numpy() -> None:
    """The vector code LLVM makes for long columns, against numpy's arithmetic."""
    values = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 100_003)
    x = values.view(np.uint64) ^ np.uint64(constants.INT)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(constants.M1)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(constants.M2)
    assert (hash_column(pa.array(values)) == (x ^ (x >> np.uint64(31)))).all()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 0x30142B0699BD2725),
        ("lesto", 0xCD9E3B63232B1F5A),
        (b"\x00" * 17, 0xF21E34501950B262),
        (0.5, 0xB2C8B38F9E2FE47E),
        (("a", 1, None), 0x934D2A80C8EE4AC1),
        (dt.date(2024, 2, 29), 0xFB653C82E44BEEBA),
        (Decimal("0.1"), 0x4B86D9CD22364D67),
        (2**64 - 1, 0x227AF72EB5F28E72),
    ],
)
def test_hash_is_frozen(value: object, expected: int) -> None:
    """Part of the state format: these numbers must never change."""
    assert hash_value(value) == expected


def test_stable_across_processes() -> None:
    code = "from lesto.kernels.scalar import hash_value; print(hash_value(('a', 1.5, None, b'x')))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{hash_value(('a', 1.5, None, b'x'))}\n"}


@pytest.mark.parametrize("length", [1, 4, 7, 8, 12, 16, 17, 40])
def test_avalanche(length: int) -> None:
    """Flipping any one input bit flips each output bit about half of the time."""
    rng = np.random.default_rng(length)
    base = [rng.bytes(length) for _ in range(200)]
    flips = np.zeros(64)
    tries = 0
    for data in base:
        h = scalar.hash_bytes(data, constants.STRING)
        for bit in range(length * 8):
            changed = bytearray(data)
            changed[bit >> 3] ^= 1 << (bit & 7)
            difference = h ^ scalar.hash_bytes(bytes(changed), constants.STRING)
            flips += [difference >> k & 1 for k in range(64)]
            tries += 1
    tolerance = 6 * 0.5 / math.sqrt(tries)
    assert (abs(flips / tries - 0.5) < tolerance).all()


def test_few_collisions() -> None:
    keys = pa.array([f"user-{i}" for i in range(200_000)])
    hashes = hash_column(keys)
    assert len(np.unique(hashes)) == 200_000
    low = np.bincount((hashes & np.uint64(127)).astype(int), minlength=128)
    high = np.bincount((hashes >> np.uint64(57)).astype(int), minlength=128)
    for counts in (low, high):
        assert abs(counts - 200_000 / 128).max() < 6 * math.sqrt(200_000 / 128)
