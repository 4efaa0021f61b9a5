"""A sink whose records the test reads, in the same process or another, exactly once."""

from __future__ import annotations

import os
import pickle
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from lesto.common.elements import NO_TIMESTAMP, Batch, Form, RowBatch
from lesto.common.errors import InternalError
from lesto.common.sink import Committer, Sink, SinkWriter, WriterContext


class CollectingSink(Sink):
    """Keeps records in files of this machine; ``results`` reads what checkpoints have published.

    It publishes as a user's two-phase sink does: pending files at the barrier, renamed once the
    checkpoint is complete. The files go with the process.

    >>> CollectingSink().results
    []
    """

    input_form = Form.ROWS

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="lesto-collected-")
        # Not at the object's end: a job may outlive the last name its sink had in the test.
        weakref.finalize(CollectingSink, shutil.rmtree, self._folder, ignore_errors=True)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuilt, (self._folder,))

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer for one subtask."""
        return _CollectingWriter(self._folder, context)

    def create_committer(self) -> Committer:
        """Publishes by renaming."""
        return _RenamingCommitter()

    @property
    def timed_results(self) -> list[tuple[Any, int | None]]:
        """Records and their event times in ms; of each subtask in the order of their arrival."""
        found: list[tuple[Any, int | None]] = []
        for path in sorted(Path(self._folder).glob("part-*")):
            found.extend(pickle.loads(path.read_bytes()))
        return found

    @property
    def results(self) -> list[Any]:
        """The records; a :class:`lesto.common.Row` each where the stream has columns."""
        return [value for value, _ in self.timed_results]

    def clear(self) -> None:
        """Forget what was collected, before another run."""
        for path in Path(self._folder).iterdir():
            path.unlink()


def _rebuilt(folder: str) -> CollectingSink:
    sink = CollectingSink.__new__(CollectingSink)
    sink._folder = folder
    return sink


class _CollectingWriter(SinkWriter):
    def __init__(self, folder: str, context: WriterContext) -> None:
        self._folder = folder
        self._context = context
        self._records: list[tuple[Any, int | None]] = []

    def write(self, batch: Batch) -> None:
        if not isinstance(batch, RowBatch):
            msg = f"a sink of rows was given a {type(batch).__name__}"
            raise InternalError(msg)
        if batch.timestamps is None:
            self._records.extend((value, None) for value in batch.values)
            return
        times = (None if t == NO_TIMESTAMP else t for t in batch.timestamps.tolist())
        self._records.extend(zip(batch.values, times, strict=True))

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        records, self._records = self._records, []
        if not records:
            return ()
        stem = f"{checkpoint_id:012d}-{self._context.subtask:05d}"
        pending = os.path.join(self._folder, f"pending-{stem}-{self._context.attempt}")
        Path(pending).write_bytes(pickle.dumps(records))
        return (msgspec.msgpack.encode([pending, os.path.join(self._folder, f"part-{stem}")]),)


class _RenamingCommitter(Committer):
    def commit(self, committables: Sequence[bytes]) -> None:
        for committable in committables:
            pending, final = msgspec.msgpack.decode(committable, type=tuple[str, str])
            try:
                os.replace(pending, final)
            except FileNotFoundError:
                if not os.path.exists(final):  # else it was committed before
                    raise
