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
        span = np.uint64(self.high - self.low + 1)
        return pa.array((mix(positions, self.seed) % span).astype(np.int64) + self.low)


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
    _values: pa.Array | None = field(default=None, repr=False, compare=False)

    @property
    def type(self) -> pa.DataType:
        """String."""
        return pa.string()

    def generate(self, positions: Positions) -> pa.Array:
        """Values for uint64[n] positions."""
        if self._values is None:
            digits = len(str(self.size - 1))
            self._values = pa.array([f"{self.prefix}{i:0{digits}d}" for i in range(self.size)])
        index = (mix(positions, self.seed) % np.uint64(self.size)).astype(np.int32)
        return self._values.take(pa.array(index))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_values": None}


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
