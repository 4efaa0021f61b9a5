"""What has happened to a job and why, in the order it happened: for people who were not there.

Pure and bounded. Events that say why a job is as it is are kept longer than those that come by the
second, such as completed checkpoints. Where some are missing, an entry says how many.

>>> journal = Journal()
>>> _ = journal.record(1, Kind.STATE, "CREATED", "submitted")
>>> journal.events()[0].cause
'submitted'
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

from lesto.jobmanager.core.journal_words import clipped_line
from lesto.proto import client_pb2

#: The first events of a job, kept for ever: how it began.
FIRST_EVENTS_MAX: Final = 20
#: The newest events besides.
LAST_EVENTS_MAX: Final = 440
#: The newest completed checkpoints, and the newest failed ones; they are not among those above, so
#: that a job whose checkpoints fail each second still shows how that began.
COMPLETED_CHECKPOINTS_MAX: Final = 20
FAILED_CHECKPOINTS_MAX: Final = 40
#: All of them, with one that says what is missing.
EVENTS_MAX: Final = (
    FIRST_EVENTS_MAX + LAST_EVENTS_MAX + COMPLETED_CHECKPOINTS_MAX + FAILED_CHECKPOINTS_MAX + 1
)
#: Rescales that a job remembers.
RESCALES_MAX: Final = 20


class Severity(enum.StrEnum):
    """Whether somebody should look."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Kind(enum.StrEnum):
    """What an event is about."""

    STATE = "job.state"
    RESTORED = "job.restored"
    RESCALED = "job.rescaled"
    RESCALE_FAILED = "job.rescale_failed"
    TASK_FAILED = "task.failed"
    TASKS_RUNNING = "task.restarted"
    REGION_RESTARTING = "region.restarting"
    SLOTS_WANTED = "slot.requested"
    SLOT_LOST = "slot.lost"
    SLOT_KILLED = "slot.killed"
    CHECKPOINT_COMPLETED = "checkpoint.completed"
    CHECKPOINT_FAILED = "checkpoint.failed"
    SAVEPOINT_REQUESTED = "savepoint.requested"
    SAVEPOINT_COMPLETED = "savepoint.completed"
    SAVEPOINT_FAILED = "savepoint.failed"
    LEADER_CHANGED = "leader.changed"
    LEFT_OUT = "journal.left_out"


@dataclass(frozen=True, slots=True)
class Entry:
    """One event.

    Attributes:
        number: in the order in which they happened, from 1.
        event: as the client is told; nobody changes it.
    """

    number: int
    event: client_pb2.JobEvent


class Journal:
    """One job's events and rescales, since this JobManager runs it."""

    def __init__(self) -> None:
        self.rescales: deque[client_pb2.JobRescale] = deque(maxlen=RESCALES_MAX)
        self._recorded = 0
        self._first: list[Entry] = []
        self._last: deque[Entry] = deque(maxlen=LAST_EVENTS_MAX)
        self._routine: dict[Kind, deque[Entry]] = {
            Kind.CHECKPOINT_COMPLETED: deque(maxlen=COMPLETED_CHECKPOINTS_MAX),
            Kind.CHECKPOINT_FAILED: deque(maxlen=FAILED_CHECKPOINTS_MAX),
        }

    def record(
        self,
        at_ms: int,
        kind: Kind,
        subject: str,
        cause: str,
        severity: Severity = Severity.INFO,
    ) -> client_pb2.JobEvent:
        """Add an event and return it.

        Args:
            at_ms: wall clock.
            kind: what it is about.
            subject: the task, checkpoint, process or state; a few words.
            cause: why, for people; its first line counts.
            severity: whether somebody should look.
        """
        self._recorded += 1
        event = client_pb2.JobEvent(
            timestamp_ms=at_ms,
            kind=kind.value,
            subject=clipped_line(subject),
            cause=clipped_line(cause),
            severity=severity.value,
        )
        entry = Entry(self._recorded, event)
        if kind in self._routine:
            self._routine[kind].append(entry)
        elif len(self._first) < FIRST_EVENTS_MAX:
            self._first.append(entry)
        else:
            self._last.append(entry)
        return event

    def entries(self) -> list[Entry]:
        """What is kept, oldest first; does not say what is missing."""
        kept = [*self._first, *self._last, *chain.from_iterable(self._routine.values())]
        return sorted(kept, key=lambda entry: entry.number)

    def events(self) -> list[client_pb2.JobEvent]:
        """As the client is told, oldest first."""
        kept = self.entries()
        events = [entry.event for entry in kept]
        missing = self._recorded - len(kept)
        if missing:
            gap = next((i for i, e in enumerate(kept, 1) if e.number != i), len(kept) + 1) - 1
            at_ms = events[gap].timestamp_ms if gap < len(events) else events[-1].timestamp_ms
            events.insert(gap, _left_out(at_ms, missing))
        return events

    def last_rescale(self) -> client_pb2.JobRescale | None:
        """The rescale that is under way; None: there is none."""
        newest = self.rescales[-1] if self.rescales else None
        return newest if newest is not None and newest.outcome == IN_PROGRESS else None

    def rescale_began(
        self,
        at_ms: int,
        vertices: Iterable[client_pb2.VertexRescale],
        *,
        automatic: bool,
    ) -> None:
        """The parallelism is to change."""
        self.rescales.append(
            client_pb2.JobRescale(
                start_ms=at_ms, automatic=automatic, outcome=IN_PROGRESS, vertices=vertices
            )
        )

    def rescale_ended(
        self,
        at_ms: int,
        *,
        reason: str = "",
        widths: Mapping[str, int] | None = None,
        pause_ms: int = 0,
    ) -> None:
        """A rescale is over.

        Args:
            at_ms: wall clock.
            reason: why it was not done; empty: it was.
            widths: what the vertices have now, when that is less than was wanted.
            pause_ms: for which nothing flowed.
        """
        record = self.last_rescale()
        if record is None:
            return
        for vertex in record.vertices:
            vertex.after = (widths or {}).get(vertex.vertex_id, vertex.after)
        record.end_ms, record.pause_ms = at_ms, pause_ms
        record.outcome, record.reason = FAILED if reason else COMPLETED, clipped_line(reason)
        told = ", ".join(
            f"{v.name} {v.before} -> {v.after}" for v in record.vertices if v.before != v.after
        )
        whose = "by the adaptive scheduler" if record.automatic else "by request"
        if reason:
            text = f"asked for {whose}; it was not done: {reason}"
            self.record(at_ms, Kind.RESCALE_FAILED, told, text, Severity.WARNING)
        else:
            text = f"{whose}; records paused for {pause_ms / 1000:.1f} s"
            self.record(at_ms, Kind.RESCALED, told, text)


IN_PROGRESS: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"


def _left_out(at_ms: int, missing: int) -> client_pb2.JobEvent:
    return client_pb2.JobEvent(
        timestamp_ms=at_ms,
        kind=Kind.LEFT_OUT.value,
        subject=f"{missing:,} events",
        cause=f"not kept; of checkpoints the newest {COMPLETED_CHECKPOINTS_MAX} complete and "
        f"{FAILED_CHECKPOINTS_MAX} failed ones are, of the rest the first {FIRST_EVENTS_MAX} and "
        f"the newest {LAST_EVENTS_MAX}",
        severity=Severity.INFO.value,
    )
