"""A source that reads a script: values, failures, waits, and checkpoints to wait for."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.checking import is_a
from lesto.common.elements import NO_TIMESTAMP, Batch, ColumnarBatch, RowBatch
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
from lesto.connectors.splits import (
    PooledEnumerator,
    RangeSplit,
    decode_pool,
    decode_range,
    encode_range,
)
from lesto.testing.errors import NoCheckpointError, ScriptedAbortError, TestKitError

#: Longest wait at a CHECKPOINT, in ms: a job without checkpoints would wait for ever.
CHECKPOINT_WAIT_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Abort:
    """Fail the task here, once in the life of the source.

    Attributes:
        times: how often, before the script goes on behind it.
    """

    times: int = 1


@dataclass(frozen=True, slots=True)
class Wait:
    """Give nothing for so many ms; a job that restarts waits again."""

    ms: int


@dataclass(frozen=True, slots=True)
class At:
    """A value with its event time in ms, as a source gives it that knows it."""

    value: Any
    timestamp: int


@dataclass(frozen=True, slots=True)
class _Checkpoint:
    """See CHECKPOINT."""

    def __repr__(self) -> str:
        return "CHECKPOINT"


#: Fail the task here, once.
ABORT: Final = Abort()
#: Go on when a checkpoint that has everything before it is complete.
CHECKPOINT: Final = _Checkpoint()
_CONTROL = (Abort, Wait, _Checkpoint)


class ScriptedSource(Source):
    """Gives the items of scripts in order; each script is a split.

    A plain item is a record. ``ABORT`` fails the task once, behind everything before it has been
    emitted: the job recovers (if its restart strategy lets it) and reads on from its last
    checkpoint. ``CHECKPOINT`` holds the script until a checkpoint has everything before it, so that
    a test says exactly what is recovered and what is read again. ``Wait(ms)`` pauses, ``At(value,
    timestamp)`` gives the record an event time.

    Args:
        script: the first split.
        more: further splits.
        schema: columns; records are dicts then. None: Python values.

    Raises:
        TestKitError: a script is no list of items.

    >>> ScriptedSource([1, 2, ABORT, 3], [4]).scripts
    ((1, 2, Abort(times=1), 3), (4,))
    """

    __test__ = False  # also known as TestSource, which is no test

    boundedness = Boundedness.BOUNDED

    def __init__(
        self, script: Iterable[Any], *more: Iterable[Any], schema: pa.Schema | None = None
    ) -> None:
        for part in (script, *more):
            if not is_a(part, Iterable) or is_a(part, str, bytes, dict):
                msg = f"a script is a list of items, not {part!r:.80}"
                raise TestKitError(msg, remedy="ScriptedSource([1, 2, ABORT, 3])")
        self.scripts = tuple(tuple(part) for part in (script, *more))
        self.schema = schema
        # An abort happens once whatever else fails: what has happened is noted where every process
        # of this machine sees it. Tests run on one machine.
        self._notes = tempfile.mkdtemp(prefix="lesto-script-")
        # Not at the object's end: the job may outlive its last name in the test.
        weakref.finalize(ScriptedSource, shutil.rmtree, self._notes, ignore_errors=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (self.scripts, self.schema, self._notes))

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """A split a script."""
        if checkpoint is None:
            splits = [RangeSplit(str(i), 0, 0, len(s)) for i, s in enumerate(self.scripts)]
        else:
            splits = decode_pool(checkpoint, decode_range)
        return PooledEnumerator(context, splits, encode=encode_range)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader of scripts."""
        return _ScriptReader(context, self)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """The position as msgpack."""
        return encode_range(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_range(data)

    def aborts(self, split: RangeSplit) -> bool:
        """Whether the ABORT at the split's position is still to come; notes that it has."""
        wanted = self.scripts[int(split.split_id)][split.next]
        for number in range(wanted.times):
            note = os.path.join(self._notes, f"{split.split_id}-{split.next}-{number}")
            with contextlib.suppress(FileExistsError):
                os.close(os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
                return True
        return False

    def batch(self, items: Sequence[Any]) -> Batch:
        """Records and their event times."""
        values = [i.value if isinstance(i, At) else i for i in items]
        times = None
        if any(isinstance(i, At) for i in items):
            times = np.array(
                [i.timestamp if isinstance(i, At) else NO_TIMESTAMP for i in items], np.int64
            )
        if self.schema is None:
            return RowBatch(values, times)
        return ColumnarBatch(pa.RecordBatch.from_pylist(values, schema=self.schema), times)


def _rebuilt(
    scripts: tuple[tuple[Any, ...], ...], schema: pa.Schema | None, notes: str
) -> ScriptedSource:
    source = ScriptedSource.__new__(ScriptedSource)
    source.scripts, source.schema, source._notes = scripts, schema, notes
    return source


#: Bytewax's name for it.
TestSource = ScriptedSource


class _ScriptReader(SourceReader):
    def __init__(self, context: ReaderContext, source: ScriptedSource) -> None:
        self._context = context
        self._source = source
        self._splits: list[RangeSplit] = []
        self._complete = False
        self._requested = False
        # Of the first split's control item: when it was reached, and the first checkpoint behind.
        self._reached_ms: int | None = None
        self._behind: int | None = None
        self._completed = 0

    def start(self) -> None:
        self._request()

    def _request(self) -> None:
        if not self._splits and not self._requested and not self._complete:
            self._requested = True
            self._context.request_split()

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        self._requested = False
        self._splits.extend(s for s in splits if isinstance(s, RangeSplit))

    def notify_no_more_splits(self) -> None:
        self._complete = True

    def poll(self) -> PollResult:
        if not self._splits:
            self._request()
            return EndOfSplits.END if self._complete else NoData()
        split = self._splits[0]
        if split.next == split.end:
            self._splits.pop(0)
            return SplitFinished(split.split_id)
        item = self._source.scripts[int(split.split_id)][split.next]
        if isinstance(item, _CONTROL):
            return self._control(split, item)
        return self._values(split)

    def _values(self, split: RangeSplit) -> SourceBatch:
        """Records up to the next control item."""
        script = self._source.scripts[int(split.split_id)]
        end = split.next
        last = min(split.end, end + self._context.batch_rows)
        while end < last and not isinstance(script[end], _CONTROL):
            end += 1
        self._splits[0] = split.advanced_to(end)
        return SourceBatch(self._source.batch(script[split.next : end]), split.split_id)

    def _control(self, split: RangeSplit, item: Abort | Wait | _Checkpoint) -> NoData:
        now = self._context.clock.monotonic_ms()
        if self._reached_ms is None:
            # What was emitted leaves before anything else happens.
            self._reached_ms, self._behind = now, None
            return NoData(now + 1)
        if isinstance(item, Abort):
            self._reached_ms = None
            if self._source.aborts(split):
                msg = f"ABORT at item {split.next} of script {split.split_id}"
                raise ScriptedAbortError(msg, remedy="the script asked for it")
        elif isinstance(item, Wait):
            if now < self._reached_ms + item.ms:
                return NoData(self._reached_ms + item.ms)
        elif self._behind is None or self._completed < self._behind:
            self._check_patience(now - self._reached_ms, split)
            return NoData(now + CHECKPOINT_WAIT_MS)
        self._reached_ms = None
        self._splits[0] = split.advanced_to(split.next + 1)
        return NoData(now)

    def _check_patience(self, waited_ms: int, split: RangeSplit) -> None:
        if waited_ms >= CHECKPOINT_WAIT_MS:
            msg = f"no checkpoint within {waited_ms} ms at item {split.next} (CHECKPOINT)"
            raise NoCheckpointError(msg, remedy="call env.enable_checkpointing(50)")

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        if self._reached_ms is not None and self._behind is None:
            self._behind = checkpoint_id
        return list(self._splits)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        self._completed = checkpoint_id
        if self._reached_ms is not None:
            self._context.wakeup()
