"""What a source task asks of its head operator, and what it offers it.

A source task has no inputs: in each turn of the mailbox loop it polls its head operator for one
bounded piece of work. Splits, stop and end come through the task, in order with the checkpoint
triggers.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from lesto.taskmanager.operators.base import OperatorContext


class PollStatus(enum.Enum):
    """What a poll of a source brought."""

    #: Something was emitted (or a split was opened or closed): poll again at the next turn.
    PROGRESS = "progress"
    #: Nothing to read now.
    IDLE = "idle"
    #: All splits are read and no more will come. The task does not poll again.
    END = "end"


@dataclass(frozen=True, slots=True)
class PollOutcome:
    """The result of one poll.

    Attributes:
        status: progress, idle or end.
        wake_at_ms: monotonic ms at which polling again makes sense (IDLE only); None: not before
            ``add_splits``, ``no_more_splits`` or ``wakeup``.
    """

    status: PollStatus
    wake_at_ms: int | None = None


#: Shared results of the common cases.
PROGRESS = PollOutcome(PollStatus.PROGRESS)
IDLE = PollOutcome(PollStatus.IDLE)
END = PollOutcome(PollStatus.END)


class SourceContext(OperatorContext, Protocol):
    """The context of a source task's head operator: the general one and two calls more."""

    def request_split(self) -> None:
        """Ask the enumerator for work; answered by ``add_splits`` or ``no_more_splits``."""
        ...

    def send_event(self, event: bytes) -> None:
        """Tell the enumerator something, in order with the requests."""
        ...

    def wakeup(self) -> None:
        """Thread-safe: poll again soon, for data has arrived on an I/O thread."""
        ...

    def report_watermark(self, group: str, watermark: int, max_drift_ms: int) -> None:
        """Tell the alignment group how far event time (ms) is; answered by ``align``."""
        ...


@runtime_checkable
class BoundedSource(Protocol):
    """A source operator whose steps may be made smaller."""

    def limit_rows(self, rows: int) -> None:
        """Emit no more than so many records, at least one, in each poll from now on."""
        ...


@runtime_checkable
class PacedSource(Protocol):
    """A source operator that finds out how many records a step should have."""

    def read_at_least(self, rows: int) -> None:
        """A step emits so many records where they are there, but for ``limit_rows``.

        Called before ``open``.
        """
        ...


@runtime_checkable
class SourceDriver(Protocol):
    """The methods a source operator has beside those of an ``Operator``; mailbox thread only.

    Life: ``setup``, ``open`` (restored splits come through ``context.restored_list("splits")``),
        then polls. A poll does one bounded piece of work (about a batch, at most a few ms) and
        never waits.

    After END, and for a stop with drain, the *task* emits the watermark MAX_TIMESTAMP and
    EndOfData on the operator's output; the operator does not. Snapshots may be taken after END and
    after ``stop`` too.
    """

    def poll(self) -> PollOutcome:
        """Emit at most about one batch to ``output``; say what to do next."""
        ...

    def add_splits(self, splits: Sequence[bytes]) -> None:
        """Splits from the enumerator, as bytes of ``Source.serialize_split``."""
        ...

    def no_more_splits(self) -> None:
        """No further splits will be assigned."""
        ...

    def drain(self) -> None:
        """Emit what was read and not emitted: a stop with drain ends event time next."""
        ...

    def stop(self) -> None:
        """Stop reading: a savepoint barrier has been emitted and the job will end. No poll
        follows.
        """
        ...


@runtime_checkable
class AlignedDriver(Protocol):
    """A source operator that can be kept with others in event time."""

    def align(self, max_watermark: int) -> None:
        """The alignment group lets the reader go up to this event time (ms)."""
        ...
