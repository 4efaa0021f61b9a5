"""The source interface (Flink's FLIP-27): an enumerator on the JobManager, readers on the slots.

Consistency rule: the enumerator's snapshot is taken before the barriers are sent, and assignments
travel
to a reader in order with its barriers. So a split is in exactly one place in every checkpoint: in
the
enumerator's snapshot, or in one reader's.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lesto.common.clock import Clock
from lesto.common.elements import Batch


class Boundedness(enum.Enum):
    """Whether a source ends."""

    BOUNDED = "bounded"
    CONTINUOUS_UNBOUNDED = "unbounded"


class SourceSplit(Protocol):
    """A part of a source that one reader reads; it carries its own progress."""

    @property
    def split_id(self) -> str:
        """Unique in the source."""
        ...


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Records from one split, for watermarks per split."""

    batch: Batch
    split_id: str


@dataclass(frozen=True, slots=True)
class NoData:
    """Nothing to read now.

    Attributes:
        wake_at_ms: monotonic ms at which polling again makes sense; None: when splits arrive or the
            reader calls ``ReaderContext.wakeup``.
    """

    wake_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SplitFinished:
    """A split is read to its end; its watermark no longer counts."""

    split_id: str


class EndOfSplits(enum.Enum):
    """The reader was told there are no more splits and has finished all it had."""

    END = "end"


PollResult = SourceBatch | NoData | SplitFinished | EndOfSplits


class EnumeratorContext(Protocol):
    """What an enumerator may do. Calls are not blocking."""

    @property
    def parallelism(self) -> int:
        """Number of readers."""
        ...

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        ...

    def assign_split(self, split: SourceSplit, subtask: int) -> None:
        """Give a split to a reader."""
        ...

    def signal_no_more_splits(self, subtask: int) -> None:
        """Tell a reader that none will follow."""
        ...

    def discovery_interval_ms(self, interval_ms: int) -> None:
        """Ask that ``discover`` be called at this interval."""
        ...


class SplitEnumerator(ABC):
    """Finds splits and assigns them; runs on the JobManager, one thread at a time."""

    @abstractmethod
    def handle_split_request(self, subtask: int) -> None:
        """A reader has nothing to read and asks for work."""

    @abstractmethod
    def snapshot_state(self, checkpoint_id: int) -> bytes:
        """Splits not yet assigned and what is known as done, in the source's format (no pickle)."""

    def handle_reader_event(self, subtask: int, event: bytes) -> None:
        """A reader has told something by ``ReaderContext.send_event``; may assign splits."""
        msg = f"{type(self).__name__} takes no events of readers"
        raise NotImplementedError(msg)

    def add_splits_back(self, splits: Sequence[SourceSplit], subtask: int) -> None:
        """A reader starts again from its checkpoint, alone; this enumerator goes on.

        Called in place of ``start``, from which the new reader knows nothing: it may assign, and
        must signal again that there are no more splits unless readers ask for that.

        Args:
            splits: what the reader was given since its checkpoint, as it was given; often empty.
                They are not assigned any more, to be given to any reader.
            subtask: the reader; it asks again if it asked before.

        Raises:
            NotImplementedError: the whole job restarts then, with a new enumerator.
        """
        msg = f"{type(self).__name__} does not take splits back"
        raise NotImplementedError(msg)

    def start(self) -> None:  # noqa: B027 - optional hook
        """Called once before any other method; may list files, connect, and so on."""

    def discover(self) -> None:  # noqa: B027 - optional hook
        """Called at the discovery interval, for unbounded sources that grow new splits."""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Release resources."""


class ReaderContext(Protocol):
    """What a reader may use."""

    @property
    def subtask(self) -> int:
        """Index of this reader."""
        ...

    @property
    def parallelism(self) -> int:
        """Number of readers."""
        ...

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        ...

    @property
    def batch_rows(self) -> int:
        """Rows a batch should have under load."""
        ...

    def request_split(self) -> None:
        """Ask the enumerator for work; answered by ``add_splits`` or ``notify_no_more_splits``."""
        ...

    def send_event(self, event: bytes) -> None:
        """Tell the enumerator something (``handle_reader_event``), in order with the requests.

        Not part of a checkpoint: a reader that starts again tells it again.
        """
        ...

    def wakeup(self) -> None:
        """Thread-safe: poll again soon (data has arrived on an I/O thread)."""
        ...

    def count_error(self, records: int = 1) -> None:
        """Count malformed records that were skipped or dead-lettered."""
        ...


class SourceReader(ABC):
    """Reads its splits on the mailbox thread: ``poll`` does bounded work and never waits."""

    @abstractmethod
    def poll(self) -> PollResult:
        """One batch, or why there is none."""

    @abstractmethod
    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Splits assigned by the enumerator or restored from a checkpoint."""

    @abstractmethod
    def notify_no_more_splits(self) -> None:
        """No further splits will be assigned."""

    @abstractmethod
    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """The unfinished splits with their progress, exactly behind the last batch of ``poll``."""

    def pause_splits(self, split_ids: frozenset[str]) -> bool:
        """Read from all splits but these until told otherwise (watermark alignment).

        Returns:
            Whether the reader can; if not it is not polled at all while its slowest split is too
            far ahead of other sources.
        """
        return False

    def pending_records(self) -> int | None:
        """Records of its splits that the external system has and ``poll`` has not given, for
        metrics; None where nobody knows. On any thread.
        """
        return None

    def start(self) -> None:  # noqa: B027 - optional hook
        """Called once, after restored splits were added; typically requests a first split."""

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:  # noqa: B027 - optional hook
        """For instance commit offsets for monitoring."""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Release resources."""


class Source(ABC):
    """Describes a source; is shipped to the JobManager and to the readers.

    Attributes:
        boundedness: whether the source ends.
        schema: columns when the source gives columnar batches; None when it gives rows.
    """

    boundedness: Boundedness = Boundedness.BOUNDED
    schema: pa.Schema | None = None

    @abstractmethod
    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """A new enumerator, or one restored from ``snapshot_state``'s bytes."""

    @abstractmethod
    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader for one subtask."""

    @abstractmethod
    def serialize_split(self, split: SourceSplit) -> bytes:
        """A split with its progress, readable by later versions (JSON or msgpack, never pickle)."""

    @abstractmethod
    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
