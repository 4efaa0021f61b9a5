"""Accumulators: what functions count, merged over all subtasks into the job's result.

As in Flink they are no state: an attempt begins at zero, and a restart forgets what earlier
attempts have counted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

import msgspec

from lesto.common.errors import Domain, LestoError

#: An accumulator is part of each report of its task: bytes of its encoded value at most.
ACCUMULATOR_BYTES_MAX: Final = 256 * 1024
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class AccumulatorError(LestoError):
    """An accumulator holds what cannot be told."""

    code = "LESTO-6012"
    domain = Domain.USER
    retryable = False


class Accumulator(ABC):
    """Takes values in a subtask; has one value over all of them.

    Attributes:
        kind: how the encoded values of subtasks are merged.
    """

    kind: ClassVar[str]

    @abstractmethod
    def add(self, value: Any) -> None:
        """Take a value."""

    @abstractmethod
    def get_local_value(self) -> Any:
        """What this subtask has counted."""

    @abstractmethod
    def reset_local(self) -> None:
        """Begin anew."""

    @abstractmethod
    def stored(self) -> Any:
        """The value in the form in which it is merged: of numbers, texts and lists."""


class _Folded(Accumulator):
    """One number."""

    def __init__(self, value: float = 0) -> None:
        self._first = value
        self._value: float | None = value

    def get_local_value(self) -> float:
        """What this subtask has counted."""
        return self._first if self._value is None else self._value

    def get_local_value_primitive(self) -> float:
        """As ``get_local_value``."""
        return self.get_local_value()

    def reset_local(self) -> None:
        """Begin anew."""
        self._value = self._first

    def stored(self) -> Any:
        """The number."""
        return self._value


class LongCounter(_Folded):
    """A sum of whole numbers.

    >>> counter = LongCounter()
    >>> counter.add(2), counter.add(3), counter.get_local_value()
    (None, None, 5)
    """

    kind = "sum"

    def add(self, value: float) -> None:
        """Add it."""
        self._value = self.get_local_value() + value


class IntCounter(LongCounter):
    """A sum of whole numbers."""


class DoubleCounter(LongCounter):
    """A sum."""

    def __init__(self, value: float = 0.0) -> None:
        super().__init__(value)


class LongMaximum(_Folded):
    """The largest value; None before there is one."""

    kind = "max"

    def __init__(self) -> None:
        super().__init__()
        self._value = None

    def reset_local(self) -> None:
        """Begin anew."""
        self._value = None

    def get_local_value(self) -> Any:
        """The largest so far."""
        return self._value

    def add(self, value: float) -> None:
        """Take a value."""
        self._value = value if self._value is None else max(self._value, value)


class LongMinimum(LongMaximum):
    """The smallest value; None before there is one."""

    kind = "min"

    def add(self, value: float) -> None:
        """Take a value."""
        self._value = value if self._value is None else min(self._value, value)


IntMaximum = DoubleMaximum = LongMaximum
IntMinimum = DoubleMinimum = LongMinimum


class AverageAccumulator(Accumulator):
    """The mean; 0.0 of no value."""

    kind = "average"

    def __init__(self) -> None:
        self.reset_local()

    def add(self, value: float) -> None:
        """Take a value."""
        self._sum += value
        self._count += 1

    def get_local_value(self) -> float:
        """The mean in this subtask."""
        return self._sum / self._count if self._count else 0.0

    def reset_local(self) -> None:
        """Begin anew."""
        self._sum, self._count = 0.0, 0

    def stored(self) -> Any:
        """Sum and count."""
        return [self._sum, self._count]


class Histogram(Accumulator):
    """How often each whole number came."""

    kind = "histogram"

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, value: int) -> None:
        """Take a value."""
        self._counts[int(value)] += 1

    def get_local_value(self) -> dict[int, int]:
        """Counts by value, ascending."""
        return dict(sorted(self._counts.items()))

    def reset_local(self) -> None:
        """Begin anew."""
        self._counts.clear()

    def stored(self) -> Any:
        """Pairs."""
        return sorted(self._counts.items())


class ListAccumulator(Accumulator):
    """All values: numbers and texts, a few."""

    kind = "list"

    def __init__(self) -> None:
        self._values: list[Any] = []

    def add(self, value: Any) -> None:
        """Take a value."""
        self._values.append(value)

    def get_local_value(self) -> list[Any]:
        """All of this subtask."""
        return list(self._values)

    def reset_local(self) -> None:
        """Begin anew."""
        self._values.clear()

    def stored(self) -> Any:
        """The values."""
        return self._values


KINDS: Final = frozenset({"sum", "min", "max", "average", "histogram", "list"})


def encoded(name: str, accumulator: Accumulator) -> bytes:
    """The value of a subtask for the wire.

    Raises:
        AccumulatorError: it is too large, or of something that is no number and no text.
    """
    try:
        data = _encode(accumulator.stored())
    except (TypeError, OverflowError, msgspec.MsgspecError) as error:
        msg = f"accumulator {name!r} takes numbers and texts: {error}"
        raise AccumulatorError(
            msg, remedy="results belong into a stream; count or measure in an accumulator"
        ) from None
    if len(data) > ACCUMULATOR_BYTES_MAX:
        msg = f"accumulator {name!r} holds {len(data):,} bytes, more than {ACCUMULATOR_BYTES_MAX:,}"
        raise AccumulatorError(
            msg, remedy="results belong into a stream; count or measure in an accumulator"
        )
    return data


def merged(parts: Iterable[tuple[str, str, bytes]]) -> dict[str, Any]:
    r"""The values over all subtasks.

    Args:
        parts: name, kind and encoded value of each subtask's accumulator.

    >>> merged([("n", "sum", b"\x02"), ("n", "sum", b"\x03"), ("m", "max", b"\xc0")])
    {'n': 5, 'm': None}
    """
    values: dict[str, list[Any]] = {}
    kinds: dict[str, str] = {}
    for name, kind, data in parts:
        kinds[name] = kind
        values.setdefault(name, []).append(_decode(data))
    return {name: _merge(kinds[name], found) for name, found in values.items()}


def _merge(kind: str, found: list[Any]) -> Any:
    match kind:
        case "sum":
            return sum(found)
        case "min" | "max":
            present = [value for value in found if value is not None]
            fold = min if kind == "min" else max
            return fold(present) if present else None
        case "average":
            count = sum(part[1] for part in found)
            return sum(part[0] for part in found) / count if count else 0.0
        case "histogram":
            counts: Counter[int] = Counter()
            for part in found:
                counts.update(dict(part))
            return dict(sorted(counts.items()))
        case _:
            return [value for part in found for value in part]


def of_reports(reports: Iterable[Any]) -> dict[str, Any]:
    """The values over all subtasks, from their last reports (``TaskReport``)."""
    return merged(
        (name, value.kind, value.value)
        for report in reports
        for name, value in sorted(_accumulators(report).items())
    )


def _accumulators(report: Any) -> Mapping[str, Any]:
    found: Mapping[str, Any] = report.accumulators
    return found
