"""The completed checkpoints of a job: which are kept, and when what they hold may be deleted.

A file may belong to several checkpoints. It is deleted with the last one that refers to it, and
not while a checkpoint is under way that may have been built on it: a task builds on the newest
checkpoint that it had been told of when the barrier came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from lesto.jobmanager.core.instructions import (
    CollectOrphans,
    CoordinatorInstruction,
    DiscardAll,
    DiscardCheckpoint,
    DiscardClaimed,
    DiscardSavepoint,
)
from lesto.jobmanager.core.pending_checkpoint import (
    CompletedCheckpoint,
    PendingCheckpoint,
    shared_files,
)
from lesto.proto import checkpoint_pb2

_SAVEPOINT = checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT
#: A sweep for orphans at least this often: a paused process may upload long after its end.
SWEEP_EVERY_MS = 600_000


@dataclass(frozen=True, slots=True)
class _GivenUp:
    """A checkpoint that is not retained any more, kept for those that may build on it."""

    checkpoint: CompletedCheckpoint
    needed_by: frozenset[int]


class CompletedCheckpoints:
    """Keeps and gives up.

    Args:
        retained: how many are kept.
        root: URI of the job's own checkpoint root.
        epoch: of this JobMaster; what earlier ones wrote is touched only once it is recovered.

    Attributes:
        latest: the completed checkpoint or savepoint a restart goes on from.
        retained: checkpoints kept, oldest first.
    """

    def __init__(self, retained: int, root: str, epoch: int) -> None:
        self.latest: CompletedCheckpoint | None = None
        self.retained: deque[CompletedCheckpoint] = deque()
        self._retained_max = retained
        self._root = root
        self._epoch = epoch
        self._first_id, self._first_epoch = 1, epoch
        self._claimed_before = ""
        self._given_up: list[_GivenUp] = []
        self._leftovers: list[tuple[int, str]] = []
        self._sweep_wanted = False
        self._swept_ms: int | None = None

    # ------------------------------------------------------------------------------------- coming

    def restore(self, checkpoint: CompletedCheckpoint, *, claim: bool) -> None:
        """The job starts from a snapshot; with ``claim`` it owns it from now on."""
        assert self.latest is None, "restored twice"
        self.latest = checkpoint
        self._first_id = checkpoint.checkpoint_id + 1
        if claim:
            self.retained.append(checkpoint)

    def recover(self, checkpoints: Iterable[CompletedCheckpoint], claimed: str = "") -> None:
        """Completed by this job under an earlier epoch; its savepoints are not deleted.

        Args:
            checkpoints: all that are kept.
            claimed: path of the snapshot the job had begun from and claimed; empty: none.
        """
        assert self.latest is None, "recovered twice"
        ordered = sorted(checkpoints, key=lambda c: c.checkpoint_id)
        self.latest = ordered[-1] if ordered else None
        own = [c for c in ordered if c.metadata.type != _SAVEPOINT]
        excess = max(0, len(own) - self._retained_max)
        self._given_up = [_GivenUp(checkpoint, frozenset()) for checkpoint in own[:excess]]
        self.retained.extend(own[excess:])
        self._first_id = self._first_epoch = 0
        self._claimed_before = claimed if ordered else ""
        self._sweep_wanted = True

    def attempt_ended(self) -> None:
        """What its tasks had uploaded last, nobody will tell."""
        self._sweep_wanted = True

    def completed(
        self, checkpoint: CompletedCheckpoint, *, savepoint: bool, under_way: Collection[int]
    ) -> None:
        """A checkpoint is complete; ``under_way``: the others, not yet complete."""
        if self.latest is None or self.latest.checkpoint_id < checkpoint.checkpoint_id:
            self.latest = checkpoint
        if savepoint:
            return
        self.retained.append(checkpoint)
        while len(self.retained) > self._retained_max:
            self._given_up.append(_GivenUp(self.retained.popleft(), frozenset(under_way)))

    def aborted(self, pending: PendingCheckpoint) -> None:
        """A checkpoint will never complete; its tasks may be uploading still."""
        self._leftovers.append((pending.checkpoint_id, pending.target))
        self._sweep_wanted = True

    # ----------------------------------------------------------------------------------- deletion

    def files_kept(self) -> set[str]:
        """Shared files that a checkpoint under way may build on: they are not deleted before."""
        kept = [checkpoint.metadata for checkpoint in self._all()]
        if self.latest is not None:
            kept.append(self.latest.metadata)
        return set().union(*map(shared_files, kept))

    def release(self, under_way: Collection[int]) -> list[CoordinatorInstruction]:
        """Give up those that nothing under way may build on any more."""
        free: list[CompletedCheckpoint] = []
        waiting = []
        for given_up in self._given_up:
            needed_by = given_up.needed_by.intersection(under_way)
            if needed_by:
                waiting.append(_GivenUp(given_up.checkpoint, needed_by))
            else:
                free.append(given_up.checkpoint)
        self._given_up = waiting
        return [self._discard(checkpoint) for checkpoint in free]

    def sweep(
        self, under_way: Collection[int], next_id: int, now_ms: int
    ) -> list[CoordinatorInstruction]:
        """Delete what aborted checkpoints and ended attempts left.

        Only when a later checkpoint is complete or the job over: a task uploads in order, so what
        it had begun before is then uploaded or dropped.
        """
        if self._swept_ms is None:
            self._swept_ms = now_ms
        if not self._sweep_wanted and now_ms - self._swept_ms < SWEEP_EVERY_MS:
            return []
        self._swept_ms, self._sweep_wanted = now_ms, False
        out: list[CoordinatorInstruction] = []
        for checkpoint_id, target in self._leftovers:
            if target:
                out.append(DiscardSavepoint(target))
            else:
                out.append(DiscardCheckpoint(checkpoint_id, None, self._stay()))
        self._leftovers.clear()
        before = min([*under_way, next_id])
        return [*out, self._collect(before)]

    def _collect(self, before: int) -> CollectOrphans:
        return CollectOrphans(
            self._first_id,
            before,
            self._first_epoch,
            self._stay(),
            self._epoch,
            self._claimed_before,
        )

    def close(self, *, discard: bool) -> list[CoordinatorInstruction]:
        """The job is over: delete everything, or what nobody needs."""
        out: list[CoordinatorInstruction] = []
        if not discard:
            return out
        for checkpoint in self._all():
            if checkpoint.root != self._root:
                out.append(DiscardClaimed(checkpoint.metadata, checkpoint.path, checkpoint.root))
        out += [DiscardSavepoint(target) for _, target in self._leftovers if target]
        if self._first_epoch == 0:  # of earlier epochs, more than checkpoints may be left
            out.append(self._collect(0))
        self.retained.clear()
        self._given_up.clear()
        self._leftovers.clear()
        return [*out, DiscardAll()]

    def _discard(self, checkpoint: CompletedCheckpoint) -> CoordinatorInstruction:
        if checkpoint.root != self._root:
            return DiscardClaimed(checkpoint.metadata, checkpoint.path, checkpoint.root)
        return DiscardCheckpoint(checkpoint.checkpoint_id, checkpoint.metadata, self._stay())

    def _stay(self) -> tuple[checkpoint_pb2.CheckpointMetadata, ...]:
        return tuple(c.metadata for c in self._all() if c.root == self._root)

    def _all(self) -> list[CompletedCheckpoint]:
        return [*(given_up.checkpoint for given_up in self._given_up), *self.retained]

    # ---------------------------------------------------------------------------------- invariants

    def validate(self) -> None:
        """Check what must always hold."""
        ids = [checkpoint.checkpoint_id for checkpoint in self.retained]
        assert ids == sorted(set(ids)), "retained checkpoints are not in order"
        assert len(ids) <= self._retained_max, "more checkpoints retained than allowed"
        if ids:
            assert self.latest is not None
            assert self.latest.checkpoint_id >= ids[-1], "the latest is not the latest"
