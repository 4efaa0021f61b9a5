"""Column generators: functions from positions to values.

Each is a pure function of the record's position (and a seed), so any range of a generated stream
can be
read again after a failure, at any parallelism, with the same result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Positions = npt.NDArray[np.uint64]

_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def mix(positions: Positions, seed: int) -> Positions:
    """Scatter positions over 64 bits (splitmix64): uint64[n] to uint64[n]."""
    z = positions + np.uint64((seed * _GOLDEN + _GOLDEN) & _MASK)
    z = (z ^ (z >> np.uint64(30))) * _MULTIPLIERS[0]
    z = (z ^ (z >> np.uint64(27))) * _MULTIPLIERS[1]
    return z ^ (z >> np.uint64(31))


def remainder(values: Positions, divisor: int) -> Positions:
    """``values % divisor``: numpy divides by a constant with SIMD, but has no such remainder."""
    by = np.uint64(divisor)
    return values - values // by * by


class Field(ABC):
    """Generates one column."""

    @property
    @abstractmethod
    def type(self) -> pa.DataType:
        """Arrow type of the column."""

    @abstractmethod
    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""


@dataclass(frozen=True)
class sequence(Field):
    """``start + position * step`` as int64."""

    start: int = 0
    step: int = 1

    @property
    def type(self) -> pa.DataType:
        """int64."""
        return pa.int64()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        return pa.array(positions.astype(np.int64) * self.step + self.start)


@dataclass(frozen=True)
class random_int(Field):
    """Uniform int64 in ``[low, high]``."""

    low: int
    high: int
    seed: int = 1

    @property
    def type(self) -> pa.DataType:
        """int64."""
        return pa.int64()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        offsets = remainder(mix(positions, self.seed), self.high - self.low + 1)
        return pa.array(offsets.view(np.int64) + self.low)


@dataclass(frozen=True)
class random_float(Field):
    """Uniform float64 in ``[low, high)``."""

    low: float = 0.0
    high: float = 1.0
    seed: int = 2

    @property
    def type(self) -> pa.DataType:
        """float64."""
        return pa.float64()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        unit = (mix(positions, self.seed) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return pa.array(self.low + unit * (self.high - self.low))


@dataclass
class pool(Field):
    """Strings ``<prefix><number>`` drawn uniformly from ``size`` distinct ones."""

    size: int
    prefix: str = "key-"
    seed: int = 3
    _texts: npt.NDArray[np.void] | None = field(default=None, repr=False, compare=False)

    @property
    def type(self) -> pa.DataType:
        """String."""
        return pa.string()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        if self._texts is None:
            digits = len(str(self.size - 1))
            texts = [f"{self.prefix}{i:0{digits}d}".encode() for i in range(self.size)]
            # All are equally long, so that picking them is copying items of one fixed size.
            self._texts = np.frombuffer(b"".join(texts), f"V{len(texts[0])}")
        index = remainder(mix(positions, self.seed), self.size).view(np.int64)
        picked = self._texts.take(index)
        width = self._texts.itemsize
        ends = np.arange(0, (len(index) + 1) * width, width, dtype=np.int32)
        buffers = [None, pa.py_buffer(ends), pa.py_buffer(picked)]
        return pa.Array.from_buffers(pa.string(), len(index), buffers)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_texts": None}


@dataclass(frozen=True)
class timestamps(Field):
    """Event time in ms as int64: ``rate`` records a second from ``start_ms``."""

    rate_per_second: int
    start_ms: int = 0

    @property
    def type(self) -> pa.DataType:
        """int64 ms."""
        return pa.int64()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        p = positions.astype(np.int64)
        return pa.array(self.start_ms + p * 1000 // self.rate_per_second)
