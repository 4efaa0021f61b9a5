"""Random columns of SQL's types, each value a function of its position."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.connectors.datagen.fields import Field, Positions, mix, remainder
from lesto.sql.types import SqlType, TypeRoot

_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_DAY_MS: Final = 86_400_000


def _unit(positions: Positions, seed: int) -> npt.NDArray[np.float64]:
    return (mix(positions, seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class RandomNumber(Field):
    """Uniform numbers of a numeric type in ``[low, high]``.

    Attributes:
        kind: an integer type, FLOAT, DOUBLE, DECIMAL, or an interval.
        low: smallest.
        high: largest.
        seed: of the column.
    """

    kind: SqlType
    low: float
    high: float
    seed: int

    @property
    def type(self) -> pa.DataType:
        """The type's."""
        return self.kind.to_arrow()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        if self.kind.root in {TypeRoot.FLOAT, TypeRoot.DOUBLE}:
            unit = _unit(positions, self.seed)
            return pa.array(self.low * (1 - unit) + self.high * unit).cast(self.type, safe=False)
        if self.kind.root is TypeRoot.DECIMAL:
            return self._decimals(positions)
        low, high = int(self.low), int(self.high)
        bits = mix(positions, self.seed)
        span = high - low + 1
        if span < 1 << 64:
            bits = remainder(bits, span)
        with np.errstate(over="ignore"):
            values = bits.view(np.int64) + np.int64(low)
        return pa.array(values).cast(self.type, safe=False)

    def _decimals(self, positions: Positions) -> pa.Array:
        """Digits up to 18 are random, as many as 64 bits have."""
        scale = self.kind.scale
        digits = min(18 - scale, self.kind.precision - scale) if scale < 18 else 0
        top = 10**digits * 10 ** min(scale, 18) - 1
        low = max(int(self.low * 10**scale), -top)
        high = min(int(self.high * 10**scale), top)
        offsets = remainder(mix(positions, self.seed), high - low + 1).view(np.int64)
        words = np.empty((len(positions), 2), np.int64)
        words[:, 0] = offsets + low
        words[:, 1] = words[:, 0] >> 63
        return pa.Array.from_buffers(self.type, len(words), [None, pa.py_buffer(words)])


@dataclass(frozen=True)
class RandomText(Field):
    """Hexadecimal digits, or random bytes.

    Attributes:
        arrow: string or binary.
        length: of each.
        seed: of the column.
        varied: lengths are uniform in [1, length].
    """

    arrow: pa.DataType
    length: int
    seed: int
    varied: bool = False

    @property
    def type(self) -> pa.DataType:
        """As given."""
        return self.arrow

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        rows, length = len(positions), self.length
        words = -(-length // 8)
        bits = np.empty((rows, words), np.uint64)
        for i in range(words):
            bits[:, i] = mix(positions, self.seed * 31 + i)
        data = bits.view(np.uint8)[:, :length]
        if self.type == pa.string():
            data = _HEX[data & 15]
        offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(length)
        if self.varied and length > 1:
            sizes = remainder(mix(positions, self.seed + 7), length).astype(np.int32) + 1
            keep = np.arange(length)[None, :] < sizes[:, None]
            data = data[keep]
            offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
        buffers = [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(data))]
        return pa.Array.from_buffers(self.type, rows, buffers)


@dataclass(frozen=True)
class RandomBoolean(Field):
    """TRUE and FALSE."""

    seed: int

    @property
    def type(self) -> pa.DataType:
        """Boolean."""
        return pa.bool_()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        return pa.array((mix(positions, self.seed) & np.uint64(1)).astype(bool))


@dataclass(frozen=True)
class Now(Field):
    """The machine's clock, or a time in the past.

    Attributes:
        kind: DATE, TIME, TIMESTAMP or TIMESTAMP_LTZ.
        past_ms: how far it may lie in the past.
        seed: of the column.
    """

    kind: SqlType
    past_ms: int
    seed: int

    @property
    def type(self) -> pa.DataType:
        """The type's."""
        return self.kind.to_arrow()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        times = np.full(len(positions), time.time_ns() // 1_000_000)
        if self.past_ms:
            times -= remainder(mix(positions, self.seed), self.past_ms + 1).view(np.int64)
        match self.kind.root:
            case TypeRoot.DATE:
                return pa.array((times // _DAY_MS).astype(np.int32)).cast(self.type)
            case TypeRoot.TIME:
                return pa.array((times % _DAY_MS).astype(np.int32)).cast(self.type)
        tz = "UTC" if self.kind.root is TypeRoot.TIMESTAMP_LTZ else None
        return pa.array(times).cast(pa.timestamp("ms", tz)).cast(self.type)


@dataclass(frozen=True)
class Numbered(Field):
    """``start + position`` in any type that a number can be cast to."""

    kind: SqlType
    start: int

    @property
    def type(self) -> pa.DataType:
        """The type's."""
        return self.kind.to_arrow()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        numbers = pa.array(positions.view(np.int64) + self.start)
        if self.kind.root is TypeRoot.DECIMAL:
            return numbers.cast(pa.decimal128(19, 0)).cast(self.type)
        return numbers.cast(self.type, safe=False)


@dataclass(frozen=True)
class WithNulls(Field):
    """Another column with NULL in some rows."""

    inner: Field
    rate: float
    seed: int

    @property
    def type(self) -> pa.DataType:
        """The inner one's."""
        return self.inner.type

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        values = self.inner.generate(positions)
        keep = np.flatnonzero(_unit(positions, self.seed) >= self.rate)
        picked = np.full(len(positions), -1)
        picked[keep] = keep
        return values.take(pa.array(picked, mask=picked < 0))


@dataclass(frozen=True)
class Rows(Field):
    """ROW of other columns."""

    arrow: pa.DataType
    fields: tuple[Field, ...]

    @property
    def type(self) -> pa.DataType:
        """As given."""
        return self.arrow

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        arrays = [f.generate(positions) for f in self.fields]
        return pa.StructArray.from_arrays(arrays, fields=list(self.type))


@dataclass(frozen=True)
class Lists(Field):
    """ARRAY, MAP or MULTISET of so many elements."""

    arrow: pa.DataType
    fields: tuple[Field, ...]
    length: int

    @property
    def type(self) -> pa.DataType:
        """As given."""
        return self.arrow

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        rows, length = len(positions), self.length
        inner = np.repeat(positions, length) * np.uint64(max(length, 1))
        inner += np.tile(np.arange(length, dtype=np.uint64), rows)
        offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * np.int32(length))
        arrays = [f.generate(inner) for f in self.fields]
        if pa.types.is_list(self.type):
            return pa.ListArray.from_arrays(offsets, arrays[0], type=self.type)
        return _unique_keys(pa.MapArray.from_arrays(offsets, *_pair(arrays), type=self.type))


def _pair(arrays: Sequence[pa.Array]) -> tuple[pa.Array, pa.Array]:
    if len(arrays) == 2:
        return arrays[0], arrays[1]
    return arrays[0], pa.array(np.ones(len(arrays[0]), np.int32))


def _unique_keys(array: pa.Array) -> pa.Array:
    """Maps of small types draw a key twice: the last one counts."""
    rows: list[Any] = [list(dict(row).items()) for row in array.to_pylist()]
    return pa.array(rows, array.type)
