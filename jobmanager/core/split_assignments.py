"""Which splits a reader was given that no complete checkpoint holds yet.

A restarted reader gets back what its checkpoint holds. What it was given later is in no
checkpoint of it, and the live enumerator believes it assigned: it must go back there, once.
"""

from __future__ import annotations

from lesto.jobmanager.errors import SourceCoordinatorError

#: Splits of one source remembered at most; beyond, its readers restart with the whole job only.
SPLITS_TRACKED_MAX = 1_000_000


class SplitAssignments:
    """Splits of one source by reader, between complete checkpoints.

    The order of calls is the order of things on the way to the readers: ``assigned`` before a
    ``cut`` is in the reader's part of that checkpoint.
    """

    def __init__(self) -> None:
        self._open: dict[int, list[bytes]] = {}
        #: Ascending by checkpoint id: what was assigned before its barriers.
        self._cuts: dict[int, dict[int, list[bytes]]] = {}
        self._complete = 0
        self._tracked = 0
        self._overflown_at: int | None = None  # the last cut known then

    def assigned(self, subtask: int, split: bytes) -> None:
        """A reader was given a split."""
        if self._tracked >= SPLITS_TRACKED_MAX:
            self._overflown_at = max(self._complete, self._last_cut())
            self._open.clear()
            self._cuts.clear()
            self._tracked = 0
        self._open.setdefault(subtask, []).append(split)
        self._tracked += 1

    def cut(self, checkpoint_id: int) -> None:
        """The barriers of a checkpoint follow."""
        assert checkpoint_id > self._last_cut(), "checkpoints are not in order"
        self._cuts[checkpoint_id], self._open = self._open, {}

    def completed(self, checkpoint_id: int) -> None:
        """No restart goes back behind this checkpoint."""
        self._complete = max(self._complete, checkpoint_id)
        for old in [cut for cut in self._cuts if cut <= self._complete]:
            self._tracked -= sum(map(len, self._cuts.pop(old).values()))

    def take_back(self, subtask: int, restored_id: int) -> list[bytes]:
        """What the reader was given since a checkpoint, in order; it is no longer assigned.

        Args:
            subtask: the reader.
            restored_id: the checkpoint it goes on from; 0: from the start.

        Raises:
            SourceCoordinatorError: this is not known any more.
        """
        if restored_id < self._complete:
            msg = (
                f"a reader goes back to checkpoint {restored_id}, but what was assigned before "
                f"checkpoint {self._complete} is forgotten"
            )
            raise SourceCoordinatorError(msg)
        if self._overflown_at is not None and restored_id <= self._overflown_at:
            msg = f"more than {SPLITS_TRACKED_MAX} splits were assigned since a checkpoint"
            raise SourceCoordinatorError(msg, remedy="take checkpoints more often")
        back: list[bytes] = []
        for checkpoint_id, given in self._cuts.items():
            if checkpoint_id > restored_id:
                back += given.pop(subtask, ())
        back += self._open.pop(subtask, ())
        self._tracked -= len(back)
        return back

    def _last_cut(self) -> int:
        return next(reversed(self._cuts), 0)
