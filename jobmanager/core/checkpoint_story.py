"""What a job's journal says about checkpoints."""

from __future__ import annotations

from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.journal import Journal, Kind, Severity
from lesto.jobmanager.core.journal_words import counted, seconds, size
from lesto.jobmanager.core.pending_checkpoint import PendingCheckpoint
from lesto.proto import checkpoint_pb2


def tell_completed(journal: Journal, pending: PendingCheckpoint, path: str, now: Moment) -> None:
    """A checkpoint or savepoint is durable."""
    kind = Kind.SAVEPOINT_COMPLETED if pending.is_savepoint else Kind.CHECKPOINT_COMPLETED
    took = seconds(now.mono_ms - pending.triggered_ms)
    ends = "; the job finishes with it" if pending.stops else ""
    text = f"{size(pending.state_bytes())} in {took}{ends}; {path}"
    journal.record(now.wall_ms, kind, _name(pending), text)


def tell_failed(
    journal: Journal, pending: PendingCheckpoint, reason: str, now: Moment, *, counts: bool
) -> None:
    """One will never be complete.

    Args:
        journal: the job's.
        pending: which.
        reason: one line.
        now: when.
        counts: whether it counts towards the failures that the job bears.
    """
    kind = Kind.SAVEPOINT_FAILED if pending.is_savepoint else Kind.CHECKPOINT_FAILED
    waits = ""
    if pending.missing and pending.acks:
        waits = f" ({len(pending.acks)} of {counted(len(pending.expected), 'task')} had answered)"
    bad = counts or pending.is_savepoint
    severity = Severity.WARNING if bad else Severity.INFO
    journal.record(now.wall_ms, kind, _name(pending), f"{reason}{waits}", severity)


def _name(pending: PendingCheckpoint) -> str:
    if pending.is_savepoint:
        return f"savepoint {pending.checkpoint_id}"
    last = pending.kind == checkpoint_pb2.CHECKPOINT_TYPE_FINAL
    return f"{'last checkpoint' if last else 'checkpoint'} {pending.checkpoint_id}"
