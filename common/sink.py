"""The sink interface: a writer in the pipeline and an idempotent committer (two-phase commit).

At a barrier the writer's ``prepare_commit`` makes everything written so far durable but invisible
and
returns committables. They are part of the checkpoint. Once it is complete they are committed; a
restore
commits those of the restored checkpoint again. So ``commit`` must be idempotent, and a sink that
keeps to
this is exactly-once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from lesto.common.clock import Clock
from lesto.common.elements import Batch, Form


class WriterContext(Protocol):
    """What a writer may use."""

    @property
    def job_id(self) -> str:
        """Hex id of the job."""
        ...

    @property
    def operator_uid(self) -> str:
        """Stable id of the sink in the job."""
        ...

    @property
    def subtask(self) -> int:
        """Index of this writer."""
        ...

    @property
    def parallelism(self) -> int:
        """Number of writers."""
        ...

    @property
    def attempt(self) -> str:
        """Unique in the job's life: epoch and attempt. Use it in names of unpublished data."""
        ...

    @property
    def checkpoint_root(self) -> str:
        """URI of the job's directory in checkpoint storage, shared by all its processes."""
        ...

    @property
    def input_schema(self) -> pa.Schema | None:
        """Columns of the stream, or None for rows."""
        ...

    @property
    def clock(self) -> Clock:
        """The injected clock."""
        ...

    def wake(self) -> None:
        """Thread-safe: call ``poll`` soon (of a concurrent sink's writer)."""
        ...

    @property
    def checkpoint_interval_ms(self) -> int | None:
        """From one checkpoint to the next at the least, in ms; None when there are none."""
        ...


class SinkWriter(ABC):
    """Writes batches; runs on the mailbox thread."""

    @abstractmethod
    def write(self, batch: Batch) -> None:
        """Take a batch in the form the sink asked for."""

    def process_watermark(self, timestamp: int) -> None:  # noqa: B027 - optional hook
        """Event time has reached this, in ms since 1970; at the end, the greatest there is."""

    @abstractmethod
    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Make all data so far durable and return committables; called at each barrier."""

    def snapshot_state(self, checkpoint_id: int) -> Sequence[bytes]:
        """State of its own, behind ``prepare_commit``; dealt out anew at another parallelism."""
        return ()

    def restore_state(self, items: Sequence[bytes]) -> None:  # noqa: B027 - optional hook
        """Take over what ``snapshot_state`` gave; before any batch."""

    def poll(self) -> bool:
        """Concurrent sinks: look what has been done; whether anything has."""
        return False

    def room(self) -> int:
        """Concurrent sinks: records that it would take now; 0: it exerts backpressure."""
        return 1 << 40

    def in_flight(self) -> bool:
        """Concurrent sinks: whether something is under way; the job's end waits for it."""
        return False

    def flush(self) -> None:  # noqa: B027 - optional hook
        """Called when the input is idle: pass on what is buffered (print, sockets)."""

    def close(self) -> None:  # noqa: B027 - optional hook
        """Release resources; uncommitted data is discarded: a restore writes it again."""


@dataclass(frozen=True, slots=True)
class EndedWriter:
    """Which writer has written all its data.

    Attributes:
        job_id: hex id of the job.
        operator_uid: stable id of the sink in the job.
        subtask: index of the writer.
        parallelism: number of writers.
        attempt: of this writer, ``<epoch>-<attempt>``.
    """

    job_id: str
    operator_uid: str
    subtask: int
    parallelism: int
    attempt: str

    def inherits(self, subtask: int) -> bool:
        """Whether what a writer of this index left is this one's to remove.

        Its own, and a share of those that are gone since the job was rescaled.

        >>> EndedWriter("j", "u", 1, 2, "1-1").inherits(3)
        True
        """
        if subtask < self.parallelism:
            return subtask == self.subtask
        return subtask % self.parallelism == self.subtask


class Committer(ABC):
    """Publishes committables. Runs on an I/O thread, one call at a time per subtask."""

    @abstractmethod
    def commit(self, committables: Sequence[bytes]) -> None:
        """Publish. Idempotent: a failure may bring the same committables again."""

    def finish(self, ended: EndedWriter) -> None:  # noqa: B027 - optional hook
        """The job ends, and this writer's data is committed: remove what earlier attempts left.

        Of this writer, and of those that ``ended.inherits``; other writers may be committing yet,
        data of other attempts than this one's too: regions of a job restart alone.
        """

    def close(self) -> None:  # noqa: B027 - optional hook
        """Release resources."""


class Sink(ABC):
    """Describes a sink; is shipped to the slots.

    Attributes:
        input_form: the form of batch the writer takes.
        concurrent: its writers have work under way on threads of their own.
    """

    input_form: Form = Form.ANY
    concurrent: bool = False

    @abstractmethod
    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer for one subtask."""

    def create_committer(self) -> Committer | None:
        """The committer, or None for a sink without transactions."""
        return None
