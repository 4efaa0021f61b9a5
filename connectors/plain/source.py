"""A source of named parts, each read from a position: what most sources are."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import msgspec

from lesto.common.checking import is_a
from lesto.common.elements import RowBatch
from lesto.common.source import (
    Boundedness,
    EndOfSplits,
    EnumeratorContext,
    NoData,
    PollResult,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitFinished,
)
from lesto.connectors.errors import ConnectorConfigError

_encode = msgspec.msgpack.Encoder().encode
_decode_split = msgspec.msgpack.Decoder(tuple[str, Any]).decode
_decode_state = msgspec.msgpack.Decoder(tuple[list[str], list[bytes]]).decode
#: Given as the position: the part is over.
END: Final = "__end__"
#: How long a part without new records is left alone, ms.
PAUSE_MS: Final = 20


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a plain source, with the position that was reached."""

    split_id: str
    position: Any = None


class PlainSource(Source):
    """Say which parts there are, and read one of them from a position.

    The parts are dealt out to the readers; positions are in every checkpoint, and reading goes on
    from there behind a failure and at any parallelism. ``open`` runs where parts are read.

    Attributes:
        bounded: a part without further records is over, and the job ends with the last of them;
            otherwise parts grow.
        discovery_ms: how often an unbounded source is asked for new parts; 0: never.

    >>> class Numbers(PlainSource):
    ...     def parts(self):
    ...         return ["even", "odd"]
    ...
    ...     def read(self, part, position, limit):
    ...         start = position or 0
    ...         numbers = range(start, min(start + limit, 100))
    ...         return list(numbers), start + len(numbers)
    """

    bounded: ClassVar[bool] = True
    discovery_ms: ClassVar[int] = 0

    @property
    def boundedness(self) -> Boundedness:  # type: ignore[override]
        """By ``bounded``."""
        return Boundedness.BOUNDED if self.bounded else Boundedness.CONTINUOUS_UNBOUNDED

    @abstractmethod
    def parts(self) -> Iterable[str]:
        """Names of the parts that there are now, each once; asked on the JobManager."""

    @abstractmethod
    def read(self, part: str, position: Any, limit: int) -> tuple[Sequence[Any], Any]:
        """Records of a part from a position on, about ``limit`` at most; must not wait.

        Args:
            part: its name.
            position: as the last call gave it; None at the beginning of the part.
            limit: records wanted.

        Returns:
            The records (none: there are none now, and in a bounded source never again), and the
            position behind them: of numbers, texts, lists and dicts; END: the part is over.
        """

    def open(self) -> None:
        """Called once in each reader, first: connect here."""

    def close(self) -> None:
        """Called once in each reader, last."""

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """Deals out the parts."""
        return _Enumerator(self, context, checkpoint)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """Reads parts in turn."""
        return _Reader(self, context)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """Name and position as msgpack."""
        assert isinstance(split, Part)
        return _encode((split.split_id, split.position))

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return Part(*_decode_split(data))


class _Enumerator(SplitEnumerator):
    """Gives each reader an even share of the parts; one that comes late is dealt out in turn."""

    def __init__(
        self, source: PlainSource, context: EnumeratorContext, checkpoint: bytes | None
    ) -> None:
        self._source = source
        self._context = context
        self._known: dict[str, None] = {}
        self._pending: list[Part] = []
        self._asking: list[int] = []
        if checkpoint is not None:
            known, pending = _decode_state(checkpoint)
            self._known = dict.fromkeys(known)
            self._pending = [Part(*_decode_split(item)) for item in pending]
        if checkpoint is None or not source.bounded:
            self._find()

    def _find(self) -> None:
        for name in self._source.parts():
            if not is_a(name, str):
                msg = f"{type(self._source).__name__}.parts() gave {name!r}, not a text"
                raise ConnectorConfigError(msg, remedy="parts have names")
            if name not in self._known:
                self._known[name] = None
                self._pending.append(Part(name))

    def start(self) -> None:
        """Ask to be asked for new parts."""
        if not self._source.bounded and self._source.discovery_ms > 0:
            self._context.discovery_interval_ms(self._source.discovery_ms)

    def discover(self) -> None:
        """Look for new parts; they go to the readers in turn."""
        self._find()
        self._deal()

    def handle_split_request(self, subtask: int) -> None:
        """One part for each request of a bounded source; of an unbounded one, a share of all."""
        if self._source.bounded:
            if self._pending:
                self._context.assign_split(self._pending.pop(0), subtask)
            else:
                self._context.signal_no_more_splits(subtask)
            return
        if subtask not in self._asking:
            self._asking.append(subtask)
        self._deal()

    def _deal(self) -> None:
        """When all readers are there, so that none gets everything."""
        if len(self._asking) < self._context.parallelism:
            return
        for part in self._pending:
            position = list(self._known).index(part.split_id)
            self._context.assign_split(part, position % self._context.parallelism)
        self._pending = []
        if not self._source.discovery_ms:
            for subtask in range(self._context.parallelism):
                self._context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits: Sequence[SourceSplit], subtask: int) -> None:
        """To be dealt out again."""
        self._pending = [split for split in splits if isinstance(split, Part)] + self._pending

    def snapshot_state(self, checkpoint_id: int) -> bytes:
        """Known parts, and those not dealt out."""
        pending = [self._source.serialize_split(part) for part in self._pending]
        return _encode((list(self._known), pending))


class _Reader(SourceReader):
    """Reads its parts in turn, one call of ``read`` at a poll."""

    def __init__(self, source: PlainSource, context: ReaderContext) -> None:
        self._source = source
        self._context = context
        self._parts: list[Part] = []
        self._over: list[str] = []
        self._no_more = False
        self._empty = 0  # calls in a row that gave nothing
        source.open()

    def start(self) -> None:
        """Ask for parts."""
        if not self._source.bounded or not self._parts:
            self._context.request_split()

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Read them in turn with the others."""
        self._parts.extend(split for split in splits if isinstance(split, Part))
        self._empty = 0

    def notify_no_more_splits(self) -> None:
        """End when all is read."""
        self._no_more = True

    def poll(self) -> PollResult:
        """The next records of the next part."""
        if self._over:
            return SplitFinished(self._over.pop(0))
        if not self._parts:
            return EndOfSplits.END if self._no_more else NoData()
        if self._empty >= len(self._parts):
            self._empty = 0
            return NoData(self._context.clock.monotonic_ms() + PAUSE_MS)
        part = self._parts.pop(0)
        records, position = self._source.read(
            part.split_id, part.position, self._context.batch_rows
        )
        if position == END or (not len(records) and self._source.bounded):
            return self._end(part, records)
        self._parts.append(replace(part, position=position))
        if not len(records):
            self._empty += 1
            return self.poll()
        self._empty = 0
        return SourceBatch(RowBatch(list(records)), part.split_id)

    def _end(self, part: Part, records: Sequence[Any]) -> PollResult:
        if not self._parts and self._source.bounded:
            self._context.request_split()
        if not len(records):
            return SplitFinished(part.split_id)
        self._over.append(part.split_id)
        return SourceBatch(RowBatch(list(records)), part.split_id)

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """The parts with their positions."""
        return list(self._parts)

    def close(self) -> None:
        """Close the source's connections."""
        self._source.close()
