"""Several sources, read one after another; the point that was reached is in every checkpoint.

Splits of all sources are wrapped with the number of theirs, the *phase*. A phase ends for a reader
when its inner reader ends, of which it tells the enumerator by an event; the next phase begins when
all readers have told. What a reader must know of phases (one begins, no more splits of it will
come) travels as splits without content, in order with the others; they are in no checkpoint, for a
reader that starts says so and is told again.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from lesto.common.clock import Clock
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
_decode_split = msgspec.msgpack.Decoder(tuple[int, str, bytes]).decode
_decode_state = msgspec.msgpack.Decoder(tuple[int, bytes | None]).decode
_decode_event = msgspec.msgpack.Decoder(tuple[str, int]).decode
_STARTED: Final = "started"
_FINISHED: Final = "finished"


class _Kind(enum.Enum):
    CONTENT = "content"
    BEGIN = "begin"
    NO_MORE = "no-more"


@dataclass(frozen=True, slots=True)
class HybridSplit:
    """A split of one of the sources, or word of a phase.

    Attributes:
        phase: number of the source.
        kind: a split, or what is told of the phase.
        inner: the source's own split; None for word of the phase.
    """

    phase: int
    kind: _Kind
    inner: SourceSplit | None = None

    @property
    def split_id(self) -> str:
        """Unique over all sources."""
        return f"{self.phase}:{self.kind.value if self.inner is None else self.inner.split_id}"


class HybridSource(Source):
    """Reads sources one after another.

    All but the last must be bounded, and all must have the same columns (or none). Where the later
    source begins is its own matter: give it the position at which the earlier one ends.

    Args:
        sources: at least one.

    Raises:
        ConnectorConfigError: an earlier source has no end, or columns differ.
    """

    def __init__(self, *sources: Source) -> None:
        if not sources or not all(isinstance(source, Source) for source in sources):
            msg = f"HybridSource takes sources, not {sources!r:.120}"
            raise ConnectorConfigError(msg, remedy="HybridSource(history, live)")
        for number, source in enumerate(sources[:-1], 1):
            if source.boundedness is not Boundedness.BOUNDED:
                msg = f"source {number} of {len(sources)} of a HybridSource has no end"
                raise ConnectorConfigError(
                    msg, remedy="only the last source may be unbounded: bound the others"
                )
        for number, source in enumerate(sources[1:], 2):
            if source.schema != sources[0].schema:
                msg = (
                    f"source {number} of a HybridSource has other columns than the first:"
                    f" {source.schema} and {sources[0].schema}"
                )
                raise ConnectorConfigError(msg, remedy="read the same columns from all of them")
        self.sources = sources
        self.boundedness = sources[-1].boundedness
        self.schema = sources[0].schema

    @staticmethod
    def builder(first_source: Source) -> HybridSourceBuilder:
        """Flink's way to list the sources."""
        return HybridSourceBuilder(first_source)

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """Begins with the first source, or goes on."""
        phase, state = (0, None) if checkpoint is None else _decode_state(checkpoint)
        return _Enumerator(self.sources, context, phase, state)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader of all phases."""
        return _Reader(self.sources, context)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """Phase, kind and the source's own form, as msgpack."""
        assert isinstance(split, HybridSplit)
        inner = b""
        if split.inner is not None:
            inner = self.sources[split.phase].serialize_split(split.inner)
        return _encode((split.phase, split.kind.value, inner))

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        phase, name, inner = _decode_split(data)
        kind = _Kind(name)
        if kind is not _Kind.CONTENT:
            return HybridSplit(phase, kind)
        return HybridSplit(phase, kind, self.sources[phase].deserialize_split(inner))


class HybridSourceBuilder:
    """``HybridSource.builder(first).add_source(second).build()``."""

    def __init__(self, first: Source) -> None:
        self._sources = [first]

    def add_source(self, source: Source) -> HybridSourceBuilder:
        """The next source."""
        self._sources.append(source)
        return self

    def build(self) -> HybridSource:
        """The source."""
        return HybridSource(*self._sources)


class _InnerEnumeratorContext:
    """What the enumerator of one phase sees."""

    def __init__(self, outer: _Enumerator, context: EnumeratorContext, phase: int) -> None:
        self._outer = outer
        self._context = context
        self._phase = phase

    @property
    def parallelism(self) -> int:
        """Number of readers."""
        return self._context.parallelism

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        return self._context.clock

    def assign_split(self, split: SourceSplit, subtask: int) -> None:
        """Wrap it."""
        self._context.assign_split(HybridSplit(self._phase, _Kind.CONTENT, split), subtask)

    def signal_no_more_splits(self, subtask: int) -> None:
        """Of this phase; of the last one: at all."""
        self._outer.no_more(self._phase, subtask)

    def discovery_interval_ms(self, interval_ms: int) -> None:
        """Passed on."""
        self._context.discovery_interval_ms(interval_ms)


class _Enumerator(SplitEnumerator):
    def __init__(
        self,
        sources: Sequence[Source],
        context: EnumeratorContext,
        phase: int,
        state: bytes | None,
    ) -> None:
        self._sources = sources
        self._context = context
        self._finished: set[int] = set()
        self._phase = phase
        self._inner = self._create(state)

    def _create(self, state: bytes | None) -> SplitEnumerator:
        context = _InnerEnumeratorContext(self, self._context, self._phase)
        return self._sources[self._phase].create_enumerator(context, state)

    def start(self) -> None:
        """Start the phase's."""
        self._inner.start()

    def no_more(self, phase: int, subtask: int) -> None:
        """The phase has no more splits for a reader."""
        if phase == len(self._sources) - 1:
            self._context.signal_no_more_splits(subtask)
        else:
            self._context.assign_split(HybridSplit(phase, _Kind.NO_MORE), subtask)

    def handle_reader_event(self, subtask: int, event: bytes) -> None:
        """A reader has started, or has finished a phase."""
        what, phase = _decode_event(event)
        if what == _STARTED:
            self._finished.discard(subtask)
            self._begin(subtask)
            return
        if phase != self._phase:
            return
        self._finished.add(subtask)
        if len(self._finished) < self._context.parallelism:
            return
        self._inner.close()
        self._phase += 1
        self._finished.clear()
        self._inner = self._create(None)
        self._inner.start()
        for reader in range(self._context.parallelism):
            self._begin(reader)

    def _begin(self, subtask: int) -> None:
        self._context.assign_split(HybridSplit(self._phase, _Kind.BEGIN), subtask)

    def handle_split_request(self, subtask: int) -> None:
        """Of the phase's reader."""
        self._inner.handle_split_request(subtask)

    def add_splits_back(self, splits: Sequence[SourceSplit], subtask: int) -> None:
        """Those of this phase to its enumerator; those of earlier ones to the reader again."""
        mine: list[SourceSplit] = []
        for split in splits:
            assert isinstance(split, HybridSplit)
            if split.inner is None:
                continue
            if split.phase == self._phase:
                mine.append(split.inner)
            else:
                self._context.assign_split(split, subtask)
        self._finished.discard(subtask)
        self._inner.add_splits_back(mine, subtask)

    def discover(self) -> None:
        """Of the phase."""
        self._inner.discover()

    def snapshot_state(self, checkpoint_id: int) -> bytes:
        """The phase, and its enumerator's state."""
        return _encode((self._phase, self._inner.snapshot_state(checkpoint_id)))

    def close(self) -> None:
        """Close the phase's."""
        self._inner.close()


class _InnerReaderContext:
    """What the reader of one phase sees."""

    def __init__(self, reader: _Reader, context: ReaderContext, phase: int) -> None:
        self._reader = reader
        self._context = context
        self._phase = phase
        self.subtask = context.subtask
        self.parallelism = context.parallelism
        self.clock = context.clock
        self.batch_rows = context.batch_rows
        self.wakeup = context.wakeup
        self.count_error = context.count_error

    def request_split(self) -> None:
        """Only while the enumerator is in the phase too."""
        if self._reader.newest == self._phase:
            self._context.request_split()

    def send_event(self, event: bytes) -> None:
        """Refused: events are the hybrid source's own."""
        msg = "a source inside a HybridSource cannot send events to its enumerator"
        raise NotImplementedError(msg)


class _Reader(SourceReader):
    def __init__(self, sources: Sequence[Source], context: ReaderContext) -> None:
        self._sources = sources
        self._context = context
        self._readers: dict[int, SourceReader] = {}
        self._started: set[int] = set()
        self._ended: set[int] = set()  # no more splits of these phases
        self._told: list[str] = []  # ids of splits without content
        self.newest = -1  # phase of the enumerator

    def start(self) -> None:
        """Ask where the enumerator is."""
        self._context.send_event(_encode((_STARTED, 0)))

    def _reader(self, phase: int) -> SourceReader:
        found = self._readers.get(phase)
        if found is None:
            context = _InnerReaderContext(self, self._context, phase)
            found = self._readers[phase] = self._sources[phase].create_reader(context)
        return found

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Each to the reader of its phase."""
        for split in splits:
            assert isinstance(split, HybridSplit)
            if split.inner is not None:
                self._reader(split.phase).add_splits([split.inner])
                continue
            self._told.append(split.split_id)
            if split.kind is _Kind.BEGIN:
                self._begin(split.phase)
            else:
                self._end(split.phase)

    def _begin(self, phase: int) -> None:
        self.newest = max(self.newest, phase)
        reader = self._reader(phase)
        if phase not in self._started:
            self._started.add(phase)
            reader.start()
        for earlier in [p for p in self._readers if p < phase]:
            self._end(earlier)

    def _end(self, phase: int) -> None:
        if phase not in self._ended:
            self._ended.add(phase)
            self._reader(phase).notify_no_more_splits()

    def notify_no_more_splits(self) -> None:
        """Of the last phase."""
        self._end(len(self._sources) - 1)

    def pending_records(self) -> int | None:
        """Of the phases that are read, where one knows."""
        known = [reader.pending_records() for reader in list(self._readers.values())]
        counts = [count for count in known if count is not None]
        return sum(counts) if counts else None

    def poll(self) -> PollResult:
        """Of the earliest phase that has not ended here."""
        if self._told:
            return SplitFinished(self._told.pop(0))
        if not self._readers:
            return NoData()
        phase = min(self._readers)
        result = self._readers[phase].poll()
        if isinstance(result, SourceBatch):
            return SourceBatch(result.batch, f"{phase}:{result.split_id}")
        if isinstance(result, SplitFinished):
            return SplitFinished(f"{phase}:{result.split_id}")
        if result is not EndOfSplits.END:
            return result
        if phase == len(self._sources) - 1:
            return result
        self._readers.pop(phase).close()
        self._context.send_event(_encode((_FINISHED, phase)))
        return NoData(self._context.clock.monotonic_ms()) if self._readers else NoData()

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """The unfinished splits of all phases."""
        return [
            HybridSplit(phase, _Kind.CONTENT, split)
            for phase, reader in sorted(self._readers.items())
            for split in reader.snapshot_state(checkpoint_id)
        ]

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Tell the readers."""
        for reader in self._readers.values():
            reader.notify_checkpoint_complete(checkpoint_id)

    def close(self) -> None:
        """Close the readers."""
        for reader in self._readers.values():
            reader.close()
